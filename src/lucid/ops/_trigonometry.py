"""Functions of angles and their hyperbolic relatives, element by element."""

from __future__ import annotations

from .._arrays import Array, is_complex, namespace
from .._op import op
from ._exponential import hypot, over_radius, sqrt
from ._like import ones_like


@op(along=())
def sin(x: Array, /) -> Array:
    """The sine of each element, in radians.

    >>> lucid.sin(lucid.Tensor([0.0, 1.0]))
    Tensor([0.0, 0.84147096])
    """
    return namespace(x).sin(x)


@op(along=())
def cos(x: Array, /) -> Array:
    """The cosine of each element, in radians.

    >>> lucid.cos(lucid.Tensor([0.0, 1.0]))
    Tensor([1.0, 0.5403023])
    """
    return namespace(x).cos(x)


sin.gradient(x=lambda g, x: g * cos(x))
cos.gradient(x=lambda g, x: -(g * sin(x)))


@op(gradient=lambda g, y: g * (1 + y * y), along=())
def tan(x: Array, /) -> Array:
    """The tangent of each element, in radians.

    >>> lucid.tan(lucid.Tensor([0.0, 1.0]))
    Tensor([0.0, 1.5574077])
    """
    return namespace(x).tan(x)


@op(gradient=lambda g, y: g - g * y * y, along=())
def tanh(x: Array, /) -> Array:
    """The hyperbolic tangent of each element.

    >>> lucid.tanh(lucid.Tensor([0.0, 1.0]))
    Tensor([0.0, 0.7615942])
    """
    return namespace(x).tanh(x)


@op(along=())
def sinh(x: Array, /) -> Array:
    """The hyperbolic sine of each element.

    >>> lucid.sinh(lucid.Tensor([0.0, 1.0]))
    Tensor([0.0, 1.1752012])
    """
    return namespace(x).sinh(x)


@op(along=())
def cosh(x: Array, /) -> Array:
    """The hyperbolic cosine of each element.

    >>> lucid.cosh(lucid.Tensor([0.0, 1.0]))
    Tensor([1.0, 1.5430806])
    """
    return namespace(x).cosh(x)


sinh.gradient(x=lambda g, x: g * cosh(x))
cosh.gradient(x=lambda g, x: g * sinh(x))


@op(gradient=lambda g, x: g / _beside_one(x), along=())
def asin(x: Array, /) -> Array:
    """The angle, from -π/2 to π/2, whose sine each element is.

    >>> lucid.asin(lucid.Tensor([0.0, 1.0]))
    Tensor([0.0, 1.5707964])
    """
    return namespace(x).asin(x)


@op(gradient=lambda g, x: -g / _beside_one(x), along=())
def acos(x: Array, /) -> Array:
    """The angle, from 0 to π, whose cosine each element is.

    >>> lucid.acos(lucid.Tensor([0.0, 1.0]))
    Tensor([1.5707964, 0.0])
    """
    return namespace(x).acos(x)


def _beside_one(x: Array) -> Array:
    # √(1 - x²): in two factors, nothing cancels near 1, and complex numbers keep to the branch
    return sqrt(1 - x) * sqrt(1 + x)


@op(gradient=lambda g, x: g / (1 + x * x), along=())
def atan(x: Array, /) -> Array:
    """The angle, from -π/2 to π/2, whose tangent each element is.

    >>> lucid.atan(lucid.Tensor([0.0, 1.0]))
    Tensor([0.0, 0.7853982])
    """
    return namespace(x).atan(x)


@op(along=())
def atan2(x1: Array, x2: Array, /) -> Array:
    """The angle, from -π to π, of the point at height x1 over x2; its gradient at (0, 0) is 0.

    >>> lucid.atan2(lucid.Tensor([1.0, 1.0]), lucid.Tensor([1.0, -1.0]))
    Tensor([0.7853982, 2.3561945])
    """
    return namespace(x1, x2).atan2(x1, x2)


def _turn(g: Array, across: Array, x1: Array, x2: Array) -> Array:
    """g · across / (x1² + x2²), and 0 at the origin; no square is taken, which could overflow."""
    radius = hypot(x1, x2)
    return over_radius(over_radius(g * across, radius), radius)


atan2.gradient(
    x1=lambda g, x1, x2: _turn(g, x2, x1, x2),
    x2=lambda g, x1, x2: -_turn(g, x1, x1, x2),
)


@op(along=())
def asinh(x: Array, /) -> Array:
    """The number whose hyperbolic sine each element is.

    >>> lucid.asinh(lucid.Tensor([0.0, 1.0]))
    Tensor([0.0, 0.8813736])
    """
    return namespace(x).asinh(x)


def _asinh_gradient(g: Array, x: Array) -> Array:
    # √(1 + x²), without the square where numbers are real
    return g / (sqrt(1 + x * x) if is_complex(x.dtype) else hypot(x, ones_like(x)))


asinh.gradient(x=_asinh_gradient)


def _acosh_gradient(g: Array, x: Array) -> Array:
    return g / (sqrt(x - 1) * sqrt(x + 1))  # as above


@op(gradient=_acosh_gradient, along=())
def acosh(x: Array, /) -> Array:
    """The number, 0 or more, whose hyperbolic cosine each element is.

    >>> lucid.acosh(lucid.Tensor([1.0, 2.0]))
    Tensor([0.0, 1.316958])
    """
    return namespace(x).acosh(x)


@op(gradient=lambda g, x: g / ((1 - x) * (1 + x)), along=())
def atanh(x: Array, /) -> Array:
    """The number whose hyperbolic tangent each element is.

    >>> lucid.atanh(lucid.Tensor([0.0, 0.5]))
    Tensor([0.0, 0.54930615])
    """
    return namespace(x).atanh(x)
