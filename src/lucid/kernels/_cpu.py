"""Arrays that the compiled kernel has declined, made into what it takes.

Rows that an expanded view repeats are taken once; arrays with other strides and mixed dtypes are
copied, halves converted, in parts where they are large, and each part of a result goes straight to
its place. What the kernel had better not do at all is done by a portable plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import compress, product
from math import prod
from typing import Any

import numpy as np

from .._arrays import Array, DType, is_differentiable, is_half, plain_array
from .._shapes import Shape, broadcast_shapes
from . import _native, _portable
from ._arguments import Gradients, factors_of, promoted, shape_of
from ._layout import Box, slices

COPIED = 16 << 20
"""Bytes of the copies, of arguments and results, that there are at once."""

PART = 8 << 20
"""The same of each part where there would be more: an allocator may keep some of the last ones."""


class Arrays:
    """What preparing asks of a library: here NumPy."""

    most: tuple[int, ...] = ()
    """How many threads the kernel may use, if it is to be told."""

    def strides(self, x: Array) -> Sequence[int]:
        strides: Sequence[int] = x.strides
        return strides

    def ready(self, x: Array, dtype: DType) -> Any:
        """The same numbers as the kernel reads them."""
        return x if self.fits(x, dtype) else x.astype(dtype, order="C")

    def fits(self, x: Array, dtype: DType) -> bool:
        """Whether the kernel reads them where they are."""
        flags = x.flags
        return bool(x.dtype == dtype and flags.aligned and flags.c_contiguous)

    def empty(self, shape: Shape, dtype: DType) -> Array:
        return np.empty(shape, dtype)

    def astype(self, x: Array, dtype: DType) -> Array:
        return x.astype(dtype, copy=False)


NUMPY = Arrays()


def bilinear(x1: Array, x2: Array, weight: Array, bias: Array | None) -> Array:
    """The contraction of NumPy arrays."""
    x1, x2, weight, bias = _plain("bilinear", x1=x1, x2=x2, weight=weight, bias=bias)
    dtype = promoted(np, (x1, x2, weight, bias))
    x1, x2 = distinct(NUMPY, x1, x2)
    out = prepared(NUMPY, x1, x2, weight, bias, dtype, _working(dtype))
    return _portable.bilinear(x1, x2, weight, bias) if out is None else out


def gradients(
    g: Array, x1: Array | Shape, x2: Array | Shape, weight: Array | None, needed: Any,
    as_arguments: bool,
) -> Gradients:  # fmt: skip
    """The gradients of NumPy arrays; with a fourth flag the bias' too, where the kernel has it."""
    g, x1, x2, weight = _plain("gradients", g=g, x1=x1, x2=x2, weight=weight)
    shapes = shape_of(x1), shape_of(x2)
    factors = factors_of(g, x1, x2, weight, needed)
    dtype = promoted(np, factors)
    dtypes = dtypes_of((x1, x2, weight), dtype, as_arguments, is_differentiable)

    def run(g: Array, x1: Any, x2: Any, weight: Array | None, needed: Any) -> Gradients:
        given = g, x1, x2, weight
        found = prepared_gradients(NUMPY, *given, needed, dtypes, _working(dtype))
        return _portable.gradients(*given, needed[:3]) if found is None else found

    return apart(NUMPY, run, *factors, *shapes, needed)


def dtypes_of(
    arguments: Sequence[Any], dtype: DType, as_arguments: bool, is_floating: Callable[[DType], bool]
) -> tuple[DType, ...]:
    """The dtypes of the gradients: the promoted one, or those of the arguments that are arrays."""
    if not as_arguments:
        return (dtype,) * len(arguments)
    own = [getattr(each, "dtype", None) for each in arguments]
    return tuple([each if each is not None and is_floating(each) else dtype for each in own])


def _plain(function: str, **arguments: Any) -> list[Any]:
    """Arrays of NumPy's own kind; shapes, and None, as they are."""
    return [
        each if type(each) is np.ndarray or each is None or type(each) is tuple
        else plain_array(function, name, each)
        for name, each in arguments.items()
    ]  # fmt: skip


def _working(dtype: DType) -> DType | None:
    """What the kernel adds up in, or None where it does not."""
    if is_half(dtype):
        return np.dtype(np.float32)
    return np.dtype(dtype) if np.dtype(dtype).char in "fd" else None


