"""Edges of few nodes: each node meets the weight once, not each of its edges.

Where several rows e take the same row n of an input, with one weight for all,

    T[n, o, j] = Σ_i x1[n, i] · W[o, i, j]              out[e, o] = Σ_j T[n(e), o, j] · x2[e, j]
    U[n, o, j] = Σ_e∈n g[e, o] · x2[e, j]               dx2[e, j] = Σ_o g[e, o] · T[n(e), o, j]
    dx1[n, i] = Σ_oj U[n, o, j] · W[o, i, j]            dW[o, i, j] = Σ_n x1[n, i] · U[n, o, j]

What passes over the rows is the form with a weight T[n] for each node and one feature, 1, in the
place of x1: the nodes are its groups. T and U are held for the nodes of one block of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from .._arrays import Array, dtype_name, is_traced_by_jax, library, mixture, namespace
from .._errors import LibraryError
from .._shapes import Shape
from . import _native, _rows
from ._arguments import Gradients, Needed, promoted
from ._cpu import COPIED
from ._groups import Block
from ._rows import (
    FIRST,
    RESULT,
    SECOND,
    Memory,
    Result,
    Rows,
    Work,
    bilinear_runs,
    gradients_runs,
    matrix_of,
)

LEAST_EDGES = 2
"""Of a node, on average, from which on this is done."""

LEAST_ROWS = 256
"""Of a call, and of a block."""

LEAST_FEATURES = 8
"""Of a node."""


class _Elsewhere(Memory):
    """Arrays of another library that NumPy can look into."""

    def __init__(self, arrays: Sequence[Array]) -> None:
        self._xp = namespace(arrays[0])
        super().__init__(np.dtype(dtype_name(promoted(self._xp, tuple(arrays)))))

    def seen(self, x: Array) -> Any:
        return x if isinstance(x, np.ndarray) else np.from_dlpack(x)

    def given(self, found: Any) -> Array:
        return self._xp.asarray(super().given(found))


def memory_of(function: str, **factors: Array | None) -> Memory:
    """Where the arrays of a call lie, and the dtype that they promote to."""
    arrays = [each for each in factors.values() if each is not None]
    first = arrays[0]
    if all(type(each) is np.ndarray for each in arrays):
        return Memory(promoted(np, tuple(arrays)))
    mixed = mixture(function, factors)
    if mixed is not None:
        raise mixed
    if isinstance(first, np.ndarray):
        return Memory(promoted(np, tuple(arrays)))
    if library(first) == "torch":
        from . import _torch_rows

        return _torch_rows.memory_of(arrays)
    if is_traced_by_jax(first):
        raise LibraryError(
            f"{function}: under jax.jit rows are chosen and summed by lucid.jax.bilinear, which "
            "takes JAX's arrays as they are"
        )
    return _Elsewhere(arrays)


def bilinear(
    memory: Memory, x1: Array, x2: Array, weight: Array, bias: Array | None, rows: Rows
) -> Array:
    """The form over the rows that are chosen; see `_rows.bilinear`."""
    plan = _plan(memory, tuple(weight.shape), rows)
    if plan is None:
        return _rows.bilinear(memory, x1, x2, weight, bias, rows)
    nodes, others = (x1, x2) if plan.node is FIRST else (x2, x1)
    first, second = matrix_of(memory, nodes), matrix_of(memory, others)
    matrix = plan.matrix(memory, weight)
    outputs = weight.shape[-3]
    out = Result(memory, rows, RESULT, outputs)
    work = Work(memory, 1)
    ones = np.ones((plan.rows, 1), memory.working)
    row = None if bias is None else np.asarray(matrix_of(memory, bias)[:], memory.working)
    for block in plan.grouped.blocks(plan.rows):
        x = work.gathered("x", first, block.which)
        held = np.matmul(x, matrix, out=work.empty("T", len(x), matrix.shape[1]))
        place = rows.of(RESULT, block.rows)
        to = work.empty("out", block.size, outputs)
        bilinear_runs(
            ones[: block.size], work.gathered("y", second, rows.of(plan.other, block.rows)),
            held.reshape(len(x), outputs, 1, -1), None, to, _by_place(block), memory.most,
        )  # fmt: skip
        if row is not None:
            to += row
        out.put(place, to)
    work.release()
    return out.finish()


def gradients(
    memory: Memory, g: Array, x1: Array | None, x2: Array | None, weight: Array | None,
    weight_shape: Shape, rows: Rows, needed: Needed,
) -> Gradients:  # fmt: skip
    """The gradients of the form; see `_rows.gradients`."""
    plan = _plan(memory, weight_shape, rows)
    if plan is None:
        return _rows.gradients(memory, g, x1, x2, weight, weight_shape, rows, needed)
    is_first = plan.node is FIRST
    nodes, others = (x1, x2) if is_first else (x2, x1)
    need_node, need_other = needed[:2] if is_first else (needed[1], needed[0])
    start, first, second = (matrix_of(memory, each) for each in (g, nodes, others))
    matrix: Any = None if weight is None else plan.matrix(memory, weight)
    outputs = weight_shape[-3]
    features, other_features = weight_shape[-2:] if is_first else weight_shape[:-3:-1]
    needs_sum = need_node or needed[2]
    d_node = Result(memory, rows, plan.node, features) if need_node else None
    d_other = Result(memory, rows, plan.other, other_features) if need_other else None
    width = outputs * other_features
    total = np.zeros((features, width), memory.working) if needed[2] else None
    work = Work(memory, 1)
    ones = np.ones((plan.rows, 1), memory.working)
    for block in plan.grouped.blocks(plan.rows):
        count, shape = len(block.which), (len(block.which), outputs, 1, other_features)
        x: Any = work.gathered("x", first, block.which) if need_other or needed[2] else None
        held: Any = None
        if need_other:
            held = np.matmul(x, matrix, out=work.empty("T", count, width)).reshape(shape)
        summed: Any = work.empty("U", count, width) if needs_sum else None
        found = work.empty("d", block.size, other_features) if need_other else None
        gradients_runs(
            work.gathered("g", start, rows.of(RESULT, block.rows)), ones[: block.size],
            work.gathered("y", second, rows.of(plan.other, block.rows)) if needs_sum else None,
            held, None, found, None if summed is None else summed.reshape(shape),
            np.zeros(count, np.bool_), _by_place(block), memory.most,
        )  # fmt: skip
        if d_other is not None:
            d_other.put(rows.of(plan.other, block.rows), found)
        if d_node is not None:
            of_nodes = np.matmul(summed, matrix.T, out=work.empty("dx", count, features))
            d_node.put(block.which, of_nodes)
        if total is not None:
            total += np.matmul(x.T, summed, out=work.empty("dW", features, width))
    work.release()
    d_weight = None
    if total is not None:
        d_weight = memory.new(weight_shape, True, False)
        order = (1, 0, 2) if is_first else (1, 2, 0)
        own = total.reshape(features, outputs, other_features).transpose(order)
        memory.seen(d_weight).reshape(own.shape)[...] = own
        d_weight = memory.given(d_weight)
    d_1, d_2 = (None if each is None else each.finish() for each in (d_node, d_other))
    return (d_1, d_2, d_weight) if is_first else (d_2, d_1, d_weight)


class _Plan:
    """Which input has the nodes, the rows by their nodes, and how many of them a block has."""

    def __init__(self, node: int, rows: Rows, at_once: int) -> None:
        self.node, self.other, self.rows = node, FIRST + SECOND - node, at_once
        maps = (None, None, None, rows.maps[node])
        self.grouped = Rows(rows.shape, maps, (0, 0, 0, rows.sizes[node]), None)

    def matrix(self, memory: Memory, weight: Array) -> Any:
        """The weight as (features of a node, out · other features)."""
        found = np.asarray(memory.seen(weight).reshape(tuple(weight.shape)[-3:])[:])
        found = found.transpose((1, 0, 2) if self.node is FIRST else (2, 0, 1))
        return np.ascontiguousarray(found.reshape(len(found), -1), memory.working)


def _plan(memory: Memory, weight_shape: Shape, rows: Rows) -> _Plan | None:
    """How edges of few nodes are done, or None where each row had better meet the weight."""
    if rows.has_groups or len(weight_shape) != 3 or _native.compiled is None:
        return None
    size = memory.working.itemsize
    if memory.working.char not in "fd" or not 0 < prod(weight_shape) * size <= COPIED // 2:
        return None
    edges = {
        node: rows.count / rows.sizes[node]
        for node in (FIRST, SECOND)
        if rows.maps[node] is not None and rows.sizes[node] > 0
    }
    node = max(edges, key=lambda each: edges[each], default=None)
    if node is None or edges[node] < LEAST_EDGES or rows.count < LEAST_ROWS:
        return None
    outputs, *features = weight_shape
    held = outputs * features[SECOND - node] * size
    at_once = min(COPIED // 2 // held, 4 * _rows.BLOCK // (size * sum(weight_shape)))
    # with few features the kernel's own way through the rows is as short
    is_worth = at_once >= LEAST_ROWS and features[node - FIRST] >= LEAST_FEATURES
    return _Plan(node, rows, at_once) if is_worth else None


def _by_place(block: Block) -> Block:
    """The same with the nodes of the block as groups."""
    return Block(block.rows, np.arange(len(block.which)), block.bounds)
