"""Any contraction of the form, brought to one whose axes are few and have names.

Of the leading axes, some count weights (G: each has rows of its own), some belong to both inputs
(S), some to the first (A) or to the second alone (B): every word with every word. An axis of the
weight and one other factor only is part of that factor's features. So the factors become

    g (G, S, A, B, O),  x1 (G, S, A, I),  x2 (G, S, B, J),  W (G, O, I, J).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import jax
import jax.numpy as jnp

from ..kernels._plan import Sizes
from . import _native
from ._parts import Cut, Factors, Shape, in_parts
from ._portable import contract

Array = Any

ROOM = 8 << 20
"""Bytes of what is copied of g, x1 and x2 at a time, and of the weight."""

# Which factors run along an axis → where it goes.
_KINDS = {
    frozenset({0, 1, 2}): "S",
    frozenset({1, 2}): "S",
    frozenset({0, 1}): "A",
    frozenset({0, 2}): "B",
    frozenset({0, 3}): "O",
    frozenset({1, 3}): "I",
    frozenset({2, 3}): "J",
}
_AXES = ("GSABO", "GSAI", "GSBJ", "GOIJ")
_FEATURES = ("O", "I", "J", "OIJ")


@dataclass
class Axes:
    """Where each leading axis goes, and how long it is."""

    lengths: list[int] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    """One letter; or, of an axis that one factor alone has, nothing."""

    @staticmethod
    def of(shapes: Sequence[Shape]) -> Axes:
        axes = Axes()
        features = [len(names) for names in _FEATURES]
        leading = [shape[:-n] for shape, n in zip(shapes, features, strict=True)]
        for sizes in zip(*leading, strict=True):
            owners = frozenset(k for k, size in enumerate(sizes) if size != 1)
            axes.lengths.append(max(sizes))
            axes.kinds.append("" if len(owners) < 2 else _KINDS.get(owners, "G"))
        return axes

    def order(self, k: int) -> list[list[int]]:
        """The axes of a factor that become one, for each of its axes afterwards."""
        last = len(self.kinds) - 1
        order = [[a for a, kind in enumerate(self.kinds) if kind == name] for name in _AXES[k]]
        for at, name in enumerate(_FEATURES[k]):
            order[_AXES[k].index(name)].append(last + 1 + at)
        return order

    def _full(self, k: int, shape: Shape) -> Shape:
        """The shape with every axis at its length that this factor is to have."""
        n = len(self.kinds)
        names = zip(self.kinds, self.lengths, shape[:n], strict=True)
        leading = (
            length if kind and kind in _AXES[k] else size if kind else 1
            for kind, length, size in names
        )
        return (*leading, *shape[n:])

    def gather(self, k: int, x: Array) -> Array:
        """A factor with its axes brought together."""
        alone = [a for a, kind in enumerate(self.kinds) if not kind and x.shape[a] != 1]
        if alone:
            x = jnp.sum(x, axis=alone, keepdims=True, dtype=x.dtype)
        x = jnp.broadcast_to(x, self._full(k, x.shape))
        order = self.order(k)
        flat = [axis for axes in order for axis in axes]
        ones = [axis for axis in range(x.ndim) if axis not in flat]
        sizes = [prod(x.shape[axis] for axis in axes) for axes in order]
        return jnp.reshape(jnp.transpose(x, ones + flat), sizes)

    def moves(self, k: int, shape: Shape) -> bool:
        """Whether to bring them together, or back, takes a copy."""
        flat = [axis for axes in self.order(k) for axis in axes if shape[axis] != 1]
        return flat != sorted(flat) or self._full(k, shape) != tuple(shape)

    def scatter(self, k: int, y: Array, shape: Shape) -> Array:
        """A result in the shape that is wanted of it: the inverse, and its transpose."""
        full = self._full(k, shape)
        flat = [axis for axes in self.order(k) for axis in axes]
        ones = [axis for axis in range(len(full)) if axis not in flat]
        y = jnp.reshape(y, [full[axis] for axis in ones + flat])
        y = jnp.transpose(y, [(ones + flat).index(axis) for axis in range(len(full))])
        summed = [a for a, size in enumerate(shape) if size == 1 != full[a]]
        if summed:
            y = jnp.sum(y, axis=summed, keepdims=True, dtype=y.dtype)
        return jnp.broadcast_to(y, shape)

    def sizes(self, shapes: Sequence[Shape]) -> dict[str, int]:
        """How long each axis is afterwards."""
        named = dict(zip("OIJ", shapes[3][-3:], strict=True))
        for kind, length in zip(self.kinds, self.lengths, strict=True):
            if kind:
                named[kind] = named.get(kind, 1) * length
        return {name: named.get(name, 1) for name in "GSABOIJ"}


def aligned(shapes: Sequence[Shape]) -> tuple[Shape, ...]:
    """The shapes of the four factors with equally many leading axes, as they broadcast."""
    features = [len(names) for names in _FEATURES]
    rank = max(len(shape) - n for shape, n in zip(shapes, features, strict=True))
    return tuple(
        (*(1,) * (rank + n - len(shape)), *shape) for shape, n in zip(shapes, features, strict=True)
    )


def solve(
    factors: Sequence[Array | None],
    wanted: tuple[int, ...],
    types: Sequence[jax.ShapeDtypeStruct],
    *,
    keep: int,
    kept: Sequence[Array],
    native: bool,
    on_cpu: bool,
    divided: bool,
) -> list[Array]:
    """The contractions for the wanted factors, of the types that these have.

    To `keep` a product, of so many numbers, makes it the last result; without the kernel it is
    nothing. On the CPU what is copied, to be converted or put into another order, is a part at a
    time; arrays that are divided among devices stay whole.
    """
    shapes, dtypes = [each.shape for each in types], [each.dtype for each in types]
    if any(x is not None and x.size == 0 for x in factors):
        return [jnp.zeros(shapes[k], dtypes[k]) for k in wanted]
    full = aligned(shapes)
    axes = Axes.of(full)
    dtype = dtypes[0]
    native = native and (bool(kept) or _native.takes(dtype, wanted, axes.sizes(full)))
    wide = jnp.dtype(jnp.float32) if dtype in (jnp.float16, jnp.bfloat16) else dtype

    def is_taken(k: int) -> bool:
        """Whether the kernel reads this dtype."""
        return native and dtypes[k].name in _native.DTYPES

    def run(factors: Factors, shapes: Sequence[Shape], dtypes: Sequence[Any]) -> list[Array]:
        """All at once."""
        axes = Axes.of(shapes)
        gathered = [
            None if x is None else axes.gather(k, x if is_taken(k) else x.astype(dtype))
            for k, x in enumerate(factors)
        ]
        size = axes.sizes(shapes)
        if native:
            every = [tuple(size[name] for name in names) for names in _AXES]
            found = _native.contract([*gathered, *kept], wanted, every, dtypes, keep)
        else:
            found = _portable_contract(gathered, wanted, size, dtypes, on_cpu)
            found += [jnp.zeros(keep, dtype)] if keep else []
        own = [
            axes.scatter(k, y, shapes[k]).astype(dtypes[k])
            for k, y in zip(wanted, found, strict=False)
        ]
        return own + found[len(wanted) :]

    used = [k for k, x in enumerate(factors) if x is not None or k in wanted]
    is_moved = [k for k in used if not is_taken(k) or axes.moves(k, full[k])]
    cuts: list[Cut] = []
    if on_cpu and not divided:
        of_weight = native and 3 in used and (3 in is_moved or dtypes[3] != wide)
        cuts = _cuts(full, ROOM // wide.itemsize, of_weight=of_weight, of_leading=bool(is_moved))
    placed = [None if x is None else jnp.reshape(x, full[k]) for k, x in enumerate(factors)]
    found = in_parts(cuts, run, placed, wanted, full, dtypes, wide)
    own = [jnp.reshape(y, shapes[k]) for k, y in zip(wanted, found, strict=False)]
    return own + found[len(wanted) :]


def kept_numbers(types: Sequence[jax.ShapeDtypeStruct], needed: Sequence[bool]) -> int:
    """How many numbers the kernel keeps of a result for the needed gradients of x1, x2 and W.

    None of what is converted or put into another order, which may be done in parts.
    """
    full = aligned([each.shape for each in types])
    axes = Axes.of(full)
    dtypes = {each.dtype for each in types}
    if len(dtypes) > 1 or any(axes.moves(k, shape) for k, shape in enumerate(full)):
        return 0
    return _native.kept_numbers(dtypes.pop(), needed, axes.sizes(full))


def _cuts(shapes: Sequence[Shape], room: int, *, of_weight: bool, of_leading: bool) -> list[Cut]:
    """Where to cut, so that there is room for the numbers of a part of g, x1 and x2.

    First the weight, if it is copied as well, along its outputs and features 1; then all along the
    leading axes.
    """
    rank = len(shapes[0]) - 1
    outputs, features_1, features_2 = shapes[3][rank:]
    cuts: list[Cut] = []
    if of_weight:
        step_1 = min(features_1, max(1, room // features_2))
        step = min(outputs, max(1, room // (step_1 * features_2)))
        cuts = [({0: rank, 3: rank}, step), ({1: rank, 3: rank + 1}, step_1)]
        outputs, features_1 = step, step_1
    features = outputs, features_1, features_2
    lengths = [max(sizes) for sizes in zip(*(shape[:rank] for shape in shapes), strict=True)]

    def numbers() -> int:
        own = [prod(map(min, lengths, shape[:rank])) for shape in shapes]
        weights = (own[3] - 1) * prod(features)  # beside the one that there is room for
        return int(weights + sum(n * size for n, size in zip(own, features, strict=False)))

    for axis in range(rank if of_leading else 0):
        while lengths[axis] > 1 and numbers() > room:
            lengths[axis] = -(-lengths[axis] // 2)
        runs = {k: axis for k, shape in enumerate(shapes) if shape[axis] != 1}
        cuts.append((runs, lengths[axis]))
    return [
        (axes, length)
        for axes, length in cuts
        if any(length < shapes[k][axis] for k, axis in axes.items())
    ]


def _portable_contract(
    factors: list[Array | None], wanted: tuple[int, ...], size: dict[str, int],
    dtypes: Sequence[Any], on_cpu: bool,
) -> list[Array]:  # fmt: skip
    sizes = Sizes(*(size[name] for name in "SABOIJ"))
    numbers = [k for k, x in enumerate(factors) if x is not None]

    def one(*arrays: Array) -> list[Array]:
        placed = dict(zip(numbers, arrays, strict=True))
        return contract(
            [placed.get(k) for k in range(4)], wanted, sizes, dtypes,
            on_cpu=on_cpu, together=size["G"],
        )  # fmt: skip

    given: list[Any] = [factors[k] for k in numbers]
    if size["G"] > 1:
        return list(jax.vmap(one)(*given))
    return [y[None] for y in one(*(x[0] for x in given))]
