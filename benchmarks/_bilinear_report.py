"""The numbers of the bilinear benchmark as Markdown."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import date

from _bilinear_run import FAR_BEHIND, Found, Key, Run, Setting
from _bilinear_sizes import Size
from _compare import machine, table, versions

TITLES = {"forward": "forward", "both": "forward + backward"}
PASSES = {"forward": 1, "both": 3}  # matrix products
LUCID = "lucid"


def page(run: Run, found: Found, picture: str = "") -> str:
    names = [name for name in run.names if name not in found.left_out]
    lines = ["---", "hide: [navigation, toc]", "---", ""]  # mkdocs: room for wide tables
    lines += ["# The bilinear form, measured", "", *_introduction(run), ""]
    lines += [picture, ""] if picture else []
    lines += _tables(run, found, names, "##")
    failed = [f"- {key.name} at {key.size}, {key.setting}: {reason}"
              for key, reason in found.reasons.items()]  # fmt: skip
    left_out = [f"- {name}: {reason}" for name, reason in found.left_out.items()]
    if failed or left_out:
        lines += ["## Left out", "", *left_out, *failed, ""]
    return "\n".join(lines)


def short(run: Run, found: Found) -> str:
    """The tables alone, for a page of one framework."""
    names = [name for name in run.names if name not in found.left_out]
    return "\n".join(
        [f"{machine()}; {date.today()}. {versions()}.", "", *_tables(run, found, names, "##")]
    )


def brief(setting: Setting, found: Found, sizes: Sequence[Size], names: Sequence[str]) -> str:
    """A small table of training: how many times the first one's time the others take."""

    def rows() -> Iterator[list[str]]:
        for size in sizes:
            keys = [Key(setting, size, name) for name in names]
            mine = found.numbers[keys[0]]["both"]
            yield [str(size), digits(1e3 * mine), *(_times_as_long(found, key, mine)
                                                    for key in keys[1:])]  # fmt: skip

    return f"""{table(("rows,in1,in2→out", *names), rows())}

Milliseconds, forward and backward; in brackets, that time divided by {names[0]}'s. The last row is
pairwise: B sentences of T words, every word with every other. {setting};
{machine()}; {date.today()}. {versions()}.
"""


def _times_as_long(found: Found, key: Key, mine: float) -> str:
    seconds = found.numbers.get(key, {}).get("both")
    bound = found.bounds.get(key, {}).get("both")
    if seconds is not None:
        return f"{digits(1e3 * seconds)} ({digits(seconds / mine, 2)}×)"
    return f"> {digits(1e3 * bound)} (> {digits(bound / mine, 2)}×)" if bound else "–"


def _tables(run: Run, found: Found, names: Sequence[str], level: str) -> Iterator[str]:
    for setting in run.settings:
        rate = found.rate(setting) / 1e9
        yield from (f"{level} {setting}", "", f"The matrix product runs at {rate:.0f} Gflop/s.", "")
        for number, title in TITLES.items():
            table_of = _times(run, found, setting, names, number)
            yield from (f"Milliseconds, {title}:", "", table_of, "")
        if setting.threads == run.settings[0].threads:
            yield from ("MiB beyond inputs, result and gradients, forward + backward:", "")
            yield from (_memory(run, found, setting, names), "")


def _introduction(run: Run) -> Iterator[str]:
    yield f"{machine()}; {date.today()}."
    yield f"{versions()}. {kernel()}"
    yield f"""
Made by `python benchmarks/bilinear.py --write`, which says what is measured. Each contender has its
own processes; they take turns, and the best of all rounds ({run.rounds}) counts. The results
are compared with einsum in float64. *Of GEMM* is the fraction of GEMM rate: how fast lucid
multiplies, divided by the rate of a large matrix product of NumPy in the same rounds. *Speed-up* is
the time of the best peer divided by that of lucid.

- Sizes are rows,in1,in2→out, or pairwise: B sentences of T words, every word with every other.
- `>` is a bound: one pass took more than that, here or in an easier setting (more threads,
  float32), and was not run again.
- A contender that takes more than {FAR_BEHIND} times the shortest time is measured in the first
  round only.
- jax.jit and torch.compile keep their process, and with it some memory, from one size to the next:
  their memory is known less precisely.
- torch.compile, which takes seconds for each size, is measured with the most threads only.
- For pairwise sizes F.bilinear gets expanded inputs, because it does not broadcast.
- *torch matmul* is the fastest of three orders of products written by hand."""


def kernel() -> str:
    """What lucid computes with, in the words of `lucid.show_config`."""
    code = "import lucid; getattr(lucid, 'show_config', lambda: None)()"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    ).stdout.splitlines()
    return next(("lucid's " + ": ".join(line.split(None, 1)) for line in shown
                 if line.startswith("kernel")), "")  # fmt: skip


def _times(run: Run, found: Found, setting: Setting, names: Sequence[str], number: str) -> str:
    def rows() -> Iterator[list[str]]:
        for size in run.sizes:
            fastest = found.fastest(setting, size, number)
            cells = []
            for name in names:
                key = Key(setting, size, name)
                cell = _cell(found, key, number, lambda seconds: digits(1e3 * seconds))
                cells.append(f"**{cell}**" if name == fastest else cell)
            yield [str(size), *cells, *_comparison(run.subject, found, setting, size, number)]

    return table(("N,in1,in2→out", *names, "of GEMM", "speed-up"), rows())


def _comparison(
    subject: str, found: Found, setting: Setting, size: Size, number: str
) -> tuple[str, str]:
    mine = found.numbers.get(Key(setting, size, subject), {}).get(number)
    if mine is None:
        return "", ""
    rate = PASSES[number] * size.operations / mine / found.rate(setting)
    peer = found.fastest(setting, size, number, but=LUCID)
    if peer is None:
        return f"{rate:.2f}", ""
    return f"{rate:.2f}", f"{found.numbers[Key(setting, size, peer)][number] / mine:.2f}"


def _memory(run: Run, found: Found, setting: Setting, names: Sequence[str]) -> str:
    rows = [
        [str(size), *(_cell(found, Key(setting, size, name), "memory", lambda b: f"{b / 2**20:.1f}")
                      for name in names)]
        for size in run.sizes
    ]  # fmt: skip
    return table(("N,in1,in2→out", *names), rows)


def _cell(found: Found, key: Key, number: str, text: Callable[[float], str]) -> str:
    value = found.numbers.get(key, {}).get(number)
    if value is not None:
        return text(value)
    bound = found.bounds.get(key, {}).get(number)
    return f"> {digits(bound)} s" if bound else "–"


def digits(value: float, count: int = 3) -> str:
    """So many of them, without an exponent."""
    exponent = int(f"{value:.{count - 1}e}".split("e")[1])
    return f"{value:.{max(0, count - 1 - exponent)}f}"
