"""The comparisons can fail, and say where: without this, no other test means anything."""

# ruff: noqa: ARG005 (a rule for a sequence is told what is needed)

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import lucid
from lucid import Tensor
from lucid.testing import assert_same, gradcheck


def fails_with(message: str) -> Any:
    return pytest.raises(AssertionError, match=f"^{re.escape(message)}$")


# assert_same


def test_the_comparison_can_fail() -> None:
    with pytest.raises(AssertionError):
        assert_same(np.zeros(2), np.full(2, 1e-6))


def test_the_worst_element_is_named() -> None:
    with fails_with(
        "2 of 4 elements differ, most at index (1, 0): actual 3.0, expected 5.0 "
        "(difference 2.00e+00, allowed 6.00e-12)"
    ):
        assert_same(np.array([[1.0, 2.5], [3.0, 4.0]]), np.array([[1.0, 2.0], [5.0, 4.0]]))


def test_a_shape_that_would_broadcast_fails() -> None:
    with fails_with("shapes differ: actual (1,), expected (2,)"):
        assert_same(np.ones(1), np.ones(2))


def test_another_dtype_fails() -> None:
    with fails_with("dtypes differ: actual float32, expected float64"):
        assert_same(Tensor([1.0]), np.ones(1))


def test_lists_have_no_dtype() -> None:
    assert_same(Tensor([1.0]), [1.0])
    assert_same(Tensor([1]), [1])
    assert_same(np.float64(2.0), 2.0)


def test_nan_is_the_same_as_nan_only() -> None:
    assert_same(np.array([np.nan]), np.array([np.nan]))
    for other in (0.0, np.inf):
        with pytest.raises(AssertionError):
            assert_same(np.array([np.nan]), np.array([other]))
        with pytest.raises(AssertionError):
            assert_same(np.array([other]), np.array([np.nan]))


def test_infinity_is_the_same_as_itself_only() -> None:
    assert_same(np.array([np.inf, -np.inf]), np.array([np.inf, -np.inf]))
    for other in (-np.inf, 1e308):
        with pytest.raises(AssertionError):
            assert_same(np.array([other]), np.array([np.inf]))


def test_integers_and_truth_values_differ_by_nothing() -> None:
    assert_same(np.array([1, 2]), np.array([1, 2]))
    with pytest.raises(AssertionError, match=re.escape("most at index (1,): actual 3, expected 2")):
        assert_same(np.array([1, 3]), np.array([1, 2]))
    with pytest.raises(AssertionError, match="actual True, expected False"):
        assert_same(np.array([True]), np.array([False]))


@pytest.mark.parametrize(
    ("dtype", "off"),
    [("float64", 1e-11), ("float32", 1e-4), ("float16", 1e-2), ("complex64", 1e-4)],
)
def test_each_dtype_has_its_accuracy(dtype: str, off: float) -> None:
    one = np.ones(1, dtype)
    assert_same(one + np.asarray(off / 100, dtype), one)
    with pytest.raises(AssertionError):
        assert_same(one + np.asarray(off, dtype), one)


def test_the_imaginary_part_counts() -> None:
    with pytest.raises(AssertionError):
        assert_same(np.array([1 + 1j]), np.array([1 - 1j]))


def test_nothing_is_the_same_as_nothing() -> None:
    assert_same(np.zeros((0, 3)), np.zeros((0, 3)))
    with pytest.raises(AssertionError):
        assert_same(np.zeros((0, 3)), np.zeros((3, 0)))


# gradcheck


def wrong(factor: float) -> Any:
    @lucid.op
    def halved(input_1: Any, weight: Any) -> Any:
        return (input_1 * weight).sum()

    halved.gradient(
        input_1=lambda g, weight: g * weight, weight=lambda g, input_1: factor * g * input_1
    )
    return halved


def test_a_wrong_rule_is_named_with_its_element() -> None:
    random = np.random.default_rng(0)
    arguments = [np.array([0.1, 0.8121 * 2, 0.3]), random.standard_normal(3)]
    with fails_with(
        "halved, argument 1 (weight), index (1,): rule says 0.8121, central difference says 1.6242 "
        "(ratio 0.5000)"
    ):
        gradcheck(wrong(0.5), arguments)
    with pytest.raises(AssertionError, match="halved, argument 1"):
        gradcheck(wrong(0.5), arguments, every_element=True)
    gradcheck(wrong(1.0), arguments, every_element=True)


@pytest.mark.parametrize("factor", [1 + 1e-5, 1 - 1e-5, 0.0, -1.0, np.nan])
def test_a_rule_that_is_wrong_by_little_or_much_is_found(factor: float) -> None:
    with pytest.raises(AssertionError, match=r"argument 1 \(weight\)"):
        gradcheck(wrong(factor), [np.array([0.5, 1.5]), np.array([2.0, 1.0])])


