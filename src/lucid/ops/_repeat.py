"""The same elements several times."""

from __future__ import annotations

from collections.abc import Sequence

from .._arguments import COUNT, check
from .._arrays import Array, Numbers, device_of, is_array, kind, namespace
from .._errors import ArgumentError, DTypeError, ShapeError
from .._op import op
from .._shapes import check_axis, size_of
from .._tape import plain
from ._index import scatter
from ._movement import reshape
from ._reduce import sum


@op
def repeat(x: Array, repeats: Array, /, *, axis: int | None = None) -> Array:
    """Each element of x `repeats` times along `axis`; axis=None repeats those of the flat x.

    `repeats` is one number, or one for each place along the axis: integers, none below 0. (On a
    GPU an array of them makes the program wait for its values, which decide the shape.)

    Raises ShapeError where there are not as many as places, DTypeError where they are no integers.

    >>> lucid.repeat(lucid.Tensor([1.0, 2.0]), 2)
    Tensor([1.0, 1.0, 2.0, 2.0])
    >>> lucid.repeat(lucid.Tensor([1.0, 2.0]), lucid.Tensor([1, 3]))
    Tensor([1.0, 2.0, 2.0, 2.0])
    """
    xp = namespace(x)
    if axis is None:
        x, axis = xp.reshape(x, (-1,)), 0
    return _repeated(x, repeats, check_axis("repeat", "x", x.shape, axis))


def _repeated(x: Array, repeats: Array, axis: int) -> Array:
    """`repeat` of the library, with the checks."""
    xp, size = namespace(x), x.shape[axis]
    if not is_array(repeats):
        check("repeat", COUNT, repeats=repeats)
        return xp.repeat(x, repeats, axis=axis)
    if kind(repeats.dtype) is not Numbers.INTEGER:
        raise DTypeError(f"repeat: repeats has dtype {repeats.dtype}, expected integers")
    if tuple(repeats.shape) not in ((), (1,), (size,)):
        raise ShapeError(
            f"repeat: repeats has shape {tuple(repeats.shape)}, but axis {axis} of x "
            f"{tuple(x.shape)} has {size} places; give one number, or one for each place"
        )
    if tuple(repeats.shape) != (size,):
        repeats = xp.broadcast_to(xp.reshape(repeats, (1,)), (size,))
    try:
        return xp.repeat(x, xp.astype(repeats, xp.asarray(0).dtype, copy=False), axis=axis)
    except (ValueError, RuntimeError) as error:
        if "negative" not in str(error):
            raise
        raise ArgumentError("repeat: repeats has a number below 0, expected 0 or more") from None


def _repeat_gradient(g: Array, repeats: Array, axis: int | None, x_shape: tuple[int, ...]) -> Array:
    shape, along = (x_shape, axis) if axis is not None else ((size_of(x_shape),), 0)
    along %= len(shape)
    repeats = plain(repeats)
    if is_array(repeats):
        # dx[k] = Σ g over the copies of k
        array = plain(g)
        xp = namespace(array)
        places = _repeated(xp.arange(shape[along], device=device_of(array)), repeats, 0)
        total = scatter(g, (slice(None),) * along + (places,), shape)
    else:
        apart = (*shape[: along + 1], repeats, *shape[along + 1 :])
        total = sum(reshape(g, apart), axis=along + 1)
    return reshape(total, x_shape)


repeat.gradient(x=_repeat_gradient, repeats=None)


@op
def tile(x: Array, repetitions: int | tuple[int, ...], /) -> Array:
    """x as a whole, `repetitions` times along each axis.

    Fewer repetitions than axes count from the last axis; more give x new axes in front.

    >>> lucid.tile(lucid.Tensor([1.0, 2.0]), (2, 2))
    Tensor([[1.0, 2.0, 1.0, 2.0], [1.0, 2.0, 1.0, 2.0]])
    """
    for each in _counts(repetitions):
        check("tile", COUNT, repetitions=each)
    return namespace(x).tile(x, tuple(_counts(repetitions)))


def _counts(repetitions: int | Sequence[int]) -> Sequence[int]:
    return repetitions if isinstance(repetitions, (tuple, list)) else (repetitions,)


def _tile_gradient(g: Array, repetitions: int | tuple[int, ...], x_shape: tuple[int, ...]) -> Array:
    counts = _counts(repetitions)
    rank = max(len(counts), len(x_shape))
    sizes = (1,) * (rank - len(x_shape)) + tuple(x_shape)
    counts = (1,) * (rank - len(counts)) + tuple(counts)
    apart = tuple(n for pair in zip(counts, sizes, strict=True) for n in pair)
    return reshape(sum(reshape(g, apart), axis=tuple(range(0, 2 * rank, 2))), x_shape)


tile.gradient(x=_tile_gradient)
