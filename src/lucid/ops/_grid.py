"""The coordinates of a grid, and the triangles of matrices."""

from __future__ import annotations

from typing import Any

from .._arguments import WHOLE, check
from .._arrays import Array, namespace
from .._errors import ArgumentError, ShapeError
from .._op import op
from .._tape import operand
from ._movement import broadcast_to, reshape
from .linalg._checks import check_matrix


def meshgrid(*arrays: Any, indexing: str = "xy") -> tuple[Any, ...]:
    """The coordinates of a grid: each array of one axis, repeated along the axes of the others.

        out_k[i_1, …, i_n] = arrays[k][i_k]

    That is indexing="ij". With "xy" the first two axes change places, as in a picture, whose rows
    are its heights. Raises ShapeError for an array that has not one axis.

    >>> x, y = lucid.meshgrid(lucid.Tensor([1.0, 2.0]), lucid.Tensor([3.0, 4.0, 5.0]))
    >>> x.tolist(), y.tolist()
    ([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]], [[3.0, 3.0], [4.0, 4.0], [5.0, 5.0]])
    """
    if indexing not in ("xy", "ij"):
        raise ArgumentError(f"meshgrid: indexing is {indexing!r:.60}, expected 'xy' or 'ij'")
    lines = [operand(each, *arrays) for each in arrays]
    for k, line in enumerate(lines):
        if len(line.shape) != 1:
            raise ShapeError(f"meshgrid: arrays[{k}] {tuple(line.shape)} has not one axis")
    axes = list(range(len(lines)))
    if indexing == "xy":
        axes[:2] = axes[:2][::-1]
    shape = tuple(lines[axis].shape[0] for axis in axes)
    return tuple(
        broadcast_to(reshape(line, tuple(-1 if each == k else 1 for each in axes)), shape)
        for k, line in enumerate(lines)
    )


@op
def tril(x: Array, /, *, k: int = 0) -> Array:
    """The lower triangle of matrices: zeros above the k-th diagonal.

    Shape: `x` (..., m, n).

    >>> lucid.tril(lucid.Tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor([[1.0, 0.0], [3.0, 4.0]])
    """
    _check_matrices("tril", x, k)
    return namespace(x).tril(x, k=k)


@op
def triu(x: Array, /, *, k: int = 0) -> Array:
    """The upper triangle of matrices: zeros below the k-th diagonal.

    Shape: `x` (..., m, n).

    >>> lucid.triu(lucid.Tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor([[1.0, 2.0], [0.0, 4.0]])
    """
    _check_matrices("triu", x, k)
    return namespace(x).triu(x, k=k)


tril.gradient(x=lambda g, k: tril(g, k=k))
triu.gradient(x=lambda g, k: triu(g, k=k))


def _check_matrices(function: str, x: Array, k: int) -> None:
    check(function, WHOLE, k=k)
    check_matrix(function, x)
