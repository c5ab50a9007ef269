"""Far from 0, where functions saturate: in float32, values and slopes keep their leading digits.

Each reference is the formula in double precision, in a form in which nothing cancels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import erfc, exp, expm1, log1p, pi, sqrt
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.nn import functional as F

TOLERANCE = 1e-6
ROUNDING = 2.0**-24 / TOLERANCE  # what one rounding counts for in these units
SMALLEST = 1e-36  # below it a number of float32, or a factor of it, has fewer digits

# e^-|x| is a normal number; both dense around 0 and out to the ends
POINTS = np.unique(
    np.concatenate([
        np.linspace(-87, 87, 349),
        np.linspace(-20, 20, 641),
        [sign * 10.0**-power for power in range(0, 30, 3) for sign in (1, -1)],
        [0.0],
    ]).astype("f4")
)  # fmt: skip


def sigma(x: float) -> float:
    decay = exp(-abs(x))
    return (1.0 if x >= 0 else decay) / (1 + decay)


def soft(x: float) -> float:
    return max(x, 0.0) + log1p(exp(-abs(x)))


def phi(x: float) -> float:
    return erfc(-x / sqrt(2)) / 2


def density(x: float) -> float:
    return exp(-x * x / 2) / sqrt(2 * pi)


def bent(x: float) -> float:
    return 2 * sqrt(2 / pi) * (x + 0.044715 * x**3)


def bent_slope(x: float) -> float:
    return 2 * sqrt(2 / pi) * (1 + 3 * 0.044715 * x**2)


def beside_zero(scores: Tensor) -> Tensor:
    """A row (x, 0) for each x."""
    pair: Tensor = lucid.stack([scores, lucid.zeros_like(scores)], axis=-1)
    return pair


def first(x: Tensor) -> Any:
    return np.zeros(x.shape, "i8")


@dataclass(frozen=True)
class Case:
    """A function, its value, and the terms of its slope, which may differ in sign.

    `condition` is by how much more is allowed, where what stands in an exponent is rounded.
    """

    name: str
    function: Callable[[Tensor], Any]
    value: Callable[[float], float]
    slope: Callable[[float], tuple[float, ...]]
    condition: Callable[[float], float] = lambda x: 1.0  # noqa: ARG005


def bce(target: float) -> Callable[[Tensor], Any]:
    return lambda x: F.binary_cross_entropy_with_logits(
        x, lucid.full_like(x, target), reduction="none"
    )


CASES = [
    Case("sigmoid", lucid.sigmoid, sigma, lambda x: (sigma(x) * sigma(-x),)),
    Case("expm1", lucid.expm1, expm1, lambda x: (exp(x),)),
    Case("relu", F.relu, lambda x: max(x, 0.0), lambda x: (float(x > 0),)),
    Case("elu", F.elu, lambda x: x if x > 0 else expm1(x), lambda x: (1.0 if x > 0 else exp(x),)),
    Case("softplus", F.softplus, soft, lambda x: (sigma(x),)),
    Case(
        "softplus 3",
        lambda x: F.softplus(x, 3.0),
        lambda x: soft(3 * x) / 3,
        lambda x: (sigma(3 * x),),
        lambda x: 1 + ROUNDING * abs(3 * x),
    ),
    Case("silu", F.silu, lambda x: x * sigma(x), lambda x: (sigma(x), x * sigma(x) * sigma(-x))),
    Case("gelu", F.gelu, lambda x: x * phi(x), lambda x: (phi(x), x * density(x))),
    Case(
        "gelu tanh",
        lambda x: F.gelu(x, "tanh"),
        lambda x: x * sigma(bent(x)),
        lambda x: (
            sigma(bent(x)),
            x * sigma(bent(x)) * bent_slope(x) * sigma(-bent(x)),
        ),
        lambda x: 1 + 5 * ROUNDING * abs(bent(x)),  # three products, a sum, another product
    ),
    Case("bce 0", bce(0), soft, lambda x: (sigma(x),)),
    Case("bce 1", bce(1), lambda x: soft(-x), lambda x: (-sigma(-x),)),
    Case(
        "bce ¼",
        bce(0.25),
        lambda x: 0.25 * soft(-x) + 0.75 * soft(x),
        lambda x: (0.75 * sigma(x), -0.25 * sigma(-x)),
    ),
    Case(
        "softmax",
        lambda x: F.softmax(beside_zero(x))[:, 0],
        sigma,
        lambda x: (sigma(x) * sigma(-x),),
    ),
    Case(
        "log_softmax",
        lambda x: F.log_softmax(beside_zero(x))[:, 0],
        lambda x: -soft(-x),
        lambda x: (sigma(-x),),
    ),
    Case(
        "log_softmax of a column",
        lambda x: F.log_softmax(beside_zero(x).T, axis=0)[0],
        lambda x: -soft(-x),
        lambda x: (sigma(-x),),
    ),
    Case(
        "cross_entropy",
        lambda x: F.cross_entropy(beside_zero(x), first(x), reduction="none"),
        lambda x: soft(-x),
        lambda x: (-sigma(-x),),
    ),
    Case(
        "nll_loss",
        lambda x: F.nll_loss(F.log_softmax(beside_zero(x)), first(x), reduction="none"),
        lambda x: soft(-x),
        lambda x: (-sigma(-x),),
    ),
]


def worst(
    found: np.ndarray[Any, Any], terms: Callable[[float], tuple[float, ...]], case: Case
) -> tuple[float, float]:
    """The largest error, in units of what is allowed, and where it is.

    Relative to the right number; where terms of both signs add up to it, to the largest of them.
    """
    errors = []
    for x, y in zip(POINTS.tolist(), found.tolist(), strict=True):
        right, size = sum(terms(x)), max(map(abs, terms(x)))
        if size == 0 or SMALLEST < abs(right) < 1e38:
            scale = max(abs(right), size) or 1.0
            errors.append((abs(y - right) / (scale * TOLERANCE * case.condition(x)), x))
    return max(errors)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_values_and_slopes_keep_their_digits(case: Case) -> None:
    x = Tensor(POINTS, requires_grad=True)
    y = case.function(x)
    y.sum().backward()
    assert x.grad is not None
    assert worst(y.numpy(), lambda x: (case.value(x),), case)[0] <= 1, "value"
    assert worst(x.grad.numpy(), case.slope, case)[0] <= 1, "slope"


def test_the_comparison_can_fail() -> None:
    case = CASES[0]
    assert case.name == "sigmoid"
    rounded = np.asarray([sigma(x) for x in POINTS.tolist()], "f4")
    assert worst(rounded, lambda x: (case.value(x),), case)[0] < 1
    assert worst(rounded * (1 - rounded), case.slope, case)[0] > 1e5  # as it is often written


def test_the_slope_of_elu_at_minus_twenty() -> None:
    x = Tensor([-20.0], requires_grad=True)
    F.elu(x).sum().backward()
    assert x.grad is not None
    assert x.grad.item() == pytest.approx(2.0611537e-9, rel=1e-6)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_far_away_is_0_or_x(approximate: str) -> None:
    x = Tensor([-1e30, -60.0, 60.0, 1e30], requires_grad=True)
    y = F.gelu(x, approximate)
    y.sum().backward()
    assert x.grad is not None
    assert y.tolist() == pytest.approx([0, 0, 60, 1e30])
    assert x.grad.tolist() == [0, 0, 1, 1]
