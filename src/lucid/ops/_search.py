"""Where the extremes are, what is not zero, and order."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, Never

import numpy as np

from .._arguments import COUNT, TRUTH, check, told
from .._arrays import (
    Array,
    Numbers,
    asarray_like,
    device_of,
    is_array,
    kind,
    namespace,
)
from .._errors import ArgumentError, DTypeError, ShapeError
from .._hints import no_keyword
from .._op import op
from .._shapes import check_axis
from .._tape import beside, operand
from ._axes import Axis
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
def count_nonzero(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """How many elements over `axis` are not zero.

    >>> lucid.count_nonzero(lucid.Tensor([[1.0, 0.0], [3.0, 4.0]]), axis=0)
    Tensor([2, 1])
    """
    xp = namespace(x)
    found = xp.count_nonzero(x, axis=axis, keepdims=keepdims)
    return np.asarray(found, np.intp) if xp is np else found


@op(gradient=None)
def nonzero(x: Array, /) -> tuple[Array, ...]:
    """Where the elements are that are not zero: for each axis of x their indices along it.

    Raises ShapeError for an x without axes.

    >>> lucid.nonzero(lucid.Tensor([[1.0, 0.0], [3.0, 4.0]]))
    (Tensor([0, 1, 1]), Tensor([0, 0, 1]))
    """
    if not x.shape:
        raise ShapeError("nonzero: x has no axes, so there are no indices; reshape it to (1,)")
    return tuple(namespace(x).nonzero(x))


@op(gradient=None)
def searchsorted(
    x1: Array,
    x2: Array,
    /,
    *,
    side: Literal["left", "right"] = "left",
    sorter: Array | None = None,
) -> Array:
    """Where each value of x2 would go into x1, which is in ascending order, to keep the order.

    The index i has x1[i - 1] < v ≤ x1[i], or with side="right" x1[i - 1] ≤ v < x1[i]. Where x1 is
    not in order, `sorter` is `argsort(x1)`.

    Raises ShapeError unless x1 has one axis, and `sorter` its shape.

    >>> lucid.searchsorted(lucid.Tensor([1.0, 2.0, 3.0]), lucid.Tensor([2.0, 2.5]))
    Tensor([1, 2])
    """
    if side not in ("left", "right"):
        raise ArgumentError(f"searchsorted: side is {told(side)}, expected 'left' or 'right'")
    if len(x1.shape) != 1:
        raise ShapeError(f"searchsorted: x1 has shape {tuple(x1.shape)}, expected one axis")
    if sorter is not None and tuple(sorter.shape) != tuple(x1.shape):
        raise ShapeError(
            f"searchsorted: sorter {tuple(sorter.shape)} must have the shape of x1 "
            f"{tuple(x1.shape)}; give argsort(x1)"
        )
    xp = namespace(x1, x2, sorter)
    if not is_array(x2):
        x2 = asarray_like(x1, x2)
        if kind(x2.dtype) <= kind(x1.dtype):
            x2 = xp.astype(x2, x1.dtype)
    if x1.dtype != x2.dtype:
        dtype = xp.result_type(x1.dtype, x2.dtype)
        x1, x2 = xp.astype(x1, dtype, copy=False), xp.astype(x2, dtype, copy=False)
    found = xp.asarray(xp.searchsorted(x1, x2, side=side, sorter=sorter))
    return xp.astype(found, xp.asarray(0).dtype, copy=False)  # JAX's are narrower


@op(gradient=None)
def argsort(x: Array, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Array:
    """The indices that put x in ascending (or descending) order along an axis.

    With `stable` equal elements keep their order, in both directions.

    >>> lucid.argsort(lucid.Tensor([3.0, 1.0, 2.0]))
    Tensor([1, 2, 0])
    """
    check_axis("argsort", "x", x.shape, axis)
    return _in_order(x, axis, descending, stable)


def _in_order(x: Array, axis: int, descending: bool, stable: bool) -> Array:
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
    check_axis("sort", "x", x.shape, axis)
    return take_along_axis(
        x, argsort(x, axis=axis, descending=descending, stable=stable), axis=axis
    )


class TopK(NamedTuple):
    """What `topk` returns."""

    values: Any
    indices: Any


def topk(x: Any, k: int, /, *, axis: int = -1, largest: bool = True, **foreign: Never) -> TopK:
    """The k largest (or smallest) elements along an axis, the first of them first, and where.

    Returns a named tuple (values, indices). Of equal elements the one that comes first in x comes
    first. The gradient of a value goes to its element.

    Raises ArgumentError unless k is from 0 to the size of the axis.

    >>> lucid.topk(lucid.Tensor([1.0, 4.0, 2.0, 3.0]), 2)
    TopK(values=Tensor([4.0, 3.0]), indices=Tensor([1, 3]))
    """
    if foreign:
        raise no_keyword("topk", foreign)
    x = operand(x)
    axis = check_axis("topk", "x", x.shape, axis)
    check("topk", COUNT, k=k)
    check("topk", TRUTH, largest=largest)
    if k > x.shape[axis]:
        raise ArgumentError(
            f"topk: k is {k}, but axis {axis} of x {tuple(x.shape)} has {x.shape[axis]} elements"
        )
    indices = _top(x, k, axis, largest)
    return TopK(take_along_axis(x, indices, axis=axis), indices)


@op(gradient=None)
def _top(x: Array, k: int, axis: int, largest: bool, /) -> Array:
    xp = namespace(x)
    if xp is np and 0 < 2 * k < x.shape[axis]:
        found = _top_of_few(np.moveaxis(x, axis, -1), k, largest)
        if found is not None:
            return np.moveaxis(found, -1, axis)
    order = _in_order(x, axis, largest, stable=True)
    return order[(slice(None),) * axis + (slice(k), ...)]


def _top_of_few(x: Any, k: int, largest: bool) -> Any:
    """The same along the last axis of NumPy's arrays, without putting all elements in order.

    Those beyond the k-th, which NumPy finds, and as many of the first that equal it as there is
    room for; None where the k-th is NaN.
    """
    place = x.shape[-1] - k if largest else k - 1
    edge = np.partition(x, place, axis=-1)[..., place : place + 1]
    if (edge != edge).any():
        return None
    beyond = ~(x <= edge) if largest else x < edge  # NaN is the largest
    level = x == edge
    room = k - np.count_nonzero(beyond, axis=-1, keepdims=True)
    chosen = beyond | (level & (np.cumsum(level, axis=-1) <= room))
    few = np.nonzero(chosen)[-1].reshape((*x.shape[:-1], k))
    order = _in_order(np.take_along_axis(x, few, axis=-1), -1, largest, stable=True)
    return np.take_along_axis(few, order, axis=-1)


def take_along_axis(x: Any, indices: Any, /, *, axis: int = -1) -> Any:
    """The elements of x at `indices` along an axis; the other axes of both broadcast.

    Raises DTypeError unless the indices are integers, ShapeError unless they have as many axes as
    x, OutOfRangeError for an index outside the axis.

    >>> x = lucid.Tensor([[1.0, 5.0], [7.0, 2.0]])
    >>> lucid.take_along_axis(x, lucid.argmax(x, axis=1, keepdims=True), axis=1)
    Tensor([[5.0], [7.0]])
    """
    x = operand(x, indices)
    numbers = beside(x, indices)
    xp = namespace(numbers)
    rank = len(x.shape)
    axis = check_axis("take_along_axis", "x", x.shape, axis)
    if kind(numbers.dtype) is not Numbers.INTEGER:
        raise DTypeError(f"take_along_axis: indices have dtype {numbers.dtype}, expected integers")
    if len(numbers.shape) != rank:
        raise ShapeError(
            f"take_along_axis: indices {tuple(numbers.shape)} must have as many axes as x "
            f"{tuple(x.shape)}"
        )
    grid = [
        xp.reshape(xp.arange(size, device=device_of(numbers)), (-1,) + (1,) * (rank - 1 - k))
        for k, size in enumerate(x.shape)
    ]
    grid[axis] = numbers
    return getitem(x, tuple(grid))
