"""The compiled kernel under XLA, on the CPU: XLA calls it by itself, without Python."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..kernels import _native

Array = Any


@functools.cache
def is_there() -> bool:
    """Whether this XLA takes the functions of the compiled kernel; it is asked once."""
    if _native.compiled is None:
        return False
    try:
        for number, handler in _native.compiled.xla_handlers().items():
            jax.ffi.register_ffi_target(f"lucid_contract_{number}", handler, platform="cpu")
    except Exception:  # another version of its interface: any error means that it does not
        return False
    return True


def takes(dtype: Any, wanted: tuple[int, ...], size: Mapping[str, int]) -> bool:
    """Whether the kernel computes this; halves are converted to float32 for it."""
    if np.dtype(dtype).name not in ("float32", "float64", "float16", "bfloat16"):
        return False
    if size["A"] == size["B"] == 1:
        return True
    s, a, b, *weight = (size[name] for name in "SABOIJ")
    needed = None if wanted == (0,) else tuple(k in wanted for k in (1, 2, 3))
    itemsize = 8 if np.dtype(dtype) == np.float64 else 4
    shapes = (s, a, 1, size["I"]), (s, 1, b, size["J"]), tuple(weight)
    return _native.plan(*shapes, needed, itemsize) is not None


ROOM = 8 << 20
"""Bytes of what is converted at a time."""


def contract(
    factors: Sequence[Array | None],
    wanted: tuple[int, ...],
    shapes: Sequence[tuple[int, ...]],
    dtype: Any,
) -> list[Array]:
    """The contractions for the wanted factors; these are the shapes of all four, nothing is empty.

    g is (G, S, A, B, O), x1 (G, S, A, I), x2 (G, S, B, J), W (G, O, I, J). Halves are converted to
    float32 for it, some of the shared positions at a time.
    """
    working = np.float64 if dtype == np.float64 else np.float32
    call = f"lucid_contract_{sum(1 << k for k in wanted)}"
    if dtype == working:
        types = [jax.ShapeDtypeStruct(shapes[k], working) for k in wanted]
        return list(jax.ffi.ffi_call(call, types)(*(x for x in factors if x is not None)))

    shared = shapes[0][1]
    of_one = sum(prod(shapes[k]) // shared for k in range(3))
    rows = min(shared, max(1, ROOM // 4 // of_one))
    if factors[3] is not None:
        factors = [*factors[:3], factors[3].astype(working)]

    def part(start: Any, length: int, totals: list[Array]) -> list[Array]:
        given = [
            x if k == 3 else jax.lax.dynamic_slice_in_dim(x, start, length, 1).astype(working)
            for k, x in enumerate(factors)
            if x is not None
        ]
        of_part = [shapes[k] if k == 3 else (shapes[k][0], length, *shapes[k][2:]) for k in wanted]
        types = [jax.ShapeDtypeStruct(shape, working) for shape in of_part]
        found = jax.ffi.ffi_call(call, types)(*given)
        return [
            total + y
            if k == 3
            else jax.lax.dynamic_update_slice_in_dim(total, y.astype(dtype), start, 1)
            for k, total, y in zip(wanted, totals, found, strict=True)
        ]

    totals = [jnp.zeros(shapes[k], working if k == 3 else dtype) for k in wanted]
    whole, rest = divmod(shared, rows)
    if rest:  # first: what comes after a loop would have its own copy of the results
        totals = part(0, rest, totals)
    totals = jax.lax.fori_loop(
        0, whole, lambda k, totals: part(rest + k * rows, rows, totals), totals
    )
    return [y.astype(dtype) for y in totals]
