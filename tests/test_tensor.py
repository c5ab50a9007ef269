"""Tensor: construction, printing, conversion, copies, operators, indexing."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from drawn import given, hnp, st

import lucid
from lucid import Tensor
from lucid._arrays import Numbers, is_array, is_half, kind
from lucid.testing import assert_same


def leaf(*values: float) -> Tensor:
    return Tensor(np.array(values), requires_grad=True)


# Construction


def test_a_tensor_copies_what_it_is_made_of() -> None:
    source = np.array([1.0, 2.0])
    tensor = Tensor(source)
    source[0] = 7.0
    assert tensor.tolist() == [1.0, 2.0]


def test_asarray_shares_what_it_is_given() -> None:
    source = np.array([1.0, 2.0])
    assert np.shares_memory(lucid.asarray(source).numpy(), source)
    assert not np.shares_memory(lucid.asarray(source, copy=True).numpy(), source)


def test_asarray_keeps_the_graph_of_a_tensor() -> None:
    x = leaf(1.0)
    assert lucid.asarray(x) is x
    assert lucid.asarray(x, copy=True).requires_grad
    assert lucid.asarray(x, dtype=lucid.float32).requires_grad


def test_asarray_without_a_copy_refuses_what_needs_one() -> None:
    with pytest.raises(lucid.ArgumentError, match=r"^asarray: copy=False, but a list is no array"):
        lucid.asarray([1.0], copy=False)
    with pytest.raises(lucid.ArgumentError, match="copy=False, but a change of dtype copies"):
        lucid.asarray(Tensor([1.0]), dtype=lucid.float64, copy=False)


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, "float32"), (2, "int64"), (True, "bool"), (1j, "complex64"),
        ([1.0, 2], "float32"), ([1, 2], "int64"), ([True, False], "bool"), ([1, 2j], "complex64"),
        ([[1.0], [2.0]], "float32"), ([], "float32"), ([[]], "float32"), ((1.0, 2.0), "float32"),
        (np.float64(1.0), "float64"), (np.float16(1.0), "float16"), (np.int8(1), "int8"),
        (np.array([1.0]), "float64"), (np.array([1], np.uint8), "uint8"),
        ([np.float64(1.0), 2.0], "float64"), ([np.ones(2), np.ones(2)], "float64"),
        (range(3), "int64"),
    ],
)  # fmt: skip
def test_the_dtype_of_what_goes_in(data: Any, dtype: str) -> None:
    tensor = Tensor(data)
    assert tensor.dtype == np.dtype(dtype)
    assert_same(tensor.numpy(), np.asarray(data).astype(dtype))
    assert lucid.asarray(data).dtype == np.dtype(dtype)


@pytest.mark.parametrize(
    ("dtype", "name"),
    [
        (float, "float32"), (int, "int64"), (bool, "bool"), (complex, "complex64"),
        (lucid.float64, "float64"), ("float16", "float16"), (np.float64, "float64"),
        (np.dtype("int8"), "int8"), (np.uint16, "uint16"),
    ],
)  # fmt: skip
def test_a_dtype_may_be_given_in_any_form(dtype: Any, name: str) -> None:
    assert Tensor([1, 0], dtype=dtype).dtype == np.dtype(name)
    assert lucid.zeros(2, dtype=dtype).dtype == np.dtype(name)
    assert lucid.astype(Tensor([1, 0]), dtype).dtype == np.dtype(name)


def test_numbers_go_into_double_precision_without_a_detour() -> None:
    assert Tensor([0.1], dtype=lucid.float64).item() == 0.1
    assert lucid.asarray(0.1, dtype="float64").item() == 0.1
    assert Tensor(0.1j, dtype=lucid.complex128).item() == 0.1j


def test_a_list_of_tensors_is_a_tensor_of_their_values() -> None:
    rows = [Tensor([1.0, 2.0]), Tensor([3.0, 4.0])]
    assert_same(Tensor(rows), np.array([[1.0, 2.0], [3.0, 4.0]], np.float32))
    assert Tensor([Tensor(0.1, dtype=lucid.float64)]).item() == 0.1


def test_a_list_of_tensors_that_require_gradients_is_refused() -> None:
    with pytest.raises(lucid.GraphError, match="does not turn into an array by itself"):
        Tensor([leaf(1.0), leaf(2.0)])


def test_a_tensor_of_a_tensor_is_a_leaf_of_its_own() -> None:
    x = leaf(1.0)
    y = Tensor(x)
    assert not y.requires_grad
    assert not np.shares_memory(x.numpy(), y.numpy())


def test_ragged_lists_are_refused() -> None:
    with pytest.raises(lucid.ShapeError, match=r"^nested lists of unequal lengths make no array: "):
        Tensor([[1.0, 2.0], [3.0]])


@pytest.mark.parametrize("data", ["words", ["a", "b"], None, [None], {"a": 1}, {1.0}, object()])
def test_what_is_no_number_is_refused(data: Any) -> None:
    with pytest.raises(
        lucid.DTypeError, match=rf"^expected numbers, got {type(data).__name__} of "
    ):
        Tensor(data)


def test_an_integer_leaf_is_refused() -> None:
    with pytest.raises(TypeError, match="only floating-point tensors can have a gradient"):
        Tensor([1, 2], requires_grad=True)
    with pytest.raises(lucid.DTypeError, match="this one is bool"):
        Tensor([True]).requires_grad_()


def test_requires_grad_makes_and_unmakes_a_leaf() -> None:
    x = Tensor([1.0])
    assert (x.requires_grad, x.is_leaf) == (False, True)
    assert x.requires_grad_() is x
    y = x * 2
    assert (y.requires_grad, y.is_leaf) == (True, False)
    x.requires_grad_(False)
    assert not x.requires_grad
    with pytest.raises(lucid.GraphError, match=r"Use detach\(\)"):
        y.requires_grad_(False)
    assert y.requires_grad_() is y


def test_detach_shares_values_and_forgets_the_graph() -> None:
    y = leaf(1.0) * 2
    assert np.shares_memory(y.detach().numpy(), y.numpy())
    assert not y.detach().requires_grad


def test_the_gradient_can_be_set_to_what_fits() -> None:
    x = leaf(1.0)
    x.grad = Tensor(np.array([2.0]))
    x.backward()
    assert x.grad is not None
    assert x.grad.tolist() == [3.0]
    with pytest.raises(
        lucid.ShapeError,
        match=r"^grad: a gradient has the shape and dtype of its tensor, \(1,\) float64, but got "
        r"\(2,\) float32$",
    ):
        x.grad = lucid.ones(2)
    with pytest.raises(
        lucid.ArgumentError, match=r"^grad: expected a Tensor or None, got ndarray$"
    ):
        x.grad = np.ones(1)  # type: ignore[assignment]


# Printing


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (Tensor(1.5), "Tensor(1.5)"),
        (Tensor([1.0, 2.0]), "Tensor([1.0, 2.0])"),
        (Tensor([[1, 2], [3, 4]]), "Tensor([[1, 2], [3, 4]])"),
        (Tensor([True, False]), "Tensor([True, False])"),
        (Tensor([1 + 2j]), "Tensor([(1+2j)])"),
        (Tensor([]), "Tensor([])"),
        (lucid.zeros((0, 3)), "Tensor([], shape=(0, 3))"),
        (lucid.zeros((2, 0)), "Tensor([], shape=(2, 0))"),
        (Tensor([float("nan"), float("inf"), -0.0]), "Tensor([nan, inf, -0.0])"),
        (Tensor([0.1, 1e-10, 1e20]), "Tensor([0.1, 1e-10, 1e+20])"),
        (Tensor([1.0], requires_grad=True), "Tensor([1.0], grad=None)"),
    ],
)
def test_a_short_tensor_prints_on_one_line(tensor: Tensor, text: str) -> None:
    assert str(tensor) == repr(tensor) == f"{tensor}" == text


@pytest.mark.parametrize(
    ("dtype", "text"),
    [
        ("float64", "Tensor([0.1], dtype=float64)"),
        ("float16", "Tensor([0.1], dtype=float16)"),
        ("complex128", "Tensor([(0.1+0j)], dtype=complex128)"),
        ("float32", "Tensor([0.1])"),
    ],
)
def test_repr_shows_a_dtype_that_is_not_the_default(dtype: str, text: str) -> None:
    tensor = Tensor([0.1], dtype=dtype)
    assert repr(tensor) == text
    assert str(tensor) == text.replace(f", dtype={dtype}", "")


def test_a_leaf_prints_its_gradient() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    (x * x).backward()
    assert repr(x) == "Tensor([1.0, 2.0], grad=Tensor([2.0, 4.0]))"


def test_a_long_tensor_is_shortened() -> None:
    assert str(lucid.arange(1000)) == "Tensor([0, 1, 2, ..., 997, 998, 999])"
    assert str(lucid.zeros((100, 100))).splitlines() == [
        "Tensor([[0.0, 0.0, 0.0, ..., 0.0, 0.0, 0.0],",
        "        [0.0, 0.0, 0.0, ..., 0.0, 0.0, 0.0],",
        "        [0.0, 0.0, 0.0, ..., 0.0, 0.0, 0.0],",
        "        ...,",
        "        [0.0, 0.0, 0.0, ..., 0.0, 0.0, 0.0],",
        "        [0.0, 0.0, 0.0, ..., 0.0, 0.0, 0.0],",
        "        [0.0, 0.0, 0.0, ..., 0.0, 0.0, 0.0]])",
    ]


def test_a_middle_tensor_prints_row_by_row() -> None:
    lines = str(lucid.reshape(lucid.arange(40) * 100, (4, 10))).splitlines()
    assert len(lines) == 4
    assert lines[0] == "Tensor([[0, 100, 200, 300, 400, 500, 600, 700, 800, 900],"
    assert lines[1] == "        [1000, 1100, 1200, 1300, 1400, 1500, 1600, 1700, 1800, 1900],"


def test_printing_ignores_the_options_of_numpy() -> None:
    with np.printoptions(precision=1, threshold=1, suppress=True, linewidth=20):
        assert str(Tensor([0.123456, 1e-10])) == "Tensor([0.123456, 1e-10])"


def test_format_applies_to_one_number() -> None:
    assert f"{Tensor(3.14159):.2f}" == "3.14"
    assert f"{Tensor([3.14159]):.2f}" == "3.14"
    with pytest.raises(lucid.ShapeError, match=r"^item: only one element becomes a number"):
        f"{Tensor([1.0, 2.0]):.2f}"


def test_a_subclass_prints_its_own_name() -> None:
    class Weight(Tensor):
        pass

    assert repr(Weight([1.0])) == "Weight([1.0])"


# Values


def test_numpy_is_read_only_also_with_a_gradient() -> None:
    for tensor in (Tensor([1.0]), leaf(1.0), leaf(1.0) * 2, leaf(1.0, 2.0).sum()):
        values = tensor.numpy()
        assert isinstance(values, np.ndarray)
        with pytest.raises(ValueError, match="read-only"):
            values[...] = 0
    source = np.array([1.0])
    lucid.asarray(source).numpy()
    source[0] = 2.0  # the source itself stays writeable


def test_item_and_tolist_are_python_numbers() -> None:
    assert type(Tensor(1.5).item()) is float
    assert type(Tensor([[2]]).item()) is int
    assert Tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    with pytest.raises(
        lucid.ShapeError, match=r"^item: only one element becomes a number, this has \(2,\)$"
    ):
        Tensor([1.0, 2.0]).item()
    with pytest.raises(lucid.ShapeError, match=r"this has \(0,\)$"):
        Tensor([]).item()


def test_one_element_converts_to_python_numbers() -> None:
    assert float(Tensor([1.5])) == 1.5
    assert int(Tensor([[2.7]])) == 2
    assert complex(Tensor(1j)) == 1j
    assert bool(Tensor([0.0])) is False
    assert bool(leaf(2.0)) is True
    assert [10, 20][Tensor(1)] == 20
    assert list(range(Tensor(2))) == [0, 1]


def test_what_does_not_convert_says_why() -> None:
    with pytest.raises(
        lucid.ArgumentError,
        match=r"^the truth of a tensor of shape \(2,\) is ambiguous; use all\(\) or any\(\)$",
    ):
        bool(Tensor([1.0, 2.0]))
    with pytest.raises(
        TypeError, match=r"^only a tensor of an integer dtype is an index, not float"
    ):
        [1, 2][Tensor(1.0)]
    with pytest.raises(TypeError):
        float(Tensor(1j))


def test_len_and_iteration_run_over_the_first_axis() -> None:
    x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    assert len(x) == 2
    assert [row.tolist() for row in x] == [[1.0, 2.0], [3.0, 4.0]]
    first, second = leaf(1.0, 2.0)
    assert first.requires_grad
    assert second.requires_grad
    assert list(lucid.zeros((0, 2))) == []
    with pytest.raises(TypeError, match=r"^len: a tensor without axes has no length$"):
        len(Tensor(1.0))
    with pytest.raises(TypeError, match=r"^iteration over a tensor without axes$"):
        iter(Tensor(1.0))


def test_in_looks_for_a_value() -> None:
    assert 2 in Tensor([1, 2])
    assert 3.0 not in leaf(1.0, 2.0)


def test_the_familiar_attributes() -> None:
    x = Tensor(np.zeros((2, 3), np.float16))
    assert (x.shape, x.ndim, x.size, x.dtype, x.device) == ((2, 3), 2, 6, lucid.float16, "cpu")
    assert Tensor(1.0).size == 1
    assert lucid.zeros((0, 3)).size == 0
    assert (x.T.shape, x.mT.shape) == ((3, 2), (3, 2))
    with pytest.raises(lucid.ShapeError, match=r"^T: only a matrix, not a tensor of shape \(3,\)"):
        _ = lucid.zeros(3).T


METHODS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("sum", (), {"axis": 0, "keepdims": True}), ("mean", (1,), {}), ("var", (), {"axis": 1}),
    ("std", (0,), {}), ("prod", (), {}), ("max", (0,), {}), ("min", (), {"keepdims": True}),
    ("all", (), {}), ("any", (0,), {}), ("argmax", (), {"axis": 1}), ("argmin", (0,), {}),
    ("reshape", (3, 2), {}), ("reshape", ((3, 2),), {}), ("reshape", (-1,), {}),
    ("flatten", (), {}), ("astype", (np.float32,), {}), ("squeeze", (), {"axis": ()}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "options"), METHODS)
def test_methods_do_what_those_of_numpy_do(
    name: str, arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    values = np.random.default_rng(0).standard_normal((2, 3))
    assert_same(
        getattr(Tensor(values), name)(*arguments, **options),
        np.asarray(getattr(values, name)(*arguments, **options)),
    )


def test_the_other_methods_do_what_the_functions_do() -> None:
    x = Tensor([[0.5, 1.5]])
    for name in ("exp", "log", "sqrt", "tanh", "sigmoid", "abs"):
        assert_same(getattr(x, name)(), getattr(lucid, name)(x))
    assert x.permute(1, 0).shape == x.permute((1, 0)).shape == (2, 1)
    assert x.unsqueeze(0).shape == (1, 1, 2)
    assert x.astype(x.dtype, copy=False) is x


# Copies


def test_a_shallow_copy_is_a_leaf_of_its_own() -> None:
    x = leaf(1.0)
    y = copy.copy(x)
    (y * 2).backward()
    assert x.grad is None
    assert y.grad is not None
    assert np.shares_memory(x.numpy(), y.numpy())
    z = copy.copy(x * 3)
    z.backward()
    assert x.grad is not None


@pytest.mark.parametrize(
    "duplicate",
    [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))],  # noqa: S301
    ids=["deepcopy", "pickle"],
)
def test_a_deep_copy_keeps_values_gradient_and_leaf(duplicate: Callable[[Any], Any]) -> None:
    x = Tensor([[1.0, 2.0]], requires_grad=True, dtype=lucid.float64)
    (x * 3).backward()
    y = duplicate(x)
    assert type(y) is Tensor
    assert_same(y, x.numpy())
    assert_same(y.grad, x.grad)
    assert (y.requires_grad, y.is_leaf) == (True, True)
    assert not np.shares_memory(x.numpy(), y.numpy())
    (y * 1).backward()
    assert_same(y.grad, [[4.0, 4.0]])
    assert_same(x.grad, [[3.0, 3.0]])
    assert not duplicate(Tensor([1.0])).requires_grad


def test_a_deep_copy_keeps_identity_within_a_structure() -> None:
    x = leaf(1.0)
    first, second = copy.deepcopy([x, x])
    assert first is second


@pytest.mark.parametrize("function", ["deepcopy", "pickle"])
def test_a_result_with_a_graph_is_not_copied(function: str) -> None:
    y = leaf(1.0) * 2
    with pytest.raises(lucid.GraphError) as caught:
        copy.deepcopy(y) if function == "deepcopy" else pickle.dumps(y)
    assert str(caught.value) == (
        f"{function}: this tensor is the result of a recorded operation, and its graph cannot be "
        "copied.\nCopy its detach()."
    )


def test_a_subclass_stays_one_in_copies() -> None:
    x = Named([1.0], requires_grad=True)
    for y in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))):  # noqa: S301
        assert type(y) is Named
        assert y.requires_grad


class Named(Tensor):
    pass


def test_a_subclass_computes_like_a_tensor() -> None:
    x = Named([1.0, 2.0], requires_grad=True)
    assert x.__array_namespace__() is lucid
    assert type(x * 2) is Tensor
    lucid.concat([x, [3.0]]).sum().backward()
    assert x.grad is not None


# Equality, hashing


def test_comparisons_are_element_by_element() -> None:
    x = Tensor([1, 2, 3])
    assert (x == 2).tolist() == (x == [9, 2, 9]).tolist() == [False, True, False]
    assert (x != 2).tolist() == [True, False, True]
    assert (x < 2).tolist() == (2 > x).tolist() == [True, False, False]  # noqa: SIM300
    assert (x >= np.array([1, 3, 3])).tolist() == [True, False, True]
    assert (np.array([1, 3, 3]) == x).tolist() == [True, False, True]


def test_a_tensor_is_not_equal_to_what_is_no_number() -> None:
    x = Tensor([1.0])
    assert (x == None) is False  # noqa: E711
    assert (x != "a") is True
    assert x != {}


def test_a_tensor_is_hashed_by_identity() -> None:
    x, y = Tensor([1.0]), Tensor([1.0])
    assert len({x, y, x}) == 2
    assert {x: "x", y: "y"}[y] == "y"


# Operators


OPERATORS: list[tuple[str, Callable[[Any, Any], Any]]] = [
    ("+", lambda a, b: a + b), ("-", lambda a, b: a - b), ("*", lambda a, b: a * b),
    ("/", lambda a, b: a / b), ("**", lambda a, b: a**b), ("@", lambda a, b: a @ b),
    ("<", lambda a, b: a < b), ("<=", lambda a, b: a <= b), (">", lambda a, b: a > b),
    (">=", lambda a, b: a >= b), ("==", lambda a, b: a == b), ("!=", lambda a, b: a != b),
]  # fmt: skip


@pytest.mark.parametrize(("sign", "apply"), OPERATORS, ids=[sign for sign, _ in OPERATORS])
def test_operators_with_tensors_arrays_lists_and_numbers(
    sign: str, apply: Callable[[Any, Any], Any]
) -> None:
    a, b = np.array([[1.5, 2.5], [0.5, 1.0]]), np.array([[1.0, 2.5], [2.0, 3.0]])
    expected = apply(a, b)
    for left, right in ((Tensor(a), Tensor(b)), (Tensor(a), b), (a, Tensor(b))):
        result = apply(left, right)
        assert type(result) is Tensor
        assert_same(result, expected)
    assert_same(apply(Tensor(a), b.tolist()), expected, rtol=1e-6)
    assert_same(apply(a.tolist(), Tensor(b)), expected, rtol=1e-6)
    if sign != "@":
        for number in (2, 2.5, True, np.float64(2.5), np.int64(2)):
            assert_same(apply(Tensor(a), number), apply(a, number))
            assert_same(apply(number, Tensor(a)), apply(number, a))


def test_a_python_number_keeps_the_dtype() -> None:
    for dtype in ("float16", "float32", "float64"):
        x = Tensor([1.0], dtype=dtype)
        for result in (x + 1.5, 2 * x, 1 / x, x**2, 2**x, x - True):
            assert result.dtype == np.dtype(dtype)


def test_the_signs_of_one_argument() -> None:
    x = Tensor([1.0, -2.0])
    assert ((-x).tolist(), abs(x).tolist(), (+x).tolist()) == ([-1.0, 2.0], [1.0, 2.0], [1.0, -2.0])


def test_the_operators_of_truth_values_and_bits() -> None:
    t, u = Tensor([True, True, False]), Tensor([True, False, False])
    assert (t & u).tolist() == [True, False, False]
    assert (t | u).tolist() == [True, True, False]
    assert (t ^ u).tolist() == [False, True, False]
    assert (~u).tolist() == [False, True, True]
    n = Tensor([6, 5])
    assert [(n & 3).tolist(), (3 | n).tolist(), (n ^ 3).tolist(), (~n).tolist()] == [
        [2, 1], [7, 7], [5, 6], [-7, -6]
    ]  # fmt: skip
    with pytest.raises(TypeError):
        Tensor([1.0]) & Tensor([2.0])


@pytest.mark.parametrize("other", ["a", {}, object(), (1.0, 2.0)])
def test_operators_refuse_what_is_no_array(other: Any) -> None:
    with pytest.raises(TypeError, match="expected an array or a number"):
        Tensor([1.0]) + other


# NumPy, DLPack


def test_a_tensor_without_gradient_turns_into_an_array() -> None:
    x = Tensor([1.0, 2.0])
    assert_same(np.asarray(x), np.array([1.0, 2.0], np.float32))
    assert np.asarray(x, dtype=np.float64).dtype == np.float64
    assert np.array(x, copy=True).flags.writeable
    assert_same(np.concatenate([x, x]), np.array([1.0, 2.0] * 2, np.float32))


def test_a_tensor_with_gradient_refuses_to_turn_into_an_array() -> None:
    with pytest.raises(lucid.GraphError) as caught:
        np.asarray(leaf(1.0))
    assert str(caught.value) == (
        "a tensor that requires a gradient does not turn into an array by itself, because the "
        "gradient would be lost.\nUse lucid's functions, or numpy() for the values."
    )


def test_universal_functions_of_numpy_are_lucid_s() -> None:  # more of it in test_numpy.py
    for tensor in (Tensor([1.0]), leaf(1.0)):
        assert_same(np.exp(tensor), lucid.exp(tensor))


def test_dlpack_shares_with_numpy_and_torch() -> None:
    x = Tensor([1.0, 2.0])
    assert np.shares_memory(np.from_dlpack(x), x.numpy())
    assert lucid.from_dlpack(np.ones(2)).tolist() == [1.0, 1.0]
    assert lucid.sum(x).__dlpack_device__() == (1, 0)
    torch = pytest.importorskip("torch", reason="a second library for DLPack")
    writeable = lucid.asarray(np.array([1.0, 2.0]))
    theirs = torch.from_dlpack(writeable)
    assert theirs.tolist() == [1.0, 2.0]
    back = lucid.from_dlpack(theirs)
    assert np.shares_memory(back.numpy(), writeable.numpy())


def test_dlpack_refuses_what_requires_a_gradient() -> None:
    with pytest.raises(
        lucid.GraphError,
        match=r"^a tensor that requires a gradient is not exported, because the gradient would be "
        r"lost\.\nExport its detach\(\)\.$",
    ):
        np.from_dlpack(leaf(1.0))


def test_lucid_is_the_namespace_of_its_tensors() -> None:
    assert Tensor([1.0]).__array_namespace__() is lucid
    assert Tensor([1.0]).__array_namespace__(api_version="2024.12") is lucid


# Indexing: as NumPy has it


INDICES: list[Any] = [
    0, -1, slice(None), slice(1, 3), slice(None, None, 2), slice(None, None, -1), slice(3, 0, -2),
    ..., None, (), (0, 1), (0, 1, 2), (-1, -1), (slice(None), 1), (..., 0), (0, ...),
    (..., None), (None, 0, ..., None), (slice(1, None), slice(None), slice(None, 2)),
    np.array([2, 0, 2]), np.array([[0, 1], [2, 3]]), np.array([], int), [1, -1], [],
    (np.array([0, 2]), np.array([1, 2])), (slice(None), np.array([2, 0])),
    (np.array([0, 2]), slice(None), np.array([0, 3])), (0, np.array([1, 1])),
    (np.array([[0], [2]]), np.array([1, 2])), (..., np.array([0, -1])),
    (None, np.array([0, 1])), np.arange(4) % 2 == 0, [True, False, True, False],
    np.arange(12).reshape(4, 3) % 5 == 0, (slice(None), np.array([True, False, True])),
    (np.array([True, False, False, True]), 1), (0, np.array([False, True, True])),
    np.zeros(4, bool), np.True_, np.int64(1), (np.int64(1), np.uint8(2)), True,
]  # fmt: skip


def grid() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).standard_normal((4, 3, 5))


@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_an_index_takes_what_it_takes_in_numpy(index: Any) -> None:
    values = grid()
    x = Tensor(values, requires_grad=True)
    part = x[index]
    expected = np.asarray(values[index])
    assert_same(part, expected)
    part.backward(g := np.random.default_rng(1).standard_normal(expected.shape))
    wanted = np.zeros_like(values)
    np.add.at(wanted, np.array([], int) if isinstance(index, list) and not index else index, g)
    assert x.grad is not None
    assert_same(x.grad, wanted)


@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_an_assignment_puts_what_it_puts_in_numpy(index: Any) -> None:
    values = grid()
    new = np.random.default_rng(1).standard_normal(values[index].shape)
    x, v = Tensor(values, requires_grad=True), Tensor(new, requires_grad=True)
    y = x * 1
    y[index] = v
    expected = values.copy()
    expected[index] = new
    assert_same(y, expected)
    weights = np.random.default_rng(2).standard_normal(values.shape)
    y.backward(weights)
    # which element of v ended up where: assign their numbers
    ended = np.zeros(values.shape, int)
    ended[index] = np.arange(1, new.size + 1).reshape(new.shape)
    to_v = np.zeros(new.size + 1)
    np.add.at(to_v, ended.ravel(), weights.ravel())
    assert x.grad is not None
    assert v.grad is not None
    assert_same(x.grad, np.where(ended == 0, weights, 0.0))
    assert_same(v.grad, to_v[1:].reshape(new.shape))


@pytest.mark.parametrize("value", [7.0, 7, np.float64(7.0), [7.0, 8.0, 9.0, 10.0, 11.0]])
def test_a_number_or_list_is_assigned_to_a_part(value: Any) -> None:
    x = Tensor(grid())
    expected = grid()
    x[1] = value
    expected[1] = value
    assert_same(x, expected)


def test_an_assigned_value_broadcasts_and_its_gradient_is_summed() -> None:
    x = lucid.zeros((2, 3), dtype=lucid.float64)
    v = leaf(1.0, 2.0, 3.0)
    x[:] = v
    x.backward(np.arange(6.0).reshape(2, 3))
    assert v.grad is not None
    assert v.grad.tolist() == [3.0, 5.0, 7.0]


def test_tensors_are_indices_too() -> None:
    values = grid()
    x = Tensor(values)
    assert_same(x[Tensor([2, 0])], values[[2, 0]])
    assert_same(x[Tensor([True, False, True, False])], values[[0, 2]])
    assert_same(x[:, Tensor(1)], values[:, 1])
    x[Tensor([0, 1]), 0] = 5.0
    assert x[0, 0].tolist() == [5.0] * 5


def test_a_repeated_index_keeps_the_last_value() -> None:
    x, v = lucid.zeros(2, dtype=lucid.float64), leaf(1.0, 2.0, 3.0)
    x[np.array([0, 0, 1])] = v
    assert x.tolist() == [2.0, 3.0]
    x.backward([10.0, 20.0])
    assert v.grad is not None
    assert v.grad.tolist() == [0.0, 10.0, 20.0]


def test_an_index_outside_is_an_index_error() -> None:
    message = r"^getitem: x \(2,\): index 5 is out of bounds for axis 0 with size 2$"
    with pytest.raises(IndexError, match=message):
        Tensor([1.0, 2.0])[5]
    x = Tensor([1.0, 2.0])
    with pytest.raises(lucid.OutOfRangeError, match=r"^setitem: x \(2,\): index 5 is out of"):
        x[5] = 1.0
    with pytest.raises(lucid.OutOfRangeError, match="too many indices"):
        x[0, 0]


def test_a_value_that_does_not_fit_its_part() -> None:
    x = lucid.zeros((2, 3))
    with pytest.raises(
        lucid.ShapeError,
        match=r"^setitem: a value of shape \(2,\) does not fit the part of x \(2, 3\) that the "
        "index names: ",
    ):
        x[0] = [1.0, 2.0]
    with pytest.raises(
        lucid.DTypeError,
        match=r"^setitem: a value of dtype complex128 does not go into a tensor of dtype float32; "
        "convert one with astype$",
    ):
        x[0] = np.ones(3) + 1j


def test_a_value_of_the_same_kind_is_converted() -> None:
    x, value = lucid.zeros((2, 3)), Tensor(np.ones(3), requires_grad=True)
    x[0] = value
    assert x.dtype == np.float32
    (x * 2).backward()
    assert value.grad is not None
    assert value.grad.dtype == np.float64
    assert value.grad.tolist() == [2.0, 2.0, 2.0]


@given(data=st.data())
def test_any_index_takes_what_it_takes_in_numpy(data: Any) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=3, max_side=4))
    index = data.draw(hnp.basic_indices(shape, allow_newaxis=True))
    values = np.arange(math.prod(shape), dtype=float).reshape(shape)
    x = Tensor(values, requires_grad=True)
    assert_same(x[index], np.asarray(values[index]))
    x[index].backward()
    wanted = np.zeros(shape)
    wanted[index] = 1.0
    assert x.grad is not None
    assert_same(x.grad, wanted)


# New tensors


def test_new_tensors_are_those_of_numpy_in_float32() -> None:
    assert_same(lucid.zeros((2, 3)), np.zeros((2, 3), np.float32))
    assert_same(lucid.ones(3), np.ones(3, np.float32))
    assert_same(lucid.full((2,), 2.5), np.full(2, 2.5, np.float32))
    assert_same(lucid.full((2,), 2), np.full(2, 2))
    assert_same(lucid.full((2,), True), np.full(2, True))
    assert_same(lucid.full((2,), 2, dtype=lucid.float64), np.full(2, 2.0))
    x = Tensor(2.5, requires_grad=True)
    assert_same(lucid.full((2, 3), x), np.full((2, 3), 2.5, np.float32))
    assert lucid.grad(lucid.full((2, 3), x, dtype=lucid.float64), x).tolist() == 6.0
    assert_same(lucid.eye(2, 3, k=1), np.eye(2, 3, 1, np.float32))
    assert_same(lucid.linspace(0, 1, 5), np.linspace(0, 1, 5, dtype=np.float32))
    assert_same(lucid.linspace(0, 1, 5, endpoint=False, dtype="float64"), np.arange(5) / 5)


@pytest.mark.parametrize("arguments", [(3,), (1, 4), (5, 0, -2), (0.5,), (0, 1, 0.25), (3, 1)])
def test_arange_counts_as_numpy_does(arguments: tuple[float, ...]) -> None:
    expected = np.arange(*arguments)
    floating = expected.dtype.kind == "f"
    assert_same(lucid.arange(*arguments), expected.astype(np.float32 if floating else np.int64))


def test_random_numbers_follow_their_seed() -> None:
    drawn = []
    for _ in range(2):
        lucid.manual_seed(3)
        drawn.append([lucid.rand(4), lucid.randn(4), lucid.randint(0, 9, 4), lucid.randperm(4)])
    for first, second in zip(*drawn, strict=True):
        np.testing.assert_array_equal(first.numpy(), second.numpy())
    assert [each.dtype for each in drawn[0]] == [
        lucid.float32, lucid.float32, lucid.int64, lucid.int64
    ]  # fmt: skip


def test_a_generator_goes_on_from_a_state() -> None:
    generator = lucid.Generator(1)
    state = generator.get_state()
    first = lucid.rand(3, generator=generator)
    generator.set_state(state)
    assert lucid.rand(3, generator=generator).tolist() == first.tolist()
    assert lucid.rand(3, generator=lucid.Generator(2)).tolist() != first.tolist()


def test_random_numbers_lie_where_they_should() -> None:
    lucid.manual_seed(0)
    assert 0.45 < float(lucid.rand(10_000).mean()) < 0.55
    assert abs(float(lucid.randn(10_000).mean())) < 0.05
    assert abs(float(lucid.randn(10_000, dtype=lucid.float64).std()) - 1) < 0.05
    assert set(lucid.randint(2, 5, (1000,)).tolist()) == {2, 3, 4}
    assert sorted(lucid.randperm(5).tolist()) == [0, 1, 2, 3, 4]


def test_a_fraction_does_not_go_into_an_integer_tensor() -> None:
    x = Tensor([1, 2])
    with pytest.raises(lucid.DTypeError, match=r"^setitem: a value of dtype float32 does not go"):
        x[0] = 1.5
    assert x.tolist() == [1, 2]


@pytest.mark.parametrize("array", [np.array([1.0], object), np.array(["a"])], ids=str)
def test_arrays_without_numbers_are_refused(array: np.ndarray[Any, Any]) -> None:
    with pytest.raises(lucid.DTypeError, match=r"^expected numbers, got ndarray of dtype"):
        Tensor(array)


def test_requires_grad_may_be_assigned() -> None:
    x = Tensor([1.0])
    x.requires_grad = True
    assert x.requires_grad
    x.requires_grad = False
    assert not x.requires_grad


# Dtypes are told by what they hold, in whatever library and byte order


@pytest.mark.parametrize("dtype", [">f4", "<f8", ">c8", ">f2", "e", "g"])
def test_a_floating_dtype_of_any_byte_order_has_a_gradient(dtype: str) -> None:
    x = Tensor(np.array([1, 2], dtype), requires_grad=True)
    (x * x).sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == x.dtype == np.dtype(dtype)
    assert x.grad.numpy().tolist() == [2, 4]


@pytest.mark.parametrize("dtype", [">i4", "u1", "?", ">u8"])
def test_an_integer_dtype_of_any_byte_order_has_none(dtype: str) -> None:
    with pytest.raises(lucid.DTypeError, match="only floating-point tensors can have a gradient"):
        Tensor(np.array([1, 0], dtype), requires_grad=True)


def test_numbers_are_told_by_dtype() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    kinds = {
        Numbers.TRUTH: ["?"],
        Numbers.INTEGER: ["i1", ">i4", "u8", ml_dtypes.int4, ml_dtypes.uint4],
        Numbers.REAL: ["f2", ">f4", "f8", ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn],
        Numbers.COMPLEX: ["c8", ">c16"],
    }
    for numbers, dtypes in kinds.items():
        assert [kind(np.dtype(dtype)) for dtype in dtypes] == [numbers] * len(dtypes)
    assert sorted(Numbers) == [Numbers.TRUTH, Numbers.INTEGER, Numbers.REAL, Numbers.COMPLEX]
    assert [is_half(np.dtype(d)) for d in ("f2", ">f2", "f4", ml_dtypes.bfloat16)] == [
        True, True, False, True,
    ]  # fmt: skip


def test_the_numbers_of_other_libraries_are_told_by_dtype() -> None:
    torch = pytest.importorskip("torch")
    found = [kind(getattr(torch, name)) for name in ("bool", "uint8", "bfloat16", "complex64")]
    assert found == [Numbers.TRUTH, Numbers.INTEGER, Numbers.REAL, Numbers.COMPLEX]
    assert not is_array(torch.float32)
    assert not is_array(torch.Size([2]))
    assert not is_array(torch.device("cpu"))


def test_an_index_of_a_byte_swapped_dtype_is_an_index() -> None:
    assert [10, 20, 30][Tensor(np.array(1, ">i4"))] == 20
    x = Tensor([1.0, 2.0], requires_grad=True)
    x[np.array([0, 0, 1], ">i8")].sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2.0, 1.0]


def test_a_conjugation_that_pytorch_has_not_carried_out_is_read() -> None:
    torch = pytest.importorskip("torch")
    x = Tensor(torch.tensor([1 + 2j, 3j]).conj())
    assert x.tolist() == [1 - 2j, -3j]
    assert np.from_dlpack(x).tolist() == [1 - 2j, -3j]
