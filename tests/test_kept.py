"""The product that the forward pass keeps for the gradients: when, how much, right numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from native_helpers import ALL, check, compiled, some_apart
from test_native_pairs import Exact, exact

import lucid
from lucid.kernels import _native
from lucid.nn import functional as F

MOST = 16 << 20

# Leading axes of both inputs and features I, J, O: around other edges of tiles, vectors and panels
ROWS = [(((700,), (700,)), (41, 43, 1)), (((601,), (601,)), (31, 65, 1)),
        (((33,), (33,)), (200, 130, 1)), (((3, 7), (3, 7)), (70, 20, 1))]  # fmt: skip
PAIRS = [
    (((3, 40, 1), (3, 1, 41)), (50, 31, 5)), (((400, 1), (20,)), (50, 70, 9)),
    (((20, 1), (300,)), (64, 70, 6)), (((2, 19, 1), (2, 1, 70)), (37, 70, 19)),
    (((2, 70, 1), (2, 1, 19)), (70, 37, 19)), (((2, 30, 3, 1), (2, 1, 3, 31)), (33, 64, 4)),
    (((7, 2, 1), (7, 1, 3)), (1, 1, 4)), (((600, 1), (33,)), (20, 21, 2)),
    (((4, 1), (9000,)), (20, 130, 2)), (((5, 13, 1), (5, 1, 30)), (20, 17, 6)),
]  # fmt: skip


@pytest.mark.usefixtures("instruction_set")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("leads", "features"), ROWS + PAIRS, ids=str)
def test_gradients_with_it(leads: Any, features: Any, dtype: str) -> None:
    right = exact(leads, features, dtype)
    x1, x2, weight, bias, g = right.arguments
    inputs, rows = some_apart(x1, x2), some_apart(g, x1, x2)
    for threads in (1, 2, 3):
        x1, x2 = next(inputs)
        out, kept = compiled.bilinear_keeping(x1, x2, weight, bias, ALL, None, threads)
        assert kept is not None or leads[0] == leads[1]  # rows: where the algorithms fit
        assert kept is None or kept.nbytes <= MOST
        added = np.abs(bias)
        check(out, right.right[0] + bias, right.magnitudes[0] + added, right.terms[0], leads)
        for needed in (ALL, (True, True, False), (False, True, False), (True, False, True)):
            given = next(rows)
            found = compiled.gradients_kept(*given, weight, needed, kept, None, threads)
            for k in np.flatnonzero(needed):
                of = right.right[k + 1], right.magnitudes[k + 1], right.terms[k + 1]
                check(found[k], *of, (leads, k, needed))


@pytest.mark.usefixtures("instruction_set")
def test_rows_keep_it_too() -> None:
    """One output, whose input gradients would take a product each."""
    x1, x2, weight, *_ = exact(*ROWS[0], "float32").arguments
    assert compiled.bilinear_keeping(x1, x2, weight, None, ALL, None, 1)[1] is not None


def test_it_takes_the_place_of_a_product() -> None:
    """The gradient is what was kept times g, so another product gives another gradient."""
    exact = Exact(((700,), (700,)), (41, 43, 1), np.float64)
    x1, x2, weight, _, g = exact.arguments
    _, kept = compiled.bilinear_keeping(x1, x2, weight, None, ALL)
    _, twice, _ = compiled.gradients_kept(g, x1, x2, weight, ALL, 2 * kept)
    np.testing.assert_allclose(twice, 2 * exact.right[2], rtol=1e-10)


def test_what_was_not_kept_for_these_sizes_is_left() -> None:
    exact = Exact(((700,), (700,)), (41, 43, 1), np.float64)
    x1, x2, weight, _, g = exact.arguments
    _, kept = compiled.bilinear_keeping(x1, x2, weight, None, ALL)
    for other in (kept[1:], kept.astype(np.float32), kept[None], None, "no array"):
        found = compiled.gradients_kept(g, x1, x2, weight, ALL, other)
        np.testing.assert_allclose(found[1], exact.right[2], rtol=1e-10)


@pytest.mark.parametrize(
    ("shapes", "needed"),
    [
        ((((700, 41)), (700, 43), (3, 41, 43)), ALL),  # one product has both gradients
        (((700, 41), (700, 43), (1, 41, 43)), (True, False, True)),  # x2's, which it is for
        (((20, 41), (20, 43), (1, 41, 43)), ALL),  # made again as soon as looked for
        (((70000, 64), (70000, 64), (1, 64, 64)), ALL),  # more than 16 MiB
        (((40, 1, 501), (1, 40, 501), (300, 501, 501)), ALL),
    ],
)
def test_nothing_is_kept(shapes: Any, needed: Any) -> None:
    x1, x2, weight = (np.ones(shape, np.float32) for shape in shapes)
    found = compiled.bilinear_keeping(x1, x2, weight, None, needed)
    assert found is None or found[1] is None


def test_expanded_views_keep_nothing() -> None:
    x1 = np.broadcast_to(np.ones((3, 40, 1, 50), np.float32), (3, 40, 41, 50))
    found = compiled.bilinear_keeping(
        x1, np.ones((3, 1, 41, 50), np.float32), np.ones((5, 50, 50), np.float32), None, ALL
    )
    assert found is None or found[1] is None


@pytest.fixture
def kept_at(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What gradients of Tensors are given that was kept."""
    seen: list[Any] = []
    gradients = _native.gradients_kept

    def spy(*args: Any) -> Any:
        seen.append(args[5])
        return gradients(*args)

    monkeypatch.setattr(_native, "gradients_kept", spy)
    return seen


