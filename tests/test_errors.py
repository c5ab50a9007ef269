"""What goes wrong says what happened and what to do: the words of the messages.

The words for `bilinear`, the tape and assignment are in test_bilinear.py, test_tape.py and
test_tensor.py, next to what they guard.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import lucid
from lucid import Tensor
from lucid.nn import functional as F


def zeros(*shape: int) -> Tensor:
    return lucid.zeros(shape)


WORDS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (
        lambda: zeros(2, 3) + zeros(4),
        lucid.ShapeError,
        "add: the shapes of x1 (2, 3), x2 (4,) do not broadcast; aligned at the right, each pair "
        "of sizes must be equal or contain a 1",
    ),
    (
        lambda: lucid.where(Tensor([True, False]), zeros(3), 1.0),
        lucid.ShapeError,
        "where: the shapes of condition (2,), x1 (3,) do not broadcast; aligned at the right, "
        "each pair of sizes must be equal or contain a 1",
    ),
    (
        lambda: zeros(2, 3) @ zeros(4, 5),
        lucid.ShapeError,
        "matmul: the last axis of x1 (2, 3) is 3, but the second to last axis of x2 (4, 5) is 4; "
        "they must be equal",
    ),
    (
        lambda: zeros(3) @ zeros(4),
        lucid.ShapeError,
        "matmul: the last axis of x1 (3,) is 3, but the only axis of x2 (4,) is 4; they must be "
        "equal",
    ),
    (
        lambda: zeros() @ zeros(4),
        lucid.ShapeError,
        "matmul: a scalar has no rows; got x1 () and x2 (4,)",
    ),
    (
        lambda: zeros(2, 3) @ 2.0,
        lucid.ShapeError,
        "matmul: a scalar has no rows; got x1 (2, 3) and x2 ()",
    ),
    (
        lambda: lucid.tensordot(zeros(2, 3), zeros(4, 3), axes=((0,), (1,))),
        lucid.ShapeError,
        "tensordot: axis 0 of x1 (2, 3) is 2, but axis 1 of x2 (4, 3) is 3; they must be equal",
    ),
    (
        lambda: lucid.vecdot(zeros(2, 3), zeros(4)),
        lucid.ShapeError,
        "vecdot: axis -1 of x1 (2, 3) and of x2 (4,) must be there and equal",
    ),
    (
        lambda: zeros(2, 3).reshape(4, 2),
        lucid.ShapeError,
        "reshape: x (2, 3) has 6 elements, which do not fit shape (4, 2)",
    ),
    (
        lambda: zeros(2, 3).reshape(-1, 4),
        lucid.ShapeError,
        "reshape: x (2, 3) has 6 elements, which do not fit shape (-1, 4)",
    ),
    (
        lambda: zeros(2, 3).reshape(-1, -1),
        lucid.ShapeError,
        "reshape: x (2, 3) has 6 elements, which do not fit shape (-1, -1)",
    ),
    (
        lambda: lucid.concat([zeros(2, 3), zeros(2, 4)]),
        lucid.ShapeError,
        "concat: arrays[0] (2, 3) and arrays[1] (2, 4) differ in more than axis 0, along which "
        "they are joined",
    ),
    (
        lambda: lucid.concat([]),
        lucid.ArgumentError,
        "concat: there is no array to join; give at least one",
    ),
    (
        lambda: lucid.stack([zeros(2), zeros(2), zeros(3)]),
        lucid.ShapeError,
        "stack: arrays[0] has shape (2,), but arrays[2] (3,); they must be equal",
    ),
    (
        lambda: lucid.stack([]),
        lucid.ArgumentError,
        "stack: there is no array to join; give at least one",
    ),
    (
        lambda: lucid.take(zeros(2, 3), Tensor([0])),
        lucid.ArgumentError,
        "take: x (2, 3) has 2 axes; say along which with axis=...",
    ),
    (
        lambda: lucid.take(zeros(3), Tensor([0, 7])),
        lucid.OutOfRangeError,
        "take: index 7 is out of bounds for axis 0 with size 3, x has shape (3,)",
    ),
    (
        lambda: lucid.add("a", zeros(2)),
        lucid.LibraryError,
        "add: expected an array or a number, got str.\nLists become Tensors with lucid.asarray.\n"
        "Here x2 from numpy.",
    ),
    (
        lambda: lucid.randint(3, 3, (2,)),
        lucid.ArgumentError,
        "randint: low must be below high, but they are 3 and 3",
    ),
    (
        lambda: lucid.rand(3, dtype=lucid.int64),
        lucid.ArgumentError,
        "rand: draws float32 or float64, not int64; use astype",
    ),
    (
        lambda: Tensor([[1.0], [1.0, 2.0]]),
        lucid.ShapeError,
        "nested lists of unequal lengths make no array: setting an array element with a sequence. "
        "The requested array has an inhomogeneous shape after 1 dimensions. The detected shape was "
        "(2,) + inhomogeneous part.",
    ),
    (
        lambda: Tensor("abc"),
        lucid.DTypeError,
        "expected numbers, got str of dtype <U3: 'abc'",
    ),
]


@pytest.mark.parametrize(("call", "kind", "words"), WORDS, ids=[words for _, _, words in WORDS])
def test_the_words_of_a_message(call: Callable[[], Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    assert str(caught.value) == words


def test_an_error_of_the_array_library_says_which_operation() -> None:
    with pytest.raises(TypeError) as caught:
        lucid.sum(zeros(2), keepdims="a")  # type: ignore[arg-type]
    assert caught.value.__notes__ == ["In sum(x (2,))."]


def test_an_error_of_the_users_function_passes_with_a_note() -> None:
    @lucid.op
    def demanding(x: Any) -> Any:
        raise KeyError(x.shape)

    demanding.gradient(x=None)
    with pytest.raises(KeyError) as caught:
        demanding(zeros(2, 3))
    assert caught.value.__notes__ == ["In demanding(x (2, 3))."]


def test_nothing_is_recorded_when_an_operation_fails() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    with pytest.raises(lucid.ShapeError):
        y += zeros(3)
    with pytest.raises(lucid.ShapeError):
        y[0] = zeros(2)
    y.backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2.0, 2.0]


def test_too_many_or_unknown_arguments_are_type_errors() -> None:
    call: Any = F.bilinear
    with pytest.raises(TypeError, match="takes from 3 to 4 positional arguments but 5 were given"):
        call(*[zeros(1)] * 5)
    with pytest.raises(TypeError, match="unexpected keyword argument 'wait'"):
        call(zeros(1), zeros(1), zeros(1, 1, 1), wait=zeros(1))
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'weight'"):
        call(zeros(1), zeros(1), wait=zeros(1))
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'weight'"):
        call(zeros(1), zeros(1))
