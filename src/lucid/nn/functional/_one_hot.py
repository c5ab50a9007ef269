"""Numbers of classes as rows with a single 1."""

from __future__ import annotations

from ..._arguments import WHOLE, check
from ..._arrays import Array, device_of, is_traced_by_jax, namespace, untraced
from ..._errors import ArgumentError, OutOfRangeError
from ..._op import op
from ._checks import check_indices


@op(gradient=None)
def one_hot(input: Array, num_classes: int = -1) -> Array:
    """A row of zeros for each number, with a 1 at its place.

        out[..., c] = 1 if input[...] = c, else 0

    Shapes: `input` (...) of integers; the result, of int64, is (..., num_classes). By default
    there are as many classes as the largest number needs; say how many, as a batch may lack it.

    Raises DTypeError if `input` holds no integers, OutOfRangeError (an IndexError) for a number
    outside 0, …, num_classes - 1, and ArgumentError where the number of classes cannot be known.

    >>> F.one_hot([2, 0], 3)
    Tensor([[0, 0, 1], [1, 0, 0]])
    """
    check_indices("one_hot", "input", input)
    check("one_hot", WHOLE, num_classes=num_classes)
    xp = namespace(input)
    seen = untraced(input)
    if not is_traced_by_jax(seen) and 0 not in seen.shape:
        numbers = namespace(seen)
        lowest, highest = int(numbers.min(seen)), int(numbers.max(seen))
        num_classes = highest + 1 if num_classes == -1 else num_classes
        if lowest < 0 or highest >= num_classes:
            raise OutOfRangeError(
                f"one_hot: input holds the class {lowest if lowest < 0 else highest}, but there "
                f"are {num_classes} classes, 0, …, {num_classes - 1}"
            )
    if num_classes < 0:
        raise ArgumentError(
            f"one_hot: num_classes is {num_classes}, and there are no numbers to count it from; "
            "say how many classes there are"
        )
    classes = xp.arange(num_classes, dtype=input.dtype, device=device_of(input))
    return xp.astype(input[..., None] == classes, xp.int64)
