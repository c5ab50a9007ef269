"""Nested lists, tuples, dicts, namedtuples and dataclasses, taken apart and put together again.

>>> from lucid._pytree import take_apart
>>> leaves, structure = take_apart({"w": [1, 2], "b": (3, None)})
>>> leaves, structure.paths
([1, 2, 3], ["['w'][0]", "['w'][1]", "['b'][0]"])
>>> structure.put_together(["one", "two", "three"])
{'w': ['one', 'two'], 'b': ('three', None)}
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Structure:
    """How a tree is nested: what kind of container, under which keys, and what is in it.

    A leaf has the kind None.
    """

    kind: type | None
    keys: tuple[str, ...]
    children: tuple[Structure, ...]
    make: Callable[[list[Any]], Any]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Structure) and (
            (self.kind, self.keys, self.children) == (other.kind, other.keys, other.children)
        )

    __hash__ = object.__hash__

    def put_together(self, leaves: Iterable[Any]) -> Any:
        """A tree of this structure; there are as many leaves as `paths`."""
        return self._filled(iter(leaves))

    def _filled(self, leaves: Iterator[Any]) -> Any:
        if self.kind is None:
            return next(leaves)
        return self.make([child._filled(leaves) for child in self.children])

    @cached_property
    def paths(self) -> list[str]:
        """Where each leaf is, as it is written in Python: "['w'][0]"."""
        if self.kind is None:
            return [""]
        pairs = zip(self.keys, self.children, strict=True)
        return [f"{key}{path}" for key, child in pairs for path in child.paths]


_LEAF = Structure(None, (), (), lambda leaves: leaves[0])


def take_apart(tree: Any) -> tuple[list[Any], Structure]:
    """The leaves of a tree, in order, and what puts others in their places.

    None has no leaves. What is no list, tuple, dict, namedtuple or dataclass is a leaf.
    """
    leaves: list[Any] = []
    return leaves, _structure(tree, leaves)


def replaced(tree: Any, function: Callable[[Any], Any]) -> Any:
    """A tree with `function` of each leaf in its place."""
    leaves, structure = take_apart(tree)
    return structure.put_together(map(function, leaves))


def _structure(tree: Any, leaves: list[Any]) -> Structure:
    parts = _parts(tree)
    if parts is None:
        leaves.append(tree)
        return _LEAF
    keys, children, make = parts
    return Structure(
        type(tree), tuple(keys), tuple([_structure(child, leaves) for child in children]), make
    )


def _parts(tree: Any) -> tuple[list[str], list[Any], Callable[[list[Any]], Any]] | None:
    """The keys and the children of a container, and how it is made of others; None for a leaf."""
    kind = type(tree)
    if tree is None:
        return [], [], lambda _: None
    if kind is list or kind is tuple:
        return [f"[{k}]" for k in range(len(tree))], list(tree), kind
    if isinstance(tree, tuple) and hasattr(kind, "_fields"):
        return [f".{name}" for name in kind._fields], list(tree), kind._make
    if isinstance(tree, dict):

        def with_values(values: list[Any]) -> Any:
            made = copy(tree)  # an OrderedDict, or a defaultdict with its factory, stays one
            made.update(zip(tree, values, strict=True))
            return made

        return [f"[{key!r}]" for key in tree], list(tree.values()), with_values
    if is_dataclass(tree) and not isinstance(tree, type):
        names = [field.name for field in fields(tree)]

        def with_fields(values: list[Any]) -> Any:
            made = copy(tree)
            for name, value in zip(names, values, strict=True):
                object.__setattr__(made, name, value)  # a frozen one is filled in too
            return made

        return [f".{name}" for name in names], [getattr(tree, name) for name in names], with_fields
    return None
