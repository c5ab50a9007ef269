"""A biaffine dependency parser in PyTorch: which word is each word's head, and what links them?

    python examples/parser_torch.py
    python examples/parser_torch.py --bilinear torch

The data: the Turkish Web Treebank, 4851 sentences, fetched on first use. The parser is that of
Dozat and Manning (2017, arxiv.org/abs/1611.01734), small: a bidirectional LSTM reads a sentence; a
bilinear form scores every pair of words, as dependent and head; another with one matrix for each
label scores the labels of the chosen pairs. The part of speech is given. A run takes about a
minute, prints how often heads and labels are right, and draws one sentence: parser.png.

Both forms are lucid's, and the scores of all pairs are never held; with `--bilinear torch` the
forms are plain PyTorch's, and nothing else changes: the last lines of both runs compare time and
memory on your machine.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import eq
from pathlib import Path
from typing import Any

from _example import (
    INSTALL,
    Parser,
    drawing,
    exit_code,
    peak_memory,
    whole,
    whole_number,
)
from _parser_data import ROOT, Sentence, Splits, Vocabulary, spellings, treebank

# On a busy machine threads that wait for others by spinning, in two pools, slow everything down
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
try:
    import torch
    import torch.nn.functional as F  # noqa: N812 (as everybody calls it)
    from torch import Tensor, nn
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
    from tqdm import tqdm

    import lucid.torch
except ModuleNotFoundError as missing:
    how = "install it with: pip install torch" if missing.name == "torch" else INSTALL
    print(f"parser: {missing.name} is not installed; {how}", file=sys.stderr)
    raise SystemExit(2) from None

EMBEDDING, LSTM, ARC, LABEL = 100, 256, 200, 100  # features
DROPOUT, WORD_DROPOUT = 0.25, 0.15
LEARNING_RATE, BETAS = 3e-3, (0.9, 0.95)
BATCH = 500  # words, padding included


# The two bilinear forms, as PyTorch has them and as lucid does


class Arcs(nn.Module):
    """Every word as the head of every word: score[t, h] = (x_t, 1) · W · y_h.

    The 1 meets a row of W that says how likely y_h is a head at all. `x` and `y` are (b, t, ARC); a
    word is not its own head, and no word after the end of its sentence is one.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, features + 1, features))

    def scores(self, x: Tensor, y: Tensor, lengths: Tensor) -> Tensor:
        """All scores: (b, t, t)."""
        places = torch.arange(y.shape[1])
        absent = places >= lengths[:, None, None]
        oneself = places == places[:, None]
        return (with_one(x) @ self.weight[0] @ y.mT).masked_fill(absent | oneself, -1e9)

    def loss(self, x: Tensor, y: Tensor, lengths: Tensor, heads: Tensor) -> Tensor:
        """The mean cross-entropy of the right heads (b, t), -1 where there is none."""
        rows = self.scores(x, y, lengths).flatten(0, 1)
        return F.cross_entropy(rows, heads.flatten(), ignore_index=-1)

    def best(self, x: Tensor, y: Tensor, lengths: Tensor) -> Tensor:
        """The likeliest head of each word: (b, t)."""
        return self.scores(x, y, lengths).argmax(-1)


class LucidArcs(Arcs):
    """The same; the scores are reduced tile by tile, and never all held."""

    def loss(self, x: Tensor, y: Tensor, lengths: Tensor, heads: Tensor) -> Tensor:
        """As above."""
        return lucid.torch.bilinear_cross_entropy(
            with_one(x), y, self.weight, target=heads, ignore_index=-1, **left_out(y, lengths)
        )

    def best(self, x: Tensor, y: Tensor, lengths: Tensor) -> Tensor:
        """As above."""
        found = lucid.torch.bilinear_max(with_one(x), y, self.weight, **left_out(y, lengths))
        return found.indices[..., 0]


def with_one(x: Tensor) -> Tensor:
    """(…, features) with one more feature, which is always 1."""
    return F.pad(x, (0, 1), value=1.0)


def left_out(y: Tensor, lengths: Tensor) -> dict[str, Tensor]:
    """The padding, for all words, and for each word itself."""
    places = torch.arange(y.shape[1])
    return {"mask": (places < lengths[:, None])[:, None], "exclude": places[:, None]}


