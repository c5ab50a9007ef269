"""The bilinear form: this operation and `_contractions`, its gradients, which record each other.

`kernels/_closure.py` says what the gradients of both are made of.
"""

from __future__ import annotations

import functools
import operator
from math import prod
from typing import Any

import numpy as np

from .._addend import Addend
from .._arrays import Array, is_half, namespace
from .._errors import LibraryError
from .._op import op
from .._tape import Tracked
from .._wide import converted, widened
from ..kernels import _native
from ..kernels._arguments import Needed, check, promoted, refuse_beside
from ..kernels._closure import derivatives, spread
from ..kernels._dispatch import bilinear as kernel, gradients, gradients_otherwise, otherwise
from ._movement import matrix_transpose, reshape
from ._products import matmul
from ._reduce import sum
from ._rows import bilinear_of_rows

Shape = tuple[int, ...]

_compiled = _native.bilinear


def _keeping(
    tracked: int, input_1: Array, input_2: Array, weight: Array, bias: Array | None
) -> tuple[Array, Any]:
    """The form, and for its gradients the shapes of the call and a product that spares them one."""
    found = _native.bilinear_keeping(input_1, input_2, weight, bias, _NEEDED[tracked & 7])
    if found is None:
        check(input_1, input_2, weight, bias)
        found = otherwise(input_1, input_2, weight, bias), None
    out, product = found
    return out, (product, input_1.shape, input_2.shape, None if bias is None else bias.shape)


# Which gradients are needed, for each set of bits
_NEEDED = [(bool(bits & 1), bool(bits & 2), bool(bits & 4)) for bits in range(8)]


def _with_keywords(
    input_1: Array, input_2: Array, weight: Array, bias: Array | None = None, *,
    weight_1: Array | None = None, weight_2: Array | None = None, group: Array | None = None,
    offsets: Array | None = None, index_1: Array | None = None, index_2: Array | None = None,
    segment: Array | None = None, num_segments: int | None = None, out: Array | None = None,
) -> Any:  # fmt: skip
    """`bilinear` where one of the keywords is given."""
    maps: dict[str, Any] = {
        "group": group, "offsets": offsets, "index_1": index_1, "index_2": index_2,
        "segment": segment, "num_segments": num_segments,
    }  # fmt: skip
    terms = {"weight_1": weight_1, "weight_2": weight_2}
    if out is not None:
        refuse_beside("out", {**maps, **terms})
        return _into(input_1, input_2, weight, bias, out)
    if any(each is not None for each in maps.values()):
        return bilinear_of_rows(input_1, input_2, weight, bias, **terms, **maps)
    form: Any = bilinear if weight_1 is weight_2 is None else functools.partial(_bilinear, **terms)
    return form(input_1, input_2, weight, bias)


def _into(input_1: Array, input_2: Array, weight: Array, bias: Array | None, out: Array) -> Array:
    given = {"input_1": input_1, "input_2": input_2, "weight": weight, "bias": bias, "out": out}
    for name, each in given.items():
        if isinstance(each, Tracked):
            raise LibraryError(
                f"bilinear: out= is for NumPy arrays, and {name} is a Tensor, whose values nothing "
                "writes to; leave out= away, or give the arrays"
            )
    check(input_1, input_2, weight, bias)
    return kernel(input_1, input_2, weight, bias, out=out)


