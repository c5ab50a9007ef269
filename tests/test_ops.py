"""Every operation of the table: values, derivatives, layouts, dtypes, broadcasting, size 0."""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cases import CASES, DIFFERENTIABLE, NOT_OPERATIONS, Array, Case, normal
from drawn import given, hnp, st
from layouts import LAYOUTS, expanded, strided

import lucid
from lucid import Tensor
from lucid.nn import functional as F
from lucid.testing import assert_same, gradcheck


def every(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def parts(result: Any) -> tuple[Any, ...]:
    """The results of an operation that has one or several."""
    return result if isinstance(result, tuple) else (result,)


def recorded(result: Any) -> tuple[Any, ...]:
    """Those results that have a gradient: integers have none."""
    return tuple(each for each in parts(result) if each.requires_grad)


def compare(actual: Any, expected: Any, **tolerance: float) -> None:
    for one, other in zip(parts(actual), parts(expected), strict=True):
        assert_same(one, other, **tolerance)


def is_floating(array: Array) -> bool:
    return array.dtype.kind in "fc"


def leaves(arrays: list[Array]) -> list[Tensor]:
    return [Tensor(array, requires_grad=is_floating(array)) for array in arrays]


def gradients(case: Case, arrays: list[Array]) -> list[Tensor | None]:
    """The gradients of all floating-point arguments, the results weighed with 0.5, 1.5, 2.5, …"""
    tensors = leaves(arrays)
    results = recorded(case(*tensors))
    weights = [
        lucid.reshape(lucid.arange(each.size, dtype=lucid.float64) + 0.5, each.shape)
        for each in results
    ]
    inputs = [tensor for tensor in tensors if tensor.requires_grad]
    return list(lucid.grad(results, inputs, weights))


# The table is complete


# and in the standard's extensions, once they are there
MODULES = [lucid, F, *(vars(lucid)[name] for name in ("linalg", "fft") if name in vars(lucid))]


def test_every_public_function_is_in_the_table_or_said_not_to_be() -> None:
    in_table = {id(case.function) for case in CASES}
    without_line = {
        name
        for module in MODULES
        for name, value in vars(module).items()
        if not name.startswith("_") and callable(value) and id(value) not in in_table
    }
    excused = set().union(*NOT_OPERATIONS.values())
    missing = sorted(without_line - excused)
    assert not missing, f"add a line to CASES in tests/cases.py for {', '.join(missing)}"
    assert not excused - without_line, "these have a line, or are gone"


def test_names_in_the_table_are_unique() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))


# Values


@every(CASES)
def test_a_result_is_that_of_the_slow_reference(case: Case) -> None:
    arrays = case.arguments()
    result = case(*map(Tensor, arrays))
    assert all(type(each) is Tensor for each in parts(result))
    compare(result, case.expected(*arrays))


@every([case for case in CASES if case.complex])
def test_a_complex_result_is_that_of_the_slow_reference(case: Case) -> None:
    arrays = case.complex_arguments()
    compare(case(*map(Tensor, arrays)), case.expected(*arrays))


@every([case for case in CASES if case.integer])
def test_integers_stay_integers(case: Case) -> None:
    arrays = case.integer_arguments()
    compare(case(*map(Tensor, arrays)), case.expected(*arrays))


@every(CASES)
def test_arrays_give_an_array(case: Case) -> None:
    arrays = case.arguments()
    result = parts(case(*arrays))
    assert all(isinstance(each, (np.ndarray, np.generic)) for each in result)
    compare(result, parts(case(*map(Tensor, arrays))))


@every(CASES)
def test_lists_give_a_tensor_of_float32(case: Case) -> None:
    result = parts(case(*[array.tolist() for array in case.arguments()]))
    expected = parts(case(*[Tensor(array.tolist()) for array in case.arguments()]))
    assert all(type(each) is Tensor for each in result)
    if "dtype" not in case.options:
        assert all(each.dtype not in (np.float64, np.complex128) for each in result)
    compare(result, expected)


