"""What wrong choices of a plan cost: the chosen plan beside every plan that can be asked for.

    python benchmarks/plans.py --sizes 200 --threads 2

Random sizes, rows and pairs, in float32. For each: the forward pass, the gradients of the inputs,
that of the weight, and all three, as `lucid.kernels` chooses and with each plan by force. The cost
is the time of the choice over that of the fastest plan, less one; where it is large, both are
measured again, because the machine may have been busy.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import get_args

import numpy as np
from _bilinear_sizes import Arrays, Size, values
from _compare import describe_machine, environment, table

CHOSEN = "chosen"
NEEDED = {
    "dx1, dx2": (True, True, False),
    "dW": (False, False, True),
    "dx1, dx2, dW": (True, True, True),
}
LARGEST = 1e9  # operations
REFERENCE_LARGEST = 2e5  # for sums as they are written
SUSPICIOUS = 1.05  # of the fastest
PAUSE = 0.005  # seconds, in which threads of the plan before come to rest

Plans = Mapping[str, Callable[[], object]]


def sizes(count: int, seed: int) -> Iterator[Size]:
    """Log-uniform; every fifth one scores pairs."""
    rng = np.random.default_rng(seed)
    while count:
        rows, steps, features_1, features_2, outputs = (
            int(np.exp(rng.uniform(0, np.log(most)))) for most in (20000, 100, 600, 600, 300)
        )
        size = Size(rows, features_1, features_2, outputs)
        if count % 5 == 0:
            size = Size(1 + rows % 64, features_1, features_2, outputs, 1 + steps)
        if size.operations <= LARGEST and size.left_behind <= 1 << 25:
            count -= 1
            yield size


def plans(size: Size, arrays: Arrays) -> Iterator[tuple[str, Plans]]:
    """For each operation: the choice, the portable plans' orders, the kernel's algorithms."""
    from lucid import kernels
    from lucid.kernels._plan import Order

    x1, x2, weight, g = arrays
    pairs = x1.ndim == 3
    if pairs:
        x1, x2 = x1[:, :, None], x2[:, None]
    orders = [order for order in get_args(Order) if not (pairs and order == "outer")]

    def with_orders(call: Callable[..., object]) -> dict[str, Callable[[], object]]:
        return {CHOSEN: call} | {order: partial(call, order=order) for order in orders}

    compiled = kernels._native.compiled
    forward = partial(kernels.bilinear, x1, x2, weight)
    yield (
        "forward",
        with_orders(forward)
        | _algorithms("forward", size, lambda *how: compiled.bilinear(x1, x2, weight, None, *how)),
    )
    for name, needed in NEEDED.items():
        found = with_orders(partial(kernels.gradients, g, x1, x2, weight, needed))
        if name == "dx1, dx2":
            found |= _algorithms(
                "inputs",
                size,
                lambda *how: compiled.gradients(
                    g, x1, x2, weight, (True, True, False), *((how[0], None, how[1]) if how else ())
                ),
            )
        elif name == "dW":
            found |= _algorithms(
                "weight",
                size,
                lambda *how: compiled.gradients(
                    g, x1, x2, weight, (False, False, True), *((None, *how) if how else ())
                ),
            )
        yield name, found


def _algorithms(
    operation: str, size: Size, call: Callable[..., object]
) -> dict[str, Callable[[], object]]:
    """The compiled kernel's own algorithms, if it takes this; `call` gets the name of one, and 0.

    Its choice among them is called as they are, but without the 0: who says how many threads, also
    that it may be all of them, is never declined. A microsecond of Python is nobody's advantage.
    """
    compiled = sys.modules.get("lucid.kernels._compiled")
    if compiled is None or call() is None:
        return {}
    found: dict[str, Callable[[], object]] = {CHOSEN: call}
    for name in compiled.algorithms()[operation]:
        if name == "reference" and size.operations > REFERENCE_LARGEST:
            continue
        try:
            call(name, 0)
        except ValueError:  # not for these sizes
            continue
        found[name] = partial(call, name, 0)
    return found


def seconds(call: Callable[[], object], least: float) -> float:
    """The shortest of three runs or more, for at least so many seconds."""
    time.sleep(PAUSE)
    best, count, stop = float("inf"), 0, time.perf_counter() + least
    while count < 3 or time.perf_counter() < stop:
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
        count += 1
    return best


def cost(calls: Plans, least: float) -> tuple[float, str, float]:
    """The cost of the choice, the fastest plan, and its seconds."""
    found = {name: seconds(call, least) for name, call in calls.items()}
    for _ in range(2):
        first = min(found, key=found.__getitem__)
        if found[CHOSEN] <= SUSPICIOUS * found[first]:
            break
        for name in (CHOSEN, first):
            found[name] = min(found[name], seconds(calls[name], least))
    first = min(found, key=found.__getitem__)
    return found[CHOSEN] / found[first] - 1, first, found[first]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--seconds", type=float, default=0.01, help="for each plan, at least")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != str(options.threads):  # too late for the libraries
        os.execve(sys.executable, [sys.executable, *sys.argv], environment(options.threads))

    describe_machine(options.threads)
    costs: dict[str, list[float]] = {}
    worst: list[tuple[float, str, Size, str, float]] = []
    for size in sizes(options.sizes, options.seed):
        for operation, calls in plans(size, values(size, options.dtype)):
            found, plan, best = cost(calls, options.seconds)
            costs.setdefault(operation, []).append(found)
            worst.append((found, operation, size, plan, best))
    report(costs, worst)


def report(
    costs: Mapping[str, list[float]], worst: list[tuple[float, str, Size, str, float]]
) -> None:
    rows = []
    for operation, of_operation in costs.items():
        mean = np.exp(np.mean(np.log1p(of_operation))) - 1
        percentiles = np.percentile(of_operation, [50, 90, 99, 100])
        above = np.mean(np.array(of_operation) > 0.1)
        rows.append([operation, *(f"{each:.1%}" for each in (mean, *percentiles, above))])
    header = ("cost of the choice", "mean", "median", "90 %", "99 %", "worst", "sizes above 10 %")
    print(table(header, rows), end="\n\n")
    worst.sort(key=lambda each: each[0], reverse=True)
    rows = [
        [str(size), operation, f"{found:.0%}", plan, f"{1e3 * best:.3g}"]
        for found, operation, size, plan, best in worst[: int(os.environ.get("TOP", 15))]
    ]
    print(table(("worst", "operation", "cost", "fastest", "its ms"), rows))


if __name__ == "__main__":
    main()
