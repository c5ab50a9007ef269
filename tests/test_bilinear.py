"""All of spec/bilinear.md: examples, shapes, dtypes, gradients of every order, memory, errors."""

from __future__ import annotations

import itertools
import math
import re
import tracemalloc
from typing import Any

import numpy as np
import pytest
from cases import Array
from drawn import given, hnp, st

import lucid
from lucid import Tensor
from lucid.nn import functional as F
from lucid.testing import assert_same, gradcheck

NAMES = ("input_1", "input_2", "weight", "bias")


def reference(x1: Array, x2: Array, weight: Array, bias: Array | None = None) -> Array:
    """out[..., o] = Σ_ij x1[..., i] · W[o, i, j] · x2[..., j] + b[o], one term at a time."""
    lead = np.broadcast_shapes(x1.shape[:-1], x2.shape[:-1])
    out = np.zeros((*lead, weight.shape[0]), np.result_type(x1, x2, weight))
    for o, i, j in np.ndindex(*weight.shape):
        out[..., o] += x1[..., i] * weight[o, i, j] * x2[..., j]
    return out if bias is None else out + bias.reshape(-1)


def sample(*shapes: tuple[int, ...], seed: int = 0) -> list[Array]:
    random = np.random.default_rng(seed)
    return [np.asarray(random.standard_normal(shape)) for shape in shapes]


def complex_sample(*shapes: tuple[int, ...]) -> list[Array]:
    both = zip(sample(*shapes), sample(*shapes, seed=1), strict=True)
    return [real + 1j * imaginary for real, imaginary in both]


def leaves(*arrays: Any) -> list[Tensor]:
    return [Tensor(array, requires_grad=True) for array in arrays]


SHAPES = ((4, 3), (4, 2), (5, 3, 2), (5,))


# The worked examples


def test_the_first_worked_example(capsys: pytest.CaptureFixture[str]) -> None:
    input_1 = Tensor([[1.0, 2.0]], requires_grad=True)
    input_2 = Tensor([[3.0, 4.0]], requires_grad=True)
    weight = Tensor([[[5.0, 6.0], [7.0, 8.0]]], requires_grad=True)
    out = F.bilinear(input_1, input_2, weight)
    out.backward()
    for value in (out, input_1.grad, input_2.grad, weight.grad):
        print(value)  # noqa: T201
    assert capsys.readouterr().out.splitlines() == [
        "Tensor([[145.0]], grad=None)",
        "Tensor([[39.0, 53.0]])",
        "Tensor([[19.0, 22.0]])",
        "Tensor([[[3.0, 4.0], [6.0, 8.0]]])",
    ]


def test_the_second_worked_example(capsys: pytest.CaptureFixture[str]) -> None:
    input_1 = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    input_2 = Tensor([[5.0, 6.0], [7.0, 8.0]], requires_grad=True)
    weight = Tensor([[[9.0, 10.0], [11.0, 12.0]]], requires_grad=True)
    bias = Tensor([[13.0]], requires_grad=True)
    out = F.bilinear(input_1, input_2, weight, bias)
    out.backward()
    for value in (out, input_1.grad, input_2.grad, weight.grad, bias.grad):
        print(value)  # noqa: T201
    assert capsys.readouterr().out.splitlines() == [
        "Tensor([[372.0], [1134.0]], grad=None)",
        "Tensor([[105.0, 127.0], [143.0, 173.0]])",
        "Tensor([[31.0, 34.0], [71.0, 78.0]])",
        "Tensor([[[26.0, 30.0], [38.0, 44.0]]])",
        "Tensor([[2.0]])",
    ]


def test_printing_shows_the_gradient_of_an_input_after_backward() -> None:
    x = Tensor([[1.0, 2.0]], requires_grad=True)
    assert str(x) == "Tensor([[1.0, 2.0]], grad=None)"
    F.bilinear(x, [[3.0, 4.0]], [[[5.0, 6.0], [7.0, 8.0]]]).backward()
    assert str(x) == "Tensor([[1.0, 2.0]], grad=Tensor([[39.0, 53.0]]))"


