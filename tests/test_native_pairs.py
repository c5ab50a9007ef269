"""Pairs: every row of one input with every row of the other, by the compiled kernel."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from native_helpers import ALL, check, compiled, some_apart

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


@pytest.mark.usefixtures("instruction_set")
@pytest.mark.parametrize("first_outside", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", PAIRS, ids=str)
def test_pairs_at_odd_sizes(sizes: Any, dtype: Any, first_outside: bool) -> None:
    s, a, b, i, j, o = sizes
    random = np.random.default_rng(0)
    leading, axes = ((s, a, b), "sabo") if first_outside else ((s, b, a), "sbao")
    shapes = ((s, a, i), (s, b, j), (o, i, j), (*leading, o))
    x1, x2, weight, g = (random.standard_normal(shape).astype(dtype) for shape in shapes)
    bias = random.standard_normal(o).astype(dtype)
    right = pairs_reference(axes, x1, x2, weight, g)
    scale = pairs_reference(axes, *(np.abs(each) for each in (x1, x2, weight, g)))
    terms = (i * j, b * o * j, a * o * i, s * a * b)
    rows = some_apart(x1, x2)
    for threads in (1, 2, 3):
        out = compiled.pairs(*next(rows), weight, None, leading, s, first_outside, threads)
        check(out, right[0], scale[0], terms[0])
        with_bias = compiled.pairs(*next(rows), weight, bias, leading, s, first_outside, threads)
        check(with_bias, right[0] + bias, scale[0] + np.abs(bias), terms[0] + 1)
        for needed in NEEDED:
            rows_1, rows_2 = next(rows)
            found = compiled.pair_gradients(
                g, rows_1, rows_2, weight, needed, s, first_outside, threads
            )
            for k, gradient in enumerate(found):
                assert (gradient is not None) == needed[k]
                if gradient is not None:
                    check(gradient, right[k + 1], scale[k + 1], terms[k + 1])
            again = compiled.pair_gradients(g, x1, x2, weight, needed, s, first_outside, threads)
            assert all(p is q is None or (p == q).all() for p, q in zip(found, again, strict=True))


def test_pairs_of_wrong_sizes_are_declined() -> None:
    x1, x2, weight = np.ones((2, 5, 3)), np.ones((2, 6, 4)), np.ones((7, 3, 4))
    good: tuple[Any, ...] = (x1, x2, weight, None, (2, 5, 6), 2, True)
    assert compiled.pairs(*good).shape == (2, 5, 6, 7)
    bad: list[Any]
    wrong: Any
    for k, wrong in (
        (0, x1[..., :2]), (0, x1.astype(np.float32)), (1, x2[:1]), (2, weight[:, :2]),
        (2, weight[..., ::-1]), (3, np.ones(6)), (4, (2, 5, 7)), (4, (1, 5, 6)), (5, 3), (5, 0),
    ):  # fmt: skip
        bad = [*good]
        bad[k] = wrong
        assert compiled.pairs(*bad) is None
    g = np.ones((2, 5, 6, 7))
    good = (g, x1, x2, weight, ALL, 2, True)
    assert compiled.pair_gradients(*good)[2].shape == weight.shape
    for k, wrong in (
        (0, g[:, :4]), (0, g[..., ::-1]), (1, x1[:1]), (1, x1.shape), (2, x2[..., :3]),
        (3, weight[:6]), (3, None), (5, 4), (5, -1),
    ):  # fmt: skip
        bad = [*good]
        bad[k] = wrong
        assert compiled.pair_gradients(*bad) is None
    with pytest.raises(TypeError, match="pairs: takes"):
        compiled.pairs(x1, x2)
    with pytest.raises(TypeError, match="pair_gradients: takes"):
        compiled.pair_gradients(g, x1, x2, weight, (True,), 2, True)


@pytest.mark.usefixtures("no_large_blocks")
def test_pairs_without_memory_say_so() -> None:
    x1, x2, weight = np.ones((2, 50, 30)), np.ones((2, 60, 40)), np.ones((7, 30, 40))
    with pytest.raises(MemoryError):
        compiled.pairs(x1, x2, weight, None, (2, 50, 60), 2, True)
    with pytest.raises(MemoryError):
        compiled.pair_gradients(np.ones((2, 50, 60, 7)), x1, x2, weight, ALL, 2, True)
