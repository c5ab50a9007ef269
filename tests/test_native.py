"""The compiled kernel's algorithms, each by its name: odd sizes, rows apart, threads, NaN."""

from __future__ import annotations

import functools
import re
from typing import Any

import numpy as np
import pytest
from native_helpers import (
    ALGORITHMS,
    ALL,
    BOTH,
    SIZES,
    WEIGHT,
    Exact,
    Sizes,
    check,
    compiled,
    some_apart,
)

FORWARD = [None, *ALGORITHMS["forward"]]
INPUTS = [None, *ALGORITHMS["inputs"]]
OF_WEIGHT = [None, *ALGORITHMS["weight"]]
ONE = ((True, False, False), (False, True, False))

exact = functools.cache(Exact)

each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def needs_of(algorithm: str | None) -> tuple[Any, ...]:
    """Which gradients of inputs an algorithm can be asked for."""
    return (BOTH,) if algorithm == "gradient_in_registers" else (BOTH, *ONE)


def test_the_comparison_can_fail() -> None:
    one = np.ones(3, np.float32)
    with pytest.raises(AssertionError):
        check(one + np.float32(1e-5), one, one, 1)


# Every algorithm, at odd sizes


@pytest.mark.usefixtures("instruction_set")
@each_dtype
@pytest.mark.parametrize("algorithm", FORWARD)
def test_forward(algorithm: str | None, dtype: str) -> None:
    for sizes in SIZES:
        right = exact(sizes, dtype)
        x1, x2, weight, bias, _ = right.arguments
        inputs = some_apart(x1, x2)
        for threads in (1, 2, 3, 4):
            for given in (bias, None):
                out = compiled.bilinear(*next(inputs), weight, given, algorithm, threads)
                right.check_forward(out, threads, with_bias=given is not None)


@pytest.mark.usefixtures("instruction_set")
@each_dtype
@pytest.mark.parametrize("algorithm", INPUTS)
def test_gradients_of_inputs(algorithm: str | None, dtype: str) -> None:
    for sizes in SIZES:
        right = exact(sizes, dtype)
        x1, x2, weight, _, g = right.arguments
        rows = some_apart(g, x1, x2)
        for threads in (1, 2, 3, 4):
            for needed in needs_of(algorithm):
                found = compiled.gradients(*next(rows), weight, needed, algorithm, None, threads)
                right.check_gradients(found, needed, threads)


@pytest.mark.usefixtures("instruction_set")
@each_dtype
@pytest.mark.parametrize("algorithm", OF_WEIGHT)
def test_gradient_of_the_weight(algorithm: str | None, dtype: str) -> None:
    for sizes in SIZES:
        right = exact(sizes, dtype)
        x1, x2, weight, _, g = right.arguments
        rows = some_apart(g, x1, x2)
        for threads in (1, 1, 2, 2, 3, 3, 4, 4):  # with all eight combinations of rows
            found = compiled.gradients(*next(rows), weight, WEIGHT, None, algorithm, threads)
            right.check_gradients(found, WEIGHT, threads)


@each_dtype
def test_all_gradients_at_once(dtype: str) -> None:
    for sizes in SIZES:
        right = exact(sizes, dtype)
        x1, x2, weight, _, g = right.arguments
        for needed in (ALL, (True, False, True), (False, True, True), (False, False, False)):
            found = compiled.gradients(g, x1, x2, weight, needed)
            right.check_gradients(found, needed)


def drawn(seed: int) -> Sizes:
    """Sizes of random magnitudes, such as a program may have."""
    n, i, j, o = np.exp(np.random.default_rng(seed).uniform(0, np.log([150, 70, 70, 40])))
    return int(n), int(i), int(j), int(o)


@pytest.mark.parametrize("part", range(10))
def test_any_size(part: int) -> None:
    for seed in range(part, 150, 10):
        right = Exact(drawn(seed), "float64" if seed % 3 else "float32", seed)
        x1, x2, weight, bias, g = right.arguments
        rows = some_apart(g, x1, x2)
        for k, threads in enumerate((1, 2, 4), seed):
            g, x1, x2 = next(rows)
            out = compiled.bilinear(x1, x2, weight, bias, FORWARD[k % len(FORWARD)], threads)
            right.check_forward(out, (seed, threads))
            algorithms = INPUTS[k % len(INPUTS)], OF_WEIGHT[k % len(OF_WEIGHT)]
            found = compiled.gradients(g, x1, x2, weight, ALL, *algorithms, threads)
            right.check_gradients(found, ALL, (seed, threads))


