"""Layouts keep the numbers, and each is what its name says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from layouts import LAYOUTS, Array, expanded

HAS: dict[str, Callable[[Array], Any]] = {
    "rows apart": lambda x: x.strides[-2] > x.shape[-1] * x.itemsize,
    "every other row": lambda x: x.strides[0] == 2 * x[0].size * x.itemsize,
    "transposed": lambda x: x.flags.f_contiguous and not x.flags.c_contiguous,
    "strided": lambda x: x.strides[-1] == 2 * x.itemsize,
    "rows backwards": lambda x: x.strides[0] < 0 < x.strides[-1],
    "negative strides": lambda x: max(x.strides) < 0,
    "read-only": lambda x: not x.flags.writeable,
    "aligned to an element": lambda x: x.flags.aligned and x.ctypes.data % 16 == x.itemsize,
    "misaligned": lambda x: not x.flags.aligned,
    "byte-swapped": lambda x: not x.dtype.isnative,
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_what_its_name_says(layout: str, dtype: str) -> None:
    for shape in ((3, 4), (2, 3, 4)):
        array = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
        assert HAS[layout](LAYOUTS[layout](array))


@pytest.mark.parametrize("dtype", ["float64", "complex64", "int32", "bool"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(3, 4), (4,), (), (0, 3), (2, 0)])
def test_a_layout_keeps_the_numbers(layout: str, shape: Any, dtype: str) -> None:
    array = np.asarray(np.random.default_rng(0).integers(0, 2, shape)).astype(dtype)
    laid_out = LAYOUTS[layout](array)
    assert laid_out.dtype.type is array.dtype.type
    np.testing.assert_array_equal(laid_out, array, strict=layout != "byte-swapped")


def test_an_expanded_array_has_one_number() -> None:
    array = expanded(np.arange(12.0).reshape(3, 4) + 5)
    assert array.strides == (0, 0)
    assert (array == 5).all()
