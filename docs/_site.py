"""What mkdocs makes beside the pages: the front page from the README, and the reference.

The reference is written from the public names when the site is built: a page for each public
module, in it a heading for each private file that its names come from, and under that each name
with its signature and docstring. So a new public name is in the reference, under its public name.
Names are found in the source, so that nothing needs to be installed for it.
"""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path
from typing import Any

import griffe

ROOT = Path(__file__).parent.parent
REPOSITORY = "https://github.com/lucid-nn/lucid"

# Pages that divide the names of `lucid` itself, by the private file that has them
OPERATIONS, ERRORS, TENSORS = "lucid.ops.", "lucid._errors.", "lucid."
PAGES = {
    "tensor": ("Tensors and gradients", TENSORS),
    "operations": ("Operations", OPERATIONS),
    "errors": ("Errors", ERRORS),
}
# What a heading says instead of the file's name; these files come first, in this order
TITLES = {
    "_tensor": "Tensor",
    "_grad": "Gradients",
    "_tape": "Switching recording off and on",
    "_recording": "Switching recording off and on",
    "_op": "Operations of your own",
    "_anomaly": "Finding a NaN",
    "_random": "Random numbers",
    "_batches": "Batches",
    "_files": "Files",
    "_threads": "Threads and configuration",
    "_config": "Threads and configuration",
    "_dtypes": "Dtypes",
    "_create": "Creation",
    "_like": "Arrays like another, conversion",
    "_movement": "Shape and order of axes",
    "_grid": "Grids and triangles",
    "_index": "Indexing",
    "_reduce": "Reductions",
    "_search": "Searching and sorting",
    "_solve": "Linear equations",
    "_qr": "QR",
    "_fft": "Transforms",
}
FEW = 8  # names that need no headings
# mkdocs.yml leaves `extra_repr` out: every layer has it, but only here does it say something.
OPTIONS = {"Module": '\n    options: { filters: ["!^_"] }'}
INTRODUCTIONS = {
    "operations": """
Names and arguments are those of the Python array API standard. Every operation takes Tensors,
arrays or numbers. With a Tensor among them the result is a Tensor, with arrays only an array.

The dtypes have the standard's names too: `lucid.bool`, `int8`, `int16`, `int32`, `int64`, `uint8`,
`uint16`, `uint32`, `uint64`, `float16`, `float32`, `float64`, `complex64`, `complex128`. So have
the constants `lucid.e`, `pi`, `inf`, `nan` and `newaxis`.
""",
    "errors": """
Every error is a `LucidError`, and also the built-in error that you would expect: a `ShapeError` is
a `ValueError`.
""",
}


def public_names() -> dict[str, dict[str, str]]:
    """For each public module its names, each with the path of its definition.

    What `lucid` itself names is not repeated for the module that defines it.
    """
    package = griffe.load("lucid", search_paths=[ROOT / "src"], resolve_aliases=True)
    found: dict[str, dict[str, str]] = {}
    modules = [package]
    for module in modules:
        modules += [each for name, each in module.modules.items()
                    if not name.startswith("_") and each.path != "lucid.ops"]  # fmt: skip
        names = {name: path for name, member in module.members.items()
                 if (path := definition(module, name, member)) is not None}  # fmt: skip
        top = found.get("lucid", {}).values()
        found[module.path] = {name: path for name, path in names.items() if path not in top}
    return {module: names for module, names in found.items() if names}


def definition(module: griffe.Module, name: str, member: Any) -> str | None:
    """Where a public function or class is defined: in the module, or where it says `a as a`."""
    named = not member.is_alias or re.search(rf"\b{name} as {name}\b", module.source)
    if name.startswith("_") or not named:
        return None
    target = member.final_target if member.is_alias else member
    return str(target.path) if target.is_function or target.is_class else None


def reference() -> dict[str, tuple[str, str]]:
    """The pages of the reference: the name of each with its title and text."""
    names = public_names()
    pages = {}
    for page, (title, begin) in PAGES.items():
        own = {name: path for name, path in names["lucid"].items()
               if max((each for _, each in PAGES.values() if path.startswith(each)), key=len)
               == begin}  # fmt: skip
        text = INTRODUCTIONS.get(page, "")
        pages[page] = title, f"# {title}\n{text}\n{entries('lucid', own)}"
    package = griffe.load("lucid", search_paths=[ROOT / "src"])
    for module, own in sorted(names.items()):
        if module != "lucid":
            text = package[module.removeprefix("lucid.")].docstring.value
            page = module.removeprefix("lucid.").replace(".", "-")
            pages[page] = module, f"# {module}\n\n{as_code(text)}\n\n{entries(module, own)}"
    return pages


def entries(module: str, names: dict[str, str]) -> str:
    """The names, with a heading for each file where there are many."""
    first = [*TITLES]
    files = {file_of(path) for path in names.values()}
    places = {file: (first.index(file) if file in first else len(first), file) for file in files}
    ordered = sorted(names.items(), key=lambda item: places[file_of(item[1])])
    lines = []
    for file, group in groupby(ordered, lambda item: file_of(item[1])):
        if len(names) > FEW and len(files) > 1:
            lines.append(f"## {TITLES.get(file) or file.strip('_').replace('_', ' ').capitalize()}")
        lines += [f"::: {module}.{name}{OPTIONS.get(name, '')}" for name, _ in group]
    return "\n\n".join(lines)


def file_of(path: str) -> str:
    return path.split(".")[-2]


def front_page() -> str:
    """The README, with the links that the site has itself."""
    text = (ROOT / "README.md").read_text()
    text = text.replace(f"{REPOSITORY}/raw/main/docs/", "")
    return text.replace(f"{REPOSITORY}/blob/main/docs/", "")


def as_code(text: str) -> str:
    """Text with its examples as blocks of code: as Markdown, `>>>` is three nested quotations."""
    text = re.sub(r" *# doctest: .*", "", text)
    return re.sub(r"^>>> .*(?:\n.+)*", r"```pycon\n\g<0>\n```", text, flags=re.MULTILINE)


class ExamplesAsCode(griffe.Extension):
    """Gives mkdocstrings the docstrings with their examples as code."""

    def on_instance(self, *, obj: Any, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = as_code(obj.docstring.value)
        if obj.is_function and "foreign" in obj.parameters:  # which is there to be refused
            del obj.parameters["foreign"]


# Hooks of mkdocs


def on_config(config: Any) -> Any:
    pages = [{title: f"reference/{name}.md"} for name, (title, _) in reference().items()]
    config.nav.append({"Reference": pages})
    return config


def on_files(files: Any, config: Any) -> Any:
    from mkdocs.structure.files import File

    for name, (_, text) in reference().items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    if page.file.src_uri == "index.md":
        markdown = front_page()
    return re.sub(r"```python\n(>>> .*?)\n*```", r"```pycon\n\1\n```", markdown, flags=re.DOTALL)
