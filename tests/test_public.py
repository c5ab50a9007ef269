"""What is public: each name once, nothing by accident, light to import, and tested."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import pkgutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from cases import CASES

import lucid
from lucid import nn, optim
from lucid.nn import functional

ROOT = Path(__file__).parent.parent

# the modules that only gather what their private files define
INDEXES = [lucid, lucid.linalg, lucid.fft, nn, functional, optim]


# dtypes, pi and its like, and newaxis
CONSTANTS = (np.dtype, float, type(None))


def public_names(module: ModuleType) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if not name.startswith("_")}


def public_functions() -> Iterator[tuple[str, str]]:
    for module in INDEXES:
        for name, value in public_names(module).items():
            if callable(value):
                yield module.__name__, name


def in_fresh_python(code: str) -> str:
    done = subprocess.run(  # noqa: S603 (our own code)
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_importing_is_light() -> None:
    heavy = {"torch", "jax", "cupy", "scipy", "matplotlib", "array_api_compat", "ml_dtypes"}
    everything = "lucid, lucid.nn, lucid.optim, lucid.testing, lucid.autograd"
    code = f"import sys, {everything}; print(sorted({heavy!r} & set(sys.modules)))"
    assert in_fresh_python(code) == "[]"


def test_computing_imports_nothing_heavy_either() -> None:
    heavy = {"torch", "jax", "cupy", "scipy", "matplotlib", "array_api_compat"}
    code = (
        "import sys, lucid; import lucid.nn.functional as F; x = lucid.ones((2, 3));"
        "x.requires_grad_(); F.bilinear(x, x, lucid.ones((4, 3, 3))).backward(); str(x);"
        f"print(sorted({heavy!r} & set(sys.modules)))"
    )
    assert in_fresh_python(code) == "[]"


@pytest.mark.parametrize("module", INDEXES, ids=lambda module: module.__name__)
def test_a_public_name_comes_from_lucid(module: ModuleType) -> None:
    strangers = [
        name
        for name, value in public_names(module).items()
        if not isinstance(value, CONSTANTS)
        and not (inspect.ismodule(value) and value.__name__.startswith("lucid"))
        and not getattr(value, "__module__", "").startswith("lucid")
    ]
    assert not strangers


@pytest.mark.parametrize("module", INDEXES, ids=lambda module: module.__name__)
def test_a_module_gives_each_thing_one_name(module: ModuleType) -> None:
    seen: dict[int, list[str]] = {}
    for name, value in public_names(module).items():
        seen.setdefault(id(value), []).append(name)
    assert [names for names in seen.values() if len(names) > 1] == []


@pytest.mark.parametrize("module", INDEXES, ids=lambda module: module.__name__)
def test_a_public_name_is_that_of_the_thing(module: ModuleType) -> None:
    for name, value in public_names(module).items():
        if callable(value):
            assert value.__name__ == name


def names_used(path: Path) -> set[tuple[str, str]]:
    """(module, name) wherever a test says `module.name`, or imports it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {(node.module.rpartition(".")[2], alias.name) for alias in node.names}
        elif isinstance(node, ast.Attribute):
            owner = node.value
            if isinstance(owner, ast.Name):
                found.add(("functional" if owner.id == "F" else owner.id, node.attr))
            elif isinstance(owner, ast.Attribute):
                found.add((owner.attr, node.attr))
    return found


def public_modules() -> list[ModuleType]:
    found = [lucid]
    for info in pkgutil.walk_packages(lucid.__path__, "lucid."):
        if not any(part.startswith("_") for part in info.name.split(".")):
            library = info.name.rpartition(".")[2]
            if library not in ("torch", "jax") or importlib.util.find_spec(library):
                found.append(importlib.import_module(info.name))
    return found


def test_a_public_module_offers_what_it_defines_and_nothing_by_accident() -> None:
    for module in public_modules():
        offered = getattr(module, "__all__", None)
        if offered is None:
            offered = [name for name in public_names(module) if name != "annotations"]
        else:
            defined = {
                name
                for name, value in public_names(module).items()
                if callable(value) and getattr(value, "__module__", "") == module.__name__
            }
            assert set(offered) == defined, module.__name__
        for name in offered:
            value = getattr(module, name)
            home = value.__name__ if inspect.ismodule(value) else value.__class__.__module__
            home = getattr(value, "__module__", home)
            assert home.startswith("lucid") or isinstance(value, CONSTANTS), (module, name)


