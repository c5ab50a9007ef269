"""The front door: `bilinear` for tensors of PyTorch."""

from __future__ import annotations

from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_variadic

from . import _operators, _recorded  # noqa: F401


def bilinear(
    input_1: Tensor, input_2: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    """Weigh every product of a feature of `input_1` with a feature of `input_2`.

    out[..., o] = Σ_ij input_1[..., i] · weight[o, i, j] · input_2[..., j] + bias[o]
    """
    if has_torch_function_variadic(input_1, input_2, weight, bias):
        return handle_torch_function(
            bilinear, (input_1, input_2, weight, bias), input_1, input_2, weight, bias=bias
        )
    return _recorded.bilinear(input_1, input_2, weight, bias)
