"""Where tiles are computed and where they go: reused scratch, and results of either kind."""

from __future__ import annotations

import threading
from math import prod
from operator import itemgetter
from typing import Any

import numpy as np

from .._arrays import Array, DType, Namespace, library, namespace, on_cpu
from .._shapes import Shape
from ._layout import Box, extent, permuted
from ._plan import (
    CPU,
    DEVICE,
    DEVICE_OF_HALVES,
    LIBRARY,
    Machine,
    Needed,
    Order,
    Sizes,
    keeps,
    order_of_training,
)

Axes = tuple[int, ...]
Ranges = tuple[tuple[int, int], ...]

KEPT = 16 << 20
"""Bytes of scratch that a thread may keep from one call to the next."""

_kept = threading.local()


class Workspace:
    """Products of tiles in any array library, in a dtype for tiles and one for sums of several."""

    machine = LIBRARY

    def __init__(self, xp: Namespace, dtype: DType) -> None:
        self.xp = xp
        self.dtype = self.total = dtype
        self.itemsize = 16 if xp.isdtype(dtype, "complex floating") else 8

    def tile(self, part: Array, shape: Shape) -> Array:
        """A part of an argument as a tile: reshaped, converted, copied where it must be."""
        if part.dtype != self.dtype:
            part = self.xp.astype(part, self.dtype)
        return self.xp.reshape(part, shape)

    matrix = tile

    def release(self) -> None:
        """Say that no tile is in use any more."""

    def keep(self, box: Box, tile: Array) -> None:
        """Remember a tile of the forward pass, where somebody has asked for it."""

    def kept(self, box: Box) -> Array | None:  # noqa: ARG002
        """The tile that was remembered there, if any was."""
        return None

    # A product's name is that of the scratch it goes to, in libraries that have such.

    def multiply(self, name: str, x1: Array, x2: Array) -> Array:  # noqa: ARG002
        return self.xp.multiply(x1, x2)

    def matmul(self, name: str, x1: Array, x2: Array) -> Array:  # noqa: ARG002
        return self.xp.matmul(x1, x2)

    def sum_products(self, name: str, total: Array | None, x1: Array, x2: Array) -> Array:
        """Add a matrix product to a total, which it becomes where there is none yet."""
        if total is None:
            return self.product(name, x1, x2)
        if total.dtype != self.total:
            total = self.xp.astype(total, self.total)
        total += self.product(name + " more", x1, x2)
        return total

    def product(self, name: str, x1: Array, x2: Array) -> Array:
        """A matrix product, which is no more than a multiplication where one thing is summed."""
        if x1.shape[-1] == 1:
            return self.multiply(name, x1, x2)
        return self.matmul(name, x1, x2)


class DeviceWorkspace(Workspace):
    """Products off the CPU, in large tiles, and of halves as they are.

    A device's matrix products of halves add up in float32 and round once; sums of several products
    grow in float32.
    """

    def __init__(self, xp: Namespace, dtype: DType, total: DType) -> None:
        self.xp, self.dtype, self.total = xp, dtype, total
        self.itemsize = dtype.itemsize
        self.machine = DEVICE if dtype == total else DEVICE_OF_HALVES

    def multiply(self, name: str, x1: Array, x2: Array) -> Array:
        return self.matmul(name, x1, x2)  # faster than a multiplication that spreads both


class HalvesWorkspace(DeviceWorkspace):
    """Products of halves on the CPU, by instructions that multiply them as they are."""

    def __init__(self, xp: Namespace, dtype: DType, total: DType, machine: Machine) -> None:
        super().__init__(xp, dtype, total)
        self.machine = machine
        self._kept: Result | None = None
        self._known: Array | None = None

    def order_of_training(self, sizes: Sizes) -> Order | None:
        return order_of_training(sizes, self.itemsize, self.machine)

    def keeps(self, sizes: Sizes, needed: Needed) -> bool:
        return keeps(sizes, needed, self.itemsize, self.machine)

    def keep_as(self, like: Array, shape: Shape) -> None:
        """Keep the tiles that follow, in an array of this shape."""
        self._kept = FreshResult(like, self.dtype, shape, tuple(range(len(shape))), 0, None)

    def all_kept(self) -> Array | None:
        return None if self._kept is None else self._kept.finish()

    def use_kept(self, known: Array | None) -> None:
        """Spare the products that are there already."""
        self._known = known

    def keep(self, box: Box, tile: Array) -> None:
        if self._kept is not None:
            self._kept.put(box, tile)

    def kept(self, box: Box) -> Array | None:
        return None if self._known is None else self._known[box]


