"""The layer, and how a whole model gets it."""

from __future__ import annotations

from typing import NoReturn, TypeVar

from torch import Tensor, nn
from torch.nn.utils.parametrize import type_before_parametrizations

from .._errors import LibraryError
from ._bilinear import bilinear

Module = TypeVar("Module", bound=nn.Module)


class Bilinear(nn.Bilinear):
    """Weigh every product of a feature of one input with a feature of another; see `bilinear`.

        out[..., o] = Σ_ij input1[..., i] · weight[o, i, j] · input2[..., j] + bias[o]

    A `torch.nn.Bilinear`: the same constructor, `weight` (out_features, in1_features, in2_features)
    and `bias` (out_features,) drawn from the same distribution, and the same state dict. Beyond it,
    leading axes broadcast: (B, T, 1, in1) with (B, 1, T, in2) scores all pairs.

    >>> import torch
    >>> from lucid.torch import Bilinear
    >>> layer = Bilinear(3, 4, 5)
    >>> layer(torch.ones(2, 3), torch.ones(2, 4)).shape
    torch.Size([2, 5])
    """

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """The scores: (..., in1_features) with (..., in2_features) gives (..., out_features)."""
        return bilinear(input1, input2, self.weight, self.bias)

    def __prepare_scriptable__(self) -> NoReturn:
        raise LibraryError(
            "torch.jit.script cannot compile lucid.torch.Bilinear, which is written in Python.\n"
            "Use torch.compile or torch.export instead, or torch.jit.trace."
        )


def swap(module: Module) -> Module:
    """Make every `torch.nn.Bilinear` in a model a `lucid.torch.Bilinear`, in place; returns it.

    The layers stay the objects that they are, with their parameters and buffers, hooks,
    parametrizations, device, dtype and mode, so that optimisers and whoever else shares them know
    them still; the state dict does not change. A layer of a subclass of `torch.nn.Bilinear` is left
    alone, because it may compute something else; derive it from `lucid.torch.Bilinear` instead.

    >>> import torch
    >>> from lucid.torch import swap
    >>> model = torch.nn.ModuleDict({"score": torch.nn.Bilinear(3, 4, 5)})
    >>> weight = model["score"].weight
    >>> type(swap(model)["score"]), model["score"].weight is weight
    (<class 'lucid.torch.Bilinear'>, True)
    """
    for each in module.modules():
        if type_before_parametrizations(each) is nn.Bilinear:
            if type(each) is nn.Bilinear:
                each.__class__ = Bilinear
            else:  # the class that a parametrization has made for this one layer
                type(each).__bases__ = (Bilinear,)
    return module


Bilinear.__module__ = "lucid.torch"
