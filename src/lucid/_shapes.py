"""Shapes: the check by axis name, and undoing a broadcast."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from itertools import zip_longest
from math import prod
from operator import index
from typing import Any

from ._arguments import WHOLE, check, told
from ._arrays import Array, is_half, namespace
from ._errors import ArgumentError, LibraryError, LucidError, OutOfRangeError, ShapeError
from ._wide import reduced

Shape = tuple[int, ...]


def bind_axes(function: str, **arguments: tuple[Array, str]) -> Mapping[str, int]:
    """Give every named axis its size, or say which two arguments disagree.

    Each argument comes with the names of its axes, `"out in1 in2"`; a leading `...` stands for
    any number of further axes, which must broadcast between the arguments that have them.

    >>> import numpy as np
    >>> dict(bind_axes("dot", x=(np.ones((2, 3)), "... n"), y=(np.ones(3), "n")))
    {'n': 3}
    >>> bind_axes("dot", x=(np.ones((2, 3)), "... n"), y=(np.ones(4), "n"))
    Traceback (most recent call last):
    ...
    lucid.ShapeError: dot: axis 'n' is 3 in x (2, 3) but 4 in y (4,)
    """
    sizes: dict[str, int] = {}
    owner: dict[str, tuple[str, Shape]] = {}
    leading: tuple[str, Shape, Shape] | None = None
    for name, (array, axes) in arguments.items():
        shape = _shape_of(function, name, array, axes)
        names, open_ended = _parse(axes)
        rank = len(names)
        if len(shape) < rank if open_ended else len(shape) != rank:
            raise ShapeError(
                f"{function}: {name} needs {'at least ' if open_ended else ''}"
                f"{rank} {'axis' if rank == 1 else 'axes'} ({', '.join(axes.split())}), "
                f"but has shape {shape}"
            )
        head = len(shape) - rank
        for axis, size in zip(names, shape[head:], strict=True):
            if sizes.setdefault(axis, size) != size:
                other, other_shape = owner[axis]
                raise ShapeError(
                    f"{function}: axis '{axis}' is {sizes[axis]} in {other} {other_shape} "
                    f"but {size} in {name} {shape}"
                )
            owner.setdefault(axis, (name, shape))
        if open_ended:
            if leading is not None and not _broadcastable(leading[2], shape[:head]):
                other, other_shape, other_head = leading
                raise ShapeError(
                    f"{function}: the leading axes {other_head} of {other} {other_shape} and "
                    f"{shape[:head]} of {name} {shape} do not broadcast; "
                    "aligned at the right, each pair must be equal or contain a 1"
                )
            leading = leading or (name, shape, shape[:head])
    return sizes


def _shape_of(function: str, name: str, array: object, axes: str) -> Shape:
    if isinstance(array, (bool, int, float, complex)):
        return ()
    if not hasattr(array, "shape"):
        raise LibraryError(
            f"{function}: {name} is {None if array is None else type(array).__name__}, "
            f"expected an array with the axes ({', '.join(axes.split())})"
        )
    return tuple(array.shape)


@cache
def _parse(axes: str) -> tuple[tuple[str, ...], bool]:
    names = axes.split()
    open_ended = names[:1] == ["..."]
    return tuple(names[open_ended:]), open_ended


def _broadcastable(first: Shape, second: Shape) -> bool:
    pairs = zip(reversed(first), reversed(second), strict=False)
    return all(m == n or m == 1 or n == 1 for m, n in pairs)


def broadcast_shapes(*shapes: Shape) -> Shape:
    """The shape that these shapes broadcast to."""
    result: list[int] = []
    for sizes in zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1):
        wide = {size for size in sizes if size != 1}
        if len(wide) > 1:
            listed = " and ".join(str(tuple(shape)) for shape in shapes)
            raise ShapeError(
                f"shapes {listed} do not broadcast; "
                "aligned at the right, each pair must be equal or contain a 1"
            )
        result.append(wide.pop() if wide else 1)
    return tuple(reversed(result))


def unbroadcast(array: Array, shape: Shape) -> Array:
    """Sum over the axes along which an array of `shape` was broadcast to the shape of `array`.

    The sum of halves stays float32.
    """
    new = len(array.shape) - len(shape)
    axes = (
        *range(new),
        *(axis + new for axis, size in enumerate(shape) if size == 1 != array.shape[axis + new]),
    )
    if axes:
        dtype = namespace(array).float32 if is_half(array.dtype) else array.dtype
        array = reduced("sum", array, axis=axes, keepdims=True, dtype=dtype)
    if new:
        array = namespace(array).reshape(array, shape)
    return array


def check_shape(function: str, shape: Any, name: str = "shape") -> Shape:
    """A shape given as one size or several, as a tuple; ShapeError unless all are 0 or more."""
    try:
        sizes = tuple(map(index, shape if isinstance(shape, Iterable) else (shape,)))
    except TypeError:
        sizes = (-1,)
    if any(size < 0 for size in sizes):
        raise ShapeError(
            f"{function}: {name} is {shape!r:.60}, expected whole numbers, 0 or more: one, or "
            "several in brackets"
        )
    return sizes


def axis_error(function: str, name: str, shape: Shape, axis: Any) -> LucidError | None:
    """What is wrong with an axis, or several, for an array of this shape; None if nothing is."""
    axes = axis if isinstance(axis, (tuple, list)) else () if axis is None else (axis,)
    rank = len(shape)
    if not all(map(WHOLE.holds, axes)):
        return ArgumentError(f"{function}: axis is {told(axis)}, expected whole numbers")
    outside = [each for each in axes if not -rank <= each < rank]
    if outside:
        return _no_axis(function, name, shape, outside[0])
    if len({each % rank for each in axes}) < len(axes):
        return ArgumentError(f"{function}: axis {axis} names an axis twice")
    along = f" along axis {axis}" if axes else ""
    if any(shape[each] == 0 for each in axes or range(rank)):
        return ShapeError(f"{function}: {name} {shape} has no elements{along}, there is no result")
    return None


def _no_axis(function: str, name: str, shape: Shape, axis: int) -> OutOfRangeError:
    rank = len(shape)
    return OutOfRangeError(
        f"{function}: axis {axis} is outside {name} {shape}, which has "
        f"{rank} {'axis' if rank == 1 else 'axes'}"
    )


def check_axis(function: str, name: str, shape: Shape, axis: int) -> int:
    """An axis of an array of this shape, counted from 0; raises if there is none."""
    check(function, WHOLE, axis=axis)
    if not -len(shape) <= axis < len(shape):
        raise _no_axis(function, name, tuple(shape), axis)
    return axis % len(shape)


def check_axes(function: str, name: str, shape: Shape, axis: Any) -> tuple[int, ...]:
    """One axis or several of an array of this shape, counted from 0; raises if one is none."""
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = tuple(check_axis(function, name, shape, each) for each in given)
    if len(set(axes)) < len(axes):
        raise ArgumentError(f"{function}: axis {tuple(given)} names an axis twice")
    return axes


def size_of(shape: Shape) -> int:
    """How many elements an array of this shape has."""
    return prod(shape)
