"""Reductions over all pairs as a compiler, a tracer or a transformation of `torch.func` sees them.

Each is an operator and, for `torch.func`, which does not differentiate operators, an autograd
function with the same rules. It takes the arguments as its user gives them, checks their values
when it runs, and returns numbers in the dtype of sums. There are no second derivatives here: where
an autograd records, those are written in operations, tile by tile (`_reduced.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.library import custom_op, register_autograd, register_fake, register_vmap

from .._arrays import Array, is_half
from .._errors import GraphError
from ..kernels import _reductions as kernels
from ..kernels._pairs import check_k, check_pairs, check_target, with_shares
from ..kernels._reductions import Slopes, Target
from ..kernels._torch import promoted
from . import _reduction_vmap
from ._recorded import _PLAIN
from ._reduced import Call, raw

LOGSUMEXP, LOSS, RANK = "bilinear_logsumexp", "bilinear_cross_entropy", "bilinear_rank"

_PAIRS = (
    "Tensor input_1, Tensor input_2, Tensor weight, Tensor? bias, Tensor? mask, "
    "Tensor? exclude, Tensor? group"
)
_TARGET = "Tensor? target, int ignore_index, float smoothing"
_FOUR = "(Tensor, Tensor, Tensor, Tensor)"
COUNT = 7  # of arguments that say what the pairs are

_MODES = torch._C._TorchDispatchModeKey
_TRACERS = (_MODES.FAKE, _MODES.PROXY, _MODES.FUNCTIONAL)


def is_traced(*given: Any) -> bool:
    """Whether the numbers are not there, or the tensor is of a class that takes operators apart.

    A mode that only watches, such as a counter of operations, has them: there is eager mode.
    """
    return (
        torch.compiler.is_compiling()
        or torch._C._get_tracing_state() is not None
        or (
            torch._C._len_torch_dispatch_stack() > 0
            and any(torch._C._get_dispatch_mode(each) is not None for each in _TRACERS)
        )
        or any(
            isinstance(each, torch.Tensor)
            and type(each) not in _PLAIN
            and type(each).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__
            for each in given
        )
    )


def _shape(given: Sequence[Any]) -> tuple[int, ...]:
    """Of a result, (..., N, O)."""
    x1, x2, weight, *_ = given
    leading = torch.broadcast_shapes(x1.shape[:-2], x2.shape[:-2])
    return (*leading, x1.shape[-2], weight.shape[-3])


def _sums(given: Sequence[Any]) -> torch.dtype:
    dtype = promoted([each for each in given[:4] if each is not None])
    return torch.float32 if is_half(dtype) else dtype


def _target(call: Call, name: str, target: Any, ignore_index: int, smoothing: float) -> Target:
    places = check_target(name, call.pairs, raw(name, target=target), ignore_index)
    places, shares, _ = with_shares(call.pairs, places, ignore_index)
    return Target(places, shares, smoothing)


def _gradients(
    call: Call, given: Sequence[Any], slopes: Slopes, needed: Sequence[bool]
) -> tuple[Array, ...]:
    """Four, in the shapes of the arguments; an empty one where it is not needed."""
    with torch.no_grad():
        found = call.gradients(call.factors, slopes, tuple(needed))
    nothing = given[0].new_empty(0)
    return tuple(
        nothing.clone() if one is None or of is None else one.reshape(of.shape)
        for one, of in zip(found, given[:4], strict=True)
    )


def _like(given: Sequence[Any], needed: Sequence[bool]) -> tuple[Array, ...]:
    return tuple(
        torch.empty_like(of, memory_format=torch.contiguous_format)
        if wanted and of is not None
        else given[0].new_empty(0)
        for of, wanted in zip(given[:4], needed, strict=True)
    )


# ------------------------------------------------------------- logsumexp and cross-entropy


def _reduced(*arguments: Any) -> tuple[Array, Array]:
    *given, target, ignore_index, smoothing = arguments
    name = LOGSUMEXP if target is None else LOSS
    call = Call(name, *given)
    if target is None:
        lse = call.tensor(kernels.logsumexp(call.pairs))
        return lse, lse.new_empty(0)
    of = _target(call, name, target, ignore_index, smoothing)
    lse, losses = map(call.tensor, kernels.cross_entropy(call.pairs, of))
    return lse, losses


def _fake_reduced(*arguments: Any) -> tuple[Array, Array]:
    *given, target, _, _ = arguments
    name = LOGSUMEXP if target is None else LOSS
    pairs = check_pairs(name, *given, has_values=False)
    lse = given[0].new_empty(_shape(given), dtype=_sums(given))
    if target is None:
        return lse, lse.new_empty(0)
    check_target(name, pairs, target, None, has_values=False)
    return lse, torch.empty_like(lse)


def _reduced_gradients(of_lse: Array, of_loss: Array, lse: Array, *arguments: Any) -> Any:
    *given, target, ignore_index, smoothing, needed = arguments
    name = LOGSUMEXP if target is None else LOSS
    call = Call(name, *given)
    slopes = Slopes(shares=of_lse)
    if target is not None:
        of = _target(call, name, target, ignore_index, smoothing)
        slopes = kernels.of_cross_entropy(call.pairs, of, of_lse, of_loss, call.tensor)
    return _gradients(call, given, slopes._replace(lse=lse), needed)


def _fake_reduced_gradients(*arguments: Any) -> tuple[Array, ...]:
    _, _, _, *given, _, _, _, needed = arguments
    return _like(given, needed)


def _keep_reduced(ctx: Any, inputs: tuple[Any, ...], output: tuple[Array, Array]) -> None:
    *given, target, ctx.ignore_index, ctx.smoothing = inputs
    ctx.save_for_backward(*given, target, output[0])


def _reduced_backward(ctx: Any, of_lse: Array, of_loss: Array) -> tuple[Array | None, ...]:
    *given, lse = ctx.saved_tensors
    needed = list(ctx.needs_input_grad[:4])
    found = reduced_gradients(of_lse, of_loss, lse, *given, ctx.ignore_index, ctx.smoothing, needed)
    return *_wanted(found, needed), *(None,) * 6


# ------------------------------------------------------------------------ the k largest


def _best(*arguments: Any) -> tuple[Array, Array]:
    *given, k, name = arguments
    call = Call(name, *given)
    check_k(name, call.pairs, k)
    values, indices = kernels.topk(call.pairs, k)
    return call.tensor(values), call.tensor(indices)


def _fake_best(*arguments: Any) -> tuple[Array, Array]:
    *given, k, name = arguments
    check_k(name, check_pairs(name, *given, has_values=False), k)
    values = given[0].new_empty((*_shape(given), k), dtype=_sums(given))
    return values, torch.empty_like(values, dtype=torch.int64)


def _best_gradients(g: Array, indices: Array, *arguments: Any) -> Any:
    *given, needed = arguments
    call = Call("bilinear_topk", *given)
    slopes = Slopes(places=call.raw(indices), at_places=g)
    return _gradients(call, given, slopes, needed)


def _fake_best_gradients(*arguments: Any) -> tuple[Array, ...]:
    _, _, *given, needed = arguments
    return _like(given, needed)


def _keep_best(ctx: Any, inputs: tuple[Any, ...], output: tuple[Array, Array]) -> None:
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(*inputs[:COUNT], output[1])


def _best_backward(ctx: Any, g: Array, _: Any) -> tuple[Array | None, ...]:
    *given, indices = ctx.saved_tensors
    needed = list(ctx.needs_input_grad[:4])
    found = best_gradients(g, indices, *given, needed)
    return *_wanted(found, needed), *(None,) * 5


# -------------------------------------------------------------------------------- ranks


def _ranks(*arguments: Any) -> Array:
    *given, target = arguments
    call = Call(RANK, *given)
    places = check_target(RANK, call.pairs, raw(RANK, target=target), None)
    return call.tensor(kernels.rank(call.pairs, places))


def _fake_ranks(*arguments: Any) -> Array:
    *given, target = arguments
    places = check_target(
        RANK, check_pairs(RANK, *given, has_values=False), target, None, has_values=False
    )
    return given[0].new_empty((*_shape(given), places.shape[-1]), dtype=_sums(given))


# ------------------------------------------------------------------- what all have in common


def _wanted(found: Sequence[Array], needed: Sequence[bool]) -> tuple[Array | None, ...]:
    return tuple(one if wanted else None for one, wanted in zip(found, needed, strict=True))


def _keep_nothing(ctx: Any, inputs: Any, output: Any) -> None:
    pass


def _no_second_order(*_: Any) -> Any:
    raise GraphError(
        "reductions over pairs have no second derivatives under torch.func and torch.compile.\n"
        "Outside of them torch.autograd.grad(..., create_graph=True) has every order."
    )


def _known(
    name: str, schema: str, compute: Any, fake: Any, batch: Any,
    keep: Any = _keep_nothing, backward: Any = None,
) -> Callable[..., Any]:  # fmt: skip
    """Make the operator and the function, and what calls one of them."""
    operator = f"lucid::bilinear_{name}"

    def of_batch(info: Any, dims: Any, *arguments: Any) -> Any:
        return batch(call, info.batch_size, dims, *arguments)

    custom_op(operator, compute, mutates_args=(), schema=schema)
    register_fake(operator, fake)
    register_vmap(operator, of_batch)
    if backward is not None:
        register_autograd(operator, backward, setup_context=keep)
    rules = {
        "forward": staticmethod(compute), "setup_context": staticmethod(keep),
        "backward": staticmethod(backward), "vmap": staticmethod(of_batch),
    }  # fmt: skip
    function: Any = type(f"lucid.bilinear_{name}", (torch.autograd.Function,), rules)

    def call(*arguments: Any) -> Any:
        if is_traced(*arguments):
            return getattr(torch.ops.lucid, f"bilinear_{name}")(*arguments)
        return function.apply(*arguments)

    return call


reduced = _known(
    "reduced", f"({_PAIRS}, {_TARGET}) -> (Tensor, Tensor)",
    _reduced, _fake_reduced, _reduction_vmap.reduced, _keep_reduced, _reduced_backward,
)  # fmt: skip
reduced_gradients = _known(
    "reduced_gradients",
    f"(Tensor of_lse, Tensor of_loss, Tensor lse, {_PAIRS}, {_TARGET}, bool[] needed) -> {_FOUR}",
    _reduced_gradients, _fake_reduced_gradients, _reduction_vmap.reduced_gradients,
    _keep_nothing, _no_second_order,
)  # fmt: skip
best = _known(
    "best", f"({_PAIRS}, SymInt k, str name) -> (Tensor, Tensor)",
    _best, _fake_best, _reduction_vmap.best, _keep_best, _best_backward,
)  # fmt: skip
best_gradients = _known(
    "best_gradients", f"(Tensor g, Tensor indices, {_PAIRS}, bool[] needed) -> {_FOUR}",
    _best_gradients, _fake_best_gradients, _reduction_vmap.best_gradients,
    _keep_nothing, _no_second_order,
)  # fmt: skip
ranks = _known(
    "ranks", f"({_PAIRS}, Tensor target) -> Tensor",
    _ranks, _fake_ranks, _reduction_vmap.ranks, _keep_nothing, _no_second_order,
)  # fmt: skip
