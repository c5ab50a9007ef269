"""The bilinear form with linear terms, and the ways that others take: time and most memory.

`ones`: a column of ones beside each input, as parsers do. `expand`: a linear map of both inputs
side by side, expanded to all pairs, as neural tensor networks do. Forward, float32.

    python benchmarks/linear_terms.py
"""

from __future__ import annotations

import platform
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

import lucid
from lucid.nn.functional import bilinear

Array = Any

SIZES = {
    "rows 4096, 64, 64 → 64": ((4096,), (4096,), 64, 64, 64),
    "rows 100000, 16, 16 → 16": ((100_000,), (100_000,), 16, 16, 16),
    "pairs 64 × 40 × 40, 500 → 1": ((64, 40, 1), (64, 1, 40), 500, 500, 1),
    "pairs 128 × 40 × 40, 100 → 45": ((128, 40, 1), (128, 1, 40), 100, 100, 45),
}


def with_ones(x: Array) -> Array:
    return np.concatenate([x, np.ones((*x.shape[:-1], 1), x.dtype)], -1)


def ones(x1: Array, x2: Array, weight: Array, w1: Array, w2: Array) -> Array:
    o, i, j = weight.shape
    full = np.zeros((o, i + 1, j + 1), weight.dtype)
    full[:, :i, :j], full[:, :i, j], full[:, i, :j] = weight, w1, w2
    return bilinear(with_ones(x1), with_ones(x2), full)  # type: ignore[arg-type]


def expand(x1: Array, x2: Array, weight: Array, w1: Array, w2: Array) -> Array:
    lead = np.broadcast_shapes(x1.shape[:-1], x2.shape[:-1])
    both = [np.broadcast_to(x, (*lead, x.shape[-1])) for x in (x1, x2)]
    out: Array = bilinear(x1, x2, weight)
    out += np.concatenate(both, -1) @ np.concatenate([w1, w2], 1).T
    return out


def terms(x1: Array, x2: Array, weight: Array, w1: Array, w2: Array) -> Array:
    return bilinear(x1, x2, weight, weight_1=w1, weight_2=w2)


def plain(x1: Array, x2: Array, weight: Array, *_: Array) -> Array:
    return bilinear(x1, x2, weight)


def main() -> None:
    print(f"{platform.machine()}, lucid {lucid.__version__}, numpy {np.__version__}")
    print("milliseconds, and MiB at most beside the arguments")
    ways: dict[str, Callable[..., Array]] = {
        "no terms": plain, "weight_1, weight_2": terms, "ones": ones, "expand": expand,
    }  # fmt: skip
    print(f"{'':32}" + "".join(f"{name:>22}" for name in ways))
    for size, (lead_1, lead_2, i, j, o) in SIZES.items():
        random = np.random.default_rng(0)
        shapes = (*lead_1, i), (*lead_2, j), (o, i, j), (o, i), (o, j)
        given = [random.standard_normal(shape, np.float32) for shape in shapes]
        right = ones(*given)
        best, most = dict.fromkeys(ways, 1e9), {}
        for name, way in ways.items():
            if name != "no terms":
                np.testing.assert_allclose(way(*given), right, rtol=1e-3, atol=1e-2)
            tracemalloc.start()
            way(*given)
            most[name] = tracemalloc.get_traced_memory()[1] / 2**20
            tracemalloc.stop()
        for _ in range(12):  # in turns, so that other programs disturb all alike
            for name, way in ways.items():
                start = time.perf_counter()
                way(*given)
                best[name] = min(best[name], time.perf_counter() - start)
        print(f"{size:32}" + "".join(f"{best[n] * 1e3:12.2f}{most[n]:8.1f} M" for n in ways))


if __name__ == "__main__":
    main()
