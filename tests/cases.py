"""One table of operations, which drives every test of `test_ops.py` and `test_backends.py`.

A new operation gets a line here; `test_every_operation_is_in_the_table` says which are missing.
Each reference is written element by element, or with plain NumPy, and knows nothing of lucid.
"""

# ruff: noqa: ARG005 (a reference has the signature of its operation, whether it needs all or not)

from __future__ import annotations

import cmath
import functools
import inspect
import itertools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

import lucid
from lucid.nn import functional as F

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
Sampler = Callable[[np.random.Generator, Shape], Array]


# Where the arguments come from. Derivatives are compared with differences, so they stay away from
# the points where an operation has none.


def normal(random: np.random.Generator, shape: Shape) -> Array:
    return np.asarray(random.standard_normal(shape))


def positive(random: np.random.Generator, shape: Shape) -> Array:
    return np.asarray(random.uniform(0.4, 2.0, shape))


def away(random: np.random.Generator, shape: Shape) -> Array:
    """Of both signs, and not near zero."""
    return np.asarray(random.uniform(0.3, 2.0, shape) * random.choice([-1.0, 1.0], shape))


def inside(random: np.random.Generator, shape: Shape) -> Array:
    """Between -1 and 1, and not near them."""
    return np.asarray(random.uniform(-0.8, 0.8, shape))


def above_one(random: np.random.Generator, shape: Shape) -> Array:
    return np.asarray(random.uniform(1.2, 3.0, shape))


def distinct(random: np.random.Generator, shape: Shape) -> Array:
    """In a random order, and no two near each other."""
    count = math.prod(shape)
    return np.asarray(random.permutation(count).reshape(shape) * 0.25 - count / 8 + 0.05)


def truth(random: np.random.Generator, shape: Shape) -> Array:
    return np.asarray(random.uniform(size=shape) < 0.5)


def integers(random: np.random.Generator, shape: Shape) -> Array:
    return np.asarray(random.integers(0, 7, shape))


def below(stop: int) -> Sampler:
    return lambda random, shape: np.asarray(random.integers(0, stop, shape))


@dataclass(frozen=True)
class Case:
    """An operation, arguments for it, what the result should be, and what else holds of it.

    `shapes` has one shape for each array argument, in which `samplers` draw (the last one all that
    are left); `options` are the other arguments. With `sequence` the arrays are one list.
    """

    name: str
    op: Callable[..., Any]
    reference: Callable[..., Any]
    shapes: tuple[Shape, ...]
    samplers: tuple[Sampler, ...] = (normal,)
    options: dict[str, Any] = field(default_factory=dict)
    order: int = 2  # up to which derivative it is checked; at 0 the operation has none
    complex: bool = False  # it takes complex numbers too
    integer: bool = False  # it takes integers too, and they stay integers
    result: Literal["same", "real", "complex"] = "same"  # its numbers, beside the argument's
    kinked: bool = False  # where elements are equal, it has a derivative only by convention
    signature: str | None = None  # how its arguments broadcast, as generalised ufuncs say it
    numpy: Callable[..., Any] | None = None  # what NaN and infinity become is what NumPy makes
    empty: tuple[Shape, ...] | None = None  # shapes with a size of 0 that it takes
    sequence: bool = False
    of: Callable[..., Any] | None = None  # whose line it is, where `op` does more

    def arguments(self, shapes: Sequence[Shape] | None = None, seed: int = 0) -> list[Array]:
        """The arrays of a call, in double precision."""
        random = np.random.default_rng(seed)
        samplers = itertools.chain(self.samplers, itertools.repeat(self.samplers[-1]))
        shapes = self.shapes if shapes is None else shapes
        return [sample(random, shape) for sample, shape in zip(samplers, shapes, strict=False)]

    @property
    def variadic(self) -> bool:
        """Whether its arrays are any number of arguments."""
        parameters = inspect.signature(self.op).parameters.values()
        return any(each.kind is each.VAR_POSITIONAL for each in parameters)

    @property
    def function(self) -> Callable[..., Any]:
        """The public function whose line this is."""
        return self.op if self.of is None else self.of

    @property
    def elementwise(self) -> bool:
        """Whether its arguments broadcast as a whole."""
        return self.signature is not None and not re.search("[a-z]", self.signature)

    def integer_arguments(self) -> list[Array]:
        random = np.random.default_rng(0)
        return [
            a if a.dtype.kind in "bi" else random.integers(-5, 6, a.shape) for a in self.arguments()
        ]

    def complex_arguments(self) -> list[Array]:
        parts = zip(self.arguments(), self.arguments(seed=1), strict=True)
        return [a if a.dtype.kind in "bi" else a + 1j * b for a, b in parts]

    def __call__(self, *arrays: Any) -> Any:
        """The operation on these arrays."""
        options = dict(self.options)
        more = [options.pop(name) for name in _only_by_position(self.op) if name in options]
        return self.op(*([list(arrays)] if self.sequence else arrays), *more, **options)

    def expected(self, *arrays: Any) -> Any:
        """The reference on these arrays."""
        return self.reference(*([list(arrays)] if self.sequence else arrays), **self.options)


