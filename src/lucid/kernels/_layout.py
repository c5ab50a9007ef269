"""Leading axes: which belong to both inputs, which to one, and how to walk over them in boxes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from math import prod

from .._arrays import Array, namespace
from .._shapes import Shape, broadcast_shapes

Axes = tuple[int, ...]
Box = tuple[slice, ...]
"""One slice for each axis of a group; its elements are consecutive in C order."""


@dataclass(frozen=True)
class Layout:
    """Where each leading axis of the result comes from.

    An axis is *shared* when both inputs run along it (a batch), *first* when only `x1` does,
    *second* when only `x2` does (every word with every word). Arrays are viewed with their axes
    in the order shared, first, second, feature; nothing is copied and nothing repeated.
    """

    leading: Shape
    shared_axes: Axes
    first_axes: Axes
    second_axes: Axes

    @cached_property
    def shared(self) -> Shape:
        return tuple(self.leading[axis] for axis in self.shared_axes)

    @cached_property
    def first(self) -> Shape:
        return tuple(self.leading[axis] for axis in self.first_axes)

    @cached_property
    def second(self) -> Shape:
        return tuple(self.leading[axis] for axis in self.second_axes)

    @cached_property
    def counts(self) -> tuple[int, int, int]:
        """How many positions the shared, the first and the second axes have."""
        return prod(self.shared), prod(self.first), prod(self.second)

    @cached_property
    def first_outside(self) -> bool | None:
        """Whether the result's axes are shared, first, second; False: shared, second, first."""
        for first_outside, own in ((True, self.first_axes + self.second_axes),
                                   (False, self.second_axes + self.first_axes)):  # fmt: skip
            if list(self.shared_axes + own) == sorted(self.shared_axes + own):
                return first_outside
        return None

    def swapped(self) -> Layout:
        """The same axes with the two inputs exchanged."""
        return Layout(self.leading, self.shared_axes, self.second_axes, self.first_axes)

    # For an array of a given rank: the permutation of its axes that gives (those of size 1,
    # shared, first and/or second, feature), and how many those of size 1 are.

    def order_first(self, rank: int) -> tuple[Axes, int]:
        """How an array shaped as `x1` becomes (*shared, *first, feature)."""
        return self._order(rank, self.shared_axes + self.first_axes)

    def order_second(self, rank: int) -> tuple[Axes, int]:
        """How an array shaped as `x2` becomes (*shared, *second, feature)."""
        return self._order(rank, self.shared_axes + self.second_axes)

    def order_both(self) -> tuple[Axes, int]:
        """How the result becomes (*shared, *first, *second, feature)."""
        axes = self.shared_axes + self.first_axes + self.second_axes
        return self._order(len(self.leading) + 1, axes)

    def _order(self, rank: int, axes: Axes) -> tuple[Axes, int]:
        return _ones_first(rank, len(self.leading) - (rank - 1), axes)


@lru_cache(maxsize=1024)
def _ones_first(rank: int, missing: int, axes: Axes) -> tuple[Axes, int]:
    present = tuple(axis - missing for axis in axes)
    ones = tuple(axis for axis in range(rank - 1) if axis not in present)
    return (*ones, *present, rank - 1), len(ones)


def permuted(array: Array, order: Axes, left_out: int = 0) -> Array:
    """View an array with its axes in another order, without the first few, of size 1."""
    if order != tuple(range(len(order))):
        array = namespace(array).permute_dims(array, order)
    return array[(*(0,) * left_out, ...)] if left_out else array


@lru_cache(maxsize=1024)
def layout(leading_1: Shape, leading_2: Shape) -> Layout:
    """Split the leading axes of two inputs; both sizes 1 count as no axis at all."""
    leading = broadcast_shapes(leading_1, leading_2)
    shared, first, second = [], [], []
    for axis in range(len(leading)):
        size_1 = _size(leading_1, axis - len(leading))
        size_2 = _size(leading_2, axis - len(leading))
        if size_1 == size_2:
            if size_1 != 1:
                shared.append(axis)
        elif size_2 == 1:
            first.append(axis)
        else:
            second.append(axis)
    return Layout(leading, tuple(shared), tuple(first), tuple(second))


def _size(shape: Shape, axis: int) -> int:
    return shape[axis] if -axis <= len(shape) else 1


def boxes(sizes: Shape, limit: int) -> Iterator[Box]:
    """Cut a group of axes into boxes of at most `limit` positions (at least one each).

    >>> [extent(box) for box in boxes((2, 5), 3)]
    [(1, 2), (1, 3), (1, 2), (1, 3)]
    """
    steps, room = [], max(limit, 1)
    for size in reversed(sizes):
        steps.append(min(size, room) or 1)
        room //= max(size, 1)
        room = max(room, 1)
    return product(*(list(slices(n, step)) for n, step in zip(sizes, reversed(steps), strict=True)))


def slices(size: int, step: int) -> Iterator[slice]:
    """Cut one axis into slices that are as equal as they can be and no longer than `step`."""
    count = -(-size // step)
    for k in range(count):
        yield slice(size * k // count, size * (k + 1) // count)


def extent(box: Box) -> Shape:
    """The sizes of a box."""
    return tuple(part.stop - part.start for part in box)
