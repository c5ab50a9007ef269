"""Derivatives of functions, compared with JAX's and with what can be written down; checkpoints."""

# ruff: noqa: ARG005 (some functions do not depend on their argument, on purpose)

from __future__ import annotations

import gc
import tracemalloc
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from weakref import ref

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid._pytree import take_apart
from lucid.autograd import checkpoint, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from lucid.nn import functional as F
from lucid.testing import assert_same, gradcheck

Pair = namedtuple("Pair", ["w", "b"])  # noqa: PYI024


@dataclass(frozen=True)
class Model:
    layers: list[Any]
    scale: Any


def values(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.asarray(np.random.default_rng(seed).standard_normal(shape))


# Two functions that are written once, for lucid and for JAX


def loss(xp: Any) -> Callable[..., Any]:
    def function(tree: Any, x: Any) -> Any:
        hidden = xp.tanh(xp.matmul(x, tree["w"][0]) + tree["b"])
        return xp.sum(xp.matmul(hidden, tree["w"][1]) ** 2) + xp.sum(xp.exp(tree["b"]))

    return function


def outputs(xp: Any) -> Callable[..., Any]:
    def function(x: Any, y: Any) -> Any:
        return {"product": xp.matmul(x, y), "sines": (xp.sin(x), xp.sum(x * x))}

    return function


def tree() -> dict[str, Any]:
    return {"w": [values(3, 2), values(2, seed=1)], "b": values(2, seed=2)}


def tensors(of: Any) -> Any:
    leaves, structure = take_apart(of)
    return structure.put_together(map(Tensor, leaves))


@pytest.fixture
def jax() -> Iterator[Any]:
    found = pytest.importorskip("jax", reason="JAX is not installed")
    before = found.config.jax_enable_x64
    found.config.update("jax_enable_x64", True)
    yield found
    found.config.update("jax_enable_x64", before)


def same(found: Any, expected: Any) -> None:
    here, structure = take_apart(found)
    there, expected_structure = take_apart(expected)
    assert structure.keys == expected_structure.keys
    assert len(here) == len(there) > 0
    for one, other in zip(here, there, strict=True):
        assert isinstance(one, Tensor)
        assert_same(one, np.asarray(other), rtol=1e-11, atol=1e-11)


def sorted_keys(found: Any) -> Any:
    """JAX sorts the keys of a dict; these are written in that order."""
    return dict(sorted(found.items()))


def test_value_and_grad_is_that_of_jax(jax: Any) -> None:
    given = sorted_keys(tree())
    x = values(4, 3, seed=3)
    for argnums in (0, 1, -1, (0, 1), (1, 0)):
        found = value_and_grad(loss(lucid), argnums)(tensors(given), Tensor(x))
        same(found, jax.value_and_grad(loss(jax.numpy), argnums)(given, x))


def test_vjp_is_that_of_jax(jax: Any) -> None:
    x, y = values(3, 4), values(4, 2, seed=1)
    weights = {"product": values(3, 2, seed=2), "sines": (values(3, 4, seed=3), np.array(2.0))}
    value, pull_back = vjp(outputs(lucid), Tensor(x), Tensor(y))
    expected, pull_back_of_jax = jax.vjp(outputs(jax.numpy), x, y)
    same(value, expected)
    for _ in range(2):  # it can be called again
        same(pull_back(tensors(weights)), pull_back_of_jax(weights))


def test_jvp_is_that_of_jax(jax: Any) -> None:
    primals = values(3, 4), values(4, 2, seed=1)
    tangents = values(3, 4, seed=2), values(4, 2, seed=3)
    found = jvp(outputs(lucid), tensors(primals), tensors(tangents))
    same(found, jax.jvp(outputs(jax.numpy), primals, tangents))


def test_hvp_is_that_of_jax(jax: Any) -> None:
    given, direction = sorted_keys(tree()), sorted_keys(tree())
    direction["b"] = values(2, seed=7)
    x = values(4, 3, seed=3)
    value, product = hvp(
        lambda tree: loss(lucid)(tree, Tensor(x)), (tensors(given),), (tensors(direction),)
    )

    def of_x(tree: Any) -> Any:
        return loss(jax.numpy)(tree, x)

    same(value, of_x(given))
    same(product, (jax.jvp(jax.grad(of_x), (given,), (direction,))[1],))


def test_jacobian_is_that_of_jax(jax: Any) -> None:
    x, y = values(3, 4), values(4, 2, seed=1)
    for argnums in (0, (1, 0)):
        found = jacobian(outputs(lucid), argnums)(Tensor(x), Tensor(y))
        same(found, jax.jacrev(outputs(jax.numpy), argnums)(x, y))


def test_hessian_is_that_of_jax(jax: Any) -> None:
    given, x = sorted_keys(tree()), values(4, 3, seed=3)
    for argnums in (0, (0, 1)):
        found = hessian(loss(lucid), argnums)(tensors(given), Tensor(x))
        same(found, jax.hessian(loss(jax.numpy), argnums)(given, x))


def test_jvp_of_complex_numbers_is_that_of_jax(jax: Any) -> None:
    z, v = values(3) + 1j * values(3, seed=1), values(3, seed=2) + 1j * values(3, seed=3)
    for holomorphic in (True, False):

        def function(xp: Any, z: Any, holomorphic: bool = holomorphic) -> Any:
            return z * z * (z if holomorphic else xp.conj(z))

        found = jvp(lambda z: function(lucid, z), (Tensor(z),), (Tensor(v),))
        same(found, jax.jvp(lambda z: function(jax.numpy, z), (z,), (v,)))


def test_derivatives_nest(jax: Any) -> None:
    def derivative(function: Any) -> Any:
        return lambda x: value_and_grad(function)(x)[1]

    third = derivative(derivative(derivative(lambda x: lucid.sin(x) * x)))
    third_of_jax = jax.grad(jax.grad(jax.grad(lambda x: jax.numpy.sin(x) * x)))
    same(third(Tensor(0.7, dtype=lucid.float64)), third_of_jax(0.7))

    def inner(x: Any) -> Any:
        # the closure's x is differentiated through as well
        return jvp(lambda y: y * y * x, (x,), (x,))[1]

    same(value_and_grad(inner)(Tensor(0.7, dtype=lucid.float64))[1], np.array(6 * 0.7**2))
    second = jacobian(jacobian(lambda x: x**3))(Tensor([2.0, 3.0], dtype=lucid.float64))
    same(second[0, 0], np.array([12.0, 0.0]))


def test_a_derivative_is_recorded_only_if_something_outside_requires_it() -> None:
    x = Tensor([1.0, 2.0])
    w = Tensor(3.0, requires_grad=True)
    value, gradient = value_and_grad(lambda x: (x**3).sum())(x)
    assert not value.requires_grad
    assert not gradient.requires_grad

    value, gradient = value_and_grad(lambda x: (w * x**2).sum())(x)
    assert value.requires_grad
    (gradient * gradient).sum().backward()  # Σ (2wx)²
    assert_same(w.grad, np.float32(2 * 3.0 * 4 * 5))

    with lucid.no_grad():
        value, gradient = value_and_grad(lambda x: (w * x**2).sum())(x)
    assert not value.requires_grad
    assert_same(gradient, np.array([6.0, 12.0], np.float32))


def test_the_argument_s_own_grad_is_untouched_and_its_graph_is_reached() -> None:
    x = Tensor(2.0, requires_grad=True)
    y = x * x
    value, gradient = value_and_grad(lambda y: y**2)(y)
    assert x.grad is None
    (value + gradient).backward()  # y² + 2y
    assert_same(x.grad, np.float32((2 * 4 + 2) * 4))


@pytest.mark.parametrize(
    "made",
    [
        lambda w, b: (w, b),
        lambda w, b: [w, [b, None]],
        lambda w, b: OrderedDict(w=w, b={"deep": (b,)}),
        Pair,
        lambda w, b: Model([w, Pair(b, None)], 0.5),
    ],
    ids=["tuple", "list", "dict", "namedtuple", "dataclass"],
)
def test_a_gradient_has_the_structure_of_its_argument(made: Callable[..., Any]) -> None:
    given = made(Tensor([1.0, 2.0]), Tensor(3.0))

    def function(tree: Any) -> Any:
        w, b, *_ = take_apart(tree)[0]
        return (w * w).sum() * b

    gradient = value_and_grad(function)(given)[1]
    assert type(gradient) is type(given)
    leaves, structure = take_apart(gradient)
    assert structure == take_apart(given)[1]
    same(leaves[:2], [np.array([6.0, 12.0], np.float32), np.float32(5.0)])


def test_aux_goes_along_without_a_graph() -> None:
    x = Tensor([1.0, 2.0])

    def function(x: Tensor) -> Any:
        return (x * x).sum(), {"twice": x * 2, "name": "aux"}

    (value, aux), gradient = value_and_grad(function, has_aux=True)(x)
    assert (value.item(), aux["name"]) == (5.0, "aux")
    assert not aux["twice"].requires_grad
    assert_same(gradient, x * 2)
    assert jacobian(function, has_aux=True)(x)[1]["name"] == "aux"
    found, aux = hessian(function, has_aux=True)(x)
    assert_same(found, 2 * np.eye(2, dtype=np.float32))
    assert aux["name"] == "aux"
    assert vjp(function, x, has_aux=True)[2]["name"] == "aux"
    assert jvp(function, (x,), (x,), has_aux=True)[2]["name"] == "aux"
    assert hvp(function, (x,), (x,), has_aux=True)[2]["name"] == "aux"


def test_what_a_value_does_not_depend_on_has_the_gradient_zero() -> None:
    x, y = Tensor([1.0, 2.0]), Tensor(3.0)
    gradients = value_and_grad(lambda x, y: x.sum(), (0, 1))(x, y)[1]
    same(gradients, (np.ones(2, np.float32), np.float32(0)))
    same(value_and_grad(lambda x: Tensor(1.0))(x)[1], np.zeros(2, np.float32))
    same(jvp(lambda x: Tensor(1.0), (x,), (x,))[1], np.float32(0))
    same(jacobian(lambda x: lucid.ones(3))(x), np.zeros((3, 2), np.float32))


def test_arrays_and_floats_are_differentiated_in_too() -> None:
    gradient = value_and_grad(lambda x: x["a"] * x["b"].sum())({"a": 2.0, "b": np.ones(2)})[1]
    same(gradient, {"a": np.float32(2.0), "b": np.array([2.0, 2.0])})


def peak(function: Callable[[], Any]) -> tuple[Any, int]:
    """A result, and how many bytes were there at most while it was computed."""
    gc.collect()
    tracemalloc.start()
    try:
        return function(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_beside_the_result_a_hessian_needs_memory_for_some_rows() -> None:
    n = 400
    x, matrix = {"a": Tensor(values(n // 2)), "b": Tensor(values(n // 2, seed=1))}, values(20, n)

    def function(x: Any) -> Any:
        return lucid.logsumexp(lucid.matmul(matrix, lucid.concat([x["a"], x["b"]])))

    row, result = 8 * n, 8 * n * n
    hessian(function)(x)  # what is made once
    found, held = peak(lambda: hessian(function)(x))
    assert found["a"]["b"].shape == (n // 2, n // 2)
    assert result < held < result + 120 * row  # the graph has the matrix, of 20 rows
    found, held = peak(lambda: jacobian(lambda x: lucid.tanh(x["a"]) * lucid.sum(x["b"]))(x))
    assert result / 2 < held < result / 2 + 30 * row


def test_rows_of_a_hessian_one_at_a_time_hold_no_memory() -> None:
    n = 400
    x, matrix = Tensor(values(n)), values(20, n)

    def function(x: Any) -> Any:
        return lucid.logsumexp(lucid.matmul(matrix, x))

    _, pull_back = vjp(lambda x: value_and_grad(function)(x)[1], x)
    whole = hessian(function)(x)

    def all_rows() -> None:
        for k in range(n):
            (row,) = pull_back(lucid.asarray(np.eye(1, n, k)[0]))
            same(row, whole[k].numpy())

    all_rows()
    assert peak(all_rows)[1] < 120 * 8 * n


def test_an_empty_output_or_input_has_an_empty_jacobian() -> None:
    assert jacobian(lambda x: x[:0])(Tensor([1.0, 2.0])).shape == (0, 2)
    assert jacobian(lambda x: x.sum())(lucid.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("library", ["array_api_strict", "torch", "jax.numpy"])
def test_a_jacobian_of_other_libraries_arrays(library: str) -> None:
    xp = pytest.importorskip(library)
    x = Tensor(xp.asarray([1.0, 2.0], dtype=xp.float32))
    found = jacobian(lambda x: x * x.sum())(x)
    assert type(found._array) is type(x._array)
    assert_same(found, np.array([[4, 1], [2, 5]], np.float32))


# Errors


def refused(error: type[Exception], words: str, call: Callable[[], Any]) -> None:
    with pytest.raises(error) as caught:
        call()
    assert words in str(caught.value)


def doubled(x: Any) -> Any:
    return x * 2


X = Tensor([1.0, 2.0])


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (
            lucid.ShapeError,
            "value_and_grad: doubled returned a Tensor of shape (2,), expected one number, a "
            "Tensor of shape ().\nTake its sum() or mean(), or use vjp or jacobian.",
            lambda: value_and_grad(doubled)(X),
        ),
        (
            lucid.ShapeError,
            "hvp: doubled returned a Tensor of shape (2,), expected one number",
            lambda: hvp(doubled, (X,), (X,)),
        ),
        (
            lucid.ShapeError,
            "hessian: doubled returned a Tensor of shape (2,), expected one number",
            lambda: hessian(doubled)(X),
        ),
        (
            lucid.ShapeError,
            "returned a tuple, expected one number",
            lambda: value_and_grad(lambda x: (x.sum(), x.sum()))(X),
        ),
        (
            lucid.DTypeError,
            "returned complex64, expected a real number",
            lambda: value_and_grad(lambda x: (x * 1j).sum())(X),
        ),
        (
            lucid.ArgumentError,
            "value_and_grad: argnums says argument 2, but doubled was called with 1 positional "
            "argument; they count from 0",
            lambda: value_and_grad(doubled, 2)(X),
        ),
        (
            lucid.ArgumentError,
            "jacobian: argnums says argument 0, but doubled was called with 0 positional arguments",
            lambda: jacobian(doubled)(x=X),
        ),
        (
            lucid.ArgumentError,
            "argnums is 'x', expected the number of an argument",
            lambda: value_and_grad(doubled, "x")(X),  # type: ignore[arg-type]
        ),
        (
            lucid.ArgumentError,
            "argnums (0, -1) names an argument twice",
            lambda: value_and_grad(doubled, (0, -1))(X),
        ),
        (
            lucid.ArgumentError,
            "there is no argument to differentiate in",
            lambda: value_and_grad(doubled, ())(X),
        ),
        (
            lucid.DTypeError,
            "value_and_grad: argument 0['n'] of <lambda> is int64; only floating-point numbers "
            "have a derivative",
            lambda: value_and_grad(lambda tree: tree["n"].sum())({"n": Tensor([1, 2])}),
        ),
        (
            lucid.DTypeError,
            "argument 0[1] of doubled is int64",
            lambda: value_and_grad(doubled)([1.0, 3]),
        ),
        (
            lucid.ArgumentError,
            "argument 0[1] of doubled is str, expected a Tensor",
            lambda: value_and_grad(doubled)([X, "mean"]),
        ),
        (
            lucid.ArgumentError,
            "argument 0 of doubled is (), which holds no Tensor",
            lambda: value_and_grad(doubled)(()),
        ),
        (
            lucid.ArgumentError,
            "vjp: <lambda> returned float, expected a Tensor",
            lambda: vjp(lambda x: x.sum().item(), X),
        ),
        (
            lucid.ArgumentError,
            "vjp: <lambda> returned ndarray at [0], expected a Tensor",
            lambda: vjp(lambda x: [x.numpy()], X),
        ),
        (
            lucid.ArgumentError,
            "value_and_grad: <lambda> returned None, expected a Tensor",
            lambda: value_and_grad(lambda x: None)(X),
        ),
        (
            lucid.DTypeError,
            "jacobian: <lambda> returned Tensor, a Tensor of int64, which has no derivative",
            lambda: jacobian(lambda x: lucid.argsort(x))(X),
        ),
        (
            lucid.ArgumentError,
            "with has_aux, doubled returns a tuple of the value and what goes with it, but it "
            "returned Tensor",
            lambda: value_and_grad(doubled, has_aux=True)(X),
        ),
        (
            lucid.ArgumentError,
            "value_and_grad: expected a function, got Tensor; the arguments go to what it returns, "
            "as in value_and_grad(function)(x)",
            lambda: value_and_grad(X),  # type: ignore[arg-type]
        ),
        (
            lucid.ArgumentError,
            "checkpoint: expected a function, got Tensor",
            lambda: checkpoint(X),  # type: ignore[arg-type]
        ),
        (
            lucid.ArgumentError,
            "jvp: primals is Tensor, expected a tuple with one entry for each argument; write (x,)",
            lambda: jvp(doubled, X, X),  # type: ignore[arg-type]
        ),
        (
            lucid.ArgumentError,
            "jvp: 1 primals, but 2 tangents",
            lambda: jvp(doubled, (X,), (X, X)),
        ),
        (
            lucid.ArgumentError,
            "hvp: tangents[0] has the structure [*], expected {'a': *, 'b': (*,)}",
            lambda: hvp(lambda t: t["a"].sum(), ({"a": X, "b": (X,)},), ([X],)),
        ),
        (
            lucid.ArgumentError,
            "vjp: the cotangents has the structure *, expected Pair(w: *, b: *)",
            lambda: vjp(lambda x: Pair(x, x), X)[1](X),
        ),
        (
            lucid.ShapeError,
            "jvp: the tangent of argument 0 of doubled has shape (3,), but argument 0 of doubled "
            "has (2,); they must be equal",
            lambda: jvp(doubled, (X,), (lucid.ones(3),)),
        ),
        (
            lucid.ShapeError,
            "vjp: the gradient has shape (3,), but the result has (2,)",
            lambda: vjp(doubled, X)[1](lucid.ones(3)),
        ),
        (
            lucid.DTypeError,
            "jacobian: argument 0 of doubled is complex64; the derivatives of complex numbers do "
            "not fit into one complex array",
            lambda: jacobian(doubled)(Tensor([1j])),
        ),
    ],
)
def test_misuse_is_refused_in_words(
    error: type[Exception], words: str, call: Callable[[], Any]
) -> None:
    refused(error, words, call)


# Checkpoints


def segments(w: Tensor, b: Tensor) -> list[Callable[..., Any]]:
    """Functions that use their argument, Tensors beside it, random numbers, several outputs."""
    return [
        lambda x: lucid.tanh(lucid.matmul(x, w) + b),
        lambda x: F.dropout(lucid.exp(x * 0.1), 0.5),
        lambda x: (lucid.sin(x), lucid.unstack(x * x, axis=0)[1]),
        lambda pair: lucid.matmul(pair[0], w) * pair[1],
    ]


def leaves() -> tuple[Tensor, Tensor, Tensor]:
    x, w, b = values(4, 3), values(3, 3, seed=1), values(3, seed=2)
    return tuple(Tensor(each, requires_grad=True) for each in (x, w, b))  # type: ignore[return-value]


def derivatives(wrap: Callable[..., Any], order: int) -> list[Tensor]:
    """All derivatives up to an order of a chain of segments, along themselves."""
    lucid.manual_seed(3)
    x, w, b = leaves()
    y: Any = x
    for segment in segments(w, b):
        y = wrap(segment)(y)
    lucid.rand(3)  # a pass back does not move where the numbers stand
    total, found = (y * y).sum(), []
    for k in range(order):
        gradients = lucid.grad(total, [x, w, b], create_graph=k < order - 1)
        found += gradients
        total = sum((g * g).sum() for g in gradients)
    return [*found, lucid.rand(3)]


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_checkpoint_changes_no_derivative(order: int) -> None:
    plain, kept = derivatives(lambda f: f, order), derivatives(checkpoint, order)
    for one, other in zip(kept, plain, strict=True):
        assert np.array_equal(one.numpy(), other.numpy())


def test_checkpoints_nest() -> None:
    nested = derivatives(lambda f: checkpoint(checkpoint(f)), 2)
    for one, other in zip(nested, derivatives(lambda f: f, 2), strict=True):
        assert np.array_equal(one.numpy(), other.numpy())


def test_a_checkpoint_has_right_gradients() -> None:
    gradcheck(checkpoint(lambda x: lucid.exp(lucid.sin(x)) * x), [Tensor([0.3, 0.7])], order=3)


def test_a_checkpoint_of_a_module_gives_its_parameters_gradients() -> None:
    layer = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))
    x = Tensor(values(4, 3).astype(np.float32))

    def gradients(function: Any) -> list[Any]:
        layer.zero_grad()
        (function(x) ** 2).sum().backward()
        return [parameter.grad for parameter in layer.parameters()]

    for one, other in zip(gradients(checkpoint(layer)), gradients(layer), strict=True):
        assert_same(one, other)


@pytest.mark.usefixtures("no_gc")
def test_a_checkpoint_keeps_nothing_in_between() -> None:
    seen: list[Any] = []

    def function(x: Tensor) -> Tensor:
        middle = lucid.exp(x)
        seen.append(ref(middle._array))
        return lucid.sin(middle * middle)

    x = Tensor(values(3), requires_grad=True)
    y = function(x)
    assert seen.pop()() is not None
    y = checkpoint(function)(x)
    assert seen.pop()() is None
    y.backward(np.ones(3))
    assert len(seen) == 1  # one more run
    assert seen.pop()() is None
    assert gc.garbage == []


def test_a_checkpoint_runs_again_for_each_pass() -> None:
    runs: list[None] = []

    @checkpoint
    def function(x: Tensor) -> Tensor:
        """What it was."""
        runs.append(None)
        return lucid.exp(x) * x

    assert function.__doc__ == "What it was."
    x = Tensor(values(3), requires_grad=True)
    y = function(x).sum()
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)
    assert len(runs) == 3
    with lucid.no_grad():
        function(x)
    assert len(runs) == 4


def test_a_checkpoint_goes_on_from_its_arguments_as_they_were() -> None:
    x = Tensor([1.0, 2.0])
    w = Tensor(3.0, requires_grad=True)
    y = checkpoint(lambda x: lucid.exp(w * x))(x)
    x *= 100.0
    y.backward(np.ones(2, np.float32))
    assert_same(w.grad, np.float32(np.exp(3.0) + 2 * np.exp(6.0)))


def test_a_checkpoint_that_computes_something_else_is_refused() -> None:
    runs: list[None] = []

    def fickle(x: Tensor) -> Tensor:
        runs.append(None)
        return lucid.sin(lucid.exp(x)) if len(runs) == 1 else lucid.cos(lucid.exp(x))

    x = Tensor(1.0, requires_grad=True)
    y = checkpoint(fickle)(x)
    with pytest.raises(lucid.GraphError) as caught:
        y.backward()
    assert (
        "checkpoint: fickle recorded other operations the second time: operation 1 was sin, then "
        "cos.\nA function under checkpoint computes the same when it is called again"
    ) in str(caught.value)


def test_a_generator_of_one_s_own_is_set_back_too() -> None:
    generator = lucid.Generator(5)
    x = Tensor(np.ones(20), requires_grad=True)
    y = checkpoint(lambda x: F.dropout(lucid.exp(x), 0.5, generator=generator))(x)
    stands = generator.get_state()
    y.sum().backward()
    assert generator.get_state() == stands
    assert_same(x.grad, y.detach())


@pytest.mark.usefixtures("no_gc")
def test_checkpoints_of_a_chain_hold_the_memory_of_one_segment() -> None:
    alive: list[Any] = []
    counts: list[int] = []

    def count() -> int:
        return sum(each() is not None for each in alive)

    @lucid.op
    def watched(x: Any) -> Any:
        y = np.array(x)
        alive.append(ref(y))
        return y

    def rule(g: Any, y: Any) -> Any:
        counts.append(count())
        return g * y

    watched.gradient(x=rule)

    def most(wrap: Callable[..., Any]) -> tuple[int, int]:
        x = Tensor(values(3), requires_grad=True)
        y: Any = x
        for _ in range(5):
            y = wrap(lambda x: watched(watched(watched(x))))(y)
        after = count()
        counts.clear()
        y.backward(np.ones(3))
        return after, max(counts)

    assert most(lambda f: f) == (15, 15)
    # the arguments of four segments and y; beside them, three of the segment that runs again
    assert most(checkpoint) == (5, 8)


@pytest.mark.parametrize("size", [0, 1, 4096, 4097])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex64])
def test_the_gradient_of_a_sum_is_one_at_every_place(size: int, dtype: Any) -> None:
    x = lucid.Tensor(np.zeros(size, dtype), requires_grad=True)
    total = x.sum()
    total.backward()
    found = x.grad
    assert found is not None
    assert (found.shape, found.dtype) == ((size,), total.dtype)
    assert (found.numpy() == 1).all()
