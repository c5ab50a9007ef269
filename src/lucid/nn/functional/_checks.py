"""Checks that the functions of this folder share, and the error messages they give."""

from __future__ import annotations

from ..._arguments import WHOLE, check
from ..._arrays import Array, DType, Numbers, is_array, is_complex, is_differentiable, kind
from ..._errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError

REDUCTIONS = ("mean", "sum", "none")


def _dtype(function: str, name: str, array: Array) -> DType:
    if isinstance(array, (bool, int, float, complex)) and not is_array(array):
        raise DTypeError(
            f"{function}: {name} is a number, {type(array).__name__}, expected a Tensor, an array "
            "or a list"
        )
    return array.dtype


def check_real(function: str, **arrays: Array | None) -> None:
    """Raise DTypeError unless these are real floating-point numbers (or left out)."""
    for name, array in arrays.items():
        if array is not None and kind(_dtype(function, name, array)) is not Numbers.REAL:
            remedy = (
                "take its real or absolute part first"
                if is_complex(array.dtype)
                else f"convert it, as in {name}.astype(lucid.float32)"
            )
            raise DTypeError(
                f"{function}: {name} has dtype {array.dtype}, expected real floating-point "
                f"numbers; {remedy}"
            )


def check_differentiable(function: str, **arrays: Array) -> None:
    """Raise DTypeError unless these are floating-point numbers, real or complex."""
    for name, array in arrays.items():
        if not is_differentiable(_dtype(function, name, array)):
            raise DTypeError(
                f"{function}: {name} has dtype {array.dtype}, expected floating-point numbers; "
                f"convert it, as in {name}.astype(lucid.float32)"
            )


def check_indices(function: str, name: str, array: Array) -> None:
    """Raise DTypeError unless these are integers."""
    if kind(_dtype(function, name, array)) is not Numbers.INTEGER:
        raise DTypeError(
            f"{function}: {name} has dtype {array.dtype}, expected integers; convert it, as in "
            f"{name}.astype(lucid.int64)"
        )


def check_axis(function: str, name: str, array: Array, axis: int) -> None:
    """Raise OutOfRangeError unless the array has this axis."""
    check(function, WHOLE, axis=axis)
    rank = len(array.shape)
    if not -rank <= axis < rank:
        raise OutOfRangeError(
            f"{function}: axis {axis} is outside {name} {tuple(array.shape)}, which has "
            f"{rank} {'axis' if rank == 1 else 'axes'}"
        )


def check_same_shape(function: str, input: Array, target: Array) -> None:
    """Raise ShapeError unless the shapes are equal: a broadcast would hide a mistake."""
    if tuple(input.shape) != tuple(target.shape):
        raise ShapeError(
            f"{function}: input has shape {tuple(input.shape)} but target {tuple(target.shape)}; "
            "they must be equal, reshape one of them"
        )


def check_broadcasts(function: str, name: str, array: Array, input: Array) -> None:
    """Raise ShapeError unless the array broadcasts to the shape of the input."""
    pairs = list(zip(reversed(array.shape), reversed(input.shape), strict=False))
    if len(array.shape) > len(input.shape) or any(size not in (1, wide) for size, wide in pairs):
        raise ShapeError(
            f"{function}: {name} has shape {tuple(array.shape)}, which does not broadcast to that "
            f"of input, {tuple(input.shape)}"
        )


def check_reduction(function: str, reduction: str) -> None:
    """Raise ArgumentError for a reduction that there is not."""
    if not isinstance(reduction, str) or reduction not in REDUCTIONS:
        raise ArgumentError(
            f"{function}: reduction is {reduction!r}, expected 'mean', 'sum' or 'none'"
        )
