"""Which order of contraction, and in which tiles: one cost model, from sizes alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Literal

from .._shapes import Shape
from ._layout import layout

Order = Literal["outer", "left", "right"]
Needed = tuple[bool, bool, bool]

TILE = 2 << 20
"""Bytes of one tile of products: what stays in a core's own cache."""

BLOCK = 8 << 20
"""Bytes of one block of the weight, where it has to be copied, converted or summed."""


@dataclass(frozen=True)
class Sizes:
    """The sizes of one contraction: positions of each kind of leading axis, and features."""

    shared: int
    first: int
    second: int
    outputs: int
    features_1: int
    features_2: int

    @property
    def rows(self) -> int:
        return self.shared * self.first * self.second

    @property
    def weights(self) -> int:
        return self.outputs * self.features_1 * self.features_2

    def swapped(self) -> Sizes:
        """The same contraction with the two inputs exchanged."""
        return Sizes(self.shared, self.second, self.first, self.outputs,
                     self.features_2, self.features_1)  # fmt: skip


@dataclass(frozen=True)
class Tiles:
    """How far one step reaches: positions, and features of the weight's block."""

    rows: int
    seconds: int
    outputs: int
    features_1: int
    features_2: int


@dataclass(frozen=True)
class Alternative:
    """One order of contraction, and what it would cost."""

    order: Order
    formula: str
    multiplications: int
    temporary_bytes: int
    seconds: float
    tiles: Tiles


@dataclass(frozen=True)
class Plan:
    """The order chosen among the alternatives; prints as a table."""

    sizes: Sizes
    needed: Needed | None
    chosen: Alternative
    alternatives: tuple[Alternative, ...]

    def __str__(self) -> str:
        size = self.sizes
        names = ("input_1", "input_2", "weight")
        what = (
            "forward"
            if self.needed is None
            else "gradients of "
            + (
                ", ".join(name for name, yes in zip(names, self.needed, strict=True) if yes)
                or "nothing"
            )
        )
        leading = f"{size.shared} shared × {size.first} first × {size.second} second positions"
        lines = [
            f"bilinear, {what}: {leading}, weight "
            f"({size.outputs}, {size.features_1}, {size.features_2})",
            "  order    multiplications   temporaries   estimated  contraction",
        ]
        for each in self.alternatives:
            mark = "→" if each is self.chosen else " "
            lines.append(
                f"{mark} {each.order:<6} {each.multiplications:>17.3e}   "
                f"{each.temporary_bytes / 1024:>7.0f} KiB   "
                f"{each.seconds * 1e3:>7.3g} ms  {each.formula}"
            )
        return "\n".join(lines)


FORMULAS: dict[Order, str] = {
    "outer": "(x1 ⊗ x2) · W",
    "left": "(x1 · W) · x2",
    "right": "(x2 · W) · x1",
}


def plan(shape_1: Shape, shape_2: Shape, weight_shape: Shape, needed: Needed | None = None) -> Plan:
    """Choose the order of contraction for these shapes; `needed` asks about gradients.

    >>> plan((100, 3), (100, 4), (5, 3, 4)).chosen.order
    'outer'
    """
    split = layout(tuple(shape_1[:-1]), tuple(shape_2[:-1]))
    return choose(Sizes(*split.counts, *weight_shape), needed)


@lru_cache(maxsize=4096)
def choose(sizes: Sizes, needed: Needed | None = None, itemsize: int = 4, tile: int = TILE) -> Plan:
    """The plan for these sizes, with tiles for elements of `itemsize` bytes."""
    alternatives = []
    if sizes.first == sizes.second == 1:
        alternatives.append(_outer(sizes, needed, itemsize, tile))
    alternatives.append(_sided("left", sizes, needed, itemsize, tile))
    alternatives.append(_sided("right", sizes.swapped(), needed, itemsize, tile))
    chosen = min(alternatives, key=lambda each: each.seconds)
    return Plan(sizes, needed, chosen, tuple(alternatives))


