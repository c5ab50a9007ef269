"""Rows chosen by index, weights chosen by group, results summed by target: on arrays in memory.

    Q(g, x1, W, x2) = Σ_e Σ_oij g[s(e), o] · x1[p(e), i] · W[r(e), o, i, j] · x2[q(e), j]

Each factor has a map from the rows e to its own; `Rows` holds the four. The result is the form's
derivative in g and each gradient that in another factor, so the two functions here are closed under
differentiation, as those without maps are.

Rows are taken in blocks, in the order of their groups: what a block needs of each factor is
gathered into scratch, the compiled kernel runs over its groups, and the results go to their places,
where several meet one after the other: the same bits every time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from .._arguments import COUNT, check as check_value
from .._arrays import Array, DType, is_half, is_traced_by_jax, untraced
from .._errors import ArgumentError, ShapeError
from .._shapes import Shape, bind_axes
from . import _native, _portable
from ._arguments import Gradients, Needed, check_array, check_bias, check_terms
from ._cpu import COPIED
from ._groups import (
    Block,
    check_group,
    check_integers,
    check_numbers,
    check_offsets,
    in_order,
    on_host,
)
from ._workspace import NumPyWorkspace

BLOCK = 2 << 20
"""Bytes of a block: what is gathered, and its results."""

LEAST_ROWS = 512
"""Of a block, as long as they take no more than eight times that: the weight passes by for each."""

SORTED = 1 << 20
"""Rows that are brought into the order of their groups at a time."""

MOST = np.iinfo(np.intp).max // np.dtype(np.complex128).itemsize
"""Numbers of an array."""

RESULT, FIRST, SECOND, WEIGHT = range(4)


class Rows:
    """Which row of each factor every row of a call has.

    `maps` are for the result, the inputs and the weight: arrays of integers, one for each row, or
    None where it is the row's own (and, of the weight, where there is one for all). `offsets` in
    the place of the last says where each group begins, and the last one ends.
    """

    def __init__(self, shape: Shape, maps: Sequence[Any], sizes: Shape, offsets: Any) -> None:
        self.shape, self.count = shape, prod(shape)
        self.maps, self.sizes, self.offsets = tuple(maps), sizes, offsets

    def without(self, factor: int) -> Rows:
        """The same where a factor has a row for each row of the call."""
        maps = [None if k == factor else own for k, own in enumerate(self.maps)]
        return Rows(self.shape, maps, self.sizes, self.offsets)

    @property
    def has_groups(self) -> bool:
        return self.maps[WEIGHT] is not None or self.offsets is not None

    def shape_of(self, factor: int, features: int) -> Shape:
        """Of a result, or of an input's gradient."""
        return (*(self.shape if self.maps[factor] is None else (self.sizes[factor],)), features)

    @cached_property
    def flat(self) -> list[Any]:
        """The maps with one axis, as NumPy sees them."""
        return [each if each is None else on_host(each).reshape(-1) for each in self.maps]

    def of(self, factor: int, rows: Any) -> Any:
        """Which of a factor's rows these are."""
        own = self.flat[factor]
        if own is None:
            return rows
        return np.ascontiguousarray(own[rows], np.int64)

    def groups_of(self, rows: Any) -> Any:
        """The group of each row, and an array also where there is only one."""
        if self.offsets is not None:
            rows = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
            return np.searchsorted(on_host(self.offsets), rows, "right") - 1
        if self.maps[WEIGHT] is None:
            return np.zeros(_length(rows), np.int64)
        return self.of(WEIGHT, rows)

    def blocks(self, most: int) -> Iterator[Block]:
        """All rows, at most so many at a time, each group's side by side."""
        for begin in range(0, self.count, SORTED):
            end = min(begin + SORTED, self.count)
            if not self.has_groups:
                yield from Block(slice(begin, end), _ONE, np.array([0, end - begin])).parts(most)
                continue
            groups = self.groups_of(slice(begin, end))
            yield from in_order(groups, self.sizes[WEIGHT], begin).parts(most)