ARCS = {"torch": Arcs, "lucid": LucidArcs}
LABELS = {"torch": nn.Bilinear, "lucid": lucid.torch.Bilinear}


# Sentences as numbers


@dataclass(frozen=True)
class Numbered:
    """Sentences of t words, the root before them: word 0. Where nothing is to be found, -1.

    `features` (b, t, 4) are the numbers of spellings and tag, `lengths` (b,), `heads` and `labels`
    (b, t); as a batch padded to its longest sentence, as one sentence without the axis b.
    """

    features: Tensor
    lengths: Tensor
    heads: Tensor
    labels: Tensor


class Numbering:
    """The vocabularies of a treebank's training sentences."""

    def __init__(self, train: Sequence[Sentence]) -> None:
        features = [each for sentence in train for each in described(sentence)]
        self.features = [Vocabulary(column, least=2) for column in zip(*features, strict=True)]
        self.labels = Vocabulary(label for sentence in train for label in sentence.labels)

    def __call__(self, sentence: Sentence) -> Numbered:
        """A sentence's numbers; of a label never seen in training -1, which is never predicted."""
        rows = [
            [vocabulary[name] for vocabulary, name in zip(self.features, row, strict=True)]
            for row in described(sentence)
        ]
        return Numbered(
            torch.tensor(rows),
            torch.tensor(len(rows)),
            torch.tensor([-1, *sentence.heads]),
            torch.tensor([-1, *(self.labels[label] - 1 for label in sentence.labels)]),
        )


def described(sentence: Sentence) -> list[tuple[str, ...]]:
    """What the parser is told of the root and of each word: three spellings and the tag."""
    words = zip(sentence.words, sentence.tags, strict=True)
    return [("<root>",) * 4, *((*spellings(word), tag) for word, tag in words)]


def batches(sentences: Sequence[Numbered], *, shuffled: bool) -> Iterator[Numbered]:
    """Sentences of similar lengths together; which ones, and in which order, is random if asked."""
    noise = 3 * torch.rand(len(sentences)) * shuffled
    order = sorted(range(len(sentences)), key=lambda k: float(sentences[k].lengths + noise[k]))
    groups: list[list[Numbered]] = [[]]
    for sentence in (sentences[k] for k in order):
        if groups[-1] and (len(groups[-1]) + 1) * sentence.lengths > BATCH:
            groups.append([])
        groups[-1].append(sentence)
    for k in torch.randperm(len(groups)) if shuffled else range(len(groups)):
        yield batch(groups[k])


def batch(sentences: Sequence[Numbered]) -> Numbered:
    """Several sentences as one, padded."""
    return Numbered(
        pad_sequence([each.features for each in sentences], batch_first=True),
        torch.stack([each.lengths for each in sentences]),
        pad_sequence([each.heads for each in sentences], batch_first=True, padding_value=-1),
        pad_sequence([each.labels for each in sentences], batch_first=True, padding_value=-1),
    )


# The model


class BiaffineParser(nn.Module):
    """Scores heads and labels; x and y are what the LSTM found out about a word.

    arc[t, h] = (x_t, 1) · W · y_h      label[t, l] = x_t · W[l] · y_head(t) + b[l]
    """

    def __init__(
        self, numbering: Numbering, forms: str = "lucid", arc: int = ARC, label: int = LABEL
    ) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(
            nn.Embedding(len(vocabulary), EMBEDDING) for vocabulary in numbering.features
        )
        self.lstm = nn.LSTM(
            len(self.embeddings) * EMBEDDING, LSTM, batch_first=True, bidirectional=True
        )
        self.dropout = nn.Dropout(DROPOUT)
        self.arc_dependent, self.arc_head = perceptron(arc), perceptron(arc)
        self.label_dependent, self.label_head = perceptron(label), perceptron(label)
        self.arcs = ARCS[forms](arc)
        self.label = LABELS[forms](label, label, len(numbering.labels.names))

    def read(self, features: Tensor, lengths: Tensor) -> Tensor:
        """What each word is in its sentence: (b, t, 2 · LSTM)."""
        if self.training:  # learn to do without the spelling, as with words never seen
            hidden = torch.rand(features.shape) < WORD_DROPOUT
            hidden[..., -1] = False
            features = features.masked_fill(hidden, 0)
        columns = zip(self.embeddings, features.unbind(-1), strict=True)
        known = torch.cat([embedding(column) for embedding, column in columns], -1)
        packed = pack_padded_sequence(
            self.dropout(known), lengths, batch_first=True, enforce_sorted=False
        )
        found, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return self.dropout(found)

    def roles(self, found: Tensor) -> tuple[Tensor, Tensor]:
        """What matters of each word as a dependent, and as a head: (b, t, ARC) each."""
        return self.arc_dependent(found), self.arc_head(found)

    def label_scores(self, found: Tensor, heads: Tensor) -> Tensor:
        """Scores (n, labels) of the n words that have a head, none of them -1."""
        sentence, word = (heads >= 0).nonzero(as_tuple=True)
        dependents, governors = self.label_dependent(found), self.label_head(found)
        return self.label(dependents[sentence, word], governors[sentence, heads[sentence, word]])


