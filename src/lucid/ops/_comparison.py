"""Comparisons, logic, bits and tests of numbers, and the choice that they make."""

from __future__ import annotations

import numpy as np

from .._arrays import Array, asarray, is_array, namespace
from .._op import op
from .._tape import plain
from ._like import zeros_like


@op(gradient=None)
def equal(x1: Array, x2: Array, /) -> Array:
    """Whether x1 = x2, element by element.

    >>> lucid.equal(lucid.Tensor([1, 2]), 2)
    Tensor([False, True])
    """
    return namespace(x1, x2).equal(x1, x2)


@op(gradient=None)
def not_equal(x1: Array, x2: Array, /) -> Array:
    """Whether x1 ≠ x2, element by element.

    >>> lucid.not_equal(lucid.Tensor([1, 2]), 2)
    Tensor([True, False])
    """
    return namespace(x1, x2).not_equal(x1, x2)


@op(gradient=None)
def less(x1: Array, x2: Array, /) -> Array:
    """Whether x1 < x2, element by element.

    >>> lucid.less(lucid.Tensor([1, 2]), 2)
    Tensor([True, False])
    """
    return namespace(x1, x2).less(x1, x2)


@op(gradient=None)
def less_equal(x1: Array, x2: Array, /) -> Array:
    """Whether x1 ≤ x2, element by element.

    >>> lucid.less_equal(lucid.Tensor([1, 2]), 2)
    Tensor([True, True])
    """
    return namespace(x1, x2).less_equal(x1, x2)


@op(gradient=None)
def greater(x1: Array, x2: Array, /) -> Array:
    """Whether x1 > x2, element by element.

    >>> lucid.greater(lucid.Tensor([1, 2]), 1)
    Tensor([False, True])
    """
    return namespace(x1, x2).greater(x1, x2)


@op(gradient=None)
def greater_equal(x1: Array, x2: Array, /) -> Array:
    """Whether x1 ≥ x2, element by element.

    >>> lucid.greater_equal(lucid.Tensor([1, 2]), 1)
    Tensor([True, True])
    """
    return namespace(x1, x2).greater_equal(x1, x2)


@op(gradient=None)
def logical_and(x1: Array, x2: Array, /) -> Array:
    """Whether both of two truth values hold, element by element.

    >>> lucid.logical_and(lucid.Tensor([True, False]), lucid.Tensor([True, True]))
    Tensor([True, False])
    """
    return namespace(x1, x2).logical_and(x1, x2)


@op(gradient=None)
def logical_or(x1: Array, x2: Array, /) -> Array:
    """Whether one of two truth values holds, or both, element by element.

    >>> lucid.logical_or(lucid.Tensor([True, False]), lucid.Tensor([False, False]))
    Tensor([True, False])
    """
    return namespace(x1, x2).logical_or(x1, x2)


@op(gradient=None)
def logical_xor(x1: Array, x2: Array, /) -> Array:
    """Whether exactly one of two truth values holds, element by element.

    >>> lucid.logical_xor(lucid.Tensor([True, False]), lucid.Tensor([True, True]))
    Tensor([False, True])
    """
    return namespace(x1, x2).logical_xor(x1, x2)


@op(gradient=None)
def logical_not(x: Array, /) -> Array:
    """Whether a truth value does not hold, element by element.

    >>> lucid.logical_not(lucid.Tensor([True, False]))
    Tensor([False, True])
    """
    return namespace(x).logical_not(x)


@op(gradient=None)
def bitwise_and(x1: Array, x2: Array, /) -> Array:
    """The bits that both x1 and x2 have, of integers or truth values: the operator `&`.

    >>> lucid.bitwise_and(lucid.Tensor([6, 5]), 3)
    Tensor([2, 1])
    """
    return namespace(x1, x2).bitwise_and(x1, x2)


@op(gradient=None)
def bitwise_or(x1: Array, x2: Array, /) -> Array:
    """The bits that x1 or x2 has, of integers or truth values: the operator `|`.

    >>> lucid.bitwise_or(lucid.Tensor([6, 5]), 3)
    Tensor([7, 7])
    """
    return namespace(x1, x2).bitwise_or(x1, x2)


@op(gradient=None)
def bitwise_xor(x1: Array, x2: Array, /) -> Array:
    """The bits that one of x1 and x2 has, of integers or truth values: the operator `^`.

    >>> lucid.bitwise_xor(lucid.Tensor([6, 5]), 3)
    Tensor([5, 6])
    """
    return namespace(x1, x2).bitwise_xor(x1, x2)


@op(gradient=None)
def bitwise_invert(x: Array, /) -> Array:
    """The bits that x has not, of integers or truth values: the operator `~`.

    >>> lucid.bitwise_invert(lucid.Tensor([True, False]))
    Tensor([False, True])
    """
    return namespace(x).bitwise_invert(x)


@op(gradient=None)
def bitwise_left_shift(x1: Array, x2: Array, /) -> Array:
    """The bits of integers x1 moved up by x2 places, x1 · 2**x2: the operator `<<`.

    >>> lucid.bitwise_left_shift(lucid.Tensor([1, 3]), 2)
    Tensor([4, 12])
    """
    return namespace(x1, x2).bitwise_left_shift(x1, x2)


@op(gradient=None)
def bitwise_right_shift(x1: Array, x2: Array, /) -> Array:
    """The bits of integers x1 moved down by x2 places, ⌊x1 / 2**x2⌋: the operator `>>`.

    >>> lucid.bitwise_right_shift(lucid.Tensor([5, -5]), 1)
    Tensor([2, -3])
    """
    return namespace(x1, x2).bitwise_right_shift(x1, x2)


@op(gradient=None)
def isnan(x: Array, /) -> Array:
    """Whether each element is NaN.

    >>> lucid.isnan(lucid.Tensor([1.0, float("nan")]))
    Tensor([False, True])
    """
    return namespace(x).isnan(x)


@op(gradient=None)
def isinf(x: Array, /) -> Array:
    """Whether each element is infinite.

    >>> lucid.isinf(lucid.Tensor([1.0, float("inf")]))
    Tensor([False, True])
    """
    return namespace(x).isinf(x)


@op(gradient=None)
def isfinite(x: Array, /) -> Array:
    """Whether each element is a finite number.

    >>> lucid.isfinite(lucid.Tensor([1.0, float("inf")]))
    Tensor([True, False])
    """
    return namespace(x).isfinite(x)


@op(along=())
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


def is_nowhere(condition: Array) -> bool:
    """Whether no element of an array of NumPy is true; False where looking costs more than that."""
    condition = plain(condition)
    return type(condition) is np.ndarray and not condition.any()