# Shapes


@pytest.mark.parametrize(
    ("lead_1", "lead_2"),
    [
        ((), ()), ((1,), (1,)), ((4,), (4,)), ((2, 3, 4), (2, 3, 4)),
        ((4,), ()), ((), (4,)), ((1, 4), (4,)), ((2, 1), (1, 3)), ((2, 3, 1), (2, 1, 4)),
        ((2, 1, 3, 1), (5, 1, 4)), ((3, 1), (2, 3, 4)), ((1,), (2, 3)), ((2, 4), (1, 4)),
    ],
)  # fmt: skip
def test_leading_axes_broadcast_in_values_and_gradients(
    lead_1: tuple[int, ...], lead_2: tuple[int, ...]
) -> None:
    arrays = sample((*lead_1, 3), (*lead_2, 2), (5, 3, 2), (5,))
    assert_same(F.bilinear(*map(Tensor, arrays)), reference(*arrays))
    gradcheck(F.bilinear, arrays, order=3)


@pytest.mark.parametrize("shape", [(5,), (1, 5)])
def test_both_forms_of_bias(shape: tuple[int, ...]) -> None:
    arrays = sample((4, 3), (4, 2), (5, 3, 2), shape)
    tensors = leaves(*arrays)
    out = F.bilinear(*tensors)
    assert_same(out, reference(*arrays))
    out.backward()
    assert tensors[3].grad is not None
    assert_same(tensors[3].grad, np.full(shape, 4.0))


def test_a_bias_may_be_none() -> None:
    arrays = sample(*SHAPES[:3])
    x1, x2, weight = map(Tensor, arrays)
    assert_same(F.bilinear(x1, x2, weight, None), reference(*arrays))
    assert_same(F.bilinear(x1, x2, weight, bias=None), reference(*arrays))


@given(
    lead=hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=3),
    sizes=st.tuples(*[st.integers(0, 4)] * 3),
)
def test_any_shapes_that_fit(lead: Any, sizes: tuple[int, int, int]) -> None:
    outputs, n_1, n_2 = sizes
    first, second = lead.input_shapes
    arrays = sample((*first, n_1), (*second, n_2), (outputs, n_1, n_2), (outputs,))
    tensors = leaves(*arrays)
    out = F.bilinear(*tensors)
    assert_same(out, reference(*arrays))
    weights = sample(out.shape, seed=7)[0]
    found = lucid.grad(out, tensors, weights)
    rows = math.prod(lead.result_shape)
    g = weights.reshape(rows, outputs)
    spread_1 = np.broadcast_to(arrays[0], (*lead.result_shape, n_1)).reshape(rows, n_1)
    spread_2 = np.broadcast_to(arrays[1], (*lead.result_shape, n_2)).reshape(rows, n_2)
    wanted_weight = np.einsum("bo,bi,bj->oij", g, spread_1, spread_2)
    assert_same(found[2], wanted_weight)
    assert_same(found[3], g.sum(0))
    for k, (subscripts, other) in enumerate(
        (("bo,oij,bj->bi", spread_2), ("bo,oij,bi->bj", spread_1))
    ):
        whole = np.einsum(subscripts, g, arrays[2], other)
        whole = whole.reshape(*lead.result_shape, arrays[k].shape[-1])
        extra = whole.ndim - arrays[k].ndim
        ones = tuple(m + extra for m, n in enumerate(arrays[k].shape[:-1]) if n == 1)
        whole = whole.sum(axis=(*range(extra), *ones), keepdims=True)
        assert_same(found[k], whole.reshape(arrays[k].shape))


@pytest.mark.parametrize("empty", range(4))
def test_a_size_of_zero_is_legal(empty: int) -> None:
    batch, n_1, n_2, outputs = (0 if k == empty else size for k, size in enumerate((4, 3, 2, 5)))
    arrays = sample((batch, n_1), (batch, n_2), (outputs, n_1, n_2), (outputs,))
    tensors = leaves(*arrays)
    out = F.bilinear(*tensors)
    assert_same(out, np.zeros((batch, outputs)) + arrays[3])  # the sum over nothing, plus the bias
    out.backward()
    for tensor, array in zip(tensors[:3], arrays, strict=False):
        assert tensor.grad is not None
        assert_same(tensor.grad, np.zeros_like(array))
    assert tensors[3].grad is not None
    assert_same(tensors[3].grad, np.full(outputs, float(batch)))