@every([case for case in CASES if len(case.shapes) > 1])
def test_one_tensor_among_arrays_gives_a_tensor(case: Case) -> None:
    arrays = case.arguments()
    expected = case.expected(*arrays)
    for k in range(len(arrays)):
        mixed = [Tensor(array) if k == m else array for m, array in enumerate(arrays)]
        assert all(isinstance(each, Tensor) for each in parts(case(*mixed)))
        compare(case(*mixed), expected)


@every([case for case in CASES if len(case.shapes) > 1])
def test_one_tensor_among_lists_gives_a_tensor(case: Case) -> None:
    arrays = case.arguments()
    expected = case(*[Tensor(array.tolist()) for array in arrays])
    for k in range(len(arrays)):
        lists = [array.tolist() for array in arrays]
        mixed = [Tensor(each) if k == m else each for m, each in enumerate(lists)]
        compare(case(*mixed), expected)


@every([case for case in CASES if not case.sequence and not case.variadic])
def test_keywords_mean_the_same_as_positions(case: Case) -> None:
    tensors = [Tensor(array) for array in case.arguments()]
    parameters = inspect.signature(case.op).parameters
    names = list(parameters)
    by_keyword = dict(zip(names, tensors, strict=False)) | case.options
    by_position = [
        by_keyword.pop(name) for name in names
        if name in by_keyword and parameters[name].kind is inspect.Parameter.POSITIONAL_ONLY
    ]  # fmt: skip
    compare(case.op(*by_position, **by_keyword), case(*tensors))
    in_order = [*tensors]
    rest = dict(case.options)
    for name in names[len(tensors) :]:
        if parameters[name].kind is inspect.Parameter.KEYWORD_ONLY or name not in rest:
            break
        in_order.append(rest.pop(name))
    compare(case.op(*in_order, **rest), case(*tensors))


# Derivatives


@every(DIFFERENTIABLE)
def test_a_gradient_is_that_of_differences(case: Case) -> None:
    arguments = case.arguments()
    gradcheck(case, arguments, order=case.order, name=case.name)


@every([case for case in DIFFERENTIABLE if case.complex])
def test_a_complex_gradient_is_that_of_differences(case: Case) -> None:
    gradcheck(case, case.complex_arguments(), order=case.order, name=case.name)


@every([case for case in DIFFERENTIABLE if case.complex and len(case.shapes) > 1])
def test_a_gradient_of_real_and_complex_arguments_is_that_of_differences(case: Case) -> None:
    mixed = [case.arguments()[0], *case.complex_arguments()[1:]]
    gradcheck(case, mixed, order=case.order, name=case.name)


@every(DIFFERENTIABLE)
def test_a_gradient_goes_only_to_what_requires_one(case: Case) -> None:
    arrays = case.arguments()
    whole = gradients(case, arrays)
    floating = [k for k, array in enumerate(arrays) if is_floating(array)]
    for position, k in enumerate(floating):
        tensors = [Tensor(array, requires_grad=k == m) for m, array in enumerate(arrays)]
        results = recorded(case(*tensors))
        weights = [
            lucid.reshape(lucid.arange(each.size, dtype=lucid.float64) + 0.5, each.shape)
            for each in results
        ]
        assert_same(lucid.grad(results, tensors[k], weights), whole[position])


@every([case for case in CASES if not case.order])
def test_an_operation_without_derivative_records_nothing(case: Case) -> None:
    result = case(*leaves(case.arguments()))
    assert not any(each.requires_grad for each in parts(result))


@every([case for case in DIFFERENTIABLE if case.elementwise and len(case.shapes) == 2])
def test_a_python_number_gives_the_gradient_of_a_full_array(case: Case) -> None:
    x = np.array([0.7, 1.9])
    for k in range(2):
        tensors: list[Any] = [Tensor(x, requires_grad=True), Tensor(np.full(2, 1.5))][:: 1 - 2 * k]
        numbers: list[Any] = [
            1.5 if tensor.requires_grad is False else tensor for tensor in tensors
        ]
        one, other = tensors[k], numbers[k]
        assert_same(lucid.grad(case(*numbers), other), lucid.grad(case(*tensors), one))


# Layouts: the same numbers, lying differently in memory


