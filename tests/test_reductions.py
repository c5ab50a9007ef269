"""Reductions over all pairs: the dense numbers, in tiles of every size; what is left out; edges."""

from __future__ import annotations

import importlib
import itertools
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import Tensor
from lucid.kernels import _native, _pairs, _scores
from lucid.testing import assert_same, gradcheck

Array = np.ndarray[Any, Any]

SHAPES = [
    ((5, 3), (7, 4)),  # rows of one set with those of another
    ((2, 5, 3), (2, 7, 4)),  # of each element
    ((2, 5, 3), (7, 4)),  # partners shared by all
    ((5, 3), (2, 7, 4)),
    ((3, 2, 5, 3), (2, 7, 4)),
]


@pytest.fixture(params=["one tile", "many"])
def tiles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of 3 partners and blocks of a few rows, or one of each."""
    if request.param == "many":
        monkeypatch.setattr(_pairs, "TILE", 300)
        monkeypatch.setattr(_pairs, "WIDTH", 3)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pairs, "TILE", 400)
    monkeypatch.setattr(_pairs, "WIDTH", 3)


class Given:
    """Arguments, and all their scores (..., N, O, M), -∞ where a pair is left out."""

    def __init__(
        self, random: np.random.Generator, shape_1: Any, shape_2: Any, *,
        outputs: int = 2, bias: bool = True, mask: int = 0, exclude: bool = False,
        group: bool = False,
    ) -> None:  # fmt: skip
        x1, x2 = random.normal(size=shape_1), random.normal(size=shape_2)
        one = (outputs, shape_1[-1], shape_2[-1])
        weight = random.normal(size=(4, *one) if group else one)
        self.factors: list[Array] = [x1, x2, weight]
        self.options: dict[str, Any] = {}
        lead = np.broadcast_shapes(shape_1[:-2], shape_2[:-2])
        n, m = shape_1[-2], shape_2[-2]
        if group:
            groups = self.options["group"] = random.integers(0, 3, shape_1[:-1])  # 3 has no rows
            self.scores = np.einsum("...ni,...noij,...mj->...nom", x1, weight[groups], x2)
        else:
            self.scores = np.einsum("...ni,oij,...mj->...nom", x1, weight, x2)
        if bias:
            self.factors.append(random.normal(size=outputs))
            self.scores += self.factors[3][:, None]
        if mask:
            shape = (*lead, n, m, outputs) if mask == 3 else (*lead, n if mask == 2 else 1, m)
            kept = self.options["mask"] = random.random(shape) < 0.7
            kept = np.moveaxis(kept, -1, -2) if mask == 3 else kept[..., None, :]
            self.scores = np.where(kept, self.scores, -np.inf)
        if exclude:
            out = self.options["exclude"] = random.integers(-1, m, (*lead, n, 2))
            for place in np.ndindex(*out.shape):
                if out[place] >= 0:
                    self.scores[(*place[:-1], slice(None), out[place])] = -np.inf


KINDS: list[dict[str, Any]] = [
    {}, {"bias": False, "outputs": 1}, {"mask": 1}, {"mask": 2, "outputs": 3}, {"mask": 3},
    {"exclude": True}, {"group": True}, {"group": True, "mask": 2, "exclude": True, "outputs": 1},
]  # fmt: skip


CASES = [
    pytest.param(one, two, kind, id=f"{one} {two} {kind}")
    for (one, two), kind in itertools.product(SHAPES, KINDS)
]


def lse_of(scores: Array) -> Array:
    top = np.max(scores, axis=-1, keepdims=True, initial=-np.inf)
    top = np.where(np.isinf(top), 0, top)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.sum(np.exp(scores - top), axis=-1)) + top[..., 0])


@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize(("one", "two", "kind"), CASES)
def test_values_are_those_of_all_scores(
    random: np.random.Generator, one: Any, two: Any, kind: dict[str, Any]
) -> None:
    given = Given(random, one, two, **kind)
    scores, factors, options = given.scores, given.factors, given.options
    lse = lse_of(scores)
    assert_same(F.bilinear_logsumexp(*factors, **options), lse)

    order = np.argsort(-scores, axis=-1, kind="stable")[..., :4]
    values = np.take_along_axis(scores, order, -1)
    found = F.bilinear_topk(*factors, k=4, **options)
    assert_same(found.values, values)
    assert_same(found.indices, np.where(np.isinf(values), -1, order))
    best = F.bilinear_max(*factors, **options)
    assert_same(best.values, found.values[..., 0])
    assert_same(best.indices, found.indices[..., 0])

    target = random.integers(0, two[-2], scores.shape[:-2])
    own = np.take_along_axis(scores, target[..., None, None] + np.zeros(scores.shape[:-1], int)[
        ..., None], -1)[..., 0]  # fmt: skip
    with np.errstate(invalid="ignore"):
        losses = np.where(np.isinf(own), np.inf, lse - own)
    loss = F.bilinear_cross_entropy(*factors, target=target, reduction="none", **options)
    assert_same(loss, losses)
    full = Given.__new__(Given)
    full.__dict__.update(given.__dict__)
    plain = F.bilinear_topk(*factors, k=two[-2], group=options.get("group"))
    everything = np.take_along_axis(plain.values, np.argsort(plain.indices, -1), -1)
    mine = np.take_along_axis(everything, np.broadcast_to(
        target[..., None, None], (*scores.shape[:-1], 1)), -1)  # fmt: skip
    others = np.arange(two[-2]) != target[..., None, None]
    rank = 1 + np.sum((scores > mine) & others, -1) + np.sum((scores == mine) & others, -1) / 2
    assert_same(F.bilinear_rank(*factors, target=target, **options), rank)


def gradients(function: Callable[..., Any], factors: list[Array]) -> list[Array]:
    tensors = [Tensor(each, requires_grad=True) for each in factors]
    function(*tensors).backward()
    return [each.grad.numpy() for each in tensors]  # type: ignore[union-attr]


def dense(factors: Any, given: Given) -> Any:
    """The scores as lucid records them, (..., N, M, O)."""
    x1, x2, weight, *bias = factors
    if "group" in given.options:
        own = weight[Tensor(given.options["group"])]
        scores = lucid.einsum("...ni,...noij,...mj->...nmo", x1, own, x2)
        scores = scores + bias[0] if bias else scores
    else:
        first, second = lucid.expand_dims(x1, axis=-2), lucid.expand_dims(x2, axis=-3)
        scores = F.bilinear(first, second, weight, *bias)
    kept = np.isfinite(np.moveaxis(given.scores, -1, -2))
    return lucid.where(Tensor(kept), scores, -1e30)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(("one", "two", "kind"), CASES)
def test_gradients_are_those_of_all_scores(
    random: np.random.Generator, one: Any, two: Any, kind: dict[str, Any]
) -> None:
    given = Given(random, one, two, **kind)
    some = np.isfinite(given.scores).any(-1)  # rows of which something is left
    rows = Tensor(some.astype(float) * random.normal(size=some.shape))

    def ours(*factors: Any) -> Any:
        lse = F.bilinear_logsumexp(*factors, **given.options)
        return lucid.sum(lucid.where(Tensor(some), lse, 0.0) * rows)

    def theirs(*factors: Any) -> Any:
        return lucid.sum(lucid.logsumexp(dense(factors, given), axis=-2) * rows)

    for found, expected in zip(
        gradients(ours, given.factors), gradients(theirs, given.factors), strict=True
    ):
        assert_same(found, expected)


PAIRED = [
    ((6, 20, 33), (6, 20, 21)), ((6, 20, 33), (20, 21)), ((20, 33), (6, 20, 21)),
    ((40, 33), (30, 21)), ((2, 3, 20, 33), (3, 20, 21)), ((3, 20, 33), (2, 1, 20, 21)),
    ((8, 40, 101), (8, 40, 101)),
]  # fmt: skip


@pytest.mark.parametrize(("one", "two"), PAIRED)
@pytest.mark.parametrize("kind", [{"bias": False}, {}, {"mask": 2, "exclude": True}], ids=str)
@pytest.mark.parametrize("mode", ["at once", "in blocks", "a large weight"])
def test_a_tile_that_is_all_of_a_block_goes_through_the_kernel(
    random: np.random.Generator, one: Any, two: Any, kind: dict[str, Any], mode: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """As pairs, at once or in several blocks; not with a large weight. The numbers are the same."""
    if mode == "a large weight":
        monkeypatch.setattr(_scores, "BLOCK", 1000)
    elif mode == "in blocks":
        monkeypatch.setattr(_pairs, "TILE", 10 * two[-2] * one[-1] * 8)
    taken: list[bool] = []
    own = _scores.gradients

    def spied(*arguments: Any) -> Any:
        found = own(*arguments)
        taken.append(found is not None)
        return found

    monkeypatch.setattr(_scores, "gradients", spied)
    given = Given(random, one, two, outputs=1, **kind)
    shape = given.scores.shape[:-2]
    target = random.integers(0, two[-2], shape)
    target[..., 0] = -100
    rows = Tensor(random.normal(size=(*shape, 1)))

    def ours(*factors: Any) -> Any:
        lse = F.bilinear_logsumexp(*factors, **given.options)
        loss = F.bilinear_cross_entropy(*factors, target=target, label_smoothing=0.2)
        return lucid.sum(lse * rows) + loss

    def theirs(*factors: Any) -> Any:
        lse = lucid.logsumexp(dense(factors, given), axis=-2)
        x1, x2, weight, *bias = factors
        first, second = lucid.expand_dims(x1, axis=-2), lucid.expand_dims(x2, axis=-3)
        scores = F.bilinear(first, second, weight, *bias)[..., 0]
        whole = np.reshape(target, -1)
        loss = F.cross_entropy(scores.reshape((-1, two[-2])), whole, label_smoothing=0.2)
        return lucid.sum(lse * rows) + loss

    assert_same(ours(*given.factors), theirs(*map(Tensor, given.factors)).numpy())
    for found, expected in zip(
        gradients(ours, given.factors), gradients(theirs, given.factors), strict=True
    ):
        assert_same(found, expected)
    if mode == "a large weight" or _native.compiled is None:
        assert not any(taken)
    elif len(one) == len(two):
        assert any(taken)


@pytest.mark.usefixtures("few")
def test_cross_entropy_is_that_of_all_scores(random: np.random.Generator) -> None:
    given = Given(random, (2, 5, 3), (2, 7, 4))
    target = random.integers(0, 7, (2, 5))
    target[0, 1] = -100
    whole = np.broadcast_to(target[..., None], (2, 5, 2))
    for reduction, smoothing in itertools.product(("mean", "sum", "none"), (0.0, 0.3, 1.0)):
        options: dict[str, Any] = {"reduction": reduction, "label_smoothing": smoothing}

        def ours(*factors: Any, options: dict[str, Any] = options) -> Any:
            return F.bilinear_cross_entropy(*factors, target=target, **options)

        def theirs(*factors: Any, options: dict[str, Any] = options) -> Any:
            scores = lucid.permute_dims(dense(factors, given), (0, 2, 1, 3))
            return F.cross_entropy(scores, whole, **options)

        assert_same(ours(*given.factors), theirs(*map(Tensor, given.factors)).numpy())
        for found, expected in zip(
            gradients(ours, given.factors), gradients(theirs, given.factors), strict=True
        ):
            assert_same(found, expected)


def test_of_several_targets_the_loss_is_the_mean(random: np.random.Generator) -> None:
    given = Given(random, (5, 3), (7, 4))
    targets = np.array([[0, 1, 2], [3, -1, -1], [-1, -1, -1], [4, 4, 6], [5, 6, -1]])
    found = F.bilinear_cross_entropy(
        *given.factors, target=targets[:, None], ignore_index=-1, reduction="none"
    )
    lse = lse_of(given.scores)
    for n, row in enumerate(targets):
        inside = row[row >= 0]
        expected = (lse[n][:, None] - given.scores[n][:, inside]).mean(-1) if inside.size else 0.0
        assert_same(found[n], np.broadcast_to(expected, (2,)))
    mean = F.bilinear_cross_entropy(*given.factors, target=targets[:, None], ignore_index=-1)
    assert_same(mean, found.sum() / 8)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("kind", [{"outputs": 1}, {"mask": 2}, {"group": True, "exclude": True}])
def test_derivatives_of_second_order(random: np.random.Generator, kind: dict[str, Any]) -> None:
    given = Given(random, (2, 3, 2), (2, 4, 2), **kind)
    given.options.get("mask", np.ones(1))[..., 0] = True
    target = np.zeros((2, 3), int)
    target[0, 0] = -100
    target = np.where(target < 0, target, 1)
    if "mask" in given.options:
        given.options["mask"][..., 1] = True
    if "exclude" in given.options:
        given.options["exclude"] = np.full((2, 3, 1), 2)
    functions: list[Callable[..., Any]] = [
        lambda *f: F.bilinear_logsumexp(*f, **given.options),
        lambda *f: F.bilinear_cross_entropy(
            *f, target=target, label_smoothing=0.1, **given.options
        ),
        lambda *f: F.bilinear_topk(*f, k=2, **given.options).values,
    ]
    tensors = [Tensor(each, requires_grad=True) for each in given.factors]
    for function in functions:
        assert gradcheck(function, tensors, order=2)


def one_row(scores: list[float]) -> tuple[Array, Array, Array]:
    return np.ones((1, 1)), np.array(scores)[:, None], np.ones((1, 1, 1))


@pytest.mark.usefixtures("tiles")
def test_of_equal_scores_the_first_comes_first() -> None:
    given = one_row([1.0, 3.0, 2.0, 3.0, 3.0, 2.0, 0.0, 3.0])
    assert F.bilinear_topk(*given, k=5).indices.tolist() == [[[1, 3, 4, 7, 2]]]
    assert F.bilinear_max(*given).indices.tolist() == [[1]]
    ranks = F.bilinear_rank(*given, target=np.arange(8)[None, None])
    assert ranks.tolist() == [[[7.0, 2.5, 5.5, 2.5, 2.5, 5.5, 8.0, 2.5]]]
    x1 = Tensor(given[0], requires_grad=True)
    x2 = Tensor(given[1], requires_grad=True)
    F.bilinear_max(x1, x2, given[2]).values.backward()
    assert x2.grad is not None
    assert x2.grad.numpy()[:, 0].tolist() == [0, 1, 0, 0, 0, 0, 0, 0]


@pytest.mark.usefixtures("tiles")
def test_a_nan_is_seen() -> None:
    given = one_row([1.0, np.nan, 2.0, 3.0, np.nan, 2.5])
    found = F.bilinear_topk(*given, k=4)
    assert found.indices.tolist() == [[[1, 4, 3, 5]]]
    assert np.isnan(F.bilinear_logsumexp(*given)).all()
    assert F.bilinear_max(*given).indices.tolist() == [[1]]
    ranks = F.bilinear_rank(*given, target=np.arange(6)[None, None])
    assert_same(ranks[0, 0], np.array([6.0, np.nan, 5.0, 3.0, np.nan, 4.0]))


@pytest.mark.usefixtures("tiles")
def test_infinite_scores() -> None:
    up = one_row([1.0, np.inf, 2.0, 3.0])
    assert F.bilinear_logsumexp(*up).tolist() == [[np.inf]]
    down = one_row([1.0, -np.inf, 2.0, 1.0])
    assert_same(F.bilinear_logsumexp(*down), np.log(2 * np.e + np.e**2).reshape(1, 1))
    assert F.bilinear_topk(*down, k=4).indices.tolist() == [[[2, 0, 3, -1]]]
    nothing = one_row([-np.inf] * 4)
    assert F.bilinear_logsumexp(*nothing).tolist() == [[-np.inf]]


@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize("of", ["numpy", "tiles", "torch", "jax", "Tensors of jax"])
def test_what_is_left_out_is_not_as_large_as_a_score_of_minus_infinity(
    of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    array: Callable[[Any], Any] = np.asarray
    if of == "tiles":
        monkeypatch.setattr(_native, "compare_scores", lambda *_: None)
    elif of != "numpy":
        array = pytest.importorskip("torch" if of == "torch" else "jax.numpy").asarray
    given = [
        array(each.astype("float32")) for each in one_row([1, -np.inf, 2, -np.inf, 1, -np.inf])
    ]
    if of == "Tensors of jax":
        given = [lucid.asarray(each) for each in given]
    mask = array(np.array([[False, True, True, False, True, True]]))
    exclude, target = array(np.array([[3, -1, 0]])), array(np.arange(6)[None, None])
    for left_out in ({"mask": mask}, {"exclude": exclude}):
        ranks = F.bilinear_rank(*given, target=target, **left_out)
        assert ranks.tolist() == [[[2.5, 3.5, 1.0, 4.0, 2.0, 3.5]]]


@pytest.mark.usefixtures("tiles")
def test_a_row_of_which_nothing_is_left() -> None:
    factors = [Tensor(each, requires_grad=True) for each in one_row([1.0, 2.0, 3.0, 4.0])]
    mask = np.zeros((1, 4), bool)
    lse = F.bilinear_logsumexp(*factors, mask=mask)
    assert lse.tolist() == [[-np.inf]]
    lse.backward()
    best = F.bilinear_topk(*factors, k=2, mask=mask)
    assert best.values.tolist() == [[[-np.inf, -np.inf]]]
    assert best.indices.tolist() == [[[-1, -1]]]
    best.values.backward()
    loss = F.bilinear_cross_entropy(*factors, target=[1], mask=mask, label_smoothing=0.1)
    assert loss.item() == np.inf
    loss.backward()
    for each in factors:
        assert each.grad is not None
        assert not each.grad.numpy().any()
    assert F.bilinear_rank(*factors, target=[1], mask=mask).tolist() == [[1.0]]


def test_empty_sides() -> None:
    x1, x2, weight = np.ones((3, 2)), np.ones((0, 4)), np.ones((5, 2, 4))
    assert F.bilinear_logsumexp(x1, x2, weight).tolist() == [[-np.inf] * 5] * 3
    found = F.bilinear_topk(x1, x2, weight, k=0)
    assert found.values.shape == (3, 5, 0)
    none = F.bilinear_topk(x1, np.ones((7, 4)), weight, k=0)
    assert none.values.shape == none.indices.shape == (3, 5, 0)
    ignored = F.bilinear_cross_entropy(x1, x2, weight, target=[-100] * 3)
    assert ignored == 0
    for one, two in (((0, 2), (4, 4)), ((0, 3, 2), (0, 4, 4)), ((3, 2), (4, 4))):
        outputs = 0 if one == (3, 2) else 5
        factors = np.ones(one), np.ones(two), np.ones((outputs, 2, 4))
        assert F.bilinear_logsumexp(*factors).shape == (*one[:-1], outputs)
        assert F.bilinear_max(*factors).values.shape == (*one[:-1], outputs)
        target = np.zeros(one[:-1], int)
        assert F.bilinear_rank(*factors, target=target).shape == (*one[:-1], outputs)
        assert F.bilinear_cross_entropy(*factors, target=target) == 0


@pytest.mark.parametrize("features", [(0, 2), (2, 0), (0, 0)])
@pytest.mark.parametrize("leads", [((), ()), ((2,), (2,)), ((2, 1), (3,))], ids=str)
def test_no_features(features: tuple[int, int], leads: Any) -> None:
    """All scores are the bias, and equal."""
    i, j = features
    given = np.ones((*leads[0], 3, i)), np.ones((*leads[1], 4, j)), np.ones((2, i, j)), np.ones(2)
    factors = [Tensor(each, requires_grad=True) for each in given]
    shape = (*np.broadcast_shapes(*leads), 3, 2)
    lse = F.bilinear_logsumexp(*factors)
    assert_same(lse, np.full(shape, 1 + np.log(4)))
    target, mask = np.ones(shape[:-1], int), np.array([True, True, False, True])
    assert_same(F.bilinear_rank(*factors, target=target), np.full(shape, 2.5))
    best = F.bilinear_topk(*factors, k=3, mask=mask)
    assert_same(best.values, np.ones((*shape, 3)))
    assert (best.indices.numpy() == [0, 1, 3]).all()
    slope = lucid.grad(lse, factors[3], create_graph=True)
    assert_same(slope, np.full(2, float(np.prod(shape[:-1]))))
    for each in lucid.grad(slope, factors):
        np.testing.assert_allclose(each, 0, atol=1e-14)
    loss = F.bilinear_cross_entropy(*factors, target=target)
    assert_same(loss, np.log(4))
    loss.backward()


def test_no_rows_have_derivatives_of_every_order() -> None:
    for rows, outputs in ((0, 2), (3, 0)):
        given = np.ones((rows, 2)), np.full((4, 3), np.nan), np.ones((outputs, 2, 3))
        factors = [Tensor(each, requires_grad=True) for each in given]
        slopes = lucid.grad(F.bilinear_logsumexp(*factors), factors, create_graph=True)
        for each in lucid.grad(slopes, factors):
            assert not each.numpy().any()


def test_small_losses_keep_their_digits() -> None:
    given = [each.astype(np.float32) for each in one_row([0.0, 20.0, 1.0, -5.0])]
    loss = F.bilinear_cross_entropy(*given, target=[1])
    exact = np.log1p(np.exp(-20.0) + np.exp(-19.0) + np.exp(-25.0))
    assert abs(float(loss) / exact - 1) < 1e-6


@pytest.mark.parametrize("dtype", [np.float16, "bfloat16"])
def test_halves_are_computed_in_float32(random: np.random.Generator, dtype: Any) -> None:
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    given = Given(random, (5, 3), (4000, 4))
    halves = [each.astype(dtype) for each in given.factors]
    wide = [each.astype(np.float64) for each in halves]
    tensors = [Tensor(each, requires_grad=True) for each in halves]
    found = F.bilinear_logsumexp(*tensors)
    assert found.dtype == np.dtype(dtype)
    exact = F.bilinear_logsumexp(*wide)
    expected = exact.astype(np.float32).astype(dtype)
    assert_same(found.numpy().astype(float), expected.astype(float))
    F.bilinear_logsumexp(*tensors).backward()
    slopes = gradients(lambda *f: F.bilinear_logsumexp(*f), wide)
    for tensor, slope in zip(tensors, slopes, strict=True):
        assert tensor.grad is not None
        assert tensor.grad.dtype == np.dtype(dtype)
        step = float(np.finfo(np.float16).eps if dtype is np.float16 else 2**-7)
        error = np.abs(tensor.grad.numpy().astype(float) - slope)
        assert (error <= step * np.abs(slope) + 1e-7).all()


@pytest.mark.parametrize(
    ("rows", "partners", "outputs", "features"),
    [(3000, 30000, 1, 16), (200, 500, 300, 40), (4, 100000, 3, 8)],
)
def test_the_scores_are_never_all_held(
    random: np.random.Generator, rows: int, partners: int, outputs: int, features: int
) -> None:
    x1 = random.normal(size=(rows, features)).astype(np.float32)
    x2 = random.normal(size=(partners, features)).astype(np.float32)
    weight = random.normal(size=(outputs, features, features)).astype(np.float32) / features
    factors = [Tensor(each, requires_grad=True) for each in (x1, x2, weight)]
    own = 4 * (x1.size + x2.size + weight.size) + 3 * 4 * rows * outputs
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        F.bilinear_cross_entropy(*factors, target=np.zeros(rows, int)).backward()
        most = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert most - own < 64 << 20


X1, X2, W = np.ones((3, 2)), np.ones((4, 5)), np.ones((6, 2, 5))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: F.bilinear_logsumexp(X1, np.ones((4, 3)), W),
            lucid.ShapeError,
            "bilinear_logsumexp: axis 'in2_features' is 3 in input_2 (4, 3) but 5 in weight "
            "(6, 2, 5)",
        ),
        (
            lambda: F.bilinear_logsumexp(X1, X2, W, np.ones(5)),
            lucid.ShapeError,
            "bilinear_logsumexp: bias has shape (5,), expected (6,) or (1, 6): one number for each "
            "output feature, of which weight (6, 2, 5) has 6",
        ),
        (
            lambda: F.bilinear_logsumexp(X1, X2, W, mask=np.ones((3, 5), bool)),
            lucid.ShapeError,
            "bilinear_logsumexp: mask has shape (3, 5), which does not broadcast to (3, 4): each "
            "pair of rows",
        ),
        (
            lambda: F.bilinear_logsumexp(X1, X2, W, mask=np.ones((3, 4))),
            lucid.DTypeError,
            "bilinear_logsumexp: mask has dtype float64, expected bool: True where a pair counts, "
            "False where it is left out",
        ),
        (
            lambda: F.bilinear_max(X1, X2, W, exclude=np.full((3, 1), 4)),
            lucid.OutOfRangeError,
            "bilinear_max: exclude holds 4, but input_2 (4, 5) has 4 partners; numbers are 0, …, "
            "3, and negative ones for padding",
        ),
        (
            lambda: F.bilinear_logsumexp(X1, X2, W[None], group=[0, 1, 0]),
            lucid.OutOfRangeError,
            "bilinear_logsumexp: group holds 1, but weight (1, 6, 2, 5) has 1 groups; numbers are "
            "0, …, 0",
        ),
        (
            lambda: F.bilinear_logsumexp(X1, X2, W[None], group=[0, 0]),
            lucid.ShapeError,
            "bilinear_logsumexp: group has shape (2,), which does not broadcast to (3,): a number "
            "for each row of input_1",
        ),
        (
            lambda: F.bilinear_topk(X1, X2, W, k=5),
            lucid.ArgumentError,
            "bilinear_topk: k is 5, but input_2 (4, 5) has 4 partners; take at most that many",
        ),
        (
            lambda: F.bilinear_max(X1, X2[:0], W),
            lucid.ArgumentError,
            "bilinear_max: k is 1, but input_2 (0, 5) has 0 partners; take at most that many",
        ),
        (
            lambda: F.bilinear_cross_entropy(X1, X2, W, target=[0, 4, 0]),
            lucid.OutOfRangeError,
            "bilinear_cross_entropy: target holds 4, but input_2 (4, 5) has 4 partners; numbers "
            "are 0, …, 3",
        ),
        (
            lambda: F.bilinear_rank(X1, X2, W, target=[0, 1]),
            lucid.ShapeError,
            "bilinear_rank: target has shape (2,), expected (3,), one partner for each row, "
            "(3, 6), one for each row and output, or a last axis of several beside these",
        ),
        (
            lambda: F.bilinear_cross_entropy(X1, X2, W, target=[0.0, 1.0, 2.0]),
            lucid.DTypeError,
            "bilinear_cross_entropy: target has dtype float32, expected integers; convert it, for "
            "example to int64",
        ),
        (
            lambda: F.bilinear_cross_entropy(X1, X2, W, target=[0, 0, 0], reduction="max"),
            lucid.ArgumentError,
            "bilinear_cross_entropy: reduction is 'max', expected 'mean', 'sum' or 'none'",
        ),
        (
            lambda: F.bilinear_logsumexp(X1 * 1j, X2, W),
            lucid.DTypeError,
            "bilinear_logsumexp: input_1 has dtype complex128, expected real floating-point "
            "numbers: scores are put in order; convert it, for example to float32",
        ),
    ],
)
def test_what_does_not_fit_is_told(
    call: Callable[[], Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value) == words


# The drop-ins


@pytest.mark.parametrize("where", ["lucid.nn.functional", "lucid.torch", "lucid.jax"])
def test_no_target_is_told(where: str) -> None:
    array: Any = np.ones
    if where != "lucid.nn.functional":
        library = pytest.importorskip({"lucid.torch": "torch", "lucid.jax": "jax.numpy"}[where])
        array = library.ones
    ours = importlib.import_module(where)
    factors = array((3, 2)), array((4, 5)), array((6, 2, 5))
    for name in ("bilinear_cross_entropy", "bilinear_rank"):
        with pytest.raises(
            lucid.ArgumentError,
            match=rf"^{name}: target is None, expected numbers of partners: one for each row, of "
            r"shape \(3,\)$",
        ):
            getattr(ours, name)(*factors, target=None)


def test_pytorch_gives_the_same_to_every_order(random: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    import lucid.torch as ours

    given = Given(random, (2, 3, 2), (2, 5, 3), mask=1, exclude=True)
    given.options["mask"][..., :2] = True
    given.options["exclude"][:] = 4
    options = {name: torch.as_tensor(each) for name, each in given.options.items()}
    factors = [torch.tensor(each, requires_grad=True) for each in given.factors]
    target = np.array([[0, 1, -100], [1, 1, 0]])
    numpy: dict[str, Any] = {"target": target, "label_smoothing": 0.1, **given.options}
    theirs: dict[str, Any] = {**numpy, **options, "target": torch.as_tensor(target)}
    lse = ours.bilinear_logsumexp(*factors, **options)
    assert_same(lse.detach().numpy(), F.bilinear_logsumexp(*given.factors, **given.options))
    loss = ours.bilinear_cross_entropy(*factors, **theirs)
    assert_same(loss.item(), float(F.bilinear_cross_entropy(*given.factors, **numpy)))
    for found, expected in zip(
        torch.autograd.grad(loss, factors),
        gradients(lambda *f: F.bilinear_cross_entropy(*f, **numpy), given.factors),
        strict=True,
    ):
        assert_same(found.numpy(), expected)
    best = ours.bilinear_topk(*factors, k=2, **options)
    again = F.bilinear_topk(*given.factors, k=2, **given.options)
    assert_same(best.indices.numpy(), again.indices)
    one = ours.bilinear_max(*factors, **options)
    assert_same(one.indices.numpy(), again.indices[..., 0])
    places = torch.as_tensor(np.abs(target) % 5)
    rank = ours.bilinear_rank(*factors, target=places, **options)
    expected_rank = F.bilinear_rank(*given.factors, target=places.numpy(), **given.options)
    assert_same(rank.numpy(), expected_rank)
    assert_same(  # tensors of PyTorch are handed over
        F.bilinear_logsumexp(*factors, **options).detach().numpy(), lse.detach().numpy()
    )
    for function in (
        lambda *f: ours.bilinear_cross_entropy(*f, **theirs),
        lambda *f: ours.bilinear_max(*f, **options).values,
    ):
        assert torch.autograd.gradcheck(function, factors, fast_mode=True)
        assert torch.autograd.gradgradcheck(function, factors, fast_mode=True)


def test_pytorch_takes_groups_and_halves(random: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    import lucid.torch as ours

    given = Given(random, (5, 2), (6, 3), group=True, bias=False)
    group = torch.as_tensor(given.options["group"])
    factors = [torch.tensor(each, requires_grad=True) for each in given.factors]
    function = lambda *f: ours.bilinear_logsumexp(*f, group=group)  # noqa: E731
    assert torch.autograd.gradcheck(function, factors, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, factors, fast_mode=True)
    for dtype in (torch.float16, torch.bfloat16):
        halves = [torch.tensor(each).to(dtype).requires_grad_() for each in given.factors]
        found = ours.bilinear_logsumexp(*halves, group=group)
        exact = ours.bilinear_logsumexp(*(each.detach().double() for each in halves), group=group)
        assert found.dtype == dtype
        assert (found == exact.to(dtype)).all()
        found.sum().backward()  # type: ignore[no-untyped-call]
        assert halves[0].grad.dtype == dtype


@pytest.mark.parametrize("kind", [KINDS[4], KINDS[-1]], ids=["mask", "group"])
@pytest.mark.parametrize("room", [1, 64, 160, 256, 1 << 20])
def test_jax_takes_positions_rows_and_partners_together(
    room: int, kind: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row at a time; the rows of one position, of two, of all: the last ones are padded."""
    jax = pytest.importorskip("jax")
    import lucid.jax as ours
    from lucid.jax import _reductions

    monkeypatch.setattr(_reductions, "ROOM", 8 * room)
    monkeypatch.setattr(_reductions, "WIDTH", 4 if room < 256 else 1024)
    random = np.random.default_rng(0)
    given = Given(random, (1, 3, 4, 3), (1, 3, 7, 4), **kind)
    target = random.integers(0, 7, (1, 3, 4))  # some are left out
    options: dict[str, Any] = {**given.options, "target": target, "label_smoothing": 0.2}
    weights = np.cos(np.arange(given.scores[..., 0].size)).reshape(given.scores.shape[:-1])
    jax.clear_caches()

    def loss(*factors: Any, of: Any = ours) -> Any:
        lse = of.bilinear_logsumexp(*factors, **given.options)
        rows = of.bilinear_cross_entropy(*factors, **options, reduction="none")
        return (lse * weights).sum() + (rows * weights**2).sum()

    with jax.enable_x64(True):
        factors = [jax.numpy.asarray(each) for each in given.factors]
        value, slopes = jax.jit(jax.value_and_grad(loss, range(len(factors))))(*factors)
        lse = ours.bilinear_logsumexp(*factors, **given.options)
        best = ours.bilinear_topk(*factors, k=7, **given.options)
    assert_same(np.asarray(lse), lse_of(given.scores))
    assert_same(np.asarray(value), loss(*given.factors, of=F))
    expected = gradients(lambda *f: loss(*f, of=F), given.factors)
    for own, right in zip(slopes, expected, strict=True):
        assert_same(np.asarray(own), right)
    again = F.bilinear_topk(*given.factors, k=7, **given.options)
    assert_same(np.asarray(best.indices), again.indices)


