"""Gradients as functions: of chosen results in chosen tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._errors import ArgumentError, GraphError
from .._tape import new_tensor, propagate
from .._tensor import Tensor, seed

__all__ = ["grad"]


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    *,
    retain_graph: bool = False,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> Any:
    """The gradients of the outputs (of the sum of their elements) in the inputs.

    No `.grad` changes.

    `inputs` may be leaves or results in between. `grad_outputs` weighs the outputs: for each a
    gradient of its shape, or None for ones. With `create_graph` the gradients can be
    differentiated again. Returns one Tensor for one input, a tuple for a sequence of them.

    Raises GraphError if an input does not require a gradient, or no output depends on it
    (with `allow_unused` its gradient is then None), or the graph has been freed.

    >>> x = lucid.Tensor(3.0, requires_grad=True)
    >>> slope = lucid.grad(x ** 3, x, create_graph=True)
    >>> slope, lucid.grad(slope, x)
    (Tensor(27.0, grad=None), Tensor(18.0))
    """
    single = isinstance(inputs, Tensor)
    wanted = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    results = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    weights = [grad_outputs] if isinstance(outputs, Tensor) else list(grad_outputs or [])
    weights = weights or [None] * len(results)
    if len(weights) != len(results):
        raise ArgumentError(
            f"grad: {len(results)} outputs, but {len(weights)} grad_outputs; give one for each"
        )
    places = []
    for k, tensor in enumerate(wanted):
        if not isinstance(tensor, Tensor):
            raise _no_tensor(f"inputs[{k}]", tensor)
        if tensor._node is None:
            raise GraphError(
                f"grad: inputs[{k}] does not require a gradient.\n"
                "Call requires_grad_() on it before computing the outputs."
            )
        places.append(tensor._node)
    roots = []
    for k, result in enumerate(results):
        if not isinstance(result, Tensor):
            raise _no_tensor(f"outputs[{k}]", result)
        if result._node is None:
            raise GraphError(
                f"grad: outputs[{k}] does not require a gradient: nothing it was computed from "
                "does, or it was computed under no_grad."
            )
        roots.append((result._node, seed("grad", result, weights[k], create_graph)))
    found = propagate(
        roots,
        targets=frozenset(places),
        retain_graph=retain_graph,
        create_graph=create_graph,
    )
    gradients = []
    for k, place in enumerate(places):
        gradient = found.get(place)
        if gradient is None and not allow_unused:
            raise GraphError(
                f"grad: no output depends on inputs[{k}].\n"
                "Leave it out, or pass allow_unused=True to get None for it."
            )
        gradients.append(gradient if gradient is None or create_graph else new_tensor(gradient))
    return gradients[0] if single else tuple(gradients)


def _no_tensor(name: str, value: object) -> ArgumentError:
    return ArgumentError(f"grad: {name} is {type(value).__name__}, expected a Tensor")
