"""Whole numbers near others, and division with a remainder; steps have the gradient 0."""

from __future__ import annotations

from .._arrays import Array, is_differentiable, namespace
from .._op import op
from ._like import zeros_like


@op(gradient=lambda g: zeros_like(g), along=())
def floor(x: Array, /) -> Array:
    """The largest whole number that is not above each element.

    >>> lucid.floor(lucid.Tensor([1.5, -1.5]))
    Tensor([1.0, -2.0])
    """
    return namespace(x).floor(x) if is_differentiable(x.dtype) else x


@op(gradient=lambda g: zeros_like(g), along=())
def ceil(x: Array, /) -> Array:
    """The smallest whole number that is not below each element.

    >>> lucid.ceil(lucid.Tensor([1.5, -1.5]))
    Tensor([2.0, -1.0])
    """
    return namespace(x).ceil(x) if is_differentiable(x.dtype) else x


@op(gradient=lambda g: zeros_like(g), along=())
def trunc(x: Array, /) -> Array:
    """Each element without what stands behind its point: the whole number next to it towards 0.

    >>> lucid.trunc(lucid.Tensor([1.5, -1.5]))
    Tensor([1.0, -1.0])
    """
    return namespace(x).trunc(x) if is_differentiable(x.dtype) else x


@op(gradient=lambda g: zeros_like(g), along=())
def round(x: Array, /) -> Array:
    """The nearest whole number, of two the even one; of a complex number both parts.

    >>> lucid.round(lucid.Tensor([1.4, 1.5, 2.5]))
    Tensor([1.0, 2.0, 2.0])
    """
    return namespace(x).round(x) if is_differentiable(x.dtype) else x


@op(along=())
def floor_divide(x1: Array, x2: Array, /) -> Array:
    """⌊x1 / x2⌋, the largest whole number that is not above the quotient: the operator `//`.

    >>> lucid.floor_divide(lucid.Tensor([7.0, -7.0]), 2.0)
    Tensor([3.0, -4.0])
    """
    xp = namespace(x1, x2)
    y = xp.floor_divide(x1, x2)
    if not is_differentiable(y.dtype):
        return y
    # where a number is infinite, libraries do as Python does: ∞ // 2 is NaN, -1 // ∞ is -1
    quotient = x1 / x2
    limit = xp.logical_or(xp.isinf(quotient), quotient == 0)
    return xp.where(limit, quotient, y)


floor_divide.gradient(x1=lambda g: zeros_like(g), x2=lambda g: zeros_like(g))


@op(along=())
def remainder(x1: Array, x2: Array, /) -> Array:
    """x1 - ⌊x1 / x2⌋ · x2, which has the sign of x2: the operator `%`.

    >>> lucid.remainder(lucid.Tensor([7.0, -7.0]), 3.0)
    Tensor([1.0, 2.0])
    """
    return namespace(x1, x2).remainder(x1, x2)


remainder.gradient(x1=lambda g: g, x2=lambda g, x1, x2: -(g * floor_divide(x1, x2)))


@op(along=())
def nextafter(x1: Array, x2: Array, /) -> Array:
    """The number next to x1 in the direction of x2; the gradient is that of x1.

    >>> bool(lucid.nextafter(lucid.Tensor(1.0), 2.0) > 1)
    True
    """
    return namespace(x1, x2).nextafter(x1, x2)


nextafter.gradient(x1=lambda g: g, x2=lambda g: zeros_like(g))
