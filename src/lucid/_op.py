"""How a function on arrays and its gradients become an operation on Tensors.

    @op
    def multiply(x1, x2, /):
        return namespace(x1, x2).multiply(x1, x2)

    multiply.gradient(
        x1=lambda g, x2: g * x2,
        x2=lambda g, x1: g * x1,
    )

A rule asks by the names in its signature for what it needs: `g` is the gradient of the output,
`y` the output, `needed` says which of several gradients are wanted, `x_shape` and `x_dtype` are
those of the argument x, and every other name is an argument of the operation. Only what the needed
rules name is kept alive until the backward pass.

The function that the user calls is written out for the operation's own signature and compiled
(as `dataclasses` does), because it is the hot path: taking arguments through *args and
**kwargs costs as much as a small NumPy operation.
"""

from __future__ import annotations

import inspect
import linecache
import sys
from collections import namedtuple
from collections.abc import Callable, Iterable, Sequence
from functools import cache, update_wrapper
from importlib import import_module
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, cast, overload

import numpy as np

from . import _anomaly
from ._arrays import array_types, asarray_like, is_array, library, mixture
from ._errors import GraphError, LibraryError, LucidError, ShapeError
from ._hints import no_keyword
from ._shapes import broadcast_shapes
from ._tape import Node, Output, Traced, mode, new_tensor, recorded

if TYPE_CHECKING:
    from ._tensor import Tensor

P = ParamSpec("P")
Rule = Callable[..., Any]

_NUMBERS = (bool, int, float, complex)

_NUMPY = {np.ndarray, type(None)}

_RESERVED = ("g", "y", "needed")


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


@overload
def op(function: Callable[P, Any], /) -> Op[P]: ...
@overload
def op(*, sequence: str = ..., holomorphic: bool = ...) -> Callable[[Callable[P, Any]], Op[P]]: ...
def op(
    function: Callable[P, Any] | None = None,
    /,
    *,
    sequence: str | None = None,
    holomorphic: bool = True,
) -> Any:
    """Make a function on arrays an operation that the tape records.

    `function` gets arrays (of any library, or Python numbers) and returns an array, or a tuple of
    arrays. `sequence` names an argument that is a sequence of arrays. With `holomorphic=False` the
    rules of an operation on complex numbers follow the convention of the conjugate Wirtinger
    derivative by themselves; otherwise the tape conjugates around them.

    Raises TypeError for an argument named `g`, `y` or `needed`, or a variable number of them.

    >>> import lucid
    >>> @lucid.op
    ... def cube(x):
    ...     return x ** 3
    >>> cube.gradient(x=lambda g, x: 3 * g * x ** 2)
    >>> x = lucid.Tensor([1.0, 2.0], requires_grad=True)
    >>> cube(x).backward()
    >>> x.grad
    Tensor([3.0, 12.0])
    """

    def make(function: Callable[P, Any]) -> Op[P]:
        return _compile(_Operation(function, sequence, holomorphic))

    return make if function is None else make(function)


