"""lucid.batches: every row once, rows that belong together, in the kind that was given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from drawn import given, st

import lucid
from lucid.nn import functional as F
from lucid.testing import assert_same


@given(
    rows=st.integers(0, 30),
    size=st.integers(1, 12),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
)
def test_every_row_comes_once_and_with_its_own(
    rows: int, size: int, shuffle: bool, drop_last: bool
) -> None:
    x = np.arange(2.0 * rows).reshape(rows, 2)
    y = lucid.Tensor(np.arange(rows))
    parts = lucid.batches(x, y, batch_size=size, shuffle=shuffle, drop_last=drop_last)
    given = list(parts)
    assert len(given) == len(parts)
    seen: list[int] = []
    for inputs, targets in given:
        assert type(inputs) is np.ndarray
        assert type(targets) is lucid.Tensor
        assert_same(inputs, x[targets.numpy()])
        seen += targets.tolist()
    sizes = [len(inputs) for inputs, _ in given]
    assert all(each == size for each in sizes[:-1])
    if drop_last:
        assert all(each == size for each in sizes)
        assert len(set(seen)) == len(seen) == rows - rows % size
    else:
        assert sorted(seen) == list(range(rows))
    if not shuffle:
        assert seen == list(range(len(seen)))


def test_each_pass_has_an_order_of_its_own_and_the_seed_tells_it() -> None:
    def orders(seed: int) -> list[list[int]]:
        parts = lucid.batches(
            np.arange(20), batch_size=7, shuffle=True, generator=lucid.Generator(seed)
        )
        return [np.concatenate(list(parts)).tolist() for _ in range(3)]

    first = orders(0)
    assert first == orders(0)
    assert first != orders(1)
    assert len(set(map(tuple, first))) == 3
    lucid.manual_seed(3)
    parts = lucid.batches(np.arange(20), batch_size=20, shuffle=True)
    (by_default,) = parts
    assert by_default.tolist() == np.random.default_rng(3).permutation(20).tolist()


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("library", ["numpy", "torch", "jax.numpy", "array_api_strict"])
def test_every_library_keeps_its_kind(library: str, shuffle: bool) -> None:
    xp = pytest.importorskip(library)
    x = xp.asarray([1.0, 2.0, 3.0])
    for part in lucid.batches(x, batch_size=2, shuffle=shuffle):
        assert type(part) is type(x)
    for part in lucid.batches(lucid.asarray(x), batch_size=2, shuffle=shuffle):
        assert type(part._array) is type(x)


def test_lists_become_tensors_and_gradients_go_through() -> None:
    (only,) = lucid.batches([1.0, 2.0], batch_size=5)
    assert type(only) is lucid.Tensor
    x = lucid.Tensor([1.0, 2.0, 3.0], requires_grad=True)
    for part in lucid.batches(x, batch_size=2, shuffle=True):
        (part * part).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2.0, 4.0, 6.0]


CALLS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: lucid.batches([1], batch_size=0), lucid.ArgumentError,
     "batches: batch_size is 0, expected a whole number, 1 or more"),
    (lambda: lucid.batches([1], batch_size=1.5),  # type: ignore[arg-type]
     lucid.ArgumentError, "batches: batch_size is 1.5, expected a whole number, 1 or more"),
    (lambda: lucid.batches([1], batch_size=1, shuffle=3),  # type: ignore[arg-type]
     lucid.ArgumentError, "batches: shuffle is 3, expected True or False"),
    (lambda: lucid.batches([1], batch_size=1, drop_last=None),  # type: ignore[arg-type]
     lucid.ArgumentError, "batches: drop_last is None, expected True or False"),
    (lambda: lucid.batches([1], batch_size=1, generator=3),  # type: ignore[arg-type]
     lucid.ArgumentError, "generator is a int, expected a lucid.Generator, or None"),
    (lambda: lucid.batches(batch_size=1), lucid.ArgumentError,
     "batches: there are no arrays to take rows from"),
    (lambda: lucid.batches([1, 2], np.ones((3, 2)), batch_size=1), lucid.ShapeError,
     "batches: array 0 has 2 rows, but array 1 has 3"),
    (lambda: lucid.batches([1], 3.0, batch_size=1), lucid.ShapeError,
     "batches: array 1 is a single number, it has no rows"),
    (lambda: F.one_hot([0, 3], 3), lucid.OutOfRangeError,
     "one_hot: input holds the class 3, but there are 3 classes, 0, …, 2"),
    (lambda: F.one_hot([-1, 0]), lucid.OutOfRangeError,
     "one_hot: input holds the class -1, but there are 1 classes, 0, …, 0"),
    (lambda: F.one_hot([0.5], 3), lucid.DTypeError,
     "one_hot: input has dtype float32, expected integers; convert it, as in "
     "input.astype(lucid.int64)"),
    (lambda: F.one_hot([0], 2.0),  # type: ignore[arg-type]
     lucid.ArgumentError, "one_hot: num_classes is 2.0, expected a whole number"),
    (lambda: F.one_hot(np.zeros(0, int)), lucid.ArgumentError,
     "one_hot: num_classes is -1, and there are no numbers to count it from; say how many classes "
     "there are"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), CALLS, ids=[each[2] for each in CALLS])
def test_messages(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message


def test_one_hot_is_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    for numbers in ([1, 0, 3], [[2], [0]], 1):
        theirs = torch.nn.functional.one_hot(torch.tensor(numbers)).numpy()
        assert_same(F.one_hot(lucid.Tensor(numbers)), theirs, rtol=0, atol=0)
