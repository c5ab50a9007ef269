"""The rules of `vmap` for reductions over pairs: a batch of calls is one call.

The new axis is one more leading axis. Where each element has a weight of its own, or wants the
weight's gradient for itself, it is a group of rows; then a bias, which groups do not have, is one
more entry of the weight, met by a feature of ones in both inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import pad

from .._arrays import Array

Dim = int | None


class _Batch:
    """The arguments that say what the pairs are, of all elements."""

    def __init__(
        self, size: int, dims: Sequence[Dim], given: Sequence[Any],
        needed: Sequence[bool] = (False,) * 4,
    ) -> None:  # fmt: skip
        x1, x2, weight, bias, mask, exclude, group = given
        dim_1, dim_2, dim_weight, dim_bias, dim_mask, dim_exclude, dim_group = dims
        self.size, self.needed = size, needed
        own = zip(given[:4], dims[:4], strict=True)
        self.shapes = [None if x is None else _shape(x, dim) for x, dim in own]
        rank = 1 + max(len(_shape(x1, dim_1)), len(_shape(x2, dim_2)))
        x1 = self.lead(x1, dim_1, rank)
        if dim_2 is not None or needed[1]:
            x2 = self.lead(x2, dim_2, rank)
        if mask is not None:
            of_outputs = len(_shape(mask, dim_mask)) > rank - 1
            if dim_mask is not None:
                mask = self.lead(mask, dim_mask, rank + of_outputs)
            elif of_outputs:
                mask = mask[None]
        if dim_exclude is not None:
            exclude = self.lead(exclude, dim_exclude, rank)
        if dim_group is not None:
            group = self.lead(group, dim_group, rank - 1)
        self.grouped = group is not None
        self.has_own_weight = not (dim_weight is dim_bias is None) or needed[2] or needed[3]
        self.has_ones = self.has_own_weight and bias is not None
        if self.has_own_weight:
            weight = self.first(weight, dim_weight)
            if bias is not None:
                x1, x2 = (torch.cat([x, x.new_ones(*x.shape[:-1], 1)], -1) for x in (x1, x2))
                numbers = self.first(bias, dim_bias).reshape(
                    size, *(1,) * (weight.ndim - 4), -1, 1, 1
                )
                room = weight.shape[-1], 0, weight.shape[-2], 0
                weight, bias = pad(weight, (0, 1, 0, 1)) + pad(numbers, room), None
            number = torch.arange(size, device=x1.device).reshape(-1, *(1,) * (x1.ndim - 2))
            if self.grouped:
                group, weight = group + number * weight.shape[1], weight.flatten(0, 1)
            else:
                group = number
        self.given = (x1, x2, weight, bias, mask, exclude, group)

    def first(self, x: Array, dim: Dim) -> Array:
        """The batch as the first axis."""
        return x.expand(self.size, *x.shape) if dim is None else x.movedim(dim, 0)

    def lead(self, x: Array, dim: Dim, rank: int) -> Array:
        """The same, ones behind it up to a rank."""
        x = self.first(x, dim)
        return x[(slice(None), *(None,) * (rank - x.ndim))]

    def rows(self, tensors: Sequence[Any], dims: Sequence[Dim]) -> list[Any]:
        """Tensors that have numbers for each row."""
        pairs = zip(tensors, dims, strict=True)
        return [x if x is None else self.first(x, dim) for x, dim in pairs]

    @property
    def asked(self) -> list[bool]:
        """Which gradients the one call gives."""
        of_1, of_2, of_weight, of_bias = self.needed
        return [of_1, of_2, of_weight or of_bias, False]

    def gradients(self, found: Sequence[Array]) -> tuple[Any, Any]:
        """Those of the elements, and where their axes are."""
        d_1, d_2, d_weight, nothing = found
        d_bias = nothing
        if self.asked[2] and self.grouped:
            d_weight = d_weight.unflatten(0, (self.size, -1))
        if self.has_ones:
            if self.needed[3]:
                d_bias = d_weight[..., -1, -1]
                d_bias = d_bias.sum(1) if self.grouped else d_bias
            d_1, d_2, d_weight = (
                (d_1[..., :-1] if self.needed[0] else d_1),
                (d_2[..., :-1] if self.needed[1] else d_2),
                (d_weight[..., :-1, :-1] if self.needed[2] else nothing),
            )
        each = zip((d_1, d_2, d_weight, d_bias), self.shapes, self.needed, strict=True)
        return (
            tuple(
                one.reshape(self.size, *shape) if wanted and shape is not None else nothing
                for one, shape, wanted in each
            ),
            tuple(0 if wanted else None for wanted in self.needed),
        )


def _shape(x: Array, dim: Dim) -> tuple[int, ...]:
    """Of an element."""
    shape = list(x.shape)
    if dim is not None:
        shape.pop(dim)
    return tuple(shape)


def reduced(call: Any, size: int, dims: Any, *arguments: Any) -> tuple[Any, Any]:
    *given, target, ignore_index, smoothing = arguments
    batch = _Batch(size, dims[:7], given)
    (rows,) = batch.rows([target], dims[7:8])
    found = call(*batch.given, rows, ignore_index, smoothing)
    return found, (0, None if target is None else 0)


def reduced_gradients(call: Any, size: int, dims: Any, *arguments: Any) -> tuple[Any, Any]:
    of_lse, of_loss, lse, *given, target, ignore_index, smoothing, needed = arguments
    batch = _Batch(size, dims[3:10], given, needed)
    slopes = batch.rows([of_lse, of_loss, lse, target], [*dims[:3], dims[10]])
    *rows, target = slopes
    found = call(*rows, *batch.given, target, ignore_index, smoothing, batch.asked)
    return batch.gradients(found)


def best(call: Any, size: int, dims: Any, *arguments: Any) -> tuple[Any, Any]:
    *given, k, name = arguments
    batch = _Batch(size, dims[:7], given)
    return call(*batch.given, k, name), (0, 0)


def best_gradients(call: Any, size: int, dims: Any, *arguments: Any) -> tuple[Any, Any]:
    g, indices, *given, needed = arguments
    batch = _Batch(size, dims[2:9], given, needed)
    rows = batch.rows([g, indices], dims[:2])
    return batch.gradients(call(*rows, *batch.given, batch.asked))


def ranks(call: Any, size: int, dims: Any, *arguments: Any) -> tuple[Any, Any]:
    *given, target = arguments
    batch = _Batch(size, dims[:7], given)
    (rows,) = batch.rows([target], dims[7:8])
    return call(*batch.given, rows), 0
