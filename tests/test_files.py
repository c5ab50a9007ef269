"""lucid.save and lucid.load: what comes back, and what is left when something fails."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import given, hnp, settings, st

import lucid
from lucid import Tensor, nn
from lucid.testing import assert_same


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
    pytest.importorskip("safetensors")
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
    pytest.importorskip("safetensors")
    from safetensors.torch import save_file

    save_file({"w": torch.arange(4, dtype=torch.bfloat16).reshape(2, 2)}, path)
    loaded = lucid.load(path)["w"]
    assert str(loaded.dtype) == "bfloat16"
    assert_same(loaded.numpy().astype("f4"), np.arange(4, dtype="f4").reshape(2, 2))


def test_every_dtype_and_layout_comes_back(path: Path) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")

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
        "{'p': Tensor([1.0]), 't': Tensor([1.0, 1.0]), 'l': Tensor([0.0, 0.0])}"
    )


# What is left when something fails


class Stop(Exception):
    """What the tests raise in the middle of saving."""


@pytest.mark.parametrize("step", ["write", "os.fsync", "os.replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    lucid.save({"w": lucid.ones(2)}, path)

    def fail(*arguments: Any, **_: Any) -> None:
        if step == "write":  # as if it broke off in the middle
            arguments[0].write(b"half")
            arguments[0].flush()
        raise Stop

    monkeypatch.setattr("lucid._safetensors.write" if step == "write" else step, fail)
    with pytest.raises(Stop):
        lucid.save({"w": lucid.zeros(2)}, path)
    monkeypatch.undo()
    assert_same(lucid.load(path)["w"], np.ones(2, "f4"))
    assert os.listdir(path.parent) == [path.name]


FULL = """
import errno, resource, sys, lucid
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    lucid.save({"w": lucid.zeros(5000)}, sys.argv[1])
except OSError as error:
    assert error.errno == errno.EFBIG
    print(error)
"""


def test_a_full_disk_leaves_the_old_file_and_nothing_else(path: Path) -> None:
    pytest.importorskip("resource")
    lucid.save({"w": lucid.ones(2)}, path)
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", FULL, path], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"save: {path}: File too large\n"
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


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_a_file_that_is_replaced_keeps_its_permissions_and_owner(path: Path, mode: int) -> None:
    lucid.save({"w": lucid.ones(2)}, path)
    path.chmod(mode)
    before = path.stat()
    if os.getuid() == 0:
        os.chown(path, 12345, 54321)
        before = path.stat()
    lucid.save({"w": lucid.zeros(2)}, path)
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    assert after.st_ino != before.st_ino
    assert_same(lucid.load(path)["w"], np.zeros(2, "f4"))


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_a_link_and_its_target_is_written(path: Path, there: bool) -> None:
    folder = path.parent / "elsewhere"
    folder.mkdir()
    target = folder / "target"
    if there:
        lucid.save({"w": lucid.zeros(2)}, target)
    middle = path.parent / "middle"
    middle.symlink_to(target)
    path.symlink_to("middle")
    lucid.save({"w": lucid.ones(2)}, path)
    assert path.is_symlink()
    assert middle.is_symlink()
    assert not target.is_symlink()
    assert_same(lucid.load(target)["w"], np.ones(2, "f4"))
    assert os.listdir(folder) == ["target"]


@pytest.mark.skipif(os.name == "nt", reason="there are no pipes in folders")
def test_what_is_no_file_is_refused_and_stays(path: Path) -> None:
    pipe, link, folder = (path.parent / name for name in ("pipe", "link", "folder"))
    os.mkfifo(pipe)
    link.symlink_to(os.devnull)
    folder.mkdir()
    calls: dict[str, Callable[[Path], Any]] = {
        "save": lambda where: lucid.save({"w": lucid.ones(1)}, where),
        "load": lambda where: lucid.load(where),
    }
    for name, call in calls.items():
        for where in (pipe, link, Path(os.devnull)):
            assert message_of(lambda: call(where), lucid.ArgumentError) == (  # noqa: B023
                f"{name}: {where} is a device, a pipe or a socket, not a file"
            )
        assert message_of(lambda: call(folder), IsADirectoryError) == (  # noqa: B023
            f"{name}: {folder} is a folder, not a file"
        )
    assert pipe.is_fifo()
    assert link.is_symlink()
    assert Path(os.devnull).is_char_device()
    assert sorted(os.listdir(path.parent)) == ["folder", "link", "pipe"]


UNPRIVILEGED = """
import os, sys, lucid
if os.getuid() == 0:
    os.setgid(65534), os.setuid(65534)