def test_a_size_of_zero_is_legal_in_second_derivatives() -> None:
    for shapes in (
        ((0, 3), (0, 2), (5, 3, 2)),
        ((4, 0), (4, 2), (5, 0, 2)),
        ((4, 3), (4, 2), (0, 3, 2)),
    ):
        tensors = leaves(*sample(*shapes))
        found = lucid.grad(F.bilinear(*tensors), tensors, create_graph=True)
        total = sum((lucid.sum(each) for each in found), Tensor(0.0))
        if total.requires_grad:
            for tensor, second in zip(
                tensors, lucid.grad(total, tensors, allow_unused=True), strict=True
            ):
                assert second is None or second.shape == tensor.shape


# Derivatives


@pytest.mark.parametrize("requires", list(itertools.product([True, False], repeat=4))[:-1])
def test_each_gradient_is_the_same_whatever_else_requires_one(requires: tuple[bool, ...]) -> None:
    arrays = sample(*SHAPES)
    everything = leaves(*arrays)
    whole = lucid.grad(F.bilinear(*everything), everything)
    tensors = [Tensor(a, requires_grad=r) for a, r in zip(arrays, requires, strict=True)]
    out = F.bilinear(*tensors)
    assert out.requires_grad
    out.backward()
    for tensor, expected, required in zip(tensors, whole, requires, strict=True):
        if required:
            assert tensor.grad is not None
            assert_same(tensor.grad, expected)
        else:
            assert tensor.grad is None


@pytest.mark.parametrize("requires", list(itertools.product([True, False], repeat=4))[:-1])
def test_second_derivatives_whatever_else_requires_one(requires: tuple[bool, ...]) -> None:
    arrays = [Tensor(a, requires_grad=r) for a, r in zip(sample(*SHAPES), requires, strict=True)]
    gradcheck(F.bilinear, arrays, order=2)


def test_nothing_requires_a_gradient() -> None:
    assert not F.bilinear(*map(Tensor, sample(*SHAPES))).requires_grad


def test_every_element_of_every_gradient() -> None:
    gradcheck(F.bilinear, sample(*SHAPES), order=2, every_element=True)


def test_derivatives_of_orders_1_to_3() -> None:
    gradcheck(F.bilinear, sample((2, 1, 3), (4, 2), (5, 3, 2), (1, 5)), order=3)


def test_complex_derivatives_of_orders_1_to_3() -> None:
    gradcheck(F.bilinear, complex_sample((2, 1, 3), (4, 2), (5, 3, 2), (1, 5)), order=3)


@pytest.mark.parametrize("which", range(4))
def test_one_complex_argument_among_real_ones(which: int) -> None:
    mixed = sample(*SHAPES)
    mixed[which] = complex_sample(*SHAPES)[which]
    gradcheck(F.bilinear, mixed, order=2)
    tensors = leaves(*mixed)
    F.bilinear(*tensors).backward(np.ones((4, 5), complex))
    for tensor in tensors:
        assert tensor.grad is not None
        assert tensor.grad.dtype == tensor.dtype


@pytest.mark.parametrize(
    "arrays", [sample(*SHAPES), complex_sample(*SHAPES)], ids=["real", "complex"]
)
def test_the_pairing_of_gradient_and_argument_is_one_number(arrays: list[Array]) -> None:
    # out is linear in each factor: Σ grad_k · argument_k is Σ g · out for every k, no step size
    tensors = leaves(*arrays[:3])
    out = F.bilinear(*tensors)
    g = complex_sample((4, 5))[0] if out.numpy().dtype.kind == "c" else sample((4, 5), seed=3)[0]
    paired = np.sum(np.conj(g) * out.numpy())
    for tensor, gradient in zip(tensors, lucid.grad(out, tensors, g), strict=True):
        assert_same(np.sum(np.conj(gradient.numpy()) * tensor.numpy()), paired, rtol=1e-12, atol=0)


