"""Dropout."""

from __future__ import annotations

from typing import Any

from ..._arguments import SHARE, TRUTH, check
from ..._arrays import Array, device_of, namespace
from ..._random import Generator, numbers
from ..._tape import operand, plain
from ...ops._arithmetic import multiply
from ._checks import check_differentiable


def dropout(
    input: Any, p: float = 0.5, training: bool = True, generator: Generator | None = None
) -> Any:
    """Set each element to 0 with probability p, and divide the others by 1 - p.

        out = input · m / (1 - p),   m = 1 with probability 1 - p, else 0

    So the expected value stays. Without `training`, `input` itself. With p = 1 all is 0. The draws
    come from `generator`, or from the one that `lucid.manual_seed` seeds.

    Raises ArgumentError unless 0 ≤ p ≤ 1. Source: Srivastava et al., "Dropout: a simple way to
    prevent neural networks from overfitting", JMLR 2014.

    >>> F.dropout(lucid.ones(4), p=0.5, generator=lucid.Generator(0))
    Tensor([2.0, 2.0, 2.0, 0.0])
    """
    check("dropout", SHARE, p=p)
    check("dropout", TRUTH, training=training)
    if not training or p == 0:
        return operand(input)
    input = operand(input)
    return multiply(input, _scale(plain(input), p, numbers(generator)))


def _scale(array: Array, p: float, numbers: Any) -> Array:
    """m / (1 - p) in the shape, dtype and library of an array."""
    check_differentiable("dropout", input=array)
    xp = namespace(array)
    kept = numbers.random(tuple(array.shape), "float32") >= p
    scale = xp.astype(xp.asarray(kept, device=device_of(array)), array.dtype)
    return scale / (1 - p) if p < 1 else scale
