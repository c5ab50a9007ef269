"""What the array API standard asks beside operations: dtypes, inspection, creation, operators."""

from __future__ import annotations

import operator
from collections.abc import Callable
from math import inf, isnan
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.testing import assert_same, gradcheck

STANDARD = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32",
    "float64", "complex64", "complex128",
)  # fmt: skip


# Constants and inspection


def test_the_constants() -> None:
    assert (lucid.e, lucid.pi) == (2.718281828459045, 3.141592653589793)
    assert lucid.inf == inf
    assert isnan(lucid.nan)
    assert lucid.zeros(3)[:, lucid.newaxis].shape == (3, 1)


def test_the_version_is_the_last_one_that_is_known() -> None:
    assert lucid.__array_api_version__ == "2025.12"
    x = lucid.zeros(1)
    for version in (None, "2021.12", "2025.12"):
        assert x.__array_namespace__(api_version=version) is lucid
    for version in ("2020.10", "2030.12", "latest"):
        with pytest.raises(lucid.ArgumentError) as caught:
            x.__array_namespace__(api_version=version)
        assert str(caught.value) == (
            "__array_namespace__: lucid knows the versions 2021.12, 2022.12, 2023.12, 2024.12, "
            f"2025.12 of the array API standard, not {version!r}"
        )


def test_lucid_tells_of_itself() -> None:
    info = lucid.__array_namespace_info__()
    assert info.capabilities() == {
        "boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64,
    }  # fmt: skip
    most = info.capabilities()["max dimensions"]
    assert lucid.zeros((1,) * most).ndim == most
    with pytest.raises(ValueError, match="dimension"):
        lucid.zeros((1,) * (most + 1))
    assert info.default_device() in info.devices()
    assert lucid.zeros(1).device == info.default_device()
    assert lucid.zeros(1, device=info.default_device()).device == "cpu"
    kinds = info.default_dtypes(device="cpu")
    assert lucid.asarray(1.0).dtype == kinds["real floating"]
    assert lucid.asarray(1j).dtype == kinds["complex floating"]
    assert lucid.asarray(1).dtype == kinds["integral"]
    assert lucid.argmax(lucid.zeros(1)).dtype == kinds["indexing"]


def test_the_dtypes_of_a_kind() -> None:
    info = lucid.__array_namespace_info__()
    assert tuple(info.dtypes()) == STANDARD
    assert info.dtypes(kind="bool") == {"bool": lucid.bool}
    assert list(info.dtypes(kind=("real floating", "complex floating"))) == list(STANDARD[-4:])
    assert info.dtypes(kind="unsigned integer")["uint8"] == lucid.uint8
    for function in (info.dtypes, info.default_dtypes):
        with pytest.raises(lucid.ArgumentError) as caught:
            function(device="cuda")
        name = function.__name__
        assert str(caught.value) == f"{name}: there is no device 'cuda'; lucid's own is 'cpu'"


# Dtypes


@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
def test_the_limits_of_floating_point(name: str) -> None:
    known = np.finfo(name)
    for given in (name, getattr(lucid, name), lucid.zeros(1, dtype=name), np.zeros(1, name)):
        found = lucid.finfo(given)
        assert found == (known.bits, float(known.eps), float(known.max), float(known.min),
                         float(known.smallest_normal), np.dtype(name))  # fmt: skip
        assert [type(each) for each in found[:-1]] == [int, *[float] * 4]


def test_the_limits_of_complex_numbers_are_those_of_their_parts() -> None:
    assert lucid.finfo(lucid.complex64) == lucid.finfo(lucid.float32)
    assert lucid.finfo(lucid.zeros(1, dtype=complex)) == lucid.finfo(lucid.float32)


def test_the_limits_of_bfloat16() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="it knows bfloat16")
    known = ml_dtypes.finfo(ml_dtypes.bfloat16)
    found = lucid.finfo(np.dtype(ml_dtypes.bfloat16))
    numbers = (known.eps, known.max, known.min, known.smallest_normal)
    assert found[:-1] == (known.bits, *map(float, numbers))


@pytest.mark.parametrize("name", STANDARD[1:9])
def test_the_limits_of_integers(name: str) -> None:
    known = np.iinfo(name)
    for given in (name, getattr(lucid, name), lucid.zeros(1, dtype=name)):
        assert lucid.iinfo(given) == (known.bits, known.max, known.min, np.dtype(name))


