"""Products of matrices and of vectors."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from .._arguments import COUNT, check, told
from .._arrays import Array
from .._errors import ArgumentError, ShapeError
from .._op import op
from .._shapes import check_axes
from .._wide import matmul_later, product, widened
from ._complex import conj
from ._movement import expand_dims, matrix_transpose, permute_dims, reshape
from ._reduce import sum


@op(halves=True)
def matmul(x1: Array, x2: Array, /) -> Array:
    """The matrix product over the last two axes; leading axes broadcast.

        out[..., n, m] = Σ_k x1[..., n, k] · x2[..., k, m]

    A vector as x1 counts as one row, as x2 as one column. Raises ShapeError where k differs.

    >>> lucid.matmul(lucid.Tensor([[1.0, 2.0]]), lucid.Tensor([[3.0], [4.0]]))
    Tensor([[11.0]])
    """
    shape_1, shape_2 = (tuple(getattr(x, "shape", ())) for x in (x1, x2))  # a number has none
    if not shape_1 or not shape_2:
        raise ShapeError(f"matmul: a scalar has no rows; got x1 {shape_1} and x2 {shape_2}")
    if shape_1[-1] != shape_2[-2:][0]:
        raise ShapeError(
            f"matmul: the last axis of x1 {shape_1} is {shape_1[-1]}, but the "
            f"{'second to last' if len(shape_2) > 1 else 'only'} axis of x2 {shape_2} is "
            f"{shape_2[-2:][0]}; they must be equal"
        )
    return product("matmul", x1, x2)


def unrounded_product(x1: Array, x2: Array) -> Any:
    """A product of matrices for the tape, which rounds that of halves."""
    return matmul_later(x1, x2) or matmul(widened(x1), widened(x2))


def _matmul_gradient_1(g: Array, x1_shape: tuple[int, ...], x2: Array) -> Any:
    if len(x1_shape) > 1 and len(x2.shape) > 1:
        return unrounded_product(g, matrix_transpose(x2))
    g, x2 = widened(g), widened(x2)
    if len(x2.shape) == 1:  # g[..., n] · x2[k]
        return (expand_dims(g, axis=-1) if g.shape else g) * x2
    return sum(x2 * expand_dims(g, axis=-2), axis=-1)  # Σ_m x2[..., k, m] · g[..., m]


def _matmul_gradient_2(g: Array, x1: Array, x2_shape: tuple[int, ...]) -> Any:
    if len(x1.shape) > 2 and len(x2_shape) == 2:  # one product over all rows, no sum afterwards
        return unrounded_product(matrix_transpose(as_rows(x1)), as_rows(g))
    if len(x1.shape) > 1 and len(x2_shape) > 1:
        return unrounded_product(matrix_transpose(x1), g)
    g, x1 = widened(g), widened(x1)
    if len(x2_shape) == 1:  # Σ_n g[..., n] · x1[..., n, k]
        return x1 * expand_dims(g, axis=-1) if g.shape else x1 * g
    return expand_dims(x1, axis=-1) * expand_dims(g, axis=-2)  # x1[k] · g[..., m]


def as_rows(x: Array) -> Array:
    """All leading axes as one; the size is written out, because -1 is ambiguous beside a 0."""
    return x if len(x.shape) == 2 else reshape(x, (prod(x.shape[:-1]), x.shape[-1]))


matmul.gradient(x1=_matmul_gradient_1, x2=_matmul_gradient_2)

Axes = int | tuple[Sequence[int], Sequence[int]]


@op
def tensordot(x1: Array, x2: Array, /, *, axes: Axes = 2) -> Array:
    """The sum of products over pairs of axes; what is left of x1 comes before what is left of x2.

    `axes` is a number n (the last n axes of x1 with the first n of x2) or two sequences of axes.

    >>> lucid.tensordot(lucid.ones((2, 3)), lucid.ones((3, 4)), axes=1).shape
    (2, 4)
    """
    _check_pairs(tuple(x1.shape), tuple(x2.shape), axes)
    axes_1, axes_2 = _pairs(len(x1.shape), len(x2.shape), axes)
    for k, m in zip(axes_1, axes_2, strict=True):
        if x1.shape[k] != x2.shape[m]:
            raise ShapeError(
                f"tensordot: axis {k} of x1 {tuple(x1.shape)} is {x1.shape[k]}, but axis {m} of "
                f"x2 {tuple(x2.shape)} is {x2.shape[m]}; they must be equal"
            )
    return product("tensordot", x1, x2, axes=(axes_1, axes_2))


def _check_pairs(shape_1: tuple[int, ...], shape_2: tuple[int, ...], axes: Axes) -> None:
    if isinstance(axes, (tuple, list)):
        if len(axes) != 2 or not all(isinstance(each, (tuple, list)) for each in axes):
            raise ArgumentError(
                f"tensordot: axes is {told(axes)}, expected a number or two sequences of axes"
            )
        counts = [
            len(check_axes("tensordot", name, shape, each))
            for name, shape, each in zip(("x1", "x2"), (shape_1, shape_2), axes, strict=True)
        ]
        if counts[0] != counts[1]:
            raise ArgumentError(
                f"tensordot: axes names {counts[0]} axes of x1, but {counts[1]} of x2; they are "
                "taken in pairs"
            )
        return
    check("tensordot", COUNT, axes=axes)
    if axes > min(len(shape_1), len(shape_2)):
        raise ArgumentError(
            f"tensordot: axes is {axes}, but x1 {shape_1} has {len(shape_1)} axes and x2 "
            f"{shape_2} has {len(shape_2)}; it pairs the last ones of x1 with the first of x2"
        )


def _pairs(rank_1: int, rank_2: int, axes: Axes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if isinstance(axes, int):
        return tuple(range(rank_1 - axes, rank_1)), tuple(range(axes))
    return tuple(k % rank_1 for k in axes[0]), tuple(k % rank_2 for k in axes[1])


def _rest(rank: int, used: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(k for k in range(rank) if k not in used)


def _order_back(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(axes.index(k) for k in range(len(axes)))


def _tensordot_gradient_1(g: Array, x1_shape: tuple[int, ...], x2: Array, axes: Axes) -> Array:
    axes_1, axes_2 = _pairs(len(x1_shape), len(x2.shape), axes)
    rest_1, rest_2 = _rest(len(x1_shape), axes_1), _rest(len(x2.shape), axes_2)
    last = tuple(range(len(rest_1), len(rest_1) + len(rest_2)))
    product = tensordot(g, x2, axes=(last, rest_2))  # axes: the rest of x1, then axes_2 in order
    order = sorted(range(len(axes_2)), key=axes_2.__getitem__)
    return permute_dims(product, _order_back((*rest_1, *(axes_1[k] for k in order))))


def _tensordot_gradient_2(g: Array, x1: Array, x2_shape: tuple[int, ...], axes: Axes) -> Array:
    axes_1, axes_2 = _pairs(len(x1.shape), len(x2_shape), axes)
    rest_1, rest_2 = _rest(len(x1.shape), axes_1), _rest(len(x2_shape), axes_2)
    first = tuple(range(len(rest_1)))
    product = tensordot(x1, g, axes=(rest_1, first))  # axes: axes_1 in order, then the rest of x2
    order = sorted(range(len(axes_1)), key=axes_1.__getitem__)
    return permute_dims(product, _order_back((*(axes_2[k] for k in order), *rest_2)))


tensordot.gradient(x1=_tensordot_gradient_1, x2=_tensordot_gradient_2)


@op(holomorphic=False)
def vecdot(x1: Array, x2: Array, /, *, axis: int = -1) -> Array:
    """The dot product of vectors along an axis; the other axes broadcast.

        out[...] = Σ_k conj(x1[..., k]) · x2[..., k]

    >>> lucid.vecdot(lucid.Tensor([1.0, 2.0]), lucid.Tensor([3.0, 4.0]))
    Tensor(11.0)
    """
    if not x1.shape or not x2.shape or x1.shape[axis] != x2.shape[axis]:
        raise ShapeError(
            f"vecdot: axis {axis} of x1 {tuple(x1.shape)} and of x2 {tuple(x2.shape)} "
            "must be there and equal"
        )
    return product("vecdot", x1, x2, axis=axis)


vecdot.gradient(
    x1=lambda g, x2, axis: conj(expand_dims(g, axis=axis)) * x2,
    x2=lambda g, x1, axis: expand_dims(g, axis=axis) * x1,
)
