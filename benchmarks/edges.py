"""Edge-conditioned convolution and DimeNet's interaction, PyTorch Geometric's and swapped.

    python benchmarks/edges.py [--edges 20000] [--nodes 5000] [--rounds 5]

A training step (forward, and all gradients) of one layer: milliseconds (the least of some rounds,
alternating) and the most memory that it takes beside what there was, each in a process of its own.
Needs torch and torch_geometric.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from typing import Any

from _compare import Memory, describe_machine


def layer(which: str, edges: int, nodes: int) -> tuple[Any, tuple[Any, ...]]:
    import torch
    from torch_geometric.nn import NNConv
    from torch_geometric.nn.models.dimenet import InteractionBlock

    torch.manual_seed(0)
    source, target = torch.randint(0, nodes, (2, edges))
    if which == "NNConv":
        network = torch.nn.Sequential(
            torch.nn.Linear(16, 32), torch.nn.ReLU(), torch.nn.Linear(32, 64 * 64)
        )
        x = torch.randn(nodes, 64, requires_grad=True)
        return NNConv(64, 64, network), (
            x, torch.stack([source, target]), torch.randn(edges, 16),
        )  # fmt: skip
    x, rbf, sbf = torch.randn(nodes, 128, requires_grad=True), torch.randn(nodes, 6), (edges, 42)
    block = InteractionBlock(128, 8, 7, 6, 1, 2, torch.nn.functional.silu)
    return block, (x, rbf, torch.randn(*sbf), source, target)


def step(module: Any, arguments: tuple[Any, ...]) -> list[Any]:
    import torch

    out = module(*arguments)
    return list(torch.autograd.grad(out.square().sum(), [arguments[0], *module.parameters()]))


def one(which: str, swapped: bool, edges: int, nodes: int) -> None:
    """Print the memory of a step, in MiB."""
    from lucid.torch import swap

    step(*(lambda m, a: ((swap(m) if swapped else m), a))(*layer(which, 64, 16)))
    module, arguments = layer(which, edges, nodes)
    if swapped:
        swap(module)
    memory = Memory()
    step(module, arguments)
    print(memory.growth() / 2**20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edges", type=int, default=20_000)
    parser.add_argument("--nodes", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(given.one[0], given.one[1] == "swapped", given.edges, given.nodes)
        return
    import torch
    import torch_geometric

    from lucid.torch import swap, unswap

    describe_machine(torch.get_num_threads())
    print(
        f"torch_geometric {torch_geometric.__version__}; {given.edges} edges, {given.nodes} nodes"
    )
    for which in ("NNConv", "InteractionBlock"):
        module, arguments = layer(which, given.edges, given.nodes)
        theirs, ours = step(module, arguments), step(swap(module), arguments)
        worst = max(
            float((a - b).abs().max() / a.abs().max()) for a, b in zip(theirs, ours, strict=True)
        )
        least = {"theirs": 1e9, "swapped": 1e9}
        for _ in range(given.rounds):
            for name, change in (("theirs", unswap), ("swapped", swap)):
                change(module)
                begin = time.perf_counter()
                step(module, arguments)
                least[name] = min(least[name], time.perf_counter() - begin)
        for name, seconds in least.items():
            memory = subprocess.run(
                [sys.executable, __file__, "--edges", str(given.edges), "--nodes",
                 str(given.nodes), "--one", which, name],
                capture_output=True, text=True, check=True,
            ).stdout  # fmt: skip
            print(f"{which:17s} {name:8s} {1e3 * seconds:8.1f} ms {float(memory):8.1f} MiB")
        print(f"{which:17s} largest difference of a gradient: {worst:.1e}")


if __name__ == "__main__":
    main()
