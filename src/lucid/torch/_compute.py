"""The numbers, below autograd: the form and its gradients, for one weight or one for each element.

With `each`, the first axis of all arguments belongs together: element k of the inputs meets the
weight k. That is what `vmap` over weights asks for; there is no bias then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import prod
from typing import Any

import torch
from torch._C._functorch import is_legacy_batchedtensor

from .._arrays import Array
from .._errors import DTypeError
from .._shapes import Shape, broadcast_shapes
from ..kernels import _torch as kernels
from ..kernels._arguments import Gradients, Needed, check
from ..kernels._plan import BLOCK, DEVICE_TILE

MULTIPLIED_ALONE = 1e7
"""Multiplications of an element in bfloat16, from which on it is faster alone than in float32."""


def bilinear(x1: Array, x2: Array, weight: Array, bias: Array | None, each: bool = False) -> Array:
    """out[..., o] = Σ_ij x1[..., i] · W[o, i, j] · x2[..., j] + bias[o], sizes checked."""
    out = kernels.attempt(x1, x2, weight, bias, each)
    return _otherwise(x1, x2, weight, bias, each)[0] if out is None else out


def bilinear_keeping(
    x1: Array, x2: Array, weight: Array, bias: Array | None, each: bool, needed: Needed
) -> tuple[Array, Array | None]:
    """The same, and for its gradients a product that spares them one, where there is one."""
    if each:
        return bilinear(x1, x2, weight, bias, each), None
    found = kernels.attempt_keeping(x1, x2, weight, bias, needed)
    return _otherwise(x1, x2, weight, bias, each, needed) if found is None else found


def _otherwise(
    x1: Array, x2: Array, weight: Array, bias: Array | None, each: bool,
    needed: Needed | None = None,
) -> tuple[Array, Array | None]:  # fmt: skip
    """The same, of arguments that the compiled kernel has declined."""
    if _are_batched(x1, x2, weight, bias):
        return torch.ops.lucid.bilinear(x1, x2, weight, bias, each), None
    if each:
        with no_autocast(x1):
            return _bilinear_each(x1, x2, weight), None
    refuse_kinds(input_1=x1, input_2=x2, weight=weight, bias=bias)
    check(x1, x2, weight, bias)
    with no_autocast(x1):
        return kernels.otherwise(x1, x2, weight, bias, needed)


def written_out(x1: Array, x2: Array, weight: Array, bias: Array | None) -> Array:
    """The same in PyTorch's own operations: x1 · W for each row of x1, then the sum with x2.

    For programs that run elsewhere (`torch.export`, ONNX): rows × out × in2 numbers are held.
    """
    if not torch.compiler.is_dynamo_compiling():  # which would go through every line of it
        check(x1, x2, weight, bias)
    if not x1.dtype == x2.dtype == weight.dtype:
        dtype = kernels.promoted((x1, x2, weight))
        x1, x2, weight = (each.to(dtype) for each in (x1, x2, weight))
    out_features, _, features_2 = weight.shape
    with_first = (x1 @ weight.permute(1, 0, 2).flatten(1)).unflatten(-1, (out_features, features_2))
    out: Array = torch.einsum("...oj,...j->...o", with_first, x2)
    return out if bias is None else out + bias.reshape(-1)


def refuse_kinds(**arguments: Array | None) -> None:
    """Raise DTypeError, with what to do, for a tensor whose numbers do not lie in a dense array."""
    for name, tensor in arguments.items():
        if tensor is None:
            continue
        if tensor.is_nested:
            kind, remedy = "a nested tensor", "torch.nested.to_padded_tensor makes"
        elif tensor.is_quantized:
            kind, remedy = f"quantized ({tensor.dtype})", f"{name}.dequantize() makes"
        elif tensor.is_mkldnn:
            kind, remedy = "an mkldnn tensor", f"{name}.to_dense() makes"
        elif tensor.layout is not torch.strided:
            kind, remedy = f"sparse ({tensor.layout})", f"{name}.to_dense() makes"
        elif tensor.dtype not in _DTYPES:
            kind, remedy = f"of {tensor.dtype}", f"{name}.to(torch.float32) makes"
        else:
            continue
        raise DTypeError(
            f"bilinear: {name} is {kind}, expected a dense tensor of a dtype that PyTorch computes "
            f"with; {remedy} one"
        )


_DTYPES = {
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16,
    torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128,
}  # fmt: skip


def gradients(
    g: Array, x1: Array | None, x2: Array | None, weight: Array | None,
    shape_1: Shape, shape_2: Shape, needed: tuple[bool, ...], each: bool = False,
    as_arguments: bool = False, kept: Array | None = None,
) -> Gradients:  # fmt: skip
    """The gradients of the form in its inputs and its weight; None for those not needed.

    With `as_arguments` their dtypes may be those of the arguments, else the promoted one.
    """
    first, second = shape_1 if x1 is None else x1, shape_2 if x2 is None else x2
    found = kernels.attempt_gradients(g, first, second, weight, needed, each, kept)
    if found is not None:
        return found
    needed = needed[:3]
    if _are_batched(g, x1, x2, weight):
        found = torch.ops.lucid.bilinear_gradients(
            g, x1, x2, weight, shape_1, shape_2, needed, each
        )
        d_1, d_2, d_weight = (
            one if wanted else None for one, wanted in zip(found, needed, strict=True)
        )
        return d_1, d_2, d_weight
    with no_autocast(g):
        if each:
            return _gradients_each(g, x1, x2, weight, shape_1, shape_2, needed)
        need_1, need_2, need_weight = needed
        asked = need_1, need_2, need_weight
        return kernels.gradients_otherwise(g, first, second, weight, asked, as_arguments, kept)


def _are_batched(*factors: Array | None) -> bool:
    """Whether there are tensors of PyTorch's first `vmap` among these.

    `torch.autograd.grad(is_grads_batched=True)` and `gradcheck` still have them. Nobody can look at
    their numbers; an operator is run by PyTorch on one element after the other.
    """
    return any(each is not None and is_legacy_batchedtensor(each) for each in factors)


def autocasts(device: str) -> bool:
    """Whether autocast is on for a device; tensors on "meta" know none.

    `torch.amp.is_autocast_available` knows that too, but not every Dynamo can trace it.
    """
    return device != "meta" and torch.is_autocast_enabled(device)


def no_autocast(tensor: Array) -> AbstractContextManager[Any]:
    """Autocast has done to the arguments what it wants; the sums inside keep their dtype."""
    if torch._C._is_any_autocast_enabled() and autocasts(tensor.device.type):
        return torch.autocast(tensor.device.type, enabled=False)
    return nullcontext()


# One weight for each element, where the compiled kernel has declined: as many elements at a time
# as there is room for. On the CPU they are made into what it takes; elsewhere they are batched
# products. Where there is not room for one, or these cannot be had, each element by itself.


def _bilinear_each(x1: Array, x2: Array, weight: Array) -> Array:
    leading = broadcast_shapes(tuple(x1.shape[1:-1]), tuple(x2.shape[1:-1]))
    elements, outputs, _, _ = weight.shape
    dtype = kernels.promoted((x1, x2, weight))
    out = torch.zeros((elements, *leading, outputs), dtype=dtype, device=x1.device)
    working = _working(dtype, x1)
    for part, fits in _groups(leading, weight.shape, working, x1):
        factors = x1[part], x2[part], weight[part]
        found = None
        if fits and x1.is_cpu:
            first, second, matrices = (each.to(working).contiguous() for each in factors)
            found = kernels.attempt(first, second, matrices, None, each=True)
        elif fits:
            found = _bilinear_in_products(*factors, leading, working)
        if found is not None:
            out[part] = found
            continue
        for k in range(part.start, part.stop):
            out[k] = bilinear(x1[k], x2[k], weight[k], None)
    return out


def _bilinear_in_products(
    x1: Array, x2: Array, weight: Array, leading: Shape, dtype: torch.dtype
) -> Array:
    """(x1 · W) · x2"""
    elements, outputs, _, features_2 = weight.shape
    with_first = _rows(x1, leading, dtype) @ _by_first(weight, dtype)
    with_first = with_first.unflatten(-1, (outputs, features_2))
    found = with_first @ _rows(x2, leading, dtype)[..., None]
    return found.reshape(elements, *leading, outputs)


def _gradients_each(
    g: Array, x1: Any, x2: Any, weight: Any, shape_1: Shape, shape_2: Shape,
    needed: tuple[bool, ...],
) -> Gradients:  # fmt: skip
    elements, *leading, outputs = g.shape
    dtype = kernels.promoted([each for each in (g, x1, x2, weight) if each is not None])
    shapes = (shape_1, shape_2, (elements, outputs, shape_1[-1], shape_2[-1]))
    results: list[Any] = [
        torch.zeros(shape, dtype=dtype, device=g.device) if wanted else None
        for shape, wanted in zip(shapes, needed, strict=True)
    ]
    working = _working(dtype, g)
    together: Any = _gradients_converted if g.is_cpu else _gradients_in_products

    def of(at: Any) -> Any:
        return [each if each is None else each[at] for each in (g, x1, x2, weight)]

    def put(at: Any, each: Gradients) -> None:
        for result, gradient in zip(results, each, strict=True):
            if result is not None:
                result[at] = gradient

    for part, fits in _groups(tuple(leading), shapes[2], working, g):
        own = [(part.stop - part.start, *shape[1:]) for shape in (shape_1, shape_2)]
        found = together(*of(part), *own, needed, working) if fits else None
        if found is not None:
            put(part, found)
            continue
        for k in range(part.start, part.stop):
            start, first, second, matrix = of(k)
            put(k, gradients(start, first, second, matrix, shape_1[1:], shape_2[1:], needed))
    d_1, d_2, d_weight = results
    return d_1, d_2, d_weight


def _gradients_converted(
    g: Array, x1: Any, x2: Any, weight: Any, shape_1: Shape, shape_2: Shape,
    needed: tuple[bool, ...], dtype: torch.dtype,
) -> Gradients | None:  # fmt: skip
    start = g.to(dtype).contiguous()
    first, second, matrices = (
        each if each is None else each.to(dtype).contiguous() for each in (x1, x2, weight)
    )
    first, second = shape_1 if first is None else first, shape_2 if second is None else second
    return kernels.attempt_gradients(start, first, second, matrices, needed, each=True)


def _gradients_in_products(
    g: Array, x1: Any, x2: Any, weight: Any, shape_1: Shape, shape_2: Shape,
    needed: tuple[bool, ...], dtype: torch.dtype,
) -> Gradients:  # fmt: skip
    """U = g ⊗ x2 and T = x1 · W; dx1 = U · W, dx2 = g · T, dW = x1 · U, for each element."""
    _, *leading, outputs = g.shape
    start = _rows(g, leading, dtype)
    first: Any = x1 if x1 is None else _rows(x1, leading, dtype)
    matrix: Any = weight if weight is None else _by_first(weight, dtype)
    d_1 = d_2 = d_weight = None
    if needed[0] or needed[2]:
        second = _rows(x2, leading, dtype)
        with_second = (start[..., :, None] * second[..., None, :]).flatten(-2)
    if needed[0]:
        d_1 = _summed(with_second @ matrix.mT, leading, shape_1)
    if needed[1]:
        with_first = (first @ matrix).unflatten(-1, (outputs, shape_2[-1]))
        d_2 = _summed((start[..., None, :] @ with_first).squeeze(-2), leading, shape_2)
    if needed[2]:
        by_first = (first.mT @ with_second).unflatten(-1, (outputs, shape_2[-1]))
        d_weight = by_first.transpose(1, 2)
    return d_1, d_2, d_weight


def _groups(
    leading: Shape, weight_shape: Shape, dtype: torch.dtype, like: Array
) -> Iterator[tuple[slice, bool]]:
    """Parts of the elements, and whether there is room for one."""
    elements, outputs, features_1, features_2 = weight_shape
    rows = prod(leading)
    if elements * rows * outputs * features_1 * features_2 == 0:
        return
    many = rows * outputs * features_1 * features_2 >= MULTIPLIED_ALONE
    if (
        many and like.is_cpu and like.dtype == torch.bfloat16
    ):  # which the kernel multiplies as it is
        yield slice(0, elements), False
        return
    if like.is_cpu:  # for the arguments and the results in another dtype
        room = BLOCK // 2
        one = 2 * (rows * (outputs + features_1 + features_2) + outputs * features_1 * features_2)
    else:
        room = DEVICE_TILE // dtype.itemsize
        one = (2 * rows + features_1) * outputs * features_2 + rows * (features_1 + features_2)
    step = max(1, room // one)
    for start in range(0, elements, step):
        yield slice(start, min(start + step, elements)), one <= room


def _rows(x: Array, leading: Sequence[int], dtype: torch.dtype) -> Array:
    """(elements, *own leading axes, features) as (elements, rows, features), in this dtype."""
    elements, *own, features = x.shape
    x = x.reshape(elements, *(1,) * (len(leading) - len(own)), *own, features)
    x = x.expand(elements, *leading, features).reshape(elements, -1, features)
    return x.to(dtype)


def _summed(rows: Array, leading: Sequence[int], shape: Shape) -> Array:
    """What `_rows` has spread, summed again."""
    elements, *own, features = shape
    ones = (1,) * (len(leading) - len(own))
    rows = rows.reshape(elements, *leading, features)
    return rows.sum_to_size(elements, *ones, *own, features).reshape(shape)


def _by_first(weight: Array, dtype: torch.dtype) -> Array:
    """(elements, o, i, j) as matrices (i, o·j)."""
    return weight.transpose(1, 2).flatten(2).to(dtype)


def _working(dtype: torch.dtype, like: Array) -> torch.dtype:
    """What products are computed in: float32 for halves on the CPU."""
    halves = (torch.float16, torch.bfloat16)
    return torch.float32 if like.is_cpu and dtype in halves else dtype
