"""How DTensor divides the form and its gradients along one axis of a mesh.

Every argument and every result has labels on its axes: the leading ones, outputs, features. To
divide along a label is to divide all that have it. What has it not is there whole; a result that
has it not is a sum over all parts. This is imported when the first DTensor arrives.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard
from torch.distributed.tensor._op_schema import RuntimeSchemaInfo
from torch.distributed.tensor.experimental import register_sharding

Labels = list[Any]  # of each axis; None where it has size 1


@cache
def register() -> None:
    """Tell DTensor, once."""
    form, gradients = torch.ops.lucid.bilinear.default, torch.ops.lucid.bilinear_gradients.default
    register_sharding(form)(_of_form)
    register_sharding(gradients)(_of_gradients)
    # What it finds it remembers by the tensors alone, unless told that what follows them counts:
    # the shapes of inputs that are not there, and which gradients are needed.
    known = DTensor._op_dispatcher.sharding_propagator.op_to_schema_info
    for operator in (form, gradients):
        known[operator] = RuntimeSchemaInfo(static_argnum=4, needs_pytree=True)


def _of_form(x1: Any, x2: Any, _: Any, bias: Any, each: bool) -> Any:
    first, second, matrices, out = _labels(x1.shape, x2.shape, each)
    added = [] if bias is None else [[None, "o"][-len(bias.shape) :]]
    inputs = [first, second, matrices]
    return [
        ([_result(out, label)], [
            *(_argument(axes, label) for axes in inputs),
            *(_added(axes, label, out) for axes in added), *[None] * (2 - len(added)),
        ])
        for label in _every(inputs)
    ]  # fmt: skip


def _of_gradients(
    _: Any, x1: Any, x2: Any, weight: Any, shape_1: Any, shape_2: Any, needed: Any, each: bool
) -> Any:
    first, second, matrices, out = _labels(shape_1, shape_2, each)
    results = [first, second, matrices]
    given = [axes for axes, x in zip(results, (x1, x2, weight), strict=True) if x is not None]
    missing: list[None] = [None] * (3 - len(given) + 4)
    return [
        (
            [
                _result(axes, label) if wanted else Replicate()
                for axes, wanted in zip(results, needed, strict=True)
            ],
            [*(_argument(axes, label) for axes in (out, *given)), *missing],
        )
        for label in _every([out, *given])
    ]


def _labels(shape_1: Sequence[int], shape_2: Sequence[int], each: bool) -> tuple[Labels, ...]:
    """Those of both inputs, of the weight and of the result; leading axes count from the right."""
    own = ["element"] if each else []
    leading = [list(shape[len(own) : -1]) for shape in (shape_1, shape_2)]
    rank = max(map(len, leading))
    places = [
        [None if size == 1 else k - len(sizes) for k, size in enumerate(sizes)] for sizes in leading
    ]
    both = [
        next((axes[k] for axes in places if len(axes) >= -k and axes[k] is not None), None)
        for k in range(-rank, 0)
    ]
    return (
        [*own, *places[0], "i"],
        [*own, *places[1], "j"],
        [*own, "o", "i", "j"],
        [*own, *both, "o"],
    )


def _every(arguments: list[Labels]) -> list[Any]:
    """All labels; and None, along which nothing is divided."""
    return [None, *dict.fromkeys(x for axes in arguments for x in axes if x is not None)]


def _argument(axes: Labels, label: Any) -> Any:
    return Shard(axes.index(label)) if label is not None and label in axes else Replicate()


def _result(axes: Labels, label: Any) -> Any:
    if label is None:
        return Replicate()
    return Shard(axes.index(label)) if label in axes else Partial()


def _added(axes: Labels, label: Any, out: Labels) -> Any:
    """What is added to each result is added once, where the result is a sum over all parts."""
    if label is not None and label not in out:
        return Partial()
    return _argument(axes, label)
