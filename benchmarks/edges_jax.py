"""Edge-conditioned convolution under JAX: `index_1=`, `segment=` beside gathering by hand.

    python benchmarks/edges_jax.py [--edges 20000] [--nodes 5000] [--rounds 5]

The compiled forward and all gradients of the form over edges, 64, 32 → 64 in float32: milliseconds
(the least of some rounds, in turns) and the most memory that a step takes beside what there was,
each in a process of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from typing import Any

from _compare import Memory, describe_machine, table

WAYS = ("lucid.jax", "a weight for each edge", "einsum of gathered rows")


def step_of(way: str, edges: int, nodes: int) -> Any:
    """A step without arguments, compiled."""
    import jax
    import jax.numpy as jnp

    from lucid.jax import bilinear

    keys = jax.random.split(jax.random.key(0), 5)
    source, target = jax.random.randint(keys[0], (2, edges), 0, nodes)
    shapes = (nodes, 64), (edges, 32), (64, 64, 32)
    given = [jax.random.normal(k, shape) for k, shape in zip(keys[1:], shapes, strict=False)]

    def ours(x: Any, hidden: Any, weight: Any, source: Any, target: Any) -> Any:
        return bilinear(x, hidden, weight, index_1=source, segment=target, num_segments=nodes)

    def weights(x: Any, hidden: Any, weight: Any, source: Any, target: Any) -> Any:
        of_edge = jnp.einsum("eh,oih->eio", hidden, weight)
        found = jnp.einsum("ei,eio->eo", x[source], of_edge)
        return jax.ops.segment_sum(found, target, nodes)

    def einsum(x: Any, hidden: Any, weight: Any, source: Any, target: Any) -> Any:
        found = jnp.einsum("ei,oih,eh->eo", x[source], weight, hidden)
        return jax.ops.segment_sum(found, target, nodes)

    form = dict(zip(WAYS, (ours, weights, einsum), strict=True))[way]
    slopes = jax.jit(jax.grad(lambda *a: (form(*a) ** 2).sum(), (0, 1, 2)))
    compiled = slopes.lower(*given, source, target).compile()
    jax.block_until_ready((*given, source, target))
    return lambda: jax.block_until_ready(compiled(*given, source, target))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edges", type=int, default=20_000)
    parser.add_argument("--nodes", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    size = given.edges, given.nodes
    if given.one:
        step = step_of(given.one, *size)
        memory = Memory()
        step()
        print(memory.growth() / 2**20)
        return
    describe_machine(len(os.sched_getaffinity(0)))
    print(f"{given.edges} edges, {given.nodes} nodes")
    steps = {way: step_of(way, *size) for way in WAYS}
    least = dict.fromkeys(WAYS, 1e9)
    for number in range(given.rounds + 1):  # the first one does not count
        for way, step in steps.items():
            begin = time.perf_counter()
            step()
            if number:
                least[way] = min(least[way], time.perf_counter() - begin)
    rows = []
    for way, seconds in least.items():
        grown = subprocess.run(
            [sys.executable, __file__, "--edges", str(given.edges), "--nodes", str(given.nodes),
             "--one", way],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        rows.append((way, f"{1e3 * seconds:.1f}", f"{float(grown):.0f}"))
    print(table(("", "ms", "MiB"), rows))


if __name__ == "__main__":
    main()
