"""Reductions over all pairs, beside the dense way that holds all scores: time and peak memory.

    python benchmarks/reductions.py [WORD …] [--rounds 5]

Each measurement is a process of its own; the ways take turns, and the least time of all rounds is
shown. `forward + gradients` where there are gradients. Memory is the peak of the process beside
what it held with the arguments alone; under JAX, XLA's temporary memory. The dense way: `bilinear`
on (N, 1, I) and (1, M, J), then the library's own reduction. Words choose lines by parts of their
names.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SIZES = {
    "4096 x 4096, 128 -> 1": ((4096, 128), (4096, 128), 1),
    "128 x 40 x 40, 101 -> 1": ((128, 40, 101), (128, 40, 101), 1),
    "128 x 40 x 40, 101 -> 45": ((128, 40, 101), (128, 40, 101), 45),
    "60000 x 60000, 64 -> 1": ((60000, 64), (60000, 64), 1),
}
REDUCTIONS = ("logsumexp", "cross_entropy", "topk", "max", "max + gradients", "rank")
WITH_GRADIENTS = ("logsumexp", "cross_entropy", "max + gradients")
WAYS = (
    "lucid", "lucid dense", "lucid.torch", "torch dense", "torch.compile", "lucid.jax", "jax dense",
)  # fmt: skip
TOO_LARGE = "60000 x 60000, 64 -> 1"  # for the dense ways


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("words", nargs="*")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measured(*options.only)))
        return
    print(f"{platform.processor() or processor()}; Python {platform.python_version()}, ", end="")
    print(f"NumPy {np.__version__}; milliseconds (least of {options.rounds} rounds), MiB\n")
    for size in SIZES:
        for reduction in REDUCTIONS:
            ways = [
                way
                for way in WAYS
                if all(word in f"{size} {reduction} {way}" for word in options.words)
                and not (size == TOO_LARGE and way in ("lucid dense", "torch dense"))
                and not (size == TOO_LARGE and way in ("torch.compile", "jax dense"))
            ]
            best: dict[str, dict[str, float]] = {}
            for _ in range(1 if size == TOO_LARGE else options.rounds):
                for way in ways:
                    found = in_process(size, reduction, way)
                    if found is None:
                        continue
                    known = best.setdefault(way, found)
                    best[way] = {key: min(known[key], found[key]) for key in found}
            for way, found in best.items():
                print(
                    f"{size:<26} {reduction:<15} {way:<14} {found['ms']:9.1f} ms "
                    f"{found['mib']:8.0f} MiB",
                    flush=True,
                )


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def in_process(size: str, reduction: str, way: str) -> dict[str, float] | None:
    done = subprocess.run(
        [sys.executable, __file__, "--only", size, reduction, way],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "killed"
        print(f"{size:<26} {reduction:<15} {way:<14} {reason[:60]}")
        return None
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


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
    start = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts here
    times = []
    for _ in range(1 if size == TOO_LARGE else 5):
        before = time.perf_counter()
        run()
        times.append(time.perf_counter() - before)
    own = getattr(run, "temporaries", None)  # XLA's memory stays with the process
    mib = (memory("VmHWM") - start) / 1024 if own is None else own / 2**20
    return {"ms": 1e3 * min(times), "mib": mib}


def memory(name: str) -> int:
    """KiB of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return 0


def makers() -> dict[str, Callable[..., Callable[[], Any]]]:
    return {
        "lucid": lucid_way, "lucid dense": lucid_dense, "lucid.torch": torch_way,
        "torch dense": torch_dense, "torch.compile": torch_compiled, "lucid.jax": jax_way,
        "jax dense": jax_dense,
    }  # fmt: skip


def first(out: Any) -> Any:
    """The values of a result that has indices too."""
    return out[0] if isinstance(out, tuple) else out


def options_of(reduction: str, target: Any) -> dict[str, Any]:
    if reduction == "topk":
        return {"k": 10}
    return {"target": target} if reduction in ("rank", "cross_entropy") else {}


def lucid_way(reduction: str, x1: Any, x2: Any, weight: Any, target: Any) -> Callable[[], Any]:
    import lucid
    from lucid.nn import functional

    function = getattr(functional, f"bilinear_{reduction.split()[0]}")
    options = options_of(reduction, target)

    def run() -> None:
        grad = reduction in WITH_GRADIENTS
        factors = [lucid.Tensor(each, requires_grad=grad) for each in (x1, x2, weight)]
        out = function(*factors, **options)
        if grad:
            first(out).sum().backward()

    return run


