"""Layers that change only the shape, or nothing."""

from __future__ import annotations

from math import prod
from typing import Any

from .._arguments import WHOLE, check
from .._errors import OutOfRangeError
from .._tape import operand
from ..ops._movement import reshape
from ._module import Module


class Flatten(Module):
    """Make the axes from `start_axis` to `end_axis`, both included, one.

    Raises OutOfRangeError where the input has no such axes.

    >>> nn.Flatten()(lucid.ones((2, 3, 4))).shape
    (2, 12)
    """

    def __init__(self, start_axis: int = 1, end_axis: int = -1) -> None:
        super().__init__()
        check("Flatten", WHOLE, start_axis=start_axis, end_axis=end_axis)
        self.start_axis = start_axis
        self.end_axis = end_axis

    def forward(self, input: Any) -> Any:
        """The input with some axes made one."""
        input = operand(input)
        shape = tuple(input.shape)
        rank = len(shape)
        start = self.start_axis + rank if self.start_axis < 0 else self.start_axis
        end = self.end_axis + rank if self.end_axis < 0 else self.end_axis
        if not 0 <= start <= end < rank:
            raise OutOfRangeError(
                f"Flatten: axes {self.start_axis} to {self.end_axis} are not there, or not in "
                f"this order, in an input of shape {shape}"
            )
        return reshape(input, (*shape[:start], prod(shape[start : end + 1]), *shape[end + 1 :]))

    def extra_repr(self) -> str:
        """The arguments the layer was made with."""
        return f"start_axis={self.start_axis}, end_axis={self.end_axis}"


class Identity(Module):
    """Give the input back.

    >>> nn.Identity()(3)
    3
    """

    def forward(self, input: Any) -> Any:
        """The input."""
        return input
