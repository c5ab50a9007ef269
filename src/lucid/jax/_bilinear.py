"""The function that users call: checks, dtypes, devices, and leading axes side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import jax
import jax.numpy as jnp

from .._errors import LucidError
from .._shapes import broadcast_shapes
from ..kernels._arguments import check
from ..kernels._rows import rows_of
from . import _rows
from ._form import contract
from ._parts import varying

Array = Any


def bilinear(
    input_1: Array, input_2: Array, weight: Array, bias: Array | None = None, *,
    weight_1: Array | None = None, weight_2: Array | None = None, group: Array | None = None,
    offsets: Array | None = None, index_1: Array | None = None, index_2: Array | None = None,
    segment: Array | None = None, num_segments: int | None = None,
) -> Array:  # fmt: skip
    """Weigh every product of a feature of `input_1` with a feature of `input_2`.

        out[..., o] = Σ_ij input_1[..., i] · weight[o, i, j] · input_2[..., j] + bias[o]

    Shapes: `input_1` (..., in1_features), `input_2` (..., in2_features), `weight` (out_features,
    in1_features, in2_features), `bias` (out_features,) or (1, out_features) or None; the result is
    (..., out_features). The leading axes of the inputs broadcast, without ever being expanded:
    (B, T, 1, in1) with (B, 1, T, in2) scores all pairs. Any size may be 0.

    With `weight_1` (out_features, in1_features) and `weight_2` (out_features, in2_features), or one
    of them, the linear terms Σ_i input_1[..., i] · weight_1[o, i] and Σ_j input_2[..., j] ·
    weight_2[o, j] are added, each computed once for each row of its input, or of the call where one
    of the other keywords chooses these.

    Every dtype works; mixed ones promote as JAX does, and float16 and bfloat16 add up in float32.
    All of JAX's transformations apply, to every order; a complex gradient is JAX's, the conjugate
    of PyTorch's. What JAX's own functions take for an array, such as an `nnx.Param`, is one here.

    The other keywords choose the weight and the rows of the inputs for each row of the call, and
    sum its results by target, as in `lucid.nn.functional.bilinear`. Under `jax.jit` numbers out of
    range cannot be seen; they do as JAX's indexing does.

    Raises ShapeError, with the name of the axis, where sizes do not fit.

    >>> import jax.numpy as jnp
    >>> import lucid.jax
    >>> lucid.jax.bilinear(jnp.ones((2, 3)), jnp.ones((2, 4)), jnp.ones((5, 3, 4))).shape
    (2, 5)
    """
    factors: tuple[Array | None, ...] = (
        input_1, input_2, weight, bias, weight_1, weight_2,
    )  # fmt: skip
    if not (group is offsets is index_1 is index_2 is segment is None and num_segments is None):
        maps = {
            "group": group, "offsets": offsets, "index_1": index_1, "index_2": index_2,
            "segment": segment,
        }  # fmt: skip
        return _of_rows([x if x is None else _array(x) for x in factors], maps, num_segments)
    if not all(x is None or isinstance(x, jax.Array) for x in factors):
        check(*factors)
        factors = tuple(x if x is None else _array(x) for x in factors)
    given = factors[:3] if bias is None else factors[:4]
    try:
        if weight_1 is None and weight_2 is None:
            return _compiled(*given)
        return _compiled(*given, **_terms(*factors[4:]))
    except LucidError as error:
        vars(error).pop("__notes__", None)  # what JAX says of its own frames
        raise


def _of_rows(
    factors: Sequence[Array | None], maps: Mapping[str, Array | None], num_segments: int | None
) -> Array:
    arrays: dict[str, Any] = {
        name: each if each is None else jnp.asarray(each) for name, each in maps.items()
    }
    x1, x2, weight, bias, *matrices = factors
    terms = _terms(*matrices)
    rows = rows_of(x1, x2, weight, bias, **terms, **arrays, num_segments=num_segments)
    return _rows.contract(
        x1, x2, weight, bias, terms, rows.maps, rows.offsets, product=_bilinear, shape=rows.shape,
        sizes=rows.sizes,
    )  # fmt: skip


def _terms(weight_1: Array | None, weight_2: Array | None) -> dict[str, Array]:
    """The matrices of linear terms that are there."""
    matrices = {"weight_1": weight_1, "weight_2": weight_2}
    return {name: matrix for name, matrix in matrices.items() if matrix is not None}


def _array(x: Array) -> Array:
    """What stands for an array says which; a tracer has None in the place of that method."""
    convert = getattr(x, "__jax_array__", None)
    return x if convert is None else convert()


def _bilinear(*given: Array, **terms: Array) -> Array:
    check(*given, *(None,) * (4 - len(given)), **terms)  # while JAX traces it, not with each call
    meshes = [jax.typeof(x).sharding.mesh for x in (*given, *terms.values())]
    mesh = next((mesh for mesh in meshes if mesh.explicit_axes), None)
    if mesh is None:
        return _product(*given, **terms)
    # Where the types say how arrays are divided, they say it of the result; inside is free.
    divided = jax.sharding.NamedSharding(mesh, _divided(*given[:3]))
    return jax.sharding.auto_axes(_product, axes=mesh.explicit_axes, out_sharding=divided)(
        *given, **terms
    )


_compiled: Any = jax.jit(_bilinear)


def _product(*given: Array, **terms: Array) -> Array:
    dtype = jnp.result_type(*given, *terms.values())
    working = jnp.dtype(jnp.int32) if dtype == jnp.bool_ else dtype
    if terms and dtype in (jnp.float16, jnp.bfloat16):  # which several terms would round, each
        working = jnp.dtype(jnp.float32)
    arrays = [*given, *terms.values()]
    if jnp.issubdtype(dtype, jnp.complexfloating):  # JAX knows which parts of gradients are real
        arrays = [jnp.asarray(x, dtype) for x in arrays]
    input_1, input_2, weight, *others = varying(*map(jnp.asarray, arrays))
    bias, matrices = others[: len(given) - 3], others[len(given) - 3 :]
    leading = broadcast_shapes(input_1.shape[:-1], input_2.shape[:-1])
    types = (
        jax.ShapeDtypeStruct((*leading, weight.shape[0]), working),
        *(jax.ShapeDtypeStruct(x.shape, x.dtype) for x in (input_1, input_2, weight)),
    )
    (out,) = contract((None, input_1, input_2, weight), (0,), types)
    if bias:
        out = out + jnp.reshape(bias[0], (weight.shape[0],)).astype(working)
    inputs = {"weight_1": input_1, "weight_2": input_2}
    for name, matrix in zip(terms, matrices, strict=True):
        x = inputs[name]
        out = out + jnp.einsum("...i,oi->...o", x, matrix, preferred_element_type=working)
    return out.astype(dtype)


def _divided(*factors: Array) -> jax.sharding.PartitionSpec:
    """How the result is divided: its leading axes as those of the inputs, outputs as the weight."""
    specs = [tuple(jax.typeof(x).sharding.spec) for x in factors]
    pairs = zip_longest(*(reversed(spec[:-1]) for spec in specs[:2]))
    leading = [first if first is not None else second for first, second in pairs][::-1]
    outputs = specs[2][0] if specs[2][0] not in leading else None
    return jax.sharding.PartitionSpec(*leading, outputs)
