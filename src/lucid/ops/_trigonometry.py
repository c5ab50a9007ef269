"""Functions of angles and their hyperbolic relatives, element by element."""

from __future__ import annotations

from .._arrays import Array, namespace
from .._op import op


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


@op(gradient=lambda g, y: g * (1 + y * y))
def tan(x: Array, /) -> Array:
    """The tangent of each element, in radians.

    >>> lucid.tan(lucid.Tensor([0.0, 1.0]))
    Tensor([0.0, 1.5574077])
    """
    return namespace(x).tan(x)


@op(gradient=lambda g, y: g - g * y * y)
def tanh(x: Array, /) -> Array:
    """The hyperbolic tangent of each element.

    >>> lucid.tanh(lucid.Tensor([0.0, 1.0]))
    Tensor([0.0, 0.7615942])
    """
    return namespace(x).tanh(x)
