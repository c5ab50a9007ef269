"""Operations element by element. The tape sums a broadcast away, so no rule here does."""

from __future__ import annotations

from .._arrays import Array, asarray, is_array, is_complex, namespace
from .._op import op
from ._create import astype, full_like, ones_like, zeros_like

# Comparisons and tests: truth values, which have no gradient


@op
def equal(x1: Array, x2: Array, /) -> Array:
    """Whether x1 = x2, element by element.

    >>> lucid.equal(lucid.Tensor([1, 2]), 2)
    Tensor([False, True])
    """
    return namespace(x1, x2).equal(x1, x2)


@op
def not_equal(x1: Array, x2: Array, /) -> Array:
    """Whether x1 ≠ x2, element by element.

    >>> lucid.not_equal(lucid.Tensor([1, 2]), 2)
    Tensor([True, False])
    """
    return namespace(x1, x2).not_equal(x1, x2)


@op
def less(x1: Array, x2: Array, /) -> Array:
    """Whether x1 < x2, element by element.

    >>> lucid.less(lucid.Tensor([1, 2]), 2)
    Tensor([True, False])
    """
    return namespace(x1, x2).less(x1, x2)


@op
def less_equal(x1: Array, x2: Array, /) -> Array:
    """Whether x1 ≤ x2, element by element.

    >>> lucid.less_equal(lucid.Tensor([1, 2]), 2)
    Tensor([True, True])
    """
    return namespace(x1, x2).less_equal(x1, x2)


@op
def greater(x1: Array, x2: Array, /) -> Array:
    """Whether x1 > x2, element by element.

    >>> lucid.greater(lucid.Tensor([1, 2]), 1)
    Tensor([False, True])
    """
    return namespace(x1, x2).greater(x1, x2)


@op
def greater_equal(x1: Array, x2: Array, /) -> Array:
    """Whether x1 ≥ x2, element by element.

    >>> lucid.greater_equal(lucid.Tensor([1, 2]), 1)
    Tensor([True, True])
    """
    return namespace(x1, x2).greater_equal(x1, x2)


@op
def logical_and(x1: Array, x2: Array, /) -> Array:
    """Whether both of two truth values hold, element by element.

    >>> lucid.logical_and(lucid.Tensor([True, False]), lucid.Tensor([True, True]))
    Tensor([True, False])
    """
    return namespace(x1, x2).logical_and(x1, x2)


@op
def logical_or(x1: Array, x2: Array, /) -> Array:
    """Whether one of two truth values holds, or both, element by element.

    >>> lucid.logical_or(lucid.Tensor([True, False]), lucid.Tensor([False, False]))
    Tensor([True, False])
    """
    return namespace(x1, x2).logical_or(x1, x2)


@op
def logical_not(x: Array, /) -> Array:
    """Whether a truth value does not hold, element by element.

    >>> lucid.logical_not(lucid.Tensor([True, False]))
    Tensor([False, True])
    """
    return namespace(x).logical_not(x)


@op
def bitwise_and(x1: Array, x2: Array, /) -> Array:
    """The bits that both x1 and x2 have, of integers or truth values: the operator `&`.

    >>> lucid.bitwise_and(lucid.Tensor([6, 5]), 3)
    Tensor([2, 1])
    """
    return namespace(x1, x2).bitwise_and(x1, x2)


@op
def bitwise_or(x1: Array, x2: Array, /) -> Array:
    """The bits that x1 or x2 has, of integers or truth values: the operator `|`.

    >>> lucid.bitwise_or(lucid.Tensor([6, 5]), 3)
    Tensor([7, 7])
    """
    return namespace(x1, x2).bitwise_or(x1, x2)


@op
def bitwise_xor(x1: Array, x2: Array, /) -> Array:
    """The bits that one of x1 and x2 has, of integers or truth values: the operator `^`.

    >>> lucid.bitwise_xor(lucid.Tensor([6, 5]), 3)
    Tensor([5, 6])
    """
    return namespace(x1, x2).bitwise_xor(x1, x2)


