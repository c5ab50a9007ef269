"""Whether the state of an optimiser fits: everything that does not, at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, TypeGuard

from .._arguments import COUNTED, Expected
from .._arrays import is_array, kind
from .._errors import ArgumentError
from .._tape import Tracked
from .._tensor import Tensor

Settings = dict[str, Any]


class Algorithm(Protocol):
    """What an optimiser says of the states that it takes."""

    param_groups: list[Settings]
    _settings: ClassVar[Mapping[str, Expected]]
    _optional: tuple[str, ...]

    def _remembered(self, group: Settings) -> tuple[str, ...]: ...


def check_state(
    optimizer: Algorithm, params: list[Tensor], state: Any
) -> tuple[list[Settings], list[Mapping[str, Any]]]:
    """The settings of each group and what is remembered of each parameter.

    Raises ArgumentError with all that does not fit.
    """
    name = f"{type(optimizer).__name__}.load_state_dict"
    if not _is_whole(state):
        raise ArgumentError(
            f"{name}: expected what state_dict() gives, a dict with 'state', a list with a dict "
            "for each parameter, and 'param_groups', a list with a dict for each group"
        )
    troubles: list[str] = []
    groups, remembered = optimizer.param_groups, state["state"]
    if len(state["param_groups"]) != len(groups):
        troubles.append(f"{len(groups)} groups here, but {len(state['param_groups'])} in the state")
    given = []
    for k, (group, theirs) in enumerate(zip(groups, state["param_groups"], strict=False)):
        if len(theirs["params"]) != len(group["params"]):
            troubles.append(
                f"group {k} has {len(group['params'])} parameters here, "
                f"but {len(theirs['params'])} in the state"
            )
        if set(group) != set(theirs):
            troubles.append(
                f"group {k} has the settings {_listed(group)} here, but {_listed(theirs)} in the "
                "state"
            )
        settings = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in theirs.items()
            if key != "params"
        }
        given.append(settings)
        for key, expected in optimizer._settings.items():
            if key in settings and not expected.holds(settings[key]):
                troubles.append(
                    f"{key} of group {k} is {settings[key]!r:.60}, expected {expected.words}"
                )
    if len(remembered) != len(params):
        troubles.append(f"{len(params)} parameters here, but {len(remembered)} in the state")
    if not troubles:
        owners = [
            settings for settings, group in zip(given, groups, strict=True) for _ in group["params"]
        ]
        for k, (parameter, values) in enumerate(zip(params, remembered, strict=True)):
            needed = optimizer._remembered(owners[k])
            troubles += _misfits(k, parameter, values, needed, optimizer._optional)
    if troubles:
        raise ArgumentError(
            f"{name}: the state does not fit; nothing was loaded.\n  " + "\n  ".join(troubles)
        )
    return given, remembered


def _is_whole(state: Any) -> bool:
    return (
        isinstance(state, Mapping)
        and _are_dicts(state.get("state"))
        and _are_dicts(state.get("param_groups"))
        and all(isinstance(group.get("params"), (list, tuple)) for group in state["param_groups"])
    )


def _are_dicts(values: Any) -> TypeGuard[list[Mapping[str, Any]]]:
    return isinstance(values, (list, tuple)) and all(isinstance(each, Mapping) for each in values)


def _listed(settings: Mapping[str, Any]) -> str:
    return ", ".join(sorted(map(str, set(settings) - {"params"})))


def _misfits(
    k: int,
    parameter: Tensor,
    values: Mapping[str, Any],
    needed: tuple[str, ...],
    optional: tuple[str, ...],
) -> list[str]:
    """What is wrong with that which is remembered of one parameter."""
    if not values:  # before its first step
        return []
    troubles = []
    if not COUNTED.holds(values.get("step")):
        troubles.append(
            f"step of parameter {k} is {values.get('step')!r:.40}, expected {COUNTED.words}"
        )
    troubles += [
        f"{name} of parameter {k} is missing"
        for name in needed
        if name not in values and name not in optional
    ]
    for name, value in values.items():
        array = value._array if isinstance(value, Tracked) else value
        where = f"{name} of parameter {k}"
        if name == "step":
            continue
        if name not in (*needed, *optional):
            troubles.append(f"{where} is not known here")
        elif not is_array(array):
            troubles.append(f"{where} is {type(array).__name__}, expected a Tensor or an array")
        elif tuple(array.shape) != parameter.shape:
            troubles.append(
                f"{where} has shape {parameter.shape} here, but {tuple(array.shape)} in the state"
            )
        elif kind(array.dtype) != kind(parameter.dtype):
            troubles.append(
                f"{where} has dtype {array.dtype} in the state, but the parameter has "
                f"{parameter.dtype}"
            )
    return troubles
