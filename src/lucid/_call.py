"""The function that a user of an operation calls: written out for its signature, and compiled.

It is the hot path. Taking arguments through *args and **kwargs costs as much as a small NumPy
operation, so the text has the operation's own names in it (`dataclasses` does the same). For

    @op
    def multiply(x1, x2, /): ...

the text is, with `_at_x1` for the place of `x1` on the tape, and bit k of `_tracked` saying that
argument k requires a gradient (an argument may have any name but those that begin with `_`, so all
others here do):

    def operation(x1, x2, /):
        _tracked = 0
        _has_tensor = _has_list = False
        if isinstance(x1, _Tracked):
            _has_tensor = True
            _at_x1 = x1._node
            x1 = x1._array
            if _at_x1 is not None:
                _tracked |= 1
        else:
            _at_x1 = None
            if x1.__class__ is _list:
                _has_list = True
        if isinstance(x2, _Tracked):
            ...                                   # the same, with _tracked |= 2
        if not _has_tensor:
            (x1, x2,), _chosen, _wrap = _without_tensors(x1, x2)
            return _wrap(_chosen(x1, x2))
        if _has_list:
            x1, x2, = _convert_lists(x1, x2)
        if _tracked and not _mode.recording:
            _tracked = 0
        try:
            y = _function(x1, x2)
        except Exception as _error:
            raise _explain(_error, (x1, x2,)) from None
        if _anomaly.watching or y.__class__ not in _array_types:
            return _finish(y, _tracked, (_at_x1, _at_x2,), (x1, x2,))
        _place = None
        if _tracked:
            _saving = _savings.get(_tracked) or _make_saving(_tracked)
            if _saving.rules:
                _values = (x1, x2, y)
                if _saving.facts:
                    _values = _saving.with_facts(_values)
                _place = _Node(_saving, (_at_x1, _at_x2,), _saving.pick(_values), y.shape, y.dtype)
        _tensor = _create(_Tensor)
        _tensor._array = y
        _tensor._node = _place
        _tensor._grad = None
        return _tensor

Where the signature has a `dtype`, a call that gives one ends in `finish` too, because the result
may be integers, which have no gradient. An operation that keeps something of its work for its rules
has, in the place of `y = _function(x1, x2)`,

            if _tracked:
                y, kept = _keeping(_tracked, x1, x2)
            else:
                y, kept = _function(x1, x2), None

and `kept` behind `y` in `_values`.
"""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

from . import _anomaly
from ._arrays import array_types
from ._hints import no_keyword
from ._recording import mode
from ._rules import Rules
from ._tape import Node, Tracked


class Operation(Protocol):
    """What a call needs: the function, and what is done beside the hot path."""

    function: Callable[..., Any]
    keeping: Callable[..., Any] | None
    keywords: Callable[..., Any] | None
    signature: inspect.Signature
    rules: Rules

    def convert_lists(self, *values: Any) -> tuple[Any, ...]: ...
    def without_tensors(
        self, *values: Any
    ) -> tuple[tuple[Any, ...], Callable[..., Any], Callable[[Any], Any]]: ...
    def explain(self, error: Exception, arguments: tuple[Any, ...]) -> Exception: ...
    def finish(
        self, y: Any, tracked: int, places: tuple[Any, ...], arguments: tuple[Any, ...], *kept: Any
    ) -> Any: ...


_ARGUMENT = """
        {unless}if isinstance({name}, _Tracked):
            _has_tensor = True
            _at_{name} = {name}._node
            {name} = {name}._array
            if _at_{name} is not None:
                _tracked |= {bit}
        else:
            _at_{name} = None
            if {name}.__class__ is _list:
                _has_list = True
"""

_UNLESS_NONE = """if {name} is None:
            _at_{name} = None
        el"""

_SEQUENCE = """
        {name}, _at_{name} = _unwrap({name})
        if _at_{name} is not None:
            _has_tensor = _has_list = True
            if _any(_at_{name}):
                _tracked |= {bit}
"""

_REFUSAL = """
        if foreign__:
            raise _no_keyword(_function.__name__, foreign__)
"""

_ELSEWHERE = """
        if others__:
            return _keywords({passed}, **others__)
"""

_COMPUTE = """
            y = _function({passed})
"""

_COMPUTE_AND_KEEP = """
            if _tracked:
                y, kept = _keeping(_tracked, {passed})
            else:
                y, kept = _function({passed}), None
"""

