"""What the tests of the tape share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ref

import numpy as np

from lucid import Tensor


def leaf(*values: float) -> Tensor:
    return Tensor(np.array(values), requires_grad=True)


def gradient(tensor: Tensor) -> Tensor:
    assert tensor.grad is not None
    return tensor.grad


def note(seen: list[Any], what: Any, result: Any) -> Any:
    """A rule's result; beside that, remember something."""
    seen.append(what)
    return result


def watched(*values: float) -> tuple[np.ndarray[Any, Any], Callable[[], Any]]:
    """An array, and what tells whether it is still alive."""
    array = np.array(values)
    return array, ref(array)
