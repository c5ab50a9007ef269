"""Rows of halves on a CUDA device: matrix products whose left factor is never in memory.

A product with x1 ⊗ x2 takes N · I · J numbers, each of them once. Here a program makes them where
the multiplier takes them from: for one feature b of one factor, the left factor of a small matrix
product is a tile of another factor, with each of its rows scaled.

    out[n, a] = Σ_b (scale[n, b] · row[n, :]) · W[a, b, :]

The form and the gradients of its inputs are this contraction, with W's axes in other roles. The
gradient of the weight is a sum over rows, and there one factor is scaled by one feature of another:

    out[a, b, c] = Σ_n (left[n, a] · scale[n, b]) · right[n, c]

What is scaled is rounded to the dtype, sums grow in float32, and every sum has a fixed order.

With `TRITON_INTERPRET=1` the same programs run on a CPU, slowly: that is how they are tested.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from math import prod
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from .._shapes import Shape
from ._arguments import Needed
from ._layout import slices
from ._plan import DEVICE_BLOCK, DEVICE_TILE

MULTIPLE = 16
"""What sizes of features are multiples of: then loads are wide, and no tile is mostly padding."""

LEAST_ROWS = 64
LEAST_WORK, LEAST_WORK_OF_GRADIENTS = 1 << 24, 1 << 30
"""Multiplications from which on this is faster than products of PyTorch (docs/gpu.md)."""

# Tiles, and how they are computed: the fastest of those tried on an H200 (docs/gpu.md).
ROWS, OUTPUTS, FEATURES = 128, 64, 64
CONTRACT = {"num_warps": 4, "num_stages": 4}
LEFT, RIGHT, SUMMED = 128, 128, 64
CONTRACT_ROWS = {"num_warps": 8, "num_stages": 4}

PROGRAMS = 2
"""Programs that one multiprocessor is given, where there are steps enough."""

LEAST_STEPS = 64
"""Steps of a program below which its sum is not divided further."""

# The interpreter keeps bfloat16 as integers, and would multiply those.
_INTERPRETED = triton.knobs.runtime.interpret


def takes(
    leading: Sequence[Shape], weight_shape: Shape, factors: Sequence[Tensor], least: int
) -> bool:
    """Whether these are rows of halves on a CUDA device, and sizes for which this is faster."""
    dtype, device, rows = factors[0].dtype, factors[0].device, prod(leading[0])
    return (
        dtype in (torch.float16, torch.bfloat16)
        and device.type == "cuda"
        and all(each == leading[0] for each in leading)
        and all(each.dtype is dtype and each.device == device for each in factors)
        and rows >= LEAST_ROWS
        and rows * prod(weight_shape) >= least
        and not any(size % MULTIPLE for size in weight_shape)
        and _works(device, dtype)
    )


def bilinear(x1: Tensor, x2: Tensor, weight: Tensor) -> Tensor:
    """The form without its bias: out[n, o] = Σ_i (x1[n, i] · x2[n, :]) · W[o, i, :]"""
    o, i, j = weight.stride()
    out = _contracted(_rows(x1), _rows(x2), weight, (o, i, j), weight.shape[0])
    return out.view(*x1.shape[:-1], weight.shape[0])


def gradients(
    g: Tensor, x1: Tensor | Shape, x2: Tensor | Shape, weight: Tensor | None, needed: Needed
) -> tuple[Tensor | None, ...]:
    """The gradients of the form, None for those not needed.

    dx1[n, i] = Σ_o (g[n, o] · x2[n, :]) · W[o, i, :]
    dx2[n, j] = Σ_o (g[n, o] · x1[n, :]) · W[o, :, j]
    dW[o, i, j] = Σ_n (g[n, o] · x1[n, i]) · x2[n, j]
    """
    leading, g = g.shape[:-1], _rows(g)
    first = _rows(x1) if isinstance(x1, Tensor) else None
    second = _rows(x2) if isinstance(x2, Tensor) else None
    d_1 = d_2 = d_weight = None
    if weight is not None:
        o, i, j = weight.stride()
        if needed[0]:
            d_1 = _contracted(g, second, weight, (i, o, j), weight.shape[1])
            d_1 = d_1.view(*leading, weight.shape[1])
        if needed[1]:
            d_2 = _contracted(g, first, weight, (j, o, i), weight.shape[2])
            d_2 = d_2.view(*leading, weight.shape[2])
    if needed[2]:
        d_weight = _weight_gradient(g, first, second)
    return d_1, d_2, d_weight


def _rows(x: Tensor) -> Tensor:
    return x.reshape(-1, x.shape[-1]).contiguous()


def _contracted(
    scale: Any, row: Any, weight: Tensor, strides: tuple[int, ...], size_a: int
) -> Tensor:
    """out[n, a] = Σ_bc scale[n, b] · row[n, c] · W[a, b, c], W's strides given in that order."""
    (rows, size_b), size_c = scale.shape, row.shape[1]
    block_c = _power(size_c, FEATURES)
    tiles = _ceil(rows, ROWS), _ceil(size_a, OUTPUTS)
    shares = _shares(row.device, prod(tiles), size_b * _ceil(size_c, block_c), rows * size_a)
    shares = min(shares, size_b)
    out = _empty((rows, size_a), shares, row)
    with _on(row.device):
        _contract[(*tiles, shares)](
            scale, row, weight, out, rows, size_a, size_b, size_c, _ceil(size_b, shares),
            *strides, ROWS, OUTPUTS, block_c, _INTERPRETED, **CONTRACT,
        )  # fmt: skip
    return _summed(out, (rows, size_a)).to(row.dtype)


