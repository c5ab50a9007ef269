"""The bilinear contraction on raw arrays, against float64 einsum and its own algebra."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from drawn import given, hnp, settings, st
from layouts import LAYOUTS, Layout, expanded

from lucid._shapes import broadcast_shapes, unbroadcast
from lucid.kernels import _workspace, bilinear, gradients, plan
from lucid.kernels._closure import derivatives
from lucid.kernels._layout import boxes, extent, layout
from lucid.kernels._plan import CPU, Order

Array = Any
ALL = (True, True, True)
RNG = np.random.default_rng(20)
START = RNG.bit_generator.state

# Leading axes of the two inputs, with those of one, of the other and of both in every mixture.
LEADING = [
    ((), ()),
    ((5,), (5,)),
    ((5,), ()),
    ((1,), (5,)),
    ((3, 4, 1), (3, 1, 6)),
    ((4, 1, 3), (1, 5, 3)),
    ((7, 1, 2, 1), (3, 1, 5)),
    ((2, 3, 4), (2, 3, 4)),
    ((2, 3, 4), (3, 1)),
    ((0,), (1,)),
    ((4, 1), (1, 1)),
    ((2, 0), (2, 1)),
]
# Past SMALL, so that the tiles are at work.
FEATURES = [(3, 4, 5), (1, 1, 1), (0, 2, 3), (2, 0, 1), (4, 3, 0), (8, 2, 1), (60, 30, 20)]


@pytest.fixture(autouse=True)
def _the_same_numbers_in_any_order() -> None:
    RNG.bit_generator.state = START


def random(*shape: int, dtype: Any = np.float64) -> Array:
    values = RNG.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * RNG.standard_normal(shape)
    return np.asarray(values).astype(dtype)


def wide(array: Array) -> Array:
    array = np.asarray(array)
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def expected(x1: Array, x2: Array, weight: Array, bias: Array | None = None) -> Array:
    # In two steps, because einsum with three factors runs its slow loop over all indices.
    left = np.einsum("...i,oij->...oj", wide(x1), wide(weight))
    out = np.einsum("...oj,...j->...o", left, wide(x2))
    return out if bias is None else out + wide(bias)


def expected_gradients(g: Array, x1: Array, x2: Array, weight: Array) -> tuple[Array, ...]:
    g, x1, x2, weight = map(wide, (g, x1, x2, weight))
    products = np.einsum("...o,oij->...ij", g, weight)
    leading = g.shape[:-1]
    rows_1 = np.broadcast_to(x1, (*leading, x1.shape[-1]))
    rows_2 = np.broadcast_to(x2, (*leading, x2.shape[-1]))
    pairs = rows_1[..., :, None] * rows_2[..., None, :]
    return (
        unbroadcast(np.einsum("...ij,...j->...i", products, x2), x1.shape),
        unbroadcast(np.einsum("...ij,...i->...j", products, x1), x2.shape),
        np.tensordot(np.moveaxis(g, -1, 0), pairs, len(leading)),
    )


def assert_close(actual: Array, reference: Array, magnitude: Array, terms: int, dtype: Any) -> None:
    """Each sum of `terms` products of three numbers is off by (terms + 3) roundings at most.

    Each rounding is relative to the sum of magnitudes; the result is rounded once more.
    """
    actual = np.asarray(actual)
    assert actual.shape == reference.shape
    limit = (terms + 3) * 2.0**-23 if np.finfo(dtype).bits == 16 else 0
    limit = limit or (terms + 3) * np.finfo(dtype).eps * (2 if actual.dtype.kind == "c" else 1)
    bound = limit * magnitude + np.finfo(dtype).eps * np.abs(reference) + np.finfo(dtype).tiny
    error = np.abs(wide(actual) - reference)
    assert (error <= bound).all(), f"off by up to {np.max(error / bound):.3g} times the bound"


def check(x1: Array, x2: Array, weight: Array, order: Order | None = None) -> None:
    """The output and all gradients against einsum, within what rounding allows."""
    dtype = np.result_type(x1, x2, weight)
    bias = random(weight.shape[0], dtype=dtype)
    g = random(*broadcast_shapes(x1.shape[:-1], x2.shape[:-1]), weight.shape[0], dtype=dtype)
    features = weight.shape[1] * weight.shape[2]
    sizes = [np.abs(wide(each)) for each in (x1, x2, weight, bias)]
    out = bilinear(x1, x2, weight, bias, order=order)
    assert out.dtype == dtype
    assert_close(out, expected(x1, x2, weight, bias), expected(*sizes), features + 1, dtype)

    grads = gradients(g, x1, x2, weight, order=order)
    references = expected_gradients(g, x1, x2, weight)
    magnitudes = expected_gradients(np.abs(wide(g)), *sizes[:3])
    terms = int(np.prod(g.shape)) * features
    for grad, argument, reference, magnitude in zip(
        grads, (x1, x2, weight), references, magnitudes, strict=True
    ):
        count = terms // max(argument.size, 1) if argument.size else 0
        assert grad.dtype == dtype
        assert_close(grad, reference, magnitude, count, dtype)


def arguments(
    leading: tuple[Any, Any], features: tuple[int, int, int], dtype: Any = np.float64
) -> tuple[Array, Array, Array]:
    n_i, n_j, n_o = features
    return (
        random(*leading[0], n_i, dtype=dtype),
        random(*leading[1], n_j, dtype=dtype),
        random(n_o, n_i, n_j, dtype=dtype),
    )


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("leading", LEADING)
def test_every_order_gives_the_sum(leading: Any, features: Any) -> None:
    x1, x2, weight = arguments(leading, features)
    check(x1, x2, weight)
    for alternative in plan(x1.shape, x2.shape, weight.shape).alternatives:
        check(x1, x2, weight, alternative.order)


@settings(max_examples=150, deadline=None)
@given(
    hnp.mutually_broadcastable_shapes(num_shapes=2, min_dims=0, max_dims=4, min_side=0, max_side=5),
    st.tuples(*[st.integers(0, 9)] * 3),
    st.sampled_from([None, "left", "right"]),
)
def test_any_shape(shapes: Any, features: Any, order: Order | None) -> None:
    check(*arguments(shapes.input_shapes, features), order)


def test_blocks_of_the_weight_and_tiles_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    # With tiny tiles every loop runs more than once, in every direction.
    tiny = replace(CPU, tile=320, block=400)
    monkeypatch.setattr(_workspace.NumPyWorkspace, "machine", tiny)
    for leading in LEADING:
        x1, x2, weight = arguments(leading, (13, 11, 7))
        for alternative in plan(x1.shape, x2.shape, weight.shape).alternatives:
            check(x1, x2, weight, alternative.order)
            if x1.size and x2.size:
                halves = [each.astype(np.float16) for each in (x1, x2, weight)]
                check(halves[0], halves[1], halves[2], alternative.order)


@pytest.mark.parametrize("layout", [*LAYOUTS.values(), expanded], ids=[*LAYOUTS, "expanded"])
@pytest.mark.parametrize("leading", [((300,), (300,)), ((6, 5, 1), (6, 1, 7))])
def test_layouts(layout: Layout, leading: Any) -> None:
    factors = [layout(each) for each in arguments(leading, (20, 30, 10))]
    for each in factors:
        each.flags.writeable = False
    x1, x2, weight = factors
    g = layout(random(*expected(x1, x2, weight).shape))
    for alternative in plan(x1.shape, x2.shape, weight.shape).alternatives:
        order = alternative.order
        out = bilinear(x1, x2, weight, order=order)
        assert out.dtype.isnative
        np.testing.assert_allclose(out, expected(x1, x2, weight), 1e-11, 1e-11)
        results = gradients(g, x1, x2, weight, order=order)
        for grad, reference in zip(results, expected_gradients(g, x1, x2, weight), strict=True):
            np.testing.assert_allclose(grad, reference, 1e-11, 1e-11)


@pytest.mark.parametrize("leading", [(), (1,), (1, 1), (3, 1)])
@pytest.mark.parametrize("is_second", [False, True])
def test_an_axis_along_which_no_input_has_rows_of_its_own(leading: Any, is_second: bool) -> None:
    """One has a single row there, the other shows one again and again: gradients are sums."""
    x1, x2, weight = arguments((leading, (3, 1)), (2, 3, 5))
    x2 = np.broadcast_to(x2, (3, 4, 3))
    if is_second:
        x1, x2, weight = x2, x1, weight.mT
    np.testing.assert_allclose(bilinear(x1, x2, weight), expected(x1, x2, weight), 1e-12, 1e-12)
    g = random(3, 4, 5)
    references = expected_gradients(g, x1, x2, weight)
    for needed in itertools.product((False, True), (False, True), (False, True)):
        found = gradients(g, x1, x2, weight, needed)
        for grad, reference, wanted in zip(found, references, needed, strict=True):
            if wanted:
                np.testing.assert_allclose(grad, reference, 1e-12, 1e-12)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("leading", [((4,), (4,)), ((500,), (500,)), ((6, 5, 1), (6, 1, 7))])
def test_dtypes(dtype: Any, leading: Any) -> None:
    check(*arguments(leading, (20, 30, 10), dtype))


def test_bfloat16() -> None:
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    for leading in [((500,), (500,)), ((6, 5, 1), (6, 1, 7))]:
        x1, x2, weight = arguments(leading, (20, 30, 10), bfloat16)
        out = bilinear(x1, x2, weight)
        assert out.dtype == bfloat16
        # One rounding to 8 bits at the end, for the sums are float32.
        np.testing.assert_allclose(wide(out), expected(x1, x2, weight), 2.0**-8, 1e-3)
        g = random(*out.shape, dtype=bfloat16)
        results = gradients(g, x1, x2, weight)
        for grad, reference in zip(results, expected_gradients(g, x1, x2, weight), strict=True):
            assert grad.dtype == bfloat16
            np.testing.assert_allclose(wide(grad), reference, 2.0**-8, 2e-3)
        mixed = bilinear(x1.astype(np.float16), x2, weight)
        assert mixed.dtype == np.float32
    assert bilinear(x1, x2.astype(np.float32), weight).dtype == np.float32


def test_mixed_and_integer_dtypes() -> None:
    x1, x2, weight = (RNG.integers(-9, 9, shape) for shape in ((400, 9), (400, 7), (8, 9, 7)))
    reference = expected(x1, x2, weight)
    for dtypes in [(np.int64,) * 3, (np.int32,) * 3, (np.int16, np.int32, np.int8)]:
        for rows in (3, 400):
            factors = [a.astype(t) for a, t in zip((x1, x2, weight), dtypes, strict=True)]
            out = bilinear(factors[0][:rows], factors[1][:rows], factors[2])
            assert out.dtype == np.result_type(*dtypes)
            assert (out == reference[:rows]).all()
    assert bilinear(x1.astype(np.float32), x2.astype(np.float64), weight).dtype == np.float64
    assert bilinear(x1, x2, weight, np.zeros(8, np.float32)).dtype == np.float64
    for rows in (3, 400):
        bits = bilinear(x1[:rows] > 0, x2[:rows] > 0, weight > 4)
        assert bits.dtype == np.bool_
        assert (bits == (expected(x1[:rows] > 0, x2[:rows] > 0, weight > 4) > 0)).all()


@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize("order", [None, "left", "right"])
def test_only_what_is_needed(leading: Any, order: Order | None) -> None:
    x1, x2, weight = arguments(leading, (9, 8, 7))
    g = random(*expected(x1, x2, weight).shape)
    every = gradients(g, x1, x2, weight, order=order)
    for first, second, third in itertools.product((True, False), repeat=3):
        needed = (first, second, third)
        some = gradients(
            g,
            x1 if second or third else x1.shape,
            x2 if first or third else x2.shape,
            weight if first or second else None,
            needed,
            order=order,
        )
        for wanted, grad, reference in zip(needed, some, every, strict=True):
            if wanted:
                np.testing.assert_allclose(grad, reference, 1e-12, 1e-12)
            else:
                assert grad is None


@pytest.mark.parametrize("leading", [((900,), (900,)), ((6, 15, 1), (6, 1, 17)), ((1,), (90,))])
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_pairing(leading: Any, dtype: Any) -> None:
    # The form is linear in each factor: ⟨gradient, factor⟩ is the same number for all four.
    x1, x2, weight = arguments(leading, (40, 30, 20), dtype)
    out = bilinear(x1, x2, weight)
    g = random(*out.shape, dtype=dtype)
    number = np.sum(g * out)
    scale = np.sum(np.abs(g * out))
    for grad, factor in zip(gradients(g, x1, x2, weight), (x1, x2, weight), strict=True):
        assert abs(np.sum(grad * factor) - number) <= 1e-12 * scale


def test_derivatives_of_gradients_are_contractions() -> None:
    # dx1 = contract(g, x2, W), so ⟨v, dx1⟩ has the gradient bilinear(v, x2, W) in g, and so on.
    x1, x2, weight = arguments(((1, 4), (5, 1)), (6, 7, 8))
    g, v = random(5, 4, 8), random(*x1.shape)
    d_1 = gradients(g, x1, x2, weight)[0]
    d_x2, d_weight = gradients(g, v, x2, weight)[1:]
    number = np.sum(v * d_1)
    assert np.isclose(np.sum(g * bilinear(v, x2, weight)), number, 1e-12)
    assert np.isclose(np.sum(x2 * d_x2), number, 1e-12)
    assert np.isclose(np.sum(weight * d_weight), number, 1e-12)


@pytest.mark.parametrize("rows", [3, 700])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_numbers_propagate_also_against_zeros(rows: int, value: float) -> None:
    x1, x2 = np.ones((rows, 30)), np.ones((rows, 20))
    weight = np.zeros((10, 30, 20))
    x1[1, 5] = value
    for order in (None, "outer", "left", "right"):
        with np.errstate(invalid="ignore"):  # infinity times zero deserves the warning
            out = bilinear(x1, x2, weight, order=order)
            d_1, d_2, d_weight = gradients(np.ones((rows, 10)), x1, x2, weight, order=order)
        assert np.isnan(out[1]).all()
        assert (np.delete(out, 1, axis=0) == 0).all()
        assert np.isnan(d_2[1]).all()
        assert (d_1 == 0).all()
        assert not np.isfinite(d_weight[:, 5]).any()


def peak(call: Callable[[], Any]) -> float:
    """MiB of what a call allocates at most, beyond what it returns."""
    _workspace._kept.__dict__.clear()  # what earlier calls left for this one counts too
    tracemalloc.start()
    results = call()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    results = results if isinstance(results, tuple) else (results,)
    return float(most - sum(each.nbytes for each in results)) / 2**20


@pytest.mark.parametrize(
    ("shape_1", "shape_2", "weight_shape", "dtype"),
    [
        ((20000, 64), (20000, 64), (64, 64, 64), "f4"),
        ((20000, 64), (20000, 64), (16, 64, 64), "f2"),
        ((16, 100, 1, 100), (16, 1, 100, 100), (10, 100, 100), "f4"),
        ((16, 100, 1, 100), (16, 1, 100, 100), (10, 100, 100), "f2"),
        ((1, 512), (1, 512), (80, 512, 512), "f4"),
        ((1, 512), (1, 512), (80, 512, 512), "f2"),
        ((1, 64), (200000, 64), (8, 64, 64), "f4"),
        ((200000, 64), (1, 64), (8, 64, 64), "f4"),
        ((1, 100, 64, 1, 32), (50, 1, 64, 7, 32), (8, 32, 32), "f4"),
        ((500000, 8), (500000, 8), (4, 8, 8), "f2"),
        ((2, 2), (2, 2000000), (3, 2, 2000000), "f2"),
    ],
)
def test_memory_is_bounded(shape_1: Any, shape_2: Any, weight_shape: Any, dtype: str) -> None:
    x1, x2, weight = (np.ones(shape, dtype) for shape in (shape_1, shape_2, weight_shape))
    x1 /= 512
    leading = broadcast_shapes(shape_1[:-1], shape_2[:-1])
    g = np.broadcast_to(np.asarray(2.0**-10, dtype), (*leading, weight_shape[0]))
    with np.errstate(over="ignore"):  # halves of two million terms
        assert peak(lambda: bilinear(x1, x2, weight)) < 64
        assert peak(lambda: gradients(g, x1, x2, weight)) < 64


def test_memory_is_bounded_for_views() -> None:
    x1 = np.ones((40000, 128), np.float32)[::2, ::2]
    x2 = np.ones((64, 20000), np.float32).T
    weight = np.ones((512, 64, 256), np.float32).transpose(2, 1, 0)[::-1, :, ::8]
    g = np.broadcast_to(np.float32(1), (20000, 256))
    assert peak(lambda: bilinear(x1[:2000], x2[:2000], weight)) < 64
    assert peak(lambda: gradients(g[:2000], x1[:2000], x2[:2000], weight)) < 64
    assert peak(lambda: gradients(g[:, :4], x1, x2, weight[:4])) < 64


@pytest.mark.parametrize("leading", [((3000,), (3000,)), ((8, 30, 1), (8, 1, 30))])
def test_the_same_bits_again(leading: Any) -> None:
    x1, x2, weight = arguments(leading, (33, 44, 17), np.float32)
    out = bilinear(x1, x2, weight)
    g = random(*out.shape, dtype=np.float32)
    grads = gradients(g, x1, x2, weight)
    for _ in range(3):
        assert out.tobytes() == bilinear(x1, x2, weight).tobytes()
        for grad, again in zip(grads, gradients(g, x1, x2, weight), strict=True):
            assert grad.tobytes() == again.tobytes()


def other_libraries() -> list[Any]:
    def strict(array: Array) -> Array:
        return pytest.importorskip("array_api_strict").asarray(array)

    def torch(array: Array) -> Array:
        pytest.importorskip("array_api_compat")
        return pytest.importorskip("torch").from_numpy(array)

    def jax(array: Array) -> Array:
        return pytest.importorskip("jax.numpy").asarray(array)

    return [strict, torch, jax]


@pytest.mark.parametrize("convert", other_libraries(), ids=lambda convert: convert.__name__)
@pytest.mark.parametrize("leading", [*LEADING[2:8:2], LEADING[9], ((3000,), (3000,))])
def test_other_libraries(convert: Any, leading: Any) -> None:
    x1, x2, weight = arguments(leading, (12, 13, 9), np.float32)
    bias = random(9, dtype=np.float32)
    g = random(*expected(x1, x2, weight).shape, dtype=np.float32)
    first, second, third = factors = [convert(each) for each in (x1, x2, weight)]
    orders: tuple[Order | None, ...] = (None, "left", "right")
    for order in orders:
        out = bilinear(first, second, third, convert(bias), order=order)
        assert type(out) is type(factors[0])
        np.testing.assert_allclose(np.asarray(out), expected(x1, x2, weight, bias), 1e-4, 1e-4)
        grads = gradients(convert(g), first, second, third, order=order)
        for grad, reference in zip(grads, expected_gradients(g, x1, x2, weight), strict=True):
            assert type(grad) is type(factors[0])
            scale = np.max(np.abs(reference), initial=1)
            np.testing.assert_allclose(np.asarray(grad), reference, 1e-4, 1e-5 * scale)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_halves_of_other_libraries(name: str) -> None:
    torch = pytest.importorskip("torch")
    jnp = pytest.importorskip("jax.numpy")
    pytest.importorskip("array_api_compat")
    x1, x2, weight = arguments(((300,), (300,)), (12, 13, 9), np.float32)
    reference = expected(x1, x2, weight)
    halves = [torch.from_numpy(each).to(getattr(torch, name)) for each in (x1, x2, weight)]
    out = bilinear(*halves)
    assert out.dtype == halves[0].dtype
    np.testing.assert_allclose(out.float().numpy(), reference, 0.1, 0.5)
    assert {grad.dtype for grad in gradients(out, *halves)} == {out.dtype}
    halves = [jnp.asarray(each).astype(name) for each in (x1, x2, weight)]
    out = bilinear(*halves)
    assert out.dtype == name
    np.testing.assert_allclose(np.asarray(out.astype("float32")), reference, 0.1, 0.5)
    assert {grad.dtype for grad in gradients(out, *halves)} == {out.dtype}


@pytest.mark.parametrize("leading", [((5,), (5,)), ((9, 20, 1), (9, 1, 30)), ((1,), (40,))])
def test_traced_by_jax(leading: Any) -> None:
    jax = pytest.importorskip("jax")
    x1, x2, weight = arguments(leading, (12, 13, 9), np.float32)
    out = jax.jit(bilinear)(x1, x2, weight)
    reference = expected(x1, x2, weight)
    np.testing.assert_allclose(np.asarray(out), reference, 1e-4, 1e-4)
    grads = jax.jit(lambda *each: gradients(*each))(out, x1, x2, weight)
    for grad, exact in zip(grads, expected_gradients(reference, x1, x2, weight), strict=True):
        scale = np.max(np.abs(exact), initial=1)
        np.testing.assert_allclose(np.asarray(grad), exact, 1e-3, 1e-4 * scale)


def test_the_comparison_can_fail() -> None:
    x1, x2, weight = arguments(((5,), (5,)), (3, 4, 2), np.float32)
    reference = expected(x1, x2, weight)
    with pytest.raises(AssertionError, match="times the bound"):
        assert_close(reference.astype(np.float32) * (1 + 1e-3), reference, reference, 12, "f4")
    with pytest.raises(AssertionError):
        assert_close(reference.T, reference, reference, 12, np.float32)


def test_leading_axes_are_split() -> None:
    split = layout((7, 1, 2, 1), (3, 1, 5))
    assert split.leading == (7, 3, 2, 5)
    assert (split.shared, split.first, split.second) == ((), (7, 2), (3, 5))
    split = layout((4, 3, 1), (4, 1, 5))
    assert (split.shared, split.first, split.second) == ((4,), (3,), (5,))
    assert layout((1,), (1,)).counts == layout((), ()).counts == (1, 1, 1)


def test_boxes_cover_everything_once() -> None:
    for sizes, limit in [((), 3), ((7,), 3), ((2, 5), 3), ((3, 4, 5), 11), ((3, 0), 2), ((9,), 0)]:
        counts = np.zeros(sizes, int)
        for box in boxes(sizes, limit):
            counts[box] += 1
            assert np.prod(extent(box)) <= max(limit, 1)
        assert (counts == 1).all()


def test_the_plan_prints_as_a_table() -> None:
    pairs = plan((64, 40, 1, 501), (64, 1, 40, 501), (1, 501, 501))
    lines = str(replace(pairs, compiled=None)).splitlines()
    if pairs.compiled:
        assert str(pairs).splitlines()[3] == f"  compiled kernel: {pairs.compiled}; else"
    assert lines[0] == "bilinear, forward"
    assert lines[1] == "  positions: 64 shared × 40 of input_1 × 40 of input_2"
    assert lines[2] == "  weight: 1 × 501 × 501"
    assert lines[3].split() == [
        "order", "contraction", "multiplications", "temporaries", "estimated",
    ]  # fmt: skip
    assert [line[2:].split()[0] for line in lines[4:]] == ["left", "right"]
    assert sum(line.startswith("→") for line in lines) == 1
    assert "6.939e+08" in lines[4]
    assert all(line.rstrip().endswith("ms") and "KiB" in line for line in lines[4:])

    rows = plan((4096, 64), (4096, 64), (64, 64, 64), needed=(True, False, True))
    assert str(rows).startswith("bilinear, gradients of input_1, weight\n")
    assert [each.order for each in rows.alternatives] == ["outer", "left", "right"]
    assert rows.chosen.seconds == min(each.seconds for each in rows.alternatives)


def test_the_plan_is_sound_where_it_matters() -> None:
    # One output: never the outer product. Unequal pairs: the input with fewer rows first.
    assert plan((4096, 300), (4096, 300), (1, 300, 300)).chosen.order != "outer"
    assert plan((1, 64), (9000, 64), (8, 64, 64)).chosen.order == "left"
    assert plan((9000, 64), (1, 64), (8, 64, 64), ALL).chosen.order == "right"


@pytest.mark.parametrize("changed", list(itertools.product((False, True), repeat=4)))
def test_the_derivatives_of_the_form_are_forms(changed: tuple[bool, ...]) -> None:
    """Each derivative, with a change in the place of each other factor; no more is passed."""
    shapes = (5, 2), (5, 3), (5, 4), (2, 3, 4)
    factors, changes = ([RNG.standard_normal(shape) for shape in shapes] for _ in range(2))
    axes = ("no", "ni", "nj", "oij")

    def derivative(y: int, given: list[Array]) -> Array:
        others = [k for k in range(4) if k != y]
        return np.einsum(
            ",".join(axes[k] for k in others) + "->" + axes[y], *(given[k] for k in others)
        )

    def form(x1: Array, x2: Array, weight: Array) -> Array:
        return derivative(0, [None, x1, x2, weight])

    def contract(*given: Any) -> Any:
        *four, needed = given
        for k, factor in enumerate(four):
            assert (factor is None) == all(not needed[y - 1] or y == k for y in (1, 2, 3))
        return [derivative(y, four) if needed[y - 1] else None for y in (1, 2, 3)]

    moved = [each if is_there else None for each, is_there in zip(changes, changed, strict=True)]
    for wanted in itertools.product((False, True), repeat=4):
        found = derivatives(form, contract, factors, moved, wanted)
        for y in range(4):
            terms = [
                derivative(y, [change if n == k else x for n, x in enumerate(factors)])
                for k, change in enumerate(moved)
                if change is not None and k != y and wanted[y]
            ]
            own = found[y]
            assert (own is None) == (not terms)
            if own is not None:
                np.testing.assert_allclose(own, sum(terms), rtol=1e-12, atol=1e-12)
