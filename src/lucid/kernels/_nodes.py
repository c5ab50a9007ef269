"""Edges of few nodes: each node meets the weight once, not each of its edges.

Where several rows e take the same row n of an input, with one weight for all,

    T[n, o, j] = Σ_i x1[n, i] · W[o, i, j]              out[e, o] = Σ_j T[n(e), o, j] · x2[e, j]
    U[n, o, j] = Σ_e∈n g[e, o] · x2[e, j]               dx2[e, j] = Σ_o g[e, o] · T[n(e), o, j]
    dx1[n, i] = Σ_oj U[n, o, j] · W[o, i, j]            dW[o, i, j] = Σ_n x1[n, i] · U[n, o, j]

All of it is the compiled kernel's (`native/nodes.hpp`), for the nodes of one block after the other.
U is held for a block, T only in the kernel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from .._arrays import Array, dtype_name, is_traced_by_jax, library, mixture, namespace
from .._errors import LibraryError
from .._shapes import Shape
from . import _native, _rows
from ._arguments import Gradients, Needed, promoted
from ._cpu import COPIED
from ._rows import (
    FIRST,
    RESULT,
    SECOND,
    SORTED,
    Memory,
    Result,
    Rows,
    Work,
    matrix_of,
)

LEAST_ROWS = 256
"""Of a call."""

EDGE = 6.0
"""An edge takes as long as so many features of a node."""

LEAST_NODES = 64
"""Of a block, or U would be too large."""

MIDDLE = 4 << 20
"""Bytes of U."""

LONGEST = 256
"""Edges of a node that are done together: those of one with more are shared by the threads."""


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
    outputs = weight.shape[-3]
    out = Result(memory, rows, RESULT, outputs)
    row: Any = None
    if bias is not None:
        row = np.ascontiguousarray(memory.seen(bias).reshape((outputs,))[:], memory.working)
    work = Work(memory, 1)
    # lanes of the kernel are features of the result
    packed = _packed(work, "W", plan.matrix(memory, weight).transpose(0, 2, 1)[None], memory.most)
    for edges in plan.blocks():
        x = work.gathered("x", first, edges.nodes)
        source = _source(work, memory, "y", second, rows.of(plan.other, edges.rows))
        _put(work, out, rows.of(RESULT, edges.rows), x, packed, source, row, edges, memory.most)
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
    features, outputs, other_features = plan.sizes
    width = outputs * other_features
    # lanes of the kernel are the more: outputs, or the other input's features
    is_wide = outputs > other_features
    d_node = Result(memory, rows, plan.node, features) if need_node else None
    d_other = Result(memory, rows, plan.other, other_features) if need_other else None
    total = np.zeros((features, width), memory.working) if needed[2] else None
    work, most = Work(memory, 1), memory.most
    for_other = _packed(work, "W", matrix[None], most) if need_other else None
    for_node = None
    if need_node:
        axes = (2, 1, 0) if is_wide else (1, 2, 0)
        for_node = _packed(work, "V", matrix.transpose(axes)[:, :, None], most)
    step = _native.middle_step(width, memory.working.itemsize)
    for edges in plan.blocks():
        x: Any = work.gathered("x", first, edges.nodes) if need_other or needed[2] else None
        slope = _source(work, memory, "g", start, rows.of(RESULT, edges.rows))
        place = rows.of(plan.other, edges.rows)
        if d_other is not None:
            _put(work, d_other, place, x, for_other, slope, None, edges, most)
        if d_node is None and total is None:
            continue
        source = _source(work, memory, "y", second, place)
        both = (*source, *slope) if is_wide else (*slope, *source)
        summed = work.empty("U", len(edges.nodes), step)
        found = None if d_node is None else work.empty("dx", len(edges.nodes), features)
        _native.nodes_of_edges(x, for_node, *both, summed, found, total, edges.bounds, most)
        if d_node is not None:
            d_node.put(edges.nodes, found)
    work.release()
    d_weight = None
    if total is not None:
        d_weight = memory.new(weight_shape, True, False)
        to = plan.by_node(memory.seen(d_weight))
        to[...] = (
            total.reshape(features, other_features, outputs).transpose(0, 2, 1) if is_wide
            else total.reshape(features, outputs, other_features)
        )  # fmt: skip
        d_weight = memory.given(d_weight)
    d_1, d_2 = (None if each is None else each.finish() for each in (d_node, d_other))
    return (d_1, d_2, d_weight) if is_first else (d_2, d_1, d_weight)


class _Edges(NamedTuple):
    """Some rows in the order of their nodes: those of each node end at a bound."""

    rows: Any
    nodes: Any
    bounds: Any


class _Plan:
    """Which input has the nodes, and how many of them a block has at most."""

    def __init__(self, node: int, rows: Rows, weight_shape: Shape, at_once: int) -> None:
        self.node, self.other, self.at_once = node, FIRST + SECOND - node, at_once
        outputs, *features = weight_shape
        self.sizes = features[node - FIRST], outputs, features[self.other - FIRST]
        maps = (None, None, None, rows.maps[node])
        self._grouped = Rows(rows.shape, maps, (0, 0, 0, rows.sizes[node]), None)

    def by_node(self, weight: Any) -> Any:
        """The weight as (features of a node, out, other features), a view."""
        return weight.reshape(weight.shape[-3:]).transpose(
            (1, 0, 2) if self.node is FIRST else (2, 0, 1)
        )

    def matrix(self, memory: Memory, weight: Array) -> Any:
        """The same of numbers that the kernel reads."""
        found = memory.seen(weight).reshape(tuple(weight.shape)[-3:])
        return self.by_node(np.asarray(found[:], memory.working))

    def blocks(self) -> Iterator[_Edges]:
        """All rows, each node's side by side."""
        room = max(LONGEST, _rows.BLOCK // (8 * max(self.sizes)))
        for block in self._grouped.blocks(SORTED):
            nodes, bounds = _shortened(block.which, block.bounds)
            begin = 0
            while begin < len(nodes):
                end = int(bounds.searchsorted(bounds[begin] + room, "right")) - 1
                end = max(begin + 1, min(end, begin + self.at_once))
                first, last = int(bounds[begin]), int(bounds[end])
                if isinstance(block.rows, slice):
                    rows: Any = np.arange(block.rows.start + first, block.rows.start + last)
                else:
                    rows = block.rows[first:last]
                yield _Edges(rows, nodes[begin:end], bounds[begin : end + 1] - first)
                begin = end


def _shortened(nodes: Any, bounds: Any) -> tuple[Any, Any]:
    """The same, where a node with many edges comes several times."""
    times = -(-np.diff(bounds) // LONGEST)
    if len(times) == 0 or times.max() <= 1:
        return nodes, bounds
    first = np.cumsum(times) - times
    starts = bounds[:-1].repeat(times)
    starts += LONGEST * (np.arange(len(starts)) - first.repeat(times))
    return nodes.repeat(times), np.append(starts, bounds[-1])


def _packed(work: Work, name: str, matrix: Any, most: int) -> Any:
    """A matrix whose rows are the first two axes, and its columns the others, for the kernel."""
    rows, columns = prod(matrix.shape[:2]), prod(matrix.shape[2:])
    to = work.empty(name, 1, rows * (columns + 64)).reshape(-1)  # whole vectors, of any kind
    _native.pack_matrix(matrix, to, most)
    return to


def _source(work: Work, memory: Memory, name: str, x: Any, at: Any) -> tuple[Any, Any]:
    """Where the kernel finds these rows, and which they are there."""
    if memory.fits(x):
        return x, at
    return work.gathered(name, x, at), np.arange(len(at))


def _put(
    work: Work, result: Result, place: Any, x: Any, packed: Any, source: tuple[Any, Any], row: Any,
    edges: _Edges, most: int,
) -> None:  # fmt: skip
    """The rows of edges that `edges_of_nodes` finds, where they belong."""
    whole = result.space(slice(None))
    to, index = whole, place
    if whole is None:
        to, index = work.empty("to", len(place), result.features), np.arange(len(place))
    _native.edges_of_nodes(x, packed, *source, row, to, index, edges.bounds, most)
    if whole is None:
        result.put(place, to)


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
    if node is None or rows.count < LEAST_ROWS:
        return None
    outputs, *features = weight_shape
    # a step has four products of nodes with the weight, or three of rows
    if 4 * features[node - FIRST] > 3 * edges[node] * (features[node - FIRST] - EDGE):
        return None
    at_once = MIDDLE // (outputs * features[SECOND - node] * size)
    return _Plan(node, rows, weight_shape, at_once) if at_once >= LEAST_NODES else None
