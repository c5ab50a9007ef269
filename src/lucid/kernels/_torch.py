"""Tensors of PyTorch: on the CPU the compiled kernel reads them where they are.

It sees them by DLPack: nothing is copied, and a tensor's storage stays free to be resized. Rows of
bfloat16 are among them, where the processor multiplies such numbers. What the kernel declines is
prepared as NumPy's arrays are, with PyTorch's conversions. At most
`min(torch.get_num_threads(), lucid.get_num_threads())` threads are used.

On other devices the portable plans run, in products of PyTorch; for rows of halves on CUDA devices
the programs of `_triton.py`.

Nothing here is recorded by any autograd; `lucid.torch` is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache, reduce
from itertools import compress
from math import prod
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.dlpack import to_dlpack  # type: ignore[attr-defined]

from .._arrays import DType
from .._shapes import Shape, broadcast_shapes
from . import _cpu, _native, _portable, _torch_products as _products
from ._arguments import ALL, Gradients, Needed, factors_of, shape_of

_COMPILED = {torch.float32: np.dtype(np.float32), torch.float64: np.dtype(np.float64)}
_WORKING = {torch.float16: np.dtype(np.float32), torch.bfloat16: np.dtype(np.float32), **_COMPILED}
_TORCH = {dtype: own for own, dtype in _COMPILED.items()}

# what results are made like: their dtype and device are sooner taken from there than looked up
_LIKE = {
    dtype.itemsize: torch.empty(0, dtype=dtype, device="cpu")
    for dtype in (torch.bfloat16, torch.float32, torch.float64)
}

_lucid_threads: Any = _native.compiled.get_num_threads if _native.compiled else (lambda: 1)

MOST_COPIED = 16 << 20
"""Bytes of results that are computed in NumPy's memory and copied into PyTorch's."""

_contiguous_gradient = 1 << 16
"""Numbers of a gradient that is no matrix, up to which a copy is cheaper than preparing."""


def _seen(tensor: Tensor) -> Any:
    """A tensor as the kernel sees it: dtype, device, shape and memory, in one."""
    if tensor.is_neg():  # DLPack does not know of the sign
        tensor = tensor.resolve_neg()
    return to_dlpack(tensor)


def array_of(tensor: Tensor) -> Any:
    """NumPy's view of it, by DLPack, which leaves the storage free to be resized."""
    found = np.from_dlpack(tensor.detach().resolve_conj().resolve_neg())
    if found.flags.writeable:
        return found
    # before NumPy 2.1 what comes by DLPack is read-only, but results are written into
    interface = {**found.__array_interface__, "data": (found.ctypes.data, False)}
    return np.asarray(SimpleNamespace(__array_interface__=interface, held=found))


def _made(shape: Shape, steps: Shape, itemsize: int) -> tuple[Tensor, int]:
    """A tensor for a result, and where it lies; its storage can be resized, unlike NumPy's."""
    tensor = _LIKE[itemsize].new_empty_strided(shape, steps)
    return tensor, tensor.data_ptr()


if _native.compiled:
    _native.compiled.make_results_with(_made)


def attempt(
    x1: Tensor, x2: Tensor, weight: Tensor, bias: Tensor | None, each: bool = False
) -> Tensor | None:
    """The result by the compiled kernel, all sizes checked, or None where it cannot be had.

    With `each`, of every element of the first axes: there is a weight for each, and no bias.
    """
    try:
        if not x1.is_cpu or (
            _products.multiplied_by == "amx"
            and not each
            and _left(x1, x2, weight, weight.shape[:1])
        ):
            return None
        given = _seen(x1), _seen(x2), _seen(weight), bias if bias is None else _seen(bias)
    except (AttributeError, BufferError, RuntimeError):  # no tensor, or none with memory to look at
        return None
    run = _native.bilinear_each if each else _native.bilinear
    out: Tensor | None = run(*given, torch.get_num_threads())
    return out


