"""What the kinship example calls the things that its triples link, and the links."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

PLURALS = {"person": "people", "child": "children", "woman": "women", "man": "men"}

# Column names that say which side is meant, and not what stands there
SIDES = {
    "head", "tail", "subject", "object", "source", "target", "from", "to", "left", "right", "h",
    "t", "s", "o", "a", "b", "entity", "first", "second", "start", "end",
}  # fmt: skip
LINKS = {"relation", "relationship", "predicate", "rel", "r", "p", "link", "type", "label", "edge"}


@dataclass(frozen=True)
class Words:
    """One and several things, one and several links; `calls` if one thing calls another so."""

    entity: str = "entity"
    entities: str = "entities"
    relation: str = "relation"
    relations: str = "relations"
    calls: bool = False

    def pair(self, head: str, tail: str) -> str:
        """Two things, in the direction of the link."""
        return f"{head} {'calls' if self.calls else '→'} {tail}"

    @property
    def sides(self) -> tuple[str, str]:
        """What the rows and the columns of a table of all pairs are."""
        return ("who calls", "who is called") if self.calls else ("from", "to")

    def saved(self) -> dict[str, str | bool]:
        """The words by name."""
        return asdict(self)


KIN = Words("person", "people", "term", "terms", calls=True)


def words_for(header: Sequence[str] | None, entity: str | None, relation: str | None) -> Words:
    """The words that options give, or else those that the names of the columns suggest."""
    head, link, tail = header or ("head", "relation", "tail")
    entity = entity or _thing(head, tail)
    relation = relation or (link.lower() if link.lower() not in LINKS else "relation")
    return Words(entity, plural(entity), relation, plural(relation))


def is_heading(head: str, relation: str, tail: str) -> bool:
    """Whether these are names of columns: usual ones, or one with two endings (seat_a, seat_b)."""
    usual = head.lower() in SIDES or tail.lower() in SIDES or relation.lower() in LINKS
    return usual or _thing(head, tail) != "entity"


def words_of(saved: Any) -> Words:
    """What `Words.saved` gave; ValueError for anything else."""
    kinds = {"calls": bool}
    if not isinstance(saved, dict) or not all(
        isinstance(word, kinds.get(name, str)) for name, word in saved.items()
    ):
        raise ValueError("no words")
    return Words(**saved)


def plural(word: str) -> str:
    """Several of what a word names, as English mostly has it."""
    if word in PLURALS:
        return PLURALS[word]
    if re.search("[^aeiou]y$", word):
        return f"{word[:-1]}ies"
    return f"{word}es" if re.search("(s|x|z|ch|sh)$", word) else f"{word}s"


def _thing(head: str, tail: str) -> str:
    """What both columns hold: 'country' for 'Country A' and 'country_b', or 'entity'."""
    stems = {re.sub(r"[\s_-]*([0-9]+|[ab])$", "", name.lower()).strip() for name in (head, tail)}
    only = stems.pop()
    return only if not stems and only and only not in SIDES else "entity"
