"""The one file that knows array libraries apart.

An operation asks `namespace(x1, x2)` for the module that has `multiply`, `sum`, … for these
arrays, in the names of the Python array API standard. NumPy (from 2.0), JAX and
array_api_strict say it themselves; PyTorch and CuPy spell some names differently and are
reached through the package `array-api-compat`, imported when their first array arrives.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from enum import IntEnum
from functools import cache, lru_cache
from importlib import import_module
from math import prod
from typing import Any, TypeAlias

import numpy as np

from ._errors import DTypeError, LibraryError, ShapeError

Array: TypeAlias = Any
"""An array of any library. The standard has no type for it that a checker could use."""

DType: TypeAlias = Any
Device: TypeAlias = Any
Namespace: TypeAlias = Any

VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12", "2025.12")  # of the standard, the last ours

_SCALARS = (bool, int, float, complex, type(None))

_SPELT = ("torch", "cupy")  # these spell some names differently

# type of an array → the module with its functions
array_types: dict[type, Namespace] = {np.ndarray: np}
array_types.update(dict.fromkeys(set(np.sctypeDict.values()), np))

_of_tensors: Namespace = None


def serve(tensor: type, module: Namespace) -> None:
    """Make a module, `lucid`, the namespace of its Tensors."""
    global _of_tensors
    array_types[tensor] = _of_tensors = module


def namespace(first: Array, *others: Array) -> Namespace:
    """The module whose functions take these arrays; Python scalars and None go with any."""
    kind = type(first)
    xp = array_types.get(kind) or _discover(first)
    for other in others:
        if type(other) is not kind:
            xp = _common(xp, first, other)
    return xp


def is_array(value: object) -> bool:
    """Whether `value` is an array (or a NumPy scalar) of a library known or discoverable."""
    kind = type(value)
    if kind in array_types:
        return True
    if kind in _SCALARS or kind in (list, tuple, str):
        return False
    if kind.__module__.partition(".")[0] in _SPELT:  # they have dtypes, devices and sizes too
        return hasattr(value, "__dlpack__")
    return _lookup(value) is not None


def library(array: Array) -> str:
    """The name of an array's library, for messages: 'numpy', 'torch', 'jax', …"""
    return type(array).__module__.partition(".")[0].removesuffix("lib")


def on_cpu(array: Array) -> bool:
    """Whether an array's numbers are in the memory of the CPU, as far as its library says."""
    if library(array) == "cupy":
        return False
    device = getattr(array, "device", None)  # JAX's tracers have none
    where = getattr(device, "type", None) or getattr(device, "platform", "cpu")
    return bool(where == "cpu")


_ONE = {"numpy": "a NumPy array", "torch": "a torch tensor", "jax": "a JAX array"}


def mixture(function: str, arguments: Mapping[str, Any]) -> LibraryError | None:
    """The error that says which argument of a function is an array of which library, if two are."""
    kinds = {name: library(value) for name, value in arguments.items() if is_array(value)}
    told: dict[str, str] = {}
    for name, kind in kinds.items():
        told.setdefault(kind, f"{name} is {_ONE.get(kind, f'an array of {kind}')}")
    if len(told) < 2:
        return None
    return LibraryError(
        f"{function}: {', '.join(told.values())}.\n"
        "Convert them to one library first, for example with its from_dlpack."
    )


def _common(xp: Namespace, first: Array, other: Array) -> Namespace:
    if isinstance(other, _SCALARS) and not isinstance(other, np.generic):
        return xp
    found = array_types.get(type(other)) or _discover(other)
    if xp is None or xp is found:
        return found
    if _of_tensors in (xp, found):  # a recorded rule, with constants beside its Tensors
        return _of_tensors
    raise LibraryError(
        f"arrays of two libraries: {library(first)} {tuple(first.shape)} and "
        f"{library(other)} {tuple(other.shape)}.\nConvert one of them first, "
        "for example with lucid.from_dlpack."
    )


def _discover(value: Any) -> Namespace:
    if isinstance(value, _SCALARS):
        return None
    xp = _lookup(value)
    if xp is None:
        raise LibraryError(
            f"expected an array or a number, got {type(value).__name__}.\n"
            "Lists become Tensors with lucid.asarray."
        )
    return xp