def distinct(library: Arrays, x1: Array, x2: Array) -> tuple[Array, Array]:
    """Both inputs, each row that an expanded view repeats only once: then they broadcast."""
    x1 = _once(library, x1, tuple(x2.shape))
    return x1, _once(library, x2, tuple(x1.shape))


def _once(library: Arrays, x: Array, other: Shape) -> Array:
    """An input without the rows that are there again where the other has several."""
    strides = library.strides(x)
    if 0 not in strides:
        return x
    index = tuple(
        slice(0, 1) if size > 1 and strides[axis] == 0 and _size(other, axis - x.ndim) > 1
        else slice(None)
        for axis, size in enumerate(x.shape[:-1])
    )  # fmt: skip
    return x[index] if slice(0, 1) in index else x


def _size(shape: Shape, axis: int) -> int:
    """Of a leading axis, counted from the end."""
    return shape[axis] if -axis <= len(shape) else 1


def apart(
    library: Arrays, run: Callable[..., Gradients], g: Array, x1: Array | None, x2: Array | None,
    weight: Array | None, shape_1: Shape, shape_2: Shape, needed: Any,
) -> Gradients:  # fmt: skip
    """All gradients at once; where an input repeats rows, each by itself.

    A gradient has a row for each that its input has in its shape, also for those repeated; of the
    other input each row is needed once.
    """
    first = None if x1 is None else _once(library, x1, shape_2)
    second = None if x2 is None else _once(library, x2, shape_1)
    if first is x1 and second is x2:
        return run(g, shape_1 if x1 is None else x1, shape_2 if x2 is None else x2, weight, needed)
    d_1 = d_2 = d_weight = None
    if needed[0]:
        d_1 = run(g, shape_1, second, weight, (True, False, False))[0]
    if needed[1]:
        d_2 = run(g, first, shape_2, weight, (False, True, False))[1]
    if needed[2]:
        d_weight = run(g, *distinct(library, x1, x2), None, (False, False, True))[2]
    return d_1, d_2, d_weight


def prepared(
    library: Arrays, x1: Array, x2: Array, weight: Array, bias: Array | None, dtype: DType,
    working: DType | None,
) -> Array | None:  # fmt: skip
    """The contraction by the compiled kernel, of arguments made ready for it, or None."""
    if working is None:
        return None
    shapes = tuple(map(tuple, (x1.shape, x2.shape, weight.shape)))
    if _native.plan(*shapes, None, working.itemsize) is None:
        _native.tell_if_missing(*shapes)
        return None
    if _is_large(shapes[2], working) and not library.fits(weight, working):
        return None
    weight = library.ready(weight, working)
    if bias is not None:
        bias = library.ready(bias.reshape(-1), working)
    leading, outputs = shapes[0][:-1], shapes[2][0]
    if leading != shapes[1][:-1]:
        leading = broadcast_shapes(leading, shapes[1][:-1])

    def run(first: Array, second: Array) -> Any:
        first, second = library.ready(first, working), library.ready(second, working)
        return _native.bilinear(first, second, weight, bias, *library.most)

    steps = _steps(leading, (*shapes[:2], (*leading, outputs)), working.itemsize)
    if steps is None:
        return None
    if steps == leading:
        out = run(x1, x2)
        return None if out is None else library.astype(out, dtype)
    out = library.empty((*leading, outputs), dtype)
    for box in _boxes(leading, steps):
        part = run(*(x[_inside(box, x.shape)] for x in (x1, x2)))
        if part is None:
            return None
        out[box] = part
    return out


