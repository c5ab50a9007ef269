"""Mean, variance and standard deviation over some axes, or all of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from math import nan
from typing import Any
from warnings import warn

import numpy as np

from .._arrays import Array, as_real, is_complex, is_differentiable, namespace
from .._op import op
from .._wide import by_blocks, folded, reduced, rounded, wide_mean, widened
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


@op(halves=True)
@_of_integers_too
@rounded
def var(
    x: Array, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False
) -> Array:
    """The variance over `axis`: the sum of (x - mean)² divided by n - correction.

    It is NaN where that is not above 0, and of integers float32.

    >>> lucid.var(lucid.Tensor([1.0, 2.0, 3.0]), correction=1)
    Tensor(1.0)
    """
    return _variance(x, axis, correction, keepdims)


def _variance(x: Array, axis: Axis, correction: float, keepdims: bool) -> Array:
    """The variance, of halves in float32."""
    xp, n = namespace(x), count(x.shape, axis)
    if n <= correction:
        if xp is np:
            said = f"Degrees of freedom <= 0: {n} elements, correction={correction}"
            warn(said, RuntimeWarning, stacklevel=4)
        sizes = folded("sum", xp.abs, x, axis=axis, keepdims=keepdims)
        return xp.full_like(sizes, nan)
    centre = wide_mean(x, axis=axis, keepdims=True)
    squares = folded("sum", _squared_distance, x, centre, axis=axis, keepdims=keepdims)
    return squares / (n - correction)


def _squared_distance(x: Array, centre: Array) -> Array:
    distance = x - centre
    if is_complex(distance.dtype):
        xp = namespace(distance)
        return xp.real(distance) ** 2 + xp.imag(distance) ** 2
    distance *= distance
    return distance


def _var_gradient(g: Array, x: Array, axis: Axis, correction: float, keepdims: bool) -> Array:
    freedom = count(x.shape, axis) - correction
    slope = 2 / freedom if freedom > 0 else nan
    centre = wide_mean(x, axis=axis, keepdims=True)
    g = kept(g, x.shape, axis, keepdims)
    return by_blocks(lambda x, g, centre: g * (x - centre) * slope, x, g, centre)


var.gradient(x=_var_gradient)


@op(halves=True)
@_of_integers_too
@rounded
def std(
    x: Array, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False
) -> Array:
    """The standard deviation over `axis`: the root of the variance; its gradient at 0 is 0.

    It is NaN where n - correction is not above 0, and of integers float32.

    >>> lucid.std(lucid.Tensor([1.0, 2.0, 3.0]), correction=1)
    Tensor(1.0)
    """
    return namespace(x).sqrt(_variance(x, axis, correction, keepdims))


def _std_gradient(
    g: Array, y: Array, x: Array, axis: Axis, correction: float, keepdims: bool
) -> Array:
    g, y = widened(g), widened(y)
    flat = equal(y, 0)
    g = where(flat, zeros_like(g), g / (2 * where(flat, ones_like(y), y)))
    return _var_gradient(g, x, axis, correction, keepdims)


std.gradient(x=_std_gradient)