for call in (lambda: lucid.load(sys.argv[1]), lambda: lucid.save({}, sys.argv[1])):
    try:
        call()
    except PermissionError as error:
        print(error)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_without_permission_the_error_says_so() -> None:
    with tempfile.TemporaryDirectory() as folder:  # not pytest's, which only its owner may enter
        os.chmod(folder, 0o777)  # noqa: S103
        path = Path(folder) / "state"
        lucid.save({"w": lucid.ones(1)}, path)
        path.chmod(0)
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-c", UNPRIVILEGED, path], capture_output=True, text=True, check=True
        )
        assert done.stdout == (
            f"load: no permission to read {path}\nsave: no permission to write {path}\n"
        )
        assert os.listdir(folder) == ["state"]


def test_a_file_that_is_cut_off_does_not_take_the_arrays_away(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lucid.save({"w": lucid.ones(10_000)}, path)
    loaded = lucid.load(path)["w"]
    os.truncate(path, 0)
    assert_same(loaded, np.ones(10_000, "f4"))

    lucid.save({"w": lucid.ones(10_000)}, path)
    empty = np.empty

    def cut_off(*arguments: Any) -> Any:  # another program, between the header and the arrays
        os.truncate(path, 20_000)
        return empty(*arguments)

    monkeypatch.setattr(np, "empty", cut_off)
    assert message_of(lambda: lucid.load(path), lucid.ArgumentError) == (
        f"load: {path} is no safetensors file, or damaged: it became shorter while it was read"
    )


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
    assert save({"__metadata__": lucid.ones(1)}) == (
        "save: a tensor cannot have the name '__metadata__' in a safetensors file; rename it"
    )
    assert save({"a": {"\ud800": lucid.ones(1)}}) == (
        "save: a tensor cannot have the name 'a.\\ud800' in a safetensors file; rename it"
    )
    endless: dict[str, Any] = {}
    endless["again"] = endless
    assert save(endless) == (
        "save: again.again.again.again.again.… is more than 100 levels deep; does it hold itself?"
    )
    assert save({"a": [0, 1 << 1024]}) == "save: a.1 is a whole number of more than 1024 bits"
    assert save({"a": np.ma.masked_equal([1.0, 2.0], 2.0)}) == (
        "save: a is a masked array, and the mask would be lost; save a.filled(…)"
    )
    assert save(nn.Linear(1, 1)) == (
        "save: state is Linear, expected a dictionary; pass its state_dict()"
    )
    missing = path.parent / "no" / "file"
    assert message_of(lambda: lucid.save({}, missing), FileNotFoundError) == (
        f"save: there is no folder {missing.parent}"
    )
    for name in (3, "", "a\0b", None):
        for call in (lambda: lucid.save({}, name), lambda: lucid.load(name)):  # type: ignore[arg-type] # noqa: B023
            assert f": path is {name!r}, expected the name of a file" in message_of(
                call, lucid.ArgumentError
            )
    assert os.listdir(path.parent) == []


@pytest.mark.parametrize("metadata", [{"a": 1}, {1: "a"}, ["a"], "a", {"a": "\ud800"}])
def test_metadata_are_texts(path: Path, metadata: Any) -> None:
    assert message_of(lambda: lucid.save({}, path, metadata=metadata), lucid.ArgumentError) == (
        f"save: metadata maps texts to texts, but got {metadata!r}"
    )


def test_the_key_of_the_form_is_taken(path: Path) -> None:
    said = message_of(
        lambda: lucid.save({}, path, metadata={"lucid.form": "{}"}), lucid.ArgumentError
    )
    assert said == "save: metadata has the key 'lucid.form', which the file has itself"


def test_dtypes_that_the_format_does_not_have_are_refused_by_name(path: Path) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")

    arrays = [
        np.ones(2, "c16"),
        np.ones(2, np.longdouble),
        np.array([None]),
        np.array(["a"]),
        np.array(["2020"], "M8[D]"),
        np.zeros(2, [("x", "f4")]),
        *(
            np.ones(2, getattr(ml_dtypes, name))
            for name in ("float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu", "int4")
        ),
    ]
    for array in arrays:
        said = message_of(lambda: lucid.save({"a": {"w": array}}, path), lucid.DTypeError)  # noqa: B023
        assert said == (
            f"save: a.w has dtype {array.dtype}, which a safetensors file does not hold; convert "
            "it to one of bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, "
            "float16, bfloat16, float32, float64, complex64"
        )
    assert os.listdir(path.parent) == []


@pytest.mark.parametrize("content", [b"", b"this is a text file, not a safetensors file"])
def test_messages_of_load(path: Path, content: bytes) -> None:
    assert message_of(lambda: lucid.load(path), FileNotFoundError) == (
        f"load: there is no file {path}"
    )
    path.write_bytes(content)
    assert message_of(lambda: lucid.load(path), lucid.ArgumentError) == (
        f"load: {path} is no safetensors file, or damaged: its header ends outside the file"
    )


def test_a_damaged_file_is_an_error(path: Path) -> None:
    lucid.save({"w": lucid.ones(100)}, path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(lucid.ArgumentError, match="is no safetensors file, or damaged"):
        lucid.load(path)


HEADERS = [
    (b"[]", "its header is no dictionary"),
    (b'{"w":', "its header cannot be read: Expecting value: line 1 column 6 (char 5)"),
    (b"[" * 100_000, "its header cannot be read: maximum recursion depth exceeded"),
    (b'{"w": {}, "w": {}}', "its header cannot be read: a name is there twice"),
    (b'{"__metadata__": {"a": 1}}', "its metadata are no texts by name"),
    (b'{"w": 3}', "its header does not describe 'w'"),
    (
        b'{"w": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 8]}}',
        "its header does not describe 'w'",
    ),
    (
        b'{"w": {"dtype": "F32", "shape": [2.0], "data_offsets": [0, 8]}}',
        "its header does not describe 'w'",
    ),
    (
        b'{"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}',
        "'w' has 8 bytes, its shape (3,) has others",
    ),
    (
        b'{"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}',
        "its arrays do not lie one after another to the end of the file",
    ),
    (
        b'{"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}',
        "its arrays do not lie one after another to the end of the file",
    ),
    (
        b'{"v": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, '
        b'"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}',
        "its arrays do not lie one after another to the end of the file",
    ),
    (
        b'{"w": {"dtype": "F32", "shape": [0, 99999999999999999999], "data_offsets": [0, 0]}, '
        b'"v": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}',
        "NumPy has no arrays of the shape that 'w' has",
    ),
    (
        b'{"w": {"dtype": "BOOL", "shape": [8], "data_offsets": [0, 8]}}',
        "'w' has truth values that are neither 0 nor 1",
    ),
    *(
        (
            f'{{"w": {{"dtype": "{code}", "shape": [8], "data_offsets": [0, 8]}}}}'.encode(),
            f"'w' has the dtype '{code}'; those that can be read are bool, int8, int16, int32, "
            "int64, uint8, uint16, uint32, uint64, float16, bfloat16, float32, float64, complex64",
        )
        for code in ("F8_E4M3", "F8_E5M2", "F4", "C128")
    ),
]


@pytest.mark.parametrize(("header", "message"), HEADERS, ids=[text for _, text in HEADERS])
def test_messages_about_headers(path: Path, header: bytes, message: str) -> None:
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\x02" * 8)
    said = message_of(lambda: lucid.load(path), lucid.ArgumentError)
    start = f"load: {path} is no safetensors file, or damaged: {message}"
    assert said.startswith(start)  # Python says more about recursion, and differently


FORMS = [
    ('{"w": {"$tensor": "v"}}', "KeyError('v')"),
    ("3", "ValueError('it leaves out w')"),
    ('{"$tensor": "w"}', "ValueError('it leaves out all names')"),
    ("{}", "ValueError('it leaves out w')"),
    ('{"a": {"$tensor": "w"}, "b": {"$tensor": "w"}}', "KeyError('w')"),
    ('{"a": {"$tensor": ["w"]}}', 'TypeError("'),
    ("{", "JSONDecodeError("),
    ('{"a":' * 50_000, "RecursionError("),
]


@pytest.mark.parametrize(("form", "message"), FORMS, ids=[text for _, text in FORMS])
def test_a_form_that_is_none_is_an_error(path: Path, form: str, message: str) -> None:
    import json

    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    header = json.dumps({"__metadata__": {"lucid.form": form}, "w": entry}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    said = message_of(lambda: lucid.load(path), lucid.ArgumentError)
    assert said.startswith(f"load: the header of {path} is damaged: {message}")


def test_damaged_files_give_no_other_errors(path: Path, random: np.random.Generator) -> None:
    state = {"model": nn.Linear(3, 2).state_dict(), "epoch": 3, "seen": np.array([True, False])}
    lucid.save(state, path)
    good = path.read_bytes()
    header = 8 + int.from_bytes(good[:8], "little")
    refused = 0
    for number in range(1000):
        bad = bytearray(good)
        for _ in range(random.integers(1, 4)):
            place = random.integers(0, header if number % 2 else len(bad))
            match random.integers(0, 4):
                case 0:
                    bad[place] = random.integers(0, 256)
                case 1:
                    bad[place : place + random.integers(1, 30)] = b""
                case 2:
                    bad[place:place] = random.bytes(int(random.integers(1, 9)))
                case _:
                    bad[place] = random.choice(list(b'0123456789{}[],:"-.e'))
        path.write_bytes(bad)
        try:
            lucid.load(path)
        except (lucid.LucidError, OSError) as error:
            refused += str(path) in str(error)
    assert refused > 500  # the others are whole, with other numbers in them


SAVED = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**1000), 2**1000)
    | st.floats(allow_nan=False)
    | st.text()
    | hnp.arrays(
        st.sampled_from(["?", "i1", "<u2", ">i4", "f2", "<f4", ">f8", "c8"]),
        hnp.array_shapes(min_dims=0, min_side=0, max_side=3),
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(state=st.dictionaries(st.text(max_size=3), SAVED, max_size=4))
@settings(max_examples=200)
def test_whatever_is_saved_is_loaded(state: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state"
        try:
            lucid.save(state, path)
        except lucid.ArgumentError:  # two names are equal, or one is taken
            assert not path.exists()
            return
        assert_alike(lucid.load(path), state)


def assert_alike(found: Any, expected: Any) -> None:
    if isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype.newbyteorder("=")
        assert_same(found, expected.astype(found.dtype), rtol=0, atol=0)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key, value in expected.items():
            assert_alike(found[key], value)
    elif isinstance(expected, list):
        for one, other in zip(found, expected, strict=True):
            assert_alike(one, other)
    else:
        assert (type(found), found) == (type(expected), expected)


def test_without_ml_dtypes_the_error_says_what_to_install(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")

    lucid.save({"w": np.ones(1, ml_dtypes.bfloat16)}, path)
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    assert message_of(lambda: lucid.load(path), lucid.LibraryError) == (
        f"load: {path} holds bfloat16, which needs the package ml_dtypes: pip install ml_dtypes"
    )
