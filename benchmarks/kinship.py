"""One epoch of the kinship example's training, in lucid and the same model in PyTorch.

    python benchmarks/kinship.py

Embedding(104, 32) and Bilinear(32, 32, 25), cross-entropy, batch 256, Adam, dropout 0.2. Prints the
seconds of the fastest epoch.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from _compare import Numbers, main, table

DATA = Path(__file__).parent.parent / "examples" / "data" / "kinships" / "train.tsv"
PEOPLE, TERMS, DIMENSION, BATCH = 104, 25, 32, 256
EPOCHS = 8


def triples() -> np.ndarray[Any, Any]:
    """Rows of head, tail, term as numbers."""
    rows = [line.split("\t") for line in DATA.read_text().splitlines()]
    people = {name: k for k, name in enumerate(sorted({n for h, _, t in rows for n in (h, t)}))}
    terms = {name: k for k, name in enumerate(sorted({term for _, term, _ in rows}))}
    return np.array([(people[h], people[t], terms[term]) for h, term, t in rows])


def best_epoch(step: Any) -> Numbers:
    data = triples()
    rng = np.random.default_rng(0)
    best = float("inf")
    for _ in range(EPOCHS):
        order = rng.permutation(len(data))
        start = time.perf_counter()
        for first in range(0, len(order), BATCH):
            heads, tails, terms = data[order[first : first + BATCH]].T
            step(heads, tails, terms)
        best = min(best, time.perf_counter() - start)
    return {"s an epoch": best}


def lucid() -> Numbers:
    import lucid
    from lucid import nn, optim

    lucid.manual_seed(0)
    people, form = nn.Embedding(PEOPLE, DIMENSION), nn.Bilinear(DIMENSION, DIMENSION, TERMS)
    dropout = nn.Dropout(0.2)
    parameters = [*people.parameters(), *form.parameters()]
    optimiser = optim.Adam(parameters, lr=1e-2, weight_decay=1e-4)

    def step(heads: Any, tails: Any, terms: Any) -> None:
        scores = form(dropout(people(heads)), dropout(people(tails)))
        loss = nn.functional.cross_entropy(scores, terms)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return best_epoch(step)


def pytorch() -> Numbers:
    return _pytorch(einsum=False)


def pytorch_einsum() -> Numbers:
    return _pytorch(einsum=True)


def _pytorch(*, einsum: bool) -> Numbers:
    import torch
    from torch import nn

    torch.manual_seed(0)
    people, form = nn.Embedding(PEOPLE, DIMENSION), nn.Bilinear(DIMENSION, DIMENSION, TERMS)
    dropout = nn.Dropout(0.2)
    parameters = [*people.parameters(), *form.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=1e-2, weight_decay=1e-4)

    def scores_of(x1: Any, x2: Any) -> Any:
        if einsum:
            return torch.einsum("ni,oij,nj->no", x1, form.weight, x2) + form.bias
        return form(x1, x2)

    def step(heads: Any, tails: Any, terms: Any) -> None:
        heads, tails, terms = (torch.from_numpy(np.array(each)) for each in (heads, tails, terms))
        scores = scores_of(dropout(people(heads)), dropout(people(tails)))
        loss = nn.functional.cross_entropy(scores, terms)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return best_epoch(step)


if __name__ == "__main__":
    found = main(
        {"lucid": lucid, "PyTorch": pytorch, "PyTorch, einsum": pytorch_einsum},
        threads=2,
        rounds=4,
    )
    rows = [(name, f"{row['s an epoch']:.3f}") for name, row in found.items()]
    print(table(("training", "s an epoch"), rows))
