"""The options of the kinship example, and the one way in which it reports a mistake."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from typing import Any, NoReturn

EPOCHS, SEED, DIMENSION, PICTURE = 30, 0, 32, "kinship.png"  # unless the options say otherwise
INSTALL = 'install it with: pip install -e ".[examples]"'


class KinshipError(Exception):
    """What the user can put right: shown in one line, without a traceback."""


def need(package: str) -> None:
    """A KinshipError if a package is not installed."""
    if importlib.util.find_spec(package) is None:
        raise KinshipError(f"{package} is not installed; {INSTALL}")


class Parser(argparse.ArgumentParser):
    """Reports a mistake in one line, as the rest of the example does."""

    def error(self, message: str) -> NoReturn:
        """Instead of the usage and SystemExit."""
        raise KinshipError(f"{message} (--help lists the options)")


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The options, checked."""
    parser = Parser(
        "kinship.py",
        description="Learn which kin term links two people, and ask.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--epochs", type=whole_number(1, 100_000), help=f"rounds over the training data ({EPOCHS})")
    add("--seed", type=whole_number(0, 2**32 - 1), help=f"of all random numbers ({SEED})")
    add("--dimension", type=whole_number(1, 1024), help=f"numbers for each person ({DIMENSION})")
    add("--output", metavar="FILE", help=f"the picture ({PICTURE}; '' for none)")
    add("--data", metavar="FILE", help="triples of your own: head relation tail on each line")
    add(
        "--save", metavar="FILE", help="write the bilinear model, with the data's names and triples"
    )
    add("--load", metavar="FILE", help="use a model that --save wrote, without training")
    add("--ask", nargs=2, metavar="PERSON", default=[], help="which term links these two?")
    options = parser.parse_args(arguments)
    defaults = {"epochs": EPOCHS, "seed": SEED, "dimension": DIMENSION, "output": PICTURE}
    for name, default in {**defaults, "data": "", "save": ""}.items():
        given = getattr(options, name)
        if options.load and given not in (None, ""):
            raise KinshipError(f"--load takes the model as it is; leave out --{name}")
        if given is None:
            setattr(options, name, default)
    files = [Path(file).resolve() for file in (options.data, options.save, options.output) if file]
    if len(set(files)) < len(files):
        raise KinshipError(
            "--data, --save and --output name one file twice; it would be overwritten"
        )
    return options


def whole_number(lowest: int, highest: int) -> Any:
    """What argparse calls to read a number from `lowest` to `highest`."""

    def number(text: str) -> int:
        if not text.isdecimal() or not lowest <= int(text) <= highest:
            raise argparse.ArgumentTypeError(
                f"expected a whole number from {lowest} to {highest}, but got '{text}'"
            )
        return int(text)

    return number
