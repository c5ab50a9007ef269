"""Parts of an array: indexing, assignment to a part, and gathering along an axis."""

from __future__ import annotations

from math import prod
from typing import Any

from .._arrays import (
    Array,
    Numbers,
    asarray,
    asarray_like,
    is_array,
    kind,
    namespace,
    scatter_add,
    with_item,
)
from .._errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError
from .._op import op
from .._tape import Tracked, plain
from .._wide import widened
from ._comparison import where
from ._like import zeros_like


def plain_index(index: Any, like: Array) -> Any:
    """An index with the arrays of its Tensors, and arrays of the library of `like` for lists."""
    if isinstance(index, tuple):
        return tuple(plain_index(part, like) for part in index)
    if isinstance(index, Tracked):
        return index._array
    if isinstance(index, list):  # an empty list means no elements, not a float array
        return asarray_like(like, index) if index else asarray_like(like, [0])[:0]
    return index


def _may_repeat(index: Any) -> bool:
    """Whether an index can name an element twice: only arrays of integers can."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(
        is_array(part) and len(part.shape) > 0 and kind(part.dtype) is not Numbers.TRUTH
        for part in parts
    )


@op(halves=True)
def getitem(x: Array, index: Any, /) -> Array:
    """x[index], for every index that the array library has: what `Tensor.__getitem__` calls."""
    try:
        return x[index]
    except IndexError as error:
        raise OutOfRangeError(f"getitem: x {tuple(x.shape)}: {error}") from None


@op
def scatter(values: Array, index: Any, shape: tuple[int, ...], /) -> Array:
    """Zeros of a shape, with `values` added at an index; the transpose of `getitem`."""
    return scatter_add(values, index, shape, repeats=_may_repeat(index))


def _getitem_gradient(g: Array, index: Any, x_shape: tuple[int, ...]) -> Array:
    return scatter(widened(g) if _may_repeat(index) else g, index, x_shape)


getitem.gradient(x=_getitem_gradient)
scatter.gradient(values=lambda g, index: getitem(g, index))


@op
def setitem(x: Array, index: Any, value: Array, /) -> Array:
    """A copy of x with `value` at an index: what `Tensor.__setitem__` calls.

    Where an index names an element several times the last value stays, and alone has a gradient.
    """
    dtype = value.dtype if is_array(value) else asarray(value).dtype
    if kind(dtype) > kind(x.dtype):
        raise DTypeError(
            f"setitem: a value of dtype {dtype} does not go into a tensor of dtype "
            f"{x.dtype}; convert one with astype"
        )
    if is_array(value):
        value = namespace(value).astype(value, x.dtype, copy=False)
    try:
        return with_item(x, index, value)
    except IndexError as error:
        raise OutOfRangeError(f"setitem: x {tuple(x.shape)}: {error}") from None
    except ValueError as error:
        raise ShapeError(
            f"setitem: a value of shape {tuple(getattr(value, 'shape', ()))} does not fit the part "
            f"of x {tuple(x.shape)} that the index names: {error}"
        ) from None


def _kept_values(g: Array, index: Any) -> Array:
    kept = getitem(g, index)
    if not _may_repeat(index):
        return kept
    # With repeated indices only the last assignment survives, and only it has a gradient. Assign
    # 0, 1, 2, … in place of the values: what is left says which survived.
    xp = namespace(plain(kept))
    numbers = xp.reshape(xp.arange(prod(kept.shape)), tuple(kept.shape))
    left = with_item(xp.zeros(tuple(g.shape), dtype=numbers.dtype), index, numbers)[index]
    return where(left == numbers, kept, zeros_like(kept))


setitem.gradient(x=lambda g, index: setitem(g, index, 0), value=_kept_values)


@op
def take(x: Array, indices: Array, /, *, axis: int | None = None) -> Array:
    """The parts of x at `indices` along `axis` (which may be left out in one dimension).

    Raises OutOfRangeError (an IndexError) for an index outside the axis, DTypeError unless the
    indices are integers.

    >>> lucid.take(lucid.Tensor([1.0, 2.0, 3.0]), [2, 0])
    Tensor([3.0, 1.0])
    """
    if axis is None and len(x.shape) != 1:
        raise ArgumentError(
            f"take: x {tuple(x.shape)} has {len(x.shape)} axes; say along which with axis=..."
        )
    xp = namespace(x, indices)
    if not is_array(indices):
        indices = asarray_like(x, indices)
    if kind(indices.dtype) is not Numbers.INTEGER and 0 not in indices.shape:
        raise DTypeError(f"take: indices have dtype {indices.dtype}, expected integers")
    try:
        return xp.take(x, indices, axis=axis)
    except IndexError as error:
        raise OutOfRangeError(f"take: {error}, x has shape {tuple(x.shape)}") from None


def _take_gradient(g: Array, indices: Array, axis: int | None, x_shape: tuple[int, ...]) -> Array:
    where_from = (slice(None),) * (0 if axis is None else axis % len(x_shape))
    return scatter(g, (*where_from, plain_index(indices, plain(g))), x_shape)


take.gradient(x=_take_gradient, indices=None)