@op
def bitwise_invert(x: Array, /) -> Array:
    """The bits that x has not, of integers or truth values: the operator `~`.

    >>> lucid.bitwise_invert(lucid.Tensor([True, False]))
    Tensor([False, True])
    """
    return namespace(x).bitwise_invert(x)


@op
def isnan(x: Array, /) -> Array:
    """Whether each element is NaN.

    >>> lucid.isnan(lucid.Tensor([1.0, float("nan")]))
    Tensor([False, True])
    """
    return namespace(x).isnan(x)


@op
def isinf(x: Array, /) -> Array:
    """Whether each element is infinite.

    >>> lucid.isinf(lucid.Tensor([1.0, float("inf")]))
    Tensor([False, True])
    """
    return namespace(x).isinf(x)


@op
def isfinite(x: Array, /) -> Array:
    """Whether each element is a finite number.

    >>> lucid.isfinite(lucid.Tensor([1.0, float("inf")]))
    Tensor([True, False])
    """
    return namespace(x).isfinite(x)


for comparison in (equal, not_equal, less, less_equal, greater, greater_equal):
    comparison.gradient(x1=None, x2=None)
for comparison in (logical_and, logical_or, bitwise_and, bitwise_or, bitwise_xor):
    comparison.gradient(x1=None, x2=None)
for test in (logical_not, bitwise_invert, isnan, isinf, isfinite):
    test.gradient(x=None)


@op
def where(condition: Array, x1: Array, x2: Array, /) -> Array:
    """x1 where the condition holds and x2 elsewhere; the shapes broadcast.

    >>> lucid.where(lucid.Tensor([True, False]), lucid.Tensor([1.0, 2.0]), 0.0)
    Tensor([1.0, 0.0])
    """
    xp = namespace(condition, x1, x2)
    if not is_array(x1) and not is_array(x2):
        x1 = xp.asarray(asarray(x1))  # numbers alone are float32
    return xp.where(condition, x1, x2)


where.gradient(
    condition=None,
    x1=lambda g, condition: where(condition, g, zeros_like(g)),
    x2=lambda g, condition: where(condition, zeros_like(g), g),
)


# Arithmetic


@op
def add(x1: Array, x2: Array, /) -> Array:
    """The sum x1 + x2, element by element; the shapes broadcast.

    >>> lucid.add(lucid.Tensor([1.0, 2.0]), 3.0)
    Tensor([4.0, 5.0])
    """
    return namespace(x1, x2).add(x1, x2)


add.gradient(x1=lambda g: g, x2=lambda g: g)


@op
def subtract(x1: Array, x2: Array, /) -> Array:
    """The difference x1 - x2, element by element; the shapes broadcast.

    >>> lucid.subtract(lucid.Tensor([1.0, 2.0]), 3.0)
    Tensor([-2.0, -1.0])
    """
    return namespace(x1, x2).subtract(x1, x2)


subtract.gradient(x1=lambda g: g, x2=lambda g: -g)


@op
def multiply(x1: Array, x2: Array, /) -> Array:
    """The product x1 · x2, element by element; the shapes broadcast.

    >>> lucid.multiply(lucid.Tensor([1.0, 2.0]), 3.0)
    Tensor([3.0, 6.0])
    """
    return namespace(x1, x2).multiply(x1, x2)


multiply.gradient(x1=lambda g, x2: g * x2, x2=lambda g, x1: g * x1)


@op
def divide(x1: Array, x2: Array, /) -> Array:
    """The quotient x1 / x2, element by element; the shapes broadcast.

    >>> lucid.divide(lucid.Tensor([1.0, 2.0]), 4.0)
    Tensor([0.25, 0.5])
    """
    return namespace(x1, x2).divide(x1, x2)


divide.gradient(x1=lambda g, x2: g / x2, x2=lambda g, y, x2: -(g * y) / x2)


@op
def negative(x: Array, /) -> Array:
    """The negative -x of each element.

    >>> lucid.negative(lucid.Tensor([1.0, -2.0]))
    Tensor([-1.0, 2.0])
    """
    return namespace(x).negative(x)


negative.gradient(x=lambda g: -g)


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


