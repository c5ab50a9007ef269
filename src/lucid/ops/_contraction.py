"""A sum of products of arrays, in steps of two: diagonals, sums, matrix products.

A term is the labels of an array's axes, one for each. After the preparation of every operand by
itself no term has a label twice, and what is in one term alone is in the output. Then two operands
at a time become one,

    y[b, m, n] = Σ_k x1[b, m, k] · x2[b, k, n],

where b, m, n and k stand for several labels each: those that both have and something else needs,
those that one has alone, and those that are summed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, permutations
from math import prod
from typing import Any, TypeAlias

from .._arrays import Array
from .._shapes import Shape
from ._arithmetic import multiply
from ._index import getitem
from ._movement import permute_dims, reshape
from ._products import matmul
from ._reduce import sum

Term: TypeAlias = tuple[str, ...]
Sizes: TypeAlias = dict[str, int]
Step: TypeAlias = Callable[..., Any]


@dataclass(frozen=True)
class Contraction:
    """The steps of a contraction: for each operand, for some of them at a time, for the result."""

    prepare: Sequence[Step]
    steps: Sequence[tuple[tuple[int, ...], Step]]  # positions; the result comes last
    finish: Step

    def __call__(self, arrays: Sequence[Array]) -> Any:
        left = [step(array) for step, array in zip(self.prepare, arrays, strict=True)]
        for positions, step in self.steps:
            taken = [left[k] for k in positions]
            left = [array for k, array in enumerate(left) if k not in positions]
            left.append(step(*taken))
        return self.finish(left[0])


def contraction(
    terms: Sequence[Term], output: Term, shapes: Sequence[Shape], sizes: Sizes
) -> Contraction:
    """How to contract operands with these terms and shapes, where a size 1 may stand for more."""
    prepare: list[Step] = []
    left: list[Term] = []
    present = [
        tuple(label for label, size in zip(term, shape, strict=True) if size == sizes[label])
        for term, shape in zip(terms, shapes, strict=True)
    ]
    for k, term in enumerate(present):
        others = (label for m, other in enumerate(present) if m != k for label in other)
        step, prepared = _preparation(term, term != terms[k], {*output, *others}, sizes)
        prepare.append(step)
        left.append(prepared)
    steps: list[tuple[tuple[int, ...], Step]] = []
    form = _bilinear(left, output, sizes) or _bilinear_weight(left, output, sizes)
    if form is not None:
        positions, step, last = form
        return Contraction(prepare, [(positions, step)], _arrangement(last, output, sizes))
    for first, second in _order(left, output, sizes):
        x1, x2 = left[first], left[second]
        left = [term for k, term in enumerate(left) if k not in (first, second)]
        needed = {*output, *(label for term in left for label in term)}
        step, last = _pair(x1, x2, needed, output, sizes)
        steps.append(((first, second), step))
        left.append(last)
    return Contraction(prepare, steps, _arrangement(left[0], output, sizes))


# One operand


def _arrangement(
    term: Term, order: Sequence[str], sizes: Sizes, shape: Shape | None = None
) -> Step:
    """Axes in another order, then in another shape."""
    axes = tuple(term.index(label) for label in order)
    moves = axes != tuple(range(len(axes)))
    before = tuple(sizes[label] for label in order)
    after = before if shape is None else shape
    reshapes = after != before

    def step(x: Array) -> Any:
        if moves:
            x = permute_dims(x, axes)
        return reshape(x, after) if reshapes else x

    return step


def _preparation(
    labels: Term, squeezes: bool, elsewhere: set[str], sizes: Sizes
) -> tuple[Step, Term]:
    """Without axes of size 1 that stand for more, diagonals taken, sums of what nothing else has.

    Gives the step and the term after it.
    """
    shape = tuple(sizes[label] for label in labels)
    steps: list[Step] = [lambda x: reshape(x, shape)] if squeezes else []
    for label in sorted(set(labels)):
        if labels.count(label) > 1:
            step, labels = _diagonal(labels, label, sizes)
            steps.append(step)
    axes = tuple(k for k, label in enumerate(labels) if label not in elsewhere)
    if axes:
        steps.append(lambda x: sum(x, axis=axes, dtype=x.dtype))

    def prepare(x: Array) -> Any:
        for step in steps:
            x = step(x)
        return x

    return prepare, tuple(label for label in labels if label in elsewhere)


def _diagonal(term: Term, label: str, sizes: Sizes) -> tuple[Step, Term]:
    """The elements at which all axes of a label have the same index."""
    repeated = tuple(k for k, other in enumerate(term) if other == label)
    others = tuple(k for k in range(len(term)) if k not in repeated)
    size = sizes[label]
    flat = (*(sizes[term[k]] for k in others), size ** len(repeated))
    stride = _stride(size, len(repeated))

    def step(x: Array) -> Any:
        x = reshape(permute_dims(x, (*others, *repeated)), flat)
        return getitem(x, (..., slice(None, None, stride)))

    return step, (*(term[k] for k in others), label)


def _stride(size: int, count: int) -> int:
    """How far apart the elements of a diagonal of `count` axes are, in a row."""
    total = 0
    for _ in range(count):
        total = total * size + 1
    return total


# Two operands


def _pair(x1: Term, x2: Term, needed: set[str], output: Term, sizes: Sizes) -> tuple[Step, Term]:
    """The product of two operands, summed over what neither `needed` nor one of them alone has."""
    larger, other = (x1, x2) if _size(x1, sizes) >= _size(x2, sizes) else (x2, x1)
    both = [label for label in larger if label in other]
    batch = [label for label in both if label in needed]
    summed = [label for label in both if label not in needed]
    first = [label for label in x1 if label not in both]
    second = [label for label in x2 if label not in both]
    if _comes_before(second, first, output):
        step, term = _pair(x2, x1, needed, output, sizes)
        return lambda x1, x2: step(x2, x1), term

    shape = tuple(sizes[label] for label in (*batch, *first, *second))
    if not summed:
        batch_shape, first_shape = ([sizes[label] for label in part] for part in (batch, first))
        arrange_1 = _arrangement(
            x1, (*batch, *first), sizes, (*batch_shape, *first_shape, *[1] * len(second))
        )
        arrange_2 = _arrangement(
            x2,
            (*batch, *second),
            sizes,
            (*batch_shape, *[1] * len(first), *(sizes[label] for label in second)),
        )
        return lambda x1, x2: multiply(arrange_1(x1), arrange_2(x2)), (*batch, *first, *second)

    heads = tuple(sizes[label] for label in batch)
    rows, middle, columns = (_size(part, sizes) for part in (first, summed, second))
    arrange_1 = _arrangement(x1, (*batch, *first, *summed), sizes, (*heads, rows, middle))
    arrange_2 = _arrangement(x2, (*batch, *summed, *second), sizes, (*heads, middle, columns))
    reshapes = (*heads, rows, columns) != shape

    def step_of_products(x1: Array, x2: Array) -> Any:
        y = matmul(arrange_1(x1), arrange_2(x2))
        return reshape(y, shape) if reshapes else y

    return step_of_products, (*batch, *first, *second)


def _comes_before(second: list[str], first: list[str], output: Term) -> bool:
    """Whether the result should have the labels of the second operand first."""
    if not first or not second or first[0] not in output or second[0] not in output:
        return False
    return output.index(second[0]) < output.index(first[0])


def _size(term: Iterable[str], sizes: Sizes) -> int:
    return prod(sizes[label] for label in term)


# Three operands that are a bilinear form


def _bilinear(
    terms: Sequence[Term], output: Term, sizes: Sizes
) -> tuple[tuple[int, ...], Step, Term] | None:
    """out[l1, l2, o] = Σ_ij x1[l1, i] · w[o, i, j] · x2[l2, j], if the three operands are that.

    Each letter stands for any number of labels; l1 and l2 may share some.
    """
    if len(terms) != 3:
        return None
    for one, two, weight in ((0, 1, 2), (0, 2, 1), (1, 2, 0)):
        x1, x2, w = (set(terms[k]) for k in (one, two, weight))
        i = [label for label in terms[weight] if label in x1 and label not in output]
        j = [label for label in terms[weight] if label in x2 and label not in output]
        o = [label for label in terms[weight] if label in output and label not in x1 | x2]
        leading = [label for label in output if label not in o]
        is_form = i and j and not set(i) & set(j) and len(i) + len(j) + len(o) == len(w)
        heads_1, heads_2 = x1 - set(i), x2 - set(j)
        if not is_form or heads_1 | heads_2 != set(leading):
            continue
        if not o and heads_1 != heads_2:  # a chain of matrices, better two at a time
            continue
        arrangements = (
            _leading(terms[one], leading, i, sizes),
            _leading(terms[two], leading, j, sizes),
            _arrangement(
                terms[weight], (*o, *i, *j), sizes, tuple(_size(part, sizes) for part in (o, i, j))
            ),
        )
        last = (*leading, *o)
        return (one, two, weight), _form(_bilinear_kernel, arrangements, last, sizes), last
    return None


def _bilinear_weight(
    terms: Sequence[Term], output: Term, sizes: Sizes
) -> tuple[tuple[int, ...], Step, Term] | None:
    """out[o, i, j] = Σ_l g[l, o] · x1[l1, i] · x2[l2, j], where l1 and l2 together are l."""
    if len(terms) != 3:
        return None
    for places in permutations(range(3)):
        g, x1, x2 = (terms[k] for k in places)
        leading = [label for label in g if label not in output]
        o, i, j = ([label for label in term if label in output] for term in (g, x1, x2))
        alone = sorted((*o, *i, *j)) == sorted(output)
        heads_1, heads_2 = set(x1) - set(i), set(x2) - set(j)
        if not (leading and i and j and alone and heads_1 | heads_2 == set(leading)):
            continue
        if not o and heads_1 != heads_2:  # a chain of matrices, as above
            continue
        arrangements = tuple(
            _leading(term, leading, part, sizes) for term, part in ((g, o), (x1, i), (x2, j))
        )
        last = (*o, *i, *j)
        return places, _form(_bilinear_weight_kernel, arrangements, last, sizes), last
    return None


def _form(kernel: Step, arrangements: tuple[Step, ...], last: Sequence[str], sizes: Sizes) -> Step:
    shape = tuple(sizes[label] for label in last)

    def step(*operands: Array) -> Any:
        arranged = (arrange(x) for arrange, x in zip(arrangements, operands, strict=True))
        y = kernel(*arranged)
        return y if tuple(y.shape) == shape else reshape(y, shape)

    return step


# The imports stand inside: `import lucid` alone needs no kernels.


def _bilinear_kernel(x1: Array, x2: Array, weight: Array) -> Any:
    from ._bilinear import bilinear

    return bilinear(x1, x2, weight)


def _bilinear_weight_kernel(g: Array, x1: Array, x2: Array) -> Any:
    from ._bilinear import _contractions

    asked = (False, False, True)
    (y,) = _contractions(g, x1, x2, None, tuple(x1.shape), tuple(x2.shape), asked)
    return y


def _leading(term: Term, leading: list[str], features: list[str], sizes: Sizes) -> Step:
    """The leading axes in their order, 1 where there is none, then all features in one axis."""
    own = [label for label in leading if label in term]
    heads = tuple(sizes[label] if label in term else 1 for label in leading)
    return _arrangement(term, (*own, *features), sizes, (*heads, _size(features, sizes)))


# Which two come next


def _order(terms: Sequence[Term], output: Term, sizes: Sizes) -> list[tuple[int, int]]:
    """Pairs of positions to contract, one after the other; each result comes last."""
    if len(terms) < 3:
        return [(0, 1)] if len(terms) == 2 else []
    opt_einsum = _opt_einsum()
    return (
        _smallest_next(terms, output, sizes)
        if opt_einsum is None
        else _path(opt_einsum, terms, output, sizes)
    )


@cache
def _opt_einsum() -> Any:
    try:
        import opt_einsum
    except ImportError:
        return None
    return opt_einsum


def _path(
    opt_einsum: Any, terms: Sequence[Term], output: Term, sizes: Sizes
) -> list[tuple[int, int]]:
    symbols = {label: opt_einsum.get_symbol(k) for k, label in enumerate(sizes)}
    written = ["".join(symbols[label] for label in term) for term in (*terms, output)]
    shapes = [tuple(sizes[label] for label in term) for term in terms]
    text = ",".join(written[:-1]) + "->" + written[-1]
    path, _ = opt_einsum.contract_path(text, *shapes, shapes=True, optimize="auto")
    pairs: list[tuple[int, int]] = []
    count = len(terms)
    for positions in path:
        rest = sorted(positions)
        while len(rest) > 1:  # more than two at once: one after the other
            first, second, *rest = rest
            pairs.append((first, second))
            count -= 1
            rest = [*(k - 2 for k in rest), count - 1] if rest else []
    return pairs


def _smallest_next(terms: Sequence[Term], output: Term, sizes: Sizes) -> list[tuple[int, int]]:
    """Always the pair whose result is the smallest, beside the two that it replaces.

    Of equals, the one with the fewest products.
    """
    left = [set(term) for term in terms]
    pairs = []
    while len(left) > 1:

        def result(first: int, second: int) -> set[str]:
            others = (term for k, term in enumerate(left) if k not in (first, second))  # noqa: B023
            return (left[first] | left[second]) & set(output).union(*others)  # noqa: B023

        def cost(pair: tuple[int, int]) -> tuple[int, int]:
            one, two = left[pair[0]], left[pair[1]]  # noqa: B023
            growth = _size(result(*pair), sizes) - _size(one, sizes) - _size(two, sizes)
            return growth, _size(one | two, sizes)

        pair = min(combinations(range(len(left)), 2), key=cost)
        merged = result(*pair)
        left = [term for k, term in enumerate(left) if k not in pair]
        left.append(merged)
        pairs.append(pair)
    return pairs
