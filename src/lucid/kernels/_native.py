"""The compiled kernel, where there is one, by its two questions.

It takes exact NumPy arrays of float32 or float64 and DLPack capsules of such tensors, whose leading
axes broadcast. It checks every size, and declines whatever it does not take by returning None.
"""

from __future__ import annotations

import os
from typing import Any

compiled: Any
try:
    from . import _compiled as compiled  # type: ignore[attr-defined, no-redef, unused-ignore]
except ImportError:
    if os.environ.get("LUCID_REQUIRE_NATIVE") == "1":
        raise
    compiled = None


def _declined(*_: Any) -> None:
    return None


bilinear: Any = compiled.bilinear if compiled else _declined
"""bilinear(x1, x2, weight, bias[, most threads]): the result, or None."""

gradients: Any = compiled.gradients if compiled else _declined
"""gradients(g, x1, x2, weight, needed[, most threads]): three gradients, or None."""

plan: Any = compiled.plan if compiled else _declined
"""plan(shape_1, shape_2, weight_shape, needed or None, itemsize): its words, or None."""
