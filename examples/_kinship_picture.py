"""The picture of the kinship example: what the bilinear model found out about people and terms.

People are put in order by what was learned of them, and by nothing else: cut in two where they
differ most, each half again, and so on. The first two cuts give four groups, A to D. Four groups
can be linked each with itself, or in pairs in three ways; a term belongs to the family of the way
that it follows best. A family has a colour, a term of it a shade.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from _example import printable
from _kinship_data import SPLITS, Data, Numbers
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure, SubFigure

import lucid
import lucid.nn.functional as F  # noqa: N812 (as everybody calls it)

MOST_PEOPLE, MOST_TERMS = 150, 10  # in the picture: people in all, terms of a family
MOST_NAMED = 40  # people that are shown with their names
FEWEST_COLUMNS = 4  # of tiles, so that few terms do not fill the picture
GROUPS = "ABCD"
FAMILIES = (
    "each group\nwith itself",
    "A with B\nC with D",
    "A with C\nB with D",
    "A with D\nB with C",
)
# dark and light blue, orange, grey, green: told apart also without seeing red or green
SHADES = (
    ("#08306b", "#a6cee8"),
    ("#8c3b00", "#ffcb7d"),
    ("#262626", "#cfcfcf"),
    ("#00483a", "#8edbbd"),
)
CURVES = {"bilinear": "#08519c", "linear": "#d95f02"}
WRONG, PALE, MUTED = "#e6007e", "#f1f1f1", "#666666"
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


def draw(path: Path, model: Any, data: Data, trainings: dict[str, Any]) -> dict[str, list[str]]:
    """Draw the picture into a file, in the format that the file's name ends in.

    Returns who is in which group.
    """
    words = data.words
    groups = learned_groups(model.person.weight.numpy(), most_frequent_people(data))
    people = np.concatenate(groups)
    believed = all_pairs(model, people)
    flows = group_flows(believed, groups)
    families = families_of_terms(flows)
    colours = colours_of_terms(families, len(data.terms))
    seen, recorded = recorded_terms(data, people)
    guess = np.where(np.eye(len(people), dtype=bool), -1, believed.argmax(axis=-1))
    wrong = (recorded >= 0) & (guess != recorded) & ~seen

    with matplotlib.style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a name in a script that the font lacks
        figure = Figure(figsize=(17, 13), layout="constrained", facecolor="white")
        figure.suptitle(
            printable(
                f"What a bilinear form learned: four groups of {words.entities}, and which groups "
                f"each {words.relation} links"
            ),
            fontsize=19,
        )
        upper, lower = figure.subfigures(2, 1, False, hspace=0.04, height_ratios=(1, 0.86))[:, 0]
        left, middle, right = upper.subfigures(1, 3, False, wspace=0.02, width_ratios=(1, 1, 0.8))[
            0
        ]
        tiles, errors = lower.subfigures(1, 2, False, width_ratios=(1.5, 1))[0]
        matrix(left.subplots(), "Recorded", recorded, groups, colours, data)
        predicted = middle.subplots()
        matrix(predicted, "Predicted", guess, groups, colours, data)
        rows, columns = np.nonzero(wrong)
        predicted.plot(columns, rows, "s", markersize=2, color=WRONG, label="wrong, and held out")
        predicted.legend(loc="lower right", bbox_to_anchor=(1, 1.04), frameon=False, markerscale=3)
        learning_curves(right, data, trainings)
        term_tiles(tiles, data, flows, families, colours)
        confusion(errors, model, data, families)
        figure.savefig(path, dpi=110)
    return {
        letter: [data.people[k] for k in group]
        for letter, group in zip(GROUPS, groups, strict=True)
    }


# What was learned


def most_frequent_people(data: Data) -> Numbers:
    """Those who occur in most triples."""
    everyone = np.concatenate([data.splits[split][:, (0, 2)].ravel() for split in SPLITS])
    counts = np.bincount(everyone, minlength=len(data.people))
    return np.argsort(-counts, kind="stable")[:MOST_PEOPLE]


def learned_groups(vectors: Numbers, people: Numbers) -> list[Numbers]:
    """Four groups of people with similar vectors, each in an order that follows their vectors."""
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    quarters = [
        quarter for half in halves(directions, people) for quarter in halves(directions, half)
    ]
    return [in_order(directions, quarter) for quarter in quarters]


def halves(vectors: Numbers, people: Numbers) -> tuple[Numbers, Numbers]:
    """Cut across the direction in which the vectors of these people differ most."""
    if len(people) < 2:
        return people, people[:0]
    differences = vectors[people] - vectors[people].mean(axis=0)
    direction = np.linalg.svd(differences, full_matrices=False)[2][0]
    side = differences @ direction > 0
    return people[side], people[~side]


def in_order(vectors: Numbers, people: Numbers) -> Numbers:
    """Cut again and again, until nobody is left to be cut off."""
    first, second = halves(vectors, people)
    if not len(first) or not len(second):
        return people
    return np.concatenate([in_order(vectors, first), in_order(vectors, second)])


def all_pairs(model: Any, people: Numbers) -> Numbers:
    """The probabilities (n, n, terms) of every pair: the model's inputs broadcast."""
    model.eval()
    with lucid.no_grad():
        shares: Numbers = F.softmax(model(people[:, None], people[None, :])).numpy()
    return shares