def native(x: Tensor) -> Array:
    """Its numbers in the byte order of the machine: that of an argument may stay."""
    values = x.numpy()
    return values.astype(values.dtype.newbyteorder("="))


@pytest.mark.parametrize("layout", LAYOUTS)
@every(CASES)
def test_the_layout_in_memory_changes_nothing(case: Case, layout: str) -> None:
    arrays = case.arguments()
    laid_out = [LAYOUTS[layout](array) for array in arrays]
    # asarray shares: the operation really gets this layout
    results = parts(case(*map(lucid.asarray, laid_out)))
    compare(tuple(map(native, results)), parts(case(*map(Tensor, arrays))))
    if case.order:
        shared = [lucid.asarray(array).requires_grad_(is_floating(array)) for array in laid_out]
        starts = [strided(each.numpy()) for each in recorded(case(*shared))]
        inputs = [each for each in shared if each.requires_grad]
        found = lucid.grad(recorded(case(*shared)), inputs, starts)
        plain = leaves(arrays)
        wanted = lucid.grad(recorded(case(*plain)), [each for each in plain if each.requires_grad],
                            [each.detach() for each in recorded(case(*plain))])  # fmt: skip
        assert [each.dtype for each in found] == [each.dtype for each in inputs]
        compare(tuple(map(native, found)), tuple(wanted))
    for array, before in zip(laid_out, arrays, strict=True):
        np.testing.assert_array_equal(array, before)


@every([case for case in DIFFERENTIABLE if not case.kinked])
def test_an_array_of_stride_0_is_like_its_copy(case: Case) -> None:
    arrays = [expanded(array) for array in case.arguments()]
    compare(case(*map(lucid.asarray, arrays)), case.expected(*map(np.array, arrays)))
    shared = [lucid.asarray(array).requires_grad_(is_floating(array)) for array in arrays]
    inputs = [each for each in shared if each.requires_grad]
    plain = leaves([np.array(array) for array in arrays])
    compare(
        tuple(lucid.grad(recorded(case(*shared)), inputs)),
        tuple(lucid.grad(recorded(case(*plain)), [each for each in plain if each.requires_grad])),
    )


# Dtypes


OF_THE_SAME_DTYPE = [case for case in DIFFERENTIABLE if case.result == "same"]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@every(OF_THE_SAME_DTYPE)
def test_a_dtype_stays_in_values_and_gradients(case: Case, dtype: str) -> None:
    arrays = case.arguments()
    narrow = [array.astype(dtype) if is_floating(array) else array for array in arrays]
    tensors = leaves(narrow)
    result = parts(case(*tensors))
    exact = parts(case.expected(*[a.astype(float) if is_floating(a) else a for a in narrow]))
    accuracy = {"float16": 2e-2, "float32": 1e-5, "float64": 1e-12}[dtype]
    for one, other in zip(result, exact, strict=True):
        assert one.dtype == np.dtype(dtype) or other.dtype.kind == one.numpy().dtype.kind == "i"
        assert_same(one.numpy().astype(float), other.astype(float), rtol=accuracy, atol=accuracy)
    inputs = [tensor for tensor in tensors if tensor.requires_grad]
    wide = leaves([array.astype(float) if is_floating(array) else array for array in narrow])
    wanted = lucid.grad(recorded(case(*wide)), [each for each in wide if each.requires_grad])
    found = lucid.grad(recorded(result), inputs)
    for tensor, gradient, right in zip(inputs, found, wanted, strict=True):
        assert (gradient.dtype, gradient.shape) == (tensor.dtype, tensor.shape)
        slack = 4 * accuracy * max(1.0, float(np.abs(right.numpy()).max()))
        assert_same(gradient.numpy().astype(float), right.numpy(), rtol=slack, atol=slack)


