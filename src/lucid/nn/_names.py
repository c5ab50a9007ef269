"""The name that somebody probably meant."""

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like this one, or None where none is like it."""
    from difflib import get_close_matches  # here: it is needed for errors only, and takes long

    near = get_close_matches(name, list(known), n=1)
    return near[0] if near else None
