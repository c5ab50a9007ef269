"""The different values of an array, and which values are among others."""

from __future__ import annotations

from typing import Any, NamedTuple

from .._arrays import (
    Array,
    Numbers,
    device_of,
    is_array,
    is_complex,
    kind,
    namespace,
    set_item,
)
from .._op import op
from .._tape import operand
from ._index import take
from ._movement import reshape


@op(gradient=None)
def _unique(x: Array, /) -> tuple[Array, Array, Array]:
    """Of the values of x in order: where each is first, of which value x has which, how often."""
    xp = namespace(x)
    flat = xp.reshape(x, (-1,))
    order = _order(flat)
    ordered = flat[order]
    # a value is new where it differs from the one before; NaN differs from itself
    new = xp.concat(
        [xp.ones_like(ordered[:1], dtype=xp.bool), xp.not_equal(ordered[1:], ordered[:-1])]
    )
    number = xp.cumulative_sum(xp.astype(new, order.dtype), dtype=order.dtype) - 1
    inverse = set_item(xp.zeros_like(order), order, number)
    starts = xp.astype(xp.nonzero(new)[0], order.dtype)
    end = xp.full((1,), flat.shape[0], dtype=order.dtype, device=device_of(flat))
    counts = xp.concat([starts[1:], end]) - starts
    return order[starts], xp.reshape(inverse, tuple(x.shape)), counts


def _order(x: Array) -> Array:
    """The indices that sort x, the first of equal values first."""
    xp = namespace(x)
    if is_complex(x.dtype):  # few libraries have an order of them: by real part, then imaginary
        order = xp.argsort(xp.imag(x), stable=True)
        return order[xp.argsort(xp.real(x)[order], stable=True)]
    if kind(x.dtype) is Numbers.TRUTH:
        x = xp.astype(x, xp.int8)
    return xp.argsort(x, stable=True)


def _values(x: Any, indices: Any) -> Any:
    return take(reshape(x, (-1,)), indices)


class UniqueAll(NamedTuple):
    """What `unique_all` returns."""

    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


class UniqueCounts(NamedTuple):
    """What `unique_counts` returns."""

    values: Any
    counts: Any


class UniqueInverse(NamedTuple):
    """What `unique_inverse` returns."""

    values: Any
    inverse_indices: Any


def unique_all(x: Any, /) -> UniqueAll:
    """The different values of x in ascending order, where each is first, how to get x, how often.

    Returns a named tuple (values, indices, inverse_indices, counts): the values are the elements of
    the flat x at `indices`, x has the values at `inverse_indices`. Each NaN is a value of its own.
    The gradient of a value goes to its first element.

    >>> lucid.unique_all(lucid.Tensor([3.0, 1.0, 3.0])).counts
    Tensor([1, 2])
    """
    x = operand(x)
    indices, inverse, counts = _unique(x)
    return UniqueAll(_values(x, indices), indices, inverse, counts)


def unique_counts(x: Any, /) -> UniqueCounts:
    """The different values of x in ascending order, and how often each is there.

    Returns a named tuple (values, counts). Each NaN is a value of its own. The gradient of a value
    goes to its first element.

    >>> lucid.unique_counts(lucid.Tensor([3.0, 1.0, 3.0]))
    UniqueCounts(values=Tensor([1.0, 3.0]), counts=Tensor([1, 2]))
    """
    x = operand(x)
    indices, _, counts = _unique(x)
    return UniqueCounts(_values(x, indices), counts)


def unique_inverse(x: Any, /) -> UniqueInverse:
    """The different values of x in ascending order, and which of them each element of x is.

    Returns a named tuple (values, inverse_indices): x has the values at `inverse_indices`. Each NaN
    is a value of its own. The gradient of a value goes to its first element.

    >>> lucid.unique_inverse(lucid.Tensor([3.0, 1.0, 3.0]))
    UniqueInverse(values=Tensor([1.0, 3.0]), inverse_indices=Tensor([1, 0, 1]))
    """
    x = operand(x)
    indices, inverse, _ = _unique(x)
    return UniqueInverse(_values(x, indices), inverse)


def unique_values(x: Any, /) -> Any:
    """The different values of x in ascending order.

    Each NaN is a value of its own. The gradient of a value goes to its first element.

    >>> lucid.unique_values(lucid.Tensor([3.0, 1.0, 3.0]))
    Tensor([1.0, 3.0])
    """
    x = operand(x)
    return _values(x, _unique(x)[0])


@op(gradient=None)
def isin(x1: Array, x2: Array, /, *, invert: bool = False) -> Array:
    """Whether each element of x1 is among those of x2; with `invert`, whether it is not.

    >>> lucid.isin(lucid.Tensor([1, 2, 3]), lucid.Tensor([3, 1]))
    Tensor([True, False, True])
    """
    xp = namespace(x1, x2)
    if is_array(x1) and is_array(x2) and x1.dtype != x2.dtype:
        dtype = xp.result_type(x1.dtype, x2.dtype)
        x1, x2 = xp.astype(x1, dtype, copy=False), xp.astype(x2, dtype, copy=False)
    found = xp.asarray(xp.isin(x1, x2))
    return xp.logical_not(found) if invert else found
