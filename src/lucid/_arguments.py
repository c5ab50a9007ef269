"""What numbers a function accepts: each range in words, and the error that says them."""

from __future__ import annotations

from cmath import isfinite as cisfinite
from collections.abc import Callable
from math import inf, isfinite
from numbers import Integral, Real
from typing import Any, NamedTuple

from ._errors import ArgumentError


class Expected(NamedTuple):
    """Which values an argument may have."""

    words: str
    holds: Callable[[Any], bool]


def _real(value: Any) -> bool:
    kind = type(value)
    return kind is float or kind is int or (isinstance(value, Real) and kind is not bool)


def _whole(value: Any) -> bool:
    kind = type(value)
    return kind is int or (isinstance(value, Integral) and kind is not bool)


ANY = Expected("a number", _real)
NUMBER = Expected("a finite number", lambda value: _real(value) and isfinite(value))
COMPLEX = Expected(
    "a finite number",
    lambda value: cisfinite(value) if type(value) is complex else NUMBER.holds(value),
)
NOT_NEGATIVE = Expected(
    "a finite number, 0 or more", lambda value: _real(value) and 0 <= value < inf
)
POSITIVE = Expected("a finite number above 0", lambda value: _real(value) and 0 < value < inf)
LIMIT = Expected("a number, 0 or more", lambda value: _real(value) and value >= 0)
ORDER = Expected("a number above 0", lambda value: _real(value) and value > 0)
SHARE = Expected("a number from 0 to 1", lambda value: _real(value) and 0 <= value <= 1)
WHOLE = Expected("a whole number", _whole)
COUNT = Expected("a whole number, 0 or more", lambda value: _whole(value) and value >= 0)
COUNTED = Expected("a whole number, 1 or more", lambda value: _whole(value) and value >= 1)
TRUTH = Expected(
    "True or False", lambda value: type(value) is bool or type(value).__name__ == "bool"
)
FUNCTION = Expected("a function", callable)


def check(function: str, expected: Expected, /, **values: Any) -> None:
    """Raise ArgumentError unless each value is what is expected; the names are in the message."""
    for name, value in values.items():
        if not expected.holds(value):
            raise ArgumentError(f"{function}: {name} is {told(value)}, expected {expected.words}")


def told(value: Any) -> str:
    """A value in a message: in short, or its kind."""
    if isinstance(value, Real):
        return f"{value!s:.60}"
    if isinstance(value, (str, type(None), list, tuple, dict)):
        return f"{value!r:.60}"
    return f"a {type(value).__name__}"