def perceptron(features: int) -> nn.Module:
    """What of a word matters for one role, such as that of a head."""
    return nn.Sequential(nn.Linear(2 * LSTM, features), nn.ReLU(), nn.Dropout(DROPOUT))


# Training


def loss_of(model: BiaffineParser, given: Numbered) -> Tensor:
    """The cross-entropy of the heads, and of the labels of the right arcs."""
    found = model.read(given.features, given.lengths)
    heads = model.arcs.loss(*model.roles(found), given.lengths, given.heads)
    right = given.labels[given.heads >= 0]
    return heads + F.cross_entropy(model.label_scores(found, given.heads), right)


def train_epoch(model: BiaffineParser, optimiser: Any, train: Sequence[Numbered]) -> float:
    """Go once through the training sentences; the mean loss of a batch."""
    model.train()
    losses = []
    # on standard output, and only if that is a terminal
    with tqdm(total=len(train), unit="sentence", file=sys.stdout, disable=None, leave=False) as bar:
        for given in batches(train, shuffled=True):
            loss = loss_of(model, given)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
            bar.update(len(given.lengths))
            bar.set_postfix_str(f"loss {losses[-1]:.2f}", refresh=False)
    return sum(losses) / len(losses)


@torch.no_grad()
def parse(model: BiaffineParser, given: Numbered) -> tuple[Tensor, Tensor]:
    """The best head of each word, by itself, and its label: (b, t), -1 where there is no word."""
    model.eval()
    found = model.read(given.features, given.lengths)
    words = given.heads >= 0
    heads = model.arcs.best(*model.roles(found), given.lengths).where(words, -1)
    labels = torch.full_like(heads, -1)
    labels[words] = model.label_scores(found, heads).argmax(-1)
    return heads, labels


def evaluate(model: BiaffineParser, sentences: Sequence[Numbered]) -> tuple[float, float]:
    """UAS, the share of words with the right head, and LAS, with the right head and label.

    All words count, punctuation too.
    """
    right_heads = right = words = 0
    for given in batches(sentences, shuffled=False):
        heads, labels = parse(model, given)
        correct = (heads == given.heads) & (given.heads >= 0)
        right_heads += int(correct.sum())
        right += int((correct & (labels == given.labels)).sum())
        words += int((given.heads >= 0).sum())
    return right_heads / words, right / words


def next_word(sentences: Sequence[Sentence]) -> float:
    """The UAS of the guess that a word's head is the next word, and the last word's the root."""
    guesses = (guess for each in sentences for guess in [*range(2, len(each.words) + 1), ROOT])
    heads = [head for sentence in sentences for head in sentence.heads]
    return sum(map(eq, guesses, heads)) / len(heads)


# The program


