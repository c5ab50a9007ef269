"""Functions of SciPy and scikit-learn on Tensors, with the array API standard switched on.

    python benchmarks/array_api_programs.py

Prints for each whether it gives the values that it gives for NumPy arrays, whether it gives a
gradient that central differences agree with, and if not, why. Nothing in the two libraries or in
lucid knows of the other.
"""

from __future__ import annotations

import os
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

os.environ["SCIPY_ARRAY_API"] = "1"  # before SciPy is imported

import numpy as np

import lucid
from lucid import Tensor
from lucid.testing import assert_same, gradcheck

RANDOM = np.random.default_rng(0)
X = RANDOM.random(9) + 0.1
Y = RANDOM.random(9) + 0.1
M = RANDOM.random((6, 3)) + 0.1
S = RANDOM.random((3, 3)) + 3 * np.eye(3)
LABELS = np.array([0, 1, 1, 0, 1, 0])


@dataclass
class Case:
    """A function of arrays under the name that its users know it by."""

    name: str
    function: Callable[..., Any]
    arrays: tuple[Any, ...]


def of_scipy() -> Iterator[Case]:
    from scipy import (
        cluster,
        differentiate,
        fft,
        integrate,
        linalg,
        ndimage,
        optimize,
        signal,
        special,
        stats,
    )

    for name in ("softmax", "log_softmax", "logsumexp", "expit", "erf", "entr"):
        yield Case(f"scipy.special.{name}", getattr(special, name), (X,))
    yield Case("scipy.special.xlogy", special.xlogy, (X, Y))
    for name in ("gmean", "hmean", "skew", "kurtosis", "kstat", "sem", "variation", "tmean",
                 "zscore", "entropy", "circmean", "iqr", "differential_entropy"):  # fmt: skip
        yield Case(f"scipy.stats.{name}", getattr(stats, name), (X,))
    yield Case("scipy.stats.pmean", lambda x: stats.pmean(x, 2), (X,))
    yield Case("scipy.stats.moment", lambda x: stats.moment(x, 3), (X,))
    yield Case("scipy.stats.zmap", stats.zmap, (X, Y))
    yield Case("scipy.stats.pearsonr", lambda x, y: stats.pearsonr(x, y).statistic, (X, Y))
    yield Case("scipy.stats.ttest_1samp", lambda x: stats.ttest_1samp(x, 0.0).statistic, (X,))
    yield Case(
        "scipy.stats.directional_stats", lambda x: stats.directional_stats(x).mean_direction, (M,)
    )
    for name in ("trapezoid", "simpson", "cumulative_trapezoid", "cumulative_simpson"):
        yield Case(f"scipy.integrate.{name}", getattr(integrate, name), (X,))
    yield Case("scipy.signal.detrend", signal.detrend, (X,))
    yield Case("scipy.signal.fftconvolve", signal.fftconvolve, (X, Y))
    yield Case("scipy.cluster.vq.whiten", cluster.vq.whiten, (M,))
    yield Case("scipy.fft.rfft", fft.rfft, (X,))
    yield Case("scipy.linalg.solve", linalg.solve, (S, S[0]))
    yield Case("scipy.ndimage.gaussian_filter", lambda x: ndimage.gaussian_filter(x, 1.0), (X,))
    yield Case("scipy.optimize.rosen", optimize.rosen, (X,))
    yield Case(
        "scipy.differentiate.derivative", lambda x: differentiate.derivative(np.square, x).df, (X,)
    )


def of_scikit_learn() -> Iterator[Case]:
    import sklearn
    from sklearn import decomposition, linear_model, metrics, preprocessing
    from sklearn.metrics import pairwise

    sklearn.set_config(array_api_dispatch=True)
    for name in ("mean_squared_error", "mean_absolute_error", "r2_score", "mean_poisson_deviance"):
        yield Case(f"sklearn.metrics.{name}", getattr(metrics, name), (X, Y))
    for name in ("linear_kernel", "rbf_kernel", "polynomial_kernel", "euclidean_distances",
                 "cosine_similarity", "paired_cosine_distances"):  # fmt: skip
        yield Case(f"sklearn.metrics.pairwise.{name}", getattr(pairwise, name), (M, M[::-1]))
    for name in ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "Normalizer"):
        scaler = getattr(preprocessing, name)
        yield Case(f"sklearn.{name}", lambda x, make=scaler: make().fit_transform(x), (M,))
    yield Case("sklearn.normalize", preprocessing.normalize, (M,))
    yield Case(
        "sklearn.PCA", lambda x: decomposition.PCA(2, svd_solver="full").fit_transform(x), (M,)
    )
    yield Case(
        "sklearn.Ridge", lambda x, y: linear_model.Ridge(solver="svd").fit(x, y).coef_, (M, Y[:6])
    )


@dataclass
class Result:
    values: str
    gradient: str
    why: str = ""


def attempt(case: Case) -> Result:
    expected = case.function(*case.arrays)
    try:
        found = case.function(*(Tensor(array, requires_grad=True) for array in case.arrays))
    except Exception as error:
        plain = "no"
        try:
            assert_same(
                np.asarray(case.function(*map(Tensor, case.arrays))),
                np.asarray(expected),
                rtol=1e-9,
            )
            plain = "without a gradient"
        except Exception:
            pass
        return Result(plain, "no", reason(error))
    if not isinstance(found, Tensor):
        same = np.allclose(found, expected)
        return Result("yes" if same else "other", "no", f"returns a {type(found).__name__}")
    try:
        assert_same(found, np.asarray(expected), rtol=1e-9, atol=1e-12)
    except AssertionError as error:
        return Result("other", "", str(error))
    if not found.requires_grad:
        return Result("yes", "no", "loses it on the way")
    try:
        gradcheck(case.function, list(case.arrays), name=case.name)
    except Exception as error:
        return Result("yes", "wrong", str(error).partition("\n")[0])
    return Result("yes", "yes")


def reason(error: Exception) -> str:
    """What failed, and where in the library."""
    frames = [
        each
        for each in traceback.extract_tb(error.__traceback__)
        if "site-packages" in each.filename
    ]
    last = frames[-1] if frames else None
    text = str(error).partition("\n")[0]
    if "does not turn into an array" in text and last is not None:
        text = f"`{(last.line or '').strip()[:50]}`"
    place = "" if last is None else last.filename.rpartition("site-packages/")[2]
    return f"{text[:90]} ({place})"


def main() -> None:
    warnings.simplefilter("ignore")
    rows: list[tuple[str, Result]] = []
    for cases in (of_scipy, of_scikit_learn):
        try:
            rows += [(case.name, attempt(case)) for case in cases()]
        except ImportError as error:
            print(f"left out: {error}")
    width = max(len(name) for name, _ in rows)
    print(f"| {'function':<{width}} | values | gradient | why not |")
    print(f"| {'-' * width} | --- | --- | --- |")
    for name, result in rows:
        print(f"| {name:<{width}} | {result.values} | {result.gradient} | {result.why} |")
    worked = sum(result.values == "yes" for _, result in rows)
    right = sum(result.gradient == "yes" for _, result in rows)
    print(f"\n{worked} of {len(rows)} give NumPy's values, {right} of them with a right gradient.")
    print(f"lucid {lucid.__version__}, " + ", ".join(versions()))


def versions() -> Iterator[str]:
    from importlib.metadata import PackageNotFoundError, version

    for name in ("numpy", "scipy", "scikit-learn"):
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            yield f"{name} not installed"


if __name__ == "__main__":
    main()
