"""The compiled kernel in bfloat16: each algorithm by its name, in every instruction set.

NumPy's arrays are 16-bit integers here, which the kernel is told to read as bfloat16.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from layouts import Array
from native_helpers import ALL, BOTH, SIZES, WEIGHT, Sizes, compiled, reference, some_apart

import lucid

BITS = np.dtype(np.uint16)
ROUNDING = 2.0**-8  # of a number, at most
INPUTS, OF_WEIGHT, FORWARD = "samples_on_lanes", "packed_products", "samples_on_lanes"
NEEDS = (BOTH, (True, False, False), (False, True, False))


def narrow(numbers: Array) -> Array:
    """To the nearest bfloat16, to even at a tie."""
    bits = np.asarray(numbers, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(BITS)


def wide(halves: Array) -> Array:
    return (halves.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


@pytest.fixture(autouse=True)
def _bits_are_bfloat16() -> Iterator[None]:
    compiled.read_as_bfloat16(BITS)
    yield
    compiled.read_as_bfloat16(None)


class Exact:
    """What a call should give, and how far off it may be."""

    def __init__(self, sizes: Sizes) -> None:
        n, i, j, o = self.sizes = sizes
        random = np.random.default_rng(0)
        shapes = ((n, i), (n, j), (o, i, j), (o,), (n, o))
        self.arguments = [narrow(random.standard_normal(shape)) for shape in shapes]
        x1, x2, weight, bias, g = map(wide, self.arguments)
        self.bias = bias
        self.right = reference(x1, x2, weight, g)
        self.magnitudes = reference(*map(np.abs, (x1, x2, weight, g)))
        self.terms = i * j, o * j, o * i, n

    def check(self, found: Array, k: int, about: Any = "", bias: Any = 0.0) -> None:
        """Rounded once, of a sum in float32; in the weight's gradient each product g · x1 too."""
        assert found.dtype == BITS
        right, magnitude = self.right[k] + bias, self.magnitudes[k] + np.abs(bias)
        bound = (self.terms[k] + 4) * np.finfo(np.float32).eps * magnitude
        bound = bound * 1.01 + ROUNDING * np.abs(right) + (ROUNDING * magnitude if k == 3 else 0)
        assert found.shape == right.shape
        assert (np.abs(wide(found) - right) <= bound).all(), (self.sizes, k, about)

    def check_gradients(self, found: Any, needed: Any, about: Any = "") -> None:
        for k, gradient in enumerate(found):
            assert (gradient is not None) == needed[k]
            if gradient is not None:
                self.check(gradient, k + 1, about)


exact = functools.cache(Exact)
LARGE = [(64, 72, 60, 70), (300, 40, 33, 49), (70, 700, 900, 3), (20_001, 30, 40, 2)]


def test_the_comparison_can_fail() -> None:
    right = exact((33, 20, 30, 40))
    right.check(narrow(right.right[1]), 1)
    with pytest.raises(AssertionError):
        right.check(narrow(right.right[1] * (1 + 3 * ROUNDING)), 1)


@pytest.mark.usefixtures("instruction_set")
def test_forward() -> None:
    for sizes in (*SIZES, *LARGE):
        right = exact(sizes)
        x1, x2, weight, bias, _ = right.arguments
        inputs = some_apart(x1, x2)
        for threads in (1, 2, 3, 4):
            for given, own in ((bias, right.bias), (None, 0.0)):
                out = compiled.bilinear(*next(inputs), weight, given, FORWARD, threads)
                right.check(out, 0, threads, own)


@pytest.mark.usefixtures("instruction_set")
def test_gradients_of_inputs() -> None:
    for sizes in (*SIZES, *LARGE):
        right = exact(sizes)
        x1, x2, weight, _, g = right.arguments
        rows = some_apart(g, x1, x2)
        for threads in (1, 2, 3, 4):
            for needed in NEEDS:
                found = compiled.gradients(*next(rows), weight, needed, INPUTS, None, threads)
                right.check_gradients(found, needed, threads)


