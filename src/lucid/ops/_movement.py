"""The same elements in another shape or order.

Rules that only move elements get halves as they are (`halves=True`): nothing is added up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

from .. import _shapes
from .._arguments import WHOLE, check
from .._arrays import Array, namespace
from .._errors import ArgumentError, OutOfRangeError, ShapeError
from .._op import op
from .._shapes import check_axes, check_shape
from .._tape import operand


@op(halves=True)
def reshape(x: Array, /, shape: int | tuple[int, ...], *, copy: bool | None = None) -> Array:
    """The elements of x, in order, in another shape; one size may be -1, the rest decides it.

    With `copy=True` the values are always copied, with `copy=False` never: ArgumentError where
    that is not possible.

    >>> lucid.reshape(lucid.Tensor([1.0, 2.0, 3.0, 4.0]), (2, -1))
    Tensor([[1.0, 2.0], [3.0, 4.0]])
    """
    shape = tuple(shape) if isinstance(shape, Iterable) else (shape,)
    for size in shape:
        check("reshape", WHOLE, shape=size)
    known = prod(size for size in shape if size != -1)
    total = prod(x.shape)
    if shape.count(-1) > 1 or (total % known if -1 in shape and known else total != known):
        raise ShapeError(
            f"reshape: x {tuple(x.shape)} has {total} elements, which do not fit shape {shape}"
        )
    try:
        return namespace(x).reshape(x, shape, copy=copy)
    except (ValueError, AttributeError):
        if copy is not False:
            raise
        raise ArgumentError(
            f"reshape: copy=False, but x {tuple(x.shape)} does not lie in memory so that it has "
            f"the shape {shape} without a copy; leave out copy=False"
        ) from None


reshape.gradient(x=lambda g, x_shape: reshape(g, x_shape))


@op(halves=True)
def permute_dims(x: Array, /, axes: tuple[int, ...]) -> Array:
    """x with its axes in the order `axes`.

    >>> lucid.permute_dims(lucid.zeros((2, 3, 4)), (2, 0, 1)).shape
    (4, 2, 3)
    """
    rank = len(x.shape)
    for axis in axes:
        check("permute_dims", WHOLE, axes=axis)
    order = tuple(axis % rank for axis in axes if -rank <= axis < rank)
    if not len(axes) == len(set(order)) == rank:
        raise ShapeError(
            f"permute_dims: axes {tuple(axes)} do not name each of the {rank} axes of x "
            f"{tuple(x.shape)} once"
        )
    return namespace(x).permute_dims(x, order)


def _permute_back(g: Array, axes: tuple[int, ...]) -> Array:
    places = [axis % len(axes) for axis in axes]
    return permute_dims(g, tuple(places.index(k) for k in range(len(axes))))


permute_dims.gradient(x=_permute_back)


@op(halves=True)
def matrix_transpose(x: Array, /) -> Array:
    """x with its last two axes transposed.

    >>> lucid.matrix_transpose(lucid.zeros((2, 3, 4))).shape
    (2, 4, 3)
    """
    if len(x.shape) < 2:
        raise ShapeError(
            f"matrix_transpose: x has shape {tuple(x.shape)}, expected two axes or more"
        )
    return namespace(x).matrix_transpose(x)


matrix_transpose.gradient(x=lambda g: matrix_transpose(g))

Axes = int | Sequence[int]


def moveaxis(x: Any, source: Axes, destination: Axes, /) -> Any:
    """x with the axis `source` at the place `destination`, or several; the others keep their order.

    Raises OutOfRangeError for an axis that x has not, ArgumentError where one is named twice or
    the two are not equally many.

    >>> lucid.moveaxis(lucid.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    x = operand(x)
    froms = check_axes("moveaxis", "x", x.shape, source)
    tos = check_axes("moveaxis", "x", x.shape, destination)
    if len(froms) != len(tos):
        raise ArgumentError(
            f"moveaxis: source {source} has {len(froms)} axes, but destination {destination} "
            f"has {len(tos)}; each axis needs a place"
        )
    order = [k for k in range(len(x.shape)) if k not in froms]
    for place, axis in sorted(zip(tos, froms, strict=True)):
        order.insert(place, axis)
    return permute_dims(x, tuple(order))


@op(gradient=lambda g, x_shape: reshape(g, x_shape), halves=True)
def expand_dims(x: Array, /, axis: int | tuple[int, ...]) -> Array:
    """x with a new axis of size 1 at `axis`, or at several places of the result.

    Raises OutOfRangeError for a place that the result has not, ArgumentError for one named twice.

    >>> lucid.expand_dims(lucid.zeros(3), axis=1).shape
    (3, 1)
    >>> lucid.expand_dims(lucid.zeros(3), axis=(0, -1)).shape
    (1, 3, 1)
    """
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    rank = len(x.shape) + len(axes)
    for each in axes:
        check("expand_dims", WHOLE, axis=each)
        if not -rank <= each < rank:
            raise OutOfRangeError(
                f"expand_dims: axis {each} is outside {-rank} to {rank - 1}, the places that a new "
                f"axis of x {tuple(x.shape)} has"
            )
    new = {each % rank for each in axes}
    if len(new) < len(axes):
        raise ArgumentError(f"expand_dims: axis {tuple(axes)} names a place twice")
    sizes = iter(x.shape)
    return namespace(x).reshape(x, tuple(1 if k in new else next(sizes) for k in range(rank)))


@op(gradient=lambda g, x_shape: reshape(g, x_shape), halves=True)
def squeeze(x: Array, /, axis: int | tuple[int, ...]) -> Array:
    """x without the axes of size 1 at `axis`.

    >>> lucid.squeeze(lucid.zeros((3, 1)), axis=1).shape
    (3,)
    """
    for each in axis if isinstance(axis, tuple) else (axis,):
        if isinstance(each, int) and -len(x.shape) <= each < len(x.shape) and x.shape[each] != 1:
            raise ShapeError(
                f"squeeze: axis {each} of x {tuple(x.shape)} has size {x.shape[each]}, and only "
                "an axis of size 1 can be left out"
            )
    return namespace(x).squeeze(x, axis=axis)


@op(gradient=lambda g: g)  # the tape sums it back to the shape of x
def broadcast_to(x: Array, /, shape: tuple[int, ...]) -> Array:
    """x repeated along new axes, and along axes of size 1, to fill `shape`; a view, no copy.

    >>> lucid.broadcast_to(lucid.Tensor([1.0, 2.0]), (2, 2))
    Tensor([[1.0, 2.0], [1.0, 2.0]])
    """
    shape = check_shape("broadcast_to", shape)
    if not _spreads(tuple(x.shape), shape):
        raise ShapeError(
            f"broadcast_to: x {tuple(x.shape)} does not broadcast to {shape}; aligned at the "
            "right, each size of x must be that of the shape, or 1"
        )
    return namespace(x).broadcast_to(x, shape)


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that arrays of these shapes broadcast to.

    Raises ShapeError where two sizes differ and neither is 1.

    >>> lucid.broadcast_shapes((2, 1), (3,))
    (2, 3)
    """
    checked = [
        check_shape("broadcast_shapes", each, f"shapes[{k}]") for k, each in enumerate(shapes)
    ]
    return _together("broadcast_shapes", checked)


def broadcast_arrays(*arrays: Any) -> tuple[Any, ...]:
    """The arrays, each spread to the shape that all broadcast to; views, no copies.

    Raises ShapeError where two sizes differ and neither is 1.

    >>> lucid.broadcast_arrays(lucid.Tensor([1.0, 2.0]), lucid.Tensor([[3.0], [4.0]]))
    (Tensor([[1.0, 2.0], [1.0, 2.0]]), Tensor([[3.0, 3.0], [4.0, 4.0]]))
    """
    return _broadcast_arrays(arrays) if arrays else ()  # type: ignore[return-value]


@op
def _broadcast_arrays(arrays: Sequence[Array], /) -> tuple[Array, ...]:
    xp = namespace(*arrays)
    arrays = [xp.asarray(each) for each in arrays]
    shape = _together("broadcast_arrays", [tuple(each.shape) for each in arrays])
    return tuple(xp.broadcast_to(each, shape) for each in arrays)


_broadcast_arrays.gradient(
    arrays=lambda g: list(g)
)  # the tape sums each back to the shape of its array


def _together(function: str, shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    try:
        return _shapes.broadcast_shapes(*shapes)
    except ShapeError as error:
        raise ShapeError(f"{function}: {error}") from None


def _spreads(small: tuple[int, ...], wide: tuple[int, ...]) -> bool:
    pairs = zip(reversed(small), reversed(wide), strict=False)
    return len(small) <= len(wide) and all(m in (1, n) for m, n in pairs)


@op(halves=True)
def flip(x: Array, /, *, axis: int | tuple[int, ...] | None = None) -> Array:
    """x with the elements along `axis` (None: every axis) in the opposite order.

    >>> lucid.flip(lucid.Tensor([1.0, 2.0, 3.0]))
    Tensor([3.0, 2.0, 1.0])
    """
    return namespace(x).flip(x, axis=axis)


flip.gradient(x=lambda g, axis: flip(g, axis=axis))


@op(halves=True)
def roll(
    x: Array,
    /,
    shift: int | tuple[int, ...],
    *,
    axis: int | tuple[int, ...] | None = None,
) -> Array:
    """x with its elements moved on by `shift` places along `axis`, the last ones to the front.

    Several axes take a shift each, or one for all. With axis=None the elements move through all
    axes, counted in order.

    >>> lucid.roll(lucid.Tensor([1.0, 2.0, 3.0]), 1)
    Tensor([3.0, 1.0, 2.0])
    """
    shifts = shift if isinstance(shift, (tuple, list)) else (shift,)
    for each in shifts:
        check("roll", WHOLE, shift=each)
    if axis is None:
        if shifts is shift:
            raise ArgumentError(f"roll: shift {shift} needs an axis for each; write axis=(...)")
        return namespace(x).roll(x, shift)
    axes = check_axes("roll", "x", x.shape, axis)
    if shifts is not shift:
        shifts *= len(axes)
    if len(shifts) != len(axes):
        raise ArgumentError(
            f"roll: shift {shift} has {len(shifts)} numbers, but axis {axis} names {len(axes)} "
            "axes; give one shift, or one for each axis"
        )
    return namespace(x).roll(x, tuple(shifts), axis=axes) if axes else x


def _roll_back(g: Array, shift: int | tuple[int, ...], axis: Axes | None) -> Array:
    back = -shift if isinstance(shift, int) else tuple(-each for each in shift)
    return roll(g, back, axis=axis)  # type: ignore[arg-type]


roll.gradient(x=_roll_back)


@op(halves=True)
def concat(arrays: Sequence[Array], /, *, axis: int | None = 0) -> Array:
    """Arrays one after the other along an axis that they have; axis=None flattens them first.

    >>> lucid.concat([lucid.Tensor([1.0, 2.0]), lucid.Tensor([3.0])])
    Tensor([1.0, 2.0, 3.0])
    """
    if not arrays:
        raise ArgumentError("concat: there is no array to join; give at least one")
    xp = namespace(*arrays)
    if axis is not None:
        first = tuple(arrays[0].shape)
        for k, array in enumerate(arrays):
            shape = tuple(array.shape)
            if _without(first, axis) != _without(shape, axis):
                raise ShapeError(
                    f"concat: arrays[0] {first} and arrays[{k}] {shape} differ in more than "
                    f"axis {axis}, along which they are joined"
                )
    return xp.concat(tuple(arrays), axis=axis)


def _without(shape: tuple[int, ...], axis: int) -> tuple[int | None, ...]:
    """A shape with None in the place of one size; as it is, if it has no such axis."""
    within = -len(shape) <= axis < len(shape)
    return tuple(None if within and k == axis % len(shape) else n for k, n in enumerate(shape))


def _concat_gradient(
    g: Array, arrays_shape: list[tuple[int, ...]], axis: int | None, needed: tuple[bool, ...]
) -> list[Array | None]:
    along = 0 if axis is None else axis % len(g.shape)
    parts: list[Array | None] = []
    start = 0
    for shape, wanted in zip(arrays_shape, needed, strict=True):
        stop = start + (prod(shape) if axis is None else shape[along])
        part = g[(slice(None),) * along + (slice(start, stop), ...)] if wanted else None
        parts.append(reshape(part, shape) if wanted and axis is None else part)
        start = stop
    return parts


concat.gradient(arrays=_concat_gradient)


@op(halves=True)
def stack(arrays: Sequence[Array], /, *, axis: int = 0) -> Array:
    """Arrays of one shape, put together along a new axis.

    >>> lucid.stack([lucid.Tensor([1.0, 2.0]), lucid.Tensor([3.0, 4.0])])
    Tensor([[1.0, 2.0], [3.0, 4.0]])
    """
    if not arrays:
        raise ArgumentError("stack: there is no array to join; give at least one")
    xp = namespace(*arrays)
    first = tuple(arrays[0].shape)
    for k, array in enumerate(arrays):
        if tuple(array.shape) != first:
            raise ShapeError(
                f"stack: arrays[0] has shape {first}, but arrays[{k}] {tuple(array.shape)}; "
                "they must be equal"
            )
    return xp.stack(tuple(arrays), axis=axis)


@op(halves=True)
def unstack(x: Array, /, *, axis: int = 0) -> tuple[Array, ...]:
    """The parts of x along an axis, without that axis, as a tuple.

    >>> lucid.unstack(lucid.Tensor([[1.0, 2.0], [3.0, 4.0]]))
    (Tensor([1.0, 2.0]), Tensor([3.0, 4.0]))
    """
    return tuple(namespace(x).unstack(x, axis=axis))


unstack.gradient(x=lambda g, axis: stack(g, axis=axis))
stack.gradient(arrays=lambda g, axis: list(unstack(g, axis=axis)))
