"""Reductions over all pairs, beside the dense way that holds all scores: time and peak memory.

    python benchmarks/reductions.py [WORD …] [--rounds 3] [--jax]

prints a table: milliseconds / MiB of lucid, the dense way in lucid, lucid.torch, the dense way in
PyTorch and what torch.compile makes of that; with --jax, of lucid.jax and the dense way under
jax.jit. The dense way: `bilinear` (PyTorch: `einsum`) on (N, 1, I) and (1, M, J), then the
library's own reduction.

Each measurement is a process of its own, forked from one that has only imported its library. The
ways take turns, and the least of all rounds is shown; in each, the least of several calls. Memory
is the peak of the process beside what it held with the arguments alone (after compiling); under
JAX, XLA's temporary memory. Words choose lines by parts of their names, as "4096" or "rank".
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from _compare import Memory, describe_machine

SIZES = {
    "4096 × 4096, 128 → 1": ((4096, 128), (4096, 128), 1),
    "128 × (40 × 40), 101 → 1": ((128, 40, 101), (128, 40, 101), 1),
    "128 × (40 × 40), 101 → 45": ((128, 40, 101), (128, 40, 101), 45),
    "80,000 × 80,000, 64 → 1": ((80_000, 64), (80_000, 64), 1),
}
TOO_LARGE = "80,000 × 80,000, 64 → 1"  # 24 GiB of scores: lucid alone, once
GRADIENTS = " + gradients"
REDUCTIONS = [
    name + more
    for name in ("logsumexp", "cross_entropy", "max", "topk", "rank")
    for more in (("",) if name == "rank" else ("", GRADIENTS))
]
WAYS = ("lucid", "lucid dense", "lucid.torch", "torch dense", "torch.compile")
JAX_WAYS = ("lucid.jax", "jax dense")
LIBRARIES = {
    "lucid": ("lucid",), "lucid dense": ("lucid",), "lucid.torch": ("torch", "lucid.torch"),
    "torch dense": ("torch",), "torch.compile": ("torch", "torch._inductor.compile_fx"),
    "lucid.jax": ("jax", "lucid.jax"), "jax dense": ("jax",),
}  # fmt: skip
SECONDS = 0.5  # of calls, in each round


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("words", nargs="*")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jax", action="store_true")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    ways = JAX_WAYS if options.jax else WAYS
    describe_machine(len(os.sched_getaffinity(0)))
    print(f"float32, ms / MiB, least of {options.rounds} rounds\n")
    print("| | " + " | ".join(ways) + " |")
    print("|---" * (1 + len(ways)) + "|")
    servers = {way: Server(way) for way in ways}
    for size in SIZES:
        for reduction in REDUCTIONS:
            name = f"{reduction.replace('_', '-')}, {size}"
            if not all(word in name for word in options.words):
                continue
            taken = ways if size != TOO_LARGE else [way for way in ways if way == "lucid"]
            if not taken:
                continue
            best: dict[str, dict[str, float]] = {}
            for _ in range(1 if size == TOO_LARGE else options.rounds):
                for way in taken:
                    found = servers[way].measure(size, reduction)
                    known = best.setdefault(way, found)
                    best[way] = {key: min(known[key], found[key]) for key in found}
            cells = [told(best[way]) if way in best else "" for way in ways]
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def told(found: dict[str, float]) -> str:
    ms = found["ms"]
    return f"{ms:,.0f} / {found['mib']:.0f}" if ms >= 20 else f"{ms:.1f} / {found['mib']:.0f}"


class Server:
    """A process that has imported what a way needs, and forks for each measurement."""

    def __init__(self, way: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve", way],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def measure(self, size: str, reduction: str) -> dict[str, float]:
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("the process has no pipes")
        print(json.dumps([size, reduction]), file=self.process.stdin, flush=True)
        found: dict[str, float] = json.loads(self.process.stdout.readline())
        return found


def serve(way: str) -> None:
    for name in LIBRARIES[way]:
        import_module(name)
    for line in sys.stdin:
        if os.fork() == 0:
            print(json.dumps(measured(*json.loads(line), way)), flush=True)
            os._exit(0)
        _, status = os.wait()
        if status:
            sys.exit(f"{way}: {line}")


def measured(size: str, reduction: str, way: str) -> dict[str, float]:
    shape_1, shape_2, outputs = SIZES[size]
    random = np.random.default_rng(0)
    x1 = random.standard_normal(shape_1, dtype=np.float32)
    x2 = random.standard_normal(shape_2, dtype=np.float32)
    weight = random.standard_normal((outputs, shape_1[-1], shape_2[-1]), dtype=np.float32) / 100
    target = random.integers(0, shape_2[-2], shape_1[:-1])
    run = makers()[way](reduction, x1, x2, weight, target)
    if way in ("torch.compile", "lucid.jax", "jax dense"):
        run()  # which compiles
    memory = Memory()
    times: list[float] = []
    while not times or (size != TOO_LARGE and (sum(times) < SECONDS or len(times) < 3)):
        before = time.perf_counter()
        run()
        times.append(time.perf_counter() - before)
    own = getattr(run, "temporaries", None)  # XLA's memory stays with the process
    grown = memory.growth() if own is None else own
    return {"ms": 1e3 * min(times), "mib": grown / 2**20}


def makers() -> dict[str, Callable[..., Callable[[], Any]]]:
    return {
        "lucid": lucid_way, "lucid dense": lucid_dense, "lucid.torch": torch_way,
        "torch dense": torch_dense, "torch.compile": torch_compiled, "lucid.jax": jax_way,
        "jax dense": jax_dense,
    }  # fmt: skip


def first(out: Any) -> Any:
    """The values of a result that has indices too."""
    return out[0] if isinstance(out, tuple) else out


def named(reduction: str) -> tuple[str, bool]:
    """A reduction, and whether its gradients are wanted."""
    return reduction.removesuffix(GRADIENTS), reduction.endswith(GRADIENTS)


def options_of(name: str, target: Any) -> dict[str, Any]:
    if name == "topk":
        return {"k": 10}
    return {"target": target} if name in ("rank", "cross_entropy") else {}


def runs(compute: Callable[..., Any], factors: list[Any], grad: bool) -> Callable[[], Any]:
    """A call of this, and the gradients of its sum."""

    def run() -> None:
        for each in factors:
            each.grad = None
        out = compute(*factors)
        if grad:
            first(out).sum().backward()

    return run


def lucid_way(reduction: str, x1: Any, x2: Any, weight: Any, target: Any) -> Callable[[], Any]:
    import lucid
    from lucid.nn import functional

    name, grad = named(reduction)
    function, options = getattr(functional, f"bilinear_{name}"), options_of(name, target)
    factors = [lucid.Tensor(each, requires_grad=grad) for each in (x1, x2, weight)]
    return runs(lambda *given: function(*given, **options), factors, grad)


def lucid_dense(reduction: str, x1: Any, x2: Any, weight: Any, target: Any) -> Callable[[], Any]:
    import lucid
    from lucid.nn import functional

    name, grad = named(reduction)

    def compute(a: Any, b: Any, w: Any) -> Any:
        scores = functional.bilinear(a[..., :, None, :], b[..., None, :, :], w)
        if name == "logsumexp":
            return lucid.logsumexp(scores, axis=-2)
        if name == "cross_entropy":
            rows = scores.reshape((-1, *scores.shape[-2:]))
            classes = np.broadcast_to(target.reshape(-1, 1), (rows.shape[0], rows.shape[2]))
            return functional.cross_entropy(rows, classes)
        if name == "topk":
            return tuple(lucid.topk(scores, 10, axis=-2))
        if name == "max":
            largest = lucid.max(scores, axis=-2)
            return largest if grad else (largest, lucid.argmax(scores, axis=-2))
        own = lucid.take_along_axis(scores, lucid.Tensor(target[..., None, None]), axis=-2)
        above = lucid.sum(scores > own, axis=-2)
        return 1 + above + (lucid.sum(scores == own, axis=-2) - 1) / 2

    factors = [lucid.Tensor(each, requires_grad=grad) for each in (x1, x2, weight)]
    return runs(compute, factors, grad)


def torch_way(reduction: str, *given: Any) -> Callable[[], Any]:
    import torch

    import lucid.torch

    x1, x2, weight, target = map(torch.from_numpy, given)
    name, grad = named(reduction)
    function, options = getattr(lucid.torch, f"bilinear_{name}"), options_of(name, target)
    factors = [each.requires_grad_(grad) for each in (x1, x2, weight)]
    return runs(lambda *given: function(*given, **options), factors, grad)


def _torch_reduced(name: str, x1: Any, x2: Any, weight: Any, target: Any) -> Any:
    import torch

    scores = torch.einsum("...ni,oij,...mj->...nmo", x1, weight, x2)
    if name == "logsumexp":
        return scores.logsumexp(-2)
    if name == "cross_entropy":
        rows = scores.reshape(-1, *scores.shape[-2:])
        classes = target.reshape(-1, 1).expand(rows.shape[0], rows.shape[2])
        return torch.nn.functional.cross_entropy(rows, classes)
    if name == "topk":
        return tuple(scores.topk(10, dim=-2))
    if name == "max":
        return tuple(scores.max(dim=-2))
    own = scores.gather(-2, target[..., None, None].expand(*target.shape, 1, scores.shape[-1]))
    return 1 + (scores > own).sum(-2) + ((scores == own).sum(-2) - 1) / 2


def torch_dense(reduction: str, *given: Any, compiled: bool = False) -> Callable[[], Any]:
    import torch

    x1, x2, weight, target = map(torch.from_numpy, given)
    name, grad = named(reduction)
    function = torch.compile(_torch_reduced) if compiled else _torch_reduced
    factors = [each.requires_grad_(grad) for each in (x1, x2, weight)]
    return runs(lambda *given: function(name, *given, target), factors, grad)


def torch_compiled(*given: Any) -> Callable[[], Any]:
    return torch_dense(*given, compiled=True)


def jax_way(reduction: str, *given: Any) -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp

    import lucid.jax

    x1, x2, weight, target = map(jnp.asarray, given)
    name, grad = named(reduction)
    function, options = getattr(lucid.jax, f"bilinear_{name}"), options_of(name, target)
    if grad:
        value = lambda *f: first(function(*f, **options)).sum()  # noqa: E731
        compute = jax.jit(jax.value_and_grad(value, (0, 1, 2)))
    else:
        compute = jax.jit(lambda *f: function(*f, **options))
    return jax_run(compute, x1, x2, weight)


def jax_run(compute: Any, *given: Any) -> Callable[[], Any]:
    import jax

    compiled = compute.lower(*given).compile()

    def run() -> None:
        jax.block_until_ready(compiled(*given))

    run.temporaries = compiled.memory_analysis().temp_size_in_bytes  # type: ignore[attr-defined]
    return run


def jax_dense(reduction: str, *given: Any) -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp

    x1, x2, weight, target = map(jnp.asarray, given)
    name, grad = named(reduction)

    def reduced(x1: Any, x2: Any, weight: Any) -> Any:
        scores = jnp.einsum("...ni,oij,...mj->...nom", x1, weight, x2)
        if name == "logsumexp":
            return jax.nn.logsumexp(scores, axis=-1)
        if name == "topk":
            return tuple(jax.lax.top_k(scores, 10))
        if name == "max":
            return scores.max(-1), scores.argmax(-1)
        places = jnp.broadcast_to(target[..., None, None], (*scores.shape[:-1], 1))
        if name == "cross_entropy":
            chances = jax.nn.log_softmax(scores, axis=-1)
            return -jnp.take_along_axis(chances, places, axis=-1).mean()
        own = jnp.take_along_axis(scores, places, axis=-1)
        return 1 + (scores > own).sum(-1) + ((scores == own).sum(-1) - 1) / 2

    value = lambda *factors: first(reduced(*factors)).sum()  # noqa: E731
    compute = jax.jit(jax.value_and_grad(value, (0, 1, 2)) if grad else reduced)
    return jax_run(compute, x1, x2, weight)


if __name__ == "__main__":
    main()