def _lookup(value: Any) -> Namespace:
    kind = type(value)
    root = kind.__module__.partition(".")[0]
    if root in _SPELT:
        xp = _compat(root)
    elif isinstance(value, np.ndarray):
        xp = np
    elif hasattr(value, "__array_namespace__"):
        xp = value.__array_namespace__()
    else:
        return None
    array_types[kind] = xp
    return xp


@cache
def _compat(library: str) -> Namespace:
    try:
        import array_api_compat  # noqa: F401
    except ImportError:
        raise LibraryError(
            f'{library} arrays need the package array-api-compat: pip install "lucid-nn[arrays]"'
        ) from None
    return import_module(f"array_api_compat.{library}")


# of two libraries, float64 may have the same hash, but is not to be compared
_cache_by_type = lru_cache(maxsize=None, typed=True)


class Numbers(IntEnum):
    """What numbers a dtype has; each of these kinds can hold those before it."""

    TRUTH = 0
    INTEGER = 1
    REAL = 2
    COMPLEX = 3


_BY_CODE = {
    "b": Numbers.TRUTH, "i": Numbers.INTEGER, "u": Numbers.INTEGER,
    "f": Numbers.REAL, "c": Numbers.COMPLEX,
}  # fmt: skip
_BY_NAME = {
    "int": Numbers.INTEGER, "uint": Numbers.INTEGER,
    "float": Numbers.REAL, "bfloat": Numbers.REAL, "complex": Numbers.COMPLEX,
}  # fmt: skip


@_cache_by_type
def kind(dtype: DType) -> Numbers:
    """What numbers a dtype has."""
    found = _BY_CODE.get(getattr(dtype, "kind", ""))
    if found is not None:
        return found
    # NumPy has no code for those of ml_dtypes, and other libraries' dtypes have no code at all
    word = re.match("[a-z]*", dtype_name(dtype))
    return _BY_NAME.get(word[0] if word else "", Numbers.TRUTH)


@_cache_by_type
def is_complex(dtype: DType) -> bool:
    """Whether numbers of this dtype have an imaginary part."""
    return kind(dtype) is Numbers.COMPLEX


@_cache_by_type
def is_differentiable(dtype: DType) -> bool:
    """Whether numbers of this dtype can have a gradient: real or complex floating point."""
    return kind(dtype) >= Numbers.REAL


@_cache_by_type
def is_half(dtype: DType) -> bool:
    """Whether this is float16 or bfloat16: too coarse to compute in."""
    return dtype_name(dtype) in ("float16", "bfloat16")


def dtype_name(dtype: DType) -> str:
    """The standard's name of a dtype, "float32", in whatever library and byte order."""
    return dtype.name if isinstance(dtype, np.dtype) else str(dtype).rpartition(".")[2]


def plain_array(function: str, name: str, array: Array) -> Array:
    """An array of a subclass of NumPy's as one of NumPy's own; masked ones are refused."""
    if type(array) is np.ndarray:
        return array
    if type(array).__module__.startswith("numpy.ma") and hasattr(array, "filled"):
        raise LibraryError(
            f"{function}: {name} is a masked array, and what is masked has no value to compute "
            f"with; give it one, as in {name}.filled(0)"
        )
    return np.asarray(array) if isinstance(array, np.ndarray) else array


def asarray(value: Any, dtype: DType | None = None) -> Array:
    """Numbers and nested lists as a NumPy array: floats become float32, complex complex64.

    For a `dtype` that is still to come they stay as exact as they are.
    """
    if is_array(value):
        _refuse_no_numbers(value, value.dtype)
        return plain_array("asarray", "value", value)
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ShapeError(f"nested lists of unequal lengths make no array: {error}") from None
    single = {"float64": np.float32, "complex128": np.complex64}.get(array.dtype.name)
    if single is not None and dtype is None and not _holds_arrays(value):
        array = array.astype(single)
    elif single is not None and dtype is not None:
        # NumPy makes floats of integers that no one dtype holds, such as 0 and 2 ** 63
        dtype = native_dtype(np, dtype)
        if kind(dtype) is Numbers.INTEGER:
            with suppress(OverflowError, ValueError):
                array = np.asarray(value, dtype)
    _refuse_no_numbers(value, array.dtype)
    return array


