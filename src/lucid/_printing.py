"""How a Tensor looks: on one line while it is short, row by row and shortened when it is long."""

from __future__ import annotations

from typing import Any

import numpy as np

_LINE = 88  # characters
_FEW = 64  # elements that are shown in full
_DEFAULT = ("float32", "int64", "bool", "complex64")


def describe(name: str, values: np.ndarray[Any, Any], dtype: str, **more: Any) -> str:
    """`Tensor([[1.0, 2.0]], grad=None)`: the values, a dtype that they do not show, and more.

    An empty `dtype` is not shown.
    """
    parts = [_values(values, len(name) + 1)]
    if dtype and dtype not in _DEFAULT:
        parts.append(f"dtype={dtype}")
    parts += [f"{key}={value}" for key, value in more.items()]
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
