"""Reductions over all pairs of the bilinear form, tile by tile: no more than a tile of the scores
is ever held, and for gradients each tile is computed again.

    s[n, m] = q[n] · x2[m] + b,    q = x1 · W
    lse[n]  = log Σ_m exp(s[n, m])
    C[n, m] = a[n] · exp(s[n, m] - lse[n]) + Σ_k b[n, k] · [m = t[n, k]] + c[n]
    dq[n]   = Σ_m C[n, m] · x2[m],    dx2[m] = Σ_n C[n, m] · q[n]
    dx1     = dq · W,    dW = x1 · dq

C is the gradient of the scores, 0 for those that are left out: of logsumexp with a alone; of
cross-entropy with b for the targets and c for label smoothing; of chosen scores (`topk`) with b
alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from math import inf, prod
from typing import Any, NamedTuple

import numpy as np

from .._arrays import (
    Array,
    Namespace,
    device_of,
    is_traced_by_jax,
    library,
    namespace,
    set_item,
)
from .._shapes import Shape, unbroadcast
from . import _chosen, _scores
from ._groups import ByGroup
from ._layout import slices
from ._pairs import Pairs, part_of
from ._plan import BLOCK
from ._tiles import Tiles, TilesInPlace, tiles_for

Rows = Any  # an array with the axes (..., N, O or 1), and one more where it says so


def _unchanged(array: Array) -> Array:
    return array


class Partners(NamedTuple):
    """Scores, the largest first, and the numbers of the partners that have them."""

    values: Any
    indices: Any


class Target(NamedTuple):
    """The partners given for each row, -1 for none (..., N, O or 1, K), and their shares of it."""

    places: Array
    shares: Array
    smoothing: float = 0.0


@dataclass
class Block:
    """Some rows with some outputs: what its tiles are computed from."""

    pairs: Pairs
    work: Tiles
    box: tuple[slice, ...]
    rows: slice
    outs: slice
    width: int
    whole: Array | None  # the weight as (I, O · J), where a block has all outputs
    kept: Array | None = None  # a product that spares its gradients one

    @cached_property
    def leading(self) -> Shape:
        return tuple(len(range(size)[part]) for size, part in zip(
            self.pairs.leading, self.box, strict=True
        ))  # fmt: skip

    @property
    def outputs(self) -> int:
        return len(range(self.outs.start, self.outs.stop))

    @property
    def shape(self) -> Shape:
        return (*self.leading, self.rows.stop - self.rows.start, self.outputs)

    @property
    def index(self) -> tuple[slice, ...]:
        return (*self.box, self.rows, self.outs)

    @property
    def of_first(self) -> tuple[slice, ...]:
        """Where its rows lie in x1."""
        return (*_own(self.box, self.pairs.x1), self.rows, slice(None))

    def of_second(self, part: slice) -> tuple[slice, ...]:
        """Where some partners lie in x2."""
        return (*_own(self.box, self.pairs.x2), part, slice(None))

    @cached_property
    def x1(self) -> Array:
        """(..., n, I)"""
        x1 = self.pairs.x1
        return self.work.wide(part_of(x1, self.box, self.rows, slice(0, x1.shape[-1])))

    @cached_property
    def q(self) -> Array:
        """(..., n · O, J), the leading axes those of x1."""
        xp, x1 = self.work.xp, self.x1
        rows = xp.reshape(x1, (prod(x1.shape[:-1]), x1.shape[-1]))
        found = self.by_group.product(rows, self.matrix, partial(self.work.product, "q"))
        shape = (*x1.shape[:-2], prod(self.shape[-2:]), self.pairs.weight.shape[-1])
        return xp.reshape(found, shape)

    @cached_property
    def by_group(self) -> ByGroup:
        group, groups = self.pairs.group, self.pairs.weight.shape[0]
        return ByGroup(group if group is None else part_of(group, self.box, self.rows), groups)

    def matrix(self, group: int | None) -> Array:
        """The weight of a group, or the one for all, as (I, O · J)."""
        if self.whole is not None:
            return self.whole
        weight = self.pairs.weight if group is None else self.pairs.weight[group, ...]
        return _by_first(self.work, weight[self.outs, ...])

    @cached_property
    def bias(self) -> Array | None:
        """One number for each row of a tile."""
        if self.pairs.bias is None:
            return None
        return self.of_rows(self.work.wide(self.pairs.bias[self.outs]))

    def of_rows(self, array: Any, more: int = 0, xp: Namespace = None) -> Any:
        """The part of an array (..., N, O or 1) for a tile's rows; it may have further axes."""
        xp = xp or self.work.xp
        if len(array.shape) > more + 1:
            last = tuple(slice(0, size) for size in array.shape[len(array.shape) - more :])
            array = part_of(array, self.box, self.rows, self.outs, *last)
        own = tuple(array.shape[len(array.shape) - more :]) if more else ()
        return xp.reshape(xp.broadcast_to(array, (*self.shape, *own)), (prod(self.shape), *own))

    def tiles(self) -> Iterator[tuple[slice, Array]]:
        """Ranges of partners, and their rows of x2."""
        x2 = self.pairs.x2
        for part in slices(self.pairs.partners, self.width):
            yield part, self.work.wide(part_of(x2, self.box, part, slice(0, x2.shape[-1])))

    def scores(self, x2: Array, for_gradients: bool = False) -> Array:
        """A tile (R, m), nothing left out."""
        work, xp = self.work, self.work.xp
        tile = _scores.tile(self, x2, for_gradients)
        if tile is not None:
            pass
        elif prod(x2.shape[:-2]) == 1:
            first = xp.reshape(self.q, (prod(self.q.shape[:-1]), self.q.shape[-1]))
            tile = work.product("scores", first, xp.reshape(x2, tuple(x2.shape[-2:])).T)
        else:
            tile = work.product("scores", self.q, x2.mT)
        tile = xp.reshape(tile, (prod(self.shape), tile.shape[-1]))
        if self.bias is not None:
            tile += self.bias[:, None]
        return tile

    def leave_out(self, tile: Array, part: slice, value: float = -inf) -> Array:
        """The tile with a value where a pair is left out."""
        pairs, xp = self.pairs, self.work.xp
        if pairs.mask is not None:
            # (..., n, m, o) → (..., n, o, m)
            mask = part_of(pairs.mask, self.box, self.rows, part, self.outs).mT
            full = (*self.shape, tile.shape[-1])
            tile = xp.reshape(
                self.work.keep(xp.reshape(tile, full), xp.broadcast_to(mask, full), value),
                tile.shape,
            )
        if self.excluded is not None:
            tile = self.work.put(tile, self.excluded - part.start, value)
        return tile

    @property
    def leaves_out(self) -> bool:
        """Whether there is anything to leave out."""
        return self.pairs.mask is not None or self.pairs.exclude is not None

    @cached_property
    def excluded(self) -> Array | None:
        exclude = self.pairs.exclude
        return None if exclude is None else self.of_rows(exclude, 1)


