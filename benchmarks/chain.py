"""A chain of 600 small operations on (8, 8) float32: what an operation costs beside its arithmetic.

    python benchmarks/chain.py

Prints microseconds an operation, forward and forward + backward, for lucid, PyTorch's eager mode,
HIPS autograd and MyGrad.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from _compare import Numbers, main, table

STEPS = 200  # of three operations each


def values() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.random((8, 8), np.float32), rng.random((8, 8), np.float32)


def chain(x: Any, w: Any, tanh: Callable[[Any], Any]) -> Any:
    y = x
    for _ in range(STEPS):
        y = tanh(y * w + x)
    return y


def measure(forward: Callable[[], Any], backward: Callable[[Any], Any]) -> Numbers:
    best = {"forward": float("inf"), "forward + backward": float("inf")}
    for _ in range(80):
        start = time.perf_counter()
        y = forward()
        middle = time.perf_counter()
        backward(y)
        end = time.perf_counter()
        best["forward"] = min(best["forward"], middle - start)
        best["forward + backward"] = min(best["forward + backward"], end - start)
    return {key: value / (3 * STEPS) * 1e6 for key, value in best.items()}


def lucid() -> Numbers:
    import lucid

    x, w = (lucid.Tensor(value, requires_grad=True) for value in values())
    return measure(lambda: chain(x, w, lucid.tanh), lambda y: y.backward())


def pytorch() -> Numbers:
    import torch

    x, w = (torch.tensor(value, requires_grad=True) for value in values())
    return measure(lambda: chain(x, w, torch.tanh), lambda y: y.backward(torch.ones_like(y)))


def hips_autograd() -> Numbers:
    import autograd.numpy as anp
    from autograd import make_vjp

    # its forward pass and its tape are made together, by make_vjp
    pair = values()
    tape = make_vjp(lambda both: chain(both[0], both[1], anp.tanh))
    return measure(lambda: tape(pair), lambda made: made[0](np.ones((8, 8), np.float32)))


def mygrad() -> Numbers:
    import mygrad as mg

    x, w = (mg.tensor(value) for value in values())
    return measure(lambda: chain(x, w, mg.tanh), lambda y: y.backward())


if __name__ == "__main__":
    found = main(
        {
            "lucid": lucid,
            "PyTorch eager": pytorch,
            "HIPS autograd": hips_autograd,
            "MyGrad": mygrad,
        },
        threads=1,
        rounds=5,
    )
    print(
        table(
            ("µs an operation", "forward", "forward + backward"),
            [(name, *(f"{value:.2f}" for value in row.values())) for name, row in found.items()],
        )
    )
