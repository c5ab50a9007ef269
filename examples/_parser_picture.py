"""The picture of the parser example: one sentence's tree, and the scores it was chosen from."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from _parser_data import ROOT, Sentence
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

RIGHT, WRONG, GOLD, FRAME = "#08519c", "#e6007e", "#666666", "#d95f02"
STYLE = {
    "font.size": 11,
    "axes.titlesize": 13,
    "axes.titlelocation": "left",
    "text.parse_math": False,  # a word may have a dollar in it
}

Arc = tuple[int, str]  # the number of the head, and the label


def draw(path: Path, sentence: Sentence, shares: Any, predicted: Sequence[Arc]) -> None:
    """Draw arcs and scores into a file, in the format that the file's name ends in.

    `shares` (words, words + 1) is what each word (row) believes of each head (column, the root
    first); `predicted` the head and the label that the parser gives to each word.
    """
    width = max(8.0, 1.05 * len(sentence.words))
    with matplotlib.style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a word in a script that the font lacks
        figure = Figure(figsize=(width, 12), layout="constrained", facecolor="white")
        tree, matrix = figure.subplots(2, 1, height_ratios=(1, 1.1))
        draw_tree(tree, sentence, predicted)
        draw_shares(matrix, sentence, shares)
        figure.savefig(path, dpi=80)


def draw_tree(axes: Axes, sentence: Sentence, predicted: Sequence[Arc]) -> None:
    """Predicted arcs above the words, the treebank's below; each ends at the dependent."""
    gold = [*zip(sentence.heads, sentence.labels, strict=True)]
    count = len(gold)
    heads = sum(mine[0] == true[0] for mine, true in zip(predicted, gold, strict=True))
    arcs = sum(mine == true for mine, true in zip(predicted, gold, strict=True))
    axes.set_title(
        f"Arcs from heads to dependents, predicted (above) and the treebank's (below)\n"
        f"Of {count} words {heads} have the right head, {arcs} also the right label"
    )
    for place, (word, mine, true) in enumerate(
        zip(sentence.words, predicted, gold, strict=True), 1
    ):
        axes.text(place, 0, word, ha="center", va="center", fontweight="bold")
        right_head, right = (mine[0] == true[0], mine == true)
        draw_arc(axes, place, mine, 1, RIGHT if right_head else WRONG, RIGHT if right else WRONG)
        draw_arc(axes, place, true, -1, GOLD, GOLD)
    for k, (name, colour) in enumerate((("right", RIGHT), ("wrong", WRONG), ("treebank", GOLD))):
        axes.text(0.01, 0.99 - 0.06 * k, name, color=colour, transform=axes.transAxes, va="top")
    reach = 1.2 + max(height(k, head) for each in (predicted, gold)
                      for k, (head, _) in enumerate(each, 1))  # fmt: skip
    axes.set(xlim=(0.4, count + 0.6), ylim=(-reach, reach))
    axes.set_axis_off()


def height(place: int, head: int) -> float:
    """How far an arc rises; the root's comes straight from outside."""
    return 1.5 if head == ROOT else abs(head - place) ** 0.8


def draw_arc(axes: Axes, place: int, arc: Arc, side: int, colour: str, label_colour: str) -> None:
    """Half an ellipse above the words (side 1) or below them (-1), its label where it is widest."""
    head, label = arc
    turn = np.linspace(0, np.pi, 60)
    if head == ROOT:
        x, y = np.full(2, float(place)), np.array([height(place, head), 0.0])
    else:
        head_x = head + (0.14 if place > head else -0.14)  # beside the arc that comes in
        x = (head_x + place) / 2 + (head_x - place) / 2 * np.cos(turn)
        y = height(place, head) * np.sin(turn)
    base = 0.45
    axes.plot(x, side * (base + y), color=colour, linewidth=1.6)
    axes.plot(place, side * (base + 0.05), "v" if side > 0 else "^", color=colour, markersize=7)
    top = int(y.argmax())
    axes.text(
        x[top],
        side * (base + y[top]),
        label,
        ha="center",
        va="center",
        size=9,
        color=label_colour,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
    )


def draw_shares(axes: Axes, sentence: Sentence, shares: Any) -> None:
    """The scores of all pairs as shares of each row, the treebank's heads framed."""
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.01:
            colour = "white" if share > 0.5 else "black"
            axes.text(column, row, f"{share:.2f}", ha="center", va="center", size=9, color=colour)
    for row, head in enumerate(sentence.heads):
        frame = Rectangle((head - 0.47, row - 0.47), 0.94, 0.94, fill=False, edgecolor=FRAME)
        axes.add_patch(frame).set_linewidth(1.5)
    names = ["the root", *sentence.words]
    axes.set_xticks(range(len(names)), names, rotation=35, ha="right")
    axes.set_yticks(range(len(sentence.words)), sentence.words)
    axes.tick_params(length=0)
    axes.set(
        title="Arc scores, softmax over heads; the treebank's heads are framed",
        xlabel="head",
        ylabel="dependent",
    )
