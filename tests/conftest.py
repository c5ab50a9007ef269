"""What every test has: the same random numbers, and no state left behind."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import _anomaly, _random

compiled: Any = None
with contextlib.suppress(ImportError):
    compiled = importlib.import_module("lucid.kernels._compiled")

# Triton's programs run on the CPU, where it is installed; it reads this when it is imported.
os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.fixture(autouse=True)
def _no_state_is_left() -> Iterator[None]:
    """Seed the default generator; fail a test that changes the state of lucid or NumPy."""
    errors = np.geterr()
    lucid.manual_seed(0)
    yield
    left = []
    if not lucid.is_grad_enabled():
        left.append("recording is off")
    if _anomaly.watching:
        left.append("detect_anomaly is open")
    if np.geterr() != errors:
        left.append(f"np.seterr({np.geterr()})")
    if _random.numbers(None) is not _random.default_generator.numpy:
        left.append("the default generator was replaced")
    assert not left, f"the test left behind: {', '.join(left)}"


@pytest.fixture(params=compiled.instruction_sets() if compiled else ())
def instruction_set(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each instruction set of the compiled kernel that this machine has."""
    before = compiled.instruction_set()
    compiled.use_instruction_set(request.param)
    yield request.param
    compiled.use_instruction_set(before)


@pytest.fixture
def no_large_blocks() -> Iterator[None]:
    """The compiled kernel gets no memory of 4 KiB or more."""
    compiled.fail_scratch_from(1 << 12)
    yield
    compiled.fail_scratch_from(0)


@pytest.fixture
def random() -> np.random.Generator:
    """NumPy's generator, the same in every run."""
    return np.random.default_rng(0)


@pytest.fixture
def no_gc() -> Iterator[None]:
    """Without the garbage collector only reference counts free anything."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
