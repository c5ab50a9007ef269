"""Wrong kernels: each is one change of the C++, and the tests that must turn red.

    python tests/mutants.py [word ...]          only those in whose description a word is

Each mutant is compiled alone, for one instruction set and hardly optimised, and a few named tests
are run on it until one fails. It is an error if none does: then the tests would let such a kernel
pass. It is one too if a mutant's text is no longer in the source: then write it anew. Needs a
compiler, NumPy and pytest; lucid must not be installed where this runs (an editable installation
would take the place of the mutant). Some minutes; `.github/workflows/nightly.yml` runs it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
NATIVE = ROOT / "src" / "lucid" / "kernels" / "native"
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
COMPILE = [
    os.environ.get("CXX", "g++"), "-std=gnu++17", os.environ.get("LUCID_OPTIMIZE", "-O1"), "-fPIC",
    "-fvisibility=hidden", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-w",
    "-DLUCID_SET=baseline", f"-I{sysconfig.get_paths()['include']}", f"-I{np.get_include()}",
]  # fmt: skip
SECONDS = 300  # in which a mutant that never ends is killed

FORWARD, INPUTS, WEIGHT, PAIRS = (
    f"tests/test_native{name}"
    for name in (
        ".py::test_forward", ".py::test_gradients_of_inputs", ".py::test_gradient_of_the_weight",
        "_pairs.py::test_pairs_at_odd_sizes",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """In `file`, after the text `within`, the first `old` becomes `new`; `tests` are pytest's."""

    what: str
    file: str
    within: str
    old: str
    new: str
    tests: tuple[str, ...]

    def apply(self, folder: Path) -> None:
        path = folder / self.file
        source = path.read_text()
        if source.count(self.within) != 1:
            raise LookupError(f"{self.file} has {source.count(self.within)} times: {self.within}")
        start = source.index(self.within)
        place = source.find(self.old, start)
        if place < 0:
            raise LookupError(f"{self.file} has no more, after {self.within}: {self.old}")
        path.write_text(source[:place] + self.new + source[place + len(self.old) :])


def of(tests: str, algorithm: str = "") -> tuple[str, ...]:
    return (tests, "-k", algorithm) if algorithm else (tests,)


MUTANTS = [
    # row steps
    Mutant("outer product ignores the row step of x1", "outer.hpp", "bool outer_part(",
           "pack_samples(c.x1,", "pack_samples(Matrix<Real>{c.x1.data, s.features_1},",
           of(FORWARD, "outer_product")),
    Mutant("features on lanes ignores the row step of g", "rows.hpp", "bool rows_input_gradients(",
           "pack_tiles(g,", "pack_tiles(Matrix<Real>{g.data, s.outputs},",
           of(INPUTS, "features_on_lanes")),
    Mutant("stream weight ignores the row step of g", "few.hpp", "bool few_input_gradients(",
           "g.data[n * g.step + o]", "g.data[n * sizes.outputs + o]",
           of(INPUTS, "stream_weight")),
]  # fmt: skip


def run(command: Sequence[str | Path], **more: Any) -> subprocess.CompletedProcess[str]:
    words = [str(each) for each in command]
    return subprocess.run(words, capture_output=True, text=True, check=False, **more)  # noqa: S603


class Build:
    """The unchanged kernel's objects, and which source each header is a part of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sources = sorted(path.name for path in NATIVE.glob("*.cpp"))
        self.parts = {
            source: set(re.findall(r"[\w.]+", run([*COMPILE, "-MM", NATIVE / source]).stdout))
            for source in self.sources
        }
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            errors = list(pool.map(lambda each: self.compile(NATIVE, each, folder), self.sources))
        if any(errors):
            raise SystemExit("\n".join(errors))

    def compile(self, native: Path, source: str, to: Path) -> str:
        done = run([*COMPILE, "-c", native / source, "-o", to / f"{source}.o"])
        return done.stderr if done.returncode else ""

    def package(self, mutant: Mutant | None, folder: Path) -> str:
        """lucid with the mutant's kernel, in `folder`; the compiler's errors."""
        shutil.copytree(
            ROOT / "src" / "lucid", folder / "lucid",
            ignore=shutil.ignore_patterns("native", "__pycache__", "*.so"),
        )  # fmt: skip
        changed: list[str] = []
        if mutant:
            native = folder / "native"
            shutil.copytree(NATIVE, native)
            mutant.apply(native)
            changed = [each for each in self.sources if mutant.file in self.parts[each]]
            for source in changed:
                if error := self.compile(native, source, folder):
                    return error
        objects = [
            (folder if each in changed else self.folder) / f"{each}.o" for each in self.sources
        ]
        to = folder / "lucid" / "kernels" / f"_compiled{SUFFIX}"
        done = run([COMPILE[0], "-shared", "-pthread", *objects, "-o", to])
        return done.stderr if done.returncode else ""


def tested(tests: Sequence[str], folder: Path) -> tuple[int, str]:
    """pytest's exit code (0 for "all passed"), and the first failure or what else happened."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "LUCID_REQUIRE_NATIVE": "1"}
    try:
        done = run(
            [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", *tests],
            cwd=ROOT, env=environment, timeout=SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return 1, f"no end after {SECONDS} s"
    failed = re.search(r"^FAILED (?:tests/)?(\S+)", done.stdout, re.MULTILINE)
    if failed:
        return 1, failed[1]
    if done.returncode < 0:
        return 1, f"signal {-done.returncode}"
    return done.returncode, done.stdout[-2000:] + done.stderr[-2000:]


def verdict(build: Build, mutant: Mutant) -> tuple[bool, str]:
    """Whether it is killed, and by what."""
    with tempfile.TemporaryDirectory() as name:
        try:
            error = build.package(mutant, Path(name))
        except LookupError as lost:
            return False, f"LOST: {lost}"
        if error:
            return False, f"DOES NOT COMPILE: {error[-2000:]}"
        code, text = tested(mutant.tests, Path(name))
    if code == 0:
        return False, f"SURVIVED {' '.join(mutant.tests)}"
    return code == 1, text if code == 1 else f"NOT TESTED: {text}"


def main(words: Sequence[str]) -> int:
    started = time.monotonic()
    chosen = [each for each in MUTANTS if not words or any(word in each.what for word in words)]
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(os.cpu_count()) as pool:
        objects, plain = Path(name, "objects"), Path(name, "plain")
        objects.mkdir()
        build = Build(objects)
        if error := build.package(None, plain):
            raise SystemExit(error)
        where = run([sys.executable, "-c", "import lucid; print(lucid.__file__)"],
                    env={**os.environ, "PYTHONPATH": str(plain)}).stdout  # fmt: skip
        if not where.startswith(str(plain)):
            raise SystemExit(f"lucid is installed, in {where.strip()}: pip uninstall lucid-nn")
        for tests in dict.fromkeys(each.tests for each in chosen):
            code, text = tested(tests, plain)
            if code:
                raise SystemExit(f"{' '.join(tests)} is red without any mutant:\n{text}")
        alive = 0
        for mutant, (killed, by) in zip(
            chosen, pool.map(lambda each: verdict(build, each), chosen), strict=True
        ):
            alive += not killed
            print(f"{'killed' if killed else 'ALIVE'}: {mutant.what} ({mutant.file})\n    {by}")
    print(f"{len(chosen) - alive} of {len(chosen)} killed in {time.monotonic() - started:.0f} s")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
