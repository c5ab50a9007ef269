"""Which kin term links two people? A bilinear form can learn it, a linear layer cannot.

    python examples/kinship.py
    python examples/kinship.py --save model.safetensors
    python examples/kinship.py --load model.safetensors --ask person4 person12

The data: 104 Alyawarra people, and for nearly every ordered pair of them the one of 25 kin terms
that links them (data/kinships/README.md). Each person gets 32 numbers, learned, and each term a
32 × 32 matrix, learned, that weighs every product of a number of one person with a number of the
other. A linear layer on the same numbers, which can only add up what it knows of each person alone,
is trained beside it. The run takes some seconds, prints how often each is right about pairs that it
has not seen, and draws what the bilinear form found out about the people: kinship.png.

With --data FILE it learns from triples of your own, a row each: `head, relation, tail`, as CSV, TSV
or text. What it calls them comes from the names of the columns, or from --entity and --relation.
"""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
import time
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from _example import INSTALL, check_writable, drawing, exit_code, printable, whole
from _kinship_options import parsed

# Small matrices gain little from a second thread, and waiting for it on a busy machine costs a lot
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
try:
    import numpy as np
    from _kinship_data import Data, Numbers, kinships, own_data
    from _kinship_files import damaged, read_model, write_model
    from tqdm import tqdm

    import lucid
    import lucid.nn.functional as F  # noqa: N812 (as everybody calls it)
    from lucid import nn, optim
except ModuleNotFoundError as missing:
    print(f"kinship: {missing.name} is not installed; {INSTALL}", file=sys.stderr)
    raise SystemExit(2) from None

tqdm.get_lock()  # which imports more: from the first line on nothing is, for imports lose a Ctrl-C

BATCH, LEARNING_RATE, WEIGHT_DECAY, DROPOUT = 256, 1e-2, 1e-4, 0.2


class BilinearKinship(nn.Module):
    """Scores each term for pairs of people; x is what is known of a person.

    score[term] = x_head · W[term] · x_tail + b[term]
    """

    def __init__(self, people: int, terms: int, dimension: int) -> None:
        super().__init__()
        self.person = nn.Embedding(people, dimension)
        self.dropout = nn.Dropout(DROPOUT)
        self.term = nn.Bilinear(dimension, dimension, terms)

    def forward(self, heads: Numbers, tails: Numbers) -> Any:
        """The scores (n, terms) of n pairs."""
        return self.term(self.dropout(self.person(heads)), self.dropout(self.person(tails)))


class LinearKinship(nn.Module):
    """The same without products: score[term] = u[term] · x_head + v[term] · x_tail + b[term]."""

    def __init__(self, people: int, terms: int, dimension: int) -> None:
        super().__init__()
        self.person = nn.Embedding(people, dimension)
        self.dropout = nn.Dropout(DROPOUT)
        self.term = nn.Linear(2 * dimension, terms)

    def forward(self, heads: Numbers, tails: Numbers) -> Any:
        """The scores (n, terms) of n pairs."""
        pairs = lucid.concat([self.person(heads), self.person(tails)], axis=-1)
        return self.term(self.dropout(pairs))


@dataclass
class Training:
    """How a training went: after each epoch its mean loss and the accuracy on `valid`."""

    losses: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    seconds: float = 0.0


