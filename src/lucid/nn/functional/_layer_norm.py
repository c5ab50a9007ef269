"""Layer normalisation."""

from __future__ import annotations

from typing import Any

from ..._arguments import NOT_NEGATIVE, check
from ..._arrays import Array, namespace
from ..._errors import ShapeError
from ..._op import op
from ..._shapes import check_shape
from ..._tape import beside, operand, plain
from ..._wide import in_float32_along
from ...ops._exponential import sqrt
from ...ops._statistics import mean, var
from ._checks import check_real


def layer_norm(
    input: Any,
    normalized_shape: int | tuple[int, ...],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> Any:
    """Bring the last axes of `input` to mean 0 and variance 1, then scale and shift.

        out = (x - mean x) / √(var x + ε) · weight + bias

    Shapes: `input` (..., *normalized_shape), `weight` and `bias` `normalized_shape` or None; the
    result has the shape of `input`. The mean and the variance (divided by n) are over the axes of
    `normalized_shape`.

    Raises ShapeError where shapes do not fit, DTypeError unless `input` is real floating point.
    Source: Ba, Kiros and Hinton, "Layer normalization", 2016.

    >>> F.layer_norm(lucid.Tensor([[1.0, 3.0]]), 2, eps=0.0)
    Tensor([[-1.0, 1.0]])
    """
    shape = check_normalized_shape("layer_norm", normalized_shape)
    check("layer_norm", NOT_NEGATIVE, eps=eps)
    input = operand(input)
    check_real("layer_norm", input=input)
    if tuple(input.shape[-len(shape) :]) != shape:
        raise ShapeError(
            f"layer_norm: normalized_shape is {shape}, but input has shape {tuple(input.shape)}; "
            "its last axes must be those"
        )
    result = _standardise(input, tuple(range(-len(shape), 0)), eps)
    for name, factor in (("weight", weight), ("bias", bias)):
        if factor is not None and tuple(beside(input, factor).shape) != shape:
            raise ShapeError(
                f"layer_norm: {name} has shape {tuple(plain(factor).shape)}, expected {shape}"
            )
    if weight is not None:
        result = result * weight
    return result if bias is None else result + bias


def check_normalized_shape(function: str, normalized_shape: Any) -> tuple[int, ...]:
    """The shape as a tuple; ShapeError unless it has at least one axis."""
    shape = check_shape(function, normalized_shape, "normalized_shape")
    if not shape:
        raise ShapeError(f"{function}: normalized_shape is {normalized_shape}, which has no axis")
    return shape


@op
@in_float32_along("axes")
def _standardise(x: Array, axes: tuple[int, ...], eps: float, /) -> Array:
    xp = namespace(x)
    centred = x - xp.mean(x, axis=axes, keepdims=True)
    variance = xp.mean(xp.square(centred), axis=axes, keepdims=True)
    return centred / xp.sqrt(variance + eps)


def _standardise_gradient(g: Array, y: Array, x: Array, axes: tuple[int, ...], eps: float) -> Array:
    # dx = (g - mean g - y · mean (g · y)) / √(var x + ε)
    within = g - mean(g, axis=axes, keepdims=True) - y * mean(g * y, axis=axes, keepdims=True)
    return within / sqrt(var(x, axis=axes, keepdims=True) + eps)


_standardise.gradient(x=_standardise_gradient)
