"""Reductions over all pairs as PyTorch's autograd records them, to every order.

On the CPU the tiles are computed in the tensors' own memory, seen as NumPy's arrays. A gradient
that is itself recorded is written in PyTorch's operations, tile by tile, under its checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .._arrays import Array, is_array, mixture
from .._errors import LibraryError
from ..kernels import _recorded, _reductions as kernels
from ..kernels._pairs import check_pairs
from ..kernels._reductions import Slopes, Target
from ..kernels._torch import array_of, promoted

NAMES = ("input_1", "input_2", "weight", "bias", "mask", "exclude", "group")


def check_tensors(function: str, **arguments: Any) -> None:
    """Raise LibraryError for an argument that is no tensor."""
    for name, tensor in arguments.items():
        if tensor is not None and not isinstance(tensor, Tensor):
            mixed = mixture(function, {name: tensor, "others": torch.zeros(0)})
            raise (mixed if is_array(tensor) and mixed else None) or LibraryError(
                f"{function}: {name} is {type(tensor).__name__}, expected a torch tensor; "
                "torch.as_tensor makes one of numbers, lists and arrays"
            )


def raw(function: str, **arguments: Any) -> Any:
    """A tensor as the array that is computed with: NumPy's on the CPU, in the same memory."""
    ((_, tensor),) = arguments.items()
    if tensor is None:
        return None
    check_tensors(function, **arguments)
    tensor = tensor.detach()
    if not tensor.is_cpu:
        return tensor
    if tensor.dtype == torch.bfloat16:  # which NumPy lacks
        tensor = tensor.float()
    return array_of(tensor)


class Call:
    """The arguments of a call, checked: the raw pairs, and the factors as they were given."""

    def __init__(self, name: str, *given: Any) -> None:
        arrays = [raw(name, **{key: each}) for key, each in zip(NAMES, given, strict=True)]
        self.pairs = check_pairs(name, *arrays)
        x1, x2, weight, bias, *_ = given
        bias = None if bias is None else bias.reshape(-1)
        self.factors = (x1, x2, weight, bias)
        self.dtype = promoted([each for each in self.factors if each is not None])
        self.device = x1.device

    def tensor(self, array: Array) -> Tensor:
        """What was computed, as a tensor."""
        return torch.from_numpy(array) if isinstance(array, np.ndarray) else array

    def raw(self, tensor: Any) -> Any:
        return None if tensor is None else raw("bilinear", g=tensor)

    def gradients(
        self, factors: Any, slopes: Slopes, needed: tuple[bool, ...]
    ) -> tuple[Tensor | None, ...]:
        """Those needed: by raw tiles, or recorded."""
        if not torch.is_grad_enabled():
            of_arrays = Slopes(*(
                each if isinstance(each, np.ndarray) else self.raw(each) for each in slopes
            ))  # fmt: skip
            need_1, need_2, need_weight, need_bias = needed
            asked = (need_1, need_2, need_weight, need_bias)
            found = kernels.gradients(self.pairs, of_arrays, asked)
            return tuple(
                None if each is None else self.tensor(each).to(of.dtype)
                for each, of in zip(found, factors, strict=True)
            )
        sums = torch.float64 if self.dtype == torch.float64 else torch.float32
        wide = [None if each is None else each.to(sums) for each in factors]
        recorded = _recorded.gradients(torch, _checkpointed, self.tensor, self.pairs, wide, slopes)
        return tuple(
            each.to(of.dtype) if wanted else None
            for each, of, wanted in zip(recorded, factors, needed, strict=True)
        )


def _checkpointed(function: Callable[..., Any]) -> Callable[..., Any]:
    return partial(checkpoint, function, use_reentrant=False)


class Reduced(torch.autograd.Function):
    """lse, and the losses where there is a target."""

    @staticmethod
    def forward(call: Call, target: Target | None, *_: Any) -> tuple[Tensor, Tensor]:
        if target is None:
            lse = call.tensor(kernels.logsumexp(call.pairs))
            return lse, lse.new_zeros(0)
        lse, losses = map(call.tensor, kernels.cross_entropy(call.pairs, target))
        return lse, losses

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.call, ctx.target, *factors = inputs
        ctx.save_for_backward(*factors, output[0])

    @staticmethod
    def backward(ctx: Any, *g: Any) -> Any:
        *factors, lse = ctx.saved_tensors
        slopes = Slopes(shares=g[0])
        if ctx.target is not None:
            of_lse, of_loss = g
            slopes = kernels.of_cross_entropy(
                ctx.call.pairs, ctx.target, of_lse, of_loss, ctx.call.tensor
            )
        slopes = slopes._replace(lse=lse)
        return None, None, *ctx.call.gradients(factors, slopes, ctx.needs_input_grad[2:])


class Best(torch.autograd.Function):
    """The k largest scores and whose they are."""

    @staticmethod
    def forward(call: Call, k: int, *_: Any) -> tuple[Tensor, Tensor]:
        values, indices = kernels.topk(call.pairs, k)
        return call.tensor(values), call.tensor(indices)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.call, _, *factors = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(*factors, output[1])

    @staticmethod
    def backward(ctx: Any, g: Any, _: Any) -> Any:
        *factors, places = ctx.saved_tensors
        slopes = Slopes(places=ctx.call.raw(places), at_places=g)
        return None, None, *ctx.call.gradients(factors, slopes, ctx.needs_input_grad[2:])
