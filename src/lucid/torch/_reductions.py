"""Reductions over all pairs for tensors of PyTorch, recorded by PyTorch's own autograd.

On the CPU the tiles are computed in the tensors' own memory, seen as NumPy's arrays. A gradient
that is itself recorded is written in PyTorch's operations, tile by tile, under its checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .._arrays import Array, is_array, mixture
from .._errors import LibraryError
from ..kernels import _recorded, _reductions as kernels
from ..kernels._pairs import check_k, check_loss, check_pairs, check_target, with_shares
from ..kernels._reductions import Partners, Slopes, Target
from ..kernels._torch import promoted

Function = TypeVar("Function", bound=Callable[..., Any])


def _outside_of_graphs(function: Function) -> Function:
    """A function that `torch.compile` calls as it is, between two graphs."""

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        if torch.compiler.is_compiling():
            return torch.compiler.disable(function)(*arguments, **options)
        return function(*arguments, **options)

    return call  # type: ignore[return-value]


@_outside_of_graphs
def bilinear_logsumexp(
    input_1: Tensor, input_2: Tensor, weight: Tensor, bias: Tensor | None = None, *,
    mask: Tensor | None = None, exclude: Tensor | None = None, group: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """`lucid.nn.functional.bilinear_logsumexp` for tensors of PyTorch.

        out[..., n, o] = log Σ_m exp(scores[..., n, m, o])

    PyTorch's autograd records it, to every order; `torch.compile` breaks its graph around it.

    >>> import torch
    >>> from lucid.torch import bilinear_logsumexp
    >>> bilinear_logsumexp(torch.ones(4, 2), torch.zeros(8, 3), torch.ones(1, 2, 3)).shape
    torch.Size([4, 1])
    """
    call = _Call("bilinear_logsumexp", input_1, input_2, weight, bias, mask, exclude, group)
    lse, _ = _Reduced.apply(call, None, *call.factors)
    return lse.to(call.dtype)


@_outside_of_graphs
def bilinear_cross_entropy(
    input_1: Tensor, input_2: Tensor, weight: Tensor, bias: Tensor | None = None, *,
    target: Tensor, mask: Tensor | None = None, exclude: Tensor | None = None,
    group: Tensor | None = None, ignore_index: int = -100, label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """`lucid.nn.functional.bilinear_cross_entropy` for tensors of PyTorch.

        loss[..., n, o] = log Σ_m exp(scores[..., n, m, o]) - scores[..., n, target[..., n, o], o]

    >>> import torch
    >>> from lucid.torch import bilinear_cross_entropy
    >>> h, others = torch.ones(2, 2), torch.zeros(8, 3)
    >>> bilinear_cross_entropy(h, others, torch.ones(1, 2, 3), target=torch.tensor([0, 1]))
    tensor(2.0794)
    """
    name = "bilinear_cross_entropy"
    check_loss(
        name, ignore_index=ignore_index, label_smoothing=label_smoothing, reduction=reduction
    )
    call = _Call(name, input_1, input_2, weight, bias, mask, exclude, group)
    given = check_target(name, call.pairs, _raw(name, target=target), ignore_index)
    places, shares, kept = with_shares(call.pairs, given, ignore_index)
    _, losses = _Reduced.apply(call, Target(places, shares, float(label_smoothing)), *call.factors)
    if reduction != "none":
        losses = losses.sum()
        if reduction == "mean":
            losses = losses / max(kept, 1)
    return losses.to(call.dtype)


@_outside_of_graphs
def bilinear_topk(
    input_1: Tensor, input_2: Tensor, weight: Tensor, bias: Tensor | None = None, *, k: int,
    mask: Tensor | None = None, exclude: Tensor | None = None, group: Tensor | None = None,
) -> Partners:  # fmt: skip
    """`lucid.nn.functional.bilinear_topk` for tensors of PyTorch: (values, indices).

    >>> import torch
    >>> from lucid.torch import bilinear_topk
    >>> others = torch.tensor([[1.0], [4.0], [2.0]])
    >>> bilinear_topk(torch.ones(1, 1), others, torch.ones(1, 1, 1), k=2).indices
    tensor([[[1, 2]]])
    """
    call = _Call("bilinear_topk", input_1, input_2, weight, bias, mask, exclude, group)
    check_k("bilinear_topk", call.pairs, k)
    values, indices = _Best.apply(call, k, *call.factors)
    return Partners(values.to(call.dtype), indices)


@_outside_of_graphs
def bilinear_max(
    input_1: Tensor, input_2: Tensor, weight: Tensor, bias: Tensor | None = None, *,
    mask: Tensor | None = None, exclude: Tensor | None = None, group: Tensor | None = None,
) -> Partners:  # fmt: skip
    """`lucid.nn.functional.bilinear_max` for tensors of PyTorch: (values, indices).

    >>> import torch
    >>> from lucid.torch import bilinear_max
    >>> others = torch.tensor([[1.0], [4.0], [2.0]])
    >>> bilinear_max(torch.ones(1, 1), others, torch.ones(1, 1, 1)).indices
    tensor([[1]])
    """
    call = _Call("bilinear_max", input_1, input_2, weight, bias, mask, exclude, group)
    check_k("bilinear_max", call.pairs, 1)
    values, indices = _Best.apply(call, 1, *call.factors)
    return Partners(values[..., 0].to(call.dtype), indices[..., 0])


@_outside_of_graphs
def bilinear_rank(
    input_1: Tensor, input_2: Tensor, weight: Tensor, bias: Tensor | None = None, *,
    target: Tensor, mask: Tensor | None = None, exclude: Tensor | None = None,
    group: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """`lucid.nn.functional.bilinear_rank` for tensors of PyTorch.

        rank = 1 + #{m : s[m] > s[t]} + ½ · #{m ≠ t : s[m] = s[t]},   t = target

    >>> import torch
    >>> from lucid.torch import bilinear_rank
    >>> others = torch.tensor([[1.0], [4.0], [2.0], [2.0]])
    >>> h, target = torch.ones(1, 1), torch.tensor([2])
    >>> bilinear_rank(h, others, torch.ones(1, 1, 1), target=target)
    tensor([[2.5000]])
    """
    name = "bilinear_rank"
    call = _Call(name, input_1, input_2, weight, bias, mask, exclude, group)
    given = _raw(name, target=target)
    found = call.tensor(kernels.rank(call.pairs, check_target(name, call.pairs, given, None)))
    several = len(given.shape) > len(call.pairs.shape)
    return found if several else found[..., 0]


def _raw(function: str, **arguments: Any) -> Any:
    """A tensor as the array that is computed with: NumPy's on the CPU, in the same memory."""
    ((name, tensor),) = arguments.items()
    if tensor is None:
        return None
    if not isinstance(tensor, Tensor):
        mixed = mixture(function, {name: tensor, "others": torch.zeros(0)})
        raise (mixed if is_array(tensor) and mixed else None) or LibraryError(
            f"{function}: {name} is {type(tensor).__name__}, expected a torch tensor; "
            "torch.as_tensor makes one of numbers, lists and arrays"
        )
    tensor = tensor.detach()
    if not tensor.is_cpu:
        return tensor
    if tensor.dtype == torch.bfloat16:  # which NumPy lacks
        tensor = tensor.float()
    return tensor.resolve_neg().resolve_conj().numpy()


