"""The layer, and how a whole model gets it."""

from __future__ import annotations

import warnings
from math import sqrt
from typing import Any, NoReturn, TypeVar

from torch import Tensor, empty, nn
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
    leading axes broadcast: (B, T, 1, in1) with (B, 1, T, in2) scores all pairs. With `linear_1` the
    scores have also Σ_i input1[..., i] · weight_1[o, i], with `linear_2` Σ_j input2[..., j] ·
    weight_2[o, j]; `weight_1` (out_features, in1_features) and `weight_2` (out_features,
    in2_features) are drawn as `torch.nn.Linear` draws its weight.

    >>> import torch
    >>> from lucid.torch import Bilinear
    >>> layer = Bilinear(3, 4, 5)
    >>> layer(torch.ones(2, 3), torch.ones(2, 4)).shape
    torch.Size([2, 5])
    """

    has_terms = False

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        linear_1: bool = False,
        linear_2: bool = False,
    ) -> None:
        super().__init__(in1_features, in2_features, out_features, bias, device, dtype)
        if linear_1 or linear_2:
            self.has_terms = True
            for name, features, wanted in (
                ("weight_1", in1_features, linear_1),
                ("weight_2", in2_features, linear_2),
            ):
                weight = empty(out_features, features, device=device, dtype=dtype)
                self.register_parameter(name, nn.Parameter(weight) if wanted else None)
            self._reset_terms()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        super().reset_parameters()
        if self.has_terms:
            self._reset_terms()

    def _reset_terms(self) -> None:
        for name, features in (("weight_1", self.in1_features), ("weight_2", self.in2_features)):
            weight: Any = getattr(self, name)
            if weight is not None:
                bound = 1 / sqrt(max(features, 1))
                nn.init.uniform_(weight, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """The scores: (..., in1_features) with (..., in2_features) gives (..., out_features)."""
        if self.has_terms:
            return bilinear(
                input1, input2, self.weight, self.bias,
                weight_1=self.weight_1, weight_2=self.weight_2,
            )  # fmt: skip
        return bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The arguments the layer was made with."""
        terms = ("linear_1", "linear_2") if self.has_terms else ()
        told = (
            f", {name}=True" for name in terms if getattr(self, f"weight_{name[-1]}") is not None
        )
        return super().extra_repr() + "".join(told)

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
    of_graphs = [layer for layer in module.modules() if type(layer) in classes]
    for layer in of_graphs:
        layer.__class__ = classes[type(layer)]
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

    Raises LibraryError for what is no `torch.nn.Module`, and for a layer with linear terms, which
    PyTorch's own has not.

    >>> from lucid.torch import Bilinear, unswap
    >>> type(unswap(Bilinear(3, 4, 5)))
    <class 'torch.nn.modules.linear.Bilinear'>
    """
    _refuse_others("unswap", module)
    for name, each in _layers(module).items():
        if isinstance(each, Bilinear) and each.has_terms:
            raise LibraryError(
                f"unswap: '{name}' has linear terms, which torch.nn.Bilinear has not; nothing was "
                "changed"
            )
    for each in _layers(module).values():
        _become(each, Bilinear, nn.Bilinear)
    theirs = {own: each for each, own in _graph.classes().items()}
    for layer in module.modules():
        if type(layer) in theirs:
            layer.__class__ = theirs[type(layer)]
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
