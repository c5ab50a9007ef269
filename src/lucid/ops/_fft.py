"""Discrete Fourier transforms. They are linear, and the gradient of each is another one.

The adjoint of a transform goes the other way, with the factor of the same norm: "backward" there is
"forward" here. Where x was cut or filled up to n elements, the gradient is filled up or cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from .._arguments import WHOLE, check
from .._arrays import Array, complex_like, device_of, is_complex, namespace
from .._errors import ArgumentError, DTypeError, ShapeError
from .._op import op
from .._shapes import Shape, axis_error
from .._wide import in_float32
from ._movement import concat
from .linalg._checks import check_floating

_OPPOSITE = {"backward": "forward", "ortho": "ortho", "forward": "backward"}

_OF_COMPLEX = {"rfft": "fft", "rfftn": "fftn", "ihfft": "ifft"}

Axes = Sequence[int] | None


@op
def resized(x: Array, shape: Shape, /) -> Array:
    """x cut to a shape, or filled up to it with zeros, at the end of each axis."""
    xp = namespace(x)
    x = x[tuple(slice(min(size, n)) for size, n in zip(shape, x.shape, strict=True))]
    for axis, size in enumerate(shape):
        missing = size - x.shape[axis]
        if missing:
            more = (*x.shape[:axis], missing, *x.shape[axis + 1 :])
            zeros = xp.zeros(more, dtype=x.dtype, device=device_of(x))
            x = xp.concat([x, zeros], axis=axis)
    return x


resized.gradient(x=lambda g, x_shape: resized(g, x_shape))


@op(holomorphic=False)
@in_float32
def fft(x: Array, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Array:
    """The discrete Fourier transform along an axis, of length n.

        out[k] = Σ_j x[j] · exp(-2πi · j · k / n)

    x is cut to n elements, or filled up with zeros; n is the size of the axis unless it is given.
    A real x is taken as complex, and the result is complex. The sum is divided by 1 with the norm
    "backward", by √n with "ortho", by n with "forward".

    Raises DTypeError unless x is floating point, OutOfRangeError for an axis that is not there,
    ShapeError for no elements, ArgumentError for another `n` or `norm`.
    Source: `fft.fft` of the array API standard.

    >>> lucid.fft.fft(lucid.Tensor([1.0, 0.0, -1.0, 0.0]))
    Tensor([0j, (2+0j), 0j, (2+0j)])
    """
    (n,) = _lengths("fft", x, n, axis, norm)
    return namespace(x).fft.fft(_as_complex("fft", x), n=n, axis=axis, norm=norm)


@op(holomorphic=False)
@in_float32
def ifft(x: Array, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Array:
    """The inverse of `fft`.

        out[j] = Σ_k x[k] · exp(2πi · j · k / n) / n

    x is cut to n elements, or filled up with zeros. The sum is divided by n with the norm
    "backward", by √n with "ortho", by 1 with "forward". Raises what `fft` raises.
    Source: `fft.ifft` of the array API standard.

    >>> lucid.fft.ifft(lucid.Tensor([4.0, 0.0, 0.0, 0.0]))
    Tensor([(1+0j), (1+0j), (1+0j), (1+0j)])
    """
    (n,) = _lengths("ifft", x, n, axis, norm)
    return namespace(x).fft.ifft(_as_complex("ifft", x), n=n, axis=axis, norm=norm)


fft.gradient(
    x=lambda g, x_shape, axis, norm: resized(ifft(g, axis=axis, norm=_OPPOSITE[norm]), x_shape)
)
ifft.gradient(
    x=lambda g, x_shape, axis, norm: resized(fft(g, axis=axis, norm=_OPPOSITE[norm]), x_shape)
)


@op(holomorphic=False)
@in_float32
def fftn(
    x: Array, /, *, s: Sequence[int] | None = None, axes: Axes = None, norm: str = "backward"
) -> Array:
    """The discrete Fourier transform along several axes, or all: `fft` along each.

    `s` has a length for each of `axes`, -1 for that of x. The factor of `norm` is that of the
    product of the lengths. Raises what `fft` raises, and ArgumentError for `s` without `axes`.
    Source: `fft.fftn` of the array API standard.

    >>> lucid.fft.fftn(lucid.Tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor([[(10+0j), (-2+0j)], [(-4+0j), 0j]])
    """
    s, axes = _lengths("fftn", x, s, axes, norm), _all_of(axes, x)
    return namespace(x).fft.fftn(_as_complex("fftn", x), s=s, axes=axes, norm=norm)


@op(holomorphic=False)
@in_float32
def ifftn(
    x: Array, /, *, s: Sequence[int] | None = None, axes: Axes = None, norm: str = "backward"
) -> Array:
    """The inverse of `fftn`: `ifft` along each of several axes, or all.

    `s` has a length for each of `axes`, -1 for that of x. Raises what `fftn` raises.
    Source: `fft.ifftn` of the array API standard.

    >>> lucid.fft.ifftn(lucid.Tensor([[4.0, 0.0], [0.0, 0.0]]))
    Tensor([[(1+0j), (1+0j)], [(1+0j), (1+0j)]])
    """
    s, axes = _lengths("ifftn", x, s, axes, norm), _all_of(axes, x)
    return namespace(x).fft.ifftn(_as_complex("ifftn", x), s=s, axes=axes, norm=norm)


fftn.gradient(
    x=lambda g, x_shape, axes, norm: resized(ifftn(g, axes=axes, norm=_OPPOSITE[norm]), x_shape)
)
ifftn.gradient(
    x=lambda g, x_shape, axes, norm: resized(fftn(g, axes=axes, norm=_OPPOSITE[norm]), x_shape)
)


@op(holomorphic=False)
@in_float32
def rfft(x: Array, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Array:
    """The first n // 2 + 1 elements of `fft` of a real x; the others are their conjugates.

    x is cut to n elements, or filled up with zeros; n is the size of the axis unless it is given.
    `norm` is that of `fft`. Raises what `fft` raises, and DTypeError for a complex x.
    Source: `fft.rfft` of the array API standard.

    >>> lucid.fft.rfft(lucid.Tensor([1.0, 0.0, -1.0, 0.0]))
    Tensor([0j, (2+0j), 0j])
    """
    (n,) = _lengths("rfft", x, n, axis, norm)
    return namespace(x).fft.rfft(_as_real("rfft", x), n=n, axis=axis, norm=norm)


@op(holomorphic=False)
@in_float32
def irfft(x: Array, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Array:
    """The inverse of `rfft`: n real elements from the first half of their spectrum.

    n is 2 · (m - 1) for m elements of x unless it is given: for an odd number of elements, give it.
    x is cut to n // 2 + 1 elements, or filled up with zeros. `norm` is that of `ifft`. Raises what
    `fft` raises. Source: `fft.irfft` of the array API standard.

    >>> lucid.fft.irfft(lucid.Tensor([0.0, 2.0, 0.0]))
    Tensor([1.0, 0.0, -1.0, 0.0])
    """
    (n,) = _lengths("irfft", x, n, axis, norm, half=True)
    return namespace(x).fft.irfft(_as_complex("irfft", x), n=n, axis=axis, norm=norm)


@op(holomorphic=False)
@in_float32
def rfftn(
    x: Array, /, *, s: Sequence[int] | None = None, axes: Axes = None, norm: str = "backward"
) -> Array:
    """`fftn` of a real x: `rfft` along the last of the axes, then `fft` along the others.

    `s` has a length for each of `axes`, -1 for that of x. Raises what `fftn` raises, and DTypeError
    for a complex x. Source: `fft.rfftn` of the array API standard.

    >>> lucid.fft.rfftn(lucid.Tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor([[(10+0j), (-2+0j)], [(-4+0j), 0j]])
    """
    s, axes = _lengths("rfftn", x, s, axes, norm), _all_of(axes, x)
    return namespace(x).fft.rfftn(_as_real("rfftn", x), s=s, axes=axes, norm=norm)


@op(holomorphic=False)
@in_float32
def irfftn(
    x: Array, /, *, s: Sequence[int] | None = None, axes: Axes = None, norm: str = "backward"
) -> Array:
    """The inverse of `rfftn`: `ifft` along all axes but the last, and then `irfft` along that.

    `s` has a length of the result for each of `axes`; without it, the last is 2 · (m - 1) for m
    elements of x. Raises what `fftn` raises. Source: `fft.irfftn` of the array API standard.

    >>> lucid.fft.irfftn(lucid.Tensor([[4.0, 0.0], [0.0, 0.0]]))
    Tensor([[1.0, 1.0], [1.0, 1.0]])
    """
    s, axes = _lengths("irfftn", x, s, axes, norm, half=True), _all_of(axes, x)
    return namespace(x).fft.irfftn(_as_complex("irfftn", x), s=s, axes=axes, norm=norm)


@op(holomorphic=False)
@in_float32
def hfft(x: Array, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Array:
    """`fft` of n elements with Hermitian symmetry, of which x is the first half: n real numbers.

    n is 2 · (m - 1) for m elements of x unless it is given: for an odd number of elements, give it.
    x is cut to n // 2 + 1 elements, or filled up with zeros. `norm` is that of `fft`. Raises what
    `fft` raises. Source: `fft.hfft` of the array API standard.

    >>> lucid.fft.hfft(lucid.Tensor([1.0, 2.0, 1.0]))
    Tensor([6.0, 0.0, -2.0, 0.0])
    """
    (n,) = _lengths("hfft", x, n, axis, norm, half=True)
    return namespace(x).fft.hfft(_as_complex("hfft", x), n=n, axis=axis, norm=norm)


@op(holomorphic=False)
@in_float32
def ihfft(x: Array, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Array:
    """The inverse of `hfft`: the first n // 2 + 1 elements of `ifft` of a real x.

    x is cut to n elements, or filled up with zeros; n is the size of the axis unless it is given.
    `norm` is that of `ifft`. Raises what `fft` raises, and DTypeError for a complex x.
    Source: `fft.ihfft` of the array API standard.

    >>> lucid.fft.ihfft(lucid.Tensor([4.0, 0.0, 0.0, 0.0]))
    Tensor([(1-0j), (1-0j), (1-0j)])
    """
    (n,) = _lengths("ihfft", x, n, axis, norm)
    xp = namespace(x)
    return xp.conj(xp.fft.rfft(_as_real("ihfft", x), n=n, axis=axis, norm=_OPPOSITE[norm]))


# What is left out of a spectrum counts as well: all of its elements but the first, and the one in
# the middle of an even number, stand for two


def _to_real(inverse: Any) -> Any:
    """The rule of a transform from real numbers, which is one to real numbers."""

    def gradient(g: Array, x_shape: Shape, n: int | None, axis: int, norm: str) -> Array:
        n = x_shape[axis] if n is None else n
        g = _inside(g, axis, n, 0.5)
        return resized(inverse(g, n=n, axis=axis, norm=_OPPOSITE[norm]), x_shape)

    return gradient


def _from_real(inverse: Any) -> Any:
    """The rule of a transform to real numbers, which is one from real numbers."""

    def gradient(g: Array, x_shape: Shape, axis: int, norm: str) -> Array:
        found = inverse(g, axis=axis, norm=_OPPOSITE[norm])
        return resized(_inside(found, axis, g.shape[axis], 2.0), x_shape)

    return gradient


rfft.gradient(x=_to_real(irfft))
ihfft.gradient(x=_to_real(hfft))
irfft.gradient(x=_from_real(rfft))
hfft.gradient(x=_from_real(ihfft))


def _rfftn_gradient(g: Array, x_shape: Shape, s: Any, axes: Axes, norm: str) -> Array:
    axes = _all_of(axes, g)
    lengths = [g.shape[axis] for axis in axes]
    lengths[-1] = x_shape[axes[-1]] if s is None or s[-1] == -1 else s[-1]
    g = _inside(g, axes[-1], lengths[-1], 0.5)
    return resized(irfftn(g, s=lengths, axes=axes, norm=_OPPOSITE[norm]), x_shape)


def _irfftn_gradient(g: Array, x_shape: Shape, axes: Axes, norm: str) -> Array:
    axes = _all_of(axes, g)
    found = rfftn(g, axes=axes, norm=_OPPOSITE[norm])
    return resized(_inside(found, axes[-1], g.shape[axes[-1]], 2.0), x_shape)


rfftn.gradient(x=_rfftn_gradient)
irfftn.gradient(x=_irfftn_gradient)


def _inside(x: Array, axis: int, n: int, factor: float) -> Array:
    """Half a spectrum of n elements, times a factor where an element stands for two."""
    before = (slice(None),) * (axis % len(x.shape))
    cuts = [0, 1, (n + 1) // 2, x.shape[axis]]
    first, inside, last = (x[(*before, slice(*pair), ...)] for pair in pairwise(cuts))
    return concat([first, inside * factor, last], axis=axis)


@op
def fftshift(x: Array, /, *, axes: int | Sequence[int] | None = None) -> Array:
    """x turned along `axes` (None: every axis), so that the frequency 0 comes to the middle.

    Raises OutOfRangeError for an axis that is not there. Source: `fft.fftshift` of the array API
    standard.

    >>> lucid.fft.fftshift(lucid.Tensor([0.0, 1.0, 2.0, -2.0, -1.0]))
    Tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
    """
    _check_axes("fftshift", x, axes)
    return namespace(x).fft.fftshift(x, axes=axes)


@op
def ifftshift(x: Array, /, *, axes: int | Sequence[int] | None = None) -> Array:
    """The inverse of `fftshift`: the frequency 0 comes first.

    Raises what `fftshift` raises. Source: `fft.ifftshift` of the array API standard.

    >>> lucid.fft.ifftshift(lucid.Tensor([-2.0, -1.0, 0.0, 1.0, 2.0]))
    Tensor([0.0, 1.0, 2.0, -2.0, -1.0])
    """
    _check_axes("ifftshift", x, axes)
    return namespace(x).fft.ifftshift(x, axes=axes)


fftshift.gradient(x=lambda g, axes: ifftshift(g, axes=axes))
ifftshift.gradient(x=lambda g, axes: fftshift(g, axes=axes))


# Arguments


def _as_complex(function: str, x: Array) -> Array:
    check_floating(function, x=x)
    return x if is_complex(x.dtype) else namespace(x).astype(x, complex_like(x))


def _as_real(function: str, x: Array) -> Array:
    check_floating(function, x=x)
    if is_complex(x.dtype):
        raise DTypeError(
            f"{function}: x is {x.dtype}, expected real numbers; use "
            f"lucid.fft.{_OF_COMPLEX[function]}, or lucid.real(x)"
        )
    return x


def _all_of(axes: Axes, x: Array) -> list[int]:
    return list(range(len(x.shape)) if axes is None else axes)


def _check_axes(function: str, x: Array, axes: Any) -> None:
    axes = [axes] if isinstance(axes, int) else axes if axes is None else list(axes)
    wrong = axis_error(function, "x", tuple(x.shape), axes)
    if wrong is not None and not isinstance(wrong, ShapeError):  # of no elements, n may say more
        raise wrong


def _lengths(
    function: str, x: Array, lengths: Any, axes: Any, norm: str, *, half: bool = False
) -> list[int]:
    """How many elements a transform has along each axis; `half`: x has half of them in the last."""
    if norm not in _OPPOSITE:
        raise ArgumentError(f"{function}: norm is {norm!r:.60}, expected {', '.join(_OPPOSITE)}")
    shape = tuple(getattr(x, "shape", ()))
    single = isinstance(axes, int)
    if lengths is not None and axes is None:
        raise ArgumentError(
            f"{function}: s is given without axes; say which axes the lengths are of"
        )
    if not shape:
        raise ShapeError(f"{function}: x has no axis to transform")
    axes = [axes] if single else _all_of(axes, x)
    _check_axes(function, x, axes)
    if not axes:
        raise ArgumentError(f"{function}: axes is empty; give at least one axis")
    name = "n" if single else "s"
    given = [lengths] if single else [-1] * len(axes) if lengths is None else list(lengths)
    if len(given) != len(axes):
        raise ArgumentError(f"{function}: s has {len(given)} lengths, but axes {len(axes)}")
    found = []
    for k, (length, axis) in enumerate(zip(given, axes, strict=True)):
        if length is None or (not single and length == -1):
            length = shape[axis]
            if half and k == len(axes) - 1:
                length = 2 * (length - 1)
            if length < 1:
                raise ShapeError(
                    f"{function}: axis {axis} of x {shape} is {shape[axis]}, too short for a "
                    f"transform; give its length with {name}"
                )
        check(function, WHOLE, **{name: length})
        if length < 1:
            raise ArgumentError(f"{function}: {name} is {lengths}, expected 1 or more")
        found.append(int(length))
    return found