@every([case for case in OF_THE_SAME_DTYPE if case.complex])
def test_a_complex64_stays_in_values_and_gradients(case: Case) -> None:
    arrays = [
        a.astype(np.complex64) if a.dtype.kind == "c" else a for a in case.complex_arguments()
    ]
    tensors = leaves(arrays)
    result = parts(case(*tensors))
    compare(
        tuple(each.numpy().astype(complex) for each in result),
        tuple(np.asarray(each, complex) for each in parts(case.expected(*arrays))),
        rtol=2e-5,
        atol=2e-5,
    )
    inputs = [tensor for tensor in tensors if tensor.requires_grad]
    assert all(each.dtype == np.complex64 for each in lucid.grad(recorded(result), inputs))


@every([case for case in OF_THE_SAME_DTYPE if sum(map(is_floating, case.arguments())) > 1
        and not case.variadic])  # fmt: skip
def test_mixed_dtypes_promote_and_gradients_keep_their_own(case: Case) -> None:
    arrays = case.arguments()
    floating = [k for k, array in enumerate(arrays) if is_floating(array)]
    arrays[floating[0]] = arrays[floating[0]].astype(np.float32)
    tensors = leaves(arrays)
    result = case(*tensors)
    assert result.dtype == np.float64
    inputs = [tensor for tensor in tensors if tensor.requires_grad]
    for tensor, gradient in zip(inputs, lucid.grad(result, inputs), strict=True):
        assert gradient.dtype == tensor.dtype


# Broadcasting


@every([case for case in CASES if case.signature and len(case.shapes) > 1])
@given(data=st.data())
def test_shapes_broadcast_and_gradients_are_summed_back(case: Case, data: Any) -> None:
    assert case.signature is not None
    drawn = data.draw(
        hnp.mutually_broadcastable_shapes(
            signature=case.signature, max_dims=3, max_side=3, min_side=0
        )
    )
    arrays = case.arguments(shapes=drawn.input_shapes)
    result = case(*map(Tensor, arrays))
    assert result.shape == drawn.result_shape
    *ranks, core = (len(axes.replace(",", "")) for axes in re.findall(r"\((.*?)\)", case.signature))
    leading = drawn.result_shape[: len(drawn.result_shape) - core]
    spread = [
        np.array(np.broadcast_to(array, (*leading, *array.shape[array.ndim - rank :])))
        for array, rank in zip(arrays, ranks, strict=True)
    ]
    compare(result, case(*map(Tensor, spread)))
    if not case.order:
        return
    for array, got, whole in zip(
        filter(is_floating, arrays), gradients(case, arrays), gradients(case, spread), strict=True
    ):
        assert got is not None
        assert whole is not None
        extra = tuple(range(whole.ndim - array.ndim))
        summed = whole.numpy().sum(axis=extra)
        ones = tuple(k for k, n in enumerate(array.shape) if n == 1)
        assert_same(got, summed.sum(axis=ones, keepdims=True).reshape(array.shape))


# Sizes of zero, and numbers that are none


@every([case for case in CASES if case.empty is not None])
def test_sizes_of_zero_are_sizes(case: Case) -> None:
    arrays = case.arguments(shapes=case.empty)
    tensors = leaves(arrays)
    result, expected = parts(case(*tensors)), parts(case.expected(*arrays))
    assert [each.shape for each in result] == [np.shape(each) for each in expected]
    if case.order:
        inputs = [tensor for tensor in tensors if tensor.requires_grad]
        for tensor, gradient in zip(inputs, lucid.grad(recorded(result), inputs), strict=True):
            assert gradient.shape == tensor.shape
            assert np.isfinite(gradient.numpy()).all()


SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e308])


@every([case for case in CASES if case.numpy])
def test_nan_and_infinity_do_what_they_do_in_numpy(case: Case) -> None:
    arrays = [SPECIAL] if len(case.shapes) == 1 else [SPECIAL[:, None], SPECIAL]
    assert case.numpy is not None
    with np.errstate(all="ignore"):
        assert_same(case(*map(Tensor, arrays)), case.numpy(*arrays))


# Conventions where there is no derivative, and what a plain formula would get wrong


def gradient_of(function: Callable[..., Tensor], *values: Any) -> list[Any]:
    tensors = [Tensor(value, requires_grad=True, dtype=lucid.float64) for value in values]
    return [each.tolist() for each in lucid.grad(function(*tensors), tensors)]


