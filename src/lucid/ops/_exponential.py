"""Powers, roots, exponentials and logarithms, element by element."""

from __future__ import annotations

from math import log as log_of

from .._arrays import Array, is_array, is_complex, namespace
from .._dtypes import finfo
from .._op import op
from ._arithmetic import abs
from ._comparison import equal, is_nowhere, isinf, less, logical_and, where
from ._like import full_like, ones_like, zeros_like


@op(gradient=lambda g, y: g * y, along=())
def exp(x: Array, /) -> Array:
    """The exponential eˣ of each element.

    >>> lucid.exp(lucid.Tensor([0.0, 1.0]))
    Tensor([1.0, 2.7182817])
    """
    return namespace(x).exp(x)


@op(gradient=lambda g, x: g * exp(x), along=())  # y + 1 would lose what is far below 1
def expm1(x: Array, /) -> Array:
    """eˣ - 1 of each element, exact also for small x.

    >>> lucid.expm1(lucid.Tensor([0.0, 1e-10]))
    Tensor([0.0, 1e-10])
    """
    xp = namespace(x)
    if not is_complex(x.dtype):
        return xp.expm1(x)
    # eˣ knows what infinity becomes, and leaves no -0 at 0
    usual, zero = xp.logical_and(xp.isfinite(x), x != 0), xp.zeros_like(x)
    return xp.where(usual, xp.expm1(xp.where(usual, x, zero)), xp.exp(xp.where(usual, zero, x)) - 1)


@op(gradient=lambda g, x: g / x, along=())
def log(x: Array, /) -> Array:
    """The natural logarithm of each element.

    >>> lucid.log(lucid.Tensor([1.0, 2.0]))
    Tensor([0.0, 0.6931472])
    """
    return namespace(x).log(x)


@op(gradient=lambda g, x: g / (1 + x), along=())
def log1p(x: Array, /) -> Array:
    """log(1 + x) of each element, exact also for small x.

    >>> lucid.log1p(lucid.Tensor([0.0, 1e-10]))
    Tensor([0.0, 1e-10])
    """
    return namespace(x).log1p(x)


@op(gradient=lambda g, x: g / (x * log_of(2)), along=())
def log2(x: Array, /) -> Array:
    """The logarithm to base 2 of each element.

    >>> lucid.log2(lucid.Tensor([1.0, 8.0]))
    Tensor([0.0, 3.0])
    """
    return namespace(x).log2(x)


@op(gradient=lambda g, x: g / (x * log_of(10)), along=())
def log10(x: Array, /) -> Array:
    """The logarithm to base 10 of each element.

    >>> lucid.log10(lucid.Tensor([1.0, 1000.0]))
    Tensor([0.0, 3.0])
    """
    return namespace(x).log10(x)


@op(along=())
def logaddexp(x1: Array, x2: Array, /) -> Array:
    """log(eˣ¹ + eˣ²), element by element; nothing overflows, and the shapes broadcast.

    Where both are -∞ the gradient is 0, where both are ∞ each gets half.

    >>> lucid.logaddexp(lucid.Tensor([0.0, 1000.0]), 1000.0)
    Tensor([1000.0, 1000.6931])
    """
    return namespace(x1, x2).logaddexp(x1, x2)


def _share_of_sum(one: Array, other: Array, y: Array) -> Array:
    """eˣ¹ / (eˣ¹ + eˣ²) = σ(x1 - x2), also where both are infinite."""
    one, other = one + zeros_like(y), other + zeros_like(y)
    alike = logical_and(equal(one, other), isinf(one))
    nothing = logical_and(alike, less(one, 0))
    zero = zeros_like(one)
    share = sigmoid(where(alike, zero, one) - where(alike, zero, other))
    return where(nothing, zero, share)


logaddexp.gradient(
    x1=lambda g, y, x1, x2: g * _share_of_sum(x1, x2, y),
    x2=lambda g, y, x1, x2: g * _share_of_sum(x2, x1, y),
)


