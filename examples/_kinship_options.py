"""The options of the kinship example."""

from __future__ import annotations

import argparse
from pathlib import Path

from _example import ExampleError, Parser, whole_number

EPOCHS, SEED, DIMENSION, PICTURE = 30, 0, 32, "kinship.png"  # unless the options say otherwise


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
    add("--data", metavar="FILE", help="triples of your own: head, relation, tail (CSV, TSV, text)")
    add("--entity", metavar="WORD", help="what your data is about, such as country")
    add("--relation", metavar="WORD", help="what it says of two of them, such as trade")
    add(
        "--save", metavar="FILE", help="write the bilinear model, with the data's names and triples"
    )
    add("--load", metavar="FILE", help="use a model that --save wrote, without training")
    add("--ask", nargs=2, metavar="NAME", default=[], help="which term links these two?")
    options = parser.parse_args(arguments)
    defaults = {"epochs": EPOCHS, "seed": SEED, "dimension": DIMENSION, "output": PICTURE}
    for name in ("entity", "relation"):
        word = getattr(options, name)
        if word is not None and not (options.data and word.isprintable() and word.strip()):
            raise ExampleError(f"--{name} is a word for what --data holds")
    for name, default in {**defaults, "data": "", "save": ""}.items():
        given = getattr(options, name)
        if options.load and given not in (None, ""):
            raise ExampleError(f"--load takes the model as it is; leave out --{name}")
        if given is None:
            setattr(options, name, default)
    files = [Path(file).resolve() for file in (options.data, options.save, options.output) if file]
    if len(set(files)) < len(files):
        raise ExampleError(
            "--data, --save and --output name one file twice; it would be overwritten"
        )
    return options
