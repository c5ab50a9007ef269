"""bfloat16 on the CPU in products of PyTorch, where those are faster than the compiled kernel.

oneDNN, which PyTorch calls, multiplies bfloat16 by AVX512-BF16 or AMX. The kernel has the first of
both, for rows; so pairs are products here, and with AMX rows are, too. The plans are those of
devices, with tiles of a CPU's size: products are rounded to bfloat16 and add up in float32.
"""

from __future__ import annotations

import os
from math import prod
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from .._arrays import namespace
from .._shapes import Shape, broadcast_shapes
from . import _native, _portable
from ._arguments import Gradients, Needed
from ._plan import CPU_OF_HALVES, CPU_WITH_TILES
from ._workspace import HalvesWorkspace

LEAST = 1e7
"""Multiplications of a call below which its operations take longer to start than they save."""

LEAST_FEATURES = 64
"""Of rows that a kernel with AVX512-BF16 has declined: with fewer, conversion is faster."""


def _found() -> Literal["amx", "avx512_bf16"] | None:
    """What this processor multiplies bfloat16 by, if the environment does not ask for less."""
    asked = os.environ.get("LUCID_INSTRUCTION_SET", "")
    if asked not in ("", "avx512_bf16"):
        return None
    try:
        flags = Path("/proc/cpuinfo").read_text().partition("\nflags")[2].partition("\n")[0].split()
    except OSError:  # no Linux
        return None
    if {"amx_tile", "amx_bf16"} <= set(flags) and not asked:
        return "amx"
    return "avx512_bf16" if "avx512_bf16" in flags else None


multiplied_by: Literal["amx", "avx512_bf16"] | None = _found()
"""The same; tests and benchmarks set it."""


def take(dtype: torch.dtype, shape_1: Shape, shape_2: Shape, outputs: int) -> bool:
    """Whether these leave the kernel or its conversion for products, if there is enough to do.

    Where AVX512-BF16 is all there is, that is asked of rows that the kernel has declined. PyTorch
    may not have more threads than lucid may use.
    """
    if multiplied_by is None or dtype is not torch.bfloat16:
        return False
    features_1, features_2 = prod(shape_1[-1:]), prod(shape_2[-1:])
    if shape_1[:-1] == shape_2[:-1]:
        if multiplied_by != "amx" and (
            min(features_1, features_2) < LEAST_FEATURES
            or (_native.compiled and _native.compiled.instruction_set() != "avx512_bf16")
        ):
            return False
        count = prod(shape_1[:-1]) * features_1 * features_2
    else:
        rows = max(prod(shape_1[:-1]), prod(shape_2[:-1]))
        pairs = prod(broadcast_shapes(shape_1[:-1], shape_2[:-1]))
        if pairs == rows:
            return False
        count = rows * features_1 * features_2 + pairs * min(features_1, features_2)
    return count * outputs >= LEAST and (
        _native.compiled is None or torch.get_num_threads() <= _native.compiled.get_num_threads()
    )


def bilinear(
    x1: Tensor, x2: Tensor, weight: Tensor, bias: Tensor | None, needed: Needed | None = None
) -> tuple[Tensor, Tensor | None]:
    """The result, and the product that spares the needed gradients one, where there is one."""
    work = _workspace(x1)
    out = _portable.bilinear(x1, x2, weight, bias, halves=work, needed=needed)
    return out, work.all_kept()


def gradients(
    g: Tensor, x1: Tensor | Shape, x2: Tensor | Shape, weight: Tensor | None, needed: Needed,
    kept: Tensor | None = None,
) -> Gradients:  # fmt: skip
    """The gradients, with the product that the result has kept."""
    return _portable.gradients(g, x1, x2, weight, needed, halves=_workspace(g), kept=kept)


def _workspace(like: Tensor) -> HalvesWorkspace:
    machine = CPU_WITH_TILES if multiplied_by == "amx" else CPU_OF_HALVES
    return HalvesWorkspace(namespace(like), like.dtype, torch.float32, machine)
