"""lucid.save and lucid.load: what comes back, and what is left when something fails."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.testing import assert_same

pytest.importorskip("safetensors")


def message_of(call: Callable[[], Any], kind: type[Exception]) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.safetensors"


def test_the_state_of_a_module_comes_back(path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Bilinear(1, 2, 3, bias=False))
    lucid.save(model.state_dict(), path)
    loaded = lucid.load(str(path))
    assert sorted(loaded) == ["0.bias", "0.weight", "1.weight"]
    for name, value in model.state_dict().items():
        assert type(loaded[name]) is Tensor
        assert_same(loaded[name], value)
    model.load_state_dict(loaded)


def test_other_readers_of_the_format_read_it(path: Path) -> None:
    from safetensors.numpy import load_file

    lucid.save({"a.b": lucid.arange(3), "c": np.ones((2, 2))}, path, metadata={"format": "np"})
    loaded = load_file(path)
    assert_same(loaded["a.b"], np.arange(3))
    assert_same(loaded["c"], np.ones((2, 2)))
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        assert file.metadata() == {"format": "np"}


def test_files_of_other_writers_are_read(path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    save_file({"w": torch.arange(4, dtype=torch.bfloat16).reshape(2, 2)}, path)
    loaded = lucid.load(path)["w"]
    assert str(loaded.dtype) == "bfloat16"
    assert_same(loaded.numpy().astype("f4"), np.arange(4, dtype="f4").reshape(2, 2))


def test_every_dtype_and_layout_comes_back(path: Path) -> None:
    import ml_dtypes

    matrix = np.arange(12.0).reshape(3, 4)
    arrays = {
        "bfloat16": np.arange(3).astype(ml_dtypes.bfloat16),
        "transposed": matrix.T,
        "strided": matrix[::2, ::-1],
        "broadcast": np.broadcast_to(np.float32(2), (2, 2)),
        "number": np.asarray(3.5),
        "numpy scalar": np.float32(1.5),
        "empty": np.zeros((0, 3)),
        "truth": np.array([True, False]),
        **{
            dtype: np.array([0, 1, 2]).astype(dtype)
            for dtype in ("f2", "f4", "f8", "c8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
        },
    }
    lucid.save(arrays, path)
    loaded = lucid.load(path)
    for name, array in arrays.items():
        assert_same(loaded[name].numpy(), np.asarray(array), rtol=0, atol=0)


def test_what_is_nested_comes_back_in_its_form(path: Path) -> None:
    state = {
        "model": {"weight": lucid.ones(2), "bias": None},
        "history": [0.5, 0.25, {"best": lucid.zeros(1)}],
        "epoch": 3,
        "done": False,
        "note": "Σ",
        "nothing": {},
        "rate": float("inf"),
    }
    lucid.save(state, path)
    loaded = lucid.load(path)
    assert repr(loaded) == repr(state)


def test_a_parameter_and_another_librarys_tensor_are_saved_by_their_values(path: Path) -> None:
    torch = pytest.importorskip("torch")
    p = nn.Parameter([1.0])
    lucid.save({"p": p, "t": torch.ones(2), "l": lucid.asarray(torch.zeros(2))}, path)
    loaded = lucid.load(path)
    assert repr(loaded) == (
        "{'l': Tensor([0.0, 0.0]), 'p': Tensor([1.0]), 't': Tensor([1.0, 1.0])}"
    )


# What is left when something fails


class Stop(Exception):
    """What the tests raise in the middle of saving."""


@pytest.mark.parametrize("step", ["safetensors.numpy.save_file", "os.fsync", "os.replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    lucid.save({"w": lucid.ones(2)}, path)

    def fail(*arguments: Any, **_: Any) -> None:
        for argument in arguments:  # as if it broke off in the middle
            if isinstance(argument, str) and argument.endswith(".tmp"):
                Path(argument).write_bytes(b"half")
        raise Stop

    monkeypatch.setattr(step, fail)
    with pytest.raises(Stop):
        lucid.save({"w": lucid.zeros(2)}, path)
    monkeypatch.undo()
    assert_same(lucid.load(path)["w"], np.ones(2, "f4"))
    assert os.listdir(path.parent) == [path.name]


def test_a_refused_value_leaves_no_file(path: Path) -> None:
    with pytest.raises(lucid.ArgumentError):
        lucid.save({"w": lucid.ones(2), "f": print}, path)
    assert os.listdir(path.parent) == []


def test_a_file_has_the_permissions_of_any_new_file(path: Path) -> None:
    lucid.save({"w": lucid.ones(2)}, path)
    other = path.parent / "other"
    other.write_text("")
    assert path.stat().st_mode == other.stat().st_mode


def test_a_file_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lucid.save({"w": lucid.ones(2)}, "w.safetensors")
    assert_same(lucid.load("w.safetensors")["w"], np.ones(2, "f4"))


# Messages, word for word


def test_messages_of_save(path: Path) -> None:
    def save(state: Any) -> str:
        return message_of(lambda: lucid.save(state, path), lucid.ArgumentError)

    assert save([1]) == "save: state is list, expected a dictionary"
    assert save({"a": {"f": print}}) == (
        "save: a.f is builtin_function_or_method, expected a Tensor, an array, a number, a string, "
        "a list or a dictionary"
    )
    assert save({"a": {1: 2}}) == "save: a has the key 1, expected a string"
    assert save({"$tensor": 2}) == (
        "save: state has the key '$tensor', expected a string other than '$tensor'"
    )
    assert save({"a.b": lucid.ones(1), "a": {"b": lucid.ones(1)}}) == (
        "save: two tensors would have the name 'a.b'; rename one of the keys"
    )
    missing = path.parent / "no" / "file"
    assert message_of(lambda: lucid.save({}, missing), FileNotFoundError) == (
        f"save: there is no folder {missing.parent}"
    )


@pytest.mark.parametrize("content", [b"", b"this is a text file, not a safetensors file"])
def test_messages_of_load(path: Path, content: bytes) -> None:
    assert message_of(lambda: lucid.load(path), FileNotFoundError) == (
        f"load: there is no file {path}"
    )
    path.write_bytes(content)
    said = message_of(lambda: lucid.load(path), lucid.ArgumentError)
    assert said.startswith(f"load: {path} is no safetensors file, or damaged: Error while ")


def test_a_damaged_file_is_an_error(path: Path) -> None:
    lucid.save({"w": lucid.ones(100)}, path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(lucid.ArgumentError, match="is no safetensors file, or damaged"):
        lucid.load(path)


def test_a_damaged_form_is_an_error(path: Path) -> None:
    lucid.save({"w": lucid.ones(1)}, path, metadata={"lucid.form": '{"w": {"$tensor": "v"}}'})
    assert message_of(lambda: lucid.load(path), lucid.ArgumentError) == (
        f"load: the header of {path} is damaged: KeyError('v')"
    )


@pytest.mark.parametrize("function", ["save", "load"])
def test_without_the_package_the_error_says_what_to_install(
    path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    calls = {"save": lambda: lucid.save({}, path), "load": lambda: lucid.load(path)}
    assert message_of(calls[function], lucid.LibraryError) == (
        f'{function}: needs the package safetensors: pip install "lucid-nn[files]"'
    )
