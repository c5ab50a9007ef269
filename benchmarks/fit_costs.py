"""Fit the table of costs by which the compiled kernel chooses its algorithms, on this machine.

    python benchmarks/fit_costs.py --sizes 400 > src/lucid/kernels/native/costs_zen4.inc

Random sizes; every fifth one with a weight or a number of samples that no cache holds, half of
those with a large weight and few samples, where writing counts more than multiplying; every third
one with powers of two, which people like and caches do not. One thread, of whose own processor time
the least counts: the machine may be busy. The nanoseconds of each kind of work are fitted by least
squares on relative errors, none of them negative; an algorithm counts the more the nearer it is to
the best at that size, for a choice has to be right there. What choices by the new table cost at
these sizes is written to stderr.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lucid.kernels import _native

compiled: Any = _native.compiled
MODERATE, LARGE = 4e8, 6e9  # operations, at most
LARGE_WEIGHT, LARGEST_WEIGHT = 1e7, 1.4e8  # numbers
SLOW = 0.02  # seconds, from which on three rounds are enough
REFERENCE_LARGEST = 2e5  # for sums as they are written; twice `most_as_written`
ROUNDS = 7
Sizes = tuple[int, int, int, int]


def sizes(rng: np.random.Generator) -> Iterator[Sizes]:
    """N, O, I and J, log-uniform, of moderate arrays; every fifth time of large ones."""
    for number in itertools.count():
        is_large, has_few_samples = number % 5 == 4, number % 10 == 9
        most, least = (LARGE, MODERATE) if is_large else (MODERATE, 0)
        if has_few_samples:
            least = 2 * LARGE_WEIGHT
        while True:
            limits = (32 if has_few_samples else 20000, 1000 if is_large else 300, 600, 600)
            n, o, i, j = (int(np.exp(rng.uniform(0, np.log(limit)))) for limit in limits)
            if number % 3 == 2:  # rows that compete for the same places of a cache
                o, i, j = (1 << round(np.log2(size)) for size in (o, i, j))
            fits = n * max(i, j, o) < 4e6 and o * i * j <= LARGEST_WEIGHT
            fits = fits and not (has_few_samples and o * i * j < LARGE_WEIGHT)
            if least < 2 * n * o * i * j <= most and fits:
                break
        yield n, o, i, j


def calls(operation: str, size: Sizes, dtype: Any) -> dict[str, Callable[[], object]]:
    """One for each algorithm that can do these sizes."""
    n, o, i, j = size
    rng = np.random.default_rng(0)
    x1, x2, weight, g = (
        rng.standard_normal(shape).astype(dtype) for shape in ((n, i), (n, j), (o, i, j), (n, o))
    )
    runs: dict[str, Callable[[str], object]] = {
        "forward": lambda name: compiled.bilinear(x1, x2, weight, None, name, 1),
        "inputs": lambda name: compiled.gradients(
            g, x1, x2, weight, (True, True, False), name, None, 1
        ),
        "weight": lambda name: compiled.gradients(
            g, x1, x2, weight, (False, False, True), None, name, 1
        ),
    }
    run = runs[operation]
    found = {}
    for name in compiled.algorithms()[operation]:
        if name == "reference" and 2 * n * o * i * j > REFERENCE_LARGEST:
            continue
        try:
            run(name)
        except ValueError:  # not for these sizes
            continue
        found[name] = lambda name=name: run(name)
    return found


def measure(runs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The shortest time of each in interleaved rounds; slow ones are left out of later rounds."""
    best = dict.fromkeys(runs, float("inf"))
    for turn in range(ROUNDS):
        least = min(best.values())
        if turn > 2 and least > SLOW:
            break
        for name, run in runs.items():
            if turn > 1 and best[name] > 3 * least:
                continue
            repeats = int(np.clip(1e-4 / best[name], 1, 50))
            start = time.thread_time()
            for _ in range(repeats):
                run()
            best[name] = min(best[name], (time.thread_time() - start) / repeats)
    return best


def least_squares(rows: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Σ (rows · x - right)² at its least for x ≥ 0, one coordinate after the other."""
    scale = np.linalg.norm(rows, axis=0)
    used = scale > 0
    scaled = rows[:, used] / scale[used]
    square, target = scaled.T @ scaled, scaled.T @ right
    x = np.zeros(len(target))
    for _ in range(20000):
        before = x.copy()
        for k in range(len(x)):
            x[k] = max(0.0, x[k] + (target[k] - square[k] @ x) / square[k, k])
        if np.abs(x - before).max() <= 1e-9 * np.abs(x).max():
            break
    found = np.zeros(rows.shape[1])
    found[used] = x / scale[used]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--operation", choices=compiled.algorithms(), help="only this one's rows")
    parser.add_argument("--instruction-set", default=compiled.instruction_set())
    options = parser.parse_args()
    compiled.use_instruction_set(options.instruction_set)

    names = compiled.algorithms()
    if options.operation:
        names = {options.operation: names[options.operation]}
    counts: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    nearness: dict[tuple[str, str], list[float]] = defaultdict(list)
    problems: list[list[tuple[tuple[str, str], int]]] = []
    drawn = sizes(np.random.default_rng(options.seed))
    for number, size in zip(range(options.sizes), drawn):  # noqa: B905 (drawn never ends)
        dtype = np.dtype(np.float64 if number % 4 == 3 else np.float32)
        for operation in names:
            found = measure(calls(operation, size, dtype))
            problem = []
            for name, seconds in found.items():
                key = operation, name
                work = compiled.work(operation, name, *size, dtype.itemsize)
                problem.append((key, len(times[key])))
                counts[key].append(list(work.values()))
                times[key].append(1e9 * seconds)
                nearness[key].append(min(found.values()) / seconds)
            problems.append(problem)

    kinds = list(work)
    print(f"// By benchmarks/fit_costs.py: {options.instruction_set}, {options.sizes} sizes.")
    print("// Nanoseconds of one of each: " + ", ".join(kinds) + ".")
    fitted = {}
    for operation in names:
        for name in names[operation]:
            key = operation, name
            right = np.array(nearness[key])
            rows = np.array(counts[key]) * (right / np.array(times[key]))[:, None]
            fitted[key] = least_squares(rows, right)
            row = ", ".join(f"{value:8.3g}" for value in fitted[key])
            place = f"{{Operation::{operation}, Algorithm::{name},"
            print(f"{place:<60} {{{row}}}}},")
    for operation in names:
        costs = []
        for problem in problems:
            if problem[0][0][0] == operation:
                chosen = min(problem, key=lambda each: fitted[each[0]] @ counts[each[0]][each[1]])
                least = min(times[key][at] for key, at in problem)
                costs.append(times[chosen[0]][chosen[1]] / least)
        mean, tail = np.exp(np.mean(np.log(costs))) - 1, np.percentile(costs, 99) - 1
        print(f"{operation}: {mean:.1%} on average, 99 %: {tail:.1%}", file=sys.stderr)


if __name__ == "__main__":
    main()