_CALL = """
def build(
    _function, _keeping, _keywords, defaults, _savings, _make_saving, _convert_lists,
    _without_tensors, _explain, _finish,
):
    def operation({parameters}):
        _tracked = 0
        _has_tensor = _has_list = False
{unwrap}
        if not _has_tensor:
            ({values},), _chosen, _wrap = _without_tensors({values})
            return _wrap(_chosen({passed}))
        if _has_list:
            {values}, = _convert_lists({values})
        if _tracked and not _mode.recording:
            _tracked = 0
        try:
{compute}
        except Exception as _error:
            raise _explain(_error, ({values},)) from None
        if _anomaly.watching or y.__class__ not in _array_types{chosen_dtype}:
            return _finish(y, _tracked, ({places},), ({values},){kept})
        _place = None
        if _tracked:
            _saving = _savings.get(_tracked) or _make_saving(_tracked)
            if _saving.rules:
                _values = ({values}, y{kept})
                if _saving.facts:
                    _values = _saving.with_facts(_values)
                _place = _Node(_saving, ({places},), _saving.pick(_values), y.shape, y.dtype)
        _tensor = _create(_Tensor)
        _tensor._array = y
        _tensor._node = _place
        _tensor._grad = None
        return _tensor
    return operation
"""


def _unwrap(group: Any) -> tuple[Any, Any]:
    """The arrays of a sequence that may hold Tensors, and their places (None without Tensors)."""
    group = list(group)
    if not any(isinstance(value, Tracked) for value in group):
        return group, None
    arrays = [value._array if isinstance(value, Tracked) else value for value in group]
    return arrays, tuple(v._node if isinstance(v, Tracked) else None for v in group)


_scope: dict[str, Any] = {
    "_Node": Node,
    "_Tracked": Tracked,
    "_anomaly": _anomaly,
    "_any": any,
    "_array_types": array_types,
    "_list": list,
    "_mode": mode,
    "_no_keyword": no_keyword,
    "_unwrap": _unwrap,
}


def serve(tensor: type[Any]) -> None:
    """Have operations and the tape return Tensors of this class, which stands above them."""
    Tracked._public = tensor
    _scope.update(_Tensor=tensor, _create=tensor.__new__)


class _Expression(str):
    """Text that stands in a signature as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


# The name of an argument, its kind, whether it is required, whether it is a sequence of arrays
_Argument = tuple[str, Any, bool, bool]


def write_out(operation: Operation) -> Callable[..., Any]:
    """The function that the user of an operation calls."""
    parameters, sequences = operation.signature.parameters, operation.rules.sequences
    build = _builder(
        tuple(
            (name, each.kind, each.default is each.empty, name in sequences)
            for name, each in parameters.items()
        ),
        operation.keeping is not None,
        operation.keywords is not None,
    )
    return build(
        operation.function,
        operation.keeping,
        operation.keywords,
        {name: parameter.default for name, parameter in parameters.items()},
        operation.rules.savings,
        operation.rules.saving,
        operation.convert_lists,
        operation.without_tensors,
        operation.explain,
        operation.finish,
    )


@cache
def _builder(
    arguments: tuple[_Argument, ...], keeps: bool, has_others: bool
) -> Callable[..., Callable[..., Any]]:
    """The compiled text; operations with the same arguments share it."""
    source = _text(arguments, keeps, has_others)
    filename = f"<lucid operation {hash(source):x}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
    made: dict[str, Any] = {}
    exec(compile(source, filename, "exec"), _scope, made)  # noqa: S102 (our own text)
    builder: Callable[..., Callable[..., Any]] = made["build"]
    return builder


def _text(arguments: tuple[_Argument, ...], keeps: bool, has_others: bool) -> str:
    names = [name for name, *_ in arguments]
    bare, refusal = _bare(arguments), ""
    if has_others:
        bare.append(inspect.Parameter("others__", inspect.Parameter.VAR_KEYWORD))
        refusal = _ELSEWHERE.format(passed=", ".join(names))
    if {"axis", "axes"} & set(names):  # who knows other names for them is told ours
        bare.append(inspect.Parameter("foreign__", inspect.Parameter.VAR_KEYWORD))
        refusal = _REFUSAL
    passed = ", ".join(
        f"{name}={name}" if kind == inspect.Parameter.KEYWORD_ONLY else name
        for name, kind, *_ in arguments
    )
    return _CALL.format(
        parameters=str(inspect.Signature(bare))[1:-1],
        unwrap=refusal
        + "".join(
            (_SEQUENCE if is_sequence else _ARGUMENT).format(
                name=name, bit=1 << k, unless="" if is_required else _UNLESS_NONE.format(name=name)
            )
            for k, (name, _, is_required, is_sequence) in enumerate(arguments)
        ),
        values=", ".join(names),
        places=", ".join(f"_at_{name}" for name in names),
        chosen_dtype=" or dtype is not None" if "dtype" in names else "",
        passed=passed,
        compute=(_COMPUTE_AND_KEEP if keeps else _COMPUTE).format(passed=passed),
        kept=", kept" if keeps else "",
    )


def _bare(arguments: tuple[_Argument, ...]) -> list[inspect.Parameter]:
    """Parameters without annotations, and with defaults that are looked up by name."""
    return [
        inspect.Parameter(
            name,
            kind,
            default=inspect.Parameter.empty if is_required else _Expression(f"defaults['{name}']"),
        )
        for name, kind, is_required, _ in arguments
    ]
