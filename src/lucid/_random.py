"""Random numbers, from a generator that can be seeded."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np

from ._arrays import DType, native_dtype
from ._errors import ArgumentError
from ._tape import new_tensor
from ._tensor import Tensor

Shape = int | Sequence[int]


class Generator:
    """A source of random numbers; the same seed gives the same numbers (NumPy's PCG-64).

    Without a seed, one from the operating system.

    >>> a, b = lucid.Generator(0), lucid.Generator(0)
    >>> bool((lucid.rand(3, generator=a) == lucid.rand(3, generator=b)).all())
    True
    """

    def __init__(self, seed: int | None = None) -> None:
        self.manual_seed(seed)

    def manual_seed(self, seed: int | None) -> Generator:
        """Start again from a seed; returns itself."""
        self._seed = seed
        self.__dict__.pop("numpy", None)
        return self

    @cached_property
    def numpy(self) -> np.random.Generator:
        """NumPy's generator behind this one, made when the first number is asked for."""
        return np.random.default_rng(self._seed)

    def get_state(self) -> dict[str, Any]:
        """Where the sequence stands: for `set_state`."""
        return dict(self.numpy.bit_generator.state)

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from where a sequence stood."""
        self.numpy.bit_generator.state = state


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Seed the generator that is used where none is given; returns it.

    >>> _ = lucid.manual_seed(0)
    >>> first = lucid.rand(3)
    >>> _ = lucid.manual_seed(0)
    >>> bool((lucid.rand(3) == first).all())
    True
    """
    return default_generator.manual_seed(seed)


def numbers(generator: Generator | None) -> np.random.Generator:
    """NumPy's generator behind a given one, or behind the default."""
    chosen = generator or default_generator
    for states in _use.watched:
        if chosen not in states:
            states[chosen] = chosen.get_state()
    return chosen.numpy


class _Use(threading.local):
    watched: tuple[dict[Generator, dict[str, Any]], ...] = ()


_use = _Use()


@contextmanager
def states_of_use() -> Iterator[dict[Generator, dict[str, Any]]]:
    """Where each generator that is used within stood before; filled in as they are used."""
    states: dict[Generator, dict[str, Any]] = {}
    before, _use.watched = _use.watched, (*_use.watched, states)
    try:
        yield states
    finally:
        _use.watched = before


def rand(shape: Shape, *, generator: Generator | None = None, dtype: DType | None = None) -> Tensor:
    """Numbers drawn evenly from [0, 1), float32 unless `dtype` says float64.

    >>> lucid.rand((2, 3)).shape
    (2, 3)
    """
    return new_tensor(numbers(generator).random(_shape(shape), _float(dtype, "rand")))


def randn(
    shape: Shape, *, generator: Generator | None = None, dtype: DType | None = None
) -> Tensor:
    """Numbers drawn from the normal distribution of mean 0 and variance 1, float32 by default.

    >>> lucid.randn((2, 3)).shape
    (2, 3)
    """
    return new_tensor(numbers(generator).standard_normal(_shape(shape), _float(dtype, "randn")))


def randint(low: int, high: int, shape: Shape, *, generator: Generator | None = None) -> Tensor:
    """Integers drawn evenly from low, …, high - 1, as int64.

    >>> bool((lucid.randint(0, 3, 10) < 3).all())
    True
    """
    if low >= high:
        raise ArgumentError(f"randint: low must be below high, but they are {low} and {high}")
    return new_tensor(numbers(generator).integers(low, high, _shape(shape)))


def randperm(n: int, *, generator: Generator | None = None) -> Tensor:
    """The numbers 0, …, n - 1 in a random order, as int64.

    >>> lucid.sort(lucid.randperm(3))
    Tensor([0, 1, 2])
    """
    return new_tensor(numbers(generator).permutation(n))


def _shape(shape: Shape) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


def _float(dtype: DType | None, function: str) -> Any:
    chosen = np.dtype(np.float32) if dtype is None else native_dtype(np, dtype)
    if chosen not in (np.float32, np.float64):
        raise ArgumentError(f"{function}: draws float32 or float64, not {chosen}; use astype")
    return chosen
