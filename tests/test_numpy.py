"""NumPy's functions on Tensors: values, gradients, what is refused, and programs in NumPy alone."""

from __future__ import annotations

import operator
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, _numpy, _numpy_functions
from lucid.testing import assert_same, gradcheck

Array = np.ndarray[Any, Any]

RANDOM = np.random.default_rng(0)
X = RANDOM.random((3, 4)) + 0.1
A = RANDOM.random((3, 4)) + 0.1
S = RANDOM.random((3, 3)) + 3 * np.eye(3)
V = RANDOM.random(3) + 0.1
NAN = np.array([[1.0, np.nan, 2.0], [np.nan, 3.0, 4.0]])

# Written with NumPy alone, of x (3, 4), s (3, 3) and v (3,)
CALLS = """
np.floor_divide(x, A)
A // x
np.floor(x)
np.ceil(x)
np.fix(x)
np.rint(x)
np.round(x)
np.round(x, 1)
np.around(100 * x, -1)
np.exp(x)
np.sqrt(x)
np.square(x)
np.negative(x)
np.positive(x)
np.absolute(x)
np.fabs(x)
np.add(x, A)
np.add(A, x)
np.subtract(1.0, x)
np.multiply(x, 2)
np.divide(A, x)
np.true_divide(x, A)
np.power(x, 2)
np.power(2.0, x)
np.float_power(x, 2)
np.maximum(x, A)
np.minimum(x, 0.5)
np.reciprocal(x)
np.exp2(x)
np.deg2rad(x)
np.radians(x)
np.rad2deg(x)
np.degrees(x)
np.sin(x) + np.cos(x) + np.tan(x) + np.tanh(x)
np.log(x) + np.log1p(x) + np.expm1(x)
np.sign(x) * x
np.conjugate(x)
np.sinc(x)
np.where(x > 0.5, x, 0.0)
np.where(A > 0.5, x, A)
np.clip(x, 0.2, 0.8)
np.clip(x, None, 0.8)
np.clip(x, min=0.2)
np.nan_to_num(x)
np.real(x)
np.add(x, A, dtype=np.float64)
A + x
A - x
A * x
A / x
A**x
A.T @ x
np.float64(2.0) * x
np.float64(2.0) - x
np.float64(2.0) ** x
np.sum(x)
np.sum(x, 0)
np.sum(x, axis=(0, 1))
np.sum(x, axis=1, keepdims=True)
np.prod(x, axis=0)
np.mean(x, axis=0)
np.var(x, ddof=1)
np.var(x, axis=1, correction=1)
np.std(x, axis=1)
np.max(x, axis=1)
np.amax(x)
np.min(x, 1, keepdims=True)
np.ptp(x, axis=0)
np.median(x)
np.median(x, axis=1)
np.median(x, axis=0, keepdims=True)
np.average(x)
np.average(x, axis=0, weights=A)
np.average(x, axis=0, weights=[1.0, 2.0, 3.0])
np.average(A, axis=0, weights=v)
np.average(x, axis=1, weights=A, returned=True)
np.cumsum(x)
np.cumsum(x, axis=1)
np.cumprod(x)
np.cumprod(x, axis=0)
np.cumulative_sum(x, axis=0)
np.diff(x)
np.diff(x, n=2, axis=0)
np.diff(x, axis=1, prepend=0 * x[:, :1])
np.diff(x, prepend=0.5, append=A[:, :1])
np.trapezoid(x, dx=0.1)
np.trapezoid(x, [1.0, 2.0, 4.0], axis=0)
np.trapezoid(A, x)
np.cov(x)
np.cov(x, rowvar=False)
np.cov(v, A[:, 0], bias=True)
np.cov(v)
np.corrcoef(x)
np.sort(x)
np.sort(x, axis=0, kind="stable")
np.sort(x, axis=None)
np.add.reduce(x)
np.add.reduce(x, axis=None)
np.add.reduce(x, axis=1, keepdims=True)
np.multiply.reduce(x)
np.maximum.reduce(x, axis=1)
np.add.accumulate(x)
np.multiply.accumulate(x, axis=1)
np.multiply.outer(x, A)
np.subtract.outer(A[0], x[0])
np.concatenate([x, A])
np.concatenate((A, x), axis=1)
np.concatenate([x, A], axis=None)
np.concat([x, x])
np.stack([x, A], axis=1)
np.vstack([x, A])
np.vstack([v, A[:, 0]])
np.hstack([x[0], A[0]])
np.hstack([x, A])
np.dstack([x, A])
np.column_stack([v, A])
np.append(x, A)
np.append(x, A, axis=0)
np.split(x, 2, axis=1)
np.split(x, [1, 3], axis=1)
np.array_split(x, 3, axis=1)
np.hsplit(x, 2)
np.vsplit(x, 3)
np.reshape(x, (2, 6))
np.ravel(x)
np.transpose(x)
np.transpose(x[None], (2, 0, 1))
np.permute_dims(x, (1, 0))
np.matrix_transpose(x)
np.swapaxes(x, 0, -1)
np.moveaxis(x[None], 0, -1)
np.moveaxis(x[None], (0, 1), (2, 0))
np.expand_dims(x, (0, 2))
np.squeeze(x[None])
np.squeeze(x[None], axis=0)
np.flip(x)
np.fliplr(x)
np.flipud(x)
np.broadcast_to(x, (2, 3, 4))
np.broadcast_arrays(x, A[0])
np.atleast_1d(x.sum())
np.atleast_2d(v)
np.roll(x, 1, axis=0)
np.roll(x, (1, -2), axis=(0, 1))
np.roll(x, 3)
np.repeat(x, 2, axis=0)
np.repeat(x, [1, 0, 2], axis=0)
np.tile(x, 2)
np.tile(x, (2, 3, 1))
np.pad(x, 1)
np.pad(x, ((1, 0), (0, 2)), constant_values=1.5)
np.copy(x)
np.take(x, [0, 2], axis=1)
np.take(x, [0, 5])
np.take_along_axis(x, np.argsort(A, axis=1), axis=1)
np.diag(x)
np.diag(v)
np.diag(v, k=1)
np.diag(v, -2)
np.diagflat(x[:2, :2])
np.diagonal(x, offset=1)
np.diagonal(x, offset=-1)
np.trace(x)
np.trace(s, offset=1)
np.linspace(0.0, x[0], 4)
np.dot(A.T, x)
np.dot(v, A)
np.dot(v, v)
np.dot(x, 2.0)
np.inner(x, A)
np.outer(v, A)
np.vdot(x, A)
np.tensordot(x, A, axes=([0], [0]))
np.einsum("ij,kj->ik", x, A)
np.einsum("ij,kj->ik", x, A, optimize=True)
np.matmul(A.T, x)
np.matvec(s, v)
np.vecmat(v, s)
np.kron(x, A)
np.kron(v, s)
np.convolve(x[0], A[1])
np.convolve(A[1, :2], x[0], "same")
np.convolve(x[0], A[1][:2], "valid")
np.linalg.norm(x)
np.linalg.norm(v)
np.linalg.norm(x, axis=1)
np.linalg.norm(x, 1)
np.linalg.norm(x, np.inf)
np.linalg.norm(x, "fro", axis=(0, 1), keepdims=True)
np.linalg.norm(x, 3, axis=0, keepdims=True)
np.linalg.norm(x, -np.inf, axis=0)
np.linalg.norm(x, 1, axis=0)
np.linalg.multi_dot([A.T, x, A.T])
np.linalg.multi_dot([v, s, v])
np.linalg.outer(v, v)
np.linalg.solve(s, v)
np.linalg.solve(s, x)
np.linalg.norm(x, "nuc")
np.linalg.norm(x, 2)
np.linalg.norm(x[None], -2, axis=(1, 2), keepdims=True)
np.linalg.norm(x, -1, axis=(1, 0))
np.linalg.inv(s)
np.linalg.det(s)
np.linalg.slogdet(s)
np.linalg.cholesky(s @ np.transpose(s))
np.linalg.eigvalsh(s + s.T)
np.linalg.svd(x, compute_uv=False)
np.linalg.svd(x, full_matrices=False)[1]
np.linalg.svdvals(x)
np.linalg.pinv(x)
np.linalg.pinv(x, 1e-6)
np.linalg.pinv(x, rtol=1e-6)
np.linalg.cond(s)
np.linalg.cond(s, 1)
np.linalg.cond(s, -2)
np.linalg.matrix_power(s, 3)
np.linalg.matrix_norm(x, ord="nuc", keepdims=True)
np.linalg.vector_norm(x, axis=1, ord=3)
np.linalg.trace(s, offset=1)
np.linalg.diagonal(s)
np.linalg.vecdot(v, s)
np.linalg.matmul(s, x)
np.linalg.cross(x[:, :3], A[:, :3])
np.cross(x[:3].T, A[:3].T)
np.cross(x[:, :3], A[:, :3], axis=1)
np.cross(x, A, axisa=0, axisb=0, axisc=0)
np.fft.fft(x)
np.fft.ifft(x, 5, 0, "ortho")
np.fft.rfft(x, norm="forward")
np.fft.irfft(x, 5)
np.fft.hfft(x)
np.fft.ihfft(x)
np.fft.fftn(x)
np.fft.ifftn(x, axes=(0,))
np.fft.fft2(x)
np.fft.ifft2(x)
np.fft.rfft2(x, (2, 5))
np.fft.irfft2(x)
np.fft.rfftn(x)
np.fft.fftshift(x)
np.fft.ifftshift(x, axes=1)
""".strip().splitlines()

