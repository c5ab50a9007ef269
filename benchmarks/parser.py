"""One epoch of the parser example's training, with lucid's bilinear forms and with PyTorch's own.

    python benchmarks/parser.py

The labels are scored from 100 features of each word, as in the paper and in the example, and from
128. In PyTorch the arcs are matrix products; the labels are `torch.nn.Bilinear` or, by hand, an
einsum. Prints the seconds of an epoch, and the most memory that the process held at once.
"""

from __future__ import annotations

import functools
import resource
import sys
import time
from pathlib import Path

from _compare import Numbers, main, table

FEATURES = (100, 128)


def epoch(forms: str, features: int) -> Numbers:
    sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))
    import parser_torch as example
    import torch

    class Einsum(torch.nn.Bilinear):
        def forward(self, input1: torch.Tensor, input2: torch.Tensor) -> torch.Tensor:
            return torch.einsum("ni,oij,nj->no", input1, self.weight, input2) + self.bias

    example.ARCS["einsum"], example.LABELS["einsum"] = example.ARCS["torch"], Einsum
    train = example.treebank()["train"]
    torch.manual_seed(0)
    numbering = example.Numbering(train)
    numbers = [*map(numbering, train)]
    model = example.BiaffineParser(numbering, forms, label=features)
    optimiser = torch.optim.Adam(model.parameters(), example.LEARNING_RATE, example.BETAS)
    start = time.perf_counter()
    example.train_epoch(model, optimiser, numbers)
    seconds = time.perf_counter() - start
    unit = 1 if sys.platform == "darwin" else 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {"s an epoch": seconds, "peak memory": peak}


CONTENDERS = {"lucid": "lucid", "torch.nn.Bilinear": "torch", "PyTorch, einsum": "einsum"}

if __name__ == "__main__":
    found = main(
        {
            f"{name}, {features}": functools.partial(epoch, forms, features)
            for features in FEATURES
            for name, forms in CONTENDERS.items()
        },
        threads=2,
        rounds=3,
    )
    rows = [
        (name, f"{row['s an epoch']:.1f}", f"{row['peak memory'] / 2**20:.0f}")
        for name, row in found.items()
    ]
    print(table(("forms, label features", "s an epoch", "peak MiB"), rows))
