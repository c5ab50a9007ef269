"""Everything that is shown is run: the examples of docstrings, README and documentation."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import inspect
import itertools
import pkgutil
import re
import sys
import textwrap
import tomllib
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest

import lucid
from lucid import nn, optim
from lucid.nn import functional as F

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

OPTIONAL = {"torch", "jax", "triton"}  # modules named after them are imported by who wants them


def modules() -> Iterator[ModuleType]:
    """lucid and all modules in it, private ones too."""
    yield lucid
    for info in pkgutil.walk_packages(lucid.__path__, "lucid."):
        needed = OPTIONAL & {*re.split(r"[._]+", info.name)}
        if all(importlib.util.find_spec(library) is not None for library in needed):
            yield importlib.import_module(info.name)


def documented() -> dict[str, Any]:
    """What has a place for a docstring and is lucid's own, by its dotted name."""
    found: dict[str, Any] = {}
    for module in modules():
        found[module.__name__] = module
        for name, value in vars(module).items():
            if not _is_of(value, module):
                continue
            dotted = f"{module.__name__}.{name}"
            found[dotted] = value
            if isinstance(value, type):
                for member, attribute in vars(value).items():
                    inner = getattr(attribute, "__func__", attribute)
                    if isinstance(inner, property) or inspect.isfunction(inner):
                        found[f"{dotted}.{member}"] = inner
    return found


def _is_of(value: Any, module: ModuleType) -> bool:
    defined_in = getattr(value, "__module__", None)
    is_error = isinstance(value, type) and issubclass(value, lucid.LucidError)
    return callable(value) and (
        defined_in == module.__name__ or (is_error and module.__name__ == "lucid._errors")
    )


NUMBER = re.compile(r"[-+]?\d+\.\d*(?:e[-+]?\d+)?")


