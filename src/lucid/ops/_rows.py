"""The bilinear form over rows that are chosen by index, grouped or summed by target.

    Q(g, x1, W, x2) = Σ_e Σ_oij g[s(e), o] · x1[p(e), i] · W[r(e), o, i, j] · x2[q(e), j]

As without the maps s, p, q and r (see `_bilinear.py`), two operations record each other. A third
one moves rows between groups and targets, for the bias, and is closed by itself.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .._arrays import (
    Array,
    asarray,
    device_of,
    is_array,
    is_half,
    library,
    mixture,
    namespace,
)
from .._errors import LucidError
from .._op import op
from .._tape import Tracked, beside, operand, plain
from ..kernels import _nodes as kernels
from ..kernels._arguments import Needed, promoted
from ..kernels._closure import derivatives, spread
from ..kernels._nodes import memory_of
from ..kernels._rows import FIRST, RESULT, SECOND, WEIGHT, Rows, moved, rows_of
from ._like import astype

Shape = tuple[int, ...]


def bilinear_of_rows(
    input_1: Array, input_2: Array, weight: Array, bias: Array | None = None, *,
    weight_1: Array | None = None, weight_2: Array | None = None, group: Array | None = None,
    offsets: Array | None = None, index_1: Array | None = None, index_2: Array | None = None,
    segment: Array | None = None, num_segments: int | None = None,
) -> Array:  # fmt: skip
    """`bilinear` where one of the keywords that choose rows is given."""
    maps = {
        "group": group, "offsets": offsets, "index_1": index_1, "index_2": index_2,
        "segment": segment,
    }  # fmt: skip
    terms = {"weight_1": weight_1, "weight_2": weight_2}
    factors = {"input_1": input_1, "input_2": input_2, "weight": weight, "bias": bias}
    given = {**factors, **terms}
    if not any(isinstance(each, Tracked) for each in given.values()):
        found = {library(each) for each in given.values() if is_array(each)}
        if found & {"torch", "jax"}:
            mixed = mixture("bilinear", given)
            if mixed is not None:
                raise mixed
            function: Any = import_module(f"lucid.{found.pop()}").bilinear
            return function(*factors.values(), **terms, **maps, num_segments=num_segments)
    rows = rows_of(
        *map(_looked_at, factors, factors.values()),
        **{name: _looked_at(name, each) for name, each in {**terms, **maps}.items()},
        num_segments=num_segments,
    )
    if weight_1 is weight_2 is None:
        return _bilinear(input_1, input_2, weight, bias, rows)
    return _with_terms(rows, given)


def _looked_at(name: str, value: Any) -> Any:
    """The array of a Tensor or of a list."""
    if value is None or is_array(value):
        return getattr(value, "_array", value)
    try:
        return asarray(value)
    except LucidError as error:
        raise type(error)(f"bilinear: {name}: {error}") from None


def _with_terms(rows: Rows, given: dict[str, Any]) -> Array:
    """The form and its linear terms, each of which is a form of one input with the number 1.

    Halves are copied to float32, so that the sum is rounded once.
    """
    first = next((x for x in given.values() if is_array(x)), None)
    factors = [  # of lists alone, Tensors
        x if x is None or is_array(x) else operand(x) if first is None else beside(first, x)
        for x in given.values()
    ]
    raw = [plain(x) for x in factors if x is not None]
    xp = namespace(raw[0])
    dtype = promoted(xp, tuple(raw))
    wide = xp.float32 if is_half(dtype) else dtype
    x1, x2, weight, bias, weight_1, weight_2 = (
        x if x is None else astype(x, wide, copy=False) for x in factors
    )
    out = _bilinear(x1, x2, weight, bias, rows)
    one = xp.ones((1,) * (len(rows.shape) + 1), dtype=wide, device=device_of(raw[0]))
    one = xp.broadcast_to(one, (*rows.shape, 1))
    if weight_1 is not None:
        out = out + _bilinear(x1, one, weight_1[..., None], None, rows.without(SECOND))
    if weight_2 is not None:
        out = out + _bilinear(one, x2, weight_2[..., None, :], None, rows.without(FIRST))
    return astype(out, dtype, copy=False)


@op(halves=True)
def _bilinear(
    input_1: Array, input_2: Array, weight: Array, bias: Array | None, rows: Any
) -> Array:
    memory = memory_of("bilinear", input_1=input_1, input_2=input_2, weight=weight, bias=bias)
    return kernels.bilinear(memory, input_1, input_2, weight, bias, rows)


@_bilinear.gradients(
    input_1=("input_2", "weight", "weight_shape", "rows"),
    input_2=("input_1", "weight", "weight_shape", "rows"),
    weight=("input_1", "input_2", "weight_shape", "rows"),
    bias=("bias_shape", "rows"),
)
def _bilinear_gradients(
    g: Array, input_1: Array | None, input_2: Array | None, weight: Array | None,
    weight_shape: Shape | None, bias_shape: Shape | None, rows: Rows, needed: Any,
) -> tuple[Array | None, ...]:  # fmt: skip
    asked = (needed.input_1, needed.input_2, needed.weight)
    found: Any = ()
    if any(asked):
        found = _contractions(g, input_1, input_2, weight, weight_shape, rows, asked)
    d_bias = _moved(g, bias_shape, rows, RESULT, WEIGHT) if needed.bias else None
    return *spread(found, asked), d_bias


@op(halves=True)
def _contractions(
    dy: Array, x1: Array | None, x2: Array | None, weight: Array | None, weight_shape: Any,
    rows: Any, asked: Needed,
) -> tuple[Array, ...]:  # fmt: skip
    """The gradients of the form, given that of its result: those asked for, as a tuple."""
    memory = memory_of("bilinear", dy=dy, x1=x1, x2=x2, weight=weight)
    found = kernels.gradients(memory, dy, x1, x2, weight, weight_shape, rows, asked)
    return tuple(each for each in found if each is not None)


_everything = ("x1", "x2", "weight", "weight_shape", "rows", "asked")


@_contractions.gradients(
    dy=_everything, x1=("dy", *_everything), x2=("dy", *_everything), weight=("dy", *_everything)
)
def _contractions_gradients(
    g: tuple[Array, ...], dy: Array, x1: Array | None, x2: Array | None, weight: Array | None,
    weight_shape: Shape, rows: Rows, asked: Needed, needed: Any,
) -> tuple[Array | None, ...]:  # fmt: skip
    def form(x1: Array, x2: Array, weight: Array) -> Array:
        return _bilinear(x1, x2, weight, None, rows)

    def contract(dy: Array, x1: Array, x2: Array, weight: Array, asked: Needed) -> Any:
        return spread(_contractions(dy, x1, x2, weight, weight_shape, rows, asked), asked)

    wanted = needed.dy, needed.x1, needed.x2, needed.weight
    changes = None, *spread(g, asked)
    return tuple(derivatives(form, contract, (dy, x1, x2, weight), changes, wanted))


@op(halves=True)
def _moved(x: Array, shape: Any, rows: Any, source: int, target: int) -> Array:
    """The rows of a bias at their targets, or the sums of targets in the places of a bias."""
    return moved(memory_of("bilinear", x=x), x, shape, rows, source, target)


def _moved_gradient(g: Array, x_shape: Shape, rows: Rows, source: int, target: int) -> Array:
    return _moved(g, x_shape, rows, target, source)


_moved.gradient(x=_moved_gradient)
