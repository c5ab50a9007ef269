"""A weight for each row out of several: `group=` beside gathering the weights, under PyTorch.

    python benchmarks/groups.py [--rounds 5]

A training step (forward, and the gradients of the inputs and the weights), milliseconds, the least
of some rounds in turns, and the memory of a step: the process's peak, above what there was. Where
the gathered weights and their gradients would take too much memory, they are left out.
"""

from __future__ import annotations

import argparse
import ctypes
import time
from collections.abc import Callable
from typing import Any

from _compare import Memory, describe_machine, table

SIZES = [  # groups, rows of each, features, features, outputs
    (1000, 5, 64, 64, 1), (1000, 5, 16, 16, 16), (100, 50, 32, 32, 32), (8, 2000, 64, 64, 64),
    (50, 200, 200, 200, 1),
]  # fmt: skip

MOST = 4 << 30
"""Bytes of gathered weights."""


def peak(call: Callable[[], Any]) -> float:
    """MiB."""
    ctypes.CDLL(None).malloc_trim(0)  # or what was freed before would be taken for nothing
    memory = Memory()
    call()
    return memory.growth() / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="*", default=range(len(SIZES)))
    rounds, chosen = vars(parser.parse_args()).values()
    import torch

    from lucid.torch import bilinear

    def gathered(x1: Any, x2: Any, weight: Any, group: Any) -> Any:
        of_row = weight[group].flatten(1, 2)  # (rows, out · in1, in2)
        out = torch.bmm(of_row, x2[:, :, None]).view(len(x1), -1, x1.shape[1])
        return torch.bmm(out, x1[:, :, None])[..., 0]

    def einsum(x1: Any, x2: Any, weight: Any, group: Any) -> Any:
        return torch.einsum("ei,eoij,ej->eo", x1, weight[group], x2)

    def ours(x1: Any, x2: Any, weight: Any, group: Any) -> Any:
        return bilinear(x1, x2, weight, group=group)

    describe_machine(torch.get_num_threads())
    names = ("group=", "gather + bmm", "einsum")
    columns = [f"{name}, {unit}" for name in names for unit in ("ms", "MiB")]
    lines = []
    for groups, each, first, second, outputs in (SIZES[k] for k in chosen):
        torch.manual_seed(0)
        rows = groups * each
        ordered = torch.arange(groups).repeat_interleave(each)
        given = [
            torch.randn(*shape, requires_grad=True)
            for shape in ((rows, first), (rows, second), (groups, outputs, first, second))
        ]
        for name, group in (("sorted", ordered), ("mixed", ordered[torch.randperm(rows)])):

            def step(form: Any, group: Any = group, given: Any = given) -> None:
                torch.autograd.grad(form(*given, group).square().sum(), given)

            bytes_gathered = 4 * rows * outputs * first * second
            forms = (ours, gathered, einsum) if bytes_gathered <= MOST else (ours,)
            least = dict.fromkeys(forms, 1e9)
            memory = {}
            for form in forms:
                step(form)
                memory[form] = peak(lambda form=form: step(form))  # type: ignore[misc]
            for _ in range(rounds):
                for form in forms:
                    begin = time.perf_counter()
                    step(form)
                    least[form] = min(least[form], time.perf_counter() - begin)
            size = f"{groups} × {each}, {first}, {second} → {outputs}, {name}"
            cells = [x for f in forms for x in (f"{1e3 * least[f]:.1f}", f"{memory[f]:.0f}")]
            if len(forms) == 1:  # what the gathered weights alone would hold
                cells += ["", f"> {bytes_gathered >> 20}"] * 2
            lines.append([size, *cells])
    print(table(("groups × rows, in1, in2 → out", *columns), lines))


if __name__ == "__main__":
    main()
