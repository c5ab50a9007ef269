"""Determinants, and their logarithms."""

from __future__ import annotations

from math import cos, inf, pi, prod
from typing import Any, NamedTuple

from ..._arrays import Array, is_complex, is_traced_by_jax, namespace, untraced
from ..._dtypes import finfo
from ..._errors import ArgumentError
from ..._op import op
from ..._tape import Tracked, plain
from ..._wide import in_float32
from .._complex import conj
from .._like import zeros_like
from .._movement import expand_dims, matrix_transpose
from ._checks import check_square, is_refusal
from ._inverses import inv
from ._parts import adjoint


class SlogdetResult(NamedTuple):
    """The sign of determinants, and the logarithm of their absolute value."""

    sign: Any
    logabsdet: Any


@op
@in_float32
def det(x: Array, /) -> Array:
    """The determinant of a square matrix, or of each in a stack.

    Shapes: `x` (..., m, m), the result (...). The determinant of a matrix of size 0 is 1. The
    derivatives, of every order, are right also where a matrix is singular (but not under
    `jax.jit`, where no value is there to tell). Where a determinant is beyond the numbers of the
    dtype, see `slogdet`.

    Raises ShapeError unless x is square, DTypeError unless it is floating point.
    Source: `linalg.det` of the array API standard; the gradient is that of M. Giles, Collected
    matrix derivative results (2008), section 2.2.4, and where x is singular by interpolation.

    >>> lucid.linalg.det(lucid.Tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor(-2.0)
    """
    check_square("det", x=x)
    return namespace(x).linalg.det(x)


def _det_gradient(g: Array, x: Array, y: Array) -> Array:
    # dx = g · det(x) · x⁻ᵀ. A singular x has no inverse, but dx is a polynomial in x. In a
    # direction d of rank r it has the degree r at most: from its values at x + t · d, for more
    # than r numbers t, follows that at t = 0.
    if 0 in x.shape:
        return zeros_like(x)
    if x.shape[-1] == 1:
        return _over_matrices(g)
    # the k-th derivative is off by ε · condition^k: for a second one x counts as singular earlier
    around = _around(plain(x), finfo(x.dtype).eps ** (0.25 if isinstance(x, Tracked) else 0.5))
    if around is None:
        return _over_matrices(g * y) * matrix_transpose(inv(x))
    direction, nodes = around
    total: Array = None
    for t, weight in nodes:
        moved = x + t * direction
        part = weight * _over_matrices(det(moved)) * matrix_transpose(inv(moved))
        total = part if total is None else total + part
    return _over_matrices(g) * total


det.gradient(x=_det_gradient)


def _over_matrices(x: Array) -> Array:
    """One number for each matrix, in a shape that broadcasts over the matrices."""
    return expand_dims(expand_dims(x, axis=-1), axis=-1)


def _around(x: Array, small: float) -> tuple[Array, list[tuple[float, float]]] | None:
    """A direction out of the singular matrices and how to interpolate in it; None if all are far.

    The direction is made of the singular vectors whose singular values are `small` beside the
    largest, with the size of the smallest that is not. The steps in it are Chebyshev's nodes, an
    even number of them so that none is 0; the weights are Lagrange's, for the value at 0.
    """
    own, x = namespace(x), untraced(x)
    xp = namespace(x)
    if is_traced_by_jax(x) or not xp.all(xp.isfinite(x)) or _is_far(x, small):
        return None
    u, s, vh = xp.linalg.svd(x, full_matrices=False)
    is_small = s <= small * xp.max(s, axis=-1, keepdims=True)
    rank = int(xp.max(xp.sum(xp.astype(is_small, xp.int32), axis=-1)))
    if rank == 0:
        return None
    count = rank + 1 + (rank + 1) % 2
    steps = [cos((2 * k + 1) * pi / (2 * count)) for k in range(count)]
    weights = [prod(t / (t - step) for t in steps if t != step) for step in steps]
    zeros = xp.zeros_like(s)
    reach = xp.min(xp.where(is_small, zeros + inf, s), axis=-1, keepdims=True)
    least = xp.max(xp.where(is_small, s, zeros), axis=-1, keepdims=True)
    reach = xp.where(xp.isfinite(reach), reach, xp.ones_like(reach))
    reach = xp.maximum(reach, least * (2 / min(map(abs, steps))))
    sizes = xp.where(is_small, reach + zeros, zeros)
    direction = own.asarray(xp.matmul(u * sizes[..., None, :], vh))
    return direction, list(zip(steps, weights, strict=True))


def _is_far(x: Array, small: float) -> bool:
    """Whether all matrices are far from singular; quick, and False where it is not sure."""
    xp = namespace(x)
    try:
        inverse = xp.linalg.inv(x)
    except Exception as error:
        if not is_refusal(error):
            raise
        return False
    sizes = [xp.max(xp.sum(xp.abs(each), axis=-2), axis=-1) for each in (x, inverse)]  # norms
    return bool(xp.all(sizes[0] * small < 1 / sizes[1]))


@op(holomorphic=False)
@in_float32
def slogdet(x: Array, /) -> tuple[Array, Array]:
    """The sign and the logarithm of the absolute value of the determinant, as a named tuple.

        det(x) = sign · exp(logabsdet)

    Shapes: `x` (..., m, m), `sign` and `logabsdet` (...). `sign` is -1, 0 or 1, or for a complex x
    a number of absolute value 1, or 0; `logabsdet` is real. Of a singular matrix they are 0 and
    -∞, without a gradient.

    Raises ShapeError unless x is square, DTypeError unless it is floating point; the gradient
    raises ArgumentError where x is singular. Source: `linalg.slogdet` of the array API standard;
    the gradient is that of M. Giles, Collected matrix derivative results (2008), section 2.2.4,
    for complex numbers that of C. Boeddeker et al., On the computation of complex-valued gradients
    (2017), section 4.

    >>> lucid.linalg.slogdet(lucid.Tensor([[-1.0, 0.0], [0.0, 1.0]]))
    SlogdetResult(sign=Tensor(-1.0), logabsdet=Tensor(0.0))
    """
    check_square("slogdet", x=x)
    return SlogdetResult(*namespace(x).linalg.slogdet(x))


def _slogdet_gradient(g: Any, y: Any, x: Array) -> Array:
    # d log det = tr(x⁻¹ · dx): its real part is that of logabsdet, its imaginary part turns sign
    if 0 in x.shape:
        return zeros_like(x)
    (g_sign, g_log), sign = g, y[0]
    factor = g_log
    if is_complex(x.dtype):
        turn = g_sign * conj(sign)
        factor = factor + (turn - conj(turn)) / 2
    try:
        inverse = inv(x)
    except ArgumentError as error:
        which = str(error).removeprefix("inv: ").partition(" is singular")[0]
        raise ArgumentError(
            f"slogdet: {which} is singular; logabsdet is -∞ there, and has no gradient"
        ) from None
    return _over_matrices(factor) * adjoint(inverse)


slogdet.gradient(x=_slogdet_gradient)