# Those of the standard that NumPy calls otherwise, or that have arguments of their own
OF_THE_STANDARD = """
np.arctan2(x, A)
np.arcsin(x / 2)
np.arctanh(x / 2)
np.sinh(x)
np.log2(x)
np.log10(x)
np.hypot(x, A)
np.logaddexp(x, A)
np.logaddexp2(x, A)
np.copysign(x, A)
np.nextafter(x, A)
np.mod(x, A)
np.angle(x + 1j * A)
np.meshgrid(x[0], v)
np.tril(x)
np.triu(x, k=1)
""".strip().splitlines()


def run(call: str, x: Any, s: Any, v: Any) -> Any:
    return eval(call, {"np": np, "A": A, "x": x, "s": s, "v": v})  # noqa: S307 (from the list above)


def parts(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (list, tuple)) else [result]


def of_tensors(result: Any) -> list[Tensor]:
    return [part for part in parts(result) if isinstance(part, Tensor)]


def check(call: str) -> None:
    found = parts(run(call, *(Tensor(each, requires_grad=True) for each in (X, S, V))))
    expected = parts(run(call, X, S, V))
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert_same(one, np.asarray(other), rtol=1e-10, atol=1e-12)
    assert any(one.requires_grad for one in of_tensors(found))
    gradcheck(lambda x, s, v: of_tensors(run(call, x, s, v)), [X, S, V], name=call)


