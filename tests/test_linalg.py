"""Linear algebra beside the table: ranks, and what is refused in which words."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import inf
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, linalg
from lucid.linalg import solve
from lucid.testing import assert_same, gradcheck

Array = np.ndarray[Any, Any]


def regular(*shape: int) -> np.ndarray[Any, Any]:
    random = np.random.default_rng(0)
    return np.asarray(random.standard_normal(shape) + 3 * np.eye(shape[-1]))


@pytest.mark.parametrize("lead_1", [(), (1,), (2,), (3, 1), (3, 2), (0,)])
@pytest.mark.parametrize("lead_2", [None, (), (1,), (2,), (3, 1), (1, 2), (4, 3, 2)])
def test_solve_has_the_ranks_of_the_standard(
    lead_1: tuple[int, ...], lead_2: tuple[int, ...] | None
) -> None:
    x1 = regular(*lead_1, 2, 2)
    x2 = np.arange(2.0) if lead_2 is None else np.random.default_rng(1).normal(size=(*lead_2, 2, 5))
    try:
        lead = np.broadcast_shapes(lead_1, lead_2 or ())
    except ValueError:
        with pytest.raises(lucid.ShapeError, match="the leading axes"):
            solve(x1, x2)
        return
    y = solve(Tensor(x1), Tensor(x2))
    assert y.shape == (*lead, 2) if lead_2 is None else (*lead, 2, 5)
    columns = y.numpy()[..., None] if lead_2 is None else y.numpy()
    back = x1 @ columns
    assert_same(back[..., 0] if lead_2 is None else back, np.broadcast_to(x2, y.shape), rtol=1e-12)
    if 0 not in y.shape:
        gradcheck(solve, [x1, x2], order=2)


def test_a_square_x2_is_no_stack_of_vectors() -> None:
    x1, x2 = regular(2, 2, 2), np.arange(4.0).reshape(2, 2)
    assert solve(x1, x2).shape == (2, 2, 2)  # NumPy 1 and PyTorch would see two vectors
    torch = pytest.importorskip("torch")
    assert_same(solve(Tensor(torch.asarray(x1)), torch.asarray(x2)), solve(x1, x2))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.complex64, np.complex128])
def test_a_dtype_stays(dtype: Any) -> None:
    assert solve(regular(2, 2).astype(dtype), np.ones(2, dtype)).dtype == dtype


REFUSED = [
    (np.ones((2, 3)), np.ones(2), lucid.ShapeError,
     "solve: x1 has shape (2, 3), expected (..., m, m): a square matrix, or a stack of them in its "
     "last two axes"),
    (np.ones(2), np.ones(2), lucid.ShapeError, "solve: x1 has shape (2,), expected (..., m, m): "),
    (np.eye(2), np.ones(3), lucid.ShapeError,
     "solve: x1 (2, 2) has 2 rows, but x2 (3,) has 3; x2 has the shape (2,) or (..., 2, n)"),
    (np.eye(2), np.ones((2, 3, 4)), lucid.ShapeError, "but x2 (2, 3, 4) has 3; x2 has the shape"),
    (np.eye(2), np.array(1.0), lucid.ShapeError, "but x2 () is a scalar; x2 has the shape"),
    (np.stack([np.eye(2)] * 2), np.ones((3, 2, 1)), lucid.ShapeError,
     "solve: the leading axes (2,) of x1 (2, 2, 2) and (3,) of x2 (3, 2, 1) do not broadcast; "
     "aligned at the right, each pair must be equal or contain a 1"),
    (np.eye(2, dtype=int), np.ones(2), lucid.DTypeError,
     "solve: x1 is int64, expected an array of floating-point numbers; convert it, as in "
     "lucid.asarray(x1, dtype=lucid.float32)"),
    (np.eye(2), 1.0, lucid.DTypeError, "solve: x2 is float, expected an array of floating-point"),
    (np.ones((2, 2)), np.ones(2), lucid.ArgumentError,
     "solve: x1 (2, 2) is singular: its rows depend on each other, and no y, or more than one, "
     "solves x1 · y = x2"),
    (np.stack([[np.eye(2), np.zeros((2, 2))]]), np.ones(2), lucid.ArgumentError,
     "solve: x1[0, 1] of x1 (1, 2, 2, 2) is singular: "),
]  # fmt: skip


@pytest.mark.parametrize(("x1", "x2", "error", "words"), REFUSED)
def test_what_does_not_fit_is_told(x1: Any, x2: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        solve(x1, x2)


def test_a_singular_matrix_of_torch_is_told() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(lucid.ArgumentError, match=r"^solve: x1\[1\] of x1 \(2, 2, 2\) is singular"):
        solve(Tensor(torch.stack([torch.eye(2), torch.ones(2, 2)])), torch.ones(2))


# Decompositions: what they are, named and shaped as the standard says


def normal(*shape: int, seed: int = 0, dtype: Any = np.float64) -> Array:
    random = np.random.default_rng(seed)
    x = np.asarray(random.standard_normal(shape))
    if np.dtype(dtype).kind == "c":
        x = x + 1j * random.standard_normal(shape)
    return x.astype(dtype)


def adjoint(x: Array) -> Array:
    return np.conj(np.swapaxes(x, -1, -2))


def of_real(dtype: Any) -> Any:
    return np.empty(0, dtype).real.dtype


DTYPES = [np.float32, np.float64, np.complex64, np.complex128]
SHAPES = [
    (3, 3), (4, 2), (2, 4), (2, 3, 3), (2, 1, 4, 3), (1, 1), (0, 0), (0, 3), (3, 0), (0, 3, 2),
]  # fmt: skip


def close(actual: Any, expected: Any) -> None:
    single = expected.dtype in (np.float32, np.complex64)
    assert_same(actual, expected, rtol=2e-5 if single else 1e-12, atol=2e-5 if single else 1e-12)


def is_orthonormal(columns: Array) -> None:
    one = np.eye(columns.shape[-1], dtype=columns.dtype)
    close(adjoint(columns) @ columns, np.broadcast_to(one, (*columns.shape[:-2], *one.shape)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_svd_is_a_decomposition(shape: tuple[int, ...], full: bool, dtype: Any) -> None:
    x = normal(*shape, dtype=dtype)
    found: Any = linalg.svd(Tensor(x), full_matrices=full)
    assert found._fields == ("U", "S", "Vh")
    u, s, vh = (each.numpy() for each in found)
    rows, columns, k = *shape[-2:], min(shape[-2:])
    assert u.shape == (*shape[:-1], rows if full else k)
    assert vh.shape == (*shape[:-2], columns if full else k, columns)
    assert (u.dtype, s.dtype, vh.dtype) == (dtype, of_real(dtype), dtype)
    close((u[..., :k] * s[..., None, :]) @ vh[..., :k, :], x)
    is_orthonormal(u)
    is_orthonormal(adjoint(vh))
    assert (np.diff(s) <= 0).all()
    close(linalg.svdvals(Tensor(x)), s)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", ["reduced", "complete"])
@pytest.mark.parametrize("shape", SHAPES)
def test_qr_is_a_decomposition(shape: tuple[int, ...], mode: str, dtype: Any) -> None:
    x = normal(*shape, dtype=dtype)
    found: Any = linalg.qr(Tensor(x), mode=mode)
    assert found._fields == ("Q", "R")
    q, r = (each.numpy() for each in found)
    k = shape[-2] if mode == "complete" else min(shape[-2:])
    assert (q.shape, r.shape) == ((*shape[:-1], k), (*shape[:-2], k, shape[-1]))
    assert q.dtype == r.dtype == dtype
    close(q @ r, x)
    is_orthonormal(q)
    assert (np.tril(r, -1) == 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape[-1] == shape[-2]])
def test_eigenvectors_are_eigenvectors(shape: tuple[int, ...], dtype: Any) -> None:
    x = normal(*shape, dtype=dtype)
    for function, matrix in ((linalg.eigh, x + adjoint(x)), (linalg.eig, x)):
        found: Any = function(Tensor(matrix))
        assert found._fields == ("eigenvalues", "eigenvectors")
        values, vectors = (each.numpy() for each in found)
        assert (values.shape, vectors.shape) == (shape[:-1], shape)
        if function is linalg.eigh:
            assert (values.dtype, vectors.dtype) == (of_real(dtype), dtype)
            assert (np.diff(values) >= 0).all()
            close(linalg.eigvalsh(Tensor(matrix)), values)
        else:
            assert values.dtype == vectors.dtype == np.result_type(dtype, np.complex64)
            assert_same(linalg.eigvals(Tensor(matrix)), values)
        close(matrix @ vectors, vectors * values[..., None, :] + np.zeros_like(matrix))


@pytest.mark.parametrize(
    "function",
    [
        linalg.cholesky, linalg.det, linalg.eig, linalg.eigh, linalg.eigvals, linalg.eigvalsh,
        linalg.inv, linalg.matrix_norm, linalg.matrix_rank, linalg.pinv, linalg.qr, linalg.slogdet,
        linalg.svd, linalg.svdvals, linalg.vector_norm, lambda x: linalg.matrix_power(x, -2),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_are_computed_in_float32_and_rounded(function: Any, dtype: str) -> None:
    half = np.dtype(np.float16 if dtype == "float16" else pytest.importorskip("ml_dtypes").bfloat16)
    x = np.array([[2.0, 0.5], [0.5, 1.0]]).astype(half)
    found, wide = function(Tensor(x)), function(Tensor(x.astype(np.float32)))
    several = isinstance(found, tuple)
    for one, other in zip(found, wide, strict=True) if several else [(found, wide)]:
        narrow = half if other.dtype == np.float32 else other.dtype
        assert_same(one, other.numpy().astype(narrow), rtol=0, atol=0)


# Equal eigenvalues and singular values: what does not depend on the vectors has its gradient


def gradient(function: Callable[..., Any], x: Any) -> Array:
    tensor = Tensor(x, requires_grad=True)
    found: Array = lucid.grad(function(tensor), tensor).numpy()
    return found


def projector(columns: Any) -> Any:
    return lucid.matmul(columns, lucid.conj(lucid.matrix_transpose(columns)))


def power_by_svd(x: Any, full: bool = False) -> Any:
    u, s, vh = linalg.svd(x, full_matrices=full)
    k = s.shape[-1]
    return lucid.matmul(u[..., :k] * lucid.expand_dims(s**3, axis=-2), vh[..., :k, :])


ROTATION = np.linalg.qr(normal(4, 4))[0]
UNITARY = np.linalg.qr(normal(4, 4, dtype=complex))[0]


@pytest.mark.parametrize("basis", [np.eye(4), ROTATION, UNITARY])
@pytest.mark.parametrize("values", [[1, 1, 1, 1], [2, 2, 2, 5], [1, 1, 3, 3], [0, 0, 0, 1.0]])
def test_equal_eigenvalues_together_have_a_derivative(basis: Array, values: list[float]) -> None:
    x = (basis * np.array(values, float)) @ adjoint(basis)
    for function in (linalg.eigvalsh, lambda x: linalg.eigh(x)[0], linalg.eigvals):
        gradcheck(lambda x, f=function: lucid.sum(f(x) ** 3), [x], every_element=True)
    count = values.count(values[0])
    gradcheck(lambda x: projector(linalg.eigh(x)[1][:, :count]), [x], every_element=True)


@pytest.mark.parametrize("shape", [(4, 4), (4, 3), (3, 4)])
@pytest.mark.parametrize("basis", [np.eye(4), ROTATION, UNITARY])
@pytest.mark.parametrize(
    ("values", "count"), [([1, 1, 1, 1], 4), ([5, 2, 2, 2], 1), ([3, 3, 1, 1], 2)]
)
def test_equal_singular_values_together_have_a_derivative(
    shape: tuple[int, int], basis: Array, values: list[float], count: int
) -> None:
    k = min(shape)
    count = min(count, k)
    left, _ = np.linalg.qr(basis[: shape[0], :k])
    right, _ = np.linalg.qr(basis.T[: shape[1], :k])
    matrix = (left * np.array(values[:k], float)) @ adjoint(right)
    gradcheck(lambda x: lucid.sum(linalg.svdvals(x) ** 3), [matrix], every_element=True)
    for full in (False, True):

        def parts(x: Any, full: bool = full) -> Any:
            u, s, vh = linalg.svd(x, full_matrices=full)
            return lucid.sum(s**3), projector(u[:, :count]), lucid.matmul(u[:, :count], vh[:count])

        gradcheck(parts, [matrix], every_element=True)
    gradcheck(lambda x: linalg.matrix_norm(x, ord="nuc"), [matrix], order=2, every_element=True)


def test_what_to_compute_instead_has_every_derivative_at_equal_eigenvalues() -> None:
    def root(x: Any) -> Any:  # E. Denman and A. Beavers, 1976
        y, z = x, np.eye(3)
        for _ in range(8):
            y, z = (y + linalg.inv(z)) / 2, (z + linalg.inv(y)) / 2
        return y

    for values in ([1.0, 1.0, 1.0], [2.0, 0.5, 0.5]):
        basis = ROTATION[:3, :3] + np.eye(3)
        x = np.linalg.solve(basis, np.diag(values) @ basis)
        assert_same(lucid.matmul(root(x), root(x)), x, rtol=1e-12, atol=1e-12)
        gradcheck(root, [x], order=2, every_element=True)


def test_a_rank_that_is_not_full_gives_finite_gradients() -> None:
    for shape in ((3, 3), (4, 3), (3, 4)):
        for rank in (0, 1, 2):
            x = normal(shape[0], rank) @ normal(rank, shape[1], seed=1)
            assert np.isfinite(gradient(lambda x: lucid.sum(power_by_svd(x)), x)).all()
            assert np.isfinite(gradient(lambda x: linalg.matrix_norm(x, ord="nuc"), x)).all()
            assert np.isfinite(gradient(lambda x: lucid.sum(linalg.svd(x)[0]), x)).all()
    for x in (np.ones((3, 3)), np.eye(3)):
        for function in (linalg.eigh, lambda x: linalg.eig(x + lucid.matrix_transpose(x))):
            found = gradient(lambda x, f=function: lucid.sum(lucid.real(f(x)[1] + 0j)), x)
            assert np.isfinite(found).all()


# Singular matrices: det has its derivatives, of every order


def of_rank(n: int, rank: int, *, seed: int = 0, dtype: Any = np.float64) -> Array:
    return normal(n, rank, seed=seed, dtype=dtype) @ normal(rank, n, seed=seed + 1, dtype=dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize(("n", "rank"), [(1, 0), (2, 0), (2, 1), (3, 1), (3, 2), (4, 2), (4, 0)])
def test_det_has_every_derivative_where_it_is_0(n: int, rank: int, dtype: Any) -> None:
    gradcheck(linalg.det, [of_rank(n, rank, dtype=dtype)], order=3, every_element=True)


def test_the_gradient_of_det_is_the_matrix_of_cofactors() -> None:
    x = of_rank(4, 3)
    minors = [[np.delete(np.delete(x, i, 0), j, 1) for j in range(4)] for i in range(4)]
    signs = (-1.0) ** np.add.outer(range(4), range(4))
    assert_same(gradient(linalg.det, x), signs * np.linalg.det(np.array(minors)), rtol=1e-10)
    assert_same(gradient(linalg.det, [[0.0, 0.0], [0.0, 0.0]]), np.zeros((2, 2), np.float32))
    assert_same(gradient(linalg.det, [[2.0, 0.0], [0.0, 0.0]]), np.diag([0.0, 2.0]).astype("f4"))


def test_a_stack_of_singular_and_other_matrices() -> None:
    x = np.stack([of_rank(3, rank, seed=rank) for rank in (3, 2, 1, 0)] + [1e-9 * np.eye(3)])
    gradcheck(linalg.det, [x], order=3)
    for matrix, whole in zip(x, gradient(linalg.det, x), strict=True):
        assert_same(whole, gradient(linalg.det, matrix), rtol=1e-9, atol=1e-13)


def test_a_nearly_singular_matrix_keeps_its_digits() -> None:
    x = np.diag([1.0, 2.0, 1e-14])
    x[0, 1] = 3.0
    assert_same(gradient(linalg.det, x)[2, 2], 2.0, rtol=1e-12)
    hilbert = 1 / (1 + np.add.outer(np.arange(8.0), np.arange(8.0)))
    minor = np.linalg.det(hilbert[:7, :7])
    assert_same(gradient(linalg.det, hilbert)[7, 7], minor, rtol=1e-6)


def test_numbers_that_are_none_are_no_error_of_det() -> None:
    with np.errstate(all="ignore"):
        assert np.isnan(gradient(linalg.det, [[np.nan, 0.0], [0.0, 1.0]])).any()


def test_slogdet_of_a_singular_matrix() -> None:
    x = Tensor([[1.0, 2.0], [2.0, 4.0]], requires_grad=True)
    sign, logabsdet = linalg.slogdet(x)
    assert (sign.item(), logabsdet.item()) == (0.0, -inf)
    words = "slogdet: x (2, 2) is singular; logabsdet is -∞ there, and has no gradient"
    with pytest.raises(lucid.ArgumentError, match=re.escape(words)):
        lucid.grad(logabsdet, x)


# Ranks and powers


def test_a_pseudo_inverse_has_every_derivative_among_matrices_of_its_rank() -> None:
    for rows, columns in ((3, 3), (4, 3), (3, 4)):
        for dtype in (np.float64, np.complex128):
            parts = [normal(rows, 2, dtype=dtype), normal(2, columns, seed=1, dtype=dtype)]
            gradcheck(lambda x, y: linalg.pinv(lucid.matmul(x, y), rtol=1e-10), parts, order=2)


def test_what_is_negligible_is_told_for_each_matrix() -> None:
    x = np.stack([np.diag([1.0, 1e-3, 1e-9])] * 3)
    rtol = np.array([1e-10, 1e-6, 0.1])
    assert_same(linalg.matrix_rank(Tensor(x), rtol=Tensor(rtol)), np.array([3, 2, 1]))
    assert_same(linalg.matrix_rank(x), np.array([3, 3, 3]))
    assert_same(linalg.matrix_rank(x, rtol=1e-6), np.array([2, 2, 2]))
    assert_same(linalg.matrix_rank(np.zeros((2, 3, 4))), np.array([0, 0]))
    found = linalg.pinv(Tensor(x, requires_grad=True), rtol=rtol)
    ones = [np.diag([1.0, 1e3, 1e9]), np.diag([1.0, 1e3, 0.0]), np.diag([1.0, 0.0, 0.0])]
    assert_same(found, np.stack(ones))
    half = linalg.pinv(np.eye(2, dtype=np.float16), rtol=np.float32(0.5))
    assert half.dtype == np.float16


@pytest.mark.parametrize("n", [-7, -2, -1, 0, 1, 2, 3, 6, 7, 12])
def test_a_power_has_every_derivative(n: int) -> None:
    x = np.diag([0.9, 1.0, 1.1]) + 0.1 * normal(3, 3)
    assert_same(linalg.matrix_power(x, n), np.linalg.matrix_power(x, n), rtol=1e-12)
    gradcheck(lambda x: linalg.matrix_power(x, n), [x], order=2, every_element=True)


# Norms


@pytest.mark.parametrize("ord", [2, 1, 3, 4, 0.5, 0, inf, -inf, -1, -2])
def test_a_norm_of_0_has_gradient_0(ord: float) -> None:
    for x in (np.zeros(3), np.zeros((2, 3), complex), np.zeros(())):
        assert (gradient(lambda x: linalg.vector_norm(x, ord=ord), x) == 0).all()


@pytest.mark.parametrize("ord", ["fro", "nuc", 1, -1, 2, -2, inf, -inf])
def test_a_matrix_norm_of_0_has_a_finite_gradient(ord: Any) -> None:
    assert np.isfinite(gradient(lambda x: linalg.matrix_norm(x, ord=ord), np.zeros((3, 2)))).all()


def test_an_even_norm_has_every_derivative_at_elements_of_0() -> None:
    x = np.array([0.0, 1.0, -2.0, 0.0])
    gradcheck(linalg.vector_norm, [x], order=3, every_element=True)
    gradcheck(lambda x: linalg.vector_norm(x, ord=4), [x], order=3, every_element=True)
    gradcheck(lambda x: linalg.vector_norm(x, ord=4), [x + 0j], order=2, every_element=True)


def test_a_high_order_overflows_nowhere() -> None:
    x = np.array([1e200, -2e200])
    assert_same(linalg.vector_norm(x, ord=100), 2e200, rtol=1e-12)
    assert_same(linalg.vector_norm(1e-300 * x, ord=-100), 1e-100, rtol=1e-12)
    assert_same(gradient(lambda x: linalg.vector_norm(x, ord=3), x),
                [(1 / 9) ** (2 / 3), -((8 / 9) ** (2 / 3))], rtol=1e-12)  # fmt: skip


def test_norms_of_nothing() -> None:
    nothing = np.zeros((2, 0))
    for ord in (2, 1, 0, 3, inf):
        assert_same(linalg.vector_norm(nothing, axis=1, ord=ord), np.zeros(2))
        assert_same(linalg.vector_norm(nothing, ord=ord), 0.0)
    for ord in (-1, -2, -inf):
        assert_same(linalg.vector_norm(nothing, axis=1, ord=ord), np.full(2, inf))
    for shape in ((0, 3), (3, 0), (0, 0)):
        for name in ("fro", "nuc", 1, 2, inf):
            assert_same(linalg.matrix_norm(np.zeros(shape), ord=name), 0.0)
    for name in (-1, -2, -inf):
        assert_same(linalg.matrix_norm(np.zeros((0, 0)), ord=name), inf)
        assert linalg.matrix_norm(np.zeros((0, 2, 2)), ord=name).shape == (0,)


# Matrices of size 0, and no matrix


@pytest.mark.parametrize(
    "shape", [(0, 0), (0, 2, 2), (2, 0, 0), (0, 3), (3, 0), (2, 0, 3), (0, 2, 3)]
)
def test_matrices_without_elements(shape: tuple[int, ...]) -> None:
    anything: list[Any] = [
        linalg.diagonal, linalg.matrix_norm, linalg.pinv, linalg.qr, linalg.svd, linalg.svdvals,
        linalg.trace, linalg.vector_norm, lambda x: linalg.svd(x, full_matrices=False),
        lambda x: linalg.qr(x, mode="complete"),
    ]  # fmt: skip
    square: list[Any] = [
        linalg.cholesky, linalg.det, linalg.eig, linalg.eigh, linalg.eigvals, linalg.eigvalsh,
        linalg.inv, linalg.slogdet, lambda x: linalg.matrix_power(x, 3),
        lambda x: linalg.matrix_power(x, -1), lambda x: linalg.matrix_power(x, 0),
    ]  # fmt: skip
    for dtype in (np.float64, np.complex128):
        for function in [*anything, *(square if shape[-1] == shape[-2] else [])]:
            x = Tensor(np.zeros(shape, dtype), requires_grad=True)
            found = function(x)
            found = list(found) if isinstance(found, tuple) else [found]
            slope = lucid.grad(found, x, create_graph=True)
            assert (slope.shape, slope.dtype) == (x.shape, x.dtype)
        ranks = linalg.matrix_rank(np.zeros(shape, dtype))
        assert_same(ranks, np.zeros(shape[:-2], int))
    if shape[-1] == shape[-2]:
        assert_same(linalg.det(np.zeros(shape)), np.ones(shape[:-2]))


# What is refused

PLAIN = np.arange(9.0).reshape(3, 3)

WRONG: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: linalg.det(np.ones((2, 3))), lucid.ShapeError,
     "det: x has shape (2, 3), expected (..., m, m): a square matrix, or a stack of them in its "
     "last two axes"),
    (lambda: linalg.eigvals([[1, 2], [3, 4]]), lucid.DTypeError,
     "eigvals: x is int64, expected an array of floating-point numbers; convert it, as in "
     "lucid.asarray(x, dtype=lucid.float32)"),
    (lambda: linalg.svd(np.ones(3)), lucid.ShapeError,
     "svd: x has shape (3,), expected (..., m, n): a matrix, or a stack of them in its last two "
     "axes"),
    (lambda: linalg.svd(PLAIN, full_matrices=2), lucid.ArgumentError,  # type: ignore[arg-type]
     "svd: full_matrices is 2, expected True or False"),
    (lambda: linalg.cholesky(np.stack([np.eye(2), -np.eye(2)])), lucid.ArgumentError,
     "cholesky: x[1] of x (2, 2, 2) is not positive definite: an eigenvalue of its Hermitian part "
     "(x + xᴴ) / 2 is 0 or below; if only rounding makes it so, add a little, as in x + 1e-6 * "
     "lucid.eye(2)"),
    (lambda: linalg.inv(PLAIN * 0), lucid.ArgumentError,
     "inv: x (3, 3) is singular: its rows depend on each other, and there is no inverse; see "
     "linalg.pinv"),
    (lambda: linalg.matrix_power(np.stack([np.eye(2), np.ones((2, 2))]), -3), lucid.ArgumentError,
     "matrix_power: x[1] of x (2, 2, 2) is singular: it has no inverse, and so no power -3"),
    (lambda: linalg.matrix_power(np.eye(2), 1.5), lucid.ArgumentError,  # type: ignore[arg-type]
     "matrix_power: n is 1.5, expected a whole number"),
    (lambda: linalg.svd(np.full((2, 3), np.nan)), lucid.ArgumentError,
     "svd: x (2, 3) was given up: the iteration does not converge, as it may not where an element "
     "is NaN or infinite"),
    (lambda: linalg.eig(np.stack([np.eye(2), np.full((2, 2), inf)])), lucid.ArgumentError,
     "eig: x[1] of x (2, 2, 2) was given up: "),
    (lambda: linalg.svdvals(np.full((2, 3), np.nan)), lucid.ArgumentError, "svdvals: x (2, 3) was"),
    (lambda: linalg.qr(np.eye(2), mode="raw"), lucid.ArgumentError,
     "qr: mode is 'raw', expected 'reduced' or 'complete'"),
    (lambda: linalg.matrix_norm(np.eye(2), ord=3), lucid.ArgumentError,
     "matrix_norm: ord is 3, expected 'fro', 'nuc', 1, -1, 2, -2, inf or -inf"),
    (lambda: linalg.vector_norm(PLAIN, ord="fro"), lucid.ArgumentError,  # type: ignore[arg-type]
     "vector_norm: ord is 'fro', expected a number"),
    (lambda: linalg.vector_norm(lucid.ones(2), axis=1), lucid.OutOfRangeError,
     "vector_norm: axis 1 is outside x (2,), which has 1 axis"),
    (lambda: linalg.vector_norm(np.ones(2), dim=0), TypeError,  # type: ignore[call-arg]
     "vector_norm() got an unexpected keyword argument 'dim'; use axis"),
    (lambda: linalg.cross(np.ones(2), np.ones(3)), lucid.ShapeError,
     "cross: axis -1 of x1 (2,) is 2, expected 3; vectors of 2 elements have no cross product"),
    (lambda: linalg.cross(np.ones((3, 2)), np.ones(3), axis=-2), lucid.OutOfRangeError,
     "cross: axis -2 is outside x2 (3,)"),
    (lambda: linalg.cross(np.ones(3), np.ones(3), axis=0), lucid.ArgumentError,
     "cross: axis is 0, expected one counted from the end, as -1 is, because x1 (3,) and x2 (3,) "
     "broadcast"),
    (lambda: linalg.outer(np.ones((2, 2)), np.ones(2)), lucid.ShapeError,
     "outer: x1 has shape (2, 2), expected one axis; flatten it with lucid.reshape(x1, (-1,))"),
    (lambda: linalg.trace(np.ones(2)), lucid.ShapeError,
     "trace: x has shape (2,), expected (..., m, n)"),
    (lambda: linalg.diagonal(PLAIN, offset=0.5), lucid.ArgumentError,  # type: ignore[arg-type]
     "diagonal: offset is 0.5, expected a whole number"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "words"), WRONG)
def test_what_is_refused_is_told(
    call: Callable[[], Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=re.escape(words)):
        call()


def test_where_a_gradient_does_not_exist_it_is_told() -> None:
    x = Tensor([[1.0, 1.0], [1.0, 1.0]], requires_grad=True)
    words = (
        "qr: it has no gradient where the first 2 columns of x (2, 2) depend on each other, "
        "because Q and R are not unique there"
    )
    with pytest.raises(lucid.ArgumentError, match=re.escape(words)):
        lucid.grad(linalg.qr(x * 0)[1], x)
    jordan = Tensor([[0.0, 1.0], [0.0, 0.0]], requires_grad=True, dtype=lucid.float64)
    words = (
        "eig: it has no gradient where a matrix of x (2, 2) has fewer independent eigenvectors "
        "than its 2 rows"
    )
    with pytest.raises(lucid.ArgumentError, match=re.escape(words)):
        lucid.grad(lucid.real(linalg.eigvals(jordan)), jordan)


# The same as PyTorch


@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 3), (2, 1, 4, 4)])
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_gradients_are_those_of_pytorch(shape: tuple[int, ...], dtype: Any) -> None:
    torch = pytest.importorskip("torch")
    x = normal(*shape, dtype=dtype) + 3 * np.eye(shape[-1])
    definite = x @ adjoint(x) + np.eye(shape[-1])
    for name, argument in [
        ("det", x), ("inv", x), ("pinv", x[..., :2]), ("pinv", x[..., :2, :]), ("slogdet", x),
        ("cholesky", definite), ("eigvalsh", definite), ("svdvals", x[..., :2]), ("qr", x),
        ("qr", x[..., :2]), ("qr", x[..., :2, :]), ("eigvals", x), ("matrix_norm", x),
        ("vector_norm", x), ("diagonal", x),
    ]:  # fmt: skip
        ours = Tensor(argument, requires_grad=True)
        theirs = torch.tensor(argument, requires_grad=True)
        found, wanted = getattr(linalg, name)(ours), getattr(torch.linalg, name)(theirs)
        if not isinstance(found, tuple):
            found, wanted = (found,), (wanted,)
        # of one sort, whose sum does not depend on an order
        total = lucid.sum(lucid.stack([lucid.sum(lucid.abs(each) ** 3) for each in found]))
        sum(each.abs().pow(3).sum() for each in wanted).backward()
        assert_same(lucid.grad(total, ours), theirs.grad.numpy(), rtol=1e-8, atol=1e-9)


# Under jax.jit there are no values to look at


@pytest.mark.parametrize(
    "function",
    [linalg.det, linalg.slogdet, linalg.inv, linalg.pinv, linalg.cholesky, linalg.qr, linalg.eigh,
     linalg.eig, linalg.svd, linalg.svdvals, linalg.vector_norm],
)  # fmt: skip
def test_jax_traces_gradients(function: Callable[..., Any]) -> None:
    jax = pytest.importorskip("jax")

    def slope(values: Any) -> Any:
        x = lucid.asarray(values).requires_grad_()
        found = function(x)
        several = found if isinstance(found, tuple) else (found,)
        return lucid.grad([lucid.sum(lucid.abs(each)) for each in several], x)._array

    x = jax.numpy.asarray(normal(3, 3) @ normal(3, 3).T + 3 * np.eye(3), jax.numpy.float32)
    assert_same(np.asarray(jax.jit(slope)(x)), np.asarray(slope(x)), rtol=1e-4, atol=1e-4)
