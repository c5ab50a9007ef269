"""The gradients of chosen scores (`topk`, `max`): each row meets its own partners, and no tile.

dq[r]  = Σ_k b[r, k] · x2[t[r, k]],    dx2[m] = Σ_rk [t[r, k] = m] · b[r, k] · q[r]
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from .._arrays import Array
from .._shapes import unbroadcast
from . import _native
from ._pairs import part_of
from ._rows import add_rows


def gradients(
    block: Any, places: Array, slopes: Array, d_2: Array | None, d_bias: Array | None,
    of_first: bool,
) -> Array | None:  # fmt: skip
    """dq in the shape of q, if wanted; the others are added to. `places` are -1 where none is."""
    work: Any = block.work  # in place
    xp, pairs = work.xp, block.pairs
    x2, outputs, features = pairs.x2, block.outputs, pairs.x2.shape[-1]
    count, leading = prod(block.shape), tuple(x2.shape[:-2])
    whole = (*block.leading, prod(block.shape[-2:]), features)
    # which of x2's leading positions each row meets
    at = xp.reshape(work.count(0, prod(leading)), (*leading, 1, 1))
    at = part_of(at, block.box, slice(0, 1), slice(0, 1))
    at = xp.reshape(xp.broadcast_to(at, block.shape), (-1,))
    if d_bias is not None:
        sums = xp.sum(xp.where(places >= 0, slopes, 0), axis=1)
        d_bias[block.outs] += xp.sum(xp.reshape(sums, (-1, outputs)), axis=0)
    if not of_first and d_2 is None:
        return None
    d_q = work.scratch("dq", (count, features)) if of_first else None
    shape = (*block.x1.shape[:-2], *whole[-2:])
    if work.is_numpy and _compiled(block, at, places, slopes, d_2, d_q):
        return None if d_q is None else unbroadcast(xp.reshape(d_q, whole), shape)
    if d_q is not None:
        d_q[...] = 0.0
    q = xp.reshape(xp.broadcast_to(block.q, whole), (count, features)) if d_2 is not None else None
    for k in range(places.shape[1]):
        (rows,) = work.nonzero(places[:, k] >= 0)
        own, slope, position = places[rows, k], slopes[rows, k], at[rows]
        if d_q is not None:
            index: tuple[Any, ...] = (own,)
            if leading:
                index = (*xp.unravel_index(position, leading), own)
            d_q[rows] += slope[:, None] * work.wide(x2[index])
        if q is not None and d_2 is not None:
            _add_rows(work.is_numpy, d_2, position * x2.shape[-2] + own, slope[:, None] * q[rows])
    if d_q is None:
        return None
    return unbroadcast(xp.reshape(d_q, whole), shape)


def _compiled(
    block: Any, at: Array, places: Array, slopes: Array, d_2: Array | None, d_q: Array | None
) -> bool:
    """The same by the compiled kernel, where it takes them; dq is written."""
    work, x2 = block.work, block.pairs.x2
    partners, features = x2.shape[-2:]
    if x2.dtype != work.dtype or not (x2.ndim == 2 or x2.flags.c_contiguous):
        return False  # a half, or rows that lie anywhere
    q = None
    if d_2 is not None:
        whole = (*block.leading, *block.q.shape[-2:])
        q = np.broadcast_to(block.q, whole).reshape(-1, *whole[-2:])
        d_2 = d_2.reshape(-1, features)
    places = np.where(places >= 0, places + at[:, None] * partners, -1)
    return bool(_native.chosen_gradients(
        np.ascontiguousarray(places, np.int64), np.ascontiguousarray(slopes, work.dtype), q,
        x2.reshape(-1, features), d_q, d_2,
    ))  # fmt: skip


def _add_rows(is_numpy: bool, total: Array, index: Array, rows: Array) -> None:
    """total[index[n]] += rows[n], of all rows of all leading positions; `total` is contiguous."""
    total = total.reshape(-1, total.shape[-1])
    if not is_numpy:
        total.index_add_(0, index, rows)
    else:
        add_rows(total, np.ascontiguousarray(index, np.int64), rows)
