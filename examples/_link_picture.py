"""The picture of the link prediction example: how near the right answers are, and some of them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from _example import printable
from _link_data import PUBLISHED, Graph, Numbers
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import PercentFormatter, StrMethodFormatter

MOST_RELATIONS, FEWEST_QUESTIONS = 20, 5  # of the bars
QUESTIONS, ANSWERS = 6, 5
MODEL, COMMON, MUTED, PALE = "#08519c", "#d95f02", "#666666", "#c6d8ea"
RIGHT, RECORDED = "#00735c", "#8edbbd"
STYLE = {
    "font.size": 12,
    "axes.titlesize": 14,
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 2,
    "text.parse_math": False,  # a name may have a dollar in it
}


def draw(path: Path, model: Any, graph: Graph, training: Any, found: Any) -> None:
    """Draw the picture into a file, in the format that the file's name ends in."""
    questions = graph.questions("test")
    with matplotlib.style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a name in a script that the font lacks
        figure = Figure(figsize=(18, 10.5), layout="constrained", facecolor="white")
        figure.suptitle(
            printable(f"{graph.title}: what a matrix for each relation predicts"), fontsize=19
        )
        left, middle, right = figure.subfigures(1, 3, False, width_ratios=(1, 0.85, 1))[0]
        upper, lower = left.subplots(2, 1)
        draw_places(upper, graph, found)
        draw_learning(lower, training)
        draw_relations(middle.subplots(), graph, questions, found)
        draw_questions(right, model, graph, questions, found)
        figure.savefig(path, dpi=90)


def draw_places(axes: Axes, graph: Graph, found: Any) -> None:
    """How often the right answer is among the first k, for every k."""
    most = len(graph.entities)
    for name, places, colour in (
        ("this model", found.model, MODEL),
        ("the most common answers", found.common, COMMON),
    ):
        ordered = np.sort(places)
        shares = np.arange(1, len(ordered) + 1) / len(ordered)
        axes.step([1, *ordered, most], [0, *shares, 1], where="post", color=colour, label=name)
    for each, marker in zip(PUBLISHED.get(graph.title, []), "Ds", strict=False):
        axes.plot(
            10, each.hits, marker, color=MUTED, markersize=7, fillstyle="none",
            label=f"{each.method}, published",
        )  # fmt: skip
    axes.axvline(10, color=MUTED, linestyle=":", linewidth=1.2)
    axes.set(xscale="log", xlim=(1, most), ylim=(0, 1.02), xlabel=f"first k of {most} (log)")
    axes.set_title("Right answers of test facts among the first k")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
    axes.legend(frameon=False, loc="lower right" if np.median(found.model) < 10 else "upper left")


def draw_learning(axes: Axes, training: Any) -> None:
    """Loss and MRR after each epoch."""
    epochs = range(1, len(training.losses) + 1)
    axes.plot(epochs, training.scores, color=MODEL, marker="." if len(epochs) < 20 else "")
    axes.set(title="MRR on validation facts (blue), loss (grey, right)", xlabel="epoch")
    axes.set_ylim(0, None)
    other = axes.twinx()
    other.plot(epochs, training.losses, color=MUTED, linestyle="--")
    other.set_ylim(0, None)
    other.spines["right"].set_visible(True)


def draw_relations(axes: Axes, graph: Graph, questions: Numbers, found: Any) -> None:
    """The MRR of each relation that enough is asked about."""
    relations = questions[:, 1] % len(graph.relations)
    counts = np.bincount(relations, minlength=len(graph.relations))
    shown = [k for k in np.argsort(-counts, kind="stable") if counts[k] >= FEWEST_QUESTIONS]
    shown = shown[:MOST_RELATIONS] or [int(np.argmax(counts))]
    values = {k: (1 / found.model[relations == k]).mean() for k in shown}
    common = {k: (1 / found.common[relations == k]).mean() for k in shown}
    order = sorted(shown, key=lambda k: values[k])
    axes.barh(range(len(order)), [values[k] for k in order], color=PALE, label="this model")
    axes.plot(
        [common[k] for k in order], range(len(order)), "|", color=COMMON, markersize=12,
        markeredgewidth=2.5, label="the most common answers",
    )  # fmt: skip
    axes.set_yticks(
        range(len(order)), [f"{short(graph.relations[k], 26)} ({counts[k]})" for k in order]
    )
    axes.set(xlim=(0, None), ylim=(-0.6, len(order) - 0.4))
    axes.set_xlabel("MRR: mean of 1 / place of the right answer")
    axes.set_title("By relation (test questions)", pad=34)
    axes.tick_params(axis="y", length=0)
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, fontsize=10)


def draw_questions(
    figure: SubFigure, model: Any, graph: Graph, questions: Numbers, found: Any
) -> None:
    """Some test questions of different relations, and the likeliest answers."""
    picked = pick(questions, found.model, len(graph.relations))
    count = min(ANSWERS, len(graph.entities))
    asked = questions[picked, 0], questions[picked, 1]
    answers, shares = model.best(*asked, count, graph.answers(graph.training())(*asked))
    longest = shares.max()
    figure.suptitle("Some test questions, and the likeliest answers", fontsize=14)
    for k, axes in enumerate(figure.subplots(QUESTIONS, 1, squeeze=False)[:, 0]):
        axes.set_axis_off()
        if k >= len(picked):
            continue
        entity, link, right = questions[picked[k]].tolist()
        recorded = graph.recorded(entity, link)
        for place, (number, share) in enumerate(zip(answers[k].tolist(), shares[k], strict=True)):
            colour = RIGHT if number == right else RECORDED if number in recorded else PALE
            axes.barh(-place, share / longest, color=colour)
            name = short(graph.entities[number], 40)
            axes.text(-0.02, -place, name, ha="right", va="center", size=10,
                      color=RIGHT if number == right else "black")  # fmt: skip
            axes.text(
                share / longest + 0.01, -place, f"{share:.1%}", va="center", size=9, color=MUTED
            )
        axes.set(xlim=(-1.05, 1.05), ylim=(-ANSWERS + 0.4, 0.6))
        axes.set_title(
            f"{short(graph.entities[entity], 44)} – {short(graph.relations[link], 24)} …",
            size=11.5,
        )
    told = (
        "Of each relation the question than which an eighth are answered better.\n"
        "Answers known from training are left out.\n"
        "Dark green: the right one; light green: held out too."
    )
    figure.supxlabel(told, x=0.02, ha="left", fontsize=10, color=MUTED)


def pick(questions: Numbers, places: Numbers, relations: int) -> Numbers:
    """A question of each frequent relation: an eighth of the relation's are answered better."""
    forward = np.flatnonzero(questions[:, 1] < relations)
    counts = np.bincount(questions[forward, 1], minlength=relations)
    chosen = []
    for relation in np.argsort(-counts, kind="stable")[:QUESTIONS]:
        own = forward[questions[forward, 1] == relation]
        if len(own):
            order = own[np.argsort(places[own], kind="stable")]
            chosen.append(order[len(order) // 8])
    return np.array(chosen, dtype=int)


def short(name: str, most: int) -> str:
    """A name that fits: of so many characters at most."""
    name = printable(name)
    return name if len(name) <= most else name[: most - 1] + "…"
