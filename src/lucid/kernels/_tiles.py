"""What is done to a tile of scores: in any array library, and in place where it can be.

A tile is a matrix; of its rows some numbers are kept, as vectors.
"""

from __future__ import annotations

from math import inf, prod
from typing import Any

import numpy as np

from .._arrays import Array, DType, Namespace, device_of, is_half, library, namespace
from .._shapes import Shape
from ._layout import slices
from ._workspace import NumPyWorkspace

SORTED = 4 << 20
"""Scores that PyTorch sorts at a time: it takes some fourteen times their room."""


class Tiles:
    """In the functions of the array API standard alone: nothing is changed in place."""

    def __init__(self, xp: Namespace, dtype: DType, like: Array) -> None:
        self.xp, self.dtype, self.like = xp, dtype, like
        self.itemsize = 8 if str(dtype).endswith("64") else 4

    def wide(self, part: Array) -> Array:
        """Part of an argument in the dtype of sums."""
        return part if part.dtype == self.dtype else self.xp.astype(part, self.dtype)

    def full(self, shape: Shape, value: float) -> Array:
        return self.xp.full(shape, value, dtype=self.dtype, device=device_of(self.like))

    def numbers(self, shape: Shape) -> Array:
        """Zeros that say which partner."""
        return self.xp.zeros(shape, dtype=self.xp.asarray(0).dtype, device=device_of(self.like))

    def count(self, start: int, stop: int) -> Array:
        return self.xp.arange(start, stop, device=device_of(self.like))

    def release(self) -> None:
        """Say that no tile is in use any more."""

    def product(self, name: str, x1: Array, x2: Array) -> Array:  # noqa: ARG002
        """A product of matrices; where there is scratch, in that of the name."""
        return self.xp.matmul(x1, x2)

    def keep(self, tile: Array, mask: Array, other: float = -inf) -> Array:
        """The tile where the mask is True, else the other number."""
        return self.xp.where(mask, tile, self.xp.asarray(other, dtype=tile.dtype))

    def _at(self, tile: Array, places: Array) -> Array:
        """(R, K, m): whether a column is at the place."""
        return places[..., None] == self.count(0, tile.shape[1])

    def put(self, tile: Array, places: Array, value: float) -> Array:
        """The tile with a number at the places of each row; those outside do not matter."""
        at = self.xp.any(self._at(tile, places), axis=1)
        return self.keep(tile, self.xp.logical_not(at), value)

    def add(self, tile: Array, places: Array, values: Array) -> Array:
        """The tile with values added at the places of each row."""
        zero = self.xp.asarray(0.0, dtype=tile.dtype)
        return tile + self.xp.sum(
            self.xp.where(self._at(tile, places), values[..., None], zero), axis=1
        )

    def take(self, tile: Array, places: Array) -> Array:
        """The elements at the places of each row, 0 for those outside."""
        zero = self.xp.asarray(0.0, dtype=tile.dtype)
        return self.xp.sum(self.xp.where(self._at(tile, places), tile[:, None, :], zero), axis=2)

    def top(self, tile: Array) -> tuple[Array, Array]:
        """The first largest element of each row (the first NaN, where there is one), and where."""
        xp = self.xp
        nan = tile != tile
        place = xp.argmax(xp.where(nan, xp.asarray(inf, dtype=tile.dtype), tile), axis=1)
        first = xp.argmax(xp.astype(nan, xp.int8), axis=1)
        place = xp.where(xp.any(nan, axis=1), first, place)
        return self.largest(tile, place), place

    def largest(self, tile: Array, place: Array) -> Array:
        """The elements at one place of each row."""
        return self.xp.take_along_axis(tile, place[:, None], axis=1)[:, 0]

    def drop(self, tile: Array, place: Array) -> Array:
        """The tile with 0 at one place of each row."""
        return self.put(tile, place[:, None], 0.0)

    def exponentials(self, tile: Array, minus: Array) -> Array:
        return self.xp.exp(tile - minus[:, None])

    def sum(self, tile: Array) -> Array:
        return self.xp.sum(tile, axis=1)

    def best(
        self, values: Array, indices: Array, tile: Array, start: int, k: int
    ) -> tuple[Array, Array]:
        """The k largest of those found so far and of a tile, the first of equal ones first."""
        xp = self.xp
        columns = self.count(start, start + tile.shape[1])
        columns = xp.broadcast_to(columns, tile.shape)
        values = xp.concat([values, tile], axis=1)
        indices = xp.concat([indices, xp.astype(columns, indices.dtype)], axis=1)
        nan = values != values
        order = xp.argsort(
            xp.where(nan, xp.asarray(0.0, dtype=values.dtype), values),
            axis=1, descending=True, stable=True,
        )  # fmt: skip
        nans = xp.astype(xp.take_along_axis(nan, order, axis=1), xp.int8)
        again = xp.argsort(nans, axis=1, descending=True, stable=True)
        order = xp.take_along_axis(order, again, axis=1)[:, :k]
        return (
            xp.take_along_axis(values, order, axis=1),
            xp.take_along_axis(indices, order, axis=1),
        )


