"""How a Tensor looks: on one line while it is short, row by row and shortened when it is long."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ._tensor import Tensor

_LINE = 88  # characters
_FEW = 64  # elements that are shown in full
_DEFAULT = ("float32", "int64", "bool", "complex64")


def describe(tensor: Tensor, *, with_dtype: bool) -> str:
    """`Tensor([[1.0, 2.0]], grad=None)`, with `grad` where one is required.

    The dtype is shown on request, where the values do not show it.
    """
    name = type(tensor).__name__
    parts = [_values(tensor.numpy(), len(name) + 1)]
    dtype = str(tensor.dtype).rpartition(".")[2]
    if with_dtype and dtype not in _DEFAULT:
        parts.append(f"dtype={dtype}")
    if tensor.requires_grad or tensor.grad is not None:
        parts.append(f"grad={tensor.grad}")
    return f"{name}({', '.join(parts)})"


def _values(array: np.ndarray, indent: int) -> str:
    if array.size == 0:
        return "[]" if array.shape == (0,) else f"[], shape={array.shape}"
    if array.size <= _FEW:
        line = _nested(array)
        if len(line) <= _LINE:
            return line
    return np.array2string(
        array,
        separator=", ",
        max_line_width=_LINE,
        threshold=_FEW,
        edgeitems=3,
        prefix=" " * indent,
        formatter={"all": str},
    )


def _nested(array: np.ndarray) -> str:
    if array.ndim == 0:
        return str(array[()])
    return f"[{', '.join(map(_nested, array))}]"