def group_flows(believed: Numbers, groups: list[Numbers]) -> Numbers:
    """How often each term leads from each group to each: expected counts (terms, 4, 4)."""
    member = np.repeat(np.eye(len(groups)), [len(group) for group in groups], axis=0)
    others = believed * (1 - np.eye(len(believed)))[:, :, None]  # nobody is linked with themself
    flows: Numbers = np.einsum("ia,ijt,jb->tab", member, others, member, optimize=True)
    return flows


def families_of_terms(flows: Numbers) -> list[list[int]]:
    """The terms that follow each way of linking the groups best, frequent ones first.

    Way w links group i with group i XOR w: 0 each with itself, 1 to 3 in pairs.
    """
    i = np.arange(len(GROUPS))
    best = np.array([flows[:, i, i ^ way].sum(axis=1) for way in range(4)]).argmax(axis=0)
    frequent = [int(term) for term in np.argsort(-flows.sum(axis=(1, 2)), kind="stable")]
    return [[term for term in frequent if best[term] == way] for way in range(4)]


def recorded_terms(data: Data, people: Numbers) -> tuple[Numbers, Numbers]:
    """For each pair, whether it was seen in training, and its recorded term or -1."""
    place = np.full(len(data.people), -1)
    place[people] = np.arange(len(people))
    seen = np.zeros((len(people), len(people)), dtype=bool)
    recorded = np.full(seen.shape, -1)
    for split in SPLITS:
        heads, terms, tails = data.splits[split].T
        shown = (place[heads] >= 0) & (place[tails] >= 0)
        pairs = place[heads[shown]], place[tails[shown]]
        recorded[pairs] = terms[shown]
        seen[pairs] = split == "train"
    return seen, recorded


# Drawing


def colours_of_terms(families: list[list[int]], count: int) -> Numbers:
    """A colour (red, green, blue) for each term."""
    colours = np.ones((count, 3))
    for terms, (dark, light) in zip(families, SHADES, strict=True):
        for rank, term in enumerate(terms):
            share = min(rank, MOST_TERMS - 1) / max(min(len(terms), MOST_TERMS) - 1, 1)
            colours[term] = (1 - share) * np.array(to_rgb(light)) + share * np.array(to_rgb(dark))
    return colours


def matrix(
    axes: Axes, title: str, terms: Numbers, groups: list[Numbers], colours: Numbers, data: Data
) -> None:
    """The term of each pair as a colour; people in the order of the groups, and few by name."""
    axes.imshow(np.where((terms >= 0)[:, :, None], colours[terms], 1.0), interpolation="nearest")
    edges = np.cumsum([0, *map(len, groups)])
    for edge in edges[1:-1]:
        axes.axhline(edge - 0.5, color="white", linewidth=2.5)
        axes.axvline(edge - 0.5, color="white", linewidth=2.5)
    middles = {
        letter: (start + end - 1) / 2
        for letter, start, end in zip(GROUPS, edges[:-1], edges[1:], strict=True)
        if start < end
    }
    row, column = data.words.sides
    named = len(terms) <= MOST_NAMED
    axes.set_title(printable(f"{title} {data.words.relations}"), pad=28 if named else 9)
    axes.set(ylabel=row, xlabel=column)
    if named:
        names = [short(data.people[person], 18) for group in groups for person in group]
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
        axes.set_yticks(range(len(names)), names, fontsize=8)
        for letter, middle in middles.items():
            axes.text(middle, -0.8, letter, ha="center", va="bottom", fontweight="bold")
            axes.text(len(names) - 0.2, middle, letter, va="center", fontweight="bold")
    else:
        axes.set_xticks(list(middles.values()), list(middles), fontweight="bold")
        axes.set_yticks(list(middles.values()), list(middles), fontweight="bold")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def learning_curves(figure: SubFigure, data: Data, trainings: dict[str, Any]) -> None:
    """Loss and accuracy after each epoch."""
    upper, lower = figure.subplots(2, 1, sharex=True)
    for name, training in trainings.items():
        epochs = range(1, len(training.losses) + 1)
        upper.plot(epochs, [100 * share for share in training.accuracies], color=CURVES[name])
        lower.plot(epochs, training.losses, color=CURVES[name])
        for axes, last in ((upper, 100 * training.accuracies[-1]), (lower, training.losses[-1])):
            axes.annotate(
                name,
                (epochs[-1], last),
                xytext=(0, 6),
                textcoords="offset points",
                ha="right",
                color=CURVES[name],
                fontweight="bold",
            )
    common = 100 * data.majority_accuracy("valid")
    upper.axhline(common, color=MUTED, linestyle=":", linewidth=1.2)
    text = printable(f"always the most common {data.words.relation}")
    upper.text(1, common - 2, text, color=MUTED, size=10, va="top")
    upper.set(title="Accuracy on validation triples (%)", ylim=(0, 100))
    lower.set(title="Loss on training triples (nats)", xlabel="epoch", ylim=(0, None))


