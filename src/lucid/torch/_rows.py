"""Rows that are chosen by index, grouped or summed by target, as PyTorch's autograd records them.

    Q(g, x1, W, x2) = Σ_e Σ_oij g[s(e), o] · x1[p(e), i] · W[r(e), o, i, j] · x2[q(e), j]

As without the maps s, p, q and r (see `_recorded.py`), two functions record each other. A third one
moves rows between groups and targets, for the bias, and is closed by itself. Each is an operator
too, for what is compiled or traced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op, register_autograd, register_fake

from .._arrays import Array
from ..kernels import _nodes as kernels
from ..kernels._arguments import Needed, factors_of
from ..kernels._closure import derivatives, of_needed
from ..kernels._nodes import memory_of
from ..kernels._rows import FIRST, RESULT, WEIGHT, Rows, moved, rows_of
from ..kernels._torch import promoted
from . import _device_rows
from ._compute import refuse_kinds
from ._recorded import (
    _PLAIN,
    _conjugate,
    _Function,
    _is_traced,
    _is_watched,
    _real,
    _real_parts,
    refuse_others,
)

NAMES = ("group", "offsets", "index_1", "index_2", "segment")


def bilinear(
    x1: Array, x2: Array, weight: Array, bias: Array | None, maps: dict[str, Any],
    weight_1: Array | None = None, weight_2: Array | None = None,
) -> Tensor:  # fmt: skip
    """The form where a keyword is given, recorded by whoever looks on.

    A linear term is a form of one input with the number 1.
    """
    refuse_others(input_1=x1, input_2=x2, weight=weight, bias=bias)
    refuse_kinds(input_1=x1, input_2=x2, weight=weight, bias=bias)
    given = [None if maps[name] is None else torch.as_tensor(maps[name]) for name in NAMES]
    group, offsets, index_1, index_2, segment = given
    size = maps["num_segments"]
    if size is None:
        size = -1
        if segment is not None:
            size = int(segment.max()) + 1 if segment.numel() else 0
    out = _form(x1, x2, weight, bias, *given, size)
    if weight_1 is not None:
        one = x2.new_ones(()).expand(*_leading(given, x1.shape), 1)
        maps_1 = group, offsets, index_1, None, segment
        out = out + _form(x1, one, weight_1.unsqueeze(-1), None, *maps_1, size)
    if weight_2 is not None:
        one = x1.new_ones(()).expand(*_leading(given, x1.shape), 1)
        maps_2 = group, offsets, None, index_2, segment
        out = out + _form(one, x2, weight_2.unsqueeze(-2), None, *maps_2, size)
    return out


def sum_rows(x: Array, index: Array, segment: Array, num_segments: int) -> Array:
    """out[s, o] = Σ_e∈s x[p(e), o], without a row for each e."""
    shape, rows = list(x.shape), segment.shape[0]
    shapes = shape, [rows, 0], [shape[1], shape[1], 0], [num_segments, shape[1]]
    maps = None, None, index, None, segment
    found: Array = _moved(x, *maps, shapes[3], *shapes, FIRST, RESULT)
    return found


def _recorded(function: type[_Function], operator: str) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        tensors = [each for each in arguments if isinstance(each, Tensor)]
        if _is_traced() or any(type(each) not in _PLAIN for each in tensors):
            return getattr(torch.ops.lucid, operator)(*arguments)
        if _is_watched():
            return function.apply(*arguments)
        if torch.is_grad_enabled() and any(each.requires_grad for each in tensors):
            return function.record(*arguments)
        return function.forward(*arguments)

    return call


def is_on_device(x: Array) -> bool:
    return not x.is_cpu and not x.is_meta


class RowsForm(_Function):
    """out[s, o] = Σ_e∈s Σ_ij x1[p(e), i] · W[r(e), o, i, j] · x2[q(e), j] + bias[r(e), o]"""

    @staticmethod
    def forward(
        x1: Array, x2: Array, weight: Array, bias: Array | None, group: Array | None,
        offsets: Array | None, index_1: Array | None, index_2: Array | None,
        segment: Array | None, num_segments: int,
    ) -> Array:  # fmt: skip
        maps = group, offsets, index_1, index_2, segment
        size = None if num_segments < 0 else num_segments
        named = dict(zip(NAMES, maps, strict=True))
        rows = rows_of(x1, x2, weight, bias, **named, num_segments=size)
        if is_on_device(x1):
            return _device_rows.bilinear(x1, x2, weight, bias, rows)
        memory = memory_of("bilinear", input_1=x1, input_2=x2, weight=weight, bias=bias)
        return kernels.bilinear(memory, x1, x2, weight, bias, rows)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Array) -> None:
        x1, x2, weight, bias, *maps, _ = inputs
        factors = factors_of(None, x1, x2, weight, ctx.needs_input_grad[:3])
        ctx.save_for_backward(*factors[1:], *maps)
        ctx.set_materialize_grads(False)
        ctx.shapes = [list(each.shape) for each in (x1, x2, weight, output)]
        ctx.bias = None if bias is None else list(bias.shape)
        ctx.real = _real([output], inputs[:4])

    @staticmethod
    def backward(ctx: Any, g: Array | None) -> tuple[Array | None, ...]:
        if g is None:
            return (None,) * 10
        *factors, group, offsets, index_1, index_2, segment = ctx.saved_tensors
        maps = group, offsets, index_1, index_2, segment
        if ctx.real:
            factors = list(map(_conjugate, factors))
        needed, need_bias = list(ctx.needs_input_grad[:3]), ctx.needs_input_grad[3]
        found: list[Array | None] = [None, None, None]
        if any(needed):
            found = of_needed(_gradients(g, *factors, *maps, *ctx.shapes, needed), needed)
        d_bias = None
        if need_bias:
            d_bias = _moved(g, *maps, ctx.bias, *ctx.shapes, RESULT, WEIGHT)
        return *_real_parts([*found, d_bias], ctx.real), *(None,) * 6


class RowsGradients(_Function):
    """The gradients of `RowsForm`, given that of its result; an empty one for each not needed."""

    @staticmethod
    def forward(
        g: Array, x1: Array | None, x2: Array | None, weight: Array | None, group: Array | None,
        offsets: Array | None, index_1: Array | None, index_2: Array | None,
        segment: Array | None, shape_1: Sequence[int], shape_2: Sequence[int],
        of_weight: Sequence[int], of_result: Sequence[int], needed: Sequence[bool],
    ) -> tuple[Array, ...]:  # fmt: skip
        maps = group, offsets, index_1, index_2, segment
        rows = _rows_again(maps, shape_1, shape_2, of_weight, of_result)
        first, second, third = needed
        asked = first, second, third
        if is_on_device(g):
            found = _device_rows.gradients(g, x1, x2, weight, tuple(of_weight), rows, asked)
        else:
            memory = memory_of("bilinear", g=g, x1=x1, x2=x2, weight=weight)
            found = kernels.gradients(memory, g, x1, x2, weight, tuple(of_weight), rows, asked)
        return tuple(g.new_empty(0) if each is None else each for each in found)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Array, ...]) -> None:
        tensors, ctx.shapes, ctx.needed = inputs[:9], inputs[9:13], inputs[13]
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        ctx.real = _real(output, tensors[:4])

    @staticmethod
    def backward(ctx: Any, *given: Array | None) -> tuple[Array | None, ...]:
        *factors, group, offsets, index_1, index_2, segment = ctx.saved_tensors
        maps = group, offsets, index_1, index_2, segment
        if ctx.real:
            factors = list(map(_conjugate, factors))
        size = -1 if segment is None else ctx.shapes[3][0]

        def form(x1: Array, x2: Array, weight: Array) -> Array:
            return _form(x1, x2, weight, None, *maps, size)

        def contract(
            g: Array, x1: Array, x2: Array, weight: Array, needed: Needed
        ) -> list[Array | None]:
            found = _gradients(g, x1, x2, weight, *maps, *ctx.shapes, list(needed))
            return of_needed(found, needed)

        changes = None, *of_needed(given, ctx.needed)
        found = derivatives(form, contract, factors, changes, ctx.needs_input_grad[:4])
        return *_real_parts(found, ctx.real), *(None,) * 10


class RowsMoved(_Function):
    """The rows of a bias at their targets, or the sums of targets in the places of a bias."""

    @staticmethod
    def forward(
        x: Array, group: Array | None, offsets: Array | None, index_1: Array | None,
        index_2: Array | None, segment: Array | None, shape: Sequence[int],
        shape_1: Sequence[int], shape_2: Sequence[int], of_weight: Sequence[int],
        of_result: Sequence[int], source: int, target: int,
    ) -> Array:  # fmt: skip
        maps = group, offsets, index_1, index_2, segment
        rows = _rows_again(maps, shape_1, shape_2, of_weight, of_result)
        if is_on_device(x):
            return _device_rows.moved(x, tuple(shape), rows, source, target)
        memory = memory_of("bilinear", x=x)
        return moved(memory, x, tuple(shape), rows, source, target)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Array) -> None:  # noqa: ARG004
        x, *maps = inputs[:6]
        ctx.shapes, (ctx.source, ctx.target) = inputs[7:11], inputs[11:]
        ctx.save_for_backward(*maps)
        ctx.shape = list(x.shape)

    @staticmethod
    def backward(ctx: Any, g: Array) -> tuple[Array | None, ...]:
        found = _moved(g, *ctx.saved_tensors, ctx.shape, *ctx.shapes, ctx.target, ctx.source)
        return found, *(None,) * 12


def _leading(maps: Sequence[Array | None], shape_1: Sequence[int]) -> tuple[int, ...]:
    """The shape of the rows of a call."""
    group, _, *others = maps
    named = [each for each in (group, *others) if each is not None]
    return tuple(named[0].shape if named else shape_1[:-1])


def _rows_again(maps: Sequence[Array | None], *shapes: Sequence[int]) -> Rows:
    """The rows of a call that has been checked, from the shapes of its arguments and result."""
    group, offsets, index_1, index_2, segment = maps
    shape_1, shape_2, of_weight, of_result = map(tuple, shapes)
    shape = _leading(maps, shape_1)
    groups = of_weight[0] if len(of_weight) == 4 else 1
    sizes = (*(each[0] if len(each) > 1 else 0 for each in (of_result, shape_1, shape_2)), groups)
    return Rows(shape, (segment, index_1, index_2, group), sizes, offsets)


FORM, GRADIENTS, MOVED = (
    f"lucid::{name}" for name in ("bilinear_rows", "bilinear_rows_gradients", "moved_rows")
)
_form = _recorded(RowsForm, "bilinear_rows")
_gradients = _recorded(RowsGradients, "bilinear_rows_gradients")
_moved = _recorded(RowsMoved, "moved_rows")

_MAPS = "Tensor? group, Tensor? offsets, Tensor? index_1, Tensor? index_2, Tensor? segment"
_SHAPES = "SymInt[] shape_1, SymInt[] shape_2, SymInt[] of_weight, SymInt[] of_result"

for _name, _function, _schema in (
    (
        FORM, RowsForm,
        f"(Tensor input_1, Tensor input_2, Tensor weight, Tensor? bias, {_MAPS}, "
        "SymInt num_segments) -> Tensor",
    ),
    (
        GRADIENTS, RowsGradients,
        f"(Tensor g, Tensor? input_1, Tensor? input_2, Tensor? weight, {_MAPS}, {_SHAPES}, "
        "bool[] needed) -> (Tensor, Tensor, Tensor)",
    ),
    (
        MOVED, RowsMoved,
        f"(Tensor x, {_MAPS}, SymInt[] shape, {_SHAPES}, int source, int target) -> Tensor",
    ),
):  # fmt: skip
    custom_op(_name, _function.forward, mutates_args=(), schema=_schema)
    register_autograd(_name, _function.backward, setup_context=_function.setup_context)


@register_fake(FORM)
def _(x1: Array, x2: Array, weight: Array, bias: Array | None, *others: Any) -> Array:
    *maps, num_segments = others
    leading = _leading(maps, x1.shape) if maps[4] is None else (num_segments,)
    dtype = promoted([x for x in (x1, x2, weight, bias) if x is not None])
    return weight.new_empty((*leading, weight.shape[-3]), dtype=dtype)


@register_fake(GRADIENTS)
def _(
    g: Array, x1: Array | None, x2: Array | None, weight: Array | None, *others: Any
) -> tuple[Array, ...]:
    shapes, needed = others[5:8], others[9]
    dtype = promoted([x for x in (g, x1, x2, weight) if x is not None])
    return tuple(
        g.new_empty(shape, dtype=dtype) if wanted else g.new_empty(0)
        for shape, wanted in zip(shapes, needed, strict=True)
    )


@register_fake(MOVED)
def _(x: Array, *others: Any) -> Array:
    return x.new_empty(others[5])
