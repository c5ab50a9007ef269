"""A weight for each row out of several: what `group` and `offsets` mean, wherever they are given.

`group` has a number for each row, that of its weight. Where the rows of each group lie side by
side, `offsets` (groups + 1,) may say instead where each begins, and the last one ends. Here both
are checked, and rows are brought into the order of their groups, so that each weight is met once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from math import prod
from operator import matmul
from typing import Any, NamedTuple

import numpy as np

from .._arrays import (
    Array,
    Numbers,
    device_of,
    dtype_name,
    is_traced_by_jax,
    kind,
    namespace,
    on_cpu,
    plain_array,
    untraced,
)
from .._errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError
from .._shapes import Shape


def check_numbers(
    function: str, name: str, numbers: Array, count: int, told: str, padded: bool = False
) -> None:
    """Raise DTypeError unless these are integers, OutOfRangeError unless they are below `count`.

    `told` says what there are that many of. Negative numbers may be padding.
    """
    check_integers(function, name, numbers)
    numbers = untraced(numbers)
    if is_traced_by_jax(numbers) or 0 in numbers.shape:
        return
    xp = namespace(numbers)
    lowest, highest = int(xp.min(numbers)), int(xp.max(numbers))
    if highest >= count or (lowest < 0 and not padded):
        raise OutOfRangeError(
            f"{function}: {name} holds {highest if highest >= count else lowest}, but {told}; "
            "numbers are " + (f"0, …, {count - 1}" if count else "none")
            + ", and negative ones for padding" * padded
        )  # fmt: skip


def check_integers(function: str, name: str, numbers: Array) -> None:
    """Raise DTypeError unless these are integers, LibraryError where some are masked."""
    plain_array(function, name, numbers)
    if kind(numbers.dtype) is not Numbers.INTEGER:
        raise DTypeError(
            f"{function}: {name} has dtype {dtype_name(numbers.dtype)}, expected integers; convert "
            "it, for example to int64"
        )


def check_group(function: str, group: Array, weight: Array) -> None:
    """Raise unless there is a weight for each of these numbers."""
    groups = weight.shape[0]
    told = f"weight {tuple(weight.shape)} has {groups} groups"
    check_numbers(function, "group", group, groups, told)


def check_offsets(function: str, offsets: Array, groups: int, shape: Shape) -> None:
    """Raise unless these cut the rows, of a shape, into the rows of each group."""
    check_integers(function, "offsets", offsets)
    if tuple(offsets.shape) != (groups + 1,):
        raise ShapeError(
            f"{function}: offsets has shape {tuple(offsets.shape)}, expected ({groups + 1},): "
            "where each group begins, and where the last one ends"
        )
    offsets = untraced(offsets)
    if is_traced_by_jax(offsets):
        return
    rows = prod(shape)
    if int(offsets[0]) != 0 or int(offsets[-1]) != rows or bool((offsets[1:] < offsets[:-1]).any()):
        raise ArgumentError(
            f"{function}: offsets go from {int(offsets[0])} to {int(offsets[-1])}, expected from 0 "
            f"to {rows}, the number of rows, and never down"
        )


def on_host(numbers: Array) -> Any:
    """Integers as NumPy sees them."""
    if isinstance(numbers, np.ndarray):
        return numbers
    return np.from_dlpack(numbers) if on_cpu(numbers) else np.asarray(numbers.tolist())


class Block(NamedTuple):
    """Some rows, in the order of their groups: the run of `which[k]` ends at `bounds[k + 1]`."""

    rows: Any
    which: Any
    bounds: Any

    @property
    def size(self) -> int:
        return int(self.bounds[-1])

    def runs(self) -> Iterator[tuple[int, slice]]:
        """Each group with its rows' places in the block."""
        ends = self.bounds.tolist()
        for k, begin, end in zip(self.which.tolist(), ends[:-1], ends[1:], strict=True):
            yield k, slice(begin, end)

    def parts(self, most: int) -> Iterator[Block]:
        """The same in parts of at most so many rows."""
        if self.size <= most:
            yield self
            return
        inner = self.bounds[1:-1]
        for begin in range(0, self.size, most):
            end = min(begin + most, self.size)
            first, last = inner.searchsorted((begin + 1, end))
            bounds = np.concatenate(([begin], inner[first:last], [end])) - begin
            rows = self.rows
            if isinstance(rows, slice):
                rows = slice(rows.start + begin, rows.start + end)
            else:
                rows = rows[begin:end]
            yield Block(rows, self.which[first : last + 1], bounds)


def in_order(groups: Any, count: int, start: int = 0) -> Block:
    """The rows from `start` on, whose groups these are, of so many; as they are where in order."""
    rows: Any = slice(start, start + len(groups))
    if (groups[1:] < groups[:-1]).any():
        narrow = groups.astype(np.uint16) if count <= 1 << 16 else groups
        rows = narrow.argsort(kind="stable")  # of 16 bits: by counting
        groups = groups[rows]
        rows += start
    starts = np.flatnonzero(groups[1:] != groups[:-1]) + 1
    bounds = np.concatenate(([0], starts, [len(groups)]))
    return Block(rows, np.ascontiguousarray(groups[bounds[:-1]], np.int64), bounds)


class ByGroup:
    """Products of rows with the weight of each one's group, or with one where `group` is None.

    They are made of operations that any library has, and an autograd records.
    """

    def __init__(self, group: Array | None, count: int) -> None:
        self._order: Any = None
        self._back: Any = None
        self._runs: list[tuple[int | None, slice]] = [(None, slice(None))]
        if group is None:
            return
        xp = namespace(group)
        flat = xp.reshape(group, (-1,))
        block = in_order(on_host(flat), count)
        self._runs = list(block.runs())
        if not isinstance(block.rows, slice):
            back = np.empty_like(block.rows)
            back[block.rows] = np.arange(len(back))
            self._order, self._back = (
                xp.asarray(each, device=device_of(group)) for each in (block.rows, back)
            )

    def recorded(self, constant: Callable[[Array], Any]) -> ByGroup:
        """The same for what an autograd records; `constant` makes a raw array one of these."""
        found = copy(self)
        if self._order is not None:
            found._order, found._back = constant(self._order), constant(self._back)
        return found

    def runs(self, *arrays: Any) -> Iterator[tuple[Any, ...]]:
        """Each group that has rows (None: the one weight), and its rows of these arrays."""
        if self._order is not None:
            arrays = tuple(each[self._order, :] for each in arrays)
        for group, run in self._runs:
            yield group, *(each[run, :] for each in arrays)

    def product(
        self, rows: Any, matrix_of: Callable[[int | None], Any], multiply: Any = matmul
    ) -> Any:
        """Each row times the matrix of its group; `multiply` is for one matrix only."""
        if len(self._runs) == 1:
            return multiply(rows, matrix_of(self._runs[0][0]))
        pieces = [part @ matrix_of(group) for group, part in self.runs(rows)]
        found = namespace(pieces[0]).concat(pieces, axis=0)
        return found if self._back is None else found[self._back, :]
