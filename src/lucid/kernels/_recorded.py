"""The gradients of reductions over pairs, written in operations that somebody's autograd records.

The same sums as in `_reductions.py`, which has the formulas, tile by tile; each block, and in it
each tile, goes through the autograd's `checkpoint`, so that a block is all that is held of q, and a
tile all that is held of the scores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import inf, prod
from typing import Any

from .._arrays import Array, Namespace
from .._shapes import unbroadcast
from ._layout import slices
from ._pairs import Pairs, part_of
from ._reductions import Block, Slopes, blocks, swapped

Checkpoint = Callable[[Callable[..., Any]], Callable[..., Any]]


def gradients(
    xp: Namespace,
    checkpoint: Checkpoint,
    constant: Callable[[Array], Any],
    pairs: Pairs,
    factors: Sequence[Any],
    slopes: Slopes,
) -> tuple[Any, ...]:
    """The gradients of input_1, input_2, weight and bias (or None).

    `pairs` has the raw arrays, `factors` input_1, input_2, weight and bias as what is recorded, in
    the dtype of sums; so are the numbers of `slopes`. `constant` makes a raw array one of these.
    """
    x1, x2, weight, bias = factors
    d_1, d_2, d_weight = _Pieces(xp, x1), _Pieces(xp, x2), _Pieces(xp, weight)
    d_bias = None if bias is None else _Pieces(xp, bias)
    for block in blocks(pairs):
        steps = _Steps(xp, checkpoint, constant, block, slopes)
        own_x1 = part_of(x1, block.box, block.rows, slice(0, x1.shape[-1]))
        own_x2 = part_of(x2, block.box, slice(0, x2.shape[-2]), slice(0, x2.shape[-1]))
        own_weight = weight[(..., block.outs, slice(None), slice(None))]
        rows = [
            None if each is None else block.of_rows(each, more, xp)
            for each, more in zip(
                (slopes.lse, slopes.shares, slopes.at_places, slopes.even),
                (0, 0, 1, 0),
                strict=True,
            )
        ]
        own_bias = None if bias is None else bias[block.outs]
        found = checkpoint(steps.block)(own_x1, own_x2, own_weight, own_bias, *rows)
        features = slice(0, x1.shape[-1]), slice(0, x2.shape[-1])
        d_1.add((*block.box, block.rows, features[0]), found[0])
        d_2.add((*block.box, slice(0, x2.shape[-2]), features[1]), found[1])
        groups = [slice(0, size) for size in weight.shape[:-3]]
        d_weight.add((*groups, block.outs, *features), found[2])
        if d_bias is not None:
            d_bias.add((block.outs,), found[3])
    return tuple(None if each is None else each.joined() for each in (d_1, d_2, d_weight, d_bias))


class _Steps:
    """What is done to one block; numbers come as arguments, so that they are recorded."""

    def __init__(
        self, xp: Namespace, checkpoint: Checkpoint, constant: Callable[[Array], Any],
        block: Block, slopes: Slopes,
    ) -> None:  # fmt: skip
        self.xp, self.checkpoint, self.constant = xp, checkpoint, constant
        self.at = block
        self.places = None if slopes.places is None else block.of_rows(slopes.places, 1)
        self.by_group = block.by_group.recorded(constant)

    def block(
        self, x1: Any, x2: Any, weight: Any, bias: Any, lse: Any, a: Any, b: Any, c: Any
    ) -> tuple[Any, ...]:
        xp, at = self.xp, self.at
        rows = prod(x1.shape[:-1])
        outputs, features_1, features_2 = weight.shape[-3:]
        flat = xp.reshape(x1, (rows, features_1))

        def matrix(g: int | None) -> Any:
            """(O, I, J) → (I, O · J)"""
            own = weight if g is None else weight[g]
            return xp.reshape(swapped(xp, own), (features_1, outputs * features_2))

        q = self.by_group.product(flat, matrix)
        q = xp.reshape(q, (*x1.shape[:-2], prod(at.shape[-2:]), features_2))
        if bias is not None:
            bias = xp.reshape(
                xp.broadcast_to(bias, at.shape), (*at.leading, prod(at.shape[-2:]), 1)
            )

        d_q, d_x2, d_rows = None, [], None
        for part in slices(at.pairs.partners, at.width):
            run = self.checkpoint(partial(self.tile, part))
            second = x2[(..., part, slice(None))]
            of_q, of_second, of_rows = run(q, second, bias, lse, a, b, c)
            d_q = of_q if d_q is None else d_q + of_q
            d_rows = of_rows if d_rows is None else d_rows + of_rows
            d_x2.append(of_second)

        d_q = xp.reshape(d_q, (rows, outputs * features_2))
        d_1 = self.by_group.product(d_q, lambda g: matrix(g).mT)
        shape = features_1, outputs, features_2
        of_groups = {
            g: swapped(xp, xp.reshape(first.mT @ second, shape))
            for g, first, second in self.by_group.runs(flat, d_q)
        }
        d_weight = of_groups.get(None)
        if d_weight is None:
            nothing = xp.zeros_like(weight[0])
            d_weight = xp.stack([of_groups.get(g, nothing) for g in range(weight.shape[0])])
        d_bias = None if bias is None else xp.sum(xp.reshape(d_rows, (-1, outputs)), axis=0)
        return xp.reshape(d_1, x1.shape), _concat(xp, d_x2, -2), d_weight, d_bias

    def tile(
        self, part: slice, q: Any, x2: Any, bias: Any, lse: Any, a: Any, b: Any, c: Any
    ) -> tuple[Any, Any, Any]:
        """C · x2, Cᵀ · q and Σ_m C of one tile."""
        xp, at = self.xp, self.at
        shape = (*at.leading, prod(at.shape[-2:]), x2.shape[-2])
        flat = (prod(at.shape), x2.shape[-2])
        kept = at.leave_out(at.work.full(flat, 1.0), part, 0.0) > 0
        kept = self.constant(kept)
        tile = self.constant(at.work.full(flat, 0.0))
        if lse is not None:
            scores = q @ x2.mT
            if bias is not None:
                scores = scores + bias
            scores = xp.reshape(xp.broadcast_to(scores, shape), flat)
            minus = xp.where(xp.isinf(lse), xp.zeros_like(lse), lse)[:, None]
            # exp(-∞) is 0, and so are its derivatives
            lowest = xp.full_like(scores, -inf)
            tile = a[:, None] * xp.exp(xp.where(kept, scores - minus, lowest))
        zero = xp.zeros_like(tile)
        if c is not None:
            tile = tile + xp.where(kept, xp.broadcast_to(c[:, None], flat), zero)
        if b is not None and self.places is not None:
            columns = at.work.count(part.start, part.stop)
            for k in range(self.places.shape[1]):
                is_here = self.constant(self.places[:, k : k + 1] == columns)
                here = xp.broadcast_to(b[:, k : k + 1], flat)
                tile = tile + xp.where(xp.logical_and(is_here, kept), here, zero)
        tile = xp.reshape(tile, shape)
        of_q = unbroadcast(tile @ x2, tuple(q.shape))
        of_x2 = unbroadcast(tile.mT @ q, tuple(x2.shape))
        return of_q, of_x2, xp.sum(xp.reshape(tile, flat), axis=1)


class _Pieces:
    """A gradient made of parts: a grid, or the same part several times."""

    def __init__(self, xp: Namespace, of: Any) -> None:
        self.xp, self.of = xp, of
        self.parts: dict[tuple[tuple[int, int], ...], Any] = {}

    def add(self, box: tuple[slice, ...], part: Any) -> None:
        own = box[len(box) - len(self.of.shape) :]
        key = tuple(
            (0, 1) if size == 1 else (each.start, each.stop)
            for each, size in zip(own, self.of.shape, strict=True)
        )
        before = self.parts.get(key)
        self.parts[key] = part if before is None else before + part

    def joined(self) -> Any:
        if not self.parts:
            nothing = self.xp.zeros_like(self.of)
            # recorded too, so that somebody who goes on finds a derivative
            return self.xp.where(nothing != 0, self.of, nothing)
        return _join(self.xp, self.parts, 0)


def _join(xp: Namespace, parts: dict[tuple[tuple[int, int], ...], Any], axis: int) -> Any:
    if len(parts) == 1:
        return next(iter(parts.values()))
    along: dict[tuple[int, int], dict[tuple[tuple[int, int], ...], Any]] = {}
    for key, part in sorted(parts.items(), key=lambda pair: pair[0]):
        along.setdefault(key[axis], {})[key] = part
    return _concat(xp, [_join(xp, some, axis + 1) for some in along.values()], axis)


def _concat(xp: Namespace, parts: list[Any], axis: int = 0) -> Any:
    return parts[0] if len(parts) == 1 else xp.concat(parts, axis=axis)