def _refuse_no_numbers(value: Any, dtype: DType) -> None:
    # ml_dtypes has kinds of its own; what NumPy calls an object, a text or a time is no number
    if getattr(dtype, "kind", "f") in "OSUMm":
        raise DTypeError(
            f"expected numbers, got {type(value).__name__} of dtype {dtype}: {value!r:.60}"
        )


def asarray_like(like: Array | None, value: Any) -> Array:
    """Numbers and nested lists as an array of the library and on the device of another."""
    array = asarray(value)
    xp = np if like is None else namespace(like)
    return array if xp is np else xp.asarray(array, device=device_of(like))


def _holds_arrays(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_holds_arrays, value))
    return is_array(value)


_PYTHON_DTYPES = {bool: "bool", int: "int64", float: "float32", complex: "complex64"}


def native_dtype(xp: Namespace, dtype: DType | None) -> DType | None:
    """A dtype, given as `lucid.float32`, "float32", `float` or a library's own, in `xp`'s terms."""
    if dtype is None or isinstance(dtype, np.dtype if xp is np else type(xp.float32)):
        return dtype
    name = _PYTHON_DTYPES.get(dtype) if isinstance(dtype, type) else None
    name = name or dtype_name(dtype)
    if isinstance(dtype, type) and issubclass(dtype, np.generic):
        name = np.dtype(dtype).name
    try:
        found = np.dtype(name) if xp is np else getattr(xp, name)
    except (TypeError, ValueError, AttributeError):
        found = None
    is_record = getattr(found, "names", None) is not None
    if found is None or is_record or getattr(found, "kind", "f") in "OSUMm":
        raise DTypeError(f"there is no dtype {dtype!r} of numbers, such as lucid.float32") from None
    return found


def keep_imaginary(function: str, name: str, given: DType, dtype: DType | None) -> None:
    """Raise DTypeError where complex numbers would become real ones."""
    if dtype is None or not is_complex(given):
        return
    if kind(dtype) in (Numbers.INTEGER, Numbers.REAL):
        raise DTypeError(
            f"{function}: {name} is {dtype_name(given)}, and {dtype_name(dtype)} has no imaginary "
            f"part; convert lucid.real({name}), lucid.imag({name}) or lucid.abs({name})"
        )


def as_real(x: Array) -> Array:
    """Integers or truth values as the widest real numbers that their library has."""
    xp = namespace(x)
    # JAX has float64 only where its user asked for it
    return xp.astype(x, xp.asarray(0.0).dtype if hasattr(x, "at") else xp.float64)


def common_dtype(function: str, xp: Namespace, *values: Any) -> DType:
    """What arrays, dtypes and numbers promote to, or DTypeError: such as bfloat16 with int32."""
    try:
        return xp.result_type(*values)
    except TypeError:
        dtypes = (getattr(each, "dtype", each) for each in values)
        told = " and ".join(
            repr(each) if type(each) in (bool, int, float, complex) else dtype_name(each)
            for each in dtypes
        )
        raise DTypeError(
            f"{function}: {told} promote to no dtype; convert one of them with lucid.astype"
        ) from None


def complex_like(x: Array) -> DType:
    """The dtype of complex numbers in the precision of an array; complex64 for a half."""
    xp = namespace(x)
    if xp is np and not is_half(x.dtype):
        return np.result_type(x.dtype, np.complex64)
    return xp.complex128 if dtype_name(x.dtype) in ("float64", "complex128") else xp.complex64


def like_tuple(like: tuple[Any, ...], values: Iterable[Any]) -> tuple[Any, ...]:
    """A tuple of values, with the names that a named tuple has."""
    make: Callable[[Iterable[Any]], tuple[Any, ...]] = getattr(type(like), "_make", tuple)
    return make(values)


def is_traced_by_jax(array: Array) -> bool:
    """Whether this stands for an array under `jax.jit`, so that no value is there to check."""
    return any(each.__name__ == "Tracer" for each in type(array).__mro__)