@op
def square(x: Array, /) -> Array:
    """The square x² of each element.

    >>> lucid.square(lucid.Tensor([1.0, -2.0]))
    Tensor([1.0, 4.0])
    """
    return namespace(x).square(x)


square.gradient(x=lambda g, x: 2 * g * x)


@op
def sqrt(x: Array, /) -> Array:
    """The square root √x of each element.

    >>> lucid.sqrt(lucid.Tensor([1.0, 4.0]))
    Tensor([1.0, 2.0])
    """
    return namespace(x).sqrt(x)


sqrt.gradient(x=lambda g, y: g / (2 * y))


# Exponentials


@op
def exp(x: Array, /) -> Array:
    """The exponential eˣ of each element.

    >>> lucid.exp(lucid.Tensor([0.0, 1.0]))
    Tensor([1.0, 2.7182817])
    """
    return namespace(x).exp(x)


exp.gradient(x=lambda g, y: g * y)


@op
def expm1(x: Array, /) -> Array:
    """eˣ - 1 of each element, exact also for small x.

    >>> lucid.expm1(lucid.Tensor([0.0, 1e-10]))
    Tensor([0.0, 1e-10])
    """
    return namespace(x).expm1(x)


expm1.gradient(x=lambda g, y: g * (y + 1))


@op
def log(x: Array, /) -> Array:
    """The natural logarithm of each element.

    >>> lucid.log(lucid.Tensor([1.0, 2.0]))
    Tensor([0.0, 0.6931472])
    """
    return namespace(x).log(x)


log.gradient(x=lambda g, x: g / x)


@op
def log1p(x: Array, /) -> Array:
    """log(1 + x) of each element, exact also for small x.

    >>> lucid.log1p(lucid.Tensor([0.0, 1e-10]))
    Tensor([0.0, 1e-10])
    """
    return namespace(x).log1p(x)


log1p.gradient(x=lambda g, x: g / (1 + x))


@op
def tanh(x: Array, /) -> Array:
    """The hyperbolic tangent of each element.

    >>> lucid.tanh(lucid.Tensor([0.0, 1.0]))
    Tensor([0.0, 0.7615942])
    """
    return namespace(x).tanh(x)


tanh.gradient(x=lambda g, y: g - g * y * y)


@op
def sigmoid(x: Array, /) -> Array:
    """The logistic function 1 / (1 + e⁻ˣ) of each element; no x overflows.

    >>> lucid.sigmoid(lucid.Tensor([0.0, -200.0, 200.0]))
    Tensor([0.5, 0.0, 1.0])
    """
    xp = namespace(x)
    decay = xp.exp(-xp.abs(x))  # in (0, 1] on both sides of 0
    return xp.where(x < 0, decay, xp.ones_like(decay)) / (1 + decay)


sigmoid.gradient(x=lambda g, y: g * y * (1 - y))


# Trigonometry


@op
def sin(x: Array, /) -> Array:
    """The sine of each element, in radians.

    >>> lucid.sin(lucid.Tensor([0.0, 1.0]))
    Tensor([0.0, 0.84147096])
    """
    return namespace(x).sin(x)


@op
def cos(x: Array, /) -> Array:
    """The cosine of each element, in radians.

    >>> lucid.cos(lucid.Tensor([0.0, 1.0]))
    Tensor([1.0, 0.5403023])
    """
    return namespace(x).cos(x)


sin.gradient(x=lambda g, x: g * cos(x))
cos.gradient(x=lambda g, x: -(g * sin(x)))


# Size and sign


@op(holomorphic=False)
def sign(x: Array, /) -> Array:
    """The sign of each element: -1, 0 or 1; of a complex number x / |x|.

    >>> lucid.sign(lucid.Tensor([3.0, 0.0, -2.0]))
    Tensor([1.0, 0.0, -1.0])
    """
    return namespace(x).sign(x)


def _sign_gradient(g: Array, x: Array, y: Array) -> Array:
    if not is_complex(x.dtype):
        return zeros_like(g)
    # only the part of dx across the direction of x turns x / |x|
    across = g - y * real(conj(y) * g)
    zero = equal(x, 0)
    return where(zero, zeros_like(g), across / where(zero, ones_like(abs(x)), abs(x)))