class TilesInPlace(Tiles):
    """In NumPy or PyTorch: products go to scratch that is used again, the rest is in place."""

    def __init__(self, xp: Namespace, dtype: DType, like: Array) -> None:
        super().__init__(xp, dtype, like)
        self.is_numpy = xp is np
        if not self.is_numpy:
            import torch

            self.xp = torch
        self._scratch: dict[str, Array] = {}
        self._workspace: NumPyWorkspace | None = None

    def release(self) -> None:
        if self._workspace is not None:
            self._workspace.release()
            self._workspace = None

    def wide(self, part: Array) -> Array:
        if part.dtype == self.dtype:
            return part
        return part.astype(self.dtype) if self.is_numpy else part.to(self.dtype)

    def product(self, name: str, x1: Array, x2: Array) -> Array:
        leading = x1.shape[:-2] if x1.shape[:-2] == x2.shape[:-2] else None
        if leading is None:
            return self.xp.matmul(x1, x2)
        shape = (*leading, x1.shape[-2], x2.shape[-1])
        return self.xp.matmul(x1, x2, out=self.scratch(name, shape))

    def scratch(self, name: str, shape: Shape) -> Array:
        """Memory that the next one of this name takes again; NumPy's is kept for the next call."""
        if self.is_numpy:
            if self._workspace is None:
                self._workspace = NumPyWorkspace.borrow(self.dtype)
            return self._workspace.empty(name, shape)
        size = prod(shape)
        scratch = self._scratch.get(name)
        if scratch is None or scratch.shape[0] < size:
            scratch = self._scratch[name] = self.xp.empty(
                size, dtype=self.dtype, device=device_of(self.like)
            )
        return scratch[:size].reshape(shape)

    def nonzero(self, truth: Array) -> tuple[Array, ...]:
        found: tuple[Array, ...] = (
            truth.nonzero() if self.is_numpy else truth.nonzero(as_tuple=True)
        )
        return found

    def keep(self, tile: Array, mask: Array, other: float = -inf) -> Array:
        if self.is_numpy:
            np.copyto(tile, other, where=~mask)
            return tile
        return tile.masked_fill_(~mask, other)

    def _places(self, tile: Array, places: Array) -> tuple[Array, Array, Array]:
        inside = (places >= 0) & (places < tile.shape[1])
        rows, which = self.nonzero(inside)
        return rows, which, places[rows, which]

    def put(self, tile: Array, places: Array, value: float) -> Array:
        rows, _, columns = self._places(tile, places)
        tile[rows, columns] = value
        return tile

    def add(self, tile: Array, places: Array, values: Array) -> Array:
        for k in range(places.shape[1]):  # in one list of places, none comes twice
            rows, _, columns = self._places(tile, places[:, k : k + 1])
            tile[rows, columns] += values[rows, k]
        return tile

    def take(self, tile: Array, places: Array) -> Array:
        rows, which, columns = self._places(tile, places)
        found = self.full(places.shape, 0.0)
        found[rows, which] = tile[rows, columns]
        return found

    def top(self, tile: Array) -> tuple[Array, Array]:
        place = tile.argmax(1)  # the first of equal ones, and of NaN
        if not self.is_numpy:  # where PyTorch takes any of equal ones
            place = (tile == tile.amax(1, keepdim=True)).to(self.xp.uint8).argmax(1)
            nan = self.xp.isnan(tile)
            place = self.xp.where(nan.any(1), nan.to(self.xp.uint8).argmax(1), place)
        return self.largest(tile, place), place

    def largest(self, tile: Array, place: Array) -> Array:
        return tile[self.count(0, tile.shape[0]), place]

    def drop(self, tile: Array, place: Array) -> Array:
        tile[self.count(0, tile.shape[0]), place] = 0.0
        return tile

    def exponentials(self, tile: Array, minus: Array) -> Array:
        tile -= minus[:, None]
        return self.xp.exp(tile, out=tile)

    def sum(self, tile: Array) -> Array:
        if self.is_numpy:
            return np.add.reduce(tile, 1)
        return tile.sum(1)

    def best(
        self, values: Array, indices: Array, tile: Array, start: int, k: int
    ) -> tuple[Array, Array]:
        if not self.is_numpy:
            rows = max(1, SORTED // tile.shape[1])
            if len(tile) <= rows:
                return self._best_of_torch(values, indices, tile, start, k)
            pieces = [
                self._best_of_torch(values[part], indices[part], tile[part], start, k)
                for part in slices(len(tile), rows)
            ]
            values, indices = (self.xp.cat(piece) for piece in zip(*pieces, strict=True))
            return values, indices
        found, width = values.shape[1], tile.shape[1]
        least = values[:, -1:] if found == k else np.full((len(tile), 1), -inf, self.dtype)
        if found < k:  # at least as large as the k-th of this tile
            least = np.partition(tile, width - k, axis=1)[:, width - k, None] if k < width else None
        hits = np.ones(tile.shape, bool) if least is None else ~(tile <= least)
        if found < k and least is not None:
            hits |= tile == least
        rows, columns = hits.nonzero()
        if not rows.size:
            return values, indices
        # for each row with hits, what was found before and the hits, side by side
        counts = np.bincount(rows, minlength=len(tile))
        some = counts.nonzero()[0]
        slot = np.arange(len(rows)) - np.repeat(
            np.cumsum(counts)[some] - counts[some], counts[some]
        )
        place = np.repeat(np.arange(len(some)), counts[some])
        near = np.full((len(some), found + counts.max()), -inf, self.dtype)
        which = np.full(near.shape, -1, np.int64)
        near[:, :found], which[:, :found] = values[some], indices[some]
        near[place, found + slot] = tile[rows, columns]
        which[place, found + slot] = columns + start
        nan = np.isnan(near)
        order = np.argsort(-near, axis=1, kind="stable")  # NaN last
        if nan.any():
            order = np.lexsort((np.where(nan, 0, -near), ~nan), axis=1)
        count = min(k, found + width)
        order = order[:, :count]
        if found < count:
            values, indices = (np.empty((len(tile), count), each.dtype) for each in (near, which))
        else:
            values, indices = values.copy(), indices.copy()
        values[some] = np.take_along_axis(near, order, 1)
        indices[some] = np.take_along_axis(which, order, 1)
        return values, indices

    def _best_of_torch(
        self, values: Array, indices: Array, tile: Array, start: int, k: int
    ) -> tuple[Array, Array]:
        torch = self.xp
        columns = torch.arange(start, start + tile.shape[1], device=tile.device)
        near = torch.cat([values, tile], 1)
        which = torch.cat([indices, columns.expand(tile.shape)], 1)
        near, order = torch.sort(near, dim=1, descending=True, stable=True)  # NaN first
        return near[:, :k], which.gather(1, order[:, :k])


def tiles_for(array: Array) -> Tiles:
    """How tiles are computed for arrays of this library and dtype: a half's in float32."""
    xp = namespace(array)
    dtype: Any = xp.float32 if is_half(array.dtype) else array.dtype
    if xp is np:
        return TilesInPlace(xp, np.dtype(dtype).newbyteorder("="), array)
    return TilesInPlace(xp, dtype, array) if library(array) == "torch" else Tiles(xp, dtype, array)
