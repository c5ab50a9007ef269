"""What every integration asks of arguments: their shapes, in words, and what they promote to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._arrays import Array, DType, Namespace, common_dtype, dtype_name, is_half, plain_array
from .._errors import ArgumentError, DTypeError, LibraryError, ShapeError
from .._shapes import Shape, bind_axes
from ._plan import Needed as Needed

Gradients = tuple[Array, Array, Array]

ALL: Needed = (True, True, True)


def check(
    input_1: Array, input_2: Array, weight: Array, bias: Array | None,
    weight_1: Array | None = None, weight_2: Array | None = None,
) -> None:  # fmt: skip
    """Raise ShapeError, with the name of the axis, where sizes do not fit; refuse masked arrays."""
    given = {
        "input_1": input_1, "input_2": input_2, "weight": weight, "bias": bias,
        "weight_1": weight_1, "weight_2": weight_2,
    }  # fmt: skip
    for name, array in given.items():
        check_array(name, array)
    if not _fit(input_1, input_2, weight):
        bind_axes(
            "bilinear",
            input_1=(input_1, "... in1_features"),
            input_2=(input_2, "... in2_features"),
            weight=(weight, "out_features in1_features in2_features"),
        )
    check_terms(weight, weight_1, weight_2)
    if bias is not None:
        check_bias("bilinear", weight, bias)


def check_array(name: str, array: Any) -> None:
    """Refuse masked arrays and what holds no numbers; what is no array is told with its axes."""
    if type(array) is not np.ndarray:
        plain_array("bilinear", name, array)
    elif array.dtype.kind in "OSUMm":
        raise DTypeError(
            f"bilinear: {name} has dtype {array.dtype}, expected numbers; convert it, for example "
            "to float32"
        )


def check_terms(
    weight: Array, weight_1: Array | None, weight_2: Array | None, has_groups: bool = False
) -> None:
    """Raise ShapeError where the matrix of a linear term does not fit the weight."""
    axes = "groups out_features" if has_groups else "out_features"
    whole = (weight, f"{axes} in1_features in2_features")
    if weight_1 is not None:
        bind_axes("bilinear", weight=whole, weight_1=(weight_1, f"{axes} in1_features"))
    if weight_2 is not None:
        bind_axes("bilinear", weight=whole, weight_2=(weight_2, f"{axes} in2_features"))


def check_bias(function: str, weight: Array, bias: Array, groups: int | None = None) -> None:
    """Raise ShapeError unless there is a number for each output, or one for each of each group."""
    if not hasattr(bias, "shape"):
        raise LibraryError(
            f"{function}: bias is {type(bias).__name__}, expected an array with the axes "
            "(out_features,)"
        )
    outputs, shape = weight.shape[-3], tuple(bias.shape)
    first = 1 if groups is None else groups
    if shape not in ((outputs,), (first, outputs)):
        raise ShapeError(
            f"{function}: bias has shape {shape}, expected ({outputs},) or "
            f"({first}, {outputs}): one number for each output feature, of which weight "
            f"{tuple(weight.shape)} has {outputs}"
            + ("" if groups is None else ", or as many for each group")
        )


def refuse_beside(name: str, others: Mapping[str, Any]) -> None:
    """Raise ArgumentError where a keyword is given that does not go together with this one."""
    for other, value in others.items():
        if value is not None:
            raise ArgumentError(
                f"bilinear: {name} and {other} do not go together; leave {name} away, and copy the "
                "result"
            )


def _fit(input_1: Array, input_2: Array, weight: Array) -> bool:
    """Whether all sizes are equal that must be, and leading axes too: what is nearly always so."""
    try:
        first, second, matrices = input_1.shape, input_2.shape, weight.shape
    except AttributeError:
        return False
    return bool(
        len(matrices) == 3 and first and second and first[:-1] == second[:-1]
        and first[-1] == matrices[1] and second[-1] == matrices[2]
    )  # fmt: skip


def shape_of(x: Array | Shape) -> Shape:
    """Of an input that is an array, or given by its shape."""
    return tuple(x if isinstance(x, tuple) else x.shape)


def factors_of(
    g: Array, x1: Array | Shape, x2: Array | Shape, weight: Array | None, needed: Needed
) -> tuple[Array, Array | None, Array | None, Array | None]:
    """The factors of the gradients, None for those that none of the needed ones asks for."""
    return (
        g,
        x1 if needed[1] or needed[2] else None,
        x2 if needed[0] or needed[2] else None,
        weight if needed[0] or needed[1] else None,
    )


def promoted(xp: Namespace, factors: tuple[Array | None, ...]) -> DType:
    """The dtype that the standard promotes to; float16 with bfloat16 gives float32."""
    dtype, *others = [factor.dtype for factor in factors if factor is not None]
    for other in others:
        if other != dtype:
            dtype = _common(xp, dtype, other)
    if xp is np and not np.dtype(dtype).isnative:
        dtype = dtype.newbyteorder("=")
    return dtype


def _common(xp: Namespace, dtype: DType, other: DType) -> DType:
    if is_half(dtype) and is_half(other) and dtype_name(dtype) != dtype_name(other):
        return xp.float32
    return common_dtype("bilinear", xp, dtype, other)
