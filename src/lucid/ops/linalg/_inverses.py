"""Inverses, pseudo-inverses and powers of matrices."""

from __future__ import annotations

from ..._arguments import WHOLE, check
from ..._arrays import Array, device_of, namespace
from ..._op import op
from ..._wide import in_float32
from .._like import zeros_like
from .._movement import matrix_transpose
from .._products import matmul
from ._checks import attempt, check_floating, check_matrix, check_square
from ._parts import adjoint
from ._singular_values import decomposed, is_negligible


@op
@in_float32
def inv(x: Array, /) -> Array:
    """The inverse of a square matrix, or of each in a stack.

        x · y = y · x = 1

    Shapes: `x` and the result (..., m, m). To solve x · y = b, `solve(x, b)` is faster and more
    accurate than `inv(x) @ b`.

    Raises ShapeError unless x is square, DTypeError unless it is floating point, and ArgumentError
    where a matrix is singular (with JAX the result is then not finite).
    Source: `linalg.inv` of the array API standard; the gradient is that of M. Giles, Collected
    matrix derivative results (2008), section 2.2.3.

    >>> lucid.linalg.inv(lucid.Tensor([[2.0, 0.0], [0.0, 4.0]]))
    Tensor([[0.5, 0.0], [0.0, 0.25]])
    """
    check_square("inv", x=x)
    why = "is singular: its rows depend on each other, and there is no inverse; see linalg.pinv"
    return attempt("inv", namespace(x).linalg.inv, why, x=x)


def _inv_gradient(g: Array, y: Array) -> Array:
    # dx = -yᵀ · g · yᵀ
    back = matrix_transpose(y)
    return -matmul(matmul(back, g), back)


inv.gradient(x=_inv_gradient)


@op(holomorphic=False)
def pinv(x: Array, /, *, rtol: Array | float | None = None) -> Array:
    """The pseudo-inverse (Moore-Penrose) of a matrix, or of each in a stack.

        y = V · diag(1 / s) · Uᴴ, where x = U · diag(s) · Vᴴ, and 1 / s is 0 for negligible s

    Shapes: `x` (..., m, n), the result (..., n, m). A singular value is negligible up to `rtol`
    times the largest, by default max(m, n) times the distance from 1 to the next number of the
    dtype; `rtol` is a number, or has the shape (...) of one for each matrix.

    The gradient is that among matrices of the same rank: where the rank changes, there is none.
    Raises ShapeError for an x without two axes, DTypeError unless it is floating point.
    Source: `linalg.pinv` of the array API standard; the gradient is that of G. Golub and
    V. Pereyra, The differentiation of pseudo-inverses and nonlinear least squares problems whose
    variables separate (1973), eq. 4.12.

    >>> lucid.linalg.pinv(lucid.Tensor([[2.0, 0.0], [0.0, 0.0]]))
    Tensor([[0.5, 0.0], [0.0, 0.0]])
    """
    check_matrix("pinv", x)
    check_floating("pinv", x=x)
    xp = namespace(x)
    if 0 in x.shape:
        return xp.matrix_transpose(x)
    u, s, vh = decomposed("pinv", x)
    negligible = is_negligible(s, rtol, x)
    safe = xp.where(negligible, xp.ones_like(s), s)
    inverse = xp.where(negligible, xp.zeros_like(s), 1 / safe)
    result = xp.matmul(adjoint(vh) * inverse[..., None, :], adjoint(u))
    return xp.astype(result, x.dtype, copy=False)


def _pinv_gradient(g: Array, x: Array, y: Array) -> Array:
    # dx = -yᴴ · g · yᴴ + (1 - x · y) · gᴴ · y · yᴴ + yᴴ · y · gᴴ · (1 - y · x)
    if 0 in x.shape:
        return matrix_transpose(g)
    back, g_back = adjoint(y), adjoint(g)
    left = matmul(g_back, matmul(y, back))
    right = matmul(matmul(back, y), g_back)
    return (
        -matmul(matmul(back, g), back)
        + (left - matmul(x, matmul(y, left)))
        + (right - matmul(matmul(right, y), x))
    )


pinv.gradient(x=_pinv_gradient, rtol=None)


@op
@in_float32
def matrix_power(x: Array, n: int, /) -> Array:
    """The n-th power of a square matrix, or of each in a stack; of the inverse for a negative n.

        x⁰ = 1,  xⁿ = x · x · … · x,  x⁻ⁿ = (x⁻¹)ⁿ

    Shapes: `x` and the result (..., m, m). Raises ShapeError unless x is square, DTypeError unless
    it is floating point, and ArgumentError for an n that is no whole number, or is negative where
    a matrix is singular. Source: `linalg.matrix_power` of the array API standard.

    >>> lucid.linalg.matrix_power(lucid.Tensor([[1.0, 1.0], [0.0, 1.0]]), 3)
    Tensor([[1.0, 3.0], [0.0, 1.0]])
    """
    check_square("matrix_power", x=x)
    check("matrix_power", WHOLE, n=n)
    xp = namespace(x)
    if n == 0:
        one = xp.eye(x.shape[-1], dtype=x.dtype, device=device_of(x))
        return xp.broadcast_to(one, x.shape)
    if n < 0:
        why = f"is singular: it has no inverse, and so no power {n}"
        x = attempt("matrix_power", xp.linalg.inv, why, x=x)
    return xp.linalg.matrix_power(x, abs(n))


def _matrix_power_gradient(g: Array, x: Array, n: int) -> Array:
    # d(xⁿ) = Σ_k xᵏ · dx · xⁿ⁻¹⁻ᵏ; the adjoint sum s[n] over k of pᵏ · g · pⁿ⁻¹⁻ᵏ, with p = xᵀ, by
    # s[2m] = pᵐ · s[m] + s[m] · pᵐ and s[m + 1] = p · s[m] + g · pᵐ
    if n == 0:
        return zeros_like(g)
    p = matrix_transpose(x if n > 0 else inv(x))
    total, power = g, p
    for bit in bin(abs(n))[3:]:
        total = matmul(power, total) + matmul(total, power)
        power = matmul(power, power)
        if bit == "1":
            total = matmul(p, total) + matmul(g, power)
            power = matmul(power, p)
    return total if n > 0 else -matmul(matmul(p, total), p)


matrix_power.gradient(x=_matrix_power_gradient)
