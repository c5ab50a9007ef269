"""Whether the state of an optimiser fits: everything that does not, at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._errors import ArgumentError
from .._tensor import Tensor


def check_state(
    optimizer: str,
    groups: list[dict[str, Any]],
    params: list[Tensor],
    state: Mapping[str, Any],
) -> tuple[list[dict[str, Any]], list[Mapping[str, Any]]]:
    """The settings of each group and what is remembered of each parameter.

    Raises ArgumentError with all that does not fit.
    """
    if not isinstance(state, Mapping) or not {"state", "param_groups"} <= set(state):
        raise ArgumentError(
            f"{optimizer}.load_state_dict: expected what state_dict() gives, a dict with 'state' "
            f"and 'param_groups'"
        )
    troubles: list[str] = []
    given: list[dict[str, Any]] = []
    if len(state["param_groups"]) != len(groups):
        troubles.append(f"{len(groups)} groups here, but {len(state['param_groups'])} in the state")
    for k, (group, theirs) in enumerate(zip(groups, state["param_groups"], strict=False)):
        if len(theirs["params"]) != len(group["params"]):
            troubles.append(
                f"group {k} has {len(group['params'])} parameters here, "
                f"but {len(theirs['params'])} in the state"
            )
        absent = [key for key in group if key not in theirs]
        unknown = [key for key in theirs if key not in group]
        if absent or unknown:
            troubles.append(
                f"group {k} has the settings {', '.join(sorted(set(group) - {'params'}))} here, "
                f"but {', '.join(sorted(set(theirs) - {'params'}))} in the state"
            )
        given.append(
            {
                key: tuple(value) if isinstance(value, list) else value
                for key, value in theirs.items()
                if key != "params"
            }
        )
    remembered = list(state["state"])
    if len(remembered) != len(params):
        troubles.append(f"{len(params)} parameters here, but {len(remembered)} in the state")
    for k, (parameter, values) in enumerate(zip(params, remembered, strict=False)):
        for name, value in values.items():
            if name != "step" and tuple(value.shape) != parameter.shape:
                troubles.append(
                    f"{name} of parameter {k} has shape {parameter.shape} here, "
                    f"but {tuple(value.shape)} in the state"
                )
    if troubles:
        raise ArgumentError(
            f"{optimizer}.load_state_dict: the state does not fit; nothing was loaded.\n  "
            + "\n  ".join(troubles)
        )
    return given, remembered
