"""What the examples share: a mistake is told in one line, and a file is whole or not there."""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

try:
    import resource  # not on Windows
except ModuleNotFoundError:
    resource = None  # type: ignore[assignment]

FORMATS = (".png", ".pdf", ".svg")  # of pictures
INSTALL = 'install it with: pip install -e ".[examples]"'


class ExampleError(Exception):
    """What the user can put right: shown in one line, without a traceback."""


def exit_code(name: str, work: Callable[[], None]) -> int:
    """Run an example: 0, 2 for what the user can put right, 130 after Ctrl-C."""
    try:
        with _insistent():
            work()
    except ExampleError as problem:
        print(f"{name}: {printable(str(problem))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
    except OSError as error:  # from print: the disk is full, or in `… | head -1` head ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return 141
        print(f"{name}: standard output: {error.strerror}", file=sys.stderr)
        return 2
    return 0


@contextmanager
def _insistent() -> Iterator[None]:
    """Ctrl-C is raised again after a second: what is imported at that moment may lose it."""
    if not hasattr(signal, "setitimer") or threading.current_thread() != threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> NoReturn:
        signal.setitimer(signal.ITIMER_REAL, 1.0)
        raise KeyboardInterrupt

    kinds = signal.SIGINT, signal.SIGALRM
    before = [signal.signal(kind, interrupt) for kind in kinds]
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler or signal.SIG_DFL)


def printable(text: str) -> str:
    """A text as a terminal may have it: names from a file can hold its commands, here spelt out."""
    return "".join(
        each if each.isprintable() or each == "\n" else each.encode("unicode_escape").decode()
        for each in text
    )


def need(package: str) -> None:
    """An ExampleError if a package is not installed."""
    if importlib.util.find_spec(package) is None:
        raise ExampleError(f"{package} is not installed; {INSTALL}")


class Parser(argparse.ArgumentParser):
    """Reports a mistake in one line, as the examples do."""

    def error(self, message: str) -> NoReturn:
        """Instead of the usage and SystemExit."""
        raise ExampleError(f"{message} (--help lists the options)")


def whole_number(lowest: int, highest: int) -> Any:
    """What argparse calls to read a number from `lowest` to `highest`."""

    def number(text: str) -> int:
        if not text.isdecimal() or not lowest <= int(text) <= highest:
            raise argparse.ArgumentTypeError(
                f"expected a whole number from {lowest} to {highest}, but got '{text}'"
            )
        return int(text)

    return number


def peak_memory() -> str:
    """The most memory that this process, with all its libraries, has held at once."""
    if resource is None:
        return "peak memory not known here"
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit:.0f} MiB at the peak"


def check_writable(path: Path) -> None:
    """An ExampleError if no file can be written there, found before any work is done for it."""
    if path.exists() and not path.is_file():
        raise ExampleError(f"{path}: this is not a file")
    try:
        _part(path).touch()
        _part(path).unlink()
    except OSError as error:
        raise ExampleError(f"{path}: {error.strerror}") from None


def drawing(module: str, picture: Path) -> Any:
    """The function of a module that draws a picture; whether it can be had is found before."""
    need("matplotlib")
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it would tell of its font cache
    if picture.suffix not in FORMATS:
        raise ExampleError(f"{picture}: the name of a picture ends in {', '.join(FORMATS)}")
    check_writable(picture)
    return importlib.import_module(module).draw


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Another name to write to; the file gets its own at the end, and on an error there is none."""
    part = _part(path)
    try:
        yield part
        part.replace(path.resolve())
    except OSError as error:
        raise ExampleError(f"{path}: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


def _part(path: Path) -> Path:
    final = path.resolve()
    return final.with_name(f".{os.getpid()}.{final.name}")
