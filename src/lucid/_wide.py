"""float16 and bfloat16 add up in float32: the one place for what is too coarse to be a sum.

A running total of ones in float16 stands still at 2048, in bfloat16 at 256, and a count overflows
float16 from 65520 on. So these compute in float32 where they are given halves, and the result is
rounded once, to the dtype of the argument:

    `reduced`     a reduction of an array library
    `product`     a product of matrices or vectors
    `in_float32`  a whole function
    `widened`     what the tape gives to gradient rules, and adds gradients up in
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

import numpy as np

from ._arrays import (
    Array,
    DType,
    Numbers,
    is_array,
    is_differentiable,
    is_half,
    keep_imaginary,
    kind,
    like_tuple,
    namespace,
    native_dtype,
)

P = ParamSpec("P")


def widened(value: Any) -> Any:
    """An array (or Tensor) in float32 if it is half; of a tuple or list, each; all else as is."""
    if isinstance(value, tuple):
        return like_tuple(value, map(widened, value))
    if isinstance(value, list):
        return list(map(widened, value))
    if not is_array(value) or not is_half(value.dtype):
        return value
    return converted(value, namespace(value).float32)


def converted(x: Array, dtype: DType) -> Array:
    """An array (or Tensor) in a dtype; what was broadcast is converted before it."""
    if x.dtype == dtype:
        return x
    if type(x) is np.ndarray:
        if 0 not in x.strides:
            return x.astype(dtype)
        once = x[tuple(slice(None if stride else 1) for stride in x.strides)]
        return np.broadcast_to(once.astype(dtype), x.shape)
    return namespace(x).astype(x, dtype)


_USUAL = (np.dtype(np.float32), np.dtype(np.float64))

# What np.sum, … come to at last for NumPy's own arrays: in half the time, where these are small
_METHODS: dict[str, Callable[..., Any]] = {
    "sum": np.ndarray.sum,
    "mean": np.ndarray.mean,
    "prod": np.ndarray.prod,
}


def reduced(name: str, x: Array, *, dtype: DType | None = None, **options: Any) -> Array:
    """A sum, mean, product or running total of the array's library, in float32 for a half.

    NumPy converts some thousands of elements at a time: there is no copy of the whole in float32.
    """
    method = _METHODS.get(name)
    if method is not None and type(x) is np.ndarray and dtype is None and x.dtype in _USUAL:
        return method(x, **options)
    xp = namespace(x)
    function = getattr(xp, name)
    result = x.dtype
    if dtype is not None:
        result = native_dtype(xp, dtype)
        keep_imaginary(name, "x", x.dtype, result)
    if xp is np:
        result = np.dtype(result).newbyteorder("=")  # NumPy's sums have no other
    if is_half(result):
        return xp.astype(function(x, dtype=xp.float32, **options), result)
    return function(x, **options) if dtype is None else function(x, dtype=result, **options)


def product(name: str, x1: Array, x2: Array, **options: Any) -> Array:
    """`matmul`, `tensordot` or `vecdot` of the arrays' library, in float32 for a half of NumPy.

    The other libraries add up in float32 by themselves, and have instructions for halves. NumPy
    has a slow loop for float16, and none for bfloat16.
    """
    xp = namespace(x1, x2)
    function = getattr(xp, name)
    if xp is np and is_half(x1.dtype):
        function = in_float32(function)
    return function(x1, x2, **options)


def _narrowed(result: Any, dtype: DType) -> Any:
    """Real results in the dtype of a half, each of a tuple; no half is complex."""
    if isinstance(result, tuple):
        return like_tuple(result, [_narrowed(part, dtype) for part in result])
    is_real = kind(result.dtype) is Numbers.REAL
    return namespace(result).astype(result, dtype) if is_real else result


def in_float32(function: Callable[P, Any]) -> Callable[P, Any]:
    """Have a function on arrays compute in float32 where its first argument is half."""

    @wraps(function)
    def compute(*arguments: Any, **options: Any) -> Any:
        dtype = getattr(arguments[0], "dtype", None)
        if dtype is None or not is_half(dtype):
            return function(*arguments, **options)
        arrays = filter(is_array, (*arguments, *options.values()))
        floating = {array.dtype for array in arrays if is_differentiable(array.dtype)}
        result = function(
            *map(widened, arguments),
            **{name: widened(value) for name, value in options.items()},
        )
        # with a wider argument, or one of the other half, the result is no half by promotion
        return result if len(floating) > 1 else _narrowed(result, dtype)

    return compute