@pytest.mark.parametrize("call", CALLS)
def test_a_function_of_numpy_is_lucid_s(call: str) -> None:
    check(call)


@pytest.mark.parametrize("call", OF_THE_STANDARD)
def test_a_function_is_found_as_soon_as_lucid_has_it(call: str) -> None:
    if not hasattr(np, call[3:].partition("(")[0].partition(".")[0]):
        pytest.skip("this NumPy has it not")
    refusal = ""
    try:
        run(call, *(Tensor(each, requires_grad=True) for each in (X, S, V)))
    except lucid.GraphError as error:
        refusal = str(error)
    if "lucid has no function for it" in refusal:
        pytest.skip("lucid has it not yet")
    check(call)


@pytest.mark.parametrize(
    "call",
    [
        "np.argmax(x, axis=1)", "np.argsort(x)", "np.isnan(x)", "np.isfinite(x)", "x > A", "A > x",
        "A == x", "np.equal(x, A)", "np.logical_not(x > 0.5)", "np.logical_or.reduce(x > 0.5)",
        "np.any(x > 0.5, axis=0)", "np.all(x > 0.5)", "np.nonzero(x > 0.5)", "np.where(x > 0.5)",
        "np.searchsorted(A[0], x)", "np.isclose(x, A)", "np.count_nonzero(x > 0.5, axis=0)",
        "np.signbit(x)",
        "np.zeros_like(x)", "np.ones_like(x)",
        "np.full_like(x, 2.0)", "np.argwhere(x > 0.5)", "np.digitize(x, [0.2, 0.4])",
        "np.isin(x, A)", "np.isin(x, A, invert=True)", "np.searchsorted(A[0], x, side='right')",
    ],
)  # fmt: skip
def test_what_has_no_gradient_is_a_tensor_too(call: str) -> None:
    found = parts(run(call, *(Tensor(each, requires_grad=True) for each in (X, S, V))))
    for one, other in zip(found, parts(run(call, X, S, V)), strict=True):
        assert isinstance(one, Tensor)
        assert_same(one, np.asarray(other))
        assert not one.requires_grad


