"""The compiled kernel: instruction sets, ways, odd sizes, threads, and what it declines."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import lucid
from lucid import kernels
from lucid.kernels import _native, _portable
from lucid.nn import functional as F

compiled: Any = _native.compiled
if compiled is None:
    if os.environ.get("LUCID_REQUIRE_NATIVE") == "1":
        raise RuntimeError("LUCID_REQUIRE_NATIVE=1, but there is no compiled kernel")
    pytest.skip("there is no compiled kernel here", allow_module_level=True)

ALL = (True, True, True)
NEEDED = [
    ALL,
    (True, True, False),
    (True, False, False),
    (False, True, False),
    (False, False, True),
]
(
    CHOOSE, SAMPLES, PACKED, FEATURES, SWAPPED, PRODUCTS, COLUMN, APART, SHARED, ROWS, OUTER, FLAT,
) = range(12)  # fmt: skip
FORWARD_WAYS = [CHOOSE, SAMPLES, PACKED, FEATURES, SWAPPED, ROWS, OUTER, FLAT]
GRADIENT_WAYS = [CHOOSE, SAMPLES, FEATURES, PRODUCTS, COLUMN, APART, SHARED, ROWS, FLAT]

# N, I, J, O: around the edges of tiles (6 and 12 rows), vectors (2 to 16) and panels (4 to 32)
SIZES = [
    (1, 1, 1, 1), (1, 5, 7, 3), (2, 3, 100, 4), (5, 12, 9, 13), (7, 33, 17, 25), (16, 100, 100, 4),
    (31, 8, 3, 100), (32, 24, 32, 6), (33, 20, 30, 40), (64, 101, 101, 5), (65, 16, 16, 12),
    (130, 30, 13, 50), (257, 64, 5, 7), (600, 16, 16, 16), (1100, 7, 20, 3), (100, 31, 64, 1),
    (4, 40, 50, 30), (50, 200, 3, 1), (70, 40, 30, 2), (3, 300, 65, 1), (40, 1, 200, 48),
    (9, 2, 1, 49), (1500, 20, 40, 2),
]  # fmt: skip


@pytest.fixture(params=compiled.instruction_sets())
def instruction_set(request: pytest.FixtureRequest) -> Iterator[str]:
    before = compiled.instruction_set()
    compiled.use_instruction_set(request.param)
    yield request.param
    compiled.use_instruction_set(before)


@pytest.fixture
def no_large_blocks() -> Iterator[None]:
    compiled.fail_scratch_from(1 << 12)
    yield
    compiled.fail_scratch_from(0)


def arguments(sizes: tuple[int, int, int, int], dtype: Any, seed: int = 0) -> list[Any]:
    n, i, j, o = sizes
    random = np.random.default_rng(seed)
    shapes = ((n, i), (n, j), (o, i, j), (o,), (n, o))
    return [random.standard_normal(shape).astype(dtype) for shape in shapes]


def reference(x1: Any, x2: Any, weight: Any, bias: Any, g: Any) -> list[Any]:
    """The result and the gradients of x1, x2 and the weight, in float64."""
    x1, x2, weight, bias, g = (np.asarray(each, np.float64) for each in (x1, x2, weight, bias, g))
    products = np.einsum("no,oij->nij", g, weight)
    return [
        np.einsum("ni,oij,nj->no", x1, weight, x2, optimize=True) + bias,
        np.einsum("nij,nj->ni", products, x2),
        np.einsum("nij,ni->nj", products, x1),
        np.einsum("no,ni,nj->oij", g, x1, x2, optimize=True),
    ]


def magnitudes(*factors: Any) -> list[Any]:
    """The same sums of absolute values: what rounding errors are in proportion to."""
    return reference(*(np.abs(np.asarray(each, np.float64)) for each in factors))


def check(found: Any, right: Any, magnitude: Any, terms: int) -> None:
    """Each number is a sum of `terms` products of three: off by (terms + 4) · ε of Σ|·| at most.

    That is the bound for adding in any order; a sum in many lanes stays far below it.
    """
    epsilon = np.finfo(found.dtype).eps
    bound = (terms + 4) * epsilon * magnitude + np.finfo(found.dtype).tiny
    assert found.shape == right.shape
    assert np.isfinite(found).all()
    assert (np.abs(found.astype(np.float64) - right) <= bound).all()


def terms_of(sizes: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    n, i, j, o = sizes
    return i * j, o * j, o * i, n


def test_the_comparison_can_fail() -> None:
    one = np.ones(3, np.float32)
    with pytest.raises(AssertionError):
        check(one + np.float32(1e-5), one, one, 1)


@pytest.mark.usefixtures("instruction_set")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_every_way_at_odd_sizes(sizes: Any, dtype: Any) -> None:
    x1, x2, weight, bias, g = arguments(sizes, dtype)
    right = reference(x1, x2, weight, bias, g)
    scale = magnitudes(x1, x2, weight, bias, g)
    terms = terms_of(sizes)
    for threads in (1, 2, 3, 4):
        for way in FORWARD_WAYS:
            out = compiled.bilinear(x1, x2, weight, bias, way, threads)
            check(out, right[0], scale[0], terms[0])
        for way in GRADIENT_WAYS:
            for needed in NEEDED:
                found = compiled.gradients(g, x1, x2, weight, needed, way, threads)
                for k, gradient in enumerate(found):
                    assert (gradient is not None) == needed[k]
                    if gradient is not None:
                        check(gradient, right[k + 1], scale[k + 1], terms[k + 1])


@pytest.mark.usefixtures("instruction_set")
def test_the_way_follows_from_the_sizes() -> None:
    assert compiled.ways(3, 100, 200, 3, 4)[1:] == (FLAT, FLAT)  # samples, outputs, features
    assert compiled.ways(1, 512, 512, 512, 4)[:2] == (FEATURES, FEATURES)
    # a weight with one column lies in memory as one with one row
    assert compiled.ways(500, 40, 300, 1, 4) == compiled.ways(500, 40, 1, 300, 4)
    assert compiled.ways(2, 3, 4, 5, 8) == (CHOOSE, CHOOSE, CHOOSE)  # sums as they are written


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
    for threads in (1, 2, 3):
        out = compiled.pairs(x1, x2, weight, None, leading, s, first_outside, threads)
        check(out, right[0], scale[0], terms[0])
        with_bias = compiled.pairs(x1, x2, weight, bias, leading, s, first_outside, threads)
        check(with_bias, right[0] + bias, scale[0] + np.abs(bias), terms[0] + 1)
        for needed in NEEDED:
            found = compiled.pair_gradients(g, x1, x2, weight, needed, s, first_outside, threads)
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


@settings(max_examples=150, deadline=None)
@given(
    n=st.integers(1, 150), i=st.integers(1, 70), j=st.integers(1, 70), o=st.integers(1, 40),
    dtype=st.sampled_from([np.float32, np.float64]), threads=st.integers(1, 4),
    way=st.sampled_from([CHOOSE, SAMPLES, FEATURES]), seed=st.integers(0, 99),
)  # fmt: skip
def test_any_size(
    n: int, i: int, j: int, o: int, dtype: Any, threads: int, way: int, seed: int
) -> None:
    sizes = (n, i, j, o)
    x1, x2, weight, bias, g = arguments(sizes, dtype, seed)
    right = reference(x1, x2, weight, bias, g)
    scale = magnitudes(x1, x2, weight, bias, g)
    terms = terms_of(sizes)
    check(compiled.bilinear(x1, x2, weight, bias, way, threads), right[0], scale[0], terms[0])
    for k, found in enumerate(compiled.gradients(g, x1, x2, weight, ALL, way, threads), 1):
        check(found, right[k], scale[k], terms[k])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_large_weight_and_several_blocks_of_samples(dtype: Any) -> None:
    sizes = (700, 70, 90, 350)
    x1, x2, weight, bias, g = arguments(sizes, dtype)
    right = reference(x1, x2, weight, bias, g)
    scale = magnitudes(x1, x2, weight, bias, g)
    terms = terms_of(sizes)
    check(compiled.bilinear(x1, x2, weight, bias), right[0], scale[0], terms[0])
    for way in (CHOOSE, SHARED, SAMPLES):
        for k, found in enumerate(compiled.gradients(g, x1, x2, weight, ALL, way, 2), 1):
            check(found, right[k], scale[k], terms[k])


def test_more_samples_than_rows_have_room_for() -> None:
    sizes = (200_001, 3, 9, 2)
    x1, x2, weight, bias, g = arguments(sizes, np.float32)
    right = reference(x1, x2, weight, bias, g)[0]
    scale = magnitudes(x1, x2, weight, bias, g)[0]
    for threads in (1, 2):
        out = compiled.bilinear(x1, x2, weight, bias, ROWS, threads)
        check(out, right, scale, terms_of(sizes)[0])


def test_the_same_bits_from_run_to_run() -> None:
    for sizes in SIZES:
        x1, x2, weight, bias, g = arguments(sizes, np.float32)
        for threads in (1, 2, 4):

            def run(threads: int = threads, given: Any = (x1, x2, weight, bias, g)) -> list[bytes]:
                x1, x2, weight, bias, g = given
                out = compiled.bilinear(x1, x2, weight, bias, 0, threads)
                found = compiled.gradients(g, x1, x2, weight, ALL, 0, threads)
                return [each.tobytes() for each in (out, *found)]

            first = run()
            assert all(run() == first for _ in range(3))


@pytest.mark.usefixtures("instruction_set")
@pytest.mark.parametrize("way", FORWARD_WAYS)
def test_the_lanes_of_other_samples_never_leak(way: int) -> None:
    x1, x2, weight, bias, _ = arguments((37, 21, 19, 9), np.float32)
    clean = compiled.bilinear(x1, x2, weight, bias, way, 2)
    for poison in (np.nan, np.inf):
        bad = x1.copy()
        bad[5] = poison
        out = compiled.bilinear(bad, x2, weight, bias, way, 2)
        assert not np.isfinite(out[5]).any()
        others = np.arange(37) != 5
        assert (out[others] == clean[others]).all()


@pytest.mark.usefixtures("instruction_set")
@pytest.mark.parametrize("way", GRADIENT_WAYS)
def test_poison_stays_with_its_sample_and_output(way: int) -> None:
    x1, x2, weight, _, g = arguments((37, 21, 19, 9), np.float64)
    clean = compiled.gradients(g, x1, x2, weight, ALL, way, 2)
    bad = g.copy()
    bad[5, 3] = np.nan
    found = compiled.gradients(bad, x1, x2, weight, ALL, way, 2)
    rows, outputs = np.arange(37) != 5, np.arange(9) != 3
    for k in (0, 1):
        assert np.isnan(found[k][5]).all()
        assert (found[k][rows] == clean[k][rows]).all()
    assert np.isnan(found[2][3]).all()
    assert (found[2][outputs] == clean[2][outputs]).all()


def test_infinity_in_the_weight_stays_infinite() -> None:
    for way in FORWARD_WAYS:
        x1, x2 = np.ones((3, 5), np.float32), np.ones((3, 37), np.float32)
        weight = np.ones((2, 5, 37), np.float32)
        weight[1, 2, 36] = np.inf
        out = compiled.bilinear(x1, x2, weight, None, way, 1)
        assert (out[:, 1] == np.inf).all()
        assert (out[:, 0] == 185).all()


def views(array: Any) -> dict[str, Any]:
    """The same numbers laid out in memory in other ways."""
    wide = np.full((*array.shape[:-1], 2 * array.shape[-1] + 3), np.nan, array.dtype)
    wide[..., 1 : 1 + array.shape[-1]] = array
    spread = np.full((2 * len(array), *array.shape[1:]), np.nan, array.dtype)
    spread[::2] = array
    room = np.zeros(array.nbytes + 1, np.uint8)[1:]
    misaligned = room.view(array.dtype).reshape(array.shape)
    misaligned[...] = array
    read_only = array.copy()
    read_only.flags.writeable = False
    off = np.empty(array.size + 1, array.dtype)[1:].reshape(array.shape)
    off[...] = array
    return {
        "rows far apart": wide[..., 1 : 1 + array.shape[-1]],
        "every other row": spread[::2],
        "Fortran order": np.asfortranarray(array),
        "backwards": array[::-1].copy()[::-1],
        "last axis backwards": array[..., ::-1].copy()[..., ::-1],
        "not aligned": misaligned,
        "aligned to an element": off,
        "read-only": read_only,
        "byte-swapped": array.astype(array.dtype.newbyteorder()),
    }


@pytest.mark.parametrize("layout", list(views(np.ones((2, 2), np.float32))))
def test_layouts(layout: str) -> None:
    x1, x2, weight, bias, g = arguments((45, 19, 23, 7), np.float32)
    right = reference(x1, x2, weight, bias, g)
    scale = magnitudes(x1, x2, weight, bias, g)
    terms = terms_of((45, 19, 23, 7))
    given = [views(each)[layout] for each in (x1, x2, weight, g)]
    check(kernels.bilinear(given[0], given[1], given[2], bias), right[0], scale[0], terms[0])
    for k, found in enumerate(kernels.gradients(given[3], *given[:3]), 1):
        check(found, right[k], scale[k], terms[k])


def test_rows_far_apart_are_read_where_they_are() -> None:
    x1, x2, weight, bias, g = arguments((45, 19, 23, 7), np.float32)
    far = [views(each)["rows far apart"] for each in (x1, x2, g)]
    assert compiled.bilinear(far[0], far[1], weight, bias) is not None
    assert compiled.gradients(far[2], far[0], far[1], weight, ALL) is not None


def test_leading_axes() -> None:
    x1, x2, weight, bias, g = arguments((60, 5, 6, 7), np.float64)
    flat = compiled.bilinear(x1, x2, weight, bias)
    for leading in ((3, 20), (3, 4, 5), (1, 60, 1)):
        shaped = [each.reshape(*leading, -1) for each in (x1, x2, g)]
        out = compiled.bilinear(shaped[0], shaped[1], weight, bias)
        assert out.shape == (*leading, 7)
        assert (out.reshape(60, 7) == flat).all()
        found = compiled.gradients(shaped[2], shaped[0], shaped[1], weight, ALL)
        assert [each.shape for each in found] == [(*leading, 5), (*leading, 6), (7, 5, 6)]
    assert compiled.bilinear(x1[0], x2[0], weight, bias).shape == (7,)


def test_an_input_given_by_its_shape() -> None:
    x1, x2, weight, _, g = arguments((20, 5, 6, 7), np.float64)
    both = compiled.gradients(g, x1, x2, weight, ALL)
    assert (compiled.gradients(g, (20, 5), x2, weight, (True, False, False))[0] == both[0]).all()
    found = compiled.gradients(g, x1, (20, 6), weight, (False, True, False))
    assert np.allclose(found[1], both[1])
    assert compiled.gradients(g, (20, 5), x2, weight, ALL) is None
    assert compiled.gradients(g, (21, 5), x2, weight, (True, False, False)) is None
    assert compiled.gradients(g, (20, 4), x2, weight, (True, False, False)) is None
    assert compiled.gradients(g, (), x2, weight, (True, False, False)) is None
    assert compiled.gradients(g, (20, -5), x2, weight, (True, False, False)) is None
    assert compiled.gradients(g, (20, 1 << 70), x2, weight, (True, False, False)) is None
    assert compiled.gradients(g, ("a", 5), x2, weight, (True, False, False)) is None


class Subclass(np.ndarray[Any, Any]):
    pass


def test_what_does_not_fit_is_declined() -> None:
    x1, x2, weight, bias, g = arguments((4, 3, 5, 2), np.float32)
    refused: list[tuple[Any, ...]] = [
        (x1[:, :2], x2, weight, bias),
        (x1, x2[:, :4], weight, bias),
        (x1[:3], x2, weight, bias),
        (x1[None], x2, weight, bias),
        (x1, x2, weight[:, :2], bias),
        (x1, x2, weight[0], bias),
        (x1, x2, weight[None], bias),
        (x1, x2, weight, bias[:1]),
        (x1, x2, weight, np.ones((2, 1), np.float32)),
        (x1, x2, weight, np.ones((2, 2), np.float32)),
        (x1, x2, weight, np.float32(1)),
        (x1.astype(np.float64), x2, weight, bias),
        (x1.astype(np.float16), x2, weight, bias),
        (x1.astype(np.complex64), x2, weight, bias),
        (x1.astype(np.int32), x2, weight, bias),
        (x1.astype(object), x2, weight, bias),
        (x1.view(Subclass), x2, weight, bias),
        (np.ma.masked_array(x1), x2, weight, bias),
        (x1[0, 0], x2, weight, bias),
        (np.array(1, np.float32), x2, weight, bias),
        (x1[:0], x2[:0], weight, bias),
        (x1, x2, weight[:0], bias[:0]),
        (x1.tolist(), x2, weight, bias),
        (None, x2, weight, bias),
        (lucid.Tensor(x1), x2, weight, bias),
        (np.broadcast_to(x1[:1], (4, 3)), x2, weight, bias),
    ]
    for factors in refused:
        assert compiled.bilinear(*factors) is None
    for factors in ((g[:, :1], x1, x2, weight), (g[:3], x1, x2, weight), (g, x1[:, :2], x2, weight),
                  (g, x1, x2, weight[:, :2]), (g, x1, x2, None), (g, None, x2, weight),
                  (g.astype(np.float64), x1, x2, weight), (g[..., 0], x1, x2, weight)):  # fmt: skip
        assert compiled.gradients(*factors, ALL) is None


def test_a_wrong_call_raises() -> None:
    x1, x2, weight, bias, g = arguments((4, 3, 5, 2), np.float32)
    wrong: Any
    for wrong in ((), (x1, x2, weight), (x1, x2, weight, bias, 1), (x1,) * 7):
        with pytest.raises(TypeError, match="takes x1, x2, weight and bias"):
            compiled.bilinear(*wrong)
    for wrong in ((), (g, x1, x2, weight), (g, x1, x2, weight, True), (g, x1, x2, weight, (True,))):
        with pytest.raises(TypeError, match="takes g, x1, x2, weight and three flags"):
            compiled.gradients(*wrong)
    with pytest.raises(ValueError, match="from 1 to 1024"):
        compiled.set_num_threads(0)
    with pytest.raises(ValueError, match="has no 'mmx'"):
        compiled.use_instruction_set("mmx")
    with pytest.raises(lucid.ArgumentError, match="count is 0, expected a number from 1 to 1024"):
        lucid.set_num_threads(0)


def test_a_wrong_shape_is_told_in_words() -> None:
    with pytest.raises(lucid.ShapeError, match="axis 'in1_features' is 9"):
        F.bilinear(np.ones((4, 9)), np.ones((4, 5)), np.ones((2, 3, 5)))


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_halves_add_up_in_float32(name: str) -> None:
    dtype: Any = np.float16
    if name == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    sizes = (300, 20, 30, 10)
    given = [(each / 4).astype(dtype) for each in arguments(sizes, np.float32)]
    x1, x2, weight, bias, g = given
    right = reference(*given)
    out = kernels.bilinear(x1, x2, weight, bias)
    found = kernels.gradients(g, x1, x2, weight)
    for each, exact in zip((out, *found), right, strict=True):
        assert each.dtype == dtype
        # one rounding to the half at the end; float32's own errors are far below it
        error = np.abs(each.astype(np.float64) - exact)
        half = 2.0 ** (-11 if name == "float16" else -8)
        assert (error <= 1.1 * half * np.abs(exact) + 1e-5).all()


def test_the_portable_plans_agree() -> None:
    for sizes in SIZES:
        x1, x2, weight, bias, g = arguments(sizes, np.float64)
        assert np.allclose(
            kernels.bilinear(x1, x2, weight, bias), _portable.bilinear(x1, x2, weight, bias)
        )
        both = zip(kernels.gradients(g, x1, x2, weight), _portable.gradients(g, x1, x2, weight),
                   strict=True)  # fmt: skip
        assert all(np.allclose(one, other) for one, other in both)


@pytest.mark.usefixtures("no_large_blocks")
def test_no_memory_is_an_error_and_no_crash() -> None:
    x1, x2, weight, bias, g = arguments((200, 40, 50, 30), np.float64)
    for way in (SAMPLES, PACKED, SWAPPED, ROWS, FLAT):
        with pytest.raises(MemoryError):
            compiled.bilinear(x1, x2, weight, bias, way, 2)
    for way in (SAMPLES, COLUMN, APART, SHARED, ROWS, FLAT):
        with pytest.raises(MemoryError):
            compiled.gradients(g, x1, x2, weight, ALL, way, 2)


def test_many_python_threads_at_once() -> None:
    x1, x2, weight, bias, g = arguments((500, 30, 40, 20), np.float32)
    right = [compiled.bilinear(x1, x2, weight, bias), *compiled.gradients(g, x1, x2, weight, ALL)]
    wrong: list[int] = []

    def work() -> None:
        for _ in range(10):
            found = [
                compiled.bilinear(x1, x2, weight, bias),
                *compiled.gradients(g, x1, x2, weight, ALL),
            ]
            if any((one != other).any() for one, other in zip(found, right, strict=True)):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_computes() -> None:
    script = """if True:
        import os, signal, numpy as np
        from lucid.kernels import _native
        x = np.ones((4000, 30), np.float32)
        w = np.ones((20, 30, 30), np.float32)
        run = lambda: float(_native.compiled.bilinear(x, x, w, None, 0, 4).sum())
        right = run()
        for _ in range(5):
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                os._exit(0 if run() == right else 1)
            run()
            assert os.waitpid(child, 0)[1] == 0
    """
    _python(script)


@pytest.mark.skipif(not hasattr(signal, "alarm"), reason="limits of this kind are POSIX")
def test_threads_that_cannot_be_made_are_survived() -> None:
    script = """if True:
        import resource, numpy as np
        from lucid.kernels import _native
        x = np.ones((4000, 30), np.float32)
        w = np.ones((20, 30, 30), np.float32)
        # Stacks of 64 GiB, and no room for one: as root, a limit of processes would not hold.
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        resource.setrlimit(resource.RLIMIT_STACK, (64 << 30, resource.RLIM_INFINITY))
        out = _native.compiled.bilinear(x, x, w, None, 0, 4)
        assert (out == 900).all()
    """
    _python(script, OPENBLAS_NUM_THREADS="1")


def _python(script: str, **environment: str) -> str:
    clean = {
        k: v for k, v in os.environ.items() if k not in ("LUCID_NUM_THREADS", "OMP_NUM_THREADS")
    }
    done = subprocess.run(  # noqa: S603 (our own scripts)
        [sys.executable, "-c", script], check=True, timeout=120, capture_output=True, text=True,
        env={**clean, **environment},
    )  # fmt: skip
    return done.stdout.strip()


def test_the_environment_sets_threads_and_instructions() -> None:
    count = "import lucid; print(lucid.get_num_threads())"
    assert _python(count, OMP_NUM_THREADS="3") == "3"
    assert _python(count, OMP_NUM_THREADS="3", LUCID_NUM_THREADS="5") == "5"
    assert _python(count, OMP_NUM_THREADS="4,2") == "4"
    if hasattr(os, "sched_setaffinity"):
        one = f"import os; os.sched_setaffinity(0, [{min(os.sched_getaffinity(0))}]); {count}"
        assert _python(one) == "1"
    name = compiled.instruction_sets()[-1]
    shown = _python("import lucid; lucid.show_config()", LUCID_INSTRUCTION_SET=name)
    assert f"compiled, {name} (of" in shown


def test_without_the_kernel_everything_still_works() -> None:
    script = """if True:
        import sys
        sys.modules["lucid.kernels._compiled"] = None
        import lucid, numpy as np
        out = lucid.nn.functional.bilinear(np.ones((2, 3)), np.ones((2, 4)), np.ones((5, 3, 4)))
        assert (out == 12).all()
        lucid.set_num_threads(2)
        assert lucid.get_num_threads() == 2
        lucid.show_config()
    """
    assert "none: the portable plans" in _python(script, LUCID_REQUIRE_NATIVE="")
    with pytest.raises(subprocess.CalledProcessError):
        _python(script, LUCID_REQUIRE_NATIVE="1")