@functools.cache
def _only_by_position(op: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(op).parameters
    return [name for name, each in parameters.items() if each.kind is each.POSITIONAL_ONLY]


def each(function: Callable[..., Any]) -> Callable[..., Array]:
    """A function of numbers, element by element."""

    def apply(*arrays: Any) -> Array:
        spread = np.broadcast_arrays(*arrays)
        numbers = (array.ravel().tolist() for array in spread)
        return np.array(list(map(function, *numbers))).reshape(spread[0].shape)

    return apply


def over(function: Callable[..., Any]) -> Callable[..., Array]:
    """A function of a list of numbers, along an axis, several, or all."""

    def apply(
        x: Array, axis: int | tuple[int, ...] | None = None, keepdims: bool = False, **rest: Any
    ) -> Array:
        given = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        axes = tuple(k % x.ndim for k in given)
        kept = tuple(k for k in range(x.ndim) if k not in axes)
        shape = tuple(x.shape[k] for k in kept)
        rows = np.transpose(x, kept + axes).reshape(
            math.prod(shape), math.prod(x.shape[k] for k in axes)
        )
        result = np.array([function(row.tolist(), **rest) for row in rows]).reshape(shape)
        return np.expand_dims(result, axes) if keepdims else result

    return apply


def _variance(row: list[Any], correction: float = 0.0) -> float:
    mean = math.fsum(row) / len(row)
    return math.fsum((x - mean) ** 2 for x in row) / (len(row) - correction)


def _unique(x: Array) -> tuple[Array, ...]:
    flat = x.ravel().tolist()
    values = sorted(set(flat), key=lambda z: (complex(z).real, complex(z).imag))
    return (
        np.array(values, x.dtype),
        np.array([flat.index(value) for value in values], int),
        np.array([values.index(value) for value in flat], int).reshape(x.shape),
        np.array([flat.count(value) for value in values], int),
    )


def _matmul(x1: Array, x2: Array) -> Array:
    left = x1[None, :] if x1.ndim == 1 else x1
    right = x2[:, None] if x2.ndim == 1 else x2
    lead = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    left = np.broadcast_to(left, lead + left.shape[-2:])
    right = np.broadcast_to(right, lead + right.shape[-2:])
    result = np.zeros((*lead, left.shape[-2], right.shape[-1]), np.result_type(x1, x2))
    for k in range(left.shape[-1]):
        result += left[..., :, k, None] * right[..., None, k, :]
    if x1.ndim == 1:
        result = result[..., 0, :]
    return result[..., 0] if x2.ndim == 1 else result


def _with_terms(x1: Any, x2: Any, weight: Any, bias: Any, weight_1: Any, weight_2: Any) -> Any:
    return F.bilinear(x1, x2, weight, bias, weight_1=weight_1, weight_2=weight_2)


def _bilinear(x1: Array, x2: Array, weight: Array, bias: Array | None = None) -> Array:
    lead = np.broadcast_shapes(x1.shape[:-1], x2.shape[:-1])
    out = np.zeros((*lead, weight.shape[0]), np.result_type(x1, x2, weight))
    for o, i, j in np.ndindex(*weight.shape):
        out[..., o] += x1[..., i] * weight[o, i, j] * x2[..., j]
    return out if bias is None else out + bias.reshape(-1)


def _scores(x1: Array, x2: Array, weight: Array, bias: Array | None = None) -> Array:
    """(..., N, O, M)"""
    scores = _bilinear(x1[..., :, None, :], x2[..., None, :, :], weight, bias)
    return np.moveaxis(scores, -1, -2)


def _log_total(x1: Array, x2: Array, weight: Array, bias: Array | None = None) -> Array:
    scores = _scores(x1, x2, weight, bias)
    return np.asarray(np.log(np.sum(np.exp(scores), axis=-1)))


def _pairs_loss(x1: Array, x2: Array, weight: Array, target: list[int]) -> Array:
    scores = np.moveaxis(_scores(x1, x2, weight), -2, 0)
    losses = [[-math.log(_softmax(row)[t]) for row, t in zip(each.tolist(), target, strict=True)]
              for each in scores]  # fmt: skip
    return np.array(np.mean(losses))


def _top_pairs(x1: Array, x2: Array, weight: Array, k: int) -> tuple[Array, Array]:
    scores = _scores(x1, x2, weight)
    order = np.argsort(-scores, axis=-1, kind="stable")[..., :k]
    return np.take_along_axis(scores, order, -1), order


def _rank_of(x1: Array, x2: Array, weight: Array, target: list[int]) -> Array:
    scores = _scores(x1, x2, weight)
    own = np.array([row[:, t] for row, t in zip(scores, target, strict=True)])
    return np.asarray(1.0 + np.sum(scores > own[..., None], axis=-1))


def _running_sum(x: Array, axis: int | None = None, include_initial: bool = False) -> Array:
    moved = np.moveaxis(x, -1 if axis is None else axis, 0)
    sums = list(itertools.accumulate(moved))
    sums = [np.zeros_like(moved[0]), *sums] if include_initial else sums
    return np.moveaxis(np.array(sums), 0, -1 if axis is None else axis)


def _running_product(x: Array, axis: int | None = None, include_initial: bool = False) -> Array:
    moved = np.moveaxis(x, -1 if axis is None else axis, 0)
    products = list(itertools.accumulate(moved, lambda a, b: a * b))
    products = [np.ones_like(moved[0]), *products] if include_initial else products
    return np.moveaxis(np.array(products), 0, -1 if axis is None else axis)


def _solve(x1: Array, x2: Array) -> Array:
    """Cramer's rule, with determinants by Laplace's expansion."""
    columns = x2[:, None] if x2.ndim == 1 else x2
    lead = np.broadcast_shapes(x1.shape[:-2], columns.shape[:-2])
    left = np.broadcast_to(x1, lead + x1.shape[-2:])
    right = np.broadcast_to(columns, lead + columns.shape[-2:])
    result = np.zeros(right.shape, np.result_type(x1, x2))
    for *index, k, n in np.ndindex(*right.shape):
        matrix, column = left[tuple(index)], right[(*index, slice(None), n)]
        replaced = matrix.astype(result.dtype)
        replaced[:, k] = column
        result[(*index, k, n)] = _determinant(replaced) / _determinant(matrix)
    return result[..., 0] if x2.ndim == 1 else result


def _determinant(x: Array) -> Any:
    if not x.size:
        return 1.0
    minors = (np.delete(x[1:], k, axis=1) for k in range(len(x)))
    return sum((-1) ** k * x[0, k] * _determinant(minor) for k, minor in enumerate(minors))


def regular(random: np.random.Generator, shape: Shape) -> Array:
    """Square matrices that are far from singular."""
    return np.asarray(random.standard_normal(shape) * 0.5 + 2 * np.eye(shape[-1]))


def definite(random: np.random.Generator, shape: Shape) -> Array:
    """Positive definite matrices whose eigenvalues are apart."""
    x = random.standard_normal(shape) * 0.3
    return np.asarray((x + np.swapaxes(x, -1, -2)) / 2 + np.diag(np.arange(shape[-1]) + 1.5))


def singular(random: np.random.Generator, shape: Shape) -> Array:
    """Square matrices of a rank that is one less than their size."""
    x = regular(random, shape)
    x[..., -1, :] = x[..., 0, :] - x[..., 1, :]
    return x


def _adjoint(x: Array) -> Array:
    return np.conj(np.swapaxes(x, -1, -2))


def _cholesky(x: Array, upper: bool = False) -> Array:
    """Row by row, of the Hermitian part."""
    x = (x + _adjoint(x)) / 2
    factor = np.zeros_like(x)
    for i, j in zip(*np.tril_indices(x.shape[-1]), strict=True):
        rest = x[..., i, j] - np.sum(factor[..., i, :j] * np.conj(factor[..., j, :j]), axis=-1)
        factor[..., i, j] = np.sqrt(rest) if i == j else rest / factor[..., j, j]
    return _adjoint(factor) if upper else factor


def of_matrices(function: Callable[..., Any]) -> Callable[..., Array]:
    """A function of one matrix, for a stack of them."""

    def apply(x: Array, **options: Any) -> Array:
        flat = x.reshape(-1, *x.shape[-2:])
        found = np.array([function(matrix, **options) for matrix in flat])
        return found.reshape(x.shape[:-2] + found.shape[1:])

    return apply


def _inverse(x: Array) -> Array:
    return _solve(x, np.eye(x.shape[-1]))


def _matrix_power(x: Array, n: int) -> Array:
    factor = of_matrices(_inverse)(x) if n < 0 else x
    one = np.broadcast_to(np.eye(x.shape[-1], dtype=x.dtype), x.shape)
    return functools.reduce(_matmul, [factor] * abs(n), one)


def _exponential(x: Array) -> Array:
    """The exponential of matrices, by its series."""
    one = np.broadcast_to(np.eye(x.shape[-1], dtype=x.dtype), x.shape)
    terms = itertools.accumulate(range(1, 60), lambda term, k: _matmul(term, x) / k, initial=one)
    return np.asarray(sum(terms))


def _pseudo_inverse(x: Array, **_: float) -> Array:
    """(xᴴ · x)⁻¹ · xᴴ of a tall matrix, xᴴ · (x · xᴴ)⁻¹ of a wide one."""
    back = _adjoint(x)
    if x.shape[-2] >= x.shape[-1]:
        return _solve(_matmul(back, x), back)
    return _matmul(back, of_matrices(_inverse)(_matmul(x, back)))


def _projector(x: Array) -> Array:
    """Onto the columns of a tall matrix."""
    return _matmul(x, _pseudo_inverse(x))


def _singular(x: Array) -> list[float]:
    """The singular values, as the square roots of eigenvalues."""
    small = _matmul(x, _adjoint(x)) if x.shape[0] < x.shape[1] else _matmul(_adjoint(x), x)
    return [math.sqrt(value) for value in np.linalg.eigvalsh(small)[::-1]]


def _norm(row: list[Any], ord: float = 2) -> float:
    sizes = list(map(abs, row))
    if ord in (math.inf, -math.inf):
        return float(max(sizes) if ord > 0 else min(sizes))
    if ord == 0:
        return float(sum(size != 0 for size in sizes))
    return float(math.fsum(size**ord for size in sizes) ** (1 / ord))


def _matrix_norm(x: Array, ord: Any = "fro", keepdims: bool = False) -> Any:
    rows, values = np.abs(x), _singular(x)
    norms: dict[Any, Callable[[], Any]] = {
        "fro": lambda: math.sqrt(np.sum(rows**2)), "nuc": lambda: sum(values),
        2: lambda: values[0], -2: lambda: values[-1],
        1: lambda: max(rows.sum(axis=0)), -1: lambda: min(rows.sum(axis=0)),
        math.inf: lambda: max(rows.sum(axis=1)), -math.inf: lambda: min(rows.sum(axis=1)),
    }  # fmt: skip
    norm = norms[ord]()
    return [[norm]] if keepdims else norm


def _cross(x: Array, y: Array, axis: int = -1) -> Array:
    x, y = (np.moveaxis(each, axis, 0) for each in np.broadcast_arrays(x, y))
    parts = [x[k - 2] * y[k - 1] - x[k - 1] * y[k - 2] for k in range(3)]
    return np.moveaxis(np.array(parts), 0, axis)


def _spectrum(
    x: Array, n: int | None, axis: int, sign: int, norm: str, inverse: bool = False
) -> Array:
    """A discrete Fourier transform along an axis, by the matrix of its factors."""
    x = np.moveaxis(x, axis, -1)
    n = x.shape[-1] if n is None else n
    k = np.arange(n)
    kept = min(n, x.shape[-1])
    factors = np.exp(sign * 2j * np.pi * np.outer(k[:kept], k) / n)
    scale = {"ortho": math.sqrt(n), "forward": 1 if inverse else n, "backward": n if inverse else 1}
    return np.moveaxis(np.einsum("...j,jk->...k", x[..., :kept], factors) / scale[norm], -1, axis)


def _fft(x: Array, n: int | None = None, axis: int = -1, norm: str = "backward") -> Array:
    return _spectrum(x, n, axis, -1, norm)


def _ifft(x: Array, n: int | None = None, axis: int = -1, norm: str = "backward") -> Array:
    return _spectrum(x, n, axis, 1, norm, inverse=True)


def _half(transform: Callable[..., Array]) -> Callable[..., Array]:
    """The first half of a spectrum."""

    def apply(x: Array, n: int | None = None, axis: int = -1, norm: str = "backward") -> Array:
        whole = np.moveaxis(transform(x, n, axis, norm), axis, -1)
        return np.moveaxis(whole[..., : whole.shape[-1] // 2 + 1], -1, axis)

    return apply


def _of_half(transform: Callable[..., Array]) -> Callable[..., Array]:
    """The real numbers whose spectrum has this first half."""

    def apply(x: Array, n: int | None = None, axis: int = -1, norm: str = "backward") -> Array:
        x = np.moveaxis(x, axis, -1)
        n = 2 * (x.shape[-1] - 1) if n is None else n
        whole = np.zeros((*x.shape[:-1], n), complex)
        for k in range(min(n // 2 + 1, x.shape[-1])):
            own = k in (0, n / 2)
            whole[..., k] = np.real(x[..., k]) if own else x[..., k]
            if not own:
                whole[..., n - k] = np.conj(x[..., k])
        return np.moveaxis(np.real(transform(whole, n, -1, norm)), -1, axis)

    return apply


_rfft, _ihfft, _irfft, _hfft = _half(_fft), _half(_ifft), _of_half(_ifft), _of_half(_fft)


def _along(*transforms: Callable[..., Array]) -> Callable[..., Array]:
    """A transform along the last of several axes, and another along the others, in that order."""

    def apply(x: Array, s: Any = None, axes: Any = None, norm: str = "backward") -> Array:
        axes = range(x.ndim) if axes is None else axes
        lengths = [None] * len(axes) if s is None else [None if n == -1 else n for n in s]
        last, other = transforms[:2]
        if len(transforms) == 2:
            x = last(x, lengths[-1], axes[-1], norm)
        for n, axis in zip(lengths[:-1], axes[:-1], strict=True):
            x = other(x, n, axis, norm)
        return x if len(transforms) == 2 else last(x, lengths[-1], axes[-1], norm)

    return apply


_fftn, _ifftn, _rfftn = _along(_fft, _fft), _along(_ifft, _ifft), _along(_rfft, _fft)
_irfftn = _along(_irfft, _ifft, _irfft)  # the last axis comes last


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + (cmath.exp(-x) if isinstance(x, complex) else math.exp(-x)))


def _sign(x: Any) -> Any:
    return x / abs(x) if x else x


def _power(x: Any, y: Any) -> Any:
    return x**y


def _of_both(real: Callable[[float], float], general: Callable[[complex], complex]) -> Any:
    return lambda x: general(x) if isinstance(x, complex) else real(x)


def _elementwise(
    name: str, function: Callable[..., Any], *samplers: Sampler, arguments: int = 1, **more: Any
) -> Case:
    shapes: tuple[Shape, ...] = ((3, 4),) if arguments == 1 else ((3, 1), (2, 1, 4), (3, 4))
    return Case(
        name, getattr(lucid, name), each(function), shapes[:arguments], samplers or (normal,),
        signature=",".join(["()"] * arguments) + "->()", empty=((0, 3),) * arguments, **more,
    )  # fmt: skip


def _compare(name: str, function: Callable[..., Any], *samplers: Sampler, **more: Any) -> Case:
    return _elementwise(name, function, *(samplers or (integers,)), arguments=2, order=0, **more)


def _activation(name: str, function: Callable[[float], float], **options: Any) -> Case:
    label = ": ".join([name, *map(str, options.values())])
    return Case(label, getattr(F, name), lambda x, **_: each(function)(x), ((3, 4),), (away,),
                options, empty=((0, 3),))  # fmt: skip


def _softmax(row: list[float]) -> list[float]:
    total = sum(map(math.exp, row))
    return [math.exp(value) / total for value in row]


def _mean(row: list[float]) -> float:
    return math.fsum(row) / len(row)


# What does not depend on the signs of vectors


def _product(x: Any, y: Any) -> Any:
    return lucid.matmul(x, y)


def _gram(x: Any) -> Any:
    return lucid.matmul(x, lucid.conj(lucid.matrix_transpose(x)))


def _spectral(values: Any, vectors: Any) -> Any:
    """The exponential of a Hermitian matrix."""
    scaled = vectors * lucid.expand_dims(lucid.exp(values), axis=-2)
    return lucid.matmul(scaled, lucid.conj(lucid.matrix_transpose(vectors)))


def _general(values: Any, vectors: Any) -> Any:
    """The exponential of a matrix."""
    scaled = vectors * lucid.expand_dims(lucid.exp(values), axis=-2)
    return lucid.matmul(scaled, lucid.linalg.inv(vectors))


def _fifth(u: Any, s: Any, vh: Any) -> Any:
    """x · (xᴴ · x)²."""
    return lucid.matmul(u[..., : s.shape[-1]] * lucid.expand_dims(s**5, axis=-2),
                        vh[..., : s.shape[-1], :])  # fmt: skip


def _fifth_power(x: Array) -> Array:
    return np.asarray(x @ np.linalg.matrix_power(_adjoint(x) @ x, 2))


LINE, MATRIX, BLOCK = (5,), (3, 4), (2, 3, 4)

CASES = [
    # comparisons and tests
    _compare("equal", lambda x, y: x == y, numpy=np.equal),
    _compare("not_equal", lambda x, y: x != y, numpy=np.not_equal),
    _compare("less", lambda x, y: x < y, numpy=np.less),
    _compare("less_equal", lambda x, y: x <= y, numpy=np.less_equal),
    _compare("greater", lambda x, y: x > y, numpy=np.greater),
    _compare("greater_equal", lambda x, y: x >= y, numpy=np.greater_equal),
    _compare("logical_and", lambda x, y: x and y, truth),
    _compare("logical_or", lambda x, y: x or y, truth),
    _compare("logical_xor", lambda x, y: x != y, truth),
    _compare("bitwise_and", lambda x, y: x & y),
    _compare("bitwise_or", lambda x, y: x | y),
    _compare("bitwise_xor", lambda x, y: x ^ y),
    _compare("bitwise_left_shift", lambda x, y: x << y),
    _compare("bitwise_right_shift", lambda x, y: x >> y),
    _elementwise("bitwise_invert", lambda x: ~x, integers, order=0),
    _elementwise("logical_not", lambda x: not x, truth, order=0),
    _elementwise("isnan", math.isnan, order=0, numpy=np.isnan),
    _elementwise("isinf", math.isinf, order=0, numpy=np.isinf),
    _elementwise("isfinite", math.isfinite, order=0, numpy=np.isfinite),
    # arithmetic
    _elementwise("add", lambda x, y: x + y, arguments=2, complex=True, integer=True, numpy=np.add),
    _elementwise("subtract", lambda x, y: x - y, arguments=2, complex=True, integer=True,
                 numpy=np.subtract),
    _elementwise("multiply", lambda x, y: x * y, arguments=2, complex=True, integer=True,
                 numpy=np.multiply),
    _elementwise("divide", lambda x, y: x / y, normal, away, arguments=2, complex=True,
                 numpy=np.divide),
    _elementwise("negative", lambda x: -x, complex=True, integer=True, numpy=np.negative),
    _elementwise("positive", lambda x: +x, complex=True, integer=True, numpy=np.positive),
    _elementwise("reciprocal", lambda x: 1 / x, away, complex=True, numpy=np.reciprocal),
    _elementwise("remainder", lambda x, y: x % y, normal, away, arguments=2, numpy=np.remainder),
    _elementwise("floor_divide", lambda x, y: x // y, normal, away, arguments=2),
    _elementwise("hypot", math.hypot, away, arguments=2, numpy=np.hypot),
    _elementwise("pow", _power, positive, normal, arguments=2, complex=True, numpy=np.pow),
    _elementwise("square", lambda x: x * x, complex=True, integer=True, numpy=np.square),
    _elementwise("sqrt", _of_both(math.sqrt, cmath.sqrt), positive, complex=True, numpy=np.sqrt),
    _elementwise("where", lambda c, x, y: x if c else y, truth, normal, arguments=3,
                 complex=True, integer=True),
    # exponentials and trigonometry
    _elementwise("exp", _of_both(math.exp, cmath.exp), complex=True, numpy=np.exp),
    _elementwise("expm1", _of_both(math.expm1, lambda z: cmath.exp(z) - 1), complex=True,
                 numpy=np.expm1),
    _elementwise("log", _of_both(math.log, cmath.log), positive, complex=True, numpy=np.log),
    _elementwise("log1p", _of_both(math.log1p, lambda z: cmath.log(1 + z)), positive,
                 complex=True, numpy=np.log1p),
    _elementwise("log2", _of_both(math.log2, lambda z: cmath.log(z) / math.log(2)), positive,
                 complex=True, numpy=np.log2),
    _elementwise("log10", _of_both(math.log10, cmath.log10), positive, complex=True,
                 numpy=np.log10),
    _elementwise("logaddexp", lambda x, y: math.log(math.exp(x) + math.exp(y)), arguments=2,
                 numpy=np.logaddexp),
    _elementwise("tanh", _of_both(math.tanh, cmath.tanh), complex=True, numpy=np.tanh),
    _elementwise("sigmoid", _sigmoid),
    _elementwise("sin", _of_both(math.sin, cmath.sin), complex=True, numpy=np.sin),
    _elementwise("cos", _of_both(math.cos, cmath.cos), complex=True, numpy=np.cos),
    _elementwise("tan", _of_both(math.tan, cmath.tan), complex=True, numpy=np.tan),
    _elementwise("sinh", _of_both(math.sinh, cmath.sinh), complex=True, numpy=np.sinh),
    _elementwise("cosh", _of_both(math.cosh, cmath.cosh), complex=True, numpy=np.cosh),
    _elementwise("asin", _of_both(math.asin, cmath.asin), inside, complex=True, numpy=np.arcsin),
    _elementwise("acos", _of_both(math.acos, cmath.acos), inside, complex=True, numpy=np.arccos),
    _elementwise("atan", _of_both(math.atan, cmath.atan), inside, complex=True, numpy=np.arctan),
    _elementwise("atan2", math.atan2, away, arguments=2, numpy=np.arctan2),
    _elementwise("asinh", _of_both(math.asinh, cmath.asinh), inside, complex=True,
                 numpy=np.arcsinh),
    _elementwise("acosh", _of_both(math.acosh, cmath.acosh), above_one, complex=True,
                 numpy=np.arccosh),
    _elementwise("atanh", _of_both(math.atanh, cmath.atanh), inside, complex=True,
                 numpy=np.arctanh),
    # whole numbers near others
    _elementwise("floor", lambda x: type(x)(math.floor(x)), integer=True, numpy=np.floor),
    _elementwise("ceil", lambda x: type(x)(math.ceil(x)), integer=True, numpy=np.ceil),
    _elementwise("trunc", lambda x: type(x)(math.trunc(x)), integer=True, numpy=np.trunc),
    _elementwise("round", _of_both(lambda x: type(x)(round(x)),
                 lambda z: complex(round(z.real), round(z.imag))), complex=True,
                 integer=True, numpy=np.round),
    _elementwise("nextafter", math.nextafter, arguments=2, numpy=np.nextafter),
    # size and sign
    _elementwise("abs", abs, away, complex=True, integer=True, numpy=np.abs),
    _elementwise("sign", _sign, away, complex=True, numpy=np.sign),
    _elementwise("signbit", lambda x: math.copysign(1, x) < 0, away, order=0, numpy=np.signbit),
    _elementwise("copysign", math.copysign, away, arguments=2, numpy=np.copysign),
    _elementwise("maximum", max, distinct, normal, arguments=2, integer=True, kinked=True,
                 numpy=np.maximum),
    _elementwise("minimum", min, distinct, normal, arguments=2, integer=True, kinked=True,
                 numpy=np.minimum),
    Case("clip", lucid.clip, lambda x, min, max: each(lambda v: sorted([min, v, max])[1])(x),
         (MATRIX,), (distinct,), {"min": -0.9, "max": 0.9}, empty=((0, 3),)),
    Case("clip: arrays", lucid.clip, each(lambda x, a, b: min(max(x, a), b)),
         (BLOCK, MATRIX, (4,)), (distinct, lambda r, s: -positive(r, s), positive),
         signature="(),(),()->()"),
    # complex numbers
    _elementwise("conj", lambda x: x.conjugate(), complex=True),
    Case("real", lucid.real, each(lambda x: x.real), (MATRIX,),
         (lambda r, s: normal(r, s) + 1j * normal(r, s),), result="real"),
    Case("imag", lucid.imag, each(lambda x: x.imag), (MATRIX,),
         (lambda r, s: normal(r, s) + 1j * normal(r, s),), result="real"),
    # arrays like another
    Case("zeros_like", lucid.zeros_like, each(lambda x: 0.0), (MATRIX,), order=0, empty=((0, 3),)),
    Case("ones_like", lucid.ones_like, each(lambda x: 1.0), (MATRIX,), order=0, empty=((0, 3),)),
    Case("full_like", lucid.full_like, lambda x, fill_value: np.array([[fill_value] * 4] * 3),
         (MATRIX,), options={"fill_value": 2.5}, order=0),
    Case("astype", lucid.astype, lambda x, dtype: np.array(x.tolist(), complex), (MATRIX,),
         options={"dtype": lucid.complex128}, result="complex"),
    # grids and triangles
    Case("tril", lucid.tril, lambda x: np.array([[[v * (j <= i) for j, v in enumerate(row)]
            for i, row in enumerate(m)] for m in x.tolist()]),
         (BLOCK,), complex=True, integer=True, empty=((2, 3, 0),)),
    Case("triu", lucid.triu, lambda x, k: np.array([[[v * (j >= i + k) for j, v in enumerate(row)]
            for i, row in enumerate(m)] for m in x.tolist()]),
         (BLOCK,), options={"k": -1}, complex=True, integer=True),
    # movement
    Case("reshape", lucid.reshape, lambda x, shape: np.array(x.ravel().tolist()).reshape(6, 4),
         (BLOCK,), options={"shape": (6, -1)}, complex=True, integer=True),
    Case("permute_dims", lucid.permute_dims, lambda x, axes: np.einsum("abc->cab", x),
         (BLOCK,), options={"axes": (2, 0, 1)}, complex=True, integer=True, empty=((2, 0, 4),)),
    Case("permute_dims: negative", lucid.permute_dims, lambda x, axes: np.einsum("abc->cab", x),
         (BLOCK,), options={"axes": (-1, 0, -2)}),
    Case("matrix_transpose", lucid.matrix_transpose, lambda x: np.einsum("abc->acb", x), (BLOCK,),
         complex=True, integer=True, empty=((2, 0, 4),)),
    Case("expand_dims", lucid.expand_dims, lambda x, axis: x[:, None], (MATRIX,),
         options={"axis": 1}, complex=True, integer=True, empty=((0, 4),)),
    Case("squeeze", lucid.squeeze, lambda x, axis: x[:, 0, :, 0], ((2, 1, 3, 1),),
         options={"axis": (1, -1)}, complex=True, integer=True, empty=((0, 1, 3, 1),)),
    Case("broadcast_to", lucid.broadcast_to, lambda x, shape: np.stack([np.hstack([x] * 4)] * 2),
         ((3, 1),), options={"shape": (2, 3, 4)}, complex=True, integer=True),
    Case("flip", lucid.flip, lambda x, axis: x[:, ::-1, ::-1], (BLOCK,), options={"axis": (1, -1)},
         complex=True, integer=True, empty=((2, 0, 4),)),
    Case("flip: all", lucid.flip, lambda x: x[::-1, ::-1], (MATRIX,), complex=True),
    Case("concat", lucid.concat, lambda xs, axis: np.array(
            [[value for x in xs for value in x[k].tolist()] for k in range(3)]),
         ((3, 4), (3, 1), (3, 2)), options={"axis": -1}, sequence=True, complex=True, integer=True,
         empty=((3, 0), (3, 2))),
    Case("concat: flat", lucid.concat, lambda xs, axis: np.array(
            [value for x in xs for value in x.ravel().tolist()]),
         ((3, 4), (2,)), options={"axis": None}, sequence=True),
    Case("stack", lucid.stack, lambda xs, axis: np.einsum("kab->akb", np.array(xs)),
         ((3, 4),) * 3, options={"axis": 1}, sequence=True, complex=True, integer=True,
         empty=((0, 4),) * 2),
    Case("unstack", lucid.unstack, lambda x, axis: tuple(x[:, k] for k in range(3)), (BLOCK,),
         options={"axis": 1}, complex=True, integer=True, empty=((0, 3),)),
    Case("moveaxis", lucid.moveaxis, lambda x, source, destination: np.einsum("abc->bca", x),
         (BLOCK,), options={"source": 0, "destination": -1}, complex=True, integer=True,
         empty=((2, 0, 4),)),
    Case("moveaxis: several", lucid.moveaxis, lambda x, source, destination:
         np.einsum("abcd->dbac", x), ((2, 3, 4, 5),),
         options={"source": (0, -1), "destination": (2, 0)}),
    Case("expand_dims: several", lucid.expand_dims, lambda x, axis: x[None, :, None, :, None],
         (MATRIX,), options={"axis": (-1, 0, 2)}, complex=True),
    Case("roll", lucid.roll, lambda x, shift, axis: np.array([[r[k - 2] for k in range(len(r))]
            for r in x.tolist()]),
         (MATRIX,), options={"shift": 6, "axis": 1}, complex=True, integer=True, empty=((3, 0),)),
    Case("roll: all", lucid.roll, lambda x, shift: np.array(
            [x.flat[(k + 5) % 12] for k in range(12)]).reshape(3, 4),
         (MATRIX,), options={"shift": -5}, complex=True),
    Case("roll: several", lucid.roll, lambda x, shift, axis: np.array(
            [[[x[a - 1, b, (c + 2) % 4] for c in range(4)] for b in range(3)] for a in range(2)]),
         (BLOCK,), options={"shift": (1, -2), "axis": (0, -1)}),
    Case("repeat", lucid.repeat, lambda x, repeats, axis: np.stack([x, x], axis=2).reshape(
            3, 2 * x.shape[1]),
         (MATRIX,), options={"repeats": 2, "axis": 1}, complex=True, integer=True,
         empty=((3, 0),)),
    Case("repeat: all", lucid.repeat, lambda x, repeats: np.array(
            [value for value in x.ravel().tolist() for _ in range(3)]),
         (MATRIX,), options={"repeats": 3}, complex=True),
    Case("repeat: array", lucid.repeat, lambda x, k, axis: np.array(
            [row for row, times in zip(x.tolist(), k, strict=True) for _ in range(times)]),
         ((5, 4), (5,)), (normal, below(4)), {"axis": -2}, complex=True),
    Case("repeat: array, all", lucid.repeat, lambda x, k: np.array(
            [value for value, times in zip(x.ravel(), k, strict=True) for _ in range(times)]),
         (MATRIX, (12,)), (normal, below(4))),
    Case("tile", lucid.tile, lambda x, repetitions: np.block([[x, x, x], [x, x, x]]), (MATRIX,),
         options={"repetitions": (2, 3)}, complex=True, integer=True, empty=((0, 3),)),
    Case("tile: fewer", lucid.tile, lambda x, repetitions: np.concatenate([x, x], axis=2),
         (BLOCK,), options={"repetitions": (2,)}, complex=True),
    Case("tile: more", lucid.tile, lambda x, repetitions: np.stack([np.concatenate([x, x])] * 3),
         (LINE,), options={"repetitions": (3, 2)}),
    Case("broadcast_arrays", lucid.broadcast_arrays,
         lambda x, y: (np.stack([np.hstack([x] * 4)] * 2), np.concatenate([y] * 3, axis=1)),
         ((3, 1), (2, 1, 4)), complex=True, integer=True),
    # reductions
    Case("sum", lucid.sum, over(sum), (BLOCK,), complex=True, integer=True, empty=((0, 3),)),
    Case("sum: axis", lucid.sum, over(sum), (BLOCK,), options={"axis": (0, -1)}, complex=True),
    Case("sum: keepdims", lucid.sum, over(sum), (BLOCK,), options={"axis": 1, "keepdims": True}),
    Case("mean", lucid.mean, over(lambda row: sum(row) / len(row)), (BLOCK,), complex=True),
    Case("mean: axis", lucid.mean, over(lambda row: sum(row) / len(row)), (BLOCK,),
         options={"axis": (0, 2)}, empty=((2, 0, 4),)),
    Case("var", lucid.var, over(_variance), (BLOCK,)),
    Case("var: axis", lucid.var, over(_variance), (BLOCK,), options={"axis": 1, "correction": 1}),
    Case("std", lucid.std, over(lambda r: math.sqrt(_variance(r))), (BLOCK,), kinked=True),
    Case("std: axis", lucid.std, over(lambda r, **more: math.sqrt(_variance(r, **more))),
         (BLOCK,), options={"axis": (0, 2), "correction": 1, "keepdims": True}, kinked=True),
    Case("max", lucid.max, over(max), (BLOCK,), (distinct,), integer=True, kinked=True),
    Case("max: axis", lucid.max, over(max), (BLOCK,), (distinct,), {"axis": (0, 2)}, kinked=True),
    Case("min", lucid.min, over(min), (BLOCK,), (distinct,), integer=True, kinked=True),
    Case("min: axis", lucid.min, over(min), (BLOCK,), (distinct,), {"axis": -1, "keepdims": True},
         empty=((0, 3),), kinked=True),
    Case("prod", lucid.prod, over(math.prod), (MATRIX,), (away,), complex=True, integer=True,
         empty=((0, 3),)),
    Case("prod: axis", lucid.prod, over(math.prod), (BLOCK,), (away,), {"axis": (1, 0)}),
    Case("logsumexp", lucid.logsumexp, over(lambda r: math.log(sum(map(math.exp, r)))), (BLOCK,)),
    Case("logsumexp: axis", lucid.logsumexp, over(lambda r: math.log(sum(map(math.exp, r)))),
         (BLOCK,), options={"axis": (0, -1), "keepdims": True}),
    Case("all", lucid.all, over(all), (MATRIX,), (truth,), {"axis": 1}, order=0, empty=((3, 0),)),
    Case("any", lucid.any, over(any), (MATRIX,), (truth,), {"axis": 1}, order=0, empty=((3, 0),)),
    Case("cumulative_sum", lucid.cumulative_sum, _running_sum, (LINE,), complex=True,
         integer=True),
    Case("cumulative_sum: axis", lucid.cumulative_sum, _running_sum, (BLOCK,),
         options={"axis": 1, "include_initial": True}),
    Case("cumulative_prod", lucid.cumulative_prod, _running_product, (LINE,), (away,),
         complex=True, integer=True),
    Case("cumulative_prod: axis", lucid.cumulative_prod, _running_product, (BLOCK,), (away,),
         options={"axis": 1, "include_initial": True}),
    Case("diff", lucid.diff, lambda x: np.array(
            [[b - a for a, b in itertools.pairwise(row)] for row in x.tolist()]),
         (MATRIX,), complex=True, integer=True),
    Case("diff: twice", lucid.diff, lambda x, axis, n: np.array(
            [x[k + 2] - 2 * x[k + 1] + x[k] for k in range(3)]),
         ((5, 2),), options={"axis": 0, "n": 2}),
    Case("diff: joined", lambda x, before, after: lucid.diff(x, prepend=before, append=after),
         lambda x, before, after: np.array([[b - a for a, b in itertools.pairwise(row)]
            for row in np.hstack([before, x, after]).tolist()]),
         (MATRIX, (3, 1), (3, 2)), complex=True),
    # products
    Case("matmul", lucid.matmul, _matmul, ((3, 4), (4, 2)), complex=True, integer=True,
         empty=((3, 0), (0, 2)), signature="(n,k),(k,m)->(n,m)"),
    Case("matmul: batch", lucid.matmul, _matmul, ((2, 1, 3, 4), (5, 4, 2)), complex=True),
    Case("matmul: shared", lucid.matmul, _matmul, ((2, 5, 3, 4), (4, 2)), complex=True),
    Case("matmul: row", lucid.matmul, _matmul, ((4,), (4, 2)), complex=True),
    Case("matmul: rows", lucid.matmul, _matmul, ((4,), (3, 4, 2)), complex=True),
    Case("matmul: column", lucid.matmul, _matmul, ((5, 3, 4), (4,)), complex=True),
    Case("matmul: vectors", lucid.matmul, _matmul, ((4,), (4,)), complex=True, empty=((0,), (0,))),
    Case("tensordot", lucid.tensordot, lambda x, y: np.einsum("abc,bcd->ad", x, y),
         ((2, 3, 4), (3, 4, 5)), complex=True, integer=True, empty=((2, 0, 4), (0, 4, 5))),
    Case("tensordot: pairs", lucid.tensordot, lambda x, y, axes: np.einsum("abc,cdb->ad", x, y),
         ((2, 3, 4), (4, 5, 3)), options={"axes": ((2, 1), (0, -1))}, complex=True),
    Case("tensordot: none", lucid.tensordot, lambda x, y, axes: np.einsum("a,bc->abc", x, y),
         ((2,), (3, 4)), options={"axes": 0}),
    Case("vecdot", lucid.vecdot, lambda x, y: np.einsum("abc,bc->ab", x.conj(), y),
         ((2, 3, 4), (3, 4)), complex=True, integer=True, empty=((2, 3, 0), (3, 0)),
         signature="(k),(k)->()"),
    Case("vecdot: axis", lucid.vecdot, lambda x, y, axis: np.einsum("bac,bac->bc", x.conj(), y),
         ((2, 3, 4), (2, 3, 4)), options={"axis": -2}, complex=True),
    # linear algebra
    Case("linalg.solve", lucid.linalg.solve, _solve, ((3, 3), (3, 2)), (regular, normal),
         complex=True, kinked=True, empty=((0, 0), (0, 2)),
         signature="(n,n),(n,m)->(n,m)"),
    Case("linalg.solve: vector", lucid.linalg.solve, _solve, ((3, 3), (3,)), (regular, normal),
         complex=True, kinked=True, empty=((0, 0), (0,))),
    Case("linalg.solve: vector, matrices", lucid.linalg.solve, _solve, ((2, 3, 3), (3,)),
         (regular, normal), complex=True, kinked=True),
    Case("linalg.solve: batch", lucid.linalg.solve, _solve, ((2, 1, 3, 3), (4, 3, 2)),
         (regular, normal), complex=True, kinked=True, empty=((0, 3, 3), (3, 2))),
    Case("linalg.solve: one matrix", lucid.linalg.solve, _solve, ((2, 2), (3, 2, 2)),
         (regular, normal), complex=True, kinked=True),
    Case("linalg.cholesky", lucid.linalg.cholesky, _cholesky, ((3, 3),), (definite,), complex=True,
         kinked=True, empty=((0, 0),)),
    Case("linalg.cholesky: upper", lucid.linalg.cholesky, _cholesky, ((2, 3, 3),), (definite,),
         {"upper": True}, complex=True, kinked=True, empty=((0, 3, 3),)),
    Case("linalg.qr: square", lambda x: _product(*lucid.linalg.qr(x)), lambda x: x, ((3, 3),),
         (regular,), complex=True, kinked=True, of=lucid.linalg.qr, empty=((0, 0),)),
    Case("linalg.qr: tall", lambda x: _gram(lucid.linalg.qr(x)[0]), _projector, ((2, 4, 3),),
         complex=True, kinked=True, of=lucid.linalg.qr, empty=((0, 4, 3),)),
    Case("linalg.qr: wide", lambda x: _product(*lucid.linalg.qr(x)), lambda x: x, ((2, 3, 4),),
         complex=True, kinked=True, of=lucid.linalg.qr),
    Case("linalg.qr: complete", lambda x: _gram(lucid.linalg.qr(x, mode="complete")[0][..., 2:]),
         lambda x: np.eye(4) - _projector(x), ((4, 2),), complex=True, kinked=True,
         of=lucid.linalg.qr),
    Case("linalg.inv", lucid.linalg.inv, _inverse, ((3, 3),), (regular,), complex=True,
         kinked=True),
    Case("linalg.inv: stack", lucid.linalg.inv, of_matrices(_inverse), ((2, 1, 3, 3),), (regular,),
         complex=True, kinked=True),
    Case("linalg.pinv", lucid.linalg.pinv, _pseudo_inverse, ((4, 3),), complex=True, kinked=True),
    Case("linalg.pinv: wide", lucid.linalg.pinv, _pseudo_inverse, ((2, 3, 4),), (normal,),
         {"rtol": 1e-5}, complex=True, kinked=True),
    Case("linalg.matrix_power", lucid.linalg.matrix_power, _matrix_power, ((3, 3),), (regular,),
         {"n": 5}, complex=True, empty=((0, 0),)),
    Case("linalg.matrix_power: stack", lucid.linalg.matrix_power, _matrix_power, ((2, 3, 3),),
         (regular,), {"n": 2}, complex=True),
    Case("linalg.matrix_power: negative", lucid.linalg.matrix_power, _matrix_power, ((2, 3, 3),),
         (regular,), {"n": -3}, complex=True, kinked=True),
    Case("linalg.det", lucid.linalg.det, _determinant, ((3, 3),), (regular,), complex=True,
         empty=((0, 0),)),
    Case("linalg.det: stack", lucid.linalg.det, of_matrices(_determinant), ((2, 3, 3),), (normal,),
         complex=True),
    Case("linalg.det: singular", lucid.linalg.det, of_matrices(_determinant), ((2, 3, 3),),
         (singular,), order=3),
    Case("linalg.slogdet", lucid.linalg.slogdet,
         lambda x: (_sign(_determinant(x)), np.log(abs(_determinant(x)))), ((3, 3),), (regular,),
         kinked=True, empty=((0, 0),)),
    Case("linalg.slogdet: complex", lambda x: lucid.linalg.slogdet(lucid.multiply(x, 1 + 2j)),
         lambda x: (_sign(_determinant(x * (1 + 2j))), np.log(abs(_determinant(x * (1 + 2j))))),
         ((3, 3),), (regular,), complex=True, result="complex", kinked=True,
         of=lucid.linalg.slogdet),
    Case("linalg.eigh", lambda x: _spectral(*lucid.linalg.eigh(x)),
         lambda x: _exponential((x + _adjoint(x)) / 2), ((2, 3, 3),), (definite,), complex=True,
         kinked=True, of=lucid.linalg.eigh),
    Case("linalg.eigvalsh", lucid.linalg.eigvalsh,
         of_matrices(lambda x: sorted(np.real(np.linalg.eigvals((x + _adjoint(x)) / 2)))),
         ((2, 3, 3),), (definite,), complex=True, result="real", kinked=True),
    Case("linalg.eig", lambda x: _general(*lucid.linalg.eig(x)), lambda x: _exponential(x + 0j),
         ((2, 3, 3),), complex=True, result="complex", kinked=True, of=lucid.linalg.eig),
    Case("linalg.eigvals", lambda x: lucid.sum(lucid.linalg.eigvals(x) ** 3, axis=-1),
         lambda x: np.einsum("...ii", x @ x @ x) + 0j, ((2, 3, 3),), complex=True,
         result="complex", kinked=True, of=lucid.linalg.eigvals),
    Case("linalg.svd", lambda x: _fifth(*lucid.linalg.svd(x, full_matrices=False)),
         of_matrices(_fifth_power), ((2, 3, 3),), complex=True, kinked=True, of=lucid.linalg.svd),
    Case("linalg.svd: tall", lambda x: _fifth(*lucid.linalg.svd(x, full_matrices=False)),
         _fifth_power, ((4, 2),), complex=True, kinked=True,
         of=lucid.linalg.svd),
    Case("linalg.svd: wide", lambda x: _fifth(*lucid.linalg.svd(x)), _fifth_power, ((2, 4),),
         complex=True, kinked=True, of=lucid.linalg.svd),
    Case("linalg.svd: full", lambda x: _gram(lucid.linalg.svd(x)[0][..., 2:]),
         lambda x: np.eye(4) - _projector(x), ((4, 2),), complex=True, kinked=True,
         of=lucid.linalg.svd),
    Case("linalg.svdvals", lucid.linalg.svdvals, of_matrices(_singular), ((2, 4, 3),),
         complex=True, result="real", kinked=True),
    Case("linalg.svdvals: wide", lucid.linalg.svdvals, _singular, ((2, 4),), complex=True,
         result="real", kinked=True),
    Case("linalg.matrix_rank", lucid.linalg.matrix_rank, lambda x: np.array([2, 2]), ((2, 3, 3),),
         (singular,), order=0, empty=None),
    *[Case(f"linalg.vector_norm: {order}", lucid.linalg.vector_norm, over(_norm), (BLOCK,),
           (distinct,), {"ord": order, "axis": axis, "keepdims": keepdims}, complex=True,
           result="real", kinked=True, order=1 if order == 0 else 2)
      for order, axis, keepdims in [
          (2, None, False), (1, 1, False), (0, None, False), (math.inf, (0, 2), True),
          (-math.inf, 0, False), (3, -1, False), (4, None, True), (0.5, 1, False), (-1, 2, False),
          (-2.5, None, False)]],
    *[Case(f"linalg.matrix_norm: {order}", lucid.linalg.matrix_norm, of_matrices(_matrix_norm),
           ((2, 3, 4),), (normal,), {"ord": order, "keepdims": keepdims}, complex=True,
           result="real", kinked=True)
      for order, keepdims in [
          ("fro", False), ("nuc", True), (2, False), (-2, False), (1, True), (-1, False),
          (math.inf, False), (-math.inf, False)]],
    Case("linalg.diagonal", lucid.linalg.diagonal,
         lambda x: np.array([[a[k, k] for k in range(len(a))] for a in x]), (BLOCK,),
         complex=True, integer=True, empty=((2, 0, 4),)),
    Case("linalg.diagonal: below", lucid.linalg.diagonal,
         lambda x, offset: np.array([x[k + 1, k] for k in range(2)]), (MATRIX,),
         options={"offset": -1}),
    Case("linalg.diagonal: above", lucid.linalg.diagonal,
         lambda x, offset: np.array([x[k, k + 2] for k in range(2)]), (MATRIX,),
         options={"offset": 2}),
    Case("linalg.trace", lucid.linalg.trace,
         lambda x: np.array([sum(a[k, k] for k in range(len(a))) for a in x], x.dtype), (BLOCK,),
         complex=True, integer=True, empty=((2, 0, 4),)),
    Case("linalg.trace: offset", lucid.linalg.trace, lambda x, offset: x[0, 1] + x[1, 2] + x[2, 3],
         (MATRIX,), options={"offset": 1}),
    Case("linalg.cross", lucid.linalg.cross, _cross, ((3,), (3,)), complex=True, integer=True),
    Case("linalg.cross: axis", lucid.linalg.cross, _cross, ((3, 1), (2, 3, 4)),
         options={"axis": -2}, complex=True, empty=((3, 1), (2, 3, 0))),
    Case("linalg.outer", lucid.linalg.outer, lambda x, y: np.einsum("a,b->ab", x, y), ((3,), (4,)),
         complex=True, integer=True, empty=((0,), (3,))),
    # Fourier transforms
    Case("fft.fft", lucid.fft.fft, _fft, (BLOCK,), complex=True, result="complex"),
    Case("fft.fft: cut", lucid.fft.fft, _fft, (BLOCK,), options={"n": 2, "axis": 1,
         "norm": "ortho"}, complex=True, result="complex"),
    Case("fft.fft: filled up", lucid.fft.fft, _fft, (MATRIX,), options={"n": 5, "axis": 0,
         "norm": "forward"}, complex=True, result="complex"),
    Case("fft.ifft", lucid.fft.ifft, _ifft, (MATRIX,), complex=True, result="complex"),
    Case("fft.ifft: axis", lucid.fft.ifft, _ifft, (BLOCK,), options={"n": 4, "axis": 1,
         "norm": "ortho"}, complex=True, result="complex"),
    Case("fft.fftn", lucid.fft.fftn, _fftn, (BLOCK,), complex=True, result="complex"),
    Case("fft.fftn: axes", lucid.fft.fftn, _fftn, (BLOCK,), options={"s": (3, 5), "axes": (2, 0),
         "norm": "ortho"}, complex=True, result="complex"),
    Case("fft.ifftn", lucid.fft.ifftn, _ifftn, (MATRIX,), complex=True, result="complex"),
    Case("fft.ifftn: axes", lucid.fft.ifftn, _ifftn, (BLOCK,), options={"s": (-1, 5),
         "axes": (-1, 0), "norm": "forward"}, complex=True, result="complex"),
    Case("fft.rfft", lucid.fft.rfft, _rfft, (MATRIX,), result="complex"),
    Case("fft.rfft: odd", lucid.fft.rfft, _rfft, (BLOCK,), options={"n": 5, "axis": 1,
         "norm": "forward"}, result="complex"),
    Case("fft.rfft: cut", lucid.fft.rfft, _rfft, (MATRIX,), options={"n": 3, "norm": "ortho"},
         result="complex"),
    Case("fft.irfft", lucid.fft.irfft, _irfft, (MATRIX,), complex=True, result="real"),
    Case("fft.irfft: odd", lucid.fft.irfft, _irfft, (BLOCK,), options={"n": 5, "axis": 1,
         "norm": "ortho"}, complex=True, result="real"),
    Case("fft.irfft: cut", lucid.fft.irfft, _irfft, (MATRIX,), options={"n": 3, "norm": "forward"},
         complex=True, result="real"),
    Case("fft.irfft: filled up", lucid.fft.irfft, _irfft, (MATRIX,), options={"n": 10},
         complex=True, result="real"),
    Case("fft.rfftn", lucid.fft.rfftn, _rfftn, (BLOCK,), result="complex"),
    Case("fft.rfftn: axes", lucid.fft.rfftn, _rfftn, (BLOCK,), options={"s": (4, 3),
         "axes": (2, 0), "norm": "ortho"}, result="complex"),
    Case("fft.rfftn: whole", lucid.fft.rfftn, _rfftn, (MATRIX,), options={"s": (5, -1),
         "axes": (0, 1), "norm": "forward"}, result="complex"),
    Case("fft.irfftn", lucid.fft.irfftn, _irfftn, (MATRIX,), complex=True, result="real"),
    Case("fft.irfftn: axes", lucid.fft.irfftn, _irfftn, (BLOCK,), options={"s": (4, 5),
         "axes": (2, 1), "norm": "ortho"}, complex=True, result="real"),
    Case("fft.hfft", lucid.fft.hfft, _hfft, (MATRIX,), complex=True, result="real"),
    Case("fft.hfft: odd", lucid.fft.hfft, _hfft, (BLOCK,), options={"n": 7, "axis": 1,
         "norm": "forward"}, complex=True, result="real"),
    Case("fft.ihfft", lucid.fft.ihfft, _ihfft, (MATRIX,), result="complex"),
    Case("fft.ihfft: odd", lucid.fft.ihfft, _ihfft, (BLOCK,), options={"n": 5, "axis": 1,
         "norm": "ortho"}, result="complex"),
    Case("fft.fftshift", lucid.fft.fftshift, lambda x: np.roll(x, [k // 2 for k in x.shape],
         axis=range(x.ndim)), (BLOCK,), complex=True, integer=True, empty=((0, 3),)),
    Case("fft.ifftshift", lucid.fft.ifftshift, lambda x, axes: x[:, [1, 2, 0]], (BLOCK,),
         options={"axes": 1}, complex=True, integer=True),
    # parts and order
    Case("take", lucid.take, lambda x, k, axis: np.array([x[:, i] for i in k]).swapaxes(0, 1),
         (BLOCK, (5,)), (normal, below(3)), {"axis": 1}, complex=True, empty=((2, 3, 0), (5,))),
    Case("take: line", lucid.take, lambda x, k: np.array([x[i] for i in k]), ((4,), (6,)),
         (normal, below(4)), empty=((4,), (0,))),
    Case("take_along_axis", lucid.take_along_axis, lambda x, k, axis: np.array(
            [[x[k[a, b], b] for b in range(4)] for a in range(2)]),
         (MATRIX, (2, 4)), (normal, below(3)), {"axis": 0}),
    Case("sort", lucid.sort, lambda x: np.array([sorted(r) for r in x.tolist()]),
         (MATRIX,), (distinct,), integer=True, empty=((3, 0),), kinked=True),
    Case("sort: descending", lucid.sort, lambda x, axis, descending: np.array(
            [sorted(r, reverse=True) for r in x.T.tolist()]).T,
         (MATRIX,), (distinct,), {"axis": 0, "descending": True}, kinked=True),
    Case("argsort", lucid.argsort, lambda x: np.array(
            [sorted(range(4), key=r.__getitem__) for r in x.tolist()]),
         (MATRIX,), (distinct,), order=0),
    Case("argmax", lucid.argmax, lambda x, axis: np.array([r.index(max(r)) for r in x.tolist()]),
         (MATRIX,), (distinct,), {"axis": 1}, order=0),
    Case("argmin", lucid.argmin, lambda x: np.array(x.ravel().tolist().index(x.min())),
         (MATRIX,), (distinct,), order=0),
    Case("count_nonzero", lucid.count_nonzero, over(lambda row: sum(v != 0 for v in row)),
         (BLOCK,), (integers,), {"axis": (0, 2)}, order=0, empty=((0, 3, 2),)),
    Case("count_nonzero: all", lucid.count_nonzero, over(lambda row: sum(row)), (MATRIX,),
         (truth,), {"keepdims": True}, order=0),
    Case("nonzero", lucid.nonzero, lambda x: tuple(np.array(each) for each in zip(
            *[(a, b) for a in range(3) for b in range(4) if x[a, b]], strict=True)),
         (MATRIX,), (integers,), order=0),
    Case("searchsorted", lucid.searchsorted, lambda x, v: np.array(
            [[sum(a < b for a in x.tolist()) for b in row] for row in v.tolist()]),
         ((6,), (3, 4)), (lambda r, s: np.sort(distinct(r, s)), normal), order=0,
         empty=((0,), (2, 0))),
    Case("searchsorted: right", lucid.searchsorted, lambda x, v, side: np.array(
            [sum(a <= b for a in x.tolist()) for b in v.tolist()]),
         ((6,), (5,)), (lambda r, s: np.sort(integers(r, s)), integers), {"side": "right"},
         order=0),
    Case("topk", lucid.topk, lambda x, k: tuple(np.array(each) for each in zip(*[
            zip(*sorted(((v, i) for i, v in enumerate(r)), reverse=True)[:3], strict=True)
            for r in x.tolist()], strict=True)),
         (MATRIX,), (distinct,), {"k": 3}, kinked=True),
    Case("topk: smallest", lucid.topk, lambda x, k, axis, largest: (
            np.array(sorted(x.tolist())[:2]),
            np.array(sorted(range(5), key=x.tolist().__getitem__)[:2])),
         (LINE,), (distinct,), {"k": 2, "axis": 0, "largest": False}, kinked=True),
    # sets
    Case("unique_all", lucid.unique_all, lambda x: _unique(x), (MATRIX,), (distinct,),
         complex=True, kinked=True, empty=((0, 3),)),
    Case("unique_counts", lucid.unique_counts, lambda x: _unique(x)[::3], (MATRIX,), (distinct,),
         complex=True, kinked=True),
    Case("unique_inverse", lucid.unique_inverse, lambda x: _unique(x)[::2], (MATRIX,), (distinct,),
         complex=True, kinked=True),
    Case("unique_values", lucid.unique_values, lambda x: _unique(x)[0], (MATRIX,), (distinct,),
         complex=True, integer=True, kinked=True),
    Case("isin", lucid.isin, lambda x, y: each(lambda v: v in y.tolist())(x),
         (MATRIX, (3,)), (integers,), order=0, empty=((0, 3), (2,))),
    Case("isin: invert", lucid.isin, lambda x, y, invert: np.array([v not in y for v in x]),
         (LINE, (3,)), (integers,), {"invert": True}, order=0),
    # the bilinear form; test_bilinear.py has the rest
    Case("bilinear", F.bilinear, _bilinear, ((2, 3), (2, 4), (5, 3, 4), (1, 5)), complex=True,
         integer=True, empty=((0, 3), (0, 4), (5, 3, 4), (5,))),
    Case("bilinear: pairs", F.bilinear, _bilinear, ((2, 1, 3), (4, 2), (5, 3, 2), (5,)),
         complex=True),
    Case("bilinear: linear terms", _with_terms,
         lambda x1, x2, w, b, w1, w2: _bilinear(x1, x2, w, b) + _matmul(x1, w1.T)
         + _matmul(x2, w2.T),
         ((2, 1, 3), (4, 2), (5, 3, 2), (5,), (5, 3), (5, 2)), complex=True, integer=True,
         empty=((0, 3), (0, 2), (5, 3, 2), (5,), (5, 3), (5, 2)), of=F.bilinear),
    # the other functions of networks; test_losses.py and test_nn.py have the rest
    Case("bilinear_logsumexp", F.bilinear_logsumexp, _log_total,
         ((3, 2), (4, 3), (2, 2, 3), (2,)), empty=((0, 2), (4, 3), (2, 2, 3), (2,))),
    Case("bilinear_cross_entropy", F.bilinear_cross_entropy, _pairs_loss,
         ((3, 2), (4, 3), (2, 2, 3)), options={"target": [1, 3, 0]}),
    Case("bilinear_topk", lambda x1, x2, weight, k: F.bilinear_topk(x1, x2, weight, k=k).values,
         lambda x1, x2, w, k: _top_pairs(x1, x2, w, k)[0], ((3, 2), (4, 3), (2, 2, 3)),
         options={"k": 2}, of=F.bilinear_topk),
    Case("bilinear_max", lambda x1, x2, weight: F.bilinear_max(x1, x2, weight).values,
         lambda x1, x2, w: _top_pairs(x1, x2, w, 1)[0][..., 0],
         ((3, 2), (4, 3), (2, 2, 3)), of=F.bilinear_max),
    Case("bilinear_rank", F.bilinear_rank, _rank_of,
         ((3, 2), (4, 3), (2, 2, 3)), options={"target": [1, 3, 0]}, order=0),
    Case("linear", F.linear, lambda x, w, b: _matmul(x, w.T) + b, ((2, 3, 4), (5, 4), (5,)),
         complex=True, integer=True, empty=((0, 4), (5, 4), (5,))),
    Case("linear: no bias", F.linear, lambda x, w: _matmul(x, w.T), ((4,), (5, 4)), complex=True),
    _activation("relu", lambda x: max(x, 0.0)),
    _activation("leaky_relu", lambda x: x if x > 0 else 0.1 * x, negative_slope=0.1),
    _activation("elu", lambda x: x if x > 0 else 1.5 * math.expm1(x), alpha=1.5),
    _activation("softplus", lambda x: math.log1p(math.exp(2 * x)) / 2, beta=2.0),
    _activation("silu", lambda x: x * _sigmoid(x)),
    _activation("gelu", lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2),
    _activation("gelu", lambda x: x * (1 + math.tanh(math.sqrt(2 / math.pi)
                * (x + 0.044715 * x**3))) / 2, approximate="tanh"),
    Case("softmax", F.softmax, lambda x: np.array([_softmax(row) for row in x.tolist()]),
         (MATRIX,), empty=((3, 0),)),
    Case("softmax: axis", F.softmax, lambda x, axis: np.array(
            [_softmax(row) for row in x.T.tolist()]).T, (MATRIX,), options={"axis": 0}),
    Case("log_softmax", F.log_softmax,
         lambda x: np.array([list(map(math.log, _softmax(row))) for row in x.tolist()]), (MATRIX,),
         empty=((3, 0),)),
    Case("layer_norm", F.layer_norm, lambda x, normalized_shape: np.array(
            [[(v - np.mean(r)) / math.sqrt(_variance(r) + 1e-5) for v in r] for r in x.tolist()]),
         (MATRIX,), options={"normalized_shape": 4}),
    Case("one_hot", F.one_hot, lambda k, num_classes: np.eye(num_classes, dtype="i8")[k],
         (MATRIX,), (below(4),), {"num_classes": 4}, order=0, empty=((0, 3),)),
    Case("embedding", F.embedding, lambda k, w: w[k],
         ((2, 3), (4, 5)), (below(4), normal), complex=True, empty=((0, 3), (4, 5))),
    Case("mse_loss", F.mse_loss, lambda x, t: over(_mean)((x - t) ** 2), (MATRIX, MATRIX)),
    Case("mse_loss: none", F.mse_loss, lambda x, t, reduction: (x - t) ** 2, (MATRIX, MATRIX),
         options={"reduction": "none"}, empty=((0, 3), (0, 3))),
    Case("l1_loss", F.l1_loss, lambda x, t, reduction: over(sum)(np.abs(x - t)), (MATRIX, MATRIX),
         options={"reduction": "sum"}),
    Case("binary_cross_entropy_with_logits", F.binary_cross_entropy_with_logits,
         lambda x, t: over(_mean)(each(lambda x, t: -t * math.log(_sigmoid(x))
            - (1 - t) * math.log(1 - _sigmoid(x)))(x, t)), (MATRIX, MATRIX)),
    Case("cross_entropy", F.cross_entropy, lambda x, k: np.array(_mean(
            [-math.log(_softmax(row)[i]) for row, i in zip(x.tolist(), k, strict=True)])),
         (MATRIX, (3,)), (normal, below(4))),
    Case("nll_loss", F.nll_loss, lambda x, k: np.array(_mean([-x[n, i] for n, i in enumerate(k)])),
         (MATRIX, (3,)), (normal, below(4))),
]  # fmt: skip

DIFFERENTIABLE = [case for case in CASES if case.order]

# What is public in `lucid`, `lucid.nn.functional` and the standard's extensions, and has no line
# above, by the reason.
NOT_OPERATIONS: dict[str, set[str]] = {
    "makes arrays of none: test_tensor.py, test_backends.py": {
        "arange", "asarray", "empty", "eye", "from_dlpack", "full", "linspace", "ones", "zeros",
    },
    "has no values, or takes any number of arrays: test_standard.py": {"empty_like", "meshgrid"},
    "is about dtypes: test_standard.py": {
        "can_cast", "finfo", "iinfo", "isdtype", "result_type",
    },
    "makes arrays of none: test_fft.py": {"fftfreq", "rfftfreq"},
    "draws random numbers: test_tensor.py, test_nn.py": {
        "Generator", "dropout", "manual_seed", "rand", "randint", "randn", "randperm",
    },
    "is the tape's: test_tape.py, test_recording.py, test_op.py": {
        "Tensor", "detect_anomaly", "enable_grad", "grad", "is_grad_enabled", "no_grad", "op",
    },
    "is an error: test_errors.py, test_public.py": {
        "AnomalyError", "ArgumentError", "DTypeError", "GraphError", "LibraryError", "LucidError",
        "OutOfRangeError", "ShapeError",
    },
    "reads or writes a file: test_files.py": {"load", "save"},
    "is many operations, or no operation: test_einsum.py, test_batches.py, test_ops.py": {
        "batches", "broadcast_shapes", "einsum",
    },
    "is a setting: test_native.py": {"get_num_threads", "set_num_threads", "show_config"},
}  # fmt: skip
