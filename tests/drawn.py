"""hypothesis; where it is not installed, the tests that it would draw for are skipped."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING
from unittest.mock import MagicMock

import pytest

if TYPE_CHECKING or importlib.util.find_spec("hypothesis"):
    from hypothesis import HealthCheck, given, settings, strategies as st
    from hypothesis.extra import numpy as hnp

    settings.register_profile(
        "lucid",
        derandomize=True,
        deadline=None,
        max_examples=25,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    settings.load_profile("lucid")
else:
    st = hnp = MagicMock()
    settings = given = lambda *_, **__: pytest.mark.skip(reason="hypothesis is not installed")

__all__ = ["given", "hnp", "settings", "st"]
