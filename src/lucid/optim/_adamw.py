"""AdamW: Adam with the weight decay beside the gradient, not in it."""

from __future__ import annotations

from collections.abc import Iterable

from .._tensor import Tensor
from ._adam import Adam
from ._optimizer import Group


class AdamW(Adam):
    """Adam, where weights decay by themselves and not by way of the averages.

        p ← p - lr · λ · p
        m ← β₁ · m + (1 - β₁) · g
        v ← β₂ · v + (1 - β₂) · g²
        p ← p - lr · (m / (1 - β₁ᵗ)) / (√(v / (1 - β₂ᵗ)) + ε)

    λ is `weight_decay`; all else is as in `Adam`. Source: Loshchilov and Hutter, "Decoupled weight
    decay regularization", 2019.

    >>> p = nn.Parameter([1.0])
    >>> optimizer = lucid.optim.AdamW([p], lr=0.1, weight_decay=0.5)
    >>> (p * p).backward()
    >>> optimizer.step()
    >>> round(p.item(), 6)
    0.85
    """

    _decoupled = True

    def __init__(
        self,
        params: Iterable[Tensor | Group],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad)
