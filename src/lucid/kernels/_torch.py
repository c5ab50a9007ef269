"""Tensors of PyTorch: on the CPU the kernels read them where they are.

Their memory is NumPy's to look at, and the results become PyTorch's: nothing is copied. bfloat16,
which NumPy lacks, is converted in parts, as float16 is. Never do more threads work than
`torch.get_num_threads()` says, nor more than `lucid.get_num_threads()`.

On other devices the portable plans run, in products of PyTorch; for rows of halves on CUDA devices
the programs of `_triton.py`.

Nothing here is recorded by any autograd; `lucid.torch` is.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, reduce
from math import prod
from typing import Any

import torch
from torch import Tensor

from .._arrays import Array
from .._shapes import Shape
from . import _native, _portable
from ._plan import BLOCK, Needed
from ._portable import ALL, Gradients

_COMPILED = (torch.float32, torch.float64)
_HALVES = (torch.float16, torch.bfloat16)
_ALONE = 1 << 18  # multiplications up to which one thread is fastest

_lucid_threads: Any = _native.compiled.get_num_threads if _native.compiled else (lambda: 1)


def attempt(x1: Tensor, x2: Tensor, weight: Tensor, bias: Array | None) -> Tensor | None:
    """The result by the compiled kernel, all sizes checked, or None where it cannot be had."""
    dtype = x1.dtype
    if dtype not in _COMPILED or x2.dtype is not dtype or weight.dtype is not dtype:
        return None
    if not (x1.is_cpu and x2.is_cpu and weight.is_cpu):
        return None
    if bias is not None:
        if bias.dtype is not dtype or not bias.is_cpu:
            return None
        bias = bias.numpy(force=True)
    # force: also where a gradient is required
    out = _native.attempt(
        x1.numpy(force=True), x2.numpy(force=True), weight.numpy(force=True), bias,
        *(_limit(x1.shape, weight.shape) if torch.get_num_threads() < _lucid_threads() else ()),
    )  # fmt: skip
    return None if out is None else torch.from_numpy(out)


def attempt_gradients(
    g: Tensor, x1: Tensor | Shape, x2: Tensor | Shape, weight: Tensor | None, needed: Any
) -> Gradients | None:
    """The gradients by the compiled kernel, or None where they cannot be had."""
    dtype = g.dtype
    if dtype not in _COMPILED or not g.is_cpu:
        return None
    if not g.is_contiguous() and g.numel() <= BLOCK // 2:
        g = g.contiguous()  # the gradient of a sum is one number, expanded
    views: list[Any] = [g.numpy(force=True)]
    for each in (x1, x2, weight):
        if isinstance(each, Tensor):
            if each.dtype is not dtype or not each.is_cpu:
                return None
            views.append(each.numpy(force=True))
        else:
            views.append(each)
    limit: tuple[None, int] | tuple[()] = ()
    if torch.get_num_threads() < _lucid_threads():
        limit = _limit(g.shape, (1, _features(x1), _features(x2)))
    return _tensors(_native.attempt_gradients(*views, needed, *limit[:1], *limit))


def bilinear(x1: Tensor, x2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Contract two inputs with a weight; see `lucid.kernels.bilinear`."""
    out = attempt(x1, x2, weight, bias)
    if out is not None:
        return out
    factors = tuple(each for each in (x1, x2, weight, bias) if each is not None)
    if not all(each.is_cpu for each in factors):
        return _bilinear_on_device(x1, x2, weight, bias)
    if not _are_numpys(factors):
        dtype = promoted(factors)
        alike = x1.shape[:-1] == x2.shape[:-1]
        if alike and weight.numel() <= BLOCK and dtype in (*_COMPILED, *_HALVES):
            return _converted(dtype, x1, x2, weight, bias)
        return _portable.bilinear(x1, x2, weight, bias)
    limit = _limit(x1.shape, weight.shape)
    first, second, matrices, row = map(_view, (x1, x2, weight, bias))
    found = _native.prepared(first, second, matrices, row, limit)
    if found is None and limit:  # the products of NumPy know no limit
        return _portable.bilinear(x1, x2, weight, bias)
    if found is None:
        found = _portable.bilinear(first, second, matrices, row)
    return torch.from_numpy(found)


def gradients(
    g: Tensor, x1: Tensor | Shape, x2: Tensor | Shape, weight: Tensor | None, needed: Any = ALL
) -> Gradients:
    """The gradients of `bilinear`; see `lucid.kernels.gradients`."""
    tried = attempt_gradients(g, x1, x2, weight, needed)
    if tried is not None:
        return tried
    factors = tuple(each for each in (g, x1, x2, weight) if isinstance(each, Tensor))
    if not all(each.is_cpu for each in factors):
        return _gradients_on_device(g, x1, x2, weight, needed)
    shape_1, shape_2 = (each if isinstance(each, tuple) else each.shape for each in (x1, x2))
    if not _are_numpys(factors):
        dtype = promoted(factors)
        alike = shape_1[:-1] == shape_2[:-1] == g.shape[:-1]
        small = g.shape[-1] * shape_1[-1] * shape_2[-1] <= BLOCK
        if alike and small and dtype in (*_COMPILED, *_HALVES):
            return _converted_gradients(dtype, g, x1, x2, weight, needed)
        return _portable.gradients(g, x1, x2, weight, needed)
    limit = _limit(g.shape, (1, shape_1[-1], shape_2[-1]))
    start, first, second, matrices = map(_view, (g, x1, x2, weight))
    found = _native.prepared_gradients(start, first, second, matrices, needed, limit)
    if found is None and limit:
        return _portable.gradients(g, x1, x2, weight, needed)
    if found is None:
        found = _portable.gradients(start, first, second, matrices, needed)
    return _tensors(found)


