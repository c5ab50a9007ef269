"""The layer, and how a model gets it."""

from __future__ import annotations

from typing import TypeVar

from torch import Tensor, nn

from ._bilinear import bilinear

M = TypeVar("M", bound=nn.Module)


class Bilinear(nn.Bilinear):
    """A layer."""

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """bilinear"""
        return bilinear(input1, input2, self.weight, self.bias)


def swap(module: M) -> M:
    """Swap."""
    for each in module.modules():
        if type(each) is nn.Bilinear:
            each.__class__ = Bilinear
    return module
