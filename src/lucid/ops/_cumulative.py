"""Running sums and products along an axis, and differences."""

from __future__ import annotations

from typing import Any

from .._arguments import COUNT, check
from .._arrays import Array, DType, Numbers, is_array, kind, namespace
from .._blocks import Running, is_large
from .._errors import ArgumentError, ShapeError
from .._op import op
from .._shapes import check_axis
from .._tape import beside, operand
from .._wide import in_float32, reduced, widened
from ._comparison import not_equal
from ._like import astype, zeros_like
from ._movement import broadcast_to, concat, flip


@op(halves=True)
def cumulative_sum(
    x: Array, /, *, axis: int | None = None, dtype: DType = None, include_initial: bool = False
) -> Array:
    """The running sum along `axis` (which may be left out in one dimension).

    With `include_initial` the result starts with a 0 and is longer by one.

    >>> lucid.cumulative_sum(lucid.Tensor([1.0, 2.0, 3.0]))
    Tensor([1.0, 3.0, 6.0])
    """
    return _running("cumulative_sum", x, axis, dtype, include_initial)


def _running(name: str, x: Array, axis: int | None, dtype: DType, include_initial: bool) -> Array:
    if not x.shape:
        raise ShapeError(
            f"{name}: x has no axes, there is nothing to run along; reshape it to (1,)"
        )
    if axis is None and len(x.shape) != 1:
        raise ArgumentError(
            f"{name}: x {tuple(x.shape)} has {len(x.shape)} axes; say along which with axis=..."
        )
    return reduced(name, x, dtype=dtype, axis=axis, include_initial=include_initial)


def _cumulative_sum_gradient(g: Array, axis: int | None, include_initial: bool) -> Array:
    # dx[k] = Σ_{m ≥ k} g[m]
    axis = 0 if axis is None else axis
    if include_initial:
        g = _cut(g, axis, 1, None)
    if is_large((g,)):
        return Running("cumulative_sum", g, axis, backwards=True)
    return flip(cumulative_sum(flip(widened(g), axis=axis), axis=axis), axis=axis)


cumulative_sum.gradient(x=_cumulative_sum_gradient)


@op
def cumulative_prod(
    x: Array, /, *, axis: int | None = None, dtype: DType = None, include_initial: bool = False
) -> Array:
    """The running product along `axis` (which may be left out in one dimension).

        out[k] = Π_{m ≤ k} x[m]

    With `include_initial` the result starts with a 1 and is longer by one. Its derivatives, of
    every order, are right also where elements are 0: nothing is divided.

    >>> lucid.cumulative_prod(lucid.Tensor([1.0, 2.0, 3.0]))
    Tensor([1.0, 2.0, 6.0])
    """
    return _running("cumulative_prod", x, axis, dtype, include_initial)


def _cumulative_prod_gradient(g: Array, x: Array, axis: int | None, include_initial: bool) -> Array:
    # dx[j] = Σ_{k ≥ j} g[k] · Π_{m ≤ k, m ≠ j} x[m] = Π_{m < j} x[m] · s[j]
    # with s[j] = g[j] + x[j + 1] · (g[j + 1] + x[j + 2] · (…))
    axis = 0 if axis is None else axis
    if include_initial:
        g = _cut(g, axis, 1, None)
    x = astype(x, g.dtype, copy=False)
    return product_before(x, axis) * _nested(_shifted(x, axis), g, axis)


cumulative_prod.gradient(x=_cumulative_prod_gradient)


def product_before(x: Array, axis: int) -> Array:
    """The product of all elements before each, along an axis."""
    if not x.shape[axis]:
        return x
    return cumulative_prod(_cut(x, axis, None, -1), axis=axis, include_initial=True)


@op
@in_float32
def _nested(factors: Array, terms: Array, axis: int, /) -> Array:
    """s[j] = terms[j] + factors[j] · s[j + 1] along an axis: Horner's rule, at every place.

    By doubling: from the sums over r places, and the products of r factors, those of 2 · r.
    """
    xp = namespace(factors, terms)
    s, product = terms, factors
    count, reach = terms.shape[axis], 1
    while reach < count:
        ahead = _cut(s, axis, reach, count)
        factor = _cut(product, axis, 0, count - reach)
        # what adds nothing is not made NaN by a product that overflowed
        factor = xp.where(ahead == 0, xp.zeros_like(factor), factor)
        near = _cut(s, axis, 0, count - reach) + factor * ahead
        s = xp.concat([near, _cut(s, axis, count - reach, count)], axis=axis)
        if 2 * reach < count:
            left = _cut(product, axis, 0, count - 2 * reach)
            product = left * _cut(product, axis, reach, count - reach)
        reach *= 2
    return s


@_nested.gradients(factors=("factors", "y"), terms=("factors",))
def _(g: Array, factors: Array, y: Array | None, axis: int, needed: Any) -> Any:
    # t[k] = g[k] + factors[k - 1] · t[k - 1] is the same from the other end
    before = _shifted(flip(factors, axis=axis), axis)
    t = flip(_nested(before, flip(g, axis=axis), axis), axis=axis)
    return t * _shifted(y, axis) if needed.factors else None, t


def _shifted(x: Array, axis: int) -> Array:
    """In the place of each element the next, and 0 for the last."""
    return concat([_cut(x, axis, 1, None), zeros_like(_cut(x, axis, None, 1))], axis=axis)


def _cut(x: Array, axis: int, start: int | None, stop: int | None) -> Array:
    return x[(slice(None),) * (axis % len(x.shape)) + (slice(start, stop), ...)]


def diff(
    x: Any,
    /,
    *,
    axis: int = -1,
    n: int = 1,
    prepend: Any = None,
    append: Any = None,
) -> Any:
    """The differences between each element and the next along an axis, taken n times.

        out[k] = x[k + 1] - x[k]

    `prepend` and `append` are joined to the ends first: arrays with x's other axes, or one number.
    Of truth values the difference is whether they differ.

    >>> lucid.diff(lucid.Tensor([1.0, 2.0, 4.0]))
    Tensor([1.0, 2.0])
    >>> lucid.diff(lucid.Tensor([1.0, 2.0, 4.0]), prepend=0.0)
    Tensor([1.0, 1.0, 2.0])
    """
    x = operand(x, prepend, append)
    axis = check_axis("diff", "x", x.shape, axis)
    check("diff", COUNT, n=n)
    parts = [_end("prepend", prepend, x, axis), x, _end("append", append, x, axis)]
    parts = [part for part in parts if part is not None]
    x = concat(parts, axis=axis) if len(parts) > 1 else x
    for _ in range(n):
        after, before = _cut(x, axis, 1, None), _cut(x, axis, None, -1)
        truth = kind(x.dtype) is Numbers.TRUTH
        x = not_equal(after, before) if truth else after - before
    return x


def _end(name: str, values: Any, x: Any, axis: int) -> Any:
    """What is joined to an end of x: an array with its other axes; a number fills one place."""
    if values is None:
        return None
    if not is_array(values):
        values = beside(x, values)
        if kind(values.dtype) <= kind(x.dtype):
            values = astype(values, x.dtype, copy=False)
    before, after = tuple(x.shape[:axis]), tuple(x.shape[axis + 1 :])
    if not values.shape:
        return broadcast_to(values, (*before, 1, *after))
    shape = tuple(values.shape)
    if len(shape) != len(x.shape) or (shape[:axis], shape[axis + 1 :]) != (before, after):
        raise ShapeError(
            f"diff: {name} {shape} and x {tuple(x.shape)} differ in more than axis {axis}, along "
            "which they are joined"
        )
    return values
