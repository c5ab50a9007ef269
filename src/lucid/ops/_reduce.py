"""Reductions over some axes, or all of them, and the running sum."""

from __future__ import annotations

from math import inf, nan
from math import prod as product_of

from .._arrays import Array, DType, namespace, native_dtype
from .._op import op
from ._create import astype, ones_like, zeros_like
from ._elementwise import equal, exp, isnan, logical_or, where
from ._movement import broadcast_to, concat, flip, permute_dims, reshape

Axis = int | tuple[int, ...] | None


def axes_of(axis: Axis, rank: int) -> tuple[int, ...]:
    """The axes that `axis` means, counted from 0."""
    if axis is None:
        return tuple(range(rank))
    if isinstance(axis, int):
        axis = (axis,)
    return tuple(each % rank for each in axis)


def _spread(g: Array, shape: tuple[int, ...], axis: Axis, keepdims: bool) -> Array:
    """A reduced array over the shape that it was reduced from."""
    return broadcast_to(_kept(g, shape, axis, keepdims), shape)


def _kept(g: Array, shape: tuple[int, ...], axis: Axis, keepdims: bool) -> Array:
    """A reduced array with its reduced axes as axes of size 1."""
    if keepdims or not shape:
        return g
    axes = axes_of(axis, len(shape))
    return reshape(g, tuple(1 if k in axes else size for k, size in enumerate(shape)))


def _count(shape: tuple[int, ...], axis: Axis) -> int:
    return product_of(shape[k] for k in axes_of(axis, len(shape)))


@op
def sum(x: Array, /, *, axis: Axis = None, dtype: DType = None, keepdims: bool = False) -> Array:
    """The sum over `axis` (an axis, several, or None for all).

    >>> lucid.sum(lucid.Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    Tensor([4.0, 6.0])
    """
    xp = namespace(x)
    return xp.sum(x, axis=axis, dtype=native_dtype(xp, dtype), keepdims=keepdims)


sum.gradient(x=lambda g, x_shape, axis, keepdims: _spread(g, x_shape, axis, keepdims))