def _own(box: tuple[slice, ...], array: Array) -> tuple[slice, ...]:
    """A box in an array of rows, whose leading axes broadcast: those of size 1 stay whole."""
    sizes = tuple(array.shape[:-2])
    places = zip(box[len(box) - len(sizes) :], sizes, strict=True)
    return tuple(slice(None) if size == 1 else place for place, size in places)


def _by_first(work: Tiles, weight: Array) -> Array:
    """(O, I, J) → (I, O · J): copied, unless there is one output."""
    outputs, features_1, features_2 = weight.shape
    if outputs == 1:
        return work.wide(weight[0, ...])
    return work.xp.reshape(swapped(work.xp, work.wide(weight)), (features_1, outputs * features_2))


def swapped(xp: Namespace, x: Any) -> Any:
    """The first two of three axes in each other's place."""
    return xp.permute_dims(x, (1, 0, 2)) if hasattr(xp, "permute_dims") else x.permute(1, 0, 2)


def blocks(pairs: Pairs) -> Iterator[Block]:
    """The blocks of all pairs."""
    work = tiles_for(_like(pairs))
    steps, whole = pairs.steps(work.itemsize), None
    if pairs.group is None and steps.outputs == pairs.shape[-1]:
        whole = _by_first(work, pairs.weight)
    for box, rows, outs in pairs.blocks(work.itemsize):
        yield Block(pairs, work, box, rows, outs, steps.partners, whole)
    work.release()


