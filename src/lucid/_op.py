"""How a function on arrays and its gradients become an operation on Tensors.

    @op
    def multiply(x1: Array, x2: Array, /):
        return namespace(x1, x2).multiply(x1, x2)

    multiply.gradient(
        x1=lambda g, x2: g * x2,
        x2=lambda g, x1: g * x1,
    )

`_rules.py` says what a rule may ask for, `_call.py` what runs when the operation is called;
docs/how-it-works.md walks through both. Here is the decorator, and what happens beside the hot
path: arguments without Tensors, lists, errors, and several outputs.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Sequence
from functools import update_wrapper
from importlib import import_module
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, cast, overload

import numpy as np

from . import _anomaly
from ._arrays import (
    asarray_like,
    dtype_name,
    is_array,
    is_differentiable,
    library,
    like_tuple,
    mixture,
)
from ._call import write_out
from ._errors import DTypeError, LibraryError, LucidError, ShapeError
from ._recording import mode
from ._rules import RESERVED, Rule, Rules, shape_of
from ._shapes import axis_error, broadcast_shapes
from ._tape import Node, Output, new_tensor

if TYPE_CHECKING:
    from ._tensor import Tensor

P = ParamSpec("P")

_NUMBERS = (bool, int, float, complex)

# What array libraries say of an argument whose dtype they do not take
_REFUSED = re.compile(
    "is not supported, use|not supported for (the input types|complex)|not implemented for '|"
    "dtypes are allowed in|not accept dtype|could not be promoted"
)

_NUMPY = {np.ndarray, type(None)}


class Op(Protocol[P]):
    """An operation: call it on Tensors or arrays, and register its gradient rules."""

    __name__: str
    __doc__: str | None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Tensor: ...

    def __get__(self, instance: Any, owner: Any) -> Callable[..., Tensor]: ...

    def gradient(self, **rules: Rule | None) -> None:
        """Register one rule for each array argument; None where the gradient is zero."""

    def gradients(self, **needs: Sequence[str]) -> Callable[[Rule], Rule]:
        """Register one rule for all arguments; for each, the names that its gradient needs."""

    def hand_over(self, **modules: str) -> None:
        """Leave arrays of a library, with no Tensor among them, to a module's own function."""


_LATER: Any = object()  # the rules are registered later


