"""What happens in a contender's process: sizes arrive, are measured, and the numbers go back.

The process imports the contender's libraries and then forks itself for each size. So nothing of one
size is left for the next: no memory that a library keeps, no threads that still spin. Contenders
that compile for each size keep their process instead, or they would compile in every round.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from _bilinear_peers import COMPILED, PEERS, PRODUCT, Bind, Form, matrix_product
from _bilinear_sizes import WARM, Size, check, values
from _compare import Memory

COMPILE_SECONDS = 120
WRONG = "wrong"  # how the reason of a contender begins whose results are


@dataclass(frozen=True)
class Task:
    """One size to measure: for how many seconds each number, and how long one pass may take."""

    size: Size
    dtype: str
    seconds: float
    limit: float
    thorough: bool  # also its memory, and whether its results are right

    def text(self) -> str:
        return json.dumps({**self.__dict__, "size": self.size.__dict__})

    @staticmethod
    def of(text: str) -> Task:
        fields = json.loads(text)
        return Task(**{**fields, "size": Size(**fields["size"])})


Emit = Callable[[dict[str, Any]], None]


def serve(name: str) -> None:
    """Measure the sizes that standard input names, until it ends."""
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever libraries print goes elsewhere

    def emit(message: dict[str, Any]) -> None:
        channel.write(json.dumps(message) + "\n")

    try:
        bind = matrix_product() if name == PRODUCT else PEERS[name]()
    except Exception as error:
        emit({"end": f"{type(error).__name__}: {error}".splitlines()[0]})
        return
    emit({"end": ""})
    for line in sys.stdin:
        task = Task.of(line)
        if name in COMPILED:
            emit({"end": _try(task, bind, emit, compiles=True)})
            continue
        child = os.fork()
        if not child:
            reason = _try(task, bind, emit, compiles=False)
            emit({"reason": reason} if reason else {})
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        emit({"end": ended(status, task.limit)})


def ended(status: int, limit: float) -> str:
    """Why a process did not finish what it was to measure; nothing if it did."""
    if not status:
        return ""
    return f"> {limit:g} s" if status == -signal.SIGALRM else f"ended with status {status}"


def _try(task: Task, bind: Bind, emit: Emit, *, compiles: bool) -> str:
    try:
        _measure(task, bind, emit, compiles=compiles)
    except Exception as error:
        kind = WRONG if isinstance(error, ArithmeticError) else type(error).__name__
        return f"{kind}: {error}".splitlines()[0][:120]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return ""


def _measure(task: Task, bind: Bind, emit: Emit, *, compiles: bool) -> None:
    size, limit = task.size, task.limit
    if not compiles:
        for form in bind(WARM, values(WARM, task.dtype)).values():
            form.forward(), form.both()
    arrays = values(size, task.dtype)
    forms = bind(size, arrays)
    left_behind = size.left_behind * np.dtype(task.dtype).itemsize

    forward: dict[str, float] = {}
    both: dict[str, float] = {}
    for name, form in forms.items():
        if compiles:
            _limited(form.forward, COMPILE_SECONDS), _limited(form.both, COMPILE_SECONDS)
        _give_back()
        memory = Memory()
        forward[name] = _limited(form.forward, limit)[0]  # and its result is gone
        emit({"forward": forward[name]})
        both[name], results = _limited(form.both, limit)
        emit({"both": both[name]})
        extra = memory.growth() - left_behind
        if task.thorough:
            check(size, arrays, results)
            if both[name] == min(both.values()):
                emit({"memory": max(extra, 0.0)})
        del results
        forward[name] = _again(form.forward, forward[name])
        both[name] = _again(form.both, both[name])
    emit({"forward": _repeated(_fastest(forms, forward).forward, min(forward.values()), task)})
    emit({"both": _repeated(_fastest(forms, both).both, min(both.values()), task)})


def _fastest(forms: Mapping[str, Form], seconds: dict[str, float]) -> Form:
    return forms[min(seconds, key=seconds.__getitem__)]


def _limited(run: Callable[[], Any], limit: float) -> tuple[float, Any]:
    """The seconds of a run and what it returns; the process ends where they are above the limit."""
    signal.setitimer(signal.ITIMER_REAL, limit)
    start = time.perf_counter()
    result = run()
    seconds = time.perf_counter() - start
    signal.setitimer(signal.ITIMER_REAL, 0)
    return seconds, result


def _again(run: Callable[[], object], first: float) -> float:
    """The best of three more runs where they are short: enough to see which form is the fastest."""
    best = first
    for _ in range(3 if first < 0.02 else 0):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best


def _repeated(run: Callable[[], object], first: float, task: Task) -> float:
    """The shortest of many runs; of one more where a run takes long, of none where very long."""
    best, stop = first, time.perf_counter() + task.seconds
    if first >= 2.0:
        return first
    count = 0
    while count < (3 if first < 0.1 else 1) or time.perf_counter() < stop:
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
        count += 1
    return best


def _give_back() -> None:
    """Return freed memory to the system, so that it counts when it is taken again."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except AttributeError:  # another C library
        return