sign.gradient(x=_sign_gradient)


@op(holomorphic=False)
def abs(x: Array, /) -> Array:
    """The absolute value |x| of each element; its gradient at 0 is 0.

    >>> lucid.abs(lucid.Tensor([1.0, -2.0]))
    Tensor([1.0, 2.0])
    """
    return namespace(x).abs(x)


abs.gradient(x=lambda g, x: g * sign(x))


@op
def maximum(x1: Array, x2: Array, /) -> Array:
    """The larger of x1 and x2, element by element; where they tie each gets half the gradient.

    >>> lucid.maximum(lucid.Tensor([1.0, 5.0]), 3.0)
    Tensor([3.0, 5.0])
    """
    return namespace(x1, x2).maximum(x1, x2)


maximum.gradient(
    x1=lambda g, x1, x2: g * _share(greater(x1, x2), equal(x1, x2), g),
    x2=lambda g, x1, x2: g * _share(less(x1, x2), equal(x1, x2), g),
)


@op
def minimum(x1: Array, x2: Array, /) -> Array:
    """The smaller of x1 and x2, element by element; where they tie each gets half the gradient.

    >>> lucid.minimum(lucid.Tensor([1.0, 5.0]), 3.0)
    Tensor([1.0, 3.0])
    """
    return namespace(x1, x2).minimum(x1, x2)


minimum.gradient(
    x1=lambda g, x1, x2: g * _share(less(x1, x2), equal(x1, x2), g),
    x2=lambda g, x1, x2: g * _share(greater(x1, x2), equal(x1, x2), g),
)


def _share(wins: Array, ties: Array, g: Array) -> Array:
    """1 where an argument wins, ½ where it ties."""
    return where(ties, full_like(g, 0.5), where(wins, ones_like(g), zeros_like(g)))


@op
def clip(x: Array, /, min: Array | None = None, max: Array | None = None) -> Array:
    """Each element limited to min ≤ x ≤ max; None is no limit.

    The gradient goes to x inside the limits, bounds included, and to a limit where it holds x.

    >>> lucid.clip(lucid.Tensor([-1.0, 0.5, 2.0]), 0, 1)
    Tensor([0.0, 0.5, 1.0])
    """
    return namespace(x, min, max).clip(x, min, max)


def _inside(x: Array, min: Array | None, max: Array | None) -> Array:
    low = equal(x, x) if min is None else greater_equal(x, min)
    return low if max is None else logical_and(low, less_equal(x, max))


clip.gradient(
    x=lambda g, x, min, max: where(_inside(x, min, max), g, zeros_like(g)),
    min=lambda g, x, min, max: where(
        less(x, min) if max is None else logical_and(less(x, min), less_equal(min, max)),
        g,
        zeros_like(g),
    ),
    max=lambda g, x, min, max: where(
        greater(x, max) if min is None else logical_or(greater(x, max), greater(min, max)),
        g,
        zeros_like(g),
    ),
)


# Complex numbers. The rules follow the convention of the conjugate Wirtinger derivative.


@op(holomorphic=False)
def real(x: Array, /) -> Array:
    """The real part of each element.

    >>> lucid.real(lucid.Tensor([1 + 2j]))
    Tensor([1.0])
    """
    return namespace(x).real(x)


real.gradient(x=lambda g: g)


@op(holomorphic=False)
def imag(x: Array, /) -> Array:
    """The imaginary part of each element.

    >>> lucid.imag(lucid.Tensor([1 + 2j]))
    Tensor([2.0])
    """
    return namespace(x).imag(x)


imag.gradient(x=lambda g, x_dtype: astype(g, x_dtype) * 1j)


@op(holomorphic=False)
def conj(x: Array, /) -> Array:
    """The complex conjugate of each element.

    >>> lucid.conj(lucid.Tensor([1 + 2j]))
    Tensor([(1-2j)])
    """
    return namespace(x).conj(x) if is_complex(x.dtype) else x


conj.gradient(x=lambda g: conj(g))
