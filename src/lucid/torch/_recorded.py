"""The bilinear form as PyTorch's autograd records it.

Two functions, `Form` and `Gradients`, record each other in both directions, as
`kernels/_closure.py` says, and are closed under `vmap`: derivatives of every order exist.

In eager mode they are autograd functions, because these have forward mode, and cost least. What is
being compiled, traced or dispatched to a mode calls the operators of `_operators.py`, which have
the same rules. What is being exported runs where lucid may not be, and is written in PyTorch's own.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import compress
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import unwrap_if_dead
from torch.autograd import forward_ad, profiler
from torch.nn import Parameter

from .._arrays import Array, is_array, mixture
from .._errors import LibraryError
from .._shapes import Shape
from ..kernels._arguments import Needed, check, factors_of
from ..kernels._closure import derivatives, spread
from . import _compute, _vmap

_dispatched = torch._C._len_torch_dispatch_stack
_tracing = torch._C._get_tracing_state
_transforms = torch._C._are_functorch_transforms_active

_PLAIN = frozenset((Tensor, Parameter))
_PLAIN_OR_NONE = _PLAIN | {type(None)}

_NOTHING = (False, False, False)

_LEAST_KEPT = 500_000
"""Numbers of x1 times those of the weight, below which the kernel keeps nothing."""


def bilinear(
    x1: Array, x2: Array, weight: Array, bias: Array | None = None, each: bool = False
) -> Array:
    """The form, recorded by whoever looks on; with `each`, one weight for each element."""
    if _is_traced() or not (
        type(x1) in _PLAIN and type(x2) in _PLAIN and type(weight) in _PLAIN
        and (bias is None or type(bias) in _PLAIN)
    ):  # fmt: skip
        refuse_others(input_1=x1, input_2=x2, weight=weight, bias=bias)
        if "torch.distributed.tensor" in sys.modules and not torch.compiler.is_dynamo_compiling():
            _know_shardings()
        if torch.compiler.is_exporting() and not each:
            return _compute.written_out(x1, x2, weight, bias)
        return torch.ops.lucid.bilinear(x1, x2, weight, bias, each)
    if _is_watched():
        if not each:  # in the caller's terms, before `vmap` puts axes together
            check(x1, x2, weight, bias)
        return Form.apply(x1, x2, weight, bias, each)
    if torch.is_grad_enabled() and (
        x1.requires_grad or x2.requires_grad or weight.requires_grad
        or (bias is not None and bias.requires_grad)
    ):  # fmt: skip
        if x1.numel() * weight.numel() < _LEAST_KEPT:
            return Form.record(x1, x2, weight, bias, each)
        needed = x1.requires_grad, x2.requires_grad, weight.requires_grad
        out, _ = Keeping.record(x1, x2, weight, bias, each, needed)
        return out
    if profiler._is_profiler_enabled:  # which sees autograd's functions by itself
        with torch.profiler.record_function("lucid.bilinear"):
            return _compute.bilinear(x1, x2, weight, bias, each)
    return _compute.bilinear(x1, x2, weight, bias, each)


def gradients(
    g: Array, x1: Array | None, x2: Array | None, weight: Array | None,
    shape_1: Shape, shape_2: Shape, needed: tuple[bool, ...], each: bool = False,
    kept: Array | None = None,
) -> Sequence[Array | None]:  # fmt: skip
    """The gradients, None for those not needed, recorded by whoever looks on.

    With a fourth flag also the bias', but only where nobody looks on and the kernel has it.
    """
    arguments = (g, x1, x2, weight)
    if _is_traced() or not _PLAIN_OR_NONE.issuperset(map(type, arguments)):
        found = torch.ops.lucid.bilinear_gradients(*arguments, shape_1, shape_2, needed[:3], each)
        return [one if wanted else None for one, wanted in zip(found, needed, strict=False)]
    if _is_watched():
        return spread(Gradients.apply(*arguments, shape_1, shape_2, needed[:3], each), needed[:3])
    if torch.is_grad_enabled() and any(a is not None and a.requires_grad for a in arguments):
        return spread(Gradients.record(*arguments, shape_1, shape_2, needed[:3], each), needed[:3])
    # nothing is recorded: autograd wants each gradient in the dtype of its argument
    return _compute.gradients(*arguments, shape_1, shape_2, needed, each, True, kept)


def _needed_gradients(*arguments: Any) -> tuple[Array, ...]:
    return tuple(each for each in gradients(*arguments) if each is not None)


def _know_shardings() -> None:
    """Tell DTensor how the operators are divided; it is there, and one of its tensors may be."""
    from ._sharding import register

    register()


def refuse_others(**arguments: Any) -> None:
    for name, value in arguments.items():
        if value is None and name in ("input_1", "input_2", "weight"):
            check(*arguments.values())  # which says which axes were expected
        elif value is not None and not isinstance(value, Tensor):
            mixed = mixture("bilinear", arguments) if is_array(value) else None
            raise mixed or LibraryError(
                f"bilinear: {name} is {type(value).__name__}, expected a torch tensor; "
                "torch.as_tensor makes one of numbers, lists and arrays"
            )


def _is_traced() -> bool:
    """Whether somebody looks at the operators that are called, not at their numbers."""
    return torch.compiler.is_compiling() or _dispatched() > 0 or _tracing() is not None


def _is_watched() -> bool:
    """Whether a transformation of `torch.func` or forward mode is active."""
    return _transforms() or forward_ad._current_level >= 0


class _Function(torch.autograd.Function):
    _apply: Any  # without what is below

    def __init_subclass__(cls) -> None:
        own: Any = super(torch.autograd.Function, cls)
        cls._apply = own.apply

    @classmethod
    def record(cls, *arguments: Any) -> Any:
        """`apply` where no transformation is active.

        PyTorch's own binds the arguments to an `inspect.signature` first, for 15 µs of 25.
        """
        return cls._apply(*[unwrap_if_dead(a) if isinstance(a, Tensor) else a for a in arguments])


class Form(_Function):
    """out[..., o] = Σ_ij x1[..., i] · W[o, i, j] · x2[..., j] + bias[o]"""

    forward: Any = staticmethod(_compute.bilinear)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Array) -> None:
        x1, x2, weight, bias, ctx.each = inputs
        ctx.save_for_backward(*factors_of(None, x1, x2, weight, ctx.needs_input_grad[:3])[1:])
        ctx.save_for_forward(x1, x2, weight)
        ctx.set_materialize_grads(False)
        ctx.shape, ctx.dtype = output.shape, output.dtype
        ctx.shapes = x1.shape, x2.shape, bias if bias is None else bias.shape
        ctx.real = _real([output], inputs[:4]) if output.is_complex() else None

    @staticmethod
    def backward(ctx: Any, g: Array | None, *_: None) -> tuple[Array | None, ...]:
        if g is None:
            return None, None, None, None, None
        x1, x2, weight, *kept = (
            map(_conjugate, ctx.saved_tensors) if ctx.real else ctx.saved_tensors
        )
        shape_1, shape_2, bias_shape = ctx.shapes
        needed = ctx.needs_input_grad[: 3 if ctx.each else 4]
        d_1 = d_2 = d_weight = d_bias = None
        if True in needed[:3]:
            d_1, d_2, d_weight, *others = gradients(
                g, x1, x2, weight, shape_1, shape_2, needed, ctx.each, *kept
            )
            if others:
                (d_bias,) = others
        if ctx.needs_input_grad[3]:
            d_bias = g.sum_to_size(bias_shape[-1]) if d_bias is None else d_bias
            if len(bias_shape) > 1:
                d_bias = d_bias.reshape(bias_shape)
        return *_real_parts((d_1, d_2, d_weight, d_bias), ctx.real), None

    @staticmethod
    def jvp(ctx: Any, *tangents: Array | None) -> Array | None:
        *changes, t_bias, _ = tangents
        with _outer_tangents():
            factors = map(_primal, ctx.saved_tensors)
            tangent, *_ = _derivatives(ctx, (None, *factors), (None, *changes), (True, *_NOTHING))
            if t_bias is not None:
                of_bias = t_bias.reshape(-1).expand(ctx.shape)
                tangent = of_bias if tangent is None else tangent + of_bias
            return tangent if tangent is None else tangent.to(ctx.dtype)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *arguments: Any) -> tuple[Array, int]:
        return _vmap.form(bilinear, info.batch_size, in_dims, *arguments)


class Keeping(Form):
    """The same where nothing but its gradients can be asked for: with a product kept for them."""

    forward = staticmethod(_compute.bilinear_keeping)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        out, kept = output
        Form.setup_context(ctx, inputs[:5], out)
        if kept is not None:
            ctx.save_for_backward(*ctx.to_save, kept)

    @staticmethod
    def backward(ctx: Any, g: Array | None, *_: None) -> tuple[Array | None, ...]:
        return *Form.backward(ctx, g), None


class Gradients(_Function):
    """The gradients of `Form`, given that of its result: those needed, as a tuple.

    dx1[..., i] = Σ_oj g[..., o] · W[o, i, j] · x2[..., j]
    dx2[..., j] = Σ_oi g[..., o] · W[o, i, j] · x1[..., i]
    dW[o, i, j] = Σ_...  g[..., o] · x1[..., i] · x2[..., j]
    """

    @staticmethod
    def forward(
        g: Array, x1: Array | None, x2: Array | None, weight: Array | None,
        shape_1: Shape, shape_2: Shape, needed: tuple[bool, ...], each: bool,
    ) -> tuple[Array, ...]:  # fmt: skip
        found = _compute.gradients(g, x1, x2, weight, shape_1, shape_2, needed, each)
        return tuple(gradient for gradient in found if gradient is not None)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Array, ...]) -> None:
        *factors, shape_1, shape_2, ctx.needed, ctx.each = inputs
        ctx.shapes = tuple(shape_1), tuple(shape_2)
        ctx.save_for_backward(*factors)
        ctx.save_for_forward(*factors)
        ctx.set_materialize_grads(False)
        ctx.real = _real(output, factors)

    @staticmethod
    def backward(ctx: Any, *given: Array | None) -> tuple[Array | None, ...]:
        factors = map(_conjugate, ctx.saved_tensors) if ctx.real else ctx.saved_tensors
        changes = None, *spread(given, ctx.needed)
        found = _derivatives(ctx, tuple(factors), changes, ctx.needs_input_grad[:4])
        return *_real_parts(found, ctx.real), None, None, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Array | None) -> tuple[Array | None, ...]:
        with _outer_tangents():
            factors = [each if each is None else _primal(each) for each in ctx.saved_tensors]
            found = _derivatives(ctx, factors, tangents[:4], (False, *ctx.needed))
            return tuple(compress(found[1:], ctx.needed))

    @staticmethod
    def vmap(info: Any, in_dims: Any, *arguments: Any) -> tuple[Any, Any]:
        return _vmap.gradients(_needed_gradients, info.batch_size, in_dims, *arguments)


# What a profiler shows
for _function, _name in (
    (Form, "lucid.bilinear"),
    (Keeping, "lucid.bilinear"),
    (Gradients, "lucid.bilinear_gradients"),
):
    _function.__name__ = _name
    _function._backward_cls.__name__ = f"{_name}.backward"


def _outer_tangents() -> AbstractContextManager[None]:
    """In a transformation within a transformation, a tangent may have a tangent.

    PyTorch switches forward mode off in a `jvp` rule, so that nested ones lose terms
    (github.com/pytorch/pytorch/issues/197867).
    """
    if torch._C._are_functorch_transforms_active():
        return forward_ad._set_fwd_grad_enabled(True)
    return nullcontext()


def _primal(x: Array) -> Array:
    return forward_ad.unpack_dual(x).primal


def _derivatives(
    ctx: Any, factors: Sequence[Array | None], changes: Sequence[Array | None],
    wanted: Sequence[bool],
) -> list[Array | None]:  # fmt: skip
    """The rule of the form and of its gradients, in both directions."""

    def form(x1: Array, x2: Array, weight: Array) -> Array:
        return bilinear(x1, x2, weight, None, ctx.each)

    def contract(
        g: Array, x1: Array, x2: Array, weight: Array, needed: Needed
    ) -> Sequence[Array | None]:
        shape_1, shape_2, *_ = ctx.shapes
        return gradients(g, x1, x2, weight, shape_1, shape_2, needed, ctx.each)

    return derivatives(form, contract, factors, changes, wanted)


def _real(results: Sequence[Array], arguments: Sequence[Array | None]) -> list[bool] | None:
    """Which arguments are real, where a result is complex."""
    if any(each.is_complex() for each in results):
        return [a is not None and not a.is_complex() for a in arguments]
    return None


def _conjugate(factor: Array | None) -> Array | None:
    return factor if factor is None else factor.conj()


def _real_parts(
    found: Sequence[Array | None], real: Sequence[bool] | None
) -> Sequence[Array | None]:
    """The gradients of real arguments of a complex result are real."""
    if real is None:
        return found
    return [
        d.real if d is not None and is_real and d.is_complex() else d
        for d, is_real in zip(found, real, strict=True)
    ]
