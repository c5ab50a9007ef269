"""The picture of the metric example: where digits lie before and after learning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

STYLE = {"font.size": 11, "axes.titlesize": 13, "axes.titlelocation": "left"}
COLOURS = [
    "#1f77b4", "#d95f02", "#1b9e77", "#e6007e", "#7570b3",
    "#8c564b", "#444444", "#66a61e", "#17a2b8", "#b8860b",
]  # fmt: skip


def draw(path: Path, views: Sequence[tuple[str, Any]], digits: Any) -> None:
    """Draw each view, a name and points (digits, 2), into a file, in the format of its name."""
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(13, 7), layout="constrained", facecolor="white")
        for axes, (name, points) in zip(figure.subplots(1, len(views)), views, strict=True):
            draw_view(axes, name, points, digits)
        figure.savefig(path, dpi=80)


def draw_view(axes: Axes, name: str, points: Any, digits: Any) -> None:
    """Every digit as a numeral in its colour, and of each kind the one in the middle as it is."""
    low, high = np.percentile(points, [0.5, 99.5], axis=0)  # a few lie far out
    room = 0.06 * (high - low)
    axes.set(title=name, xlim=(low[0] - room[0], high[0] + room[0]), xticks=[], yticks=[])
    axes.set_ylim(low[1] - room[1], high[1] + room[1])
    for (x, y), label in zip(points, digits.labels, strict=True):
        axes.text(
            x, y, str(label), color=COLOURS[label], size=7, alpha=0.8, ha="center", va="center",
            clip_on=True,
        )  # fmt: skip
    for label in np.unique(digits.labels):
        own = np.flatnonzero(digits.labels == label)
        middle = np.median(points[own], axis=0)
        nearest = own[np.argmin(np.sum(((points[own] - middle) / (high - low)) ** 2, axis=1))]
        image = OffsetImage(digits.pixels[nearest].reshape(8, 8), zoom=3.2, cmap="gray_r")
        frame = {"edgecolor": COLOURS[label], "linewidth": 2}
        axes.add_artist(AnnotationBbox(image, points[nearest], bboxprops=frame, pad=0.15))
