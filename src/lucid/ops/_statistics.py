"""Mean, variance and standard deviation over some axes, or all of them."""

from __future__ import annotations

from math import nan

from .._arrays import Array, namespace
from .._op import op
from .._wide import in_float32, reduced
from ._axes import Axis, count, kept, spread
from ._comparison import equal, where
from ._like import ones_like, zeros_like


@op
def mean(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """The mean over `axis` (an axis, several, or None for all).

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
@in_float32
def var(
    x: Array, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False
) -> Array:
    """The variance over `axis`: the sum of (x - mean)² divided by n - correction.

    >>> lucid.var(lucid.Tensor([1.0, 2.0, 3.0]), correction=1)
    Tensor(1.0)
    """
    return namespace(x).var(x, axis=axis, correction=correction, keepdims=keepdims)


def _var_gradient(g: Array, x: Array, axis: Axis, correction: float, keepdims: bool) -> Array:
    g = kept(g, x.shape, axis, keepdims)
    freedom = count(x.shape, axis) - correction
    return g * (x - mean(x, axis=axis, keepdims=True)) * (2 / freedom if freedom > 0 else nan)


var.gradient(x=_var_gradient)


@op
@in_float32
def std(
    x: Array, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False
) -> Array:
    """The standard deviation over `axis`: the root of the variance; its gradient at 0 is 0.

    >>> lucid.std(lucid.Tensor([1.0, 2.0, 3.0]), correction=1)
    Tensor(1.0)
    """
    return namespace(x).std(x, axis=axis, correction=correction, keepdims=keepdims)


def _std_gradient(
    g: Array, y: Array, x: Array, axis: Axis, correction: float, keepdims: bool
) -> Array:
    flat = equal(y, 0)
    g = where(flat, zeros_like(g), g / (2 * where(flat, ones_like(y), y)))
    return _var_gradient(g, x, axis, correction, keepdims)


std.gradient(x=_std_gradient)