class Checker(doctest.OutputChecker):
    """Compares digits after the point to the accuracy of float32: processors differ in the last."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        if super().check_output(want, got, optionflags):
            return True
        wanted, given = NUMBER.findall(want), NUMBER.findall(got)
        return (
            len(wanted) == len(given)
            and super().check_output(NUMBER.sub("#", want), NUMBER.sub("#", got), optionflags)
            and np.allclose([*map(float, wanted)], [*map(float, given)], rtol=1e-6, atol=1e-7)
        )


def _with_notes(kind: type[BaseException], error: BaseException) -> list[str]:
    """The lines of an exception with notes as one: older doctests compare the last line alone."""
    lines = traceback.format_exception_only(kind, error)
    return ["".join(lines)] if hasattr(error, "__notes__") else lines


def run(name: str, text: str, namespace: dict[str, Any]) -> list[str]:
    """Run the examples in a text; what went wrong."""
    test = doctest.DocTestParser().get_doctest(text, namespace, name, name, 0)
    report: list[str] = []
    runner = doctest.DocTestRunner(Checker(), verbose=False, optionflags=doctest.ELLIPSIS)
    own = SimpleNamespace(**{**vars(traceback), "format_exception_only": _with_notes})
    with mock.patch.object(doctest, "traceback", own):
        runner.run(test, out=report.append, clear_globs=False)
    return report


def namespace(value: Any) -> dict[str, Any]:
    """What an example may use without an import; one of a private thing, its whole file."""
    public = {"lucid": lucid, "np": np, "F": F, "nn": nn, "optim": optim}
    known = {id(thing) for thing in public_things().values()}
    if id(value) in known or inspect.ismodule(value):
        return public
    return vars(sys.modules[value.__module__]) | public if hasattr(value, "__module__") else public


# A page about one of these goes on with it; blocks about the others stand for themselves.
FOR_THE_REST = {"array_api_strict", "jax", "torch"}
NEEDS = {
    name: rf">>> (import|from) {name}\b"
    for name in (*sorted(FOR_THE_REST), "einops", "equinox", "flax", "opt_einsum")
}


def missing(text: str) -> str:
    """A package that an example needs and that is not installed."""
    found = (name for name, words in NEEDS.items() if re.search(words, text))
    return next((name for name in found if importlib.util.find_spec(name) is None), "")


EXAMPLES = {name: value for name, value in documented().items() if ">>>" in (value.__doc__ or "")}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_of_a_docstring_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if package := missing(EXAMPLES[name].__doc__):
        pytest.skip(f"{name} needs {package}")
    report = run(name, EXAMPLES[name].__doc__, namespace(EXAMPLES[name]))
    assert not report, "".join(report)


def test_a_wrong_example_fails() -> None:
    assert run("right", ">>> 1 + 1\n2\n", {}) == []
    (report,) = run("wrong", ">>> 1 + 1\n3\n", {})
    assert "Expected:\n    3\nGot:\n    2" in report
    assert run("last digit", ">>> 0.84147101\n0.841471\n", {}) == []
    assert run("other digit", ">>> 0.84148\n0.841471\n", {}) != []
    assert run("other sign", ">>> -0.5\n0.5\n", {}) != []


def test_examples_are_found() -> None:
    for name in ("lucid._tensor.Tensor", "lucid.ops._exponential.exp", "lucid._op.op",
                 "lucid.ops._bilinear.bilinear", "lucid.testing.gradcheck"):  # fmt: skip
        assert name in EXAMPLES


# Pages


def blocks(page: Path) -> list[str]:
    """The fenced Python of a page."""
    found = re.findall(r"^( *)```python\n(.*?)^\1```", page.read_text(), re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for _, block in found]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page)], ids=lambda page: str(page.relative_to(ROOT))
)
def test_the_examples_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = blocks(page)
    before = itertools.takewhile(lambda block: missing(block) not in FOR_THE_REST, found)
    report = run(page.name, "\n".join(block for block in before if not missing(block)), {})
    assert not report, "".join(report)
    if package := missing("\n".join(found)):
        pytest.skip(f"the rest of {page.name} needs {package}")


def test_every_python_block_of_a_page_is_an_example() -> None:
    idle = [
        f"{page.relative_to(ROOT)}: {block.splitlines()[0]}"
        for page in PAGES
        for block in blocks(page)
        if ">>>" not in block
    ]
    assert not idle, "blocks without >>> are not run"


def test_links_of_the_readme_work_on_a_package_index() -> None:
    """They are absolute, and lead to files that exist here."""
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
    links = re.findall(r"\]\((.*?)\)", (ROOT / "README.md").read_text())
    assert len(links) > 10
    for link in links:
        found = re.fullmatch(re.escape(urls["Source"]) + r"/(?:blob|raw)/main/(.*)", link)
        assert found, link
        assert (ROOT / found[1]).is_file(), link


# Docstrings


def is_public(name: str) -> bool:
    return not any(part.startswith("_") for part in name.split("."))


def public_things() -> dict[str, Any]:
    """Public functions, classes and methods, under the names that users know."""
    found: dict[str, Any] = {}
    for module in modules():
        if not is_public(module.__name__):
            continue
        found[module.__name__] = module
        for name, value in vars(module).items():
            if name.startswith("_") or not getattr(value, "__module__", "").startswith("lucid"):
                continue
            if callable(value):
                found[f"{module.__name__}.{name}"] = value
                if isinstance(value, type):
                    found |= {
                        f"{module.__name__}.{name}.{member}": inner
                        for member, inner in vars(value).items()
                        if not member.startswith("_")
                        and (isinstance(inner, property) or inspect.isfunction(inner))
                    }
    return found


def test_everything_public_has_a_docstring() -> None:
    silent = [name for name, value in public_things().items() if not inspect.getdoc(value)]
    assert not silent


def test_every_public_function_shows_an_example() -> None:
    without = [
        name
        for name, value in public_things().items()
        if name.count(".") == (2 if name.startswith(("lucid.nn.", "lucid.optim.")) else 1)
        and inspect.isfunction(value)
        and ">>>" not in (value.__doc__ or "")
    ]
    assert not without
