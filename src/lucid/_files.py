"""Tensors in files: the safetensors format, which holds arrays by name and runs no code.

A dictionary of Tensors is written as such, for every reader of safetensors. What is nested, or has
plain values beside the Tensors (the state of an optimiser), keeps its form as JSON in the header:
each Tensor stands there as {"$tensor": name}, the name being its path, joined with dots.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

import numpy as np

from . import _safetensors
from ._arrays import is_array
from ._errors import ArgumentError, DTypeError, LibraryError
from ._tape import Tracked, new_tensor

_FORM = "lucid.form"  # the name of the nested form in the header
_TENSOR = "$tensor"
_DEEPEST = 100  # levels of a state; the JSON of more may be more than a reader can take

Path = str | os.PathLike[str]


def save(
    state: Mapping[str, Any], path: Path, *, metadata: Mapping[str, str] | None = None
) -> None:
    """Write a dictionary of Tensors, such as `model.state_dict()`, to a safetensors file.

    `state` maps names to Tensors or arrays, or to dictionaries, lists, numbers, truth values,
    strings and None, as deep as needed. `metadata` are texts for other readers of the file.

    The file appears complete or not at all: it is written beside its place under another name, and
    then renamed. It keeps the permissions and the owner of a file that it replaces, and a link
    stays a link. It holds numbers and text only, no code (no pickle).

    Raises ArgumentError, with its place in the state, for what the file could not give back: a
    value of another type, two Tensors whose names would be equal, a name that is taken; DTypeError
    for an array of a dtype that the format does not have. All of that, and what is in the way at
    the path, is found before anything is written. Raises OSError where the system refuses.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
    >>> lucid.save({"weight": lucid.ones(2), "training": {"epoch": 3}}, path)
    >>> lucid.load(path)
    {'weight': Tensor([1.0, 1.0]), 'training': {'epoch': 3}}
    """
    if not isinstance(state, Mapping):
        raise ArgumentError(
            f"save: state is {type(state).__name__}, expected a dictionary"
            + ("; pass its state_dict()" if hasattr(state, "state_dict") else "")
        )
    header = _texts(metadata)
    arrays: _safetensors.Arrays = {}
    form = _pack(state, "", arrays, 0)
    if any(each != {_TENSOR: name} for name, each in form.items()):  # more than Tensors by name
        header[_FORM] = json.dumps(form)
    with _os_errors("save", path), _replacing(_text(path, "save")) as file:
        _safetensors.write(file, arrays, header)


def load(path: Path) -> dict[str, Any]:
    """Read a safetensors file: what `save` was given, with NumPy's Tensors for all arrays.

    A file of another program gives a dictionary from names to Tensors. The arrays have memory of
    their own: what becomes of the file afterwards does not matter.

    Raises OSError where there is no file or it may not be read, ArgumentError where it is no
    safetensors file, is damaged, or has a dtype that NumPy has not (float8), LibraryError where it
    has bfloat16 and the package ml_dtypes is missing.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
    >>> lucid.save(nn.Linear(2, 1).state_dict(), path)
    >>> lucid.load(path)["weight"].shape
    (1, 2)
    """
    with _os_errors("load", path):
        text = _text(path, "load")
        _check_regular("load", path, os.stat(text))  # before opening, which waits at a FIFO
        with open(text, "rb") as file:
            try:
                arrays, metadata = _safetensors.read(file, os.fstat(file.fileno()).st_size)
            except _safetensors.FormatError as error:
                raise ArgumentError(
                    f"load: {path} is no safetensors file, or damaged: {error}"
                ) from None
            except ImportError:
                raise LibraryError(
                    f"load: {path} holds bfloat16, which needs the package ml_dtypes: "
                    "pip install ml_dtypes"
                ) from None
    tensors = {name: new_tensor(array) for name, array in arrays.items()}
    if _FORM not in metadata:
        return tensors
    left = dict(tensors)
    try:
        state: dict[str, Any] = _unpack(json.loads(metadata[_FORM]), left)
        if not isinstance(state, dict) or left:
            raise ValueError(f"it leaves out {', '.join(left) or 'all names'}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArgumentError(f"load: the header of {path} is damaged: {error!r}") from None
    return state


# The form of a state


def _texts(metadata: Mapping[str, str] | None) -> dict[str, str]:
    texts = {} if metadata is None else metadata
    if not isinstance(texts, Mapping) or not all(map(_is_text, (*texts, *texts.values()))):
        raise ArgumentError(f"save: metadata maps texts to texts, but got {metadata!r:.60}")
    if _FORM in texts:
        raise ArgumentError(f"save: metadata has the key '{_FORM}', which the file has itself")
    return dict(texts)


def _pack(value: Any, path: str, arrays: _safetensors.Arrays, depth: int) -> Any:
    """The form of a value in JSON's terms; its arrays are added under their paths."""
    if isinstance(value, Tracked) or (is_array(value) and not isinstance(value, str)):
        if path in arrays:
            raise ArgumentError(
                f"save: two tensors would have the name '{path}'; rename one of the keys"
            )
        if path == _safetensors.METADATA or not _is_text(path):
            raise ArgumentError(
                f"save: a tensor cannot have the name {path!r} in a safetensors file; rename it"
            )
        arrays[path] = _array(value, path)
        return {_TENSOR: path}
    if depth == _DEEPEST:
        raise ArgumentError(
            f"save: {path[:30]}… is more than {_DEEPEST} levels deep; does it hold itself?"
        )
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or key == _TENSOR:
                raise ArgumentError(
                    f"save: {path or 'state'} has the key {key!r}, expected a string"
                    + (f" other than '{_TENSOR}'" if key == _TENSOR else "")
                )
        return {
            key: _pack(each, _join(path, key), arrays, depth + 1) for key, each in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_pack(each, _join(path, str(k)), arrays, depth + 1) for k, each in enumerate(value)]
    if isinstance(value, int) and abs(value) >> 1024:
        raise ArgumentError(f"save: {path} is a whole number of more than 1024 bits")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ArgumentError(
        f"save: {path} is {type(value).__name__}, expected a Tensor, an array, a number, a string, "
        "a list or a dictionary"
    )


