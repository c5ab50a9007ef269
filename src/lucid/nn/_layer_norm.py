"""The layer that normalises its features."""

from __future__ import annotations

from typing import Any

from .._arguments import NOT_NEGATIVE, TRUTH, check
from .._arrays import DType
from ..ops._create import ones, zeros
from . import functional
from ._module import Module
from ._parameter import Parameter
from .functional._layer_norm import check_normalized_shape


class LayerNorm(Module):
    """Bring the last axes to mean 0 and variance 1, then scale and shift.

    See `functional.layer_norm`. `weight` starts at 1 and `bias` at 0, both of the shape
    `normalized_shape`; with `elementwise_affine=False` there are none.

    >>> nn.LayerNorm(2)(lucid.Tensor([[1.0, 1.0]]))
    Tensor([[0.0, 0.0]], grad=None)
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        shape = check_normalized_shape("LayerNorm", normalized_shape)
        check("LayerNorm", NOT_NEGATIVE, eps=eps)
        check("LayerNorm", TRUTH, elementwise_affine=elementwise_affine, bias=bias)
        self.normalized_shape = shape
        self.eps = eps
        affine = elementwise_affine
        self.weight = Parameter(ones(shape, dtype=dtype)) if affine else None
        self.bias = Parameter(zeros(shape, dtype=dtype)) if affine and bias else None

    def forward(self, input: Any) -> Any:
        """The normalised input, in its shape."""
        return functional.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The arguments the layer was made with."""
        shape = self.normalized_shape
        return f"{shape[0] if len(shape) == 1 else shape}, eps={self.eps}"
