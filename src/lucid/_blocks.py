"""Large arrays of halves by blocks, so that they are never held in float32 as a whole.

    Later(function, arrays, shape)             what a function gives for each block, when asked for
    folded("sum", function, arrays, shape, …)  the sum of it

A block is a quarter of a MiB in float32, which a core's own cache holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ._arrays import Array, DType, is_half

Shape = tuple[int, ...]
Part = tuple[slice, ...]

BLOCK = 1 << 16
"""The most elements of a block."""


def is_large(values: Sequence[Any]) -> bool:
    """Whether NumPy's arrays are larger than a block and one is half, and there are no others.

    With an empty one nothing is: what is computed of all of them has no elements, and no blocks.
    """
    has_half = is_large = False
    for value in values:
        if type(value) is np.ndarray:
            if not value.size:
                return False
            is_large = is_large or value.size > BLOCK
            has_half = has_half or is_half(value.dtype)
        elif isinstance(value, (tuple, list)):
            if not all(isinstance(each, int) for each in value):
                return False
        elif hasattr(value, "dtype") and not isinstance(value, np.generic):
            return False
    return is_large and has_half


def bound_axes(axis: Any, rank: int) -> tuple[int, ...] | None:
    """The axes that `axis` means, counted from 0; None if there is no such axis."""
    try:
        return normalize_axis_tuple(range(rank) if axis is None else axis, rank)
    except (ValueError, TypeError):
        return None


def parts(shape: Shape, bound: Sequence[int] = ()) -> Iterator[Part]:
    """The slices of each block, in order. Bound axes are not cut, and may make a block larger."""
    steps, held = list(shape), prod(shape[k] for k in bound)
    for k in reversed(range(len(shape))):
        if k not in bound:
            steps[k] = max(1, min(shape[k], BLOCK // max(held, 1)))
            held *= steps[k]
    return product(
        *[
            [slice(None)]
            if k in bound
            else [slice(start, min(start + step, size)) for start in range(0, size, step)]
            for k, (size, step) in enumerate(zip(shape, steps, strict=True))
        ]
    )


def block_of(array: Any, part: Part, bound: Sequence[int] = ()) -> Any:
    """What an array has to do with a block: also one that is broadcast, or without bound axes."""
    if type(array) is not np.ndarray:
        return array
    if bound and array.ndim == len(part) - len(bound):
        part = _free(part, bound)
    aligned = part[len(part) - array.ndim :]
    return array[
        tuple(
            slice(None) if size == 1 else cut
            for size, cut in zip(array.shape, aligned, strict=True)
        )
    ]


def _free(values: Any, bound: Sequence[int]) -> Any:
    return tuple(value for k, value in enumerate(values) if k not in bound)


_FOLDS: dict[str, tuple[np.ufunc, float]] = {
    "sum": (np.add, 0.0),
    "max": (np.maximum, -np.inf),
    "min": (np.minimum, np.inf),
}


def folded(
    name: str, function: Callable[..., Array], arrays: Sequence[Any], shape: Shape, axis: Any
) -> Array:
    """The "sum", "max" or "min" of a function's results over axes, which are kept, in float32.

    `shape` is that of all arrays, broadcast.
    """
    axes = normalize_axis_tuple(range(len(shape)) if axis is None else axis, len(shape))
    fold, (add, start) = getattr(np, name), _FOLDS[name]
    result = None
    for part in parts(shape):
        block = fold(_applied(function, arrays, part), axis=axes, keepdims=True)
        if result is None:
            sizes = [1 if k in axes else size for k, size in enumerate(shape)]
            result = np.full(sizes, start, block.dtype)
        place = block_of(result, part)
        add(place, block, out=place)
    return result


class Later:
    """The result of a function by blocks; who takes it says in which dtype it is to be held.

    The blocks are given in float32. `shape` is that of all arrays, broadcast; along the `bound`
    axes one element of the result depends on others, elsewhere on its own place alone.
    """

    __slots__ = ("arrays", "bound", "function", "shape")

    def __init__(
        self, function: Callable[..., Array], arrays: Sequence[Any], shape: Shape,
        bound: Sequence[int] = (),
    ) -> None:  # fmt: skip
        self.function = function
        self.arrays = arrays
        self.shape = shape
        self.bound = bound

    def make(self, dtype: DType, shape: Shape | None = None) -> Array:
        """The result in a dtype; with `shape`, summed over the axes that this was broadcast to."""
        if shape is not None and shape != self.shape and not self.bound:
            return self._summed(shape)
        made: Array | None = None
        for part in parts(self.shape, self.bound):
            block = _applied(self.function, self.arrays, part, self.bound)
            place = part if block.ndim == len(part) else _free(part, self.bound)
            if made is None:
                made = self._empty(block, place is part, dtype)
            made[place] = block
        return made

    def _empty(self, block: Array, has_all_axes: bool, dtype: DType) -> Array:
        """Room for the whole result, of which this is the first block."""
        if has_all_axes:
            shape = [
                block.shape[k] if k in self.bound else size for k, size in enumerate(self.shape)
            ]
        else:
            sizes = _free(self.shape, self.bound)
            shape = [*sizes, *block.shape[len(sizes) :]]
        return np.empty(shape, dtype if block.dtype == np.float32 else block.dtype)

    def _summed(self, shape: Shape) -> Array:
        """Over the axes that an array of this shape lacks, or has with size 1: in float32."""
        new = len(self.shape) - len(shape)
        axes = [k for k in range(len(self.shape)) if k < new or shape[k - new] == 1]
        return folded("sum", self.function, self.arrays, self.shape, axes).reshape(shape)


class Running(Later):
    """A running sum or product along an axis, from its end if `backwards`."""

    __slots__ = ("axis", "backwards", "name", "starts", "x")

    def __init__(
        self, name: str, x: Array, axis: int, starts: bool = False, backwards: bool = False
    ) -> None:
        self.name = name
        self.axis = normalize_axis_index(axis, x.ndim)
        self.starts = starts  # with what a sum or product of nothing is
        self.backwards = backwards
        self.x = np.flip(x, self.axis) if backwards else x

    def make(self, dtype: DType, shape: Shape | None = None) -> Array:  # noqa: ARG002 (it is x's)
        function = np.add if self.name == "cumulative_sum" else np.multiply
        axis, count = self.axis, self.x.shape[self.axis]
        sizes = list(self.x.shape)
        sizes[axis] += self.starts
        made = np.empty(sizes, dtype)
        for part in parts(self.x.shape, (axis,)):
            from_, to = self.x[part], made[part]
            step = max(1, BLOCK * count // from_.size)
            if self.starts:
                to[_at(axis, 0, 1)] = function.identity
            carry: Any = function.identity
            for start in range(0, count, step):
                block = from_[_at(axis, start, start + step)].astype(np.float32)
                function(block[_at(axis, 0, 1)], carry, out=block[_at(axis, 0, 1)])
                function.accumulate(block, axis=axis, out=block)
                to[_at(axis, start + self.starts, start + self.starts + step)] = block
                carry = block[_at(axis, -1, None)]
        return np.flip(made, axis) if self.backwards else made


class Product(Later):
    """The product of matrices, or of stacks of them."""

    __slots__ = ("x1", "x2")

    def __init__(self, x1: Array, x2: Array) -> None:
        self.x1 = x1
        self.x2 = x2

    def make(self, dtype: DType, shape: Shape | None = None) -> Array:
        x1, x2 = self.x1, self.x2
        (rows, inner), columns = x1.shape[-2:], x2.shape[-1]
        stack = np.broadcast_shapes(x1.shape[:-2], x2.shape[:-2])
        if shape is not None and shape != (*stack, rows, columns):
            dtype = np.float32  # to be summed
        made = np.empty((*stack, rows, columns), dtype)
        size = max(rows * inner, inner * columns, rows * columns)
        if size > BLOCK:
            x1 = np.broadcast_to(x1, (*stack, *x1.shape[-2:]))
            x2 = np.broadcast_to(x2, (*stack, *x2.shape[-2:]))
            for place in np.ndindex(stack):
                _multiply(x1[place], x2[place], made[place])
            return made
        whole = slice(None)
        for *part, _ in parts((*stack, size), (len(stack),)):
            index = (*part, whole, whole)
            made[tuple(part)] = _widened(block_of(x1, index)) @ _widened(block_of(x2, index))
        return made


_EDGE = 1024  # of a block of a matrix: 4 MiB in float32


def _multiply(x1: Array, x2: Array, out: Array) -> None:
    """One product, by blocks of all three matrices."""
    (rows, inner), columns = x1.shape, x2.shape[1]
    high, wide = min(rows, _EDGE), min(columns, _EDGE)
    deep = max(1, _EDGE * _EDGE // max(high, wide))
    for row, column in product(range(0, rows, high), range(0, columns, wide)):
        total: Any = 0.0
        for start in range(0, inner, deep):
            left = _widened(x1[row : row + high, start : start + deep])
            total += left @ _widened(x2[start : start + deep, column : column + wide])
        out[row : row + high, column : column + wide] = total


def _at(axis: int, start: int, stop: int | None) -> Part:
    return (slice(None),) * axis + (slice(start, stop),)


def _applied(
    function: Callable[..., Array], arrays: Sequence[Any], part: Part, bound: Sequence[int] = ()
) -> Array:
    """A function of what its arrays have in a block, in float32."""
    block = function(*[_widened(block_of(each, part, bound)) for each in arrays])
    return block if bound else np.broadcast_to(block, [cut.stop - cut.start for cut in part])


def _widened(value: Any) -> Any:
    is_array = isinstance(value, (np.ndarray, np.generic))
    return value.astype(np.float32) if is_array and is_half(value.dtype) else value
