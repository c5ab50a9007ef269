"""Rows of halves on a CUDA device: matrix products whose left factor is never written to memory.

A matrix product with x1 ⊗ x2 needs N · I · J numbers that are each used once. Here a program forms them
where the multiplier takes them from. For one feature b of one input, the left factor is a tile of the
other input with each of its rows scaled:

    out[n, a] = Σ_b  (scale[n, b] · row[n, :])  ·  W[a, b, :]

The form and the gradients of its inputs are this contraction, with W's axes in other roles. The
weight's gradient is summed over rows instead; there g is scaled by one feature b at a time:

    out[a, b, c] = Σ_n  (left[n, a] · scale[n, b])  ·  right[n, c]

Scaled numbers are rounded to the dtype once, sums grow in float32, and every sum has a fixed order.

`TRITON_INTERPRET=1` runs the same programs on a CPU, slowly; that is how they are tested there.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from math import prod
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from .._shapes import Shape
from ._plan import DEVICE_BLOCK, Needed

MULTIPLE = 16
"""What sizes of features are multiples of: then loads are wide, and no tile is mostly padding."""

LEAST_ROWS = 64
LEAST_WORK = 1 << 26
"""Multiplications from which on this is faster than products of PyTorch; measured (docs/gpu.md)."""

# Tiles: the fastest of those tried on an H200 (docs/gpu.md).
ROWS, OUTPUTS, FEATURES = 128, 64, 64
CONTRACT_OPTIONS = {"num_warps": 4, "num_stages": 3}
LEFT, RIGHT, SUMMED = 128, 64, 64
GRADIENT_OPTIONS = {"num_warps": 4, "num_stages": 3}

PROGRAMS = 2
"""Programs of either kind that one multiprocessor runs at a time."""

LEAST_SHARE = 8
"""Steps below which a sum is not divided further among programs."""

# The interpreter keeps bfloat16 as integers, and would multiply those.
_INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


def takes(leading: tuple[Shape, ...], weight_shape: Shape, factors: tuple[Tensor, ...]) -> bool:
    """Whether these are rows of halves on a CUDA device, and sizes for which this is faster."""
    dtype, device, rows = factors[0].dtype, factors[0].device, prod(leading[0])
    return (
        dtype in (torch.float16, torch.bfloat16)
        and device.type == "cuda"
        and all(each == leading[0] for each in leading)
        and all(each.dtype is dtype and each.device == device for each in factors)
        and rows >= LEAST_ROWS
        and rows * prod(weight_shape) >= LEAST_WORK
        and not any(size % MULTIPLE for size in weight_shape)
        and _is_new_enough(device)
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
    return x.reshape(-1, x.shape[-1])


def _contracted(
    scale: Any, row: Any, weight: Tensor, strides: tuple[int, ...], size_a: int
) -> Tensor:
    """out[n, a] = Σ_bc scale[n, b] · row[n, c] · W[a, b, c], W's strides given in that order."""
    (rows, size_b), size_c = scale.shape, row.shape[1]
    blocks = triton.cdiv(rows, ROWS), triton.cdiv(size_a, OUTPUTS)
    shares = _shares(scale.device, prod(blocks), size_b, rows * size_a)
    out = _partial((rows, size_a), shares, row)
    with _on(row.device):
        _contract[(*blocks, shares)](
            scale, row, weight, out,
            rows, size_a, size_b, size_c, triton.cdiv(size_b, shares),
            *scale.stride(), *row.stride(), *strides, *out.stride(),
            BLOCK_N=ROWS, BLOCK_A=OUTPUTS, BLOCK_C=_power(size_c, FEATURES),
            WIDEN=_INTERPRETED, **CONTRACT_OPTIONS,
        )  # fmt: skip
    return _summed(out, row.dtype)


def _weight_gradient(g: Any, x1: Any, x2: Any) -> Tensor:
    """dW, its tiles along the two axes that are longest."""
    factors, sizes = (g, x1, x2), (g.shape[1], x1.shape[1], x2.shape[1])
    b = min((1, 0, 2), key=lambda axis: sizes[axis])  # the inputs' first, if all are alike
    a, c = (axis for axis in range(3) if axis != b)
    rows = g.shape[0]
    left, right = min(LEFT, _power(sizes[a], LEFT)), min(RIGHT, _power(sizes[c], RIGHT))
    blocks = triton.cdiv(sizes[a], left), triton.cdiv(sizes[c], right)
    steps = triton.cdiv(rows, SUMMED)
    shares = _shares(g.device, prod(blocks) * sizes[b], steps, prod(sizes))
    out = _partial(sizes, shares, g)
    strides = out.stride()
    # Turned round once, so that what one program scales lies in a row.
    turned, scale = (factors[axis].T.contiguous() for axis in (a, b))
    with _on(g.device):
        _contract_rows[(*blocks, sizes[b] * shares)](
            turned, scale, factors[c], out,
            rows, sizes[a], sizes[b], sizes[c], triton.cdiv(steps, shares),
            *turned.stride(), *scale.stride(), *factors[c].stride(),
            strides[0], strides[1 + a], strides[1 + b], strides[1 + c],
            BLOCK_A=left, BLOCK_C=right, BLOCK_N=SUMMED, WIDEN=_INTERPRETED, **GRADIENT_OPTIONS,
        )  # fmt: skip
    return _summed(out, g.dtype)


def _partial(shape: tuple[int, ...], shares: int, like: Tensor) -> Tensor:
    """Where programs write: the result, or float32 sums of each share."""
    dtype = like.dtype if shares == 1 else torch.float32
    return torch.empty((shares, *shape), dtype=dtype, device=like.device)


