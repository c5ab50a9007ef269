"""The choice of an algorithm: counts of work, absurd sizes, and what LUCID_VERBOSE says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

import pytest

from lucid import kernels
from lucid.kernels import _native

compiled: Any = _native.compiled
if compiled is None:
    pytest.skip("there is no compiled kernel here", allow_module_level=True)

SIZES = [(1, 1, 1, 1), (3, 4, 5, 6), (100, 40, 30, 20), (100, 1, 2, 177), (33, 60, 50, 40)]
OPERATIONS = ("forward", "inputs", "weight")


@pytest.mark.parametrize("itemsize", [4, 8])
@pytest.mark.parametrize("size", SIZES)
def test_work_is_counted_for_every_algorithm(size: tuple[int, ...], itemsize: int) -> None:
    for operation, names in compiled.algorithms().items():
        for name in names:
            once = compiled.work(operation, name, *size, itemsize)
            assert once["start"] == 1
            assert all(count >= 0 for count in once.values())
            # Twice the samples are at most twice the work of each kind, and more in all.
            twice = compiled.work(operation, name, 2 * size[0], *size[1:], itemsize)
            assert once["multiply"] <= twice["multiply"] <= 2 * once["multiply"]
            assert sum(twice.values()) >= sum(once.values())


def test_work_of_no_algorithm_is_an_error() -> None:
    with pytest.raises(ValueError, match="weight has no algorithm 'stream_weight'"):
        compiled.work("weight", "stream_weight", 3, 4, 5, 6, 4)


@pytest.mark.parametrize("itemsize", [4, 8])
@pytest.mark.parametrize("place", range(4))
def test_no_size_is_too_large_to_choose_for(place: int, itemsize: int) -> None:
    huge = (1 << 62) + 12345
    alone = [3, 3, 3, 3]
    alone[place] = huge
    for size in (alone, [huge] * 4):
        for operation, name in zip(OPERATIONS, compiled.chosen(*size, itemsize), strict=True):
            assert name in compiled.algorithms()[operation]


def test_a_plan_of_absurd_sizes_is_printed() -> None:
    huge = 1 << 62
    assert "bilinear, forward" in str(kernels.plan((huge, huge), (huge, huge), (huge, huge, huge)))


SCRIPT = """if True:
    import numpy as np
    from lucid.kernels import _native
    x1, x2, weight = np.ones((40, 5), "f"), np.ones((40, 6), "f"), np.ones((7, 5, 6), "f")
    _native.compiled.bilinear(x1, x2, weight, None, "stream_weight", 1)
    g = np.ones((40, 7))
    arguments = (g, *(each.astype("d") for each in (x1, x2, weight)), (True,) * 3)
    _native.compiled.gradients(*arguments, "samples_on_lanes", "packed_products", 1)
"""


def _stderr(value: str) -> str:
    done = subprocess.run(  # noqa: S603 (our own script)
        [sys.executable, "-c", SCRIPT], check=True, timeout=120, capture_output=True, text=True,
        env={**os.environ, "LUCID_VERBOSE": value},
    )  # fmt: skip
    assert done.stdout == ""
    return done.stderr


def test_verbose_says_what_each_call_does() -> None:
    lines = _stderr("1").splitlines()
    sizes = "N 40, I 5, J 6, O 7"
    name = compiled.instruction_set()
    for line, start in zip(
        lines,
        (
            f"lucid: forward, {sizes}, float32, stream_weight, {name}, threads 1, ",
            f"lucid: inputs, {sizes}, float64, samples_on_lanes, {name}, threads 1, ",
            f"lucid: weight, {sizes}, float64, packed_products, {name}, threads 1, ",
        ),
        strict=True,
    ):
        assert line.startswith(start), line
        assert re.fullmatch(r"\d+\.\d us", line.removeprefix(start)), line


@pytest.mark.parametrize("value", ["", "0"])
def test_verbose_off_says_nothing(value: str) -> None:
    assert _stderr(value) == ""