def _like(pairs: Pairs) -> Array:
    """Something in the dtype that everything promotes to."""
    xp = namespace(pairs.x1)
    return xp.zeros((), dtype=pairs.dtype, device=device_of(pairs.x1))


# ------------------------------------------------------------------------- forward


def logsumexp(pairs: Pairs) -> Array:
    """lse (..., N, O), in float32 where the factors are halves."""
    lse, _ = _reduced(pairs, None)
    return lse


def cross_entropy(pairs: Pairs, target: Target) -> tuple[Array, Array]:
    """lse, and lse - Σ_m share[m] · s[m] (..., N, O); a row without a target has the loss 0."""
    lse, loss = _reduced(pairs, target)
    return lse, loss


def _reduced(pairs: Pairs, target: Target | None) -> tuple[Array, Any]:
    work = tiles_for(_like(pairs))
    lse = work.full(pairs.shape, -inf)
    loss = None if target is None else work.full(pairs.shape, 0.0)
    with np.errstate(all="ignore"):
        for block in blocks(pairs):
            top, rest, below = _reduced_block(block, target)
            lse = set_item(lse, block.index, block.work.xp.reshape(top + rest, block.shape))
            if loss is not None and target is not None:
                # top - s first: where the target is the top, the loss is rest, exactly
                found = below(top, rest)
                loss = set_item(loss, block.index, block.work.xp.reshape(found, block.shape))
    return lse, loss


def _reduced_block(block: Block, target: Target | None) -> tuple[Array, Array, Any]:
    """The largest score t of each row, log Σ exp(s - t), and what gives the loss of both."""
    work = block.work
    xp, count = work.xp, prod(block.shape)
    # Σ exp(s - t) = 1 + others: log1p keeps the digits where the others are small
    top, others = work.full((count,), -inf), work.full((count,), 0.0)
    chosen = mean = places = None
    if target is not None:
        places = block.of_rows(target.places, 1)
        chosen = work.full(tuple(places.shape), 0.0)
        mean, left = work.full((count,), 0.0), work.full((count,), 0.0)
    for part, x2 in block.tiles():
        tile = block.scores(x2)
        if target is not None and target.smoothing:
            kept = block.leave_out(xp.ones_like(tile), part, 0.0)
            mean, left = (
                mean + xp.sum(xp.where(kept > 0, tile, kept), axis=1),
                left + work.sum(kept),
            )
        tile = block.leave_out(tile, part)
        if places is not None:
            chosen = chosen + work.take(tile, places - part.start)
        here, place = work.top(tile)
        more = work.drop(work.exponentials(tile, _finite(xp, here)), place)
        more = work.sum(more)
        if part.start == 0:
            top, others = here, more
            continue
        above = here > top
        larger, smaller = xp.where(above, here, top), xp.where(above, top, here)
        larger = xp.where(here != here, here, larger)
        scale = xp.exp(smaller - _finite(xp, larger))  # of the smaller top, and of its others
        others = xp.where(above, more + scale * (1 + others), others + scale * (1 + more))
        top = larger
    infinite = xp.isinf(top)
    rest = xp.where(infinite, xp.zeros_like(others), xp.log1p(others))

    def below(top: Array, rest: Array) -> Array | None:
        if target is None or places is None or chosen is None:
            return None
        shares = block.of_rows(target.shares, 1)
        smoothing = target.smoothing
        valid = places >= 0
        zero = xp.zeros_like(chosen)
        weighed = xp.where(valid, shares * ((top + rest)[:, None] - chosen), zero)
        if places.shape[1] == 1:
            weighed = xp.where(valid, (top[:, None] - chosen) + rest[:, None], zero)
        found = xp.sum(weighed, axis=1)
        if smoothing:
            even = (top + rest) - mean / xp.where(left > 0, left, xp.ones_like(left))
            found = (1 - smoothing) * found + smoothing * even
        # a partner that is left out has no probability
        lost = xp.any(valid & xp.isinf(chosen) & (chosen < 0), axis=1)
        found = xp.where(lost, xp.full_like(found, inf), found)
        return xp.where(xp.any(valid, axis=1), found, xp.zeros_like(found))

    return top, rest, below


