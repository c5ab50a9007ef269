"""The compiled kernel under XLA, on the CPU: XLA calls it by itself, without Python."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ..kernels import _native

Array = Any

DTYPES = ("float32", "float64", "float16", "bfloat16")


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
    if types[0].dtype.name in DTYPES:
        _native.tell_if_missing(*(each.shape for each in types[1:]))


def takes(dtype: Any, wanted: tuple[int, ...], size: Mapping[str, int]) -> bool:
    """Whether the kernel computes what has this dtype; it adds up halves in float32."""
    if np.dtype(dtype).name not in DTYPES:
        return False
    if size["A"] == size["B"] == 1:
        return True
    s, a, b, *weight = (size[name] for name in "SABOIJ")
    needed = None if wanted == (0,) else tuple(k in wanted for k in (1, 2, 3))
    itemsize = 8 if np.dtype(dtype) == np.float64 else 4
    shapes = (s, a, 1, size["I"]), (s, 1, b, size["J"]), tuple(weight)
    return _native.plan(*shapes, needed, itemsize) is not None


def kept_numbers(dtype: Any, needed: Sequence[bool], size: Mapping[str, int]) -> int:
    """How many numbers the kernel keeps for these gradients of what has this dtype."""
    if dtype.name not in DTYPES[:2] or size["G"] > 1 or 0 in size.values() or not is_there():
        return 0
    if jax.default_backend() != "cpu":  # where it will run is not known yet
        return 0
    sizes = tuple(size[name] for name in "SABOIJ")
    return _native.compiled.xla_kept(sizes, tuple(needed), dtype.itemsize) or 0


def contract(
    factors: Sequence[Array | None],
    wanted: tuple[int, ...],
    shapes: Sequence[tuple[int, ...]],
    dtypes: Sequence[Any],
    keep: int,
) -> list[Array]:
    """The contractions for the wanted factors; these are the shapes and dtypes of all four.

    Of the factors, what follows the four was kept; with room to `keep` so many numbers, they are
    the last result.

    g is (G, S, A, B, O), x1 (G, S, A, I), x2 (G, S, B, J), W (G, O, I, J); nothing is empty. What
    is not of the widest dtype the kernel converts, part by part.
    """
    if shapes[0][2] == shapes[0][3] == 1:  # inner axes of size 1 are a copy to XLA, of bfloat16
        shapes = [(shape[0], shape[1], shape[-1]) for shape in shapes[:3]] + [shapes[3]]
        factors = [
            x if x is None or k == 4 else x.reshape(shapes[k]) for k, x in enumerate(factors)
        ]
    call = f"lucid_contract_{sum(1 << k for k in wanted)}"
    types = [jax.ShapeDtypeStruct(shapes[k], dtypes[k]) for k in wanted]
    if keep:
        types.append(jax.ShapeDtypeStruct((keep,), dtypes[0]))
    return list(jax.ffi.ffi_call(call, types)(*(x for x in factors if x is not None)))
