"""How strong should a prior be? Its evidence, integrated by SciPy, which has no gradients.

    python examples/evidence.py
    python examples/evidence.py --link cauchit --patients 60

The data: 569 breast tumours, which come with scikit-learn. Whether one is malignant is to be told
by its mean radius x, in standard deviations, from few patients:

    chance of malignant = link(a + b x),   a ~ N(0, α²), b ~ N(0, β²)

How large may the weights be? The evidence is the chance of all that was seen, whatever they are:

    Z(α, β) = ∫∫ Π_n chance of patient n · N(a; 0, α²) · N(b; 0, β²) da db

The scales α and β that make it largest are the answer, without a validation set (type II maximum
likelihood). SciPy's adaptive `cubature` computes the integral. It follows the array API standard,
so it takes Tensors, lucid differentiates through its steps, and SciPy's BFGS moves the scales.
Beside it stands what needs no gradient: sums on a fine grid, and differences of them. A run takes
some seconds, prints both and how good predictions are for the other patients, and draws these:
evidence.png.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import pi
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
    import scipy.integrate
    import scipy.optimize
    from sklearn.datasets import load_breast_cancer

    import lucid
except ModuleNotFoundError as missing:
    package = (missing.name or "").partition(".")[0]
    how = {"sklearn": "pip install scikit-learn", "scipy": "pip install scipy"}.get(package)
    told = INSTALL if how is None else f"install it with: {how}"
    print(f"evidence: {package} is not installed; {told}", file=sys.stderr)
    raise SystemExit(2) from None

REACH = 8.0  # standard deviations of a weight; beyond are 1e-15 of the prior
PATIENTS = 569
GRID = np.linspace(-REACH, REACH, 161)  # of the sums: fine for scales up to some 5


# What is maximised, written for arrays of any library


def logistic(z: Any) -> Any:
    """The logarithm of the chance 1 / (1 + e^-z): logistic regression."""
    return -lucid.logaddexp(0.0, -z)


def cauchit(z: Any) -> Any:
    """The logarithm of 1/2 + atan(z) / π: a patient far on the wrong side does not matter much."""
    return lucid.log(lucid.atan2(1.0, -z) / pi)


LINKS: dict[str, Callable[[Any], Any]] = {"logistic": logistic, "cauchit": cauchit}


def log_evidence(scales: Any, patients: Patients, link: Callable[[Any], Any]) -> Any:
    """log Z for scales (2,)."""

    def density(standard: Any) -> Any:
        # (points, 2): weights in units of their scales, whose prior is standard normal
        weights = standard * scales
        z = weights[:, :1] + weights[:, 1:] * patients.radius
        seen = lucid.sum(link(patients.malignant * z), axis=1)
        return lucid.exp(seen - lucid.sum(standard**2, axis=1) / 2) / (2 * pi)

    ends = lucid.asarray(np.full(2, REACH))
    found = scipy.integrate.cubature(density, -ends, ends, rule="gk21", rtol=1e-8, atol=0.0)
    return lucid.log(found.estimate)


# Finding the scales


@dataclass
class Patients:
    """Radius in standard deviations, and 1 for malignant, -1 for benign."""

    radius: Any
    malignant: Any


@dataclass
class Found:
    """The best scales, log Z there, the scales tried on the way, and what that cost."""

    scales: Any
    log_evidence: float
    path: Any
    evaluations: int
    seconds: float


def minimise(objective: Callable[[Any], Any], has_gradient: bool) -> Found:
    """Move the logarithms of the scales by SciPy's BFGS."""
    path = [np.zeros(2)]
    begin = time.perf_counter()
    found = scipy.optimize.minimize(
        objective, path[0], jac=has_gradient, method="BFGS",
        callback=lambda intermediate_result: path.append(intermediate_result.x.copy()),
        options={"gtol": 1e-4},
    )  # fmt: skip
    seconds = time.perf_counter() - begin
    return Found(np.exp(found.x), -float(found.fun), np.exp(path), int(found.nfev), seconds)


def by_gradient(patients: Patients, link: Callable[[Any], Any]) -> Found:
    """Along the gradient that lucid finds of SciPy's integral."""
    tensors = Patients(lucid.asarray(patients.radius), lucid.asarray(patients.malignant))
    value_and_grad = lucid.autograd.value_and_grad(
        lambda logarithms: -log_evidence(lucid.exp(logarithms), tensors, link)
    )

    def objective(logarithms: Any) -> tuple[float, Any]:
        value, gradient = value_and_grad(lucid.asarray(logarithms))
        return value.item(), gradient.numpy()

    return minimise(objective, True)


