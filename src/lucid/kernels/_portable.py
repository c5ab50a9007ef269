"""The contraction: dtypes, the plan, and the short way for small arrays."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from .._arrays import Array, DType, Namespace, is_half, namespace, on_cpu
from .._shapes import Shape
from ._arguments import ALL, Gradients, Needed, factors_of, promoted, shape_of
from ._layout import Layout, boxes, layout, permuted
from ._orders import Problem, outer_forward, outer_gradients, sided_forward, sided_gradients
from ._plan import Order, Sizes, Tiles, choose
from ._workspace import (
    DeviceWorkspace,
    HalvesWorkspace,
    NumPyWorkspace,
    Result,
    Workspace,
    result,
)

SMALL = 1 << 14
"""Elements up to which one product in one piece is faster than any planning."""


def bilinear(
    x1: Array, x2: Array, weight: Array, bias: Array | None = None, *, order: Order | None = None,
    halves: HalvesWorkspace | None = None, needed: Needed | None = None,
) -> Array:  # fmt: skip
    """Contract two inputs with a weight; see `lucid.kernels.bilinear`.

    With `halves` they are multiplied as they are, and it keeps what spares `needed` a product.
    """
    factors = (x1, x2, weight) if bias is None else (x1, x2, weight, bias)
    xp = namespace(*factors)
    dtype = promoted(xp, factors)
    if order is None and _is_small(dtype, factors, x1.shape, x2.shape, weight.shape):
        return _small_bilinear(xp, x1, x2, weight, bias)
    work = halves or _workspace(xp, dtype, x1)
    split = layout(tuple(x1.shape[:-1]), tuple(x2.shape[:-1]))
    shape = (*split.leading, weight.shape[0])
    if bias is not None:
        bias = xp.reshape(bias, (weight.shape[0],))

    sizes = Sizes(*split.counts, *weight.shape)
    keeping = halves is not None and needed is not None and halves.keeps(sizes, needed)
    if halves and keeping:
        order = halves.order_of_training(sizes)
    order, tiles = _order(work, sizes, None, order)
    if order == "right":
        split, x1, x2, weight = split.swapped(), x2, x1, xp.permute_dims(weight, (0, 2, 1))
    problem = _problem(split, None, x1, x2, weight, tuple(weight.shape), order)
    run = outer_forward if order == "outer" else sided_forward
    out_order = split.order_both()
    if work.total == dtype or (work.dtype == dtype and problem.is_summed_at_once(tiles)):
        out = result(x1, dtype, shape, *out_order, bias, halves is not None)
        if halves and keeping:
            halves.keep_as(x1, problem.shape_of_product(order))
        run(work, problem, tiles, out)
        work.release()
        return out.finish()

    # Sums of halves grow in float32, for as many rows at a time as there is room for.
    out = result(x1, dtype, shape, *out_order)
    for box in boxes(problem.rows, work.machine.block // (4 * max(shape[-1], 1))):
        whole = (*box, slice(0, shape[-1]))
        part = problem.part(box)
        total = _total(work, x1, (*part.rows, shape[-1]), bias)
        run(work, part, tiles, total)
        out.put(whole, total.finish())
    work.release()
    return out.finish()


def gradients(
    g: Array,
    x1: Array | Shape,
    x2: Array | Shape,
    weight: Array | None,
    needed: Needed = ALL,
    *,
    order: Order | None = None,
    halves: HalvesWorkspace | None = None,
    kept: Array | None = None,
) -> Gradients:
    """The gradients of `bilinear`; see `lucid.kernels.gradients`.

    With `halves` they are multiplied as they are, and `kept` is what it has kept.
    """
    shape_1, shape_2 = shape_of(x1), shape_of(x2)
    weight_shape = (g.shape[-1], shape_1[-1], shape_2[-1])
    _, first, second, weight = given = factors_of(g, x1, x2, weight, needed)
    factors = tuple(factor for factor in given if factor is not None)
    xp = namespace(*factors)
    dtype = promoted(xp, factors)
    if order is None and _is_small(dtype, factors, shape_1, shape_2, weight_shape):
        return _small_gradients(xp, g, first, second, weight, weight_shape, needed)
    work = halves or _workspace(xp, dtype, g)
    split = layout(tuple(shape_1[:-1]), tuple(shape_2[:-1]))
    sizes = Sizes(*split.counts, *weight_shape)

    if halves and kept is not None and halves.keeps(sizes, needed):
        halves.use_kept(kept)
        order = halves.order_of_training(sizes)
    order, tiles = _order(work, sizes, needed, order)
    weight_order = (0, 1, 2)
    if order == "right":
        split, first, second, weight_order = split.swapped(), second, first, (0, 2, 1)
        shape_1, shape_2, needed = shape_2, shape_1, (needed[1], needed[0], needed[2])
        weight = None if weight is None else xp.permute_dims(weight, weight_order)
    want_first, want_second, want_weight = needed
    problem = _problem(
        split, g, first, second, weight, tuple(weight_shape[axis] for axis in weight_order), order
    )
    d_first = d_second = d_weight = None
    is_fresh = halves is not None
    if want_first:
        d_first = result(g, dtype, shape_1, *split.order_first(len(shape_1)), is_fresh=is_fresh)
    if want_second:
        d_second = result(g, dtype, shape_2, *split.order_second(len(shape_2)), is_fresh=is_fresh)
    if want_weight:
        d_weight = result(g, dtype, weight_shape, weight_order, is_fresh=is_fresh)
    run = outer_gradients if order == "outer" else sided_gradients
    if work.total == dtype or (work.dtype == dtype and problem.is_summed_at_once(tiles)):
        run(work, problem, tiles, d_first, d_second, d_weight)
    else:
        _in_parts(work, problem, tiles, run, d_first, d_second, d_weight)
    work.release()
    first, second, weight = (each and each.finish() for each in (d_first, d_second, d_weight))
    return (second, first, weight) if order == "right" else (first, second, weight)


def _is_small(
    dtype: DType, factors: tuple[Array, ...], shape_1: Shape, shape_2: Shape, weight_shape: Shape
) -> bool:
    """Whether all is one tile, with nothing to broadcast or convert: then planning costs more."""
    outputs, features_1, features_2 = weight_shape
    products = features_1 * features_2
    return (
        shape_1[:-1] == shape_2[:-1]
        and products * outputs <= SMALL
        and products * prod(shape_1[:-1]) <= SMALL
        and all(factor.dtype == dtype for factor in factors)
        and not is_half(dtype)
    )


def _small_bilinear(
    xp: Namespace, x1: Array, x2: Array, weight: Array, bias: Array | None
) -> Array:
    """The outer order in one tile: out[n, o] = Σ_ij (x1[n, i] · x2[n, j]) · W[o, i, j]"""
    outputs, features_1, features_2 = weight.shape
    leading = x1.shape[:-1]
    pairs = xp.reshape(x1[..., None] * x2[..., None, :], (prod(leading), features_1 * features_2))
    out = pairs @ xp.reshape(weight, (outputs, features_1 * features_2)).T
    if len(leading) != 1:
        out = xp.reshape(out, (*leading, outputs))
    return out if bias is None else out + xp.reshape(bias, (outputs,))


def _small_gradients(
    xp: Namespace, g: Array, x1: Array | None, x2: Array | None, weight: Array | None,
    weight_shape: Shape, needed: Needed,
) -> Gradients:  # fmt: skip
    """The outer order in one tile: D[n, i, j] = Σ_o g[n, o] · W[o, i, j], then with x1 and x2."""
    outputs, features_1, features_2 = weight_shape
    leading = tuple(g.shape[:-1])
    rows = prod(leading)
    g = xp.reshape(g, (rows, outputs))
    d_1 = d_2 = d_weight = None
    if x1 is not None:
        x1 = xp.reshape(x1, (rows, 1, features_1))
    if x2 is not None:
        x2 = xp.reshape(x2, (rows, features_2, 1))
    if weight is not None:
        products = g @ xp.reshape(weight, (outputs, features_1 * features_2))
        products = xp.reshape(products, (rows, features_1, features_2))
        if needed[0]:
            d_1 = xp.reshape(products @ x2, (*leading, features_1))
        if needed[1]:
            d_2 = xp.reshape(x1 @ products, (*leading, features_2))
    if needed[2]:
        pairs = xp.reshape(
            xp.reshape(x1, (rows, features_1, 1)) * xp.reshape(x2, (rows, 1, features_2)),
            (rows, features_1 * features_2),
        )
        d_weight = xp.reshape(g.T @ pairs, weight_shape)
    return d_1, d_2, d_weight


def _in_parts(
    work: Workspace, problem: Problem, tiles: Tiles, run: Any,
    d_first: Result | None, d_second: Result | None, d_weight: Result | None,
) -> None:  # fmt: skip
    """The gradients of halves: sums grow in float32, where there is not room for all in parts.

    Parts are along shared positions. Where one of them is too much, each input's gradient is
    computed by itself, along its own positions. The weight's needs no parts: its blocks are.
    """
    _, features_1, features_2 = problem.weight_shape
    n_shared, n_firsts = len(problem.shared), len(problem.firsts)
    one_shared = prod(problem.firsts) * features_1 + prod(problem.seconds) * features_2
    room = work.machine.block // 4
    everything = tuple(slice(0, size) for size in problem.rows)
    if one_shared * prod(problem.shared) <= room:
        _one_part(work, problem, tiles, run, everything, d_first, d_second, d_weight)
        return
    if one_shared <= room or prod(problem.shared) == 0:
        for box in boxes(problem.shared, room // max(one_shared, 1)):
            box = (*box, *everything[n_shared:])
            _one_part(work, problem, tiles, run, box, d_first, d_second, None)
    else:
        if d_first:
            for box in boxes(problem.shared + problem.firsts, room // max(features_1, 1)):
                box = (*box, *everything[n_shared + n_firsts :])
                _one_part(work, problem, tiles, run, box, d_first, None, None)
        if d_second:
            for box in boxes(problem.shared + problem.seconds, room // max(features_2, 1)):
                firsts = everything[n_shared : n_shared + n_firsts]
                box = (*box[:n_shared], *firsts, *box[n_shared:])
                _one_part(work, problem, tiles, run, box, None, d_second, None)
    if d_weight:
        run(work, problem, tiles, None, None, d_weight)


def _one_part(
    work: Workspace, problem: Problem, tiles: Tiles, run: Any, box: tuple[slice, ...],
    d_first: Result | None, d_second: Result | None, d_weight: Result | None,
) -> None:  # fmt: skip
    part = problem.part(box)
    _, features_1, features_2 = problem.weight_shape
    n_shared = len(problem.shared)
    n_both = n_shared + len(problem.firsts)
    total_1 = total_2 = None
    if d_first:
        total_1 = _total(work, part.g, (*part.shared, *part.firsts, features_1))
    if d_second:
        total_2 = _total(work, part.g, (*part.shared, *part.seconds, features_2))
    run(work, part, tiles, total_1, total_2, d_weight)
    if d_first and total_1:
        d_first.put((*box[:n_both], slice(0, features_1)), total_1.finish())
    if d_second and total_2:
        rows = (*box[:n_shared], *box[n_both:])
        d_second.put((*rows, slice(0, features_2)), total_2.finish())


def _total(work: Workspace, like: Array, shape: Shape, bias: Array | None = None) -> Result:
    return result(like, work.total, shape, tuple(range(len(shape))), 0, bias)


def _order(
    work: Workspace, sizes: Sizes, needed: Needed | None, order: Order | None
) -> tuple[Order, Tiles]:
    """The plan's order of contraction, or the given one, and its tiles."""
    chosen = choose(sizes, needed, work.itemsize, work.machine)
    if order is None:
        return chosen.chosen.order, chosen.chosen.tiles
    return order, next(each.tiles for each in chosen.alternatives if each.order == order)


def _problem(
    split: Layout, g: Array | None, first: Array | None, second: Array | None,
    weight: Array | None, weight_shape: Shape, order: Order,
) -> Problem:  # fmt: skip
    if g is not None:
        g = permuted(g, *split.order_both())
    if first is not None:
        first = permuted(first, *split.order_first(len(first.shape)))
    if second is not None:
        second = permuted(second, *split.order_second(len(second.shape)))
    return Problem(
        split.shared, split.first, split.second, weight_shape,
        g, first, second, weight, order == "right",
    )  # fmt: skip


def _workspace(xp: Namespace, dtype: DType, like: Array) -> Workspace:
    """Where sums have this dtype, or float32 if it is a half."""
    total = xp.float32 if is_half(dtype) else dtype
    if xp is np:
        return NumPyWorkspace.borrow(np.dtype(total))
    return Workspace(xp, total) if on_cpu(like) else DeviceWorkspace(xp, dtype, total)
