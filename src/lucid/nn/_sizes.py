"""The check of the sizes that a layer is made with."""

from .._errors import ArgumentError


def check_sizes(layer: str, **sizes: int) -> None:
    """Raise ArgumentError unless every size is a whole number that is not negative."""
    for name, size in sizes.items():
        if not isinstance(size, int) or size < 0:
            raise ArgumentError(f"{layer}: {name} is {size!r}, expected a whole number, 0 or more")
