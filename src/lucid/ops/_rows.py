"""The bilinear form over rows that are chosen by index, grouped or summed by target.

    Q(g, x1, W, x2) = Σ_e Σ_oij g[s(e), o] · x1[p(e), i] · W[r(e), o, i, j] · x2[q(e), j]

As without the maps s, p, q and r (see `_bilinear.py`), two operations record each other. A third
one moves rows between groups and targets, for the bias, and is closed by itself.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .._arrays import Array, asarray, is_array, library, mixture
from .._op import op
from .._tape import Tracked
from ..kernels import _nodes as kernels
from ..kernels._arguments import Needed
from ..kernels._closure import derivatives, spread
from ..kernels._nodes import memory_of
from ..kernels._rows import RESULT, WEIGHT, Rows, moved, rows_of

Shape = tuple[int, ...]


def bilinear_of_rows(
    input_1: Array, input_2: Array, weight: Array, bias: Array | None = None, *,
    group: Array | None = None, offsets: Array | None = None, index_1: Array | None = None,
    index_2: Array | None = None, segment: Array | None = None, num_segments: int | None = None,
) -> Array:  # fmt: skip
    """`bilinear` where one of the keywords is given."""
    maps = {
        "group": group, "offsets": offsets, "index_1": index_1, "index_2": index_2,
        "segment": segment,
    }  # fmt: skip
    factors = {"input_1": input_1, "input_2": input_2, "weight": weight, "bias": bias}
    if not any(isinstance(each, Tracked) for each in factors.values()):
        found = {library(each) for each in factors.values() if is_array(each)}
        if found & {"torch", "jax"}:
            mixed = mixture("bilinear", factors)
            if mixed is not None:
                raise mixed
            function: Any = import_module(f"lucid.{found.pop()}").bilinear
            return function(*factors.values(), **maps, num_segments=num_segments)
    rows = rows_of(
        *map(_looked_at, factors.values()),
        **{name: _looked_at(each) for name, each in maps.items()},
        num_segments=num_segments,
    )
    return _bilinear(input_1, input_2, weight, bias, rows)


def _looked_at(value: Any) -> Any:
    """The array of a Tensor or of a list."""
    if value is None or is_array(value):
        return getattr(value, "_array", value)
    return asarray(value)


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
