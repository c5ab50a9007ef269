"""The compiled kernel where memory and threads are short: an error at worst, never the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from lucid.kernels import _native

resource: Any = pytest.importorskip("resource")  # POSIX only
if _native.compiled is None:
    pytest.skip("there is no compiled kernel here", allow_module_level=True)

PRELUDE = """if True:
    import os, resource, signal, sys, threading, time
    import numpy as np
    from lucid.kernels import _native

    compiled = _native.compiled
    ALL = (True, True, True)

    def used():
        pages = int(open("/proc/self/statm").read().split()[0])
        return pages * resource.getpagesize()

    def limit(more):
        resource.setrlimit(resource.RLIMIT_AS, (used() + more, resource.RLIM_INFINITY))

    def compute(n, threads):
        x, w, g = np.ones((n, 30), "f"), np.ones((40, 30, 30), "f"), np.ones((n, 40), "f")
        out = compiled.bilinear(x, x, w, None, None, threads)
        assert (out == 900).all()
        found = compiled.gradients(g, x, x, w, ALL, None, None, threads)
        assert (found[0] == 1200).all() and (found[2] == n).all()
"""


def run(script: str, **environment: str) -> str:
    """What a process of its own prints, which must end by itself and well."""
    done = subprocess.run(  # noqa: S603 (our own scripts)
        [sys.executable, "-c", PRELUDE + script], timeout=120, capture_output=True, text=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", **environment},
    )  # fmt: skip
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    return done.stdout.strip()


linux = pytest.mark.skipif(sys.platform != "linux", reason="limits on memory are Linux's")


@linux
@pytest.mark.parametrize("more", [0, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26])
def test_little_memory_is_an_error_at_worst(more: int) -> None:
    # Threads are made under the limit, and caches touched for the first time, by many threads.
    script = f"""
    limit({more})
    for threads in (8, 1, 8):
        try:
            compute(256, threads)
        except MemoryError:
            pass
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    compute(256, 8)
    print("alive")
    """
    assert run(script) == "alive"


# All memory that is left is taken, but for one block that the result has room in.
DRAINED = """
    import ctypes
    malloc, free = ctypes.CDLL(None).malloc, ctypes.CDLL(None).free
    malloc.restype, malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    free.argtypes = [ctypes.c_void_p]

    def drain():
        spare = [malloc(1 << 17), malloc(1 << 17)]
        limit(0)
        size = 1 << 20
        while size >= 16:
            if not malloc(size):
                size >>= 1
        for each in spare[1:]:
            free(each)
"""


@linux
def test_a_worker_without_room_for_a_cache() -> None:
    script = """
    x, w = np.ones((512, 30), "f"), np.ones((40, 30, 30), "f")
    compiled.bilinear(x, x, w, None, "samples_on_lanes", 1)  # the caller has its cache
    compiled.bilinear(x, x, w, None, "samples_on_lanes", 64)  # most workers come too late for it
    drain()
    ended = set()
    for _ in range(200):
        try:
            compiled.bilinear(x, x, w, None, "samples_on_lanes", 64)
            ended.add("right")
        except MemoryError:
            ended.add("no memory")
    print(len(ended) > 0)
    """
    assert run(DRAINED + script) == "True"


@linux
def test_a_thread_of_python_without_room_for_a_cache() -> None:
    script = """
    go, ended = threading.Event(), []

    def work():
        go.wait()
        try:
            compute(64, 1)
            ended.append("right")
        except MemoryError:
            ended.append("no memory")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    drain()
    go.set()
    for each in threads:
        each.join()
    print(len(ended))
    """
    assert run(DRAINED + script) == "4"


@linux
def test_no_more_threads() -> None:
    script = """
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
    compute(256, 8)
    print("alive")
    """
    assert run(script) == "alive"


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="POSIX signals")
def test_workers_receive_no_signals() -> None:
    script = """
    compute(2000, 4)
    names = [name for name in os.listdir("/proc/self/task") if int(name) != os.getpid()]
    for name in names:
        blocked = [
            line for line in open(f"/proc/self/task/{name}/status") if line.startswith("SigBlk")
        ]
        mask = int(blocked[0].split()[1], 16)
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM):
            assert mask >> (each - 1) & 1, (name, each)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
    print(len(names))
    """
    if sys.platform != "linux":
        pytest.skip("signal masks are read from /proc")
    assert int(run(script)) >= 3


@linux
def test_nothing_is_read_beyond_the_arguments() -> None:
    # Each argument ends where a page ends that nobody may read beyond. Views that repeat rows have
    # fewer numbers than their shape says.
    script = """
    import ctypes, itertools, mmap
    kept = []

    def at_the_end(x):
        size = -(-x.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
        memory = mmap.mmap(-1, size + mmap.PAGESIZE)
        kept.append(memory)
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        beyond = ctypes.c_void_p(start + size)
        assert ctypes.CDLL(None).mprotect(beyond, mmap.PAGESIZE, 0) == 0
        last = np.frombuffer(memory, x.dtype, x.size, size - x.nbytes).reshape(x.shape)
        last[...] = x
        return last

    random = np.random.default_rng(0)
    leads = [((40,), (40,)), ((1,), (40,)), ((40,), (1,)), ((3, 5, 1), (3, 1, 4)),
             ((1, 5), (7, 5)), ((6, 1), (6, 9)), ((1, 1), (4, 8)),
             ((3, 14, 1), (3, 1, 40)), ((3, 40, 1), (3, 1, 14))]
    for (lead_1, lead_2), (i, j, o), expands, dtype in itertools.product(
        leads, [(13, 18, 5), (3, 70, 2), (33, 1, 1), (13, 17, 11)],
        itertools.product((False, True), repeat=2), (np.float32, np.float64),
    ):
        whole = np.broadcast_shapes(lead_1, lead_2)
        shapes = ((*lead_1, i), (*lead_2, j), (o, i, j), (*whole, o))
        x1, x2, w, g = (at_the_end(random.standard_normal(s).astype(dtype)) for s in shapes)
        x1, x2 = (
            np.broadcast_to(x, (*whole, x.shape[-1])) if expand else x
            for x, expand in zip((x1, x2), expands)
        )
        for threads in (1, 3):
            out = compiled.bilinear(x1, x2, w, None, None, threads)
            right = np.einsum("...i,oij,...j->...o", x1, w, x2)
            assert np.allclose(out, right, 1e-3, 1e-3)
            for needed in itertools.product((False, True), repeat=3):
                if any(needed):
                    found = compiled.gradients(g, x1, x2, w, needed, None, None, threads)
                    assert [each is not None for each in found] == list(needed)

    compiled.read_as_bfloat16(np.dtype(np.uint16))
    for name in compiled.instruction_sets():
        compiled.use_instruction_set(name)
        for n, i, j, o in [(40, 13, 18, 5), (37, 3, 70, 2), (33, 33, 1, 1), (1, 17, 9, 3)]:
            x1, x2, w, g = (at_the_end(np.full(s, 0x3F80, np.uint16))
                            for s in ((n, i), (n, j), (o, i, j), (n, o)))
            for threads in (1, 3):
                out = compiled.bilinear(x1, x2, w, None, "samples_on_lanes", threads)
                assert len(np.unique(out)) == 1
                compiled.gradients(
                    g, x1, x2, w, (True,) * 3, "samples_on_lanes", "packed_products", threads
                )
    print("well")
    """
    assert run(script) == "well"