def term_tiles(
    figure: SubFigure, data: Data, flows: Numbers, families: list[list[int]], colours: Numbers
) -> None:
    """A tile of 4 × 4 for each term, and so the legend of the matrices."""
    sides = data.words.relation, *data.words.sides
    figure.suptitle(
        printable("Which groups each {} links: {} (row), {} (column)".format(*sides)),
        x=0.02,
        ha="left",
        fontsize=14,
    )
    bands = [band for band in zip(families, FAMILIES, SHADES, strict=True) if band[0]]
    columns = max(FEWEST_COLUMNS, min(MOST_TERMS, max(map(len, families))))
    tiles = figure.subplots(len(bands), columns, squeeze=False)
    for row, (terms, family, shades) in zip(tiles, bands, strict=True):
        for axes in row:
            axes.set_axis_off()
        for axes, term in zip(row, terms, strict=False):
            tile(axes, flows[term], shades[0])
            title = axes.set_title(f" {short(data.terms[term])} ", size=10, loc="center", pad=8)
            bright = colours[term].mean() > 0.5
            title.set(backgroundcolor=colours[term], color="black" if bright else "white")
        row[0].text(-0.45, 0.5, family, transform=row[0].transAxes, ha="right", va="center")
        for k, group in enumerate(GROUPS):
            row[0].text(-0.7, k, group, ha="right", va="center", size=9, color=MUTED)
            row[0].text(k, 3.65, group, ha="center", va="top", size=9, color=MUTED)


def tile(axes: Axes, flow: Numbers, dark: str) -> None:
    """Where one term leads; full colour where it does so most often."""
    axes.set_axis_on()
    cmap = LinearSegmentedColormap.from_list("", [PALE, dark])
    axes.imshow(flow / flow.max(), cmap=cmap, vmin=0, vmax=1)
    axes.set_xticks([0.5, 1.5, 2.5], [])
    axes.set_yticks([0.5, 1.5, 2.5], [])
    axes.grid(color="white", linewidth=1.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def confusion(figure: SubFigure, model: Any, data: Data, families: list[list[int]]) -> None:
    """How often a term of the test triples (row) was predicted as another (column)."""
    axes = figure.subplots()
    terms = [term for family in families for term in family[:MOST_TERMS]]
    heads, recorded, tails = data.splits["test"].T
    with lucid.no_grad():
        guess = model(heads, tails).numpy().argmax(axis=1)
    counts = np.zeros((len(data.terms), len(data.terms)))
    np.add.at(counts, (recorded, guess), 1)
    counts = counts[np.ix_(terms, terms)]
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    names = [short(data.terms[term]) for term in terms]
    axes.set_xticks(range(len(terms)), names, rotation=90, fontsize=9)
    axes.set_yticks(range(len(terms)), names, fontsize=9)
    hues = [
        shades[0]
        for family, shades in zip(families, SHADES, strict=True)
        for _ in family[:MOST_TERMS]
    ]
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        for label, hue in zip(labels, hues, strict=False):
            label.set_color(hue)
    axes.tick_params(length=0)
    axes.set(title="Test triples, recorded (row) and predicted (column)")
    label = printable(f"share of the recorded {data.words.relation} (%)")
    figure.colorbar(image, ax=axes, label=label, shrink=0.7)


def short(name: str, most: int = 10) -> str:
    """A name that fits: of so many characters at most."""
    name = printable(name)
    return name if len(name) <= most else name[: most - 1] + "…"
