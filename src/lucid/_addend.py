"""A gradient that waits until it is known where it goes.

The gradient of a large weight is as large again. Where a Tensor has a `.grad` already, what an
operation finds is added to it there: its rule returns an `Addend`, and the tape asks it for an
array of its own only where it needs one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._arrays import Array, DType
from ._shapes import Shape


class Addend:
    """The gradient of one argument: `array()` computes it, `add_to` adds it to an array.

    `add_to` returns False, and has changed nothing, where it cannot.
    """

    __slots__ = ("add_to", "array", "dtype", "shape")

    def __init__(
        self,
        shape: Shape,
        dtype: DType,
        array: Callable[[], Array],
        add_to: Callable[[Array], bool],
    ) -> None:
        self.shape = shape
        self.dtype = dtype
        self.array = array
        self.add_to = add_to


def now(gradient: Any) -> Any:
    """A gradient that waits as an array; anything else as it is."""
    return gradient.array() if type(gradient) is Addend else gradient