def logistic_density(x: Array) -> Array:
    """σ(x) · σ(-x), the slope of the logistic function, exact also where σ rounds to 1."""
    decay = exp(-abs(x))
    return decay / square(1 + decay)


@op(gradient=lambda g, x: g * logistic_density(x), along=())
def sigmoid(x: Array, /) -> Array:
    """The logistic function 1 / (1 + e⁻ˣ) of each element; no x overflows.

    >>> lucid.sigmoid(lucid.Tensor([0.0, -200.0, 200.0]))
    Tensor([0.5, 0.0, 1.0])
    """
    xp = namespace(x)
    decay = xp.exp(-xp.abs(x))  # in (0, 1] on both sides of 0
    return xp.where(x < 0, decay, xp.ones_like(decay)) / (1 + decay)


@op(gradient=lambda g, x: 2 * g * x, along=())
def square(x: Array, /) -> Array:
    """The square x² of each element.

    >>> lucid.square(lucid.Tensor([1.0, -2.0]))
    Tensor([1.0, 4.0])
    """
    return namespace(x).square(x)


@op(gradient=lambda g, y: g / (2 * y), along=())
def sqrt(x: Array, /) -> Array:
    """The square root √x of each element.

    >>> lucid.sqrt(lucid.Tensor([1.0, 4.0]))
    Tensor([1.0, 2.0])
    """
    return namespace(x).sqrt(x)


@op(along=())
def hypot(x1: Array, x2: Array, /) -> Array:
    """√(x1² + x2²), element by element; nothing overflows, and the gradient at (0, 0) is 0.

    >>> lucid.hypot(lucid.Tensor([3.0, 0.0]), lucid.Tensor([4.0, 0.0]))
    Tensor([5.0, 0.0])
    """
    return namespace(x1, x2).hypot(x1, x2)


def over_radius(x: Array, radius: Array) -> Array:
    """x / radius, and 0 where the radius is 0."""
    zero = equal(radius, 0)
    return where(zero, zeros_like(radius), x / where(zero, ones_like(radius), radius))


hypot.gradient(
    x1=lambda g, y, x1: g * over_radius(x1, y),
    x2=lambda g, y, x2: g * over_radius(x2, y),
)


@op(along=())
def pow(x1: Array, x2: Array, /) -> Array:
    """The power x1 ** x2, element by element; the shapes broadcast.

    At x1 = 0 the gradient is 0 in x1 for x2 = 0, and 0 in x2 for x2 ≥ 0.

    >>> lucid.pow(lucid.Tensor([1.0, 2.0, 3.0]), 2)
    Tensor([1.0, 4.0, 9.0])
    """
    return namespace(x1, x2).pow(x1, x2)


def _pow_base(g: Array, x1: Array, x2: Array) -> Array:
    # x2 · x1 ** (x2 - 1), without 0 ** -1 where the power is constant
    if isinstance(x2, (int, float, complex)):
        return g * x2 * x1 ** (x2 - 1) if x2 != 0 else zeros_like(x1)
    at_zero = logical_and(equal(x2, 0), less(abs(x1), finfo(x1.dtype).smallest_normal))
    if is_nowhere(at_zero):
        return g * x2 * x1 ** (x2 - 1)
    return where(at_zero, zeros_like(g), g * x2 * x1 ** where(at_zero, ones_like(x2), x2 - 1))


def _pow_exponent(g: Array, y: Array, x1: Array, x2: Array) -> Array:
    # log(x1) · x1 ** x2, and its limit 0 where x1 = 0 and x2 ≥ 0
    x1 = x1 if is_array(x1) else full_like(y, x1)
    at_zero = equal(x1, 0)
    if is_nowhere(at_zero):
        return g * y * log(x1)
    slope = y * log(where(at_zero, ones_like(y), x1))
    if is_complex(slope.dtype):
        return g * slope
    pole = logical_and(at_zero, less(x2, 0))
    return g * where(pole, full_like(y, -float("inf")), slope)


pow.gradient(x1=_pow_base, x2=_pow_exponent)