def test_limits_that_there_are_not() -> None:
    with pytest.raises(lucid.DTypeError) as caught:
        lucid.finfo(lucid.int32)
    assert str(caught.value) == (
        "finfo: int32 has no floating-point numbers; lucid.iinfo has the limits of integers"
    )
    with pytest.raises(lucid.DTypeError) as caught:
        lucid.iinfo(lucid.zeros(1))
    assert str(caught.value) == (
        "iinfo: float32 has no integers; lucid.finfo has the limits of floating-point numbers"
    )


@pytest.mark.parametrize("name", [*STANDARD, "float16"])
def test_a_dtype_is_of_its_kinds_alone(name: str) -> None:
    dtype = np.dtype(name)
    for kind in ("bool", "signed integer", "unsigned integer", "integral", "real floating",
                 "complex floating", "numeric"):  # fmt: skip
        assert lucid.isdtype(dtype, kind) is np.isdtype(dtype, kind)
    assert lucid.isdtype(dtype, dtype)
    assert lucid.isdtype(dtype, ("bool", lucid.float16, "integral")) is (
        name == "float16" or np.isdtype(dtype, ("bool", "integral"))
    )


def test_bfloat16_is_of_floating_point() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    assert lucid.isdtype(torch.bfloat16, "real floating")
    assert lucid.isdtype(torch.float32, lucid.float32)
    assert not lucid.isdtype(torch.bfloat16, "integral")
    assert lucid.finfo(Tensor(torch.ones(1, dtype=torch.complex64))).dtype == torch.float32


def test_a_kind_that_there_is_not() -> None:
    with pytest.raises(lucid.ArgumentError) as caught:
        lucid.isdtype(lucid.float32, "floating")
    assert str(caught.value) == (
        "isdtype: there is no kind 'floating'; the kinds are bool, signed integer, integral, "
        "numeric, unsigned integer, real floating, complex floating"
    )


def test_what_promotes_can_be_cast() -> None:
    for one in STANDARD:
        for other in STANDARD:
            assert lucid.can_cast(getattr(lucid, one), getattr(lucid, other)) is np.can_cast(
                one, other
            )
    assert lucid.can_cast(lucid.zeros(1), lucid.float64)
    assert not lucid.can_cast(lucid.zeros(1), lucid.int64)


def test_the_dtype_of_a_result() -> None:
    x, k = lucid.zeros(1), lucid.asarray([1], dtype=lucid.int8)
    assert lucid.result_type(x, lucid.float64) == lucid.float64
    assert lucid.result_type(x, 1.5) == lucid.result_type(2, x) == lucid.float32
    assert lucid.result_type(x, 1j) == lucid.complex64
    assert lucid.result_type(k, lucid.uint8, 3) == lucid.int16
    assert lucid.result_type("float32", float) == lucid.float32
    assert lucid.result_type(lucid.bool, True) == lucid.bool
    assert lucid.result_type(np.float64(1.0), x) == lucid.float64
    for numbers in ((), (1, 2.0)):
        with pytest.raises(lucid.ArgumentError) as caught:
            lucid.result_type(*numbers)
        assert str(caught.value) == (
            f"result_type: got {list(numbers)}, expected at least one array or dtype; numbers "
            "alone take the dtype of what they stand beside"
        )


def test_the_dtype_of_a_result_in_another_library() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    x = Tensor(torch.ones(1))
    assert lucid.result_type(x, lucid.float64, 2) == torch.float64


def test_complex_numbers_are_not_cast_to_real_ones() -> None:
    x = Tensor([1j, 0j])
    for dtype in (lucid.float64, lucid.int8):
        with pytest.raises(lucid.DTypeError) as caught:
            lucid.astype(x, dtype)
        assert str(caught.value) == (
            f"astype: x is complex64, and {dtype} has no imaginary part; convert lucid.real(x), "
            "lucid.imag(x) or lucid.abs(x)"
        )
    assert lucid.astype(x, lucid.bool).tolist() == [True, False]


