"""Losses as modules, which remember how to weigh and reduce."""

from __future__ import annotations

from typing import Any

from .._arguments import SHARE, WHOLE, check
from .._tape import new_tensor, operand
from .._tensor import Tensor
from . import functional
from ._module import Module
from .functional._checks import check_reduction


class _Loss(Module):
    def __init__(self, reduction: str) -> None:
        super().__init__()
        check_reduction(type(self).__name__, reduction)
        self.reduction = reduction

    def extra_repr(self) -> str:
        """The arguments the loss was made with."""
        return f"reduction={self.reduction!r}"


def _tensor(weight: Any) -> Tensor | None:
    """Weights given as an array or a list become a Tensor, as everywhere."""
    value = None if weight is None else operand(weight)
    return value if value is None or isinstance(value, Tensor) else new_tensor(value)


class CrossEntropyLoss(_Loss):
    """How badly scores predict classes; see `functional.cross_entropy`.

    >>> nn.CrossEntropyLoss()(lucid.Tensor([[0.0, 0.0]]), [1])
    Tensor(0.6931472)
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", _tensor(weight))
        check(type(self).__name__, WHOLE, ignore_index=ignore_index)
        self.ignore_index = ignore_index
        check("CrossEntropyLoss", SHARE, label_smoothing=label_smoothing)
        self.label_smoothing = label_smoothing

    def forward(self, input: Any, target: Any) -> Any:
        """The loss of scores (N, C, …) against classes (N, …) or probabilities (N, C, …)."""
        return functional.cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_Loss):
    """The negative log-likelihood, given log-probabilities; see `functional.nll_loss`.

    >>> nn.NLLLoss()(lucid.Tensor([[-0.5, -1.5]]), [1])
    Tensor(1.5)
    """

    weight: Tensor | None

    def __init__(
        self, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", _tensor(weight))
        check(type(self).__name__, WHOLE, ignore_index=ignore_index)
        self.ignore_index = ignore_index

    def forward(self, input: Any, target: Any) -> Any:
        """The loss of log-probabilities (N, C, …) against classes (N, …)."""
        return functional.nll_loss(
            input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction
        )


class MSELoss(_Loss):
    """The squared error; see `functional.mse_loss`.

    >>> nn.MSELoss()(lucid.Tensor([1.0, 2.0]), lucid.Tensor([1.0, 4.0]))
    Tensor(2.0)
    """

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Any, target: Any) -> Any:
        """The loss of an input against a target of its shape."""
        return functional.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """The absolute error; see `functional.l1_loss`.

    >>> nn.L1Loss()(lucid.Tensor([1.0, 2.0]), lucid.Tensor([1.0, 4.0]))
    Tensor(1.0)
    """

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Any, target: Any) -> Any:
        """The loss of an input against a target of its shape."""
        return functional.l1_loss(input, target, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """How badly scores predict truth values; see `functional.binary_cross_entropy_with_logits`.

    >>> nn.BCEWithLogitsLoss()(lucid.Tensor([0.0]), lucid.Tensor([1.0]))
    Tensor(0.6931472)
    """

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Any = None,
        *,
        pos_weight: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", _tensor(weight))
        self.register_buffer("pos_weight", _tensor(pos_weight))

    def forward(self, input: Any, target: Any) -> Any:
        """The loss of scores against probabilities of their shape."""
        return functional.binary_cross_entropy_with_logits(
            input, target, self.weight, pos_weight=self.pos_weight, reduction=self.reduction
        )