def train(name: str, model: nn.Module, data: Data, epochs: int) -> Training:
    """Minimise the cross-entropy of the terms with Adam."""
    triples, training, start = data.splits["train"], Training(), time.perf_counter()
    optimiser = optim.Adam(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    # on standard output, and only if that is a terminal
    with tqdm(range(epochs), name, file=sys.stdout, disable=None, unit="epoch") as progress:
        for _ in progress:
            model.train()
            total = 0.0
            for batch in np.split(shuffled(triples), range(BATCH, len(triples), BATCH)):
                heads, terms, tails = batch.T
                loss = F.cross_entropy(model(heads, tails), terms)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                total += loss.item() * len(batch)
            training.losses.append(total / len(triples))
            training.accuracies.append(accuracy(model, data.splits["valid"]))
            state = f"loss {training.losses[-1]:.3f}, valid {training.accuracies[-1]:.1%}"
            progress.set_postfix_str(state, refresh=False)
    training.seconds = time.perf_counter() - start
    return training


def shuffled(triples: Numbers) -> Numbers:
    """The rows in a new random order."""
    order: Numbers = lucid.randperm(len(triples)).numpy()
    return np.take(triples, order, axis=0)


def probabilities(model: nn.Module, heads: Numbers, tails: Numbers) -> Numbers:
    """What the model believes: (n, terms), each row adds up to 1."""
    model.eval()
    with lucid.no_grad():
        shares: Numbers = F.softmax(model(heads, tails)).numpy()
    return shares


def accuracy(model: nn.Module, triples: Numbers) -> float:
    """How often the likeliest term is the recorded one."""
    heads, terms, tails = triples.T
    return float((probabilities(model, heads, tails).argmax(axis=1) == terms).mean())


def main(arguments: list[str] | None = None) -> int:
    """Run the example; exit code 0, 2 for what the user can put right, 130 after Ctrl-C."""
    return exit_code("kinship", lambda: follow(arguments))


def follow(arguments: list[str] | None) -> None:
    """Do what the options ask for."""
    options = parsed(arguments)
    if options.load:
        model, data = load(Path(options.load))
    else:
        data = kinships()
        if options.data:
            path = Path(options.data)
            data = own_data(path, options.seed, options.entity, options.relation)
    asked = [data.number(person) for person in options.ask]
    if not options.load:
        model = learned(data, options)
    elif not asked:
        report(data, {"bilinear": model}, {})
    if asked:
        answer(model, data, *asked)


def learned(data: Data, options: argparse.Namespace) -> BilinearKinship:
    """Train both models, print how good they are, draw and save what the options ask for."""
    picture, file = Path(options.output), Path(options.save)
    if options.output:
        draw = drawing("_kinship_picture", picture)
    if options.save:
        check_writable(file)

    sizes = len(data.people), len(data.terms), options.dimension
    counts = ", ".join(f"{len(triples)} {split}" for split, triples in data.splits.items())
    things = f"{len(data.people)} {data.words.entities}"
    links = (
        f"{len(data.terms)} {data.words.relations if len(data.terms) > 1 else data.words.relation}"
    )
    lucid.manual_seed(options.seed)
    bilinear, linear = BilinearKinship(*sizes), LinearKinship(*sizes)
    models = {"bilinear": bilinear, "linear": linear}
    # Only now: what initialises them imports more.
    print(printable(f"{things}, {links}; triples: {counts}{data.noticed}"), flush=True)
    trainings = {name: train(name, model, data, options.epochs) for name, model in models.items()}
    report(data, models, trainings)

    if options.save:
        write_model(file, bilinear.state_dict(), data)
        print(printable(f"model: {file}"))
    if options.output:
        with whole(picture) as part:
            groups = draw(part, bilinear, data, trainings)
        if options.data:
            for letter, members in groups.items():
                print(listed(f"group {letter}:", members))
        print(printable(f"picture: {picture}"))
    return bilinear


def load(path: Path) -> tuple[BilinearKinship, Data]:
    """The model and the data of a file that --save wrote."""
    state, data = read_model(path)
    try:
        dimension = state["person.weight"].shape[-1]
        if state["term.weight"].shape != (len(data.terms), dimension, dimension):
            raise damaged(path)
        model = BilinearKinship(len(data.people), len(data.terms), dimension)
        model.load_state_dict(state)
    except (lucid.LucidError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        raise damaged(path) from None
    return model, data


def report(data: Data, models: dict[str, nn.Module], trainings: dict[str, Training]) -> None:
    """A table: how often each model is right about held-out pairs."""
    common = printable(f"most common {data.words.relation}")
    wide = max(16, columns(common))
    print(
        f"{'':{wide}}{'test':>8}{'valid':>9}{'parameters':>13}{'   training' if trainings else ''}"
    )
    for name, model in models.items():
        test, valid = (accuracy(model, data.splits[split]) for split in ("test", "valid"))
        parameters = sum(parameter.size for parameter in model.parameters())
        seconds = f"{trainings[name].seconds:9.1f} s" if name in trainings else ""
        print(f"{name:{wide}}{test:8.1%}{valid:9.1%}{parameters:13}{seconds}")
    test, valid = (data.majority_accuracy(split) for split in ("test", "valid"))
    print(f"{padded(common, wide)}{test:8.1%}{valid:9.1%}")


def answer(model: nn.Module, data: Data, head: int, tail: int) -> None:
    """The likeliest terms of a pair, and which one the data has for it."""
    believed = probabilities(model, np.array([head]), np.array([tail]))[0]
    recorded = data.recorded(head, tail)
    word = data.words.relation
    print(printable(data.words.pair(data.people[head], data.people[tail]) + ":"))
    ranked = [int(term) for term in np.argsort(-believed, kind="stable")]
    shown = [pair for pair in enumerate(ranked, 1) if pair[0] <= 5 or pair[1] in recorded]
    names = {term: printable(data.terms[term]) for _, term in shown}
    wide = max(12, *(columns(name) + 2 for name in names.values()))
    for rank, term in shown:
        note = f"  the data's {word} ({recorded[term]})" if term in recorded else ""
        print(f"{rank:4}. {padded(names[term], wide)}{believed[term]:7.1%}{printable(note)}")
    if not recorded:
        print(printable(f"      the data has no {word} for this pair"))


def listed(title: str, names: list[str]) -> str:
    """Names after a title, in lines that fit a terminal."""
    text = textwrap.fill(
        printable("; ".join(names)), 79, initial_indent=f"{title} ", subsequent_indent="  ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return text if names else f"{title} none"


def columns(text: str) -> int:
    """How many columns of a terminal a text takes: two for a character of Chinese, say."""
    return sum(
        0 if unicodedata.combining(each) else 1 + (unicodedata.east_asian_width(each) in "WF")
        for each in text
    )


def padded(text: str, width: int) -> str:
    """A text with blanks behind it, so that it takes so many columns."""
    return text + " " * (width - columns(text))


if __name__ == "__main__":
    raise SystemExit(main())
