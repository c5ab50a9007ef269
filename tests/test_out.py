"""Results in arrays that the caller has: `out=`, and gradients that are added where they lie."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import ArgumentError, DTypeError, LibraryError, ShapeError, Tensor, _tape, kernels
from lucid.kernels import _native
from lucid.nn import functional as F

LETTERS = "...i,oij,...j->...o"
SHAPES = [
    ((5, 7), (5, 9), (3, 7, 9)),
    ((2, 4, 1, 6), (2, 1, 3, 5), (4, 6, 5)),  # pairs
    ((0, 3), (0, 4), (2, 3, 4)),
    ((3, 0), (3, 4), (2, 0, 4)),
]


def factors(shapes: Any, dtype: Any = np.float64) -> list[Any]:
    rng = np.random.default_rng(0)
    x1, x2, weight = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    return [x1, x2, weight]


def room(shape: tuple[int, ...], dtype: Any = np.float64) -> Any:
    return np.full(shape, np.nan, dtype)


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64])
def test_result_goes_to_out(shapes: Any, dtype: Any) -> None:
    x1, x2, weight = factors(shapes, dtype)
    expected = F.bilinear(x1, x2, weight)
    out = np.full(expected.shape, 77).astype(dtype)
    found: Any = F.bilinear(x1, x2, weight, out=out)
    assert found is out
    np.testing.assert_array_equal(out, expected)
    assert kernels.bilinear(x1, x2, weight, out=out) is out


@pytest.mark.parametrize("bias_shape", [(3,), (1, 3)])
def test_result_with_bias(bias_shape: Any) -> None:
    x1, x2, weight = factors(SHAPES[0])
    bias, out = np.arange(3.0).reshape(bias_shape), room((5, 3))
    F.bilinear(x1, x2, weight, bias, out=out)
    np.testing.assert_allclose(
        out, np.einsum(LETTERS, x1, weight, x2) + np.arange(3.0), rtol=1e-13, atol=1e-13
    )


def test_result_goes_to_any_layout() -> None:
    x1, x2, weight = factors(SHAPES[0])
    expected = F.bilinear(x1, x2, weight)
    for out in (room((3, 5)).T, room((5, 6))[:, ::2], room((5, 3))[::-1]):
        assert F.bilinear(x1, x2, weight, out=out) is out
        np.testing.assert_array_equal(out, expected)


def test_result_over_its_own_argument() -> None:
    x1, x2, weight = factors(((8, 6), (8, 6), (6, 6, 6)))
    expected = F.bilinear(x1, x2, weight)
    F.bilinear(x1, x2, weight, out=x1)
    np.testing.assert_array_equal(x1, expected)


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("which", [(True, True, True), (False, False, True), (True, False, False)])
def test_gradients_go_to_out(shapes: Any, dtype: Any, which: Any) -> None:
    x1, x2, weight = factors(shapes, dtype)
    g = np.ones_like(F.bilinear(x1, x2, weight))
    expected = kernels.gradients(g, x1, x2, weight, which)
    out: Any = tuple(
        room(each.shape, dtype) if wanted else None
        for each, wanted in zip((x1, x2, weight), which, strict=True)
    )
    found = kernels.gradients(g, x1, x2, weight, which, out=out)
    for mine, result, right in zip(out, found, expected, strict=True):
        assert mine is result
        if right is not None:
            np.testing.assert_array_equal(result, right)


def test_gradients_in_one_array_and_in_new_ones() -> None:
    x1, x2, weight = factors(((8, 6), (8, 6), (6, 6, 6)))
    g = np.ones((8, 6))
    expected = kernels.gradients(g, x1, x2, weight)
    d_weight = room((6, 6, 6))
    found = kernels.gradients(g, x1, x2, weight, out=(None, x2, d_weight))  # over an argument
    assert found[1] is x2
    assert found[2] is d_weight
    for result, right in zip(found, expected, strict=True):
        np.testing.assert_array_equal(result, right)


@pytest.mark.skipif(_native.compiled is None, reason="there is no compiled kernel")
def test_the_kernel_writes_to_out_by_itself() -> None:
    x1, x2, weight = factors(SHAPES[0])
    out, d_weight = room((5, 3)), room((3, 7, 9))
    assert _native.bilinear_into(x1, x2, weight, None, out) is out
    found = _native.gradients_into(
        np.ones((5, 3)), x1, x2, None, (False, False, True), (None, None, d_weight), False
    )
    assert found[2] is d_weight
    assert np.isfinite(out).all()
    assert np.isfinite(d_weight).all()
    read_only = room((5, 3))
    read_only.flags.writeable = False
    for wrong in (room((5, 4)), room((3, 5)).T, room((5, 3), np.float32), read_only, [1.0], None):
        assert _native.bilinear_into(x1, x2, weight, None, wrong) is None
    for wrong in (room((3, 7, 8)), room((3, 7, 9), np.float32), room((7, 9)), "x"):
        given = (np.ones((5, 3)), x1, x2, None, (False, False, True), (None, None, wrong), False)
        assert _native.gradients_into(*given) is None


@pytest.mark.parametrize(
    ("out", "error", "words"),
    [
        (
            np.ones((5, 4)),
            ShapeError,
            r"out has shape \(5, 4\), expected \(5, 3\), that of",
        ),
        (np.ones((5, 3), np.float32), DTypeError, "out has dtype float32, expected float64, that"),
        ([[1.0]], LibraryError, "out is a builtins.list, expected a NumPy array"),
        (lucid.ones((5, 3)), LibraryError, "out is a Tensor, whose values nothing writes to"),
    ],
)
def test_out_that_does_not_fit(out: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=f"^bilinear: .*{words}"):
        F.bilinear(*factors(SHAPES[0]), out=out)


def test_out_that_is_read_only() -> None:
    out = room((5, 3))
    out.flags.writeable = False
    with pytest.raises(ArgumentError, match=r"^bilinear: out is read-only, expected an arr"):
        F.bilinear(*factors(SHAPES[0]), out=out)


def test_out_that_shows_one_row_again_and_again() -> None:
    x1, x2, weight = factors(((8, 6), (8, 6), (6, 6, 6)))
    for out in (
        np.lib.stride_tricks.as_strided(np.zeros(6), (8, 6), (0, 8)),
        np.lib.stride_tricks.as_strided(np.zeros(8), (8, 6), (8, 0)),
    ):
        words = (
            r"^bilinear: out of shape \(8, 6\) has the strides .*; give an array with memory for"
        )
        with pytest.raises(ArgumentError, match=words):
            F.bilinear(x1, x2, weight, out=out)
        assert not out.any()


def test_results_that_would_overwrite_each_other() -> None:
    g, x1, x2, weight = np.ones((4, 2)), np.ones((4, 3)), np.ones((4, 3)), np.ones((2, 3, 3))
    both = np.zeros((4, 3))
    with pytest.raises(ArgumentError, match=r"out for x1 and out for x2 share memory, so that"):
        kernels.gradients(g, x1, x2, weight, out=(both, both, None))
    assert not both.any()
    beside = np.zeros((4, 6))  # one behind the other in memory, and nothing in common
    kernels.gradients(g, x1, x2, weight, out=(beside[:, ::2], beside[:, 1::2], None))
    assert (beside == 6).all()


def test_out_beside_a_tensor_or_another_keyword() -> None:
    x1, x2, weight = factors(SHAPES[0])
    with pytest.raises(LibraryError, match=r"^bilinear: out= is for NumPy arrays, and weight is"):
        F.bilinear(x1, x2, Tensor(weight), out=room((5, 3)))
    with pytest.raises(ArgumentError, match=r"^bilinear: out and weight_1 do not go together; l"):
        F.bilinear(x1, x2, weight, weight_1=np.ones((3, 7)), out=room((5, 3)))
    with pytest.raises(ShapeError, match="in1_features"):
        F.bilinear(x1[:, 1:], x2, weight, out=room((5, 3)))


@pytest.mark.parametrize(
    ("out", "error", "words"),
    [
        (
            (None, np.ones(3)),
            ArgumentError,
            "out is a builtins.tuple, expected a tuple of three",
        ),
        (
            (np.ones((5, 7)), None, None),
            ArgumentError,
            "out has an array for the gradient of x",
        ),
        (
            (None, None, np.ones(3)),
            ShapeError,
            r"out for weight has shape \(3,\), expected \(3,",
        ),
        (
            (None, None, np.ones((3, 7, 9), "f")),
            DTypeError,
            "out for weight has dtype float32, e",
        ),
    ],
)
def test_out_of_gradients_that_does_not_fit(out: Any, error: Any, words: str) -> None:
    x1, x2, _ = factors(SHAPES[0])
    with pytest.raises(error, match=f"^gradients: {words}"):
        kernels.gradients(np.ones((5, 3)), x1, x2, None, (False, False, True), out=out)


# ------------------------------------------------------------------- gradients where they lie


def large(scale: float) -> Any:
    return np.full(_tape.IN_PLACE // 8, float(scale))


def test_a_large_gradient_is_added_where_it_lies() -> None:
    x = Tensor(large(1), requires_grad=True)
    (x * 2).sum().backward()
    address = x.grad.__array__().__array_interface__["data"]  # type: ignore[union-attr]
    (x * 3).sum().backward()
    assert x.grad.__array__().__array_interface__["data"] == address  # type: ignore[union-attr]
    np.testing.assert_array_equal(x.grad.__array__(), large(5))  # type: ignore[union-attr]


@pytest.mark.parametrize("hold", ["the Tensor", "its array", "a view"])
def test_a_gradient_that_is_held_does_not_change(hold: str) -> None:
    x = Tensor(large(1), requires_grad=True)
    (x * 2).sum().backward()
    held: Any = x.grad
    if hold != "the Tensor":
        held = held._array if hold == "its array" else held._array[::2]
    (x * 3).sum().backward()
    assert np.all(np.asarray(held) == 2)
    np.testing.assert_array_equal(x.grad.__array__(), large(5))  # type: ignore[union-attr]


def test_one_array_that_is_the_gradient_of_two() -> None:
    x, y = (Tensor(large(1), requires_grad=True) for _ in range(2))
    (x + y).backward(large(2))
    (x * 3).sum().backward()
    np.testing.assert_array_equal(x.grad.__array__(), large(5))  # type: ignore[union-attr]
    np.testing.assert_array_equal(y.grad.__array__(), large(2))  # type: ignore[union-attr]


def test_the_callers_own_array_does_not_change() -> None:
    start, x = large(2), Tensor(large(1), requires_grad=True)
    x.backward(start)
    (x * 3).sum().backward()
    assert np.all(start == 2)
    np.testing.assert_array_equal(x.grad.__array__(), large(5))  # type: ignore[union-attr]


def test_a_recorded_gradient_is_not_added_to_where_it_lies() -> None:
    x = Tensor(large(2), requires_grad=True)
    (x * x * x).sum().backward(create_graph=True)
    (x * 3).sum().backward()
    np.testing.assert_array_equal(x.grad.__array__(), large(15))  # type: ignore[union-attr]


# ------------------------------------------------ of a large weight, added in the kernel


def three(dtype: Any = np.float32) -> list[Any]:
    rng = np.random.default_rng(1)
    shapes = (3, 70), (3, 80), (100, 70, 80)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def address(x: Tensor) -> Any:
    return x.grad._array.__array_interface__["data"]  # type: ignore[union-attr]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_weight_s_gradient_is_added_where_it_lies(dtype: Any) -> None:
    x1, x2, weight = (Tensor(x, requires_grad=True) for x in three(dtype))
    bias = Tensor(np.zeros(100, dtype), requires_grad=True)
    g = np.random.default_rng(2).standard_normal((3, 100)).astype(dtype)
    F.bilinear(x1, x2, weight, bias).backward(g)
    once = [np.array(x.grad._array) for x in (x1, x2, weight, bias)]  # type: ignore[union-attr]
    expected = np.einsum("no,ni,nj->oij", *(np.float64(x) for x in (g, *three(dtype)[:2])))
    np.testing.assert_allclose(
        once[2], expected, rtol=0, atol=4 * np.finfo(dtype).eps * np.abs(expected).max()
    )
    before = address(weight)
    F.bilinear(x1, x2, weight, bias).backward(2 * g)
    assert (address(weight) == before) is (_native.compiled is not None)
    for x, right in zip((x1, x2, weight, bias), once, strict=True):
        found = x.grad._array  # type: ignore[union-attr]
        tolerance = 8 * np.finfo(dtype).eps * np.abs(right).max()
        np.testing.assert_allclose(found, 3 * right, rtol=0, atol=tolerance)


def gradient_of_weight(use: Any) -> Any:
    x1, x2, weight = three()
    tensor = Tensor(weight, requires_grad=True)
    use(F.bilinear(x1, x2, tensor), tensor)
    return tensor


def expected_once() -> Any:
    x1, x2, _ = three()
    ones = np.ones((3, 100), np.float32)
    return kernels.gradients(ones, x1, x2, None, (False, False, True))[2]


def test_a_gradient_that_waits_is_an_array_wherever_it_is_seen() -> None:
    right = expected_once()
    seen: list[Any] = []

    def hooked(y: Any, weight: Tensor) -> None:
        weight.register_hook(lambda g: seen.append(np.array(g._array)))
        y.sum().backward()

    for use, times in (
        (lambda y, _: y.sum().backward(), 1),
        (hooked, 1),
        (lambda y, w: (y.sum() + (w * 0).sum()).backward(), 1),
        (lambda y, w: ((w * 0).sum() + y.sum()).backward(), 1),
        (lambda y, _: y.sum().backward(retain_graph=True) or y.sum().backward(), 2),
        (lambda y, _: y.sum().backward(create_graph=True), 1),
    ):
        found = gradient_of_weight(use).grad._array
        np.testing.assert_allclose(found, times * right, rtol=1e-6, atol=1e-5)
    np.testing.assert_array_equal(seen[0], right)
    x1, x2, weight = three()
    tensor = Tensor(weight, requires_grad=True)
    found = lucid.grad(F.bilinear(x1, x2, tensor * 1).sum(), tensor)._array
    np.testing.assert_array_equal(found, right)
    np.testing.assert_array_equal(
        lucid.grad(F.bilinear(x1, x2, tensor).sum(), tensor)._array, right
    )
    with lucid.detect_anomaly():
        F.bilinear(x1, x2, tensor).sum().backward()
    np.testing.assert_array_equal(tensor.grad._array, right)  # type: ignore[union-attr]


def test_a_weight_used_twice() -> None:
    x1, x2, weight = three()
    tensor = Tensor(weight, requires_grad=True)
    (F.bilinear(x1, x2, tensor) + F.bilinear(x1, 2 * x2, tensor)).sum().backward()
    held: Any = tensor.grad
    np.testing.assert_allclose(held._array, 3 * expected_once(), rtol=1e-5, atol=1e-5)
    F.bilinear(x1, x2, tensor).sum().backward()
    np.testing.assert_allclose(held._array, 3 * expected_once(), rtol=1e-5, atol=1e-5)
    held = tensor.grad
    np.testing.assert_allclose(held._array, 4 * expected_once(), rtol=1e-5, atol=1e-5)


SIZES = [
    (1, 2, 3, 4), (5, 20, 30, 40), (700, 16, 17, 9), (1100, 3, 40, 33), (300, 4, 1, 50),
    (20_000, 4, 8, 9),  # the last one: copies of the gradient, each for some of the samples
]  # fmt: skip


@pytest.mark.skipif(_native.compiled is None, reason="there is no compiled kernel")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_algorithm_adds(size: tuple[int, ...], dtype: Any) -> None:
    compiled = _native.compiled
    n, o, i, j = size
    rng = np.random.default_rng(3)
    g, x1, x2 = (rng.standard_normal((n, k)).astype(dtype) for k in (o, i, j))
    start = rng.standard_normal((o, i, j)).astype(dtype)
    product = np.einsum("no,ni,nj->oij", *(np.float64(x) for x in (g, x1, x2)))
    tolerance = 2 * np.sqrt(n) * np.finfo(dtype).eps * np.abs(start + product).max()
    ways = itertools.product((True, False), ((1, 1.2e10), (3, 1.2e10), (1, 1e3 * n)))
    for adds, (threads, part_operations) in ways:
        expected = start + product if adds else product
        for name in (None, *compiled.algorithms()["weight"]):
            before = compiled.set_part_operations(part_operations)
            try:
                total = start.copy()
                given = g, x1, x2, None, (False, False, True), (None, None, total), adds
                assert compiled.gradients_into(*given, name, threads)[2] is total
            finally:
                compiled.set_part_operations(before)
            np.testing.assert_allclose(total, expected, rtol=0, atol=tolerance)


@pytest.mark.skipif(_native.compiled is None, reason="there is no compiled kernel")
def test_pairs_add_the_weight_s_gradient() -> None:
    x1, x2, weight = factors(((2, 7, 1, 20), (2, 1, 6, 30), (5, 20, 30)))
    g = np.random.default_rng(4).standard_normal((2, 7, 6, 5))
    product = kernels.gradients(g, x1, x2, weight, (False, False, True))[2]
    total = weight.copy()
    given = g, x1, x2, None, (False, False, True), (None, None, total), True
    assert _native.gradients_into(*given, None, 2)[2] is total
    np.testing.assert_allclose(total, weight + product, rtol=1e-12, atol=1e-12)


@pytest.mark.skipif(_native.compiled is None, reason="there is no compiled kernel")
def test_there_is_nothing_to_add_to() -> None:
    x1, x2, _ = factors(SHAPES[0])
    g, only, none = np.ones((5, 3)), (False, False, True), (False, False, False)
    out = None, None, room((3, 7, 9))
    assert _native.gradients_into(g, x1, x2, None, only, (None, None, None), True) is None
    assert _native.gradients_into(g, x1, x2, None, none, out, True) is None
    with pytest.raises(TypeError, match="three arrays and a flag"):
        _native.gradients_into(g, x1, x2, None, only, out)