def _finite(xp: Any, top: Array) -> Array:
    """What to subtract: 0 where the largest is infinite."""
    return xp.where(xp.isinf(top), xp.zeros_like(top), top)


def topk(pairs: Pairs, k: int) -> Partners:
    """The k largest scores (..., N, O, k) and their partners; -∞ and -1 where fewer are left."""
    work = tiles_for(_like(pairs))
    values = work.full((*pairs.shape, k), -inf)
    indices = work.numbers((*pairs.shape, k)) - 1
    for block in blocks(pairs) if k else ():
        xp = block.work.xp
        best, which = _scores.best(block, k) or _best(block, k)
        index = (*block.index, slice(0, best.shape[1]))
        values = set_item(values, index, xp.reshape(best, (*block.shape, best.shape[1])))
        indices = set_item(indices, index, xp.reshape(which, (*block.shape, best.shape[1])))
    return Partners(values, indices)


def _best(block: Block, k: int) -> tuple[Array, Array]:
    """The same of one block (R, k), by tiles."""
    xp, count = block.work.xp, prod(block.shape)
    best, which = block.work.full((count, 0), 0.0), block.work.numbers((count, 0))
    for part, x2 in block.tiles():
        tile = block.leave_out(block.scores(x2), part)
        if k == 1:
            best, which = _larger(block.work, best, which, tile, part.start)
        else:
            best, which = block.work.best(best, which, tile, part.start, k)
    return best, xp.where(best == -inf, xp.full_like(which, -1), which)


def _larger(work: Tiles, best: Array, which: Array, tile: Array, start: int) -> tuple[Array, Array]:
    """The largest of those found so far (R, 1), if any, and of a tile; a NaN is the largest."""
    top, place = work.top(tile)
    top, place = top[:, None], (place + start)[:, None]
    if not best.shape[1]:
        return top, place
    above = (top > best) | ((top != top) & (best == best))
    return work.xp.where(above, top, best), work.xp.where(above, place, which)


def rank(pairs: Pairs, target: Array) -> Array:
    """1 + how many scores are larger + half of how many others are equal (..., N, O, K)."""
    work = tiles_for(_like(pairs))
    shape = (*pairs.shape, target.shape[-1])
    found = work.full(shape, 0.0)
    for block in blocks(pairs):
        places = block.of_rows(target, 1)
        total, own = _scores.ranks(block, places) or _ranks(block, places)
        xp, lowest = block.work.xp, own == -inf
        if block.leaves_out and _any(lowest):  # what is left out is -∞ in a tile, so as large
            total = xp.where(lowest, total - _left_out(block, places) / 2, total)
        total = xp.where(own != own, own, total)
        whole = (*block.index, slice(0, shape[-1]))
        found = set_item(found, whole, xp.reshape(total, (*block.shape, shape[-1])))
    return found


