"""Modules that hold others: in a row, in a list, by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self, overload

from .._arguments import WHOLE, check
from .._errors import ArgumentError, OutOfRangeError
from ._module import Module


class _Numbered(Module):
    """Modules in an order; their names are "0", "1", … unless they were given others."""

    def __init__(self, modules: Iterable[Module]) -> None:
        super().__init__()
        self.extend(modules)

    def _names(self) -> list[str]:
        return [name for name, value in vars(self).items() if isinstance(value, Module)]

    def append(self, module: Module) -> Self:
        """Add a module at the end; returns itself."""
        number = len(self)
        while str(number) in vars(self):  # in a part of another list the names go on from there
            number += 1
        setattr(self, str(number), _a_module(type(self).__name__, module))
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end; returns itself. Nothing is added if one of them is no module."""
        name = type(self).__name__
        if not isinstance(modules, Iterable):
            raise ArgumentError(f"{name}: expected modules in a list, got {type(modules).__name__}")
        for module in [_a_module(name, module) for module in modules]:
            self.append(module)
        return self

    def __len__(self) -> int:
        return len(self._names())

    def __iter__(self) -> Iterator[Module]:
        return (vars(self)[name] for name in self._names())

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            part = type(self).__new__(type(self))
            for name in self._names()[index]:
                setattr(part, name, vars(self)[name])
            return part
        return vars(self)[self._name_at(index)]

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._name_at(index), _a_module(type(self).__name__, module))

    def _name_at(self, index: int) -> str:
        names = self._names()
        check(type(self).__name__, WHOLE, index=index)
        if not -len(names) <= index < len(names):
            raise OutOfRangeError(
                f"{type(self).__name__}: index {index} is outside its {len(names)} modules"
            )
        return names[index]


class Sequential(_Numbered):
    """Modules one after the other: each takes the output of the one before.

    Given modules, or one mapping from names to modules.

    >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    >>> model(lucid.ones((2, 3))).shape
    (2, 1)
    >>> model[0]
    Linear(3, 4)
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        super().__init__(())
        only = modules[0] if len(modules) == 1 else None
        named = only if isinstance(only, Mapping) else {str(k): m for k, m in enumerate(modules)}
        for name, module in named.items():
            self._check_name("Sequential", name)
            _a_module("Sequential", module)
        for name, module in named.items():
            setattr(self, name, module)

    def forward(self, input: Any) -> Any:
        """The output of the last module."""
        for module in self:
            input = module(input)
        return input


class ModuleList(_Numbered):
    """A list of modules whose parameters are found.

    >>> layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
    >>> len(layers), len(list(layers.parameters()))
    (3, 6)
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__(modules)


class ModuleDict(Module):
    """Modules by name, whose parameters are found.

    >>> heads = nn.ModuleDict({"colour": nn.Linear(2, 3), "size": nn.Linear(2, 1)})
    >>> heads["size"]
    Linear(2, 1)
    """

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        if modules is not None and not isinstance(modules, Mapping):
            raise ArgumentError(
                f"ModuleDict: expected a dict from names to modules, got {type(modules).__name__}"
            )
        for name, module in (modules or {}).items():
            self[name] = module

    def __setitem__(self, name: str, module: Module) -> None:
        if name not in self:
            self._check_name("ModuleDict", name)
        setattr(self, name, _a_module("ModuleDict", module))

    def __getitem__(self, name: str) -> Module:
        if name not in self:
            raise KeyError(name)
        module: Module = vars(self)[name]
        return module

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        delattr(self, name)

    def __contains__(self, name: object) -> bool:
        return isinstance(vars(self).get(name), Module)  # type: ignore[call-overload]

    def __len__(self) -> int:
        return len(list(self.keys()))

    def __iter__(self) -> Iterator[str]:
        return self.keys()

    def keys(self) -> Iterator[str]:
        """The names."""
        return (name for name, _ in self.items())

    def values(self) -> Iterator[Module]:
        """The modules."""
        return (module for _, module in self.items())

    def items(self) -> Iterator[tuple[str, Module]]:
        """The names and their modules."""
        return ((name, each) for name, each in vars(self).items() if isinstance(each, Module))


def _a_module(container: str, value: Any) -> Module:
    if not isinstance(value, Module):
        raise ArgumentError(f"{container}: expected a Module, got {type(value).__name__}")
    return value
