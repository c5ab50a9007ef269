"""What a program asks lucid about itself: `lucid.__array_namespace_info__()` is this module.

A Tensor holds arrays of any library. What is said here is about those that lucid's own functions
make, `lucid.zeros` and the like: they are NumPy's.
"""

from __future__ import annotations

import numpy as np

from ._arrays import Device, DType
from ._dtypes import isdtype
from ._errors import ArgumentError

_DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32",
    "float64", "complex64", "complex128",
)  # fmt: skip


def capabilities() -> dict[str, bool | int | None]:
    """What indices, shapes and numbers of axes there can be."""
    return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}


def default_device() -> Device:
    """Where a new Tensor is."""
    return "cpu"


def devices() -> tuple[Device, ...]:
    """Where a new Tensor can be."""
    return ("cpu",)


def default_dtypes(*, device: Device | None = None) -> dict[str, DType]:
    """The dtypes that new Tensors have where none is said."""
    _check("default_dtypes", device)
    return {
        "real floating": np.dtype("float32"),
        "complex floating": np.dtype("complex64"),
        "integral": np.dtype("int64"),
        "indexing": np.dtype(np.intp),
    }


def dtypes(
    *, device: Device | None = None, kind: str | tuple[str, ...] | None = None
) -> dict[str, DType]:
    """The dtypes of the standard by their names: all, or those of a kind, or of several."""
    _check("dtypes", device)
    found = {name: np.dtype(name) for name in _DTYPES}
    if kind is None:
        return found
    return {name: dtype for name, dtype in found.items() if isdtype(dtype, kind)}


def _check(function: str, device: Device | None) -> None:
    if device not in (None, *devices()):
        raise ArgumentError(f"{function}: there is no device {device!r:.60}; lucid's own is 'cpu'")
