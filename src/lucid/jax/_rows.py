"""Rows chosen by index, weights chosen by group, results summed by target, under JAX.

Shapes are all that is known under `jit`, not how many rows a group has. So the rows are brought
into the order of their groups and cut into tiles of one group each, of which there are at most
rows / tile + groups; a `scan` gathers a tile's rows and its weight, contracts them and adds the
results to their places. Its gradient gathers again, so nothing is held for each row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from typing import Any

import jax
import jax.numpy as jnp

from ..kernels._rows import FIRST, RESULT, SECOND, WEIGHT, Rows

Array = Any

BLOCK = 2 << 20
"""Bytes of a tile: what is gathered, and its results."""


@partial(jax.jit, static_argnames=("product", "shape", "sizes"))
def contract(
    x1: Array, x2: Array, weight: Array, bias: Array | None, terms: Mapping[str, Array],
    maps: tuple[Array | None, ...], offsets: Array | None, *, product: Callable[..., Array],
    shape: tuple[int, ...], sizes: tuple[int, ...],
) -> Array:  # fmt: skip
    """The form over the rows that the maps choose, and the linear terms of these rows.

    `product` is that of rows side by side.
    """
    rows = Rows(shape, maps, sizes, offsets)
    given = [x1, x2, weight, *terms.values()]
    dtype = jnp.result_type(*given, *(() if bias is None else (bias,)))
    # what sums are made in; truth values have none under JAX
    wide = {"float16": jnp.float32, "bfloat16": jnp.float32, "bool": jnp.int32}.get(
        dtype.name, dtype
    )
    # the sizes are written out: beside a 0 there is no -1
    x1, x2 = (jnp.reshape(x, (prod(x.shape[:-1]), x.shape[-1])).astype(wide) for x in (x1, x2))
    outputs = weight.shape[-3]
    # one for each group, also where there is only one
    weights = {name: each.astype(wide) for name, each in {"weight": weight, **terms}.items()}
    if weight.ndim == 3:
        weights = {name: each[None] for name, each in weights.items()}
    if bias is not None:
        weights["bias"] = jnp.broadcast_to(bias.astype(wide), (rows.sizes[WEIGHT], outputs))
    flat: list[Any] = [each if each is None else jnp.reshape(each, (-1,)) for each in maps]
    count, result = rows.count, rows.shape_of(RESULT, outputs)
    if 0 in (count, rows.sizes[WEIGHT]):
        return jnp.zeros(result, dtype)
    features = x1.shape[1] + x2.shape[1] + outputs
    tiles, rows_of_tile = _tiles(rows, flat, offsets, features)

    @jax.checkpoint  # type: ignore[untyped-decorator, unused-ignore]
    def one(x1: Array, x2: Array, weights: Mapping[str, Array], row: Array, group: Array) -> Array:
        first, second = (
            x[row if its is None else its[row]]
            for x, its in ((x1, flat[FIRST]), (x2, flat[SECOND]))
        )
        own = {name: each[group] for name, each in weights.items()}
        given = [own.pop(name) for name in ("weight", "bias") if name in own]
        return product(first, second, *given, **own)

    def step(total: Array, number: Array) -> tuple[Array, None]:
        row, group, is_row = rows_of_tile(number)
        found = one(x1, x2, weights, row, group)
        found = jnp.where(is_row[:, None], found, jnp.zeros((), found.dtype))
        place = row if flat[RESULT] is None else flat[RESULT][row]
        return total.at[place].add(found), None

    size = count if flat[RESULT] is None else sizes[RESULT]
    total, _ = jax.lax.scan(step, jnp.zeros((size, outputs), wide), jnp.arange(tiles))
    return jnp.reshape(total, result).astype(dtype)


def _tiles(
    rows: Rows, flat: list[Array | None], offsets: Array | None, features: int
) -> tuple[int, Callable[[Array], tuple[Array, Array, Array]]]:
    """How many tiles there are, and what one holds: rows, their group, and which of them count."""
    count, groups = rows.count, rows.sizes[WEIGHT]
    most = max(1, min(count, BLOCK // (4 * max(features, 1))))
    if not rows.has_groups:
        tiles = -(-count // most)

        def side_by_side(number: Array) -> tuple[Array, Array, Array]:
            row = number * most + jnp.arange(most)
            return jnp.minimum(row, count - 1), jnp.zeros((), int), row < count

        return tiles, side_by_side
    tile = max(1, min(most, count // groups))
    tiles = -(-count // tile) + min(groups, count)
    order = None
    if offsets is None:
        group = flat[WEIGHT]
        order = jnp.argsort(group, stable=True)
        lengths = jnp.bincount(group, length=groups)
        starts = jnp.cumsum(lengths) - lengths
    else:
        offsets = offsets.astype(int)  # narrow and unsigned numbers would go round
        starts, lengths = offsets[:-1], jnp.diff(offsets)
    ends = jnp.cumsum(-(-lengths // tile))

    def of_one_group(number: Array) -> tuple[Array, Array, Array]:
        group = jnp.minimum(jnp.searchsorted(ends, number, side="right"), groups - 1)
        before = ends[group] - -(-lengths[group] // tile)
        place = (number - before) * tile + jnp.arange(tile)
        is_row = (place < lengths[group]) & (number < ends[-1])
        row = jnp.clip(starts[group] + place, 0, count - 1)
        return row if order is None else order[row], group, is_row

    return tiles, of_one_group
