"""The decomposition into orthonormal columns and a triangle."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..._arrays import Array, namespace
from ..._errors import ArgumentError
from ..._op import op
from ..._shapes import Shape, size_of
from ..._wide import in_float32
from .._movement import concat, reshape
from .._products import matmul
from ._checks import NOT_COMPUTED, attempt, check_floating, check_matrix
from ._parts import adjoint, upper_half
from ._solve import solve


class QRResult(NamedTuple):
    """Orthonormal columns and an upper triangle."""

    Q: Any
    R: Any


@op(holomorphic=False)
@in_float32
def qr(x: Array, /, *, mode: str = "reduced") -> tuple[Array, Array]:
    """The QR decomposition of a matrix, or of each in a stack, as a named tuple (Q, R).

        x = Q · R, Qᴴ · Q = 1, R upper triangular with a real diagonal

    Shapes: `x` (..., m, n); with k = min(m, n), `Q` is (..., m, k) and `R` (..., k, n), and in the
    mode "complete" `Q` (..., m, m) and `R` (..., m, n).

    The gradient needs the first k columns of x to be independent, and otherwise is an
    ArgumentError. In the mode "complete" the columns of Q from k on are any basis of the rest of
    the space, so only what depends on that space, and not on the basis, has a gradient.

    Raises ShapeError for an x without two axes, DTypeError unless it is floating point, and
    ArgumentError for another mode. Source: `linalg.qr` of the array API standard; the gradient is
    that of S. Walter and L. Lehmann, Algorithmic differentiation of linear algebra functions
    (2010), and for m < n that of PyTorch's `linalg.qr`.

    >>> q, r = lucid.linalg.qr(lucid.Tensor([[3.0, 1.0], [4.0, 2.0]]))
    >>> lucid.abs(r)
    Tensor([[5.0, 2.2], [0.0, 0.4]])
    """
    check_matrix("qr", x)
    check_floating("qr", x=x)
    if mode not in ("reduced", "complete"):
        raise ArgumentError(f"qr: mode is {mode!r}, expected 'reduced' or 'complete'")
    linalg = namespace(x).linalg
    return QRResult(*attempt("qr", lambda x: linalg.qr(x, mode=mode), NOT_COMPUTED, x=x))


def _qr_gradient(g: Any, y: Any, x_shape: Shape) -> Array:
    (g_q, g_r), (q, r) = g, y
    if not size_of(x_shape):
        return reshape(g_r, x_shape)
    k = min(x_shape[-2:])
    if q.shape[-1] > k:  # Qᴴ · Q stays 1, so the other columns turn against the first k
        g_q, rest, g_rest = g_q[..., :k], q[..., k:], g_q[..., k:]
        q = q[..., :k]
        g_q = g_q - matmul(rest, adjoint(matmul(adjoint(q), g_rest)))
        r, g_r = r[..., :k, :], g_r[..., :k, :]
    g_right = None
    if r.shape[-1] > k:  # x = Q · [R R'], where R' = Qᴴ · x'
        right, g_right = r[..., k:], g_r[..., k:]
        r, g_r = r[..., :k], g_r[..., :k]
        g_q = g_q + matmul(matmul(q, right), adjoint(g_right))
    # dx = (g_Q + Q · (Ψ + Ψᴴ)) · R⁻ᴴ with Ψ the upper half of g_R · Rᴴ - Qᴴ · g_Q
    half = upper_half(matmul(g_r, adjoint(r)) - matmul(adjoint(q), g_q))
    inner = g_q + matmul(q, half + adjoint(half))
    try:
        d_x = adjoint(solve(r, adjoint(inner)))
    except ArgumentError:
        raise ArgumentError(
            f"qr: it has no gradient where the first {k} columns of x {x_shape} depend on each "
            "other, because Q and R are not unique there"
        ) from None
    return d_x if g_right is None else concat([d_x, matmul(q, g_right)], axis=-1)


qr.gradient(x=_qr_gradient)