def test_the_pairing_holds_at_middle_size_and_for_pairs() -> None:
    for shapes in (
        ((300, 40), (300, 30), (20, 40, 30)),
        ((3, 20, 1, 16), (3, 1, 25, 12), (7, 16, 12)),
    ):
        tensors = leaves(*sample(*shapes))
        out = F.bilinear(*tensors)
        g = sample(out.shape, seed=3)[0]
        paired = float(np.sum(g * out.numpy()))
        for tensor, gradient in zip(tensors, lucid.grad(out, tensors, g), strict=True):
            assert_same(np.sum(gradient.numpy() * tensor.numpy()), np.float64(paired), rtol=1e-11)


@pytest.mark.parametrize("which", range(3))
def test_a_gradient_is_the_adjoint_of_its_argument(which: int) -> None:
    # ⟨g, bilinear(…, v, …)⟩ = ⟨grad_k(g), v⟩ for every v: with its slot k linear, no step size
    arrays = sample((2, 3, 1, 6), (2, 1, 4, 5), (7, 6, 5))
    tensors = leaves(*arrays)
    out = F.bilinear(*tensors)
    g = sample(out.shape, seed=1)[0]
    moved = list(arrays)
    moved[which] = sample(arrays[which].shape, seed=2)[0]
    gradient = lucid.grad(out, tensors[which], g)
    there = np.sum(g * F.bilinear(*moved))
    assert_same(np.sum(gradient.numpy() * moved[which]), there, rtol=1e-12, atol=1e-12)


def test_input_1_may_be_input_2() -> None:
    (x, weight) = sample((4, 3), (5, 3, 3))
    both, other, one, two = leaves(x, weight, x, x)
    F.bilinear(both, both, other).backward()
    F.bilinear(one, two, Tensor(weight)).backward()
    assert both.grad is not None
    assert one.grad is not None
    assert two.grad is not None
    assert_same(both.grad, one.grad + two.grad)
    gradcheck(lambda x, weight: F.bilinear(x, x, weight), [x, weight], order=2)


def test_a_weight_may_be_an_input() -> None:
    gradcheck(lambda w, x: F.bilinear(x, w[0], w), sample((2, 3, 2), (3, 3)), order=2)


def test_gradients_add_up_over_two_calls() -> None:
    arrays = sample(*SHAPES)
    once, twice = leaves(*arrays), leaves(*arrays)
    F.bilinear(*once).backward()
    for _ in range(2):
        F.bilinear(*twice).backward()
    for one, two in zip(once, twice, strict=True):
        assert one.grad is not None
        assert two.grad is not None
        assert_same(two.grad, one.grad * 2)


# Dtypes


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_a_floating_dtype_stays(dtype: str) -> None:
    arrays = [a.astype(dtype) for a in sample(*SHAPES)]
    tensors = leaves(*arrays)
    out = F.bilinear(*tensors)
    assert out.dtype == np.dtype(dtype)
    assert_same(out, reference(*arrays).astype(dtype))
    out.backward()
    for tensor in tensors:
        assert tensor.grad is not None
        assert tensor.grad.dtype == np.dtype(dtype)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("lead", [((4,), (4,)), ((2, 1), (1, 3))])
def test_halves_have_gradients(dtype: str, lead: Any) -> None:
    kind = pytest.importorskip("ml_dtypes", reason="bfloat16 comes from ml_dtypes").bfloat16
    kind = kind if dtype == "bfloat16" else np.float16
    shapes = ((*lead[0], 3), (*lead[1], 2), (5, 3, 2), (5,))
    halves = [a.astype(kind) for a in sample(*shapes)]
    wide = [a.astype(np.float64) for a in halves]
    tensors, exact = leaves(*halves), leaves(*wide)
    out, wanted = F.bilinear(*tensors), F.bilinear(*exact)
    assert out.dtype == np.dtype(kind)
    # one rounding, of sums made in float32
    accuracy = 2.0**-8 if dtype == "bfloat16" else 2.0**-11
    assert_same(out.numpy().astype(float), wanted, rtol=accuracy, atol=1e-5)
    out.backward()
    wanted.backward()
    for half, right in zip(tensors, exact, strict=True):
        assert half.grad is not None
        assert right.grad is not None
        assert half.grad.dtype == np.dtype(kind)
        assert_same(half.grad.numpy().astype(float), right.grad, rtol=accuracy, atol=1e-5)


