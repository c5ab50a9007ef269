"""The same numbers lying differently in memory: every layout that an array of NumPy may have.

What lies between the numbers of an array is NaN, or the most that its dtype holds, so that a
result shows whether it was read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Layout = Callable[[Array], Array]


def poison(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """What nobody may read."""
    if dtype.kind == "b":
        return np.ones(shape, dtype)
    return np.full(shape, np.iinfo(dtype).max if dtype.kind in "iu" else np.nan, dtype)


def rows_apart(array: Array, before: int = 1, after: int = 3) -> Array:
    """Rows with `before + after` numbers between them: a slice of a wider array."""
    size = array.shape[-1]
    wide = poison((*array.shape[:-1], before + size + after), array.dtype)
    return _holding(array, wide[..., before : before + size])


def every_other_row(array: Array) -> Array:
    return _holding(array, poison((2 * len(array), *array.shape[1:]), array.dtype)[::2])


def transposed(array: Array) -> Array:
    return np.ascontiguousarray(array.T).T


def strided(array: Array) -> Array:
    """Each number lies two away from the next."""
    wide = poison((*array.shape, 2), array.dtype)
    return _holding(array, wide[..., 0])


def rows_backwards(array: Array) -> Array:
    return array[::-1].copy()[::-1]


def backwards(array: Array) -> Array:
    """Every axis has a negative stride."""
    turned = (slice(None, None, -1),) * array.ndim
    return np.ascontiguousarray(array[turned])[turned]


def read_only(array: Array) -> Array:
    copied = array.copy()
    copied.flags.writeable = False
    return copied


def aligned_to_an_element(array: Array) -> Array:
    """Aligned to one number, and to no vector of them."""
    return _holding(array, poison((array.size + 1,), array.dtype)[1:].reshape(array.shape))


def misaligned(array: Array) -> Array:
    room = np.zeros(array.nbytes + 1, np.uint8)[1:]
    return _holding(array, room.view(array.dtype).reshape(array.shape))


def byte_swapped(array: Array) -> Array:
    return array.astype(array.dtype.newbyteorder())


def expanded(array: Array) -> Array:
    """Every stride is 0: all numbers are the first one."""
    return np.lib.stride_tricks.as_strided(array, strides=(0,) * array.ndim)


def _holding(array: Array, place: Array) -> Array:
    place[...] = array
    return place


def _of_any_rank(layout: Layout) -> Layout:
    """An array without axes lies as one of one row does."""
    return lambda array: layout(array) if array.ndim else layout(array[None])[0, ...]


# These keep the numbers.
LAYOUTS: dict[str, Layout] = {
    "rows apart": rows_apart,
    "every other row": every_other_row,
    "transposed": transposed,
    "strided": strided,
    "rows backwards": rows_backwards,
    "negative strides": backwards,
    "read-only": read_only,
    "aligned to an element": aligned_to_an_element,
    "misaligned": misaligned,
    "byte-swapped": byte_swapped,
}
LAYOUTS = {name: _of_any_rank(layout) for name, layout in LAYOUTS.items()}
