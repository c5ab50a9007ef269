"""What is known of dtypes: of which kind they are, how they promote, and what numbers they hold."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ._arrays import (
    Array,
    DType,
    Numbers,
    common_dtype,
    dtype_name,
    is_array,
    kind,
    namespace,
    native_dtype,
)
from ._errors import ArgumentError, DTypeError
from ._tape import plain

_KINDS = {
    "bool": ("bool",),
    "int": ("signed integer", "integral", "numeric"),
    "uint": ("unsigned integer", "integral", "numeric"),
    "float": ("real floating", "numeric"),
    "bfloat": ("real floating", "numeric"),
    "complex": ("complex floating", "numeric"),
}
_EVERY_KIND = list(dict.fromkeys(each for kinds in _KINDS.values() for each in kinds))

_NUMBERS = (bool, int, float, complex)


class FloatLimits(NamedTuple):
    """What `finfo` says of a dtype of floating-point numbers."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: DType


class IntegerLimits(NamedTuple):
    """What `iinfo` says of a dtype of integers."""

    bits: int
    max: int
    min: int
    dtype: DType


def finfo(type: DType | Array, /) -> FloatLimits:
    """The limits of a floating-point dtype, or of the dtype of an array.

    They are `bits`, `eps` (from 1 to the next number), `max`, `min`, `smallest_normal` and
    `dtype`; of a complex dtype, those of its parts. Raises DTypeError for another dtype.

    >>> lucid.finfo(lucid.float32).eps
    1.1920928955078125e-07
    """
    xp, dtype = _dtype_of(type)
    if kind(dtype) < Numbers.REAL:
        raise DTypeError(
            f"finfo: {dtype} has no floating-point numbers; lucid.iinfo has the limits of integers"
        )
    name = dtype_name(dtype)
    if kind(dtype) is Numbers.COMPLEX:
        name = {"complex64": "float32", "complex128": "float64"}[name]
        dtype = native_dtype(xp, name)
    if name == "bfloat16":  # NumPy does not know it
        most = (2 - 2.0**-7) * 2.0**127
        return FloatLimits(16, 2.0**-7, most, -most, 2.0**-126, dtype)
    limits = np.finfo(name)
    return FloatLimits(
        int(limits.bits),
        float(limits.eps),
        float(limits.max),
        float(limits.min),
        float(limits.smallest_normal),
        dtype,
    )


def iinfo(type: DType | Array, /) -> IntegerLimits:
    """The limits of an integer dtype, or of the dtype of an array: `bits`, `max`, `min`, `dtype`.

    Raises DTypeError for another dtype.

    >>> lucid.iinfo(lucid.int8).max
    127
    """
    _, dtype = _dtype_of(type)
    if kind(dtype) is not Numbers.INTEGER:
        raise DTypeError(
            f"iinfo: {dtype} has no integers; lucid.finfo has the limits of floating-point numbers"
        )
    limits = np.iinfo(dtype_name(dtype))
    return IntegerLimits(int(limits.bits), int(limits.max), int(limits.min), dtype)


def isdtype(dtype: DType, kind: DType | str | tuple[DType | str, ...]) -> bool:
    """Whether a dtype is another one, or of a kind, or one of several of these.

    The kinds are 'bool', 'signed integer', 'unsigned integer', 'integral', 'real floating',
    'complex floating' and 'numeric'.

    >>> lucid.isdtype(lucid.float32, "real floating")
    True
    """
    name = dtype_name(_dtype_of(dtype)[1])
    own = _KINDS.get(name.rstrip("0123456789"), ())
    for each in kind if isinstance(kind, tuple) else (kind,):
        if not isinstance(each, str):
            if dtype_name(_dtype_of(each)[1]) == name:
                return True
        elif each in own:
            return True
        elif each not in _EVERY_KIND:
            raise ArgumentError(
                f"isdtype: there is no kind {each!r:.60}; the kinds are {', '.join(_EVERY_KIND)}"
            )
    return False


def can_cast(from_: DType | Array, to: DType, /) -> bool:
    """Whether a dtype, or that of an array, promotes to another without losing anything.

    >>> lucid.can_cast(lucid.int8, lucid.int16), lucid.can_cast(lucid.float64, lucid.float32)
    (True, False)
    """
    one: Any = native_dtype(np, _dtype_of(from_)[1])
    other: Any = native_dtype(np, _dtype_of(to)[1])
    return np.can_cast(one, other)


def result_type(*arrays_and_dtypes: Array | DType | complex) -> DType:
    """The dtype of the result of an operation on these arrays, dtypes and Python numbers.

    A number takes the dtype of what it stands beside, as far as that can hold it. With an array
    among them the answer is in the terms of its library. Raises ArgumentError for numbers alone.

    >>> lucid.result_type(lucid.Tensor([1.0]), lucid.float64, 2)
    dtype('float64')
    """
    values = [plain(each) for each in arrays_and_dtypes]
    arrays = [each for each in values if is_array(each)]
    xp = namespace(*arrays) if arrays else np
    if all(type(each) in _NUMBERS for each in values):
        raise ArgumentError(
            f"result_type: got {values}, expected at least one array or dtype; numbers alone "
            "take the dtype of what they stand beside"
        )
    weighed = [
        each if is_array(each) or type(each) in _NUMBERS else native_dtype(xp, each)
        for each in values
    ]
    return common_dtype("result_type", xp, *weighed)


def _dtype_of(value: DType | Array) -> tuple[Any, DType]:
    """A dtype, or that of an array, and the module in whose terms it is."""
    array = plain(value)
    if not isinstance(value, type) and is_array(array):
        return namespace(array), array.dtype
    # NumPy knows bfloat16 only from ml_dtypes
    return np, value if dtype_name(value) == "bfloat16" else native_dtype(np, value)
