"""A contender's process, seen from outside."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys

from _bilinear_measure import Task, ended
from _compare import Numbers, environment


class Worker:
    """A contender's process."""

    def __init__(self, name: str, threads: int) -> None:
        self.name, self.threads = name, threads
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, sys.argv[0], "--serve", self.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(self.threads),
            text=True,
            preexec_fn=lambda: _confine(self.threads),
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        self.reason = self._answer()[1]

    def _answer(self) -> tuple[Numbers, str | None]:
        """The numbers that come back, and why there are no more of them; None if it has ended."""
        numbers: Numbers = {}
        reason = ""
        for line in self._output:
            message = json.loads(line)
            reason = message.pop("reason", reason)
            end = message.pop("end", None)
            numbers.update(message)
            if end is not None:
                return numbers, end or reason
        return numbers, None

    def measure(self, task: Task) -> tuple[Numbers, str]:
        self._input.write(task.text() + "\n")
        self._input.flush()
        numbers, reason = self._answer()
        if reason is None:  # the process itself has ended
            reason = ended(self._process.wait(), task.limit)
            self._start()
        return numbers, reason

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._input.close()
        self._process.wait()


def _confine(threads: int) -> None:
    """Keep this process to so many processors (some libraries have no other limit) and to half of
    the memory: whatever wants more shall fail, not the machine."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    resource.setrlimit(resource.RLIMIT_AS, (memory // 2, memory // 2))
