"""What one does with the gradients, or the values, of many parameters together."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, isfinite
from typing import Any

from .._arguments import LIMIT, ORDER, TRUTH, check
from .._arrays import Array, namespace
from .._errors import ArgumentError, ShapeError
from .._recording import no_grad
from .._tape import new_tensor
from .._tensor import Tensor
from .._wide import widened
from ..ops._movement import concat, reshape

__all__ = ["clip_grad_norm_", "clip_grad_value_", "parameters_to_vector", "vector_to_parameters"]


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale all gradients by one factor, so that their norm as one vector is at most `max_norm`.

        grad ← grad · min(1, max_norm / (norm + 1e-6)),   norm = (Σ |grad|^p)^(1/p)

    p is `norm_type`, `inf` for the largest absolute value. Returns the norm before; `max_norm=inf`
    changes nothing. Raises ArgumentError unless p > 0 and max_norm ≥ 0, or if the norm is not
    finite and `error_if_nonfinite` is set; then nothing has changed.

    >>> p = nn.Parameter([0.0, 0.0])
    >>> p.grad = lucid.Tensor([3.0, 4.0])
    >>> nn.utils.clip_grad_norm_(p, 0.5)
    Tensor(5.0)
    >>> bool(lucid.abs(p.grad - lucid.Tensor([0.3, 0.4])).max() < 1e-6)
    True
    """
    check("clip_grad_norm_", LIMIT, max_norm=max_norm)
    check("clip_grad_norm_", ORDER, norm_type=norm_type)
    check("clip_grad_norm_", TRUTH, error_if_nonfinite=error_if_nonfinite)
    trained = _with_gradient("clip_grad_norm_", parameters)
    if not trained:
        return Tensor(0.0)
    xp = namespace(_gradient(trained[0]))
    sizes = xp.stack([_norm(_gradient(parameter), norm_type) for parameter in trained])
    norm = _norm(sizes, norm_type)
    if error_if_nonfinite and not isfinite(float(norm)):
        raise ArgumentError(
            f"clip_grad_norm_: the norm of the gradients is {float(norm)}, not finite.\n"
            "lucid.detect_anomaly() finds the operation that it came from."
        )
    factor = xp.minimum(max_norm / (norm + 1e-6), xp.ones_like(norm))
    for parameter in trained:
        gradient = _gradient(parameter)
        scaled = widened(gradient) * factor
        parameter.grad = new_tensor(xp.astype(scaled, gradient.dtype))
    return new_tensor(norm)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit each element of each gradient to -clip_value ≤ grad ≤ clip_value.

    Raises ArgumentError for a `clip_value` below 0.

    >>> p = nn.Parameter([0.0, 0.0])
    >>> p.grad = lucid.Tensor([3.0, -0.5])
    >>> nn.utils.clip_grad_value_(p, 1.0)
    >>> p.grad
    Tensor([1.0, -0.5])
    """
    check("clip_grad_value_", LIMIT, clip_value=clip_value)
    for parameter in _with_gradient("clip_grad_value_", parameters):
        gradient = _gradient(parameter)
        parameter.grad = new_tensor(namespace(gradient).clip(gradient, -clip_value, clip_value))


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements of all parameters in one axis, on the graph.

    Raises ArgumentError for no parameters.

    >>> nn.utils.parameters_to_vector([nn.Parameter([[1.0, 2.0]]), nn.Parameter([3.0])]).detach()
    Tensor([1.0, 2.0, 3.0])
    """
    given = _tensors("parameters_to_vector", parameters)
    if not given:
        raise ArgumentError("parameters_to_vector: parameters is empty, there is nothing to join")
    return concat([reshape(parameter, (-1,)) for parameter in given])


def vector_to_parameters(vector: Tensor, parameters: Iterable[Tensor]) -> None:
    """Give the parameters the elements of a vector, in order.

    Raises ShapeError unless the vector has as many elements as the parameters together.

    >>> p = nn.Parameter([[0.0, 0.0]])
    >>> nn.utils.vector_to_parameters(lucid.Tensor([1.0, 2.0]), [p])
    >>> p
    Parameter([[1.0, 2.0]], grad=None)
    """
    taking = _tensors("vector_to_parameters", parameters)
    if not isinstance(vector, Tensor):
        raise ArgumentError(
            f"vector_to_parameters: vector is a {type(vector).__name__}, expected a Tensor"
        )
    wanted = sum(parameter.size for parameter in taking)
    if vector.shape != (wanted,):
        raise ShapeError(
            f"vector_to_parameters: vector has shape {vector.shape}, but the parameters have "
            f"{wanted} elements, expected ({wanted},)"
        )
    start = 0
    with no_grad():
        for parameter in taking:
            stop = start + parameter.size
            parameter.copy_(reshape(vector[start:stop], parameter.shape))
            start = stop


def _with_gradient(function: str, parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    given = _tensors(function, [parameters] if isinstance(parameters, Tensor) else parameters)
    return [parameter for parameter in given if parameter.grad is not None]


def _tensors(function: str, parameters: Any) -> list[Tensor]:
    given = list(parameters) if isinstance(parameters, Iterable) else [parameters]
    for each in given:
        if not isinstance(each, Tensor):
            remedy = "; pass its parameters()" if hasattr(each, "parameters") else ""
            raise ArgumentError(
                f"{function}: parameters holds a {type(each).__name__}, expected Tensors{remedy}"
            )
    return given


def _gradient(parameter: Tensor) -> Array:
    gradient: Any = parameter.grad
    return gradient._array


def _norm(array: Array, norm_type: float) -> Array:
    xp = namespace(array)
    size = widened(xp.abs(array))  # the norm of many halves is no half
    if norm_type == inf:
        return xp.max(size) if 0 not in size.shape else xp.sum(size)
    if norm_type == 2:
        return xp.sqrt(xp.sum(size * size))
    return xp.sum(size**norm_type) ** (1 / norm_type)
