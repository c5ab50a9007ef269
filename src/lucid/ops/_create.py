"""New Tensors: NumPy arrays, of dtype float32 unless said otherwise, or arrays of any library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from .. import _arrays
from .._arguments import ANY, COMPLEX, COUNT, NUMBER, WHOLE, check
from .._arrays import Array, Device, DType, keep_imaginary, namespace, native_dtype
from .._errors import ArgumentError
from .._hints import one_shape
from .._shapes import check_shape
from .._tape import Tracked, new_tensor
from .._tensor import Tensor
from ._like import astype, copy_of, on_device
from ._movement import broadcast_to

Shape = int | Sequence[int]


@one_shape
def zeros(shape: Shape, *, dtype: DType | None = None, device: Device | None = None) -> Tensor:
    """A Tensor of this shape full of zeros, float32 unless `dtype` says otherwise.

    >>> lucid.zeros((2, 2))
    Tensor([[0.0, 0.0], [0.0, 0.0]])
    """
    return new_tensor(np.zeros(check_shape("zeros", shape), _dtype(dtype), device=device))


@one_shape
def ones(shape: Shape, *, dtype: DType | None = None, device: Device | None = None) -> Tensor:
    """A Tensor of this shape full of ones, float32 unless `dtype` says otherwise.

    >>> lucid.ones(3)
    Tensor([1.0, 1.0, 1.0])
    """
    return new_tensor(np.ones(check_shape("ones", shape), _dtype(dtype), device=device))


@one_shape
def empty(shape: Shape, *, dtype: DType | None = None, device: Device | None = None) -> Tensor:
    """A Tensor of this shape with whatever is in memory, float32 unless `dtype` says otherwise.

    >>> lucid.empty((2, 3)).shape
    (2, 3)
    """
    return new_tensor(np.empty(check_shape("empty", shape), _dtype(dtype), device=device))


def full(
    shape: Shape,
    fill_value: Array,
    *,
    dtype: DType | None = None,
    device: Device | None = None,
) -> Tensor:
    """A Tensor of this shape full of one number, in that number's dtype unless `dtype` says so.

    The number may be a Tensor without axes, whose gradient is the sum.

    >>> lucid.full(3, 2.5)
    Tensor([2.5, 2.5, 2.5])
    """
    if _arrays.is_array(fill_value) and not fill_value.shape:  # SciPy's programs give one
        number = asarray(fill_value, dtype=dtype, device=device)
        return broadcast_to(number, check_shape("full", shape))
    if type(fill_value) not in (bool, complex):
        check("full", ANY, fill_value=fill_value)
    given = _arrays.asarray(fill_value).dtype
    dtype = given if dtype is None else _dtype(dtype)
    keep_imaginary("full", "fill_value", given, dtype)
    return new_tensor(np.full(check_shape("full", shape), fill_value, dtype, device=device))


def eye(
    n_rows: int,
    n_cols: int | None = None,
    /,
    *,
    k: int = 0,
    dtype: DType | None = None,
    device: Device | None = None,
) -> Tensor:
    """A matrix with ones on its k-th diagonal and zeros elsewhere.

    >>> lucid.eye(2)
    Tensor([[1.0, 0.0], [0.0, 1.0]])
    """
    check("eye", COUNT, n_rows=n_rows, n_cols=n_rows if n_cols is None else n_cols)
    check("eye", WHOLE, k=k)
    return new_tensor(np.eye(n_rows, n_cols, k=k, dtype=_dtype(dtype), device=device))


def arange(
    start: float,
    /,
    stop: float | None = None,
    step: float = 1,
    *,
    dtype: DType | None = None,
    device: Device | None = None,
) -> Tensor:
    """The numbers from `start` to before `stop` by `step`; of one number n: 0, 1, …, n - 1.

    >>> lucid.arange(3)
    Tensor([0, 1, 2])
    """
    if stop is None:
        start, stop = 0, start
    check("arange", NUMBER, start=start, stop=stop, step=step)
    if step == 0:
        raise ArgumentError(f"arange: step is 0, which never comes from {start} to {stop}")
    if dtype is None:
        dtype = _arrays.asarray([start, stop, step]).dtype
    numbers: Array = np.arange(start, stop, step, _dtype(dtype), device=device)  # type: ignore[call-overload]
    return new_tensor(numbers)


def linspace(
    start: complex,
    stop: complex,
    /,
    num: int,
    *,
    dtype: DType | None = None,
    device: Device | None = None,
    endpoint: bool = True,
) -> Tensor:
    """`num` numbers evenly spaced from `start` to `stop`, which `endpoint=False` leaves out.

    They are float32, or complex64 where one of the two is complex, unless `dtype` says otherwise.

    >>> lucid.linspace(0, 1, 3)
    Tensor([0.0, 0.5, 1.0])
    """
    check("linspace", COMPLEX, start=start, stop=stop)
    check("linspace", COUNT, num=num)
    for name, value in (("start", start), ("stop", stop)):
        if type(value) is complex:
            dtype = np.complex64 if dtype is None else _dtype(dtype)
            keep_imaginary("linspace", name, np.dtype(complex), dtype)
    values = np.linspace(start, stop, num, endpoint=endpoint, dtype=_dtype(dtype), device=device)
    return new_tensor(values)


def _dtype(dtype: DType | None) -> DType:
    return np.dtype(np.float32) if dtype is None else native_dtype(np, dtype)


def asarray(
    obj: Any,
    /,
    *,
    dtype: DType | None = None,
    device: Device | None = None,
    copy: bool | None = None,
) -> Tensor:
    """A Tensor for an array, sharing its memory where possible; a Tensor keeps its graph.

    With `copy=True` the values are always copied, with `copy=False` a needed copy is an error.
    A shared array must not be written to as long as a gradient may be computed from it.

    >>> import numpy as np
    >>> lucid.asarray(np.arange(3.0))
    Tensor([0.0, 1.0, 2.0], dtype=float64)
    """
    if isinstance(obj, Tracked):
        if dtype is not None and obj._array.dtype != native_dtype(namespace(obj._array), dtype):
            _refuse_copy(copy, "a change of dtype copies")
            obj = astype(obj, dtype)
        elif copy:
            obj = copy_of(obj)
        if device is not None and device != obj.device:
            _refuse_copy(copy, f"its device is {obj.device}")
            obj = on_device(obj, device)
        return cast(Tensor, obj)
    if not _arrays.is_array(obj):
        _refuse_copy(copy, f"a {type(obj).__name__} is no array")
        obj = _arrays.asarray(obj, dtype)
    xp = namespace(obj)
    dtype = native_dtype(xp, dtype)
    keep_imaginary("asarray", "obj", obj.dtype, dtype)
    return new_tensor(xp.asarray(obj, dtype=dtype, device=device, copy=copy))


def _refuse_copy(copy: bool | None, reason: str) -> None:
    if copy is False:
        raise ArgumentError(f"asarray: copy=False, but {reason}; leave out copy=False")


def from_dlpack(x: Any, /, *, device: Device | None = None, copy: bool | None = None) -> Tensor:
    """A Tensor of NumPy's for an array of any library, through DLPack, sharing its memory.

    >>> import numpy as np
    >>> lucid.from_dlpack(np.ones(2))
    Tensor([1.0, 1.0], dtype=float64)
    """
    return new_tensor(np.from_dlpack(x, device=device, copy=copy))
