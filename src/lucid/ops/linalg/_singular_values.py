"""Singular values, and what is decided by them."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..._arguments import TRUTH, check
from ..._arrays import Array, DType, device_of, namespace
from ..._dtypes import finfo
from ..._op import op
from ..._shapes import Shape, size_of
from ..._tape import plain
from ..._wide import in_float32, widened
from .._like import zeros_like
from .._movement import expand_dims, reshape
from .._products import matmul
from ._checks import NOT_COMPUTED, attempt, check_floating, check_matrix
from ._diagonal import on_diagonal
from ._parts import adjoint, reciprocal, rounding, skew


class SVDResult(NamedTuple):
    """Left singular vectors as columns, singular values, right singular vectors as rows."""

    U: Any
    S: Any
    Vh: Any


@op(holomorphic=False)
@in_float32
def svd(x: Array, /, *, full_matrices: bool = True) -> tuple[Array, Array, Array]:
    """The singular value decomposition of a matrix, or of each in a stack, as a named tuple.

        x = U · diag(S) · Vh

    Shapes: `x` (..., m, n); with k = min(m, n), `S` is (..., k), real and descending, `U` (..., m,
    m) and `Vh` (..., n, n), or without `full_matrices` (..., m, k) and (..., k, n). The columns of
    U and the rows of Vh are orthonormal.

    Singular vectors are unique up to a common sign (a factor of absolute value 1, if complex), and
    with `full_matrices` the columns of U and rows of Vh from k on are any basis of the rest of the
    space. So only what does not depend on that has a gradient. Where singular values are equal, or
    0, what is 0 / 0 in the gradient is left out. It is then right of what takes equal singular
    values together, as in `eigh`, and of the nuclear norm up to its second derivative.

    Raises ShapeError for an x without two axes, DTypeError unless it is floating point, and
    ArgumentError where the iteration does not converge, as it may not where an element is not
    finite.
    Source: `linalg.svd` of the array API standard; the gradient is that of M. Seeger et al.,
    Auto-differentiating linear algebra (2017), with 2s / (s² - t²) in its two parts
    1 / (s - t) + 1 / (s + t), of which only the first is left out where s = t.

    >>> lucid.linalg.svd(lucid.Tensor([[0.0, 3.0], [2.0, 0.0]])).S
    Tensor([3.0, 2.0])
    """
    check("svd", TRUTH, full_matrices=full_matrices)
    check_matrix("svd", x)
    check_floating("svd", x=x)
    return SVDResult(*decomposed("svd", x, full_matrices))


def decomposed(function: str, x: Array, full_matrices: bool = False) -> tuple[Array, Array, Array]:
    """The decomposition of an array, in float32 for a half."""
    linalg = namespace(x).linalg
    found: tuple[Array, Array, Array] = attempt(
        function,
        lambda x: linalg.svd(x, full_matrices=full_matrices),
        NOT_COMPUTED,
        x=widened(x),
    )
    return found


def _svd_gradient(g: Any, y: Any, x_shape: Shape, x_dtype: DType) -> Array:
    # dx = U · (diag(g_S) + E ∘ skew(Uᴴ·g_U + Vᴴ·g_V) + D ∘ skew(Uᴴ·g_U - Vᴴ·g_V)) · Vᴴ, with
    # E[i, j] = 1 / (s[j] - s[i]) and D[i, j] = 1 / (s[j] + s[i]), and what leaves their space
    (g_u, g_s, g_vh), (u, s, vh) = g, y
    if not size_of(x_shape):
        return reshape(g_s, x_shape)
    rows, columns = x_shape[-2:]
    u, g_u, out_u = _within(u, g_u, min(rows, columns))
    v, g_v, out_v = _within(adjoint(vh), adjoint(g_vh), min(rows, columns))
    vh = adjoint(v)
    in_u, in_v = matmul(adjoint(u), g_u), matmul(adjoint(v), g_v)
    down, along = expand_dims(s, axis=-1), expand_dims(s, axis=-2)
    least = _least(s, rounding(max(rows, columns), x_dtype))
    apart, together = _reciprocal(along - down, least), _reciprocal(along + down, least)
    inner = apart * skew(in_u + in_v) + together * skew(in_u - in_v)
    inner = inner + on_diagonal(g_s, (*x_shape[:-2], s.shape[-1], s.shape[-1]))
    total = matmul(matmul(u, inner), vh)
    inverse = _reciprocal(along, least)
    if rows > columns:
        total = total + matmul((g_u - matmul(u, in_u) - out_u) * inverse, vh)
    if columns > rows:
        total = total + matmul(u * inverse, adjoint(g_v - matmul(v, in_v) - out_v))
    return total


svd.gradient(x=_svd_gradient)


def _within(vectors: Array, g: Array, count: int) -> tuple[Array, Array, Array | float]:
    """The first singular vectors, their gradient, and what they get from that of the others.

    The others stay orthogonal to the first, so they turn against them.
    """
    if vectors.shape[-1] == count:
        return vectors, g, 0.0
    first, others = vectors[..., :count], vectors[..., count:]
    turned = matmul(others, adjoint(matmul(adjoint(first), g[..., count:])))
    return first, g[..., :count], turned


def _least(s: Array, share: float) -> Array:
    """Up to which size singular values, sums and differences of them are 0 but for rounding."""
    s = plain(s)
    return share * namespace(s).max(s, axis=-1, keepdims=True)[..., None]


def _reciprocal(x: Array, least: Array) -> Array:
    return reciprocal(x, namespace(least).abs(plain(x)) <= least)


@op(holomorphic=False)
@in_float32
def svdvals(x: Array, /) -> Array:
    """The singular values of a matrix, or of each in a stack: real, descending.

    Shapes: `x` (..., m, n), the result (..., min(m, n)). Raises what `svd` raises.
    Source: `linalg.svdvals` of the array API standard; the gradient is that of `svd`.

    >>> lucid.linalg.svdvals(lucid.Tensor([[0.0, 3.0], [2.0, 0.0]]))
    Tensor([3.0, 2.0])
    """
    check_matrix("svdvals", x)
    check_floating("svdvals", x=x)
    return attempt("svdvals", namespace(x).linalg.svdvals, NOT_COMPUTED, x=x)


def _svdvals_gradient(g: Array, x: Array) -> Array:
    # dx = U · diag(g) · Vᴴ
    if 0 in x.shape:
        return zeros_like(x)
    u, _, vh = svd(x, full_matrices=False)
    return matmul(u * expand_dims(g, axis=-2), vh)


svdvals.gradient(x=_svdvals_gradient)


@op(gradient=None)
def matrix_rank(x: Array, /, *, rtol: Array | float | None = None) -> Array:
    """The rank of a matrix, or of each in a stack: how many singular values are not negligible.

    Shapes: `x` (..., m, n), the result (...), integers. A singular value is negligible up to `rtol`
    times the largest, by default max(m, n) times the distance from 1 to the next number of the
    dtype; `rtol` is a number, or has the shape (...) of one for each matrix. Raises what `svd`
    raises. Source: `linalg.matrix_rank` of the array API standard.

    >>> lucid.linalg.matrix_rank(lucid.Tensor([[1.0, 2.0], [2.0, 4.0]]))
    Tensor(1)
    """
    check_matrix("matrix_rank", x)
    check_floating("matrix_rank", x=x)
    xp = namespace(x)
    if 0 in x.shape:
        counted = xp.zeros((*x.shape[:-2], 0), dtype=xp.int32, device=device_of(x))
    else:
        s = attempt("matrix_rank", xp.linalg.svdvals, NOT_COMPUTED, x=widened(x))
        counted = xp.astype(xp.logical_not(is_negligible(s, rtol, x)), xp.int32)
    return xp.sum(counted, axis=-1)


def is_negligible(s: Array, rtol: Array | float | None, x: Array) -> Array:
    """Which singular values s of x count as 0."""
    xp = namespace(s)
    if rtol is None:
        rtol = max(x.shape[-2:]) * finfo(x.dtype).eps
    elif hasattr(rtol, "shape"):
        rtol = xp.astype(rtol, s.dtype)[..., None]
    return s <= rtol * xp.max(s, axis=-1, keepdims=True)
