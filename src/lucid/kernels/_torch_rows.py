"""Tensors of PyTorch whose rows are chosen and summed: NumPy looks into their memory.

Halves, which NumPy has in part, are converted by PyTorch, a block at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._arrays import Array
from .._errors import LibraryError
from .._shapes import Shape
from ._rows import Memory
from ._torch import array_of, promoted

_HALVES = (torch.float16, torch.bfloat16)


class TorchMemory(Memory):
    """Tensors in the CPU's memory."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.most = torch.get_num_threads()
        self.dtype = dtype
        self._wide = torch.float32 if dtype in _HALVES else dtype
        self.working = torch.empty(0, dtype=self._wide).numpy().dtype

    def seen(self, x: Tensor) -> Any:
        return _Halves(x.detach()) if x.dtype in _HALVES else array_of(x)

    def new(self, shape: Shape, is_wide: bool, is_zero: bool) -> Tensor:
        make = torch.zeros if is_zero else torch.empty
        return make(shape, dtype=self._wide if is_wide else self.dtype)

    def given(self, found: Tensor) -> Tensor:
        return found.to(self.dtype)


class _Halves:
    """A tensor whose parts are read as float32, and written rounded."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor, self.shape, self.dtype = tensor, tuple(tensor.shape), None

    def __len__(self) -> int:
        return self.shape[0]

    def reshape(self, shape: Shape) -> _Halves:
        return _Halves(self.tensor.reshape(shape))

    def __getitem__(self, place: Any) -> Any:
        return self.tensor[_place(place)].to(torch.float32).numpy()

    def __setitem__(self, place: Any, found: Any) -> None:
        self.tensor[_place(place)] = torch.from_numpy(np.ascontiguousarray(found)).to(
            self.tensor.dtype
        )


def _place(place: Any) -> Any:
    if isinstance(place, np.ndarray):
        return torch.from_numpy(place if place.flags.writeable else place.copy())
    return int(place) if isinstance(place, np.integer) else place


def memory_of(arrays: Sequence[Array]) -> Memory:
    """Where these tensors lie."""
    elsewhere = next((each for each in arrays if not each.is_cpu), None)
    if elsewhere is not None:
        raise LibraryError(
            f"bilinear: rows are chosen and summed in the CPU's memory, but there is a tensor on "
            f"{elsewhere.device}"
        )
    return TorchMemory(promoted(arrays))
