"""The compiled kernel under XLA, on the CPU: XLA calls it by itself, without Python."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ..kernels import _native

Array = Any

_DTYPES = ("float32", "float64", "float16", "bfloat16")


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


def tell_if_missing(types: Sequence[jax.ShapeDtypeStruct]) -> None:
    """Warn, once, of a large call that the compiled kernel would do, if it were there."""
    if types[0].dtype.name in _DTYPES:
        _native.tell_if_missing(*(each.shape for each in types[1:]))


def takes(dtype: Any, wanted: tuple[int, ...], size: Mapping[str, int]) -> bool:
    """Whether the kernel computes this; halves are converted to float32 for it."""
    if np.dtype(dtype).name not in _DTYPES:
        return False
    if size["A"] == size["B"] == 1:
        return True
    s, a, b, *weight = (size[name] for name in "SABOIJ")
    needed = None if wanted == (0,) else tuple(k in wanted for k in (1, 2, 3))
    itemsize = 8 if np.dtype(dtype) == np.float64 else 4
    shapes = (s, a, 1, size["I"]), (s, 1, b, size["J"]), tuple(weight)
    return _native.plan(*shapes, needed, itemsize) is not None


def contract(
    factors: Sequence[Array | None],
    wanted: tuple[int, ...],
    shapes: Sequence[tuple[int, ...]],
    dtype: Any,
) -> list[Array]:
    """The contractions for the wanted factors; these are the shapes of all four, nothing is empty.

    g is (G, S, A, B, O), x1 (G, S, A, I), x2 (G, S, B, J), W (G, O, I, J), in float32 or float64.
    """
    call = f"lucid_contract_{sum(1 << k for k in wanted)}"
    types = [jax.ShapeDtypeStruct(shapes[k], dtype) for k in wanted]
    return list(jax.ffi.ffi_call(call, types)(*(x for x in factors if x is not None)))