@op(halves=True, keeping=_keeping, keywords=_with_keywords)
def bilinear(input_1: Array, input_2: Array, weight: Array, bias: Array | None = None) -> Array:
    """Weigh every product of a feature of `input_1` with a feature of `input_2`.

        out[..., o] = Σ_ij input_1[..., i] · weight[o, i, j] · input_2[..., j] + bias[o]

    Shapes: `input_1` (..., in1_features), `input_2` (..., in2_features), `weight` (out_features,
    in1_features, in2_features), `bias` (out_features,) or (1, out_features) or None; the result is
    (..., out_features). The leading axes of the inputs broadcast, without ever being expanded:
    (B, T, 1, in1) with (B, 1, T, in2) scores all pairs. Any size may be 0.

    With `weight_1` (out_features, in1_features) and `weight_2` (out_features, in2_features), or one
    of them, the linear terms Σ_i input_1[..., i] · weight_1[o, i] and Σ_j input_2[..., j] ·
    weight_2[o, j] are added, each computed once for each row of its input; halves are then
    copied to float32.

    Every dtype works; mixed ones promote by the array API standard, and float16 and bfloat16 add up
    in float32. The time is that of one matrix product of 2 · N · out · in1 · in2 operations, the
    memory beside arguments and results at most 64 MiB on the CPU; see `lucid.kernels.plan`. Where
    gradients will be asked for, a product of one input with the weight is kept for them if it is at
    most 16 MiB and spares them one (few outputs, and pairs).

    The other keywords say of each row e (docs/edges.md) which weight it has, by `group`[e] or,
    where rows of a group lie side by side, by `offsets` (groups + 1,): `weight`, `weight_1` and
    `weight_2` then have a first axis more, groups, and `bias` may; that it takes the rows
    `index_1`[e] of `input_1` and `index_2`[e] of `input_2`; and that it is added to the row
    `segment`[e] of a result (`num_segments`, out_features). Nothing is gathered as a whole.

    `out` is a NumPy array for the result, of its shape and dtype, where all arguments are NumPy's:
    it is returned, and nothing is recorded.

    Raises ShapeError, with the name of the axis, where sizes do not fit, OutOfRangeError for a
    group, an index or a segment that there is not, and DTypeError where they are no integers.

    >>> F.bilinear(lucid.ones((2, 3)), lucid.ones((2, 4)), lucid.ones((5, 3, 4))).shape
    (2, 5)
    >>> nodes, edges = lucid.ones((4, 3)), lucid.ones((6, 2))
    >>> F.bilinear(nodes, edges, lucid.ones((5, 3, 2)), index_1=[0, 1, 1, 2, 3, 0],
    ...            segment=[1, 0, 2, 3, 0, 2], num_segments=4).shape
    (4, 5)
    """
    # The compiled kernel checks every size by itself; what it declines is checked in words.
    out = _compiled(input_1, input_2, weight, bias)
    if out is not None:
        return out
    check(input_1, input_2, weight, bias)
    return otherwise(input_1, input_2, weight, bias)


# These libraries have an autograd of their own.
bilinear.hand_over(torch="lucid.torch", jax="lucid.jax")


@bilinear.gradients(
    input_1=("input_2", "weight"),
    input_2=("input_1", "weight"),
    weight=("input_1", "input_2"),
    bias=(),
)
def _bilinear_gradients(
    g: Array,
    input_1: Array | None,
    input_2: Array | None,
    weight: Array | None,
    kept: tuple[Any, Shape, Shape, Shape | None],
    needed: Any,
) -> tuple[Array | None, ...]:
    product, input_1_shape, input_2_shape, bias_shape = kept
    if not isinstance(g, Tracked):  # nothing to record
        first = input_1_shape if input_1 is None else input_1
        second = input_2_shape if input_2 is None else input_2
        if input_2_shape[-1] >= _MANY and input_1_shape[-1] >= _MANY and needed.weight:
            addend = _weight_addend(g, first, second)
            if addend is not None:
                others = needed._replace(weight=False)
                found = _bilinear_gradients(g, input_1, input_2, weight, kept, others)
                return *found[:2], addend, found[3]
        found = _native.gradients_kept(g, first, second, weight, needed, product)
        if found is None:
            found = gradients_otherwise(g, first, second, weight, needed, as_arguments=True)
            if len(found) == 3:
                found = *found, None
        if needed.bias and (found[3] is None or len(bias_shape or ()) != 1):
            return *found[:3], _sum_rows(g, bias_shape or ())
        return found  # type: ignore[no-any-return]
    asked = needed[:3]
    d_bias = _sum_rows(g, bias_shape or ()) if needed.bias else None
    if True not in asked:
        return None, None, None, d_bias
    found = _contractions(g, input_1, input_2, weight, input_1_shape, input_2_shape, asked)
    return *spread(found, asked), d_bias