@pytest.mark.parametrize(
    "call",
    [
        "np.shape(x)", "np.ndim(x)", "np.size(x)", "np.allclose(x, x)", "np.array_equal(x, A)",
        "np.result_type(x, np.float32)", "np.iscomplexobj(x)", "np.array2string(x)",
    ],
)  # fmt: skip
def test_what_is_said_about_a_tensor_is_no_tensor(call: str) -> None:
    found = run(call, *(Tensor(each, requires_grad=True) for each in (X, S, V)))
    expected = run(call, X, S, V)
    assert type(found) is type(expected)
    assert found == expected


def test_not_a_number_has_no_gradient_in_what_leaves_it_out() -> None:
    for function in (np.nansum, np.nanmean):
        x = Tensor(NAN, requires_grad=True)
        y = function(x, axis=0)
        assert_same(y, function(NAN, axis=0))
        y.sum().backward()
        assert x.grad is not None
        assert (np.isnan(NAN) == (x.grad.numpy() == 0)).all()


def test_without_a_gradient_to_lose_numpy_computes_on_the_values() -> None:
    x = Tensor(X)
    for call in ("np.percentile(x, 30)", "np.cbrt(x)", "np.interp(v, [0, 1], [2.0, 3.0])"):
        found = run(call, x, Tensor(S), Tensor(V))
        assert isinstance(found, Tensor)
        assert_same(found, np.asarray(run(call, X, S, V)))
    counts: Any
    edges: Any
    counts, edges = np.histogram(x, bins=3)
    assert_same(counts, np.histogram(X, bins=3)[0])
    assert isinstance(edges, Tensor)


@pytest.mark.parametrize(
    "call",
    [
        "np.linalg.norm(n)", "np.linalg.norm(n, 1)", "np.linalg.det(n)", "np.linalg.inv(n)",
        "np.linalg.solve(n, b)", "np.linalg.svdvals(n)", "np.linalg.eigvalsh(n)", "np.fft.fft(n)",
        "np.fft.rfft2(n)", "np.linalg.trace(n)", "np.linalg.outer(b, b)", "np.linalg.diagonal(n)",
        "np.fft.fftshift(b)", "np.linalg.matmul(n, b)", "np.linalg.cross(b, b[::-1])",
    ],
)  # fmt: skip
def test_integers_are_what_they_are_in_numpy(call: str) -> None:
    n, b = np.array([[5, 1, 1], [1, 4, 2], [1, 2, 3]]), np.array([1, 2, 4])
    found = eval(call, {"np": np, "n": Tensor(n), "b": Tensor(b)})  # noqa: S307 (from the list)
    assert isinstance(found, Tensor)
    assert_same(found, np.asarray(eval(call, {"np": np, "n": n, "b": b})))  # noqa: S307


def test_scipy_s_ufuncs_go_by_their_names() -> None:
    special = pytest.importorskip("scipy.special")
    x = Tensor(X, requires_grad=True)
    assert_same(special.expit(x), lucid.sigmoid(x))
    assert special.expit(x).requires_grad
    with pytest.raises(lucid.GraphError, match="j0: lucid has no function for it"):
        special.j0(x)
    assert_same(special.j0(x.detach()), special.j0(X))


@pytest.mark.parametrize("library", ["torch", "jax.numpy"])
def test_tensors_of_other_libraries(library: str) -> None:
    xp = pytest.importorskip(library)
    x = Tensor(xp.asarray([1.0, 2.0], dtype=xp.float32), requires_grad=True)
    y = np.sum(np.exp(x))
    assert type(y._array) is type(x._array)
    with pytest.raises(lucid.LibraryError, match="x1 is a NumPy array"):
        np.ones(2) * x


# Operators


