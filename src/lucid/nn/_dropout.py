"""The layer that drops elements in training."""

from __future__ import annotations

from typing import Any

from .._arguments import SHARE, check
from .._random import Generator
from . import functional
from ._module import Module


class Dropout(Module):
    """Set each element to 0 with probability p and scale the others, in training only.

    See `functional.dropout`; `eval()` makes it pass everything, `train()` drop again.

    >>> layer = nn.Dropout(0.5, generator=lucid.Generator(0))
    >>> layer(lucid.ones(4))
    Tensor([2.0, 2.0, 2.0, 0.0])
    >>> layer.eval()(lucid.ones(4))
    Tensor([1.0, 1.0, 1.0, 1.0])
    """

    def __init__(self, p: float = 0.5, *, generator: Generator | None = None) -> None:
        super().__init__()
        check("Dropout", SHARE, p=p)
        self.p = p
        self.generator = generator

    def forward(self, input: Any) -> Any:
        """The input, with elements dropped if the layer is in training."""
        return functional.dropout(input, self.p, self.training, self.generator)

    def extra_repr(self) -> str:
        """The arguments the layer was made with."""
        return f"p={self.p}"
