"""What a call of the bilinear form holds beside its arguments and results, at most, in MiB.

Every kind of array through every integration, each in a process of its own: 3·10⁶ rows of
8 × 8 → 16 features, and pairs with results of about the same size. lucid promises 64 MiB; the
script ends with 1 if any row of its table is over. Needs Linux, and some 2 GB.

    python benchmarks/memory.py [words that the names of the cases have]
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

LIMIT = 64
N = 3_000_000
ROWS = ((N, 8), (N, 8), (16, 8, 8))
PAIRS = ((48, 250, 1, 8), (48, 1, 250, 8), (16, 8, 8))

Array = Any
Arguments = list[Array]


def ones(shape: Any, dtype: Any = "float32") -> Array:
    """Small numbers, without a larger array on the way."""
    array = np.empty(shape, dtype)
    array[...] = 0.125
    return array


def strided(shape: Any) -> Array:
    return ones((*shape[:-1], 2 * shape[-1]))[..., ::2]


KINDS: dict[str, Callable[[Any], Array]] = {
    "contiguous": ones,
    "strided": strided,
    "rows apart": lambda shape: ones((*shape[:-1], shape[-1] + 3))[..., :-3],
    "backwards": lambda shape: ones(shape)[::-1],
    "transposed": lambda shape: ones(shape[::-1]).T,
    "byte-swapped": lambda shape: ones(shape, ">f4"),
    "stride 0": lambda shape: np.broadcast_to(ones((1,) * len(shape)), shape),
    "float16": lambda shape: ones(shape, "float16"),
    "integers": lambda shape: ones(shape, "int32"),
}


def arguments(kind: str, shapes: Any) -> Arguments:
    """x1, x2, the weight, of which only the inputs are of a kind where strides are meant."""
    if kind == "mixed":
        return [ones(shapes[0]), ones(shapes[1], "float64"), ones(shapes[2])]
    if kind == "half and float":
        return [ones(shapes[0], "float16"), ones(shapes[1]), ones(shapes[2])]
    if kind == "x1 transposed":
        return [KINDS["transposed"](shapes[0]), ones(shapes[1]), ones(shapes[2])]
    if kind == "expanded":
        whole = np.broadcast_shapes(*(shape[:-1] for shape in shapes[:2]))
        x1, x2 = (np.broadcast_to(ones(shape), (*whole, shape[-1])) for shape in shapes[:2])
        return [x1, x2, ones(shapes[2])]
    made = [KINDS[kind](shape) for shape in shapes[:2]]
    plain = "contiguous" if made[0].dtype == np.float32 else kind
    return [*made, KINDS[plain](shapes[2])]


def memory(name: str) -> int:
    """KiB of this process: VmRSS now, VmHWM at most since the peak was reset."""
    found = re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


def measure(call: Callable[[], Any], size: Callable[[Any], int]) -> float:
    """MiB that a call held beside what was there before and what it returns."""
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = memory("VmRSS")
    results = call()
    peak = memory("VmHWM")
    return (peak - before - sum(size(each) for each in results if each is not None) / 1024) / 1024


def numbers(array: Array) -> int:
    return int(array.nbytes)


def in_kernels(given: Arguments) -> tuple[float, float]:
    from lucid.kernels import bilinear, gradients

    g_shape = (*np.broadcast_shapes(given[0].shape[:-1], given[1].shape[:-1]), 16)
    g = np.broadcast_to(np.asarray(0.125, given[0].dtype), g_shape)  # no memory of its own
    bilinear(*(x[:1] for x in given[:2]), given[2])
    return (
        measure(lambda: [bilinear(*given)], numbers),
        measure(lambda: gradients(g, *given), numbers),
    )


def in_lucid(given: Arguments) -> tuple[float, float]:
    import lucid
    from lucid.nn import functional as F  # noqa: N812

    tracked = [lucid.asarray(each) for each in given]
    forward = measure(lambda: [F.bilinear(*tracked)], lambda y: numbers(y._array))
    for each in tracked:
        each.requires_grad = np.issubdtype(each.dtype, np.floating)
    if not all(each.requires_grad for each in tracked):
        return forward, 0.0
    y = F.bilinear(*tracked)
    g = lucid.asarray(ones(y.shape, y.dtype))

    def backward() -> list[Any]:
        y.backward(g)
        return [each.grad for each in tracked]

    return forward, measure(backward, lambda grad: numbers(grad._array))


def in_torch(given: Arguments) -> tuple[float, float]:
    import torch

    from lucid.torch import bilinear

    tensors = [
        torch.from_numpy(np.asarray(each)).to(torch.bfloat16 if each.dtype == np.float16 else None)
        for each in given
    ]
    del given[:]
    forward = measure(lambda: [bilinear(*tensors)], lambda y: int(y.nbytes))
    if not all(each.is_floating_point() for each in tensors):
        return forward, 0.0
    for each in tensors:
        each.requires_grad_()
    y = bilinear(*tensors)
    g = torch.ones_like(y)
    return forward, measure(
        lambda: torch.autograd.grad(y, tensors, g), lambda grad: int(grad.nbytes)
    )


def in_jax(given: Arguments) -> tuple[float, float]:
    import jax
    import jax.numpy as jnp

    from lucid.jax import bilinear

    arrays = [jnp.asarray(each) for each in given]
    del given[:]
    pull = jax.jit(lambda g, *given: jax.vjp(bilinear, *given)[1](g))
    for _ in range(3):  # the copies are made, and the memory of the first results is given back
        shape = jax.block_until_ready(bilinear(*arrays)).shape
    time.sleep(0.5)
    dtype = jnp.result_type(*arrays)
    forward = measure(
        lambda: jax.block_until_ready([bilinear(*arrays)]), lambda each: int(each.nbytes)
    )
    if not all(jnp.issubdtype(each.dtype, jnp.floating) for each in arrays):
        return forward, 0.0
    g = jnp.ones(shape, dtype)
    for _ in range(3):
        jax.block_until_ready(pull(g, *arrays))
    time.sleep(0.5)
    return forward, measure(
        lambda: jax.block_until_ready(pull(g, *arrays)), lambda each: int(each.nbytes)
    )


INTEGRATIONS = {"kernels": in_kernels, "lucid": in_lucid, "torch": in_torch, "jax": in_jax}


def cases() -> list[tuple[str, str, str]]:
    kinds = [*KINDS, "mixed", "half and float", "x1 transposed"]
    found = []
    for integration in INTEGRATIONS:
        for kind in kinds:
            same = kind in ("backwards", "byte-swapped") and integration == "torch"
            of_jax = ("contiguous", "float16", "integers", "half and float")
            copied = integration == "jax" and kind not in of_jax
            if not same and not copied:
                found.append((integration, "rows", kind))
        pairs = ("contiguous", "float16", "strided", "expanded")
        found += [
            (integration, "pairs", kind) for kind in pairs[: 2 if integration == "jax" else 4]
        ]
    return found


def main() -> None:
    if sys.argv[1:2] == ["--only"]:
        integration, shape, kind = sys.argv[2:]
        given = arguments(kind, ROWS if shape == "rows" else PAIRS)
        print(json.dumps(INTEGRATIONS[integration](given)))
        return
    over = False
    print(f"{'MiB beside arguments and results':<36} forward  gradients")
    for case in cases():
        name = ", ".join(case)
        if not all(word in name for word in sys.argv[1:]):
            continue
        run = subprocess.run(
            [sys.executable, sys.argv[0], "--only", *case],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if run.returncode:
            print(f"{name:<36} {run.stderr.strip().splitlines()[-1]}")
            over = over or "ModuleNotFoundError" not in run.stderr
            continue
        held = json.loads(run.stdout)
        over = over or max(held) > LIMIT
        mark = "  over" if max(held) > LIMIT else ""
        print(f"{name:<36} {held[0]:>7.0f}  {held[1]:>9.0f}{mark}", flush=True)
    sys.exit(over)


if __name__ == "__main__":
    main()