def test_an_operator_of_an_array_gives_what_the_tensor_s_gives() -> None:
    x = Tensor(X, requires_grad=True)
    for name in ("add", "sub", "mul", "truediv", "pow", "lt", "le", "gt", "ge", "eq", "ne"):
        function = getattr(operator, name)
        for left in (A, np.float64(0.5), np.float32(0.5), np.array(0.5)):
            found = function(left, x)
            assert isinstance(found, Tensor), (name, left)
            assert_same(found, function(left, X))


@pytest.mark.parametrize(
    "operation", [operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ipow]
)
def test_an_array_does_not_become_a_tensor_in_its_place(operation: Callable[..., Any]) -> None:
    array = A.copy()
    for requires_grad in (True, False):
        with pytest.raises(lucid.LibraryError) as caught:
            operation(array, Tensor(X, requires_grad=requires_grad))
        assert (
            "the array on the left of this assignment, (3, 4), cannot become a Tensor.\n"
            "Write `a = a * x` in the place of `a *= x`"
        ) in str(caught.value)
    assert np.array_equal(array, A)


def test_a_tensor_takes_an_array_in_its_place() -> None:
    x = Tensor(X)
    x += A
    assert_same(x, X + A)


# What is refused


T: Any = Tensor(X, requires_grad=True)


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (lucid.GraphError, "np.percentile: lucid has no function for it, and without one the "
         "gradient of a Tensor that requires one would be lost.\nThe nearest is lucid.sort; or "
         "call it on x.detach(), for the values.", lambda: np.percentile(T, 50)),
        (lucid.GraphError, "np.cbrt: lucid has no function for it", lambda: np.cbrt(T)),
        (lucid.GraphError, "np.linalg.lstsq: lucid has no function for it",
         lambda: np.linalg.lstsq(T, A)),
        (lucid.GraphError, "np.unwrap: lucid has no function for it, and without one the gradient "
         "of a Tensor that requires one would be lost.\nCompute it with functions that it has; or",
         lambda: np.unwrap(T)),
        (lucid.GraphError, "np.add.at: lucid has no function for it",
         lambda: np.add.at(A.copy(), [0], T)),
        (lucid.GraphError, "np.add.reduceat: lucid has no function for it",
         lambda: np.add.reduceat(T, [0, 1])),
        (lucid.GraphError, "np.maximum.accumulate: lucid has no function for it",
         lambda: np.maximum.accumulate(T)),
        (lucid.GraphError, "np.modf: lucid has no function for it", lambda: np.modf(T)),
        (lucid.ArgumentError, "np.exp: the argument where is not there for Tensors (lucid's exp "
         "takes x); choose with np.where before or after it", lambda: np.exp(T, where=A > 0.5)),
        (lucid.ArgumentError, "np.sum: the argument where is not there for Tensors",
         lambda: np.sum(T, where=A > 0.5)),
        (lucid.ArgumentError, "np.sum: the argument initial is not there for Tensors",
         lambda: np.sum(T, initial=1.0)),
        (lucid.ArgumentError, "np.add.reduce: the argument initial is not there for Tensors",
         lambda: np.add.reduce(T, initial=1.0)),
        (lucid.ArgumentError, "np.add: the argument casting is not there for Tensors",
         lambda: np.add(T, 1.0, casting="unsafe")),
        (lucid.ArgumentError, "np.mean: the argument dtype is not there for Tensors (lucid's mean "
         "takes x, axis, keepdims); convert before or after it, with astype",
         lambda: np.mean(T, dtype=np.float32)),
        (lucid.ArgumentError, "np.reshape: the argument order is not there for Tensors",
         lambda: np.reshape(T, (4, 3), order="F")),
        (lucid.LibraryError, "np.exp: out is a NumPy array, (3, 4), which cannot remember how a "
         "Tensor was computed.\nUse the result", lambda: np.exp(T, out=A.copy())),
        (lucid.LibraryError, "np.sum: out is a NumPy array", lambda: np.sum(T, out=np.array(0.0))),
        (lucid.ArgumentError, "np.exp: a Tensor is not written into with out=",
         lambda: np.exp(A, out=T)),
        (lucid.GraphError, "does not turn into an array by itself", lambda: np.asarray(T)),
        (ValueError, "only mode='constant' with one value", lambda: np.pad(T, 1, mode="edge")),
    ],
)  # fmt: skip
def test_what_is_not_there_is_refused_in_words(
    error: type[Exception], words: str, call: Callable[[], Any]
) -> None:
    with pytest.raises(error) as caught:
        call()
    assert words in str(caught.value)


