"""Which order of contraction, and in which tiles: one cost model, from sizes alone.

What a tile may hold and what work costs depends on where arrays are: a `Machine` says both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Literal

from .._shapes import Shape
from ._layout import layout

Order = Literal["outer", "left", "right"]
Needed = tuple[bool, bool, bool]

TILE = 2 << 20
"""Bytes of one tile of products: what two cores' own caches hold."""

BLOCK = 8 << 20
"""Bytes of one block of the weight, which may be copied, converted or summed."""

DEVICE_TILE = 256 << 20
"""Bytes of one tile of products off the CPU, where setting off a product costs more than memory."""

DEVICE_BLOCK = 64 << 20
"""Bytes of one block of the weight off the CPU."""

MOST_KEPT = 16 << 20
"""Bytes of a product that the forward pass keeps for the gradients."""

ENOUGH_ROWS = 128
"""Rows with which a matrix product reaches its full rate: tiles get fewer only of necessity."""

CONTRACTIONS: Mapping[Order, str] = {
    "outer": "(x1 ⊗ x2) · W",
    "left": "(x1 · W) · x2",
    "right": "(x2 · W) · x1",
}

SECONDS: Mapping[str, float] = {
    "call": 7.0e-6,  # what every call costs
    "step": 3.1e-5,  # one tile: a few calls of the library, two threads to set off
    "multiplication": 1.44e-11,  # in the large matrix products
    "batched": 3.2e-11,  # a multiplication in the products of a batch, for pairs
    "product": 2.3e-8,  # one more product in a batch
    "written": 1.9e-10,  # an element that a matrix product writes and the next step reads
    "multiplied": 3.9e-10,  # an element of an outer product
    "row": 8.0e-9,  # one more row of an outer product
    "weight": 8.4e-11,  # an element of the weight, each time it is read or written
    "copied": 1.9e-10,  # an element of the weight, when it must be copied into another order
    "turned": 1.6e-10,  # an element of the weight, when BLAS must turn it round
    "run": 4e-9,  # the outputs of one pair, where they are moved by themselves
}
"""Fitted to random sizes in float32 on two cores (README.md); only their ratios matter."""

DEVICE_SECONDS: Mapping[str, float] = {
    "call": 2e-5,
    "step": 3e-5,
    "multiplication": 4.2e-14,
    "batched": 8e-14,
    "product": 0.0,
    "written": 2.7e-12,
    "multiplied": 1.7e-12,
    "row": 0.0,
    "weight": 2e-12,
    "copied": 4e-12,
    "turned": 0.0,
    "run": 4e-12,
}
"""The same on an NVIDIA H200, from single operations in float32."""

DEVICE_SECONDS_OF_HALVES: Mapping[str, float] = {
    **DEVICE_SECONDS,
    "multiplication": 4.4e-15,
    "batched": 1e-14,
    "written": 7.3e-13,
}
"""And in bfloat16."""

SECONDS_OF_HALVES: Mapping[str, float] = {
    **SECONDS,
    "multiplication": 5.5e-12,
    "batched": 8e-12,
    "written": 1e-10,
    "multiplied": 5e-11,
    "row": 0.0,
    "turned": 0.0,
}
"""On the CPU in bfloat16, with AVX512-BF16: two cores of an AMD Zen 4."""

SECONDS_WITH_TILES: Mapping[str, float] = {
    **SECONDS_OF_HALVES,
    "multiplication": 1.4e-12,
    "batched": 4e-12,
}
"""The same with AMX: the rate of products on two cores of an Intel Xeon, the rest as above."""


@dataclass(frozen=True, eq=False)
class Machine:
    """Where a contraction runs: how large its tiles are, and what each kind of work costs."""

    tile: int
    block: int
    seconds: Mapping[str, float]
    full: bool = False
    """Whether one tile fills what may be held: two at once are half as large."""


CPU = Machine(TILE, BLOCK, SECONDS)
LIBRARY = Machine(2 * TILE, BLOCK, SECONDS)  # where a call costs more than in NumPy
CPU_OF_HALVES = Machine(4 * TILE, BLOCK // 2, SECONDS_OF_HALVES, full=True)
CPU_WITH_TILES = Machine(4 * TILE, BLOCK // 2, SECONDS_WITH_TILES, full=True)
DEVICE = Machine(DEVICE_TILE, DEVICE_BLOCK, DEVICE_SECONDS, full=True)
DEVICE_OF_HALVES = Machine(DEVICE_TILE, DEVICE_BLOCK, DEVICE_SECONDS_OF_HALVES, full=True)


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

    @property
    def plain(self) -> bool:
        """Whether each row of one input meets one row of the other."""
        return self.first == self.second == 1

    def swapped(self) -> Sizes:
        """The same contraction with the two inputs exchanged."""
        return Sizes(
            self.shared, self.second, self.first,
            self.outputs, self.features_2, self.features_1,
        )  # fmt: skip


@dataclass(frozen=True)
class Tiles:
    """How far one step reaches: in positions, and in features of the weight's block."""

    rows: int
    seconds: int
    outputs: int
    features_1: int
    features_2: int


@dataclass(frozen=True)
class Alternative:
    """One order of contraction: what it would do, need and cost."""

    order: Order
    tiles: Tiles
    temporary_bytes: int
    work: Mapping[str, int]
    seconds: float
    """The cost model: each kind of work takes its time."""

    @property
    def multiplications(self) -> int:
        return self.work["multiplication"] + self.work["batched"] + self.work["multiplied"]


@dataclass(frozen=True)
class Plan:
    """The order of contraction chosen among the alternatives; prints as a table."""

    sizes: Sizes
    needed: Needed | None
    chosen: Alternative
    alternatives: tuple[Alternative, ...]
    compiled: str | None = None
    """How the compiled kernel does it, where it does: then the alternatives are not used."""

    def __str__(self) -> str:
        sizes = self.sizes
        what = "forward"
        if self.needed is not None:
            names = zip(("input_1", "input_2", "weight"), self.needed, strict=True)
            what = f"gradients of {', '.join(name for name, yes in names if yes) or 'nothing'}"
        lines = [
            f"bilinear, {what}",
            f"  positions: {sizes.shared} shared × {sizes.first} of input_1 "
            f"× {sizes.second} of input_2",
            f"  weight: {sizes.outputs} × {sizes.features_1} × {sizes.features_2}",
            *([f"  compiled kernel: {self.compiled}; else"] if self.compiled else []),
            "  order   contraction     multiplications   temporaries    estimated",
        ]
        for each in self.alternatives:
            mark = "→" if each is self.chosen else " "
            lines.append(
                f"{mark} {each.order:<6}  {CONTRACTIONS[each.order]:<14} "
                f"{each.multiplications:>16.3e}   {each.temporary_bytes / 1024:>7.0f} KiB   "
                f"{each.seconds * 1e3:>8.3g} ms"
            )
        return "\n".join(lines)


def plan(shape_1: Shape, shape_2: Shape, weight_shape: Shape, needed: Needed | None = None) -> Plan:
    """Choose the order of contraction for these shapes, in float32.

    `needed` says which gradients (of x1, x2 and the weight); None asks about the forward.
    """
    split = layout(tuple(shape_1[:-1]), tuple(shape_2[:-1]))
    return choose(Sizes(*split.counts, *weight_shape), needed)


@lru_cache(maxsize=4096)
def choose(
    sizes: Sizes, needed: Needed | None = None, itemsize: int = 4, machine: Machine = CPU
) -> Plan:
    """The plan for these sizes, with tiles for elements of `itemsize` bytes."""
    alternatives = [
        _sided("left", sizes, needed, itemsize, machine),
        _sided("right", sizes, needed, itemsize, machine),
    ]
    if sizes.plain:
        alternatives.insert(0, _outer(sizes, needed, itemsize, machine))
    chosen = min(alternatives, key=lambda each: each.seconds)
    return Plan(sizes, needed, chosen, tuple(alternatives))


@lru_cache(maxsize=4096)
def order_of_training(sizes: Sizes, itemsize: int, machine: Machine) -> Order | None:
    """The order for training in which the forward pass keeps a product, from sizes alone.

    That is x1 ⊗ x2, x1 · W or x2 · W: whole, and where there is room for it.
    """
    forward = choose(sizes, None, itemsize, machine).alternatives
    backward = choose(sizes, (True, True, True), itemsize, machine).alternatives
    costs: dict[Order, float] = {}
    for there, back in zip(forward, backward, strict=True):
        own = sizes.swapped() if there.order == "right" else sizes
        tiles, numbers = there.tiles, _numbers_kept(own, there.order)
        is_whole = (own.outputs, own.features_1, own.features_2) == (
            tiles.outputs, tiles.features_1, tiles.features_2
        ) and own.first <= tiles.rows and own.second <= tiles.seconds  # fmt: skip
        if is_whole and numbers * itemsize <= MOST_KEPT:
            costs[there.order] = there.seconds + back.seconds - _spared(own, there.order, machine)
    if not costs:
        return None
    return min(costs, key=costs.__getitem__)


@lru_cache(maxsize=4096)
def keeps(sizes: Sizes, needed: Needed, itemsize: int, machine: Machine) -> bool:
    """Whether to go in that order for these gradients, because the product spares them one."""
    order = order_of_training(sizes, itemsize, machine)
    if order is None or not needed[{"outer": 2, "left": 1, "right": 0}[order]]:
        return False
    same = best = 0.0
    for wanted in (None, needed):
        plan = choose(sizes, wanted, itemsize, machine)
        best += plan.chosen.seconds
        same += next(each.seconds for each in plan.alternatives if each.order == order)
    own = sizes.swapped() if order == "right" else sizes
    return same - _spared(own, order, machine) <= best


def _numbers_kept(own: Sizes, order: Order) -> int:
    if order == "outer":
        return own.rows * own.features_1 * own.features_2
    return own.shared * own.first * own.outputs * own.features_2


def _spared(own: Sizes, order: Order, machine: Machine) -> float:
    """What a gradient does not cost any more."""
    if order == "outer":
        return machine.seconds["multiplied"] * own.rows * own.features_1 * own.features_2
    return machine.seconds["multiplication"] * own.shared * own.first * own.weights


def _outer(sizes: Sizes, needed: Needed | None, itemsize: int, machine: Machine) -> Alternative:
    """Forward: one product with x1 ⊗ x2. Gradients: g · W for the inputs, g · (x1 ⊗ x2) for W."""
    room, block = machine.tile // itemsize, machine.block // itemsize
    rows, features_1, features_2 = sizes.rows, sizes.features_1, sizes.features_2
    q = _clip(room, features_2)
    p = _clip(room // (q * min(max(rows, 1), ENOUGH_ROWS)), features_1)
    o = _clip(block // (p * q), sizes.outputs)
    n = _clip(min(room // (p * q), 2 * room // o), rows)
    tiles = Tiles(n, 1, o, p, q)

    with_weight, with_pairs, inputs = 0, 1, 0
    if needed is not None:
        with_weight, with_pairs, inputs = needed[0] or needed[1], needed[2], needed[0] + needed[1]
    passes = with_weight + with_pairs
    steps = _steps(sizes, tiles)
    work = {
        "call": 1,
        "step": steps * passes,
        "multiplication": passes * rows * sizes.weights,
        "batched": 0,
        "product": inputs * rows * -(-features_1 // p),
        "written": with_weight * rows * features_1 * features_2,
        "multiplied": with_pairs * rows * features_1 * features_2,
        "row": with_pairs * rows * features_1,
        "weight": passes * sizes.weights,
    }
    temporaries = n * (p * q + o + p + q) + 2 * o * p * q
    return Alternative("outer", tiles, itemsize * temporaries, work, _cost(work, machine))


def _sided(
    order: Order, sizes: Sizes, needed: Needed | None, itemsize: int, machine: Machine
) -> Alternative:
    """One input meets the weight first, then the other; in the right order they change places."""
    if order == "right":
        sizes = sizes.swapped()
        needed = needed and (needed[1], needed[0], needed[2])
    # T = x1 · W is needed for the output and dx2, U = g · x2 for dx1 and the weight's gradient.
    with_weight, with_first, summed = 1, 1, 0
    if needed is not None:
        with_weight, with_first, summed = sum(needed), needed[1], needed[0] or needed[2]
    room, block = machine.tile // itemsize, machine.block // itemsize
    if machine.full and with_first and summed:
        room //= 2
    first_rows = sizes.shared * sizes.first
    features_1, features_2 = sizes.features_1, sizes.features_2
    q = _clip(room, features_2)
    o = _clip(room // (q * min(max(first_rows, 1), ENOUGH_ROWS)), sizes.outputs)
    p = _clip(block // (o * q), features_1)
    n = _clip(min(room // (o * q), 2 * room // p), first_rows)
    b = _clip(min(room // q, room // (n * o)), sizes.second)
    tiles = Tiles(n, b, o, p, q)

    steps = _steps(sizes, tiles)
    elements = first_rows * sizes.outputs * features_2
    small = sizes.shared * -(-sizes.first // n) * -(-sizes.second // b)
    work = {
        "call": 1,
        "step": steps * (with_first + summed),
        "multiplication": with_weight * first_rows * sizes.weights,
        "batched": 0 if sizes.plain else (with_first + summed) * elements * sizes.second,
        "product": small * -(-sizes.outputs // o) * (with_first + summed * (not sizes.plain)),
        "written": with_first * elements,
        "multiplied": summed * elements if sizes.plain else 0,
        "row": summed * first_rows * sizes.outputs if sizes.plain else 0,
        "weight": with_weight * sizes.weights,
        "copied": (with_first + summed) * sizes.weights if order == "left" else 0,
        "turned": (with_first + summed) * sizes.weights if order == "right" else 0,
        "run": sizes.rows if order == "left" and not sizes.plain and sizes.outputs > 1 else 0,
    }
    temporaries = n * (2 * o * q + p) + b * q + 2 * n * b * o + 3 * o * p * q
    return Alternative(order, tiles, itemsize * temporaries, work, _cost(work, machine))


def _cost(work: Mapping[str, int], machine: Machine) -> float:
    return sum(machine.seconds[kind] * count for kind, count in work.items())


def _steps(sizes: Sizes, tiles: Tiles) -> int:
    return prod(
        -(-size // step)
        for size, step in (
            (sizes.shared * sizes.first, tiles.rows),
            (sizes.second, tiles.seconds),
            (sizes.outputs, tiles.outputs),
            (sizes.features_1, tiles.features_1),
            (sizes.features_2, tiles.features_2),
        )
    )


def _clip(step: int, size: int) -> int:
    return max(1, min(step, size))
