"""All pairs of a row of one input with a row of the other, cut into blocks and tiles.

    scores[..., n, m, o] = Σ_ij x1[..., n, i] · W[o, i, j] · x2[..., m, j] + bias[o]

A block is some rows n of some leading positions, with some outputs o; q = x1 · W is computed for
it. A tile is the scores of a block with some partners m: q · x2. Inside, a tile is a matrix with a
row for each (leading position, n, o) of the block, and a column for each partner.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any

from .._arguments import COUNT, SHARE, WHOLE, check
from .._arrays import (
    Array,
    Numbers,
    dtype_name,
    is_half,
    is_traced_by_jax,
    kind,
    namespace,
    on_cpu,
    untraced,
)
from .._errors import ArgumentError, DTypeError, ShapeError
from .._shapes import Shape, bind_axes, broadcast_shapes
from ._arguments import check_bias, promoted
from ._groups import check_group, check_integers, check_numbers
from ._layout import boxes, slices
from ._plan import BLOCK, DEVICE_TILE

TILE = 4 << 20
"""Bytes of a tile of scores, and of each array that has a row for each row of it."""

WIDTH = 1024
"""Partners in a tile, unless there are few rows: then more."""

DEVICE_WIDTH = 16 * WIDTH
"""On a device, where each step over a tile has to be started, and its caches hold more."""


@dataclass(frozen=True)
class Pairs:
    """What is reduced over, its sizes checked; `check_pairs` makes it."""

    x1: Array
    x2: Array
    weight: Array
    bias: Array | None
    mask: Array | None  # (..., N, M, O or 1): False where a pair is left out
    exclude: Array | None  # (..., N, 1, L): partners left out
    group: Array | None  # (..., N), in the shape of x1's leading axes
    leading: Shape = field(init=False)
    shape: Shape = field(init=False)  # of a result: (..., N, O)
    partners: int = field(init=False)

    def __post_init__(self) -> None:
        leading = broadcast_shapes(tuple(self.x1.shape[:-2]), tuple(self.x2.shape[:-2]))
        object.__setattr__(self, "leading", leading)
        object.__setattr__(self, "shape", (*leading, self.x1.shape[-2], self.weight.shape[-3]))
        object.__setattr__(self, "partners", self.x2.shape[-2])

    @property
    def dtype(self) -> Any:
        """What results have: the dtype that all factors promote to."""
        factors = (self.x1, self.x2, self.weight, self.bias)
        given = tuple(each for each in factors if each is not None)
        return promoted(namespace(*given), given)

    def blocks(self, itemsize: int) -> Iterator[tuple[tuple[slice, ...], slice, slice]]:
        """Leading positions, rows and outputs of each block, those of the same rows together."""
        steps = self.steps(itemsize)
        *_, rows, outputs = self.shape
        for box in boxes(self.leading, steps.positions):
            for part in slices(rows, steps.rows):
                for outs in slices(outputs, steps.outputs):
                    yield box, part, outs

    def steps(self, itemsize: int) -> Steps:
        """How many of each there are in a block and a tile, so that each has its bytes."""
        *_, rows, outputs = self.shape
        features_1, features_2 = self.weight.shape[-2:]
        is_near = on_cpu(self.x1)
        room = (TILE if is_near else DEVICE_TILE // 2) // itemsize
        of_x2 = max(1, room // max(features_2, 1))  # rows as long as those of x2
        outs = max(1, min(outputs, BLOCK // itemsize // max(features_1 * features_2, 1), of_x2))
        width = max(1, min(self.partners, WIDTH if is_near else DEVICE_WIDTH, of_x2))
        of_q = min(room // width, of_x2)
        some = max(1, min(rows, of_q // outs, room // max(features_1, 1)))
        width = max(1, min(self.partners, room // (some * outs), of_x2))
        positions = min(
            room // (some * outs * width), of_x2 // (some * outs), of_x2 // width,
            room // max(features_1 * some, 1),
        )  # fmt: skip
        return Steps(max(1, positions), some, outs, width)


@dataclass(frozen=True)
class Steps:
    """The sizes of a block and of a tile."""

    positions: int
    rows: int
    outputs: int
    partners: int


def part_of(array: Array, box: tuple[slice, ...], *last: slice) -> Array:
    """A part of an array whose leading axes broadcast: those of size 1 stay whole."""
    own = len(array.shape) - len(last)
    places = zip(box[len(box) - own :], array.shape[:own], strict=True)
    leading = (slice(None) if size == 1 else place for place, size in places)
    ends = zip(last, array.shape[own:], strict=True)
    return array[(*leading, *(slice(None) if size == 1 else each for each, size in ends))]


def check_pairs(
    function: str, input_1: Array, input_2: Array, weight: Array, bias: Array | None,
    mask: Array | None, exclude: Array | None, group: Array | None, *, has_values: bool = True,
) -> Pairs:  # fmt: skip
    """The pairs, or an error that names the argument, both numbers and what to do.

    Without values, as under a compiler, only shapes and dtypes are checked.
    """
    matrices = "out_features in1_features in2_features"
    sizes = bind_axes(
        function,
        input_1=(input_1, "... rows in1_features"),
        input_2=(input_2, "... partners in2_features"),
        weight=(weight, matrices if group is None else f"groups {matrices}"),
    )
    for name, array in (("input_1", input_1), ("input_2", input_2), ("weight", weight)):
        _check_real(function, name, array)
    outputs, rows, partners = sizes["out_features"], sizes["rows"], sizes["partners"]
    if bias is not None:
        _check_real(function, "bias", bias)
        check_bias(function, weight, bias)
        bias = namespace(bias).reshape(bias, (outputs,))
    leading = broadcast_shapes(tuple(input_1.shape[:-2]), tuple(input_2.shape[:-2]))
    if mask is not None:
        if kind(mask.dtype) is not Numbers.TRUTH:
            raise DTypeError(
                f"{function}: mask has dtype {dtype_name(mask.dtype)}, expected bool: True where a "
                "pair counts, False where it is left out"
            )
        whole = (*leading, rows, partners)
        if len(mask.shape) <= len(whole):
            _check_broadcasts(function, "mask", mask, whole, "each pair of rows")
            mask = mask[..., None]
            mask = _with_rank(mask, len(leading) + 3)
        else:
            _check_broadcasts(function, "mask", mask, (*whole, outputs), "each score")
    if exclude is not None:
        check_integers(function, "exclude", exclude)
        if not exclude.shape:
            raise ShapeError(f"{function}: exclude has shape (), expected (..., {rows}, L)")
        whole = (*leading, rows, exclude.shape[-1])
        _check_broadcasts(function, "exclude", exclude, whole, "a list for each row of input_1")
        if has_values:
            told = f"input_2 {tuple(input_2.shape)} has {partners} partners"
            check_numbers(function, "exclude", exclude, partners, told, padded=True)
        exclude = _with_rank(exclude, len(leading) + 2)[..., None, :]
    if group is not None:
        check_integers(function, "group", group)
        whole = tuple(input_1.shape[:-1])
        _check_broadcasts(function, "group", group, whole, "a number for each row of input_1")
        if has_values:
            check_group(function, group, weight)
        group = namespace(group).broadcast_to(group, whole)
    return Pairs(input_1, input_2, weight, bias, mask, exclude, group)


def check_target(
    function: str,
    pairs: Pairs,
    target: Array | None,
    ignore_index: int | None,
    has_values: bool = True,
) -> Array:
    """The target with the axes (..., N, O or 1, K): K partners for each row."""
    if target is None:
        raise ArgumentError(
            f"{function}: target is None, expected numbers of partners: one for each row, of shape "
            f"{pairs.shape[:-1]}"
        )
    check_integers(function, "target", target)
    *leading, rows, _ = pairs.shape
    given = tuple(target.shape)
    rank = len(pairs.shape)
    if len(given) == rank - 1:
        expected: Shape = (*leading, rows)
    elif len(given) == rank:
        expected = pairs.shape
    else:
        expected = (*pairs.shape, given[-1] if given else 1)
    own = [k for k, size in enumerate(given) if k < len(expected) and size != expected[k]]
    if len(given) != len(expected) or any(k != rank - 1 or given[k] != 1 for k in own):
        raise ShapeError(
            f"{function}: target has shape {given}, expected {(*leading, rows)}, one partner for "
            f"each row, {pairs.shape}, one for each row and output, or a last axis of several "
            "beside these"
        )
    inside = seen = untraced(target)
    if has_values and ignore_index is not None:
        xp = namespace(seen)
        inside = xp.where(seen == ignore_index, xp.zeros_like(seen), seen)
        if not pairs.partners:  # nothing is in range, unless all are ignored
            inside = seen
            if not is_traced_by_jax(seen) and bool(xp.all(seen == ignore_index)):
                inside = seen[..., :0]
    if has_values:
        told = f"input_2 {tuple(pairs.x2.shape)} has {pairs.partners} partners"
        check_numbers(function, "target", inside, pairs.partners, told)
    if len(given) == rank - 1:
        return target[..., None, None]
    return target[..., None] if len(given) == rank else target


def _with_rank(array: Array, rank: int) -> Array:
    ones = (1,) * (rank - len(array.shape))
    return namespace(array).reshape(array, (*ones, *array.shape)) if ones else array


def _check_broadcasts(function: str, name: str, array: Array, whole: Shape, meaning: str) -> None:
    given = tuple(array.shape)
    pairs = zip(reversed(given), reversed(whole), strict=False)
    if len(given) > len(whole) or any(size not in (1, full) for size, full in pairs):
        raise ShapeError(
            f"{function}: {name} has shape {given}, which does not broadcast to {whole}: {meaning}"
        )


def _check_real(function: str, name: str, array: Array) -> None:
    if kind(array.dtype) is not Numbers.REAL:
        raise DTypeError(
            f"{function}: {name} has dtype {dtype_name(array.dtype)}, expected real floating-point "
            "numbers: scores are put in order; convert it, for example to float32"
        )


def check_k(function: str, pairs: Pairs, k: int) -> None:
    """Raise ArgumentError unless there are k partners."""
    check(function, COUNT, k=k)
    if k > pairs.partners:
        raise ArgumentError(
            f"{function}: k is {k}, but input_2 {tuple(pairs.x2.shape)} has {pairs.partners} "
            f"partners; take at most that many"
        )


REDUCTIONS = ("mean", "sum", "none")


def check_loss(function: str, *, ignore_index: int, label_smoothing: float, reduction: str) -> None:
    """Raise ArgumentError for an option of a loss that there is not."""
    check(function, WHOLE, ignore_index=ignore_index)
    check(function, SHARE, label_smoothing=label_smoothing)
    if not isinstance(reduction, str) or reduction not in REDUCTIONS:
        raise ArgumentError(
            f"{function}: reduction is {reduction!r}, expected 'mean', 'sum' or 'none'"
        )


def with_shares(pairs: Pairs, target: Array, ignore_index: int) -> tuple[Array, Array, Any]:
    """The places of the target, -1 where ignored, the share of each, and how many losses count."""
    xp = namespace(target)
    wide = xp.float32 if is_half(pairs.dtype) else pairs.dtype
    whole = xp.asarray(0).dtype  # JAX has int64 only where its user asked for it
    kept = target != ignore_index
    places = xp.where(kept, xp.astype(target, whole), xp.asarray(-1, dtype=whole))
    count = xp.sum(xp.astype(kept, whole), axis=-1, keepdims=True)
    shares = xp.astype(kept, wide) / xp.astype(xp.where(count > 0, count, 1), wide)
    rows = prod(pairs.shape) // max(prod(target.shape[:-1]), 1)  # for each row of the target
    losses = xp.sum(xp.astype(count > 0, whole)) * rows
    return places, shares, losses if is_traced_by_jax(losses) else int(losses)