@overload
def op(function: Callable[P, Any], /) -> Op[P]: ...
@overload
def op(
    *,
    gradient: Rule | None = ...,
    holomorphic: bool = ...,
    halves: bool = ...,
    along: str | tuple[int, ...] | None = ...,
    keeping: Callable[..., tuple[Any, Any]] | None = ...,
) -> Callable[[Callable[P, Any]], Op[P]]: ...
@overload
def op(
    *,
    keywords: Callable[P, Any],
    halves: bool = ...,
    keeping: Callable[..., tuple[Any, Any]] | None = ...,
) -> Callable[[Callable[..., Any]], Op[P]]: ...
def op(
    function: Callable[P, Any] | None = None,
    /,
    *,
    gradient: Rule | None = _LATER,
    holomorphic: bool = True,
    halves: bool = False,
    along: str | tuple[int, ...] | None = None,
    keeping: Callable[..., tuple[Any, Any]] | None = None,
    keywords: Callable[..., Any] | None = None,
) -> Any:
    """Make a function on arrays an operation that the tape records.

    `function` gets arrays (of any library, or Python numbers) and returns an array, or a tuple of
    arrays. `gradient` is the rule of its one array argument, or None where the result is constant
    in all of them; others are registered with its method `gradient`. With `holomorphic=False` the
    rules of an operation on complex numbers follow the convention of the conjugate Wirtinger
    derivative by themselves; otherwise the tape conjugates around them. Where the result is float16
    or bfloat16 the rules get float32, and the tape rounds what they return; with `halves=True` they
    get the halves, and see to it themselves that their sums are wide. `along` says of which axes of
    the first argument (or names the argument that does) an element's gradient depends on others; ()
    is an operation element by element. Large halves are then given to the rules by blocks.

    `keeping` takes the place of `function` where gradients will be asked for: it gets a number
    whose bit k says that argument k requires one, then the arguments, and returns the result and
    what a rule that asks for `kept` is to be given, such as a product that the rule would compute
    again; it may be None. A call with an argument by a name that `function` does not have is one of
    the function `keywords`, whose signature users see.

    Which arguments are arrays is told by the signature: those annotated as `Array`, `ndarray` or
    `Tensor`, also with `| None`, and as a `Sequence` of them; where none is, all positional-only
    ones, or else all without a default.

    Raises TypeError for an argument named `g`, `y`, `kept` or `needed`, for a variable number of
    them, and for `gradient` where several arguments are arrays.

    >>> import lucid
    >>> @lucid.op(gradient=lambda g, x: 3 * g * x ** 2)
    ... def cube(x):
    ...     return x ** 3
    >>> x = lucid.Tensor([1.0, 2.0], requires_grad=True)
    >>> cube(x).backward()
    >>> x.grad
    Tensor([3.0, 12.0])
    """

    def make(function: Callable[P, Any]) -> Op[P]:
        axes = getattr(function, "along", along)  # what computes by blocks says it itself
        operation = _Operation(function, holomorphic, halves, axes, keeping, keywords)
        if gradient is not _LATER:
            operation.gradient_of_all(gradient)
        call: Any = update_wrapper(write_out(operation), function)
        if keywords is not None:
            call.__signature__ = inspect.signature(keywords)
            keywords.__qualname__ = function.__qualname__  # what Python says of a wrong keyword
        call.gradient = operation.gradient
        call.gradients = operation.gradients
        call.hand_over = operation.hand_over
        call.operation = operation
        return cast("Op[P]", call)

    return make if function is None else make(function)


# Which arguments are arrays: the annotations are read as text, as `from __future__ import
# annotations` leaves them
_ARRAY = r"(?:[\w.]+\.)?(?:Array|NDArray|ndarray|Tensor)\b(?:\[.*\])?"
_ONE = re.compile(rf"(?:None \| |(?:typing\.)?Optional\[)?{_ARRAY}\]?(?: \| .*)?")
_SEVERAL = re.compile(
    rf"(?:[\w.]+\.)?(?:Sequence|Iterable|[Ll]ist|[Tt]uple)\[(?:None \| )?{_ARRAY}.*\](?: \| .*)?"
)


def _arrays_of(signature: inspect.Signature) -> tuple[list[str], list[str]]:
    """The names of the arguments that are arrays, and of those that are sequences of arrays."""
    parameters = signature.parameters
    texts = {
        name: "" if each.annotation is each.empty else inspect.formatannotation(each.annotation)
        for name, each in parameters.items()
    }
    texts = {name: text.strip("'\"") for name, text in texts.items()}
    several = [name for name, text in texts.items() if _SEVERAL.fullmatch(text)]
    one = [name for name, text in texts.items() if _ONE.fullmatch(text)]
    if one or several:
        return one, several
    one = [name for name, each in parameters.items() if each.kind is each.POSITIONAL_ONLY]
    return one or [name for name, each in parameters.items() if each.default is each.empty], []


