"""The layer that looks up rows of a table."""

from __future__ import annotations

from typing import Any

from .._arguments import COUNT, check
from .._arrays import DType
from .._random import Generator
from .._recording import no_grad
from ..ops._create import zeros
from . import functional, init
from ._module import Module
from ._parameter import Parameter
from .functional._embedding import check_padding


class Embedding(Module):
    """A table of vectors, looked up by number; see `functional.embedding`.

    `weight` (num_embeddings, embedding_dim) is drawn from N(0, 1); the row `padding_idx` starts at
    0 and gets no gradient.

    >>> layer = nn.Embedding(10, 3)
    >>> layer([[1, 2], [3, 4]]).shape
    (2, 2, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        generator: Generator | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        check("Embedding", COUNT, num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        check_padding("Embedding", padding_idx, num_embeddings)
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        self.weight = Parameter(zeros((num_embeddings, embedding_dim), dtype=dtype))
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the table anew."""
        init.normal_(self.weight, generator=generator)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0.0

    def forward(self, input: Any) -> Any:
        """The vectors (..., embedding_dim) of numbers (...)."""
        return functional.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        """The arguments the layer was made with."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
