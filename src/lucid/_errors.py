"""What can go wrong, by name.

Every error of the library is a `LucidError` and, beside that, the built-in error that people
expect of the situation, so that `except ValueError` goes on working.
"""


class LucidError(Exception):
    """Any error that this library raises on purpose."""


class ShapeError(LucidError, ValueError):
    """Shapes that do not fit together."""


class ArgumentError(LucidError, ValueError):
    """An argument outside the values that its function accepts."""


class DTypeError(LucidError, TypeError):
    """A data type that the operation does not have, such as the gradient of an integer."""


class LibraryError(LucidError, TypeError):
    """Arrays of two array libraries in one operation, or an object of no known library."""


class GraphError(LucidError, RuntimeError):
    """A gradient that the recorded graph cannot give: nothing recorded, freed, or no rule."""


class AnomalyError(LucidError, RuntimeError):
    """Under `detect_anomaly`: the operation that first made a NaN, or whose gradient failed."""


class OutOfRangeError(LucidError, IndexError):
    """An index outside the axis that it points into."""


for _error in [value for value in vars().values() if isinstance(value, type)]:
    _error.__module__ = "lucid"  # where users find them, and what tracebacks show