def _weight_gradient(g: Any, x1: Any, x2: Any) -> Tensor:
    """dW, from as many rows at a time as there is room to turn round."""
    factors, sizes = (g, x1, x2), (g.shape[1], x1.shape[1], x2.shape[1])
    b = min((1, 0, 2), key=lambda axis: sizes[axis])
    a, c = (axis for axis in range(3) if axis != b)
    room = DEVICE_TILE // (g.element_size() * (sizes[a] + sizes[b]))
    if len(g) <= room:
        return _contracted_rows(factors, sizes, (a, b, c)).to(g.dtype)
    total = torch.zeros(sizes, device=g.device)
    for part in slices(len(g), room):
        total += _contracted_rows([x[part] for x in factors], sizes, (a, b, c))
    return total.to(g.dtype)


def _contracted_rows(factors: Sequence[Any], sizes: Shape, axes: tuple[int, int, int]) -> Tensor:
    """out[o, i, j] = Σ_n g[n, o] · x1[n, i] · x2[n, j], in tiles along the axes a and c."""
    rows, (a, b, c) = len(factors[0]), axes
    steps = _ceil(rows, SUMMED)
    # Turned round, so that what is scaled together lies together, and filled up with zeros.
    turned, scale = (
        torch.nn.functional.pad(factors[axis].T, (0, steps * SUMMED - rows)).contiguous()
        for axis in (a, b)
    )
    right = factors[c]
    block_a, block_c = _power(sizes[a], LEFT), _power(sizes[c], RIGHT)
    tiles = _ceil(sizes[a], block_a), _ceil(sizes[c], block_c)
    shares = _shares(right.device, prod(tiles) * sizes[b], steps, prod(sizes))
    out = _empty(sizes, shares, right)
    strides = out.stride()[-3:]
    with _on(right.device):
        _contract_rows[(*tiles, sizes[b] * shares)](
            turned, scale, right, out,
            rows, sizes[a], sizes[b], sizes[c], steps, _ceil(steps, shares),
            prod(sizes), strides[a], strides[b], strides[c],
            block_a, block_c, SUMMED, _INTERPRETED, **CONTRACT_ROWS,
        )  # fmt: skip
    return _summed(out, sizes)


def _empty(shape: Shape, shares: int, like: Tensor) -> Tensor:
    """Where programs write: the result, or the float32 sums of each share."""
    if shares == 1:
        return torch.empty(shape, dtype=like.dtype, device=like.device)
    return torch.empty((shares, *shape), dtype=torch.float32, device=like.device)


def _summed(out: Tensor, shape: Shape) -> Tensor:
    """The sum over shares, where there are several."""
    return out if out.shape == shape else out.sum(0)


