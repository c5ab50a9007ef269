"""lucid.torch on a GPU, or another device of PyTorch: right or wrong, times, memory, beside peers.

    python benchmarks/gpu.py                              # on "cuda"; 2 minutes
    python benchmarks/gpu.py --device cpu --quick         # tries the script itself

Each time is the best of some runs of a few calls each, a call being started before the last one has
ended. Training is the result, its sum, and all three gradients. Memory is the most that was held
beside the arguments, results and gradients included. It prints tables of Markdown.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from lucid.torch import bilinear

Array = Any
Form = Callable[[Array, Array, Array], Array]
Shapes = tuple[tuple[int, ...], ...]

SIZES: dict[str, Shapes] = {
    "1024, 64, 64 → 64": ((1024, 64), (1024, 64), (64, 64, 64)),
    "4096, 64, 64 → 64": ((4096, 64), (4096, 64), (64, 64, 64)),
    "3872, 128, 64 → 128": ((3872, 128), (3872, 64), (128, 128, 64)),
    "16384, 128, 128 → 128": ((16384, 128), (16384, 128), (128, 128, 128)),
    "65536, 64, 64 → 256": ((65536, 64), (65536, 64), (256, 64, 64)),
    "128 × 40 × 40, 101, 101 → 45": ((128, 40, 1, 101), (128, 1, 40, 101), (45, 101, 101)),
    "64 × 40 × 40, 501, 501 → 1": ((64, 40, 1, 501), (64, 1, 40, 501), (1, 501, 501)),
}
"""Positions, features of both inputs → outputs; B × S × T are pairs."""

CHECKED: list[Shapes] = [
    ((5, 3), (5, 4), (2, 3, 4)),
    ((129, 65), (129, 33), (17, 65, 33)),
    ((2, 7, 1, 20), (2, 1, 6, 24), (5, 20, 24)),
    ((0, 3), (0, 4), (2, 3, 4)),
    ((700, 64), (700, 64), (64, 64, 64)),
    ((3, 1001, 48), (3, 1001, 80), (16, 48, 80)),
    ((9000, 128), (9000, 128), (128, 128, 128)),
]
TOLERANCE = {
    torch.float64: 1e-12,
    torch.float32: 1e-5,
    torch.float16: 4e-3,
    torch.bfloat16: 3e-2,
    torch.complex64: 1e-5,
}
"""The largest error, relative to the largest number."""


def einsum(x1: Array, x2: Array, weight: Array) -> Array:
    return torch.einsum("...i,oij,...j->...o", x1, weight, x2)


def weight_first(x1: Array, x2: Array, weight: Array) -> Array:
    outputs, features_1, features_2 = weight.shape
    matrix = weight.permute(1, 0, 2).reshape(features_1, outputs * features_2)
    with_first = (x1 @ matrix).unflatten(-1, (outputs, features_2))
    return (with_first @ x2.unsqueeze(-1)).squeeze(-1)


def pairs_first(x1: Array, x2: Array, weight: Array) -> Array:
    return (x1.unsqueeze(-1) * x2.unsqueeze(-2)).flatten(-2) @ weight.flatten(1).T


PEERS: dict[str, Form] = {
    "lucid.torch": bilinear,
    "einsum": einsum,
    "F.bilinear": torch.nn.functional.bilinear,
    "(x1 · W) · x2": weight_first,
    "(x1 ⊗ x2) · W": pairs_first,
}


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--device", default="cuda")
    options.add_argument("--quick", action="store_true", help="small sizes only")
    options.add_argument("--seconds", type=float, default=120, help="after which no size begins")
    chosen = options.parse_args()
    torch.manual_seed(0)
    print(f"{named(chosen.device)}, PyTorch {torch.__version__}\n")
    wrong = check(chosen.device, CHECKED[: -2 if chosen.quick else None])
    compiles(chosen.device)
    sizes = dict(list(SIZES.items())[: 1 if chosen.quick else None])
    stop = time.monotonic() + chosen.seconds
    for title, dtype, precision in (
        ("bfloat16", torch.bfloat16, "highest"),
        ("float32", torch.float32, "highest"),
        ("float32 with TF32 allowed", torch.float32, "high"),
    ):
        torch.set_float32_matmul_precision(precision)
        compare(title, dtype, sizes, chosen.device, stop)
    return wrong


def named(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else device


def check(device: str, calls: list[Shapes]) -> int:
    """Values and gradients beside einsum in float64; how many calls were wrong."""
    wrong = 0
    print("| largest error | lucid.torch | einsum |\n|---|---|---|")
    for dtype, tolerance in TOLERANCE.items():
        name = str(dtype).removeprefix("torch.")
        errors = [error(bilinear, shapes, dtype, device) for shapes in calls]
        peer = max(error(einsum, shapes, dtype, device) for shapes in calls)
        wrong += sum(not each < tolerance for each in errors)
        print(f"| {name} | {max(errors):.1e} | {peer:.1e} |", flush=True)
    print(f"\n{wrong} of {len(TOLERANCE) * len(calls)} calls wrong")
    return wrong


def error(form: Form, shapes: Shapes, dtype: torch.dtype, device: str) -> float:
    wide = torch.complex128 if dtype.is_complex else torch.float64
    narrow = torch.complex64 if dtype.is_complex else torch.float32
    arguments = [torch.randn(s, dtype=narrow, device=device).to(dtype) for s in shapes]
    exact = [each.to(wide).requires_grad_() for each in arguments]
    arguments = [each.requires_grad_() for each in arguments]
    out, wanted = form(*arguments), einsum(*exact)
    g = torch.randn(wanted.shape, dtype=narrow, device=device).to(dtype)
    found = (out, *torch.autograd.grad(out, arguments, g))
    slopes = (wanted, *torch.autograd.grad(wanted, exact, g.to(wide)))
    worst = 0.0
    for one, other in zip(found, slopes, strict=True):
        if one.dtype != dtype or one.shape != other.shape:
            return float("inf")
        if one.numel():
            largest = other.abs().max().clamp_min(1e-30)
            worst = max(worst, ((one.to(wide) - other).abs().max() / largest).item())
    return worst


def compiles(device: str) -> None:
    arguments = [torch.randn(s, device=device) for s in CHECKED[1]]
    out = torch.compile(bilinear, fullgraph=True)(*arguments)
    same = torch.equal(out, bilinear(*arguments))
    print(f"torch.compile(fullgraph=True): {'the same bits' if same else 'other bits'}", flush=True)


def compare(
    title: str, dtype: torch.dtype, sizes: dict[str, Shapes], device: str, stop: float
) -> None:
    print(f"\n### {title}\n\nForward / training in milliseconds, memory of training in MiB.\n")
    print("| N, I, J → O | " + " | ".join(PEERS) + " |\n|---|" + "---|" * len(PEERS), flush=True)
    for size, shapes in sizes.items():
        if time.monotonic() > stop:
            print(f"| {size} | not measured: no time left |")
            continue
        cells = [measured(form, shapes, dtype, device) for form in PEERS.values()]
        print(f"| {size} | " + " | ".join(cells) + " |", flush=True)


def measured(form: Form, shapes: Shapes, dtype: torch.dtype, device: str) -> str:
    arguments = [torch.randn(s, device=device).to(dtype).requires_grad_() for s in shapes]
    try:
        with torch.no_grad():
            forward = best(lambda: form(*arguments), device)
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
        training = best(lambda: torch.autograd.grad(form(*arguments).sum(), arguments), device)
    except (RuntimeError, ValueError) as problem:
        if isinstance(problem, torch.OutOfMemoryError):
            torch.cuda.empty_cache()
            return "out of memory"
        return "not defined"
    cell = f"{forward:.3g} / {training:.3g}"
    if device == "cuda":
        cell += f", {(torch.cuda.max_memory_allocated() - before) / 2**20:.0f}"
    return cell


def best(call: Callable[[], Any], device: str) -> float:
    """Milliseconds of a call: the best of five runs of up to twenty calls."""
    run(call, 1, device)
    once = run(call, 1, device)
    if once > 1:
        return once * 1e3
    times = max(1, min(20, int(0.05 / once)))
    return min(run(call, times, device) for _ in range(5)) * 1e3


def run(call: Callable[[], Any], times: int, device: str) -> float:
    start = time.perf_counter()
    for _ in range(times):
        call()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / times


if __name__ == "__main__":
    sys.exit(main())
