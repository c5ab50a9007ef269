"""Leading axes that broadcast, by the compiled kernel: pairs, positions, expanded views."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np
import pytest
from layouts import Array
from native_helpers import ALL, check, compiled, some_apart

from lucid._shapes import unbroadcast

NEEDED = [needed for needed in itertools.product((True, False), repeat=3) if any(needed)]

# S, A, B, I, J, O: around the same edges, inputs too large to be packed in one block, and in the
# last line outputs on lanes
PAIRS = [
    (1, 1, 1, 1, 1, 1), (3, 7, 5, 9, 33, 2), (2, 40, 41, 50, 31, 1), (5, 13, 30, 20, 17, 6),
    (1, 130, 9, 33, 40, 5), (2, 9, 70, 17, 70, 19), (4, 1, 7, 5, 6, 3), (1, 600, 33, 20, 21, 2),
    (7, 2, 3, 1, 1, 4), (1, 4, 9000, 20, 130, 2), (1, 9000, 4, 130, 3, 1),
    (3, 14, 40, 13, 17, 11), (2, 40, 14, 17, 13, 11), (1, 14, 600, 8, 113, 32),
]  # fmt: skip


class Exact:
    """Arguments with these leading axes, and what a call should give."""

    def __init__(self, leads: Any, features: tuple[int, int, int], dtype: Any) -> None:
        (lead_1, lead_2), (i, j, o) = leads, features
        self.leading = np.broadcast_shapes(lead_1, lead_2)
        random = np.random.default_rng(0)
        shapes = ((*lead_1, i), (*lead_2, j), (o, i, j), (o,), (*self.leading, o))
        self.arguments = [random.standard_normal(shape).astype(dtype) for shape in shapes]
        self.compute(*(each.astype(np.float64) for each in self.arguments))
        rows = int(np.prod(self.leading))
        met_1, met_2 = (rows // max(1, int(np.prod(lead))) for lead in (lead_1, lead_2))
        self.terms = i * j + 1, met_1 * o * j, met_2 * o * i, rows

    def compute(self, x1: Array, x2: Array, weight: Array, bias: Array, g: Array) -> None:
        self.bias = bias
        self.right = self.reference(x1, x2, weight, g)
        self.magnitudes = self.reference(*map(np.abs, (x1, x2, weight, g)))

    @staticmethod
    def reference(x1: Array, x2: Array, weight: Array, g: Array) -> list[Array]:
        """The result without bias, and the gradients of x1, x2 and the weight."""
        leading = g.shape[:-1]
        with_x2 = np.tensordot(x2, weight, (-1, 2))  # its own leading axes, o, i
        with_x1 = np.tensordot(x1, weight, (-1, 1))
        less = x1.size // x1.shape[-1] < x2.size // x2.shape[-1]
        middle, last = (with_x1, x2) if less else (with_x2, x1)
        out = np.einsum("...of,...f->...o", middle, last)
        d_1 = np.einsum("...o,...oi->...i", g, with_x2)
        d_2 = np.einsum("...o,...oj->...j", g, with_x1)
        spread = [np.broadcast_to(x, (*leading, x.shape[-1])).reshape(-1, x.shape[-1])
                  for x in (x1, x2, g)]  # fmt: skip
        of_weight = [np.tensordot(row[:, None] * spread[0], spread[1], (0, 0))
                     for row in spread[2].T]  # fmt: skip
        return [out, unbroadcast(d_1, x1.shape), unbroadcast(d_2, x2.shape), np.array(of_weight)]

    def check_forward(self, inputs: Any, threads: int, *, with_bias: bool = True) -> None:
        x1, x2 = inputs
        bias = self.arguments[3] if with_bias else None
        out = compiled.bilinear(x1, x2, self.arguments[2], bias, None, threads)
        added = self.bias if with_bias else np.zeros(1)
        right, magnitude = self.right[0] + added, self.magnitudes[0] + np.abs(added)
        check(out, right, magnitude, self.terms[0], (self.leading, threads))

    def check_gradients(self, rows: Any, needed: Any, threads: int) -> None:
        g, x1, x2 = rows
        given = g, x1, x2, self.arguments[2], needed
        found = compiled.gradients(*given, None, None, threads)
        for k, gradient in enumerate(found):
            assert (gradient is not None) == needed[k]
            if gradient is not None:
                about = (self.leading, f"gradient {k + 1}", needed, threads)
                check(gradient, self.right[k + 1], self.magnitudes[k + 1], self.terms[k + 1], about)
        again = compiled.gradients(*given, None, None, threads)
        for one, other in zip(found, again, strict=True):
            assert one is other is None or (one == other).all()


exact = functools.cache(Exact)


def pairs(sizes: Any, axes: str) -> tuple[Any, tuple[int, int, int]]:
    """The leading axes of both inputs, where those of the result are in this order; features."""
    s, a, b, i, j, o = sizes
    own = {"s": (s, s), "a": (a, 1), "b": (1, b)}
    return tuple(tuple(own[axis][k] for axis in axes) for k in (0, 1)), (i, j, o)


@pytest.mark.usefixtures("instruction_set")
@pytest.mark.parametrize("axes", ["sab", "sba", "asb", "abs"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", PAIRS, ids=str)
def test_pairs_at_odd_sizes(sizes: Any, dtype: str, axes: str) -> None:
    right = exact(*pairs(sizes, axes), dtype)
    x1, x2, _, _, g = right.arguments
    inputs, rows = some_apart(x1, x2), some_apart(g, x1, x2)
    for threads in (1, 2, 3):
        for with_bias in (True, False):
            right.check_forward(next(inputs), threads, with_bias=with_bias)
        for needed in NEEDED:
            right.check_gradients(next(rows), needed, threads)


@pytest.mark.usefixtures("instruction_set")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", PAIRS[-3:], ids=str)
def test_what_is_kept_changes_no_bit(sizes: Any, dtype: str) -> None:
    """Outputs are on lanes where the product with the weight is not kept, features where it is."""
    x1, x2, weight, bias, _ = exact(*pairs(sizes, "sab"), dtype).arguments
    for threads in (1, 3):
        out = compiled.bilinear(x1, x2, weight, bias, None, threads)
        same, kept = compiled.bilinear_keeping(x1, x2, weight, bias, (True,) * 3, None, threads)
        assert kept is not None
        assert (out == same).all()


# Axes of one input, of the other, and of both, also on two sides of the others; and positions that
# an input has as an expanded view, of which each is to have a gradient of its own.
LEADS = [
    ((3, 5, 1), (3, 1, 4)), ((3, 1, 5), (3, 4, 1)), ((5, 3, 1), (1, 3, 4)), ((1,), (40,)),
    ((40,), (1,)), ((2, 5, 3, 1), (2, 1, 3, 4)), ((2, 1, 3, 5), (2, 4, 3, 1)), ((6, 1), (5,)),
    ((), (7,)), ((7,), ()), ((2, 30, 1), (2, 1, 1)), ((2, 1, 1), (2, 1, 30)), ((4, 1), (4, 7)),
]  # fmt: skip


@pytest.mark.usefixtures("instruction_set")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("leads", LEADS, ids=str)
def test_leading_axes_that_broadcast(leads: Any, dtype: str) -> None:
    right = exact(leads, (13, 18, 5), dtype)
    x1, x2, _, _, g = right.arguments
    inputs, rows = some_apart(x1, x2), some_apart(g, x1, x2)
    for threads in (1, 3):
        for with_bias in (True, False):
            right.check_forward(next(inputs), threads, with_bias=with_bias)
        for needed in NEEDED:
            right.check_gradients(next(rows), needed, threads)


VIEWS = [*((leads, (13, 18, 5)) for leads in LEADS), *(pairs(sizes, "sab") for sizes in PAIRS[1:9])]


@pytest.mark.usefixtures("instruction_set")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("leads", "features"), VIEWS, ids=str)
def test_expanded_views(leads: Any, features: Any, dtype: str) -> None:
    """Views are computed as what they show, and have a gradient for each position."""
    leading = np.broadcast_shapes(*leads)
    small = exact(leads, features, dtype).arguments
    views = [np.broadcast_to(x, (*leading, x.shape[-1])) for x in small[:2]]
    copies = [view.copy() for view in views]
    right = Exact((leading, leading), features, dtype)
    right.compute(*(each.astype(np.float64) for each in (*copies, *right.arguments[2:])))
    rows = some_apart(right.arguments[4])
    for inputs in (views, (views[0], copies[1]), (copies[0], views[1])):
        for threads in (1, 3):
            right.check_forward(inputs, threads)
            for needed in NEEDED:
                right.check_gradients((*next(rows), *inputs), needed, threads)


def test_any_order_of_leading_axes_and_any_strides() -> None:
    random = np.random.default_rng(0)
    taken = 0
    for _ in range(300):
        leading = [int(size) for size in random.integers(1, 5, random.integers(1, 5))]
        i, j, o = (int(size) for size in random.integers(1, 9, 3))

        def layout(sizes: Any, features: int) -> Any:
            order = random.permutation(len(sizes))
            wide = [sizes[k] + int(random.integers(0, 3)) for k in order]
            x = random.standard_normal((*wide, features + int(random.integers(0, 3))))
            x = x.transpose(*np.argsort(order), len(sizes))
            return x[(*map(slice, sizes), slice(features))]

        some = [[size if random.random() < 0.7 else 1 for size in leading] for _ in range(2)]
        x1, x2 = layout(some[0], i), layout(some[1], j)
        whole = np.broadcast_shapes(x1.shape[:-1], x2.shape[:-1])
        for expand in random.random(2) < 0.3:
            x1, x2 = x2, np.broadcast_to(x1, (*whole, x1.shape[-1])) if expand else x1
        weight, g = random.standard_normal((o, i, j)), layout(list(whole), o)
        out = compiled.bilinear(x1, x2, weight, None, None, 2)
        found = compiled.gradients(g, x1, x2, weight, ALL, None, None, 2)
        # The same with no axis broadcast and nothing to be seen in the strides.
        rows = [
            np.broadcast_to(x, (*whole, x.shape[-1])).reshape(-1, x.shape[-1]) for x in (x1, x2)
        ]
        d_out = g.reshape(-1, o)
        if out is not None:
            taken += 1
            right = np.einsum("ni,oij,nj->no", rows[0], weight, rows[1])
            np.testing.assert_allclose(out, right.reshape(out.shape), 1e-9, 1e-9)
        if found is not None:
            taken += 1
            rights = (
                np.einsum("no,oij,nj->ni", d_out, weight, rows[1]).reshape(*whole, i),
                np.einsum("no,oij,ni->nj", d_out, weight, rows[0]).reshape(*whole, j),
                np.einsum("no,ni,nj->oij", d_out, *rows),
            )
            for gradient, exact, like in zip(found, rights, (x1, x2, weight), strict=True):
                assert gradient.shape == like.shape
                np.testing.assert_allclose(gradient, unbroadcast(exact, like.shape), 1e-9, 1e-9)
    assert taken > 300


def test_pairs_of_wrong_sizes_are_declined() -> None:
    x1, x2, weight = np.ones((2, 5, 1, 3)), np.ones((2, 1, 6, 4)), np.ones((7, 3, 4))
    good: tuple[Any, ...] = (x1, x2, weight, None)
    assert compiled.bilinear(*good).shape == (2, 5, 6, 7)
    bad: list[Any]
    wrong: Any
    for k, wrong in (
        (0, x1[..., :2]), (0, x1.astype(np.float32)), (1, np.ones((3, 1, 6, 4))),
        (1, x2[..., ::-1]), (2, weight[:, :2]), (2, weight[..., ::-1]), (3, np.ones(6)),
    ):  # fmt: skip
        bad = [*good]
        bad[k] = wrong
        assert compiled.bilinear(*bad) is None
    g = np.ones((2, 5, 6, 7))
    good = (g, x1, x2, weight, ALL)
    assert compiled.gradients(*good)[2].shape == weight.shape
    for k, wrong in (
        (0, g[:, :4]), (0, g[0]), (1, np.ones((3, 5, 1, 3))), (1, x1.shape),
        (2, x2[..., :3]), (3, weight[:6]), (3, None),
    ):  # fmt: skip
        bad = [*good]
        bad[k] = wrong
        assert compiled.gradients(*bad) is None
    g[...] = np.arange(7)  # a small one that lies otherwise is copied
    found = compiled.gradients(g[..., ::-1], x1, x2, weight, ALL)
    expected = compiled.gradients(np.ascontiguousarray(g[..., ::-1]), x1, x2, weight, ALL)
    assert all(map(np.array_equal, found, expected))


def test_large_sizes_have_a_plan_or_none() -> None:
    shapes = ((5, 1, 3), (1, 6, 4), (7, 3, 4))
    assert compiled.plan(*shapes, None, 4).startswith("pairs")
    for power in (31, 40, 61, 62):
        for needed in (None, ALL):
            for many in (((1 << power, 3), (1 << power, 4), (2, 3, 4)),
                         ((1 << power, 1, 3), (1 << 30, 4), (2, 3, 4)),
                         ((9, 1 << power), (9, 1 << power), (1 << power,) * 3)):  # fmt: skip
                for itemsize in (4, 8):
                    compiled.plan(*many, needed, itemsize)
    assert compiled.plan((1 << 62, 3), (1 << 62, 4), (2, 3, 4), None, 4) is None
    assert compiled.plan((1 << 70, 3), (1 << 70, 4), (2, 3, 4), None, 4) is None
    with pytest.raises(TypeError, match="plan: takes three shapes"):
        compiled.plan((5, 3), (5, 4))


class Deleting:
    """An index that frees the array while the arguments are being read."""

    def __init__(self) -> None:
        self.asked = 0

    def __index__(self) -> int:
        self.asked += 1
        return 3

    def __bool__(self) -> bool:
        self.asked += 1
        return True


def test_no_code_of_the_caller_runs_while_arguments_are_read() -> None:
    x, weight, odd = np.ones((5, 3)), np.ones((2, 3, 3)), Deleting()
    assert compiled.gradients(np.ones((5, 2)), (5, odd), x, weight, (True, False, False)) is None
    with pytest.raises(TypeError, match="three flags"):
        compiled.gradients(np.ones((5, 2)), x, x, weight, (odd, True, True))
    with pytest.raises(ValueError, match="threads are a number from 0"):
        compiled.bilinear(x, x, weight, None, None, odd)
    with pytest.raises(TypeError, match="plan: takes"):
        compiled.plan((5, 3), (5, 3), (2, 3, 3), None, odd)
    assert odd.asked == 0


@pytest.mark.usefixtures("no_large_blocks")
def test_pairs_without_memory_say_so() -> None:
    x1, x2, weight = np.ones((2, 50, 1, 30)), np.ones((2, 1, 60, 40)), np.ones((7, 30, 40))
    with pytest.raises(MemoryError):
        compiled.bilinear(x1, x2, weight, None)
    with pytest.raises(MemoryError):
        compiled.gradients(np.ones((2, 50, 60, 7)), x1, x2, weight, ALL)
    expanded = np.broadcast_to(x1, (2, 50, 60, 30))
    with pytest.raises(MemoryError):
        compiled.gradients(np.ones((2, 50, 60, 7)), expanded, x2, weight, (True, False, False))