def on_grid(scales: Any, patients: Patients, link: Callable[[Any], Any]) -> Any:
    """Prior times chance of what was seen at every pair of weights on a grid (NumPy alone)."""
    z = scales[0] * GRID[:, None, None] + scales[1] * GRID[:, None] * patients.radius
    prior = -(GRID[:, None] ** 2 + GRID**2) / 2
    step = GRID[1] - GRID[0]
    return np.exp(np.sum(link(patients.malignant * z), axis=-1) + prior) * step**2 / (2 * pi)


def by_sums(patients: Patients, link: Callable[[Any], Any]) -> Found:
    """The same by the trapezoidal rule and differences of it."""
    return minimise(
        lambda logarithms: -np.log(np.sum(on_grid(np.exp(logarithms), patients, link))), False
    )


def predicted(radius: Any, scales: Any, patients: Patients, link: Callable[[Any], Any]) -> Any:
    """The chance of malignant at each radius: the mean over the weights, given what was seen."""
    weight = on_grid(scales, patients, link)
    keep = weight > 1e-9 * np.max(weight)
    a, b = (scales[k] * axis[keep] for k, axis in enumerate(np.meshgrid(GRID, GRID, indexing="ij")))
    chances = np.exp(link(a + b * np.asarray(radius)[:, None]))
    return chances @ weight[keep] / np.sum(weight[keep])


def log_loss(scales: Any, seen: Patients, others: Patients, link: Callable[[Any], Any]) -> float:
    """The mean of -log(chance of what is the case) for the other patients."""
    chance = predicted(others.radius, scales, seen, link)
    return -float(np.mean(np.log(np.where(others.malignant > 0, chance, 1 - chance))))


# The program


def main(arguments: list[str] | None = None) -> int:
    """Run the example; exit code 0, 2 for what the user can put right, 130 after Ctrl-C."""
    return exit_code("evidence", lambda: follow(parsed(arguments)))


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The options, checked."""
    parser = Parser(
        "evidence.py", description="Choose a prior through SciPy's integrals.", allow_abbrev=False
    )
    add = parser.add_argument
    add("--link", choices=tuple(LINKS), default="logistic", help="of chances (logistic)")
    add("--patients", type=whole_number(10, 200), default=40, help="to learn from (40)")
    add("--picture", metavar="FILE", default="evidence.png", help="(evidence.png; '' for none)")
    return parser.parse_args(arguments)


def follow(options: argparse.Namespace) -> None:
    """Find the scales twice, print what they are worth, and draw."""
    picture = Path(options.picture)
    if options.picture:
        draw = drawing("_evidence_picture", picture)
    link = LINKS[options.link]
    seen, others = patients(options.patients)
    print(
        f"{len(seen.radius)} patients to learn from, {len(others.radius)} to test\n"
        f"{'':28}{'α':>8}{'β':>8}{'log Z':>11}{'evaluations':>13}{'seconds':>9}"
    )
    found = by_gradient(seen, link)
    print(row("cubature, lucid's gradient", found), flush=True)
    print(row("sums, differences of them", by_sums(seen, link)))
    print("mean log loss of the others:")
    for name, scales in (
        (f"scales of the evidence, {found.scales[0]:.2g} and {found.scales[1]:.2g}", found.scales),
        ("a strong prior, 0.1 and 0.1", np.full(2, 0.1)),
        ("a weak prior, 10 and 10", np.full(2, 10.0)),
    ):
        print(f"    {name:40}{log_loss(scales, seen, others, link):8.4f}")
    if options.picture:
        scales = np.geomspace(0.1, 10, 25)
        values = [[np.log(np.sum(on_grid((a, b), seen, link))) for a in scales] for b in scales]
        radius = np.linspace(-2.2, 4.2, 100)
        curve = predicted(radius, found.scales, seen, link)
        with whole(picture) as part:
            draw(part, (scales, np.array(values), found.path), (radius, curve), seen)
        print(f"picture: {picture}")


def row(name: str, found: Found) -> str:
    """A line of the table."""
    a, b = found.scales
    return (
        f"{name:28}{a:8.3f}{b:8.3f}{found.log_evidence:11.5f}{found.evaluations:>13}"
        f"{found.seconds:9.1f}"
    )


def patients(count: int) -> tuple[Patients, Patients]:
    """Patients to learn from and the others, in an order drawn once."""
    data = load_breast_cancer()
    radius = data.data[:, 0]
    radius = (radius - np.mean(radius)) / np.std(radius)
    malignant = np.where(data.target == 0, 1.0, -1.0)
    order = np.random.default_rng(0).permutation(PATIENTS)
    one, other = order[:count], order[count:]
    return Patients(radius[one], malignant[one]), Patients(radius[other], malignant[other])


if __name__ == "__main__":
    raise SystemExit(main())
