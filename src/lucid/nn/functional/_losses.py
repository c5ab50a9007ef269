"""Losses that compare numbers with numbers, element by element."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from ..._arrays import Array, namespace
from ..._op import op
from ..._wide import by_blocks, folded, rounded
from ...ops._arithmetic import sign
from ...ops._exponential import sigmoid
from ._activations import softplus
from ._checks import check_broadcasts, check_real, check_reduction, check_same_shape


@op(halves=True)
@rounded
def mse_loss(input: Array, target: Array, *, reduction: str = "mean") -> Array:
    """The squared error (input - target)², its mean, or its sum.

    Shapes: `input` and `target` equal, whatever they are; nothing broadcasts. The result is a
    scalar, or with `reduction='none'` has their shape. The mean over nothing is 0.

    Raises ShapeError where the shapes differ, DTypeError unless both are real floating point.

    >>> F.mse_loss(lucid.Tensor([1.0, 2.0]), lucid.Tensor([1.0, 4.0]))
    Tensor(2.0)
    """
    _check("mse_loss", input, target, reduction)
    return _reduced(_squared_error, reduction, input, target)


def _squared_error(input: Array, target: Array) -> Array:
    return namespace(input, target).square(input - target)


def _mse_gradient(g: Array, input: Array, target: Array, reduction: str) -> Array:
    count = _divisor(input, reduction)
    return by_blocks(lambda x, t, g: 2 * (g / count) * (x - t), input, target, g)


mse_loss.gradient(
    input=_mse_gradient,
    target=lambda g, input, target, reduction: _mse_gradient(g, target, input, reduction),
)


@op(halves=True)
@rounded
def l1_loss(input: Array, target: Array, *, reduction: str = "mean") -> Array:
    """The absolute error |input - target|, its mean, or its sum; its gradient at 0 is 0.

    Shapes: `input` and `target` equal, whatever they are; nothing broadcasts. The result is a
    scalar, or with `reduction='none'` has their shape. The mean over nothing is 0.

    Raises ShapeError where the shapes differ, DTypeError unless both are real floating point.

    >>> F.l1_loss(lucid.Tensor([1.0, 2.0]), lucid.Tensor([1.0, 4.0]))
    Tensor(1.0)
    """
    _check("l1_loss", input, target, reduction)
    return _reduced(_size_of_error, reduction, input, target)


def _size_of_error(input: Array, target: Array) -> Array:
    return namespace(input, target).abs(input - target)


def _l1_gradient(g: Array, input: Array, target: Array, reduction: str) -> Array:
    count = _divisor(input, reduction)
    return by_blocks(lambda x, t, g: (g / count) * sign(x - t), input, target, g)


l1_loss.gradient(
    input=_l1_gradient,
    target=lambda g, input, target, reduction: _l1_gradient(g, target, input, reduction),
)


@op(halves=True)
@rounded
def binary_cross_entropy_with_logits(
    input: Array,
    target: Array,
    weight: Array | None = None,
    *,
    pos_weight: Array | None = None,
    reduction: str = "mean",
) -> Array:
    """How badly the scores `input` predict truth values `target`, given as probabilities.

        loss = -w · (v · t · log σ(x) + (1 - t) · log(1 - σ(x)))

    x is `input`, t is `target`, w is `weight` and v is `pos_weight` (1 where left out). No x
    overflows, and small losses are exact. Shapes: `input` and `target` equal; `weight` and
    `pos_weight` broadcast to them. The mean divides by the number of elements.

    Raises ShapeError where shapes do not fit, DTypeError unless all are real floating point.

    >>> F.binary_cross_entropy_with_logits(lucid.Tensor([0.0]), lucid.Tensor([1.0]))
    Tensor(0.6931472)
    """
    name = "binary_cross_entropy_with_logits"
    _check(name, input, target, reduction)
    check_real(name, weight=weight, pos_weight=pos_weight)
    for argument, factor in (("weight", weight), ("pos_weight", pos_weight)):
        if factor is not None:
            check_broadcasts(name, argument, factor, input)
    return _reduced(_bce, reduction, input, target, weight, pos_weight)


def _bce(input: Array, target: Array, weight: Array | None, pos_weight: Array | None) -> Array:
    # -log σ(x) = softplus(-x) and -log(1 - σ(x)) = softplus(x) have the part log1p(exp(-|x|))
    xp = namespace(input, target, weight, pos_weight)
    shared = xp.log1p(xp.exp(-xp.abs(input)))
    if_true = target * (shared - xp.minimum(input, 0))
    if_false = (1 - target) * (shared + xp.maximum(input, 0))
    losses = (if_true if pos_weight is None else pos_weight * if_true) + if_false
    return losses if weight is None else weight * losses


def _bce_gradient_input(
    g: Array,
    input: Array,
    target: Array,
    weight: Array | None,
    pos_weight: Array | None,
    reduction: str,
) -> Array:
    # dx = w · ((1 - t) · σ(x) - v · t · σ(-x))
    count = _divisor(input, reduction)

    def slope(x: Array, t: Array, g: Array, w: Array | None, v: Array | None) -> Array:
        if_true = t if v is None else t * v
        slope = g / count * ((1 - t) * sigmoid(x) - if_true * sigmoid(-x))
        return slope if w is None else slope * w

    return by_blocks(slope, input, target, g, weight, pos_weight)


def _bce_gradient_target(
    g: Array, input: Array, weight: Array | None, pos_weight: Array | None, reduction: str
) -> Array:
    # dt = w · (v · softplus(-x) - softplus(x))
    count = _divisor(input, reduction)

    def slope(x: Array, g: Array, w: Array | None, v: Array | None) -> Array:
        if_true = softplus(-x) if v is None else softplus(-x) * v
        slope = g / count * (if_true - softplus(x))
        return slope if w is None else slope * w

    return by_blocks(slope, input, g, weight, pos_weight)


binary_cross_entropy_with_logits.gradient(input=_bce_gradient_input, target=_bce_gradient_target)


def _check(function: str, input: Array, target: Array, reduction: str) -> None:
    check_real(function, input=input, target=target)
    check_same_shape(function, input, target)
    check_reduction(function, reduction)


def _reduced(loss: Callable[..., Array], reduction: str, *arrays: Array | None) -> Array:
    if reduction == "none":
        return by_blocks(loss, *arrays)
    return folded("sum", loss, *arrays) / _divisor(arrays[0], reduction)


def _divisor(input: Array, reduction: str) -> int:
    """What the sum of all elements' losses is divided by."""
    return prod(input.shape) or 1 if reduction == "mean" else 1
