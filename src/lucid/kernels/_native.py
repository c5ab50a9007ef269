"""The way to the compiled kernel, where there is one and it can do the call; else to the plans.

The kernel takes exact NumPy arrays of float32 or float64, whose leading axes are the same or make
pairs. It declines whatever else, by returning None, and here what needs only some preparation gets
it: arrays with other strides and mixed dtypes are copied, halves converted, in parts where they
are large.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from .._arrays import Array, library
from .._shapes import Shape
from . import _plan, _portable
from ._layout import Layout, layout
from ._plan import BLOCK, Needed, Order, Plan
from ._portable import ALL, Gradients

compiled: Any
try:
    from . import _compiled as compiled  # type: ignore[attr-defined, no-redef, unused-ignore]
except ImportError:
    if os.environ.get("LUCID_REQUIRE_NATIVE") == "1":
        raise
    compiled = None


def _declined(*_: Any) -> None:
    return None


attempt: Any = compiled.bilinear if compiled else _declined
"""attempt(x1, x2, weight, bias): the result, all sizes checked, or None where it cannot be had."""

attempt_gradients: Any = compiled.gradients if compiled else _declined


def bilinear(
    x1: Array, x2: Array, weight: Array, bias: Array | None = None, *, order: Order | None = None
) -> Array:
    """Contract two inputs with a weight.

        out[..., o] = Σ_ij x1[..., i] · W[o, i, j] · x2[..., j] + bias[o]

    Shapes: `x1` (*L1, I), `x2` (*L2, J), `weight` (O, I, J), `bias` (O,) or (1, O); the result is
    (*L, O), where L1 and L2 broadcast to L. The caller has checked them, and that the arrays are
    of one library. `order` asks for a portable plan (pairs have no outer order).
    """
    if order is None:
        out = attempt(x1, x2, weight, bias)
        if out is None and library(x1) == "torch":
            return _torch().bilinear(x1, x2, weight, bias)
        if out is None:
            out = prepared(x1, x2, weight, bias)
        if out is not None:
            return out
    return _portable.bilinear(x1, x2, weight, bias, order=order)


def gradients(
    g: Array,
    x1: Array | Shape,
    x2: Array | Shape,
    weight: Array | None,
    needed: Needed = ALL,
    *,
    order: Order | None = None,
) -> Gradients:
    """The gradients of `bilinear`, given that of its result; None for those not needed.

        dx1[..., i] = Σ_oj g[..., o] · W[o, i, j] · x2[..., j]
        dx2[..., j] = Σ_oi g[..., o] · W[o, i, j] · x1[..., i]
        dW[o, i, j] = Σ_...  g[..., o] · x1[..., i] · x2[..., j]

    dx1 and dx2 have the shapes of `x1` and `x2`: they are summed over broadcast leading axes.
    An input whose values no needed gradient asks for may be given as its shape, a tuple; the
    weight may then be None.
    """
    if order is None:
        found = attempt_gradients(g, x1, x2, weight, needed)
        if found is None and library(g) == "torch":
            return _torch().gradients(g, x1, x2, weight, needed)  # type: ignore[no-any-return]
        if found is None:
            found = prepared_gradients(g, x1, x2, weight, needed)
        if found is not None:
            return found  # type: ignore[no-any-return]
    return _portable.gradients(g, x1, x2, weight, needed, order=order)


PAIRS = "pairs, one input with the weight and then with the other"


def plan(shape_1: Shape, shape_2: Shape, weight_shape: Shape, needed: Needed | None = None) -> Plan:
    """How a contraction of these shapes is done, in float32: from sizes alone.

    `needed` says which gradients (of x1, x2 and the weight); None asks about the forward. What is
    printed says the algorithm of the compiled kernel, where it takes the call, and the portable plan.

    >>> from lucid.kernels import plan
    >>> print(plan((64, 40, 1, 501), (64, 1, 40, 501), (1, 501, 501)))  # doctest: +ELLIPSIS
    bilinear, forward
      positions: 64 shared × 40 of input_1 × 40 of input_2
      weight: 1 × 501 × 501...
      order   contraction     multiplications   temporaries    estimated
      left    (x1 · W) · x2         6.939e+08      ... KiB       ... ms
    → right   (x2 · W) · x1         6.939e+08      ... KiB       ... ms
    """
    found = _plan.plan(shape_1, shape_2, weight_shape, needed)
    sizes = (found.sizes.rows, *weight_shape)
    if compiled is None or not all(sizes):
        return found
    if tuple(shape_1[:-1]) != tuple(shape_2[:-1]):
        cost = FORWARD_COST if needed is None else GRADIENT_COST
        split = layout(tuple(shape_1[:-1]), tuple(shape_2[:-1]))
        return replace(found, compiled=PAIRS) if _takes(split, weight_shape, cost) else found
    forward, inputs, weight = compiled.chosen(*sizes, 4)
    way = forward
    if needed is not None:
        way = "; ".join(
            [f"inputs: {inputs}"] * (needed[0] or needed[1]) + [f"weight: {weight}"] * needed[2]
        )
    return replace(found, compiled=way)


def _torch() -> Any:
    """The way for tensors of PyTorch, imported when the first one arrives."""
    from . import _torch

    return _torch


def prepared(
    x1: Array,
    x2: Array,
    weight: Array,
    bias: Array | None,
    limit: tuple[None, int] | tuple[()] = (),
) -> Array | None:
    """The same with arguments made as the kernel takes them, or None.

    `limit` is what the kernel is told about threads, if anything.
    """
    if x1.shape[:-1] != x2.shape[:-1]:
        return _pairs(x1, x2, weight, bias, limit)
    dtype, working = _dtypes(x1, x2, weight, bias)
    if working is None or weight.size > BLOCK:
        return None
    weight = np.ascontiguousarray(weight, working)
    if bias is not None:
        bias = np.ascontiguousarray(bias.reshape(-1), working)
    leading, features = x1.shape[:-1], x1.shape[-1] + x2.shape[-1] + weight.shape[0]
    found = [
        attempt(_ready(x1[part], working), _ready(x2[part], working), weight, bias, *limit)
        for part in parts(leading, features)
    ]
    if any(part is None for part in found):
        return None
    found = [part.astype(dtype, copy=False) for part in found]
    return found[0] if len(found) == 1 else np.concatenate(found)


def prepared_gradients(
    g: Array, x1: Array | Shape, x2: Array | Shape, weight: Array | None, needed: Needed,
    limit: tuple[None, int] | tuple[()] = (),
) -> Gradients | None:  # fmt: skip
    arrays = [each for each in (g, x1, x2, weight) if each is not None]
    arrays = [each for each in arrays if not isinstance(each, tuple)]
    shape_1, shape_2 = (each if isinstance(each, tuple) else each.shape for each in (x1, x2))
    leading = shape_1[:-1]
    if leading != shape_2[:-1]:
        return _pair_gradients(g, x1, x2, weight, needed, limit)
    if leading != g.shape[:-1]:
        return None
    dtype, working = _dtypes(*arrays)
    if working is None or g.shape[-1] * shape_1[-1] * shape_2[-1] > BLOCK:
        return None
    if weight is not None:
        weight = np.ascontiguousarray(weight, working)
    features = 2 * (shape_1[-1] + shape_2[-1]) + g.shape[-1]
    found: list[list[Any]] = [[], [], []]
    for part in parts(leading, features):
        of_part = g[part]
        each = attempt_gradients(
            _ready(of_part, working),
            *(
                (*of_part.shape[:-1], x[-1]) if isinstance(x, tuple) else _ready(x[part], working)
                for x in (x1, x2)
            ),
            weight,
            needed,
            *limit[:1],  # for the inputs and for the weight
            *limit,
        )
        if each is None:
            return None
        if needed[2] and found[2]:
            found[2][0] += each[2]
            each = (*each[:2], None)
        for those, one in zip(found, each, strict=True):
            if one is not None:
                those.append(one)
    d_1, d_2, d_weight = (
        np.concatenate(those) if len(those) > 1 else those[0] if those else None for those in found
    )
    return tuple(  # type: ignore[return-value]
        each if each is None else each.astype(dtype, copy=False) for each in (d_1, d_2, d_weight)
    )


def takes_pairs(counts: Shape, weight_shape: Shape, result_cost: int) -> bool:
    """Whether pairs of these sizes are the compiled kernel's, and not the portable plan's.

    `counts` says how many positions are shared, and how many each input has alone. The kernel
    packs the weight. Few calculations are its own, because planning takes longer than they do; an
    element of the result counts as `result_cost` multiplications, for it is packed. Else both
    inputs need rows enough for a tile, and features enough to outweigh the packing.
    """
    outputs, features_1, features_2 = weight_shape
    if outputs * max(features_1, 16) * max(features_2, 16) > BLOCK // 2:
        return False
    shared, firsts, seconds = counts
    fewer, results = min(firsts, seconds), shared * firsts * seconds * outputs
    calculations = shared * max(fewer, 4) * prod(weight_shape) + result_cost * results
    least_features = min(features_1, features_2)
    if fewer >= 4 and least_features >= max(8, result_cost // 2):
        return True
    return calculations <= (1 << 20 if least_features >= 4 else 1 << 19)


def _takes(split: Layout, weight_shape: Shape, result_cost: int) -> bool:
    """The same, and that the result has the axes of one input outside of the other's."""
    return split.first_outside is not None and takes_pairs(split.counts, weight_shape, result_cost)


