"""Axes that a reduction takes away, and how its rules bring them back."""

from __future__ import annotations

from math import prod

import numpy as np

from .._arrays import Array
from ._movement import broadcast_to, reshape

Axis = int | tuple[int, ...] | None

SMALL = 4096
"""Numbers that are written sooner than NumPy makes a view that repeats one; and dense besides."""


def axes_of(axis: Axis, rank: int) -> tuple[int, ...]:
    """The axes that `axis` means, counted from 0."""
    if axis is None:
        return tuple(range(rank))
    if isinstance(axis, int):
        axis = (axis,)
    return tuple(each % rank for each in axis)


def spread(g: Array, shape: tuple[int, ...], axis: Axis, keepdims: bool) -> Array:
    """A reduced array over the shape that it was reduced from."""
    if axis is None and isinstance(g, np.generic) and prod(shape) <= SMALL:
        full = np.empty(shape, g.dtype)
        full.fill(g)
        return full
    return broadcast_to(kept(g, shape, axis, keepdims), shape)


def kept(g: Array, shape: tuple[int, ...], axis: Axis, keepdims: bool) -> Array:
    """A reduced array with its reduced axes as axes of size 1."""
    if keepdims or not shape:
        return g
    axes = axes_of(axis, len(shape))
    return reshape(g, tuple(1 if k in axes else size for k, size in enumerate(shape)))


def count(shape: tuple[int, ...], axis: Axis) -> int:
    return prod(shape[k] for k in axes_of(axis, len(shape)))
