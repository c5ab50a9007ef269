"""The metric example: its gradient is the one derived by hand, and what it prints and draws."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import lucid

for package in ("scipy", "sklearn", "matplotlib"):
    pytest.importorskip(package, reason=f"{package} is not installed")

EXAMPLES = Path(__file__).parent.parent / "examples"
PACKAGES = str(Path(lucid.__file__).parents[1])


def python(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """What a Python of its own says: SciPy reads its switch for the standard on import."""
    done = subprocess.run(  # noqa: S603 (our own code)
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=300,
        env={"PYTHONPATH": f"{PACKAGES}:{EXAMPLES}", "HOME": str(folder)},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def example(folder: Path, *arguments: str) -> tuple[int, str, str]:
    return python(folder, str(EXAMPLES / "metric.py"), *arguments)


GRADIENTS = """
import metric, numpy as np, sklearn
import lucid
from lucid.testing import assert_same, gradcheck
from sklearn.neighbors import NeighborhoodComponentsAnalysis

train, _ = metric.digits(18)
start = np.random.default_rng(0).standard_normal((2, 64)) / 4
pixels, same = lucid.Tensor(train.pixels), lucid.Tensor(train.same)

def function(lots):
    return lambda matrix: metric.right_draws(matrix, pixels, same, lots)

with sklearn.config_context(array_api_dispatch=True):
    for lots in metric.LOTS.values():
        gradcheck(function(lots), [start])
    value, gradient = lucid.autograd.value_and_grad(function(metric.gaussian))(lucid.Tensor(start))
method = NeighborhoodComponentsAnalysis()
method.n_iter_ = 0
theirs = method._loss_grad_lbfgs(start.ravel(), train.pixels, train.same)
assert_same(value.item(), theirs[0], rtol=1e-12)
assert_same(gradient.numpy().ravel(), theirs[1], rtol=1e-9, atol=1e-12)
print("right")
"""


def test_the_gradient_is_that_of_differences_and_the_one_derived_by_hand(tmp_path: Path) -> None:
    code, out, err = python(tmp_path, "-c", GRADIENTS)
    assert (code, out) == (0, "right\n"), err


@pytest.mark.parametrize("lots", ["gaussian", "student"])
def test_a_quick_run(tmp_path: Path, lots: str) -> None:
    code, out, err = example(tmp_path, "--quick", "--steps", "10", "--lots", lots)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("150 digits to learn from, 150 to test")
    found = {line[:32].strip(): line[32:].split() for line in lines[2:-1]}
    learned = found["two numbers: learned by lucid"]
    assert len(learned) == 3
    if lots == "gaussian":  # the same steps along the same gradient
        assert found["two numbers: PCA"][0] == "56.7%"
        assert float(learned[1].rstrip("%")) > 60
        assert found["the same by scikit-learn"][:2] == learned[:2]
    assert lines[-1] == "picture: metric.png"
    assert (tmp_path / "metric.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--lots", "fair"), "argument --lots: invalid choice: 'fair'"),
        (("--steps", "0"), "argument --steps: expected a whole number from 1 to 10000, but got"),
        (("--picture", "a.gif"), "a.gif: the name of a picture ends in .png, .pdf, .svg"),
        (("--picture", "none/a.png"), "none/a.png: No such file or directory"),
    ],
)
def test_mistakes_are_told_before_any_work(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = example(tmp_path, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"metric: {message}")


@pytest.mark.parametrize(
    ("package", "how"),
    [
        ("sklearn", "pip install scikit-learn"),
        ("scipy", "pip install scipy"),
        ("numpy", 'pip install -e ".[examples]"'),
    ],
)
def test_a_package_that_is_missing(tmp_path: Path, package: str, how: str) -> None:
    script = (
        f"import sys, runpy; sys.modules[{package!r}] = None;"
        f"runpy.run_path({str(EXAMPLES / 'metric.py')!r}, run_name='__main__')"
    )
    message = f"metric: {package} is not installed; install it with: {how}\n"
    assert python(tmp_path, "-c", script) == (2, "", message)
