"""Norms of vectors and of matrices."""

from __future__ import annotations

from functools import partial
from math import inf
from typing import Any

from ..._arguments import ANY, TRUTH, check
from ..._arrays import Array, is_complex, is_half, namespace
from ..._errors import ArgumentError
from ..._op import op
from ..._tape import operand
from ..._wide import by_blocks, folded, rounded, widened
from .._arithmetic import abs, sign
from .._axes import Axis, axes_of, kept
from .._comparison import equal, where
from .._complex import conj, real
from .._like import astype, ones_like, zeros_like
from .._movement import expand_dims
from .._reduce import max, min, sum
from .._search import count_nonzero
from ._checks import check_floating, check_matrix
from ._singular_values import svdvals


@op(holomorphic=False, halves=True)
@rounded
def vector_norm(x: Array, /, *, axis: Axis = None, keepdims: bool = False, ord: float = 2) -> Array:
    """The norm of vectors along `axis` (an axis, several, or None for all).

        out = (Σ |x|^ord)^(1 / ord);  ord = ∞: max |x|, -∞: min |x|, 0: how many x are not 0

    The result is real. Where it is 0, the gradient is 0, as it is of an element that is 0 with
    `ord` below 2; elements that tie for the maximum or minimum share the gradient evenly. Over no
    elements the norm is 0, or ∞ for a negative `ord`.

    Raises DTypeError unless x is floating point, ArgumentError for an `ord` that is no number.
    Source: `linalg.vector_norm` of the array API standard.

    >>> lucid.linalg.vector_norm(lucid.Tensor([[3.0, 4.0], [0.0, 0.0]]), axis=1)
    Tensor([5.0, 0.0])
    """
    check_floating("vector_norm", x=x)
    check("vector_norm", ANY, ord=ord)
    check("vector_norm", TRUTH, keepdims=keepdims)
    xp = namespace(x)
    if ord == 0:
        return folded("sum", _is_not_zero, x, axis=axis, keepdims=keepdims)
    if ord == 1:
        return folded("sum", xp.abs, x, axis=axis, keepdims=keepdims)
    if ord == 2:
        return xp.sqrt(folded("sum", _square_of_size, x, axis=axis, keepdims=keepdims))
    if 0 in [x.shape[k] for k in axes_of(axis, len(x.shape))]:
        nothing = folded("sum", xp.abs, x, axis=axis, keepdims=keepdims)
        return nothing + (0 if ord > 0 else inf)
    extreme = "max" if ord > 0 else "min"
    if ord in (inf, -inf):
        return folded(extreme, xp.abs, x, axis=axis, keepdims=keepdims)
    # in terms of the largest element (for a negative order, the smallest): nothing overflows
    unit = folded(extreme, xp.abs, x, axis=axis, keepdims=True)
    unit = xp.where(xp.isfinite(unit) & (unit > 0), unit, xp.ones_like(unit))
    powers = folded("sum", partial(_power_of_size, ord=ord), x, unit, axis=axis, keepdims=True)
    norm = unit * powers ** (1 / ord)
    return norm if keepdims else xp.squeeze(norm, axis=axes_of(axis, len(x.shape)))


def _is_not_zero(x: Array) -> Array:
    xp = namespace(x)
    size = xp.abs(x)
    return xp.astype(size != 0, size.dtype)


def _square_of_size(x: Array) -> Array:
    xp = namespace(x)
    return xp.real(x) ** 2 + xp.imag(x) ** 2 if is_complex(x.dtype) else x * x


def _power_of_size(x: Array, unit: Array, ord: float) -> Array:
    xp = namespace(x)
    size = xp.abs(x)
    zero, one = size == 0, xp.ones_like(size)
    at_zero = xp.zeros_like(size) + (0 if ord > 0 else inf)
    return xp.where(zero, at_zero, xp.where(zero, one, size / unit) ** ord)


