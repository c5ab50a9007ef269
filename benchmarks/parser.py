"""The parser example with lucid's forms and with PyTorch's own: an epoch, and the arc loss alone.

    python benchmarks/parser.py

An epoch: the labels are scored from 100 features of each word, as in the paper and in the example,
and from 128. In PyTorch the arcs are matrix products; the labels are `torch.nn.Bilinear` or, by
hand, an einsum. Then the loss of the arcs alone with its gradients, at the size of the example, of
a usual batch, and of long texts. Prints seconds, the most memory that the process held at once, and
how much of that is more than before.
"""

from __future__ import annotations

import functools
import resource
import sys
import time
from pathlib import Path
from typing import Any

from _compare import Memory, Numbers, main, table

FEATURES = (100, 128)
SIZES = ((20, 25), (128, 40), (8, 1024), (1, 4096))  # sentences, words of each


def the_example() -> Any:
    sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))
    import parser_torch
    import torch

    class Einsum(torch.nn.Bilinear):
        def forward(self, input1: torch.Tensor, input2: torch.Tensor) -> torch.Tensor:
            return torch.einsum("ni,oij,nj->no", input1, self.weight, input2) + self.bias

    parser_torch.ARCS["einsum"], parser_torch.LABELS["einsum"] = parser_torch.ARCS["torch"], Einsum
    torch.manual_seed(0)
    return parser_torch


def epoch(forms: str, features: int) -> Numbers:
    example = the_example()
    train = example.treebank()["train"]
    numbering = example.Numbering(train)
    numbers = [*map(numbering, train)]
    model = example.BiaffineParser(numbering, forms, label=features)
    optimiser = example.torch.optim.Adam(model.parameters(), example.LEARNING_RATE, example.BETAS)
    memory, start = Memory(), time.perf_counter()
    example.train_epoch(model, optimiser, numbers)
    seconds = time.perf_counter() - start
    unit = 1 if sys.platform == "darwin" else 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {"seconds": seconds, "more": memory.growth(), "peak": peak}


def arcs(forms: str, sentences: int, words: int) -> Numbers:
    example = the_example()
    torch = example.torch
    model = example.ARCS[forms](example.ARC)
    torch.nn.init.normal_(model.weight, std=0.01)
    x, y = (torch.randn(sentences, words, example.ARC, requires_grad=True) for _ in range(2))
    lengths = torch.full((sentences,), words)
    heads = torch.randint(0, words, (sentences, words))
    heads[heads == torch.arange(words)] = -1
    memory, least = Memory(), float("inf")
    until = time.perf_counter() + 2
    while time.perf_counter() < until:
        start = time.perf_counter()
        model.loss(x, y, lengths, heads).backward()
        least = min(least, time.perf_counter() - start)
        x.grad = y.grad = model.weight.grad = None
    return {"seconds": least, "more": memory.growth()}


CONTENDERS = {"lucid": "lucid", "torch.nn.Bilinear": "torch", "PyTorch, einsum": "einsum"}
EPOCHS = {
    f"{name}, {features}": functools.partial(epoch, forms, features)
    for features in FEATURES
    for name, forms in CONTENDERS.items()
}
ARCS = {
    f"{name}, {sentences} × {words}": functools.partial(arcs, forms, sentences, words)
    for sentences, words in SIZES
    for name, forms in (("lucid", "lucid"), ("PyTorch", "torch"))
}

if __name__ == "__main__":
    found = main(EPOCHS | ARCS, threads=2, rounds=3)
    print(
        table(
            ("forms, label features", "s an epoch", "peak MiB", "of training"),
            (
                (name, *(f"{each:.{digits}f}" for each, digits in (
                    (row["seconds"], 1), (row["peak"] / 2**20, 0), (row["more"] / 2**20, 0))))
                for name, row in found.items() if name in EPOCHS
            ),
        ), "\n"
    )  # fmt: skip
    print(
        table(
            ("arc loss, sentences × words", "ms", "MiB"),
            (
                (name, f"{1e3 * row['seconds']:.1f}", f"{row['more'] / 2**20:.1f}")
                for name, row in found.items() if name in ARCS
            ),
        )
    )  # fmt: skip