class NumPyWorkspace(Workspace):
    """Products written into scratch memory under a name; the next one of that name reuses it.

    The C library gives blocks of this size back to the system whenever they are freed, and
    then every page of the next one is a page fault.
    """

    machine = CPU

    def __init__(self, dtype: DType) -> None:
        self.xp = np
        self.dtype = self.total = dtype
        self.itemsize = max(dtype.itemsize, 4)
        self._scratch: dict[str, np.ndarray[Any, Any]] = {}

    @classmethod
    def borrow(cls, dtype: DType) -> NumPyWorkspace:
        """The one that this thread used last, or a new one."""
        kept: NumPyWorkspace | None = _kept.__dict__.pop("workspace", None)
        return kept if kept is not None and kept.dtype == dtype else cls(dtype)

    def release(self) -> None:
        if sum(scratch.nbytes for scratch in self._scratch.values()) <= KEPT:
            _kept.workspace = self

    def empty(self, name: str, shape: Shape) -> Array:
        size = prod(shape)
        scratch = self._scratch.get(name)
        if scratch is None or scratch.size < size:
            scratch = self._scratch[name] = np.empty(size, self.dtype)
        return scratch[:size].reshape(shape)

    def tile(self, part: Array, shape: Shape) -> Array:
        # Contiguous, because matmul copies whatever BLAS does not take, or is slow on it.
        return np.ascontiguousarray(part.reshape(shape), self.dtype)

    def matrix(self, part: Array, shape: Shape) -> Array:
        matrix = part.reshape(shape)
        if matrix.dtype == self.dtype and _blas_takes(matrix):
            return matrix
        return np.ascontiguousarray(matrix, self.dtype)

    def multiply(self, name: str, x1: Array, x2: Array) -> Array:
        shape = (*x1.shape[:-1], x2.shape[-1])
        return np.multiply(x1, x2, out=self.empty(name, shape))

    def matmul(self, name: str, x1: Array, x2: Array) -> Array:
        shape = (*x1.shape[:-1], x2.shape[-1])
        return np.matmul(x1, x2, out=self.empty(name, shape))


def _blas_takes(matrix: Array) -> bool:
    """Whether one axis is contiguous and the other one has a positive, large enough stride."""
    (rows, columns), (row, column) = matrix.shape, matrix.strides
    size = matrix.itemsize
    return bool(
        (column == size and row >= columns * size) or (row == size and column >= rows * size)
    )


class Result:
    """A result made tile by tile, seen with its axes in the order that a plan works in.

    It starts as zeros, or as the bias in every position. The plan sees it after `order`, a
    permutation of its axes; the first few, of size 1, which the plan does not know, are left out.
    """

    def __init__(
        self, like: Array, dtype: DType, shape: Shape, order: Axes, left_out: int = 0,
        bias: Array | None = None,
    ) -> None:  # fmt: skip
        xp = namespace(like)
        # A part is written when it is first met. To add to untouched zeros would be slow: each
        # page of them would be fetched twice, to be read and to be written.
        self._met: set[Ranges] | None = set() if bias is None else None
        self._array = xp.zeros(shape, dtype=dtype, device=like.device)
        if bias is not None:
            self._array[...] = bias
        self._view = permuted(self._array, order, left_out)

    def put(self, box: Box, tile: Array) -> None:
        """Write a part that no other tile contributes to."""
        xp = namespace(tile)
        self._view[box] = xp.astype(xp.reshape(tile, extent(box)), self._view.dtype, copy=False)

    def add(self, box: Box, tile: Array) -> None:
        """Add to a part; the parts of one result are the same ones each time, or disjoint."""
        if self._met is not None:
            ranges = _ranges(box)
            if ranges not in self._met:
                self._met.add(ranges)
                self.put(box, tile)
                return
        part = self._view[box]
        part += namespace(tile).reshape(tile, extent(box))

    def finish(self) -> Array:
        return self._array