def _vector_norm_gradient(
    g: Array, y: Array, x: Array, axis: Axis, keepdims: bool, ord: float
) -> Array:
    if ord == 0:
        return zeros_like(x)
    g, y = (kept(each, tuple(x.shape), axis, keepdims) for each in (g, y))
    if ord in (inf, -inf):
        chosen = equal(abs(x), y)
        ties = count_nonzero(chosen, axis=axis, keepdims=True)
        return by_blocks(_to_the_extreme, x, g, chosen, ties)
    return by_blocks(partial(_slope_of_norm, ord=ord), x, g, y)


def _to_the_extreme(x: Array, g: Array, chosen: Array, ties: Array) -> Array:
    return g * sign(x) * astype(chosen, g.dtype) / astype(ties, g.dtype)


def _slope_of_norm(x: Array, g: Array, y: Array, ord: float) -> Array:
    # g · sign(x) · (|x| / y)^(ord - 1), and 0 where y is 0
    if ord == 1:
        return g * sign(x)
    is_zero = equal(y, 0)
    unit = x / where(is_zero, ones_like(y), y)
    if ord > 0 and ord % 2 == 0:  # without |x|, which has no second derivative at 0
        powers = real(unit * conj(unit)) ** (int(ord) // 2 - 1) if ord > 2 else ones_like(g)
        return where(is_zero, zeros_like(x), g * unit * powers)
    size = abs(unit)
    powers = where(equal(size, 0), ones_like(size), size) ** (ord - 1)
    return where(is_zero, zeros_like(x), g * sign(x) * powers)


vector_norm.gradient(x=_vector_norm_gradient)

_ORDERS = ("fro", "nuc", 1, -1, 2, -2, inf, -inf)


def matrix_norm(x: Array, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """The norm of a matrix, or of each in a stack.

    `ord` is "fro" (Frobenius, the square root of Σ |x|²), "nuc" (the sum of the singular values),
    2 or -2 (the largest or smallest singular value), 1 or -1 (the largest or smallest sum of |x|
    over a column), or ∞ or -∞ (over a row).

    Shapes: `x` (..., m, n), the result (...), or (..., 1, 1) with `keepdims`; it is real. What is
    true of `vector_norm` where an element is 0 or elements tie is true here of columns, rows and
    singular values. Of a matrix without elements the norms are 0; the smallest of none is ∞.

    Raises ShapeError for an x without two axes, DTypeError unless it is floating point,
    ArgumentError for another `ord`. Source: `linalg.matrix_norm` of the array API standard.

    >>> lucid.linalg.matrix_norm(lucid.Tensor([[3.0, 0.0], [0.0, 4.0]]), ord=2)
    Tensor(4.0)
    """
    x = operand(x)
    check_matrix("matrix_norm", x)
    check_floating("matrix_norm", x=x)
    check("matrix_norm", TRUTH, keepdims=keepdims)
    if ord is not None and ord not in _ORDERS:
        raise ArgumentError(
            f"matrix_norm: ord is {ord!r:.60}, expected 'fro', 'nuc', 1, -1, 2, -2, inf or -inf"
        )
    # halves are rounded once: the largest of rounded sums is the largest sum, rounded
    adds_up_values = ord in ("nuc", 2, -2)
    norm = _matrix_norm(widened(x) if adds_up_values else x, "fro" if ord is None else ord)
    norm = astype(norm, x.dtype) if is_half(x.dtype) else norm
    return expand_dims(expand_dims(norm, axis=-1), axis=-1) if keepdims else norm


def _matrix_norm(x: Any, ord: Any) -> Any:
    if ord == "fro":
        return vector_norm(x, axis=(-2, -1))
    if ord == "nuc":
        return sum(svdvals(x), axis=-1)
    if ord in (2, -2):
        sizes = svdvals(x)
    else:
        sizes = sum(abs(x), axis=-2 if ord in (1, -1) else -1)
    if not sizes.shape[-1]:
        return sum(sizes, axis=-1) + (0 if ord > 0 else inf)
    return max(sizes, axis=-1) if ord > 0 else min(sizes, axis=-1)
