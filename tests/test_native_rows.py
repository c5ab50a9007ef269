"""The compiled kernel's runs of rows with weights of their own, and its edges of few nodes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from native_helpers import apart, check, compiled, reference

each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])

# lengths of runs, I, J, O: few rows and many, so that runs are handed out whole and divided
RUNS = [
    ((0, 1, 5, 0, 40, 3), 5, 7, 3), ((1, 30, 2), 20, 33, 17), ((700, 1), 16, 20, 12),
    ((4,) * 30, 16, 16, 16),
]  # fmt: skip

# edges of each node, I, K, L: around tiles (6 and 12 rows), vectors and panels, 24 nodes and 256
NODES = [
    ((1,), 1, 1, 1), ((3, 0, 13), 9, 3, 17), ((2, 5, 1) * 9, 300, 5, 33),
    ((1, 4) * 30, 13, 33, 7), ((1, 2, 0) * 100, 8, 4, 9), ((40, 7, 256), 25, 70, 64),
]  # fmt: skip


@pytest.fixture(params=[1, 3])
def _threads(request: Any) -> Iterator[None]:
    before = compiled.get_num_threads()
    compiled.set_num_threads(request.param)
    yield
    compiled.set_num_threads(before)


def bounds_of(lengths: Any) -> Any:
    return np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)


@each_dtype
@pytest.mark.usefixtures("instruction_set", "_threads")
@pytest.mark.parametrize("which", range(len(RUNS)))
def test_runs(dtype: str, which: int) -> None:
    lengths, first, second, outputs = RUNS[which]
    rng = np.random.default_rng(0)
    rows, groups, bounds = sum(lengths), len(lengths) + 1, bounds_of(lengths)
    shapes = (rows, outputs), (rows, first), (rows, second), (groups, outputs, first, second)
    g, x1, x2, weights = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    biases = rng.standard_normal((groups, outputs)).astype(dtype)
    order = rng.permutation(groups)[:-1].astype(np.int64)
    given = [apart(each, k) for k, each in enumerate((g, x1, x2))]
    out = np.empty_like(g)
    assert compiled.bilinear_runs(*given[1:], weights, biases, out, order, bounds, 0) is True
    started = rng.standard_normal(weights.shape).astype(dtype)
    for needed in product((True, False), repeat=3):
        if not any(needed):
            continue
        d_1, d_2, d_weights = (
            np.array(each) if wanted else None
            for each, wanted in zip((x1, x2, started), needed, strict=True)
        )
        met = np.arange(groups) % 2 == 0
        told = met.copy()
        assert compiled.gradients_runs(
            *given, weights if needed[0] or needed[1] else None, d_1, d_2, d_weights, told, order,
            bounds, 0,
        )  # fmt: skip
        for k, begin, end in zip(order, bounds[:-1], bounds[1:], strict=True):
            own: Any = x1[begin:end], x2[begin:end], weights[k], g[begin:end]
            exact = reference(*own)
            size = reference(*map(np.abs, own))
            n = end - begin
            about = which, needed, int(k)
            bias = np.float64(biases[k])
            check(out[begin:end], exact[0] + bias, size[0] + abs(bias), first * second, about)
            if d_1 is not None:
                check(d_1[begin:end], exact[1], size[1], outputs * second, about)
            if d_2 is not None:
                check(d_2[begin:end], exact[2], size[2], outputs * first, about)
            if d_weights is not None:
                there = started[k].astype(np.float64) * (met[k] or n == 0)
                check(d_weights[k], exact[3] + there, size[3] + abs(there), n, about)
                assert told[k] == (met[k] or n > 0)
        if d_weights is not None:  # a group without a run is left alone
            left = [k for k in range(groups) if k not in order]
            assert (d_weights[left] == started[left]).all()


def test_a_large_weight_is_added_some_outputs_at_a_time() -> None:
    x1, x2, g = np.ones((2, 1100), "f4"), np.ones((2, 1900), "f4"), np.array([[1, 2, 3]] * 2, "f4")
    d_weights, met = np.ones((1, 3, 1100, 1900), "f4"), np.array([True])
    assert compiled.gradients_runs(
        g, x1, x2, None, None, None, d_weights, met, np.array([0]), np.array([0, 2]), 0
    )
    assert (d_weights == np.array([3.0, 5.0, 7.0])[:, None, None]).all()


@each_dtype
def test_rows_are_added_in_their_order(dtype: str) -> None:
    big = float(2.0 / np.finfo(dtype).eps)
    rows = np.array([[1.0], [big], [3.0], [-big], [1.0]], dtype).repeat(3, 1)
    index = np.array([2, 0, 1, 0, 0])
    total = np.ones((4, 3), dtype)
    assert compiled.add_rows(total, index, rows) is True
    assert total[:, 0].tolist() == [dtype_sum(dtype, 1, big, -big, 1), 4, 2, 1]
    assert (total == total[:, :1]).all()
    for wrong in (4, -1):
        with pytest.raises(IndexError, match="add_rows: an index is outside"):
            compiled.add_rows(total, np.array([0, wrong]), rows[:2])


def dtype_sum(dtype: str, *numbers: float) -> float:
    total = np.zeros((), dtype)
    for number in numbers:
        total = (total + np.asarray(number, dtype)).astype(dtype)
    return float(total)


def packed(matrix: Any) -> Any:
    """As the kernel reads it: rows are the first two axes, columns the others."""
    size = matrix.shape[0] * matrix.shape[1] * (matrix.shape[2] * matrix.shape[3] + 64)
    to = np.full(size, np.nan, matrix.dtype)
    assert compiled.pack_matrix(matrix, to, 0) is None
    return to


@each_dtype
@pytest.mark.usefixtures("instruction_set", "_threads")
@pytest.mark.parametrize("case", range(len(NODES)))
def test_edges_and_nodes(dtype: str, case: int) -> None:
    lengths, features, outer, inner = NODES[case]
    rng = np.random.default_rng(0)
    nodes, edges, bounds = len(lengths), sum(lengths), bounds_of(lengths)
    shapes = (nodes, features), (features, outer, inner), (edges + 3, outer), (edges + 1, inner)
    x, weight, left, right = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    of_left, of_right = rng.integers(0, edges + 3, edges), rng.permutation(edges + 1)[:-1]
    of_node = np.repeat(np.arange(nodes), lengths)
    wide = [np.float64(each) for each in (x, weight, left[of_left], right[of_right])]
    sizes = [np.abs(each) for each in wide]

    def edge(x: Any, weight: Any, left: Any, _: Any) -> Any:
        middle = np.tensordot(x, weight, (1, 0))[of_node]
        return np.einsum("ekl,ek->el", middle, left)

    def summed(left: Any, right: Any) -> Any:
        total = np.zeros((nodes, outer, inner))
        np.add.at(total, of_node, left[:, :, None] * right[:, None, :])
        return total

    bias = rng.standard_normal(inner).astype(dtype)
    whole = packed(weight[None])
    for given in (bias, None):
        to = np.full_like(right, np.nan)
        found = compiled.edges_of_nodes(
            x, whole, left, of_left, given, to, of_right, bounds, 0
        )  # fmt: skip
        assert found is None
        add = 0.0 if given is None else np.float64(bias)
        exact, size = edge(*wide) + add, edge(*sizes) + np.abs(add)
        check(to[of_right], exact, size, features + outer, "edges")
        assert np.isnan(np.delete(to, of_right, 0)).all()
    middle, size = summed(*wide[2:]), summed(*sizes[2:])
    d_x, of_x = (np.einsum("nkl,ikl->ni", a, b) for a, b in ((middle, wide[1]), (size, sizes[1])))
    d_w, of_w = (np.einsum("ni,nkl->ikl", a, b) for a, b in ((wide[0], middle), (sizes[0], size)))
    turned = packed(weight.transpose(1, 2, 0)[:, :, None])
    step = compiled.middle_step(outer * inner, weight.itemsize)
    started = rng.standard_normal((features, outer * inner)).astype(dtype)
    for needs_x, needs_weight in ((True, True), (True, False), (False, True)):
        d_nodes = np.full_like(x, np.nan) if needs_x else None
        d_weight = started.copy() if needs_weight else None
        compiled.nodes_of_edges(
            x if needs_weight else None, turned if needs_x else None, left, of_left, right,
            of_right, np.empty((nodes, step), dtype), d_nodes, d_weight, bounds, 0,
        )  # fmt: skip
        longest = max(lengths)
        if d_nodes is not None:
            check(d_nodes, d_x, of_x, outer * inner + longest, "nodes")
        if d_weight is not None:
            there = started.astype(np.float64).reshape(weight.shape)
            found = d_weight.reshape(weight.shape)
            check(found, d_w + there, of_w + np.abs(there), nodes + longest, "weight")


@pytest.mark.parametrize(
    "change",
    [
        {3: np.array([0, 1, 4, 0])}, {6: np.array([0, -1, 1, 0])}, {6: np.array([0, 1, 2])},
        {7: np.array([0, 3, 2])}, {7: np.array([0, 2, 5])}, {7: np.array([1, 2, 4])},
        {1: np.ones(20)}, {2: np.ones((4, 2), "f4")}, {4: np.ones(4)}, {0: np.ones((3, 4))},
        {5: np.broadcast_to(np.ones(3), (4, 3))}, {3: np.arange(4.0)},
    ],
    ids=str,
)  # fmt: skip
def test_edges_that_are_elsewhere_are_an_error(change: dict[int, Any]) -> None:
    index = np.arange(4)
    given = [
        np.ones((2, 4)), packed(np.ones((1, 4, 2, 3))), np.ones((4, 2)), index, np.ones(3),
        np.ones((4, 3)), index, np.array([0, 2, 4]), 0,
    ]  # fmt: skip
    compiled.edges_of_nodes(*given)
    with pytest.raises(ValueError, match=r"^edges_of_nodes: arguments do not fit$"):
        compiled.edges_of_nodes(*(change.get(k, each) for k, each in enumerate(given)))


@pytest.mark.parametrize(
    "change",
    [
        {3: np.array([0, 1, 4, 0])}, {5: np.array([0, -1, 1, 0])}, {9: np.array([0, 3, 2])},
        {6: np.ones((2, 6))}, {7: np.ones((2, 5))}, {8: np.ones((4, 7))}, {1: np.ones(20)},
        {0: np.ones((3, 4))}, {7: None, 8: None}, {4: np.ones((4, 3), "f4")},
    ],
    ids=str,
)  # fmt: skip
def test_nodes_that_are_elsewhere_are_an_error(change: dict[int, Any]) -> None:
    index, step = np.arange(4), compiled.middle_step(6, 8)
    given = [
        np.ones((2, 4)), packed(np.ones((2, 3, 1, 4))), np.ones((4, 2)), index, np.ones((4, 3)),
        index, np.ones((2, step)), np.ones((2, 4)), np.ones((4, 6)), np.array([0, 2, 4]), 0,
    ]  # fmt: skip
    compiled.nodes_of_edges(*given)
    with pytest.raises(ValueError, match=r"^nodes_of_edges: arguments do not fit$"):
        compiled.nodes_of_edges(*(change.get(k, each) for k, each in enumerate(given)))


@pytest.mark.usefixtures("no_large_blocks")
def test_edges_without_memory() -> None:
    index, bounds = np.arange(40), np.array([0, 40])
    x, left, right = np.ones((1, 9)), np.ones((40, 20)), np.ones((40, 30))
    whole, turned = packed(np.ones((1, 9, 20, 30))), packed(np.ones((20, 30, 1, 9)))
    with pytest.raises(MemoryError):
        compiled.edges_of_nodes(x, whole, left, index, None, right, index, bounds, 0)
    middle = np.empty((1, compiled.middle_step(600, 8)))
    with pytest.raises(MemoryError):
        compiled.nodes_of_edges(
            x, turned, left, index, right, index, middle, x.copy(), np.ones((9, 600)), bounds, 0
        )


def test_a_matrix_that_has_no_room_is_an_error() -> None:
    for matrix, to in (
        (np.ones((1, 4, 2, 3)), np.empty(20)), (np.ones((4, 2, 3)), np.empty(999)),
        (np.ones((1, 4, 2, 3), "f4"), np.empty(999)),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"^pack_matrix: arguments do not fit$"):
            compiled.pack_matrix(matrix, to, 0)
