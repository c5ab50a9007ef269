"""The compiled kernel under XLA, on the CPU: XLA calls it by itself, without Python."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np

from ..kernels._native import compiled

Array = Any


@functools.cache
def is_there() -> bool:
    """Whether this XLA takes the functions of the compiled kernel; it is asked once."""
    if compiled is None:
        return False
    try:
        for number, handler in compiled.xla_handlers().items():
            jax.ffi.register_ffi_target(f"lucid_contract_{number}", handler, platform="cpu")
    except Exception:  # another version of its interface: any error means that it does not
        return False
    return True


def takes(dtype: Any) -> bool:
    """Whether the kernel computes in this dtype; halves are converted to float32 for it."""
    return np.dtype(dtype).name in ("float32", "float64", "float16", "bfloat16")


def contract(
    given: list[Array], wanted: tuple[int, ...], shapes: list[tuple[int, ...]], dtype: Any
) -> list[Array]:
    """The contractions for the wanted factors, which have these shapes.

    g is (G, N, O), x1 (G, N, I), x2 (G, N, J) and W (G, O, I, J); nothing is empty.
    """
    working = np.float64 if dtype == np.float64 else np.float32
    types = [jax.ShapeDtypeStruct(shape, working) for shape in shapes]
    number = sum(1 << k for k in wanted)
    call = jax.ffi.ffi_call(f"lucid_contract_{number}", types)
    found = call(*(x.astype(working) for x in given))
    return [y.astype(dtype) for y in found]
