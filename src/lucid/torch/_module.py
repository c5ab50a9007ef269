"""The layer, and how a whole model gets it."""

from __future__ import annotations

import warnings
from typing import NoReturn, TypeVar

from torch import Tensor, nn
from torch.nn.utils.parametrize import type_before_parametrizations

from .._errors import LibraryError
from . import _graph
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
    Two layers of PyTorch Geometric that are bilinear forms over edges compute by `bilinear` then
    too: `NNConv` and DimeNet's `InteractionBlock` (docs/edges.md). `unswap` is the way back.

    Warns (UserWarning) of subclasses that are left alone, by their names in the model, and where
    the model has no bilinear layer at all. Raises LibraryError for what is no `torch.nn.Module`.

    >>> import torch
    >>> from lucid.torch import swap, unswap
    >>> model = torch.nn.ModuleDict({"score": torch.nn.Bilinear(3, 4, 5)})
    >>> weight = model["score"].weight
    >>> type(swap(model)["score"]), model["score"].weight is weight
    (<class 'lucid.torch.Bilinear'>, True)
    >>> type(unswap(model)["score"])
    <class 'torch.nn.modules.linear.Bilinear'>
    """
    _refuse_others("swap", module)
    layers = _layers(module)
    for each in layers.values():
        _become(each, nn.Bilinear, Bilinear)
    classes = _graph.classes()
    of_graphs = [each for each in module.modules() if type(each) in classes]
    for each in of_graphs:
        each.__class__ = classes[type(each)]
    others = [
        f"'{name}' ({type_before_parametrizations(each).__name__})"
        for name, each in layers.items()
        if not isinstance(each, Bilinear)
    ]
    if others:
        warnings.warn(
            f"swap: left alone {', '.join(others)}: a subclass of torch.nn.Bilinear may compute "
            "something else; derive it from lucid.torch.Bilinear to have it swapped",
            stacklevel=2,
        )
    if not layers and not of_graphs:
        warnings.warn(
            f"swap: there is no torch.nn.Bilinear in this {type(module).__name__}, nothing was "
            "changed; calls of torch.nn.functional.bilinear become lucid.torch.bilinear by hand",
            stacklevel=2,
        )
    return module


def unswap(module: Module) -> Module:
    """Make every `lucid.torch.Bilinear` in a model a `torch.nn.Bilinear`, in place; returns it.

    The way back of `swap`: for whoever must see PyTorch's own layer, by its class.

    Raises LibraryError for what is no `torch.nn.Module`.

    >>> from lucid.torch import Bilinear, unswap
    >>> type(unswap(Bilinear(3, 4, 5)))
    <class 'torch.nn.modules.linear.Bilinear'>
    """
    _refuse_others("unswap", module)
    for each in _layers(module).values():
        _become(each, Bilinear, nn.Bilinear)
    theirs = {own: each for each, own in _graph.classes().items()}
    for each in module.modules():
        each.__class__ = theirs.get(type(each), type(each))
    return module


def _layers(module: nn.Module) -> dict[str, nn.Bilinear]:
    """The bilinear layers of a model, by their names in it."""
    return {
        name or type(each).__name__: each
        for name, each in module.named_modules()
        if isinstance(each, nn.Bilinear)
    }


def _become(layer: nn.Bilinear, old: type[nn.Bilinear], new: type[nn.Bilinear]) -> None:
    """Give a layer of exactly the old class the new one."""
    if type_before_parametrizations(layer) is not old:
        return
    if type(layer) is old:
        layer.__class__ = new
    else:  # the class that a parametrization has made for this one layer
        type(layer).__bases__ = (new,)


def _refuse_others(function: str, module: object) -> None:
    if not isinstance(module, nn.Module):
        raise LibraryError(
            f"{function}: module is {type(module).__name__}, expected a torch.nn.Module"
        )


Bilinear.__module__ = "lucid.torch"
