"""Functions of angles and their hyperbolic relatives, element by element."""

from __future__ import annotations

from .._arrays import Array, is_complex, namespace
from .._op import op
from ._exponential import logistic_density


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


def _tanh_gradient(g: Array, y: Array, x: Array) -> Array:
    # 1 - tanh² x = 4 · σ(2x) · σ(-2x), which keeps its digits where tanh rounds to 1
    return g - g * y * y if is_complex(x.dtype) else g * (4 * logistic_density(2 * x))


@op(gradient=_tanh_gradient)
def tanh(x: Array, /) -> Array:
    """The hyperbolic tangent of each element.

    >>> lucid.tanh(lucid.Tensor([0.0, 1.0]))
    Tensor([0.0, 0.7615942])
    """
    return namespace(x).tanh(x)