_MANY = 32  # features; with fewer it is not looked whether a weight is large
_LARGE_WEIGHT = 1 << 20  # bytes
_ONLY_WEIGHT = (False, False, True)


def _weight_addend(g: Array, input_1: Array, input_2: Array) -> Addend | None:
    """The gradient of a large weight, of rows that the kernel takes, which can be added to another.

    That of pairs shares a product with those of the inputs.
    """
    dtype = g.dtype
    if (
        not type(g) is type(input_1) is type(input_2) is np.ndarray
        or not dtype == input_1.dtype == input_2.dtype
        or dtype.char not in "fd"
        or not g.shape[:-1] == input_1.shape[:-1] == input_2.shape[:-1]
    ):
        return None
    shape = g.shape[-1], input_1.shape[-1], input_2.shape[-1]
    if prod(shape) * dtype.itemsize < _LARGE_WEIGHT:
        return None

    def array() -> Array:
        return gradients(g, input_1, input_2, None, _ONLY_WEIGHT)[2]

    def add_to(total: Array) -> bool:
        out = None, None, total
        found = _native.gradients_into(g, input_1, input_2, None, _ONLY_WEIGHT, out, True)
        return found is not None

    return Addend(shape, dtype, array, add_to)


def _sum_rows(g: Array, shape: Shape) -> Array:
    return reshape(sum(g, axis=tuple(range(len(g.shape) - 1))), shape)


@op(halves=True)
def _contractions(
    dy: Array,
    x1: Array | None,
    x2: Array | None,
    weight: Array | None,
    shape_1: Any,
    shape_2: Any,
    asked: Needed,
) -> tuple[Array, ...]:
    """The gradients of `bilinear`, given that of its result: those asked for, as a tuple.

    dx1[..., i] = Σ_oj dy[..., o] · W[o, i, j] · x2[..., j]
    dx2[..., j] = Σ_oi dy[..., o] · W[o, i, j] · x1[..., i]
    dW[o, i, j] = Σ_...  dy[..., o] · x1[..., i] · x2[..., j]
    """
    first = shape_1 if x1 is None else x1
    second = shape_2 if x2 is None else x2
    found = gradients(dy, first, second, weight, asked)
    return tuple(each for each, wanted in zip(found, asked, strict=True) if wanted)


_everything = ("x1", "x2", "weight", "shape_1", "shape_2", "asked")


@_contractions.gradients(
    dy=_everything, x1=("dy", *_everything), x2=("dy", *_everything), weight=("dy", *_everything)
)
def _contractions_gradients(
    g: tuple[Array, ...],
    dy: Array,
    x1: Array | None,
    x2: Array | None,
    weight: Array | None,
    shape_1: Shape,
    shape_2: Shape,
    asked: Needed,
    needed: Any,
) -> tuple[Array | None, ...]:
    def contract(dy: Array, x1: Array, x2: Array, weight: Array, asked: Needed) -> Any:
        return spread(_contractions(dy, x1, x2, weight, shape_1, shape_2, asked), asked)

    wanted = needed.dy, needed.x1, needed.x2, needed.weight
    changes = None, *spread(g, asked)
    return tuple(derivatives(bilinear, contract, (dy, x1, x2, weight), changes, wanted))


# ------------------------------------------------------------------------------- linear terms


@op
def _bilinear(
    input_1: Array, input_2: Array, weight: Array, bias: Array | None, *,
    weight_1: Array | None, weight_2: Array | None,
) -> Array:  # fmt: skip
    """The form with linear terms: its rules get float32 in the place of halves, as others do."""
    check(input_1, input_2, weight, bias, weight_1, weight_2)
    given = [x for x in (input_1, input_2, weight, bias, weight_1, weight_2) if x is not None]
    xp = namespace(*given)
    dtype = promoted(xp, tuple(given))
    wide = xp.float32 if is_half(dtype) else dtype  # nothing is rounded before it is added
    if is_half(dtype):
        input_1, input_2, bias = map(widened, (input_1, input_2, bias))
    weight = converted(weight, wide)  # what the others are then promoted to
    terms = [
        xp.matmul(converted(x, wide), xp.matrix_transpose(converted(matrix, wide)))
        for x, matrix in ((input_1, weight_1), (input_2, weight_2))
        if matrix is not None
    ]
    return converted(_added(kernel(input_1, input_2, weight, bias), terms), dtype)