def prepared_gradients(
    library: Arrays, g: Array, x1: Array | Shape, x2: Array | Shape, weight: Array | None,
    needed: Any, dtypes: Sequence[DType], working: DType | None,
) -> Gradients | None:  # fmt: skip
    """The gradients by the compiled kernel, of arguments made ready for it, or None."""
    shape_1, shape_2 = shapes = shape_of(x1), shape_of(x2)
    leading = tuple(g.shape[:-1])
    weight_shape = (g.shape[-1], shape_1[-1], shape_2[-1])
    if working is None:
        return None
    three = needed[:3]
    if _native.plan(*shapes, weight_shape, three, working.itemsize) is None:
        _native.tell_if_missing(*shapes, weight_shape)
        return None
    copied = (*shapes, g.shape, *compress(shapes, needed))
    steps = _steps(leading, copied, working.itemsize)
    if steps is None:
        return None
    is_large = _is_large(weight_shape, working)

    def run(g: Array, x1: Any, x2: Any, needed: Any = three) -> Any:
        given = [x if isinstance(x, tuple) else library.ready(x, working) for x in (g, x1, x2)]
        return _native.gradients(*given, weight, needed, *library.most)

    if steps == leading and not is_large:
        weight = None if weight is None else library.ready(weight, working)
        return _rounded(library, run(g, x1, x2, needed), dtypes)
    cut = [axis for axis, step in enumerate(steps) if step < leading[axis]]
    summed = [
        wanted and any(_size(shape, axis - len(leading) - 1) == 1 for axis in cut)
        for shape, wanted in zip(shapes, needed, strict=False)
    ]
    wide = library.empty((0,), working).dtype
    rounds = [dtype != wide for dtype in dtypes]
    if any(each and sums for each, sums in zip(rounds, summed, strict=False)):
        return None  # the sums would be rounded part by part
    if is_large and (
        (needed[2] and (rounds[2] or cut)) or not (weight is None or library.fits(weight, working))
    ):
        return None
    weight = None if weight is None else library.ready(weight, working)
    if not cut:
        return _rounded(library, run(g, x1, x2), dtypes)
    results = [
        library.empty(shape, dtype) if wanted else None
        for shape, wanted, dtype in zip(shapes, needed, dtypes, strict=False)
    ]
    d_weight = None
    for box in _boxes(leading, steps):
        inputs = (
            _extent(box, x) if isinstance(x, tuple) else x[_inside(box, x.shape)] for x in (x1, x2)
        )
        found = run(g[box], *inputs)
        if found is None:
            return None
        for result, part in zip(results, found, strict=False):
            if result is None:
                continue
            place = result[_inside(box, result.shape)]
            if all(each.start == 0 for each in _outside(box, result.shape)):
                place[...] = part
            else:
                place += part
        if needed[2]:
            d_weight = found[2] if d_weight is None else np.add(d_weight, found[2], out=d_weight)
    if d_weight is not None:
        d_weight = library.astype(d_weight, dtypes[2])
    d_1, d_2 = results
    return d_1, d_2, d_weight


def _rounded(
    library: Arrays, found: Sequence[Any] | None, dtypes: Sequence[DType]
) -> Gradients | None:
    """Gradients from the kernel, each in its dtype; that of a bias as it is."""
    if found is None:
        return None
    rounded: Any = [
        each if each is None else library.astype(each, dtype)
        for each, dtype in zip(found, dtypes, strict=False)
    ]
    return (*rounded, *found[3:])


def _is_large(weight_shape: Shape, dtype: DType) -> bool:
    """Whether there is no room for a copy of the weight, or of its gradient."""
    return prod(weight_shape) * int(dtype.itemsize) > COPIED


def _steps(leading: Shape, shapes: Sequence[Sequence[int]], itemsize: int) -> Shape | None:
    """How far a part goes along each axis, so that copies of these arrays' parts have room."""
    room, steps = PART // itemsize, list(leading)

    def numbers() -> int:
        total = 0
        for shape in shapes:
            own = map(min, steps[len(steps) + 1 - len(shape) :], shape[:-1])
            total += shape[-1] * prod(own)
        return total

    if sum(map(prod, shapes)) * itemsize <= COPIED:
        return leading
    for axis in range(len(steps)):
        while steps[axis] > 1 and numbers() > room:
            steps[axis] = -(-steps[axis] // 2)
    return tuple(steps) if numbers() * itemsize <= 2 * COPIED else None


def _boxes(leading: Shape, steps: Shape) -> Iterator[Box]:
    return product(*(list(slices(size, step)) for size, step in zip(leading, steps, strict=True)))


def _inside(box: Box, shape: Sequence[int]) -> Box:
    """A box of the leading axes as one of an array that broadcasts along some of them."""
    own = box[len(box) + 1 - len(shape) :]
    return tuple(
        slice(None) if size == 1 else part for part, size in zip(own, shape[:-1], strict=True)
    )


def _outside(box: Box, shape: Sequence[int]) -> Iterator[slice]:
    """The parts of a box along axes that an array does not have, or has once."""
    missing = len(box) + 1 - len(shape)
    return (part for axis, part in enumerate(box) if axis < missing or shape[axis - missing] == 1)


def _extent(box: Box, shape: Shape) -> Shape:
    """The shape of the part of an input that is given by its shape."""
    own = box[len(box) + 1 - len(shape) :]
    sizes = (
        size if size == 1 else part.stop - part.start
        for part, size in zip(own, shape[:-1], strict=True)
    )
    return (*sizes, shape[-1])
