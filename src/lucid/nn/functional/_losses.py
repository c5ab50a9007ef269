"""Losses that compare numbers with numbers, element by element."""

from __future__ import annotations

from math import prod

from ..._arrays import Array, namespace
from ..._op import op
from ..._wide import in_float32
from ...ops._arithmetic import sign
from ...ops._exponential import sigmoid
from ._activations import softplus
from ._checks import check_broadcasts, check_real, check_reduction, check_same_shape


@op
@in_float32
def mse_loss(input: Array, target: Array, *, reduction: str = "mean") -> Array:
    """The squared error (input - target)², its mean, or its sum.

    Shapes: `input` and `target` equal, whatever they are; nothing broadcasts. The result is a
    scalar, or with `reduction='none'` has their shape. The mean over nothing is 0.

    Raises ShapeError where the shapes differ, DTypeError unless both are real floating point.

    >>> F.mse_loss(lucid.Tensor([1.0, 2.0]), lucid.Tensor([1.0, 4.0]))
    Tensor(2.0)
    """
    _check("mse_loss", input, target, reduction)
    return _reduced(namespace(input, target).square(input - target), reduction)


def _mse_gradient(g: Array, input: Array, target: Array, reduction: str) -> Array:
    return (2 * _share(g, input, reduction)) * (input - target)


mse_loss.gradient(
    input=_mse_gradient,
    target=lambda g, input, target, reduction: -_mse_gradient(g, input, target, reduction),
)


@op
@in_float32
def l1_loss(input: Array, target: Array, *, reduction: str = "mean") -> Array:
    """The absolute error |input - target|, its mean, or its sum; its gradient at 0 is 0.

    Shapes: `input` and `target` equal, whatever they are; nothing broadcasts. The result is a
    scalar, or with `reduction='none'` has their shape. The mean over nothing is 0.

    Raises ShapeError where the shapes differ, DTypeError unless both are real floating point.

    >>> F.l1_loss(lucid.Tensor([1.0, 2.0]), lucid.Tensor([1.0, 4.0]))
    Tensor(1.0)
    """
    _check("l1_loss", input, target, reduction)
    return _reduced(namespace(input, target).abs(input - target), reduction)


def _l1_gradient(g: Array, input: Array, target: Array, reduction: str) -> Array:
    return _share(g, input, reduction) * sign(input - target)


l1_loss.gradient(
    input=_l1_gradient,
    target=lambda g, input, target, reduction: -_l1_gradient(g, input, target, reduction),
)


@op
@in_float32
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
    # -log σ(x) = softplus(-x) and -log(1 - σ(x)) = softplus(x) have the part log1p(exp(-|x|))
    xp = namespace(input, target, weight, pos_weight)
    shared = xp.log1p(xp.exp(-xp.abs(input)))
    if_true = target * (shared - xp.minimum(input, 0))
    if_false = (1 - target) * (shared + xp.maximum(input, 0))
    losses = (if_true if pos_weight is None else pos_weight * if_true) + if_false
    return _reduced(losses if weight is None else weight * losses, reduction)


def _weighed(g: Array, input: Array, weight: Array | None, reduction: str) -> Array:
    g = _share(g, input, reduction)
    return g if weight is None else g * weight


def _bce_gradient_input(
    g: Array,
    input: Array,
    target: Array,
    weight: Array | None,
    pos_weight: Array | None,
    reduction: str,
) -> Array:
    # dx = w · ((1 - t) · σ(x) - v · t · σ(-x))
    if_true = target if pos_weight is None else target * pos_weight
    slope = (1 - target) * sigmoid(input) - if_true * sigmoid(-input)
    return _weighed(g, input, weight, reduction) * slope


def _bce_gradient_target(
    g: Array, input: Array, weight: Array | None, pos_weight: Array | None, reduction: str
) -> Array:
    # dt = w · (v · softplus(-x) - softplus(x))
    if_true = softplus(-input)
    slope = (if_true if pos_weight is None else if_true * pos_weight) - softplus(input)
    return _weighed(g, input, weight, reduction) * slope


binary_cross_entropy_with_logits.gradient(input=_bce_gradient_input, target=_bce_gradient_target)


def _check(function: str, input: Array, target: Array, reduction: str) -> None:
    check_real(function, input=input, target=target)
    check_same_shape(function, input, target)
    check_reduction(function, reduction)


def _reduced(losses: Array, reduction: str) -> Array:
    if reduction == "none":
        return losses
    total = namespace(losses).sum(losses)
    return total / (prod(losses.shape) or 1) if reduction == "mean" else total


def _share(g: Array, input: Array, reduction: str) -> Array:
    """The gradient of each element's loss."""
    return g / (prod(input.shape) or 1) if reduction == "mean" else g
