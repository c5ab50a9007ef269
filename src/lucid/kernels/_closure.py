"""The derivatives of the bilinear form are bilinear forms again: here that is said, once.

    Q(g, x1, W, x2) = Σ g[..., o] · x1[..., i] · W[o, i, j] · x2[..., j]

is linear in each of its four factors, which have numbers: 0 is g, 1 is x1, 2 is x2, 3 is W. The
form is the derivative of Q in factor 0, its gradients are those in the other three; which rows of
the factors meet, by broadcasting or by index, makes no difference. A change of one factor moves the
derivative in another one by that same derivative, with the change in the place of the factor. What
is given as the gradient of a derivative comes to each of its factors in the same way. So two
operations, the form and its gradients, have derivatives of every order in both directions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from itertools import compress
from operator import add

from .._arrays import Array
from ._arguments import Needed, factors_of

Found = Sequence[Array | None]

_TOGETHER = (((0,), (1, 2, 3)), ((1, 2), (1, 2)), ((3,), (1, 2)), ((1,), (3,)), ((2,), (3,)))
"""Changes, and the gradients that one call gives of them; those of both inputs share g · W."""


def derivatives(
    form: Callable[[Array, Array, Array], Array],
    gradients: Callable[[Array, Array, Array, Array, Needed], Found],
    factors: Found, changes: Found, wanted: Sequence[bool],
) -> list[Array | None]:  # fmt: skip
    """What the derivatives in the wanted factors are moved by, in their four places.

        Σ_k≠y  the derivative in factor y, with change k in the place of factor k

    Forward, `changes` are the tangents of the factors; backward they are the gradients of the
    derivatives, and the wanted factors those to differentiate in. What is not there is None: a sum
    without terms, a change, and a factor that nobody asks for. `form` takes x1, x2 and W;
    `gradients` takes g too, and which of the three are needed, and gives None for the others.
    """
    sums: list[list[Array]] = [[], [], [], []]
    for k in (1, 2, 3):
        if wanted[0] and changes[k] is not None:
            sums[0].append(form(*(changes[n] if n == k else factors[n] for n in (1, 2, 3))))
    for moving, results in _TOGETHER:
        first, second, third = (
            y in results and wanted[y] and any(n != y and changes[n] is not None for n in moving)
            for y in (1, 2, 3)
        )
        needed = first, second, third
        if any(needed):
            g, x1, x2, weight = (changes[n] if n in moving else factors[n] for n in range(4))
            found = gradients(*factors_of(g, x1, x2, weight, needed), needed)
            for terms, term in zip(sums[1:], found, strict=True):
                terms += [] if term is None else [term]
    return [reduce(add, terms) if terms else None for terms in sums]


def spread(found: Iterable[Array | None], needed: Sequence[bool]) -> list[Array | None]:
    """Gradients in their places, None for those not needed, of which `found` has none."""
    left = iter(found)
    return [next(left, None) if wanted else None for wanted in needed]


def of_needed(found: Iterable[Array | None], needed: Sequence[bool]) -> list[Array | None]:
    """Those of all gradients that are needed, the others None."""
    return spread(compress(found, needed), needed)