def _ranks(block: Block, places: Array) -> tuple[Array, Array]:
    """The same of one block (R, K), by tiles, and the scores of the places."""
    xp = block.work.xp
    # where all partners are in one tile, it serves for the target's score too
    is_one = block.width >= block.pairs.partners
    own = block.work.full(tuple(places.shape), 0.0)
    for part, x2 in block.tiles():
        inside = (places >= part.start) & (places < part.stop)
        if not is_one and _any(inside):
            own = own + block.work.take(block.scores(x2), places - part.start)
    total = xp.ones_like(own)
    for part, x2 in block.tiles():
        tile = block.scores(x2)
        if is_one:
            own = block.work.take(tile, places)
        tile = block.leave_out(tile, part)
        for k in range(places.shape[1]):
            mine = places[:, k : k + 1] - part.start
            s = own[:, k : k + 1]
            larger = tile.shape[1] - _count(block.work, tile <= s)  # NaN is the largest
            # the given partner itself does not count, whether it is left out or not
            itself = (block.work.take(tile, mine) == s) & (mine >= 0) & (mine < tile.shape[1])
            equal = _count(block.work, tile == s) - _count(block.work, itself)
            total = add(total, (slice(None), k), larger + equal / 2)
    return total, own


def _left_out(block: Block, places: Array) -> Array:
    """How many partners of each row are left out, but for the place itself (R, K)."""
    total = block.work.full(tuple(places.shape), 0.0)
    for part in slices(block.pairs.partners, block.width):
        out = 1 - _left(block, part)
        total = total + block.work.sum(out)[:, None] - block.work.take(out, places - part.start)
    return total


def _left(block: Block, part: slice) -> Array:
    """1 for each pair of a tile, 0 where it is left out."""
    ones = block.work.full((prod(block.shape), part.stop - part.start), 1.0)
    return block.leave_out(ones, part, 0.0)


def _any(truth: Array) -> bool:
    """Whether one is True, or could be: under `jax.jit` nobody knows."""
    return is_traced_by_jax(truth) or bool(truth.any() if hasattr(truth, "any") else
                                           namespace(truth).any(truth))  # fmt: skip


def _count(work: Tiles, truth: Array) -> Array:
    if work.xp is np:
        return np.count_nonzero(truth, axis=1)
    return work.xp.sum(work.xp.where(truth, work.full((1,), 1.0), work.full((1,), 0.0)), axis=1)


# ------------------------------------------------------------------------- gradients


class Slopes(NamedTuple):
    """What the gradient of the scores is made of; see C above. None: nothing."""

    lse: Rows | None = None
    shares: Rows | None = None  # a
    places: Rows | None = None  # t, with K more
    at_places: Rows | None = None  # b, with K more
    even: Rows | None = None  # c


def of_cross_entropy(
    pairs: Pairs, target: Target, of_lse: Any, of_loss: Any, constant: Any = _unchanged
) -> Slopes:
    """What the gradients of lse and loss make of the scores', without lse itself.

    a = g_lse + g,  b = -(1 - ε) · g · share,  c = -ε · g / (partners not left out),  g = g_loss
    of the rows that have a target. `constant` makes raw arrays what the gradients are.
    """
    places, shares, smoothing = target
    xp = namespace(places)
    of_loss = of_loss * constant(xp.astype(xp.any(places >= 0, axis=-1), shares.dtype))
    # shares are 0 where there is no target
    at_places = of_loss[..., None] * constant(shares * -(1 - smoothing))
    even = None
    if smoothing:
        even = of_loss * constant(-smoothing / counts(pairs))
    return Slopes(None, of_lse + of_loss, places, at_places, even)


def counts(pairs: Pairs) -> Array:
    """How many partners of each row (..., N, O) are not left out, at least 1."""
    work = tiles_for(_like(pairs))
    found = work.full(pairs.shape, 0.0)
    for block in blocks(pairs):
        xp = block.work.xp
        for part in slices(pairs.partners, block.width):
            left = block.work.sum(_left(block, part))
            found = add(found, block.index, xp.reshape(left, block.shape))
    return work.xp.where(found > 0, found, work.xp.ones_like(found))


