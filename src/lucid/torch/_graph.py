"""Layers of PyTorch Geometric that are bilinear forms over edges, computed by `bilinear`.

`swap` gives them these classes: the numbers are the same, and no edge's weight or message is held.
Nothing here imports PyTorch Geometric: where it has not been imported, there are no such layers.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from .._arrays import Array
from ._bilinear import bilinear
from ._rows import sum_rows

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_CONV_HOOKS = ("propagate", "message", "aggregate", "message_and_aggregate", "edge_update")


def classes() -> dict[type[nn.Module], type[nn.Module]]:
    """Their classes that are known so far, and for each the one that computes by `bilinear`."""
    found = {}
    for module, name, forward in (
        ("torch_geometric.nn.conv.nn_conv", "NNConv", _convolve),
        ("torch_geometric.nn.models.dimenet", "InteractionBlock", _interact),
    ):
        theirs = getattr(sys.modules.get(module), name, None)
        if theirs is not None:
            found[theirs] = _computing(theirs, forward)
    return found


@cache
def _computing(theirs: type[nn.Module], forward: Any) -> type[nn.Module]:
    """A class like theirs with another forward, which has theirs to fall back on."""
    return type(
        theirs.__name__,
        (theirs,),
        {"forward": forward, "__module__": "lucid.torch", "__doc__": forward.__doc__},
    )


def _convolve(
    self: Any, x: Any, edge_index: Any, edge_attr: Tensor | None = None, size: Any = None
) -> Tensor:
    """Edge-conditioned convolution, without a weight for each edge.

    out[t, o] = Σ_e→t Σ_i x[s(e), i] · (Σ_h L[i, o, h] · hidden[e, h] + b[i, o])

    where L and b are the last layer of the network that makes the weights: so this is the bilinear
    form of x and hidden with the weight L[o, i, h], and b is a product with x.
    """
    theirs = super(type(self), self).forward
    pair = (x, x) if isinstance(x, Tensor) else tuple(x)
    hidden, last = _hidden(self.nn)
    if not (
        isinstance(edge_index, Tensor)
        and not edge_index.is_sparse
        and edge_attr is not None
        and self.aggr in ("add", "sum", "mean")
        and self.flow == "source_to_target"
        and pair[1] is not None
        and last is not None
        and not self.explain
        and not any(
            getattr(self, f"_{name}_forward{kind}_hooks", None)
            for name in _CONV_HOOKS
            for kind in ("_pre", "")
        )
        and getattr(self, "decomposed_layers", 1) == 1
    ):
        return theirs(x, edge_index, edge_attr, size)  # type: ignore[no-any-return]
    source, target = edge_index
    first, second = pair
    for layer in hidden:
        edge_attr = layer(edge_attr)
    outputs, targets = self.out_channels, second.size(0)
    weight = last.weight.view(-1, outputs, last.weight.shape[-1]).permute(1, 0, 2)
    out = bilinear(first, edge_attr, weight, index_1=source, segment=target, num_segments=targets)
    if last.bias is not None:
        out = out + sum_rows(first @ last.bias.view(-1, outputs), source, target, targets)
    if self.aggr == "mean":
        counts = torch.bincount(target, minlength=targets).clamp(min=1)
        out = out / counts.to(out.dtype)[:, None]
    if self.root_weight:
        out = out + self.lin(second)
    return out if self.bias is None else out + self.bias


def _hidden(network: Any) -> tuple[list[nn.Module], Any]:
    """The layers of a network before its last one, and that, if it is linear and nobody watches."""
    layers = list(network) if type(network) is nn.Sequential else [network]
    last = layers[-1] if layers else None
    watched = any(getattr(each, hooks, None) for each in (network, last) for hooks in _HOOKS)
    is_linear = any(each.__name__ == "Linear" for each in type(last).__mro__[:1])
    if watched or not is_linear or getattr(last, "weight", None) is None:
        return [], None
    return layers[:-1], last


def _interact(self: Any, x: Array, rbf: Array, sbf: Array, idx_kj: Array, idx_ji: Array) -> Tensor:
    """DimeNet's interaction, without a row for each triplet.

    The message into an edge is a bilinear form of an angle's features with those of the edge before
    it, summed over the triplets that end in the edge.
    """
    x_ji, x_kj = self.act(self.lin_ji(x)), self.act(self.lin_kj(x))
    x_kj = x_kj * self.lin_rbf(rbf)
    x_kj = bilinear(
        self.lin_sbf(sbf), x_kj, self.W, index_2=idx_kj, segment=idx_ji, num_segments=x.size(0)
    )
    h = x_ji + x_kj
    for layer in self.layers_before_skip:
        h = layer(h)
    h = self.act(self.lin(h)) + x
    for layer in self.layers_after_skip:
        h = layer(h)
    return h
