"""What the rules of this folder are made of."""

from __future__ import annotations

from math import sqrt

from ..._arrays import Array, DType, namespace
from ..._dtypes import finfo
from ..._op import op
from .._comparison import where
from .._complex import conj
from .._like import ones_like, zeros_like
from .._movement import matrix_transpose


def adjoint(x: Array) -> Array:
    """xᴴ, the conjugate transpose."""
    return conj(matrix_transpose(x))


def hermitian(x: Array) -> Array:
    """The Hermitian part (x + xᴴ) / 2."""
    return x / 2 + adjoint(x) / 2


def skew(x: Array) -> Array:
    """The skew-Hermitian part (x - xᴴ) / 2."""
    return x / 2 - adjoint(x) / 2


@op
def lower_half(x: Array, /) -> Array:
    """The lower triangle of matrices, with half of the diagonal: of a sum a + aᵀ, a itself."""
    xp = namespace(x)
    return (xp.tril(x) + xp.tril(x, k=-1)) / 2


lower_half.gradient(x=lambda g: lower_half(g))


def upper_half(x: Array) -> Array:
    """The upper triangle of matrices, with half of the diagonal."""
    return matrix_transpose(lower_half(matrix_transpose(x)))


def reciprocal(x: Array, is_zero: Array) -> Array:
    """1 / x, and 0 where an array says that x counts as 0."""
    return where(is_zero, zeros_like(x), 1 / where(is_zero, ones_like(x), x))


def rounding(size: int, dtype: DType) -> float:
    """How far apart equal eigenvalues of a matrix of this size may come out, beside the largest."""
    return 32 * sqrt(size) * finfo(dtype).eps
