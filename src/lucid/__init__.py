"""Differentiate arrays as you compute, and the bilinear form at the speed of a matrix product."""

import importlib as _importlib
import sys as _sys
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

import numpy as _np

from . import _arrays
from ._anomaly import detect_anomaly as detect_anomaly
from ._errors import AnomalyError as AnomalyError
from ._errors import ArgumentError as ArgumentError
from ._errors import DTypeError as DTypeError
from ._errors import GraphError as GraphError
from ._errors import LibraryError as LibraryError
from ._errors import LucidError as LucidError
from ._errors import OutOfRangeError as OutOfRangeError
from ._errors import ShapeError as ShapeError
from ._files import load as load
from ._files import save as save
from ._op import op as op
from ._random import Generator as Generator
from ._random import manual_seed as manual_seed
from ._random import rand as rand
from ._random import randint as randint
from ._random import randn as randn
from ._random import randperm as randperm
from ._recording import enable_grad as enable_grad
from ._recording import is_grad_enabled as is_grad_enabled
from ._recording import no_grad as no_grad
from ._tensor import Tensor as Tensor
from ._threads import get_num_threads as get_num_threads
from ._threads import set_num_threads as set_num_threads
from ._threads import show_config as show_config
from .autograd import grad as grad
from .ops._create import arange as arange
from .ops._create import asarray as asarray
from .ops._create import astype as astype
from .ops._create import eye as eye
from .ops._create import from_dlpack as from_dlpack
from .ops._create import full as full
from .ops._create import full_like as full_like
from .ops._create import linspace as linspace
from .ops._create import ones as ones
from .ops._create import ones_like as ones_like
from .ops._create import zeros as zeros
from .ops._create import zeros_like as zeros_like
from .ops._elementwise import abs as abs
from .ops._elementwise import add as add
from .ops._elementwise import bitwise_and as bitwise_and
from .ops._elementwise import bitwise_invert as bitwise_invert
from .ops._elementwise import bitwise_or as bitwise_or
from .ops._elementwise import bitwise_xor as bitwise_xor
from .ops._elementwise import clip as clip
from .ops._elementwise import conj as conj
from .ops._elementwise import cos as cos
from .ops._elementwise import divide as divide
from .ops._elementwise import equal as equal
from .ops._elementwise import exp as exp
from .ops._elementwise import expm1 as expm1
from .ops._elementwise import greater as greater
from .ops._elementwise import greater_equal as greater_equal
from .ops._elementwise import imag as imag
from .ops._elementwise import isfinite as isfinite
from .ops._elementwise import isinf as isinf
from .ops._elementwise import isnan as isnan
from .ops._elementwise import less as less
from .ops._elementwise import less_equal as less_equal
from .ops._elementwise import log as log
from .ops._elementwise import log1p as log1p
from .ops._elementwise import logical_and as logical_and
from .ops._elementwise import logical_not as logical_not
from .ops._elementwise import logical_or as logical_or
from .ops._elementwise import maximum as maximum
from .ops._elementwise import minimum as minimum
from .ops._elementwise import multiply as multiply
from .ops._elementwise import negative as negative
from .ops._elementwise import not_equal as not_equal
from .ops._elementwise import pow as pow
from .ops._elementwise import real as real
from .ops._elementwise import sigmoid as sigmoid
from .ops._elementwise import sign as sign
from .ops._elementwise import sin as sin
from .ops._elementwise import sqrt as sqrt
from .ops._elementwise import square as square
from .ops._elementwise import subtract as subtract
from .ops._elementwise import tanh as tanh
from .ops._elementwise import where as where
from .ops._einsum import einsum as einsum
from .ops._index import take as take
from .ops._movement import broadcast_to as broadcast_to
from .ops._movement import concat as concat
from .ops._movement import expand_dims as expand_dims
from .ops._movement import flip as flip
from .ops._movement import matrix_transpose as matrix_transpose
from .ops._movement import permute_dims as permute_dims
from .ops._movement import reshape as reshape
from .ops._movement import squeeze as squeeze
from .ops._movement import stack as stack
from .ops._movement import unstack as unstack
from .ops._products import matmul as matmul
from .ops._products import tensordot as tensordot
from .ops._products import vecdot as vecdot
from .ops._reduce import all as all
from .ops._reduce import any as any
from .ops._reduce import cumulative_sum as cumulative_sum
from .ops._reduce import logsumexp as logsumexp
from .ops._reduce import max as max
from .ops._reduce import mean as mean
from .ops._reduce import min as min
from .ops._reduce import prod as prod
from .ops._reduce import std as std
from .ops._reduce import sum as sum
from .ops._reduce import var as var
from .ops._search import argmax as argmax
from .ops._search import argmin as argmin
from .ops._search import argsort as argsort
from .ops._search import sort as sort
from .ops._search import take_along_axis as take_along_axis

__version__ = "0.1.0"

# The dtypes of the array API standard
float32, float64 = _np.dtype("float32"), _np.dtype("float64")
complex64, complex128 = _np.dtype("complex64"), _np.dtype("complex128")
int8, int16, int32, int64 = map(_np.dtype, ("int8", "int16", "int32", "int64"))
uint8, uint16, uint32, uint64 = map(_np.dtype, ("uint8", "uint16", "uint32", "uint64"))
float16, bool = _np.dtype("float16"), _np.dtype("bool")

# `lucid` is the array namespace of its Tensors
_arrays.serve(Tensor, _sys.modules[__name__])

if _TYPE_CHECKING:
    from . import kernels as kernels
    from . import nn as nn
    from . import optim as optim
    from . import testing as testing
    from . import torch as torch

_SUBMODULES = ("jax", "kernels", "nn", "optim", "testing", "torch")


def __getattr__(name: str) -> _Any:
    """A submodule, imported when it is first asked for: `import lucid` alone stays light."""
    if name in _SUBMODULES:
        return _importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module 'lucid' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES})
