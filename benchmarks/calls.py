"""How far a call of the bilinear form goes: functions called, files entered, and its time.

For lucid's Tensors, PyTorch's tensors and JAX's arrays, for rows, pairs and halves, forward and
forward with backward; under PyTorch also what an autograd function and a custom operator cost that
do nothing. Counted by Python's profiler hook are the Python functions of `lucid` that a warm call
enters, and the calls of the compiled kernel; times are the smallest of many, on one thread, at 18
rows or 2 × 3 × 3 pairs of 6 × 6 → 4 features with a bias, and at the sizes that are named. A pass
back starts from a given gradient or from a sum; `.grad` is None again after it, unless it is said
to accumulate.

    python benchmarks/calls.py
"""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable
from typing import Any

for _library in ("LUCID", "OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"

import numpy as np  # noqa: E402

import lucid  # noqa: E402
from lucid.nn import functional as F  # noqa: E402, N812

OURS = os.path.dirname(lucid.__file__)
ROWS = ((18, 6), (18, 6), (4, 6, 6), (4,))
PAIRS = ((2, 3, 1, 6), (2, 1, 3, 6), (4, 6, 6), (4,))
KINDS = (
    ("rows", ROWS, "float32"), ("pairs", PAIRS, "float32"), ("halves", ROWS, "float16"),
    ("16,13,7→17", ((16, 13), (16, 7), (17, 13, 7)), "float32"),
    ("4,1,1→1", ((4, 1), (4, 1), (1, 1, 1)), "float32"),
)  # fmt: skip

Call = Callable[[], Any]


def walk(call: Call) -> tuple[int, int, int]:
    """Python functions of lucid entered, files of lucid entered, calls of the compiled kernel."""
    for _ in range(3):
        call()
    calls, kernel = [0], [0]
    files = set()

    def hook(frame: Any, event: str, what: Any) -> None:
        name = frame.f_code.co_filename
        if event == "call" and (
            name.startswith(OURS) or frame.f_globals.get("__name__", "").startswith("lucid")
        ):
            calls[0] += 1
            files.add(name)
        elif event == "c_call" and getattr(what, "__name__", "") in (
            "bilinear", "gradients", "bilinear_keeping", "gradients_kept",
        ):  # fmt: skip
            kernel[0] += 1

    sys.setprofile(hook)
    try:
        call()
    finally:
        sys.setprofile(None)
    return calls[0], len(files), kernel[0]


def microseconds(call: Call, budget: float = 0.3) -> float:
    best, end = float("inf"), time.perf_counter() + budget
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(20):
            call()
        best = min(best, (time.perf_counter() - start) / 20)
    return best * 1e6


def arrays(shapes: Any, dtype: Any) -> list[Any]:
    random = np.random.default_rng(0)
    return [random.standard_normal(shape).astype(dtype) for shape in shapes]


def lucid_calls(shapes: Any, dtype: str) -> dict[str, Call]:
    given = arrays(shapes, dtype)
    plain = [lucid.Tensor(each) for each in given]
    tracked = [lucid.Tensor(each, requires_grad=True) for each in given]
    g = lucid.Tensor(np.ones_like(np.asarray(F.bilinear(*plain).numpy())))
    return {
        "forward": lambda: F.bilinear(*plain),
        "forward, arrays": lambda: F.bilinear(*given),
        "forward + backward": lambda: _cleared(tracked, F.bilinear(*tracked).backward(g)),
        "the same, accumulating": lambda: F.bilinear(*tracked).backward(g),
        "forward, sum, backward": lambda: _cleared(tracked, F.bilinear(*tracked).sum().backward()),
    }


def _cleared(leaves: list[Any], _: None) -> None:
    for leaf in leaves:
        leaf.grad = None


def torch_calls(shapes: Any, dtype: str) -> dict[str, Call]:
    import torch

    import lucid.torch

    torch.set_num_threads(1)
    given = [torch.from_numpy(each).to(getattr(torch, dtype)) for each in arrays(shapes, "float32")]
    tracked = [each.clone().requires_grad_() for each in given]
    g = torch.ones_like(lucid.torch.bilinear(*given))
    empty, operator = _nothing()
    return {
        "forward": lambda: lucid.torch.bilinear(*given),
        "forward + backward": lambda: _cleared(tracked, lucid.torch.bilinear(*tracked).backward(g)),
        "an empty function": lambda: _cleared(tracked, empty(g, *tracked).backward(g)),
        "an empty operator": lambda: _cleared(tracked, operator(g, tracked).backward(g)),
    }


@functools.cache
def _nothing() -> tuple[Call, Call]:
    """An autograd function and a custom operator that only make results: what PyTorch costs."""
    import torch

    class Empty(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, like: Any, *given: Any) -> Any:
            ctx.save_for_backward(*given)
            return torch.empty_like(like)

        @staticmethod
        def backward(ctx: Any, _: Any) -> Any:
            return None, *map(torch.empty_like, ctx.saved_tensors)

    def setup(ctx: Any, inputs: Any, output: Any) -> None:  # noqa: ARG001 (its name)
        ctx.save_for_backward(*inputs[1])

    def backward(ctx: Any, _: Any) -> Any:
        return None, list(map(torch.empty_like, ctx.saved_tensors))

    operator = torch.library.custom_op(
        "calls::empty", mutates_args=(), schema="(Tensor like, Tensor[] given) -> Tensor"
    )(lambda like, given: torch.empty_like(like))  # noqa: ARG005 (its name)
    operator.register_autograd(backward, setup_context=setup)
    return Empty.apply, operator


def jax_calls(shapes: Any, dtype: str) -> dict[str, Call]:
    import jax
    import jax.numpy as jnp

    import lucid.jax

    given = [jnp.asarray(each, dtype) for each in arrays(shapes, "float32")]
    gradient = jax.jit(
        jax.grad(lambda *each: lucid.jax.bilinear(*each).sum(), argnums=tuple(range(len(given))))
    )
    return {
        "forward": lambda: lucid.jax.bilinear(*given),
        "forward + backward": lambda: gradient(*given),
    }


def main() -> None:
    print(f"{'':<42} functions  files  kernel  microseconds")
    for integration, calls_of in (
        ("lucid", lucid_calls),
        ("torch", torch_calls),
        ("jax", jax_calls),
    ):
        for kind, shapes, dtype in KINDS:
            try:
                calls = calls_of(shapes, dtype)
            except ImportError as error:
                print(f"{integration}: left out ({error})")
                break
            for what, call in calls.items():
                functions, files, kernel = walk(call)
                took = microseconds(call)
                name = f"{integration}, {kind}, {what}"
                print(f"{name:<42} {functions:>9}  {files:>5}  {kernel:>6}  {took:>12.1f}")


if __name__ == "__main__":
    main()
