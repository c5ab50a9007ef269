"""The layers that multiply by a weight: Linear and Bilinear."""

from __future__ import annotations

from math import sqrt
from typing import Any

from .._arguments import COUNT, TRUTH, check
from .._arrays import DType
from .._random import Generator
from ..ops._create import zeros
from . import functional, init
from ._module import Module
from ._parameter import Parameter


class Linear(Module):
    """Weigh the features of the input, and add a bias; see `functional.linear`.

        out[..., o] = Σ_i input[..., i] · weight[o, i] + bias[o]

    `weight` (out_features, in_features) and `bias` (out_features,) are drawn evenly from
    [-b, b) with b = 1 / √in_features, as PyTorch does.

    >>> layer = nn.Linear(3, 2)
    >>> layer
    Linear(3, 2)
    >>> layer(lucid.ones((5, 3))).shape
    (5, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        generator: Generator | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        check("Linear", COUNT, in_features=in_features, out_features=out_features)
        check("Linear", TRUTH, bias=bias)
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(zeros((out_features, in_features), dtype=dtype))
        self.bias = Parameter(zeros(out_features, dtype=dtype)) if bias else None
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the parameters anew."""
        bound = 1 / sqrt(max(self.in_features, 1))
        init.uniform_(self.weight, -bound, bound, generator=generator)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound, generator=generator)

    def forward(self, input: Any) -> Any:
        """The weighted features, (..., out_features), of an input (..., in_features)."""
        return functional.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The arguments the layer was made with."""
        bias = "" if self.bias is not None else ", bias=False"
        return f"{self.in_features}, {self.out_features}{bias}"


class Bilinear(Module):
    """Weigh every product of a feature of one input with a feature of the other.

        out[..., o] = Σ_ij input_1[..., i] · weight[o, i, j] · input_2[..., j] + bias[o]

    See `functional.bilinear`. `weight` (out_features, in1_features, in2_features) is drawn from the
    normal distribution of variance 1 / (in1_features · in2_features), and `bias` (out_features,)
    starts at 0: so inputs of variance 1 give outputs of variance 1. (The common choice, evenly
    within ±1 / √in1_features, forgets that the sum also runs over in2_features: it gives outputs
    of variance in2_features / 3.)

    With `linear_1` the outputs have also Σ_i input_1[..., i] · weight_1[o, i], with `linear_2`
    Σ_j input_2[..., j] · weight_2[o, j]. `weight_1` (out_features, in1_features) and `weight_2`
    (out_features, in2_features) are drawn as `Linear` draws its weight, and None otherwise.

    >>> layer = nn.Bilinear(3, 4, 2)
    >>> layer(lucid.ones((5, 3)), lucid.ones((5, 4))).shape
    (5, 2)
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        *,
        linear_1: bool = False,
        linear_2: bool = False,
        generator: Generator | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        check(
            "Bilinear",
            COUNT,
            in1_features=in1_features,
            in2_features=in2_features,
            out_features=out_features,
        )
        check("Bilinear", TRUTH, bias=bias, linear_1=linear_1, linear_2=linear_2)
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features

        def parameter(*shape: int) -> Parameter:
            return Parameter(zeros(shape, dtype=dtype))

        self.weight = parameter(out_features, in1_features, in2_features)
        self.bias = parameter(out_features) if bias else None
        self.weight_1 = parameter(out_features, in1_features) if linear_1 else None
        self.weight_2 = parameter(out_features, in2_features) if linear_2 else None
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the weights anew, and set the bias to 0."""
        init.bilinear_normal_(self.weight, generator=generator)
        if self.bias is not None:
            init.zeros_(self.bias)
        for weight in (self.weight_1, self.weight_2):
            if weight is not None:
                bound = 1 / sqrt(max(weight.shape[1], 1))
                init.uniform_(weight, -bound, bound, generator=generator)

    def forward(self, input_1: Any, input_2: Any) -> Any:
        """The outputs (..., out_features) for inputs (..., in1_features), (..., in2_features)."""
        return functional.bilinear(
            input_1, input_2, self.weight, self.bias,
            weight_1=self.weight_1, weight_2=self.weight_2,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """The arguments the layer was made with."""
        told = [str(self.in1_features), str(self.in2_features), str(self.out_features)]
        told += [] if self.bias is not None else ["bias=False"]
        told += [] if self.weight_1 is None else ["linear_1=True"]
        told += [] if self.weight_2 is None else ["linear_2=True"]
        return ", ".join(told)
