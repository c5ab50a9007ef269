"""The product that the forward pass keeps for the gradients under JAX's transformations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from native_helpers import compiled

import lucid
from lucid.testing import assert_same

jax: Any = pytest.importorskip("jax", reason="JAX is not installed")
jnp = jax.numpy

from lucid.jax import _native, bilinear  # noqa: E402

if not _native.is_there():
    pytest.skip("the compiled kernel is not for this XLA", allow_module_level=True)

Array = Any
MARK = 56
"""Bytes after the product, which say what it is of."""

ROWS = ((700, 41), (700, 43), (1, 41, 43))
PAIRS = ((3, 40, 1, 50), (3, 1, 41, 31), (5, 50, 31))
MORE_OF_SECOND = ((2, 19, 1, 37), (2, 1, 70, 70), (19, 37, 70))
SHAPES = [ROWS, PAIRS, MORE_OF_SECOND, ((400, 1, 50), (20, 70), (9, 50, 70))]


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def arrays(shapes: Any, dtype: str = "float64") -> list[Array]:
    """Such that results are about 1: a sine of large ones would have fewer digits."""
    random = np.random.default_rng(0)
    size = np.sqrt(np.prod(shapes[2][-2:]))
    numbers = [random.standard_normal(shape) for shape in shapes]
    return [jnp.asarray(x, dtype) for x in (*numbers[:2], numbers[2] / size)]


def einsum(x1: Array, x2: Array, weight: Array) -> Array:
    return jnp.einsum("...i,oij,...j->...o", x1, weight, x2)


def loss(function: Callable[..., Array]) -> Callable[..., Array]:
    return lambda *given: jnp.sum(jnp.sin(function(*given)))


def gradients(function: Callable[..., Array]) -> Any:
    return jax.grad(loss(function), (0, 1, 2))


def same(found: Any, expected: Any) -> None:
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert_same(np.asarray(one), np.asarray(other))


def kept_by(function: Callable[..., Any], *given: Array) -> list[int]:
    """How many numbers each call of the form keeps, in what JAX has traced."""
    return [
        equation.params["keep"]
        for equation in equations(jax.make_jaxpr(function)(*given).jaxpr)
        if equation.primitive.name == "lucid_contract" and equation.params["wanted"] == (0,)
    ]


def equations(jaxpr: Any) -> Iterator[Any]:
    for equation in jaxpr.eqns:
        yield equation
        for each in jax.tree.leaves(equation.params, is_leaf=is_jaxpr):
            if is_jaxpr(each):
                yield from equations(getattr(each, "jaxpr", each))


def is_jaxpr(x: Any) -> bool:
    return hasattr(getattr(x, "jaxpr", x), "eqns")


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients(shapes: Any, dtype: str) -> None:
    given = arrays(shapes, dtype)
    (keep,) = kept_by(gradients(bilinear), *given)
    assert MARK < keep * given[0].dtype.itemsize <= (16 << 20) + MARK
    expected = gradients(einsum)(*(x.astype("float64") for x in given))
    for run in (gradients(bilinear), jax.jit(gradients(bilinear))):
        for one, other in zip(run(*given), expected, strict=True):
            bound = 1e-11 if dtype == "float64" else 2e-4
            np.testing.assert_allclose(one, other, rtol=bound, atol=bound * float(abs(other).max()))


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_only_for_gradients(shapes: Any) -> None:
    given = arrays(shapes)
    assert kept_by(bilinear, *given) == [0]
    assert kept_by(lambda *x: jax.jvp(bilinear, x, x), *given) == [0]
    assert "lucid_contract_1" in jax.jit(bilinear).lower(*given).as_text()


def test_only_for_the_gradient_that_it_spares_a_product() -> None:
    given = arrays(ROWS)
    assert kept_by(jax.grad(loss(bilinear), (0, 2)), *given) == [0]
    (keep,) = kept_by(jax.grad(loss(bilinear), 1), *given)
    assert keep > 0
    same(jax.grad(loss(bilinear), 1)(*given), jax.grad(loss(einsum), 1)(*given))


@pytest.mark.parametrize(
    ("shapes", "dtype"),
    [
        (((20, 41), (20, 43), (1, 41, 43)), "float32"),  # made again as soon as looked for
        (((700, 41), (700, 43), (9, 41, 43)), "float32"),  # one product has both gradients
        (((70000, 64), (70000, 64), (1, 64, 64)), "float32"),  # more than 16 MiB
        (ROWS, "bfloat16"),
        (ROWS, "complex64"),
    ],
)
def test_nothing_is_kept(shapes: Any, dtype: str) -> None:
    given = [jax.ShapeDtypeStruct(shape, dtype) for shape in shapes]

    def total(*given: Array) -> Array:
        return jnp.sum(jnp.real(bilinear(*given)))

    assert kept_by(jax.grad(total, (0, 1, 2)), *given) == [0]


def called(shapes: Any) -> tuple[list[Array], Array, Array, Callable[..., list[Array]]]:
    """Of the kernel itself: the factors, the result, what it keeps, and its gradients."""
    x1, x2, weight = arrays(shapes)
    given = [jnp.ones((len(x1), 1)), x1, x2, weight]
    factors = [x.reshape(1, x.shape[0], 1, *([1] * (k == 0)), x.shape[1])
               for k, x in enumerate(given[:3])]  # fmt: skip
    factors.append(weight[None])
    every, dtypes = [x.shape for x in factors], [weight.dtype] * 4
    sizes = (len(x1), 1, 1, *weight.shape)
    keep = compiled.xla_kept(sizes, (True, True, True), 8)
    out, kept = _native.contract([None, *factors[1:]], (0,), every, dtypes, keep)

    def gradients(kept: Array) -> list[Array]:
        return _native.contract([*factors, kept], (1, 2, 3), every, dtypes, 0)

    return factors, out, kept, gradients


def test_it_takes_the_place_of_a_product() -> None:
    """The gradient is what was kept times g, so another product gives another gradient."""
    _, _, kept, gradients = called(ROWS)
    mark = MARK // 8
    twice = jnp.concatenate([2 * kept[:-mark], kept[-mark:]])
    one, other = gradients(kept), gradients(twice)
    same(other[1], 2 * one[1])
    same([other[0], other[2]], [one[0], one[2]])


def test_what_was_not_kept_for_these_sizes_is_left() -> None:
    _, _, kept, gradients = called(ROWS)
    expected = gradients(kept)
    _, _, of_others, _ = called(((600, 41), (600, 43), (1, 41, 43)))
    for other in (of_others, kept.at[-7:].set(0), jnp.zeros_like(kept)):
        same(gradients(other), expected)


def test_other_threads_when_it_runs_than_when_it_was_traced() -> None:
    given, before = arrays(ROWS), lucid.get_num_threads()
    run = jax.jit(gradients(bilinear)).lower(*given).compile()
    expected = gradients(einsum)(*given)
    try:
        for threads in (1, 2, 3):
            lucid.set_num_threads(threads)
            same(run(*given), expected)
    finally:
        lucid.set_num_threads(before)


@pytest.mark.parametrize("shapes", SHAPES[:3], ids=str)
def test_under_transformations(shapes: Any) -> None:
    given = arrays(shapes)
    again = arrays(shapes)

    def second(function: Callable[..., Array]) -> Any:
        def total(*given: Array) -> Array:
            return sum(jnp.vdot(d, x) for d, x in zip(gradients(function)(*given), again,
                                                      strict=True))  # fmt: skip

        return jax.grad(total, (0, 1, 2))

    same(jax.jit(second(bilinear))(*given), second(einsum)(*given))
    same(gradients(jax.checkpoint(bilinear))(*given), gradients(einsum)(*given))
    _, pull = jax.vjp(bilinear, *given)
    _, expected = jax.vjp(einsum, *given)
    g = jnp.asarray(np.random.default_rng(1).standard_normal((2, *einsum(*given).shape)))
    same(jax.vmap(pull)(g), jax.vmap(expected)(g))
    _, push = jax.linearize(bilinear, *given)
    same(push(*again), jax.jvp(einsum, tuple(given), tuple(again))[1])


@pytest.mark.parametrize("axes", [(0, 0, None), (0, None, None), (None, 0, 0)])
def test_under_vmap(axes: Any) -> None:
    """Of the call for all elements at once it is kept; not of one of them, as none is made."""
    given = [
        x if axis is None else jnp.stack([x, 2 * x, x + 1])
        for x, axis in zip(arrays(PAIRS), axes, strict=True)
    ]

    def each(function: Callable[..., Array]) -> Any:
        return jax.vmap(function, axes)

    same(gradients(each(bilinear))(*given), gradients(each(einsum))(*given))
    found = each(gradients(bilinear))(*given)
    same(found, each(gradients(einsum))(*given))
    same(jax.jit(each(gradients(bilinear)))(*given), found)


def test_under_scan_and_cond() -> None:
    x1, x2, weight = arrays(ROWS)

    def total(function: Callable[..., Array]) -> Callable[..., Array]:
        def run(x1: Array, weight: Array) -> Array:
            def step(carry: Array, factor: Array) -> tuple[Array, None]:
                found = jax.lax.cond(
                    factor > 1, lambda: function(factor * x1, x2, weight), lambda: x1[:, :1]
                )
                return carry + jnp.sum(jnp.sin(found)), None

            return jax.lax.scan(step, jnp.zeros(()), jnp.arange(3.0))[0]

        return run

    def batched(function: Callable[..., Array]) -> Any:
        return jax.grad(lambda *x: jnp.sum(jax.vmap(total(function), (0, None))(*x)), (0, 1))

    slopes = (jax.grad(total(function), (0, 1))(x1, weight) for function in (bilinear, einsum))
    same(*slopes)
    several = jnp.stack([x1, x1 + 1])
    same(*(batched(function)(several, weight) for function in (bilinear, einsum)))