_ONE = np.zeros(1, np.int64)


def _length(rows: Any) -> int:
    return rows.stop - rows.start if isinstance(rows, slice) else len(rows)


def _steps(begin: int, end: int, step: int) -> Iterator[tuple[int, int]]:
    return ((a, min(a + step, end)) for a in range(begin, end, step))


# ----------------------------------------------------------------------------- what is asked for


def rows_of(
    input_1: Array, input_2: Array, weight: Array, bias: Array | None, *, group: Array | None,
    offsets: Array | None, index_1: Array | None, index_2: Array | None, segment: Array | None,
    num_segments: int | None, weight_1: Array | None = None, weight_2: Array | None = None,
) -> Rows:  # fmt: skip
    """The rows of a call; raises, in words, where shapes, dtypes or numbers do not fit."""
    given = {"group": group, "index_1": index_1, "index_2": index_2, "segment": segment}
    given = {name: each for name, each in given.items() if each is not None}
    for name, each in given.items():
        check_integers("bilinear", name, each)
    if group is not None and offsets is not None:
        raise ArgumentError(
            "bilinear: got both group and offsets, which say the same; give offsets where the rows "
            "of each group lie side by side, and group else"
        )
    has_groups = group is not None or offsets is not None
    _check_weights(input_1, input_2, weight, bias, has_groups)
    check_terms(weight, weight_1, weight_2, has_groups)
    source, shape = _shape_of_rows(input_1, input_2, given)
    heads = (tuple(input_1.shape[:-1]), tuple(input_2.shape[:-1]))
    for which, head, index, array in zip("12", heads, (index_1, index_2), (input_1, input_2),
                                         strict=True):  # fmt: skip
        told = f"input_{which} {tuple(array.shape)}"
        if index is None and head != shape:
            raise ShapeError(
                f"bilinear: {told} has the leading axes {head}, but {source} says that rows "
                f"have the shape {shape}; both must be equal, or index_{which} says which row each "
                "one has"
            )
        if index is not None and len(head) != 1:
            raise ShapeError(
                f"bilinear: {told} needs 2 axes (rows, in{which}_features), because index_{which} "
                "counts its rows"
            )
        if index is not None:
            told = f"{told} has {head[0]} rows"
            check_numbers("bilinear", f"index_{which}", index, head[0], told)
    groups = weight.shape[0] if len(weight.shape) == 4 else 1
    if group is not None:
        check_group("bilinear", group, weight)
    if offsets is not None:
        check_offsets("bilinear", offsets, groups, shape)
    if num_segments is not None:
        check_value("bilinear", COUNT, num_segments=num_segments)
        if segment is None:
            raise ArgumentError(
                f"bilinear: num_segments is {num_segments}, but there is no segment that says "
                "which one each row belongs to"
            )
    if segment is not None:
        if num_segments is None:
            if is_traced_by_jax(segment):
                raise ArgumentError(
                    "bilinear: num_segments is None, but under jax.jit the shape of the result "
                    "must be known; give their number"
                )
            num_segments = int(untraced(segment).max()) + 1 if 0 not in segment.shape else 0
        told = f"num_segments is {num_segments}"
        if num_segments > MOST // max(weight.shape[-3], 1):
            raise ArgumentError(
                f"bilinear: {told}, and no array has as many rows; give the number of rows of the "
                "result, and each row of the call one of these as its segment"
            )
        check_numbers("bilinear", "segment", segment, num_segments, told)
    sizes = (num_segments or 0, heads[0][0] if heads[0] else 0, heads[1][0] if heads[1] else 0)
    return Rows(shape, (segment, index_1, index_2, group), (*sizes, groups), offsets)


