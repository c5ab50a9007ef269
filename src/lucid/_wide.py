"""Halves add up in float32: the one place for what is too coarse to be a sum in itself.

A running total in float16 stands still at 2048 and in bfloat16 at 256, if it adds ones, and a count
overflows float16 from 65520 on. So

    `reduced`     has a reduction of the array's library add up in float32,
    `in_float32`  has a whole function compute in float32,
    `widened`     is what the tape gives to gradient rules, and adds gradients up in;

the result is rounded once, to the dtype of the argument.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

from ._arrays import Array, DType, is_array, is_differentiable, is_half, namespace, native_dtype

P = ParamSpec("P")


def widened(value: Any) -> Any:
    """An array (or Tensor) in float32 if it is half; of a tuple or list, each; all else as is."""
    if isinstance(value, (tuple, list)):
        return type(value)(map(widened, value)) if type(value) in (tuple, list) else value
    if not is_array(value) or not is_half(value.dtype):
        return value
    xp = namespace(value)
    return xp.astype(value, xp.float32)


def reduced(name: str, x: Array, *, dtype: DType | None = None, **options: Any) -> Array:
    """`sum`, `prod` or a running total of the array's library, adding up in float32 for a half.

    NumPy converts some thousands of elements at a time; there is no copy of the whole in float32.
    """
    xp = namespace(x)
    function = getattr(xp, name)
    dtype = native_dtype(xp, dtype)
    result = x.dtype if dtype is None else dtype
    if not is_half(result):
        return function(x, dtype=dtype, **options)
    return xp.astype(function(x, dtype=xp.float32, **options), result)


def in_float32(function: Callable[P, Array]) -> Callable[P, Array]:
    """Have a function on arrays compute in float32 where its first argument is half."""

    @wraps(function)
    def compute(*arguments: Any, **options: Any) -> Array:
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
        return result if len(floating) > 1 else namespace(result).astype(result, dtype)

    return compute
