"""The safetensors format: arrays by name, without code.

    8 bytes     n, the length of the header, little-endian
    n bytes     {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, …,
                "__metadata__": {"text": "text", …}}, as JSON in UTF-8
    the rest    the elements of each array, row by row, little-endian, without holes between them

Source: the README of the package safetensors. Arrays are read into memory of their own and not
mapped: a mapped file that another program cuts off ends the process where it is next touched.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from io import BufferedReader
from math import prod
from typing import Any, BinaryIO, TypeAlias

import numpy as np

Arrays: TypeAlias = dict[str, np.ndarray[Any, Any]]

METADATA = "__metadata__"  # the name in the header that no array can have

# The format's name of each dtype that it shares with NumPy, and with ml_dtypes
_DTYPES = {
    "BOOL": "bool",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "U8": "uint8",
    "U16": "uint16",
    "U32": "uint32",
    "U64": "uint64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
}
_CODES = {name: code for code, name in _DTYPES.items()}

DTYPES = ", ".join(_CODES)

_LONGEST_HEADER = 100_000_000  # bytes, as other readers have it


class FormatError(ValueError):
    """Why bytes are no safetensors file."""


def holds(dtype: np.dtype[Any]) -> bool:
    """Whether the format has arrays of this dtype."""
    return dtype.name in _CODES


def write(file: BinaryIO, arrays: Arrays, metadata: Mapping[str, str]) -> None:
    """Write arrays, in C order and of dtypes that the format `holds`."""
    header: dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
    header |= dict.fromkeys(arrays)  # in the order in which they were given
    placed = sorted(arrays, key=lambda name: -arrays[name].itemsize)  # so that each is aligned
    start = 0
    for name in placed:
        array = arrays[name]
        header[name] = {
            "dtype": _CODES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [start, start + array.nbytes],
        }
        start += array.nbytes
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for name in placed:
        array = arrays[name]
        if array.dtype.kind in "iufc":  # those of ml_dtypes have no byte order to set
            array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        file.write(_bytes(array))


def read(file: BufferedReader, size: int) -> tuple[Arrays, dict[str, str]]:
    """The arrays of a file of so many bytes, in the header's order, and its metadata.

    Raises FormatError where it is no such file, ImportError where its dtypes need ml_dtypes.
    """
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(size - 8, _LONGEST_HEADER):
        raise FormatError("its header ends outside the file")
    header = _header(file.read(length))
    metadata = header.pop(METADATA, {})
    if not _is_metadata(metadata):
        raise FormatError("its metadata are no texts by name")
    described = {name: _described(name, entry) for name, entry in header.items()}
    in_order = sorted(described, key=lambda name: described[name][1])
    ends = [0, *(end for name in in_order for end in described[name][1]), size - 8 - length]
    if ends[::2] != ends[1::2]:  # each begins where the one before ends
        raise FormatError("its arrays do not lie one after another to the end of the file")
    arrays: Arrays = {}
    for name in in_order:
        array, _ = described[name]
        # the pages of an empty array are not touched before the file fills them
        if file.readinto(_bytes(array)) != array.nbytes:
            raise FormatError("it became shorter while it was read")
        if array.dtype == bool and (array.view(np.uint8) > 1).any():
            raise FormatError(f"'{name}' has truth values that are neither 0 nor 1")
        native = array.dtype.newbyteorder("=") if sys.byteorder == "big" else array.dtype
        arrays[name] = array.astype(native, copy=False)
    return {name: arrays[name] for name in described}, metadata


def _header(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text, object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"its header cannot be read: {error}") from None
    if not isinstance(header, dict):
        raise FormatError("its header is no dictionary")
    return header


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice")
    return found


def _is_metadata(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())


def _described(name: str, entry: Any) -> tuple[np.ndarray[Any, Any], tuple[int, int]]:
    """An array for one entry of the header, not yet filled, and where its bytes are."""
    try:
        code, shape, (start, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        whole = all(type(number) is int and number >= 0 for number in (*shape, start, end))
    except (TypeError, KeyError, ValueError):
        whole = False
    if not whole:
        raise FormatError(f"its header does not describe '{name}'")
    if not isinstance(code, str) or code not in _DTYPES:
        raise FormatError(f"'{name}' has the dtype {code!r}; those that can be read are {DTYPES}")
    dtype = _dtype(_DTYPES[code])
    if prod(shape) * dtype.itemsize != end - start:
        raise FormatError(f"'{name}' has {end - start} bytes, its shape {tuple(shape)} has others")
    try:
        return np.empty(shape, dtype), (start, end)
    except (ValueError, OverflowError):
        raise FormatError(f"NumPy has no arrays of the shape that '{name}' has") from None


def _dtype(name: str) -> np.dtype[Any]:
    if name == "bfloat16":
        import ml_dtypes

        name = ml_dtypes.bfloat16
    return np.dtype(name).newbyteorder("<")


def _bytes(array: np.ndarray[Any, Any]) -> memoryview:
    """The memory of an array in C order."""
    return array.reshape(-1).view(np.uint8).data
