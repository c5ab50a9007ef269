"""Whether a state fits a module: everything that does not, at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from .._arrays import Array, is_array, kind, namespace
from .._errors import ArgumentError
from .._tape import Tracked
from .._tensor import Tensor
from ._names import nearest

ArraysByName: TypeAlias = dict[str, Array]


def check_state(
    module: str, own: Mapping[str, Tensor], state: Mapping[str, Any], strict: bool
) -> tuple[list[str], list[str], ArraysByName]:
    """The names missing and unexpected, and the new arrays, in the dtypes and library of `own`.

    Raises ArgumentError with all that does not fit.
    """
    if not isinstance(state, Mapping):
        raise ArgumentError(
            f"load_state_dict: state is {type(state).__name__}, expected a dict from names to "
            "Tensors, such as state_dict() gives"
        )
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    troubles: list[str] = []
    if strict:
        troubles += [f"missing: {name}" for name in missing]
        troubles += [f"unexpected: {name}{_meant(name, missing)}" for name in unexpected]
    arrays: ArraysByName = {}
    for name, tensor in own.items():
        if name not in state:
            continue
        value = state[name]
        array = value._array if isinstance(value, Tracked) else value
        trouble = _misfit(tensor, array)
        if trouble:
            troubles.append(f"{trouble[0]}: {name} is {trouble[1]}")
        else:
            xp = namespace(tensor._array)
            arrays[name] = xp.asarray(array, dtype=tensor.dtype, device=tensor.device, copy=True)
    if troubles:
        raise ArgumentError(
            f"load_state_dict: the state does not fit {module}; nothing was loaded.\n  "
            + "\n  ".join(troubles)
        )
    return missing, unexpected, arrays


def _misfit(tensor: Tensor, array: Any) -> tuple[str, str] | None:
    if not is_array(array):
        return "type", f"{type(array).__name__} in the state, expected a Tensor or an array"
    if tuple(array.shape) != tensor.shape:
        return "shape", f"{tensor.shape} here, but {tuple(array.shape)} in the state"
    if kind(array.dtype) > kind(tensor.dtype):
        return "dtype", f"{tensor.dtype} here, which cannot hold the state's {array.dtype}"
    return None


def _meant(name: str, missing: list[str]) -> str:
    near = nearest(name, missing)
    return f" (did you mean {near}?)" if near else ""
