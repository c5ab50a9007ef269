"""Pairs: every row of one input with every row of the other, by the compiled kernel."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from native_helpers import ALL, check, compiled, some_apart

from lucid._shapes import unbroadcast

NEEDED = [needed for needed in itertools.product((True, False), repeat=3) if any(needed)]

# S, A, B, I, J, O: around the same edges, and inputs too large to be packed in one block
PAIRS = [
    (1, 1, 1, 1, 1, 1), (3, 7, 5, 9, 33, 2), (2, 40, 41, 50, 31, 1), (5, 13, 30, 20, 17, 6),
    (1, 130, 9, 33, 40, 5), (2, 9, 70, 17, 70, 19), (4, 1, 7, 5, 6, 3), (1, 600, 33, 20, 21, 2),
    (7, 2, 3, 1, 1, 4), (1, 4, 9000, 3, 130, 2), (1, 9000, 4, 130, 3, 1),
]  # fmt: skip


def pairs_reference(axes: str, x1: Any, x2: Any, weight: Any, g: Any) -> list[Any]:
    """The result without bias, and the gradients of x1, x2 and the weight, in float64."""
    x1, x2, weight, g = (np.asarray(each, np.float64) for each in (x1, x2, weight, g))
    subscripts = (
        f"sai,oij,sbj->{axes}", f"{axes},oij,sbj->sai", f"{axes},oij,sai->sbj",
        f"{axes},sai,sbj->oij",
    )  # fmt: skip
    factors = ((x1, weight, x2), (g, weight, x2), (g, weight, x1), (g, x1, x2))
    return [
        np.einsum(one, *those, optimize=True)
        for one, those in zip(subscripts, factors, strict=True)
    ]


def placed(axes: str, sizes: dict[str, int], *arrays: Any) -> list[Any]:
    """Inputs (s, a, ·) and (s, b, ·) with their leading axes as they are in the result."""
    own = ("sa", "sb")
    return [
        np.moveaxis(x, [0, 1], [mine.index(k) for k in sorted(mine, key=axes.index)])
        .reshape(*(sizes[k] if k in mine else 1 for k in axes[:-1]), x.shape[-1])
        for x, mine in zip(arrays, own, strict=True)
    ]  # fmt: skip


@pytest.mark.usefixtures("instruction_set")
@pytest.mark.parametrize("axes", ["sabo", "sbao", "asbo", "abso"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", PAIRS, ids=str)
def test_pairs_at_odd_sizes(sizes: Any, dtype: Any, axes: str) -> None:
    s, a, b, i, j, o = sizes
    random = np.random.default_rng(0)
    named = dict(zip("sabo", (s, a, b, o), strict=True))
    shapes = ((s, a, i), (s, b, j), (o, i, j), tuple(named[k] for k in axes))
    x1, x2, weight, g = (random.standard_normal(shape).astype(dtype) for shape in shapes)
    bias = random.standard_normal(o).astype(dtype)
    right = pairs_reference(axes, x1, x2, weight, g)
    scale = pairs_reference(axes, *(np.abs(each) for each in (x1, x2, weight, g)))
    terms = (i * j, b * o * j, a * o * i, s * a * b)
    inputs = placed(axes, named, x1, x2)
    for all_of in (right, scale):
        all_of[1:3] = placed(axes, named, *all_of[1:3])
    rows = some_apart(*inputs)
    for threads in (1, 2, 3):
        out = compiled.bilinear(*next(rows), weight, None, None, threads)
        check(out, right[0], scale[0], terms[0])
        with_bias = compiled.bilinear(*next(rows), weight, bias, None, threads)
        check(with_bias, right[0] + bias, scale[0] + np.abs(bias), terms[0] + 1)
        for needed in NEEDED:
            found = compiled.gradients(g, *next(rows), weight, needed, None, None, threads)
            for k, gradient in enumerate(found):
                assert (gradient is not None) == needed[k]
                if gradient is not None:
                    check(gradient, right[k + 1], scale[k + 1], terms[k + 1])
            again = compiled.gradients(g, *next(rows), weight, needed, None, None, threads)
            assert all(p is q is None or (p == q).all() for p, q in zip(found, again, strict=True))


@pytest.mark.usefixtures("instruction_set")
@pytest.mark.parametrize("expanded", [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("sizes", PAIRS[1:9], ids=str)
def test_expanded_views_are_pairs_with_gradients_of_their_own(sizes: Any, expanded: Any) -> None:
    s, a, b, i, j, o = sizes
    random = np.random.default_rng(0)
    shapes = ((s, a, 1, i), (s, 1, b, j), (o, i, j), (s, a, b, o))
    x1, x2, weight, g = (random.standard_normal(shape) for shape in shapes)
    inputs = [
        np.broadcast_to(x, (s, a, b, x.shape[-1])) if is_expanded else x
        for x, is_expanded in zip((x1, x2), expanded, strict=True)
    ]
    products = np.einsum("sabo,oij->sabij", g, weight)
    right = [
        np.einsum("sabij,sbj->sabi", products, x2[:, 0]),
        np.einsum("sabij,sai->sabj", products, x1[:, :, 0]),
        pairs_reference("sabo", x1[:, :, 0], x2[:, 0], weight, g)[3],
    ]
    for k, (is_expanded, axis) in enumerate(zip(expanded, (2, 1), strict=True)):
        right[k] = right[k] if is_expanded else right[k].sum(axis, keepdims=True)
    out = compiled.bilinear(x1, x2, weight, None, None, 2)
    assert (compiled.bilinear(*inputs, weight, None, None, 2) == out).all()
    for threads in (1, 2, 3):
        for needed in NEEDED:
            found = compiled.gradients(g, *inputs, weight, needed, None, None, threads)
            for k, gradient in enumerate(found):
                assert (gradient is not None) == needed[k]
                if gradient is not None:
                    assert gradient.shape == right[k].shape
                    np.testing.assert_allclose(gradient, right[k], 1e-9, 1e-9)


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
        (0, g[:, :4]), (0, g[..., ::-1]), (0, g[0]), (1, np.ones((3, 5, 1, 3))), (1, x1.shape),
        (2, x2[..., :3]), (3, weight[:6]), (3, None),
    ):  # fmt: skip
        bad = [*good]
        bad[k] = wrong
        assert compiled.gradients(*bad) is None


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
