"""Diagonals and their sums."""

from __future__ import annotations

from ..._arguments import WHOLE, check
from ..._arrays import Array, DType, device_of, namespace, scatter_add
from ..._op import op
from ..._shapes import Shape
from ..._wide import reduced
from .._movement import broadcast_to, expand_dims
from ._checks import check_matrix


@op
def diagonal(x: Array, /, *, offset: int = 0) -> Array:
    """The diagonal of a matrix, or of each in a stack: `offset` places above the main one.

        out[..., k] = x[..., k, k + offset]

    Shapes: `x` (..., m, n), the result (..., k); below the main diagonal `offset` is negative, and
    outside the matrix the result is empty. Raises ShapeError for an `x` without two axes.
    Source: `linalg.diagonal` of the array API standard.

    >>> lucid.linalg.diagonal(lucid.Tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor([1.0, 4.0])
    """
    check_matrix("diagonal", x)
    check("diagonal", WHOLE, offset=offset)
    rows, columns = x.shape[-2:]
    return namespace(x).linalg.diagonal(x, offset=min(max(offset, -rows), columns))


@op
def on_diagonal(values: Array, shape: Shape, /, offset: int = 0) -> Array:
    """Matrices of zeros with values on a diagonal."""
    rows, columns = shape[-2:]
    offset = min(max(offset, -rows), columns)
    places = namespace(values).arange(values.shape[-1], device=device_of(values))
    index = (..., places + max(-offset, 0), places + max(offset, 0))
    return scatter_add(values, index, shape, repeats=False)


diagonal.gradient(x=lambda g, x_shape, offset: on_diagonal(g, x_shape, offset))
on_diagonal.gradient(values=lambda g, offset: diagonal(g, offset=offset))


@op
def trace(x: Array, /, *, offset: int = 0, dtype: DType | None = None) -> Array:
    """The sum of a diagonal of a matrix, or of each in a stack.

        out[...] = Σ_k x[..., k, k + offset]

    Shapes: `x` (..., m, n), the result (...). Integers that are narrower than int64 are added up
    in it, unless `dtype` says otherwise. Raises ShapeError for an `x` without two axes.
    Source: `linalg.trace` of the array API standard.

    >>> lucid.linalg.trace(lucid.Tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor(5.0)
    """
    check_matrix("trace", x)
    check("trace", WHOLE, offset=offset)
    return reduced("sum", diagonal(x, offset=offset), axis=-1, dtype=dtype)


def _trace_gradient(g: Array, x_shape: Shape, offset: int) -> Array:
    rows, columns = x_shape[-2:]
    length = max(min(rows, columns, rows + offset, columns - offset), 0)
    return on_diagonal(broadcast_to(expand_dims(g, axis=-1), (*x_shape[:-2], length)), x_shape,
                       offset)  # fmt: skip


trace.gradient(x=_trace_gradient)
