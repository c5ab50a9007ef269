"""Softmax and its logarithm."""

from __future__ import annotations

from ..._arrays import Array, DType, is_half, namespace
from ..._op import op
from ..._wide import in_float32_along, reduced
from ...ops._exponential import exp, expm1
from ...ops._reduce import sum
from ._checks import check_axis, check_real


@op
@in_float32_along("axis")
def softmax(input: Array, axis: int = -1) -> Array:
    """Positive numbers that add up to 1 along an axis, in the proportions of eˣ.

        out[k] = exp(input[k]) / Σ_m exp(input[m])

    No input overflows; -∞ gives 0. Raises DTypeError unless `input` is real floating point, and
    OutOfRangeError for an axis that it does not have.

    >>> F.softmax(lucid.Tensor([0.0, 0.0, float("-inf")]))
    Tensor([0.5, 0.5, 0.0])
    """
    _check("softmax", input, axis)
    xp = namespace(input)
    if 0 in input.shape:
        return xp.zeros_like(input)
    result = input - xp.max(input, axis=axis, keepdims=True)
    result = xp.exp(result)
    result /= xp.sum(result, axis=axis, keepdims=True)
    return result


def _softmax_gradient(g: Array, y: Array, axis: int) -> Array:
    # dx[k] = y[k] · (g[k] - Σ_m g[m] · y[m]), where any number may be taken from all g: taking the
    # mean itself keeps the digits of what is left where one y is nearly 1
    g = g - sum(g * y, axis=axis, keepdims=True)
    return y * (g - sum(g * y, axis=axis, keepdims=True))


softmax.gradient(input=_softmax_gradient)


@op
@in_float32_along("axis")
def log_softmax(input: Array, axis: int = -1) -> Array:
    """The logarithm of softmax, exact where softmax itself would round to 0 or 1.

        out[k] = input[k] - log Σ_m exp(input[m])

    Raises DTypeError unless `input` is real floating point, and OutOfRangeError for an axis that
    it does not have.

    >>> F.log_softmax(lucid.Tensor([0.0, 1000.0]))
    Tensor([-1000.0, 0.0])
    """
    _check("log_softmax", input, axis)
    xp = namespace(input)
    if 0 in input.shape:
        return xp.zeros_like(input)
    below_top = input - xp.max(input, axis=axis, keepdims=True)
    # each top adds exp(0) = 1; without one of them, log1p keeps the digits of a small sum
    below = below_top < 0
    others = reduced("sum", xp.where(below, xp.exp(below_top), 0.0), axis=axis, keepdims=True)
    tops = reduced("sum", xp.astype(xp.logical_not(below), others.dtype), axis=axis, keepdims=True)
    return below_top - xp.log1p(others + (tops - 1))


def _log_softmax_gradient(g: Array, y: Array, input_dtype: DType, axis: int) -> Array:
    # dx[k] = g[k] - softmax[k] · Σ_m g[m] = g[k] · (1 - softmax[k]) - softmax[k] · Σ_m≠k g[m]
    softmax = exp(y)
    total = sum(g, axis=axis, keepdims=True)
    if is_half(input_dtype):  # y was rounded, and its exponential would be off by much
        return g - softmax / sum(softmax, axis=axis, keepdims=True) * total
    return -g * expm1(y) - softmax * (total - g)


log_softmax.gradient(input=_log_softmax_gradient)


def _check(function: str, input: Array, axis: int) -> None:
    check_real(function, input=input)
    check_axis(function, "input", input, axis)
