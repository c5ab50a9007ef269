"""Cross-entropy and the negative log-likelihood.

Inside, the scores are a matrix, with a row for each position and a column for each class.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..._arguments import SHARE, WHOLE, check
from ..._arrays import (
    Array,
    DType,
    device_of,
    is_differentiable,
    is_half,
    is_traced_by_jax,
    namespace,
    scatter_add,
    set_item,
    untraced,
)
from ..._errors import GraphError, OutOfRangeError, ShapeError
from ..._op import op
from ..._tape import Tracked, beside, operand
from ..._wide import in_float32, in_float32_along, reduced
from ...ops._comparison import where
from ...ops._like import astype, ones_like
from ...ops._movement import broadcast_to, permute_dims, reshape
from ...ops._reduce import sum
from ._checks import check_indices, check_real, check_reduction
from ._softmax import log_softmax

Shape = tuple[int, ...]


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """How badly the scores `input` predict the classes `target`.

        loss[n] = -w[t] · log p[n, t],   t = target[n],   p = softmax(input)
        mean    = Σ_n loss[n] / Σ_n w[target[n]]

    Shapes: `input` (N, C), (N, C, d1, …) or (C,); `target` the numbers of classes, integers of
    shape (N,), (N, d1, …) or (). Or `target` holds probabilities, in the shape of `input`: then
    loss[n] = -Σ_c w[c] · target[n, c] · log p[n, c], and the mean divides by the number of
    positions. `weight` (C,) weighs the classes; left out, all weigh 1.

    Positions whose class is `ignore_index` count for nothing, and the mean over no positions is 0,
    with a gradient of 0 (not the NaN of other libraries, which destroys all parameters). With
    label smoothing ε the target is (1 - ε) · target + ε / C. `reduction` is 'mean', 'sum', or
    'none' for the loss of each position.

    Raises ShapeError where shapes do not fit, OutOfRangeError for a class outside 0, …, C - 1,
    DTypeError unless `input` is real floating point. Source of the smoothing: Szegedy et al.,
    "Rethinking the Inception architecture for computer vision", 2016.

    >>> F.cross_entropy(lucid.Tensor([[0.0, 0.0]]), [1])
    Tensor(0.6931472)
    """
    name = "cross_entropy"
    input = _scores(name, input, reduction, target)
    check(name, SHARE, label_smoothing=label_smoothing)
    weights = _class_weights(name, weight, input)
    target = target if isinstance(target, Tracked) else beside(input, target)
    if is_differentiable(target.dtype):
        return _against_probabilities(name, input, target, weights, reduction, label_smoothing)
    positions = _positions(name, input, beside(input, target), weights, ignore_index)
    scores = _matrix(input)
    losses = positions.weighed(_losses(scores, positions.classes))
    if label_smoothing:
        mixture = 1.0 if weights is None else weights
        even = positions.kept_only(-sum(log_softmax(scores) * mixture, axis=-1))
        losses = (1 - label_smoothing) * losses + (label_smoothing / scores.shape[-1]) * even
    return positions.reduced(losses, reduction)


def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Any:
    """The negative log-likelihood of the classes `target`, given log-probabilities.

        loss[n] = -w[t] · input[n, t],   t = target[n]
        mean    = Σ_n loss[n] / Σ_n w[target[n]]

    `cross_entropy(x, target)` is `nll_loss(log_softmax(x, axis=1), target)`; shapes, `weight`,
    `ignore_index`, `reduction` and what is raised are the same.

    >>> F.nll_loss(lucid.Tensor([[-0.5, -1.5]]), [1])
    Tensor(1.5)
    """
    input = _scores("nll_loss", input, reduction, target)
    weights = _class_weights("nll_loss", weight, input)
    positions = _positions("nll_loss", input, beside(input, target), weights, ignore_index)
    losses = positions.weighed(-_pick(_matrix(input), positions.classes))
    return positions.reduced(losses, reduction)


# The operations on a matrix of scores


@op
@in_float32_along((1,))
def _losses(scores: Array, classes: Array, /) -> Array:
    """log Σ_m exp(x[n, m]) - x[n, t] for each row n and its class t."""
    xp = namespace(scores)
    if not scores.shape[0]:
        return xp.zeros((0,), dtype=scores.dtype, device=device_of(scores))
    rows, chosen = _chosen(classes)
    top = rows, xp.argmax(scores, axis=1)
    below_top = scores - scores[top][:, None]
    # the top adds exp(0) = 1; without it, log1p keeps the digits of a small loss
    others = reduced("sum", set_item(xp.exp(below_top), top, 0.0), axis=1)
    return xp.log1p(others) - below_top[rows, chosen]


@op
@in_float32_along((1,))
def _slopes(scores: Array, shares: Array, losses: Array, classes: Array, /) -> Array:
    """share[n] · (p[n, c] - [c is the class of n]), p the probabilities: from the losses."""
    xp = namespace(scores)
    chosen = _chosen(classes)
    # p[n, c] = exp(x[n, c] - log Σ_m exp(x[n, m])) = exp(x[n, c] - x[n, t] - loss[n])
    error = xp.exp(scores - scores[chosen][:, None] - losses[:, None])
    return set_item(error, chosen, xp.expm1(-losses)) * shares[:, None]


def _slopes_gradient_shares(g: Array, scores: Array, losses: Array, classes: Array) -> Array:
    # dshare[n] = Σ_m g · (p - [m = t])
    return sum(g * _slopes(scores, ones_like(losses), losses, classes), axis=1)


def _slopes_gradient_scores(g: Array, y: Array, classes: Array, scores_shape: Shape) -> Array:
    # dx[n, c] = share · (g · p - [c = t] · Σ_m g · p); what y has beside share · p falls out
    weighed = g * y
    return weighed - _put(sum(weighed, axis=1), classes, scores_shape[1])


def _slopes_gradient_losses(g: Array, y: Array, shares: Array, classes: Array) -> Array:
    # dloss[n] = -share · Σ_m g · p, where share · p = y + share · [m = t]
    return -(sum(g * y, axis=1) + shares * _pick(g, classes))


_slopes.gradient(
    shares=_slopes_gradient_shares,
    scores=_slopes_gradient_scores,
    losses=_slopes_gradient_losses,
)


def _losses_gradient(
    g: Array, y: Array, scores: Array, scores_dtype: DType, classes: Array
) -> Array:
    # dx[n, c] = g[n] · (p[n, c] - [c is the class of n])
    if is_half(scores_dtype):  # y was rounded, and its exponential would be off by much
        y = _losses(scores, classes)
    return _slopes(scores, g, y, classes)


_losses.gradient(scores=_losses_gradient)


@op
def _pick(scores: Array, classes: Array, /) -> Array:
    """scores[n, t] for each row n and its class t."""
    return scores[_chosen(classes)]


@op
def _put(values: Array, classes: Array, count: int, /) -> Array:
    """A matrix of zeros with values[n] at [n, t]; the transpose of `_pick`."""
    shape = (values.shape[0], count)
    return scatter_add(values, _chosen(classes), shape, repeats=False)


_pick.gradient(scores=lambda g, classes, scores_shape: _put(g, classes, scores_shape[1]))
_put.gradient(values=lambda g, classes: _pick(g, classes))


def _chosen(classes: Array) -> tuple[Array, Array]:
    xp = namespace(classes)
    rows = xp.arange(classes.shape[0], device=device_of(classes))
    return rows, xp.astype(classes, rows.dtype, copy=False)  # uint8 is a mask to PyTorch


@op(gradient=lambda g, losses_shape: broadcast_to(g / prod(losses_shape), losses_shape))
@in_float32
def _mean(losses: Array, /) -> Array:
    """The mean of the losses, of which there is at least one: `mean` without its choices."""
    return namespace(losses).sum(losses) / prod(losses.shape)


# Classes as targets


class _Positions(NamedTuple):
    """The class of each position, flat; which positions are not ignored, and their weights."""

    shape: Shape
    classes: Array
    kept: Array | None  # None: all
    weights: Array | None  # None: all 1

    def kept_only(self, losses: Any) -> Any:
        return losses if self.kept is None else where(self.kept, losses, 0.0)

    def weighed(self, losses: Any) -> Any:
        losses = self.kept_only(losses)
        return losses if self.weights is None else losses * self.weights

    def reduced(self, losses: Any, reduction: str) -> Any:
        if reduction == "none":
            return reshape(losses, self.shape)
        if reduction == "mean" and self.weights is None and 0 not in self.shape:
            return _mean(losses)
        if reduction == "sum" or self.weights is None:
            return sum(losses)
        dtype = "float32" if is_half(losses.dtype) else None  # sums that a half cannot hold
        xp = namespace(self.weights)
        whole = reduced("sum", self.weights, dtype=dtype)
        total = sum(losses, dtype=dtype)
        mean_loss = total / xp.where(whole == 0, xp.ones_like(whole), whole)
        return astype(mean_loss, losses.dtype, copy=False)


def _positions(
    name: str, input: Any, target: Array, weights: Array | None, ignore_index: int
) -> _Positions:
    check_indices(name, "target", target)
    check(name, WHOLE, ignore_index=ignore_index)
    shape = _without_classes(input)
    if tuple(target.shape) != shape:
        raise ShapeError(
            f"{name}: target has shape {tuple(target.shape)}, expected {shape}: that of input "
            f"{tuple(input.shape)} without its axis of classes"
        )
    xp = namespace(target)
    classes = target if len(shape) == 1 else xp.reshape(target, (prod(shape),))
    count = input.shape[_class_axis(input)]
    kept = None
    if 0 <= ignore_index < count or not _all_within(classes, count):
        _check_range(name, input, classes, count, ignore_index)
        kept = classes != ignore_index
        classes = xp.where(kept, classes, xp.zeros_like(classes))
    if weights is not None:
        weights = xp.take(weights, classes, axis=0)
    if kept is not None:
        ones = xp.astype(kept, input.dtype)
        weights = ones if weights is None else weights * ones
    return _Positions(shape, classes, kept, weights)


def _all_within(classes: Array, count: int) -> bool:
    if type(classes) is not np.ndarray:
        classes = untraced(classes)
    if type(classes) is np.ndarray:  # one pass: as numbers without a sign, negative ones are large
        unsigned = classes.view(classes.dtype.str.replace("i", "u"))
        return not classes.size or int(unsigned.max()) < count
    if is_traced_by_jax(classes):
        return False
    xp = namespace(classes)
    return 0 in classes.shape or (int(xp.min(classes)) >= 0 and int(xp.max(classes)) < count)


def _check_range(name: str, input: Any, classes: Array, count: int, ignore_index: int) -> None:
    classes = untraced(classes)
    if is_traced_by_jax(classes):
        return
    xp = namespace(classes)
    classes = xp.where(classes != ignore_index, classes, xp.zeros_like(classes))
    if _all_within(classes, count):
        return
    lowest, highest = int(xp.min(classes)), int(xp.max(classes))
    raise OutOfRangeError(
        f"{name}: target holds the class {lowest if lowest < 0 else highest}, but input "
        f"{tuple(input.shape)} has {count} classes, 0, …, {count - 1}"
    )


# Probabilities as targets


def _against_probabilities(
    name: str,
    input: Any,
    target: Any,
    weights: Array | None,
    reduction: str,
    label_smoothing: float,
) -> Any:
    check_real(name, target=target)
    if tuple(target.shape) != tuple(input.shape):
        raise ShapeError(
            f"{name}: a target of dtype {target.dtype} holds probabilities and has the shape of "
            f"input, {tuple(input.shape)}, but got {tuple(target.shape)}; numbers of classes are "
            "integers"
        )
    axis = _class_axis(input)
    if label_smoothing:
        target = (1 - label_smoothing) * target + label_smoothing / input.shape[axis]
    terms = log_softmax(input, axis=axis) * target
    if weights is not None:
        after = len(input.shape) - axis % len(input.shape) - 1
        terms = terms * reshape(weights, (-1,) + (1,) * after)
    losses = -sum(terms, axis=axis)
    return _Positions(tuple(losses.shape), None, None, None).reduced(losses, reduction)


# The arguments


def _scores(name: str, input: Any, reduction: str, target: Any) -> Any:
    input = operand(input, target)
    check_real(name, input=input)
    check_reduction(name, reduction)
    if not input.shape or not input.shape[_class_axis(input)]:
        raise ShapeError(
            f"{name}: input has shape {tuple(input.shape)}, expected (N, C), (N, C, …) or (C,) "
            "with at least one class"
        )
    return input


def _class_axis(input: Any) -> int:
    return 0 if len(input.shape) == 1 else 1


def _without_classes(input: Any) -> Shape:
    axis = _class_axis(input)
    return (*input.shape[:axis], *input.shape[axis + 1 :])


def _matrix(input: Any) -> Any:
    """The scores with a row for each position and a column for each class."""
    rank = len(input.shape)
    if rank > 2:
        input = permute_dims(input, (0, *range(2, rank), 1))
    return input if rank == 2 else reshape(input, (prod(input.shape[:-1]), input.shape[-1]))


def _class_weights(name: str, weight: Any, input: Any) -> Array | None:
    if weight is None:
        return None
    if isinstance(weight, Tracked) and weight._node is not None:
        raise GraphError(
            f"{name}: weight has no gradient, but this one requires it; pass weight.detach()"
        )
    weights = beside(input, weight)
    count = input.shape[_class_axis(input)]
    if tuple(weights.shape) != (count,):
        raise ShapeError(
            f"{name}: weight has shape {tuple(weights.shape)}, expected ({count},): one number "
            f"for each class of input {tuple(input.shape)}"
        )
    return namespace(weights).astype(weights, input.dtype)
