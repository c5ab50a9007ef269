"""Functions of lucid.nn.functional: published formulas, PyTorch's numbers, gradients, messages."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import Tensor
from lucid.testing import assert_same, gradcheck

Array = np.ndarray[Any, Any]

# The formulas, one number at a time


def log_softmax_by_hand(row: Array) -> list[float]:
    total = math.fsum(math.exp(x) for x in row)
    return [x - math.log(total) for x in row]


def cross_entropy_by_hand(
    scores: Array, classes: Array, weight: Array, ignore_index: int, smoothing: float
) -> tuple[list[float], float]:
    """The loss of each row, and what the mean divides by."""
    losses, divisor = [], 0.0
    for row, chosen in zip(scores, classes, strict=True):
        if chosen == ignore_index:
            losses.append(0.0)
            continue
        logs = log_softmax_by_hand(row)
        mixed = [
            (1 - smoothing) * (k == chosen) * weight[k] + smoothing / len(row) * weight[k]
            for k in range(len(row))
        ]
        losses.append(-math.fsum(m * log for m, log in zip(mixed, logs, strict=True)))
        divisor += weight[chosen]
    return losses, divisor


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("ignore_index", [-100, 2])
def test_cross_entropy_is_its_formula(
    random: np.random.Generator, smoothing: float, weighed: bool, ignore_index: int
) -> None:
    scores, classes = random.normal(size=(6, 4)), np.array([0, 2, 3, 1, 2, 0])
    weight = random.uniform(0.5, 2, 4) if weighed else np.ones(4)
    losses, divisor = cross_entropy_by_hand(scores, classes, weight, ignore_index, smoothing)
    expected = {"none": losses, "sum": sum(losses), "mean": sum(losses) / divisor}
    for reduction, value in expected.items():
        found = F.cross_entropy(
            Tensor(scores),
            Tensor(classes),
            Tensor(weight) if weighed else None,
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=smoothing,
        )
        assert_same(found, np.asarray(value))


SHAPES = [
    ((5, 3), (5,)),
    ((2, 3, 4), (2, 4)),
    ((2, 3, 2, 2), (2, 2, 2)),
    ((3,), ()),
    ((0, 3), (0,)),
]


@pytest.mark.parametrize(("shape", "target_shape"), SHAPES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(
    "options",
    [{}, {"weight": True}, {"ignore_index": 1}, {"label_smoothing": 0.2},
     {"weight": True, "ignore_index": 0, "label_smoothing": 0.3}],
    ids=str,
)  # fmt: skip
def test_cross_entropy_and_its_gradient_are_pytorchs(
    random: np.random.Generator,
    shape: tuple[int, ...],
    target_shape: tuple[int, ...],
    reduction: str,
    options: dict[str, Any],
) -> None:
    torch = pytest.importorskip("torch")
    scores, classes = random.normal(size=shape), random.integers(0, 3, target_shape)
    options = {**options, "reduction": reduction}
    theirs = dict(options)
    if "weight" in options:
        weight = random.uniform(0.5, 2, 3)
        options["weight"], theirs["weight"] = weight, torch.tensor(weight)
    x, t = Tensor(scores, requires_grad=True), torch.tensor(scores, requires_grad=True)
    loss = F.cross_entropy(x, classes, **options)
    their_loss = torch.nn.functional.cross_entropy(t, torch.tensor(classes), **theirs)
    if torch.isnan(their_loss).any():  # the mean over nothing, tested below
        assert loss.item() == 0
        return
    assert_same(loss.detach(), their_loss.detach().numpy())
    loss.backward(), their_loss.sum().backward()
    assert_same(x.grad, t.grad.numpy())


@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 4), (3,)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weighed", [False, True])
def test_cross_entropy_with_probabilities_is_pytorchs(
    random: np.random.Generator,
    shape: tuple[int, ...],
    reduction: str,
    smoothing: float,
    weighed: bool,
) -> None:
    torch = pytest.importorskip("torch")
    axis = 0 if len(shape) == 1 else 1
    scores, target = random.normal(size=shape), random.uniform(size=shape)
    target /= target.sum(axis=axis, keepdims=True)
    weight = random.uniform(0.5, 2, 3) if weighed else None
    x, y = Tensor(scores, requires_grad=True), Tensor(target, requires_grad=True)
    t, u = (torch.tensor(each, requires_grad=True) for each in (scores, target))
    loss = F.cross_entropy(x, y, weight, reduction=reduction, label_smoothing=smoothing)
    their_loss = torch.nn.functional.cross_entropy(
        t,
        u,
        None if weight is None else torch.tensor(weight),
        reduction=reduction,
        label_smoothing=smoothing,
    )
    assert_same(loss.detach(), their_loss.detach().numpy())
    loss.backward(), their_loss.sum().backward()
    assert_same(x.grad, t.grad.numpy())
    assert_same(y.grad, u.grad.numpy())


def test_cross_entropy_of_huge_scores_is_exact() -> None:
    scores = Tensor([[1e4, 0.0, -1e4], [1e4, 1e4 + 1, 1e4]], requires_grad=True)
    loss = F.cross_entropy(scores, [0, 1], reduction="none")
    expected = math.log(1 + 2 * math.exp(-1))
    assert_same(loss.detach(), np.array([0, expected], "f4"))
    loss.backward()
    share = 1 / (2 + math.e)
    assert_same(scores.grad, np.array([[0, 0, 0], [share, -2 * share, share]], "f4"))


def test_a_class_that_is_ruled_out_changes_nothing() -> None:
    scores = Tensor([[0.0, 0.0, -math.inf]], requires_grad=True)
    loss = F.cross_entropy(scores, [1])
    loss.backward()
    assert_same(loss.detach(), np.asarray(math.log(2), "f4"))
    assert_same(scores.grad, np.array([[0.5, -0.5, 0]], "f4"))


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
def test_the_mean_over_ignored_positions_only_is_zero(loss: Callable[..., Tensor]) -> None:
    scores = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    for target, options in (
        ([-100, -100], {}),
        ([0, 0], {"ignore_index": 0}),
        ([1, 1], {"weight": [1.0, 0.0]}),
    ):
        scores.grad = None
        found = loss(scores, target, **options)
        assert found.item() == 0
        found.backward()
        assert_same(scores.grad, np.zeros((2, 2), "f4"))


def test_nll_loss_is_pytorchs(random: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    logs = np.log(random.uniform(size=(2, 3, 4)))
    classes, weight = random.integers(0, 3, (2, 4)), random.uniform(0.5, 2, 3)
    for reduction in ("mean", "sum", "none"):
        x, t = Tensor(logs, requires_grad=True), torch.tensor(logs, requires_grad=True)
        loss = F.nll_loss(x, classes, weight, ignore_index=2, reduction=reduction)
        their_loss = torch.nn.functional.nll_loss(
            t, torch.tensor(classes), torch.tensor(weight), ignore_index=2, reduction=reduction
        )
        assert_same(loss.detach(), their_loss.detach().numpy())
        loss.backward(), their_loss.sum().backward()
        assert_same(x.grad, t.grad.numpy())


ELEMENTWISE: list[tuple[Callable[..., Any], str, dict[str, Any]]] = [
    (F.relu, "relu", {}),
    (F.leaky_relu, "leaky_relu", {"negative_slope": 0.2}),
    (F.elu, "elu", {"alpha": 0.7}),
    (F.softplus, "softplus", {"beta": 2.0}),
    (F.silu, "silu", {}),
    (F.gelu, "gelu", {}),
    (F.gelu, "gelu", {"approximate": "tanh"}),
    (F.sigmoid, "sigmoid", {}),
    (F.tanh, "tanh", {}),
]


@pytest.mark.parametrize(
    ("function", "name", "options"),
    ELEMENTWISE,
    ids=[f"{name}{more}" for _, name, more in ELEMENTWISE],
)
def test_an_activation_and_its_gradient_are_pytorchs(
    function: Callable[..., Any], name: str, options: dict[str, Any]
) -> None:
    torch = pytest.importorskip("torch")
    values = np.array([-30, -3.2, -1, -1e-3, 0, 1e-3, 0.5, 1, 3.2, 6])
    x, t = Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    found, theirs = function(x, **options), getattr(torch.nn.functional, name)(t, **options)
    # PyTorch's softplus is linear above 20, its gelu loses the far tail: absolute 1e-12
    assert_same(found.detach(), theirs.detach().numpy(), rtol=1e-12, atol=1e-12)
    found.backward(), theirs.sum().backward()
    assert_same(x.grad, t.grad.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_softmax_and_log_softmax_are_their_formulas(random: np.random.Generator, axis: int) -> None:
    x = random.normal(size=(3, 4))
    expected = np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True)
    assert_same(F.softmax(Tensor(x), axis=axis), expected)
    assert_same(F.log_softmax(Tensor(x), axis=axis), np.log(expected))
    assert_same(F.softmax(x, axis=axis), expected)


def test_softmax_of_huge_and_of_no_scores() -> None:
    assert_same(F.softmax(Tensor([1e30, 0.0])), np.array([1, 0], "f4"))
    assert F.softmax(lucid.zeros((3, 0))).shape == (3, 0)
    assert F.log_softmax(lucid.zeros((0, 3))).shape == (0, 3)


def test_the_normal_distribution_is_right_to_the_last_digits() -> None:
    # by way of the error function of the C library
    x = np.linspace(-12, 12, 4001)
    expected = np.array([0.5 * math.erfc(-each / math.sqrt(2)) for each in x])
    assert_same(F.gelu(Tensor(x)), x * expected, rtol=1e-13, atol=0)
    single = F.gelu(Tensor(x.astype("f4"))).numpy()
    assert_same(single, (x * expected).astype("f4"), rtol=2e-5, atol=1e-30)
    assert_same(F.gelu(Tensor([-1e30, 1e30])), np.array([0, 1e30], "f4"))


def test_gelu_of_half_precision_is_computed_in_single() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    for dtype in (np.float16, ml_dtypes.bfloat16):
        x = np.array([-3, -0.5, 0.0, 0.5, 3, 200], dtype)
        expected = F.gelu(Tensor(x.astype("f4"))).numpy()
        found = F.gelu(Tensor(x))
        assert found.dtype == dtype
        assert_same(found.numpy().astype("f4"), expected, rtol=1e-2, atol=1e-3)


def test_the_gradient_of_relu_at_zero_is_zero() -> None:
    x = Tensor([0.0, -0.0, 1.0], requires_grad=True)
    F.relu(x).backward()
    assert_same(x.grad, np.array([0, 0, 1], "f4"))


# Numbers against numbers


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_the_losses_of_numbers_are_their_formulas(
    random: np.random.Generator, reduction: str
) -> None:
    x, t = random.normal(size=(3, 4)), random.uniform(size=(3, 4))
    weight, positive = random.uniform(size=(3, 1)), random.uniform(0.5, 2, 4)
    share = 1 / (1 + np.exp(-x))
    reduce: Any = {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction]
    for found, expected in (
        (F.mse_loss(Tensor(x), Tensor(t), reduction=reduction), (x - t) ** 2),
        (F.l1_loss(Tensor(x), Tensor(t), reduction=reduction), abs(x - t)),
        (
            F.binary_cross_entropy_with_logits(
                Tensor(x), Tensor(t), Tensor(weight), pos_weight=Tensor(positive),
                reduction=reduction,
            ),
            -weight * (positive * t * np.log(share) + (1 - t) * np.log(1 - share)),
        ),
    ):  # fmt: skip
        assert_same(found, reduce(expected))


def test_binary_cross_entropy_is_exact_where_it_is_small() -> None:
    x = Tensor([-40.0, 40.0, -1000.0, 1000.0])
    target = Tensor([0.0, 1.0, 1.0, 0.0])
    found = F.binary_cross_entropy_with_logits(x, target, reduction="none")
    assert_same(found, np.array([math.exp(-40), math.exp(-40), 1000, 1000], "f4"))


def test_binary_cross_entropy_is_pytorchs(random: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    values, target = random.normal(size=(3, 4)) * 5, random.uniform(size=(3, 4))
    weight, positive = random.uniform(size=(3, 1)), random.uniform(0.5, 2, 4)
    x, y = Tensor(values, requires_grad=True), Tensor(target, requires_grad=True)
    t, u = (torch.tensor(each, requires_grad=True) for each in (values, target))
    loss = F.binary_cross_entropy_with_logits(x, y, weight, pos_weight=positive)
    theirs = torch.nn.functional.binary_cross_entropy_with_logits(
        t, u, torch.tensor(weight), pos_weight=torch.tensor(positive)
    )
    assert_same(loss.detach(), theirs.detach().numpy())
    loss.backward()
    theirs.backward()
    assert_same(x.grad, t.grad.numpy())
    assert_same(y.grad, u.grad.numpy())


@pytest.mark.parametrize("loss", [F.mse_loss, F.l1_loss, F.binary_cross_entropy_with_logits])
def test_the_mean_over_nothing_is_zero(loss: Callable[..., Tensor]) -> None:
    x = Tensor(np.zeros((0, 3)), requires_grad=True)
    found = loss(x, lucid.zeros((0, 3)))
    found.backward()
    assert found.item() == 0
    assert x.grad is not None
    assert x.grad.shape == (0, 3)


def test_layer_norm_is_pytorchs(random: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    values = [random.normal(size=(2, 3, 4)), random.normal(size=(3, 4)), random.normal(size=(3, 4))]
    mine = [Tensor(each, requires_grad=True) for each in values]
    theirs = [torch.tensor(each, requires_grad=True) for each in values]
    g = random.normal(size=(2, 3, 4))
    found = F.layer_norm(mine[0], (3, 4), mine[1], mine[2])
    expected = torch.nn.functional.layer_norm(theirs[0], (3, 4), theirs[1], theirs[2])
    assert_same(found.detach(), expected.detach().numpy())
    found.backward(g), expected.backward(torch.tensor(g))
    for one, other in zip(mine, theirs, strict=True):
        assert_same(one.grad, other.grad.numpy())


# Derivatives, against central differences

CLASSES = np.array([0, 2, 1, 2, 0])
DERIVATIVES: dict[str, Callable[..., Any]] = {
    "linear": lambda r: (F.linear, [r(2, 3), r(4, 3), r(4)]),
    "linear: a vector": lambda r: (F.linear, [r(3), r(4, 3), r(4)]),
    "linear: three axes": lambda r: (F.linear, [r(2, 2, 3), r(4, 3)]),
    "embedding": lambda r: (lambda w: F.embedding([[1, 2], [1, 4]], w), [r(5, 3)]),
    "softmax": lambda r: (lambda x: F.softmax(x, axis=0), [r(3, 4)]),
    "log_softmax": lambda r: (lambda x: F.log_softmax(x, axis=1), [r(3, 4)]),
    "layer_norm": lambda r: (lambda x, w, b: F.layer_norm(x, 4, w, b), [r(3, 4), r(4), r(4)]),
    "mse_loss": lambda r: (F.mse_loss, [r(3, 4), r(3, 4)]),
    "l1_loss": lambda r: (F.l1_loss, [r(3, 4), r(3, 4)]),
    "binary_cross_entropy": lambda r: (
        lambda x, t: F.binary_cross_entropy_with_logits(
            x, t, np.array([[0.5], [1.0], [2.0]]), pos_weight=np.array([0.3, 1, 2, 0.7])
        ),
        [r(3, 4), r(3, 4)],
    ),
    "cross_entropy": lambda r: (lambda x: F.cross_entropy(x, CLASSES), [r(5, 3)]),
    "cross_entropy: none": lambda r: (
        lambda x: F.cross_entropy(
            x, CLASSES, [0.5, 1.0, 2.0], ignore_index=2, label_smoothing=0.2, reduction="none"
        ),
        [r(5, 3)],
    ),
    "cross_entropy: probabilities": lambda r: (F.cross_entropy, [r(2, 3, 4), r(2, 3, 4)]),
    "nll_loss": lambda r: (lambda x: F.nll_loss(x, CLASSES, ignore_index=0), [r(5, 3)]),
    **{
        f"{name} {options}": lambda r, f=function, o=options: (lambda x: f(x, **o), [r(3, 4)])
        for function, name, options in ELEMENTWISE
    },
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_up_to_the_third_are_central_differences(
    random: np.random.Generator, name: str
) -> None:
    function, inputs = DERIVATIVES[name](lambda *shape: random.normal(size=shape))
    gradcheck(function, inputs, order=3, rtol=1e-5)


def test_an_embedding_adds_up_the_gradients_of_each_row() -> None:
    weight = Tensor(np.zeros((4, 2), "f4"), requires_grad=True)
    F.embedding([[1, 1], [3, 1]], weight, padding_idx=3).backward()
    assert_same(weight.grad, np.array([[0, 0], [3, 3], [0, 0], [0, 0]], "f4"))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "uint64"])
def test_indices_and_classes_are_integers_of_any_dtype(dtype: str) -> None:
    weight = Tensor(np.zeros((300, 2), "f4"), requires_grad=True)
    F.embedding(np.array([1, 120, 1], dtype), weight).backward()
    assert weight.grad is not None
    assert_same(weight.grad[[1, 120]], np.array([[2, 2], [1, 1]], "f4"))
    classes = np.array([1, 0])
    expected = F.cross_entropy(np.eye(2), classes)
    assert_same(F.cross_entropy(np.eye(2), classes.astype(dtype)), expected)


def test_an_embedding_of_one_number_is_one_row() -> None:
    weight = Tensor(np.zeros((4, 2), "f4"), requires_grad=True)
    row = F.embedding(Tensor(2), weight)
    assert row.shape == (2,)
    row.backward()
    assert_same(weight.grad, np.array([[0, 0], [0, 0], [1, 1], [0, 0]], "f4"))
    assert F.embedding(np.zeros((2, 0), int), weight).shape == (2, 0, 2)


def test_an_embedding_of_many_repeated_rows_is_a_sum(random: np.random.Generator) -> None:
    index, g = random.integers(0, 7, 500), random.normal(size=(500, 3))
    weight = Tensor(np.zeros((9, 3)), requires_grad=True)
    F.embedding(index, weight).backward(g)
    expected = np.array([g[index == k].sum(axis=0) for k in range(9)])
    assert_same(weight.grad, expected)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_take_along_any_axis_adds_up_its_gradients(random: np.random.Generator, axis: int) -> None:
    x = Tensor(random.normal(size=(3, 4, 5)), requires_grad=True)
    index = np.array([[0, 2], [-1, 0]])
    flat = index.reshape(-1)
    found = lucid.take(x, flat, axis=axis)
    g = random.normal(size=found.shape)
    found.backward(g)
    expected = np.zeros((3, 4, 5))
    for k, chosen in enumerate(flat):
        np.moveaxis(expected, axis, 0)[chosen] += np.moveaxis(g, axis, 0)[k]
    assert_same(x.grad, expected)


# Dropout


def test_dropout_keeps_its_share_and_its_mean() -> None:
    n, p = 100_000, 0.3
    found = F.dropout(lucid.ones(n), p, generator=lucid.Generator(0)).numpy()
    assert set(np.unique(found)) == {np.float32(0), np.float32(1 / 0.7)}
    # five standard deviations of a binomial share
    assert abs((found == 0).mean() - p) < 5 * math.sqrt(p * (1 - p) / n)


def test_dropout_gives_the_gradient_to_what_it_kept() -> None:
    x = Tensor(np.full(100, 2.0), requires_grad=True)
    found = F.dropout(x, 0.5)
    found.backward()
    assert x.grad is not None
    assert_same(found.detach().numpy(), x.grad.numpy() * 2)


def test_dropout_repeats_with_its_generator_or_the_common_seed() -> None:
    x = lucid.ones(50)
    one, other = (F.dropout(x, generator=lucid.Generator(3)).numpy() for _ in range(2))
    assert_same(one, other)
    lucid.manual_seed(4)
    one = F.dropout(x).numpy()
    assert not (F.dropout(x).numpy() == one).all()
    lucid.manual_seed(4)
    assert_same(F.dropout(x).numpy(), one)


def test_dropout_at_its_ends() -> None:
    x = Tensor([1.0, 2.0])
    assert F.dropout(x, 0.0) is x
    assert F.dropout(x, 0.9, training=False) is x
    assert_same(F.dropout(x, 1.0), np.zeros(2, "f4"))


# Arrays in, arrays out; other libraries


def test_arrays_give_arrays() -> None:
    x = np.array([[1.0, 2.0]])
    for found in (
        F.linear(x, np.ones((3, 2))),
        F.softmax(x),
        F.gelu(x),
        F.dropout(x),
        F.cross_entropy(x, np.array([1])),
        F.cross_entropy(x, np.array([1]), [1.0, 2.0], ignore_index=0, label_smoothing=0.1),
        F.mse_loss(x, x),
        F.layer_norm(x, 2),
        F.embedding(np.array([0]), x),
    ):
        assert isinstance(found, (np.ndarray, np.generic))


# dtypes of two libraries may have one hash, and array_api_strict warns where they are compared
@pytest.mark.filterwarnings("ignore:You are comparing a array_api_strict dtype")
@pytest.mark.parametrize("library", ["torch", "jax.numpy", "array_api_strict"])
def test_other_libraries_give_the_same(random: np.random.Generator, library: str) -> None:
    xp = pytest.importorskip(library)
    values = random.normal(size=(5, 3)).astype("f4")
    classes = np.array([0, 2, 1, 2, 0])

    def both(function: Callable[[Any, Callable[[Any], Any]], Any]) -> None:
        results = []
        for convert in (np.asarray, xp.asarray):
            x: Any = lucid.asarray(convert(values)).detach().requires_grad_()
            found = function(x, convert)
            found.backward()
            results.append((found.detach().numpy(), x.grad.numpy()))
        for one, other in zip(*results, strict=True):
            assert_same(np.asarray(other), np.asarray(one), rtol=1e-5, atol=1e-6)

    both(lambda x, convert: F.cross_entropy(x, convert(classes)))
    both(lambda x, _: F.cross_entropy(x, classes.tolist(), [1.0, 2.0, 0.5], ignore_index=0))
    both(lambda x, convert: F.nll_loss(x, convert(classes)))
    both(lambda x, convert: F.embedding(convert(classes), x))
    both(lambda x, _: F.gelu(F.silu(F.elu(F.softplus(F.leaky_relu(F.relu(x)))))))
    both(lambda x, _: F.layer_norm(x, 3))
    both(lambda x, _: F.log_softmax(x) * F.softmax(x, axis=0))
    both(lambda x, convert: F.mse_loss(x, convert(values * 2)))
    both(lambda x, convert: F.linear(x, convert(values[:2]), convert(values[:2, 0])))


def test_cross_entropy_is_traced_by_jax(random: np.random.Generator) -> None:
    jax = pytest.importorskip("jax")
    values = random.normal(size=(5, 3)).astype("f4")
    classes = np.array([0, -100, 1, 2, 0])

    def gradient(x: Any, target: Any) -> Any:
        leaf = lucid.asarray(x).requires_grad_()
        F.cross_entropy(leaf, target).backward()
        return leaf.grad._array  # type: ignore[union-attr]

    found = jax.jit(gradient)(jax.numpy.asarray(values), jax.numpy.asarray(classes))
    x = Tensor(values, requires_grad=True)
    F.cross_entropy(x, classes).backward()
    assert_same(np.asarray(found), x.grad, rtol=1e-5, atol=1e-6)


# Messages, word for word

SCORES = np.zeros((4, 3))
MESSAGES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (
        lambda: F.mse_loss(np.zeros(4), np.zeros((4, 1))),
        lucid.ShapeError,
        "mse_loss: input has shape (4,) but target (4, 1); they must be equal, reshape one of them",
    ),
    (
        lambda: F.mse_loss(np.zeros(4, int), np.zeros(4)),
        lucid.DTypeError,
        "mse_loss: input has dtype int64, expected real floating-point numbers; convert it, as in "
        "input.astype(lucid.float32)",
    ),
    (
        lambda: F.l1_loss(np.zeros(4), np.zeros(4, complex)),
        lucid.DTypeError,
        "l1_loss: target has dtype complex128, expected real floating-point numbers; take its "
        "real or absolute part first",
    ),
    (
        lambda: F.mse_loss(np.zeros(4), np.zeros(4), reduction="average"),
        lucid.ArgumentError,
        "mse_loss: reduction is 'average', expected 'mean', 'sum' or 'none'",
    ),
    (
        lambda: F.binary_cross_entropy_with_logits(
            np.zeros((2, 3)), np.zeros((2, 3)), pos_weight=np.zeros(2)
        ),
        lucid.ShapeError,
        "binary_cross_entropy_with_logits: pos_weight has shape (2,), which does not broadcast to "
        "that of input, (2, 3)",
    ),
    (
        lambda: F.cross_entropy(SCORES, np.zeros((4, 1), int)),
        lucid.ShapeError,
        "cross_entropy: target has shape (4, 1), expected (4,): that of input (4, 3) without its "
        "axis of classes",
    ),
    (
        lambda: F.cross_entropy(SCORES, np.zeros(4)),
        lucid.ShapeError,
        "cross_entropy: a target of dtype float64 holds probabilities and has the shape of input, "
        "(4, 3), but got (4,); numbers of classes are integers",
    ),
    (
        lambda: F.cross_entropy(SCORES, [0, 1, 3, 2]),
        lucid.OutOfRangeError,
        "cross_entropy: target holds the class 3, but input (4, 3) has 3 classes, 0, …, 2",
    ),
    (
        lambda: F.cross_entropy(SCORES, [0, 1, -1, 2]),
        lucid.OutOfRangeError,
        "cross_entropy: target holds the class -1, but input (4, 3) has 3 classes, 0, …, 2",
    ),
    (
        lambda: F.cross_entropy(SCORES, [True, False, True, False]),
        lucid.DTypeError,
        "cross_entropy: target has dtype bool, expected integers; convert it, as in "
        "target.astype(lucid.int64)",
    ),
    (
        lambda: F.cross_entropy(np.zeros(()), 0),
        lucid.ShapeError,
        "cross_entropy: input has shape (), expected (N, C), (N, C, …) or (C,) with at least one "
        "class",
    ),
    (
        lambda: F.cross_entropy(SCORES, [0, 0, 0, 0], [1.0, 2.0]),
        lucid.ShapeError,
        "cross_entropy: weight has shape (2,), expected (3,): one number for each class of input "
        "(4, 3)",
    ),
    (
        lambda: F.cross_entropy(SCORES, [0] * 4, Tensor([1.0] * 3, requires_grad=True)),
        lucid.GraphError,
        "cross_entropy: weight has no gradient, but this one requires it; pass weight.detach()",
    ),
    (
        lambda: F.cross_entropy(SCORES, [0] * 4, label_smoothing=1.5),
        lucid.ArgumentError,
        "cross_entropy: label_smoothing is 1.5, expected a number from 0 to 1",
    ),
    (
        lambda: F.embedding([0, 5], np.zeros((4, 2))),
        lucid.OutOfRangeError,
        "embedding: input holds the index 5, but weight has 4 embeddings; indices are 0, …, 3",
    ),
    (
        lambda: F.embedding([0, -1], np.zeros((4, 2))),
        lucid.OutOfRangeError,
        "embedding: input holds the index -1, but weight has 4 embeddings; indices are 0, …, 3",
    ),
    (
        lambda: F.embedding([0.0], np.zeros((4, 2))),
        lucid.DTypeError,
        "embedding: input has dtype float32, expected integers; convert it, as in "
        "input.astype(lucid.int64)",
    ),
    (
        lambda: F.embedding(2, np.zeros((4, 2))),
        lucid.DTypeError,
        "embedding: input is a number, int, expected a Tensor, an array or a list",
    ),
    (
        lambda: F.mse_loss(Tensor([1.0]), 1.0),
        lucid.DTypeError,
        "mse_loss: target is a number, float, expected a Tensor, an array or a list",
    ),
    (
        lambda: F.embedding([0], np.zeros((4, 2)), 4),
        lucid.OutOfRangeError,
        "embedding: padding_idx is 4, but there are 4 embeddings",
    ),
    (
        lambda: F.linear(np.zeros((2, 3)), np.zeros((5, 4))),
        lucid.ShapeError,
        "linear: axis 'in_features' is 3 in input (2, 3) but 4 in weight (5, 4)",
    ),
    (
        lambda: F.linear(np.zeros((2, 3)), np.zeros((5, 3)), np.zeros(3)),
        lucid.ShapeError,
        "linear: axis 'out_features' is 5 in weight (5, 3) but 3 in bias (3,)",
    ),
    (
        lambda: F.linear(np.zeros(()), np.zeros((5, 3))),
        lucid.ShapeError,
        "linear: input needs at least 1 axis (..., in_features), but has shape ()",
    ),
    (
        lambda: F.softmax(np.zeros((2, 3)), axis=2),
        lucid.OutOfRangeError,
        "softmax: axis 2 is outside input (2, 3), which has 2 axes",
    ),
    (
        lambda: F.gelu(np.zeros(2), approximate="erf"),
        lucid.ArgumentError,
        "gelu: approximate is 'erf', expected 'none' or 'tanh'",
    ),
    (
        lambda: F.softplus(np.zeros(2), beta=0.0),
        lucid.ArgumentError,
        "softplus: beta is 0.0, expected a finite number above 0",
    ),
    (
        lambda: F.dropout(np.zeros(2), 1.5),
        lucid.ArgumentError,
        "dropout: p is 1.5, expected a number from 0 to 1",
    ),
    (
        lambda: F.dropout(np.zeros(2, int)),
        lucid.DTypeError,
        "dropout: input has dtype int64, expected floating-point numbers; convert it, as in "
        "input.astype(lucid.float32)",
    ),
    (
        lambda: F.layer_norm(np.zeros((2, 3)), 2),
        lucid.ShapeError,
        "layer_norm: normalized_shape is (2,), but input has shape (2, 3); its last axes must be "
        "those",
    ),
    (
        lambda: F.layer_norm(np.zeros((2, 3)), 3, np.zeros(2)),
        lucid.ShapeError,
        "layer_norm: weight has shape (2,), expected (3,)",
    ),
]


@pytest.mark.parametrize(("call", "kind", "message"), MESSAGES)
def test_messages(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message
