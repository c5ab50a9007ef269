"""How many threads the compiled kernel uses."""

from __future__ import annotations

import math
import os
from pathlib import Path

from ._errors import ArgumentError
from .kernels import _native


def set_num_threads(count: int) -> None:
    """Let the compiled kernel use up to `count` threads, in the whole process.

    At the start it is `LUCID_NUM_THREADS`, else `OMP_NUM_THREADS`, else as many processors as this
    process may use, by its affinity and its control group. Results are bitwise the same from run
    to run with the same number of threads. Raises ArgumentError for a number not from 1 to 1024.

    >>> before = lucid.get_num_threads()
    >>> lucid.set_num_threads(2)
    >>> lucid.get_num_threads()
    2
    >>> lucid.set_num_threads(before)
    """
    global _threads
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= 1024:
        raise ArgumentError(
            f"set_num_threads: count is {count!r}, expected a number from 1 to 1024"
        )
    _threads = count
    if _native.compiled is not None:
        _native.compiled.set_num_threads(count)


def get_num_threads() -> int:
    """How many threads the compiled kernel may use; what `set_num_threads` has set.

    >>> lucid.get_num_threads() >= 1
    True
    """
    return _threads


def _default_threads() -> int:
    for variable in ("LUCID_NUM_THREADS", "OMP_NUM_THREADS"):
        first = os.environ.get(variable, "").split(",")[0].strip()
        if first.isascii() and first.isdigit() and 1 <= int(first) <= 1024:
            return int(first)
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        count = os.cpu_count() or 1
    return max(1, min(count, _cgroup_processors(), 1024))


def _cgroup_processors() -> int:
    """How many processors the control group allows, rounded up."""
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            words = " ".join(Path("/sys/fs/cgroup", each).read_text() for each in files).split()
            quota, period = words
            if quota not in ("max", "-1"):
                return max(1, math.ceil(int(quota) / int(period)))
        except (OSError, ValueError):
            continue
    return 1024


_threads = 1
set_num_threads(_default_threads())
