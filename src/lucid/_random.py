"""Random numbers, from a generator that can be seeded."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np

from ._arguments import COUNT, WHOLE, check
from ._arrays import DType, native_dtype
from ._errors import ArgumentError
from ._hints import one_shape
from ._shapes import check_shape
from ._tape import new_tensor
from ._tensor import Tensor

Shape = int | Sequence[int]


class Generator:
    """A source of random numbers; the same seed gives the same numbers (NumPy's PCG-64).

    A seed is a whole number, 0 or more; without one, one from the operating system. Raises
    ArgumentError for another.

    >>> a, b = lucid.Generator(0), lucid.Generator(0)
    >>> bool((lucid.rand(3, generator=a) == lucid.rand(3, generator=b)).all())
    True
    """

    def __init__(self, seed: int | None = None) -> None:
        self.manual_seed(seed)

    def manual_seed(self, seed: int | None) -> Generator:
        """Start again from a seed; returns itself."""
        if seed is not None:
            check("manual_seed", COUNT, seed=seed)
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
        """Go on from where a sequence stood; ArgumentError for what `get_state` has not given."""
        try:
            whole = np.random.PCG64(0)  # which may be left half-set
            whole.state = state  # type: ignore[assignment]
        except (TypeError, ValueError, KeyError, OverflowError):
            raise ArgumentError(
                f"set_state: expected what get_state() gives, got {state!r:.60}"
            ) from None
        self.numpy.bit_generator.state = whole.state


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Seed the generator that is used where none is given; returns it.

    Raises ArgumentError unless `seed` is a whole number, 0 or more.

    >>> _ = lucid.manual_seed(0)
    >>> first = lucid.rand(3)
    >>> _ = lucid.manual_seed(0)
    >>> bool((lucid.rand(3) == first).all())
    True
    """
    check("manual_seed", COUNT, seed=seed)
    return default_generator.manual_seed(seed)


def numbers(generator: Generator | None) -> np.random.Generator:
    """NumPy's generator behind a given one, or behind the default."""
    chosen = default_generator if generator is None else generator
    if not isinstance(chosen, Generator):
        raise ArgumentError(
            f"generator is a {type(generator).__name__}, expected a lucid.Generator, or None"
        )
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


@one_shape
def rand(shape: Shape, *, generator: Generator | None = None, dtype: DType | None = None) -> Tensor:
    """Numbers drawn evenly from [0, 1), float32 unless `dtype` says float64.

    >>> lucid.rand((2, 3)).shape
    (2, 3)
    """
    sizes, chosen = check_shape("rand", shape), _float("rand", dtype)
    return new_tensor(numbers(generator).random(sizes, chosen))


@one_shape
def randn(
    shape: Shape, *, generator: Generator | None = None, dtype: DType | None = None
) -> Tensor:
    """Numbers drawn from the normal distribution of mean 0 and variance 1, float32 by default.

    >>> lucid.randn((2, 3)).shape
    (2, 3)
    """
    sizes, chosen = check_shape("randn", shape), _float("randn", dtype)
    return new_tensor(numbers(generator).standard_normal(sizes, chosen))


def randint(low: int, high: int, shape: Shape, *, generator: Generator | None = None) -> Tensor:
    """Integers drawn evenly from low, …, high - 1, as int64.

    Raises ArgumentError unless low < high, both of int64.

    >>> bool((lucid.randint(0, 3, 10) < 3).all())
    True
    """
    check("randint", WHOLE, low=low, high=high)
    if low >= high:
        raise ArgumentError(f"randint: low must be below high, but they are {low} and {high}")
    if low < -(2**63) or high > 2**63:
        raise ArgumentError(f"randint: int64 does not hold all from {low} to {high - 1}")
    return new_tensor(numbers(generator).integers(low, high, check_shape("randint", shape)))


def randperm(n: int, *, generator: Generator | None = None) -> Tensor:
    """The numbers 0, …, n - 1 in a random order, as int64; ArgumentError for an n below 0.

    >>> lucid.sort(lucid.randperm(3))
    Tensor([0, 1, 2])
    """
    check("randperm", COUNT, n=n)
    return new_tensor(numbers(generator).permutation(n))


def _float(function: str, dtype: DType | None) -> Any:
    chosen = np.dtype(np.float32) if dtype is None else native_dtype(np, dtype)
    if chosen not in (np.float32, np.float64):
        raise ArgumentError(f"{function}: draws float32 or float64, not {chosen}; use astype")
    return chosen
