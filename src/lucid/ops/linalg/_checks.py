"""Checks that the functions of this folder share, and the error messages they give."""

from __future__ import annotations

from ..._arrays import Array, is_array, is_differentiable
from ..._errors import DTypeError, ShapeError


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


def check_floating(function: str, **arrays: Array) -> None:
    """Raise DTypeError unless these are arrays of floating-point numbers, real or complex."""
    for name, array in arrays.items():
        given = array.dtype if is_array(array) else type(array).__name__
        if not is_array(array) or not is_differentiable(array.dtype):
            raise DTypeError(
                f"{function}: {name} is {given}, expected an array of floating-point numbers; "
                f"convert it, as in lucid.asarray({name}, dtype=lucid.float32)"
            )
