"""What every test has: the same random numbers, and no state left behind."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import lucid
from lucid import _anomaly, _random

settings.register_profile(
    "lucid",
    derandomize=True,
    deadline=None,
    max_examples=25,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("lucid")

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
