"""What this installation has: `lucid.show_config`."""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from ._threads import get_num_threads
from ._version import VERSION
from .kernels import _native

LIBRARIES = ("numpy", "array-api-compat", "ml-dtypes", "torch", "jax", "cupy")


@dataclass(frozen=True, repr=False)
class Config:
    """What computes here, as `show_config` found it. Its `str` is the printed table.

    `version`, `location` (the folder of the package) and `hidden` (the folder of another, installed
    one that Python does not see for it, or None) say which lucid this is; `kernel` is "compiled" or
    "none", and `remedy` says what to do about the latter; `instruction_set` is the one in use, of
    the `instruction_sets` that the kernel was compiled for; `libraries` has the version of each
    array library, None where it is not found.
    """

    version: str
    location: str
    hidden: str | None
    python: str
    kernel: str
    instruction_set: str | None
    instruction_sets: tuple[str, ...]
    remedy: str | None
    threads: int
    libraries: dict[str, str | None] = field(hash=False)

    def __str__(self) -> str:
        if self.kernel == "none":
            kernel = "none: the portable plans do its work, correctly but more slowly"
        else:
            kernel = f"compiled, {self.instruction_set} (of {', '.join(self.instruction_sets)})"
        lines = [
            ("lucid", self.version),
            ("location", self.location),
            ("", self.hidden and f"hides the installed {self.hidden}"),
            ("python", self.python),
            ("kernel", kernel),
            *(("", line) for line in (self.remedy or "").splitlines()),
            ("threads", str(self.threads)),
            *((name, version or "not found") for name, version in self.libraries.items()),
        ]
        return "\n".join(f"{name:<17}{text}" for name, text in lines if text)

    def __repr__(self) -> str:
        kernel = f"kernel {self.instruction_set or self.kernel}"
        return f"<lucid {self.version}: {kernel}, threads {self.threads}>"


def show_config() -> Config:
    """Print what computes here: kernel, instruction set, threads, and the array libraries found.

    It says where lucid was imported from and, if the compiled kernel is missing, what to do. What
    it prints it also returns, as an object with a field for each line, which can be compared.
    `python -m lucid` prints the same.

    >>> config = lucid.show_config()  # doctest: +ELLIPSIS
    lucid ...
    >>> config.threads == lucid.get_num_threads()
    True
    """
    import platform  # here, with importlib.metadata below: `import lucid` stays light

    compiled = _native.compiled
    package = Path(__file__).resolve().parent
    config = Config(
        version=VERSION,
        location=str(package),
        hidden=_hidden(package),
        python=f"{platform.python_version()}, {platform.system()} {platform.machine()}",
        kernel="compiled" if compiled else "none",
        instruction_set=compiled.instruction_set() if compiled else None,
        instruction_sets=tuple(compiled.instruction_sets()) if compiled else (),
        remedy=None if compiled else _native.remedy(package),
        threads=get_num_threads(),
        libraries={name: _version(name) for name in LIBRARIES},
    )
    try:
        print(f"{config}\n", end="", flush=True)  # noqa: T201 (it is what the function is for)
    except BrokenPipeError:  # who read it has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return config


def _hidden(package: Path) -> str | None:
    """The folder of an installed lucid that is not the one imported."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        found = Path(str(distribution("lucid-nn").locate_file("lucid"))).resolve()
    except PackageNotFoundError:
        return None
    return str(found) if found != package and (found / "__init__.py").exists() else None


def _version(distribution: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        on_path = importlib.util.find_spec(distribution.replace("-", "_"))
        return "on the path, not installed" if on_path else None
