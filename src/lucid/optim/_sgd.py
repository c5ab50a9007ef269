"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from .._arguments import NOT_NEGATIVE, NUMBER, TRUTH, Expected
from .._arrays import Array
from .._errors import ArgumentError
from .._tensor import Tensor
from ..kernels import _native
from ._arithmetic import arithmetic
from ._optimizer import Group, Optimizer, State


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum μ, dampening τ and weight decay λ.

        d ← g + λ · p
        b ← μ · b + (1 - τ) · d        (b ← d in the first step)
        d ← b, or d + μ · b with Nesterov's momentum
        p ← p - lr · d

    `params` are Tensors or groups of them, see `Optimizer`. Raises ArgumentError for a negative
    setting, or for Nesterov's momentum without momentum or with dampening. Source: Sutskever et
    al., "On the importance of initialization and momentum in deep learning", 2013, in the form that
    PyTorch has.

    >>> p = nn.Parameter([1.0])
    >>> optimizer = lucid.optim.SGD([p], lr=0.1)
    >>> (p * p).backward()
    >>> optimizer.step()
    >>> p.detach()
    Tensor([0.8])
    """

    _settings: ClassVar[dict[str, Expected]] = {
        "lr": NOT_NEGATIVE,
        "momentum": NOT_NEGATIVE,
        "dampening": NUMBER,
        "weight_decay": NOT_NEGATIVE,
        "nesterov": TRUTH,
    }
    _optional = ("momentum_buffer",)

    def __init__(
        self,
        params: Iterable[Tensor | Group],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        settings = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
        }
        super().__init__(params, settings)

    def _check(self, group: Group) -> None:
        super()._check(group)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ArgumentError(
                f"SGD: nesterov=True needs momentum above 0 and dampening 0, but they are "
                f"{group['momentum']} and {group['dampening']}"
            )

    def _remembered(self, group: Group) -> tuple[str, ...]:
        return ("momentum_buffer",) if group["momentum"] else ()

    def _compiled(self, array: Array, gradient: Array, state: State, group: Group) -> Array | None:
        momentum = group["momentum"]
        found: Array | None = _native.sgd_step(
            array,
            gradient,
            state["momentum_buffer"] if momentum else None,
            float(group["weight_decay"]),
            float(momentum),
            self._share(state, group),
            float(group["lr"]),
            bool(group["nesterov"]),
        )
        return found

    def _share(self, state: State, group: Group) -> float:
        """Of the gradient, in the momentum: all in the first step."""
        return 1.0 if state["step"] == 1 else float(1 - group["dampening"])

    def _update(
        self, array: Array, gradient: Array, state: State, group: Group, out: Array | None
    ) -> Array:
        xp: Any = arithmetic(array)
        direction, scratch = self._scratch_for(array)
        decay, momentum = group["weight_decay"], group["momentum"]
        if decay:
            direction = xp.multiply(array, decay, out=direction)
            gradient = xp.add(gradient, direction, out=direction)
        if momentum:
            buffer = state["momentum_buffer"]
            share = self._share(state, group)
            buffer = xp.multiply(buffer, momentum, out=buffer)
            scratch = xp.multiply(gradient, share, out=scratch)
            buffer = state["momentum_buffer"] = xp.add(buffer, scratch, out=buffer)
            if group["nesterov"]:
                scratch = xp.multiply(buffer, momentum, out=scratch)
                gradient = xp.add(gradient, scratch, out=scratch)
            else:
                gradient = buffer
        direction = xp.multiply(gradient, group["lr"], out=direction)
        return xp.subtract(array, direction, out=out)
