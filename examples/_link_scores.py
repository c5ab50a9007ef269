"""Reductions over the scores of all pairs, in blocks of rows.

scores[n, m] = x[n] · W[group[n]] · entities[m]
"""

from __future__ import annotations

from typing import Any

import numpy as np

import lucid
import lucid.nn.functional as F  # noqa: N812 (as everybody calls it)

MOST_SCORES = 1 << 22  # that are held at once


def scores(x: Any, entities: Any, weight: Any, group: Any) -> Any:
    """The scores (n, m) of all pairs."""
    chosen = lucid.take(weight, group, axis=0)[:, 0]
    return lucid.matmul(lucid.matmul(x[:, None, :], chosen)[:, 0], entities.T)


def bilinear_cross_entropy(x: Any, entities: Any, weight: Any, *, target: Any, group: Any) -> Any:
    return F.cross_entropy(scores(x, entities, weight, group), target)


def bilinear_rank(
    x: Any, entities: Any, weight: Any, *, target: Any, group: Any, exclude: Any
) -> Any:
    step = max(1, MOST_SCORES // entities.shape[0])
    ranks = []
    for k in range(0, len(target), step):
        part = slice(k, k + step)
        found = np.array(scores(x[part], entities, weight, group[part]).numpy())
        rows = np.arange(len(found))
        right = found[rows, target[part]][:, None]
        row, place = np.nonzero(exclude[part] >= 0)
        found[row, exclude[part][row, place]] = -np.inf
        found[rows, target[part]] = -np.inf
        ranks.append(1 + (found > right).sum(axis=1) + (found == right).sum(axis=1) / 2)
    return lucid.Tensor(np.concatenate(ranks)[:, None])


def left(x: Any, entities: Any, weight: Any, group: Any, exclude: Any) -> Any:
    found = np.array(scores(x, entities, weight, group).numpy())
    if exclude is not None:
        row, place = np.nonzero(exclude >= 0)
        found[row, exclude[row, place]] = -np.inf
    return lucid.Tensor(found)


def bilinear_topk(
    x: Any, entities: Any, weight: Any, *, k: int, group: Any, exclude: Any = None
) -> Any:
    found = lucid.topk(left(x, entities, weight, group, exclude), k)
    return found.values[:, None], found.indices[:, None]


def bilinear_logsumexp(
    x: Any, entities: Any, weight: Any, *, group: Any, exclude: Any = None
) -> Any:
    return lucid.logsumexp(left(x, entities, weight, group, exclude), axis=1)[:, None]
