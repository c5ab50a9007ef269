"""The picture of the evidence example: the evidence of the scales, and what is predicted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.figure import Figure

STYLE = {"font.size": 11, "axes.titlesize": 13, "axes.titlelocation": "left"}
RED, BLUE = "#d95f02", "#1f77b4"


def draw(path: Path, evidence: Any, curve: Any, patients: Any) -> None:
    """Draw log Z over the scales with the way to its top, and the chances with the patients."""
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(13, 5.5), layout="constrained", facecolor="white")
        left, right = figure.subplots(1, 2)
        scales, values, steps = evidence
        top = np.max(values)
        left.contourf(scales, scales, values, top - np.array([30, 20, 12, 8, 5, 3, 2, 1, 0.5, 0]))
        left.plot(*steps.T, "o-", color="white", markeredgecolor="black", label="steps of BFGS")
        left.plot(*steps[-1], "*", color=RED, markersize=18, label="largest evidence")
        left.set(title="Logarithm of the evidence", xscale="log", yscale="log")
        left.set(xlabel="α, scale of the intercept", ylabel="β, scale of the slope")
        left.legend(loc="lower right")
        right.plot(*curve, color="black", label="chance of malignant")
        for kind, colour, name in ((1.0, RED, "malignant"), (-1.0, BLUE, "benign")):
            radius = patients.radius[patients.malignant == kind]
            place = np.full(len(radius), (kind + 1) / 2)
            right.plot(radius, place, "|", color=colour, markersize=18, label=name)
        right.set(title="What is predicted", xlabel="mean radius, in standard deviations")
        right.legend(loc="center right")
        figure.savefig(path, dpi=80)