@pytest.mark.parametrize(("leads", "features"), ROWS[:3])
def test_tensors(leads: Any, features: Any, kept_at: list[Any]) -> None:
    exact = Exact(leads, features, np.float64)
    *arguments, g = (lucid.Tensor(each, requires_grad=True) for each in exact.arguments)
    out = F.bilinear(*arguments)
    out.backward(g.detach(), retain_graph=True)
    out.backward(g.detach())  # the second time with the same
    first, second = kept_at
    assert first is not None
    assert first is second
    for tensor, right in zip(arguments[:3], exact.right[1:], strict=True):
        np.testing.assert_allclose(np.asarray(tensor.grad), 2 * right, rtol=1e-9, atol=1e-9)


def test_only_where_gradients_are_asked_for(kept_at: list[Any]) -> None:
    exact = Exact(*ROWS[0], np.float64)
    x1, x2, weight, _, g = map(lucid.Tensor, exact.arguments)
    x1.requires_grad_()
    F.bilinear(x1, x2, weight).backward(g)
    assert kept_at == [None]  # it would spare x2's gradient its product
    np.testing.assert_allclose(np.asarray(x1.grad), exact.right[1], rtol=1e-9)


def test_under_a_checkpoint_and_twice_differentiated() -> None:
    exact = Exact(*ROWS[1], np.float64)
    x1, x2, weight, _, g = map(lucid.Tensor, exact.arguments)
    for each in (x1, x2, weight):
        each.requires_grad_()
    plain = lucid.autograd.grad(F.bilinear(x1, x2, weight), (x1, x2, weight), g, create_graph=True)
    again = lucid.autograd.grad(
        lucid.autograd.checkpoint(F.bilinear)(x1, x2, weight), (x1, x2, weight), g
    )
    for one, other, right in zip(plain, again, exact.right[1:], strict=True):
        np.testing.assert_allclose(np.asarray(one.detach()), right, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(np.asarray(other), right, rtol=1e-9, atol=1e-9)
    twice = lucid.autograd.grad(lucid.sum(plain[1]), weight)
    rights = Exact.reference(
        np.asarray(x1.detach()),
        np.ones_like(np.asarray(x2.detach())),
        np.zeros(weight.shape),
        np.asarray(g),
    )
    np.testing.assert_allclose(np.asarray(twice), rights[3], rtol=1e-9, atol=1e-9)


def test_torch() -> None:
    torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")
    bilinear: Any = pytest.importorskip("lucid.torch").bilinear
    exact = Exact(*ROWS[1], np.float64)
    x1, x2, weight, bias, g = map(torch.tensor, exact.arguments)
    for each in (x1, x2, weight, bias):
        each.requires_grad_()
    sizes: list[int] = []

    def pack(tensor: Any) -> Any:
        sizes.append(tensor.numel())
        return tensor.clone()

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = bilinear(x1, x2, weight, bias)
    assert len(sizes) == 4
    assert sizes[3] >= 601 * 65
    found = torch.autograd.grad(out, (x1, x2, weight), g, create_graph=True)
    for one, right in zip(found, exact.right[1:], strict=True):
        np.testing.assert_allclose(one.detach(), right, rtol=1e-9, atol=1e-9)
    assert torch.autograd.grad(found[0].sum(), weight)[0].shape == weight.shape
