"""Learning rates that change as training goes on.

A scheduler sets the rate of each group of an optimiser to a function of the rate that the group
began with, and of the number t of calls of `step()`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import cos, pi
from typing import Any

from .._arguments import COUNT, COUNTED, FUNCTION, NOT_NEGATIVE, check
from .._errors import ArgumentError
from ._optimizer import Optimizer

__all__ = ["CosineAnnealingLR", "LRScheduler", "LambdaLR", "StepLR"]


class LRScheduler:
    """The base: a subclass defines `rate`. Call `step()` after the optimiser's, once an epoch."""

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(
                f"{type(self).__name__}: expected an Optimizer, got {type(optimizer).__name__}"
            )
        self.optimizer = optimizer
        self._go_to(0, [group["lr"] for group in optimizer.param_groups])

    def rate(self, base: float, t: int) -> float:
        """The rate after t steps of a group that began with the rate `base`."""
        raise NotImplementedError

    def step(self) -> None:
        """Go on by one step; ArgumentError, before any change, for a rate below 0 or none."""
        self._go_to(self.last_epoch + 1, self.base_lrs)

    def _go_to(self, t: int, base_lrs: list[float]) -> None:
        groups = self.optimizer.param_groups
        if len(base_lrs) != len(groups):
            raise ArgumentError(
                f"{type(self).__name__}: the optimiser has {len(groups)} groups now, but had "
                f"{len(base_lrs)} when the schedule began; make the schedule anew"
            )
        rates = [self.rate(base, t) for base in base_lrs]
        for rate in rates:
            check(type(self).__name__, NOT_NEGATIVE, **{f"the rate at t = {t}": rate})
        self.last_epoch, self.base_lrs = t, base_lrs
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate

    def get_last_lr(self) -> list[float]:
        """The current rates, one for each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule stands: for `lucid.save`."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where a schedule stood; ArgumentError, before any change, if none fits."""
        name = f"{type(self).__name__}.load_state_dict"
        if not isinstance(state, Mapping) or not {"last_epoch", "base_lrs"} <= set(state):
            raise ArgumentError(
                f"{name}: expected what state_dict() gives, a dict with 'last_epoch' and 'base_lrs'"
            )
        t, base_lrs = state["last_epoch"], state["base_lrs"]
        check(name, COUNT, last_epoch=t)
        if not isinstance(base_lrs, (list, tuple)) or len(base_lrs) != len(self.base_lrs):
            raise ArgumentError(
                f"{name}: base_lrs is {base_lrs!r:.60}, expected a list of "
                f"{len(self.base_lrs)}, one rate for each group here"
            )
        for base in base_lrs:
            check(name, NOT_NEGATIVE, base_lrs=base)
        self._go_to(t, list(base_lrs))


class LambdaLR(LRScheduler):
    """The first rate times a function of t: for a warm-up, or any schedule of your own.

        lr = base · lr_lambda(t)

    >>> optimizer = lucid.optim.SGD([nn.Parameter([1.0])], lr=1.0)
    >>> warm_up = lucid.optim.lr_scheduler.LambdaLR(optimizer, lambda t: min(1.0, (t + 1) / 4))
    >>> warm_up.step()
    >>> warm_up.get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float]) -> None:
        check("LambdaLR", FUNCTION, lr_lambda=lr_lambda)
        self.lr_lambda = lr_lambda
        super().__init__(optimizer)

    def rate(self, base: float, t: int) -> float:
        """The rate after t steps of a group that began with the rate `base`."""
        factor = self.lr_lambda(t)
        check("LambdaLR", NOT_NEGATIVE, **{f"lr_lambda({t})": factor})
        return base * factor


class StepLR(LRScheduler):
    """The rate falls by the factor γ every `step_size` steps.

        lr = base · γ ^ ⌊t / step_size⌋

    >>> optimizer = lucid.optim.SGD([nn.Parameter([1.0])], lr=1.0)
    >>> schedule = lucid.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        check("StepLR", COUNTED, step_size=step_size)
        check("StepLR", NOT_NEGATIVE, gamma=gamma)
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, base: float, t: int) -> float:
        """The rate after t steps of a group that began with the rate `base`."""
        return base * self.gamma ** (t // self.step_size)


class CosineAnnealingLR(LRScheduler):
    """The rate falls along half a cosine, to `eta_min` after `T_max` steps.

        lr = eta_min + (base - eta_min) · (1 + cos(π · t / T_max)) / 2

    Source: Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017.

    >>> optimizer = lucid.optim.SGD([nn.Parameter([1.0])], lr=1.0)
    >>> schedule = lucid.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:  # noqa: N803 (PyTorch's name)
        check("CosineAnnealingLR", COUNTED, T_max=T_max)
        check("CosineAnnealingLR", NOT_NEGATIVE, eta_min=eta_min)
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer)

    def rate(self, base: float, t: int) -> float:
        """The rate after t steps of a group that began with the rate `base`."""
        return self.eta_min + (base - self.eta_min) * (1 + cos(pi * t / self.T_max)) / 2
