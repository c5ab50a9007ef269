"""The bilinear form at four sizes, beside PyTorch's F.bilinear and einsum: time and memory.

    python benchmarks/bilinear.py

Forward and forward + backward (gradients of both inputs and the weight) in float32. The memory is
what the process grows by at most in one forward and backward pass, less the result and the gradients
that such a pass must leave behind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from _compare import Numbers, best_time, main, peak_memory, table

SIZES = [(64, 128, 128, 128), (4096, 64, 64, 64), (3872, 128, 64, 128), (1024, 100, 100, 4)]


def label(size: tuple[int, ...]) -> str:
    n, in1, in2, out = size
    return f"{n},{in1},{in2}→{out}"


def values(size: tuple[int, ...]) -> list[Any]:
    n, in1, in2, out = size
    rng = np.random.default_rng(0)
    shapes = ((n, in1), (n, in2), (out, in1, in2))
    return [rng.standard_normal(shape, np.float32) for shape in shapes]


def left_behind(size: tuple[int, ...]) -> int:
    """Bytes of the result, its gradient, and the gradients of inputs and weight."""
    n, in1, in2, out = size
    return 4 * (2 * n * out + n * in1 + n * in2 + out * in1 * in2)


def measure(
    leaves: Callable[[Any], Any],
    forward: Callable[..., Any],
    gradients: Callable[[Any, list[Any]], Any],
) -> Numbers:
    numbers: Numbers = {}
    for size in SIZES:
        arguments = [leaves(value) for value in values(size)]
        warm = [leaves(value) for value in values((8, 4, 4, 4))]
        gradients(forward(*warm), warm)

        def both(arguments: list[Any] = arguments) -> Any:
            return gradients(forward(*arguments), arguments)

        memory = peak_memory(both) - left_behind(size)
        numbers[f"{label(size)} memory"] = max(memory, 0.0) / 2**20
        numbers[f"{label(size)} forward"] = 1e3 * best_time(
            lambda arguments=arguments: forward(*arguments), repeats=50
        )
        numbers[f"{label(size)} both"] = 1e3 * best_time(both, repeats=50)
    return numbers


def lucid() -> Numbers:
    import lucid
    import lucid.nn.functional as F  # noqa: N812

    return measure(
        lambda value: lucid.Tensor(value, requires_grad=True),
        F.bilinear,
        lambda out, leaves: lucid.grad(out, leaves),
    )


def _torch(function: Callable[..., Any]) -> Numbers:
    import torch

    return measure(
        lambda value: torch.tensor(value, requires_grad=True),
        function,
        lambda out, leaves: torch.autograd.grad(out, leaves, torch.ones_like(out)),
    )


def torch_bilinear() -> Numbers:
    import torch

    return _torch(torch.nn.functional.bilinear)


def torch_einsum() -> Numbers:
    import torch

    return _torch(lambda x1, x2, weight: torch.einsum("ni,oij,nj->no", x1, weight, x2))


if __name__ == "__main__":
    found = main(
        {"lucid": lucid, "torch F.bilinear": torch_bilinear, "torch einsum": torch_einsum},
        threads=2,
        rounds=3,
    )
    for key, unit in (("forward", "ms"), ("both", "ms"), ("memory", "MiB")):
        title = {"both": "forward + backward", "memory": "extra memory"}.get(key, key)
        print(f"\n{title}, {unit}")
        rows = [
            (label(size), *(f"{found[name][f'{label(size)} {key}']:.2f}" for name in found))
            for size in SIZES
        ]
        print(table(("N,in1,in2→out", *found), rows))
