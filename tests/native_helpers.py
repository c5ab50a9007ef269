"""What the tests of the compiled kernel share: arguments, an exact reference, and its bound."""

from __future__ import annotations

import importlib
import itertools
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from layouts import Array, rows_apart

Sizes = tuple[int, int, int, int]  # N, I, J, O

compiled: Any
try:
    compiled = importlib.import_module("lucid.kernels._compiled")
except ImportError:
    if os.environ.get("LUCID_REQUIRE_NATIVE") == "1":
        raise
    pytest.skip("there is no compiled kernel here", allow_module_level=True)

ALGORITHMS: dict[str, tuple[str, ...]] = compiled.algorithms()
ALL = (True, True, True)
BOTH = (True, True, False)
WEIGHT = (False, False, True)

# Around the edges of tiles (6 and 12 rows), vectors (2 to 16) and panels (4 to 32).
SIZES = [
    (1, 1, 1, 1), (1, 5, 7, 3), (2, 3, 100, 4), (5, 12, 9, 13), (7, 33, 17, 25), (16, 100, 100, 4),
    (31, 8, 3, 100), (32, 24, 32, 6), (33, 20, 30, 40), (64, 101, 101, 5), (65, 16, 16, 12),
    (130, 30, 13, 50), (257, 64, 5, 7), (600, 16, 16, 16), (1100, 7, 20, 3), (100, 31, 64, 1),
    (4, 40, 50, 30), (50, 200, 3, 1), (70, 40, 30, 2), (3, 300, 65, 1), (40, 1, 200, 48),
    (9, 2, 1, 49), (1500, 20, 40, 2),
]  # fmt: skip


def arguments(sizes: Sizes, dtype: Any, seed: int = 0) -> list[Array]:
    """x1, x2, weight, bias and g."""
    n, i, j, o = sizes
    random = np.random.default_rng(seed)
    shapes = ((n, i), (n, j), (o, i, j), (o,), (n, o))
    return [random.standard_normal(shape).astype(dtype) for shape in shapes]


def apart(array: Array, which: int) -> Array:
    """With rows apart, by another number for each argument, and NaN in between."""
    return rows_apart(array, 1 + which, 2 + which)


def some_apart(*arrays: Array) -> Iterator[Any]:
    """The same again and again; each has its rows apart half of the time, in every combination."""
    both = [(array, apart(array, which)) for which, array in enumerate(arrays)]
    return itertools.cycle(itertools.product(*both))


def reference(x1: Array, x2: Array, weight: Array, g: Array) -> list[Array]:
    """The result without bias, and the gradients of x1, x2 and the weight, in float64."""
    x1, x2, weight, g = (np.asarray(each, np.float64) for each in (x1, x2, weight, g))
    with_x2 = np.tensordot(x2, weight, (1, 2))  # n, o, i
    with_x1 = np.tensordot(x1, weight, (1, 1))  # n, o, j
    return [
        np.einsum("noi,ni->no", with_x2, x1),
        np.einsum("no,noi->ni", g, with_x2),
        np.einsum("no,noj->nj", g, with_x1),
        np.tensordot(g[:, :, None] * x1[:, None, :], x2, (0, 0)),
    ]


class Exact:
    """What a call should give, and how far off it may be."""

    def __init__(self, sizes: Sizes, dtype: Any, seed: int = 0) -> None:
        n, i, j, o = self.sizes = sizes
        self.arguments = arguments(sizes, dtype, seed)
        x1, x2, weight, self.bias, g = self.arguments
        self.right = reference(x1, x2, weight, g)
        # the same sums of absolute values: what rounding errors are in proportion to
        self.magnitudes = reference(*map(np.abs, (x1, x2, weight, g)))
        self.terms = i * j, o * j, o * i, n

    def check_forward(self, out: Array, about: Any = "", *, with_bias: bool = True) -> None:
        bias = self.bias.astype(np.float64) if with_bias else 0.0
        right, magnitude = self.right[0] + bias, self.magnitudes[0] + np.abs(bias)
        check(out, right, magnitude, self.terms[0], (self.sizes, about))

    def check_gradients(self, found: Any, needed: Any, about: Any = "") -> None:
        for k, gradient in enumerate(found):
            assert (gradient is not None) == needed[k]
            if gradient is not None:
                check(
                    gradient, self.right[k + 1], self.magnitudes[k + 1], self.terms[k + 1],
                    (self.sizes, f"gradient {k + 1}", about),
                )  # fmt: skip


def check(found: Array, right: Array, magnitude: Array, terms: int, about: Any = "") -> None:
    """Each number is a sum of `terms` products of three: off by (terms + 4) · ε of Σ|·| at most.

    That is the bound for adding in any order; a sum in many lanes stays far below it.
    """
    epsilon = np.finfo(found.dtype).eps
    bound = (terms + 4) * epsilon * magnitude + np.finfo(found.dtype).tiny
    assert found.shape == right.shape, about
    assert np.isfinite(found).all(), about
    assert (np.abs(found.astype(np.float64) - right) <= bound).all(), about