@op
def mean(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """The mean over `axis` (an axis, several, or None for all).

    >>> lucid.mean(lucid.Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    Tensor([2.0, 3.0])
    """
    return namespace(x).mean(x, axis=axis, keepdims=keepdims)


mean.gradient(
    x=lambda g, x_shape, axis, keepdims: _spread(
        g / (_count(x_shape, axis) or 1), x_shape, axis, keepdims
    )
)


@op
def var(
    x: Array, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False
) -> Array:
    """The variance over `axis`: the sum of (x - mean)² divided by n - correction.

    >>> lucid.var(lucid.Tensor([1.0, 2.0, 3.0]), correction=1)
    Tensor(1.0)
    """
    return namespace(x).var(x, axis=axis, correction=correction, keepdims=keepdims)


def _var_gradient(g: Array, x: Array, axis: Axis, correction: float, keepdims: bool) -> Array:
    g = _kept(g, x.shape, axis, keepdims)
    freedom = _count(x.shape, axis) - correction
    return g * (x - mean(x, axis=axis, keepdims=True)) * (2 / freedom if freedom > 0 else nan)


var.gradient(x=_var_gradient)


@op
def std(
    x: Array, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False
) -> Array:
    """The standard deviation over `axis`: the root of the variance; its gradient at 0 is 0.

    >>> lucid.std(lucid.Tensor([1.0, 2.0, 3.0]), correction=1)
    Tensor(1.0)
    """
    return namespace(x).std(x, axis=axis, correction=correction, keepdims=keepdims)


def _std_gradient(
    g: Array, y: Array, x: Array, axis: Axis, correction: float, keepdims: bool
) -> Array:
    flat = equal(y, 0)
    g = where(flat, zeros_like(g), g / (2 * where(flat, ones_like(y), y)))
    return _var_gradient(g, x, axis, correction, keepdims)


std.gradient(x=_std_gradient)


@op
def max(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """The largest element over `axis`; elements that tie share the gradient evenly.

    >>> lucid.max(lucid.Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    Tensor([2.0, 4.0])
    """
    return namespace(x).max(x, axis=axis, keepdims=keepdims)


@op
def min(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """The smallest element over `axis`; elements that tie share the gradient evenly.

    >>> lucid.min(lucid.Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    Tensor([1.0, 3.0])
    """
    return namespace(x).min(x, axis=axis, keepdims=keepdims)


def _extreme_gradient(g: Array, y: Array, x: Array, axis: Axis, keepdims: bool) -> Array:
    extreme = logical_or(equal(x, _kept(y, x.shape, axis, keepdims)), isnan(x))
    chosen = astype(extreme, g.dtype)
    ties = sum(chosen, axis=axis, keepdims=True)
    return _kept(g, x.shape, axis, keepdims) * chosen / ties


max.gradient(x=_extreme_gradient)
min.gradient(x=_extreme_gradient)


@op
def prod(x: Array, /, *, axis: Axis = None, dtype: DType = None, keepdims: bool = False) -> Array:
    """The product over `axis`; its derivatives are right also where elements are 0.

    >>> lucid.prod(lucid.Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    Tensor([3.0, 8.0])
    """
    xp = namespace(x)
    return xp.prod(x, axis=axis, dtype=native_dtype(xp, dtype), keepdims=keepdims)


def _prod_gradient(g: Array, x: Array, axis: Axis, keepdims: bool) -> Array:
    # dx[k] = g · Π_{m ≠ k} x[m], without a division: the product before k times that after k
    if not x.shape:
        return g
    axes = axes_of(axis, len(x.shape))
    order = [k for k in range(len(x.shape)) if k not in axes] + list(axes)
    moved = permute_dims(x, tuple(order))
    flat = reshape(moved, (*moved.shape[: len(order) - len(axes)], _count(x.shape, axis)))
    others = _product_before(flat) * flip(_product_before(flip(flat, axis=-1)), axis=-1)
    back = tuple(order.index(k) for k in range(len(order)))
    others = permute_dims(reshape(others, moved.shape), back)
    return _kept(g, x.shape, axis, keepdims) * others


def _product_before(x: Array) -> Array:
    """Along the last axis, the product of all elements before each, by doubling its reach."""
    if not x.shape[-1]:
        return x
    result = concat([ones_like(x[..., :1]), x[..., :-1]], axis=-1)
    reach = 1
    while reach < x.shape[-1]:
        shifted = concat([ones_like(result[..., :reach]), result[..., :-reach]], axis=-1)
        result = result * shifted
        reach *= 2
    return result


prod.gradient(x=_prod_gradient)


@op
def logsumexp(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """log Σ eˣ over `axis`; no x overflows.

    >>> lucid.logsumexp(lucid.Tensor([1000.0, 1000.0]))
    Tensor(1000.6931)
    """
    xp = namespace(x)
    if 0 in [x.shape[k] for k in axes_of(axis, len(x.shape))]:
        return xp.full_like(xp.sum(x, axis=axis, keepdims=keepdims), -inf)
    top = xp.max(x, axis=axis, keepdims=True)
    finite = xp.isfinite(top)  # otherwise it is the result, and x - top may be ∞ - ∞
    below = xp.where(finite, x, xp.zeros_like(x)) - xp.where(finite, top, xp.zeros_like(top))
    total = xp.sum(xp.exp(below), axis=axis, keepdims=True)
    result = xp.where(finite, xp.log(total) + top, top)
    return result if keepdims else xp.squeeze(result, axis=axes_of(axis, len(x.shape)))


logsumexp.gradient(
    x=lambda g, y, x, axis, keepdims: (
        _kept(g, x.shape, axis, keepdims)
        * exp(x - _kept(where(equal(y, -inf), zeros_like(y), y), x.shape, axis, keepdims))
    )
)


@op
def all(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Whether all elements over `axis` are true (not zero).

    >>> lucid.all(lucid.Tensor([True, False]))
    Tensor(False)
    """
    return namespace(x).all(x, axis=axis, keepdims=keepdims)


@op
def any(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Whether any element over `axis` is true (not zero).

    >>> lucid.any(lucid.Tensor([True, False]))
    Tensor(True)
    """
    return namespace(x).any(x, axis=axis, keepdims=keepdims)


all.gradient(x=None)
any.gradient(x=None)


@op
def cumulative_sum(
    x: Array, /, *, axis: int | None = None, dtype: DType = None, include_initial: bool = False
) -> Array:
    """The running sum along `axis` (which may be left out in one dimension).

    With `include_initial` the result starts with a 0 and is longer by one.

    >>> lucid.cumulative_sum(lucid.Tensor([1.0, 2.0, 3.0]))
    Tensor([1.0, 3.0, 6.0])
    """
    xp = namespace(x)
    return xp.cumulative_sum(
        x, axis=axis, dtype=native_dtype(xp, dtype), include_initial=include_initial
    )


def _cumulative_sum_gradient(g: Array, axis: int | None, include_initial: bool) -> Array:
    # dx[k] = Σ_{m ≥ k} g[m]
    axis = 0 if axis is None else axis
    if include_initial:
        g = g[(slice(None),) * (axis % len(g.shape)) + (slice(1, None), ...)]
    return flip(cumulative_sum(flip(g, axis=axis), axis=axis), axis=axis)


cumulative_sum.gradient(x=_cumulative_sum_gradient)