def test_no_imaginary_part_is_lost() -> None:
    calls: list[tuple[str, str, str, Callable[[], Any]]] = [
        ("full", "fill_value", "complex64", lambda: lucid.full(3, 1j, dtype=lucid.float32)),
        ("full_like", "fill_value", "complex128", lambda: lucid.full_like(lucid.zeros(2), 1j)),
        ("asarray", "obj", "complex128", lambda: lucid.asarray([1j], dtype=lucid.float32)),
        ("asarray", "obj", "complex128", lambda: lucid.asarray(np.ones(1, complex), dtype=float)),
        ("astype", "x", "complex64", lambda: lucid.asarray(Tensor([1j]), dtype=lucid.float32)),
        ("Tensor", "data", "complex128", lambda: Tensor([1j], dtype=lucid.float32)),
        ("linspace", "stop", "complex128", lambda: lucid.linspace(0, 1j, 3, dtype=lucid.float32)),
    ]
    for function, name, given, call in calls:
        with pytest.raises(lucid.DTypeError) as caught:
            call()
        assert str(caught.value) == (
            f"{function}: {name} is {given}, and float32 has no imaginary part; convert "
            f"lucid.real({name}), lucid.imag({name}) or lucid.abs({name})"
        )
    assert lucid.full_like(lucid.zeros(2), 1j, dtype=lucid.complex64).tolist() == [1j, 1j]


def test_what_is_no_dtype() -> None:
    for wrong in ([1.0], "nonsense", "f4,f4"):
        with pytest.raises(lucid.DTypeError, match=r"there is no dtype .* of numbers"):
            lucid.result_type(lucid.float32, wrong)


@pytest.mark.parametrize("name", ["numpy", "torch", "jax", "array_api_strict"])
def test_a_dtype_that_a_function_does_not_take(name: str) -> None:
    library = pytest.importorskip(name, reason=f"{name} is not installed")
    xp = library.numpy if name == "jax" else library
    x = Tensor(xp.asarray([1.0, 2.0], dtype=xp.float32))
    z = Tensor(xp.asarray([1j, 2j], dtype=xp.complex64))
    with pytest.raises(lucid.DTypeError) as caught:
        x << x
    assert str(caught.value).startswith(
        "bitwise_left_shift: there is none of x1 float32, x2 float32; convert to another dtype "
        "with lucid.astype.\nThe array library says: "
    )
    with pytest.raises(lucid.DTypeError, match="floor: there is none of x complex64; convert"):
        lucid.floor(z)


# Devices: those of array_api_strict are only names, which is enough to see where a value is


@pytest.fixture
def strict() -> Any:
    return pytest.importorskip("array_api_strict", reason="it has several devices")


def test_a_gradient_comes_back_from_another_device(strict: Any) -> None:
    here, there = strict.__array_namespace_info__().devices()[:2]
    x = Tensor(strict.asarray([1.0, 2.0], device=here), requires_grad=True)
    moved = x.to_device(there)
    assert (moved.device, moved.requires_grad) == (there, True)
    (moved * moved).backward()
    assert x.grad is not None
    assert (x.grad.device, x.grad.tolist()) == (here, [2.0, 4.0])
    y = lucid.astype(x, lucid.complex64, device=there)
    assert (y.device, y.dtype) == (there, strict.complex64)
    (slope,) = lucid.grad([lucid.abs(y)], [x])
    assert (slope.device, slope.dtype) == (here, x.dtype)


def test_arrays_like_another_on_another_device(strict: Any) -> None:
    here, there = strict.__array_namespace_info__().devices()[:2]
    x = Tensor(strict.asarray([1.0, 2.0], device=here))
    for function in (lucid.zeros_like, lucid.ones_like, lucid.empty_like):
        assert function(x).device == here
        assert function(x, device=there).device == there
    assert lucid.full_like(x, 3.0, device=there).device == there
    assert lucid.asarray(x, device=there).device == there
    assert lucid.asarray(x, device=here) is x
    with pytest.raises(lucid.ArgumentError, match="asarray: copy=False, but its device is"):
        lucid.asarray(x, device=there, copy=False)


def test_a_device_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="cuda"):
        lucid.zeros(1).to_device("cuda")
    x = lucid.zeros(1)
    assert x.to_device("cpu").device == x.sum().to_device("cpu").device == "cpu"
    assert lucid.astype(x, lucid.float32, copy=False, device="cpu") is x