def test_halves_accumulate_in_float32() -> None:
    # as halves, a total of ones stops growing at 2048
    ones = [Tensor(np.ones(s, np.float16)) for s in ((1, 64), (1, 64), (1, 64, 64))]
    assert F.bilinear(*ones).tolist() == [[4096.0]]
    x = Tensor(np.ones((4096, 1), np.float16), requires_grad=True)
    weight = Tensor(np.ones((1, 1, 1), np.float16), requires_grad=True)
    F.bilinear(x, x.detach(), weight).backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [[[4096.0]]]


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8"])
def test_integers_are_exact(dtype: str) -> None:
    random = np.random.default_rng(0)
    arrays = [random.integers(0, 3, shape).astype(dtype) for shape in SHAPES]
    assert_same(F.bilinear(*map(Tensor, arrays)), reference(*arrays).astype(dtype))


def test_truth_values_are_or_and_and() -> None:
    arrays = [np.asarray(a > 0.3) for a in sample(*SHAPES)]
    out = F.bilinear(*map(Tensor, arrays))
    assert_same(out, reference(*[a.astype(np.int64) for a in arrays]) > 0)


@pytest.mark.parametrize(
    ("dtypes", "result"),
    [
        (("float32", "float64", "float32"), "float64"),
        (("float32", "int8", "float32"), "float32"),
        (("float32", "complex64", "float32"), "complex64"),
        (("float64", "complex64", "float32"), "complex128"),
        (("int32", "int64", "int8"), "int64"),
        (("float16", "float32", "float16"), "float32"),
        ((">f4", "float32", "float32"), "float32"),
        (("float32", ">f4", ">f8"), "float64"),
    ],
)
def test_mixed_dtypes_promote(dtypes: tuple[str, ...], result: str) -> None:
    arrays = [(a * 3).astype(d) for a, d in zip(sample(*SHAPES[:3]), dtypes, strict=True)]
    tensors = [Tensor(a, requires_grad=a.dtype.kind in "fc") for a in arrays]
    out = F.bilinear(*tensors)
    assert out.dtype == np.dtype(result)
    wide = [a.astype(result) for a in arrays]
    assert_same(out, reference(*wide))
    if out.requires_grad:
        out.backward()
        for tensor in tensors:
            if tensor.requires_grad:
                assert tensor.grad is not None
                assert (tensor.grad.dtype, tensor.grad.shape) == (tensor.dtype, tensor.shape)


def test_a_half_keeps_its_dtype_beside_the_other_byte_order() -> None:
    whole = [np.round(a * 3) for a in sample(*SHAPES[:3])]
    arrays = [a.astype(d) for a, d in zip(whole, ("e", ">e", "e"), strict=True)]
    assert_same(F.bilinear(*arrays), reference(*whole).astype("e"))
    assert F.bilinear_logsumexp(*arrays).dtype == np.float16


def test_dtypes_that_do_not_promote_are_told() -> None:
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    x1, x2, weight, bias = sample(*SHAPES)
    arrays = x1.astype(bfloat16), x2.astype(bfloat16), weight.astype("i4"), bias.astype(bfloat16)
    words = re.escape("bilinear: bfloat16 and int32 promote to no dtype; convert one of them")
    rows = [0] * len(x1)
    calls: list[dict[str, Any]] = [
        {}, {"weight_1": weight[..., 0].astype(bfloat16)}, {"segment": rows},
        {"out": np.empty((len(x1), len(weight)), bfloat16)},
    ]  # fmt: skip
    for options in calls:
        with pytest.raises(lucid.DTypeError, match=words):
            F.bilinear(*arrays, **options)
    with pytest.raises(lucid.DTypeError, match=words):
        F.bilinear(*map(Tensor, arrays))


