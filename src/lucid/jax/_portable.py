"""The contractions in JAX's own operations, for every device and dtype, block by block.

Where the products of one step would be large, a loop goes over blocks of the weight: of its
outputs, or in the outer order of its features 1. Blocks of the weight leave the leading axes whole,
which may be divided among devices; rows are cut only where one output of all of them is too much.
What is small is computed in one piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp

from ..kernels._plan import CPU, DEVICE, Sizes, choose
from ._parts import Cut, Factors, in_parts

Array = Any
Found = dict[int, Array]

ROOM = 16 << 20
"""Bytes of the products of one step on the CPU; elsewhere they may fill a device's tile."""

AXES = ("sabo", "sai", "sbj", "oij")
"""Of g and the result, of x1, of x2 and of the weight."""


def contract(
    factors: Factors, wanted: tuple[int, ...], sizes: Sizes, dtypes: Sequence[Any], *,
    on_cpu: bool, together: int = 1,
) -> list[Array]:  # fmt: skip
    """The contractions for the wanted factors: 0 the result, 1 and 2 the inputs, 3 the weight.

    So many of them are computed `together`, and share the room.
    """
    dtype = next(x.dtype for x in factors if x is not None)
    wide = jnp.dtype(jnp.float32) if dtype in (jnp.float16, jnp.bfloat16) else dtype
    gradients = (1 in wanted, 2 in wanted, 3 in wanted)
    machine = CPU if on_cpu else DEVICE
    plan = choose(sizes, gradients if any(gradients) else None, wide.itemsize, machine)
    order = plan.chosen.order
    exchanged = order == "right" or (order == "outer" and sizes.features_2 > sizes.features_1)
    if exchanged:
        sizes, factors = sizes.swapped(), _exchanged(factors)
        wanted, dtypes = tuple(_EXCHANGED[k] for k in wanted), [dtypes[k] for k in _EXCHANGED]

    lengths = {
        "s": sizes.shared, "a": sizes.first, "b": sizes.second,
        "o": sizes.outputs, "i": sizes.features_1, "j": sizes.features_2,
    }  # fmt: skip
    room = (ROOM if on_cpu else DEVICE.tile) // wide.itemsize // together
    of_a_row = sizes.first * sizes.features_2  # products, with one element of the block
    rows = min(sizes.shared, max(1, room // of_a_row))
    block = "i" if order == "outer" else "o"
    of_weight = sizes.weights // lengths[block]
    longest = {"s": rows, block: max(1, min(room // (rows * of_a_row), room // of_weight))}
    cuts: list[Cut] = [
        ({k: axes.index(name) for k, axes in enumerate(AXES) if name in axes}, length)
        for name, length in longest.items()
        if length < lengths[name]
    ]
    compute = partial(_outer if order == "outer" else _sided, wanted=wanted, dtype=wide)

    def run(factors: Factors, _: Any, dtypes: Sequence[Any]) -> list[Array]:
        found = compute(factors)
        return [found[k].astype(dtypes[k]) for k in wanted]

    shapes = [tuple(lengths[name] for name in axes) for axes in AXES]
    found = in_parts(cuts, run, factors, wanted, shapes, dtypes, wide)
    if not exchanged:
        return found
    results = dict(zip(wanted, found, strict=True))
    back = _exchanged([results.get(k) for k in range(4)])
    return [back[_EXCHANGED[k]] for k in wanted]


_EXCHANGED = (0, 2, 1, 3)


def _exchanged(factors: Factors) -> list[Any]:
    """The factors of the same form with the inputs in each other's place."""
    g, x1, x2, weight = factors
    if g is not None:
        g = jnp.swapaxes(g, 1, 2)
    if weight is not None:
        weight = jnp.swapaxes(weight, 1, 2)
    return [g, x2, x1, weight]


def _outer(factors: Factors, wanted: tuple[int, ...], dtype: Any) -> Found:
    """By pairs of features, where each row of one input meets one of the other (n):

    out[n, o] = Σ_ij (x1[n, i] · x2[n, j]) · W[o, i, j]
    D[n, i, j] = Σ_o g[n, o] · W[o, i, j]
    dx1[n, i] = Σ_j D[n, i, j] · x2[n, j]
    dx2[n, j] = Σ_i D[n, i, j] · x1[n, i]
    dW[o, i, j] = Σ_n g[n, o] · (x1[n, i] · x2[n, j])
    """
    g, x1, x2, weight = factors
    product = partial(jnp.einsum, preferred_element_type=dtype)
    found = {}
    if 0 in wanted or 3 in wanted:
        pairs = product("sai,sbj->sij", x1, x2)
    if 0 in wanted:
        found[0] = product("sij,oij->so", pairs, weight)[:, None, None]
    if 1 in wanted or 2 in wanted:
        products = product("sabo,oij->sij", g, weight)
    if 1 in wanted:
        found[1] = product("sij,sbj->si", products, x2)[:, None]
    if 2 in wanted:
        found[2] = product("sij,sai->sj", products, x1)[:, None]
    if 3 in wanted:
        found[3] = product("sabo,sij->oij", g, pairs)
    return found


def _sided(factors: Factors, wanted: tuple[int, ...], dtype: Any) -> Found:
    """By what one input gives with the weight, or the other with g:

    T[s, a, o, j] = Σ_i x1[s, a, i] · W[o, i, j]
    U[s, a, o, j] = Σ_b g[s, a, b, o] · x2[s, b, j]
    out[s, a, b, o] = Σ_j T[s, a, o, j] · x2[s, b, j]
    dx1[s, a, i] = Σ_oj U[s, a, o, j] · W[o, i, j]
    dW[o, i, j] = Σ_sa U[s, a, o, j] · x1[s, a, i]
    dx2[s, b, j] = Σ_ao g[s, a, b, o] · T[s, a, o, j]
    """
    g, x1, x2, weight = factors
    product = partial(jnp.einsum, preferred_element_type=dtype)
    found = {}
    if 0 in wanted or 2 in wanted:
        with_first = product("sai,oij->saoj", x1, weight)
    if 0 in wanted:
        found[0] = product("saoj,sbj->sabo", with_first, x2)
    if 1 in wanted or 3 in wanted:
        summed = product("sabo,sbj->saoj", g, x2)
    if 1 in wanted:
        found[1] = product("saoj,oij->sai", summed, weight)
    if 2 in wanted:
        found[2] = product("sabo,saoj->sbj", g, with_first)
    if 3 in wanted:
        found[3] = product("saoj,sai->oij", summed, x1)
    return found