def test_to_device_of_torch() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    x = Tensor(torch.ones(2), requires_grad=True)
    assert x.to_device("meta").device.type == "meta"
    x.to_device("cpu").backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 1.0]


# Creation


def test_empty_has_a_shape_and_a_dtype() -> None:
    assert (lucid.empty(3).shape, lucid.empty(3).dtype) == ((3,), lucid.float32)
    x = lucid.empty((2, 0), dtype=lucid.int8, device="cpu")
    assert (x.shape, x.dtype) == ((2, 0), lucid.int8)
    like = lucid.empty_like(x, dtype=lucid.float64)
    assert (like.shape, like.dtype) == ((2, 0), lucid.float64)
    with pytest.raises(lucid.ShapeError, match="empty: shape is -1"):
        lucid.empty(-1)


def test_linspace_of_complex_numbers() -> None:
    x = lucid.linspace(0, 1 + 1j, 3)
    assert (x.dtype, x.tolist()) == (lucid.complex64, [0j, 0.5 + 0.5j, 1 + 1j])
    assert lucid.linspace(0, 1j, 2, dtype=lucid.complex128).dtype == lucid.complex128
    with pytest.raises(lucid.ArgumentError, match="linspace: stop is a complex, expected a finite"):
        lucid.linspace(0, complex(inf, 0), 3)


def test_large_integers_stay_what_they_are() -> None:
    large = 2**63 + 1  # NumPy makes floats of it and of 5
    for make in (lucid.asarray, Tensor):
        x = make([[large, 5]], dtype=lucid.uint64)
        assert (x.dtype, x.tolist()) == (lucid.uint64, [[large, 5]])
    assert lucid.asarray([large, 5], dtype=lucid.float64).tolist() == [float(large), 5.0]
    assert lucid.asarray([], dtype=lucid.int8).shape == (0,)


@pytest.mark.parametrize("indexing", ["xy", "ij"])
@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_a_grid_is_that_of_numpy(indexing: Any, count: int) -> None:
    lines = [np.arange(k + 2.0) + k for k in range(count)]
    expected = np.meshgrid(*lines, indexing=indexing)
    tensors = [Tensor(line, requires_grad=True) for line in lines]
    found = lucid.meshgrid(*tensors, indexing=indexing)
    assert isinstance(found, tuple)
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)
    for one, other in zip(lucid.meshgrid(*lines, indexing=indexing), expected, strict=True):
        assert type(one) is np.ndarray
        assert_same(one, other)
    if count:
        gradcheck(lambda *lines: lucid.meshgrid(*lines, indexing=indexing), lines, order=2)


def test_what_makes_no_grid() -> None:
    with pytest.raises(lucid.ShapeError) as caught:
        lucid.meshgrid(lucid.zeros(2), lucid.zeros((2, 3)))
    assert str(caught.value) == "meshgrid: arrays[1] (2, 3) has not one axis"
    with pytest.raises(lucid.ArgumentError) as refused:
        lucid.meshgrid(lucid.zeros(2), indexing="yx")
    assert str(refused.value) == "meshgrid: indexing is 'yx', expected 'xy' or 'ij'"


@pytest.mark.parametrize("name", ["tril", "triu"])
def test_a_triangle_is_of_a_matrix(name: str) -> None:
    function = getattr(lucid, name)
    with pytest.raises(lucid.ShapeError) as caught:
        function(lucid.zeros(3))
    assert str(caught.value) == (
        f"{name}: x has shape (3,), expected (..., m, n): a matrix, or a stack of them in its last "
        "two axes"
    )
    with pytest.raises(lucid.ArgumentError, match=f"{name}: k is 0.5, expected a whole number"):
        function(lucid.zeros((2, 2)), k=0.5)
    x = np.arange(12.0).reshape(3, 4)
    for k in range(-4, 5):
        assert_same(function(Tensor(x), k=k), getattr(np, name)(x, k))


# Operators


OPERATORS = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod,
    operator.pow,
]  # fmt: skip
BITS = [operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift]


def in_place(function: Callable[..., Any]) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(operator, f"__i{function.__name__.strip('_')}__")
    return found


