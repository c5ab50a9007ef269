"""Contenders side by side: each in a process of its own, in turns, the best of all rounds.

A benchmark is a script with a function for each contender. Called without arguments it starts
itself again for one contender at a time (BLAS thread pools in one process disturb each other), goes
round several times (the machine may be busy in any one of them), and keeps the smallest of each
number.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping

Numbers = dict[str, float]
Contender = Callable[[], Numbers]


def main(contenders: Mapping[str, Contender], *, threads: int, rounds: int) -> dict[str, Numbers]:
    """Run one contender if the command line names it; else all of them, and return their best."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--threads", type=int, default=threads)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--only", choices=list(contenders), help="run this one here, print JSON")
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(contenders[arguments.only]()))
        sys.exit()

    describe_machine(arguments.threads)
    best: dict[str, Numbers] = {}
    for _ in range(arguments.rounds):
        for name in contenders:
            numbers = _in_own_process(name, arguments.threads)
            if numbers is not None:
                before = best.setdefault(name, numbers)
                best[name] = {key: min(before[key], numbers[key]) for key in before}
    return best


def environment(threads: int) -> dict[str, str]:
    """The variables of a process whose libraries are to use so many threads."""
    libraries = ("LUCID", "OMP", "OPENBLAS", "MKL")
    return {**os.environ, **{f"{library}_NUM_THREADS": str(threads) for library in libraries}}


def _in_own_process(name: str, threads: int) -> Numbers | None:
    command = [sys.executable, sys.argv[0], "--only", name]
    run = subprocess.run(
        command, capture_output=True, text=True, env=environment(threads), check=False
    )
    if run.returncode:
        reason = run.stderr.strip().splitlines()[-1:] or ["no output"]
        print(f"{name}: left out ({reason[0]})", file=sys.stderr)
        return None
    numbers: Numbers = json.loads(run.stdout.splitlines()[-1])
    return numbers


def describe_machine(threads: int) -> None:
    """Print what the numbers depend on."""
    print(f"{machine()}, {threads} threads\n{versions()}\n")


def machine() -> str:
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()}"


def versions() -> str:
    """Of Python, of lucid, and of the packages here that a benchmark may compare it with."""
    import lucid

    found = [f"Python {platform.python_version()}", f"lucid-nn {lucid.__version__}"]
    for package in ("numpy", "torch", "jax", "autograd", "mygrad"):
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


class Memory:
    """How much more memory the process has held at once since this was made (Linux; else NaN)."""

    def __init__(self) -> None:
        try:
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")  # start the high-water mark anew
            self._before = _status("VmRSS")
        except OSError:
            self._before = float("nan")

    def growth(self) -> float:
        """In bytes."""
        known = not math.isnan(self._before)
        return _status("VmHWM") - self._before if known else self._before


def _status(key: str) -> float:
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(key))
    return float(line.split()[1]) * 1024


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table, aligned so that it reads well as text too."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]

    def text(cells: list[str]) -> str:
        first, *rest = (cell.ljust(w) if not k else cell.rjust(w)
                        for k, (cell, w) in enumerate(zip(cells, widths, strict=True)))  # fmt: skip
        return f"| {' | '.join([first, *rest])} |"

    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([text(lines[0]), text(rule), *map(text, lines[1:])])
