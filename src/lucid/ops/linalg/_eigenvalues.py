"""Eigenvalues and eigenvectors."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..._arrays import Array, DType, complex_like, is_traced_by_jax, namespace, untraced
from ..._errors import ArgumentError
from ..._op import op
from ..._shapes import Shape, size_of
from ..._tape import operand, plain
from ..._wide import in_float32
from .._complex import conj, real
from .._like import zeros_like
from .._movement import expand_dims, reshape
from .._products import matmul
from ._checks import NOT_COMPUTED, attempt, check_square
from ._diagonal import diagonal, on_diagonal
from ._parts import adjoint, hermitian, reciprocal, rounding, skew
from ._solve import solve


class EighResult(NamedTuple):
    """Eigenvalues, and the eigenvectors as columns."""

    eigenvalues: Any
    eigenvectors: Any


class EigResult(NamedTuple):
    """Eigenvalues, and the eigenvectors as columns."""

    eigenvalues: Any
    eigenvectors: Any


@op(holomorphic=False)
@in_float32
def eigh(x: Array, /) -> tuple[Array, Array]:
    """Eigenvalues and eigenvectors of a Hermitian matrix, or of each in a stack, as a named tuple.

        x · eigenvectors = eigenvectors · diag(eigenvalues)

    Shapes: `x` (..., m, m), `eigenvalues` (..., m), real and ascending, `eigenvectors` (..., m, m),
    orthonormal columns. Of an x that is not Hermitian (symmetric, if real) the Hermitian part
    (x + xᴴ) / 2 is taken, and the gradient is Hermitian.

    An eigenvector is unique up to its sign (a factor of absolute value 1, if complex), so only what
    does not depend on that has a gradient, such as Q · f(Λ) · Qᴴ. Eigenvectors of equal eigenvalues
    are any basis of their space: where eigenvalues are equal, what is 0 / 0 in the gradient is left
    out. It is then right of what takes equal eigenvalues together, such as Σ f(λ) or the projector
    onto the space of all their eigenvectors; of Q · f(Λ) · Qᴴ, and of second derivatives, the part
    from one of these eigenvectors to another is missing. To have that too, compute f(x) without
    eigenvectors: with `matmul`, `inv` and `solve`, as a root by Newton's iteration.

    Raises ShapeError unless x is square, DTypeError unless it is floating point, ArgumentError
    where the iteration does not converge, as it may not where an element is not finite.
    Source: `linalg.eigh` of the array API standard; the gradient is that of M. Seeger et al.,
    Auto-differentiating linear algebra (2017), for complex numbers that of C. Boeddeker et al., On
    the computation of complex-valued gradients (2017), section 4.

    >>> lucid.linalg.eigh(lucid.Tensor([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
    Tensor([1.0, 2.0])
    """
    check_square("eigh", x=x)
    return EighResult(*attempt("eigh", namespace(x).linalg.eigh, NOT_COMPUTED, x=hermitian(x)))


def _eigh_gradient(g: Any, y: Any, x_shape: Shape, x_dtype: DType) -> Array:
    # dx = Q · (diag(g_λ) + F ∘ skew(Qᴴ · g_Q)) · Qᴴ with F[i, j] = 1 / (λ[j] - λ[i])
    (g_values, g_vectors), (values, vectors) = g, y
    if not size_of(x_shape):
        return reshape(g_values, x_shape)
    apart = reciprocal(_differences(values), _are_equal(values, x_dtype))
    inner = apart * skew(matmul(adjoint(vectors), g_vectors))
    inner = inner + on_diagonal(g_values, x_shape)
    return matmul(matmul(vectors, inner), adjoint(vectors))


eigh.gradient(x=_eigh_gradient)


def _differences(values: Array) -> Array:
    """λ[j] - λ[i] at i, j."""
    return expand_dims(values, axis=-2) - expand_dims(values, axis=-1)


def _are_equal(values: Array, dtype: DType) -> Array:
    """Where two eigenvalues differ by no more than rounding: by nothing to divide by."""
    values = plain(values)
    xp = namespace(values)
    size = xp.max(xp.abs(values), axis=-1, keepdims=True)[..., None]
    return xp.abs(_differences(values)) <= rounding(values.shape[-1], dtype) * size


@op(holomorphic=False)
@in_float32
def eigvalsh(x: Array, /) -> Array:
    """The eigenvalues of a Hermitian matrix, or of each in a stack, real and ascending.

    Shapes: `x` (..., m, m), the result (..., m). Of an x that is not Hermitian (symmetric, if real)
    the Hermitian part (x + xᴴ) / 2 is taken, and the gradient is Hermitian. Raises what `eigh`
    raises. Source: `linalg.eigvalsh` of the array API standard; the gradient is that of `eigh`.

    >>> lucid.linalg.eigvalsh(lucid.Tensor([[2.0, 1.0], [1.0, 2.0]]))
    Tensor([1.0, 3.0])
    """
    check_square("eigvalsh", x=x)
    return attempt("eigvalsh", namespace(x).linalg.eigvalsh, NOT_COMPUTED, x=hermitian(x))


def _eigvalsh_gradient(g: Array, x: Array) -> Array:
    # dx = Q · diag(g) · Qᴴ
    if 0 in x.shape:
        return zeros_like(x)
    _, vectors = eigh(x)
    return matmul(vectors * expand_dims(g, axis=-2), adjoint(vectors))


eigvalsh.gradient(x=_eigvalsh_gradient)


@op(holomorphic=False)
@in_float32
def eig(x: Array, /) -> tuple[Array, Array]:
    """Eigenvalues and eigenvectors of a square matrix, or of each in a stack, as a named tuple.

        x · eigenvectors = eigenvectors · diag(eigenvalues)

    Shapes: `x` (..., m, m), `eigenvalues` (..., m) in no special order, `eigenvectors` (..., m, m),
    columns of norm 1; both are complex. For a Hermitian x, `eigh` is faster and more accurate.

    An eigenvector is unique up to a factor of absolute value 1, so only what does not depend on it
    has a gradient, such as V · f(Λ) · V⁻¹. Where eigenvalues are equal, what `eigh` says holds; a
    matrix without m independent eigenvectors has no gradient, which is an ArgumentError.

    Raises ShapeError unless x is square, DTypeError unless it is floating point, ArgumentError
    where the iteration does not converge, as it may not where an element is not finite. JAX has it
    on the CPU only.
    Source: `linalg.eig` of the array API standard; the gradient is that of C. Boeddeker et al., On
    the computation of complex-valued gradients (2017), section 4, for columns of norm 1.

    >>> lucid.linalg.eig(lucid.Tensor([[0.0, 4.0], [1.0, 0.0]])).eigenvalues
    Tensor([(2+0j), (-2+0j)])
    """
    check_square("eig", x=x)
    xp = namespace(x)
    parts = attempt("eig", xp.linalg.eig, NOT_COMPUTED, x=x)
    return EigResult(*[xp.astype(part, complex_like(x), copy=False) for part in parts])


def _eig_gradient(g: Any, y: Any, x_shape: Shape, x_dtype: DType) -> Array:
    # dx = V⁻ᴴ · (diag(g_λ) + (K - Vᴴ · V · real(diag(K))) / conj(λ[j] - λ[i])) · Vᴴ, K = Vᴴ · g_V
    (g_values, g_vectors), (values, vectors) = g, y
    if not size_of(x_shape):
        return reshape(g_values, x_shape)
    back = adjoint(vectors)
    turned = matmul(back, g_vectors)
    longer = expand_dims(real(diagonal(turned)), axis=-2)
    apart = reciprocal(conj(_differences(values)), _are_equal(values, x_dtype))
    inner = apart * (turned - matmul(back, vectors) * longer) + on_diagonal(g_values, x_shape)
    _check_independent(plain(vectors), x_dtype)
    return solve(back, matmul(inner, back))


eig.gradient(x=_eig_gradient)


def _check_independent(vectors: Array, dtype: DType) -> None:
    vectors, size = untraced(vectors), vectors.shape[-1]
    xp = namespace(vectors)
    if is_traced_by_jax(vectors):
        return
    least = xp.linalg.svdvals(vectors)[..., -1]
    if xp.any(least <= rounding(size, dtype)):
        raise ArgumentError(
            f"eig: it has no gradient where a matrix of x {tuple(vectors.shape)} has fewer "
            f"independent eigenvectors than its {size} rows"
        )


def eigvals(x: Array, /) -> Any:
    """The eigenvalues of a square matrix, or of each in a stack: complex, in no special order.

    Shapes: `x` (..., m, m), the result (..., m). They are those that `eig` returns, in the same
    order, with the same gradient, and it raises what `eig` raises.
    Source: `linalg.eigvals` of the array API standard.

    >>> lucid.linalg.eigvals(lucid.Tensor([[0.0, 4.0], [1.0, 0.0]]))
    Tensor([(2+0j), (-2+0j)])
    """
    x = operand(x)
    check_square("eigvals", x=x)
    values, _ = eig(x)
    return values
