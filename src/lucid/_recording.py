"""Whether operations are recorded: on or off, in each thread for itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ContextDecorator
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, overload

from ._errors import ArgumentError

P = ParamSpec("P")
R = TypeVar("R")


class _Mode(threading.local):
    recording = True


mode = _Mode()


class _Recording(ContextDecorator):
    """A context manager and decorator that sets whether this thread records; re-entrant."""

    def __init__(self, recording: bool) -> None:
        self._recording = recording
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(mode.recording)
        mode.recording = self._recording

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        mode.recording = self._before.pop()

    def _recreate_cm(self) -> _Recording:  # a decorated function may run in several threads
        return type(self)(self._recording)


@overload
def no_grad() -> _Recording: ...
@overload
def no_grad(function: Callable[P, R], /) -> Callable[P, R]: ...
def no_grad(function: Callable[..., Any] | None = None, /) -> Any:
    """Record nothing in this thread: results need no gradient. Also a decorator.

    >>> import lucid
    >>> x = lucid.Tensor([1.0, 2.0], requires_grad=True)
    >>> with lucid.no_grad():
    ...     (x * 2).requires_grad
    False
    >>> @lucid.no_grad
    ... def doubled(x):
    ...     return x * 2
    >>> doubled(x).requires_grad
    False
    """
    return _recording("no_grad", False, function)


@overload
def enable_grad() -> _Recording: ...
@overload
def enable_grad(function: Callable[P, R], /) -> Callable[P, R]: ...
def enable_grad(function: Callable[..., Any] | None = None, /) -> Any:
    """Record again, inside a `no_grad`. Also a decorator.

    >>> import lucid
    >>> x = lucid.Tensor([1.0, 2.0], requires_grad=True)
    >>> with lucid.no_grad(), lucid.enable_grad():
    ...     (x * 2).requires_grad
    True
    """
    return _recording("enable_grad", True, function)


def _recording(name: str, recording: bool, function: Any) -> Any:
    if function is None:
        return _Recording(recording)
    if not callable(function):
        raise ArgumentError(
            f"{name}: decorates a function, got {type(function).__name__}; as a context manager "
            f"it takes no argument, with lucid.{name}():"
        )
    return _Recording(recording)(function)


def is_grad_enabled() -> bool:
    """Whether operations are recorded in this thread.

    >>> import lucid
    >>> lucid.is_grad_enabled()
    True
    """
    return mode.recording