def sums_of(pairs: Pairs) -> Any:
    """The dtype of sums: float32 for halves."""
    return tiles_for(_like(pairs)).dtype


def gradients(
    pairs: Pairs, slopes: Slopes, needed: tuple[bool, bool, bool, bool]
) -> tuple[Array | None, ...]:
    """The gradients of input_1, input_2, weight and bias, those needed, in the dtype of sums."""
    work = tiles_for(_like(pairs))
    factors = (pairs.x1, pairs.x2, pairs.weight, pairs.bias)
    totals = Totals(*(
        None if each is None or not wanted else Total(work, each)
        for each, wanted in zip(factors, needed, strict=True)
    ))  # fmt: skip
    is_chosen = slopes.lse is slopes.even is None and isinstance(work, TilesInPlace)
    with np.errstate(all="ignore"):
        for block in blocks(pairs):
            if is_chosen:
                _of_chosen(block, slopes, totals)
            else:
                _of_tiles(block, slopes, totals)
    found = [None if each is None else each.array for each in totals]
    return tuple(found)


class Total:
    """A gradient that is added up: zeros, unless its first part is all of it."""

    def __init__(self, work: Tiles, of: Array) -> None:
        self._work, self._shape, self._array = work, tuple(of.shape), None

    @property
    def array(self) -> Array:
        if self._array is None:
            self._array = self._work.full(self._shape, 0.0)
        return self._array

    def add(self, index: Any, part: Array) -> None:
        self._array = add(self.array, index, part)

    def take(self, index: Any, part: Array) -> None:
        """The same with a part that nobody else has."""
        if self._array is None and tuple(part.shape) == self._shape:
            self._array = part
        else:
            self.add(index, part)


class Totals(NamedTuple):
    """Of each factor, None where it is not needed."""

    x1: Total | None
    x2: Total | None
    weight: Total | None
    bias: Total | None


def _of_chosen(block: Block, slopes: Slopes, totals: Totals) -> None:
    places, at_places = (block.of_rows(each, 1) for each in (slopes.places, slopes.at_places))
    d_2, d_bias = (None if each is None else each.array for each in (totals.x2, totals.bias))
    of_first = totals.x1 is not None or totals.weight is not None
    d_q = _chosen.gradients(block, places, at_places, d_2, d_bias, of_first)
    if d_q is not None:
        _with_first(block, d_q, totals)


def _of_tiles(block: Block, slopes: Slopes, totals: Totals) -> None:
    xp, d_q = block.work.xp, None
    of_first = totals.x1 is not None or totals.weight is not None
    for part, second in block.tiles():
        tile = _slopes_of_tile(block, slopes, part, second)
        if tile is None:
            continue
        if totals.bias is not None:
            of_outputs = xp.reshape(block.work.sum(tile), (-1, block.outputs))
            totals.bias.add((block.outs,), xp.sum(of_outputs, axis=0))
        needed = tuple(each is not None for each in totals[:3])
        found = _scores.gradients(block, tile, second, needed)
        if found is not None:
            places = block.of_first, block.of_second(part), (block.outs,)
            for total, place, gradient in zip(totals, places, found, strict=False):
                if total is not None:
                    total.take(place, gradient)
            continue
        if of_first:
            more = _with_second(block, tile, second, "dq" if d_q is None else "dq more")
            d_q = more if d_q is None else _sum(d_q, more)
        if totals.x2 is not None:
            _add_second(block, totals.x2, tile, part)
    if d_q is not None:
        _with_first(block, d_q, totals)


def _sum(total: Array, more: Array) -> Array:
    total += more
    return total


