"""Checks that the functions of this folder share, and the error messages they give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..._arrays import Array, is_array, is_differentiable
from ..._errors import ArgumentError, DTypeError, ShapeError


def check_square(function: str, **matrices: Array) -> None:
    """Raise unless these are square matrices, or stacks of them, of floating point."""
    check_floating(function, **matrices)
    for name, matrix in matrices.items():
        shape = tuple(matrix.shape)
        if len(shape) < 2 or shape[-1] != shape[-2]:
            raise ShapeError(
                f"{function}: {name} has shape {shape}, expected (..., m, m): a square matrix, or "
                "a stack of them in its last two axes"
            )


def check_matrix(function: str, x: Array) -> None:
    """Raise ShapeError unless this is a matrix, or a stack of them."""
    shape = tuple(getattr(x, "shape", ()))
    if len(shape) < 2:
        raise ShapeError(
            f"{function}: x has shape {shape}, expected (..., m, n): a matrix, or a stack of them "
            "in its last two axes"
        )


def check_floating(function: str, **arrays: Array) -> None:
    """Raise DTypeError unless these are arrays of floating-point numbers, real or complex."""
    for name, array in arrays.items():
        given = array.dtype if is_array(array) else type(array).__name__
        if not is_array(array) or not is_differentiable(array.dtype):
            raise DTypeError(
                f"{function}: {name} is {given}, expected an array of floating-point numbers; "
                f"convert it, as in lucid.asarray({name}, dtype=lucid.float32)"
            )


def attempt(
    function: str,
    compute: Callable[[Array], Any],
    why: str,
    again: Callable[[Array], Any] | None = None,
    **matrices: Array,
) -> Any:
    """What a library's routine computes of matrices; ArgumentError where it says that it cannot.

    `why` goes on from the name of the first matrix on which it fails; `again` is what fails there,
    if it is not the routine itself.
    """
    ((name, x),) = matrices.items()
    try:
        return compute(x)
    except Exception as error:
        if not is_refusal(error):
            raise
    shape = tuple(x.shape)
    found = (index for index in np.ndindex(*shape[:-2]) if _refuses(again or compute, x[index]))
    which = next(found, ())
    told = f"{name}{list(which)} of {name} {shape}" if which else f"{name} {shape}"
    raise ArgumentError(f"{function}: {told} {why}")


def is_refusal(error: Exception) -> bool:
    """Whether a library says with this error that a matrix is singular, or the like."""
    # NumPy's LinAlgError is a ValueError, PyTorch's _LinAlgError a RuntimeError
    return type(error).__name__.endswith("LinAlgError")


def _refuses(compute: Callable[[Array], Any], matrix: Array) -> bool:
    try:
        compute(matrix)
    except Exception as error:
        if not is_refusal(error):
            raise
        return True
    return False


NOT_COMPUTED = (
    "was given up: the iteration does not converge, as it may not where an element is NaN or "
    "infinite"
)
