"""The data of the kinship example: triples `head relation tail`, numbered and split.

A triple says that `head` and `tail`, two people, are linked by the term `relation`; with data of
the user's own, people and terms are whatever that is about.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from _example import ExampleError
from _kinship_read import FEWEST_PAIRS, Triple, normal, read_table
from _kinship_words import KIN, Words, words_for

Numbers: TypeAlias = np.ndarray[Any, Any]

KINSHIPS = Path(__file__).parent / "data" / "kinships"
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Data:
    """The names of people and terms, and the triples of each split as rows of their numbers.

    A row of `splits["train"]` is (head, term, tail): positions in `people`, `terms`, `people`.
    """

    people: list[str]
    terms: list[str]
    splits: dict[str, Numbers]
    words: Words = KIN
    noticed: str = ""  # what a reader of the triples should know, after a semicolon

    def number(self, person: str) -> int:
        """The number of a person; an ExampleError, with names like it, if nobody is called so."""
        person = normal(person)
        if person not in self.people:
            near = get_close_matches(person, self.people, n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise ExampleError(f"no {self.words.entity} in the data is called '{person}'{hint}")
        return self.people.index(person)

    def recorded(self, head: int, tail: int) -> dict[int, str]:
        """The terms that the data has for a pair, each with the split that it is in."""
        return {
            int(term): split
            for split in SPLITS
            for _, term, _ in self.splits[split][
                (self.splits[split][:, 0] == head) & (self.splits[split][:, 2] == tail)
            ]
        }

    def majority_accuracy(self, split: str) -> float:
        """How often the most frequent term of the training triples is right."""
        most_frequent = np.bincount(self.splits["train"][:, 1]).argmax()
        return float((self.splits[split][:, 1] == most_frequent).mean())


def kinships() -> Data:
    """The Alyawarra kinship data beside this file, in the splits it was published in."""
    return _numbered({split: read_table(KINSHIPS / f"{split}.tsv").triples for split in SPLITS})


def own_data(path: Path, seed: int, entity: str | None = None, relation: str | None = None) -> Data:
    """A file of the user's own, split 80/10/10 by `seed`; `entity` and `relation` are its words.

    A line that repeats another is dropped. Where several terms link the same pair, each counts as a
    triple; all of them go to one split, so that no pair that is tested was seen in training.
    """
    table = read_table(path)
    triples, words = table.triples, words_for(table.header, entity, relation)
    unique = list(dict.fromkeys(triples))
    terms_of_pair = Counter((head, tail) for head, _, tail in unique)
    pairs = list(terms_of_pair)
    if len(pairs) < FEWEST_PAIRS:
        raise ExampleError(
            f"{path}: {len(pairs)} different pairs; at least {FEWEST_PAIRS} are needed"
        )
    order = np.random.default_rng(seed).permutation(len(pairs))
    held_out = max(1, len(pairs) // 10)
    place = dict.fromkeys(pairs, "train")
    place |= {pairs[k]: "valid" for k in order[:held_out]}
    place |= {pairs[k]: "test" for k in order[held_out : 2 * held_out]}
    split: dict[str, list[Triple]] = {name: [] for name in SPLITS}
    for head, term, tail in unique:
        split[place[head, tail]].append((head, term, tail))
    repeated = len(triples) - len(unique)
    several = sum(count > 1 for count in terms_of_pair.values())
    names = ", ".join(table.header or ())
    only = len({term for _, term, _ in unique}) == 1
    noticed = [
        f"; first row taken as the names of the columns: {names}" if names else "",
        f"; comment lines skipped: {table.comments}" if table.comments else "",
        f"; repeated lines dropped: {repeated}" if repeated else "",
        f"; pairs with several {words.relations}: {several}" if several else "",
        f"; there is only one {words.relation}, so nothing to tell apart" if only else "",
    ]
    return _numbered(split, words, "".join(noticed))


def _numbered(splits: dict[str, list[Triple]], words: Words = KIN, noticed: str = "") -> Data:
    triples = [triple for split in SPLITS for triple in splits[split]]
    people = _in_order(name for head, _, tail in triples for name in (head, tail))
    terms = _in_order(term for _, term, _ in triples)
    person = {name: k for k, name in enumerate(people)}
    term = {name: k for k, name in enumerate(terms)}
    rows = {
        split: np.array([(person[h], term[r], person[t]) for h, r, t in splits[split]])
        for split in SPLITS
    }
    return Data(people, terms, rows, words, noticed)


def _in_order(names: Iterable[str]) -> list[str]:
    """Without repetition, person2 before person10."""
    return sorted(set(names), key=lambda name: (len(name), name))
