"""Reductions over all pairs for tensors of PyTorch, recorded by PyTorch's own autograd.

In eager mode they are the autograd functions of `_reduced.py`. What is being compiled, traced or
transformed by `torch.func` goes through `_reduction_operators.py`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..kernels import _reductions as kernels
from ..kernels._pairs import check_k, check_loss, check_pairs, check_target, with_shares
from ..kernels._reductions import Partners, Target
from ..kernels._torch import promoted
from . import _reduction_operators as operators
from ._reduced import NAMES, Best, Call, Reduced, check_tensors, raw


def _is_seen(*given: Any) -> bool:
    """Whether it is an operator that is called, for a tracer or `torch.func`."""
    return operators.is_traced(*given) or torch._C._are_functorch_transforms_active()


def _check(name: str, *given: Any, **own: Any) -> None:
    """Shapes and dtypes in the caller's terms, before `vmap` puts axes together."""
    if torch.compiler.is_dynamo_compiling():  # which would go through every line of it
        if any(each is None for each in own.values()):
            torch.compiler.disable(_check)(name, *given, **own)
        return
    target = own.get("target")
    check_tensors(name, **dict(zip(NAMES, given, strict=True)), target=target)
    pairs = check_pairs(name, *given, has_values=False)
    if "target" in own:
        check_target(name, pairs, target, None, has_values=False)
    if "k" in own:
        check_k(name, pairs, own["k"])


def _dtype(*factors: Any) -> torch.dtype:
    return promoted([each for each in factors if each is not None])


def bilinear_logsumexp(
    input_1: Tensor, input_2: Tensor, weight: Tensor, bias: Tensor | None = None, *,
    mask: Tensor | None = None, exclude: Tensor | None = None, group: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """`lucid.nn.functional.bilinear_logsumexp` for tensors of PyTorch.

        out[..., n, o] = log Σ_m exp(scores[..., n, m, o])

    PyTorch's autograd records it, to every order. Under `torch.func` and `torch.compile` it is an
    operator, with one order of derivatives.

    >>> import torch
    >>> from lucid.torch import bilinear_logsumexp
    >>> bilinear_logsumexp(torch.ones(4, 2), torch.zeros(8, 3), torch.ones(1, 2, 3)).shape
    torch.Size([4, 1])
    """
    name, given = "bilinear_logsumexp", (input_1, input_2, weight, bias, mask, exclude, group)
    if _is_seen(*given):
        _check(name, *given)
        lse, _ = operators.reduced(*given, None, 0, 0.0)
        return lse.to(_dtype(*given[:4]))
    call = Call(name, *given)
    lse, _ = Reduced.apply(call, None, *call.factors)
    return lse.to(call.dtype)


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
    given = (input_1, input_2, weight, bias, mask, exclude, group)
    kept: Any
    if _is_seen(*given, target):
        _check(name, *given, target=target)
        _, losses = operators.reduced(*given, target, ignore_index, float(label_smoothing))
        dtype, kept = _dtype(*given[:4]), _count_kept(losses, target, ignore_index)
    else:
        call = Call(name, *given)
        places = check_target(name, call.pairs, raw(name, target=target), ignore_index)
        places, shares, kept = with_shares(call.pairs, places, ignore_index)
        _, losses = Reduced.apply(
            call, Target(places, shares, float(label_smoothing)), *call.factors
        )
        dtype, kept = call.dtype, max(kept, 1)
    if reduction != "none":
        losses = losses.sum()
        if reduction == "mean":
            losses = losses / kept
    return losses.to(dtype)


def _count_kept(losses: Tensor, target: Tensor, ignore_index: int) -> Tensor:
    """How many losses have a target, at least 1."""
    kept = target != ignore_index
    if kept.ndim > losses.ndim:
        kept = kept.any(-1)
    elif kept.ndim < losses.ndim:
        kept = kept[..., None]
    return kept.expand(losses.shape).sum().clamp(min=1)


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
    given = (input_1, input_2, weight, bias, mask, exclude, group)
    return _best("bilinear_topk", k, *given)


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
    given = (input_1, input_2, weight, bias, mask, exclude, group)
    values, indices = _best("bilinear_max", 1, *given)
    return Partners(values[..., 0], indices[..., 0])


def _best(name: str, k: int, *given: Any) -> Partners:
    if _is_seen(*given):
        _check(name, *given, k=k)
        values, indices = operators.best(*given, k, name)
        return Partners(values.to(_dtype(*given[:4])), indices)
    call = Call(name, *given)
    check_k(name, call.pairs, k)
    values, indices = Best.apply(call, k, *call.factors)
    return Partners(values.to(call.dtype), indices)


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
    given = (input_1, input_2, weight, bias, mask, exclude, group)
    if _is_seen(*given, target):
        _check(name, *given, target=target)
        plain = (None if each is None else each.detach() for each in given)
        found = operators.ranks(*plain, target)
        return found if target.ndim > max(input_1.ndim, input_2.ndim) else found[..., 0]
    call = Call(name, *given)
    places = check_target(name, call.pairs, raw(name, target=target), None)
    found = call.tensor(kernels.rank(call.pairs, places))
    return found if target.ndim > len(call.pairs.shape) else found[..., 0]