def _check_weights(
    input_1: Array, input_2: Array, weight: Array, bias: Array | None, has_groups: bool
) -> None:
    given = {"input_1": input_1, "input_2": input_2, "weight": weight, "bias": bias}
    for name, array in given.items():
        check_array(name, array)
    shape = tuple(getattr(weight, "shape", ()))
    if len(shape) == 4 and not has_groups:
        raise ShapeError(
            f"bilinear: weight {shape} has 4 axes, a weight for each group, but neither group nor "
            "offsets says which one each row has"
        )
    axes = "groups " * has_groups + "out_features in1_features in2_features"
    bind_axes("bilinear", input_1=(input_1, "... in1_features"), weight=(weight, axes))
    bind_axes("bilinear", input_2=(input_2, "... in2_features"), weight=(weight, axes))
    if bias is not None:
        check_bias("bilinear", weight, bias, shape[0] if has_groups else None)


def _shape_of_rows(input_1: Array, input_2: Array, given: dict[str, Array]) -> tuple[str, Shape]:
    """The shape that everything has which says something of each row, and the first of these."""
    named = {name: tuple(each.shape) for name, each in given.items()}
    for which, array in (("1", input_1), ("2", input_2)):
        if f"index_{which}" not in given:
            named.setdefault(f"input_{which}", tuple(array.shape[:-1]))
    (name, shape), *others = named.items()
    for other, own in others:
        if own != shape and not other.startswith("input"):
            raise ShapeError(
                f"bilinear: {name} has the shape {shape}, but {other} has {own}; each has a number "
                "for every row"
            )
    return name, shape


# ----------------------------------------------------------------------------- where numbers lie


class Memory:
    """Arrays of a library, as NumPy sees them, in the dtype that sums have; here NumPy's own."""

    most = 0
    """How many threads the kernel may use; 0 leaves it to the kernel."""

    def __init__(self, dtype: DType) -> None:
        self.dtype = dtype
        self.working = np.dtype(np.float32) if is_half(dtype) else np.dtype(dtype)

    def seen(self, x: Array) -> Any:
        """What can be indexed like a NumPy array."""
        return x if type(x) is np.ndarray else np.asarray(x)

    def new(self, shape: Shape, is_wide: bool, is_zero: bool) -> Array:
        dtype = self.working if is_wide else self.dtype
        return np.zeros(shape, dtype) if is_zero else np.empty(shape, dtype)

    def given(self, found: Array) -> Array:
        """A result as the caller gets it, sums rounded."""
        return found.astype(self.dtype, copy=False)

    def fits(self, x: Any) -> bool:
        """Whether the kernel reads and writes these numbers where they are."""
        return bool(
            type(x) is np.ndarray and x.dtype == self.working
            and x.flags.aligned and x.flags.c_contiguous
        )  # fmt: skip


class Result:
    """A result or an input's gradient: each row is written once, or several add up."""

    def __init__(self, memory: Memory, rows: Rows, factor: int, features: int) -> None:
        self._memory, self.features = memory, features
        self.adds = rows.maps[factor] is not None
        shape = rows.shape_of(factor, features)
        self._array = memory.new(shape, self.adds, self.adds)
        self._flat = memory.seen(self._array).reshape(_flat(shape))
        self._in_place = not self.adds and memory.fits(self._flat)

    def space(self, place: Any) -> Any:
        """Where the kernel can write the rows of this place at once, or None."""
        return self._flat[place] if self._in_place and isinstance(place, slice) else None

    def put(self, place: Any, found: Any) -> None:
        if not self.adds:
            self._flat[place] = found
        else:
            add_rows(self._flat, place, found)

    def finish(self) -> Array:
        return self._memory.given(self._array)


class Work:
    """Scratch of a call: what a block needs of each factor, and what it gives."""

    def __init__(self, memory: Memory, features: int) -> None:
        self._memory, self._scratch = memory, NumPyWorkspace.borrow(memory.working)
        room = BLOCK // (max(features, 1) * self._scratch.itemsize)
        self.rows = max(1, room, min(LEAST_ROWS, 8 * room))

    def gathered(self, name: str, x: Any, at: Any) -> Any:
        """These rows of an array, in the dtype of sums and side by side."""
        if self._memory.fits(x):
            if isinstance(at, slice):
                return x[at]
            out = self.empty(name, len(at), x.shape[-1])
            return np.take(x, at, axis=0, out=out, mode="clip")  # checked; others take in a copy
        return np.ascontiguousarray(x[at], self._memory.working)

    def empty(self, name: str, rows: int, features: int) -> Any:
        return self._scratch.empty(name, (rows, features))

    def release(self) -> None:
        self._scratch.release()