class Plan:
    """What a call saves and which rules its backward runs, for one set of tracked arguments.

    Made once for each set of arguments that require a gradient, then looked up.
    """

    __slots__ = ("conjugates", "joint", "meta", "name", "needed_type", "origins", "save", "steps")

    def __init__(self, operation: _Operation, tracked: int) -> None:
        names = operation.names
        wanted = [name for k, name in enumerate(names) if tracked >> k & 1]
        wanted = [name for name in wanted if operation.rules.get(name, "none yet") is not None]
        needs: list[str] = []
        for name in wanted:
            asked = operation.needs[name] if operation.joint else _names_of(operation.rule(name))
            needs += [need for need in asked if need not in (*needs, "g", "needed")]
        known, self.meta = _resolve(operation, needs)
        self.name = operation.name
        self.conjugates = operation.holomorphic
        self.save = _picker([known.index(need) for need in needs])
        # where a saved value stood: the argument's number, -1 for the output, None for neither
        self.origins = [
            names.index(need) if need in names else -1 if need == "y" else None for need in needs
        ]
        # a rule is given g, then the saved values; one with several gradients also `needed`, None
        given = ["g", *needs, "needed"]
        self.needed_type: Callable[..., Any] = lambda *flags: flags
        self.joint: Callable[[Any], Any] | None = None
        self.steps: list[tuple[Rule, Callable[[Any], Any], int]] = []
        if operation.joint and wanted:
            fields = list(operation.needs)
            self.needed_type = namedtuple("Needed", fields)  # type: ignore[misc] # noqa: PYI024
            self.joint = _picker([names.index(name) for name in fields])
            asked = _names_of(operation.joint)
            absent = len(given)
            pick = _picker([given.index(name) if name in given else absent for name in asked])
            self.steps.append((operation.joint, pick, -1))
        else:
            for name in wanted:
                rule = operation.rule(name)
                pick = _picker([given.index(asked) for asked in _names_of(rule)])
                self.steps.append((rule, pick, names.index(name)))

    def known(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments and the output, followed by the shapes and dtypes that are asked for."""
        return (*values, *[read(values[k]) for k, read in self.meta])

    def on_tape(self, node: Node) -> list[Any]:
        """The saved values as Tensors on their places: for rules that are themselves recorded."""
        return [
            value
            if origin is None
            else recorded(value, node if origin == -1 else node.inputs[origin])
            for value, origin in zip(node.saved or (), self.origins, strict=True)
        ]


def _resolve(
    operation: _Operation, needs: list[str]
) -> tuple[list[str], list[tuple[int, Callable[[Any], Any]]]]:
    """The names of what a call can save: arguments, output, then shapes and dtypes asked for."""
    known = [*operation.names, "y"]
    meta = []
    for need in needs:
        argument, _, attribute = need.rpartition("_")
        if need in known:
            continue
        if argument not in operation.names or attribute not in _META:
            raise GraphError(
                f"{operation.name}: a gradient rule asks for '{need}', which is neither g, y, "
                f"needed, an argument ({', '.join(operation.names)}), nor its _shape or _dtype"
            )
        meta.append((operation.names.index(argument), _META[attribute]))
        known.append(need)
    return known, meta


def _shape(value: Any) -> Any:
    shape = getattr(value, "shape", None)
    if shape is not None:
        return tuple(shape)
    return [_shape(each) for each in value] if isinstance(value, (list, tuple)) else ()


_META: dict[str, Callable[[Any], Any]] = {
    "shape": _shape,
    "dtype": lambda value: getattr(value, "dtype", None),
}


def _picker(indices: Sequence[int]) -> Callable[[Any], tuple[Any, ...]]:
    """A function that picks these of a sequence's values, as a tuple."""
    if len(indices) > 1:
        return itemgetter(*indices)
    if indices:
        (only,) = indices
        return lambda values: (values[only],)
    return lambda _: ()


def _names_of(rule: Rule) -> list[str]:
    return list(inspect.signature(rule).parameters)


class _Operation:
    """The function of an operation, the names of its arguments, and its rules."""

    def __init__(
        self, function: Callable[..., Any], sequence: str | None, holomorphic: bool
    ) -> None:
        self.function = function
        self.name = function.__name__
        self.signature = inspect.signature(function)
        self.names = list(self.signature.parameters)
        self.sequence = sequence
        self.holomorphic = holomorphic
        self.rules: dict[str, Rule | None] = {}
        self.joint: Rule | None = None
        self.needs: dict[str, Sequence[str]] = {}
        self.plans: dict[int, Plan] = {}
        self.others: dict[str, str] = {}
        for name, parameter in self.signature.parameters.items():
            if name in _RESERVED or name.startswith("_"):
                raise TypeError(
                    f"op: {self.name} has an argument named '{name}'; g, y, needed and names with "
                    "a leading underscore have a meaning of their own, choose another"
                )
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise TypeError(
                    f"op: {self.name} takes a variable number of arguments ('{parameter}'); "
                    "name each, and take several arrays as one sequence"
                )

    def rule(self, name: str) -> Rule:
        return self.rules.get(name) or _no_rule(self.name, name)

    def gradient(self, **rules: Rule | None) -> None:
        self._accept(rules)
        self.rules.update(rules)

    def gradients(self, **needs: Sequence[str]) -> Callable[[Rule], Rule]:
        self._accept(needs)

        def register(rule: Rule) -> Rule:
            self.joint = rule
            self.needs = needs
            self.rules.update(dict.fromkeys(needs, rule))
            return rule

        return register

    def _accept(self, names: Iterable[str]) -> None:
        unknown = [name for name in names if name not in self.names]
        if unknown:
            raise TypeError(
                f"{self.name}: there is no argument {', '.join(map(repr, unknown))} to register "
                f"a gradient for; the arguments are {', '.join(self.names)}"
            )
        self.plans.clear()

    def make_plan(self, tracked: int) -> Plan:
        plan = self.plans[tracked] = Plan(self, tracked)
        return plan

    def lift(self, *values: Any, kinds: Any = list) -> tuple[Any, ...]:
        """The arguments of a call, with arrays for the lists in the places of arrays.

        They become arrays of the library that an array among the arguments has.
        """
        groups = [
            (value if name == self.sequence else (value,)) if name in self.rules else ()
            for name, value in zip(self.names, values, strict=True)
        ]
        like = next((each for group in groups for each in group if is_array(each)), None)

        def lifted(value: Any) -> Any:
            return asarray_like(like, value) if isinstance(value, kinds) else value

        return tuple(
            value
            if name not in self.rules
            else [lifted(each) for each in value]
            if name == self.sequence
            else lifted(value)
            for name, value in zip(self.names, values, strict=True)
        )

    def outside(
        self, *values: Any
    ) -> tuple[tuple[Any, ...], Callable[..., Any], Callable[[Any], Any]]:
        """The arguments of a call without Tensors, the function for it, what becomes of its result.

        Arrays give an array; numbers and lists alone give a Tensor.
        """
        arrays: list[Any] = []
        for name, value in zip(self.names, values, strict=True):
            if name in self.rules:
                arrays += value if name == self.sequence else (value,)
        if _NUMPY.issuperset(map(type, arrays)) and arrays:
            return values, self.function, _unchanged
        if any(map(is_array, arrays)):
            if any(isinstance(value, list) for value in arrays):
                values = self.lift(*values)
            chosen = self.function_for(values) if self.others else self.function
            return values, chosen, _unchanged
        if not arrays:
            return values, self.function, _unchanged
        return self.lift(*values, kinds=(list, *_NUMBERS)), self.function, _as_tensors

    def hand_over(self, **modules: str) -> None:
        self.others.update(modules)

    def function_for(self, values: tuple[Any, ...]) -> Callable[..., Any]:
        """The operation's own function, or a module's for arrays of its library."""
        arrays = {
            name: value for name, value in zip(self.names, values, strict=True) if is_array(value)
        }
        mixed = mixture(self.name, arrays)
        if mixed is not None:
            raise mixed
        module = self.others.get(library(next(iter(arrays.values()))))
        if module is None:
            return self.function
        found = sys.modules.get(module) or import_module(module)
        chosen: Callable[..., Any] = getattr(found, self.name)
        return chosen

    def explain(self, error: Exception, arguments: tuple[Any, ...]) -> Exception:
        """An error of an array library, in the terms of this operation's caller."""
        arrays = {
            name: value
            for name, value in zip(self.names, arguments, strict=True)
            if is_array(value)
        }
        told = ", ".join(f"{name} {_shape(value)}" for name, value in arrays.items())
        if isinstance(error, LibraryError) and not str(error).startswith(self.name):
            mixed = mixture(self.name, arrays)
            if mixed is not None:
                return mixed
            kinds = ", ".join(f"{name} from {library(value)}" for name, value in arrays.items())
            return LibraryError(f"{self.name}: {error}" + (f"\nHere {kinds}." if kinds else ""))
        if isinstance(error, ValueError) and not isinstance(error, LucidError):
            try:
                broadcast_shapes(*map(_shape, arrays.values()))
            except ShapeError:
                return ShapeError(
                    f"{self.name}: the shapes of {told} do not broadcast; aligned at the right, "
                    "each pair of sizes must be equal or contain a 1"
                )
        if not isinstance(error, LucidError):
            error.add_note(f"In {self.name}({told}).")
        return error

    def finish(
        self, y: Any, tracked: int, inputs: tuple[Any, ...], arguments: tuple[Any, ...]
    ) -> Any:
        """What the hot path leaves aside: several outputs, watching, and what is no array."""
        outputs = y if type(y) is tuple else (y,)
        if not all(map(is_array, outputs)):
            raise LibraryError(
                f"{self.name}: an operation returns an array or a tuple of arrays, "
                f"but its function returned {', '.join(type(part).__name__ for part in outputs)}"
            )
        if _anomaly.watching:
            _anomaly.check_result(self.name, arguments, y)
        plan = self.plans.get(tracked) or self.make_plan(tracked)
        if not (tracked and mode.recording and plan.steps):
            return _as_tensors(y)
        saved = plan.save(plan.known((*arguments, y)))
        if y is not outputs:
            node = Node(plan, inputs, saved, y.shape, y.dtype)
        else:
            shapes = tuple(part.shape for part in y)
            node = Node(plan, inputs, saved, shapes, tuple(part.dtype for part in y))
        if _anomaly.watching:
            _anomaly.mark(node)
        if y is not outputs:
            return new_tensor(y, node)
        return tuple(new_tensor(part, Output(node, k)) for k, part in enumerate(y))


def _unchanged(y: Any) -> Any:
    return y


def _as_tensors(y: Any) -> Any:
    return tuple(map(new_tensor, y)) if isinstance(y, tuple) else new_tensor(y)


def _no_rule(operation: str, argument: str) -> Rule:
    def rule(g: Any) -> Any:  # noqa: ARG001 (what a rule is called with)
        raise GraphError(
            f"{operation} has no gradient for its argument '{argument}'.\n"
            f"Register one with {operation}.gradient({argument}=...), or None where it is zero; "
            "or call detach() on what is passed in."
        )

    return rule


def _unwrap(group: Any) -> tuple[Any, Any]:
    """The arrays of a sequence that may hold Tensors, and their places (None without Tensors)."""
    group = list(group)
    if not any(isinstance(value, Traced) for value in group):
        return group, None
    arrays = [value._array if isinstance(value, Traced) else value for value in group]
    return arrays, tuple(v._node if isinstance(v, Traced) else None for v in group)


# The hot path, written out for one signature. A place is looked up under the argument's name
# with an underscore; bit k of `tracked` says that argument k requires a gradient.

_ARGUMENT = """
        if isinstance({name}, Traced):
            lifted = True
            _{name} = {name}._node
            {name} = {name}._array
            if _{name} is not None:
                tracked |= {bit}
        else:
            _{name} = None
            if {name}.__class__ is list:
                listed = True
"""

_SEQUENCE = """
        {name}, _{name} = unwrap({name})
        if _{name} is not None:
            lifted = listed = True
            if any(_{name}):
                tracked |= {bit}
"""

_REFUSAL = """
        if foreign__:
            raise no_keyword(function.__name__, foreign__)
"""

_CALL = """
def build(function, defaults, plans, make_plan, lift, outside, explain, finish):
    def operation({parameters}):
        tracked = 0
        lifted = listed = False
{unwrap}
        if not lifted:
            ({values},), chosen, wrap = outside({values})
            return wrap(chosen({passed}))
        if listed:
            {values}, = lift({values})
        try:
            y = function({passed})
        except Exception as error:
            raise explain(error, ({values},)) from None
        if anomaly.watching or y.__class__ not in array_types:
            return finish(y, tracked, ({places},), ({values},))
        place = None
        if tracked and mode.recording:
            plan = plans.get(tracked) or make_plan(tracked)
            if plan.steps:
                values = ({values}, y)
                if plan.meta:
                    values = plan.known(values)
                place = Node(plan, ({places},), plan.save(values), y.shape, y.dtype)
        tensor = create(Tensor)
        tensor._array = y
        tensor._node = place
        tensor._grad = None
        return tensor
    return operation
"""

_scope: dict[str, Any] = {
    "Node": Node,
    "Traced": Traced,
    "anomaly": _anomaly,
    "array_types": array_types,
    "mode": mode,
    "no_keyword": no_keyword,
    "unwrap": _unwrap,
}


def serve(tensor: type[Tensor]) -> None:
    """Have operations return Tensors of this class, which stands above them."""
    _scope.update(Tensor=tensor, create=tensor.__new__)


class _Expression(str):
    """Text that stands in a signature as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _compile(operation: _Operation) -> Op[Any]:
    """Write out and compile the function that the user calls."""
    names = operation.names
    parameters = operation.signature.parameters
    plain = [
        parameter.replace(
            annotation=parameter.empty,
            default=parameter.default
            if parameter.default is parameter.empty
            else _Expression(f"defaults['{name}']"),
        )
        for name, parameter in parameters.items()
    ]
    refusal = ""
    if {"axis", "axes"} & set(names):  # who knows other names for them is told ours
        plain.append(inspect.Parameter("foreign__", inspect.Parameter.VAR_KEYWORD))
        refusal = _REFUSAL
    source = _CALL.format(
        parameters=str(inspect.Signature(plain))[1:-1],
        unwrap=refusal
        + "".join(
            (_SEQUENCE if name == operation.sequence else _ARGUMENT).format(name=name, bit=1 << k)
            for k, name in enumerate(names)
        ),
        values=", ".join(names),
        places=", ".join(f"_{name}" for name in names),
        passed=", ".join(
            f"{name}={name}" if parameter.kind == parameter.KEYWORD_ONLY else name
            for name, parameter in parameters.items()
        ),
    )
    call = _builder(source)(
        operation.function,
        {name: parameter.default for name, parameter in parameters.items()},
        operation.plans,
        operation.make_plan,
        operation.lift,
        operation.outside,
        operation.explain,
        operation.finish,
    )
    update_wrapper(call, operation.function)
    call.gradient = operation.gradient
    call.gradients = operation.gradients
    call.hand_over = operation.hand_over
    call.operation = operation
    return cast("Op[Any]", call)


@cache
def _builder(source: str) -> Callable[..., Any]:
    """The compiled text; operations of the same signature share it."""
    filename = f"<lucid operation {hash(source):x}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
    made: dict[str, Any] = {}
    exec(compile(source, filename, "exec"), _scope, made)  # noqa: S102 (our own text)
    builder: Callable[..., Any] = made["build"]
    return builder
