"""Reductions over all pairs under JAX's transformations.

Blocks of rows are scanned, in each tiles of partners, and where there are several, their body is
under `jax.checkpoint`: so JAX's own rules give derivatives of every order, `vmap` and `jit`, and
what a backward pass keeps are the arguments and some numbers for each row and tile.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf, prod
from typing import Any

import jax
import jax.numpy as jnp

from .._shapes import broadcast_shapes
from ..kernels._pairs import (
    WIDTH,
    Pairs,
    check_k,
    check_loss,
    check_pairs,
    check_target,
    with_shares,
)
from ..kernels._reductions import Partners

Array = Any

ROOM = 8 << 20
"""Bytes of a tile of scores, and of the weights that a block with groups has."""


def bilinear_logsumexp(
    input_1: Array, input_2: Array, weight: Array, bias: Array | None = None, *,
    mask: Array | None = None, exclude: Array | None = None, group: Array | None = None,
) -> Array:  # fmt: skip
    """`lucid.nn.functional.bilinear_logsumexp` under JAX.

        out[..., n, o] = log Σ_m exp(scores[..., n, m, o])

    >>> import jax.numpy as jnp
    >>> import lucid.jax
    >>> h, others = jnp.ones((4, 2)), jnp.zeros((8, 3))
    >>> lucid.jax.bilinear_logsumexp(h, others, jnp.ones((1, 2, 3))).shape
    (4, 1)
    """
    pairs = _pairs("bilinear_logsumexp", input_1, input_2, weight, bias, mask, exclude, group)
    return _by_blocks(_logsumexp, pairs).astype(pairs.dtype)


def bilinear_cross_entropy(
    input_1: Array, input_2: Array, weight: Array, bias: Array | None = None, *, target: Array,
    mask: Array | None = None, exclude: Array | None = None, group: Array | None = None,
    ignore_index: int = -100, label_smoothing: float = 0.0, reduction: str = "mean",
) -> Array:  # fmt: skip
    """`lucid.nn.functional.bilinear_cross_entropy` under JAX.

        loss[..., n, o] = log Σ_m exp(scores[..., n, m, o]) - scores[..., n, target[..., n, o], o]

    >>> import jax.numpy as jnp
    >>> import lucid.jax
    >>> h, others = jnp.ones((2, 2)), jnp.zeros((8, 3))
    >>> target = jnp.asarray([0, 1])
    >>> loss = lucid.jax.bilinear_cross_entropy(h, others, jnp.ones((1, 2, 3)), target=target)
    >>> round(float(loss), 4)
    2.0794
    """
    name = "bilinear_cross_entropy"
    check_loss(
        name, ignore_index=ignore_index, label_smoothing=label_smoothing, reduction=reduction
    )
    pairs = _pairs(name, input_1, input_2, weight, bias, mask, exclude, group)
    given = check_target(name, pairs, _given(target), ignore_index)
    places, shares, kept = with_shares(pairs, given, ignore_index)
    losses = _by_blocks(_cross_entropy, pairs, places, shares, smoothing=float(label_smoothing))
    if reduction != "none":
        losses = jnp.sum(losses)
        if reduction == "mean":
            losses = losses / jnp.maximum(kept, 1)
    return losses.astype(pairs.dtype)


def bilinear_topk(
    input_1: Array, input_2: Array, weight: Array, bias: Array | None = None, *, k: int,
    mask: Array | None = None, exclude: Array | None = None, group: Array | None = None,
) -> Partners:  # fmt: skip
    """`lucid.nn.functional.bilinear_topk` under JAX: (values, indices).

    >>> import jax.numpy as jnp
    >>> import lucid.jax
    >>> others = jnp.asarray([[1.0], [4.0], [2.0]])
    >>> lucid.jax.bilinear_topk(jnp.ones((1, 1)), others, jnp.ones((1, 1, 1)), k=2).indices.tolist()
    [[[1, 2]]]
    """
    pairs = _pairs("bilinear_topk", input_1, input_2, weight, bias, mask, exclude, group)
    check_k("bilinear_topk", pairs, k)
    values, indices = _by_blocks(_topk, pairs, k=k)
    return Partners(values.astype(pairs.dtype), indices)


def bilinear_max(
    input_1: Array, input_2: Array, weight: Array, bias: Array | None = None, *,
    mask: Array | None = None, exclude: Array | None = None, group: Array | None = None,
) -> Partners:  # fmt: skip
    """`lucid.nn.functional.bilinear_max` under JAX: (values, indices).

    >>> import jax.numpy as jnp
    >>> import lucid.jax
    >>> others = jnp.asarray([[1.0], [4.0], [2.0]])
    >>> lucid.jax.bilinear_max(jnp.ones((1, 1)), others, jnp.ones((1, 1, 1))).indices.tolist()
    [[1]]
    """
    pairs = _pairs("bilinear_max", input_1, input_2, weight, bias, mask, exclude, group)
    check_k("bilinear_max", pairs, 1)
    values, indices = _by_blocks(_topk, pairs, k=1)
    return Partners(values[..., 0].astype(pairs.dtype), indices[..., 0])


def bilinear_rank(
    input_1: Array, input_2: Array, weight: Array, bias: Array | None = None, *, target: Array,
    mask: Array | None = None, exclude: Array | None = None, group: Array | None = None,
) -> Array:  # fmt: skip
    """`lucid.nn.functional.bilinear_rank` under JAX.

        rank = 1 + #{m : s[m] > s[t]} + ½ · #{m ≠ t : s[m] = s[t]},   t = target

    >>> import jax.numpy as jnp
    >>> import lucid.jax
    >>> others = jnp.asarray([[1.0], [4.0], [2.0], [2.0]])
    >>> h, target = jnp.ones((1, 1)), jnp.asarray([2])
    >>> lucid.jax.bilinear_rank(h, others, jnp.ones((1, 1, 1)), target=target).tolist()
    [[2.5]]
    """
    name = "bilinear_rank"
    pairs = _pairs(name, input_1, input_2, weight, bias, mask, exclude, group)
    given = _given(target)
    places = check_target(name, pairs, given, None)
    ranks = jax.lax.stop_gradient(_by_blocks(_rank, pairs, places))
    return ranks if given.ndim > len(pairs.shape) else ranks[..., 0]


def _pairs(function: str, *arguments: Any) -> Pairs:
    """The pairs, checked; numbers and lists as arrays."""
    return check_pairs(function, *map(_given, arguments))


def _given(x: Any) -> Any:
    return None if x is None else jnp.asarray(x)


# Some leading positions after others; of them a block of rows after the other. Where all are one
# block, there is no loop, and what a gradient needs is kept: no more than a tile.


def _by_blocks(reduce: Callable[..., Any], pairs: Pairs, *more: Array, **options: Any) -> Any:
    """What `reduce` gives for all blocks of rows, each (n, O) or with a further axis."""
    return _compiled(reduce, tuple(sorted(options.items())), *_arrays(pairs), *more)


def _arrays(pairs: Pairs) -> tuple[Array, ...]:
    return (
        pairs.x1, pairs.x2, pairs.weight, pairs.bias, pairs.mask, pairs.exclude, pairs.group
    )  # fmt: skip


def _run(
    reduce: Callable[..., Any], options: tuple[tuple[str, Any], ...],
    x1: Array, x2: Array, weight: Array, bias: Array | None, mask: Array | None,
    exclude: Array | None, group: Array | None, *more: Array,
) -> Any:  # fmt: skip
    dtype = jnp.result_type(*(x for x in (x1, x2, weight, bias) if x is not None))
    dtype = jnp.dtype(jnp.float32) if dtype in (jnp.float16, jnp.bfloat16) else dtype
    leading = broadcast_shapes(x1.shape[:-2], x2.shape[:-2])
    rows, partners, outputs = x1.shape[-2], x2.shape[-2], weight.shape[-3]
    features_1, features_2 = x1.shape[-1], x2.shape[-1]
    room = ROOM // dtype.itemsize
    width = max(1, min(partners, WIDTH))
    of_row = outputs * max(width, features_2)  # of scores, or of q
    if group is not None:  # whose weights are gathered for a block
        of_row = max(of_row, outputs * features_1 * features_2)
    n = max(1, min(rows, room // max(of_row, 1)))
    of_one = rows * max(of_row, outputs * (width + features_2), features_1)
    count = prod(leading)
    at_once = max(1, min(count, room // max(of_one, partners * features_2, 1)))
    # nothing is padded, and so copied, where nearly as many divide them
    at_once = next((d for d in range(at_once, at_once // 2, -1) if count % d == 0), at_once)
    by_rows = {"x1": (x1, 1), "mask": (mask, 2), "exclude": (exclude, 2), "group": (group, 0)}
    by_rows |= {f"more {k}": (each, 2) for k, each in enumerate(more)}
    whole = {"weight": weight, "bias": bias}

    def position(own: dict[str, Array]) -> Any:
        """One leading position: rows first in all but x2."""
        second = _cut(own.pop("x2"), partners, width)

        def block(part: dict[str, Array]) -> Any:
            return reduce(part | whole | {"x2": second}, partners, width, dtype, dict(options))

        parts = {name: _cut(each, rows, n) for name, each in own.items()}
        found = _mapped(block, parts)
        return jax.tree.map(lambda y: _joined(y, 2)[:rows], found)

    given = {"x2": jnp.broadcast_to(x2, (*leading, *x2.shape[-2:]))}
    for name, (each, axes) in by_rows.items():
        if each is not None:
            last = each.shape[each.ndim - axes :]
            given[name] = jnp.broadcast_to(each, (*leading, rows, *last))
    if not leading:
        return position(given)
    parts = {name: _cut(_joined(x, len(leading)), count, at_once) for name, x in given.items()}
    found = _mapped(jax.vmap(position), parts, is_innermost=n >= rows)
    return jax.tree.map(lambda y: _joined(y, 2)[:count].reshape(*leading, *y.shape[2:]), found)


_compiled: Any = jax.jit(_run, static_argnums=(0, 1))


_forgotten = partial(jax.checkpoint, prevent_cse=False)
"""A body of a loop, of which nothing is kept for its gradient."""


def _mapped(function: Callable[..., Any], parts: Any, is_innermost: bool = True) -> Any:
    """`function` of each part after the other; of a single one without a loop."""
    if len(jax.tree.leaves(parts)[0]) > 1:
        return jax.lax.map(_forgotten(function) if is_innermost else function, parts)
    return jax.tree.map(lambda y: y[None], function(jax.tree.map(lambda x: x[0], parts)))


def _joined(x: Array, axes: int) -> Array:
    """The first axes as one; its size is written out, because beside a 0 there is no -1."""
    return x.reshape(prod(x.shape[:axes]), *x.shape[axes:])


def _cut(x: Array, size: int, step: int) -> Array:
    """The first axis in steps of equal length: what is beyond the end repeats the first row."""
    count = max(1, -(-size // step))
    if not size:
        return jnp.zeros((1, step, *x.shape[1:]), x.dtype)
    x = jnp.concatenate([x, jnp.broadcast_to(x[:1], (count * step - size, *x.shape[1:]))])
    return x.reshape(count, step, *x.shape[1:])


def _scores(part: dict[str, Array], dtype: Any) -> tuple[Array, Array | None]:
    """q (n, O, J) of a block, and the bias of each row of its tiles."""
    x1, weight = part["x1"].astype(dtype), part["weight"]
    highest = jax.lax.Precision.HIGHEST
    if part.get("group") is None:
        q = jnp.einsum("ni,oij->noj", x1, weight.astype(dtype), precision=highest)
    else:
        own = weight[part["group"]].astype(dtype)
        q = jnp.einsum("ni,noij->noj", x1, own, precision=highest)
    bias = part["bias"]
    return q, None if bias is None else bias.astype(dtype)[:, None]


def _tile(
    part: dict[str, Array], q: Array, bias: Array | None, x2: Array, start: Array, partners: int
) -> tuple[Array, Array]:
    """A tile (n, O, m), -∞ where a pair is left out; and where it is not."""
    highest = jax.lax.Precision.HIGHEST
    tile = jnp.einsum("noj,mj->nom", q, x2.astype(q.dtype), precision=highest)
    if bias is not None:
        tile = tile + bias
    columns = start + jnp.arange(x2.shape[0])
    kept = jnp.broadcast_to(columns < partners, tile.shape)
    if "mask" in part:
        mask = part["mask"]  # (n, M or 1, O or 1)
        some = mask[:, jnp.minimum(columns, mask.shape[1] - 1), :]
        kept = kept & jnp.swapaxes(some, 1, 2)
    if "exclude" in part:
        at = part["exclude"][..., None] == columns  # (n, 1, L, m)
        kept = kept & ~jnp.any(at, axis=2)
    return tile, kept


def _scanned(
    part: dict[str, Array], partners: int, width: int, dtype: Any, first: Any,
    step: Callable[..., Any],
) -> Any:  # fmt: skip
    """A value carried through all tiles of a block; under `jax.checkpoint`."""
    q, bias = _scores(part, dtype)
    starts = jnp.arange(part["x2"].shape[0]) * width

    def run(carry: Any, tile: tuple[Array, Array]) -> Any:
        x2, start = tile
        scores, kept = _tile(part, q, bias, x2, start, partners)
        return step(carry, scores, kept, start), None

    shape = q.shape[:2]
    if len(starts) == 1:
        return run(first(shape), (part["x2"][0], starts[0]))[0]
    carry, _ = jax.lax.scan(_forgotten(run), first(shape), (part["x2"], starts))
    return carry


def _finite(top: Array) -> Array:
    return jnp.where(jnp.isinf(top), 0.0, top)


def _finite_below(x: Array) -> Array:
    return jnp.where(jnp.isneginf(x), 0.0, x)


def _reduced(
    part: dict[str, Array], partners: int, width: int, dtype: Any, smoothing: float
) -> tuple[Array, ...]:
    """The top and the others of each row, the scores of the targets, the sum and count of all."""
    places = part.get("more 0")

    def first(shape: Any) -> Any:
        zero = jnp.zeros(shape, dtype)
        wanted = jnp.zeros((*shape, 0 if places is None else places.shape[-1]), dtype)
        return jnp.full(shape, -inf, dtype), zero, wanted, zero, zero

    def step(carry: Any, tile: Array, kept: Array, start: Array) -> Any:
        top, total, wanted, mean, left = carry
        scores = jnp.where(kept, tile, -inf)
        here = jnp.maximum(top, jax.lax.stop_gradient(jnp.max(scores, axis=-1)))
        minus = _finite(here)
        below = jnp.where(kept, tile - minus[..., None], -inf)
        total = total * jnp.exp(top - minus) + jnp.sum(jnp.exp(below), axis=-1)
        if places is not None:
            near = places - start
            inside = (near >= 0) & (near < width) & (places < partners)
            near = jnp.broadcast_to(jnp.clip(near, 0, width - 1), wanted.shape)
            found = jnp.take_along_axis(scores, near, axis=-1)
            wanted = jnp.where(inside, found, wanted)
        if smoothing:
            mean = mean + jnp.sum(jnp.where(kept, tile, 0), axis=-1)
            left = left + jnp.sum(kept, axis=-1, dtype=dtype)
        return here, total, wanted, mean, left

    found: tuple[Array, ...] = _scanned(part, partners, width, dtype, first, step)
    return found


def _log_total(top: Array, total: Array) -> Array:
    """The logarithm of a sum that is 0 only where nothing is left."""
    nothing = total == 0
    return jnp.where(nothing, -inf, _finite(top) + jnp.log(jnp.where(nothing, 1, total)))


def _logsumexp(
    part: dict[str, Array], partners: int, width: int, dtype: Any, _: dict[str, Any]
) -> Array:
    top, total, *_rest = _reduced(part, partners, width, dtype, 0.0)
    return _log_total(top, total)


def _cross_entropy(
    part: dict[str, Array], partners: int, width: int, dtype: Any, options: dict[str, Any]
) -> Array:
    smoothing = options["smoothing"]
    top, total, wanted, mean, left = _reduced(part, partners, width, dtype, smoothing)
    lse = _log_total(top, total)
    places, shares = part["more 0"], part["more 1"]
    valid = jnp.broadcast_to(places >= 0, wanted.shape)
    lost = jnp.any(valid & jnp.isneginf(wanted), axis=-1)
    reached = valid & ~jnp.isneginf(wanted)
    kept = _finite_below(lse)[..., None] - jnp.where(reached, wanted, 0)
    loss = jnp.sum(jnp.where(valid, shares * kept, 0), axis=-1)
    if smoothing:
        even = lse - mean / jnp.maximum(left, 1)
        loss = (1 - smoothing) * loss + smoothing * even
    # a partner that is left out has no probability
    loss = jnp.where(lost, _finite_below(loss) + inf, loss)
    return jnp.where(jnp.any(valid, axis=-1), loss, 0)


def _topk(
    part: dict[str, Array], partners: int, width: int, dtype: Any, options: dict[str, Any]
) -> tuple[Array, Array]:
    k = options["k"]

    def first(shape: Any) -> Any:
        return jnp.full((*shape, k), -inf, dtype), jnp.full((*shape, k), -1)

    def step(carry: Any, tile: Array, kept: Array, start: Array) -> Any:
        values, indices = carry
        best, places = _best(jnp.where(kept, tile, -inf), min(k, width))
        near = jnp.concatenate([values, best], axis=-1)
        which = jnp.concatenate([indices, (start + places).astype(indices.dtype)], axis=-1)
        values, order = _best(near, k)
        indices = jnp.take_along_axis(which, order, axis=-1)
        return values, jnp.where(jnp.isneginf(values), -1, indices)

    found: tuple[Array, Array] = _scanned(part, partners, width, dtype, first, step)
    return found


def _best(scores: Array, k: int) -> tuple[Array, Array]:
    """The k largest and their places: NaN before all others, of equal ones the first."""
    order = jax.lax.stop_gradient(scores)
    if k != 1:  # XLA has two zeros there, and a NaN of each sign
        order = jnp.where(jnp.isnan(order), jnp.nan, jnp.where(order == 0, 0, order))
        _, places = jax.lax.top_k(order, k)
    else:
        is_it = (order == jnp.max(order, axis=-1, keepdims=True)) | jnp.isnan(order)
        places = jnp.where(is_it, jnp.arange(order.shape[-1]), order.shape[-1] - 1)
        places = jnp.min(places, axis=-1, keepdims=True)
    return jnp.take_along_axis(scores, places, axis=-1), places


def _rank(
    part: dict[str, Array], partners: int, width: int, dtype: Any, _: dict[str, Any]
) -> Array:
    places = part["more 0"]
    bare = {name: each for name, each in part.items() if name not in ("mask", "exclude")}
    *_top, own, _mean, _left = _reduced(bare, partners, width, dtype, 0.0)

    def first(shape: Any) -> Array:
        return jnp.ones((*shape, places.shape[-1]), dtype)

    def step(total: Array, tile: Array, kept: Array, start: Array) -> Array:
        columns = start + jnp.arange(width)
        others = kept[..., None, :] & (places[..., None] != columns)
        s, mine = tile[..., None, :], own[..., None]
        larger = jnp.sum(others & ~(s <= mine), axis=-1)
        equal = jnp.sum(others & (s == mine), axis=-1)
        return total + larger.astype(dtype) + equal.astype(dtype) / 2

    total = _scanned(part, partners, width, dtype, first, step)
    return jnp.where(jnp.isnan(own), jnp.nan, total)
