"""The picture of the bilinear benchmark: a group of bars for each size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from _bilinear_report import LUCID, digits
from _bilinear_run import Found, Key, Run

NUMBER = "both"
TORCH = "F.bilinear"
COLOURS = {"lucid": "#0072B2", "best peer": "#E69F00", TORCH: "#999999"}  # Okabe and Ito
HEIGHT = 0.27  # of a bar; a group of three has room 1


def draw(run: Run, found: Found, path: Path) -> None:
    """Draw forward + backward in the first setting, lucid beside the best peer and F.bilinear."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 0.62 * len(run.sizes) + 1.4), layout="constrained")
    setting = run.settings[0]
    for place, size in enumerate(run.sizes):
        peer = found.fastest(setting, size, NUMBER, but=LUCID)
        names = {"lucid": LUCID, "best peer": peer, TORCH: TORCH}
        for k, (bar, name) in enumerate(names.items()):
            if name:
                _bar(axes, place + (k - 1) * HEIGHT, bar, name, found, Key(setting, size, name))
    for bar, colour in COLOURS.items():
        axes.barh(0, 0, color=colour, label=bar)
    axes.set_xscale("log")
    axes.set_yticks(range(len(run.sizes)), [str(size) for size in run.sizes])
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.set_xlim(right=3 * axes.get_xlim()[1])  # room for the labels
    axes.set_xlabel("milliseconds, logarithmic; shorter is better")
    axes.set_title(f"Forward + backward, {setting}   (N,in1,in2→out)", loc="left")
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper right", ncols=3, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def _bar(axes: Any, place: float, bar: str, name: str, found: Found, key: Key) -> None:
    seconds = found.numbers.get(key, {}).get(NUMBER)
    bound = found.bounds.get(key, {}).get(NUMBER)
    if seconds is None and bound is None:
        return
    value = 1e3 * (seconds or bound or 0.0)
    axes.barh(place, value, HEIGHT, color=COLOURS[bar], hatch=None if seconds else "///")
    label = digits(value) if seconds else f"> {digits(value)}"
    if bar == "best peer":
        label += f"  {name}"
    axes.annotate(
        label, (value, place), (3, 0), textcoords="offset points", va="center", fontsize=7
    )