def _summed(out: Tensor, dtype: torch.dtype) -> Tensor:
    return out[0] if len(out) == 1 else out.sum(0).to(dtype)


def _shares(device: torch.device, programs: int, steps: int, results: int) -> int:
    """Among how many programs a sum is divided, so that all multiprocessors have work."""
    wanted = PROGRAMS * _multiprocessors(device) // max(programs, 1)
    return max(1, min(wanted, steps // LEAST_SHARE, DEVICE_BLOCK // (4 * max(results, 1))))


def _power(size: int, most: int) -> int:
    return min(most, max(MULTIPLE, triton.next_power_of_2(size)))


@lru_cache
def _multiprocessors(device: torch.device) -> int:
    if device.type != "cuda":  # interpreted
        return 1
    return torch.cuda.get_device_properties(device).multi_processor_count


@lru_cache
def _is_new_enough(device: torch.device) -> bool:
    """Whether the device multiplies matrices of bfloat16 (Ampere and later)."""
    return torch.cuda.get_device_capability(device) >= (8, 0)


def _on(device: torch.device) -> AbstractContextManager[Any]:
    """Programs are set off on the current device."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


@triton.jit(do_not_specialize=["rows", "size_b", "b_each"])
def _contract(
    scale, row, weight, out,
    rows, size_a, size_b, size_c, b_each,
    scale_n, scale_b, row_n, row_c, weight_a, weight_b, weight_c, out_share, out_n, out_a,
    BLOCK_N: tl.constexpr, BLOCK_A: tl.constexpr, BLOCK_C: tl.constexpr, WIDEN: tl.constexpr,
):  # fmt: skip
    """out[share, n, a] = Σ_b Σ_c scale[n, b] · row[n, c] · W[a, b, c], a share of all b each."""
    n = (tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)).to(tl.int64)
    a = (tl.program_id(1) * BLOCK_A + tl.arange(0, BLOCK_A)).to(tl.int64)
    share = tl.program_id(2)
    start = share * b_each
    stop = tl.minimum(start + b_each, size_b)
    is_row, is_output = n < rows, a < size_a
    total = tl.zeros((BLOCK_N, BLOCK_A), tl.float32)
    for c_start in range(0, size_c, BLOCK_C):
        c = c_start + tl.arange(0, BLOCK_C)
        is_feature = c < size_c
        tile = tl.load(
            row + n[:, None] * row_n + c[None, :] * row_c,
            mask=is_row[:, None] & is_feature[None, :], other=0.0,
        )  # fmt: skip
        if WIDEN:
            tile = tile.to(tl.float32)
        scale_at = scale + n * scale_n + start * scale_b
        weight_at = weight + a[None, :] * weight_a + c[:, None] * weight_c
        weight_at += start.to(tl.int64) * weight_b
        is_weight = is_feature[:, None] & is_output[None, :]
        for _ in range(start, stop):
            factor = tl.load(scale_at, mask=is_row, other=0.0)
            matrix = tl.load(weight_at, mask=is_weight, other=0.0)
            if WIDEN:
                factor, matrix = factor.to(tl.float32), matrix.to(tl.float32)
            total = tl.dot(tile * factor[:, None], matrix, total, input_precision="ieee")
            scale_at += scale_b
            weight_at += weight_b
    out_at = out + share.to(tl.int64) * out_share + n[:, None] * out_n + a[None, :] * out_a
    tl.store(out_at, total.to(out.dtype.element_ty), mask=is_row[:, None] & is_output[None, :])


@triton.jit(do_not_specialize=["rows", "size_b", "steps"])
def _contract_rows(
    left, scale, right, out,
    rows, size_a, size_b, size_c, steps,
    left_a, left_n, scale_b, scale_n, right_n, right_c, out_share, out_a, out_b, out_c,
    BLOCK_A: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_N: tl.constexpr, WIDEN: tl.constexpr,
):  # fmt: skip
    """out[share, a, b, c] = Σ_n left[a, n] · scale[b, n] · right[n, c], a share of all rows each."""
    a = (tl.program_id(0) * BLOCK_A + tl.arange(0, BLOCK_A)).to(tl.int64)
    c = (tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)).to(tl.int64)
    b = (tl.program_id(2) % size_b).to(tl.int64)
    share = (tl.program_id(2) // size_b).to(tl.int64)
    start = share * steps * BLOCK_N
    n = tl.arange(0, BLOCK_N)
    left_at = left + a[:, None] * left_a + (start + n)[None, :] * left_n
    scale_at = scale + b * scale_b + (start + n) * scale_n
    right_at = right + (start + n)[:, None] * right_n + c[None, :] * right_c
    is_a, is_c = a < size_a, c < size_c
    total = tl.zeros((BLOCK_A, BLOCK_C), tl.float32)
    for step in range(steps):
        is_row = n < rows - start - step * BLOCK_N
        factor = tl.load(scale_at, mask=is_row, other=0.0)
        tile = tl.load(left_at, mask=is_a[:, None] & is_row[None, :], other=0.0)
        matrix = tl.load(right_at, mask=is_row[:, None] & is_c[None, :], other=0.0)
        if WIDEN:
            factor, tile, matrix = (
                factor.to(tl.float32), tile.to(tl.float32), matrix.to(tl.float32)
            )  # fmt: skip
        total = tl.dot(tile * factor[None, :], matrix, total, input_precision="ieee")
        left_at += BLOCK_N * left_n
        scale_at += BLOCK_N * scale_n
        right_at += BLOCK_N * right_n
    out_at = out + share * out_share + a[:, None] * out_a + b * out_b + c[None, :] * out_c
    tl.store(out_at, total.to(out.dtype.element_ty), mask=is_a[:, None] & is_c[None, :])