def _added(out: Array, terms: list[Array]) -> Array:
    """The sum, in the memory of `out`, which nobody else has, where that has its dtype.

    All terms are added to a part while it is in the cache.
    """
    if type(out) is not np.ndarray or out.ndim < 2 or np.result_type(out, *terms) != out.dtype:
        return functools.reduce(operator.add, terms, out)
    terms = [term.reshape((1,) * (out.ndim - term.ndim) + term.shape) for term in terms]
    step = max(1, PART // max(out[:1].size, 1))
    for start in range(0, len(out), step):
        part = slice(start, start + step)
        for term in terms:
            out[part] += term[part] if len(term) > 1 else term
    return out


PART = 1 << 16
"""Numbers of a result that are added to at a time."""


_bilinear.hand_over(torch="lucid.torch", jax="lucid.jax")


@_bilinear.gradients(
    input_1=("input_2", "weight", "weight_1", "input_1_shape", "input_2_shape"),
    input_2=("input_1", "weight", "weight_2", "input_1_shape", "input_2_shape"),
    weight=("input_1", "input_2", "input_1_shape", "input_2_shape"),
    bias=("bias_shape",),
    weight_1=("input_1", "input_1_shape"),
    weight_2=("input_2", "input_2_shape"),
)
def _bilinear_with_terms_gradients(
    g: Array, input_1: Array | None, input_2: Array | None, weight: Array | None,
    weight_1: Array | None, weight_2: Array | None,
    input_1_shape: Shape, input_2_shape: Shape, bias_shape: Shape | None, needed: Any,
) -> tuple[Array | None, ...]:  # fmt: skip
    asked = (needed.input_1, needed.input_2, needed.weight)
    found: Any = ()
    if any(asked):
        found = _contractions(g, input_1, input_2, weight, input_1_shape, input_2_shape, asked)
    d_1, d_2, d_weight = spread(found, asked)
    d_bias = _sum_rows(g, bias_shape or ()) if needed.bias else None
    d_1, d_weight_1 = _of_a_term(
        g, input_1, input_1_shape, weight_1 if needed.input_1 else None, d_1, needed.weight_1
    )
    d_2, d_weight_2 = _of_a_term(
        g, input_2, input_2_shape, weight_2 if needed.input_2 else None, d_2, needed.weight_2
    )
    return d_1, d_2, d_weight, d_bias, d_weight_1, d_weight_2


def _of_a_term(
    g: Array, x: Array | None, shape: Shape, matrix: Array | None, d_x: Array | None, needed: bool
) -> tuple[Array | None, Array | None]:
    """The gradient of an input, with that of its linear term, and of that term's matrix.

    dx[..., i] += Σ_o g[..., o] · W[o, i], where g is summed over the axes that x has not
    dW[o, i] = Σ_... g[..., o] · x[..., i]
    """
    if matrix is None and not needed:
        return d_x, None
    new = len(g.shape) - len(shape)
    wide = (new + k for k, size in enumerate(shape[:-1]) if size == 1 != g.shape[new + k])
    axes = (*range(new), *wide)
    rows = reshape(sum(g, axis=axes) if axes else g, (prod(shape[:-1]), g.shape[-1]))
    if matrix is not None:
        term = reshape(matmul(rows, matrix), shape)
        d_x = term if d_x is None else d_x + term
    if not needed:
        return d_x, None
    return d_x, matmul(matrix_transpose(rows), reshape(x, (rows.shape[0], shape[-1])))
