"""The options of the link prediction example."""

from __future__ import annotations

import argparse
from pathlib import Path

from _example import ExampleError, Parser, whole_number

SEED, PICTURE = 0, "link_prediction.png"  # unless the options say otherwise


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The options, checked."""
    parser = Parser(
        "link_prediction.py", description="Learn what is missing, and ask.", allow_abbrev=False
    )
    add = parser.add_argument
    add("--umls", metavar="FILE", help="medical concepts, from PyKEEN's package (a wheel or a zip)")
    add("--wordnet", metavar="DIR", help="the dictionary whose data.noun and so on are there")
    add("--epochs", type=whole_number(1, 100_000), help="rounds over the facts (50; WordNet 9)")
    add("--dimension", type=whole_number(1, 1024), help="numbers for each (32; WordNet 64)")
    add("--seed", type=whole_number(0, 2**32 - 1), help=f"of all random numbers ({SEED})")
    add("--output", metavar="FILE", help=f"the picture ({PICTURE}; '' for none)")
    add("--save", metavar="FILE", help="write the model, with the names and the facts")
    add("--load", metavar="FILE", help="use a model that --save wrote, without training")
    add("--ask", nargs=2, metavar=("NAME", "RELATION"), help="which are the likeliest tails?")
    options = parser.parse_args(arguments)
    if options.umls and options.wordnet:
        raise ExampleError("--umls and --wordnet are two sets of data; choose one")
    for name in ("umls", "wordnet", "epochs", "dimension", "seed", "output", "save"):
        if options.load and getattr(options, name) not in (None, ""):
            raise ExampleError(f"--load takes the model as it is; leave out --{name}")
    for name, default in {"seed": SEED, "output": PICTURE}.items():
        if getattr(options, name) is None:
            setattr(options, name, default)
    files = [Path(file).resolve() for file in (options.umls, options.save, options.output) if file]
    if len(set(files)) < len(files):
        raise ExampleError(
            "--umls, --save and --output name one file twice; it would be overwritten"
        )
    return options
