"""Rows chosen by index, weights chosen by group, results summed by target, under JAX.

Shapes are all that is known under `jit`, not how many rows a group has. So the rows are brought
into the order of their groups and cut into tiles of one group each, of which there are at most
rows / tile + groups; a `scan` gathers a tile's rows and its weight, contracts them and adds the
results to their places. Its gradient gathers again, so nothing is held for each row.
"""

from __future__ import annotations

from collections.abc import Callable
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
    x1: Array, x2: Array, weight: Array, bias: Array | None, maps: tuple[Array | None, ...],
    offsets: Array | None, *, product: Callable[..., Array], shape: tuple[int, ...],
    sizes: tuple[int, ...],
) -> Array:  # fmt: skip
    """The form over the rows that the maps choose; `product` is that of rows side by side."""
    rows = Rows(shape, maps, sizes, offsets)
    dtype = jnp.result_type(*(x for x in (x1, x2, weight, bias) if x is not None))
    # what sums are made in; truth values have none under JAX
    wide = {"float16": jnp.float32, "bfloat16": jnp.float32, "bool": jnp.int32}.get(
        dtype.name, dtype
    )
    # the sizes are written out: beside a 0 there is no -1
    x1, x2 = (jnp.reshape(x, (prod(x.shape[:-1]), x.shape[-1])).astype(wide) for x in (x1, x2))
    outputs = weight.shape[-3]
    weight = jnp.reshape(weight, (prod(weight.shape[:-3]), *weight.shape[-3:])).astype(wide)
    biases = None
    if bias is not None:
        biases = jnp.broadcast_to(bias.astype(wide), (weight.shape[0], outputs))
    flat: list[Any] = [each if each is None else jnp.reshape(each, (-1,)) for each in maps]
    count, result = rows.count, rows.shape_of(RESULT, outputs)
    if count == 0 or weight.shape[0] == 0:
        return jnp.zeros(result, dtype)
    features = x1.shape[1] + x2.shape[1] + outputs
    tiles, rows_of_tile = _tiles(rows, flat, offsets, features)

    @jax.checkpoint  # type: ignore[untyped-decorator, unused-ignore]
    def one(
        x1: Array, x2: Array, weight: Array, biases: Array | None, row: Array, group: Array
    ) -> Array:
        first, second = (
            x[row if own is None else own[row]]
            for x, own in ((x1, flat[FIRST]), (x2, flat[SECOND]))
        )
        given = [first, second, weight[group]]
        return product(*given) if biases is None else product(*given, biases[group])

    def step(total: Array, number: Array) -> tuple[Array, None]:
        row, group, is_row = rows_of_tile(number)
        found = one(x1, x2, weight, biases, row, group)
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