FORWARD_COST, GRADIENT_COST = 8, 32
"""Fitted to random sizes (native/README.md)."""


def _pairs(
    x1: Array, x2: Array, weight: Array, bias: Array | None, limit: tuple[None, int] | tuple[()]
) -> Array | None:
    """The same for pairs, where the kernel has a way for their axes and room for the weight."""
    factors = [each for each in (x1, x2, weight, bias) if each is not None]
    ready = _ready_for_pairs(x1.shape, x2.shape, weight.shape, factors, FORWARD_COST)
    if ready is None:
        return None
    split, dtype = ready
    if bias is not None:
        bias = np.ascontiguousarray(bias.reshape(-1), dtype)
    return compiled.pairs(
        *(np.ascontiguousarray(each, dtype) for each in (x1, x2, weight)),
        bias, split.leading, split.counts[0], split.first_outside, *limit[1:],
    )  # fmt: skip


def _pair_gradients(
    g: Array,
    x1: Array | Shape,
    x2: Array | Shape,
    weight: Array | None,
    needed: Needed,
    limit: tuple[None, int] | tuple[()],
) -> Gradients | None:
    shape_1, shape_2 = (x if isinstance(x, tuple) else x.shape for x in (x1, x2))
    factors = [each for each in (g, x1, x2, weight) if each is not None]
    arrays = [each for each in factors if not isinstance(each, tuple)]
    weight_shape = (g.shape[-1], shape_1[-1], shape_2[-1])
    ready = _ready_for_pairs(shape_1, shape_2, weight_shape, arrays, GRADIENT_COST)
    if ready is None:
        return None
    split, dtype = ready
    return compiled.pair_gradients(  # type: ignore[no-any-return]
        *(x if x is None or isinstance(x, tuple) else np.ascontiguousarray(x, dtype)
          for x in (g, x1, x2, weight)),
        needed, split.counts[0], split.first_outside, *limit[1:],
    )  # fmt: skip