class _Call:
    """The arguments of a call, checked: the raw pairs, and the factors as they were given."""

    def __init__(self, name: str, *given: Any) -> None:
        names = ("input_1", "input_2", "weight", "bias", "mask", "exclude", "group")
        raw = [_raw(name, **{key: each}) for key, each in zip(names, given, strict=True)]
        self.pairs = check_pairs(name, *raw)
        x1, x2, weight, bias, *_ = given
        bias = None if bias is None else bias.reshape(-1)
        self.factors = (x1, x2, weight, bias)
        self.dtype = promoted([each for each in self.factors if each is not None])
        self.device = x1.device

    def tensor(self, array: Array) -> Tensor:
        """What was computed, as a tensor."""
        return torch.from_numpy(array) if isinstance(array, np.ndarray) else array

    def raw(self, tensor: Any) -> Any:
        return None if tensor is None else _raw("bilinear", g=tensor)

    def gradients(
        self, factors: Any, slopes: Slopes, needed: tuple[bool, ...]
    ) -> tuple[Tensor | None, ...]:
        """Those needed: by raw tiles, or recorded."""
        if not torch.is_grad_enabled():
            raw = Slopes(*(
                each if isinstance(each, np.ndarray) else self.raw(each) for each in slopes
            ))  # fmt: skip
            need_1, need_2, need_weight, need_bias = needed
            asked = (need_1, need_2, need_weight, need_bias)
            found = kernels.gradients(self.pairs, raw, asked)
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


class _Reduced(torch.autograd.Function):
    """lse, and the losses where there is a target."""

    @staticmethod
    def forward(call: _Call, target: Target | None, *_: Any) -> tuple[Tensor, Tensor]:
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


class _Best(torch.autograd.Function):
    """The k largest scores and whose they are."""

    @staticmethod
    def forward(call: _Call, k: int, *_: Any) -> tuple[Tensor, Tensor]:
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