@pytest.mark.parametrize(
    "shapes",
    [((1448, 64), (1448, 64), 1), ((20_000, 8), (10, 1000), 1), ((32, 40, 101), (32, 40, 101), 45)],
    ids=["one tile", "wide", "positions"],
)
def test_jax_holds_no_more_than_tiles(shapes: Any) -> None:
    """Of a value and its gradients, by XLA's count."""
    jax = pytest.importorskip("jax")
    import lucid.jax as ours

    one, two, outputs = shapes
    arrays = [
        jax.ShapeDtypeStruct(shape, "float32")
        for shape in (one, two, (outputs, one[-1], two[-1]))
    ]  # fmt: skip
    target = np.zeros((*one[:-1], 1, 2), int)

    def loss(*factors: Any) -> Any:
        return ours.bilinear_cross_entropy(*factors, target=target, label_smoothing=0.1)

    compiled = jax.jit(jax.value_and_grad(loss, (0, 1, 2))).lower(*arrays).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 64 << 20


def test_jax_gives_the_same_under_its_transformations(
    random: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    jax = pytest.importorskip("jax")
    import lucid.jax as ours
    from lucid.jax import _reductions

    jnp = jax.numpy
    monkeypatch.setattr(_reductions, "ROOM", 200)
    monkeypatch.setattr(_reductions, "WIDTH", 4)
    with jax.enable_x64(True):
        for kind in KINDS[1], KINDS[4], KINDS[-1]:
            given = Given(random, (2, 5, 3), (2, 7, 4), **kind)
            factors = [jnp.asarray(each) for each in given.factors]
            options = {name: jnp.asarray(each) for name, each in given.options.items()}
            target = random.integers(0, 7, (2, 5))
            target[0, 0] = -100
            assert_same(
                np.asarray(ours.bilinear_logsumexp(*factors, **options)), lse_of(given.scores)
            )
            loss = {"label_smoothing": 0.1, "reduction": "none", **given.options, "target": target}
            of_jax = {**loss, **options, "target": jnp.asarray(target)}
            assert_same(
                np.asarray(ours.bilinear_cross_entropy(*factors, **of_jax)),
                F.bilinear_cross_entropy(*given.factors, **loss),
            )
            best = ours.bilinear_topk(*factors, k=3, **options)
            again = F.bilinear_topk(*given.factors, k=3, **given.options)
            assert_same(np.asarray(best.values), again.values)
            assert_same(np.asarray(best.indices), again.indices)
            one = ours.bilinear_max(*factors, **options)
            assert_same(np.asarray(one.indices), again.indices[..., 0])
            places = np.abs(target) % 7
            assert_same(
                np.asarray(ours.bilinear_rank(*factors, target=jnp.asarray(places), **options)),
                F.bilinear_rank(*given.factors, target=places, **given.options),
            )
        given = Given(random, (3, 2), (5, 2))
        factors = [jnp.asarray(each) for each in given.factors]
        function = lambda *f: ours.bilinear_cross_entropy(*f, target=jnp.asarray([0, 4, 1]))  # noqa: E731
        slopes = jax.jit(jax.grad(function, (0, 1, 2, 3)))(*factors)
        for found, expected in zip(
            slopes,
            gradients(lambda *f: F.bilinear_cross_entropy(*f, target=[0, 4, 1]), given.factors),
            strict=True,
        ):
            assert_same(np.asarray(found), expected)
        from jax.test_util import check_grads

        check_grads(function, factors, order=2, modes=["rev"])
        several = jnp.stack([factors[0], -factors[0]])
        batched = jax.vmap(lambda x: ours.bilinear_logsumexp(x, *factors[1:]))(several)
        assert_same(np.asarray(batched[1]), np.asarray(
            ours.bilinear_logsumexp(-factors[0], *factors[1:])))  # fmt: skip


@pytest.mark.parametrize("shapes", [((3, 2), (0, 4)), ((0, 2), (4, 4)), ((0, 3, 2), (0, 4, 4))])
@pytest.mark.parametrize("outputs", [0, 5])
def test_jax_takes_empty_sides(shapes: Any, outputs: int) -> None:
    jax = pytest.importorskip("jax")
    import lucid.jax as ours

    one, two = (jax.numpy.ones(shape) for shape in shapes)
    factors = one, two, jax.numpy.ones((outputs, 2, 4))
    shape = (*one.shape[:-1], outputs)
    lse, pull = jax.vjp(ours.bilinear_logsumexp, *factors)
    assert lse.shape == shape
    assert np.all(np.asarray(lse) == (-np.inf if not two.shape[-2] else lse))
    assert [each.shape for each in pull(lse)] == [each.shape for each in factors]
    for k in (0, min(2, two.shape[-2])):
        assert ours.bilinear_topk(*factors, k=k).values.shape == (*shape, k)
    target = np.full(shape[:-1], 0 if two.shape[-2] else -100)
    assert ours.bilinear_cross_entropy(*factors, target=target, reduction="none").shape == shape


def test_jax_takes_lists_and_no_partner_at_all() -> None:
    jnp = pytest.importorskip("jax.numpy")
    import lucid.jax as ours

    x1, x2 = np.arange(6.0).reshape(3, 2), np.arange(8.0).reshape(4, 2)
    one, two, weight = jnp.asarray(x1), jnp.asarray(x2), np.ones((2, 1, 2, 2))
    options: Any = {
        "group": [0, 1, 0], "exclude": [[0], [1], [2]], "mask": [True, True, False, True]
    }  # fmt: skip
    found = ours.bilinear_max(one, two, weight, [1.0], **options)
    right = F.bilinear_max(x1, x2, weight, [1.0], **options)
    assert_same(np.asarray(found.values), right.values.astype("float32"))
    assert found.indices.tolist() == right.indices.tolist()
    assert ours.bilinear_topk(one, two, weight[0], k=0).indices.shape == (3, 1, 0)


@pytest.mark.parametrize("name", ["logsumexp", "cross_entropy", "topk", "max", "rank"])
@pytest.mark.parametrize("axes", [(0, None, None), (None, 1, None), (None, None, 0), (0, 1, 0)])
def test_jax_vmap_is_the_loop(random: np.random.Generator, name: str, axes: Any) -> None:
    jax = pytest.importorskip("jax")
    import lucid.jax as ours

    shapes = (5, 3), (7, 4), (2, 3, 4)
    factors = [
        random.standard_normal(shape if axis is None else (*shape[:axis], 6, *shape[axis:]))
        for shape, axis in zip(shapes, axes, strict=True)
    ]
    target = random.integers(0, 7, (6, 5))
    mask = random.random((6, 5, 7)) < 0.8
    mask |= np.arange(7) == target[..., None]
    function = getattr(ours, f"bilinear_{name}")

    def call(mask: Any, target: Any, *factors: Any) -> Any:
        options = {"k": 3} if name == "topk" else {}
        if name in ("cross_entropy", "rank"):
            options["target"] = target
        return function(*factors, mask=mask, **options)

    with jax.enable_x64(True):
        found = jax.vmap(call, (0, 0, *axes))(mask, target, *map(jax.numpy.asarray, factors))
        for n in range(6):
            own = [
                x if axis is None else np.take(x, n, axis)
                for x, axis in zip(factors, axes, strict=True)
            ]
            expected = call(mask[n], target[n], *map(jax.numpy.asarray, own))
            for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
                assert_same(np.asarray(one[n]), np.asarray(other))


def test_jax_looks_at_numbers_that_are_there_under_jit() -> None:
    """Those that a compiled function has of its own are no less known there."""
    jax = pytest.importorskip("jax")
    import lucid.jax as ours

    ones = jax.numpy.ones
    x, weight, target = ones((3, 2)), ones((1, 2, 2)), jax.numpy.asarray([0, 2, 1])
    beyond, segment, offsets = target + 1, target, jax.numpy.asarray([0, 1, 3])
    for name in ("cross_entropy", "rank"):
        function = getattr(ours, f"bilinear_{name}")
        found = jax.jit(lambda x, f=function: f(x, x, weight, target=target))(x)
        assert_same(np.asarray(found), np.asarray(function(x, x, weight, target=target)))
        with pytest.raises(lucid.OutOfRangeError, match="target holds 3"):
            jax.jit(lambda x, f=function: f(x, x, weight, target=beyond))(x)
    form = ours.bilinear
    assert jax.jit(lambda x: form(x, x, weight, segment=segment))(x).shape == (3, 1)
    grouped = jax.jit(lambda x: form(x, x, ones((2, 1, 2, 2)), offsets=offsets))(x)
    assert_same(np.asarray(grouped), np.asarray(form(x, x, weight)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [3, 100])
def test_jax_orders_as_everywhere(dtype: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN before all others, of equal scores the first partner, and of two zeros too."""
    jax = pytest.importorskip("jax")
    import lucid.jax as ours
    from lucid.jax import _reductions

    monkeypatch.setattr(_reductions, "WIDTH", width)
    values = np.array([0, 1, -0.0, 0.0, np.inf, 1, -1, -np.inf, 2, 2, -0.0], dtype)
    unordered = values.copy()
    unordered[[3, 9]] = np.nan, -np.nan
    one = np.ones((1, 1), dtype)
    jax.clear_caches()
    with jax.enable_x64(True):
        for others in values, unordered, unordered[::-1]:
            for k in range(1, len(others) + 1):
                given = one, others[:, None].copy(), one[None]
                found = ours.bilinear_topk(*map(jax.numpy.asarray, given), k=k)
                expected = F.bilinear_topk(*given, k=k)
                assert np.asarray(found.indices).tolist() == np.asarray(expected.indices).tolist()
                assert_same(np.asarray(found.values), np.asarray(expected.values))
            found = ours.bilinear_max(*map(jax.numpy.asarray, given))
            assert np.asarray(found.indices).tolist() == [[int(expected.indices[0, 0, 0])]]
