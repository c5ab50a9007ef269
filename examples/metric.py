"""Which digits look alike? A distance learned through scikit-learn, which has no gradients.

    python examples/metric.py
    python examples/metric.py --lots student

The data: 1797 written digits, 8 × 8 pixels each, which come with scikit-learn. A matrix A takes the
64 pixels of a digit to two numbers. Of every digit the others draw lots by how near they are, and A
is learned so that the winner shows the same digit (neighbourhood components analysis, Goldberger
and others 2004):

    chance[i, j] = softmax over j ≠ i of -|A x[i] - A x[j]|²
    to maximise:   Σ chance[i, j] over all pairs i, j of the same digit

The distances are scikit-learn's, the softmax SciPy's, and SciPy's L-BFGS moves A. Both follow the
array API standard, so they take Tensors, and lucid differentiates through them. scikit-learn has
this method too, with a gradient that was derived by hand: it is run beside it. With
`--lots student` far digits keep a chance, as in t-SNE; one line changes, and no gradient needs to
be derived. A run takes about a minute, prints how often the five nearest neighbours are right about
digits that were not learned from, and draws these: metric.png.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _example import (
    INSTALL,
    Parser,
    drawing,
    exit_code,
    whole,
    whole_number,
)

os.environ["SCIPY_ARRAY_API"] = "1"  # before SciPy is imported: take arrays of every library
try:
    import numpy as np
    import scipy.optimize
    import scipy.special
    import sklearn
    from sklearn.datasets import load_digits
    from sklearn.decomposition import PCA
    from sklearn.metrics.pairwise import euclidean_distances
    from sklearn.neighbors import KNeighborsClassifier, NeighborhoodComponentsAnalysis

    import lucid
except ModuleNotFoundError as missing:
    package = (missing.name or "").partition(".")[0]
    how = {"sklearn": "pip install scikit-learn", "scipy": "pip install scipy"}.get(package)
    told = INSTALL if how is None else f"install it with: {how}"
    print(f"metric: {package} is not installed; {told}", file=sys.stderr)
    raise SystemExit(2) from None

DIMENSIONS = 2
NEIGHBOURS = 5
TOLERANCE = 1e-5  # scikit-learn's
LEARNED_FROM = 900  # the others are for testing


# What is learned, written for arrays of any library


def gaussian(squared: Any) -> Any:
    """Lots that fall off like a normal distribution: neighbourhood components analysis."""
    return -squared


def student(squared: Any) -> Any:
    """Lots that fall off like Student's t with one degree of freedom, as in t-SNE."""
    return -lucid.log1p(squared)


LOTS: dict[str, Callable[[Any], Any]] = {"gaussian": gaussian, "student": student}


def right_draws(matrix: Any, pixels: Any, same: Any, lots: Callable[[Any], Any]) -> Any:
    """How many digits draw one of their own kind, to be expected.

    matrix (numbers, pixels), pixels (digits, pixels), and `same` (digits, digits): whether two are
    different pictures of one digit.
    """
    points = lucid.matmul(pixels, matrix.T)
    # Of one array alone scikit-learn writes zeros to the diagonal, one after another
    squared = euclidean_distances(points, lucid.asarray(points, copy=True), squared=True)
    itself = lucid.eye(pixels.shape[0], dtype=lucid.bool)
    chances = scipy.special.softmax(lucid.where(itself, -float("inf"), lots(squared)), axis=1)
    return lucid.sum(lucid.where(same, chances, 0.0))


# Learning it


@dataclass
class Digits:
    """Digits as NumPy arrays: their pixels, from 0 to 1, and which digit each is."""

    pixels: Any
    labels: Any

    @property
    def same(self) -> Any:
        """Whether two different ones show the same digit."""
        return (self.labels[:, None] == self.labels) & ~np.eye(len(self.labels), dtype=bool)


@dataclass
class Learned:
    """A matrix, what it reaches, and what that cost."""

    matrix: Any
    share: float  # of right draws
    seconds: float


def learn(digits: Digits, start: Any, lots: Callable[[Any], Any], steps: int) -> Learned:
    """Move the matrix by SciPy's L-BFGS, along the gradient that lucid finds."""
    pixels, same = lucid.Tensor(digits.pixels), lucid.Tensor(digits.same)
    value_and_grad = lucid.autograd.value_and_grad(
        lambda matrix: -right_draws(matrix, pixels, same, lots)
    )

    def objective(numbers: Any) -> tuple[float, Any]:
        value, gradient = value_and_grad(lucid.Tensor(numbers.reshape(start.shape)))
        return value.item(), gradient.numpy().ravel()

    begin = time.perf_counter()
    found = scipy.optimize.minimize(
        objective, start.ravel(), jac=True, method="L-BFGS-B", tol=TOLERANCE,
        options={"maxiter": steps},
    )  # fmt: skip
    seconds = time.perf_counter() - begin
    matrix = found.x.reshape(start.shape)
    return Learned(matrix, -float(found.fun) / len(digits.labels), seconds)


