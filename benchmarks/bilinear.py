"""The bilinear form beside its peers: time, memory, and the fraction of GEMM rate.

    python benchmarks/bilinear.py --quick          under a minute
    python benchmarks/bilinear.py --write          everything, into docs/

That is, into docs/benchmarks-bilinear.md; the contenders of one framework, with the most threads
only, into a page of their own; and a few sizes into README.md and the pages that begin with them.

`forward` computes the result. `forward + backward` computes the result and the gradients of both
inputs and the weight, from a fixed random cotangent; for lucid it includes Tensors and tape. The
memory is what the process held at most in both, beyond inputs, result and gradients.

    python benchmarks/bilinear.py --dtypes bfloat16 --contenders lucid.torch F.bilinear ...

measures PyTorch's and JAX's contenders in bfloat16, beside the matrix product of float32.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from _bilinear_measure import serve
from _bilinear_peers import ON_REQUEST, PEERS, PRODUCT, QUICK as QUICK_PEERS
from _bilinear_picture import draw
from _bilinear_report import brief, page, short
from _bilinear_run import Found, Run, Setting
from _bilinear_sizes import BRIEF, QUICK, SIZES

DOCS = Path(__file__).parent.parent / "docs"
PICTURE = "images/bilinear.png"
INTEGRATIONS = {
    "benchmarks-pytorch.md": (
        "lucid.torch", "F.bilinear", "torch.einsum", "torch.compile", "torch matmul",
    ),
    "benchmarks-jax.md": ("lucid.jax", "jax.jit"),
}  # fmt: skip
BRIEFLY = {
    "../README.md": ("lucid.torch", "F.bilinear", "torch.einsum"),
    "pytorch.md": ("lucid.torch", "F.bilinear", "torch.einsum", "torch.compile"),
    "jax.md": ("lucid.jax", "jax.jit"),
}
MARKS = "<!-- measured by benchmarks/bilinear.py -->", "<!-- end of what was measured -->"


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    usual = [name for name in PEERS if name not in ON_REQUEST]
    add("--quick", action="store_true", help="a few sizes and contenders, float32, all threads")
    add("--write", action="store_true", help="write the page and the picture into docs/")
    add("--sizes", nargs="+", metavar="PART", help="those whose name has one of these, as 64,64→64")
    add("--threads", nargs="+", type=int, default=[1, 2])
    add(
        "--dtypes",
        nargs="+",
        choices=("float32", "float64", "bfloat16"),
        default=["float32", "float64"],
    )
    add("--contenders", nargs="+", choices=list(PEERS), default=usual)
    add("--rounds", type=int, default=2)
    add("--seconds", type=float, default=0.1, help="for each number, in each round")
    add("--limit", type=float, default=5.0, help="seconds that one pass may take")
    add("--serve", choices=[PRODUCT, *PEERS], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.threads, arguments.dtypes = [min(2, os.cpu_count() or 1)], ["float32"]
        arguments.contenders, arguments.rounds = QUICK_PEERS, 1
        arguments.limit = 2.0
    return arguments


def write_into(path: Path, text: str) -> None:
    """Put the tables between the marks of a page."""
    before, rest = path.read_text().split(MARKS[0])
    _, after = rest.split(MARKS[1])
    path.write_text(f"{before}{MARKS[0]}\n\n{text}\n{MARKS[1]}{after}")


def write_integrations(run: Run, found: Found) -> None:
    most_threads = [each for each in run.settings if each.threads == run.settings[0].threads]
    for name, contenders in INTEGRATIONS.items():
        own = {key: value for key, value in found.numbers.items() if key.name in contenders}
        names = [each for each in contenders if each in run.names]
        if contenders[0] in names:
            part = replace(run, settings=most_threads, names=names, subject=contenders[0])
            write_into(DOCS / name, short(part, replace(found, numbers=own)))
    for name, contenders in BRIEFLY.items():
        if set(contenders) <= set(run.names) and set(BRIEF) <= set(run.sizes):
            write_into(DOCS / name, brief(run.settings[0], found, BRIEF, contenders))


if __name__ == "__main__":
    options = parsed()
    if options.serve:
        serve(options.serve)
        sys.exit()
    parts = options.sizes or [""]
    run = Run(
        sizes=[size for size in (QUICK if options.quick else SIZES)
               if any(part in str(size) for part in parts)],
        settings=[Setting(threads, dtype)
                  for threads in sorted(options.threads, reverse=True)
                  for dtype in sorted(options.dtypes)],
        names=options.contenders,
        rounds=options.rounds,
        seconds=options.seconds,
        limit=options.limit,
        subject=options.contenders[0],
    )  # fmt: skip
    found = run()
    print(page(run, found))
    if options.write:
        draw(run, found, DOCS / PICTURE)
        image = f"![Forward and backward at each size, lucid beside its peers]({PICTURE})"
        (DOCS / "benchmarks-bilinear.md").write_text(page(run, found, image))
        write_integrations(run, found)
