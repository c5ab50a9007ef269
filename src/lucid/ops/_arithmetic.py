"""Arithmetic, size and sign. The tape sums a broadcast away, so no rule here does."""

from __future__ import annotations

from .._arrays import Array, is_complex, namespace
from .._op import op
from ._comparison import (
    equal,
    greater,
    greater_equal,
    less,
    less_equal,
    logical_and,
    logical_or,
    where,
)
from ._complex import conj, real
from ._like import ones_like, zeros_like


@op(halves=True)
def add(x1: Array, x2: Array, /) -> Array:
    """The sum x1 + x2, element by element; the shapes broadcast.

    >>> lucid.add(lucid.Tensor([1.0, 2.0]), 3.0)
    Tensor([4.0, 5.0])
    """
    return namespace(x1, x2).add(x1, x2)


add.gradient(x1=lambda g: g, x2=lambda g: g)


@op(halves=True)
def subtract(x1: Array, x2: Array, /) -> Array:
    """The difference x1 - x2, element by element; the shapes broadcast.

    >>> lucid.subtract(lucid.Tensor([1.0, 2.0]), 3.0)
    Tensor([-2.0, -1.0])
    """
    return namespace(x1, x2).subtract(x1, x2)


subtract.gradient(x1=lambda g: g, x2=lambda g: -g)


@op(along=())
def multiply(x1: Array, x2: Array, /) -> Array:
    """The product x1 · x2, element by element; the shapes broadcast.

    >>> lucid.multiply(lucid.Tensor([1.0, 2.0]), 3.0)
    Tensor([3.0, 6.0])
    """
    return namespace(x1, x2).multiply(x1, x2)


multiply.gradient(x1=lambda g, x2: g * x2, x2=lambda g, x1: g * x1)


@op(along=())
def divide(x1: Array, x2: Array, /) -> Array:
    """The quotient x1 / x2, element by element; the shapes broadcast.

    >>> lucid.divide(lucid.Tensor([1.0, 2.0]), 4.0)
    Tensor([0.25, 0.5])
    """
    return namespace(x1, x2).divide(x1, x2)


divide.gradient(x1=lambda g, x2: g / x2, x2=lambda g, y, x2: -(g * y) / x2)


@op(gradient=lambda g: -g, halves=True)
def negative(x: Array, /) -> Array:
    """The negative -x of each element.

    >>> lucid.negative(lucid.Tensor([1.0, -2.0]))
    Tensor([-1.0, 2.0])
    """
    return namespace(x).negative(x)


@op(gradient=lambda g: g, halves=True)
def positive(x: Array, /) -> Array:
    """Each element as it is.

    >>> lucid.positive(lucid.Tensor([1.0, -2.0]))
    Tensor([1.0, -2.0])
    """
    return namespace(x).positive(x)


@op(gradient=lambda g, y: -(g * y * y), along=())
def reciprocal(x: Array, /) -> Array:
    """The reciprocal 1 / x of each element.

    >>> lucid.reciprocal(lucid.Tensor([2.0, -4.0]))
    Tensor([0.5, -0.25])
    """
    return 1 / x  # what NumPy calls so leaves integers integers


@op(holomorphic=False, along=())
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


@op(holomorphic=False, along=())
def abs(x: Array, /) -> Array:
    """The absolute value |x| of each element; its gradient at 0 is 0.

    >>> lucid.abs(lucid.Tensor([1.0, -2.0]))
    Tensor([1.0, 2.0])
    """
    return namespace(x).abs(x)


abs.gradient(x=lambda g, x: g * sign(x))


@op(gradient=None)
def signbit(x: Array, /) -> Array:
    """Whether the sign of each element is negative, also that of -0.

    >>> lucid.signbit(lucid.Tensor([1.0, -2.0, -0.0]))
    Tensor([False, True, True])
    """
    return namespace(x).signbit(x)


@op(along=())
def copysign(x1: Array, x2: Array, /) -> Array:
    """The size of x1 with the sign of x2, also that of -0; its gradient at x1 = 0 is 0.

    >>> lucid.copysign(lucid.Tensor([1.0, -2.0]), -1.0)
    Tensor([-1.0, -2.0])
    """
    return namespace(x1, x2).copysign(x1, x2)


copysign.gradient(
    x1=lambda g, x1, y: g * sign(x1) * copysign(ones_like(y), y),
    x2=lambda g: zeros_like(g),
)


@op(gradient=None)
def _share(wins: Array, loses_not: Array, like: Array, /) -> Array:
    """1 where an argument wins, ½ where it ties: twenty times faster than `where` of numbers."""
    xp = namespace(like)
    share = xp.astype(wins, like.dtype)
    share += xp.astype(loses_not, like.dtype)
    share /= 2
    return share


@op(along=())
def maximum(x1: Array, x2: Array, /) -> Array:
    """The larger of x1 and x2, element by element; where they tie each gets half the gradient.

    >>> lucid.maximum(lucid.Tensor([1.0, 5.0]), 3.0)
    Tensor([3.0, 5.0])
    """
    return namespace(x1, x2).maximum(x1, x2)


maximum.gradient(
    x1=lambda g, x1, x2: g * _share(greater(x1, x2), greater_equal(x1, x2), g),
    x2=lambda g, x1, x2: g * _share(less(x1, x2), less_equal(x1, x2), g),
)


@op(along=())
def minimum(x1: Array, x2: Array, /) -> Array:
    """The smaller of x1 and x2, element by element; where they tie each gets half the gradient.

    >>> lucid.minimum(lucid.Tensor([1.0, 5.0]), 3.0)
    Tensor([1.0, 3.0])
    """
    return namespace(x1, x2).minimum(x1, x2)


minimum.gradient(
    x1=lambda g, x1, x2: g * _share(less(x1, x2), less_equal(x1, x2), g),
    x2=lambda g, x1, x2: g * _share(greater(x1, x2), greater_equal(x1, x2), g),
)


@op(along=())
def clip(x: Array, /, min: Array | None = None, max: Array | None = None) -> Array:
    """Each element limited to min ≤ x ≤ max; None is no limit.

    The gradient goes to x inside the limits, bounds included, and to a limit where it holds x.

    >>> lucid.clip(lucid.Tensor([-1.0, 0.5, 2.0]), 0, 1)
    Tensor([0.0, 0.5, 1.0])
    """
    xp = namespace(x, min, max)
    return xp.asarray(x, copy=True) if min is None and max is None else xp.clip(x, min, max)


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
