"""A long call hears a signal, and gives in parts what it gives in one piece."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from native_helpers import ALGORITHMS, ALL, BOTH, WEIGHT, Exact, compiled


@pytest.fixture
def many_parts() -> Iterator[None]:
    before = compiled.set_part_operations(1e4)
    yield
    compiled.set_part_operations(before)


def in_one_piece(run: Any) -> Any:
    before = compiled.set_part_operations(1e18)
    found = run()
    compiled.set_part_operations(before)
    return found


@pytest.mark.usefixtures("many_parts")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    "sizes", [(1500, 7, 20, 3), (1300, 33, 17, 5), (2100, 16, 16, 16)], ids=str
)
def test_rows_are_the_same_bits_in_parts(sizes: Any, threads: int) -> None:
    exact = Exact(sizes, np.float32)
    x1, x2, weight, bias, g = exact.arguments

    def forward() -> Any:
        return compiled.bilinear(x1, x2, weight, bias, algorithm, threads)

    def inputs() -> Any:
        return compiled.gradients(g, x1, x2, weight, BOTH, algorithm, None, threads)

    algorithm: Any = None  # whichever costs least
    exact.check_forward(forward())
    exact.check_gradients(inputs(), BOTH)
    for algorithm in ALGORITHMS["forward"]:
        try:
            whole = in_one_piece(forward)
        except ValueError:
            continue
        exact.check_forward(forward(), algorithm)
        # two sum in groups that depend on the number of rows; they are chosen for few, that is
        # for one part
        grouped = ("flat_features",) if threads == 1 else ("flat_features", "stream_weight")
        assert algorithm in grouped or (forward() == whole).all(), algorithm
    for algorithm in ALGORITHMS["inputs"]:
        try:
            whole = in_one_piece(inputs)
        except ValueError:
            continue
        for gradient, other in zip(inputs()[:2], whole[:2], strict=True):
            # with several threads the sums over features are divided by the number of rows too
            assert threads > 1 or (gradient == other).all(), algorithm
        exact.check_gradients(inputs(), BOTH, algorithm)


@pytest.mark.usefixtures("many_parts")
@pytest.mark.parametrize("threads", [1, 3])
def test_the_gradient_of_the_weight_is_summed_part_by_part(threads: int) -> None:
    exact = Exact((2000, 9, 30, 25), np.float32)
    x1, x2, _, _, g = exact.arguments
    for algorithm in (None, *ALGORITHMS["weight"]):
        first, again = (
            compiled.gradients(g, x1, x2, None, WEIGHT, None, algorithm, threads) for _ in range(2)
        )
        exact.check_gradients(first, WEIGHT, algorithm)
        assert (first[2] == again[2]).all()


@pytest.mark.usefixtures("many_parts")
@pytest.mark.parametrize(
    "sizes", [(3, 200, 150, 9, 12, 3), (40, 6, 7, 5, 20, 2), (1, 300, 4, 6, 5, 7)]
)
def test_pairs_in_parts(sizes: Any) -> None:
    s, a, b, i, j, o = sizes
    random = np.random.default_rng(0)
    for swapped, expanded in itertools.product((False, True), repeat=2):
        x1, x2 = random.standard_normal((s, a, 1, i)), random.standard_normal((s, 1, b, j))
        weight, g = random.standard_normal((o, i, j)), random.standard_normal((s, a, b, o))
        if swapped:
            x1, x2, g = (each.transpose(1, 2, 0, 3) for each in (x1, x2, g))
        if expanded:
            x1 = np.broadcast_to(x1, (*g.shape[:-1], i))
        for threads in (1, 2):
            for needed in (ALL, BOTH, (True, False, False), (False, True, False), WEIGHT):

                def run(given: Any = (x1, x2, weight, g, needed, threads)) -> Any:
                    x1, x2, weight, g, needed, threads = given
                    out = compiled.bilinear(x1, x2, weight, None, None, threads)
                    found = compiled.gradients(g, x1, x2, weight, needed, None, None, threads)
                    return out, *found

                for part, whole in zip(run(), in_one_piece(run), strict=True):
                    assert (part is None) == (whole is None)
                    if part is not None:
                        np.testing.assert_allclose(part, whole, 1e-10, 1e-10)


SCRIPT = """
import signal, sys, time
import numpy as np
import lucid
lucid.set_num_threads(1)
what = sys.argv[1]
rows, features = 4000, 64
def call(scale):
    n = int(rows * scale)
    x = np.broadcast_to(np.float32(1), (n, features)).copy()
    w = np.ones((32, features, features), np.float32)
    g = np.ones((n, 32), np.float32)
    if what == "forward":
        return lambda: lucid.kernels.bilinear(x, x, w)
    if what == "pairs":
        a = int(rows * scale ** 0.5) // 4
        x, y = x[:a].reshape(a, 1, -1), x[:a].reshape(1, a, -1)
        return lambda: lucid.kernels.bilinear(x, y, w[:1])
    if what == "gradients":
        return lambda: lucid.kernels.gradients(g, x, x, w)
    import torch
    from lucid.torch import bilinear
    torch.set_num_threads(1)
    t, v = torch.from_numpy(x), torch.from_numpy(w)
    return lambda: bilinear(t, t, v)
small = call(1)
small()
start = time.perf_counter()
small()
one = time.perf_counter() - start
scale = max(10, min(200, 8 / one))
long = call(scale)
class Heard(Exception): pass
def hear(*_):
    raise Heard
signal.signal(signal.SIGALRM, hear)
signal.setitimer(signal.ITIMER_REAL, 0.2)
start = time.perf_counter()
try:
    long()
except Heard:
    print(f"{time.perf_counter() - start} {one * scale}")
else:
    print(f"never {time.perf_counter() - start}")
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such timers")
@pytest.mark.parametrize("what", ["forward", "pairs", "gradients", "torch"])
def test_a_signal_is_heard_during_a_long_call(what: str) -> None:
    if what == "torch":
        pytest.importorskip("torch")
    done = subprocess.run(  # noqa: S603 (our own script)
        [sys.executable, "-c", SCRIPT, what],
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    heard, whole = done.stdout.split()
    if heard == "never" and float(whole) < 1:
        return  # the call was shorter than it seemed: nothing to interrupt
    # Half a second where the machine is free; here, well before the end.
    assert float(heard) < max(2.0, float(whole) / 2)
