"""Powers, roots, exponentials and logarithms, element by element."""

from __future__ import annotations

from .._arrays import Array, is_complex, namespace
from .._op import op
from ._arithmetic import abs
from ._comparison import equal, less, logical_and, where
from ._like import full_like, ones_like, zeros_like


@op(gradient=lambda g, y: g * y)
def exp(x: Array, /) -> Array:
    """The exponential eˣ of each element.

    >>> lucid.exp(lucid.Tensor([0.0, 1.0]))
    Tensor([1.0, 2.7182817])
    """
    return namespace(x).exp(x)


@op(gradient=lambda g, x: g * exp(x))  # y + 1 would lose what is far below 1
def expm1(x: Array, /) -> Array:
    """eˣ - 1 of each element, exact also for small x.

    >>> lucid.expm1(lucid.Tensor([0.0, 1e-10]))
    Tensor([0.0, 1e-10])
    """
    return namespace(x).expm1(x)


@op(gradient=lambda g, x: g / x)
def log(x: Array, /) -> Array:
    """The natural logarithm of each element.

    >>> lucid.log(lucid.Tensor([1.0, 2.0]))
    Tensor([0.0, 0.6931472])
    """
    return namespace(x).log(x)


@op(gradient=lambda g, x: g / (1 + x))
def log1p(x: Array, /) -> Array:
    """log(1 + x) of each element, exact also for small x.

    >>> lucid.log1p(lucid.Tensor([0.0, 1e-10]))
    Tensor([0.0, 1e-10])
    """
    return namespace(x).log1p(x)


def logistic_density(x: Array) -> Array:
    """σ(x) · σ(-x), the slope of the logistic function, exact also where σ rounds to 1."""
    decay = exp(-abs(x))
    return decay / square(1 + decay)


@op(gradient=lambda g, x: g * logistic_density(x))
def sigmoid(x: Array, /) -> Array:
    """The logistic function 1 / (1 + e⁻ˣ) of each element; no x overflows.

    >>> lucid.sigmoid(lucid.Tensor([0.0, -200.0, 200.0]))
    Tensor([0.5, 0.0, 1.0])
    """
    xp = namespace(x)
    decay = xp.exp(-xp.abs(x))  # in (0, 1] on both sides of 0
    return xp.where(x < 0, decay, xp.ones_like(decay)) / (1 + decay)


@op(gradient=lambda g, x: 2 * g * x)
def square(x: Array, /) -> Array:
    """The square x² of each element.

    >>> lucid.square(lucid.Tensor([1.0, -2.0]))
    Tensor([1.0, 4.0])
    """
    return namespace(x).square(x)


@op(gradient=lambda g, y: g / (2 * y))
def sqrt(x: Array, /) -> Array:
    """The square root √x of each element.

    >>> lucid.sqrt(lucid.Tensor([1.0, 4.0]))
    Tensor([1.0, 2.0])
    """
    return namespace(x).sqrt(x)


@op
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
    constant = equal(x2, 0)
    return where(constant, zeros_like(g), g * x2 * x1 ** where(constant, ones_like(x2), x2 - 1))


def _pow_exponent(g: Array, y: Array, x1: Array, x2: Array) -> Array:
    # log(x1) · x1 ** x2, and its limit 0 where x1 = 0 and x2 ≥ 0
    base = x1 + zeros_like(y)
    slope = y * log(where(equal(base, 0), ones_like(y), base))
    if is_complex(slope.dtype):
        return g * slope
    pole = logical_and(equal(base, 0), less(x2, 0))
    return g * where(pole, full_like(y, -float("inf")), slope)


pow.gradient(x1=_pow_base, x2=_pow_exponent)
