"""Contenders side by side: each in a process of its own, in turns, the best of all rounds.

A benchmark is a script with a function for each contender. Called without arguments it starts itself
again for one contender at a time (BLAS thread pools in one process disturb each other), goes round
several times (the machine may be busy in any one of them), and keeps the smallest of each number.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
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


def _in_own_process(name: str, threads: int) -> Numbers | None:
    settings = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"))
    environment = {**os.environ, **{key: str(threads) for key in settings}}
    command = [sys.executable, sys.argv[0], "--only", name]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if run.returncode:
        reason = run.stderr.strip().splitlines()[-1:] or ["no output"]
        print(f"{name}: left out ({reason[0]})", file=sys.stderr)
        return None
    numbers: Numbers = json.loads(run.stdout.splitlines()[-1])
    return numbers


def describe_machine(threads: int) -> None:
    """Print what the numbers depend on."""
    packages = ("lucid-nn", "numpy", "torch", "jax", "autograd", "mygrad")
    versions = []
    for package in packages:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    print(f"{_processor()}, {os.cpu_count()} cores, {threads} threads, {platform.system()}")
    print(f"Python {platform.python_version()}, {', '.join(versions)}\n")


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def best_time(run: Callable[[], object], *, repeats: int, seconds: float = 1.0) -> float:
    """The shortest of several runs, in seconds; fewer of them where one takes long."""
    run()
    best = float("inf")
    stop = time.perf_counter() + seconds
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        now = time.perf_counter()
        best = min(best, now - start)
        if now > stop:
            break
    return best


def peak_memory(run: Callable[[], object]) -> float:
    """How many bytes the process grew by at most while `run` ran (Linux; elsewhere NaN)."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # start the high-water mark anew
        before = _status("VmRSS")
        run()
        return _status("VmHWM") - before
    except OSError:
        return float("nan")


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