class _Operation:
    """The function of an operation, its arguments and its rules."""

    def __init__(
        self, function: Callable[..., Any], holomorphic: bool, halves: bool,
        along: str | tuple[int, ...] | None,
        keeping: Callable[..., tuple[Any, Any]] | None,
        keywords: Callable[..., Any] | None,
    ) -> None:  # fmt: skip
        self.function = function
        self.keeping = keeping
        self.name = function.__name__.lstrip("_")  # what errors say
        self.keywords = keywords
        self.signature = inspect.signature(function)
        self.names = list(self.signature.parameters)
        for name, parameter in self.signature.parameters.items():
            if name in RESERVED or name.startswith("_"):
                raise TypeError(
                    f"op: {self.name} has an argument named '{name}'; g, y, kept, needed and names "
                    "with a leading underscore have a meaning of their own, choose another"
                )
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise TypeError(
                    f"op: {self.name} takes a variable number of arguments ('{parameter}'); "
                    "name each, and take several arrays as one sequence"
                )
        one, several = _arrays_of(self.signature)
        self.arrays = frozenset([*one, *several])
        self.rules = Rules(
            self.name, self.names, several, holomorphic, halves, along, keeping is not None
        )
        self.others: dict[str, str] = {}

    def gradient(self, **rules: Rule | None) -> None:
        self.rules.register(rules)

    def gradients(self, **needs: Sequence[str]) -> Callable[[Rule], Rule]:
        def register(rule: Rule) -> Rule:
            self.rules.register_joint(rule, needs)
            return rule

        return register

    def gradient_of_all(self, rule: Rule | None) -> None:
        """The rule given to the decorator."""
        if rule is not None and len(self.arrays) != 1:
            arrays = [name for name in self.names if name in self.arrays]
            raise TypeError(
                f"op: gradient=... is the rule of one array argument, but {self.name} has "
                f"{len(arrays)} ({', '.join(arrays)}); register one for each with "
                f"{self.name}.gradient({', '.join(f'{name}=...' for name in arrays)})"
            )
        self.rules.register(dict.fromkeys(self.arrays, rule))

    def hand_over(self, **modules: str) -> None:
        self.others.update(modules)

    # Calls that the hot path leaves to these

    def convert_lists(self, *values: Any, kinds: Any = list) -> tuple[Any, ...]:
        """The arguments of a call, with arrays for the lists in the places of arrays.

        They become arrays of the library that an array among the arguments has.
        """
        like = next(filter(is_array, self._arrays_among(values)), None)

        def converted(value: Any) -> Any:
            return asarray_like(like, value) if isinstance(value, kinds) else value

        return tuple(
            value
            if name not in self.arrays
            else [converted(each) for each in value]
            if name in self.rules.sequences
            else converted(value)
            for name, value in zip(self.names, values, strict=True)
        )

    def without_tensors(
        self, *values: Any
    ) -> tuple[tuple[Any, ...], Callable[..., Any], Callable[[Any], Any]]:
        """The arguments of a call without Tensors, the function for it, what becomes of its result.

        Arrays give an array; numbers and lists alone give a Tensor.
        """
        arrays = self._arrays_among(values)
        if _NUMPY.issuperset(map(type, arrays)) and arrays:
            return values, self.function, _unchanged
        if any(map(is_array, arrays)):
            if any(isinstance(value, list) for value in arrays):
                values = self.convert_lists(*values)
            chosen = self._function_for(values) if self.others else self.function
            return values, chosen, _unchanged
        if not arrays:
            return values, self.function, _unchanged
        return self.convert_lists(*values, kinds=(list, *_NUMBERS)), self.function, _as_tensors

    def _arrays_among(self, values: Sequence[Any]) -> list[Any]:
        """What stands in the places of arrays."""
        arrays: list[Any] = []
        for name, value in zip(self.names, values, strict=True):
            if name in self.arrays:
                arrays += value if name in self.rules.sequences else (value,)
        return arrays

    def _function_for(self, values: tuple[Any, ...]) -> Callable[..., Any]:
        """The operation's own function, or a module's for arrays of its library."""
        arrays = self._named_arrays(values)
        mixed = mixture(self.name, arrays)
        if mixed is not None:
            raise mixed
        module = self.others.get(library(next(iter(arrays.values()))))
        if module is None:
            return self.function
        found = sys.modules.get(module) or import_module(module)
        chosen: Callable[..., Any] = getattr(found, self.name)
        return chosen

    def _named_arrays(self, values: tuple[Any, ...]) -> dict[str, Any]:
        return {
            name: value for name, value in zip(self.names, values, strict=True) if is_array(value)
        }

    def explain(self, error: Exception, arguments: tuple[Any, ...]) -> Exception:
        """An error of an array library, in the terms of this operation's caller."""
        arrays = self._named_arrays(arguments)
        told = ", ".join(f"{name} {shape_of(value)}" for name, value in arrays.items())
        if isinstance(error, LibraryError) and not str(error).startswith(self.name):
            mixed = mixture(self.name, arrays)
            if mixed is not None:
                return mixed
            kinds = ", ".join(f"{name} from {library(value)}" for name, value in arrays.items())
            return LibraryError(f"{self.name}: {error}" + (f"\nHere {kinds}." if kinds else ""))
        if isinstance(error, ValueError) and not isinstance(error, LucidError):
            try:
                broadcast_shapes(*map(shape_of, arrays.values()))
            except ShapeError:
                return ShapeError(
                    f"{self.name}: the shapes of {told} do not broadcast; aligned at the right, "
                    "each pair of sizes must be equal or contain a 1"
                )
        if not isinstance(error, LucidError) and "axis" in self.names:
            name, value = next(iter(zip(self.names, arguments, strict=True)))
            if isinstance(value, (list, tuple)) and value:  # several arrays: of the first
                name, value = f"{name}[0]", value[0]
            axis = arguments[self.names.index("axis")]
            wrong = axis_error(self.name, name, shape_of(value), axis)
            if wrong is not None:
                return wrong
        if _REFUSED.search(str(error)) and not isinstance(error, LucidError):
            for name in self.rules.sequences:
                some = arguments[self.names.index(name)]
                arrays.update({f"{name}[{k}]": x for k, x in enumerate(some) if is_array(x)})
            dtypes = ", ".join(f"{name} {dtype_name(x.dtype)}" for name, x in arrays.items())
            return DTypeError(
                f"{self.name}: there is none of {dtypes}; convert to another dtype with "
                f"lucid.astype.\nThe array library says: {error}"
            )
        if not isinstance(error, LucidError):
            error.add_note(f"In {self.name}({told}).")
        return error

    def finish(
        self, y: Any, tracked: int, places: tuple[Any, ...], arguments: tuple[Any, ...], *kept: Any
    ) -> Any:
        """The end of a call with several outputs, of a chosen dtype, with no array, or watched."""
        several = isinstance(y, tuple)
        outputs = y if several else (y,)
        if not all(map(is_array, outputs)):
            raise LibraryError(
                f"{self.name}: an operation returns an array or a tuple of arrays, "
                f"but its function returned {', '.join(type(part).__name__ for part in outputs)}"
            )
        if _anomaly.watching:
            _anomaly.check_result(self.name, arguments, y)
        rules = self.rules
        saving = rules.savings.get(tracked) or rules.saving(tracked)
        differentiable = any(is_differentiable(part.dtype) for part in outputs)
        if not (tracked and mode.recording and saving.rules and differentiable):
            return _as_tensors(y)
        saved = saving.pick(saving.with_facts((*arguments, y, *kept)))
        if several:
            shapes = tuple(part.shape for part in y)
            node = Node(saving, places, saved, shapes, tuple(part.dtype for part in y))
        else:
            node = Node(saving, places, saved, y.shape, y.dtype)
        if _anomaly.watching:
            _anomaly.mark(node)
        if not several:
            return new_tensor(y, node)
        return like_tuple(
            y,
            [
                new_tensor(part, Output(node, k) if is_differentiable(part.dtype) else None)
                for k, part in enumerate(y)
            ],
        )


def _unchanged(y: Any) -> Any:
    return y


def _as_tensors(y: Any) -> Any:
    return like_tuple(y, map(new_tensor, y)) if isinstance(y, tuple) else new_tensor(y)
