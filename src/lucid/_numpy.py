"""NumPy's functions on Tensors: `np.exp(x)`, `np.sum(x, axis=0)`, `array @ x`.

NumPy asks a Tensor among its arguments what to do (NEP 13 for its ufuncs, NEP 18 for its other
functions), and Tensor asks here. A function goes to

1. lucid's function of the same name, or of the name in `_NAMES`, where there is one: it is looked
   up when it is called, so there is no list of them to keep;
2. what `_numpy_functions` composes of NumPy's functions that lucid has;
3. NumPy itself, on the values, where no gradient is lost with that, because no Tensor requires one
   or the result has none; the arrays that it returns become Tensors;
4. an error that names the nearest function which does have a gradient.

This file is imported by the first call of that kind.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from . import _numpy_functions
from ._arrays import is_differentiable
from ._errors import ArgumentError, GraphError, LibraryError
from ._pytree import replaced, take_apart
from ._tape import Tracked, new_tensor, plain

Function = Callable[..., Any]

# NumPy's name → lucid's, where they differ
_NAMES = {
    "absolute": "abs", "amax": "max", "amin": "min", "arccos": "acos", "arccosh": "acosh",
    "arcsin": "asin", "arcsinh": "asinh", "arctan": "atan", "arctan2": "atan2",
    "arctanh": "atanh", "concatenate": "concat", "conjugate": "conj",
    "expit": "sigmoid", "fix": "trunc",
    "float_power": "pow", "invert": "bitwise_invert", "left_shift": "bitwise_left_shift",
    "power": "pow", "right_shift": "bitwise_right_shift", "rint": "round",
}  # fmt: skip

_ARGUMENTS = {"ddof": "correction", "rcond": "rtol"}

# Without meaning for a result
_NO_MATTER = {"kind", "subok", "optimize"}

# What NumPy takes for "not given", beside the defaults in its signatures
_NOT_GIVEN = {"where": True, "dtype": None, "out": None, "casting": "same_kind", "order": "K"}

# About values and types, not computed from them: NumPy's own answer, whatever requires a gradient
_ON_VALUES = {
    "allclose", "array2string", "array_equal", "array_equiv", "array_repr", "array_str",
    "can_cast", "iscomplexobj", "isrealobj", "may_share_memory", "min_scalar_type", "ndim",
    "result_type", "shape", "shares_memory", "size",
}  # fmt: skip

# Their results have no gradient, so NumPy's own of the values is right where lucid has none
_CONSTANT = {
    "argpartition", "argwhere", "bincount", "digitize", "flatnonzero", "histogram",
    "histogram_bin_edges", "isclose", "iscomplex", "isneginf", "isposinf", "isreal", "lexsort",
}  # fmt: skip

# lucid's of the same name takes other arguments
_OTHERWISE = {
    "around", "clip", "linalg.svd", "linspace", "round", "sort", "squeeze", "take",
    "transpose", "where",
}  # fmt: skip

# Of the functions of np.linalg and np.fft those that leave integers as they are
_OF_INTEGERS = {
    "linalg.cross", "linalg.diagonal", "linalg.matmul", "linalg.matrix_transpose", "linalg.outer",
    "linalg.tensordot", "linalg.trace", "linalg.vecdot", "fft.fftshift", "fft.ifftshift",
}  # fmt: skip

_REDUCTIONS = {
    "add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min", "logical_and": "all",
    "logical_or": "any", "logaddexp": "logsumexp",
}  # fmt: skip

_ACCUMULATIONS = {"add": "cumulative_sum", "multiply": "cumulative_prod"}

_NEAREST = {
    "apply_along_axis": "stack of the parts",
    "argpartition": "lucid.argsort",
    "cbrt": "lucid.pow",
    "choose": "lucid.where",
    "compress": "x[mask]",
    "copyto": "lucid.where",
    "correlate": "lucid.einsum",
    "delete": "lucid.concat",
    "extract": "x[mask]",
    "fill_diagonal": "lucid.where",
    "fmax": "lucid.maximum",
    "fmin": "lucid.minimum",
    "insert": "lucid.concat",
    "interp": "lucid.take_along_axis",
    "linalg.lstsq": "lucid.linalg.pinv",
    "partition": "lucid.sort",
    "percentile": "lucid.sort",
    "piecewise": "lucid.where",
    "place": "lucid.where",
    "put": "x[index] = values",
    "put_along_axis": "x[index] = values",
    "putmask": "lucid.where",
    "quantile": "lucid.sort",
    "select": "lucid.where",
    "unique": "lucid.unique_values",
}


def call_ufunc(ufunc: np.ufunc, method: str, inputs: Sequence[Any], options: dict[str, Any]) -> Any:
    """What `Tensor.__array_ufunc__` answers."""
    name = ufunc.__name__
    title = _title(ufunc) if method == "__call__" else f"{_title(ufunc)}.{method}"
    _refuse_out(title, inputs, options.pop("out", None))
    options = _given(options)
    function: Function | None = None
    if method == "__call__":
        function = _find(name)
        if function is not None and "dtype" in options and len(options) == 1:
            inputs = _in_dtype(inputs, options.pop("dtype"))
        if function is not None and not options:
            return function(*inputs)
    elif method == "reduce":
        function = _find(_REDUCTIONS.get(name, ""))
        options = {"axis": 0, **options}
    elif method == "accumulate":
        function = _find(_ACCUMULATIONS.get(name, ""))
        options = {"axis": 0, **options}
    elif method == "outer" and not options:
        first, second = inputs
        return ufunc(np.reshape(first, (*np.shape(first), *[1] * np.ndim(second))), second)
    if method in ("reduce", "accumulate") and function is not None:
        return _call(title, function, {"array": inputs[0], **options})
    if function is not None:
        raise _no_argument(title, function, options)
    return _on_values(title, name, getattr(ufunc, method), inputs, options)


def call_function(
    function: Function, types: Iterable[type], args: Sequence[Any], kwargs: dict[str, Any]
) -> Any:
    """What `Tensor.__array_function__` answers."""
    if not all(issubclass(kind, (Tracked, np.ndarray)) for kind in types):
        return NotImplemented  # another library knows more of it
    name, title = _dotted(function), _title(function)
    if name in _ON_VALUES:
        return function(*_values(args), **_values(kwargs))
    chosen = _find(name)
    if chosen is None:
        return _on_values(title, name, function, args, kwargs)
    arguments = _bound(function, chosen, args, kwargs)
    _refuse_out(title, args, arguments.pop("out", None))
    if name.startswith(("linalg.", "fft.")) and name not in _OF_INTEGERS:
        arguments = {key: _as_floating(value) for key, value in arguments.items()}
    return _call(title, chosen, arguments)


def _dotted(function: Function) -> str:
    """A function's name within NumPy: "sum", "linalg.solve"."""
    module = getattr(function, "__module__", None) or ""
    place = module.partition(".")[2]
    name = str(function.__name__)
    return f"{place}.{name}" if place in ("linalg", "fft") else name