@pytest.mark.parametrize("function", [*OPERATORS, *BITS], ids=lambda each: each.__name__)
def test_an_operator_is_that_of_numpy(function: Callable[..., Any]) -> None:
    dtype = np.int64 if function in BITS else np.float32
    one, other = np.array([7, 5, 2], dtype), np.array([2, 3, 1], dtype)
    assert_same(function(Tensor(one), Tensor(other)), function(one, other))
    assert_same(function(Tensor(one), 2), function(one, 2))
    assert_same(function(2, Tensor(one)), function(2, one))
    x = Tensor(one)
    same = x
    same = in_place(function)(same, Tensor(other))
    assert same is x
    assert_same(x, function(one, other))
    y = Tensor(one)
    with pytest.raises(lucid.ShapeError, match="a tensor keeps its shape"):
        in_place(function)(y, Tensor(np.ones((2, 3), dtype)))


def test_a_matrix_product_in_place() -> None:
    x = lucid.asarray([[1.0, 2.0], [3.0, 4.0]])
    same = x
    same @= lucid.asarray([[0.0, 1.0], [1.0, 0.0]])
    assert same is x
    assert x.tolist() == [[2.0, 1.0], [4.0, 3.0]]


def test_plus_is_a_tensor_of_its_own() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = +x
    assert y is not x
    assert lucid.grad(y * y, x).tolist() == [2.0, 4.0]


def test_operators_in_place_are_recorded() -> None:
    x = Tensor([7.0], requires_grad=True)
    y = x * 1
    y %= 4.0
    assert lucid.grad(y, x).tolist() == [1.0]
    y = x * 1
    y //= 2.0
    assert y.tolist() == [3.0]
    assert lucid.grad(y, x).tolist() == [0.0]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "float32", "float64", "complex64"])
def test_a_number_takes_the_dtype_of_the_tensor(dtype: str) -> None:
    x = lucid.asarray([1, 2], dtype=dtype)
    numbers = [2] if "int" in dtype else [2, 2.5] if "float" in dtype else [2, 2.5, 2j]
    functions = OPERATORS[:3] if "complex" in dtype or "int" in dtype else OPERATORS
    for number in numbers:
        for function in functions:
            assert function(x, number).dtype == function(number, x).dtype == dtype
            y = lucid.asarray(x, copy=True)
            assert in_place(function)(y, number).dtype == dtype


def test_a_complex_number_makes_a_real_tensor_complex() -> None:
    assert (lucid.zeros(1) + 1j).dtype == lucid.complex64
    assert (1j * lucid.zeros(1, dtype=lucid.float64)).dtype == lucid.complex128
    assert (Tensor([True]) & True).dtype == lucid.bool


def test_truth_values_and_a_number_are_what_the_library_makes_of_them() -> None:
    mask = Tensor([True, False])
    assert (mask * 2.5).tolist() == (2.5 * mask).tolist() == [2.5, 0.0]
    assert (mask + 1).dtype == lucid.int64


def test_numbers_of_one_element() -> None:
    assert complex(Tensor(2.0)) == 2 + 0j
    assert complex(Tensor([1j])) == 1j
    assert float(Tensor(True)) == 1.0
    with pytest.raises(TypeError):
        float(Tensor(1j))


def test_dlpack_takes_the_standard_s_arguments() -> None:
    x = lucid.asarray([1.0, 2.0])
    for options in ({}, {"copy": True}, {"max_version": (1, 0)}, {"dl_device": (1, 0)}):
        assert type(x.__dlpack__(**options)).__name__ == "PyCapsule"
    shared = lucid.from_dlpack(x)
    copied = lucid.from_dlpack(x, copy=True, device="cpu")
    assert copied.tolist() == shared.tolist() == [1.0, 2.0]
    assert np.shares_memory(shared.numpy(), x.numpy())
    assert not np.shares_memory(copied.numpy(), x.numpy())


@pytest.mark.parametrize("make", [lucid.asarray, Tensor])
def test_integers_beyond_int64_are_exact(make: Callable[..., Tensor]) -> None:
    numbers = [0, 2**63 + 1]  # of which NumPy makes floats
    assert make(numbers, dtype=lucid.uint64).tolist() == numbers
    assert make([[1.5, -2.5]], dtype=lucid.int64).tolist() == [[1, -2]]
