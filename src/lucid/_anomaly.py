"""Finding the operation that first made a NaN, or whose gradient failed."""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Iterable
from contextlib import ContextDecorator
from types import TracebackType
from typing import Any, Protocol

from ._arrays import Array, is_array, namespace
from ._errors import AnomalyError, LucidError


class Node(Protocol):
    """What is asked of a node of the tape: its operation, and where it was recorded."""

    saving: Any
    where: str


_HERE = os.path.dirname(__file__)

watching = 0  # how many detect_anomaly are open in all threads: the operations' cheap first look


class _Depth(threading.local):
    depth = 0


_mine = _Depth()
_counting = threading.Lock()


class detect_anomaly(ContextDecorator):  # noqa: N801 (a context manager, named as a function is)
    """Raise as soon as an operation makes a NaN, naming it and the line that called it.

    Watches the forward pass (a NaN in a result where no input had one) and the backward pass
    (a NaN in a gradient, or a rule that raises: the error says on which line the operation was
    recorded). Everything in it runs slower; it is for debugging.

    >>> import lucid
    >>> import numpy as np
    >>> x = lucid.Tensor([-1.0])
    >>> quiet = np.errstate(invalid="ignore")  # NumPy would only warn
    >>> with quiet, lucid.detect_anomaly():  # doctest: +IGNORE_EXCEPTION_DETAIL
    ...     lucid.log(x)
    Traceback (most recent call last):
    ...
    lucid.AnomalyError: log made a NaN where its arguments have none.
    """

    def __enter__(self) -> None:
        _add(1)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _add(-1)


def _add(step: int) -> None:
    global watching
    _mine.depth += step
    with _counting:
        watching += step


def check_result(name: str, arguments: Iterable[Any], result: Any) -> None:
    """Raise if this thread watches, and the result has a NaN that the arguments have not."""
    if _mine.depth and _has_nan(result) and not any(map(_has_nan, arguments)):
        raise AnomalyError(f"{name} made a NaN where its arguments have none.\n{_user_line()}")


def mark(node: Node) -> None:
    """Remember the user's line that records this node."""
    if _mine.depth:
        node.where = _user_line()


def check_gradient(node: Node, gradient: Any) -> None:
    if _mine.depth and _has_nan(getattr(gradient, "_array", gradient)):
        raise AnomalyError(
            f"the gradient of {node.saving.operation} is NaN.\n{getattr(node, 'where', _UNMARKED)}"
        )


def explain(error: Exception, node: Node) -> None:
    """Add to an error in a gradient rule which operation it was, and where it was recorded."""
    if not isinstance(error, AnomalyError):
        where = getattr(node, "where", _UNMARKED)
        name = (
            "" if isinstance(error, LucidError) else f"in the gradient of {node.saving.operation}. "
        )
        error.add_note(f"{name}{where}")


_UNMARKED = "Run the forward pass under lucid.detect_anomaly() to see the line that recorded it."


def _user_line() -> str:
    frames = traceback.extract_stack()
    for frame in reversed(frames):
        if not frame.filename.startswith((_HERE, "<lucid")):
            return f'Recorded at File "{frame.filename}", line {frame.lineno}: {frame.line}'
    return "Recorded at an unknown line."


def _has_nan(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return any(map(_has_nan, value))
    return is_array(value) and _array_has_nan(value)


def _array_has_nan(array: Array) -> bool:
    xp = namespace(array)
    if not xp.isdtype(array.dtype, ("real floating", "complex floating")):
        return False
    return bool(xp.any(xp.isnan(array)))
