"""Parameter: a Tensor that a Module trains."""

from __future__ import annotations

from typing import Any

from .._arrays import Device, DType
from .._tensor import Tensor


class Parameter(Tensor):
    """A Tensor that is trained: a leaf that a Module finds, under the attribute's name.

    `data` is copied, as `Tensor` does. Results of operations on it are plain Tensors.
    Raises DTypeError if its dtype is not floating point, real or complex.

    >>> nn.Parameter([1.0, 2.0])
    Parameter([1.0, 2.0], grad=None)
    """

    __slots__ = ()

    def __init__(
        self,
        data: Any,
        requires_grad: bool = True,
        dtype: DType | None = None,
        device: Device | None = None,
    ) -> None:
        super().__init__(data, requires_grad, dtype, device)
