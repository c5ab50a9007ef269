"""Products of vectors that are no sums."""

from __future__ import annotations

from ..._arguments import WHOLE, check
from ..._arrays import Array, namespace
from ..._errors import ArgumentError, OutOfRangeError, ShapeError
from ..._op import op
from ..._wide import in_float32
from .._products import matmul


@op
@in_float32
def cross(x1: Array, x2: Array, /, *, axis: int = -1) -> Array:
    """The cross product of vectors of 3 elements.

        out[0] = x1[1] · x2[2] - x1[2] · x2[1], and so on, in turn

    Shapes: both have 3 elements along `axis`, which is counted from the end; the other axes
    broadcast. Raises ShapeError where an axis has another size, OutOfRangeError where there is
    none, and ArgumentError for an `axis` from 0 on. Source: `linalg.cross` of the array API
    standard.

    >>> lucid.linalg.cross(lucid.Tensor([1.0, 0.0, 0.0]), lucid.Tensor([0.0, 1.0, 0.0]))
    Tensor([0.0, 0.0, 1.0])
    """
    check("cross", WHOLE, axis=axis)
    shape_1, shape_2 = (tuple(getattr(x, "shape", ())) for x in (x1, x2))
    if axis >= 0:
        raise ArgumentError(
            f"cross: axis is {axis}, expected one counted from the end, as -1 is, because x1 "
            f"{shape_1} and x2 {shape_2} broadcast"
        )
    for name, shape in (("x1", shape_1), ("x2", shape_2)):
        if -axis > len(shape):
            raise OutOfRangeError(f"cross: axis {axis} is outside {name} {shape}")
        if shape[axis] != 3:
            raise ShapeError(
                f"cross: axis {axis} of {name} {shape} is {shape[axis]}, expected 3; vectors of "
                "2 elements have no cross product"
            )
    return namespace(x1, x2).linalg.cross(x1, x2, axis=axis)


cross.gradient(
    x1=lambda g, x2, axis: cross(x2, g, axis=axis),
    x2=lambda g, x1, axis: cross(g, x1, axis=axis),
)


@op
def outer(x1: Array, x2: Array, /) -> Array:
    """The products of all pairs of elements of two vectors.

        out[k, m] = x1[k] · x2[m]

    Shapes: `x1` (n,), `x2` (m,), the result (n, m). Raises ShapeError unless both have one axis.
    Source: `linalg.outer` of the array API standard.

    >>> lucid.linalg.outer(lucid.Tensor([1.0, 2.0]), lucid.Tensor([3.0, 4.0]))
    Tensor([[3.0, 4.0], [6.0, 8.0]])
    """
    for name, x in (("x1", x1), ("x2", x2)):
        shape = tuple(getattr(x, "shape", ()))
        if len(shape) != 1:
            raise ShapeError(
                f"outer: {name} has shape {shape}, expected one axis; flatten it with "
                f"lucid.reshape({name}, (-1,))"
            )
    return namespace(x1, x2).multiply(x1[:, None], x2[None, :])


outer.gradient(x1=lambda g, x2: matmul(g, x2), x2=lambda g, x1: matmul(x1, g))