def _flat(shape: Shape) -> Shape:
    return prod(shape[:-1]), shape[-1]


def add_rows(total: Any, index: Any, rows: Any) -> None:
    """total[index[n]] += rows[n], one after the other."""
    if _native.add_rows(total, index, rows) is None:
        np.add.at(total, index, rows)


def matrix_of(memory: Memory, x: Array | None) -> Any:
    if x is None:
        return None
    return memory.seen(x).reshape(_flat(tuple(x.shape)))


def _weights(memory: Memory, weight: Array) -> Any:
    """A weight for each group, made what the kernel reads where there is room."""
    shape = tuple(weight.shape)
    shape = shape if len(shape) == 4 else (1, *shape)
    found = memory.seen(weight).reshape(shape)
    if memory.fits(found) or prod(shape) * memory.working.itemsize > COPIED:
        return found
    return np.ascontiguousarray(found[:], memory.working)


# ----------------------------------------------------------------------------- the computation


def bilinear(
    memory: Memory, x1: Array, x2: Array, weight: Array, bias: Array | None, rows: Rows
) -> Array:
    """out[s, o] = Σ_e∈s Σ_ij x1[p(e), i] · W[r(e), o, i, j] · x2[q(e), j] + bias[r(e), o]"""
    outputs = weight.shape[-3]
    first, second, weights = matrix_of(memory, x1), matrix_of(memory, x2), _weights(memory, weight)
    biases = None
    if bias is not None:
        biases = np.empty((len(weights), outputs), memory.working)
        biases[...] = memory.seen(bias)[:]
    out = Result(memory, rows, RESULT, outputs)
    work = Work(memory, first.shape[1] + second.shape[1] + outputs)
    for block in rows.blocks(work.rows):
        place = rows.of(RESULT, block.rows)
        found = out.space(place)
        to = work.empty("out", block.size, outputs) if found is None else found
        bilinear_runs(
            work.gathered("x1", first, rows.of(FIRST, block.rows)),
            work.gathered("x2", second, rows.of(SECOND, block.rows)),
            weights, biases, to, block, memory.most,
        )  # fmt: skip
        if found is None:
            out.put(place, to)
    work.release()
    return out.finish()


def bilinear_runs(
    x1: Any, x2: Any, weights: Any, biases: Any, out: Any, block: Block, most: int
) -> None:
    which, bounds = block.which, block.bounds
    if _native.bilinear_runs(x1, x2, weights, biases, out, which, bounds, most):
        return
    for k, run in block.runs():
        bias = None if biases is None else biases[k]
        out[run] = _portable.bilinear(x1[run], x2[run], weights[k], bias)