def _ready_for_pairs(
    shape_1: Shape, shape_2: Shape, weight_shape: Shape, arrays: list[Array], result_cost: int
) -> tuple[Layout, Any] | None:
    """The axes and the dtype, if the kernel can have these arrays without large copies."""
    split = layout(shape_1[:-1], shape_2[:-1])
    if not _takes(split, weight_shape, result_cost):
        return None
    dtype, working = _dtypes(*arrays)
    if working is None or dtype != working:
        return None
    for array in arrays:
        copied = array.dtype != dtype or not array.flags.c_contiguous or not array.flags.aligned
        if copied and array.size > BLOCK // 2:
            return None
    return split, dtype


def _dtypes(*factors: Array | None) -> tuple[Any, Any]:
    """What NumPy arrays promote to and what the kernel adds up in, or None where it does not."""
    if compiled is None:
        return None, None
    arrays = [each for each in factors if each is not None]
    if not all(type(each) is np.ndarray and each.size for each in arrays):
        return None, None
    dtype = np.dtype(_portable._promoted(np, tuple(arrays)))
    if _portable._is_half(dtype):
        return dtype, np.float32
    return dtype, dtype if dtype.char in "fd" else None


def _ready(array: Array, dtype: Any) -> Array:
    flags = array.flags
    fits = array.dtype == dtype and flags.aligned and flags.c_contiguous
    return array if fits else array.astype(dtype, order="C")


def parts(leading: Shape, features: int) -> Iterator[slice | tuple[()]]:
    """Parts of the first leading axis whose copies take 16 MiB; the whole if there is none."""
    if not leading:
        yield ()
        return
    step = max(1, (BLOCK // 2) // max(1, features * prod(leading[1:])))
    for start in range(0, leading[0], step):
        yield slice(start, start + step)
