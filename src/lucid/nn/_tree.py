"""How a module looks: a tree of its layers, with the number of parameters of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol, Self


class Module(Protocol):
    """What is asked of a module."""

    def named_children(self) -> Iterable[tuple[str, Self]]: ...
    def children(self) -> Iterator[Self]: ...
    def parameters(self) -> Iterator[Any]: ...
    def extra_repr(self) -> str: ...


def tree(module: Module) -> str:
    """The module, a row for every module within it, and how many parameters each has.

    A parameter that several modules share counts once in the total.
    """
    rows = [(_title(module), _count(module)), *_rows(module, "", (module,))]
    if len(rows) == 1:
        return rows[0][0]
    width = max(len(row) for row, _ in rows)
    digits = max(len(f"{count:,}") for _, count in rows)
    lines = [
        f"{row:<{width}}    {f'{count:,}' if count else '':>{digits}}".rstrip()
        for row, count in rows
    ]
    word = "parameter" if rows[0][1] == 1 else "parameters"
    lines[0] = f"{rows[0][0]:<{width}}    {rows[0][1]:>{digits},} {word}"
    return "\n".join(lines)


def _rows(module: Module, indent: str, above: tuple[Module, ...]) -> Iterator[tuple[str, int]]:
    children = [pair for pair in module.named_children() if pair[1] not in above]
    for k, (name, child) in enumerate(children):
        last = k == len(children) - 1
        yield f"{indent}{'└─' if last else '├─'} {name}: {_title(child)}", _count(child)
        yield from _rows(child, indent + ("   " if last else "│  "), (*above, child))


def _title(module: Module) -> str:
    arguments = module.extra_repr()
    made_of_modules = next(module.children(), None) is not None
    brackets = "" if made_of_modules and not arguments else f"({arguments})"
    return f"{type(module).__name__}{brackets}"


def _count(module: Module) -> int:
    return sum(parameter.size for parameter in module.parameters())
