"""Arithmetic on raw arrays into given memory, where the library can write there.

Memory is what an optimiser's step costs most: fresh temporaries of some hundred kilobytes go back
to the system at every free. So the formulas say `out=`, which NumPy follows and the others, whose
arrays may be immutable, leave aside; a formula uses what a function returns.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from .._arrays import Array, Namespace, namespace


def arithmetic(array: Array) -> Any:
    """The module whose functions take these arrays and `out`."""
    xp = namespace(array)
    return np if xp is np else _without_out(xp)


@cache
def _without_out(xp: Namespace) -> _WithoutOut:
    return _WithoutOut(xp)


class _WithoutOut:
    def __init__(self, xp: Namespace) -> None:
        self._xp = xp

    def __getattr__(self, name: str) -> Callable[..., Array]:
        function = getattr(self._xp, name)

        def into_new(*arrays: Any, out: Array | None = None) -> Array:  # noqa: ARG001 (see above)
            return function(*arrays)

        setattr(self, name, into_new)
        return into_new
