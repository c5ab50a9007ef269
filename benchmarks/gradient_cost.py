"""What a gradient costs: forward and backward over forward alone, for functions of the standard.

    python benchmarks/gradient_cost.py

Prints for each function, in float64 at a large and a small size, how many times as long as the
forward pass alone forward and backward take together, for lucid, PyTorch and HIPS autograd, and the
time of both passes. Every pass back starts from a gradient of ones; the forward pass alone records
nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from _compare import Numbers, main, table

SECONDS = 0.05  # for each number
SIZES = {"large": (500, 1000, 250), "small": (4, 5, 3)}  # rows, columns, the side of a matrix

Function = Callable[..., Any]
Case = tuple[str, Function, list[Any]]  # a name, a function of Tensors and NumPy's arrays for it


def cases(xp: Any, size: str, differing: dict[str, Function]) -> Iterator[Case]:
    """The functions as a library has them; those that it names otherwise are `differing`."""
    rows, columns, side = SIZES[size]
    rng = np.random.default_rng(0)
    x, y = rng.random((rows, columns)) + 0.5, rng.random((rows, columns)) + 0.5
    a, b = rng.random((side, side)) + side * np.eye(side), rng.random((side, side))
    definite = b @ b.T + side * np.eye(side)

    def of(name: str) -> Function:
        return differing.get(name) or getattr(xp, name)

    def eigh(a: Any) -> Any:
        values, vectors = xp.linalg.eigh(a)
        return vectors * values

    yield "exp", xp.exp, [x]
    yield "log1p", xp.log1p, [x]
    yield "tanh", xp.tanh, [x]
    yield "multiply", lambda x, y: x * y, [x, y]
    yield "divide", lambda x, y: x / y, [x, y]
    yield "pow", lambda x, y: x**y, [x, y]
    yield "add, broadcast", lambda x, y: x + y, [x, x[0]]
    yield "maximum", xp.maximum, [x, y]
    yield "where", lambda x, y: xp.where(x > y, x, y), [x, y]
    for name in ("sum", "var", "max", "prod", "logsumexp", "cumulative_sum", "sort"):
        yield name, of(name), [x]
    yield "concat", lambda x, y: of("concat")((x, y)), [x, y]
    yield "x[1:, ::2]", lambda x: x[1:, ::2], [x]
    yield "x.T, added", lambda x, y: x.T + y, [x, np.ascontiguousarray(y.T)]
    yield "matmul", lambda a, b: a @ b, [a, b]
    yield "einsum", lambda a, b: xp.einsum("ij,kj->ik", a, b), [a, b]
    yield "linalg.solve", xp.linalg.solve, [a, b]
    yield "linalg.inv", xp.linalg.inv, [a]
    yield "linalg.slogdet", lambda a: xp.linalg.slogdet(a)[1], [a]
    yield "linalg.cholesky", xp.linalg.cholesky, [definite]
    yield "linalg.eigh", eigh, [definite]
    yield "fft.rfft", lambda x: xp.abs(xp.fft.rfft(x)), [x]


def seconds(call: Function) -> float:
    call()
    best, end = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end or best == float("inf"):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def measure(
    xp: Any,
    differing: dict[str, Function],
    forward: Callable[[Function, list[Any]], Function],
    both: Callable[[Function, list[Any]], Function],
) -> Numbers:
    """Both numbers of all functions; of those that the library does not differentiate, infinity."""
    found = {}
    for size in SIZES:
        for name, function, arrays in cases(xp, size, differing):
            for what, made in (("forward", forward), ("both", both)):
                key = f"{name}/{size}/{what}"
                try:
                    found[key] = seconds(made(function, arrays))
                except (NotImplementedError, TypeError, AttributeError):
                    found[key] = float("inf")
    return found


def lucid() -> Numbers:
    import lucid

    differing = {
        "sum": lambda x: lucid.sum(x, axis=0),
        "prod": lambda x: lucid.prod(x, axis=0),
        "cumulative_sum": lambda x: lucid.cumulative_sum(x, axis=1),
    }

    def forward(function: Function, arrays: list[Any]) -> Function:
        tensors = [lucid.Tensor(array) for array in arrays]
        return lambda: function(*tensors)

    def both(function: Function, arrays: list[Any]) -> Function:
        tensors = [lucid.Tensor(array, requires_grad=True) for array in arrays]
        start = lucid.ones_like(function(*tensors).detach())
        return lambda: lucid.grad(function(*tensors), tensors, start)

    return measure(lucid, differing, forward, both)


def pytorch() -> Numbers:
    import torch

    differing = {
        "sum": lambda x: torch.sum(x, 0),
        "prod": lambda x: torch.prod(x, 0),
        "var": lambda x: torch.var(x, correction=0),
        "logsumexp": lambda x: torch.logsumexp(x, (0, 1)),
        "cumulative_sum": lambda x: torch.cumsum(x, 1),
        "sort": lambda x: torch.sort(x)[0],
    }

    def forward(function: Function, arrays: list[Any]) -> Function:
        tensors = [torch.tensor(array) for array in arrays]
        return lambda: function(*tensors)

    def both(function: Function, arrays: list[Any]) -> Function:
        tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
        start = torch.ones_like(function(*tensors).detach())
        return lambda: torch.autograd.grad(function(*tensors), tensors, start)

    return measure(torch, differing, forward, both)


def hips_autograd() -> Numbers:
    import autograd.numpy as anp
    from autograd import make_vjp
    from autograd.scipy.special import logsumexp

    differing = {
        "sum": lambda x: anp.sum(x, 0),
        "prod": lambda x: anp.prod(x, 0),
        "logsumexp": logsumexp,
        "cumulative_sum": lambda x: anp.cumsum(x, 1),
        "concat": anp.concatenate,
    }

    def both(function: Function, arrays: list[Any]) -> Function:
        # its forward pass and its tape are made together, by make_vjp
        tape = make_vjp(lambda several: function(*several))
        several = tuple(arrays)
        start = np.ones_like(function(*arrays))
        return lambda: tape(several)[0](start)

    return measure(anp, differing, lambda function, arrays: lambda: function(*arrays), both)


CONTENDERS = {"lucid": lucid, "PyTorch": pytorch, "HIPS autograd": hips_autograd}


def rows(found: dict[str, Numbers], cell: Callable[[str, float, float], str]) -> Iterator[Any]:
    """A row for each function, with a cell of each library at each size."""
    for name in dict.fromkeys(key.partition("/")[0] for key in found["lucid"]):
        pairs = [
            (size, numbers[f"{name}/{size}/forward"], numbers[f"{name}/{size}/both"])
            for size in SIZES
            for numbers in found.values()
        ]
        yield name, *("–" if pair[2] == float("inf") else cell(*pair) for pair in pairs)


def ratio(_size: str, forward: float, both: float) -> str:
    return f"{both / forward:.1f}"


def taken(size: str, _forward: float, both: float) -> str:
    return f"{both * 1e3:.2f} ms" if size == "large" else f"{both * 1e6:.0f} µs"


if __name__ == "__main__":
    # freed memory is kept: fresh pages cost more than the arithmetic, in all three alike
    os.environ |= {f"MALLOC_{what}_THRESHOLD_": str(2**30) for what in ("TRIM", "MMAP")}
    results = main(CONTENDERS, threads=1, rounds=2)
    columns = [f"{size}: {name}" for size in SIZES for name in results]
    print("Forward and backward, over forward:\n")
    print(table(("function", *columns), rows(results, ratio)))
    print("\nForward and backward:\n")
    print(table(("function", *columns), rows(results, taken)))
