"""Optimizer: parameters in groups, what is remembered of each, and the step over them all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from .._arguments import FUNCTION, Expected, check
from .._arrays import Array, DType, device_of, is_half, namespace
from .._errors import ArgumentError, GraphError
from .._recording import enable_grad
from .._tape import Tracked
from .._tensor import Tensor
from ._state import check_state

Group = dict[str, Any]
State = dict[str, Any]

_BLOCK = 1 << 16  # elements: a block of each array that a formula runs over stays in the cache


class Optimizer:
    """The base of the algorithms: it goes through the parameters, and an algorithm updates one.

    `params` are Tensors, as `model.parameters()` gives them, or groups of them with settings of
    their own: `[{"params": …, "lr": 0.1}, {"params": …}]`. `param_groups` may be changed between
    steps, `state` is what is remembered. A subclass defines `_settings`, `_remembered` and
    `_update`.

    Raises ArgumentError for no parameters, one given twice, something that is no Tensor, or a
    setting out of its range or unknown; GraphError for the result of an operation.
    """

    def __init__(self, params: Iterable[Tensor | Group], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self.state: dict[Tensor, State] = {}
        self._scratch: dict[Any, tuple[Array, Array]] = {}
        if not isinstance(params, Iterable) or isinstance(params, Tensor):
            raise ArgumentError(
                f"{self._name}: params is {_described(params)}, expected Tensors in a list, or "
                "what model.parameters() gives"
            )
        given = list(params)
        if not given:
            raise ArgumentError(f"{self._name}: params is empty, there is nothing to train")
        for group in given if isinstance(given[0], dict) else [{"params": given}]:
            self.add_param_group(group)  # type: ignore[arg-type]

    @property
    def _name(self) -> str:
        return type(self).__name__

    def add_param_group(self, group: Group) -> None:
        """Train further parameters, `group["params"]`, with settings of their own.

        Settings that the group leaves out are those the optimiser was made with.
        """
        if not isinstance(group, dict) or "params" not in group:
            raise ArgumentError(
                f"{self._name}: a group of parameters is a dict with 'params', got {group!r:.60}"
            )
        params = group["params"]
        params = [params] if isinstance(params, Tensor) else list(params)
        unknown = [key for key in group if key not in self.defaults and key != "params"]
        if unknown:
            raise ArgumentError(
                f"{self._name}: unknown setting {', '.join(map(repr, unknown))} in a group; there "
                f"are {', '.join(self.defaults)}"
            )
        if not params:
            raise ArgumentError(f"{self._name}: params is empty, there is nothing to train")
        self._check_params(params)
        whole = {**self.defaults, **group, "params": params}
        self._check(whole)
        self.param_groups.append(whole)

    def _check_params(self, params: list[Any]) -> None:
        seen = {id(each) for group in self.param_groups for each in group["params"]}
        for k, parameter in enumerate(params):
            if not isinstance(parameter, Tensor):
                raise ArgumentError(
                    f"{self._name}: params[{k}] is {_described(parameter)}, expected a Tensor"
                )
            if not parameter.is_leaf:
                raise GraphError(
                    f"{self._name}: params[{k}], of shape {parameter.shape}, is the result of an "
                    "operation, and its gradient would go to what it was computed from.\n"
                    "Train that, or a leaf: Tensor(…, requires_grad=True)."
                )
            if id(parameter) in seen:
                raise ArgumentError(
                    f"{self._name}: params[{k}], of shape {parameter.shape}, is given twice, and "
                    "would be updated twice in each step"
                )
            seen.add(id(parameter))

    # What an algorithm defines

    _settings: ClassVar[Mapping[str, Expected]] = {}  # what each may be
    _optional: tuple[str, ...] = ()  # which arrays may be missing, as a setting asks for them

    def _check(self, group: Group) -> None:
        """Raise ArgumentError for a setting out of its range: when given, and in each step."""
        for name, expected in self._settings.items():
            check(self._name, expected, **{name: group.get(name)})

    def _remembered(self, group: Group) -> tuple[str, ...]:
        """The names of the arrays that are remembered of each parameter; they start at 0."""
        raise NotImplementedError

    def _update(
        self, array: Array, gradient: Array, state: State, group: Group, out: Array | None
    ) -> Array:
        """The new values, in `out` if there is one; arrays of the state are changed, or replaced.

        `state["step"]` counts the steps, from 1. `self._scratch_for(array)` is memory to use.
        """
        raise NotImplementedError

    def _compiled(
        self,
        array: Array,  # noqa: ARG002
        gradient: Array,  # noqa: ARG002
        state: State,  # noqa: ARG002
        group: Group,  # noqa: ARG002
    ) -> Array | None:
        """The same in one pass of the compiled kernel, or None where it declines."""
        return None

    # The step

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; returns what `closure()` returns.

        A closure computes the loss, and the gradients, first. A parameter gets a new array:
        what a graph has saved stays.

        Raises ArgumentError for a setting that was set out of its range, or for a parameter whose
        shape or dtype is no longer that of its state; then no parameter has changed.
        """
        loss = None
        if closure is not None:
            check(f"{self._name}.step", FUNCTION, closure=closure)
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._check(group)
        work = [
            (parameter, group, self._state_of(parameter, group))
            for group in self.param_groups
            for parameter in group["params"]
            if parameter._grad is not None
        ]
        for parameter, group, state in work:
            self._step(parameter, state, group)
        return loss

    def _state_of(self, parameter: Tensor, group: Group) -> State:
        """What is remembered of a parameter, with zeros for what is not yet."""
        array = parameter._array
        dtype = _computed_in(array)
        state = self.state.get(parameter)
        if state is None:
            state = {"step": 0}
        for name in self._remembered(group):  # a setting may ask for more from now on
            if name not in state:
                state[name] = _zeros(array, dtype)
            elif state[name].shape != array.shape or state[name].dtype != dtype:
                raise ArgumentError(
                    f"{self._name}.step: a parameter of shape {tuple(array.shape)} and dtype "
                    f"{array.dtype} was {tuple(state[name].shape)} and {state[name].dtype} when "
                    "the optimiser began; make the optimiser after the conversion"
                )
        return state

    def _step(self, parameter: Tensor, state: State, group: Group) -> None:
        array, gradient = map(_writable, (parameter._array, parameter._grad._array))  # type: ignore[union-attr]
        xp, dtype, wide = None, _computed_in(array), array
        if array.dtype != dtype:
            xp = namespace(array)
            wide, gradient = xp.astype(array, dtype), xp.astype(gradient, dtype)
        self.state[parameter] = state
        state["step"] += 1
        new = None
        if type(wide) is np.ndarray:
            new = self._compiled(wide, gradient, state, group)
            if new is None and wide.size > _BLOCK:
                new = self._in_blocks(wide, gradient, state, group)
        if new is None:
            new = self._update(wide, gradient, state, group, None)
        parameter._array = new if xp is None else xp.astype(_writable(new), array.dtype)

    def _in_blocks(self, array: Array, gradient: Array, state: State, group: Group) -> Array:
        """The update of a large NumPy array, block by block: as many passes, in the cache."""
        new = np.empty(array.shape, array.dtype)
        arrays = {key: value for key, value in state.items() if key != "step"}
        values = [each.reshape(-1) for each in (array, gradient, new, *arrays.values())]
        part: State = {"step": state["step"]}
        for start in range(0, array.size, _BLOCK):
            flat, slope, into, *rest = [each[start : start + _BLOCK] for each in values]
            part.update(zip(arrays, rest, strict=True))
            self._update(flat, slope, part, group, into)
        return new

    def _scratch_for(self, array: Array) -> tuple[Array | None, Array | None]:
        """Two arrays to compute in, the same for all parameters of one shape and dtype."""
        if type(array) is not np.ndarray:
            return None, None
        key = (array.shape, array.dtype)
        found = self._scratch.get(key)
        if found is None:
            found = self._scratch[key] = (np.empty_like(array), np.empty_like(array))
        return found

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter._grad = None

    # State

    def state_dict(self) -> dict[str, Any]:
        """The settings, and what is remembered of each parameter, in order: for `lucid.save`.

        The arrays are copies. Parameters are numbered through all groups.
        """
        groups: list[dict[str, Any]] = []
        remembered: list[State] = []
        for group in self.param_groups:
            first = len(remembered)
            for parameter in group["params"]:
                state = self.state.get(parameter, {})
                remembered.append(
                    {key: value if key == "step" else Tensor(value) for key, value in state.items()}
                )
            settings = {key: value for key, value in group.items() if key != "params"}
            groups.append({**settings, "params": list(range(first, len(remembered)))})
        return {"state": remembered, "param_groups": groups}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state, of the same algorithm with parameters of the same shapes.

        Raises ArgumentError with all that does not fit; then nothing has changed.
        """
        params = [each for group in self.param_groups for each in group["params"]]
        groups, remembered = check_state(self, params, state)
        for group, settings in zip(self.param_groups, groups, strict=True):
            self._check({**group, **settings})
        copies = {
            parameter: _copied(values, parameter)
            for parameter, values in zip(params, remembered, strict=True)
            if values
        }
        for group, settings in zip(self.param_groups, groups, strict=True):
            group.update(settings)
        self.state = copies

    def __repr__(self) -> str:
        rows = []
        for group in self.param_groups:
            settings = [f"{key}={value}" for key, value in group.items() if key != "params"]
            count = len(group["params"])
            rows.append(f"{count} parameter{'' if count == 1 else 's'}: {', '.join(settings)}")
        if len(rows) == 1:
            return f"{self._name}({rows[0]})"
        return f"{self._name}(\n" + "".join(f"  {row}\n" for row in rows) + ")"


def _zeros(array: Array, dtype: DType) -> Array:
    xp = namespace(array)  # not zeros_like, whose layout follows the array's: blocks need rows
    return xp.zeros(tuple(array.shape), dtype=dtype, device=device_of(array))


def _copied(values: Mapping[str, Any], parameter: Tensor) -> State:
    """What is remembered of a parameter, in the library and the dtype in which it is computed."""
    array = parameter._array
    xp = namespace(array)
    copies: State = {}
    for key, value in values.items():
        if key == "step":
            copies[key] = int(value)
            continue
        given = value._array if isinstance(value, Tracked) else value
        given = xp.asarray(given, dtype=_computed_in(array), device=device_of(array), copy=True)
        copies[key] = np.array(given, order="C") if xp is np else given
    return copies


def _writable(array: Array) -> Array:
    """An array where NumPy has a scalar, which `out=` does not take."""
    return np.asarray(array) if isinstance(array, np.generic) else array


def _computed_in(array: Array) -> DType:
    """The dtype of a step, and of what is remembered: a half's is float32, and native bytes'."""
    if is_half(array.dtype):
        return namespace(array).float32
    dtype = array.dtype
    return dtype if getattr(dtype, "isnative", True) else dtype.newbyteorder("=")


def _described(value: Any) -> str:
    kind = type(value).__name__
    return f"a {kind}" if not hasattr(value, "parameters") else f"a module ({kind})"