def _shares(device: torch.device, tiles: int, steps: int, results: int) -> int:
    """Among how many programs each sum is divided, so that all multiprocessors have work."""
    wanted = PROGRAMS * _multiprocessors(device) // max(tiles, 1)
    return max(1, min(wanted, steps // LEAST_STEPS, DEVICE_BLOCK // (4 * max(results, 1))))


# Triton has both of these too, but takes longer for them than for all else here.


def _ceil(size: int, step: int) -> int:
    return -(-size // step)


def _power(size: int, most: int) -> int:
    """The power of two from `size` on, between what the multiplier takes and `most`."""
    return min(most, max(MULTIPLE, 1 << (size - 1).bit_length()))


@lru_cache
def _multiprocessors(device: torch.device) -> int:
    count: int = torch.cuda.get_device_properties(device).multi_processor_count
    return count


@lru_cache
def _works(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether programs can be made for a device: they need tensor cores, and a C compiler."""
    if torch.cuda.get_device_capability(device) < (8, 0):
        return False
    x1, x2, weight = (
        torch.zeros(size, dtype=dtype, device=device)
        for size in ((ROWS, 64), (ROWS, 64), (64, 64, 64))
    )
    try:
        bilinear(x1, x2, weight)
    except Exception as error:
        warnings.warn(
            f"lucid.torch computes halves without Triton, which fails here: {error}", stacklevel=2
        )
        return False
    return True


def _on(device: torch.device) -> AbstractContextManager[Any]:
    """Programs are started on the current device."""
    if _INTERPRETED or device.index == torch.cuda.current_device():
        return nullcontext()
    return torch.cuda.device(device)


# Sizes that say where loads end must be known to be multiples of 16; of the others it is not asked,
# so that there are fewer programs to make. Factors are contiguous.


@triton.jit(do_not_specialize=["rows", "size_b", "b_each"])
def _contract(
    scale, row, weight, out, rows, size_a, size_b, size_c, b_each, weight_a, weight_b, weight_c,
    block_n: tl.constexpr, block_a: tl.constexpr, block_c: tl.constexpr, widen: tl.constexpr,
):  # fmt: skip
    """out[share, n, a] = Σ_bc scale[n, b] · row[n, c] · W[a, b, c], over a share of all b."""
    n = (tl.program_id(0) * block_n + tl.arange(0, block_n)).to(tl.int64)
    a = (tl.program_id(1) * block_a + tl.arange(0, block_a)).to(tl.int64)
    share = tl.program_id(2)
    start = share * b_each
    stop = tl.minimum(start + b_each, size_b)
    is_row, is_output = n < rows, a < size_a
    total = tl.zeros((block_n, block_a), tl.float32)
    for c_start in range(0, size_c, block_c):
        c = c_start + tl.arange(0, block_c)
        is_feature = c < size_c
        tile_at = row + n[:, None] * size_c + c[None, :]
        tile = tl.load(tile_at, mask=is_row[:, None] & is_feature[None, :], other=0.0)
        if widen:
            tile = tile.to(tl.float32)
        scale_at = scale + n * size_b + start
        matrix_at = weight + start.to(tl.int64) * weight_b
        matrix_at += a[None, :] * weight_a + c[:, None] * weight_c
        is_weight = is_feature[:, None] & is_output[None, :]
        for _ in range(start, stop):
            factor = tl.load(scale_at, mask=is_row, other=0.0)
            matrix = tl.load(matrix_at, mask=is_weight, other=0.0)
            if widen:
                factor, matrix = factor.to(tl.float32), matrix.to(tl.float32)
            total = tl.dot(tile * factor[:, None], matrix, total, input_precision="ieee")
            scale_at += 1
            matrix_at += weight_b
    out_at = out + (share.to(tl.int64) * rows + n)[:, None] * size_a + a[None, :]
    tl.store(out_at, total.to(out.dtype.element_ty), mask=is_row[:, None] & is_output[None, :])


@triton.jit(do_not_specialize=["rows", "size_b", "steps", "steps_each"])
def _contract_rows(
    left, scale, right, out, rows, size_a, size_b, size_c, steps, steps_each,
    out_share, out_a, out_b, out_c,
    block_a: tl.constexpr, block_c: tl.constexpr, block_n: tl.constexpr, widen: tl.constexpr,
):  # fmt: skip
    """out[share, a, b, c] = Σ_n left[a, n] · scale[b, n] · right[n, c], over a share of all n.

    `left` and `scale` are filled up with zeros to full steps.
    """
    a = (tl.program_id(0) * block_a + tl.arange(0, block_a)).to(tl.int64)
    c = tl.program_id(1) * block_c + tl.arange(0, block_c)
    b = (tl.program_id(2) % size_b).to(tl.int64)
    share = tl.program_id(2) // size_b
    first = share * steps_each
    last = tl.minimum(first + steps_each, steps)
    is_a, is_c = a < size_a, c < size_c
    n = first * block_n + tl.arange(0, block_n)
    left_at = left + a[:, None] * (steps * block_n) + n[None, :]
    scale_at = scale + b * (steps * block_n) + n
    right_at = right + n.to(tl.int64)[:, None] * size_c + c[None, :]
    total = tl.zeros((block_a, block_c), tl.float32)
    for step in range(first, last):
        is_row = n < rows - (step - first) * block_n
        factor = tl.load(scale_at)
        tile = tl.load(left_at, mask=is_a[:, None], other=0.0)
        matrix = tl.load(right_at, mask=is_row[:, None] & is_c[None, :], other=0.0)
        if widen:
            factor = factor.to(tl.float32)
            tile, matrix = tile.to(tl.float32), matrix.to(tl.float32)
        total = tl.dot(tile * factor[None, :], matrix, total, input_precision="ieee")
        left_at += block_n
        scale_at += block_n
        right_at += block_n * size_c
    out_at = out + share.to(tl.int64) * out_share
    out_at += a[:, None] * out_a + b * out_b + c[None, :].to(tl.int64) * out_c
    tl.store(out_at, total.to(out.dtype.element_ty), mask=is_a[:, None] & is_c[None, :])
