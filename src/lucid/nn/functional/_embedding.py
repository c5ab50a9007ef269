"""Rows of a table, looked up by their numbers."""

from __future__ import annotations

from ..._arguments import WHOLE, check
from ..._arrays import Array, is_traced_by_jax, namespace, scatter_add, untraced
from ..._errors import OutOfRangeError
from ..._op import op
from ..._shapes import bind_axes
from ...ops._comparison import where
from ...ops._like import zeros_like
from ...ops._movement import expand_dims
from ._checks import check_indices


@op
def embedding(input: Array, weight: Array, padding_idx: int | None = None) -> Array:
    """The rows of `weight` whose numbers `input` gives.

        out[..., :] = weight[input[...], :]

    Shapes: `input` (...) of integers, `weight` (num_embeddings, embedding_dim); the result is
    (..., embedding_dim). The gradient adds up over the places of each row; the row `padding_idx`
    gets none.

    Raises OutOfRangeError (an IndexError) for a number outside 0, …, num_embeddings - 1, and
    DTypeError if `input` holds no integers.

    >>> F.embedding([2, 0], lucid.Tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    Tensor([[5.0, 6.0], [1.0, 2.0]])
    """
    count = bind_axes("embedding", weight=(weight, "num_embeddings embedding_dim"))[
        "num_embeddings"
    ]
    check_indices("embedding", "input", input)
    _check_range(input, count)
    check_padding("embedding", padding_idx, count)
    xp = namespace(weight, input)
    rows = xp.take(weight, xp.reshape(input, (-1,)), axis=0)
    return xp.reshape(rows, (*input.shape, weight.shape[1]))


@op
def _add_rows(rows: Array, input: Array, count: int, /) -> Array:
    """A table of zeros, with each row added at its number; the transpose of `embedding`."""
    return scatter_add(rows, input, (count, rows.shape[-1]), repeats=True)


def _table_gradient(
    g: Array, input: Array, padding_idx: int | None, weight_shape: tuple[int, int]
) -> Array:
    if padding_idx is not None:
        g = where(expand_dims(input == padding_idx, axis=-1), zeros_like(g), g)
    return _add_rows(g, input, weight_shape[0])


embedding.gradient(input=None, weight=_table_gradient)
_add_rows.gradient(rows=lambda g, input: embedding(input, g))


def _check_range(input: Array, count: int) -> None:
    input = untraced(input)
    if is_traced_by_jax(input) or 0 in input.shape:
        return
    xp = namespace(input)
    lowest, highest = int(xp.min(input)), int(xp.max(input))
    if lowest < 0 or highest >= count:
        raise OutOfRangeError(
            f"embedding: input holds the index {lowest if lowest < 0 else highest}, but weight "
            f"has {count} embeddings; indices are 0, …, {count - 1}"
        )


def check_padding(function: str, padding_idx: int | None, count: int) -> None:
    """Raise OutOfRangeError unless the padding is None or the number of a row."""
    if padding_idx is None:
        return
    check(function, WHOLE, padding_idx=padding_idx)
    if not 0 <= padding_idx < count:
        raise OutOfRangeError(
            f"{function}: padding_idx is {padding_idx}, but there are {count} embeddings"
        )
