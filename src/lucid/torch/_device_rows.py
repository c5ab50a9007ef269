"""Rows that are chosen, grouped and summed, on a device: in products of PyTorch, a tile at a time.

Without groups a tile is some rows, which meet one weight. With groups it is some groups with about
as many rows each, filled up with zeros, and each element of a batch meets its own weight; a group
of many rows meets its weight alone. Sums into a target or a node are `index_add_`, whose order
`torch.use_deterministic_algorithms` fixes.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .._arrays import Array
from .._shapes import Shape
from ..kernels._arguments import Gradients, Needed
from ..kernels._plan import DEVICE_TILE
from ..kernels._rows import FIRST, RESULT, SECOND, WEIGHT, Rows
from ..kernels._torch import promoted
from . import _compute

MANY = 4096
"""Rows of a group that meets its weight alone."""


class _Tile(NamedTuple):
    """Rows of a call; with groups (groups, most rows of one), and which of them there are."""

    rows: Any
    groups: Tensor | int | None
    there: Tensor | None


class _Call:
    """The maps of a call on a device, and its tiles."""

    def __init__(self, rows: Rows, weight_shape: Shape, device: torch.device) -> None:
        self.rows, self.device = rows, device
        *_, self.outputs, self.features_1, self.features_2 = weight_shape
        self.maps = [
            None if each is None else torch.as_tensor(each).to(device, torch.int64).reshape(-1)
            for each in rows.maps
        ]

    @cached_property
    def groups(self) -> Tensor:
        """The group of each row."""
        if self.rows.offsets is None:
            found: Tensor | None = self.maps[WEIGHT]
            if found is None:
                return torch.zeros(self.rows.count, dtype=torch.int64, device=self.device)
            return found
        offsets = torch.as_tensor(self.rows.offsets).to(self.device, torch.int64)
        counts = offsets.diff()
        numbers = torch.arange(len(counts), device=self.device)
        return numbers.repeat_interleave(counts, output_size=self.rows.count)

    def tiles(self, itemsize: int) -> Iterator[_Tile]:
        room = DEVICE_TILE // 4 // itemsize
        row = self.features_1 + self.features_2 + self.outputs
        most = max(1, room // row)
        if not self.rows.has_groups:
            for begin in range(0, self.rows.count, most):
                yield _Tile(slice(begin, min(begin + most, self.rows.count)), None, None)
            return
        order = self.groups.argsort(stable=True)
        counts = self.groups.bincount(minlength=self.rows.sizes[WEIGHT])
        starts = counts.cumsum(0) - counts
        by_count = counts.argsort(descending=True, stable=True)
        sizes = counts[by_count].tolist()
        matrix = self.outputs * self.features_1 * self.features_2
        k = 0
        while k < len(sizes) and sizes[k] > 0:
            longest = sizes[k]
            if longest > MANY:
                start = int(starts[by_count[k]])
                for begin in range(0, longest, most):
                    end = min(begin + most, longest)
                    yield _Tile(order[start + begin : start + end], int(by_count[k]), None)
                k += 1
                continue
            end, held = k, 0
            while end < len(sizes) and 2 * sizes[end] >= longest and (end == k or held <= room):
                held += longest * row + matrix
                end += 1
            groups = by_count[k:end]
            places = torch.arange(longest, device=self.device)
            there = places < counts[groups, None]
            at = torch.where(there, starts[groups, None] + places, 0)
            yield _Tile(order[at], groups, there)
            k = end

    def taken(self, x: Tensor, factor: int, tile: _Tile) -> Tensor:
        """What a tile needs of a factor's rows."""
        own = self.maps[factor]
        x = x.reshape(-1, x.shape[-1])
        found = x[tile.rows if own is None else own[tile.rows]]
        return found if tile.there is None else found.masked_fill(~tile.there[..., None], 0)

    def put(self, to: Tensor, factor: int, tile: _Tile, found: Tensor) -> None:
        """The rows of a tile at their places, where they are added if there may be several."""
        own, rows = self.maps[factor], tile.rows
        if tile.there is not None:
            found, rows = found[tile.there], rows[tile.there]
        if own is None:
            to[rows] = found.to(to.dtype)
        else:
            to.index_add_(0, own[rows], found.to(to.dtype))


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def _four(weight: Tensor) -> Tensor:
    return weight if weight.dim() == 4 else weight[None]


