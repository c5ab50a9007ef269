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

MOST_KEPT = 64
"""Of the largest scores of a row, up to which each is put in its place as it is found."""


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


def ranks(block: Any, places: Array) -> Array | None:
    """The ranks (R, K) of the places among each row's scores."""
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
    found[np.isnan(own)] = np.nan
    return found


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