def gradients(
    memory: Memory, g: Array, x1: Array | None, x2: Array | None, weight: Array | None,
    weight_shape: Shape, rows: Rows, needed: Needed,
) -> Gradients:  # fmt: skip
    """The gradients of `bilinear` in its inputs and its weight; None for those not needed.

        dx1[p, i] = Σ_e∈p Σ_oj g[s(e), o] · W[r(e), o, i, j] · x2[q(e), j]
        dx2[q, j] = Σ_e∈q Σ_oi g[s(e), o] · W[r(e), o, i, j] · x1[p(e), i]
        dW[r, o, i, j] = Σ_e∈r g[s(e), o] · x1[p(e), i] · x2[q(e), j]

    What no needed gradient asks for may be None.
    """
    start, first, second = (matrix_of(memory, each) for each in (g, x1, x2))
    weights = _weights(memory, weight) if needed[0] or needed[1] else None
    outputs, *features = weight_shape[-3:]
    d_1, d_2 = (
        Result(memory, rows, factor, size) if wanted else None
        for factor, size, wanted in zip((FIRST, SECOND), features, needed, strict=False)
    )
    total = d_weights = None
    if needed[2]:
        total = memory.new(weight_shape, True, True)
        d_weights = memory.seen(total).reshape((rows.sizes[WEIGHT], *weight_shape[-3:]))
    met = np.zeros(rows.sizes[WEIGHT], np.bool_)
    work = Work(memory, outputs + 2 * sum(features))
    for block in rows.blocks(work.rows):
        factors: list[Any] = [work.gathered("g", start, rows.of(RESULT, block.rows)), None, None]
        if needed[1] or needed[2]:
            factors[1] = work.gathered("x1", first, rows.of(FIRST, block.rows))
        if needed[0] or needed[2]:
            factors[2] = work.gathered("x2", second, rows.of(SECOND, block.rows))
        found: list[Any] = [None, None]
        places: list[Any] = [None, None]
        spaces: list[Any] = [None, None]
        for k, result in enumerate((d_1, d_2)):
            if result is not None:
                places[k] = rows.of(k + 1, block.rows)
                spaces[k] = result.space(places[k])
                own = f"d{k}", block.size, features[k]
                found[k] = work.empty(*own) if spaces[k] is None else spaces[k]
        g_rows, x1_rows, x2_rows = factors
        gradients_runs(
            g_rows, x1_rows, x2_rows, weights, found[0], found[1], d_weights, met, block,
            memory.most,
        )  # fmt: skip
        for k, result in enumerate((d_1, d_2)):
            if result is not None and spaces[k] is None:
                result.put(places[k], found[k])
    work.release()
    return (
        None if d_1 is None else d_1.finish(),
        None if d_2 is None else d_2.finish(),
        None if total is None else memory.given(total),
    )


def gradients_runs(
    g: Any, x1: Any, x2: Any, weights: Any, d_1: Any, d_2: Any, d_weights: Any, met: Any,
    block: Block, most: int,
) -> None:  # fmt: skip
    which, bounds = block.which, block.bounds
    factors = g, x1, x2, weights, d_1, d_2, d_weights
    if _native.gradients_runs(*factors, met, which, bounds, most):
        return
    shape = (weights if d_weights is None else d_weights).shape
    needed = d_1 is not None, d_2 is not None, d_weights is not None
    for k, run in block.runs():
        count = run.stop - run.start
        first: Any = (count, shape[2]) if x1 is None else x1[run]
        second: Any = (count, shape[3]) if x2 is None else x2[run]
        matrix = None if weights is None else weights[k]
        of_1, of_2, of_weight = _portable.gradients(g[run], first, second, matrix, needed)
        if d_1 is not None:
            d_1[run] = of_1
        if d_2 is not None:
            d_2[run] = of_2
        if d_weights is not None:
            d_weights[k] += of_weight


def moved(memory: Memory, x: Array, shape: Shape, rows: Rows, source: int, target: int) -> Array:
    """to[t, o] = Σ_e∈t x[s(e), o], between the rows of the result and those of the weights.

    So the bias and its gradient are spread and summed; each is the gradient of the other.
    """
    own, total = matrix_of(memory, x), memory.new(shape, True, True)
    to = matrix_of(memory, total)
    work = Work(memory, 2 * shape[-1])

    def places(factor: int, matrix: Any, some: slice) -> Any:
        if factor != WEIGHT:
            return rows.of(factor, some)
        return np.zeros(_length(some), np.int64) if len(matrix) == 1 else rows.groups_of(some)

    for begin, end in _steps(0, rows.count, work.rows):
        some = slice(begin, end)
        found = work.gathered("x1", own, places(source, own, some))
        place = places(target, to, some)
        if isinstance(place, slice):
            to[place] += found
        elif target == WEIGHT and len(to) == 1:
            to[0] += np.add.reduce(found, 0)
        else:
            add_rows(to, place, found)
    work.release()
    return memory.given(total)
