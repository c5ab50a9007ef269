"""The rules of `vmap`: a batch of calls is one call.

Where the weight is the same for all, the new axis is one more leading axis. Where only what has an
axis of outputs is batched, it joins the outputs. Otherwise each element has a weight of its own.
With `each` all that is so already along the first axis, and the new one comes second, or joins it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._arrays import Array
from .._shapes import Shape
from ..kernels._arguments import Needed

Dim = int | None


def form(
    bilinear: Callable[..., Array], size: int, in_dims: tuple[Any, ...],
    x1: Array, x2: Array, weight: Array, bias: Array | None, each: bool,
) -> tuple[Array, int]:  # fmt: skip
    """The batch of forms, and where its axis is."""
    dim_1, dim_2, dim_weight, dim_bias, _ = in_dims
    at = int(each)
    rank = max(x1.ndim - (dim_1 is not None), x2.ndim - (dim_2 is not None))
    if bias is not None and not dim_weight is dim_bias is None:
        dims = (dim_1, dim_2, dim_weight)
        if dims == (None, None, None):
            out = bilinear(x1, x2, weight)
        else:
            out, dim = form(bilinear, size, (*dims, None, None), x1, x2, weight, None, each)
            out = out.movedim(dim, 0)
        if dim_bias is None:
            return out + bias.reshape(-1), 0
        return out + bias.movedim(dim_bias, 0).reshape(size, *(1,) * (rank - 1), -1), 0

    if dim_weight is None:
        x1, x2 = _lead(x1, dim_1, at, rank), _lead(x2, dim_2, at, rank)
        return bilinear(x1, x2, weight, bias, each), at
    if dim_1 is dim_2 is None:
        outputs = weight.movedim(dim_weight, at)
        out = bilinear(x1, x2, outputs.flatten(at, at + 1), None, each)
        return out.unflatten(-1, (size, outputs.shape[at + 1])), out.ndim - 1
    x1, x2 = _join(x1, dim_1, size, each), _join(x2, dim_2, size, each)
    return _part(bilinear(x1, x2, _join(weight, dim_weight, size, each), None, True), size, each), 0


def gradients(
    gradients_of: Callable[..., tuple[Array, ...]], size: int, in_dims: tuple[Any, ...],
    g: Array, x1: Array | None, x2: Array | None, weight: Array | None,
    shape_1: Shape, shape_2: Shape, needed: Needed, each: bool,
) -> tuple[tuple[Array, ...], tuple[int, ...]]:  # fmt: skip
    """The batch of gradients, those needed, and where their axes are."""
    dim_g, dim_1, dim_2, dim_weight, *_ = in_dims
    want_1, want_2, want_weight = needed
    at = int(each)
    if want_weight and (want_1 or want_2) and dim_weight is None:
        inputs, of_weight = (
            gradients(gradients_of, size, in_dims, g, x1, x2, weight, shape_1, shape_2, some, each)
            for some in ((want_1, want_2, False), (False, False, True))
        )
        return (*inputs[0], *of_weight[0]), (*inputs[1], *of_weight[1])

    if want_weight and dim_1 is dim_2 is dim_weight is None:
        outputs = g.movedim(dim_g, -2)
        (found,) = gradients_of(outputs.flatten(-2), x1, x2, None, shape_1, shape_2, needed, each)
        return (found.unflatten(at, tuple(outputs.shape[-2:])),), (at,)

    if dim_weight is None and not want_weight:
        rank = g.ndim - (dim_g is not None)
        g = _lead(g, dim_g, at, rank, size)
        first, new_1 = _side(x1, dim_1, shape_1, want_1, at, rank, size)
        second, new_2 = _side(x2, dim_2, shape_2, want_2, at, rank, size)
        found = gradients_of(g, first, second, weight, new_1, new_2, needed, each)
        own = [shape for shape, wanted in ((shape_1, want_1), (shape_2, want_2)) if wanted]
        return tuple(
            gradient.reshape(*shape[:at], size, *shape[at:])
            for gradient, shape in zip(found, own, strict=True)
        ), (at,) * len(found)

    factors = (
        factor if factor is None else _join(factor, dim, size, each)
        for factor, dim in ((g, dim_g), (x1, dim_1), (x2, dim_2), (weight, dim_weight))
    )
    shape_1, shape_2 = (
        (size * shape[0], *shape[1:]) if each else (size, *shape) for shape in (shape_1, shape_2)
    )
    found = gradients_of(*factors, shape_1, shape_2, needed, True)
    return tuple(_part(gradient, size, each) for gradient in found), (0,) * len(found)


def _lead(x: Array, dim: Dim, at: int, rank: int, size: int | None = None) -> Array:
    """The new axis at a place, ones behind it up to the rank of the others; with `size`, always."""
    if dim is not None:
        x = x.movedim(dim, at)
    elif size is not None:
        x = x.unsqueeze(at).expand(*x.shape[:at], size, *x.shape[at:])
    else:
        return x
    return x[(*(slice(None),) * (at + 1), *(None,) * (rank + 1 - x.ndim))]


def _side(
    x: Array | None, dim: Dim, shape: Shape, wanted: bool, at: int, rank: int, size: int
) -> tuple[Array | None, Shape]:
    """An input, and its shape, with the new axis where it has that or its gradient will."""
    if dim is None and not wanted:
        return x, shape
    ones = (1,) * (rank - len(shape))
    return (
        x if x is None else _lead(x, dim, at, rank, size),
        (*shape[:at], size, *ones, *shape[at:]),
    )


def _join(x: Array, dim: Dim, size: int, each: bool) -> Array:
    """The new axis first; joined with the one of the elements where there is one."""
    x = x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0)
    return x.flatten(0, 1) if each else x


def _part(x: Array, size: int, each: bool) -> Array:
    """What was joined, apart again."""
    return x.unflatten(0, (size, x.shape[0] // size)) if each else x
