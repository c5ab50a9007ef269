"""The scores of a block reduced by the compiled kernel, which writes no more of them than a tile.

It takes NumPy's arrays, and so tensors of PyTorch in the processor's memory; where it declines,
None is returned.
"""

from __future__ import annotations

from math import inf, prod
from typing import Any

import numpy as np

from .._arrays import Array
from . import _native
from ._pairs import part_of
from ._plan import BLOCK

ALL = (True, True, True)
"""The gradients that a product may be kept for."""

MOST_KEPT = 64
"""Of the largest scores of a row, up to which each is put in its place as it is found."""


def tile(block: Any, x2: Array, for_gradients: bool) -> Array | None:
    """The scores (R, M) in one call from x1, x2 and the weight, where a tile is all of a block.

    For gradients the block keeps what spares them a product.
    """
    if not _is_paired(block):
        return None
    x1, second, weight = _paired(block, x2)
    found: Any = None
    if for_gradients:
        found, block.kept = _native.bilinear_keeping(x1, second, weight, None, ALL) or (None, None)
    else:
        room = block.work.scratch("scores", (*block.leading, x1.shape[-3], x2.shape[-2], 1))
        found = _native.bilinear_into(x1, second, weight, None, room)
    return None if found is None else found.reshape(prod(block.shape), x2.shape[-2])


def gradients(block: Any, slopes: Array, x2: Array, needed: tuple[bool, ...]) -> Any:
    """Those of the block's x1, of x2 and of the weight, from those of the scores, the same way."""
    if not _is_paired(block):
        return None
    x1, second, weight = _paired(block, x2)
    g = slopes.reshape(*block.leading, x1.shape[-3], x2.shape[-2], 1)
    if block.kept is None:
        found = _native.gradients(g, x1, second, weight, needed)
    else:
        found = _native.gradients_kept(g, x1, second, weight, needed, block.kept)
    if found is None:
        return None
    like = block.x1, x2, block.pairs.weight
    return tuple(
        None if each is None else each.reshape(of.shape)
        for each, of in zip(found, like, strict=True)
    )


def _is_paired(block: Any) -> bool:
    return (
        block.work.xp is np
        and block.whole is not None
        and block.outputs == 1
        and block.width >= block.pairs.partners
        and block.whole.nbytes <= BLOCK  # its gradient is made of each block
    )


def _paired(block: Any, x2: Array) -> tuple[Array, Array, Array]:
    """Each row of x1 with each of x2, and their weight (1, I, J)."""
    return block.x1[..., :, None, :], x2[..., None, :, :], block.whole[None]


def best(block: Any, k: int) -> tuple[Array, Array] | None:
    """The k largest scores (R, k) and whose they are; -∞ and -1 where fewer are left."""
    if not 0 < k <= MOST_KEPT or block.work.xp is not np:
        return None
    values = np.full((prod(block.shape), k), -inf, block.work.dtype)
    indices = np.full(values.shape, -1, np.int64)
    for part, x2 in block.tiles():
        if not _native.best_scores(*_arguments(block, part, x2), values, indices):
            return None
    return values, indices


def ranks(block: Any, places: Array) -> tuple[Array, Array] | None:
    """The ranks (R, K) of the places among each row's scores, and their own scores."""
    if block.work.xp is not np:
        return None
    places = _whole(places)
    own, found = np.zeros(places.shape, block.work.dtype), np.ones(places.shape, block.work.dtype)
    is_one = block.width >= block.pairs.partners
    for part, x2 in () if is_one else block.tiles():
        q, second, bias, *_, start = _arguments(block, part, x2, leave_out=False)
        if not _native.scores_at(q, second, bias, None, None, start, places, own):
            return None
    for part, x2 in block.tiles():
        arguments = _arguments(block, part, x2)
        if not _native.compare_scores(*arguments, places, own, not is_one, found):
            return None
    return found, own


def _arguments(block: Any, part: slice, x2: Array, leave_out: bool = True) -> tuple[Any, ...]:
    """q (S, R, J), x2 (S or 1, m, J), bias, what is kept (S·R, m), exclude, the first partner."""
    if prod(x2.shape[:-2]) == 1:
        q = block.q.reshape(1, prod(block.q.shape[:-1]), x2.shape[-1])
        second = x2.reshape(1, *x2.shape[-2:])
    else:
        q, second = (
            np.broadcast_to(each, (*block.leading, *each.shape[-2:])).reshape(
                prod(block.leading), *each.shape[-2:]
            )
            for each in (block.q, x2)
        )
    kept, mask = None, block.pairs.mask
    if leave_out and mask is not None:
        # (..., n, m, o) → (..., n, o, m)
        mask = part_of(mask, block.box, block.rows, part, block.outs).mT
        kept = np.broadcast_to(mask, (*block.shape, x2.shape[-2]))
        kept = np.ascontiguousarray(kept).reshape(prod(block.shape), x2.shape[-2])
    excluded = None if block.excluded is None else _whole(block.excluded)
    return q, second, block.bias, kept, excluded, part.start


def _whole(numbers: Array) -> Array:
    return np.ascontiguousarray(numbers, np.int64)
