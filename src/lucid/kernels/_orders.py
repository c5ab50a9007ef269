"""The contraction in the names of the array API standard, block by block and tile by tile.

A plan fixes how far a tile reaches. Within a tile `first` is (s, a, p), `second` is (s, b, q),
`g` and the output are (s, a, b, o), and the block of the weight is (o, p, q), where s counts
shared positions, a those of the first input alone and b those of the second alone.
In the right order the two inputs have changed places: `first` and p are x2's, `second` and q x1's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product as every
from math import prod

from .._arrays import Array
from .._shapes import Shape
from ._layout import Box, boxes, extent, slices
from ._plan import Order, Tiles
from ._workspace import Result, Workspace


@dataclass(frozen=True)
class Problem:
    """The factors of one contraction as a plan sees them, and the sizes of their axes.

    What a gradient does not need is None.
    """

    shared: Shape
    firsts: Shape
    seconds: Shape
    weight_shape: Shape
    g: Array
    first: Array
    second: Array
    weight: Array
    swapped: bool

    @property
    def rows(self) -> Shape:
        """The sizes of all leading axes."""
        return self.shared + self.firsts + self.seconds

    def is_summed_at_once(self, tiles: Tiles) -> bool:
        """Whether each sum, but that of the weight's gradient over rows, is one product."""
        return (
            self.weight_shape == (tiles.outputs, tiles.features_1, tiles.features_2)
            and prod(self.firsts) <= tiles.rows
            and prod(self.seconds) <= tiles.seconds
        )

    def shape_of_product(self, order: Order) -> Shape:
        """Of x1 ⊗ x2, or of the first input with the weight."""
        outputs, features_1, features_2 = self.weight_shape
        if order == "outer":
            return (*self.shared, features_1, features_2)
        return (*self.shared, *self.firsts, outputs, features_2)

    def blocks(self, tiles: Tiles) -> Iterator[tuple[slice, slice, slice]]:
        """Cut the weight into blocks."""
        outputs, features_1, features_2 = self.weight_shape
        return every(
            slices(outputs, tiles.outputs),
            list(slices(features_1, tiles.features_1)),
            list(slices(features_2, tiles.features_2)),
        )

    def part(self, box: Box) -> Problem:
        """The same contraction at a box of its positions (shared, first, second)."""
        sizes = extent(box)
        n_shared, n_firsts = len(self.shared), len(self.firsts)
        shared, firsts = box[:n_shared], box[n_shared : n_shared + n_firsts]
        seconds = box[n_shared + n_firsts :]
        return replace(
            self,
            shared=sizes[:n_shared],
            firsts=sizes[n_shared : n_shared + n_firsts],
            seconds=sizes[n_shared + n_firsts :],
            g=None if self.g is None else self.g[box],
            first=None if self.first is None else self.first[shared + firsts],
            second=None if self.second is None else self.second[shared + seconds],
        )


def outer_forward(work: Workspace, problem: Problem, tiles: Tiles, out: Result) -> None:
    """out[n, o] = Σ_pq (x1[n, p] · x2[n, q]) · W[o, p, q]"""
    for block in problem.blocks(tiles):
        outputs, p, q = block
        n_p, n_q = p.stop - p.start, q.stop - q.start
        matrix = work.matrix(problem.weight[block], (outputs.stop - outputs.start, n_p * n_q))
        for box in boxes(problem.shared, tiles.rows):
            n = prod(extent(box))
            first = work.tile(problem.first[(*box, p)], (n, n_p, 1))
            second = work.tile(problem.second[(*box, q)], (n, 1, n_q))
            pairs = work.multiply("pairs", first, second)
            work.keep((*box, p, q), pairs)
            pairs = work.xp.reshape(pairs, (n, n_p * n_q))
            out.add((*box, outputs), work.matmul("out", pairs, matrix.T))
            del pairs  # before there is another tile


def outer_gradients(
    work: Workspace, problem: Problem, tiles: Tiles,
    d_first: Result | None, d_second: Result | None, d_weight: Result | None,
) -> None:  # fmt: skip
    """Every gradient of the rows x1[n], x2[n] from products with g first.

    D[n, p, q] = Σ_o g[n, o] · W[o, p, q]
    dx1[n, p] = Σ_q D[n, p, q] · x2[n, q]
    dx2[n, q] = Σ_p D[n, p, q] · x1[n, p]
    dW[o, p, q] = Σ_n g[n, o] · (x1[n, p] · x2[n, q])
    """
    xp = work.xp
    for block in problem.blocks(tiles):
        outputs, p, q = block
        n_o, n_p, n_q = extent(block)
        if d_first or d_second:
            matrix = work.matrix(problem.weight[block], (n_o, n_p * n_q))
        total = None
        for box in boxes(problem.shared, tiles.rows):
            n = prod(extent(box))
            g = work.tile(problem.g[(*box, outputs)], (n, n_o))
            if d_second or d_weight:
                first = work.tile(problem.first[(*box, p)], (n, n_p, 1))
            if d_first or d_weight:
                second = work.tile(problem.second[(*box, q)], (n, 1, n_q))
            if d_first or d_second:
                products = work.product("products", g, matrix)
                products = xp.reshape(products, (n, n_p, n_q))
            if d_first:
                column = xp.reshape(second, (n, n_q, 1))
                d_first.add((*box, p), work.product("d_first", products, column))
            if d_second:
                row = xp.reshape(first, (n, 1, n_p))
                d_second.add((*box, q), work.product("d_second", row, products))
            products = None  # before there is another tile
            if d_weight:
                pairs = work.kept((*box, p, q))
                if pairs is None:
                    pairs = work.multiply("products", first, second)
                pairs = xp.reshape(pairs, (n, n_p * n_q))
                total = work.sum_products("d_weight", total, g.T, pairs)
                del pairs
        if d_weight and total is not None:
            d_weight.put(block, total)