def test_abs_at_0_has_gradient_0() -> None:
    assert gradient_of(lucid.abs, [0.0, -2.0]) == [[0.0, -1.0]]


def test_the_sign_of_a_complex_0_has_gradient_0() -> None:
    x = Tensor([0j, 3 + 4j], requires_grad=True)
    assert lucid.grad(lucid.sign(x), x).tolist()[0] == 0j


def test_ties_share_a_gradient() -> None:
    assert gradient_of(lucid.maximum, [1.0, 2.0], [1.0, 0.0]) == [[0.5, 1.0], [0.5, 0.0]]
    assert gradient_of(lucid.minimum, [1.0, 2.0], [1.0, 0.0]) == [[0.5, 0.0], [0.5, 1.0]]
    assert gradient_of(lucid.max, [3.0, 1.0, 3.0]) == [[0.5, 0.0, 0.5]]


def test_a_nan_takes_the_gradient_of_max() -> None:
    assert gradient_of(lucid.max, [3.0, np.nan, 1.0]) == [[0.0, 1.0, 0.0]]


def test_clip_has_a_gradient_on_its_bounds() -> None:
    assert gradient_of(lambda x: lucid.clip(x, 0, 1), [-1.0, 0.0, 0.5, 1.0, 2.0]) == [
        [0.0, 1.0, 1.0, 1.0, 0.0]
    ]
    assert gradient_of(lambda x: lucid.clip(x, min=0), [-1.0, 2.0]) == [[0.0, 1.0]]
    assert gradient_of(lambda x: lucid.clip(x, max=0), [-1.0, 2.0]) == [[1.0, 0.0]]


def test_clip_gives_crossed_bounds_to_the_upper() -> None:
    found = gradient_of(lambda x, low, high: lucid.clip(x, low, high), 0.0, 2.0, 1.0)
    assert found == [0.0, 0.0, 1.0]


def test_pow_at_0() -> None:
    assert gradient_of(lucid.pow, [0.0, 0.0], [0.0, 2.0]) == [[0.0, 0.0], [0.0, 0.0]]
    assert gradient_of(lambda x: x**0, [0.0, 2.0]) == [[0.0, 0.0]]
    assert gradient_of(lambda x: x**1, [0.0]) == [[1.0]]
    assert gradient_of(lambda x: x**2, [0.0, -3.0]) == [[0.0, -6.0]]


def test_the_power_0_has_every_derivative() -> None:
    # d/dx2 of x2 · x1 ** (x2 - 1) is 1 / x1 where x2 = 0
    base, exponent = np.array([[0.5], [2.0], [3.0]]), np.array([0.0, 2.0, -1.0, 0.0])
    gradcheck(lucid.pow, [base, exponent], order=3, every_element=True)
    gradcheck(lucid.pow, [base + 1j, exponent + 0j], order=2, every_element=True)
    for smallest in (0.0, 5e-324):
        assert gradient_of(lucid.pow, smallest, 0.0)[0] == 0.0


def test_a_number_to_the_power_of_a_tensor_leaves_arrays_in_the_graph() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    assert isinstance(lucid.grad(2.0**x, x)._array, np.ndarray)


def test_prod_has_a_gradient_at_zeros() -> None:
    assert gradient_of(lucid.prod, [2.0, 0.0, 3.0]) == [[0.0, 6.0, 0.0]]
    assert gradient_of(lucid.prod, [2.0, 0.0, 0.0]) == [[0.0, 0.0, 0.0]]
    gradcheck(lucid.prod, [np.array([[2.0, 0.0, 3.0], [0.0, 0.0, 5.0]])], order=3)


