"""Times and collectives of `lucid.jax.bilinear` and its gradients, divided over a mesh under `jit`.

python benchmarks/jax_divided.py: a processor that is four devices; beside the same `einsum`.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from typing import Any

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec as P

from lucid.jax import bilinear

Array = Any

WAYS = {
    "rows": (P("d"), P("d"), P()),
    "outputs": (P(), P(), P("d")),
    "features 1": (P(None, "d"), P(), P(None, "d")),
}
SIZES = ((4096, 64, 64, 64), (1024, 128, 128, 128))
COLLECTIVES = r"(all-gather|all-reduce|all-to-all|collective-permute)\("


def einsum(x1: Array, x2: Array, weight: Array) -> Array:
    return jnp.einsum("ni,nj,oij->no", x1, x2, weight)


def least(function: Callable[..., Any], given: list[Array]) -> float:
    def once() -> float:
        start = time.perf_counter()
        jax.block_until_ready(function(*given))
        return time.perf_counter() - start

    return 1e3 * min(once() for _ in range(5))


def main() -> None:
    mesh = jax.make_mesh((4,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    random = np.random.default_rng(0)
    for n, i, j, o in SIZES:
        whole = [
            np.asarray(random.standard_normal(s), "float32") for s in ((n, i), (n, j), (o, i, j))
        ]
        for way, specs in WAYS.items():
            given = [
                jax.device_put(x, NamedSharding(mesh, spec))
                for x, spec in zip(whole, specs, strict=True)
            ]
            for name, form in (("lucid", bilinear), ("einsum", einsum)):

                def loss(*x: Array, form: Callable[..., Array] = form) -> Array:
                    return jnp.sum(form(*x) ** 2)

                compiled = jax.jit(jax.grad(loss, (0, 1, 2))).lower(*given).compile()
                sent = re.findall(COLLECTIVES, compiled.as_text())
                print(
                    f"{n},{i},{j}→{o} by {way:10} {name:6} {least(compiled, given):7.1f} ms  "
                    + ", ".join(f"{sent.count(each)} {each}" for each in dict.fromkeys(sent)),
                    flush=True,
                )


if __name__ == "__main__":
    main()
