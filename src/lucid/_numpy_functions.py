"""NumPy's functions that the array API standard has not, composed of those that it has.

Each has NumPy's name (with `_` for a dot) and arguments, and is a program in NumPy: called with
Tensors, every function in it comes back to lucid, so it can be differentiated.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import inf, prod
from typing import Any

import numpy as np

from ._arrays import is_differentiable
from .ops._comparison import where as lucid_where
from .ops._movement import permute_dims
from .ops._rounding import round as lucid_round
from .ops._search import sort as lucid_sort
from .ops.linalg._singular_values import svd as lucid_svd

Axis = int | tuple[int, ...] | None


# Shape


def ravel(a: Any) -> Any:
    return np.reshape(a, (-1,))


def transpose(a: Any, axes: Sequence[int] | None = None) -> Any:
    return permute_dims(a, tuple(range(np.ndim(a)))[::-1] if axes is None else tuple(axes))


def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    order = list(range(np.ndim(a)))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return permute_dims(a, tuple(order))


def squeeze(a: Any, axis: Axis = None) -> Any:
    shape = np.shape(a)
    axes = [k for k, size in enumerate(shape) if size == 1] if axis is None else axis
    gone = {k % len(shape) for k in ([axes] if isinstance(axes, int) else axes)}
    if any(shape[k] != 1 for k in gone):
        raise ValueError(f"squeeze: axis {axis} of shape {shape} is not of size 1")
    return np.reshape(a, tuple(size for k, size in enumerate(shape) if k not in gone))


def fliplr(m: Any) -> Any:
    return np.flip(m, axis=1)


def flipud(m: Any) -> Any:
    return np.flip(m, axis=0)


def atleast_1d(*arys: Any) -> Any:
    found = [each if np.ndim(each) else np.reshape(each, (1,)) for each in arys]
    return found[0] if len(found) == 1 else tuple(found)


def atleast_2d(*arys: Any) -> Any:
    found = [
        each if np.ndim(each) > 1 else np.reshape(each, (1, prod(np.shape(each)))) for each in arys
    ]
    return found[0] if len(found) == 1 else tuple(found)


def copy(a: Any) -> Any:
    return np.reshape(a, np.shape(a))  # no array is ever written into; another Tensor is enough


# Together and apart


def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    return np.concatenate([arr, values], axis=axis)


def vstack(tup: Sequence[Any]) -> Any:
    return np.concatenate([np.atleast_2d(each) for each in tup], axis=0)


def hstack(tup: Sequence[Any]) -> Any:
    parts = [np.atleast_1d(each) for each in tup]
    return np.concatenate(parts, axis=0 if np.ndim(parts[0]) == 1 else 1)


def column_stack(tup: Sequence[Any]) -> Any:
    columns = [np.reshape(each, (-1, 1)) if np.ndim(each) < 2 else each for each in tup]
    return np.concatenate(columns, axis=1)


def dstack(tup: Sequence[Any]) -> Any:
    parts = [np.atleast_2d(each) for each in tup]
    return np.concatenate(
        [each if np.ndim(each) > 2 else np.expand_dims(each, 2) for each in parts], axis=2
    )


def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    size = np.shape(ary)[axis]
    if isinstance(indices_or_sections, int):
        each, more = divmod(size, indices_or_sections)
        sizes = [each + (k < more) for k in range(indices_or_sections)]
        stops = np.cumsum(sizes)[:-1].tolist()
    else:
        stops = list(indices_or_sections)
    before = (slice(None),) * (axis % np.ndim(ary))
    return [ary[(*before, slice(*pair))] for pair in pairwise([0, *stops, size])]


def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    if isinstance(indices_or_sections, int) and np.shape(ary)[axis] % indices_or_sections:
        raise ValueError(
            f"split: axis {axis} of shape {np.shape(ary)} does not divide into "
            f"{indices_or_sections} equal parts; np.array_split makes unequal ones"
        )
    return array_split(ary, indices_or_sections, axis)


def hsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    return split(ary, indices_or_sections, axis=1 if np.ndim(ary) > 1 else 0)


def vsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    return split(ary, indices_or_sections, axis=0)


def pad(array: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    if mode != "constant" or np.ndim(constant_values):
        raise ValueError(
            f"pad: only mode='constant' with one value is there for Tensors, not {mode!r} with "
            f"{constant_values!r}; join the parts with np.concatenate"
        )
    widths = np.broadcast_to(np.asarray(pad_width), (np.ndim(array), 2)).tolist()
    filler = np.sum(np.zeros_like(array)) + constant_values  # of the array's dtype and library
    for axis, pair in enumerate(widths):
        shape = list(np.shape(array))
        ends = []
        for width in pair:
            shape[axis] = width
            ends.append(np.broadcast_to(filler, tuple(shape)))
        array = np.concatenate([ends[0], array, ends[1]], axis=axis)
    return array


# Parts


def take(a: Any, indices: Any, axis: int | None = None) -> Any:
    if axis is None:
        return np.reshape(a, (-1,))[indices]
    return a[(slice(None),) * (axis % np.ndim(a)) + (indices,)]


def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    moved = np.moveaxis(a, (axis1, axis2), (-2, -1))
    rows, columns = np.shape(moved)[-2:]
    count = max(min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns), 0)
    index = np.arange(count)
    return moved[..., index + max(-offset, 0), index + max(offset, 0)]


def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return np.sum(np.diagonal(a, offset, axis1, axis2), axis=-1)


def diag(v: Any, k: int = 0) -> Any:
    if np.ndim(v) == 2:
        return np.diagonal(v, k)
    n = np.shape(v)[0]
    ends = [np.zeros_like(v[:1])] * abs(k)
    row = np.concatenate([*ends, v] if k > 0 else [v, *ends]) if k else v
    return np.where(np.eye(n + abs(k), k=k, dtype=bool), row, np.zeros_like(row))


def diagflat(v: Any, k: int = 0) -> Any:
    return diag(np.reshape(v, (-1,)), k)


def linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True) -> Any:
    steps = np.arange(num) / max(num - endpoint, 1)
    return start + (stop - start) * np.reshape(steps, (num,) + (1,) * np.ndim(start + stop))


# Sums and order


def cumsum(a: Any, axis: int | None = None, dtype: Any = None) -> Any:
    flat = np.reshape(a, (-1,)) if axis is None else a
    return np.cumulative_sum(flat, axis=0 if axis is None else axis, dtype=dtype)


def cumprod(a: Any, axis: int | None = None, dtype: Any = None) -> Any:
    flat = np.reshape(a, (-1,)) if axis is None else a
    return np.cumulative_prod(flat, axis=0 if axis is None else axis, dtype=dtype)


def sort(a: Any, axis: int | None = -1) -> Any:
    return lucid_sort(np.reshape(a, (-1,)), axis=0) if axis is None else lucid_sort(a, axis=axis)


def average(
    a: Any, axis: Axis = None, weights: Any = None, returned: bool = False, keepdims: bool = False
) -> Any:
    if weights is None:
        mean = np.mean(a, axis=axis, keepdims=keepdims)
        count = prod(np.shape(a)) / max(prod(np.shape(mean)), 1)
        return (mean, np.ones_like(mean) * count) if returned else mean
    if np.ndim(weights) != np.ndim(a):
        if not isinstance(axis, int):
            raise TypeError(
                f"average: weights {np.shape(weights)} of another shape than a {np.shape(a)} need "
                "the axis along which they go"
            )
        shape = [1] * np.ndim(a)
        shape[axis] = -1
        weights = np.reshape(weights, tuple(shape))
    weights = np.broadcast_to(weights, np.shape(a))
    total = np.sum(weights, axis=axis, keepdims=keepdims)
    mean = np.sum(a * weights, axis=axis, keepdims=keepdims) / total
    return (mean, total) if returned else mean


def ptp(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    return np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)


def median(a: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    flat = np.reshape(a, (-1,)) if axis is None else np.moveaxis(a, axis, -1)
    ordered = np.sort(flat, axis=-1)
    size = np.shape(ordered)[-1]
    middle = np.mean(ordered[..., (size - 1) // 2 : size // 2 + 1], axis=-1)
    if not keepdims:
        return middle
    return np.reshape(middle, (1,) * np.ndim(a)) if axis is None else np.expand_dims(middle, axis)


def nansum(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    return np.sum(np.where(np.isnan(a), np.zeros_like(a), a), axis=axis, keepdims=keepdims)


def nanmean(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    known = np.where(np.isnan(a), np.zeros_like(a), np.ones_like(a))
    count = np.sum(known, axis=axis, keepdims=keepdims)
    return nansum(a, axis, keepdims) / count


def cov(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None
) -> Any:
    rows = np.atleast_2d(m)
    rows = rows if rowvar or np.ndim(m) < 2 else np.transpose(rows)
    if y is not None:
        more = np.atleast_2d(y)
        rows = np.concatenate([rows, more if rowvar or np.ndim(y) < 2 else np.transpose(more)])
    less = (0 if bias else 1) if ddof is None else ddof
    centred = rows - np.mean(rows, axis=1, keepdims=True)
    products = np.matmul(centred, np.conj(np.transpose(centred)))
    return np.squeeze(products / (np.shape(rows)[1] - less))


def corrcoef(x: Any, y: Any = None, rowvar: bool = True) -> Any:
    covariance = np.cov(x, y, rowvar)
    if np.ndim(covariance) == 0:
        return covariance / covariance
    deviation = np.sqrt(np.real(np.diag(covariance)))
    return covariance / deviation[:, None] / deviation[None, :]


def trapezoid(y: Any, x: Any = None, dx: float = 1.0, axis: int = -1) -> Any:
    y = np.moveaxis(y, axis, -1)
    if x is not None:
        x = np.asarray(x) if isinstance(x, (list, tuple)) else x
        x = x if np.ndim(x) == 1 else np.moveaxis(x, axis, -1)
    step = dx if x is None else x[..., 1:] - x[..., :-1]
    return np.sum(step * (y[..., 1:] + y[..., :-1]) / 2, axis=-1)


# Products


def dot(a: Any, b: Any) -> Any:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return a * b
    return np.tensordot(a, b, axes=([-1], [max(np.ndim(b) - 2, 0)]))


def inner(a: Any, b: Any) -> Any:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return a * b
    return np.tensordot(a, b, axes=([-1], [-1]))


def vdot(a: Any, b: Any) -> Any:
    return np.sum(np.conj(np.reshape(a, (-1,))) * np.reshape(b, (-1,)))


def outer(a: Any, b: Any) -> Any:
    return np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1))


def cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Any:
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis, axis, axis)
    found = np.linalg.cross(np.moveaxis(a, axisa, -1), np.moveaxis(b, axisb, -1))
    return np.moveaxis(found, -1, axisc)


def kron(a: Any, b: Any) -> Any:
    rank = max(np.ndim(a), np.ndim(b))
    shape_a = (1,) * (rank - np.ndim(a)) + np.shape(a)
    shape_b = (1,) * (rank - np.ndim(b)) + np.shape(b)
    a = np.reshape(a, tuple(size for n in shape_a for size in (n, 1)))
    b = np.reshape(b, tuple(size for n in shape_b for size in (1, n)))
    whole = tuple(n * m for n, m in zip(shape_a, shape_b, strict=True))
    return np.reshape(a * b, whole)


def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    long, short = (a, v) if np.shape(a)[0] >= np.shape(v)[0] else (v, a)
    n, m = np.shape(long)[0], np.shape(short)[0]
    padded = np.pad(long, m - 1)
    # out[k] = Σ_j padded[k + j] · short[m - 1 - j]
    places = np.arange(n + m - 1)[:, None] + np.arange(m)[None, :]
    full = np.matmul(padded[places], np.flip(short))
    if mode == "full":
        return full
    size = n if mode == "same" else n - m + 1
    start = (n + m - 1 - size) // 2
    return full[start : start + size]


def linalg_multi_dot(arrays: Sequence[Any]) -> Any:
    letters = [chr(97 + k) for k in range(len(arrays) + 1)]
    terms = ["".join(pair) for pair in pairwise(letters)]
    terms[0] = terms[0][-np.ndim(arrays[0]) :]
    terms[-1] = terms[-1][: np.ndim(arrays[-1])]
    output = terms[0][: np.ndim(arrays[0]) - 1] + terms[-1][1:]
    return np.einsum(f"{','.join(terms)}->{output}", *arrays)


def linalg_norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Any:
    axes = tuple(range(np.ndim(x))) if axis is None else (axis,) if isinstance(axis, int) else axis
    if len(axes) == 1 or (axis is None and ord is None):
        options: Any = {"keepdims": keepdims, "ord": 2 if ord is None else ord}
        return np.linalg.vector_norm(x, axis=axes, **options)
    if len(axes) != 2:
        raise ValueError(f"norm: a matrix has two axes, not {len(axes)}; name them, as axis=(0, 1)")
    moved = np.moveaxis(x, axes, (-2, -1))
    found: Any = np.linalg.matrix_norm(moved, ord="fro" if ord is None else ord)
    for k in sorted(k % np.ndim(x) for k in axes) if keepdims else ():
        found = np.expand_dims(found, k)
    return found


def linalg_cond(x: Any, p: Any = None) -> Any:
    if p in (None, 2, -2):
        values = np.linalg.svdvals(x)
        first, last = values[..., 0], values[..., -1]
        return last / first if p == -2 else first / last
    return np.linalg.matrix_norm(x, ord=p) * np.linalg.matrix_norm(np.linalg.inv(x), ord=p)


def linalg_svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    return lucid_svd(a, full_matrices=full_matrices) if compute_uv else np.linalg.svdvals(a)


# Fourier transforms


def fft_fft2(a: Any, s: Any = None, axes: Sequence[int] = (-2, -1), norm: Any = None) -> Any:
    return np.fft.fftn(a, s=s, axes=axes, norm=norm)


def fft_ifft2(a: Any, s: Any = None, axes: Sequence[int] = (-2, -1), norm: Any = None) -> Any:
    return np.fft.ifftn(a, s=s, axes=axes, norm=norm)


def fft_rfft2(a: Any, s: Any = None, axes: Sequence[int] = (-2, -1), norm: Any = None) -> Any:
    return np.fft.rfftn(a, s=s, axes=axes, norm=norm)


def fft_irfft2(a: Any, s: Any = None, axes: Sequence[int] = (-2, -1), norm: Any = None) -> Any:
    return np.fft.irfftn(a, s=s, axes=axes, norm=norm)


# Element by element


def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    return np.nonzero(condition) if x is None else lucid_where(condition, x, y)


def clip(a: Any, a_min: Any = None, a_max: Any = None, min: Any = None, max: Any = None) -> Any:
    low, high = (min if a_min is None else a_min), (max if a_max is None else a_max)
    a = a if low is None else np.maximum(a, low)
    return a if high is None else np.minimum(a, high)


def round(a: Any, decimals: int = 0) -> Any:
    if decimals <= 0 and not is_differentiable(a.dtype):
        unit = 10**-decimals  # whole numbers stay whole
        return lucid_round(a / unit).astype(a.dtype) * unit if decimals else a
    unit = 10.0 ** abs(decimals)
    return lucid_round(a * unit) / unit if decimals >= 0 else lucid_round(a / unit) * unit


def around(a: Any, decimals: int = 0) -> Any:
    return round(a, decimals)


def angle(z: Any, deg: bool = False) -> Any:
    found = np.arctan2(np.imag(z), np.real(z))
    return found * (180 / np.pi) if deg else found


def sinc(x: Any) -> Any:
    y = np.pi * np.where(x == 0, 1.0e-20, x)
    return np.sin(y) / y


def nan_to_num(x: Any, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    largest = np.finfo(np.dtype(x.dtype)).max
    x = np.where(np.isnan(x), nan, x)
    x = np.where(x == inf, largest if posinf is None else posinf, x)
    return np.where(x == -inf, -largest if neginf is None else neginf, x)


# ufuncs beyond the standard's


def exp2(x: Any) -> Any:
    return np.exp(x * np.log(2.0).item())


def deg2rad(x: Any) -> Any:
    return x * (np.pi / 180)


radians = deg2rad


def rad2deg(x: Any) -> Any:
    return x * (180 / np.pi)


degrees = rad2deg


def fabs(x: Any) -> Any:
    return np.abs(x)


def logaddexp2(x1: Any, x2: Any) -> Any:
    scale = np.log(2.0).item()
    return np.logaddexp(x1 * scale, x2 * scale) / scale


def matvec(x1: Any, x2: Any) -> Any:
    return np.matmul(x1, x2[..., None])[..., 0]


def vecmat(x1: Any, x2: Any) -> Any:
    return np.matmul(np.conj(x1)[..., None, :], x2)[..., 0, :]