def test_the_gradient_of_prod_keeps_its_digits() -> None:
    x = np.array([[0.5, 3.0, -2.0, 1.5], [1e-8, 1.0, 2.0, 3.0], [1e-300, 1e-200, 1e200, 7.0]])
    others = [[np.prod(np.delete(row, k)) for k in range(4)] for row in x]
    for rows in (x[:2], x):  # divided, and not
        found = gradient_of(lambda x: lucid.prod(x, axis=-1), rows)[0]
        assert_same(np.array(found), np.array(others[: len(rows)]), rtol=1e-14)
    small = Tensor([1e-20, 1.0, 1.0], requires_grad=True, dtype=lucid.float64)
    slope = lucid.grad(lucid.prod(small), small, create_graph=True)
    assert lucid.grad(slope[0], small).tolist() == [0.0, 1.0, 1.0]
    half = Tensor(np.array([2.0, 3.0, 0.1], np.float16), requires_grad=True)
    product = np.float16(0.1).astype(np.float32)
    expected = np.array([3 * product, 2 * product, 6.0], np.float32).astype(np.float16)
    assert_same(lucid.grad(lucid.prod(half), half), expected, rtol=0)


@pytest.mark.parametrize("zeros", [(), (0,), (1,), (3,), (0, 3), (0, 1, 2), (0, 1, 2, 3)])
@pytest.mark.parametrize("include_initial", [False, True])
def test_cumulative_prod_has_every_derivative_at_zeros(
    zeros: tuple[int, ...], include_initial: bool
) -> None:
    x = np.array([2.0, 3.0, -1.5, 0.5])
    x[list(zeros)] = 0.0
    gradcheck(lambda x: lucid.cumulative_prod(x, include_initial=include_initial), [x], order=3,
              every_element=True)  # fmt: skip


def test_a_product_that_overflows_on_the_way_leaves_other_gradients_alone() -> None:
    x = Tensor([1e-300, 1e200, 1e200, 1.0], requires_grad=True, dtype=lucid.float64)
    with np.errstate(over="ignore"):
        lucid.cumulative_prod(x)[1].backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1e200, 1e-300, 0.0, 0.0]


def test_cumulative_prod_of_nothing_and_one() -> None:
    assert gradient_of(lucid.cumulative_prod, []) == [[]]
    assert gradient_of(lucid.cumulative_prod, [0.0]) == [[1.0]]
    assert gradient_of(lambda x: lucid.cumulative_prod(x, include_initial=True), []) == [[]]


@pytest.mark.parametrize("function", [lucid.expm1, F.elu])
def test_a_small_slope_is_not_0(function: Callable[..., Tensor]) -> None:
    x = Tensor([-20.0], requires_grad=True)
    assert_same(lucid.grad(function(x), x), [np.exp(np.float32(-20))], atol=0)


def test_std_of_equal_elements_has_gradient_0() -> None:
    assert gradient_of(lucid.std, [2.0, 2.0]) == [[0.0, 0.0]]


def test_the_variance_of_too_few_is_nan() -> None:
    x = Tensor([1.0, 2.0])
    for function, correction in itertools.product((lucid.var, lucid.std), (2, 3)):
        with np.errstate(all="ignore"), pytest.warns(RuntimeWarning, match="Degrees of freedom"):
            found = function(x, correction=correction)
        assert_same(found, np.float32(np.nan))


def test_the_variance_of_too_few_has_gradient_nan() -> None:
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning, match="Degrees of freedom"):
        assert_same(gradient_of(lambda x: lucid.var(x, correction=1), [2.0])[0], [np.nan])


def test_logsumexp_overflows_nowhere() -> None:
    infinite = Tensor([[np.inf, 1000.0], [-np.inf, -np.inf], [1000.0, 1000.0], [-np.inf, 0.0]])
    assert_same(
        lucid.logsumexp(infinite, axis=1), [np.inf, -np.inf, 1000 + np.log(2), 0.0], rtol=1e-7
    )


def test_logsumexp_keeps_what_the_largest_hides() -> None:
    assert_same(lucid.logsumexp(Tensor([-87.0, 0.0])), np.float32(np.exp(-87.0)), atol=0)
    assert_same(lucid.logsumexp(Tensor([0.0, 0.0, -80.0])), np.log(np.float32(2)), rtol=1e-7)
    assert_same(lucid.logsumexp(Tensor([3.0])), 3.0, rtol=0)


def test_logsumexp_over_nothing_is_minus_infinity() -> None:
    assert lucid.logsumexp(lucid.zeros((2, 0)), axis=1).tolist() == [-np.inf, -np.inf]


