"""Whole training steps: lucid beside PyTorch and NumPy by hand, each in a process of its own.

    python benchmarks/training_step.py [WORD …] [--rounds 7]

A perceptron 784-128-10 with ReLU and cross_entropy, float32, a batch of 64: gradients forgotten,
forward, backward, the optimiser's step. The ways take turns; the least time of all rounds is shown,
in µs a step, and the loss after 50 steps, which is the same for all but for rounding. Words choose
lines by parts of their names.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

SIZES = (784, 128, 10)
BATCH = 64
WAYS = ("lucid", "torch", "NumPy by hand")
OPTIMISERS = ("Adam", "SGD with momentum")
RATE, MOMENTUM, BETA_1, BETA_2, EPS = 1e-3, 0.9, 0.9, 0.999, 1e-8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("words", nargs="*")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measured(*options.only)))
        return
    print(f"{processor()}; Python {platform.python_version()}, NumPy {np.__version__}; ", end="")
    print(f"µs a step, least of {options.rounds} rounds\n")
    lines = [
        (optimiser, way)
        for optimiser in OPTIMISERS
        for way in WAYS
        if all(word in f"{optimiser} {way}" for word in options.words)
    ]
    best: dict[tuple[str, str], tuple[float, float]] = {}
    for _ in range(options.rounds):
        for line in lines:
            done = subprocess.run(
                [sys.executable, __file__, "--only", *line],
                capture_output=True,
                text=True,
                check=True,
            )
            us, loss = json.loads(done.stdout.splitlines()[-1])
            best[line] = min(best.get(line, (us, loss)), (us, loss))
    for (optimiser, way), (us, loss) in best.items():
        print(f"{optimiser:<18} {way:<14} {us:8.0f}   loss {loss:.6f}")


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def measured(optimiser: str, way: str) -> tuple[float, float]:
    random = np.random.default_rng(0)
    x = random.standard_normal((BATCH, SIZES[0]), dtype=np.float32)
    target = random.integers(0, SIZES[2], BATCH)
    arrays = []
    for columns, rows in pairwise(SIZES):
        bound = columns**-0.5
        arrays.append(random.uniform(-bound, bound, (rows, columns)).astype(np.float32))
        arrays.append(random.uniform(-bound, bound, rows).astype(np.float32))
    step = {"lucid": lucid_way, "torch": torch_way, "NumPy by hand": by_hand}[way](
        optimiser, x, target, arrays
    )
    for _ in range(49):
        step()
    loss = float(step())
    times = []
    for _ in range(300):
        before = time.perf_counter()
        step()
        times.append(time.perf_counter() - before)
    return 1e6 * min(np.median(times[k : k + 25]) for k in range(0, len(times), 25)), loss


def lucid_way(name: str, x: Any, target: Any, arrays: Any) -> Callable[[], Any]:
    import lucid
    from lucid import nn

    model = nn.Sequential(nn.Linear(*SIZES[:2]), nn.ReLU(), nn.Linear(*SIZES[1:]))
    model.load_state_dict(dict(zip(model.state_dict(), arrays, strict=True)))
    optimiser: Any = lucid.optim.Adam(model.parameters(), lr=RATE)
    if name != "Adam":
        optimiser = lucid.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM)
    given, classes = lucid.Tensor(x), lucid.Tensor(target)

    def step() -> Any:
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(model(given), classes)
        loss.backward()
        optimiser.step()
        return loss

    return lambda: step().item()


def torch_way(name: str, x: Any, target: Any, arrays: Any) -> Callable[[], Any]:
    import torch
    from torch import nn

    model = nn.Sequential(nn.Linear(*SIZES[:2]), nn.ReLU(), nn.Linear(*SIZES[1:]))
    for parameter, array in zip(model.parameters(), arrays, strict=True):
        parameter.data = torch.from_numpy(array)
    optimiser: Any = torch.optim.Adam(model.parameters(), lr=RATE)
    if name != "Adam":
        optimiser = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM)
    given, classes = torch.from_numpy(x), torch.from_numpy(target)

    def step() -> Any:
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(model(given), classes)
        loss.backward()
        optimiser.step()
        return loss

    return lambda: step().item()


def by_hand(name: str, x: Any, target: Any, arrays: Any) -> Callable[[], Any]:
    w1, b1, w2, b2 = arrays
    first = [np.zeros_like(each) for each in arrays]
    second = [np.zeros_like(each) for each in arrays]
    scratch = [np.empty_like(each) for each in arrays]
    rows, count = np.arange(len(x)), 0

    def gradients() -> tuple[Any, list[Any]]:
        hidden = x @ w1.T
        hidden += b1
        np.maximum(hidden, 0, out=hidden)
        scores = hidden @ w2.T
        scores += b2
        scores -= scores.max(axis=1, keepdims=True)
        chosen = scores[rows, target]
        np.exp(scores, out=scores)
        total = scores.sum(axis=1)
        loss = (np.log(total) - chosen).mean()
        scores /= total[:, None]
        scores[rows, target] -= 1
        scores /= len(x)
        slope = scores @ w2
        slope *= hidden > 0
        return loss, [slope.T @ x, slope.sum(axis=0), scores.T @ hidden, scores.sum(axis=0)]

    def step() -> Any:
        nonlocal count
        count += 1
        loss, found = gradients()
        root = (1 - BETA_2**count) ** 0.5
        rate = RATE * root / (1 - BETA_1**count)
        for p, g, m, v, s in zip(arrays, found, first, second, scratch, strict=True):
            if name != "Adam":
                m *= MOMENTUM
                m += g
                np.multiply(m, RATE, out=s)
                p -= s
                continue
            m *= BETA_1
            m += np.multiply(g, 1 - BETA_1, out=s)
            v *= BETA_2
            np.multiply(g, g, out=s)
            s *= 1 - BETA_2
            v += s
            np.sqrt(v, out=s)
            s += EPS * root
            np.divide(m, s, out=s)
            s *= rate
            p -= s
        return loss

    return step


if __name__ == "__main__":
    main()
