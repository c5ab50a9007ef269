"""The Cholesky factor."""

from __future__ import annotations

from ..._arguments import TRUTH, check
from ..._arrays import Array, namespace
from ..._op import op
from ..._wide import in_float32
from .._products import matmul
from ._checks import attempt, check_square
from ._parts import adjoint, hermitian, lower_half
from ._solve import solve


@op(holomorphic=False)
@in_float32
def cholesky(x: Array, /, *, upper: bool = False) -> Array:
    """The Cholesky factor of a positive definite matrix, or of each in a stack.

        x = L · Lᴴ, L lower triangular; with `upper`, x = Uᴴ · U

    Shapes: `x` and the result (..., m, m). Of an x that is not Hermitian (symmetric, if real) the
    Hermitian part (x + xᴴ) / 2 is taken, and the gradient is Hermitian.

    Raises ShapeError unless x is square, DTypeError unless it is floating point, and ArgumentError
    where a matrix is not positive definite (with JAX the result is then NaN).
    Source: `linalg.cholesky` of the array API standard; the gradient is that of I. Murray,
    Differentiation of the Cholesky decomposition (2016), eq. 8, with ᴴ for ᵀ.

    >>> lucid.linalg.cholesky(lucid.Tensor([[4.0, 2.0], [2.0, 2.0]]))
    Tensor([[2.0, 0.0], [1.0, 1.0]])
    """
    check_square("cholesky", x=x)
    check("cholesky", TRUTH, upper=upper)
    why = (
        "is not positive definite: an eigenvalue of its Hermitian part (x + xᴴ) / 2 is 0 or below; "
        f"if only rounding makes it so, add a little, as in x + 1e-6 * lucid.eye({x.shape[-1]})"
    )
    factor = attempt("cholesky", namespace(x).linalg.cholesky, why, x=hermitian(x))
    return adjoint(factor) if upper else factor


def _cholesky_gradient(g: Array, y: Array, upper: bool) -> Array:
    # dx = L⁻ᴴ · Φ(Lᴴ · g) · L⁻¹, Hermitian; Φ: the lower triangle, with half of the diagonal
    if 0 in g.shape:
        return g
    g, factor = (adjoint(each) if upper else each for each in (g, y))
    inner = lower_half(matmul(adjoint(factor), g))
    left = solve(adjoint(factor), inner)
    return hermitian(solve(adjoint(factor), adjoint(left)))


cholesky.gradient(x=_cholesky_gradient)