def lucid_dense(reduction: str, x1: Any, x2: Any, weight: Any, target: Any) -> Callable[[], Any]:
    import lucid
    from lucid.nn import functional

    def run() -> None:
        grad = reduction in WITH_GRADIENTS
        a, b, w = (lucid.Tensor(each, requires_grad=grad) for each in (x1, x2, weight))
        scores = functional.bilinear(a[..., :, None, :], b[..., None, :, :], w)
        if reduction == "logsumexp":
            lucid.logsumexp(scores, axis=-2).sum().backward()
        elif reduction == "cross_entropy":
            rows = scores.reshape((-1, *scores.shape[-2:]))
            classes = np.broadcast_to(target.reshape(-1, 1), (rows.shape[0], rows.shape[2]))
            functional.cross_entropy(rows, classes).backward()
        elif reduction == "topk":
            lucid.topk(scores, 10, axis=-2)
        elif grad:
            lucid.max(scores, axis=-2).sum().backward()
        elif reduction == "max":
            lucid.max(scores, axis=-2), lucid.argmax(scores, axis=-2)
        else:
            own = lucid.take_along_axis(scores, lucid.Tensor(target[..., None, None]), axis=-2)
            above = lucid.sum(scores > own, axis=-2)
            1 + above + (lucid.sum(scores == own, axis=-2) - 1) / 2

    return run


def torch_way(reduction: str, *given: Any) -> Callable[[], Any]:
    import torch

    import lucid.torch

    x1, x2, weight, target = map(torch.from_numpy, given)
    function = getattr(lucid.torch, f"bilinear_{reduction.split()[0]}")
    options = options_of(reduction, target)

    def run() -> None:
        grad = reduction in WITH_GRADIENTS
        factors = [each.detach().requires_grad_(grad) for each in (x1, x2, weight)]
        out = function(*factors, **options)
        if grad:
            first(out).sum().backward()

    return run


def _torch_scores(reduction: str, x1: Any, x2: Any, weight: Any, target: Any) -> Any:
    import torch

    scores = torch.einsum("...ni,oij,...mj->...nmo", x1, weight, x2)
    if reduction == "logsumexp":
        return scores.logsumexp(-2).sum()
    if reduction == "cross_entropy":
        rows = scores.reshape(-1, *scores.shape[-2:])
        classes = target.reshape(-1, 1).expand(rows.shape[0], rows.shape[2])
        return torch.nn.functional.cross_entropy(rows, classes)
    if reduction == "topk":
        return scores.topk(10, dim=-2)
    if reduction == "max + gradients":
        return scores.max(dim=-2).values.sum()
    if reduction == "max":
        return scores.max(dim=-2)
    own = scores.gather(-2, target[..., None, None].expand(*target.shape, 1, scores.shape[-1]))
    return 1 + (scores > own).sum(-2) + ((scores == own).sum(-2) - 1) / 2


def torch_dense(reduction: str, *given: Any, compiled: bool = False) -> Callable[[], Any]:
    import torch

    x1, x2, weight, target = map(torch.from_numpy, given)
    function = torch.compile(_torch_scores) if compiled else _torch_scores

    def run() -> None:
        grad = reduction in WITH_GRADIENTS
        factors = [each.detach().requires_grad_(grad) for each in (x1, x2, weight)]
        out = function(reduction, *factors, target)
        if grad:
            out.backward()

    return run


def torch_compiled(*given: Any) -> Callable[[], Any]:
    return torch_dense(*given, compiled=True)


def jax_way(reduction: str, *given: Any) -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp

    import lucid.jax

    x1, x2, weight, target = map(jnp.asarray, given)
    function = getattr(lucid.jax, f"bilinear_{reduction.split()[0]}")
    options = options_of(reduction, target)
    if reduction in WITH_GRADIENTS:
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

    def reduced(x1: Any, x2: Any, weight: Any) -> Any:
        scores = jnp.einsum("...ni,oij,...mj->...nom", x1, weight, x2)
        if reduction == "logsumexp":
            return jax.nn.logsumexp(scores, axis=-1).sum()
        if reduction == "topk":
            return jax.lax.top_k(scores, 10)
        if reduction == "max":
            return scores.max(-1), scores.argmax(-1)
        if reduction == "max + gradients":
            return scores.max(-1).sum()
        places = jnp.broadcast_to(target[..., None, None], (*scores.shape[:-1], 1))
        if reduction == "cross_entropy":
            chances = jax.nn.log_softmax(scores, axis=-1)
            return -jnp.take_along_axis(chances, places, axis=-1).mean()
        own = jnp.take_along_axis(scores, places, axis=-1)
        return 1 + (scores > own).sum(-1) + ((scores == own).sum(-1) - 1) / 2

    has_gradients = reduction in WITH_GRADIENTS
    compute = jax.jit(jax.value_and_grad(reduced, (0, 1, 2)) if has_gradients else reduced)
    return jax_run(compute, x1, x2, weight)


if __name__ == "__main__":
    main()
