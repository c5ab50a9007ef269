"""The frequencies that the elements of discrete Fourier transforms belong to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._arguments import COUNTED, NUMBER, check
from .._arrays import Device, DType, Numbers, kind, native_dtype
from .._errors import ArgumentError, DTypeError
from .._tape import new_tensor
from .._tensor import Tensor


def fftfreq(
    n: int, /, *, d: float = 1.0, dtype: DType | None = None, device: Device | None = None
) -> Tensor:
    """The frequencies of `fft` of n samples, `d` apart: float32 unless `dtype` says otherwise.

        [0, 1, …, (n - 1) // 2, -(n // 2), …, -1] / (d · n)

    Raises ArgumentError for an n below 1 and a d of 0, DTypeError for a dtype that is not real
    floating point. Source: `fft.fftfreq` of the array API standard.

    >>> lucid.fft.fftfreq(4, d=0.5)
    Tensor([0.0, 0.5, -1.0, -0.5])
    """
    return _frequencies("fftfreq", np.fft.fftfreq, n, d, dtype, device)


def rfftfreq(
    n: int, /, *, d: float = 1.0, dtype: DType | None = None, device: Device | None = None
) -> Tensor:
    """The frequencies of `rfft` of n samples, `d` apart: float32 unless `dtype` says otherwise.

        [0, 1, …, n // 2] / (d · n)

    Raises what `fftfreq` raises. Source: `fft.rfftfreq` of the array API standard.

    >>> lucid.fft.rfftfreq(4, d=0.5)
    Tensor([0.0, 0.5, 1.0])
    """
    return _frequencies("rfftfreq", np.fft.rfftfreq, n, d, dtype, device)


def _frequencies(
    function: str,
    compute: Callable[[int, float], Any],
    n: int,
    d: float,
    dtype: DType | None,
    device: Device | None,
) -> Tensor:
    check(function, COUNTED, n=n)
    check(function, NUMBER, d=d)
    if d == 0:
        raise ArgumentError(f"{function}: d is 0, but samples lie apart; expected another number")
    dtype = np.dtype(np.float32) if dtype is None else native_dtype(np, dtype)
    if kind(dtype) is not Numbers.REAL:
        raise DTypeError(f"{function}: dtype is {dtype}, expected real floating point")
    return new_tensor(np.asarray(compute(n, d), dtype, device=device))