def main(arguments: list[str] | None = None) -> int:
    """Run the example; exit code 0, 2 for what the user can put right, 130 after Ctrl-C."""
    return exit_code("parser", lambda: follow(parsed(arguments)))


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The options, checked."""
    parser = Parser(
        "parser_torch.py", description="Train a dependency parser in PyTorch.", allow_abbrev=False
    )
    add = parser.add_argument
    add("--bilinear", choices=tuple(ARCS), default="lucid", help="whose bilinear forms (lucid)")
    add("--epochs", type=whole_number(1, 1000), default=3, help="rounds over the sentences (3)")
    add("--seed", type=whole_number(0, 2**32 - 1), default=0, help="of all random numbers (0)")
    add("--threads", type=whole_number(1, 1024), help="of both libraries (as many as they choose)")
    add("--quick", action="store_true", help="a tenth of the sentences, to see that it runs")
    add("--picture", metavar="FILE", default="parser.png", help="(parser.png; '' for none)")
    add("--data", metavar="FILE", help="the treebank's archive, if it is not to be fetched")
    return parser.parse_args(arguments)


def follow(options: argparse.Namespace) -> None:
    """Train, print how good the parser is and what it cost, and draw."""
    picture = Path(options.picture)
    if options.picture:
        draw = drawing("_parser_picture", picture)
    if options.threads:
        torch.set_num_threads(options.threads)
        lucid.set_num_threads(options.threads)
    splits = treebank(Path(options.data) if options.data else None)
    if options.quick:
        splits = {split: sentences[::10] for split, sentences in splits.items()}

    torch.manual_seed(options.seed)
    numbering = Numbering(splits["train"])
    numbers = {split: [*map(numbering, sentences)] for split, sentences in splits.items()}
    model = BiaffineParser(numbering, options.bilinear)
    print(summary(splits, numbering, model), flush=True)
    optimiser = torch.optim.Adam(model.parameters(), LEARNING_RATE, BETAS)
    fastest = float("inf")
    for epoch in range(1, options.epochs + 1):
        start = time.perf_counter()
        loss = train_epoch(model, optimiser, numbers["train"])
        seconds = time.perf_counter() - start
        fastest = min(fastest, seconds)
        uas, las = evaluate(model, numbers["dev"])
        result = f"loss {loss:.3f}, dev UAS {uas:.3f}, LAS {las:.3f}"
        print(f"epoch {epoch}: {result}, {seconds:.1f} s", flush=True)

    uas, las = evaluate(model, numbers["test"])
    print(f"test:    this parser            UAS {uas:.3f}, LAS {las:.3f}")
    print(f"         head is the next word  UAS {next_word(splits['test']):.3f}")
    if options.picture:
        sentence, given = shown(splits["test"], numbers["test"])
        with whole(picture) as part:
            draw(part, sentence, arc_shares(model, given), arcs_of(model, numbering, given))
        print(f"picture: {picture}")
    other = next(name for name in ARCS if name != options.bilinear)
    cost = f"{fastest:.1f} s for the fastest epoch of training, {peak_memory()}"
    print(f"bilinear forms by {options.bilinear}: {cost}; compare --bilinear {other}")


def summary(splits: Splits, numbering: Numbering, model: nn.Module) -> str:
    """What is learned from, and what will be said about it."""
    counts = ", ".join(
        f"{len(sentences)} {split} ({sum(len(each.words) for each in sentences)} words)"
        for split, sentences in splits.items()
    )
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return (
        f"Turkish Web Treebank, sentences: {counts}\n"
        f"{len(numbering.labels.names)} labels, {parameters} parameters; the parts of speech are "
        "given\nUAS: share of words with the right head; LAS: and with the right label; "
        "punctuation counts too"
    )


# What is drawn


def shown(sentences: Sequence[Sentence], numbers: Sequence[Numbered]) -> tuple[Sentence, Numbered]:
    """The first sentence of a length that fits a picture, and its numbers as a batch of one."""
    fitting = (k for k, each in enumerate(sentences) if 9 <= len(each.words) <= 13)
    k = next(fitting, 0)
    return sentences[k], batch([numbers[k]])


@torch.no_grad()
def arc_shares(model: BiaffineParser, given: Numbered) -> Any:
    """How much of each word's (row) belief goes to each head (column); the root is column 0."""
    model.eval()
    roles = model.roles(model.read(given.features, given.lengths))
    return model.arcs.scores(*roles, given.lengths).softmax(-1)[0, 1:].numpy()


def arcs_of(model: BiaffineParser, numbering: Numbering, given: Numbered) -> list[tuple[int, str]]:
    """The head and the label that the parser gives to each word of one sentence."""
    heads, labels = (each[0, 1:].tolist() for each in parse(model, given))
    names = numbering.labels.names
    return [(head, names[label]) for head, label in zip(heads, labels, strict=True)]


if __name__ == "__main__":
    raise SystemExit(main())
