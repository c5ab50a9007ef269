"""Imports run downwards only, proved from the import statements of every file.

Those inside functions and for type checkers only are counted too. One tie runs upwards: a Tensor's
operators are operations, and operations return Tensors (see `_tensor.py`). It stands in annotations
only; at run time the class is handed down when it is there.
"""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import lucid

ROOT = Path(lucid.__file__).parent

Graph = dict[str, set[str]]

# The one natural tie, and where it may be named
TIE = {("lucid._tape", "lucid._tensor"), ("lucid._op", "lucid._tensor")}

# From the ground up. A file belongs to the layer of the longest prefix of its name; one of a layer
# imports from its own layer and from those before it.
LAYERS = [
    (
        "_version",
        "_errors",
        "_hints",
        "_arguments",
        "_arrays",
        "_blocks",
        "_wide",
        "_shapes",
        "_recording",
        "_pytree",
    ),
    ("kernels", "_threads", "_config"),
    ("_rules", "_anomaly", "_tape", "_call", "_op", "_dtypes"),
    ("ops",),
    ("_numpy", "_numpy_functions", "_tensor", "_printing"),
    (
        "ops._create",
        "ops._frequencies",
        "_info",
        "_random",
        "_batches",
        "_files",
        "_safetensors",
        "autograd",
        "linalg",
        "fft",
    ),
    ("nn", "optim", "torch", "jax"),
    ("testing",),
    ("", "__main__"),  # lucid itself
]


def files() -> dict[str, Path]:
    """Every module by its full name."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        found[".".join(("lucid", *parts))] = path
    return found


def imported(name: str, path: Path, text: str, known: set[str]) -> set[str]:
    """The modules of lucid whose names stand in the import statements of a file."""
    found = set()
    is_package = path.stem == "__init__"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = name.split(".")
                parts = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parts, *([node.module] if node.module else [])])
            names = [alias.name for alias in node.names if alias.name != "_compiled"]  # no file
            whole = [f"{base}.{each}" for each in names]
            found |= {each if each in known else base for each in whole}
    return (found & known) - {name}


@pytest.fixture(scope="module")
def graph() -> Graph:
    known = files()
    return {
        name: imported(name, path, path.read_text(), set(known)) for name, path in known.items()
    }


def without_tie(graph: Graph) -> Graph:
    return {
        name: {each for each in used if (name, each) not in TIE} for name, used in graph.items()
    }


def circle(graph: Graph) -> list[str] | None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return None


def layer(name: str) -> int:
    inner = name.removeprefix("lucid").removeprefix(".")
    places = {
        prefix: k
        for k, prefixes in enumerate(LAYERS)
        for prefix in prefixes
        if inner == prefix or (prefix and inner.startswith(f"{prefix}."))
    }
    assert places, f"say in LAYERS where {name} stands"
    return places[max(places, key=len)]


def test_there_is_no_circle(graph: Graph) -> None:
    found = circle(without_tie(graph))
    assert found is None, " → ".join(found or [])


def test_the_one_tie_upwards_is_still_there(graph: Graph) -> None:
    assert all(above in graph[below] for below, above in TIE)
    assert circle(graph) is not None


def test_the_tie_is_in_annotations_only() -> None:
    for below, above in TIE:
        tree = ast.parse(files()[below].read_text())
        for node in tree.body:
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                node.body = [ast.Pass()]
        rest = imported(below, files()[below], ast.unparse(tree), set(files()))
        assert above not in rest


def test_imports_run_downwards(graph: Graph) -> None:
    upwards = [
        f"{name} → {each}"
        for name, used in without_tie(graph).items()
        for each in sorted(used)
        if layer(each) > layer(name)
    ]
    assert not upwards


def test_a_circle_and_an_arrow_upwards_are_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) is not None
    assert layer("lucid.ops._create") > layer("lucid._tensor") > layer("lucid.ops._index")
    text = "def f():\n    from ..nn import functional\n    import lucid.torch"
    known = {"lucid.nn", "lucid.nn.functional", "lucid.torch"}
    found = imported("lucid.ops._index", ROOT / "ops" / "_index.py", text, known)
    assert found == {"lucid.nn.functional", "lucid.torch"}
