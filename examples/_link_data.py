"""The data of the link prediction example: facts `head relation tail`, numbered and split.

Kinships lie beside this file; UMLS is read from PyKEEN's package, which is a zip archive and is
not installed; WordNet is read by _link_wordnet.py.
"""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from _example import ExampleError

Numbers: TypeAlias = np.ndarray[Any, Any]

SPLITS = ("train", "valid", "test")
KINSHIPS = Path(__file__).parent / "data" / "kinships"
PYKEEN = "pykeen 1.11.1"
UMLS = "pykeen/datasets/umls"


@dataclass(frozen=True)
class Published:
    """What others report of the same test facts: method, MRR, hits@10, and where it is written."""

    method: str
    mrr: float
    hits: float
    source: str


ALI = "Ali and others 2022, arxiv.org/abs/2006.13365"
DETTMERS = "Dettmers and others 2018, github.com/TimDettmers/ConvE"
PUBLISHED = {
    "Kinships": [
        Published("RESCAL by PyKEEN", 0.687, 0.974, ALI),
        Published("ConvE", 0.83, 0.98, DETTMERS),
    ],
    "UMLS": [Published("ConvE", 0.94, 0.99, DETTMERS)],
}


@dataclass(frozen=True)
class Graph:
    """Entities, relations, and the facts of each split as rows (head, relation, tail) of numbers.

    `things` says what the entities are. A relation can be followed forwards, as number r, and
    backwards, as number r + len(relations): `links` names both, '' where one has no name. The
    relations `mutual` hold both ways; each fact of theirs is there once.
    """

    title: str
    things: str
    entities: list[str]
    links: list[str]
    splits: dict[str, Numbers]
    mutual: list[int] = field(default_factory=list)
    itself: bool = True  # whether an entity may be linked with itself
    heads_too: bool = True  # whether a test asks for the head of a fact too, not for its tail only
    note: str = ""  # to be read with the results
    meanings: list[str] = field(
        default_factory=list
    )  # where a name is several words, as of WordNet

    @property
    def relations(self) -> list[str]:
        """Their names."""
        return self.links[: len(self.links) // 2]

    def questions(self, split: str) -> Numbers:
        """Rows (entity, link, answer): what is at the other end?"""
        facts = self.splits[split]
        return np.concatenate([facts, self._backwards(facts)]) if self.heads_too else facts

    def training(self) -> Numbers:
        """The questions to learn from: of a mutual relation's facts both ends are its head."""
        facts = self.splits["train"]
        mutual = facts[np.isin(facts[:, 1], self.mutual)]
        facts = np.concatenate([facts, mutual[:, ::-1]])
        return np.concatenate([facts, self._backwards(facts)])

    @cached_property
    def known(self) -> Answers:
        """The answers that the data has for each question, in all splits."""
        facts = np.concatenate([self.splits[split] for split in SPLITS])
        mutual = facts[np.isin(facts[:, 1], self.mutual)]
        facts = np.concatenate([facts, mutual[:, ::-1]])
        return self.answers(np.concatenate([facts, self._backwards(facts)]))

    def answers(self, questions: Numbers) -> Answers:
        """The answers in rows (entity, link, answer), looked up by entity and link."""
        return Answers(questions, len(self.links), self.itself)

    def recorded(self, entity: int, link: int) -> dict[int, str]:
        """The answers that the data has for a question, each with the split that it is in."""
        relation = link % len(self.relations)
        ways = [(0, 2), (2, 0)] if relation in self.mutual else [(0, 2)]
        if link != relation:
            ways = [way[::-1] for way in ways]
        found = {}
        for split, facts in self.splits.items():
            for near, far in ways:
                rows = (facts[:, near] == entity) & (facts[:, 1] == relation)
                found |= dict.fromkeys(facts[rows, far].tolist(), split)
        return found

    def _backwards(self, facts: Numbers) -> Numbers:
        return facts[:, ::-1] + np.array([0, len(self.relations), 0])

    def entity(self, name: str) -> list[int]:
        """The numbers of the entities with a name; an ExampleError, with names like it, if none."""
        found = self._named.get(_plain(name))
        if found is None:
            raise ExampleError(
                f"there is no '{name}' in {self.title}{_hint(_plain(name), self._named)}"
            )
        return found

    def link(self, name: str) -> int:
        """The number of a relation, or of a relation backwards."""
        known = {_plain(each): number for number, each in enumerate(self.links) if each}
        if _plain(name) not in known:
            listed = "; ".join(each for each in self.links if each)
            hint = _hint(_plain(name), known) or f"; there are: {listed}"
            raise ExampleError(f"{self.title} has no relation '{name}'{hint}")
        return known[_plain(name)]

    @cached_property
    def _named(self) -> dict[str, list[int]]:
        """Each name, and each word of a name with several: the best linked entity first."""
        ends = np.concatenate([self.splits[split][:, [0, 2]].ravel() for split in SPLITS])
        degrees = np.bincount(ends, minlength=len(self.entities))
        named: dict[str, list[int]] = {}
        for number in np.argsort(-degrees, kind="stable").tolist():
            names = self.entities[number].split(", ") if self.meanings else [self.entities[number]]
            for name in names:
                named.setdefault(_plain(name), []).append(number)
        return named


class Answers:
    """All answers to each question, looked up for many questions at once.

    Unless an entity may be linked with `itself`, it is among the answers, to be left out with them.
    """

    def __init__(self, questions: Numbers, links: int, itself: bool) -> None:
        self._links, self._itself = links, itself
        unique = np.unique(questions, axis=0)
        self._keys = unique[:, 0] * links + unique[:, 1]
        self._answers = unique[:, 2]

    def __call__(self, entities: Numbers, links: Numbers) -> Numbers:
        """The answers (n, most) to n questions, filled up with -1."""
        keys = entities * self._links + links
        first = np.searchsorted(self._keys, keys, "left")
        counts = np.searchsorted(self._keys, keys, "right") - first
        places = np.arange(max(1, counts.max(initial=0)))
        there = places < counts[:, None]
        at = np.minimum(first[:, None] + places, len(self._answers) - 1)
        found = np.where(there, self._answers[at], -1)
        return found if self._itself else np.column_stack([entities, found])


def kinships() -> Graph:
    """Which term 104 Alyawarra people use of each other, in the splits it was published in."""
    texts = {}
    for split in SPLITS:
        path = KINSHIPS / f"{split}.tsv"
        try:
            texts[split] = path.read_text(encoding="utf-8")
        except OSError as error:
            raise ExampleError(f"{path}: {error.strerror}") from None
    return _numbered("Kinships", "people", texts, str(KINSHIPS))


def umls(archive: Path) -> Graph:
    """Which of 135 medical concepts affects, causes or contains another, from PyKEEN's package."""
    try:
        texts = {split: _member(archive, f"{UMLS}/{split}.txt") for split in SPLITS}
    except OSError as error:
        raise ExampleError(f"{archive}: {error.strerror or error}") from None
    except KeyError:
        raise ExampleError(f"{archive}: there is no {UMLS} in it; it is in {PYKEEN}") from None
    except (RuntimeError, NotImplementedError):  # what zipfile raises for a password
        raise ExampleError(f"{archive}: it is encrypted, or compressed in an unusual way") from None
    except (
        zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, struct.error
    ):  # fmt: skip
        raise ExampleError(f"{archive}: this is no wheel of {PYKEEN}, or it is damaged") from None
    return _numbered("UMLS", "concepts", texts, str(archive))


def _member(archive: Path, name: str) -> str:
    with zipfile.ZipFile(archive) as files:
        return files.read(name).decode("utf-8")


def _numbered(title: str, things: str, texts: dict[str, str], place: str) -> Graph:
    rows = {split: _rows(text, f"{place}, {split}") for split, text in texts.items()}
    facts = [row for split in SPLITS for row in rows[split]]
    entities = _in_order(name for head, _, tail in facts for name in (head, tail))
    relations = _in_order(relation for _, relation, _ in facts)
    entity = {name: k for k, name in enumerate(entities)}
    link = {name: k for k, name in enumerate(relations)}
    splits = {
        split: np.array([(entity[h], link[r], entity[t]) for h, r, t in rows[split]])
        for split in SPLITS
    }
    return Graph(title, things, entities, [*relations, *[""] * len(relations)], splits)


def _rows(text: str, place: str) -> list[list[str]]:
    rows = [line.split("\t") for line in text.splitlines()]
    for number, row in enumerate(rows, 1):
        if len(row) != 3:
            raise ExampleError(f"{place}, line {number}: expected 'head relation tail' and tabs")
    if not rows:
        raise ExampleError(f"{place}: there are no facts in it")
    return rows


def _in_order(names: Iterable[str]) -> list[str]:
    """Without repetition, person2 before person10."""
    return sorted(set(names), key=lambda name: (len(name), name))


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").split())


def _hint(name: str, names: Iterable[str]) -> str:
    near = get_close_matches(name, list(names), n=3)
    return f"; did you mean {' or '.join(near)}?" if near else ""
