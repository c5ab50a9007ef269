"""Results in arrays that the caller has: `out=`, and gradients that are added where they lie."""

from __future__ import annotations

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
    assert F.bilinear(x1, x2, weight, out=out) is out
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
    out = tuple(
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
        np.ones((5, 3)), x1, x2, None, (False, False, True), (None, None, d_weight)
    )
    assert found[2] is d_weight
    assert np.isfinite(out).all()
    assert np.isfinite(d_weight).all()
    read_only = room((5, 3))
    read_only.flags.writeable = False
    for wrong in (room((5, 4)), room((3, 5)).T, room((5, 3), np.float32), read_only, [1.0], None):
        assert _native.bilinear_into(x1, x2, weight, None, wrong) is None
    for wrong in (room((3, 7, 8)), room((3, 7, 9), np.float32), room((7, 9)), "x"):
        given = (np.ones((5, 3)), x1, x2, None, (False, False, True), (None, None, wrong))
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