class FreshResult(Result):
    """The same where tiles are memory of their own: one that is all of the result becomes it.

    Nothing is set to zero before it is written, and a bias is added at the end: each would be one
    more operation to set off.
    """

    def __init__(
        self, like: Array, dtype: DType, shape: Shape, order: Axes, left_out: int,
        bias: Array | None,
    ) -> None:  # fmt: skip
        self._met = set()
        self._like, self._dtype, self._shape, self._bias = like, dtype, shape, bias
        self._order, self._left_out = order, left_out
        self._array: Array = None

    def put(self, box: Box, tile: Array) -> None:
        xp = namespace(tile)
        if self._array is None:
            if self._is_all(box) and _is_contiguous(tile):
                self._keep(xp.astype(xp.reshape(tile, self._shape), self._dtype, copy=False))
                return
            self._keep(xp.empty(self._shape, dtype=self._dtype, device=self._like.device))
        super().put(box, tile)

    def finish(self) -> Array:
        if self._array is None:  # nothing to add up
            xp = namespace(self._like)
            self._keep(xp.zeros(self._shape, dtype=self._dtype, device=self._like.device))
        if self._bias is not None:
            self._array += self._bias
        return self._array

    def _is_all(self, box: Box) -> bool:
        """Whether a box is the whole result, its axes where the plan sees them."""
        own = self._order[self._left_out :]  # without axes of size 1
        return extent(box) == tuple(self._shape[axis] for axis in own) and own == tuple(sorted(own))

    def _keep(self, array: Array) -> None:
        self._array, self._view = array, permuted(array, self._order, self._left_out)


def _is_contiguous(array: Array) -> bool:
    if library(array) == "torch":
        return bool(array.is_contiguous())
    return bool(array.flags.c_contiguous)


class ImmutableResult(Result):
    """The same for a library whose arrays cannot be written into: pieces, joined at the end."""

    def __init__(
        self, like: Array, dtype: DType, shape: Shape, order: Axes, bias: Array | None
    ) -> None:
        self._xp = namespace(like)
        self._dtype, self._shape, self._order, self._bias = dtype, shape, order, bias
        self._pieces: dict[Ranges, Array] = {}

    def put(self, box: Box, tile: Array) -> None:
        tile = self._xp.astype(tile, self._dtype, copy=False)
        self._pieces[_ranges(box)] = self._xp.reshape(tile, extent(box))

    def add(self, box: Box, tile: Array) -> None:
        tile = self._xp.astype(self._xp.reshape(tile, extent(box)), self._dtype, copy=False)
        earlier = self._pieces.get(_ranges(box))
        self._pieces[_ranges(box)] = tile if earlier is None else earlier + tile

    def finish(self) -> Array:
        xp = self._xp
        if not self._pieces:
            array = xp.zeros(self._shape, dtype=self._dtype)
        else:
            seen = tuple(self._shape[axis] for axis in self._order)
            back = tuple(self._order.index(axis) for axis in range(len(seen)))
            array = xp.permute_dims(xp.reshape(_joined(xp, self._pieces, 0), seen), back)
        if self._bias is not None:
            array = array + self._bias
        return xp.astype(array, self._dtype)


def _ranges(box: Box) -> Ranges:
    return tuple((part.start, part.stop) for part in box)


def _joined(xp: Namespace, pieces: dict[Ranges, Array], axis: int) -> Array:
    """Put pieces together that are a grid: each range of an axis with each of the others."""
    if len(pieces) == 1:
        return next(iter(pieces.values()))
    along: dict[tuple[int, int], dict[Ranges, Array]] = {}
    for ranges, piece in sorted(pieces.items(), key=itemgetter(0)):
        along.setdefault(ranges[axis], {})[ranges] = piece
    return xp.concat([_joined(xp, some, axis + 1) for some in along.values()], axis=axis)


def result(
    like: Array, dtype: DType, shape: Shape, order: Axes, left_out: int = 0,
    bias: Array | None = None, is_fresh: bool = False,
) -> Result:  # fmt: skip
    """A result to fill, in the library and on the device of another array.

    Off the CPU, or if it shall be fresh, a tile that is all of it becomes it.
    """
    if library(like) == "jax":
        return ImmutableResult(like, dtype, shape, order, bias)
    if is_fresh or not on_cpu(like):
        return FreshResult(like, dtype, shape, order, left_out, bias)
    return Result(like, dtype, shape, order, left_out, bias)
