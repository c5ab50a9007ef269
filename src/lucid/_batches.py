"""Data in batches: some rows of each array at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ._arguments import COUNTED, TRUTH, check
from ._arrays import Array, device_of, is_array, namespace
from ._errors import ArgumentError, ShapeError
from ._random import Generator, numbers
from ._tape import Tracked, operand, plain
from .ops._index import take


class batches:  # noqa: N801 (used like a function, as `range` is)
    """The rows of arrays, in batches: those of one place go together.

    Each pass gives every row once, as tuples with a part of each array (of one array: its parts),
    in the kind that the array has; with `shuffle` in a new order each time, from `generator` or
    the one that `lucid.manual_seed` seeds. The last batch may be smaller; `drop_last` leaves such
    a one out. `len` counts the batches.

    Raises ShapeError where the arrays have different numbers of rows, ArgumentError for a batch
    size below 1 or no arrays.

    >>> x, y = lucid.arange(10), lucid.arange(10, 20)
    >>> for inputs, targets in lucid.batches(x, y, batch_size=4):
    ...     print(inputs, targets)
    Tensor([0, 1, 2, 3]) Tensor([10, 11, 12, 13])
    Tensor([4, 5, 6, 7]) Tensor([14, 15, 16, 17])
    Tensor([8, 9]) Tensor([18, 19])
    """

    def __init__(
        self,
        *arrays: Any,
        batch_size: int,
        shuffle: bool = False,
        generator: Generator | None = None,
        drop_last: bool = False,
    ) -> None:
        check("batches", COUNTED, batch_size=batch_size)
        check("batches", TRUTH, shuffle=shuffle, drop_last=drop_last)
        numbers(generator)
        if not arrays:
            raise ArgumentError("batches: there are no arrays to take rows from")
        self.arrays = tuple(each if is_array(each) else operand(each) for each in arrays)
        for k, array in enumerate(self.arrays):
            if not array.shape:
                raise ShapeError(f"batches: array {k} is a single number, it has no rows")
            if array.shape[0] != self.arrays[0].shape[0]:
                raise ShapeError(
                    f"batches: array 0 has {self.arrays[0].shape[0]} rows, but array {k} has "
                    f"{array.shape[0]}"
                )
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.generator = generator
        self.drop_last = drop_last

    def __len__(self) -> int:
        rows = int(self.arrays[0].shape[0])
        return rows // self.batch_size if self.drop_last else -(-rows // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        rows = int(self.arrays[0].shape[0])
        order = numbers(self.generator).permutation(rows) if self.shuffle else None
        return self._parts(order)

    def _parts(self, order: Array | None) -> Iterator[Any]:
        rows = int(self.arrays[0].shape[0])
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            some = slice(start, min(start + self.batch_size, rows))
            parts = tuple(
                array[some] if order is None else _rows(array, order[some]) for array in self.arrays
            )
            yield parts if len(parts) > 1 else parts[0]


def _rows(array: Any, places: Array) -> Any:
    raw = plain(array)
    xp = namespace(raw)
    places = xp.asarray(places, device=device_of(raw))
    return (
        take(array, places, axis=0) if isinstance(array, Tracked) else xp.take(raw, places, axis=0)
    )