# Seconds for one multiplication inside a matrix product, for one element that an elementwise
# pass writes or a batched product reads, for one call of the array library, and for one small
# product of a batch. Measured on two cores (README.md); only their ratios matter.
PRODUCT = 1 / 110e9
ELEMENT = 0.30e-9
CALL = 2e-6
SMALL = 0.15e-6


def _outer(sizes: Sizes, needed: Needed | None, itemsize: int, tile: int) -> Alternative:
    rows, outputs = sizes.rows, sizes.outputs
    n_i, n_j = sizes.features_1, sizes.features_2
    room = tile // itemsize
    q = _clip(room, n_j)
    p = _clip(room // (q * min(max(rows, 1), 128)), n_i)
    o = _clip(BLOCK // (itemsize * p * q), outputs)
    n = max(1, min(room // (p * q), 4 * room // o))
    tiles = Tiles(n, 1, o, p, q)
    products = 1 if needed is None else (needed[0] or needed[1]) + needed[2]
    passes = 1 if needed is None else 0.5 * (needed[0] + needed[1]) + needed[2]
    steps = _steps(sizes, tiles)
    return Alternative(
        "outer", FORMULAS["outer"], products * rows * sizes.weights,
        itemsize * (2 * min(n, rows) * p * q + o * p * q),
        PRODUCT * products * rows * sizes.weights + ELEMENT * passes * rows * n_i * n_j
        + CALL * steps * (4 if needed is None else 8),
        tiles,
    )  # fmt: skip


def _sided(
    order: Order, sizes: Sizes, needed: Needed | None, itemsize: int, tile: int
) -> Alternative:
    """Left, or right when the sizes come swapped."""
    rows, outputs = sizes.rows, sizes.outputs
    n_i, n_j = sizes.features_1, sizes.features_2
    first_rows = sizes.shared * sizes.first
    room = tile // itemsize
    q = _clip(room, n_j)
    o = _clip(room // (q * min(max(first_rows, 1), 128)), outputs)
    p = _clip(BLOCK // (itemsize * o * q), n_i)
    n = max(1, min(room // (o * q), 4 * room // p))
    b = max(1, min(room // q, room // (min(n, max(first_rows, 1)) * o)))
    tiles = Tiles(n, b, o, p, q)
    want = (True, False, False) if needed is None else needed
    if order == "right" and needed is not None:
        want = (needed[1], needed[0], needed[2])
    with_weight = sum(want) * first_rows * sizes.weights
    batched = (want[1] + (want[0] or want[2])) * rows * outputs * n_j
    if needed is None:
        with_weight, batched = first_rows * sizes.weights, rows * outputs * n_j
    copied = sizes.weights * (order == "left") * (1 + (needed is not None))
    plain = sizes.first == sizes.second == 1
    per_element = ELEMENT if plain else PRODUCT * 1.5
    steps = _steps(sizes, tiles)
    return Alternative(
        order, FORMULAS[order], with_weight + (0 if plain else batched),
        itemsize * (2 * min(n, first_rows) * o * q + 2 * o * p * q),
        PRODUCT * with_weight + per_element * batched + ELEMENT * copied
        + SMALL * sizes.shared * (1 if not plain else 0.2)
        + CALL * steps * (4 if needed is None else 8),
        tiles,
    )  # fmt: skip


def _steps(sizes: Sizes, tiles: Tiles) -> int:
    pairs = (
        (sizes.shared * sizes.first, tiles.rows), (sizes.second, tiles.seconds),
        (sizes.outputs, tiles.outputs), (sizes.features_1, tiles.features_1),
        (sizes.features_2, tiles.features_2),
    )  # fmt: skip
    return prod(-(-size // tile) for size, tile in pairs)


def _clip(room: int, size: int) -> int:
    return max(1, min(room, size))