def test_a_rule_that_is_wrong_in_one_element_is_found() -> None:
    @lucid.op
    def doubled(x: Any) -> Any:
        return 2 * x

    def rule(g: Any) -> Any:
        result = 2 * g
        result[1, 2] *= 1.001
        return result

    doubled.gradient(x=rule)
    with pytest.raises(AssertionError, match=r"index \(1, 2\).*ratio 1\.0010"):
        gradcheck(doubled, [np.ones((3, 4))])


def test_a_wrong_second_derivative_is_found() -> None:
    @lucid.op
    def cube(x: Any) -> Any:
        return x * x * x

    def rule(g: Any, x: Any) -> Any:
        return 3 * g * (x * (x.detach() if isinstance(x, Tensor) else x))

    cube.gradient(x=rule)
    gradcheck(cube, [np.array([2.0])])
    with fails_with(
        "the gradient of cube, argument 0 (x), index (0,): rule says 6.0000, central difference "
        "says 12.0000 (ratio 0.5000)"
    ):
        gradcheck(cube, [np.array([2.0])], order=2)


def test_a_rule_without_the_conjugate_is_found() -> None:
    @lucid.op(holomorphic=False)  # so the tape does not conjugate
    def squared(x: Any) -> Any:
        return x * x

    squared.gradient(x=lambda g, x: 2 * g * x)
    gradcheck(squared, [np.array([1.5, 2.5])])
    with pytest.raises(AssertionError, match="squared, argument 0"):
        gradcheck(squared, [np.array([1 + 2j, 0.5 - 1j])])


def test_a_missing_gradient_is_found() -> None:
    @lucid.op
    def forgotten(x: Any) -> Any:
        return x * 3.0

    forgotten.gradient(x=None)
    with pytest.raises(AssertionError, match=r"rule says 0\.0000.*ratio 0\.0000"):
        gradcheck(forgotten, [np.array([1.0])])


def test_several_outputs_and_sequences_are_checked() -> None:
    gradcheck(lambda x: lucid.unstack(x * x), [np.ones((2, 3))], order=2)
    gradcheck(lucid.concat, [[np.ones(2), np.ones(3)]], order=2)

    @lucid.op
    def first(xs: Sequence[npt.NDArray[Any]]) -> Any:
        return xs[0] * 1.0

    first.gradient(xs=lambda g, needed: [2 * g, 0 * g])
    with pytest.raises(AssertionError, match=r"first, argument 0 \(xs\[0\]\), index"):
        gradcheck(first, [[np.ones(2), np.ones(2)]])


def test_only_what_requires_a_gradient_is_checked_if_anything_does() -> None:
    x, y = Tensor([1.0], requires_grad=True), Tensor([2.0])
    gradcheck(wrong(0.5), [x, y])
    with pytest.raises(AssertionError):
        gradcheck(wrong(0.5), [x.detach(), y])


def test_other_arguments_are_passed_as_they_are() -> None:
    gradcheck(lucid.reshape, [np.ones((2, 3)), (3, 2)])
    gradcheck(lambda x, n: x**n, [np.array([1.5]), 3], order=3)


def test_gradcheck_says_that_all_is_well() -> None:
    assert gradcheck(lucid.exp, [np.ones(2)], order=2) is True


def test_a_rule_that_fails_on_tensors_is_named_at_order_2() -> None:
    @lucid.op(gradient=lambda g, x: g * x.view())
    def sine(x: Any) -> Any:
        return np.sin(x)

    message = (
        r"^sine: the gradient rule for 'x' raised AttributeError: .*\n(.*\n)*"
        r"The gradient is itself being recorded .*, and so the rule is given Tensors\.\n"
        r"Compute in it with operators and lucid's functions, such as lucid\.exp, and take no "
        r"values out of a Tensor\."
    )
    x = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(lucid.GraphError, match=message):
        lucid.grad(sine(x), x, create_graph=True)


def test_a_rule_that_takes_values_out_of_tensors_is_named_at_order_2() -> None:
    @lucid.op(gradient=lambda g, x: g * np.cos(np.asarray(x)))
    def sine(x: Any) -> Any:
        return np.sin(x)

    assert gradcheck(sine, [np.ones(2)])
    with pytest.raises(
        lucid.GraphError, match=r"^sine: the gradient rule for 'x' raised GraphError"
    ):
        gradcheck(sine, [np.ones(2)], order=2)


def test_the_inputs_are_left_alone() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    gradcheck(lucid.exp, x)
    assert x.grad is None
    assert x.tolist() == [1.0, 2.0]


def test_what_cannot_be_checked_is_refused() -> None:
    with pytest.raises(lucid.ArgumentError, match="none of the inputs of exp is an array"):
        gradcheck(lucid.exp, [1.0])
    with pytest.raises(lucid.ArgumentError, match="the function returned ndarray, expected a Tens"):
        gradcheck(lambda x: x.numpy(), [np.ones(2)])
