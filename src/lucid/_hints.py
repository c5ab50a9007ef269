"""What names of PyTorch and NumPy are called here: one table for errors and for the documentation.

It is asked when a name is missed: an attribute of `lucid` or of a Tensor, a keyword argument. So a
call that is right pays nothing for attributes, and an empty dictionary for keywords.

Tensors have no `__getattr__`: with one, Python looks up every attribute of theirs in a slower way.
The names that others use stand in the class instead, as attributes that raise AttributeError.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any, Never, TypeVar, cast

from ._errors import ArgumentError

# Names that `lucid` does not have, by what to write instead
FUNCTIONS = {
    "`lucid.Tensor(data)`; `lucid.asarray(array)` shares its memory": "tensor array as_tensor "
    "from_numpy",
    "`lucid.concat`": "cat concatenate vstack hstack",
    "`lucid.expand_dims`": "unsqueeze",
    "`lucid.permute_dims`, or `lucid.matrix_transpose` for the last two axes": "permute swapaxes t",
    "`lucid.moveaxis`": "movedim rollaxis",
    "`lucid.repeat`": "repeat_interleave",
    "`lucid.unique_values`, `lucid.unique_counts`, … or `lucid.unique_all`": "unique",
    "`lucid.isin`": "in1d",
    "`lucid.flip`": "fliplr flipud",
    "`lucid.reshape`": "view ravel flatten",
    "`lucid.unstack`, or an index": "chunk split",
    "`lucid.take`": "index_select",
    "`lucid.take_along_axis`": "gather",
    "`lucid.where`": "masked_fill",
    "`lucid.matmul`": "mm bmm mv dot",
    "`lucid.subtract`": "sub",
    "`lucid.multiply`": "mul",
    "`lucid.divide`": "div true_divide",
    "`lucid.negative`": "neg",
    "`lucid.abs`": "absolute fabs",
    "`lucid.pow`": "power",
    "`lucid.remainder`": "mod fmod",
    "`lucid.round`": "around rint",
    "`lucid.trunc`": "fix",
    "`lucid.conj`": "conjugate",
    "`lucid.asin`, `lucid.acos` or `lucid.atan`": "arcsin arccos arctan",
    "`lucid.asinh`, `lucid.acosh` or `lucid.atanh`": "arcsinh arccosh arctanh",
    "`lucid.atan2`": "arctan2",
    "`lucid.clip`": "clamp",
    "`lucid.max`": "amax",
    "`lucid.min`": "amin",
    "`lucid.cumulative_sum`": "cumsum",
    "`lucid.cumulative_prod`": "cumprod",
    "`lucid.equal`": "eq",
    "`lucid.not_equal`": "ne",
    "`lucid.greater`": "gt",
    "`lucid.greater_equal`": "ge",
    "`lucid.less`": "lt",
    "`lucid.less_equal`": "le",
    "`lucid.linalg`": "cholesky cross det diagonal eigh eigvalsh inv inverse norm outer pinv qr "
    "slogdet svd trace",
    "`lucid.fft`": "rfft irfft fftn ifftn fftshift",
    "`lucid.nn.functional`": "relu gelu silu softplus softmax log_softmax cross_entropy dropout "
    "embedding functional",
    "`lucid.rand`, `lucid.randn` or `lucid.randint`": "random normal uniform",
    "`lucid.manual_seed`": "seed",
    "`lucid.no_grad` or `lucid.enable_grad`": "set_grad_enabled inference_mode",
    "`isinstance(x, lucid.Tensor)`": "is_tensor",
    "`lucid.float32`": "float",
    "`lucid.float64`": "double",
    "`lucid.float16`": "half",
    "`lucid.int64`": "long",
    "`lucid.int32`": "int",
}

# The same for attributes of a Tensor `x`. Functions of lucid need no line: `x.argsort` says so.
METHODS = {
    "`x.reshape(2, 3)`": "view view_as reshape_as",
    "`x.flatten()`": "ravel",
    "`x.T` for a matrix, `x.mT` for the last two axes, or `x.permute(1, 0)`": "t transpose "
    "swapaxes",
    "`x.ndim`": "dim",
    "`x.size`": "numel nelement",
    "`x` itself, because values are never written to; `x.detach()` leaves the graph": "clone copy "
    "contiguous",
    "`x.detach()` to read values, `x.copy_(values)` under `lucid.no_grad()` to write them": "data "
    "detach_",
    "`x.astype(lucid.float32)`": "float type type_as",
    "`x.astype(lucid.float64)`": "double",
    "`x.astype(lucid.float16)`": "half",
    "`x.astype(lucid.int64)`": "long int",
    "`x.astype(lucid.bool)`": "bool",
    "`x.to_device(device)`, or `x.astype(dtype)`": "to cpu cuda",
    "`x.device`": "is_cuda get_device",
    "`lucid.broadcast_to(x, shape)`": "expand expand_as",
    "`lucid.repeat(x, 2)` for each element (NumPy's), `lucid.tile(x, (2,))` for the whole "
    "(PyTorch's)": "repeat",
    "`lucid.linalg.vector_norm(x)`": "norm",
    "`x += y`, which gives `x` a new array; so do `-=`, `*=` and `/=`": "add_ sub_ mul_ div_",
    "`x[...] = value` under `lucid.no_grad()`": "fill_ zero_",
    "`x.is_leaf`": "grad_fn",
}

# Keyword arguments
KEYWORDS = {
    "`axis`": "dim",
    "`axes`": "dims",
    "`keepdims`": "keepdim",
    "`correction`": "ddof unbiased",
}


def _inverted(table: Mapping[str, str]) -> dict[str, str]:
    return {
        name: instead.replace("`", "") for instead, names in table.items() for name in names.split()
    }


_FUNCTIONS, _METHODS, _KEYWORDS = map(_inverted, (FUNCTIONS, METHODS, KEYWORDS))


def no_attribute(name: str, module: Any) -> AttributeError:
    """The error for a name that the module `lucid` does not have."""
    return _error(f"module 'lucid' has no attribute '{name}'", _FUNCTIONS.get(name), name, module)


class Hint:
    """In the place of an attribute that a Tensor does not have: raises what to write instead."""

    __slots__ = ("_instead", "_name")

    def __init__(self, name: str, instead: str) -> None:
        self._name = name
        self._instead = instead

    def __get__(self, tensor: Any, kind: type) -> Never:
        what = f"'{kind.__name__}' object has no attribute '{self._name}'"
        raise _error(what, self._instead, self._name, kind if tensor is None else tensor)


def serve(tensor: type, functions: Mapping[str, Any]) -> None:
    """Put hints into a class of Tensors; x.argsort for a function of `lucid` says so."""
    hints = _FUNCTIONS | _METHODS
    for name, function in functions.items():
        if callable(function) and not isinstance(function, type):
            hints[name] = f"lucid.{name}(x)"
    for name, instead in hints.items():
        if not name.startswith("_") and not hasattr(tensor, name):
            setattr(tensor, name, Hint(name, instead))


def is_hint(kind: type, name: str) -> bool:
    """Whether this attribute of a class only says what to write instead."""
    return isinstance(inspect.getattr_static(kind, name, None), Hint)


def _error(what: str, instead: str | None, name: str, thing: Any) -> AttributeError:
    text = what if instead is None else f"{what}; use {instead}"
    return AttributeError(text, name=name, obj=thing)


def no_keyword(function: str, names: Mapping[str, Any]) -> TypeError:
    """The error for keyword arguments that a function does not have."""
    name = next(iter(names))
    text = f"{function}() got an unexpected keyword argument '{name}'"
    return TypeError(f"{text}; use {_KEYWORDS[name]}" if name in _KEYWORDS else text)


Function = TypeVar("Function", bound=Callable[..., Any])


def one_shape(function: Function) -> Function:
    """Have a function say that a shape is one tuple, where it is given as several numbers."""

    @wraps(function)
    def call(shape: Any, *more: Any, **options: Any) -> Any:
        if more:
            name, given = function.__name__, ", ".join(map(repr, (shape, *more)))
            raise ArgumentError(f"{name}: a shape is one tuple; write {name}(({given}))")
        return function(shape, **options)

    return cast("Function", call)


def rows(table: Mapping[str, str]) -> Iterator[str]:
    """The rows of a table in the documentation."""
    for instead, names in table.items():
        yield f"| {', '.join(f'`{name}`' for name in names.split())} | {instead} |"