def _slopes_of_tile(block: Block, slopes: Slopes, part: slice, second: Array) -> Array | None:
    """C, a tile; None where all of it is 0."""
    work = block.work
    xp = work.xp
    tile = places = None
    if slopes.places is not None:
        places = block.of_rows(slopes.places, 1) - part.start
    if slopes.lse is not None:
        lse = _finite(xp, block.of_rows(slopes.lse))
        tile = work.exponentials(block.leave_out(block.scores(second, True), part), lse)
        tile *= block.of_rows(slopes.shares)[:, None]
    elif places is None or not _any((places >= 0) & (places < second.shape[-2])):
        return None
    else:
        tile = work.full((prod(block.shape), second.shape[-2]), 0.0)
    if slopes.even is not None:
        even = xp.broadcast_to(block.of_rows(slopes.even)[:, None], tile.shape)
        tile += block.leave_out(xp.asarray(even, copy=True), part, 0.0)
    if places is not None:
        tile = work.add(tile, places, block.of_rows(slopes.at_places, 1))
        tile = block.leave_out(tile, part, 0.0)
    return tile


def _with_second(block: Block, tile: Array, second: Array, name: str) -> Array:
    """dq[..., r, j] = Σ_m C[..., r, m] · x2[..., m, j], in the shape of q, in scratch."""
    xp = block.work.xp
    if prod(second.shape[:-2]) == 1:
        matrix = xp.reshape(second, tuple(second.shape[-2:]))
        found = block.work.product(name, tile, matrix)
    else:
        found = block.work.product(name, xp.reshape(tile, _of_tile(block, tile)), second)
    full = (*block.leading, block.q.shape[-2], block.q.shape[-1])
    return unbroadcast(xp.reshape(found, full), tuple(block.q.shape))


def _add_second(block: Block, d_2: Total, tile: Array, part: slice) -> None:
    """dx2[..., m, j] += Σ_r C[..., r, m] · q[..., r, j]"""
    xp, q = block.work.xp, block.q
    place = block.of_second(part)
    shape = tuple(d_2.array[place].shape)
    if prod(shape[:-2]) == 1 and tuple(q.shape[:-2]) == block.leading:
        more = block.work.product("dx2", tile.T, xp.reshape(q, (tile.shape[0], q.shape[-1])))
    else:
        more = block.work.product("dx2", xp.reshape(tile, _of_tile(block, tile)).mT, q)
        more = unbroadcast(more, shape)
    d_2.add(place, xp.reshape(more, shape))


def _of_tile(block: Block, tile: Array) -> Shape:
    return (*block.leading, prod(block.shape[-2:]), tile.shape[-1])


def _with_first(block: Block, d_q: Array, totals: Totals) -> None:
    """dx1[n, i] = Σ_oj dq[n, o, j] · W[o, i, j];  dW[o, i, j] = Σ_n x1[n, i] · dq[n, o, j]"""
    work, pairs, xp = block.work, block.pairs, block.work.xp
    x1 = block.x1
    outputs, features_1, features_2 = block.outputs, x1.shape[-1], pairs.weight.shape[-1]
    rows = prod(x1.shape[:-1])
    d_q = xp.reshape(d_q, (rows, outputs * features_2))
    first = xp.reshape(x1, (rows, features_1))
    if totals.weight is not None:
        step = max(1, BLOCK // work.itemsize // max(outputs * features_2, 1))
        for g, own_first, own_q in block.by_group.runs(first, d_q):
            for part in slices(features_1, step):
                more = work.product("dW", own_first[:, part].T, own_q)
                more = xp.reshape(more, (part.stop - part.start, outputs, features_2))
                own = (block.outs, part, slice(0, features_2))
                totals.weight.add(own if g is None else (g, *own), swapped(xp, more))
    if totals.x1 is not None:
        matrix = lambda g: block.matrix(g).T  # noqa: E731
        found = block.by_group.product(d_q, matrix, partial(work.product, "dx1"))
        totals.x1.add(block.of_first, xp.reshape(found, tuple(x1.shape)))


# ------------------------------------------------------------------------- results


def add(array: Array, index: Any, value: Array) -> Array:
    """The array with something added to a part."""
    if library(array) == "jax":
        return array.at[index].add(value)
    array[index] += value
    return array
