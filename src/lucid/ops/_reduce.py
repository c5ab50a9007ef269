"""Reductions over some axes, or all of them."""

from __future__ import annotations

from math import inf

import numpy as np

from .._arrays import Array, DType, is_half, namespace
from .._dtypes import finfo
from .._op import op
from .._wide import by_blocks, folded, reduced, rounded, widened
from ._axes import Axis, axes_of, count, kept, spread
from ._comparison import equal, isnan, logical_or, where
from ._cumulative import product_before
from ._exponential import exp
from ._like import astype, zeros_like
from ._movement import flip, permute_dims, reshape
from ._search import count_nonzero


@op(gradient=lambda g, x_shape, axis, keepdims: spread(g, x_shape, axis, keepdims))
def sum(x: Array, /, *, axis: Axis = None, dtype: DType = None, keepdims: bool = False) -> Array:
    """The sum over `axis` (an axis, several, or None for all), of small integers in int64.

    With `dtype` x is converted first; a sum of floating point in integers has no gradient.

    >>> lucid.sum(lucid.Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    Tensor([4.0, 6.0])
    """
    return reduced("sum", x, axis=axis, dtype=dtype, keepdims=keepdims)


@op(halves=True)
def max(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """The largest element over `axis`; elements that tie share the gradient evenly.

    >>> lucid.max(lucid.Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    Tensor([2.0, 4.0])
    """
    return namespace(x).max(x, axis=axis, keepdims=keepdims)


@op(halves=True)
def min(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """The smallest element over `axis`; elements that tie share the gradient evenly.

    >>> lucid.min(lucid.Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    Tensor([1.0, 3.0])
    """
    return namespace(x).min(x, axis=axis, keepdims=keepdims)


def _extreme_gradient(g: Array, y: Array, x: Array, axis: Axis, keepdims: bool) -> Array:
    g, y = (kept(each, x.shape, axis, keepdims) for each in (g, y))
    extreme = logical_or(equal(x, y), isnan(x))
    ties = count_nonzero(extreme, axis=axis, keepdims=True)
    return by_blocks(_evenly, g, extreme, ties)


def _evenly(g: Array, extreme: Array, ties: Array) -> Array:
    return g * astype(extreme, g.dtype) / astype(ties, g.dtype)


max.gradient(x=_extreme_gradient)
min.gradient(x=_extreme_gradient)


@op
def prod(x: Array, /, *, axis: Axis = None, dtype: DType = None, keepdims: bool = False) -> Array:
    """The product over `axis`; its derivatives are right also where elements are 0.

    With `dtype` x is converted first; a product of floating point in integers has no gradient.

    >>> lucid.prod(lucid.Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    Tensor([3.0, 8.0])
    """
    return reduced("prod", x, axis=axis, dtype=dtype, keepdims=keepdims)


def _prod_gradient(g: Array, x: Array, axis: Axis, keepdims: bool) -> Array:
    # dx[k] = g · Π_{m ≠ k} x[m], without a division: the product before k times that after k
    if not x.shape:
        return g
    g, x = kept(g, x.shape, axis, keepdims), astype(x, g.dtype, copy=False)
    if type(x) is np.ndarray:
        # A division is faster and as exact, where the product has all its digits. Its derivative is
        # not: the second in one element, 0, would be a difference of numbers that may be large.
        whole = prod(x, axis=axis, keepdims=True)
        if _has_all_digits(whole):
            return g * (whole / x)
    axes = axes_of(axis, len(x.shape))
    order = [k for k in range(len(x.shape)) if k not in axes] + list(axes)
    moved = permute_dims(x, tuple(order))
    flat = reshape(moved, (*moved.shape[: len(order) - len(axes)], count(x.shape, axis)))
    others = product_before(flat, -1) * flip(product_before(flip(flat, axis=-1), -1), axis=-1)
    back = tuple(order.index(k) for k in range(len(order)))
    return g * permute_dims(reshape(others, moved.shape), back)


def _has_all_digits(product: Array) -> bool:
    """Whether no product is 0, below the normal numbers, infinite or NaN."""
    size = np.abs(product)
    limits = finfo(size.dtype)
    return bool(((size >= limits.smallest_normal) & (size <= limits.max)).all())


prod.gradient(x=_prod_gradient)


@op(halves=True)
@rounded
def logsumexp(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """log Σ eˣ over `axis`; no x overflows.

    >>> lucid.logsumexp(lucid.Tensor([1000.0, 1000.0]))
    Tensor(1000.6931)
    """
    return _logsumexp(x, axis, keepdims)


def _logsumexp(x: Array, axis: Axis, keepdims: bool) -> Array:
    xp = namespace(x)
    if 0 in [x.shape[k] for k in axes_of(axis, len(x.shape))]:
        return xp.full_like(reduced("sum", x, axis=axis, keepdims=keepdims), -inf)
    top = xp.max(x, axis=axis, keepdims=True)
    finite = xp.isfinite(top)  # otherwise it is the result, and x - top may be ∞ - ∞
    level = xp.where(finite, top, xp.zeros_like(top))
    # log Σ eˣ = top + log(n + Σ e^(x - top)), the sum over those below the n largest: beside a 1
    # in the same sum they would lose their digits. Of the largest e^(x - top) - 1 is 0.
    rest = folded("sum", _below_top, x, level, finite, axis=axis, keepdims=True)
    ties = xp.count_nonzero(x == level, axis=axis, keepdims=True)
    rest += xp.where(finite, xp.astype(xp.asarray(ties - 1), rest.dtype), xp.zeros_like(rest))
    result = xp.where(finite, xp.log1p(rest) + level, top)
    return result if keepdims else xp.squeeze(result, axis=axes_of(axis, len(x.shape)))


def _below_top(x: Array, level: Array, finite: Array) -> Array:
    """e^(x - level), less 1 at the level."""
    xp = namespace(x)
    terms = xp.where(finite, x, xp.zeros_like(x)) - level
    largest = terms == 0
    terms = xp.exp(terms)
    terms -= xp.astype(largest, terms.dtype)
    return terms


def _recorded_logsumexp(x: Array, axis: Axis, keepdims: bool) -> Array:
    return logsumexp(widened(x), axis=axis, keepdims=keepdims)


def _logsumexp_gradient(g: Array, y: Array, x: Array, axis: Axis, keepdims: bool) -> Array:
    if is_half(x.dtype):  # y was rounded, and its exponential would be off by much
        is_plain = type(x) is np.ndarray
        y = (_logsumexp if is_plain else _recorded_logsumexp)(x, axis, keepdims)
    y = where(equal(y, -inf), zeros_like(y), y)
    g, y = (kept(each, x.shape, axis, keepdims) for each in (g, y))
    return by_blocks(lambda x, g, y: g * exp(x - y), x, g, y)


logsumexp.gradient(x=_logsumexp_gradient)


@op(gradient=None)
def all(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Whether all elements over `axis` are true (not zero).

    >>> lucid.all(lucid.Tensor([True, False]))
    Tensor(False)
    """
    return namespace(x).all(x, axis=axis, keepdims=keepdims)


@op(gradient=None)
def any(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Whether any element over `axis` is true (not zero).

    >>> lucid.any(lucid.Tensor([True, False]))
    Tensor(True)
    """
    return namespace(x).any(x, axis=axis, keepdims=keepdims)
