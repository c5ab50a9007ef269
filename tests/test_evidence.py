"""The evidence example: integrals, gradients and the best scales are those of sums on a grid."""

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
    return python(folder, str(EXAMPLES / "evidence.py"), *arguments)


GRADIENTS = """
import evidence, numpy as np
import lucid
from lucid.testing import assert_same, gradcheck

seen, _ = evidence.patients(10)
tensors = evidence.Patients(lucid.asarray(seen.radius), lucid.asarray(seen.malignant))
scales = np.array([0.7, 2.0])
for link in evidence.LINKS.values():
    found = evidence.log_evidence(lucid.asarray(scales), tensors, link)
    expected = np.log(np.sum(evidence.on_grid(scales, seen, link)))
    assert_same(found.item(), expected, rtol=1e-9)
    gradcheck(lambda scales: evidence.log_evidence(scales, tensors, link), [scales], order=2)
print("right")
"""


def test_integrals_are_sums_and_gradients_are_differences(tmp_path: Path) -> None:
    code, out, err = python(tmp_path, "-c", GRADIENTS)
    assert (code, out) == (0, "right\n"), err


def test_a_run(tmp_path: Path) -> None:
    code, out, err = example(tmp_path)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "40 patients to learn from, 529 to test"
    by_lucid, by_sums = lines[2].split()[-5:], lines[3].split()[-5:]
    assert [float(number) for number in by_lucid[:3]] == pytest.approx(
        [float(number) for number in by_sums[:3]], abs=2e-3
    )
    losses = [float(line.split()[-1]) for line in lines[5:8]]
    assert losses[0] == min(losses)
    assert lines[-1] == "picture: evidence.png"
    assert (tmp_path / "evidence.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--link", "weak"), "argument --link: invalid choice: 'weak'"),
        (("--patients", "0"), "argument --patients: expected a whole number from 10 to 200, but"),
        (("--picture", "a.gif"), "a.gif: the name of a picture ends in .png, .pdf, .svg"),
    ],
)
def test_mistakes_are_told_before_any_work(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = example(tmp_path, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"evidence: {message}")


@pytest.mark.parametrize(
    ("package", "how"),
    [("sklearn", "pip install scikit-learn"), ("scipy", "pip install scipy")],
)
def test_a_package_that_is_missing(tmp_path: Path, package: str, how: str) -> None:
    script = (
        f"import sys, runpy; sys.modules[{package!r}] = None;"
        f"runpy.run_path({str(EXAMPLES / 'evidence.py')!r}, run_name='__main__')"
    )
    message = f"evidence: {package} is not installed; install it with: {how}\n"
    assert python(tmp_path, "-c", script) == (2, "", message)