def test_every_composed_function_is_one_of_numpy_s() -> None:
    for name, function in vars(_numpy_functions).items():
        is_own = getattr(function, "__module__", None) == _numpy_functions.__name__
        if is_own and callable(function) and not name.startswith("_"):
            place, _, rest = name.partition("_")
            assert hasattr(np, name) or hasattr(getattr(np, place), rest)


def test_every_name_in_the_tables_is_one_of_numpy_s() -> None:
    names = {*_numpy._NAMES, *_numpy._ON_VALUES, *_numpy._CONSTANT, *_numpy._NEAREST}
    names |= {*_numpy._REDUCTIONS, *_numpy._ACCUMULATIONS, *_numpy._OTHERWISE} - {""}
    for name in names - {"expit"}:
        assert hasattr(np, name) or hasattr(np.linalg, name.removeprefix("linalg."))
    for place, name in (name.split(".") for name in _numpy._OF_INTEGERS):
        assert hasattr(getattr(np, place), name)


def test_who_does_not_use_it_does_not_import_it() -> None:
    code = (
        "import sys, numpy as np, lucid;"
        "x = lucid.ones(3).requires_grad_(); (x * np.ones(3)).sum().backward();"
        "print('lucid._numpy' in sys.modules); np.exp(x); print('lucid._numpy' in sys.modules)"
    )
    done = subprocess.run(  # noqa: S603 (our own code)
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "True"]


def test_scipy_s_functions_of_the_standard_give_gradients() -> None:
    pytest.importorskip("scipy")
    code = (
        "import lucid, numpy as np; from scipy import cluster, integrate, special;"
        "from lucid.testing import gradcheck; x = np.array([[0.1, 0.5, 0.2], [1.0, 0.3, 0.9]]);"
        "functions = [special.softmax, special.log_softmax, integrate.cumulative_trapezoid,"
        " cluster.vq.whiten];"
        "[gradcheck(f, [lucid.Tensor(x, requires_grad=True)]) for f in functions]; print('right')"
    )
    done = subprocess.run(  # noqa: S603 (our own code)
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, env={**os.environ, "SCIPY_ARRAY_API": "1"},
    )  # fmt: skip
    assert done.stdout.split() == ["right"]


# Programs that know nothing of lucid


def softmax_regression(w: Any, xp: Any = np) -> Any:
    scores = xp.asarray(A) @ w
    scores = scores - xp.max(scores, axis=1, keepdims=True)
    chances = xp.exp(scores) / xp.sum(xp.exp(scores), axis=1, keepdims=True)
    return -xp.mean(xp.log(chances[xp.arange(3), xp.asarray([0, 2, 1])]))


def k_means(centres: Any, xp: Any = np) -> Any:
    apart = xp.expand_dims(xp.asarray(A), 1) - centres
    return xp.mean(xp.min(xp.sum(apart**2, axis=-1), axis=1))


def gaussian_log_likelihood(mean: Any, log_deviation: Any, xp: Any = np) -> Any:
    z = (xp.asarray(A) - mean) / xp.exp(log_deviation)
    return -xp.sum(0.5 * z**2 + log_deviation + 0.5 * np.log(2 * np.pi))


def newton_step(x: Any, xp: Any = np) -> Any:
    for _ in range(3):  # the square root, by Newton
        x = 0.5 * (x + 2.0 / x)
    return xp.sum(x)


def power_iteration(s: Any, xp: Any = np) -> Any:
    v = xp.ones(3)
    for _ in range(8):
        v = xp.dot(s, v)
        v = v / xp.linalg.norm(v)
    return xp.dot(v, xp.dot(s, v))


def convolution_by_loops(kernel: Any, xp: Any = np) -> Any:
    image = xp.asarray(np.arange(20.0).reshape(4, 5) % 7)
    rows = []
    for i in range(3):
        row = [xp.sum(image[i : i + 2, j : j + 2] * kernel) for j in range(4)]
        rows.append(xp.stack(row))
    return xp.sum(xp.tanh(xp.stack(rows) / 10))


