"""Adam."""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt
from typing import Any, ClassVar

from .._arguments import NOT_NEGATIVE, TRUTH, Expected
from .._arrays import Array, is_complex
from .._errors import DTypeError
from .._tensor import Tensor
from ..kernels import _native
from ._arithmetic import arithmetic
from ._checks import BETAS
from ._optimizer import Group, Optimizer, State


class Adam(Optimizer):
    """Steps in the direction of the mean gradient m, in units of its root mean square √v.

        g ← g + λ · p
        m ← β₁ · m + (1 - β₁) · g
        v ← β₂ · v + (1 - β₂) · g²
        p ← p - lr · (m / (1 - β₁ᵗ)) / (√(v / (1 - β₂ᵗ)) + ε)

    t counts the steps, λ is `weight_decay`; with `amsgrad` the largest v so far takes its place.
    `params` are Tensors or groups of them, see `Optimizer`. Raises ArgumentError for a setting out
    of its range, DTypeError for complex parameters. Sources: Kingma and Ba, "Adam: a method for
    stochastic optimization", 2015; Reddi et al., "On the convergence of Adam and beyond", 2018.

    >>> p = nn.Parameter([1.0])
    >>> optimizer = lucid.optim.Adam([p], lr=0.1)
    >>> (p * p).backward()
    >>> optimizer.step()
    >>> round(p.item(), 6)
    0.9
    """

    _settings: ClassVar[dict[str, Expected]] = {
        "lr": NOT_NEGATIVE,
        "betas": BETAS,
        "eps": NOT_NEGATIVE,
        "weight_decay": NOT_NEGATIVE,
        "amsgrad": TRUTH,
    }
    _optional = ("max_exp_avg_sq",)
    _decoupled = False  # AdamW decays the parameter itself, not by way of the gradient

    def __init__(
        self,
        params: Iterable[Tensor | Group],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
    ) -> None:
        settings = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
        }
        super().__init__(params, settings)

    def _check(self, group: Group) -> None:
        super()._check(group)
        for parameter in group["params"]:
            if is_complex(parameter.dtype):
                raise DTypeError(
                    f"{self._name}: a parameter has dtype {parameter.dtype}, but the algorithm is "
                    "for real numbers; train real and imaginary parts, or use SGD"
                )

    def _remembered(self, group: Group) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if group["amsgrad"] else ()))

    def _compiled(self, array: Array, gradient: Array, state: State, group: Group) -> Array | None:
        lr, decay, (beta_1, beta_2) = group["lr"], group["weight_decay"], group["betas"]
        eps, rate = self._corrected(state, group)
        found: Array | None = _native.adam_step(
            array,
            gradient,
            state["exp_avg"],
            state["exp_avg_sq"],
            state["max_exp_avg_sq"] if group["amsgrad"] else None,
            0.0 if self._decoupled else float(decay),
            float(1 - lr * decay) if self._decoupled else 1.0,
            float(beta_1),
            float(1 - beta_1),
            float(beta_2),
            float(1 - beta_2),
            float(eps),
            float(rate),
        )
        return found

    def _corrected(self, state: State, group: Group) -> tuple[float, float]:
        """ε and the rate with the corrections for the start from 0, taken out of the arrays.

        (m / c₁) / (√(v / c₂) + ε) = (√c₂ / c₁) · m / (√v + ε · √c₂)
        """
        beta_1, beta_2 = group["betas"]
        correction_1 = 1 - beta_1 ** state["step"]
        correction_2 = sqrt(1 - beta_2 ** state["step"])
        return group["eps"] * correction_2, group["lr"] * correction_2 / correction_1

    def _update(
        self, array: Array, gradient: Array, state: State, group: Group, out: Array | None
    ) -> Array:
        xp: Any = arithmetic(array)
        scratch, decayed = self._scratch_for(array)
        lr, decay = group["lr"], group["weight_decay"]
        beta_1, beta_2 = group["betas"]
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        if decay and self._decoupled:
            array = xp.multiply(array, 1 - lr * decay, out=decayed)
        elif decay:
            decayed = xp.multiply(array, decay, out=decayed)
            gradient = xp.add(gradient, decayed, out=decayed)
        mean = xp.multiply(mean, beta_1, out=mean)
        scratch = xp.multiply(gradient, 1 - beta_1, out=scratch)
        state["exp_avg"] = mean = xp.add(mean, scratch, out=mean)
        square = xp.multiply(square, beta_2, out=square)
        scratch = xp.multiply(gradient, gradient, out=scratch)
        scratch = xp.multiply(scratch, 1 - beta_2, out=scratch)
        state["exp_avg_sq"] = square = xp.add(square, scratch, out=square)
        if group["amsgrad"]:
            largest = state["max_exp_avg_sq"]
            state["max_exp_avg_sq"] = square = xp.maximum(largest, square, out=largest)
        eps, rate = self._corrected(state, group)
        scratch = xp.sqrt(square, out=scratch)
        scratch = xp.add(scratch, eps, out=scratch)
        scratch = xp.divide(mean, scratch, out=scratch)
        scratch = xp.multiply(scratch, rate, out=scratch)
        return xp.subtract(array, scratch, out=out)