@pytest.mark.usefixtures("instruction_set")
def test_gradient_of_the_weight() -> None:
    for sizes in (*SIZES, *LARGE):
        right = exact(sizes)
        x1, x2, weight, _, g = right.arguments
        rows = some_apart(g, x1, x2)
        for threads in (1, 1, 2, 2, 3, 3, 4, 4):
            found = compiled.gradients(*next(rows), weight, WEIGHT, None, OF_WEIGHT, threads)
            right.check_gradients(found, WEIGHT, threads)


@pytest.mark.usefixtures("instruction_set")
def test_errors_are_those_of_the_roundings() -> None:
    right = exact((300, 40, 33, 49))
    x1, x2, weight, _, g = right.arguments
    out = compiled.bilinear(x1, x2, weight, None, FORWARD, 2)
    found = compiled.gradients(g, x1, x2, weight, ALL, INPUTS, OF_WEIGHT, 2)
    for k, each in enumerate((out, *found)):
        once = np.linalg.norm(wide(narrow(right.right[k])) - right.right[k])
        error = np.linalg.norm(wide(each) - right.right[k])
        assert error < (1.6 if k == 3 else 1.01) * once, k


@pytest.mark.usefixtures("instruction_set")
def test_the_same_bits_from_run_to_run_and_in_parts() -> None:
    x1, x2, weight, bias, g = exact((300, 40, 33, 49)).arguments

    def run(threads: int) -> list[Array]:
        out = compiled.bilinear(x1, x2, weight, bias, FORWARD, threads)
        return [out, *compiled.gradients(g, x1, x2, weight, ALL, INPUTS, OF_WEIGHT, threads)]

    for threads in (1, 2, 4):
        once = run(threads)
        before = compiled.set_part_operations(1e6)
        try:
            again = [run(threads), run(threads)]
        finally:
            compiled.set_part_operations(before)
        for each in (run(threads), again[0], again[1]):
            assert all((a == b).all() for a, b in zip(once[:1], each[:1], strict=True))
            assert (once[3] == each[3]).all()
        assert all((a == b).all() for a, b in zip(*again, strict=True))
        assert all((a == b).all() for a, b in zip(once, run(threads), strict=True))


@pytest.mark.usefixtures("instruction_set")
def test_what_is_no_number_stays_with_its_sample_and_output() -> None:
    right = exact((37, 21, 19, 9))
    x1, x2, weight, bias, g = right.arguments
    others, of_others = np.arange(37) != 5, np.arange(9) != 3
    clean = compiled.bilinear(x1, x2, weight, bias, FORWARD, 2)
    bad, bad_g = x1.copy(), g.copy()
    bad[5], bad_g[5, 3] = 0x7FC0, 0x7F81  # both are NaN, the second a signalling one
    out = compiled.bilinear(bad, x2, weight, bias, FORWARD, 2)
    assert np.isnan(wide(out[5])).all()
    assert (out[others] == clean[others]).all()
    clean = compiled.gradients(g, x1, x2, weight, ALL, INPUTS, OF_WEIGHT, 2)
    found = compiled.gradients(bad_g, x1, x2, weight, ALL, INPUTS, OF_WEIGHT, 2)
    for k in (0, 1):
        assert np.isnan(wide(found[k][5])).all()
        assert (found[k][others] == clean[k][others]).all()
    assert np.isnan(wide(found[2][3])).all()
    assert (found[2][of_others] == clean[2][of_others]).all()


@pytest.mark.usefixtures("instruction_set")
def test_infinity_stays_infinite() -> None:
    one = narrow(np.ones(1))[0]
    x1, x2, weight = (np.full(shape, one) for shape in ((3, 5), (3, 37), (2, 5, 37)))
    weight[1, 2, 36] = 0x7F80
    out = wide(compiled.bilinear(x1, x2, weight, None, FORWARD, 1))
    assert (out[:, 1] == np.inf).all()
    assert (out[:, 0] == 185).all()
    g = np.full((3, 2), 0x7F00, BITS)  # the product of two such numbers has no float
    found = compiled.gradients(g, g, g, None, WEIGHT, None, OF_WEIGHT, 1)[2]
    assert (wide(found) == np.inf).all()