# NaN and infinity


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_propagate_also_against_a_zero_weight(value: float) -> None:
    x1, x2 = np.ones((2, 3)), np.ones((2, 2))
    x1[0, 1] = value
    weight = np.zeros((5, 3, 2))
    with np.errstate(invalid="ignore"):
        out = F.bilinear(Tensor(x1), Tensor(x2), Tensor(weight)).numpy()
    assert np.isnan(out[0]).all()
    assert_same(out[1], np.zeros(5))


def test_a_nan_weight_reaches_only_its_output() -> None:
    x1, x2, weight = sample(*SHAPES[:3])
    weight[2, 0, 0] = np.nan
    out = F.bilinear(Tensor(x1), Tensor(x2), Tensor(weight)).numpy()
    assert np.isnan(out[:, 2]).all()
    assert np.isfinite(np.delete(out, 2, axis=1)).all()


def test_infinity_times_a_positive_weight_stays_infinite() -> None:
    out = F.bilinear(Tensor([[np.inf]]), Tensor([[2.0]]), Tensor([[[3.0]]]))
    assert out.tolist() == [[np.inf]]


# What goes in comes out


def test_arrays_give_an_array() -> None:
    arrays = sample(*SHAPES)
    out: Any = F.bilinear(*arrays)
    assert type(out) is np.ndarray
    assert_same(out, reference(*arrays))


def test_lists_give_a_tensor() -> None:
    arrays = sample(*SHAPES)
    out = F.bilinear(*[a.tolist() for a in arrays])
    assert type(out) is Tensor
    assert_same(out, reference(*arrays).astype(np.float32))


@pytest.mark.parametrize("which", range(4))
def test_one_tensor_gives_a_tensor(which: int) -> None:
    arrays = sample(*SHAPES)
    mixed: list[Any] = list(arrays)
    mixed[which] = Tensor(arrays[which], requires_grad=True)
    out = F.bilinear(*mixed)
    assert type(out) is Tensor
    assert out.requires_grad
    assert_same(out, reference(*arrays))


def test_keywords_and_positions_are_the_same() -> None:
    arrays: Any = dict(zip(NAMES, map(Tensor, sample(*SHAPES)), strict=True))
    assert_same(F.bilinear(**arrays), F.bilinear(*arrays.values()))


def test_the_same_inputs_give_bitwise_the_same() -> None:
    for shapes in (
        SHAPES,
        ((200, 33), (200, 47), (31, 33, 47), (31,)),
        ((2, 30, 1, 20), (2, 1, 30, 20), (9, 20, 20), (9,)),
    ):
        runs = []
        for _ in range(3):
            tensors = leaves(*sample(*shapes))
            out = F.bilinear(*tensors)
            runs.append([out, *lucid.grad(out, tensors)])
        for others in runs[1:]:
            for first, again in zip(runs[0], others, strict=True):
                np.testing.assert_array_equal(first.numpy(), again.numpy())


# Memory: 64 MiB beside arguments and results, whatever the sizes


@pytest.mark.parametrize(
    ("shapes", "untiled"),
    [
        (((100_000, 16), (100_000, 16), (16, 16, 16)), 100_000 * 16 * 16),
        (((2, 150, 1, 64), (2, 1, 150, 64), (8, 64, 64)), 2 * 150 * 150 * 64 * 8),
        (((60_000, 64), (1, 64), (4, 64, 64)), 60_000 * 64 * 4),
    ],
    ids=["many rows", "pairs", "one row against many"],
)
def test_memory_stays_below_64_mib(shapes: tuple[tuple[int, ...], ...], untiled: int) -> None:
    arrays = [a.astype(np.float32) for a in sample(*shapes)]
    tensors = [lucid.asarray(a).requires_grad_() for a in arrays]
    assert untiled * 4 > 50 << 20, "the test is too small to see anything"
    tracemalloc.start()
    try:
        out = F.bilinear(*tensors)
        forward = tracemalloc.get_traced_memory()[1] - out.numpy().nbytes
        g = lucid.asarray(np.ones(out.shape, np.float32))
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        found = lucid.grad(out, tensors, g)
        results = sum(each.numpy().nbytes for each in found)
        backward = tracemalloc.get_traced_memory()[1] - before - results
    finally:
        tracemalloc.stop()
    assert forward < 64 << 20
    assert backward < 64 << 20


