"""Reading triples of the user's own: a table with three columns, as text.

Columns are separated by tabs, by commas or semicolons (as spreadsheets write them, with names in
quotes where needed), or by white space. Empty lines, and lines that begin with #, are skipped; a
first row that looks like it is taken as the names of the columns.
"""

from __future__ import annotations

import csv
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from _example import ExampleError
from _kinship_words import is_heading

Triple: TypeAlias = tuple[str, str, str]
Row: TypeAlias = tuple[int, list[str]]  # the line's number, and the cells

FEWEST_PAIRS = 10  # so that each split has at least one

TEXT = "tabs or spaces"
DELIMITERS = {"commas": ",", "semicolons": ";"}


@dataclass(frozen=True)
class Table:
    """The triples of a file, the names of its columns, and how many lines were comments."""

    triples: list[Triple]
    header: Triple | None = None
    comments: int = 0


def read_table(path: Path) -> Table:
    """The table of a file; an ExampleError, with the line's number, for a line that is none."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ExampleError(f"{path}: this is not text in UTF-8") from None
    except OSError as error:
        raise ExampleError(f"{path}: {error.strerror}") from None
    lines = text.splitlines()
    comments = sum(line.lstrip().startswith("#") for line in lines)
    ways = [TEXT] if "\t" in text else [*DELIMITERS, TEXT]
    parsed = {way: list(_rows(lines, way)) for way in ways}
    best = max(ways, key=lambda way: sum(map(_is_triple, parsed[way])))
    rows = parsed[best]
    apart = best if any(map(_is_triple, rows)) else "tabs, commas, semicolons or spaces"
    for number, cells in rows:
        if not _is_triple((number, cells)):
            raise ExampleError(
                f"{path}, line {number}: expected 'head relation tail', separated by {apart}, "
                f"but got {lines[number - 1].strip()[:60]!r}"
            )
    if not rows:
        raise ExampleError(f"{path}: there are no triples in it")
    triples = [(cells[0], cells[1], cells[2]) for _, cells in rows]
    if _is_header(triples):
        return Table(triples[1:], triples[0], comments)
    return Table(triples, None, comments)


def normal(name: str) -> str:
    """A name in the one form that Unicode prescribes: é may also be written as e and an accent."""
    return unicodedata.normalize("NFC", " ".join(name.split()))


def _rows(lines: list[str], way: str) -> Iterator[Row]:
    """The cells of each line that is neither empty nor a comment."""
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        delimiter = DELIMITERS.get(way, "\t")
        if delimiter not in line:
            cells = line.split() if way == TEXT else [line]
        else:
            try:
                cells = next(csv.reader([line], delimiter=delimiter, skipinitialspace=way != TEXT))
            except csv.Error:  # such as a cell of more than 131072 characters
                cells = [line]
        yield number, [normal(cell) for cell in cells]


def _is_triple(row: Row) -> bool:
    return len(row[1]) == 3 and all(row[1])


def _is_header(triples: list[Triple]) -> bool:
    """Whether the first row is about nothing that another is, and its cells look like headings.

    From a triple of which nothing occurs again nothing would be learned either.
    """
    (head, relation, tail), rest = triples[0], triples[1:]
    things = {name for first, _, second in rest for name in (first, second)}
    counts = Counter(link for _, link, _ in rest)
    if len(rest) < FEWEST_PAIRS or {head, tail} & things or relation in counts:
        return False
    return is_heading(head, relation, tail) or min(counts.values()) > 1