@pytest.mark.usefixtures("instruction_set", "no_large_blocks")
def test_no_memory_is_an_error_and_no_crash() -> None:
    x1, x2, weight, bias, g = exact((300, 40, 33, 49)).arguments
    with pytest.raises(MemoryError):
        compiled.bilinear(x1, x2, weight, bias, FORWARD, 2)
    with pytest.raises(MemoryError):
        compiled.gradients(g, x1, x2, weight, BOTH, INPUTS, None, 2)
    with pytest.raises(MemoryError):
        compiled.gradients(g, x1, x2, weight, WEIGHT, None, OF_WEIGHT, 2)


def test_it_is_taken_where_the_processor_multiplies_pairs(instruction_set: str) -> None:
    x1, x2, weight, bias, g = exact((300, 40, 33, 49)).arguments
    taken = instruction_set == "avx512_bf16"
    names = (FORWARD, INPUTS, OF_WEIGHT) if taken else ("converted",) * 3
    assert compiled.chosen(300, 49, 40, 33, 2) == names
    assert (compiled.bilinear(x1, x2, weight, bias) is not None) == taken
    assert (compiled.gradients(g, x1, x2, weight, ALL) is not None) == taken
    # few features, many rows: in float another algorithm costs less
    assert compiled.chosen(100_000, 40, 2, 2, 2)[2] == "converted"
    # pairs, and other algorithms
    assert compiled.bilinear(x1[:, None], x2, weight, None) is None
    with pytest.raises(ValueError, match="forward by outer_product: not for N = 300"):
        compiled.bilinear(x1, x2, weight, None, "outer_product", 1)


def test_other_numbers_are_no_bfloat16() -> None:
    x1, x2, weight, bias, _ = exact((300, 40, 33, 49)).arguments
    assert compiled.bilinear(x1, x2, wide(weight).astype(np.float32), bias) is None
    compiled.read_as_bfloat16(None)
    assert compiled.bilinear(x1, x2, weight, bias, FORWARD, 1) is None
    with pytest.raises(TypeError, match="takes a dtype of two bytes"):
        compiled.read_as_bfloat16(np.dtype(np.float32))


def test_tensors_of_torch_are_read_where_they_are(instruction_set: str) -> None:
    torch = pytest.importorskip("torch")
    from lucid.torch import bilinear

    right = exact((300, 40, 33, 49))
    x1, x2, weight, _, g = (
        torch.from_numpy(each.view(np.int16)).view(torch.bfloat16).requires_grad_()
        for each in right.arguments
    )
    out = bilinear(x1, x2, weight)
    found = [out.detach(), *torch.autograd.grad(out, (x1, x2, weight), g.detach())]
    bits = [each.view(torch.int16).numpy().view(BITS) for each in found]
    for k, each in enumerate(bits):
        right.check(each, k)
    if instruction_set == "avx512_bf16":
        given = [each.copy() for each in right.arguments]
        threads = min(torch.get_num_threads(), lucid.get_num_threads())
        own = compiled.bilinear(*given[:3], None, FORWARD, threads)
        assert (bits[0] == own).all()
    # one number of the gradient, expanded; rows apart; a weight that needs no gradient
    torch.autograd.grad(bilinear(x1, x2, weight).sum(), (x1, weight))
    apart = torch.cat([x1, x1], 1)[:, :40]
    assert torch.equal(bilinear(apart, x2, weight.detach()), out)


def test_arrays_of_jax_are_read_where_they_are() -> None:
    jax = pytest.importorskip("jax")
    dtypes = pytest.importorskip("ml_dtypes")
    from lucid.jax import bilinear

    right = exact((300, 40, 33, 49))
    x1, x2, weight, _, g = (
        jax.numpy.asarray(each.view(dtypes.bfloat16)) for each in right.arguments
    )
    out, back = jax.vjp(jax.jit(bilinear), x1, x2, weight)
    for k, each in enumerate((out, *back(g))):
        right.check(np.asarray(each).view(BITS), k)