def bilinear(x1: Array, x2: Array, weight: Array, bias: Array | None, rows: Rows) -> Tensor:
    """out[s, o] = Σ_e∈s Σ_ij x1[p(e), i] · W[r(e), o, i, j] · x2[q(e), j] + bias[r(e), o]"""
    dtype = promoted([each for each in (x1, x2, weight, bias) if each is not None])
    call, weights = _Call(rows, tuple(weight.shape), x1.device), _four(weight)
    shape = rows.shape_of(RESULT, call.outputs)
    adds = rows.maps[RESULT] is not None
    out = torch.zeros(shape, dtype=_wide(dtype) if adds else dtype, device=x1.device)
    flat = out.view(-1, call.outputs)
    biases = None if bias is None else bias.reshape(-1, call.outputs)
    for tile in call.tiles(dtype.itemsize):
        first, second = call.taken(x1, FIRST, tile), call.taken(x2, SECOND, tile)
        if tile.there is None:
            group = tile.groups or 0
            found = _compute.bilinear(first, second, weights[group], None)
            if biases is not None:
                found = found + biases[group if len(biases) > 1 else 0]
        else:
            found = _compute.bilinear(first, second, weights[tile.groups], None, each=True)
            if biases is not None:
                found = found + biases[tile.groups if len(biases) > 1 else [0], None]
        call.put(flat, RESULT, tile, found)
    return out.to(dtype)


def gradients(
    g: Array, x1: Array | None, x2: Array | None, weight: Array | None,
    weight_shape: Shape, rows: Rows, needed: Needed,
) -> Gradients:  # fmt: skip
    """The gradients of the form; None for those not needed."""
    dtype = promoted([each for each in (g, x1, x2, weight) if each is not None])
    call = _Call(rows, weight_shape, g.device)
    shapes = (
        rows.shape_of(FIRST, call.features_1), rows.shape_of(SECOND, call.features_2), weight_shape,
    )  # fmt: skip
    found: list[Any] = [
        torch.zeros(shape, dtype=_wide(dtype), device=g.device) if wanted else None
        for shape, wanted in zip(shapes, needed, strict=True)
    ]
    d_1, d_2 = (each if each is None else each.view(-1, each.shape[-1]) for each in found[:2])
    d_weight = None if found[2] is None else _four(found[2])
    weights: Any = None if weight is None else _four(weight)
    for tile in call.tiles(dtype.itemsize):
        start: Any = call.taken(g, RESULT, tile)
        first, second = (
            None if x is None else call.taken(x, factor, tile)
            for x, factor in ((x1, FIRST), (x2, SECOND))
        )
        group = tile.groups or 0 if tile.there is None else tile.groups
        matrix = None if weights is None else weights[group]
        shape_1, shape_2 = (
            (*start.shape[:-1], size) for size in (call.features_1, call.features_2)
        )
        own_1, own_2, own_weight = _compute.gradients(
            start, first, second, matrix, shape_1, shape_2, needed, tile.there is not None
        )
        if d_1 is not None:
            call.put(d_1, FIRST, tile, own_1)
        if d_2 is not None:
            call.put(d_2, SECOND, tile, own_2)
        if d_weight is not None:
            d_weight[group] += own_weight
    first, second, third = (each if each is None else each.to(dtype) for each in found)
    return first, second, third


def moved(x: Array, shape: Shape, rows: Rows, source: int, target: int) -> Tensor:
    """to[t, o] = Σ_e∈t x[s(e), o], between the rows of the result and those of the weights."""
    call = _Call(rows, (1, 1, 1), x.device)
    own = x.reshape(-1, x.shape[-1])
    total = torch.zeros(shape, dtype=_wide(x.dtype), device=x.device)
    to = total.view(-1, x.shape[-1])

    def places(factor: int, matrix: Tensor, some: slice) -> Tensor:
        if factor == WEIGHT:
            if len(matrix) == 1:
                return torch.zeros(some.stop - some.start, dtype=torch.int64, device=x.device)
            return call.groups[some]
        index = call.maps[factor]
        if index is None:
            return torch.arange(some.start, some.stop, device=x.device)
        return index[some]

    most = max(1, DEVICE_TILE // 4 // x.dtype.itemsize // x.shape[-1])
    for begin in range(0, rows.count, most):
        some = slice(begin, min(begin + most, rows.count))
        to.index_add_(0, places(target, to, some), own[places(source, own, some)].to(to.dtype))
    return total.to(x.dtype)
