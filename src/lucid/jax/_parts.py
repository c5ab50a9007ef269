"""Contractions in parts, one after the other, so that there is room for copies of a part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

Array = Any
Factors = Sequence[Array | None]
Shape = tuple[int, ...]

Run = Callable[[Factors, Sequence[Shape], Sequence[Any]], list[Array]]
"""Of factors, with the shapes of all four and the dtypes for their results: those wanted."""

Cut = tuple[Mapping[int, int], int]
"""An axis, as its place in each of the factors that have it; and how far a part goes along it."""


def in_parts(
    cuts: Sequence[Cut], run: Run, factors: Factors, wanted: Sequence[int],
    shapes: Sequence[Shape], dtypes: Sequence[Any], wide: Any,
) -> list[Array]:  # fmt: skip
    """What `run` finds, part by part along each of the cuts.

    A result that has the axis gets each part in its place, in its own dtype; one that has not is
    the sum of all parts, in the wide dtype.
    """
    if not cuts:
        return run(factors, shapes, dtypes)
    (axes, longest), *others = cuts
    size = next(shapes[k][axis] for k, axis in axes.items())
    length = -(-size // -(-size // longest))
    own = [dtype if k in axes else wide for k, dtype in enumerate(dtypes)]
    of_factors = [None if x is None else x.dtype for x in factors]
    factors = [x if x is None or k not in axes else _bits(x) for k, x in enumerate(factors)]

    def add(start: Any, length: int, totals: list[Array]) -> list[Array]:
        part = [
            x if x is None or k not in axes
            else _numbers(
                jax.lax.dynamic_slice_in_dim(x, start, length, axes[k]), of_factors[k]
            )
            for k, x in enumerate(factors)
        ]  # fmt: skip
        of_part = [
            (*shape[: axes[k]], length, *shape[axes[k] + 1 :]) if k in axes else shape
            for k, shape in enumerate(shapes)
        ]
        found = in_parts(others, run, part, wanted, of_part, own, wide)
        return [
            jax.lax.dynamic_update_slice_in_dim(total, _bits(y), start, axes[k]) if k in axes
            else total + y
            for k, total, y in zip(wanted, totals, found, strict=True)
        ]  # fmt: skip

    given = [x for x in factors if x is not None]
    totals = [_bits(varying(jnp.zeros(shapes[k], own[k]), *given)[0]) for k in wanted]
    whole, rest = divmod(size, length)
    if rest:  # first: what comes after a loop would have its own copy of the results
        totals = add(0, rest, totals)
    totals = jax.lax.fori_loop(
        0, whole, lambda n, totals: add(rest + n * length, length, totals), totals
    )
    return [_numbers(y, own[k]).astype(dtypes[k]) for k, y in zip(wanted, totals, strict=True)]


def _bits(x: Array) -> Array:
    """bfloat16 as integers: XLA widens it whole on the CPU, even to take or to set a part of it."""
    return jax.lax.bitcast_convert_type(x, jnp.uint16) if x.dtype == jnp.bfloat16 else x


def _numbers(x: Array, dtype: Any) -> Array:
    return jax.lax.bitcast_convert_type(x, dtype) if dtype == jnp.bfloat16 else x


def varying(*arrays: Array) -> Sequence[Array]:
    """Inside of `shard_map`: arrays that vary along the same axes of the mesh, all of them."""
    axes = [jax.typeof(x).manual_axis_type.varying for x in arrays]
    everywhere = frozenset().union(*axes)
    return [
        jax.lax.pcast(x, tuple(everywhere - own), to="varying") if everywhere - own else x
        for x, own in zip(arrays, axes, strict=True)
    ]
