"""Tensors in files: the safetensors format, which holds arrays by name and runs no code.

A dictionary of Tensors is written as such, for every reader of safetensors. What is nested, or has
plain values beside the Tensors (the state of an optimiser), keeps its form as JSON in the header:
each Tensor stands there as {"$tensor": name}, the name being its path, joined with dots.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from ._arrays import is_array
from ._errors import ArgumentError, LibraryError
from ._tape import Tracked, new_tensor

if TYPE_CHECKING:
    from types import ModuleType

_FORM = "lucid.form"  # the name of the nested form in the header
_TENSOR = "$tensor"

Path = str | os.PathLike[str]


def save(
    state: Mapping[str, Any], path: Path, *, metadata: Mapping[str, str] | None = None
) -> None:
    """Write a dictionary of Tensors, such as `model.state_dict()`, to a safetensors file.

    `state` maps names to Tensors or arrays, or to dictionaries, lists, numbers, truth values,
    strings and None, as deep as needed. `metadata` are texts for other readers of the file.

    The file appears complete or not at all: it is written beside its place under another name, and
    then renamed. It holds numbers and text only, no code (no pickle).

    Raises ArgumentError, with its place in the state, for a value of another type or for two
    Tensors whose names would be equal; LibraryError where the package safetensors is missing.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
    >>> lucid.save({"weight": lucid.ones(2), "training": {"epoch": 3}}, path)
    >>> lucid.load(path)
    {'weight': Tensor([1.0, 1.0]), 'training': {'epoch': 3}}
    """
    if not isinstance(state, Mapping):
        raise ArgumentError(f"save: state is {type(state).__name__}, expected a dictionary")
    safetensors = _safetensors("save")
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    form = _pack(state, "", arrays)
    header = dict(metadata or {})
    if set(state) != set(arrays):  # nested, or plain values: more than names of Tensors
        import json

        header[_FORM] = json.dumps(form)
    with _replacing(os.fspath(path)) as temporary:
        safetensors.save_file(arrays, temporary, metadata=header or None)


def load(path: Path) -> dict[str, Any]:
    """Read a safetensors file: what `save` was given, with NumPy's Tensors for all arrays.

    A file of another program gives a dictionary from names to Tensors.

    Raises FileNotFoundError where there is no file, ArgumentError where it is no safetensors
    file or is damaged, LibraryError where the package safetensors is missing.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
    >>> lucid.save(nn.Linear(2, 1).state_dict(), path)
    >>> lucid.load(path)["weight"].shape
    (1, 2)
    """
    _safetensors("load")
    from safetensors import SafetensorError, safe_open

    if not os.path.isfile(path):
        raise FileNotFoundError(f"load: there is no file {path}")
    try:
        with safe_open(path, framework="np") as file:
            tensors = {name: new_tensor(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 (no mapping)
            form = (file.metadata() or {}).get(_FORM)
    except SafetensorError as error:
        raise ArgumentError(f"load: {path} is no safetensors file, or damaged: {error}") from None
    if form is None:
        return tensors
    import json

    try:
        state: dict[str, Any] = _unpack(json.loads(form), tensors)
    except (ValueError, KeyError, TypeError) as error:
        raise ArgumentError(f"load: the header of {path} is damaged: {error!r}") from None
    return state


def _pack(value: Any, path: str, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    """The form of a value in JSON's terms; its arrays are added under their paths."""
    if isinstance(value, Tracked) or is_array(value):
        if path in arrays:
            raise ArgumentError(
                f"save: two tensors would have the name '{path}'; rename one of the keys"
            )
        tensor: Any = value if isinstance(value, Tracked) else new_tensor(value)
        arrays[path] = np.asarray(tensor.numpy(), order="C")
        return {_TENSOR: path}
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or key == _TENSOR:
                raise ArgumentError(
                    f"save: {path or 'state'} has the key {key!r}, expected a string"
                    + (f" other than '{_TENSOR}'" if key == _TENSOR else "")
                )
        return {key: _pack(each, _join(path, key), arrays) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_pack(each, _join(path, str(k)), arrays) for k, each in enumerate(value)]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ArgumentError(
        f"save: {path} is {type(value).__name__}, expected a Tensor, an array, a number, a string, "
        "a list or a dictionary"
    )


def _unpack(form: Any, tensors: Mapping[str, Any]) -> Any:
    if isinstance(form, dict):
        if set(form) == {_TENSOR}:
            return tensors[form[_TENSOR]]
        return {key: _unpack(each, tensors) for key, each in form.items()}
    if isinstance(form, list):
        return [_unpack(each, tensors) for each in form]
    return form


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


@contextmanager
def _replacing(path: str) -> Iterator[str]:
    """A new file beside the place of another, which takes that place if all goes well."""
    folder, name = os.path.split(path)
    if not os.path.isdir(folder or "."):
        raise FileNotFoundError(f"save: there is no folder {folder}")
    temporary = os.path.join(folder, f".{name}.{os.urandom(4).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            mode = os.fstat(file.fileno()).st_mode
        yield temporary  # whoever writes there may replace the file, by one that is private
        os.chmod(temporary, mode)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with suppress(FileNotFoundError):
            os.remove(temporary)


def _safetensors(function: str) -> ModuleType:
    try:
        import safetensors.numpy
    except ImportError:
        raise LibraryError(
            f'{function}: needs the package safetensors: pip install "lucid-nn[files]"'
        ) from None
    module: ModuleType = safetensors.numpy
    return module