def _bilinear_on_device(x1: Tensor, x2: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    programs = _triton()
    if programs is not None:
        factors = [each for each in (x1, x2, weight, bias) if each is not None]
        leading = (x1.shape[:-1], x2.shape[:-1])
        if programs.takes(leading, weight.shape, factors, programs.LEAST_WORK):
            out: Tensor = programs.bilinear(x1, x2, weight)
            return out if bias is None else out.add_(bias.reshape(-1))
    return _portable.bilinear(x1, x2, weight, bias)


def _gradients_on_device(
    g: Tensor, x1: Tensor | Shape, x2: Tensor | Shape, weight: Tensor | None, needed: Needed
) -> Gradients:
    programs = _triton()
    if programs is not None:
        factors = [each for each in (g, x1, x2, weight) if isinstance(each, Tensor)]
        shape_1, shape_2 = (each if isinstance(each, tuple) else each.shape for each in (x1, x2))
        leading = (g.shape[:-1], shape_1[:-1], shape_2[:-1])
        weight_shape = (g.shape[-1], shape_1[-1], shape_2[-1])
        if programs.takes(leading, weight_shape, factors, programs.LEAST_WORK_OF_GRADIENTS):
            found: Gradients = programs.gradients(g, x1, x2, weight, needed)
            return found
    return _portable.gradients(g, x1, x2, weight, needed)


@cache
def _triton() -> Any:
    """The programs for CUDA devices, where Triton is installed."""
    try:
        from . import _triton
    except ImportError:
        return None
    return _triton


def promoted(factors: Sequence[Tensor]) -> torch.dtype:
    """The dtype of the result, by the rules of PyTorch."""
    return reduce(torch.promote_types, (each.dtype for each in factors))


def _are_numpys(factors: Sequence[Tensor]) -> bool:
    """Whether NumPy has these numbers, and nothing is to be promoted."""
    dtype = factors[0].dtype
    return dtype not in _HALVES and all(each.dtype is dtype for each in factors)


def _converted(
    dtype: torch.dtype, x1: Tensor, x2: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """The same where dtypes differ or are halves: computed in float32 or wider, in parts."""
    wide = torch.float32 if dtype in _HALVES else dtype
    weight, bias = weight.to(wide), None if bias is None else bias.to(wide)
    shape = (*x1.shape[:-1], weight.shape[0])
    out = torch.empty(shape, dtype=dtype)
    for part in _native.parts(shape[:-1], x1.shape[-1] + x2.shape[-1] + shape[-1]):
        out[part] = bilinear(x1[part].to(wide), x2[part].to(wide), weight, bias)
    return out


def _converted_gradients(
    dtype: torch.dtype, g: Tensor, x1: Tensor | Shape, x2: Tensor | Shape, weight: Tensor | None,
    needed: Needed,
) -> Gradients:  # fmt: skip
    wide = torch.float32 if dtype in _HALVES else dtype
    weight = None if weight is None else weight.to(wide)
    shapes = [each if isinstance(each, tuple) else tuple(each.shape) for each in (x1, x2)]
    d_1, d_2 = (
        torch.empty(shape, dtype=dtype) if wanted else None
        for shape, wanted in zip(shapes, needed, strict=False)
    )
    d_weight = None
    if needed[2]:
        d_weight = torch.zeros((g.shape[-1], shapes[0][-1], shapes[1][-1]), dtype=wide)
    features = 2 * (shapes[0][-1] + shapes[1][-1]) + g.shape[-1]
    for part in _native.parts(g.shape[:-1], features):
        of_part = g[part].to(wide)
        first, second = (
            (*of_part.shape[:-1], x[-1]) if isinstance(x, tuple) else x[part].to(wide)
            for x in (x1, x2)
        )
        found = gradients(of_part, first, second, weight, needed)
        if d_1 is not None:
            d_1[part] = found[0]
        if d_2 is not None:
            d_2[part] = found[1]
        if d_weight is not None:
            d_weight += found[2]
    return d_1, d_2, None if d_weight is None else d_weight.to(dtype)


def _limit(rows: Shape, weight: Shape) -> tuple[None, int] | tuple[()]:
    """What the compiled kernel is told where PyTorch has fewer threads than it."""
    threads = torch.get_num_threads()
    if threads >= _lucid_threads():
        return ()
    return None, 1 if prod(rows[:-1]) * prod(weight) <= _ALONE else threads


def _features(x: Tensor | Shape) -> int:
    return (x if isinstance(x, tuple) else x.shape)[-1]


def _view(value: Tensor | Shape | None) -> Array:
    return value.numpy(force=True) if isinstance(value, Tensor) else value


def _tensors(found: Gradients | None) -> Any:
    if found is None:
        return None
    return tuple(each if each is None else torch.from_numpy(each) for each in found)