def rosenbrock(x: Any, xp: Any = np) -> Any:
    return xp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def logistic_map(r: Any, xp: Any = np) -> Any:
    x, path = 0.3, []
    for _ in range(6):
        x = r * x * (1 - x)
        path.append(x)
    return xp.std(xp.stack(path))


def kernel_ridge(width: Any, xp: Any = np) -> Any:
    points, values = xp.asarray(A[:, 0]), xp.asarray(V)
    distances = (points[:, None] - points[None, :]) ** 2
    kernel = xp.exp(-distances / width**2)
    weights = xp.linalg.solve(kernel + 0.1 * xp.eye(3), values)
    return xp.sum((kernel @ weights - values) ** 2)


def covariance(x: Any, xp: Any = np) -> Any:
    return xp.sum(xp.cov(x) ** 2) + xp.trace(xp.cov(x, rowvar=False))


def perceptron(w1: Any, w2: Any, xp: Any = np) -> Any:
    hidden = xp.maximum(xp.matmul(xp.asarray(A), w1), 0.0)
    return xp.mean(xp.square(xp.matmul(hidden, w2) - 1.0))


def attention(q: Any, k: Any, xp: Any = np) -> Any:
    scores = xp.einsum("id,jd->ij", q, k) / np.sqrt(q.shape[-1])
    weights = xp.exp(scores) / xp.sum(xp.exp(scores), axis=-1, keepdims=True)
    return xp.sum(xp.einsum("ij,jd->id", weights, k) ** 2)


def pendulum(start: Any, xp: Any = np) -> Any:
    angle, speed = start[0], start[1]
    for _ in range(10):
        speed = speed - 0.1 * xp.sin(angle)
        angle = angle + 0.1 * speed
    return angle**2 + speed**2


def polynomial_fit(x: Any, xp: Any = np) -> Any:
    powers = xp.stack([x**k for k in range(3)], axis=1)
    fit = xp.linalg.solve(powers.T @ powers, powers.T @ xp.asarray([1.0, 2.0, 0.5, 1.5]))
    return xp.sum(fit**2)


def moving_average(x: Any, xp: Any = np) -> Any:
    sums = xp.cumsum(xp.concatenate([xp.zeros(1), x]))
    means = (sums[2:] - sums[:-2]) / 2
    return xp.sum(xp.where(means > 0.5, means**2, means)) + xp.prod(xp.clip(x, 0.2, 0.9))


PROGRAMS: list[tuple[Callable[..., Any], list[Array]]] = [
    (softmax_regression, [X.T[:, :3]]),
    (k_means, [X[:2]]),
    (gaussian_log_likelihood, [X[0], X[1]]),
    (newton_step, [V]),
    (power_iteration, [S]),
    (convolution_by_loops, [X[:2, :2]]),
    (rosenbrock, [X[0]]),
    (logistic_map, [np.array(3.4)]),
    (kernel_ridge, [np.array(0.7)]),
    (covariance, [X]),
    (perceptron, [X.T[:, :3] - 0.5, X[:, :2]]),
    (attention, [X, A]),
    (pendulum, [np.array([1.0, 0.2])]),
    (polynomial_fit, [X[1]]),
    (moving_average, [X[2]]),
]


@pytest.mark.parametrize(
    ("program", "given"), PROGRAMS, ids=lambda each: getattr(each, "__name__", "")
)
def test_a_program_in_numpy_differentiates(program: Callable[..., Any], given: list[Array]) -> None:
    leaves = [Tensor(each, requires_grad=True) for each in given]
    value = program(*leaves)
    assert_same(value, np.asarray(program(*given)), rtol=1e-11)
    gradcheck(program, [*given], every_element=True)

    jax = pytest.importorskip("jax")
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    try:
        numbers = range(len(given))
        expected = jax.grad(lambda *xs: program(*xs, xp=jax.numpy), numbers)(*given)
        for one, other in zip(lucid.grad(value, leaves), expected, strict=True):
            assert_same(one, np.asarray(other), rtol=1e-9, atol=1e-11)
    finally:
        jax.config.update("jax_enable_x64", before)
