"""Complex numbers. The rules follow the convention of the conjugate Wirtinger derivative."""

from __future__ import annotations

from .._arrays import Array, is_complex, namespace
from .._op import op
from ._like import astype


@op(gradient=lambda g: g, holomorphic=False)
def real(x: Array, /) -> Array:
    """The real part of each element.

    >>> lucid.real(lucid.Tensor([1 + 2j]))
    Tensor([1.0])
    """
    return namespace(x).real(x)


@op(gradient=lambda g, x_dtype: astype(g, x_dtype) * 1j, holomorphic=False)
def imag(x: Array, /) -> Array:
    """The imaginary part of each element.

    >>> lucid.imag(lucid.Tensor([1 + 2j]))
    Tensor([2.0])
    """
    return namespace(x).imag(x)


@op(holomorphic=False)
def conj(x: Array, /) -> Array:
    """The complex conjugate of each element.

    >>> lucid.conj(lucid.Tensor([1 + 2j]))
    Tensor([(1-2j)])
    """
    return namespace(x).conj(x) if is_complex(x.dtype) else x


conj.gradient(x=lambda g: conj(g))
