"""Functions that work element by element, where a plain formula of the derivative goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan, pi, sqrt
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.testing import assert_same, gradcheck


def slopes(function: Callable[..., Tensor], *values: Any, dtype: Any = "float64") -> list[Any]:
    """The gradient of each argument, as lists."""
    tensors = [Tensor(value, requires_grad=True, dtype=dtype) for value in values]
    return [each.tolist() for each in lucid.grad(function(*tensors), tensors)]


def second_slopes(function: Callable[..., Tensor], *values: Any) -> list[Any]:
    """The gradients of the sum of the gradients."""
    tensors = [Tensor(value, requires_grad=True, dtype="float64") for value in values]
    first = lucid.grad(function(*tensors), tensors, create_graph=True)
    total = sum((each.sum() for each in first), start=lucid.zeros((), dtype=lucid.float64))
    return [each.tolist() for each in lucid.grad(total, tensors)]


# Every order


THIRD: list[tuple[Callable[..., Tensor], tuple[float, ...]]] = [
    (lucid.hypot, (0.7, -1.3)),
    (lucid.atan2, (0.7, -1.3)),
    (lucid.logaddexp, (0.7, -1.3)),
    (lucid.asinh, (0.7,)),
    (lucid.acosh, (1.7,)),
    (lucid.atanh, (0.3,)),
    (lucid.asin, (0.3,)),
    (lucid.atan, (0.3,)),
    (lucid.reciprocal, (0.7,)),
]


@pytest.mark.parametrize(
    ("function", "values"), THIRD, ids=lambda each: getattr(each, "__name__", "")
)
def test_third_derivatives_are_those_of_differences(
    function: Callable[..., Tensor], values: tuple[float, ...]
) -> None:
    gradcheck(function, [np.array([value]) for value in values], order=3)


# The origin


@pytest.mark.parametrize("function", [lucid.hypot, lucid.atan2])
def test_the_origin_has_gradient_0(function: Callable[..., Tensor]) -> None:
    assert slopes(function, [0.0], [0.0]) == [[0.0], [0.0]]
    assert second_slopes(function, [0.0], [0.0]) == [[0.0], [0.0]]


def test_the_gradient_of_hypot_is_the_direction() -> None:
    assert slopes(lucid.hypot, [3.0, 0.0], [-4.0, 2.0]) == [[0.6, 0.0], [-0.8, 1.0]]


def test_squares_that_would_overflow_are_not_taken() -> None:
    big = 1e300
    assert slopes(lucid.hypot, [3 * big], [4 * big]) == [[0.6], [0.8]]
    one, other = slopes(lucid.atan2, [big], [big])
    assert one[0] == pytest.approx(0.5 / big, rel=1e-14)
    assert other[0] == pytest.approx(-0.5 / big, rel=1e-14)
    assert slopes(lucid.asinh, [big])[0][0] == pytest.approx(1 / big, rel=1e-14)
    assert slopes(lucid.acosh, [big])[0][0] == pytest.approx(1 / big, rel=1e-14)


def test_small_numbers_keep_their_gradient() -> None:
    tiny = 1e-300
    one, other = slopes(lucid.hypot, [3 * tiny], [4 * tiny])
    assert one[0] == pytest.approx(0.6, rel=1e-14)
    assert other[0] == pytest.approx(0.8, rel=1e-14)


def test_slopes_near_the_end_of_the_domain_keep_their_digits() -> None:
    near = 1 - 2.0**-40
    exact = 1 / sqrt(2.0**-40 * (2 - 2.0**-40))
    assert slopes(lucid.asin, [near])[0][0] == pytest.approx(exact, rel=1e-14)
    assert slopes(lucid.acos, [near])[0][0] == pytest.approx(-exact, rel=1e-14)
    assert slopes(lucid.atanh, [near])[0][0] == pytest.approx(exact**2, rel=1e-14)


@pytest.mark.parametrize("sign", [1, -1])
def test_complex_slopes_keep_to_the_branch(sign: int) -> None:
    """Beside the cuts, where √(1 - z²) alone may have the other sign."""
    for function, points in {
        lucid.asin: (2 + 0.1j, -2 + 0.1j), lucid.acos: (2 - 0.1j, -2 + 0.1j),
        lucid.asinh: (0.1 + 2j, 0.1 - 2j), lucid.acosh: (-2 + 0.1j, 0.5 + 0.1j, -0.5 - 0.3j),
        lucid.atanh: (2 + 0.1j, -2 - 0.1j), lucid.atan: (0.1 + 2j, -0.1 - 2j),
    }.items():  # fmt: skip
        gradcheck(function, [np.array([sign * point for point in points])], order=2)


# logaddexp


def test_logaddexp_at_infinity() -> None:
    first = [inf, inf, -inf, -inf, -inf, 1.0, 1.0]
    second = [1.0, inf, 1.0, -inf, inf, inf, -inf]
    assert slopes(lucid.logaddexp, first, second) == [
        [1.0, 0.5, 0.0, 0.0, 0.0, 0.0, 1.0], [0.0, 0.5, 1.0, 0.0, 1.0, 1.0, 0.0],
    ]  # fmt: skip


def test_the_second_slope_of_logaddexp_of_equal_numbers() -> None:
    x = Tensor([1.0], requires_grad=True, dtype=lucid.float64)
    (slope,) = lucid.grad([lucid.logaddexp(x, 1.0)], [x], create_graph=True)
    assert slope.tolist() == [0.5]
    assert lucid.grad(slope, x).tolist() == [0.25]


def test_logaddexp_far_apart_keeps_the_digits_of_its_slope() -> None:
    assert slopes(lucid.logaddexp, [-700.0], [0.0])[0][0] == pytest.approx(
        np.exp(-700.0), rel=1e-12
    )


# Complex numbers that are not finite: what the standard says, where NumPy's expm1 says NaN


EXPM1 = [
    # x, and the real and imaginary part of eˣ - 1
    (complex(inf, 0), inf, 0.0), (complex(-inf, inf), -1.0, 0.0), (complex(inf, inf), inf, nan),
    (complex(-inf, nan), -1.0, 0.0), (complex(inf, nan), inf, nan), (complex(nan, 0), nan, 0.0),
    (complex(-0.0, 0), 0.0, 0.0), (complex(0, 0), 0.0, 0.0), (complex(inf, 2), -inf, inf),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:invalid value")  # of NumPy's exp
def test_expm1_of_complex_infinities() -> None:
    for x, real, imag in EXPM1:
        found = lucid.expm1(Tensor([x, 1e-20j]))
        assert_same(lucid.real(found)[0], np.float32(real))
        assert_same(lucid.imag(found)[0], np.float32(imag))
        assert np.signbit(found.numpy()[0].real) == np.signbit(real)
        assert found.tolist()[1].imag == pytest.approx(1e-20)


# Signs


def test_copysign_at_0_has_gradient_0() -> None:
    assert slopes(lambda x: lucid.copysign(x, -1.0), [0.0, 2.0, -2.0]) == [[0.0, -1.0, 1.0]]


def test_copysign_takes_the_sign_of_minus_0() -> None:
    x = Tensor([1.0, -1.0], requires_grad=True)
    y = lucid.copysign(x, -0.0)
    assert y.tolist() == [-1.0, -1.0]
    assert lucid.grad(y, x).tolist() == [-1.0, 1.0]
    assert lucid.grad(lucid.copysign(x, 0.0), x).tolist() == [1.0, -1.0]


def test_the_size_alone_of_copysign_has_a_gradient() -> None:
    x = Tensor([2.0], requires_grad=True)
    assert lucid.grad(lucid.copysign(3.0, x), x).tolist() == [0.0]


# Whole numbers


def test_halves_round_to_even() -> None:
    x = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]
    assert lucid.round(Tensor(x)).tolist() == [-2.0, -2.0, -0.0, 0.0, 2.0, 2.0]
    assert lucid.round(Tensor([0.5 + 1.5j])).tolist() == [2j]


@pytest.mark.parametrize("function", [lucid.floor, lucid.ceil, lucid.trunc, lucid.round])
def test_what_is_whole_stays_whole(function: Callable[..., Tensor]) -> None:
    for dtype in (lucid.int8, lucid.uint64):
        x = lucid.asarray([1, 2], dtype=dtype)
        assert function(x).dtype == dtype
        assert function(x).tolist() == [1, 2]


DIVISIONS = [
    # x1, x2, ⌊x1 / x2⌋
    (inf, 2.0, inf), (inf, -2.0, -inf), (-inf, 2.0, -inf), (-inf, -2.0, inf), (inf, inf, nan),
    (1.0, inf, 0.0), (-1.0, inf, -0.0), (1.0, -inf, -0.0), (-1.0, -inf, 0.0), (inf, 0.0, inf),
    (1.0, 0.0, inf), (1.0, -0.0, -inf), (-1.0, 0.0, -inf), (0.0, 0.0, nan), (nan, 1.0, nan),
    (0.0, 2.0, 0.0), (-0.0, 2.0, -0.0), (0.0, -2.0, -0.0), (1.0, 0.1, 9.0), (-7.0, 2.0, -4.0),
]  # fmt: skip


@pytest.mark.parametrize("name", ["numpy", "torch", "jax", "array_api_strict"])
@pytest.mark.filterwarnings("ignore")
def test_division_of_and_by_infinity(name: str) -> None:
    library = pytest.importorskip(name, reason=f"{name} is not installed")
    xp = library.numpy if name == "jax" else library
    for one, other, expected in DIVISIONS:
        x1, x2 = (xp.asarray([each], dtype=xp.float32) for each in (one, other))
        (found,) = lucid.floor_divide(lucid.asarray(x1), lucid.asarray(x2)).tolist()
        assert found == expected or (np.isnan(found) and np.isnan(expected)), (one, other)
        assert np.isnan(expected) or np.copysign(1, found) == np.copysign(1, expected)


def test_integers_divide_to_integers() -> None:
    x = Tensor([7, -7])
    assert (x // 2).tolist() == [3, -4]
    assert (x % 3).tolist() == [1, 2]
    assert (x // 2).dtype == lucid.int64


def test_the_slope_of_a_remainder_is_minus_the_quotient() -> None:
    assert slopes(lucid.remainder, [7.5, -7.5, 7.5], [2.0, 2.0, -2.0]) == [
        [1.0, 1.0, 1.0], [-3.0, 4.0, 4.0],
    ]  # fmt: skip
    assert slopes(lambda x: 7.5 % x, [2.0]) == [[-3.0]]


def test_the_number_after_has_the_gradient_of_the_number() -> None:
    assert slopes(lucid.nextafter, [1.0, 1.0], [2.0, 1.0]) == [[1.0, 1.0], [0.0, 0.0]]


# clip


def test_clip_without_bounds_is_a_copy() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = lucid.clip(x)
    assert y.tolist() == [1.0, 2.0]
    assert not np.shares_memory(x.numpy(), y.numpy())
    assert lucid.grad(y, x).tolist() == [1.0, 1.0]


def test_integers_have_a_reciprocal() -> None:
    assert_same(lucid.reciprocal(Tensor([2, 4])), np.array([0.5, 0.25]))


def test_angles_are_in_radians() -> None:
    assert lucid.atan2(Tensor(0.0), Tensor(-1.0)).item() == pytest.approx(pi)