def _title(function: Any) -> str:
    """How a user writes it: "np.linalg.solve", "scipy.special.expit"."""
    module = getattr(function, "__module__", None) or ""
    if isinstance(function, np.ufunc):
        own = getattr(np, function.__name__, None) is function
        return f"np.{function.__name__}" if own else function.__name__
    return f"np.{_dotted(function)}" if module.startswith("numpy") else str(function.__name__)


def _find(name: str) -> Function | None:
    """lucid's function for one of NumPy's, or a composed one; None where there is none."""
    composed: Function | None = getattr(_numpy_functions, name.replace(".", "_"), None)
    if name in _OTHERWISE:
        return composed
    found: Any = sys.modules["lucid"]
    for part in _NAMES.get(name, name).split("."):
        found = getattr(found, part, None)
    return found if callable(found) and not isinstance(found, type) else composed


@cache
def _signature(function: Function) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # written in C, in some versions of NumPy
        return None


def _bound(
    function: Function, chosen: Function, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments of a call by NumPy's names, without those at their defaults."""
    signature = _signature(function) or _signature(chosen)
    assert signature is not None  # noqa: S101 (ours have one)
    bound = signature.bind(*args, **kwargs).arguments
    arguments: dict[str, Any] = {}
    for name, value in bound.items():
        parameter = signature.parameters[name]
        if parameter.kind is parameter.VAR_KEYWORD:
            arguments |= value
        elif not _same(value, parameter.default):
            arguments[name] = value
    return _given(arguments)


def _given(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Without what says nothing."""
    return {
        name: value
        for name, value in arguments.items()
        if name not in _NO_MATTER
        and not (name in _NOT_GIVEN and _same(value, _NOT_GIVEN[name]))
        and value is not getattr(np, "_NoValue", None)
    }


def _same(value: Any, default: Any) -> bool:
    plain_value = isinstance(value, (int, float, str)) and type(value) is type(default)
    return value is default or (plain_value and value == default)


def _call(title: str, function: Function, arguments: Mapping[str, Any]) -> Any:
    """Call a function of lucid with arguments by NumPy's names.

    What its signature has under the same name goes there, the arrays go before it by position.
    """
    signature = _signature(function)
    assert signature is not None  # noqa: S101
    parameters = signature.parameters
    by_position = [name for name, each in parameters.items() if each.kind is each.POSITIONAL_ONLY]
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    for given, value in arguments.items():
        name = _ARGUMENTS.get(given, given)
        parameter = parameters.get(name)
        if parameter is not None and parameter.kind is parameter.VAR_POSITIONAL:
            positional += value
        elif parameter is not None and parameter.kind is not parameter.POSITIONAL_ONLY:
            keywords[name] = value
        elif len(positional) < len(by_position):
            positional.append(value)
        elif any(each.kind is each.VAR_POSITIONAL for each in parameters.values()):
            positional += value if isinstance(value, tuple) else (value,)
        else:
            raise _no_argument(title, function, {given: value})
    return function(*positional, **keywords)


def _no_argument(title: str, function: Function, options: Mapping[str, Any]) -> ArgumentError:
    name = next(iter(options))
    remedy = {
        "where": "choose with np.where before or after it",
        "initial": "join it with the result, by np.maximum or an addition",
        "dtype": "convert before or after it, with astype",
    }.get(name, "leave it out")
    takes = list((_signature(function) or inspect.Signature()).parameters)
    return ArgumentError(
        f"{title}: the argument {name} is not there for Tensors (lucid's {function.__name__} takes "
        f"{', '.join(takes)}); {remedy}"
    )


def _refuse_out(title: str, inputs: Sequence[Any], out: Any) -> None:
    outputs = out if isinstance(out, tuple) else (out,)
    target = next((each for each in outputs if each is not None), None)
    if target is None:
        return
    if isinstance(target, Tracked):
        raise ArgumentError(
            f"{title}: a Tensor is not written into with out=, because a graph may need its "
            "values; use the result"
        )
    again = any(target is each for each in inputs)
    told = (
        f"the array on the left of this assignment, {target.shape}, cannot become a Tensor.\n"
        "Write `a = a * x` in the place of `a *= x`, and so for every operator"
        if again
        else f"out is a NumPy array, {target.shape}, which cannot remember how a Tensor was "
        "computed.\nUse the result"
    )
    raise LibraryError(f"{title}: {told}; detach().numpy() gives the values alone.")


def _as_floating(value: Any) -> Any:
    is_array = isinstance(value, (Tracked, np.ndarray))
    return value * 1.0 if is_array and not is_differentiable(value.dtype) else value


def _in_dtype(inputs: Sequence[Any], dtype: Any) -> list[Any]:
    convert = sys.modules["lucid"].astype
    return [
        convert(each, dtype) if isinstance(each, (Tracked, np.ndarray)) else each for each in inputs
    ]


def _on_values(
    title: str, name: str, function: Function, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """NumPy's own function of the values, if no gradient is lost with that."""
    tracked = any(each._node is not None for each in _tensors((args, kwargs)))
    if tracked and name not in _CONSTANT:
        near = _NEAREST.get(name)
        raise GraphError(
            f"{title}: lucid has no function for it, and without one the gradient of a Tensor that "
            "requires one would be lost.\n"
            + (
                f"The nearest is {near}; or"
                if near
                else "Compute it with functions that it has; or"
            )
            + " call it on x.detach(), for the values."
        )
    result = function(*_values(args), **_values(kwargs))
    return replaced(result, _as_tensor)


def _tensors(tree: Any) -> Iterator[Tracked]:
    leaves, _ = take_apart(tree)
    for leaf in leaves:
        if isinstance(leaf, Tracked):
            yield leaf


def _values(tree: Any) -> Any:
    def value(leaf: Any) -> Any:
        return leaf.numpy() if isinstance(leaf, Tracked) else leaf  # type: ignore[attr-defined]

    return replaced(tree, value)


def _as_tensor(value: Any) -> Any:
    is_numbers = isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biufc"
    return new_tensor(plain(value)) if is_numbers else value
