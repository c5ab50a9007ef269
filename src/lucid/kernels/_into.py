"""Results in NumPy arrays that the caller has: `out=`.

Whoever computes large results again and again pays for new memory only once. The compiled kernel
writes to such an array where it lies; what it declines is computed elsewhere and copied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from .._arrays import Array, DType
from .._errors import ArgumentError, DTypeError, LibraryError, ShapeError
from .._shapes import Shape, broadcast_shapes
from . import _native
from ._arguments import Gradients, Needed, factors_of, promoted, shape_of

NAMES = ("x1", "x2", "weight")


def bilinear(
    x1: Array, x2: Array, weight: Array, bias: Array | None, out: Array,
    otherwise: Callable[[], Array],
) -> Array:  # fmt: skip
    """The result in `out`; `otherwise` computes what the kernel declines."""
    factors = tuple(each for each in (x1, x2, weight, bias) if each is not None)
    _refuse_others("bilinear", factors)
    leading = broadcast_shapes(tuple(x1.shape[:-1]), tuple(x2.shape[:-1]))
    check("bilinear", "out", out, (*leading, weight.shape[0]), promoted(np, factors))
    if _is_apart(out, factors):
        found: Array | None = _native.bilinear_into(x1, x2, weight, bias, out)
        if found is not None:
            return found
    out[...] = otherwise()
    return out


def gradients(
    g: Array, x1: Array | Shape, x2: Array | Shape, weight: Array | None, needed: Needed,
    out: Sequence[Array | None], otherwise: Callable[[], Gradients],
) -> Gradients:  # fmt: skip
    """The gradients, those with an array in `out` there."""
    shapes = shape_of(x1), shape_of(x2), (g.shape[-1], shape_of(x1)[-1], shape_of(x2)[-1])
    factors = tuple(each for each in factors_of(g, x1, x2, weight, needed) if each is not None)
    _refuse_others("gradients", factors)
    if type(out) is not tuple or len(out) != len(NAMES):
        raise ArgumentError(
            f"gradients: out is {_said(out)}, expected a tuple of three: an array, or None, for "
            "the gradient of x1, of x2 and of the weight"
        )
    for name, each, wanted, shape in zip(NAMES, out, needed, shapes, strict=True):
        if each is None:
            continue
        if not wanted:
            raise ArgumentError(
                f"gradients: out has an array for the gradient of {name}, which is not needed; "
                "give None for it"
            )
        check("gradients", f"out for {name}", each, shape, promoted(np, factors))
    given = [(name, each) for name, each in zip(NAMES, out, strict=True) if each is not None]
    is_near = False
    for (name, one), (other, another) in combinations(given, 2):
        is_near = is_near or np.may_share_memory(one, another)
        if _overlap(one, another):
            raise ArgumentError(
                f"gradients: out for {name} and out for {other} share memory, so that one result "
                "would overwrite the other; give each an array of its own"
            )
    if not is_near and all(_is_apart(each, factors) for _, each in given):
        found: Gradients | None = _native.gradients_into(g, x1, x2, weight, needed, out, False)
        if found is not None:
            return found
    results = list(otherwise())
    for k, each in enumerate(out):
        if each is not None:
            each[...] = results[k]
            results[k] = each
    return tuple(results)


def check(function: str, name: str, out: Any, shape: Shape, dtype: DType) -> None:
    """Raise where an array is not one for a result of this shape and dtype."""
    if type(out) is not np.ndarray:
        raise LibraryError(f"{function}: {name} is {_said(out)}, expected a NumPy array")
    if out.shape != shape:
        raise ShapeError(
            f"{function}: {name} has shape {out.shape}, expected {shape}, that of the result"
        )
    if out.dtype != dtype:
        raise DTypeError(
            f"{function}: {name} has dtype {out.dtype}, expected {dtype}, that of the result"
        )
    if not out.flags.writeable:
        raise ArgumentError(f"{function}: {name} is read-only, expected an array to write to")
    steps = zip(out.strides, out.shape, strict=True)
    if out.size and any(step == 0 and size > 1 for step, size in steps):
        raise ArgumentError(
            f"{function}: {name} of shape {out.shape} has the strides {out.strides}, so that one "
            "number has several places; give an array with memory for each"
        )


def _refuse_others(function: str, factors: Sequence[Array]) -> None:
    for each in factors:
        if not isinstance(each, np.ndarray):
            raise LibraryError(
                f"{function}: out= is for NumPy arrays, and an argument is {_said(each)}; leave "
                "out= away"
            )


def _said(value: Any) -> str:
    kind = type(value)
    return f"a {kind.__module__.partition('.')[0]}.{kind.__name__}"


def _overlap(one: Array, another: Array) -> bool:
    """Whether a number of one is one of the other, unless that is too hard to tell."""
    try:
        return np.shares_memory(one, another, max_work=1 << 16)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return False


def _is_apart(out: Array, factors: Sequence[Array]) -> bool:
    """Whether nothing is read where the result is written."""
    return not any(np.may_share_memory(out, each) for each in factors)
