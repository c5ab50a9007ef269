"""The site, built: every public name has its place, and examples are code."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from test_docs import ROOT, public_things

pytest.importorskip("mkdocs", reason="the site is made by mkdocs: pip install -e '.[docs]'")


class Page(HTMLParser):
    """The anchors, the quotations and the headings of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.quotations: list[str] = []
        self.headings: list[str] = []
        self.inside: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.anchors.add(found.get("id") or "")
        if tag in ("blockquote", "h1", "h2", "h3", "h4", "h5"):
            self.inside.append(tag)
            (self.quotations if tag == "blockquote" else self.headings).append("")

    def handle_endtag(self, tag: str) -> None:
        if self.inside and self.inside[-1] == tag:
            self.inside.pop()

    def handle_data(self, data: str) -> None:
        if self.inside:
            (self.quotations if self.inside[-1] == "blockquote" else self.headings)[-1] += data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(  # noqa: S603 (our own command)
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    return {str(path.parent.relative_to(site)): Page(path) for path in site.rglob("index.html")}


def names() -> list[str]:
    """Everything public that can be called, under its shortest name."""
    shortest: dict[int, str] = {}
    for name, thing in public_things().items():
        if inspect.ismodule(thing) or name.startswith("lucid.ops.") or is_borrowed(name, thing):
            continue
        known = shortest.get(id(thing), name)
        shortest[id(thing)] = min(known, name, key=lambda each: each.count("."))
    return sorted(shortest.values())


def is_borrowed(name: str, thing: object) -> bool:
    """Whether a module that is one file imported a name for its own use, without `as`."""
    place, _, last = name.rpartition(".")
    module = sys.modules.get(place)
    return (
        module is not None
        and not hasattr(module, "__path__")
        and getattr(thing, "__module__", "") != module.__name__
        and not re.search(rf"\b{last} as {last}\b", inspect.getsource(module))
    )


def test_every_public_name_is_in_the_reference(pages: dict[str, Page]) -> None:
    anchors = set().union(*(pages[page].anchors for page in pages if page.startswith("reference")))
    assert len(names()) > 200
    said_once = "lucid.nn.Module.extra_repr"  # and left out of each layer
    missing = [name for name in names() if name not in anchors
               and (not name.endswith(".extra_repr") or name == said_once)]  # fmt: skip
    assert not missing


def test_headings_are_public_names(pages: dict[str, Page]) -> None:
    headings = [text.strip() for page in pages.values() for text in page.headings]
    assert any(text.startswith("lucid.exp") for text in headings)
    assert [text for text in headings if re.search(r"\blucid(\.\w+)*\._", text)] == []


def test_no_example_is_a_quotation(pages: dict[str, Page]) -> None:
    assert {name: page.quotations for name, page in pages.items() if page.quotations} == {}


def test_examples_are_code(site: Path) -> None:
    html = (site / "reference" / "operations" / "index.html").read_text()
    text = re.sub(r"<[^>]+>", "", html).replace("&gt;", ">")
    assert ">>> lucid.exp(lucid.Tensor([0.0, 1.0]))\nTensor([1.0, 2.7182817])\n" in text
    assert "Bases:" not in text
    assert "# doctest:" not in text
