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
from .._shapes import Shape, broadcast_shapes
from ..kernels import _torch as kernels
from ..kernels._arguments import Gradients, check
from ..kernels._plan import BLOCK


def bilinear(x1: Array, x2: Array, weight: Array, bias: Array | None, each: bool = False) -> Array:
    """out[..., o] = Σ_ij x1[..., i] · W[o, i, j] · x2[..., j] + bias[o], sizes checked."""
    if each:
        with _no_autocast(x1):
            return _bilinear_each(x1, x2, weight)
    out = kernels.attempt(x1, x2, weight, bias)
    if out is not None:
        return out
    if _are_batched(x1, x2, weight, bias):
        return torch.ops.lucid.bilinear(x1, x2, weight, bias, each)
    check(x1, x2, weight, bias)
    with _no_autocast(x1):
        return kernels.otherwise(x1, x2, weight, bias)


def gradients(
    g: Array, x1: Array | None, x2: Array | None, weight: Array | None,
    shape_1: Shape, shape_2: Shape, needed: tuple[bool, ...], each: bool = False,
) -> Gradients:  # fmt: skip
    """The gradients of the form in its inputs and its weight; None for those not needed."""
    if each:
        with _no_autocast(g):
            return _gradients_each(g, x1, x2, weight, shape_1, shape_2, needed)
    first, second = shape_1 if x1 is None else x1, shape_2 if x2 is None else x2
    found = kernels.attempt_gradients(g, first, second, weight, needed)
    if found is not None:
        return found
    if _are_batched(g, x1, x2, weight):
        found = torch.ops.lucid.bilinear_gradients(
            g, x1, x2, weight, shape_1, shape_2, needed, each
        )
        d_1, d_2, d_weight = (
            one if wanted else None for one, wanted in zip(found, needed, strict=True)
        )
        return d_1, d_2, d_weight
    with _no_autocast(g):
        need_1, need_2, need_weight = needed
        return kernels.gradients_otherwise(g, first, second, weight, (need_1, need_2, need_weight))


def _are_batched(*factors: Array | None) -> bool:
    """Whether there are tensors of PyTorch's first `vmap` among these.

    `torch.autograd.grad(is_grads_batched=True)` and `gradcheck` still have them. Nobody can look at
    their numbers; an operator is run by PyTorch on one element after the other.
    """
    return any(each is not None and is_legacy_batchedtensor(each) for each in factors)


def _no_autocast(tensor: Array) -> AbstractContextManager[Any]:
    """Autocast has done to the arguments what it wants; the sums inside keep their dtype."""
    if torch._C._is_any_autocast_enabled():
        return torch.autocast(tensor.device.type, enabled=False)
    return nullcontext()


# One weight for each element: batched products for as many elements at a time as there is room for
# x1 · W or g · x2 of; where there is not room for one, each element by itself, in tiles.


def _bilinear_each(x1: Array, x2: Array, weight: Array) -> Array:
    leading = broadcast_shapes(tuple(x1.shape[1:-1]), tuple(x2.shape[1:-1]))
    elements, outputs, _, features_2 = weight.shape
    dtype = kernels.promoted((x1, x2, weight))
    out = torch.zeros((elements, *leading, outputs), dtype=dtype, device=x1.device)
    for part in _groups(leading, weight.shape):
        if part is None:
            for k in range(elements):
                out[k] = bilinear(x1[k], x2[k], weight[k], None)
            continue
        first, second = _rows(x1[part], leading, dtype), _rows(x2[part], leading, dtype)
        with_first = first @ _by_first(weight[part], dtype)
        with_first = with_first.unflatten(-1, (outputs, features_2))
        found = with_first @ second[..., None]
        out[part] = found.reshape(out[part].shape)
    return out


def _gradients_each(
    g: Array,
    x1: Any,
    x2: Any,
    weight: Any,
    shape_1: Shape,
    shape_2: Shape,
    needed: tuple[bool, ...],
) -> Gradients:
    """U = g ⊗ x2 and T = x1 · W; dx1 = U · W, dx2 = g · T, dW = x1 · U, for each element."""
    elements, *leading, outputs = g.shape
    features_1, features_2 = shape_1[-1], shape_2[-1]
    dtype = kernels.promoted([each for each in (g, x1, x2, weight) if each is not None])
    shapes = (shape_1, shape_2, (elements, outputs, features_1, features_2))
    found: list[Any] = [
        torch.zeros(shape, dtype=dtype, device=g.device) if wanted else None
        for shape, wanted in zip(shapes, needed, strict=True)
    ]
    for part in _groups(tuple(leading), shapes[2]):
        if part is None:
            for k in range(elements):
                one_1, one_2, matrix_of_one = (
                    each if each is None else each[k] for each in (x1, x2, weight)
                )
                all_of_one = gradients(
                    g[k], one_1, one_2, matrix_of_one, shape_1[1:], shape_2[1:], needed
                )
                for total, one in zip(found, all_of_one, strict=True):
                    if total is not None:
                        total[k] = one
            continue
        start = _rows(g[part], leading, dtype)
        first: Any = x1 if x1 is None else _rows(x1[part], leading, dtype)
        matrix: Any = weight if weight is None else _by_first(weight[part], dtype)
        if needed[0] or needed[2]:
            second = _rows(x2[part], leading, dtype)
            with_second = (start[..., :, None] * second[..., None, :]).flatten(-2)
        if needed[0]:
            found[0][part] = _summed(with_second @ matrix.mT, leading, found[0][part].shape)
        if needed[1]:
            with_first = (first @ matrix).unflatten(-1, (outputs, features_2))
            d_second = (start[..., None, :] @ with_first).squeeze(-2)
            found[1][part] = _summed(d_second, leading, found[1][part].shape)
        if needed[2]:
            by_first = (first.mT @ with_second).unflatten(-1, (outputs, features_2))
            found[2][part] = by_first.transpose(1, 2)
    d_1, d_2, d_weight = found
    return d_1, d_2, d_weight


def _groups(leading: Shape, weight_shape: Shape) -> Iterator[slice | None]:
    """Parts of the elements; one None if an element is too large for products in one piece."""
    elements, outputs, features_1, features_2 = weight_shape
    rows = prod(leading)
    one = (2 * rows + features_1) * outputs * features_2 + rows * (features_1 + features_2)
    if elements * rows * outputs * features_1 * features_2 == 0:
        return
    if one > BLOCK // 2:
        yield None
        return
    step = BLOCK // 2 // one
    for start in range(0, elements, step):
        yield slice(start, start + step)


def _rows(x: Array, leading: Sequence[int], dtype: torch.dtype) -> Array:
    """(elements, *own leading axes, features) as (elements, rows, features), in a wide dtype."""
    elements, *own, features = x.shape
    x = x.reshape(elements, *(1,) * (len(leading) - len(own)), *own, features)
    x = x.expand(elements, *leading, features).reshape(elements, -1, features)
    return x.to(_wide(dtype))


def _summed(rows: Array, leading: Sequence[int], shape: Shape) -> Array:
    """What `_rows` has spread, summed again."""
    elements, *own, features = shape
    ones = (1,) * (len(leading) - len(own))
    rows = rows.reshape(elements, *leading, features)
    return rows.sum_to_size(elements, *ones, *own, features).reshape(shape)


def _by_first(weight: Array, dtype: torch.dtype) -> Array:
    """(elements, o, i, j) as matrices (i, o·j)."""
    return weight.transpose(1, 2).flatten(2).to(_wide(dtype))


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype
