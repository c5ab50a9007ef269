"""Contenders in turns: settings, rounds, and what is left out because it takes too long."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import NamedTuple

from _bilinear_measure import WRONG, Task
from _bilinear_peers import MATRIX, PRODUCT, SLOW_TO_START
from _bilinear_sizes import WARM, Size
from _bilinear_worker import Worker
from _compare import Numbers

PAUSE = 0.02  # seconds between contenders
TOO_SLOW = 1.0  # seconds of a pass after which no harder setting is tried
FAR_BEHIND = 1.5  # times the fastest: measured in the first round only
SOMETIMES = 4  # the matrix product is measured before every fourth size


class Setting(NamedTuple):
    threads: int
    dtype: str

    def __str__(self) -> str:
        return f"{self.dtype}, {self.threads} thread{'s' if self.threads > 1 else ''}"

    def is_easier(self, other: Setting) -> bool:
        narrower = self.dtype == other.dtype or (self.dtype, other.dtype) == ("float32", "float64")
        return self != other and self.threads >= other.threads and narrower


class Key(NamedTuple):
    setting: Setting
    size: Size
    name: str


@dataclass
class Found:
    """The smallest numbers of all rounds: "forward" and "both" in seconds, "memory" in bytes."""

    numbers: dict[Key, Numbers] = field(default_factory=dict)
    bounds: dict[Key, Numbers] = field(default_factory=dict)  # what took longer than this
    reasons: dict[Key, str] = field(default_factory=dict)  # what failed, and why
    left_out: dict[str, str] = field(default_factory=dict)  # contenders that did not start, and why
    products: dict[Setting, float] = field(default_factory=dict)  # seconds of the matrix product

    def add(self, key: Key, numbers: Numbers) -> None:
        old = self.numbers.setdefault(key, numbers)
        for name in old.keys() & numbers.keys():
            old[name] = min(old[name], numbers[name])

    def rate(self, setting: Setting) -> float:
        """Operations a second in the machine's own matrix product."""
        return 2 * MATRIX**3 / self.products[setting]

    def fastest(self, setting: Setting, size: Size, number: str, but: str = "") -> str | None:
        """The contender with the smallest number, but for those whose name begins so."""
        of_size = {
            key.name: numbers[number]
            for key, numbers in self.numbers.items()
            if key[:2] == (setting, size) and number in numbers
            and not (but and key.name.startswith(but))
        }  # fmt: skip
        return min(of_size, key=of_size.__getitem__) if of_size else None


@dataclass(frozen=True)
class Run:
    """What to measure, and how long."""

    sizes: Sequence[Size]
    settings: Sequence[Setting]  # the easiest first
    names: Sequence[str]
    rounds: int
    seconds: float  # for each number, in each round
    limit: float  # seconds for one pass
    subject: str = "lucid"  # whose fraction of GEMM rate and speed-up are shown

    def __call__(self) -> Found:
        found = Found()
        start = time.perf_counter()
        for threads in dict.fromkeys(setting.threads for setting in self.settings):
            with ExitStack() as stack:
                workers = []
                names = [
                    name
                    for name in self.names
                    if name not in SLOW_TO_START or threads == self.settings[0].threads
                ]
                for name in (PRODUCT, *names):
                    worker = stack.enter_context(Worker(name, threads))
                    if worker.reason:
                        found.left_out[name] = worker.reason
                    else:
                        workers.append(worker)
                for number in range(self.rounds):
                    for setting in self.settings:
                        if setting.threads == threads:
                            self._round(found, setting, workers, first=not number)
                            seconds = time.perf_counter() - start
                            print(
                                f"{seconds:.0f} s: {setting}, round {number + 1}", file=sys.stderr
                            )
        return found

    def _round(
        self, found: Found, setting: Setting, workers: Sequence[Worker], *, first: bool
    ) -> None:
        for k, size in enumerate(self.sizes):
            for worker in workers:
                key = Key(setting, size, worker.name)
                if worker.name == PRODUCT:
                    if k % SOMETIMES == 0:
                        self._product(found, setting, worker)
                elif first:
                    if not _hopeless(found, key):
                        most_threads = setting.threads == self.settings[0].threads
                        self._contend(found, key, worker, thorough=most_threads)
                elif _is_close(found, key):
                    self._contend(found, key, worker, thorough=False)
                time.sleep(PAUSE)

    def _product(self, found: Found, setting: Setting, worker: Worker) -> None:
        dtype = "float32" if setting.dtype == "bfloat16" else setting.dtype
        numbers, _ = worker.measure(Task(WARM, dtype, self.seconds, self.limit, thorough=False))
        seconds = min(numbers["forward"], found.products.get(setting, float("inf")))
        found.products[setting] = seconds

    def _contend(self, found: Found, key: Key, worker: Worker, *, thorough: bool) -> None:
        task = Task(key.size, key.setting.dtype, self.seconds, self.limit, thorough)
        numbers, reason = worker.measure(task)
        if reason.startswith(WRONG):
            numbers = {}
        found.add(key, numbers)
        if reason.startswith(">"):
            missing = {"forward", "both"} - numbers.keys()
            found.bounds[key] = dict.fromkeys(missing, self.limit)
        elif reason:
            found.reasons[key] = reason


def _hopeless(found: Found, key: Key) -> bool:
    """Whether an easier setting took so long already; its seconds then are a bound for this one."""
    for setting in {other.setting for other in found.numbers}:
        easier = key._replace(setting=setting)
        bounds = {**found.numbers.get(easier, {}), **found.bounds.get(easier, {})}
        if setting.is_easier(key.setting) and bounds.get("both", 0.0) > TOO_SLOW:
            found.bounds[key] = {name: bounds[name] for name in ("forward", "both")}
            return True
    return False


def _is_close(found: Found, key: Key) -> bool:
    """Whether another round could change who is first."""
    mine = found.numbers.get(key, {})
    for number in ("forward", "both"):
        first = found.fastest(key.setting, key.size, number)
        if first and number in mine:
            best = found.numbers[key._replace(name=first)][number]
            if mine[number] < FAR_BEHIND * best:
                return True
    return False