def sided_forward(work: Workspace, problem: Problem, tiles: Tiles, out: Result) -> None:
    """out[s, a, b, o] = Σ_q (Σ_p x1[s, a, p] · W[o, p, q]) · x2[s, b, q]"""
    xp, n_shared = work.xp, len(problem.shared)
    for block in problem.blocks(tiles):
        outputs, p, q = block
        n_o, n_p, n_q = extent(block)
        matrix = _by_first(work, problem.weight, block)
        for box in boxes(problem.shared + problem.firsts, tiles.rows):
            s, a = prod(extent(box[:n_shared])), prod(extent(box[n_shared:]))
            first = work.tile(problem.first[(*box, p)], (s * a, n_p))
            # with_first[s, a·o, q] = Σ_p first[s, a, p] · W[o, p, q]
            with_first = work.product("with_first", first, matrix)
            work.keep((*box, outputs, q), with_first)
            with_first = xp.reshape(with_first, (s, a * n_o, n_q))
            for more in boxes(problem.seconds, tiles.seconds):
                b = prod(extent(more))
                second = work.tile(problem.second[(*box[:n_shared], *more, q)], (s, b, n_q))
                if b == 1 or n_o == 1:
                    tile = work.product("out", with_first, xp.matrix_transpose(second))
                    tile = xp.permute_dims(xp.reshape(tile, (s, a, n_o, b)), (0, 1, 3, 2))
                else:
                    tile = work.product("out", second, xp.matrix_transpose(with_first))
                    tile = xp.permute_dims(xp.reshape(tile, (s, b, a, n_o)), (0, 2, 1, 3))
                out.add((*box, *more, outputs), tile)
            with_first = tile = None  # before there is another tile


def sided_gradients(
    work: Workspace, problem: Problem, tiles: Tiles,
    d_first: Result | None, d_second: Result | None, d_weight: Result | None,
) -> None:  # fmt: skip
    """Every gradient from what g and x2, or x1 and the weight, give together.

    U[s, a, o, q] = Σ_b g[s, a, b, o] · x2[s, b, q]
    T[s, a, o, q] = Σ_p x1[s, a, p] · W[o, p, q]
    dx1[s, a, p] = Σ_oq U[s, a, o, q] · W[o, p, q]
    dW[o, p, q] = Σ_sa U[s, a, o, q] · x1[s, a, p]
    dx2[s, b, q] = Σ_ao g[s, a, b, o] · T[s, a, o, q]
    """
    xp, n_shared = work.xp, len(problem.shared)
    for block in problem.blocks(tiles):
        outputs, p, q = block
        n_o, n_p, n_q = extent(block)
        if d_first or d_second:
            matrix = _by_first(work, problem.weight, block)
        total = None
        for box in boxes(problem.shared + problem.firsts, tiles.rows):
            s, a = prod(extent(box[:n_shared])), prod(extent(box[n_shared:]))
            with_first = work.kept((*box, outputs, q)) if d_second else None
            if d_weight or (d_second and with_first is None):
                first = work.tile(problem.first[(*box, p)], (s * a, n_p))
            if d_second:
                if with_first is None:
                    with_first = work.product("with_first", first, matrix)
                with_first = xp.reshape(with_first, (s, a * n_o, n_q))
            summed = None
            for more in boxes(problem.seconds, tiles.seconds):
                b = prod(extent(more))
                g = problem.g[(*box, *more, outputs)]
                g = xp.permute_dims(xp.reshape(g, (s, a, b, n_o)), (0, 2, 1, 3))
                g = work.tile(g, (s, b, a * n_o))
                if d_first or d_weight:
                    second = work.tile(problem.second[(*box[:n_shared], *more, q)], (s, b, n_q))
                    summed = work.sum_products("summed", summed, xp.matrix_transpose(g), second)
                if d_second:
                    tile = work.product("d_second", g, with_first)
                    d_second.add((*box[:n_shared], *more, q), tile)
            if summed is None:
                continue
            summed = work.tile(summed, (s * a, n_o * n_q))
            if d_first:
                d_first.add((*box, p), work.matmul("d_first", summed, matrix.T))
            if d_weight and problem.swapped:
                total = work.sum_products("d_weight", total, summed.T, first)
            elif d_weight:
                total = work.sum_products("d_weight", total, first.T, summed)
            with_first = summed = None  # before there are others
        if d_weight and total is not None:
            # Both ways the weight's own last axis stays the last one in memory.
            if problem.swapped:
                total = xp.permute_dims(xp.reshape(total, (n_o, n_q, n_p)), (0, 2, 1))
            else:
                total = xp.permute_dims(xp.reshape(total, (n_p, n_o, n_q)), (1, 0, 2))
            d_weight.put(block, total)


def _by_first(work: Workspace, weight: Array, block: tuple[slice, slice, slice]) -> Array:
    """The block as a matrix (p, o·q): of the right order a view, of the left order a copy."""
    n_o, n_p, n_q = extent(block)
    return work.matrix(work.xp.permute_dims(weight[block], (1, 0, 2)), (n_p, n_o * n_q))