def attempt_keeping(
    x1: Tensor, x2: Tensor, weight: Tensor, bias: Tensor | None, needed: Needed
) -> tuple[Tensor, Tensor | None] | None:
    """The same, and the product that spares these gradients one, where there is one."""
    try:
        if not x1.is_cpu or (
            _products.multiplied_by == "amx" and _left(x1, x2, weight, weight.shape[:1])
        ):
            return None
        given = _seen(x1), _seen(x2), _seen(weight), bias if bias is None else _seen(bias)
    except (AttributeError, BufferError, RuntimeError):
        return None
    found = _native.bilinear_keeping(*given, needed, torch.get_num_threads())
    if found is None:
        return None
    out, kept = found
    return out, kept if kept is None else torch.from_numpy(kept)


def attempt_gradients(
    g: Tensor, x1: Tensor | Shape, x2: Tensor | Shape, weight: Tensor | None, needed: Any,
    each: bool = False, kept: Tensor | None = None,
) -> Gradients | None:  # fmt: skip
    """The gradients by the compiled kernel, or None where they cannot be had."""
    if not g.is_cpu or (
        _products.multiplied_by == "amx" and not each and _left(x1, x2, g, g.shape[-1:])
    ):
        return None
    if not g.is_contiguous() and g.numel() <= _contiguous_gradient:
        g = g.contiguous()  # the gradient of a sum is one number, expanded
    try:
        given = [_seen(each) if isinstance(each, Tensor) else each for each in (g, x1, x2, weight)]
    except (BufferError, RuntimeError):
        return None
    if kept is not None and kept.dtype in _COMPILED:
        given += (needed, array_of(kept))
        found = _native.gradients_kept(*given, torch.get_num_threads())
    else:
        run = _native.gradients_each if each else _native.gradients
        found = run(*given, needed, torch.get_num_threads())
    return found


def _left(x1: Tensor | Shape, x2: Tensor | Shape, other: Tensor, outputs: Shape) -> bool:
    """Whether rows are left to products; nothing has been checked yet."""
    shape_1, shape_2 = shape_of(x1), shape_of(x2)
    return shape_1[:-1] == shape_2[:-1] and _products.take(
        other.dtype, shape_1, shape_2, prod(outputs)
    )


