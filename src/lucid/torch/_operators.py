"""The form and its gradients as operators of PyTorch: what a compiler or a tracer sees of them.

Their rules are those of the autograd functions. They lack forward mode, which operators that are
registered from Python cannot have.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import Any

import torch
from torch.library import custom_op, register_autograd, register_fake, register_vmap

from .._arrays import Array
from ..kernels._arguments import check
from ..kernels._torch import promoted
from . import _compute
from ._recorded import Form, Gradients

FORM, GRADIENTS = "lucid::bilinear", "lucid::bilinear_gradients"


@custom_op(
    FORM,
    mutates_args=(),
    schema="(Tensor input_1, Tensor input_2, Tensor weight, Tensor? bias, bool each) -> Tensor",
)
def _form(input_1: Array, input_2: Array, weight: Array, bias: Array | None, each: bool) -> Array:
    return _compute.bilinear(input_1, input_2, weight, bias, each)


@register_fake(FORM)
def _(input_1: Array, input_2: Array, weight: Array, bias: Array | None, each: bool) -> Array:
    if not each:
        check(input_1, input_2, weight, bias)
    factors = [x for x in (input_1, input_2, weight, bias) if x is not None]
    leading = torch.broadcast_shapes(input_1.shape[:-1], input_2.shape[:-1])
    if each:
        leading = torch.broadcast_shapes(input_1.shape[1:-1], input_2.shape[1:-1])
        leading = (input_1.shape[0], *leading)
    return weight.new_empty((*leading, weight.shape[-3]), dtype=promoted(factors))


# Operators return a fixed number of tensors: what is not needed is an empty one.


@custom_op(
    GRADIENTS,
    mutates_args=(),
    schema=(
        "(Tensor g, Tensor? input_1, Tensor? input_2, Tensor? weight, SymInt[] shape_1, "
        "SymInt[] shape_2, bool[] needed, bool each) -> (Tensor, Tensor, Tensor)"
    ),
)
def _gradients(
    g: Array, input_1: Array | None, input_2: Array | None, weight: Array | None,
    shape_1: Sequence[int], shape_2: Sequence[int], needed: Sequence[bool], each: bool,
) -> tuple[Array, ...]:  # fmt: skip
    if weight is not None:
        shape_1 = _own_part(shape_1, g, weight.shape[-2], each)
        shape_2 = _own_part(shape_2, g, weight.shape[-1], each)
    found = _compute.gradients(
        g, input_1, input_2, weight, tuple(shape_1), tuple(shape_2), tuple(needed), each
    )
    return tuple(g.new_empty(0) if one is None else one for one in found)


def _own_part(shape: Sequence[int], g: Array, features: int, each: bool) -> list[int]:
    """The shape of an input whose values are not there, of this device's part.

    DTensor divides tensors and leaves numbers alone; so the sizes are those of the others.
    """
    at = int(each)
    leading = g.shape[g.ndim - len(shape) + at : -1]
    own = [1 if size == 1 else n for size, n in zip(shape[at:-1], leading, strict=True)]
    return [*g.shape[:at], *own, features]


@register_fake(GRADIENTS)
def _(
    g: Array, input_1: Array | None, input_2: Array | None, weight: Array | None,
    shape_1: Sequence[int], shape_2: Sequence[int], needed: Sequence[bool], each: bool,
) -> tuple[Array, ...]:  # fmt: skip
    of_weight = (*g.shape[: int(each)], g.shape[-1], shape_1[-1], shape_2[-1])
    dtype = promoted([x for x in (g, input_1, input_2, weight) if x is not None])
    return tuple(
        g.new_empty(shape, dtype=dtype) if wanted else g.new_empty(0)
        for shape, wanted in zip((shape_1, shape_2, of_weight), needed, strict=True)
    )


def _backward_of_gradients(ctx: Any, *given: Array | None) -> Any:
    return Gradients.backward(ctx, *compress(given, ctx.needed))


def _vmap_of_gradients(info: Any, in_dims: Any, *arguments: Any) -> tuple[Any, Any]:
    needed = arguments[6]
    found, dims = (iter(each) for each in Gradients.vmap(info, in_dims, *arguments))
    nothing = arguments[0].new_empty(0)
    return (
        tuple(next(found) if wanted else nothing for wanted in needed),
        tuple(next(dims) if wanted else None for wanted in needed),
    )


register_autograd(FORM, Form.backward, setup_context=Form.setup_context)
register_autograd(GRADIENTS, _backward_of_gradients, setup_context=Gradients.setup_context)
register_vmap(FORM, Form.vmap)
register_vmap(GRADIENTS, _vmap_of_gradients)
