"""The compiled kernel under XLA, on the CPU: XLA calls it by itself, without Python."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jax
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


def contract(
    given: list[Array], wanted: tuple[int, ...], shapes: list[tuple[int, ...]], dtype: Any
) -> list[Array]:
    """The contractions for the wanted factors, which have these shapes.

    g is (G, S, A, B, O), x1 (G, S, A, I), x2 (G, S, B, J), W (G, O, I, J); nothing is empty.
    """
    working = np.float64 if dtype == np.float64 else np.float32
    types = [jax.ShapeDtypeStruct(shape, working) for shape in shapes]
    number = sum(1 << k for k in wanted)
    call = jax.ffi.ffi_call(f"lucid_contract_{number}", types)
    found = call(*(x.astype(working) for x in given))
    return [y.astype(dtype) for y in found]
