"""Mean, variance and standard deviation over some axes, or all of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from math import nan
from typing import Any

from .._arrays import Array, as_real, is_differentiable, namespace
from .._op import op
from .._wide import in_float32, reduced
from ._axes import Axis, count, kept, spread
from ._comparison import equal, where
from ._like import ones_like, zeros_like


def _of_integers_too(function: Callable[..., Array]) -> Callable[..., Array]:
    """Have a statistic of integers be float32, the default, computed as precisely as there is."""

    @wraps(function)
    def compute(x: Array, /, **options: Any) -> Array:
        if is_differentiable(x.dtype):
            return function(x, **options)
        xp = namespace(x)
        return xp.astype(function(as_real(x), **options), xp.float32)

    return compute


@op
@_of_integers_too
def mean(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """The mean over `axis` (an axis, several, or None for all); of integers in float32.

    >>> lucid.mean(lucid.Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    Tensor([2.0, 3.0])
    """
    return reduced("mean", x, axis=axis, keepdims=keepdims)


mean.gradient(
    x=lambda g, x_shape, axis, keepdims: spread(
        g / (count(x_shape, axis) or 1), x_shape, axis, keepdims
    )
)


@op
@_of_integers_too
@in_float32
def var(
    x: Array, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False
) -> Array:
    """The variance over `axis`: the sum of (x - mean)² divided by n - correction.

    It is NaN where that is not above 0, and of integers float32.

    >>> lucid.var(lucid.Tensor([1.0, 2.0, 3.0]), correction=1)
    Tensor(1.0)
    """
    result = namespace(x).var(x, axis=axis, correction=correction, keepdims=keepdims)
    return _or_nan(result, x, axis, correction)


def _or_nan(result: Array, x: Array, axis: Axis, correction: float) -> Array:
    """NaN in the place of what a library makes of a sum of squares divided by 0 or less."""
    too_few = count(x.shape, axis) <= correction
    return namespace(result).full_like(result, nan) if too_few else result


def _var_gradient(g: Array, x: Array, axis: Axis, correction: float, keepdims: bool) -> Array:
    g = kept(g, x.shape, axis, keepdims)
    freedom = count(x.shape, axis) - correction
    return g * (x - mean(x, axis=axis, keepdims=True)) * (2 / freedom if freedom > 0 else nan)


var.gradient(x=_var_gradient)


@op
@_of_integers_too
@in_float32
def std(
    x: Array, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False
) -> Array:
    """The standard deviation over `axis`: the root of the variance; its gradient at 0 is 0.

    It is NaN where n - correction is not above 0, and of integers float32.

    >>> lucid.std(lucid.Tensor([1.0, 2.0, 3.0]), correction=1)
    Tensor(1.0)
    """
    result = namespace(x).std(x, axis=axis, correction=correction, keepdims=keepdims)
    return _or_nan(result, x, axis, correction)


def _std_gradient(
    g: Array, y: Array, x: Array, axis: Axis, correction: float, keepdims: bool
) -> Array:
    flat = equal(y, 0)
    g = where(flat, zeros_like(g), g / (2 * where(flat, ones_like(y), y)))
    return _var_gradient(g, x, axis, correction, keepdims)


std.gradient(x=_std_gradient)
