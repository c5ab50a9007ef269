"""Arrays like another, copies, and conversion between dtypes."""

from __future__ import annotations

from typing import Any

from .. import _arrays
from .._arrays import Array, DType, is_differentiable, namespace, native_dtype
from .._op import op
from .._tape import Tracked


@op(gradient=None)
def zeros_like(x: Array, /, *, dtype: DType | None = None) -> Array:
    """Zeros in the shape, dtype and library of x.

    >>> lucid.zeros_like(lucid.Tensor([1.0, 2.0]))
    Tensor([0.0, 0.0])
    """
    xp = namespace(x)
    return xp.zeros_like(x, dtype=native_dtype(xp, dtype))


@op(gradient=None)
def ones_like(x: Array, /, *, dtype: DType | None = None) -> Array:
    """Ones in the shape, dtype and library of x.

    >>> lucid.ones_like(lucid.Tensor([1.0, 2.0]))
    Tensor([1.0, 1.0])
    """
    xp = namespace(x)
    return xp.ones_like(x, dtype=native_dtype(xp, dtype))


@op(gradient=None)
def full_like(x: Array, /, fill_value: complex, *, dtype: DType | None = None) -> Array:
    """One number everywhere, in the shape, dtype and library of x.

    >>> lucid.full_like(lucid.Tensor([1.0, 2.0]), 5.0)
    Tensor([5.0, 5.0])
    """
    xp = namespace(x)
    return xp.full_like(x, fill_value, dtype=native_dtype(xp, dtype))


@op(gradient=lambda g: g)  # the tape brings a gradient to the dtype of its argument
def _cast(x: Array, dtype: DType, /) -> Array:
    return namespace(x).astype(x, dtype)


@op(gradient=None)
def _discretise(x: Array, dtype: DType, /) -> Array:
    return namespace(x).astype(x, dtype)


def astype(x: Any, dtype: DType, /, *, copy: bool = True) -> Any:
    """x in another dtype; to integers and truth values there is no gradient.

    With `copy=False`, x itself where it has that dtype already.

    >>> lucid.astype(lucid.Tensor([1.5, 2.5]), lucid.int64)
    Tensor([1, 2])
    """
    array = x._array if isinstance(x, Tracked) else _arrays.asarray(x)
    dtype = native_dtype(namespace(array), dtype)
    if array.dtype == dtype and not copy:
        return x
    return (_cast if is_differentiable(dtype) else _discretise)(x, dtype)


@op(gradient=lambda g: g)
def copy_of(x: Array, /) -> Array:
    """A copy of x with memory of its own, on the graph."""
    return namespace(x).asarray(x, copy=True)
