"""Where the extremes are, and order."""

from __future__ import annotations

from typing import Any

from .._arrays import Array, device_of, namespace
from .._op import op
from .._shapes import axis_error
from .._tape import operand, plain
from ._index import getitem


@op(gradient=None)
def argmax(x: Array, /, *, axis: int | None = None, keepdims: bool = False) -> Array:
    """The index of the first largest element along an axis, or of all elements counted through.

    >>> lucid.argmax(lucid.Tensor([[1.0, 5.0], [7.0, 2.0]]), axis=1)
    Tensor([1, 0])
    """
    return namespace(x).argmax(x, axis=axis, keepdims=keepdims)


@op(gradient=None)
def argmin(x: Array, /, *, axis: int | None = None, keepdims: bool = False) -> Array:
    """The index of the first smallest element along an axis, or of all elements counted through.

    >>> lucid.argmin(lucid.Tensor([[1.0, 5.0], [7.0, 2.0]]), axis=1)
    Tensor([0, 1])
    """
    return namespace(x).argmin(x, axis=axis, keepdims=keepdims)


@op(gradient=None)
def argsort(x: Array, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Array:
    """The indices that put x in order along an axis.

    >>> lucid.argsort(lucid.Tensor([3.0, 1.0, 2.0]))
    Tensor([1, 2, 0])
    """
    xp = namespace(x)
    if not descending:
        return xp.argsort(x, axis=axis, stable=stable)
    # NumPy has no descending order: sort the reversed axis upwards and reverse, ties stay in order
    order = xp.flip(xp.argsort(xp.flip(x, axis=axis), axis=axis, stable=stable), axis=axis)
    return x.shape[axis] - 1 - order


def sort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """x in ascending (or descending) order along an axis.

    >>> lucid.sort(lucid.Tensor([3.0, 1.0, 2.0]))
    Tensor([1.0, 2.0, 3.0])
    """
    x = operand(x)
    return take_along_axis(
        x, argsort(x, axis=axis, descending=descending, stable=stable), axis=axis
    )


def take_along_axis(x: Any, indices: Any, /, *, axis: int = -1) -> Any:
    """The elements of x at `indices` along an axis; the other axes of both run side by side.

    >>> x = lucid.Tensor([[1.0, 5.0], [7.0, 2.0]])
    >>> lucid.take_along_axis(x, lucid.argmax(x, axis=1, keepdims=True), axis=1)
    Tensor([[5.0], [7.0]])
    """
    x = operand(x, indices)
    numbers = plain(operand(indices))
    xp = namespace(numbers)
    rank = len(x.shape)
    wrong = None if -rank <= axis < rank else axis_error("take_along_axis", "x", x.shape, axis)
    if wrong is not None:
        raise wrong
    grid = [
        xp.reshape(xp.arange(size, device=device_of(numbers)), (-1,) + (1,) * (rank - 1 - k))
        for k, size in enumerate(x.shape)
    ]
    grid[axis] = numbers
    return getitem(x, tuple(grid))