def test_every_public_function_is_used_in_a_test() -> None:
    used = set().union(*map(names_used, Path(__file__).parent.glob("test_*.py")))
    in_table = {id(case.function) for case in CASES}
    untested = [
        f"{module}.{name}"
        for module, name in public_functions()
        if id(getattr(sys.modules[module], name)) not in in_table
        and (module.rpartition(".")[2], name) not in used
    ]
    assert not untested


def test_the_settings_are_kept_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    before = lucid.get_num_threads()
    lucid.set_num_threads(3)
    try:
        assert lucid.get_num_threads() == 3
        lucid.show_config()
    finally:
        lucid.set_num_threads(before)
    shown = [line.split() for line in capsys.readouterr().out.splitlines() if line[0] != " "]
    assert [line[0] for line in shown[:5]] == ["lucid", "location", "python", "kernel", "threads"]
    assert shown[4] == ["threads", "3"]
    assert ["numpy", np.__version__] in shown


def test_private_modules_stay_private() -> None:
    known = {
        "autograd", "fft", "jax", "kernels", "linalg", "nn", "ops", "optim", "testing", "torch",
    }  # fmt: skip
    found = {info.name for info in pkgutil.iter_modules(lucid.__path__)}
    assert {name for name in found if not name.startswith("_")} <= known


ERRORS = {
    "AnomalyError": RuntimeError, "ArgumentError": ValueError, "DTypeError": TypeError,
    "GraphError": RuntimeError, "LibraryError": TypeError, "OutOfRangeError": IndexError,
    "ShapeError": ValueError,
}  # fmt: skip


def test_every_error_is_a_lucid_error_and_a_familiar_one() -> None:
    found = {
        name: value
        for name, value in public_names(lucid).items()
        if isinstance(value, type) and issubclass(value, Exception) and name != "LucidError"
    }
    assert set(found) == set(ERRORS)
    for name, error in found.items():
        assert issubclass(error, lucid.LucidError)
        assert issubclass(error, ERRORS[name])
        assert error.__module__ == "lucid"
    assert lucid.LucidError.__module__ == "lucid"


def test_the_names_are_those_of_the_array_api_standard() -> None:
    strict = pytest.importorskip("array_api_strict", reason="it lists the standard's names")
    ours = {name for module, name in public_functions() if module == "lucid"}
    beyond = ours - set(dir(strict)) - set(ERRORS)
    assert beyond == {
        "Generator", "LucidError", "Tensor", "batches", "detect_anomaly", "einsum", "enable_grad",
        "grad",
        "get_num_threads", "set_num_threads", "show_config",
        "is_grad_enabled", "load", "logsumexp", "manual_seed", "no_grad", "op", "rand", "randint",
        "randn", "randperm", "save", "sigmoid", "topk",
    }  # fmt: skip


def test_arguments_are_named_as_in_the_standard() -> None:
    strict = pytest.importorskip("array_api_strict", reason="it has the standard's signatures")
    for module, name in public_functions():
        if module != "lucid" or not inspect.isfunction(getattr(strict, name, None)):
            continue
        theirs = inspect.signature(getattr(strict, name)).parameters
        ours = inspect.signature(getattr(lucid, name)).parameters
        for parameter in theirs.values():
            if parameter.kind is parameter.KEYWORD_ONLY and parameter.name in ours:
                assert ours[parameter.name].kind is not parameter.POSITIONAL_ONLY, name


def test_the_dtypes_are_those_of_the_standard() -> None:
    names = (
        "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
        "float16", "float32", "float64", "complex64", "complex128",
    )  # fmt: skip
    for name in names:
        assert getattr(lucid, name) == np.dtype(name)


def test_the_version_is_that_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert lucid.__version__ == project["version"]


def test_the_package_is_typed() -> None:
    assert (ROOT / "src" / "lucid" / "py.typed").exists()