def test_logsumexp_of_nothing_possible_has_gradient_0() -> None:
    assert gradient_of(lucid.logsumexp, [-np.inf, -np.inf]) == [[0.0, 0.0]]


def test_sigmoid_overflows_nowhere() -> None:
    assert gradient_of(lucid.sigmoid, [-1e4, 0.0, 1e4]) == [[0.0, 0.25, 0.0]]


def test_numbers_alone_are_float32_in_where() -> None:
    assert lucid.where(Tensor([True, False]), 1.0, 2.0).dtype == lucid.float32


def test_sorting_ties_is_stable_in_both_directions() -> None:
    x = Tensor([1, 0, 1, 0])
    assert lucid.argsort(x).tolist() == [1, 3, 0, 2]
    assert lucid.argsort(x, descending=True).tolist() == [0, 2, 1, 3]


def test_the_gradient_of_a_value_goes_to_its_first_element() -> None:
    assert gradient_of(lucid.unique_values, [3.0, 1.0, 3.0]) == [[1.0, 1.0, 0.0]]
    for function in (lucid.unique_all, lucid.unique_counts, lucid.unique_inverse):
        found = gradient_of(lambda x, f=function: f(x).values, [3.0, 1.0, 3.0])
        assert found == [[1.0, 1.0, 0.0]]


def test_each_nan_is_a_value_and_zeros_are_one() -> None:
    values, indices, inverse, counts = lucid.unique_all(Tensor([np.nan, 0.0, -0.0, np.nan, 1.0]))
    assert_same(values, [0.0, 1.0, np.nan, np.nan])
    assert indices.tolist() == [1, 4, 0, 3]
    assert inverse.tolist() == [2, 0, 0, 3, 1]
    assert counts.tolist() == [2, 1, 1, 1]
    wide = lucid.unique_counts(Tensor([1 + 2j, 1 + 1j, 1 + 2j, complex(1, np.nan)]))
    assert_same(wide.values, [1 + 1j, 1 + 2j, complex(1, np.nan)])
    assert wide.counts.tolist() == [1, 2, 1]


def test_values_of_nothing() -> None:
    found = lucid.unique_all(lucid.zeros((0, 2)))
    assert [each.shape for each in found] == [(0,), (0,), (0, 2), (0,)]


def test_the_names_of_several_results() -> None:
    x = Tensor([2.0, 1.0])
    assert lucid.unique_all(x)._fields == ("values", "indices", "inverse_indices", "counts")
    assert lucid.unique_counts(x)._fields == ("values", "counts")
    assert lucid.unique_inverse(x)._fields == ("values", "inverse_indices")
    assert lucid.topk(x, 1)._fields == ("values", "indices")


def test_truth_values_are_values_too() -> None:
    values, counts = lucid.unique_counts(Tensor([True, False, True]))
    assert values.tolist() == [False, True]
    assert counts.tolist() == [1, 2]


def test_topk_takes_the_first_of_equal_elements_and_a_nan_as_the_largest() -> None:
    x = Tensor([1.0, 3.0, 3.0, 1.0])
    assert lucid.topk(x, 3).indices.tolist() == [1, 2, 0]
    assert lucid.topk(x, 3, largest=False).indices.tolist() == [0, 3, 1]
    assert lucid.topk(Tensor([1.0, np.nan, 2.0]), 1).indices.tolist() == [1]
    assert x.topk(2).values.tolist() == [3.0, 3.0]
    assert lucid.topk(x, 0).values.shape == (0,)


@pytest.mark.parametrize("kind", ["real", "many ties", "NaN", "infinite", "integers", "truth"])
@pytest.mark.parametrize("largest", [True, False])
def test_topk_is_the_front_of_the_order(kind: str, largest: bool) -> None:
    random = np.random.default_rng(0)
    x: Any = random.standard_normal((4, 50, 3))
    if kind in ("many ties", "integers"):
        x = random.integers(0, 4, x.shape).astype(float if kind == "many ties" else int)
    elif kind in ("NaN", "infinite"):
        x[random.random(x.shape) < 0.2] = np.nan if kind == "NaN" else np.inf
    elif kind == "truth":
        x = x > 1
    for k in (1, 5, 24, 25, 49, 50):
        for axis in range(3):
            few = min(k, x.shape[axis])
            values, indices = lucid.topk(Tensor(x), few, axis=axis, largest=largest)
            order = lucid.argsort(Tensor(x), axis=axis, descending=largest)
            assert_same(indices, lucid.take(order, lucid.arange(few), axis=axis))
            assert_same(values, lucid.take_along_axis(Tensor(x), indices, axis=axis))


