"""Gradients of linear algebra and Fourier transforms are PyTorch's, real and complex.

What is compared is the gradient of Re Σ w · out with random w, so a part of it that does not reach
the absolute values of the result is seen as well. Of decompositions that is what does not depend on
the choice of vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, fft, linalg
from lucid.testing import assert_same

torch: Any = pytest.importorskip("torch")

Array = np.ndarray[Any, Any]
REAL, COMPLEX = np.dtype(np.float64), np.dtype(np.complex128)


@dataclass
class Case:
    """A function of lucid, PyTorch's, and the shapes of what they are called with.

    A shape that starts with a letter is a special matrix: h Hermitian, p positive definite.
    """

    name: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    shapes: tuple[Any, ...]
    dtypes: tuple[Any, ...] = (REAL, COMPLEX)


def adjoint(xp: Any, x: Any) -> Any:
    return xp.conj(xp.matrix_transpose(x)) if xp is lucid else x.mH


def same_in_both(name: str, function: Callable[[Any, Any], Any], *shapes: Any) -> Case:
    """A function that is written once, for lucid and for PyTorch."""
    return Case(name, lambda x: function(lucid, x), lambda x: function(torch, x), shapes)


def by_eigenvectors(xp: Any, x: Any) -> Any:
    values, vectors = xp.linalg.eigh((x + adjoint(xp, x)) / 2)
    return (vectors * xp.exp(values / 4)[..., None, :]) @ adjoint(xp, vectors)


def by_right_eigenvectors(xp: Any, x: Any) -> Any:
    values, vectors = xp.linalg.eig(x)
    return (vectors * xp.exp(values / 4)[..., None, :]) @ xp.linalg.inv(vectors)


def by_singular_vectors(xp: Any, x: Any) -> Any:
    u, s, vh = xp.linalg.svd(x, full_matrices=False)
    return (u * xp.exp(s / 4)[..., None, :]) @ vh


def projector(xp: Any, x: Any) -> Any:
    _, vectors = xp.linalg.eigh((x + adjoint(xp, x)) / 2)
    return vectors[..., :2] @ adjoint(xp, vectors[..., :2])


def of_hermitian_part(xp: Any, x: Any, **options: Any) -> Any:
    # PyTorch reads one triangle; of the Hermitian part the two gradients are the same
    return xp.linalg.cholesky((x + adjoint(xp, x)) / 2, **options)


def powers_of_eigenvalues(xp: Any, x: Any) -> Any:
    return xp.einsum("...i->...", xp.linalg.eigvals(x) ** 3)  # in any order


def turned_qr(xp: Any, x: Any) -> Any:
    q, r = xp.linalg.qr(x)
    diagonal = xp.linalg.diagonal(r[..., : r.shape[-2]])
    turn = diagonal / xp.abs(diagonal)  # no library's choice of signs
    return q * turn[..., None, :], xp.conj(turn)[..., :, None] * r


def signs_of_slogdet(xp: Any, x: Any) -> Any:
    sign, logarithm = xp.linalg.slogdet(x)
    return sign * (1 + logarithm)


LINALG = [
    *(Case(name, getattr(linalg, name), getattr(torch.linalg, name), ((3, 3),))
      for name in ("det", "inv", "svdvals", "matrix_norm", "vector_norm", "diagonal")),
    Case("inv, stacked", linalg.inv, torch.linalg.inv, ((2, 1, 3, 3),)),
    Case("det, stacked", linalg.det, torch.linalg.det, ((2, 4, 4),)),
    Case("trace", linalg.trace, torch.trace, ((4, 4),)),
    Case("eigvalsh", linalg.eigvalsh, torch.linalg.eigvalsh, ("h3",)),
    Case("svdvals, wide", linalg.svdvals, torch.linalg.svdvals, ((2, 2, 4),)),
    *(Case(f"pinv, {shape}", linalg.pinv, torch.linalg.pinv, (shape,))
      for shape in ((3, 3), (4, 2), (2, 2, 4))),
    *(Case(f"solve, {shape}", linalg.solve, torch.linalg.solve, ((3, 3), shape))
      for shape in ((3,), (3, 2), (2, 3, 1))),
    *(Case(f"matrix_power, {n}", lambda x, n=n: linalg.matrix_power(x, n),
           lambda x, n=n: torch.linalg.matrix_power(x, n), ((3, 3),)) for n in (-2, 0, 3, 6)),
    *(Case(f"matrix_norm, {ord}", lambda x, ord=ord: linalg.matrix_norm(x, ord=ord),
           lambda x, ord=ord: torch.linalg.matrix_norm(x, ord=ord), ((2, 3, 4),))
      for ord in ("fro", "nuc", 1, -1, 2, -2, inf, -inf)),
    *(Case(f"vector_norm, {ord}", lambda x, ord=ord: linalg.vector_norm(x, ord=ord, axis=-1),
           lambda x, ord=ord: torch.linalg.vector_norm(x, ord=ord, dim=-1), ((2, 5),))
      for ord in (1, 2, 3, 0.5, -1, inf, -inf)),
    Case("cross", linalg.cross, torch.linalg.cross, ((2, 3), (2, 3))),
    Case("outer", linalg.outer, torch.outer, ((3,), (4,))),
    Case("vecdot", linalg.vecdot, torch.linalg.vecdot, ((2, 3), (2, 3))),
    Case("matmul", linalg.matmul, torch.matmul, ((2, 3, 4), (4, 2))),
    Case("tensordot", lambda x, y: linalg.tensordot(x, y, axes=((1, 0), (0, 2))),
         lambda x, y: torch.tensordot(x, y, dims=((1, 0), (0, 2))), ((2, 3, 4), (3, 5, 2))),
    *(same_in_both(f.__name__, f, shape)
      for f, shape in ((by_eigenvectors, (3, 3)), (by_eigenvectors, (2, 4, 4)), (projector, (4, 4)),
                       (by_right_eigenvectors, (3, 3)), (by_singular_vectors, (4, 3)),
                       (by_singular_vectors, (2, 3, 4)), (signs_of_slogdet, (2, 3, 3)),
                       (powers_of_eigenvalues, (2, 3, 3)), (turned_qr, (3, 3)), (turned_qr, (4, 2)),
                       (turned_qr, (2, 4, 2)), (turned_qr, (2, 4)))),
    same_in_both("cholesky", of_hermitian_part, "p3"),
    same_in_both("cholesky, upper", lambda xp, x: of_hermitian_part(xp, x, upper=True), "p4"),
]  # fmt: skip


def transform(name: str, shape: tuple[int, ...], **options: Any) -> Case:
    theirs = {"axis": "dim", "axes": "dim"}
    renamed = {theirs.get(key, key): value for key, value in options.items()}
    ours, other = getattr(fft, name), getattr(torch.fft, name)
    complex_only, real_only = ("irfft", "irfftn", "hfft"), ("rfft", "rfftn", "ihfft")
    dtypes = (COMPLEX,) if name in complex_only else (REAL,) if name in real_only else (COMPLEX,)
    return Case(f"fft.{name} {shape} {options}", lambda x: ours(x, **options),
                lambda x: other(x, **renamed), (shape,), dtypes)  # fmt: skip


FFT = [
    *(transform(name, (2, 5), **options)
      for name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
      for options in ({}, {"n": 4}, {"n": 7}, {"axis": 0}, {"norm": "ortho"},
                      {"n": 6, "norm": "forward"})),
    *(transform(name, (3, 4, 5), **options)
      for name in ("fftn", "ifftn", "rfftn", "irfftn")
      for options in ({}, {"s": (3, 6), "axes": (0, 2)}, {"axes": (2, 0)}, {"norm": "forward"})),
    *(transform(name, (4, 5), **options)
      for name in ("fftshift", "ifftshift") for options in ({}, {"axes": (1,)})),
]  # fmt: skip


def argument(shape: Any, dtype: Any, random: np.random.Generator) -> Array:
    kind, shape = (shape[0], (int(shape[1]),) * 2) if isinstance(shape, str) else ("", shape)
    x = np.asarray(random.standard_normal(shape)).astype(dtype)
    if dtype == COMPLEX:
        x = x + 1j * random.standard_normal(shape)
    if kind == "h":
        x = x + np.conj(x.T)
    if kind == "p":
        x = x @ np.conj(x.T) + np.eye(len(x))
    return x


def weights(shape: Any, name: str, k: int) -> tuple[Array, Array]:
    random = np.random.default_rng([k, len(name)])
    return random.standard_normal(shape), random.standard_normal(shape)


def parts(found: Any) -> list[Any]:
    return list(found) if isinstance(found, tuple) else [found]


@pytest.mark.parametrize(
    ("case", "dtype"),
    [(case, dtype) for case in [*LINALG, *FFT] for dtype in case.dtypes],
    ids=lambda value: value.name.replace(" ", "_") if isinstance(value, Case) else str(value),
)
def test_gradients_are_those_of_pytorch(case: Case, dtype: Any) -> None:
    random = np.random.default_rng(0)
    given = [argument(shape, dtype, random) for shape in case.shapes]
    ours = [Tensor(x, requires_grad=True) for x in given]
    theirs = [torch.tensor(x, requires_grad=True) for x in given]
    totals: list[Any] = [0.0, 0.0]
    pairs = zip(parts(case.ours(*ours)), parts(case.theirs(*theirs)), strict=True)
    for k, (found, wanted) in enumerate(pairs):
        assert_same(found.detach(), wanted.detach().resolve_conj().numpy(), rtol=1e-11, atol=1e-12)
        real, imaginary = weights(found.shape, case.name, k)
        for place, xp, out in ((0, lucid, found), (1, torch, wanted)):
            make = Tensor if xp is lucid else torch.tensor
            part = xp.sum(xp.real(out) * make(real))
            if found.dtype == COMPLEX:
                part = part + xp.sum(xp.imag(out) * make(imaginary))
            totals[place] = totals[place] + part
    totals[1].backward()
    gradients = lucid.grad(totals[0], ours)
    for gradient, other in zip(gradients, theirs, strict=True):
        expected = other.grad.resolve_conj().numpy()
        scale = np.abs(expected).max(initial=0.0)
        assert_same(gradient, expected, rtol=1e-9, atol=1e-10 * max(scale, 1.0))