# At these, W is larger than a call may pack, or x1 and x2 are: an algorithm that would have to says
# so. The panels of one group hold few samples of so many features. Last, W of one feature i is
# packed some columns at a time.
LARGE = {
    "float32": [(70, 700, 900, 7), (200_001, 3, 9, 2), (3, 5, 1100, 1000)],
    "float64": [(70, 700, 450, 7), (100_001, 3, 9, 2), (3, 5, 600, 1000)],
}


def able(call: Any, *given: Any) -> Any:
    """The result, or None where the algorithm cannot do the sizes."""
    try:
        return call(*given)
    except ValueError as error:
        if re.match(r"\w+ by \w+: not for N = \d+, O = \d+, I = \d+, J = \d+", str(error)):
            return None
        raise


@each_dtype
@pytest.mark.parametrize("algorithm", FORWARD)
def test_forward_of_large_sizes(algorithm: str | None, dtype: str) -> None:
    for sizes in LARGE[dtype]:
        right = exact(sizes, dtype)
        x1, x2, weight, bias, _ = right.arguments
        inputs = some_apart(x1, x2)
        for threads in (1, 2):
            given = *next(inputs), weight, bias, algorithm, threads
            out = able(compiled.bilinear, *given)
            assert out is not None or algorithm not in (None, "reference", "samples_on_lanes")
            if out is not None:
                right.check_forward(out, threads)


@each_dtype
@pytest.mark.parametrize("algorithm", INPUTS)
def test_gradients_of_large_inputs(algorithm: str | None, dtype: str) -> None:
    for sizes in LARGE[dtype]:
        right = exact(sizes, dtype)
        x1, x2, weight, _, g = right.arguments
        rows = some_apart(g, x1, x2)
        for threads, needed in ((1, BOTH), (2, BOTH), (2, ONE[0]), (2, ONE[1])):
            given = *next(rows), weight, needed, algorithm, None, threads
            found = able(compiled.gradients, *given)
            assert found is not None or algorithm not in (None, "reference", "samples_on_lanes")
            if found is not None:
                right.check_gradients(found, needed, threads)


@each_dtype
@pytest.mark.parametrize("algorithm", OF_WEIGHT)
def test_gradient_of_a_large_weight(algorithm: str | None, dtype: str) -> None:
    for sizes in LARGE[dtype]:
        right = exact(sizes, dtype)
        x1, x2, weight, _, g = right.arguments
        rows = some_apart(g, x1, x2)
        for threads in (1, 2):
            found = compiled.gradients(*next(rows), weight, WEIGHT, None, algorithm, threads)
            right.check_gradients(found, WEIGHT, threads)


# Beyond the second-level cache: more samples than a tile has rows, and fewer; rows start anywhere.
FAR = ((300, 33, 210, 91), (31, 129, 67, 75), (5, 70, 90, 101))


@pytest.mark.usefixtures("instruction_set")
@each_dtype
@pytest.mark.parametrize("algorithm", OF_WEIGHT)
def test_gradient_of_a_weight_beyond_the_caches(algorithm: str | None, dtype: str) -> None:
    for sizes in FAR:
        right = exact(sizes, dtype)
        x1, x2, weight, _, g = right.arguments
        for threads in (1, 3):
            found = compiled.gradients(g, x1, x2, weight, WEIGHT, None, algorithm, threads)
            right.check_gradients(found, WEIGHT, threads)
            there = np.full_like(weight, 2)
            into = (None, None, there)
            compiled.gradients_into(g, x1, x2, weight, WEIGHT, into, True, algorithm, threads)
            magnitude = 2 + right.magnitudes[3]
            check(there, 2 + right.right[3], magnitude, right.terms[3], (sizes, threads))


# Which algorithm


def test_no_algorithm_takes_the_place_of_another() -> None:
    right = exact((5, 12, 9, 13), "float32")
    x1, x2, weight, bias, g = right.arguments
    every = {name for names in ALGORITHMS.values() for name in names}
    wrong: Any
    for wrong in (
        *every - set(ALGORITHMS["forward"]),
        "",
        "chosen",
        "Reference",
        0,
        1,
        b"reference",
    ):
        with pytest.raises(ValueError, match=f"^forward has no algorithm {wrong!r}$"):
            compiled.bilinear(x1, x2, weight, bias, wrong, 1)
    for wrong in (*every - set(ALGORITHMS["inputs"]), "forward", 2):
        with pytest.raises(ValueError, match=f"^inputs has no algorithm {wrong!r}$"):
            compiled.gradients(g, x1, x2, weight, ALL, wrong, None, 1)
    for wrong in (*every - set(ALGORITHMS["weight"]), "inputs", 3):
        with pytest.raises(ValueError, match=f"^weight has no algorithm {wrong!r}$"):
            compiled.gradients(g, x1, x2, weight, ALL, None, wrong, 1)
    for needed in ONE:
        with pytest.raises(ValueError, match=r"^inputs by gradient_in_registers: not for"):
            compiled.gradients(g, x1, x2, weight, needed, "gradient_in_registers", None, 1)


