"""The data of the kinship example: triples `head relation tail`, read, numbered and split.

A line says that `head` and `tail`, two people, are linked by the term `relation`; its parts are
separated by tabs (names may then contain spaces) or by any white space. Empty lines are skipped.
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

Numbers: TypeAlias = np.ndarray[Any, Any]
Triple: TypeAlias = tuple[str, str, str]

KINSHIPS = Path(__file__).parent / "data" / "kinships"
SPLITS = ("train", "valid", "test")
FEWEST_PAIRS = 10  # so that each split has at least one


@dataclass(frozen=True)
class Data:
    """The names of people and terms, and the triples of each split as rows of their numbers.

    A row of `splits["train"]` is (head, term, tail): positions in `people`, `terms`, `people`.
    """

    people: list[str]
    terms: list[str]
    splits: dict[str, Numbers]
    noticed: str = ""  # what a reader of the triples should know, after a semicolon

    def number(self, person: str) -> int:
        """The number of a person; an ExampleError, with names like it, if nobody is called so."""
        if person not in self.people:
            near = get_close_matches(person, self.people, n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise ExampleError(f"nobody in the data is called '{person}'{hint}")
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
    return _numbered({split: read_triples(KINSHIPS / f"{split}.tsv") for split in SPLITS})


def own_data(path: Path, seed: int) -> Data:
    """A file of the user's own, split 80/10/10 by `seed`.

    A line that repeats another is dropped. Where several terms link the same pair, each counts as a
    triple; all of them go to one split, so that no pair that is tested was seen in training.
    """
    triples = read_triples(path)
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
    noticed = f"; repeated lines dropped: {repeated}" if repeated else ""
    noticed += f"; pairs with several terms: {several}" if several else ""
    return _numbered(split, noticed)


def read_triples(path: Path) -> list[Triple]:
    """The triples of a file; an ExampleError, with the line's number, for one that is none."""
    triples = []
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                text = line.strip()
                parts = [part.strip() for part in text.split("\t" if "\t" in text else None)]
                if len(parts) == 3 and all(parts):
                    triples.append((parts[0], parts[1], parts[2]))
                elif text:
                    raise ExampleError(
                        f"{path}, line {number}: expected 'head relation tail', "
                        f"separated by tabs or spaces, but got {text[:60]!r}"
                    )
    except UnicodeDecodeError:
        raise ExampleError(f"{path}: this is not text in UTF-8") from None
    except OSError as error:
        raise ExampleError(f"{path}: {error.strerror}") from None
    if not triples:
        raise ExampleError(f"{path}: there are no triples in it")
    return triples


def _numbered(splits: dict[str, list[Triple]], noticed: str = "") -> Data:
    triples = [triple for split in SPLITS for triple in splits[split]]
    people = _in_order(name for head, _, tail in triples for name in (head, tail))
    terms = _in_order(term for _, term, _ in triples)
    person = {name: k for k, name in enumerate(people)}
    term = {name: k for k, name in enumerate(terms)}
    rows = {
        split: np.array([(person[h], term[r], person[t]) for h, r, t in splits[split]])
        for split in SPLITS
    }
    return Data(people, terms, rows, noticed)


def _in_order(names: Iterable[str]) -> list[str]:
    """Without repetition, person2 before person10."""
    return sorted(set(names), key=lambda name: (len(name), name))