def test_a_number_may_be_searched_for() -> None:
    x = Tensor([1, 2, 3])
    assert lucid.searchsorted(x, 2).tolist() == 1
    assert lucid.searchsorted(x, 2, side="right").tolist() == 2
    assert lucid.searchsorted(x, 2.5).tolist() == 2
    assert lucid.isin(2, x).tolist() is True
    assert lucid.isin(x, 2).tolist() == [False, True, False]


def test_searching_in_what_is_not_in_order_takes_a_sorter() -> None:
    x = Tensor([3.0, 1.0, 2.0])
    found = lucid.searchsorted(x, Tensor([2.5, 0.0]), sorter=lucid.argsort(x))
    assert found.tolist() == [2, 0]


def test_differences_of_truth_values_say_where_they_differ() -> None:
    assert lucid.diff(Tensor([True, True, False])).tolist() == [False, True]
    assert lucid.diff(Tensor([1, 4]), prepend=0, append=9).tolist() == [1, 3, 5]
    assert lucid.diff(Tensor([1, 4]), n=0).tolist() == [1, 4]


def test_broadcast_arrays_keeps_each_dtype() -> None:
    one, other = lucid.broadcast_arrays(Tensor([1, 2]), Tensor([[1.0], [2.0]], dtype="float64"))
    assert (one.dtype, other.dtype) == (lucid.int64, lucid.float64)
    assert lucid.broadcast_arrays() == ()


def test_broadcast_shapes() -> None:
    assert lucid.broadcast_shapes() == ()
    assert lucid.broadcast_shapes((2, 1), (3,), (1, 1, 1)) == (1, 2, 3)
    assert lucid.broadcast_shapes((0, 1), (1, 3)) == (0, 3)


@pytest.mark.parametrize(
    "function", [lucid.sum, lucid.prod, lucid.cumulative_sum, lucid.cumulative_prod]
)
def test_floating_point_added_up_in_integers_leaves_the_graph(function: Any) -> None:
    x = Tensor([1.5, 2.0], requires_grad=True)
    found = function(x, dtype=lucid.int64)
    assert found.dtype == lucid.int64
    assert not found.requires_grad
    wide = function(x, dtype=lucid.float64)
    assert wide.dtype == lucid.float64
    assert lucid.grad(wide, x).dtype == lucid.float32
    assert lucid.grad(function(x, dtype=lucid.complex64), x).dtype == lucid.float32


def test_statistics_of_integers_are_float32() -> None:
    large = Tensor([2**30, 2**30 + 2])
    for function, expected in ((lucid.mean, 2**30 + 1), (lucid.var, 1), (lucid.std, 1)):
        assert_same(function(large), np.float32(expected))
        assert function(Tensor([True, False])).dtype == lucid.float32


def test_small_integers_add_up_in_large_ones() -> None:
    for function in (lucid.sum, lucid.prod, lucid.cumulative_sum, lucid.cumulative_prod):
        for dtype, wide in (("int8", "int64"), ("uint16", "uint64"), ("int64", "int64")):
            assert function(Tensor([1, 2], dtype=dtype)).dtype == wide


def test_take_adds_up_where_an_index_repeats() -> None:
    assert gradient_of(lambda x: lucid.take(x, Tensor([0, 0, -1])), [1.0, 2.0]) == [[2.0, 1.0]]


def test_normal_numbers_are_the_same_in_every_run() -> None:
    first = normal(np.random.default_rng(0), (2,))
    assert_same(first, normal(np.random.default_rng(0), (2,)), rtol=0, atol=0)