def bilinear(x1: Tensor, x2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Contract two inputs with a weight; see `lucid.kernels.bilinear`."""
    out = attempt(x1, x2, weight, bias)
    return otherwise(x1, x2, weight, bias)[0] if out is None else out


def otherwise(
    x1: Tensor, x2: Tensor, weight: Tensor, bias: Tensor | None, needed: Needed | None = None
) -> tuple[Tensor, Tensor | None]:
    """The same, of arguments that the compiled kernel has declined, and what was kept for these."""
    x1, x2, weight = x1.detach(), x2.detach(), weight.detach()
    bias = bias if bias is None else bias.detach()
    factors = tuple(each for each in (x1, x2, weight, bias) if each is not None)
    if not all(each.is_cpu for each in factors):
        return _bilinear_on_device(x1, x2, weight, bias), None
    dtype, library = promoted(factors), Tensors()
    x1, x2 = _cpu.distinct(library, x1, x2)
    if _products.take(dtype, tuple(x1.shape), tuple(x2.shape), weight.shape[0]):
        return _products.bilinear(x1, x2, weight, bias, needed)
    out = _cpu.prepared(library, x1, x2, weight, bias, dtype, _WORKING.get(dtype))
    if out is not None:
        return out, None
    leading = broadcast_shapes(tuple(x1.shape[:-1]), tuple(x2.shape[:-1]))
    if _are_numpys(factors, [(*leading, weight.shape[0])]):
        return _tensor(_portable.bilinear(*map(_array, (x1, x2, weight, bias)))), None
    return _portable.bilinear(x1, x2, weight, bias), None


def gradients(
    g: Tensor, x1: Tensor | Shape, x2: Tensor | Shape, weight: Tensor | None, needed: Any = ALL,
    as_arguments: bool = False,
) -> Gradients:  # fmt: skip
    """The gradients of `bilinear`; see `lucid.kernels.gradients`."""
    found = attempt_gradients(g, x1, x2, weight, needed)
    if found is None:
        found = gradients_otherwise(g, x1, x2, weight, needed, as_arguments)
    return found


def gradients_otherwise(
    g: Tensor, x1: Tensor | Shape, x2: Tensor | Shape, weight: Tensor | None, needed: Needed,
    as_arguments: bool, kept: Tensor | None = None,
) -> Gradients:  # fmt: skip
    """The same, of arguments that the compiled kernel has declined."""
    g, x1, x2, weight = map(_detached, (g, x1, x2, weight))
    every = factors_of(g, x1, x2, weight, needed)
    factors = tuple(each for each in every if each is not None)
    if not all(each.is_cpu for each in factors):
        return _gradients_on_device(g, x1, x2, weight, needed)
    dtype, library = promoted(factors), Tensors()
    dtypes = _cpu.dtypes_of((x1, x2, weight), dtype, as_arguments, _is_floating)

    def run(g: Tensor, x1: Any, x2: Any, weight: Tensor | None, needed: Needed) -> Gradients:
        given = g, x1, x2, weight
        if _products.take(dtype, shape_of(x1), shape_of(x2), g.shape[-1]):
            return _products.gradients(*given, needed, kept)
        working = _WORKING.get(dtype)
        found = _cpu.prepared_gradients(library, *given, needed, dtypes, working)
        if found is not None:
            return found
        shapes = shape_of(x1), shape_of(x2)
        results = compress((*shapes, (g.shape[-1], *(shape[-1] for shape in shapes))), needed)
        if _are_numpys(factors, results):
            start, first, second, matrices = map(_array, given)
            return _tensors(_portable.gradients(start, first, second, matrices, needed))
        return _portable.gradients(*given, needed)

    return _cpu.apart(library, run, *every, shape_of(x1), shape_of(x2), needed)


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
        shapes = tuple(g.shape), shape_of(x1), shape_of(x2)
        leading, weight_shape = [s[:-1] for s in shapes], tuple(s[-1] for s in shapes)
        factors = [each for each in factors_of(g, x1, x2, weight, needed) if each is not None]
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


def _is_floating(dtype: torch.dtype) -> bool:
    return dtype.is_floating_point


def promoted(factors: Sequence[Tensor]) -> torch.dtype:
    """The dtype of the result, by the rules of PyTorch."""
    return reduce(torch.promote_types, (each.dtype for each in factors))


class Tensors(_cpu.Arrays):
    """What preparing asks of PyTorch."""

    def __init__(self) -> None:
        self.most = (torch.get_num_threads(),)

    def strides(self, x: Tensor) -> Sequence[int]:
        return x.stride()

    def fits(self, x: Tensor, dtype: DType) -> bool:
        return x.dtype is _TORCH[dtype] and x.is_contiguous()

    def ready(self, x: Tensor, dtype: DType) -> Any:
        return _seen(x.to(_TORCH[dtype]).contiguous())

    def empty(self, shape: Shape, dtype: DType) -> Tensor:
        return torch.empty(shape, dtype=_TORCH.get(dtype, dtype))

    def astype(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        return x.to(dtype)


def _are_numpys(factors: Sequence[Tensor], results: Iterable[Shape]) -> bool:
    """Whether products of NumPy do: it has these numbers, and as many threads as PyTorch.

    Their results are copied, so these are not large.
    """
    dtype = factors[0].dtype
    return (
        sum(map(prod, results)) * dtype.itemsize <= MOST_COPIED
        and dtype not in (torch.float16, torch.bfloat16, torch.complex32)
        and all(each.dtype is dtype for each in factors)
        and torch.get_num_threads() >= _lucid_threads()
    )


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value


def _array(value: Tensor | Shape | None) -> Any:
    """A tensor as NumPy reads it; by DLPack, which leaves the storage free to be resized."""
    if not isinstance(value, Tensor):
        return value
    return np.from_dlpack(value.resolve_conj().resolve_neg())


def _tensors(found: Gradients) -> Gradients:
    d_1, d_2, d_weight = (each if each is None else _tensor(each) for each in found)
    return d_1, d_2, d_weight


def _tensor(array: Any) -> Tensor:
    """A copy, in memory that PyTorch may resize."""
    return torch.from_numpy(array).clone()
