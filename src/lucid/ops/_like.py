"""Arrays like another, copies, and conversion between dtypes."""

from __future__ import annotations

from typing import Any

from .. import _arrays
from .._arrays import (
    Array,
    Device,
    DType,
    Numbers,
    device_of,
    is_complex,
    is_differentiable,
    kind,
    namespace,
    native_dtype,
)
from .._errors import DTypeError
from .._op import op
from .._tape import Tracked, plain


@op(gradient=None)
def zeros_like(x: Array, /, *, dtype: DType | None = None, device: Device | None = None) -> Array:
    """Zeros in the shape, dtype and library of x, and on its device.

    >>> lucid.zeros_like(lucid.Tensor([1.0, 2.0]))
    Tensor([0.0, 0.0])
    """
    xp = namespace(x)
    return xp.zeros_like(x, dtype=native_dtype(xp, dtype), device=device)


@op(gradient=None)
def ones_like(x: Array, /, *, dtype: DType | None = None, device: Device | None = None) -> Array:
    """Ones in the shape, dtype and library of x, and on its device.

    >>> lucid.ones_like(lucid.Tensor([1.0, 2.0]))
    Tensor([1.0, 1.0])
    """
    xp = namespace(x)
    return xp.ones_like(x, dtype=native_dtype(xp, dtype), device=device)


@op(gradient=None)
def full_like(
    x: Array,
    /,
    fill_value: complex,
    *,
    dtype: DType | None = None,
    device: Device | None = None,
) -> Array:
    """One number everywhere, in the shape, dtype and library of x, and on its device.

    >>> lucid.full_like(lucid.Tensor([1.0, 2.0]), 5.0)
    Tensor([5.0, 5.0])
    """
    xp = namespace(x)
    return xp.full_like(x, fill_value, dtype=native_dtype(xp, dtype), device=device)


@op(gradient=None)
def empty_like(x: Array, /, *, dtype: DType | None = None, device: Device | None = None) -> Array:
    """Whatever is in memory, in the shape, dtype and library of x, and on its device.

    >>> lucid.empty_like(lucid.Tensor([1.0, 2.0])).shape
    (2,)
    """
    xp = namespace(x)
    return xp.empty_like(x, dtype=native_dtype(xp, dtype), device=device)


@op(gradient=lambda g: g)  # the tape brings a gradient to the dtype of its argument
def _cast(x: Array, to: DType, /) -> Array:
    return namespace(x).astype(x, to)


@op(gradient=None)
def _discretise(x: Array, to: DType, /) -> Array:
    return namespace(x).astype(x, to)


def astype(x: Any, dtype: DType, /, *, copy: bool = True, device: Device | None = None) -> Any:
    """x in another dtype, and on `device`; to integers and truth values there is no gradient.

    With `copy=False`, x itself where it has that dtype and is on that device already. Raises
    DTypeError for a complex x and a dtype of real numbers.

    >>> lucid.astype(lucid.Tensor([1.5, 2.5]), lucid.int64)
    Tensor([1, 2])
    """
    array = x._array if isinstance(x, Tracked) else _arrays.asarray(x)
    dtype = native_dtype(namespace(array), dtype)
    if is_complex(array.dtype) and kind(dtype) in (Numbers.INTEGER, Numbers.REAL):
        raise DTypeError(
            f"astype: x is {array.dtype}, and {dtype} has no imaginary part; convert "
            "lucid.real(x), lucid.imag(x) or lucid.abs(x)"
        )
    if copy or array.dtype != dtype:
        x = (_cast if is_differentiable(dtype) else _discretise)(x, dtype)
    return x if device is None or device == device_of(array) else on_device(x, device)


def on_device(x: Any, device: Device, stream: Any = None) -> Any:
    """x on another device of its array's library; its gradient comes back."""
    return _moved(x, (device, device_of(plain(x)), stream))


@op
def _moved(x: Array, to: tuple[Device, Device, Any], /) -> Array:
    device, _, stream = to
    return _arrays.to_device(x, device, stream)


_moved.gradient(x=lambda g, to: _moved(g, (to[1], to[0], None)))


@op(gradient=lambda g: g)
def copy_of(x: Array, /) -> Array:
    """A copy of x with memory of its own, on the graph."""
    return namespace(x).asarray(x, copy=True)
