"""float16 and bfloat16 add up in float32: the one place for what is too coarse to be a sum.

A running total of ones in float16 stands still at 2048, in bfloat16 at 256, and a count overflows
float16 from 65520 on. So these compute in float32 where they are given halves, and the result is
rounded once, to the dtype of the argument:

    `reduced`     a reduction of an array library
    `folded`      a reduction of what a function gives for each element, in float32
    `by_blocks`   what a function gives for each element
    `product`     a product of matrices or vectors
    `in_float32`  a whole function; `in_float32_along`: one that can be computed by blocks
    `rounded`     a whole function that is written with the others here
    `widened`     what the tape gives to gradient rules, and adds gradients up in

Large arrays of NumPy are not converted as a whole, but in the blocks of `_blocks.py`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec

import numpy as np

from . import _blocks
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
from ._blocks import Later, Product, Running, bound_axes, is_large

P = ParamSpec("P")

_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


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
    "sum": np.add.reduce,
    "mean": np.ndarray.mean,
    "prod": np.multiply.reduce,
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
        if name.startswith("cumulative") and is_large((x,)):
            axis = 0 if options["axis"] is None else options["axis"]
            return Running(name, x, axis, options["include_initial"]).make(result)
        return xp.astype(function(x, dtype=xp.float32, **options), result)
    return function(x, **options) if dtype is None else function(x, dtype=result, **options)


def wide_mean(x: Array, **options: Any) -> Array:
    """The mean of an array (or Tensor), of a half in float32."""
    if type(x) is np.ndarray and is_half(x.dtype):
        return np.mean(x, dtype=np.float32, **options)
    return namespace(x).mean(widened(x), **options)


def folded(
    name: str, function: Callable[..., Array], *arrays: Array,
    axis: Any = None, keepdims: bool = False,
) -> Array:  # fmt: skip
    """The "sum", "max" or "min" over axes of what a function gives for each element.

    It gets halves in float32, and the result stays that. The arrays broadcast.
    """
    has_half = _has_half(arrays)
    if not has_half or not is_large(arrays):
        terms = function(*map(widened, arrays)) if has_half else function(*arrays)
        return getattr(namespace(terms), name)(terms, axis=axis, keepdims=keepdims)
    result = _blocks.folded(name, function, arrays, _shape_of(arrays), axis)
    return result if keepdims else result.squeeze(axis)


def by_blocks(function: Callable[..., Array], *arrays: Array) -> Any:
    """What a function gives for each element, halves being given in float32; the arrays broadcast.

    Of large halves it is a `Later`, for `rounded` or the tape to make.
    """
    if not _has_half(arrays):
        return function(*arrays)
    if not is_large(arrays):
        return function(*map(widened, arrays))
    return Later(function, arrays, _shape_of(arrays))


def _has_half(arrays: Sequence[Any]) -> bool:
    for array in arrays:  # NumPy's dtypes are nearly always the same object, quicker to see
        dtype = getattr(array, "dtype", None)
        if dtype is not _FLOAT32 and dtype is not _FLOAT64 and dtype and is_half(dtype):
            return True
    return False


def _shape_of(arrays: Sequence[Any]) -> tuple[int, ...]:
    return np.broadcast_shapes(*[each.shape for each in arrays if type(each) is np.ndarray])


def product(name: str, x1: Array, x2: Array, **options: Any) -> Array:
    """`matmul`, `tensordot` or `vecdot` of the arrays' library, in float32 for a half of NumPy.

    The other libraries add up in float32 by themselves, and have instructions for halves. NumPy
    has a slow loop for float16, and none for bfloat16.
    """
    xp = namespace(x1, x2)
    function = getattr(xp, name)
    if xp is not np or not is_half(x1.dtype):
        return function(x1, x2, **options)
    is_of_large = x1.dtype == x2.dtype and is_large((x1, x2))
    if is_of_large and name == "matmul" and min(x1.ndim, x2.ndim) > 1:
        return Product(x1, x2).make(x1.dtype)
    if is_of_large and name == "vecdot" and x1.shape == x2.shape:
        return folded("sum", np.multiply, x1, x2, **options).astype(x1.dtype)
    return in_float32(function)(x1, x2, **options)


def matmul_later(x1: Array, x2: Array) -> Any:
    """A product of matrices for the tape, of large halves a `Later`; None if they are not that."""
    if _has_half((x1, x2)) and is_large((x1, x2)) and min(x1.ndim, x2.ndim) > 1:
        return Product(x1, x2)
    return None


def _narrowed(result: Any, dtype: DType) -> Any:
    """Real results in the dtype of a half, each of a tuple; no half is complex."""
    if isinstance(result, tuple):
        return like_tuple(result, [_narrowed(part, dtype) for part in result])
    if isinstance(result, Later):
        return result.make(dtype)
    is_real = kind(result.dtype) is Numbers.REAL
    return namespace(result).astype(result, dtype) if is_real else result


def rounded(function: Callable[P, Any]) -> Callable[P, Any]:
    """Have the float32 that a function gives for halves be rounded to the first argument's dtype.

    With a wider argument, or one of the other half, the result is no half by promotion.
    """

    @wraps(function)
    def compute(*arguments: Any, **options: Any) -> Any:
        result = function(*arguments, **options)
        dtype = getattr(arguments[0], "dtype", None)
        if dtype is None or not is_half(dtype):
            return result
        arrays = filter(is_array, (*arguments, *options.values()))
        floating = {array.dtype for array in arrays if is_differentiable(array.dtype)}
        if len(floating) == 1:
            return _narrowed(result, dtype)
        return result.make(np.float32) if isinstance(result, Later) else result

    return compute


def in_float32(function: Callable[P, Any]) -> Callable[P, Any]:
    """Have a function on arrays compute in float32 where its first argument is half."""
    return rounded(_given_float32(function))


def in_float32_along(
    along: str | tuple[int, ...],
) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
    """`in_float32` for a function that computes each place of a result from the same place only.

    But along some axes of its first argument, which `along` gives or names an argument for: large
    halves are cut along the others.
    """

    def make(function: Callable[P, Any]) -> Callable[P, Any]:
        whole, parameters = _given_float32(function), inspect.signature(function)

        @wraps(function)
        def compute(*arguments: Any, **options: Any) -> Any:
            values = (*arguments, *options.values())
            if not is_large(values):
                return whole(*arguments, **options)

            def block(*values: Any) -> Any:
                named = dict(zip(options, values[len(arguments) :], strict=True))
                return function(*values[: len(arguments)], **named)

            if not along:
                return Later(block, values, _shape_of(values))
            shape, axes = arguments[0].shape, along
            if isinstance(along, str):
                call = parameters.bind(*arguments, **options)
                call.apply_defaults()
                axes = call.arguments[along]
            bound = bound_axes(axes, len(shape))
            if bound is None or len(bound) == len(shape):
                return whole(*arguments, **options)
            return Later(block, values, shape, bound)

        compute.along = along  # type: ignore[attr-defined]
        return rounded(compute)

    return make


def _given_float32(function: Callable[P, Any]) -> Callable[P, Any]:
    @wraps(function)
    def compute(*arguments: Any, **options: Any) -> Any:
        dtype = getattr(arguments[0], "dtype", None)
        if dtype is not None and is_half(dtype):
            return function(
                *map(widened, arguments),
                **{name: widened(value) for name, value in options.items()},
            )
        return function(*arguments, **options)

    return compute
