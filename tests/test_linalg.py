"""Linear algebra beside the table: ranks, and what is refused in which words."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.linalg import solve
from lucid.testing import assert_same, gradcheck


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
