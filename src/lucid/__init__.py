"""Differentiate arrays as you compute, and the bilinear form at the speed of a matrix product."""

import importlib as _importlib
import math as _math
import sys as _sys
from typing import TYPE_CHECKING as _TYPE_CHECKING, Any as _Any

import numpy as _np

from . import _arrays, _hints
from ._anomaly import detect_anomaly as detect_anomaly
from ._batches import batches as batches
from ._config import show_config as show_config
from ._dtypes import (
    can_cast as can_cast,
    finfo as finfo,
    iinfo as iinfo,
    isdtype as isdtype,
    result_type as result_type,
)
from ._errors import (
    AnomalyError as AnomalyError,
    ArgumentError as ArgumentError,
    DTypeError as DTypeError,
    GraphError as GraphError,
    LibraryError as LibraryError,
    LucidError as LucidError,
    OutOfRangeError as OutOfRangeError,
    ShapeError as ShapeError,
)
from ._files import load as load, save as save
from ._op import op as op
from ._random import (
    Generator as Generator,
    manual_seed as manual_seed,
    rand as rand,
    randint as randint,
    randn as randn,
    randperm as randperm,
)
from ._recording import (
    enable_grad as enable_grad,
    is_grad_enabled as is_grad_enabled,
    no_grad as no_grad,
)
from ._tensor import Tensor as Tensor
from ._threads import get_num_threads as get_num_threads, set_num_threads as set_num_threads
from ._version import VERSION as _VERSION
from .autograd import grad as grad
from .ops._arithmetic import (
    abs as abs,
    add as add,
    clip as clip,
    copysign as copysign,
    divide as divide,
    maximum as maximum,
    minimum as minimum,
    multiply as multiply,
    negative as negative,
    positive as positive,
    reciprocal as reciprocal,
    sign as sign,
    signbit as signbit,
    subtract as subtract,
)
from .ops._comparison import (
    bitwise_and as bitwise_and,
    bitwise_invert as bitwise_invert,
    bitwise_left_shift as bitwise_left_shift,
    bitwise_or as bitwise_or,
    bitwise_right_shift as bitwise_right_shift,
    bitwise_xor as bitwise_xor,
    equal as equal,
    greater as greater,
    greater_equal as greater_equal,
    isfinite as isfinite,
    isinf as isinf,
    isnan as isnan,
    less as less,
    less_equal as less_equal,
    logical_and as logical_and,
    logical_not as logical_not,
    logical_or as logical_or,
    logical_xor as logical_xor,
    not_equal as not_equal,
    where as where,
)
from .ops._complex import conj as conj, imag as imag, real as real
from .ops._create import (
    arange as arange,
    asarray as asarray,
    empty as empty,
    eye as eye,
    from_dlpack as from_dlpack,
    full as full,
    linspace as linspace,
    ones as ones,
    zeros as zeros,
)
from .ops._cumulative import (
    cumulative_prod as cumulative_prod,
    cumulative_sum as cumulative_sum,
    diff as diff,
)
from .ops._einsum import einsum as einsum
from .ops._exponential import (
    exp as exp,
    expm1 as expm1,
    hypot as hypot,
    log as log,
    log1p as log1p,
    log2 as log2,
    log10 as log10,
    logaddexp as logaddexp,
    pow as pow,
    sigmoid as sigmoid,
    sqrt as sqrt,
    square as square,
)
from .ops._grid import meshgrid as meshgrid, tril as tril, triu as triu
from .ops._index import take as take
from .ops._like import (
    astype as astype,
    empty_like as empty_like,
    full_like as full_like,
    ones_like as ones_like,
    zeros_like as zeros_like,
)
from .ops._movement import (
    broadcast_arrays as broadcast_arrays,
    broadcast_shapes as broadcast_shapes,
    broadcast_to as broadcast_to,
    concat as concat,
    expand_dims as expand_dims,
    flip as flip,
    matrix_transpose as matrix_transpose,
    moveaxis as moveaxis,
    permute_dims as permute_dims,
    reshape as reshape,
    roll as roll,
    squeeze as squeeze,
    stack as stack,
    unstack as unstack,
)
from .ops._products import matmul as matmul, tensordot as tensordot, vecdot as vecdot
from .ops._reduce import (
    all as all,
    any as any,
    logsumexp as logsumexp,
    max as max,
    min as min,
    prod as prod,
    sum as sum,
)
from .ops._repeat import repeat as repeat, tile as tile
from .ops._rounding import (
    ceil as ceil,
    floor as floor,
    floor_divide as floor_divide,
    nextafter as nextafter,
    remainder as remainder,
    round as round,
    trunc as trunc,
)
from .ops._search import (
    argmax as argmax,
    argmin as argmin,
    argsort as argsort,
    count_nonzero as count_nonzero,
    nonzero as nonzero,
    searchsorted as searchsorted,
    sort as sort,
    take_along_axis as take_along_axis,
    topk as topk,
)
from .ops._sets import (
    isin as isin,
    unique_all as unique_all,
    unique_counts as unique_counts,
    unique_inverse as unique_inverse,
    unique_values as unique_values,
)
from .ops._statistics import mean as mean, std as std, var as var
from .ops._trigonometry import (
    acos as acos,
    acosh as acosh,
    asin as asin,
    asinh as asinh,
    atan as atan,
    atan2 as atan2,
    atanh as atanh,
    cos as cos,
    cosh as cosh,
    sin as sin,
    sinh as sinh,
    tan as tan,
    tanh as tanh,
)

__version__ = _VERSION

# The dtypes of the array API standard
float32, float64 = _np.dtype("float32"), _np.dtype("float64")
complex64, complex128 = _np.dtype("complex64"), _np.dtype("complex128")
int8, int16, int32, int64 = map(_np.dtype, ("int8", "int16", "int32", "int64"))
uint8, uint16, uint32, uint64 = map(_np.dtype, ("uint8", "uint16", "uint32", "uint64"))
float16, bool = _np.dtype("float16"), _np.dtype("bool")

e, pi, inf, nan = _math.e, _math.pi, _math.inf, _math.nan
newaxis = None  # in an index, an axis of size 1

__array_api_version__ = _arrays.VERSIONS[-1]


def __array_namespace_info__() -> _Any:  # noqa: N807 (the standard's name)
    """What the standard's programs ask about a library: its devices, dtypes and defaults."""
    return _importlib.import_module("._info", __name__)


# `lucid` is the array namespace of its Tensors
_arrays.serve(Tensor, _sys.modules[__name__])
_hints.serve(Tensor, globals())

if _TYPE_CHECKING:
    from . import (
        fft as fft,
        jax as jax,
        kernels as kernels,
        linalg as linalg,
        nn as nn,
        optim as optim,
        testing as testing,
        torch as torch,
    )

_SUBMODULES = ("fft", "jax", "kernels", "linalg", "nn", "optim", "testing", "torch")


def __getattr__(name: str) -> _Any:
    """A submodule, imported when it is first asked for: `import lucid` alone stays light."""
    if name in _SUBMODULES:
        return _importlib.import_module(f".{name}", __name__)
    if name == "transpose":  # what opt_einsum looks for; the standard calls it permute_dims
        return permute_dims
    raise _hints.no_attribute(name, _sys.modules[__name__])


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES})