@pytest.mark.usefixtures("instruction_set")
def test_the_algorithm_follows_from_the_sizes() -> None:
    # samples, outputs, features
    assert compiled.chosen(3, 100, 200, 3, 4)[1:] == ("flat_features", "flat_features")
    assert compiled.chosen(1, 512, 512, 512, 4)[:2] == ("stream_weight", "stream_weight")
    # a weight with one column lies in memory as one with one row
    assert compiled.chosen(500, 40, 300, 1, 4) == compiled.chosen(500, 40, 1, 300, 4)
    assert compiled.chosen(2, 3, 4, 5, 8) == ("reference",) * 3


def test_the_same_bits_from_run_to_run() -> None:
    for sizes in SIZES:
        x1, x2, weight, bias, g = exact(sizes, "float32").arguments
        for threads in (1, 2, 4):

            def run(threads: int = threads, given: Any = (x1, x2, weight, bias, g)) -> list[bytes]:
                x1, x2, weight, bias, g = given
                out = compiled.bilinear(x1, x2, weight, bias, None, threads)
                found = compiled.gradients(g, x1, x2, weight, ALL, None, None, threads)
                return [each.tobytes() for each in (out, *found)]

            first = run()
            assert all(run() == first for _ in range(3))


# Numbers that are none


@pytest.mark.usefixtures("instruction_set")
@pytest.mark.parametrize("algorithm", FORWARD)
def test_the_lanes_of_other_samples_never_leak(algorithm: str | None) -> None:
    x1, x2, weight, bias, _ = exact((37, 21, 19, 9), "float32").arguments
    clean = compiled.bilinear(x1, x2, weight, bias, algorithm, 2)
    for poison in (np.nan, np.inf):
        bad = x1.copy()
        bad[5] = poison
        out = compiled.bilinear(bad, x2, weight, bias, algorithm, 2)
        assert not np.isfinite(out[5]).any()
        others = np.arange(37) != 5
        assert (out[others] == clean[others]).all()


def poisoned() -> tuple[Any, ...]:
    """g with one NaN, the other arguments, and where neither its sample nor its output is."""
    x1, x2, weight, _, g = exact((37, 21, 19, 9), "float64").arguments
    bad = g.copy()
    bad[5, 3] = np.nan
    return bad, g, x1, x2, weight, np.arange(37) != 5, np.arange(9) != 3


@pytest.mark.usefixtures("instruction_set")
@pytest.mark.parametrize("algorithm", INPUTS)
def test_poison_stays_with_its_sample(algorithm: str | None) -> None:
    bad, g, x1, x2, weight, others, _ = poisoned()
    clean = compiled.gradients(g, x1, x2, weight, BOTH, algorithm, None, 2)
    found = compiled.gradients(bad, x1, x2, weight, BOTH, algorithm, None, 2)
    for k in (0, 1):
        assert np.isnan(found[k][5]).all()
        assert (found[k][others] == clean[k][others]).all()


@pytest.mark.usefixtures("instruction_set")
@pytest.mark.parametrize("algorithm", OF_WEIGHT)
def test_poison_stays_with_its_output(algorithm: str | None) -> None:
    bad, g, x1, x2, weight, _, others = poisoned()
    clean = compiled.gradients(g, x1, x2, weight, WEIGHT, None, algorithm, 2)[2]
    found = compiled.gradients(bad, x1, x2, weight, WEIGHT, None, algorithm, 2)[2]
    assert np.isnan(found[3]).all()
    assert (found[others] == clean[others]).all()


@pytest.mark.usefixtures("instruction_set")
@pytest.mark.parametrize("algorithm", FORWARD)
def test_infinity_in_the_weight_stays_infinite(algorithm: str | None) -> None:
    x1, x2 = np.ones((3, 5), np.float32), np.ones((3, 37), np.float32)
    weight = np.ones((2, 5, 37), np.float32)
    weight[1, 2, 36] = np.inf
    out = compiled.bilinear(x1, x2, weight, None, algorithm, 1)
    assert (out[:, 1] == np.inf).all()
    assert (out[:, 0] == 185).all()
