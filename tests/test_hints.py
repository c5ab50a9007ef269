"""Names of PyTorch and NumPy: the error says what they are called here, and so does the page."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import _hints, nn

PAGE = Path(__file__).parent.parent / "docs" / "getting-started.md"
TABLES = {"lucid": _hints.FUNCTIONS, "Tensor": _hints.METHODS, "keywords": _hints.KEYWORDS}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cat", "use lucid.concat"),
        ("tensor", "use lucid.Tensor(data); lucid.asarray(array) shares its memory"),
        ("unsqueeze", "use lucid.expand_dims"),
        ("softmax", "use lucid.nn.functional"),
    ],
)
def test_a_name_that_lucid_calls_otherwise(name: str, words: str) -> None:
    with pytest.raises(AttributeError) as raised:
        getattr(lucid, name)
    assert str(raised.value) == f"module 'lucid' has no attribute '{name}'; {words}"
    assert raised.value.name == name  # Python's own suggestions ask for these two
    assert raised.value.obj is lucid


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("view", "use x.reshape(2, 3)"),
        ("clone", "use x itself, because values are never written to; x.detach() leaves the graph"),
        ("sort", "use lucid.sort(x)"),
        ("cumsum", "use lucid.cumulative_sum"),
        ("data", "use x.detach() to read values, x.copy_(values) under lucid.no_grad() to write"),
    ],
)
@pytest.mark.parametrize("kind", [lucid.Tensor, nn.Parameter])
def test_an_attribute_that_a_tensor_calls_otherwise(kind: Any, name: str, words: str) -> None:
    with pytest.raises(AttributeError) as raised:
        getattr(kind([1.0]), name)
    found = f"'{kind.__name__}' object has no attribute '{name}'; {words}"
    assert str(raised.value).startswith(found)


def test_an_unknown_name_is_an_ordinary_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'lucid' has no attribute 'nonsense'$"):
        lucid.nonsense  # noqa: B018
    with pytest.raises(AttributeError, match=r"^'Tensor' object has no attribute 'nonsense'$"):
        getattr(lucid.ones(1), "nonsense")  # noqa: B009
    assert not hasattr(lucid.ones(1), "__array_interface__")
    assert not hasattr(lucid.Tensor.__new__(lucid.Tensor), "_array")  # no recursion


def test_a_keyword_that_is_called_otherwise() -> None:
    x: Any = lucid.ones((2, 3))
    calls: list[tuple[Callable[[], Any], str, str]] = [
        (lambda: x.sum(dim=0), "sum", "dim'; use axis"),
        (lambda: x.mean(axis=0, keepdim=True), "mean", "keepdim'; use keepdims"),
        (lambda: lucid.sum(np.ones(2), dim=0), "sum", "dim'; use axis"),  # type: ignore[call-arg]
        (lambda: lucid.tensordot(x, x, dims=1), "tensordot", "dims'; use axes"),  # type: ignore[call-arg]
        (lambda: x.std(ddof=1), "std", "ddof'; use correction"),
        (lambda: F.softmax(x, dim=1), "softmax", "dim'; use axis"),  # type: ignore[call-arg]
        (lambda: nn.Softmax(dim=1), "Softmax", "dim'; use axis"),  # type: ignore[arg-type]
        (lambda: nn.LogSoftmax(dim=1), "LogSoftmax", "dim'; use axis"),  # type: ignore[arg-type]
        (lambda: lucid.max(x, nonsense=1), "max", "nonsense'"),  # type: ignore[call-arg]
    ]
    for wrong, function, ours in calls:
        with pytest.raises(TypeError) as raised:
            wrong()
        assert str(raised.value) == f"{function}() got an unexpected keyword argument '{ours}"


def test_signatures_show_the_arguments_that_there_are() -> None:
    assert list(inspect.signature(lucid.sum).parameters) == ["x", "axis", "dtype", "keepdims"]


@pytest.mark.parametrize("function", [lucid.zeros, lucid.ones, lucid.rand, lucid.randn])
def test_a_shape_is_one_tuple(function: Any) -> None:
    name = function.__name__
    with pytest.raises(lucid.ArgumentError) as raised:
        function(2, 3)
    assert str(raised.value) == f"{name}: a shape is one tuple; write {name}((2, 3))"
    assert function((2, 3)).shape == function(shape=(2, 3)).shape == (2, 3)


def test_what_is_missed_is_not_there() -> None:
    """A name that lucid gets one day leaves the table."""
    assert [name for name in _hints._FUNCTIONS if hasattr(lucid, name)] == []
    assert [name for name in _hints._METHODS if hasattr(lucid.ones(1), name)] == []
    names = [name for table in TABLES.values() for text in table.values() for name in text.split()]
    assert all(name.isidentifier() for name in names)


def test_what_to_use_instead_is_there() -> None:
    texts = "\n".join(text for table in TABLES.values() for text in table)
    functions = set(re.findall(r"\blucid\.(\w+)", texts))
    methods = set(re.findall(r"\bx\.(\w+)", texts))
    assert len(functions) > 30
    assert len(methods) > 10
    assert [name for name in functions if not hasattr(lucid, name)] == []
    assert [name for name in methods if not hasattr(lucid.Tensor, name)] == []


@pytest.mark.parametrize("of", TABLES)
def test_the_page_has_the_same_table(of: str) -> None:
    rows = list(_hints.rows(TABLES[of]))
    assert "\n".join(rows) in PAGE.read_text()
