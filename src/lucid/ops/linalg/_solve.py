"""Systems of linear equations."""

from __future__ import annotations

from typing import Any

from ..._arrays import Array, namespace
from ..._errors import ShapeError
from ..._op import op
from ..._shapes import Shape, broadcast_shapes
from ..._wide import in_float32
from .._movement import expand_dims, matrix_transpose, squeeze
from .._products import matmul
from ._checks import attempt, check_floating, check_square


@op
@in_float32
def solve(x1: Array, x2: Array, /) -> Array:
    """The y for which x1 · y = x2.

        Σ_m x1[..., k, m] · y[..., m, n] = x2[..., k, n]

    Shapes: `x1` (..., m, m), `x2` (m,) or (..., m, n); the leading axes broadcast, and y has the
    shape (..., m) or (..., m, n). Only an `x2` of one axis is a vector: to solve for a stack of
    vectors, give each an axis of size 1 at its end.

    Raises ShapeError where shapes do not fit, DTypeError unless both are floating point, real or
    complex, and ArgumentError where a matrix is singular (with JAX the result is then not finite).
    Source: `linalg.solve` of the array API standard.

    >>> lucid.linalg.solve(lucid.Tensor([[2.0, 0.0], [0.0, 4.0]]), lucid.Tensor([1.0, 1.0]))
    Tensor([0.5, 0.25])
    """
    check_square("solve", x1=x1)
    check_floating("solve", x2=x2)
    _check_fits(tuple(x1.shape), tuple(x2.shape))
    linalg = namespace(x1, x2).linalg
    why = "is singular: its rows depend on each other, and no y, or more than one, solves x1 · y = "
    return attempt("solve", lambda x1: linalg.solve(x1, x2), f"{why}x2", linalg.inv, x1=x1)


@solve.gradients(x1=("x1", "y", "x2_shape"), x2=("x1", "x2_shape"))
def _(g: Array, x1: Array, y: Array | None, x2_shape: Shape, needed: Any) -> Any:
    # dx2 = x1⁻ᵀ · g    dx1 = -dx2 · yᵀ
    is_vector = len(x2_shape) == 1
    d_x2 = solve(matrix_transpose(x1), expand_dims(g, axis=-1) if is_vector else g)
    d_x1 = None
    if needed.x1:
        columns = expand_dims(y, axis=-1) if is_vector else y
        d_x1 = -matmul(d_x2, matrix_transpose(columns))
    return d_x1, squeeze(d_x2, axis=-1) if is_vector else d_x2


def _check_fits(shape_1: Shape, shape_2: Shape) -> None:
    if not shape_2 or shape_1[-1] != shape_2[-2:][0]:
        raise ShapeError(
            f"solve: x1 {shape_1} has {shape_1[-1]} rows, but x2 {shape_2} "
            f"{f'has {shape_2[-2:][0]}' if shape_2 else 'is a scalar'}; x2 has the shape "
            f"({shape_1[-1]},) or (..., {shape_1[-1]}, n)"
        )
    try:
        broadcast_shapes(shape_1[:-2], shape_2[:-2])
    except ShapeError:
        raise ShapeError(
            f"solve: the leading axes {shape_1[:-2]} of x1 {shape_1} and {shape_2[:-2]} of x2 "
            f"{shape_2} do not broadcast; aligned at the right, each pair must be equal or "
            "contain a 1"
        ) from None