def by_hand(digits: Digits, start: Any, steps: int) -> Learned:
    """The same by scikit-learn, whose authors derived the gradient."""
    method = NeighborhoodComponentsAnalysis(DIMENSIONS, init=start, max_iter=steps, tol=TOLERANCE)
    begin = time.perf_counter()
    matrix = method.fit(digits.pixels, digits.labels).components_
    seconds = time.perf_counter() - begin
    arrays = map(lucid.Tensor, (matrix, digits.pixels, digits.same))
    return Learned(matrix, right_draws(*arrays, gaussian).item() / len(digits.labels), seconds)


def accuracy(train: Digits, test: Digits, matrix: Any = None) -> float:
    """How often the nearest neighbours among `train` are right about `test`."""
    points = [each.pixels if matrix is None else each.pixels @ matrix.T for each in (train, test)]
    neighbours = KNeighborsClassifier(NEIGHBOURS).fit(points[0], train.labels)
    return float(neighbours.score(points[1], test.labels))


# The program


def main(arguments: list[str] | None = None) -> int:
    """Run the example; exit code 0, 2 for what the user can put right, 130 after Ctrl-C."""
    return exit_code("metric", lambda: follow(parsed(arguments)))


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The options, checked."""
    parser = Parser(
        "metric.py", description="Learn a distance through scikit-learn.", allow_abbrev=False
    )
    add = parser.add_argument
    add("--lots", choices=tuple(LOTS), default="gaussian", help="how they fall off (gaussian)")
    add("--steps", type=whole_number(1, 10000), default=50, help="of L-BFGS, at most (50)")
    add("--quick", action="store_true", help="a sixth of the digits, to see that it runs")
    add("--picture", metavar="FILE", default="metric.png", help="(metric.png; '' for none)")
    return parser.parse_args(arguments)


def follow(options: argparse.Namespace) -> None:
    """Learn, print how good the neighbours are, and draw."""
    picture = Path(options.picture)
    if options.picture:
        draw = drawing("_metric_picture", picture)
    train, test = digits(6 if options.quick else 1)
    print(
        f"{len(train.labels)} digits to learn from, {len(test.labels)} to test; right draws, and "
        f"accuracy of the {NEIGHBOURS} nearest neighbours:\n"
        f"{'':32}{'right draws':>12}{'test':>8}{'seconds':>9}"
    )
    start = PCA(DIMENSIONS, random_state=0).fit(train.pixels).components_
    print(row("all 64 pixels", accuracy(train, test)))
    before = accuracy(train, test, start)
    print(row("two numbers: PCA", before), flush=True)
    with sklearn.config_context(array_api_dispatch=True):
        learned = learn(train, start, LOTS[options.lots], options.steps)
    score = accuracy(train, test, learned.matrix)
    print(row("two numbers: learned by lucid", score, learned), flush=True)
    if options.lots == "gaussian":
        with sklearn.config_context(array_api_dispatch=True):
            theirs = by_hand(train, start, options.steps)
        print(row("the same by scikit-learn", accuracy(train, test, theirs.matrix), theirs))
    if options.picture:
        views = [
            (f"Principal components, {before:.1%}", start),
            (f"Learned, {options.lots} lots, {score:.1%}", learned.matrix),
        ]
        with whole(picture) as part:
            draw(part, [(name, test.pixels @ matrix.T) for name, matrix in views], test)
        print(f"picture: {picture}")


def row(name: str, score: float, learned: Learned | None = None) -> str:
    """A line of the table."""
    share = "" if learned is None else f"{learned.share:.1%}"
    seconds = "" if learned is None else f"{learned.seconds:.1f}"
    return f"{name:32}{share:>12}{score:>8.1%}{seconds:>9}".rstrip()


def digits(every: int) -> tuple[Digits, Digits]:
    """Digits to learn from and to test, in an order drawn once; each of so many."""
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))[::every]
    pixels, labels = data.data[order] / 16, data.target[order]
    half = LEARNED_FROM // every
    return Digits(pixels[:half], labels[:half]), Digits(pixels[half:], labels[half:])


if __name__ == "__main__":
    raise SystemExit(main())
