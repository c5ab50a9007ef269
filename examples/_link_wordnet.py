"""WordNet as facts: its synsets, words of one meaning, and the pointers between them.

The files data.noun, data.verb, data.adj and data.adv hold one synset a line (the format is that of
the manual page wndb(5WN)):

    offset  file  type  words (hex)  {word  id}  pointers  {symbol  offset  type  words}  …  | gloss

A pointer from one word to another counts as one between their synsets. Most pointers are there
twice, once each way: `dog` has the hypernym `canine`, and `canine` the hyponym `dog`. That is one
fact here. Otherwise a fact that is held out could be read off its other half.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _example import ExampleError
from _link_data import Graph, Numbers

PARTS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
HELD_OUT = 5000  # facts for valid, and for test
FEWEST_LINKS = 3  # that both ends of a fact that is held out keep

# The symbol of a pointer, its name, and its name backwards (none: it holds both ways)
RELATIONS = {
    "@": ("kind of", "kinds"),
    "@i": ("instance of", "instances"),
    "#p": ("part of", "parts"),
    "#m": ("member of", "members"),
    "#s": ("substance of", "substances"),
    ";c": ("topic", "words of the topic"),
    ";r": ("region", "words of the region"),
    ";u": ("usage", "words of the usage"),
    "*": ("entails", "entailed by"),
    ">": ("causes", "caused by"),
    "<": ("participle of", "participles"),
    "\\": ("pertains to", "pertaining words"),
    "!": ("opposite of", ""),
    "&": ("similar to", ""),
    "+": ("related form", ""),
    "=": ("attribute", ""),
    "$": ("same group", ""),
    "^": ("see also", ""),
}
NOTE = (
    "These numbers do not compare with those of WN18 and WN18RR: the split is another one, and no "
    "fact that is held out can be read off backwards."
)
# The other halves of some of these, which say nothing new
MIRRORS = {"~", "~i", "%p", "%m", "%s", "-c", "-r", "-u"}


@dataclass(frozen=True)
class Synset:
    """Words of one meaning, the meaning, and pointers: symbols with the keys of other synsets."""

    key: str
    words: str
    gloss: str
    pointers: list[tuple[str, str]]


def wordnet(folder: Path, seed: int) -> Graph:
    """The graph of the files in a folder, split by `seed`."""
    synsets = [synset for part in PARTS for synset in _read(folder / f"data.{part}")]
    number = {synset.key: k for k, synset in enumerate(synsets)}
    symbols = {symbol: k for k, symbol in enumerate(RELATIONS)}
    mutual = [k for k, (_, backwards) in enumerate(RELATIONS.values()) if not backwards]
    facts = set()
    for head, synset in enumerate(synsets):
        for symbol, key in synset.pointers:
            if symbol in MIRRORS:
                continue
            if key not in number:
                raise ExampleError(
                    f"{folder}: '{synset.words}' points to {key}, which is not there; the files "
                    "are of different versions"
                )
            relation, tail = symbols[symbol], number[key]
            if relation in mutual and tail < head:
                facts.add((tail, relation, head))
            elif tail != head:
                facts.add((head, relation, tail))
    return Graph(
        title="WordNet",
        things="meanings",
        entities=[synset.words for synset in synsets],
        links=[names[way] for way in (0, 1) for names in RELATIONS.values()],
        splits=_split(np.array(sorted(facts)), len(synsets), seed),
        mutual=mutual,
        itself=False,
        heads_too=False,  # of a head there are often hundreds: all kinds of plant
        note=NOTE,
        meanings=[synset.gloss for synset in synsets],
    )


def _read(path: Path) -> Iterator[Synset]:
    try:
        with path.open(encoding="utf-8", newline="\n") as lines:
            for number, line in enumerate(lines, 1):
                if line.startswith("  "):  # the licence
                    continue
                try:
                    yield _synset(line)
                except (ValueError, IndexError, KeyError):
                    raise ExampleError(
                        f"{path}, line {number}: this is no line of WordNet's data: "
                        f"{line.strip()[:40]!r}"
                    ) from None
    except UnicodeDecodeError:
        raise ExampleError(f"{path}: this is not text in UTF-8") from None
    except OSError as error:
        raise ExampleError(f"{path}: {error.strerror}") from None


def _synset(line: str) -> Synset:
    front, _, gloss = line.partition(" | ")
    fields = front.split()
    offset, kind = fields[0], fields[2]
    after = 4 + 2 * int(fields[3], 16)
    words = [_word(each) for each in fields[4:after:2]]
    count = int(fields[after])
    pointers = [
        (fields[at], fields[at + 2] + fields[at + 1])
        for at in range(after + 1, after + 1 + 4 * count, 4)
    ]
    if not (offset.isdecimal() and words) or any(
        symbol not in RELATIONS and symbol not in MIRRORS for symbol, _ in pointers
    ):
        raise ValueError(line)
    # a satellite, s, is an adjective like others; pointers say a
    return Synset(kind.replace("s", "a") + offset, ", ".join(words), gloss.strip(), pointers)


def _word(written: str) -> str:
    """`ice_cream` as ice cream; an adjective may end in where it stands, such as (p)."""
    return re.sub(r"\((a|p|ip)\)$", "", written).replace("_", " ")


def _split(facts: Numbers, entities: int, seed: int) -> dict[str, Numbers]:
    """Hold out random facts, of which both ends keep some others to be known by."""
    order = np.random.default_rng(seed).permutation(len(facts))
    ends = facts[:, [0, 2]]
    left = np.bincount(ends.ravel(), minlength=entities)
    wanted = min(2 * HELD_OUT, len(facts) // 5)
    held: list[int] = []
    for k in order.tolist():
        if len(held) < wanted and (left[ends[k]] > FEWEST_LINKS).all():
            left[ends[k]] -= 1
            held.append(k)
    if len(held) < 2:
        raise ExampleError("there are too few pointers between the synsets to hold any out")
    half = len(held) // 2
    kept = np.setdiff1d(order, held)
    return {"train": facts[kept], "valid": facts[held[:half]], "test": facts[held[half:]]}