# Bad input; the words for wrong shapes are those of test_fronts.py


def zeros(*shape: int) -> Tensor:
    return lucid.zeros(shape)


def test_a_shape_error_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="needs 3 axes"):
        F.bilinear(zeros(4, 3), zeros(4, 4), zeros(3, 4))


@pytest.mark.parametrize("value", [1.5, 2, True, 1j])
def test_a_number_has_no_features(value: complex) -> None:
    with pytest.raises(lucid.ShapeError, match=r"input_1 needs at least 1 axis"):
        F.bilinear(value, zeros(4, 4), zeros(5, 3, 4))


def test_integers_that_are_asked_for_a_gradient() -> None:
    message = (
        "requires_grad: only floating-point tensors can have a gradient, this one is int64.\n"
        "Give it a dtype, as in Tensor(data, dtype=float), or write its numbers with a decimal "
        "point."
    )
    with pytest.raises(lucid.DTypeError, match=f"^{re.escape(message)}$"):
        Tensor([[1, 2]], requires_grad=True)
    out = F.bilinear(Tensor([[1, 2]]), Tensor([[3, 4]]), Tensor([[[5, 6], [7, 8]]]))
    assert out.tolist() == [[145]]
    with pytest.raises(lucid.GraphError, match="does not require a gradient"):
        out.backward()


def test_integers_beside_a_weight_that_requires_a_gradient() -> None:
    weight = Tensor([[[5.0, 6.0], [7.0, 8.0]]], requires_grad=True)
    F.bilinear(Tensor([[1, 2]]), Tensor([[True, False]]), weight).backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [[[1.0, 0.0], [2.0, 0.0]]]


def test_a_gradient_of_another_shape_than_the_result() -> None:
    out = F.bilinear(*leaves(*sample(*SHAPES)))
    message = (
        "backward: the gradient has shape (5, 4), but the result has (4, 5); they must be equal"
    )
    with pytest.raises(lucid.ShapeError, match=f"^{re.escape(message)}$"):
        out.backward(np.ones((5, 4)))


# Peers


def test_the_gradients_are_those_of_torch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the peer here")
    arrays = sample(*SHAPES)
    tensors = leaves(*arrays)
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    out = F.bilinear(*tensors)
    peer = torch.nn.functional.bilinear(*theirs)
    g = sample((4, 5), seed=9)[0]
    assert_same(out, peer.detach().numpy())
    out.backward(g)
    peer.backward(torch.tensor(g))
    for tensor, other in zip(tensors, theirs, strict=True):
        assert tensor.grad is not None
        assert_same(tensor.grad, other.grad.numpy())


def test_complex_gradients_follow_the_convention_of_torch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the peer here")
    arrays = complex_sample(*SHAPES[:3])
    tensors = leaves(*arrays)
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    g = complex_sample((4, 5))[0]
    F.bilinear(*tensors).backward(g)
    torch.einsum("bi,bj,oij->bo", *theirs).backward(torch.tensor(g))
    for tensor, other in zip(tensors, theirs, strict=True):
        assert tensor.grad is not None
        assert_same(tensor.grad, other.grad.resolve_conj().numpy())


def test_a_real_loss_descends_along_complex_gradients() -> None:
    tensors = leaves(*complex_sample(*SHAPES[:3]))

    def loss() -> Tensor:
        out = F.bilinear(*tensors)
        return lucid.sum(lucid.square(lucid.abs(out)))

    before = loss()
    before.backward()
    with lucid.no_grad():
        for tensor in tensors:
            assert tensor.grad is not None
            tensor -= 1e-4 * tensor.grad
    assert float(loss()) < float(before)
