"""Which settings a step can be made with: beside those of `_arguments`, the pair of Adam's."""

from __future__ import annotations

from typing import Any

from .._arguments import SHARE, Expected


def _forget(betas: Any) -> bool:
    pair = isinstance(betas, (tuple, list)) and len(betas) == 2
    return pair and all(SHARE.holds(beta) and beta < 1 for beta in betas)


BETAS = Expected("two numbers, 0 ≤ β < 1", _forget)