def untraced(numbers: Array) -> Array:
    """The numbers of JAX's arrays as NumPy's: under `jax.jit` a look at them would be traced."""
    is_jax = hasattr(numbers, "at") and not is_traced_by_jax(numbers)
    return np.asarray(numbers) if is_jax else numbers


def device_of(array: Array) -> Device | None:
    """Where an array is; None under `jax.jit`, where it is nowhere yet."""
    return getattr(array, "device", None)


def to_device(x: Array, device: Device, stream: Any = None) -> Array:
    """An array on another device of its library."""
    if library(x) in _SPELT:
        namespace(x)  # says what to install
        return import_module("array_api_compat").to_device(x, device, stream=stream)
    return x.to_device(device, stream=stream)


def with_item(x: Array, index: Any, value: Array) -> Array:
    """A copy of x with `value` at an index."""
    # JAX's arrays cannot be written to, and need no copy
    return set_item(x if hasattr(x, "at") else namespace(x).asarray(x, copy=True), index, value)


def set_item(x: Array, index: Any, value: Array) -> Array:
    """x with `value` at an index: x itself, changed, where its library allows that."""
    if hasattr(x, "at"):
        return x.at[index].set(value)
    try:
        x[index] = value
    except IndexError:
        if library(x) in ("numpy", "torch", "cupy"):
            raise
        # the standard has no assignment at arrays of integers
        xp, host = namespace(x), np.array(np.from_dlpack(x))
        host[_on_host(index)] = _on_host(value)
        return xp.asarray(host, device=x.device)
    return x


def _on_host(value: Any) -> Any:
    """An array, or an index with arrays in it, in NumPy's terms."""
    if isinstance(value, tuple):
        return tuple(map(_on_host, value))
    return np.from_dlpack(value) if is_array(value) else value


def scatter_add(values: Array, index: Any, shape: tuple[int, ...], *, repeats: bool) -> Array:
    """Zeros of a shape with `values` added at an index, which may name an element repeatedly."""
    xp = namespace(values)
    if not repeats:
        zeros = xp.zeros(shape, dtype=values.dtype, device=device_of(values))
        return set_item(zeros, index, values)
    if is_half(values.dtype):  # too coarse to add up in
        wide = xp.astype(values, xp.float32)
        return xp.astype(scatter_add(wide, index, shape, repeats=True), values.dtype)
    if hasattr(values, "at"):
        return xp.zeros(shape, dtype=values.dtype).at[index].add(values)
    device = values.device
    places, flat = _places(xp, index, shape, device), xp.reshape(values, (-1,))
    name = type(values).__module__.partition(".")[0]
    if name == "torch":
        total = xp.zeros(prod(shape), dtype=values.dtype, device=device)
        return xp.reshape(total.index_add(0, places, flat), shape)
    if name in ("numpy", "cupy"):
        total = xp.zeros(prod(shape), dtype=values.dtype)
        xp.add.at(total, places, flat)
        return xp.reshape(total, shape)
    result = np.zeros(prod(shape), dtype_name(values.dtype))
    np.add.at(result, np.asarray(np.from_dlpack(places), np.intp), np.from_dlpack(flat))
    return xp.reshape(xp.asarray(result, device=device), shape)


def _places(xp: Namespace, index: Any, shape: tuple[int, ...], device: Device) -> Array:
    """Which element, counted through the whole array, each element at an index is."""
    *before, last = index if isinstance(index, tuple) else (index,)
    whole = all(isinstance(each, slice) and each == slice(None) for each in before)
    if not (whole and is_array(last) and kind(last.dtype) is Numbers.INTEGER):
        return xp.reshape(xp.reshape(xp.arange(prod(shape), device=device), shape)[index], (-1,))
    # numbers along one axis, as in `take`: without counting through all of a large table
    axis = len(before)
    size, width = shape[axis], prod(shape[axis + 1 :])
    starts = xp.arange(prod(shape[:axis]), device=device) * (size * width)
    along = xp.astype(xp.reshape(last, (-1,)), starts.dtype) % size * width
    places = starts[:, None, None] + along[None, :, None] + xp.arange(width, device=device)
    return xp.reshape(places, (-1,))
