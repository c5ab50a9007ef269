"""float16 and bfloat16 add up in float32, in every operation and on the tape; rounded once."""

from __future__ import annotations

import contextlib
import functools
import importlib
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from cases import CASES, Case
from tape_helpers import gradient

import lucid
from lucid import Tensor, _blocks, _tape
from lucid.nn import functional as F, utils

Array = npt.NDArray[Any]

MANY = 100_000

HALVES = {"float16": np.dtype(np.float16)}
with contextlib.suppress(ImportError):
    HALVES["bfloat16"] = np.dtype(importlib.import_module("ml_dtypes").bfloat16)
ULP = {"float16": 2.0**-10, "bfloat16": 2.0**-7}  # of numbers from 1 to 2
LEAST = {"float16": 2.0**-24, "bfloat16": 2.0**-133}


@pytest.fixture(params=HALVES)
def half(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# Nothing adds up in a half: what adds up is not even called on one


SUMS = (
    "sum", "mean", "var", "std", "prod", "nansum", "average", "cumsum", "cumprod",
    "cumulative_sum", "cumulative_prod", "matmul", "tensordot", "vecdot", "dot", "vdot", "inner",
    "matvec", "vecmat", "einsum", "kron", "trapezoid", "convolve", "linalg.norm",
    "linalg.vector_norm", "linalg.matrix_norm", "linalg.trace", "trace",
)  # fmt: skip


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy, whose sums refuse halves unless they are told to add up in something wider."""

    def refuse(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            dtype = options.get("dtype")
            wide = dtype is not None and np.dtype(dtype) not in HALVES.values()
            for value in (*arguments, *options.values()):
                if getattr(value, "dtype", None) in HALVES.values() and not wide:
                    raise AssertionError(f"{name} adds up in {value.dtype}")
            return function(*arguments, **options)

        return call

    for name in SUMS:
        place, _, attribute = name.rpartition(".")
        module = getattr(np, place) if place else np
        if hasattr(module, attribute):
            monkeypatch.setattr(module, attribute, refuse(name, getattr(module, attribute)))


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_operation_adds_up_in_a_half(case: Case, half: str) -> None:
    arrays = [a.astype(HALVES[half]) if a.dtype.kind == "f" else a for a in case.arguments()]
    tensors = [Tensor(a, requires_grad=a.dtype in HALVES.values()) for a in arrays]
    result = case(*tensors)
    results = [y for y in (result if isinstance(result, tuple) else (result,)) if y.requires_grad]
    inputs = [tensor for tensor in tensors if tensor.requires_grad]
    if not results or not inputs:
        return
    found = lucid.grad(results, inputs, allow_unused=True, create_graph=True)
    slopes = [slope for slope in found if slope is not None and slope.requires_grad]
    if slopes:
        lucid.grad(slopes, inputs, allow_unused=True)


@pytest.mark.usefixtures("guarded")
def test_the_guard_can_fail(half: str) -> None:
    x = np.ones(3, HALVES[half])
    with pytest.raises(AssertionError, match=f"sum adds up in {half}"):
        np.sum(x)
    with pytest.raises(AssertionError, match="matmul adds up"):
        np.matmul(x, x)
    assert np.sum(x, dtype=np.float32) == 3.0


# Values and gradients of a hundred thousand elements: those of float64, rounded once


def few(*shape: int) -> Array:
    return np.random.default_rng(0).integers(-8, 9, shape) / 8


def positive(*shape: int) -> Array:
    return np.random.default_rng(1).integers(4, 9, shape) / 8


CLASSES = np.arange(MANY) % 3
ZEROS = np.zeros(MANY, int)
NEAR_ONE = np.where(np.arange(MANY) % 64, 1, np.where(np.arange(MANY) % 128, 1.5, 2 / 3))

SUMMED: dict[str, tuple[Callable[..., Any], tuple[Array, ...]]] = {
    "sum": (lucid.sum, (positive(MANY),)),
    "sum: axis": (lambda x: lucid.sum(x, axis=0), (positive(MANY, 2),)),
    "mean": (lucid.mean, (positive(MANY),)),
    "mean: axis": (lambda x: lucid.mean(x, axis=0), (positive(MANY, 2),)),
    "var": (lucid.var, (few(MANY) * 100,)),
    "var: axis": (lambda x: lucid.var(x, axis=0, correction=1), (few(MANY, 2),)),
    "std": (lucid.std, (few(MANY) * 100,)),
    "prod": (lucid.prod, (NEAR_ONE,)),
    "logsumexp": (lucid.logsumexp, (few(MANY),)),
    "max": (lucid.max, (np.ones(MANY),)),
    "min: axis": (lambda x: lucid.min(x, axis=0), (np.ones((MANY, 2)),)),
    "cumulative_sum": (lambda x: lucid.cumulative_sum(x, axis=0), (positive(MANY // 4, 1),)),
    "cumulative_prod": (lucid.cumulative_prod, (np.where(np.arange(MANY) % 2, 2.0, 0.5),)),
    "matmul": (lucid.matmul, (positive(2, MANY // 4), positive(MANY // 4, 3))),
    "matmul: rows": (lucid.matmul, (positive(MANY, 2), few(2, 2))),
    "tensordot": (lambda x, y: lucid.tensordot(x, y, axes=1), (few(2, MANY), few(MANY, 2))),
    "vecdot": (lucid.vecdot, (positive(MANY // 4), positive(MANY // 4))),
    "add: broadcast": (lucid.add, (few(MANY, 2), few(2))),
    "multiply: broadcast": (lucid.multiply, (positive(MANY, 2), positive(2))),
    "where: broadcast": (lambda x, y: lucid.where(x > 0, x, y), (few(MANY, 2), few(2))),
    "take": (lambda x: lucid.take(x, Tensor(ZEROS)), (few(3),)),
    "getitem": (lambda x: x[Tensor(ZEROS)], (few(3),)),
    "getitem: one": (lambda x: x[[0] * MANY], (few(3),)),
    "embedding": (lambda w: F.embedding(CLASSES, w), (few(3, 2),)),
    "linear: features": (F.linear, (positive(2, MANY // 4), positive(3, MANY // 4), few(3))),
    "linear: rows": (F.linear, (positive(MANY, 2), few(3, 2), few(3))),
    "softmax": (F.softmax, (few(MANY),)),
    "softmax: axis": (lambda x: F.softmax(x, axis=0), (few(MANY, 2),)),
    "log_softmax": (F.log_softmax, (few(MANY),)),
    "layer_norm": (lambda x: F.layer_norm(x, MANY), (few(MANY) * 300,)),
    "layer_norm: weight": (lambda x, w, b: F.layer_norm(x, 4, w, b),
                           (few(MANY, 4) * 300, positive(4), few(4))),
    "mse_loss": (F.mse_loss, (few(MANY) * 200, few(MANY)[::-1] * 100)),
    "l1_loss": (F.l1_loss, (few(MANY) * 200, few(MANY)[::-1] * 100)),
    "binary_cross_entropy_with_logits": (
        F.binary_cross_entropy_with_logits, (few(MANY), positive(MANY))),
    "cross_entropy: positions": (lambda x: F.cross_entropy(x, CLASSES), (few(MANY, 3),)),
    "cross_entropy: classes": (lambda x: F.cross_entropy(x, [5]), (few(1, MANY),)),
    "cross_entropy: weight": (
        lambda x: F.cross_entropy(x, CLASSES, weight=[1.0, 2.0, 4.0]), (few(MANY, 3),)),
    "nll_loss": (lambda x: F.nll_loss(x, CLASSES), (few(MANY, 3),)),
    "bilinear": (F.bilinear, (positive(MANY, 2), positive(MANY, 2), few(3, 2, 2), few(3))),
    "fan-out": (lambda x: functools.reduce(lambda y, _: y + x, range(600), x * 0), (few(3),)),
    "fan-out: parts": (lambda x: lucid.stack([x * 2 for _ in range(2000)]), (few(2),)),
}  # fmt: skip

# the gradient is made of a result that was itself rounded, or of several rounded steps
STEPS = {
    "std": 2, "softmax": 2, "softmax: axis": 2, "log_softmax": 2, "layer_norm": 2,
    "layer_norm: weight": 4, "fan-out": 300, "prod": 0.6, "cross_entropy: positions": 2,
    "cross_entropy: classes": 2, "cross_entropy: weight": 3,
}  # fmt: skip


def within(actual: Array, exact: Array, half: str, ulps: float) -> None:
    """Within so many units in the last place; of each element, and of a tenth of the largest."""
    actual, exact = np.atleast_1d(actual), np.atleast_1d(exact)
    size = np.maximum(np.abs(exact), np.abs(exact).max(initial=0) / 10 if ulps > 1 else 0)
    allowed = ulps * ULP[half] * size + LEAST[half]
    with np.errstate(over="ignore", invalid="ignore"):
        off = np.abs(actual.astype(np.float64) - exact)
        off[actual == exact.astype(actual.dtype)] = 0  # also where that is ∞
    worst = np.unravel_index(int(np.argmax(off - allowed)), off.shape)
    assert (off <= allowed).all(), (worst, actual[worst], exact[worst], (off / allowed)[worst])


@pytest.mark.parametrize("block", [1 << 30, 4096], ids=["whole", "blocks"])
@pytest.mark.parametrize("name", SUMMED)
def test_a_hundred_thousand_elements_are_rounded_once(
    name: str, half: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_blocks, "BLOCK", block)
    function, arguments = SUMMED[name]
    rounded = [array.astype(HALVES[half]) for array in arguments]
    values: list[Tensor] = []
    wide: list[Tensor] = []
    for dtype in (HALVES[half], np.float64):
        leaves = [Tensor(array.astype(dtype), requires_grad=True) for array in rounded]
        with np.errstate(over="ignore"):  # a sum beyond 65504 is ∞ in float16
            y = function(*leaves)
            found = [y, *lucid.grad(y, leaves, weights(y.shape))]
        (values if dtype is HALVES[half] else wide).extend(found)
    for actual, exact in zip(values, wide, strict=True):
        assert actual.dtype == HALVES[half]
        within(actual.numpy(), exact.numpy(), half, STEPS.get(name, 0.52))


def weights(shape: tuple[int, ...]) -> Array:
    """What weighs a result: numbers that a half has, and whose sums it can hold."""
    return np.asarray(few(*shape)[::-1] + 1 / 16) if shape else np.asarray(0.5)


# By blocks


@pytest.mark.parametrize("size", [1, 5, 7])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_blocks_change_no_number(
    case: Case, half: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = [a.astype(HALVES[half]) if a.dtype.kind == "f" else a for a in case.arguments()]
    found: list[list[Array]] = []
    for block in (1 << 30, size):
        monkeypatch.setattr(_blocks, "BLOCK", block)
        tensors = [Tensor(a, requires_grad=a.dtype in HALVES.values()) for a in arrays]
        result = case(*tensors)
        results = result if isinstance(result, tuple) else (result,)
        values = [y.numpy() for y in results]
        inputs = [tensor for tensor in tensors if tensor.requires_grad]
        tracked = [y for y in results if y.requires_grad]
        if tracked and inputs:
            slopes = lucid.grad(tracked, inputs, allow_unused=True)
            values += [slope.numpy() for slope in slopes if slope is not None]
        found.append(values)
    for whole, parts in zip(*found, strict=True):
        assert whole.dtype == parts.dtype
        assert whole.shape == parts.shape
        with np.errstate(invalid="ignore", over="ignore"):
            one, other = (np.asarray(each, np.complex128) for each in (whole, parts))
            near = 2 * ULP[half] * np.abs(one).max(initial=0) / 4
        assert np.allclose(one, other, rtol=ULP[half], atol=near, equal_nan=True)


ROWS, COLUMNS = 4096, 1024
MIB = 1 << 20


def lines(*shape: int) -> Array:
    return (np.random.default_rng(2).standard_normal(shape) / 8).astype(np.float16)


LARGE = lines(ROWS, COLUMNS)  # 8 MiB, 16 in float32
IN_BLOCKS: dict[str, tuple[Callable[..., Any], tuple[Array, ...]]] = {
    "sum": (lucid.sum, (LARGE,)),
    "mean": (lambda x: lucid.mean(x, axis=0), (LARGE,)),
    "var": (lucid.var, (LARGE,)),
    "std": (lambda x: lucid.std(x, axis=0), (LARGE,)),
    "logsumexp": (lucid.logsumexp, (LARGE,)),
    "max": (lucid.max, (LARGE,)),
    "min": (lambda x: lucid.min(x, axis=1), (LARGE,)),
    "vector_norm": (lucid.linalg.vector_norm, (LARGE,)),
    "vector_norm: 1": (lambda x: lucid.linalg.vector_norm(x, ord=1, axis=0), (LARGE,)),
    "vector_norm: 3": (lambda x: lucid.linalg.vector_norm(x, ord=3), (LARGE,)),
    "vector_norm: inf": (lambda x: lucid.linalg.vector_norm(x, ord=np.inf), (LARGE,)),
    "matrix_norm": (lucid.linalg.matrix_norm, (LARGE,)),
    "cumulative_sum": (lambda x: lucid.cumulative_sum(x, axis=0), (LARGE,)),
    "cumulative_sum: one axis": (lucid.cumulative_sum, (LARGE.reshape(-1) / 4096,)),
    "exp": (lucid.exp, (LARGE,)),
    "gelu": (F.gelu, (LARGE,)),
    "add: broadcast": (lucid.add, (LARGE, LARGE[0])),
    "multiply: broadcast": (lucid.multiply, (LARGE, LARGE[:, :1])),
    "where": (lambda x, y: lucid.where(LARGE > 0, x, y), (LARGE, LARGE[0])),
    "getitem": (lambda x: x[1:, ::2], (LARGE,)),
    "matmul": (lucid.matmul, (LARGE, LARGE.T[:, :512])),
    "linear": (F.linear, (LARGE, LARGE[:64], LARGE[0, :64])),
    "softmax": (F.softmax, (LARGE,)),
    "log_softmax": (F.log_softmax, (LARGE,)),
    "layer_norm": (lambda x: F.layer_norm(x, COLUMNS), (LARGE,)),
    "mse_loss": (F.mse_loss, (LARGE, LARGE[::-1])),
    "l1_loss: none": (lambda x, t: F.l1_loss(x, t, reduction="none"), (LARGE, LARGE[::-1])),
    "binary_cross_entropy_with_logits": (
        F.binary_cross_entropy_with_logits, (LARGE, np.abs(LARGE))),
    "cross_entropy": (lambda x: F.cross_entropy(x, np.arange(ROWS) % COLUMNS), (LARGE,)),
}  # fmt: skip


@pytest.mark.parametrize(
    "function",
    [lucid.multiply, lucid.divide, lucid.maximum, lucid.pow, lucid.atan2, lucid.logaddexp],
)
def test_there_is_no_block_of_nothing(function: Any, half: str) -> None:
    """An empty array beside a large one: an empty result, and sums over nothing."""
    size = _blocks.BLOCK + 1
    for shapes in (((0, size), (size,)), ((size, 0), (size, 1))):
        x, y = (Tensor(np.ones(shape, HALVES[half]), requires_grad=True) for shape in shapes)
        for first, second in ((x, y), (y, x)):
            slopes = lucid.grad(function(first, second), [x, y])
            for slope, of in zip(slopes, (x, y), strict=True):
                assert (slope.shape, slope.dtype) == (of.shape, of.dtype)
                assert not slope.numpy().any()


def test_reductions_of_nothing_to_much(half: str) -> None:
    x = Tensor(np.ones((0, _blocks.BLOCK + 1), HALVES[half]), requires_grad=True)
    functions: list[Callable[[Any], Any]] = [
        lambda x: lucid.linalg.vector_norm(x, axis=0), lambda x: lucid.sum(x, axis=0),
        lambda x: lucid.logsumexp(x, axis=0), lambda x: lucid.matmul(x.mT, x[:, :3]),
    ]  # fmt: skip
    for function in functions:
        assert lucid.grad(function(x), x).shape == x.shape


@pytest.mark.parametrize("name", IN_BLOCKS)
def test_large_halves_are_never_wide_as_a_whole(name: str) -> None:
    function, arguments = IN_BLOCKS[name]
    leaves = [Tensor(array, requires_grad=True) for array in arguments]
    given = sum(array.nbytes for array in arguments)
    y = function(*leaves)  # what is computed once is there
    g = np.resize(np.array([1, -1], np.float16), y.shape)
    tracemalloc.start()
    try:
        y = function(*leaves)
        forward = tracemalloc.get_traced_memory()[1] - y.numpy().nbytes
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        lucid.grad(y, leaves, Tensor(g))
        backward = tracemalloc.get_traced_memory()[1] - before - given
    finally:
        tracemalloc.stop()
    # blocks, a copy of g as it is, and truth values are there for a while; in float32 x is 16 MiB
    assert forward < 9 * MIB, f"{forward / MIB:.1f} MiB beside the result"
    assert backward < 15 * MIB, f"{backward / MIB:.1f} MiB beside the gradients"


# The tape


def test_gradients_of_several_backward_passes_add_up(half: str) -> None:
    x = Tensor(np.ones(2, HALVES[half]), requires_grad=True)
    for _ in range(3000):
        (x * 1).backward()
    assert x.grad is not None
    assert x.grad.dtype == HALVES[half]
    assert x.grad.tolist() == np.full(2, 3000).astype(HALVES[half]).tolist()


MOVED: dict[str, Callable[[Tensor], Any]] = {
    "reshape": lambda x: lucid.reshape(x, (6,)),
    "permute_dims": lambda x: lucid.permute_dims(x, (2, 0, 1)),
    "matrix_transpose": lucid.matrix_transpose,
    "expand_dims": lambda x: lucid.expand_dims(x, axis=1),
    "squeeze": lambda x: lucid.squeeze(x, axis=0),
    "flip": lambda x: lucid.flip(x, axis=1),
    "concat": lambda x: lucid.concat([x, lucid.zeros_like(x)]),
    "stack": lambda x: lucid.stack([x, lucid.zeros_like(x)]),
    "unstack": lambda x: lucid.unstack(x, axis=2)[1],
}


@pytest.mark.parametrize("name", MOVED)
def test_elements_that_are_only_moved_are_not_converted(
    name: str, half: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = Tensor(np.arange(6).reshape(1, 3, 2).astype(HALVES[half]), requires_grad=True)
    y = MOVED[name](x)
    g = Tensor(few(*y.shape).astype(HALVES[half]))

    def refuse(value: Any) -> Any:
        raise AssertionError(f"{name} converts {value}")

    monkeypatch.setattr(_tape, "widened", refuse)
    (found,) = lucid.grad(y, [x], g)
    monkeypatch.undo()
    wide = Tensor(x.numpy().astype(np.float64), requires_grad=True)
    (right,) = lucid.grad(MOVED[name](wide), [wide], g.astype(lucid.float64))
    assert found.dtype == HALVES[half]
    assert (found.numpy() == right.numpy()).all()


def test_a_gradient_that_was_changed_in_between_counts_as_it_is(half: str) -> None:
    x = Tensor(np.ones(2, HALVES[half]), requires_grad=True)
    for _ in range(3):
        (x * 1).backward()
    assert x.grad is not None
    x.grad *= 0.5
    (x * 1).backward()
    assert x.grad.tolist() == [2.5, 2.5]
    x.grad = None
    (x * 1).backward()
    assert gradient(x).tolist() == [1.0, 1.0]
    x.grad = Tensor(np.full(2, 8, HALVES[half]))
    (x * 1).backward()
    assert x.grad.tolist() == [9.0, 9.0]


def test_recorded_and_plain_passes_add_up(half: str) -> None:
    x = Tensor(np.ones(2, HALVES[half]), requires_grad=True)
    for create_graph in (False, True, True, False, False, True):
        (x * x).backward(create_graph=create_graph)
        assert gradient(x).requires_grad == create_graph
    assert gradient(x).tolist() == [12.0, 12.0]


def test_a_retained_gradient_adds_up(half: str) -> None:
    x = Tensor(np.ones(2, HALVES[half]), requires_grad=True)
    y = x * 1
    y.retain_grad()
    z = y * 1
    for _ in range(3000):
        z.backward(retain_graph=True)
    assert y.grad is not None
    assert y.grad.tolist() == np.full(2, 3000).astype(HALVES[half]).tolist()


def test_recorded_gradients_add_up_too(half: str) -> None:
    x = Tensor(np.ones(1 << 17, HALVES[half]), requires_grad=True)  # 1 / n is a half
    weight = Tensor(np.ones(1, HALVES[half]), requires_grad=True)
    slope = lucid.grad(lucid.mean(x * weight * weight), weight, create_graph=True)
    assert (slope.dtype, slope.tolist()) == (HALVES[half], [2.0])
    assert lucid.grad(slope, weight).tolist() == [2.0]


def test_hooks_and_targets_see_halves(half: str) -> None:
    x = Tensor(np.ones(2, HALVES[half]), requires_grad=True)
    y = x * 1
    seen: list[Any] = []
    y.register_hook(lambda gradient: seen.append(gradient.dtype))
    assert lucid.grad(y * 2 + y * 3, y).dtype == HALVES[half]
    assert seen == [HALVES[half]]


def test_a_rule_is_given_float32_unless_it_takes_halves(half: str) -> None:
    seen: list[Any] = []

    def rule(g: Any, x: Any, x_dtype: Any) -> Any:
        seen.extend([g.dtype, x.dtype, x_dtype])
        return g

    for halves in (False, True):

        @lucid.op(gradient=rule, halves=halves)
        def same(x: Any, /) -> Any:
            return x * 1

        x = Tensor(np.ones(2, HALVES[half]), requires_grad=True)
        same(x).backward()
        assert x.grad is not None
        assert x.grad.dtype == HALVES[half]
    assert seen == [np.float32, np.float32, HALVES[half], *[HALVES[half]] * 3]


def test_a_norm_of_gradients_is_no_half(half: str) -> None:
    x = Tensor(np.zeros(MANY, HALVES[half]), requires_grad=True)
    x.grad = Tensor(np.full(MANY, 1000, HALVES[half]))
    norm = utils.clip_grad_norm_(x, 1.0)
    np.testing.assert_allclose(norm.item(), 1000 * np.sqrt(MANY), rtol=1e-5)
    right = np.float32(1 / np.sqrt(MANY)).astype(HALVES[half])
    np.testing.assert_allclose(x.grad.numpy().astype(float), float(right), rtol=ULP[half])


def test_half_and_single_promote_as_ever(half: str) -> None:
    x = Tensor(np.ones((2, 2), HALVES[half]), requires_grad=True)
    y = Tensor(np.ones((2, 2), np.float32), requires_grad=True)
    for function in (lucid.matmul, lucid.add, F.mse_loss, F.linear):
        first, second = function(x, y), function(y, x)
        assert first.dtype == second.dtype == np.float32
        assert [g.dtype for g in lucid.grad(first, [x, y])] == [HALVES[half], np.float32]


@pytest.mark.parametrize("name", ["torch", "jax"])
@pytest.mark.parametrize(
    "which",
    ["sum", "mean: axis", "var", "logsumexp", "max", "getitem: one", "cumulative_prod",
     "linear: rows", "softmax", "mse_loss"],
)  # fmt: skip
def test_halves_of_other_libraries(name: str, which: str, half: str) -> None:
    library = pytest.importorskip(name, reason=f"{name} is not installed")
    function, arguments = SUMMED[which]
    rounded = [array.astype(HALVES[half]) for array in arguments]
    exact = [Tensor(array.astype(np.float64), requires_grad=True) for array in rounded]
    if name == "torch":
        theirs = [library.tensor(array.astype(np.float32)).to(getattr(library, half))
                  for array in rounded]  # fmt: skip
    else:
        theirs = [library.numpy.asarray(array) for array in rounded]
    leaves = [Tensor(array, requires_grad=True) for array in theirs]
    y, z = function(*leaves), function(*exact)
    g = weights(z.shape)
    xp = library if name == "torch" else library.numpy
    like = lucid.astype(Tensor(xp.asarray(g)), y.dtype)
    found = lucid.grad(y, leaves, like)
    wanted = lucid.grad(z, exact, g)
    for actual, right in zip((y, *found), (z, *wanted), strict=True):
        assert half in str(actual.dtype)
        within(actual.numpy(), right.numpy(), half, STEPS.get(which, 0.52))