def _array(value: Any, path: str) -> np.ndarray[Any, Any]:
    if isinstance(value, np.ma.MaskedArray):
        raise ArgumentError(
            f"save: {path} is a masked array, and the mask would be lost; save {path}.filled(…)"
        )
    tensor: Any = value if isinstance(value, Tracked) else new_tensor(value)
    array = np.asarray(tensor.numpy(), order="C")
    if not _safetensors.holds(array.dtype):
        raise DTypeError(
            f"save: {path} has dtype {array.dtype}, which a safetensors file does not hold; "
            f"convert it to one of {_safetensors.DTYPES}"
        )
    return array


def _unpack(form: Any, left: dict[str, Any]) -> Any:
    """The value of a form; its Tensors are taken out of those that are left."""
    if isinstance(form, dict):
        if set(form) == {_TENSOR}:
            return left.pop(form[_TENSOR])
        return {key: _unpack(each, left) for key, each in form.items()}
    if isinstance(form, list):
        return [_unpack(each, left) for each in form]
    return form


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _is_text(value: Any) -> bool:
    """Whether this is a string that UTF-8 has: one without half a character."""
    return isinstance(value, str) and not any("\ud800" <= each <= "\udfff" for each in value)


# Files


def _text(path: Any, function: str) -> str:
    try:
        text = os.fsdecode(path)
    except TypeError:
        text = ""
    if not text or "\0" in text:
        raise ArgumentError(f"{function}: path is {path!r}, expected the name of a file")
    return text


@contextmanager
def _replacing(path: str) -> Iterator[BinaryIO]:
    """A new file beside the place of another, which takes that place if all goes well."""
    target = os.path.realpath(path)  # of a link, what it points to
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise _os_error(errno.ENOENT, f"save: there is no folder {os.path.dirname(path) or folder}")
    old = None
    with suppress(FileNotFoundError):
        old = os.stat(target)
    if old is not None:
        _check_regular("save", path, old)
        if not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, "")
    temporary = os.path.join(folder, f".lucid-{os.urandom(4).hex()}.tmp")
    mode = 0o666 if old is None else 0o600  # less the umask; what was private is so at all times
    try:
        with open(
            os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, mode), "wb"
        ) as file:
            if old is not None:
                _resemble(temporary, old)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        with suppress(FileNotFoundError):
            os.remove(temporary)


_BINARY = getattr(os, "O_BINARY", 0)


def _resemble(path: str, old: os.stat_result) -> None:
    """Give a file the owner and the permissions of another, as far as the system lets us."""
    if hasattr(os, "chown"):
        for user, group in ((-1, old.st_gid), (old.st_uid, -1)):
            with suppress(PermissionError):  # only root can give a file to somebody else
                os.chown(path, user, group)
    os.chmod(path, stat.S_IMODE(old.st_mode))  # after chown, which takes some away


def _check_regular(function: str, path: Any, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise _os_error(errno.EISDIR, f"{function}: {path} is a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise ArgumentError(f"{function}: {path} is a device, a pipe or a socket, not a file")


@contextmanager
def _os_errors(function: str, path: Any) -> Iterator[None]:
    """Say of an error of the system which function it stopped, and at which file."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.strerror is None:
            raise  # it says so itself
        reason = f"{path}: {error.strerror}"
        if isinstance(error, FileNotFoundError):
            reason = f"there is no file {path}"
        elif isinstance(error, PermissionError):
            reason = f"no permission to {'read' if function == 'load' else 'write'} {path}"
        raise _os_error(error.errno, f"{function}: {reason}") from None


def _os_error(code: int, text: str) -> OSError:
    """The error that Python has for a code of the system's, in words of our own."""
    error = type(OSError(code, ""))(text)
    error.errno = code
    return error
