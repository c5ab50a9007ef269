"""Einstein's notation: what it says, and the steps in which it is computed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from .._arrays import Numbers, array_types, asarray_like, is_array, kind, mixture
from .._errors import ArgumentError, DTypeError, ShapeError
from .._shapes import Shape
from .._tape import new_tensor, plain
from ._contraction import Contraction, Term, contraction


def einsum(subscripts: Any, /, *operands: Any) -> Any:
    """The sum of products that a text in Einstein's notation says.

        einsum("ij,jk->ik", x, y)[i, k] = Σ_j x[i, j] · y[j, k]

    A term for each operand names its axes by letters, `...` any number of further axes, which
    broadcast. Letters that the output, after `->`, does not name are summed over; a letter that one
    term has twice takes the diagonal. Without `->` the output has the axes of `...`, then the
    letters that occur once, in the order of the alphabet. Spaces mean nothing. An axis of size 1
    goes with any size. Instead of the text, the letters may be numbers that follow each operand:
    `einsum(x, [0, 1], y, [1, 2], [0, 2])`.

    Any number of operands: two at a time become one matrix product each, in the order that the
    package opt_einsum finds (where it is not installed: whichever pair gives the smallest result
    next). Three that are a bilinear form, such as "ni,oij,nj->no", with any letters in any order,
    or the gradient of one in its weight, "no,ni,nj->oij", are computed by the kernel of
    `lucid.nn.functional.bilinear`, which builds nothing in between.

    Arrays alone give an array. Raises ArgumentError where the text says nothing that could be
    computed, ShapeError where sizes do not fit, DTypeError for truth values.

    >>> x = lucid.Tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> lucid.einsum("ij,jk->ik", x, x)
    Tensor([[7.0, 10.0], [15.0, 22.0]])
    >>> lucid.einsum("ii", x)
    Tensor(5.0)
    """
    if not isinstance(subscripts, str):
        subscripts, operands = _in_letters((subscripts, *operands))
    arrays = _as_arrays(operands)
    shapes = tuple([tuple(array.shape) for array in arrays])
    return _contraction(subscripts, shapes)(arrays)


def _as_arrays(operands: Sequence[Any]) -> Sequence[Any]:
    """Numbers and lists as arrays of the library of an array among them, or else as Tensors."""
    values = [plain(operand) for operand in operands]
    kinds = set(map(type, values))
    if len(kinds) > 1 or not kinds <= array_types.keys():
        operands, values = _converted(operands, values)
    for k, value in enumerate(values):
        if kind(value.dtype) is Numbers.TRUTH:
            raise DTypeError(
                f"einsum: operands[{k}] holds truth values, which have no products to sum.\n"
                "Convert it first, as in x.astype(lucid.int64)."
            )
    return operands


def _converted(operands: Sequence[Any], values: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """The operands and their arrays, where some are numbers or lists."""
    named = {f"operands[{k}]": value for k, value in enumerate(values)}
    mixed = mixture("einsum", named)
    if mixed is not None:
        raise mixed
    like = next(filter(is_array, values), None)
    given, arrays = [], []
    for (name, value), operand in zip(named.items(), operands, strict=True):
        if is_array(value):
            given.append(operand)
            arrays.append(value)
            continue
        if not isinstance(value, (list, tuple, bool, int, float, complex)):
            raise ArgumentError(
                f"einsum: {name} is {type(value).__name__}, expected a Tensor, an array or "
                "numbers.\nThe text comes first, then one operand for each of its terms."
            )
        array = asarray_like(like, value)
        given.append(new_tensor(array) if like is None else array)
        arrays.append(array)
    return given, arrays


@lru_cache(maxsize=1024)
def _contraction(subscripts: str, shapes: tuple[Shape, ...]) -> Contraction:
    """The steps for a text and the shapes of its operands."""
    terms, output = _parse(subscripts, shapes)
    return contraction(terms, output, shapes, _sizes(terms, shapes))


def _parse(subscripts: str, shapes: tuple[Shape, ...]) -> tuple[list[Term], Term]:
    """The labels of each operand's axes, and those of the result: letters, and "...2" for a rest.

    The axes that `...` stands for are counted from the right, so equal labels broadcast.
    """
    text = "".join(subscripts.split())
    left, arrow, right = text.partition("->")
    written = left.split(",")
    if not shapes:
        raise ArgumentError(f"einsum: '{subscripts}' is given no operand; give one for each term")
    if len(written) != len(shapes):
        raise ArgumentError(
            f"einsum: '{subscripts}' has {_count(len(written), 'term')} for "
            f"{_count(len(shapes), 'operand')}; write one term for each, with commas between them"
        )
    for part in (*written, right):
        _check_letters(subscripts, part)
    terms = [
        _labels(k, part, shape) for k, (part, shape) in enumerate(zip(written, shapes, strict=True))
    ]
    rest = max((sum(len(label) > 1 for label in term) for term in terms), default=0)
    broadcast = _rest(rest)
    if not arrow:
        counts = Counter(label for term in terms for label in term)
        once = sorted(label for label, n in counts.items() if n == 1 and len(label) == 1)
        return terms, (*broadcast, *once)
    known = {label for term in terms for label in term}
    for letter in right.replace("...", ""):
        if letter not in known:
            raise ArgumentError(
                f"einsum: the output '{right}' of '{subscripts}' has '{letter}', which no operand "
                "has; every axis of the output is one of an operand"
            )
        if right.count(letter) > 1:
            raise ArgumentError(
                f"einsum: the output '{right}' of '{subscripts}' has '{letter}' twice; a "
                "result has each axis once"
            )
    if broadcast and "..." not in right:
        raise ArgumentError(
            f"einsum: the output '{right}' of '{subscripts}' has no '...', which the operands "
            "have.\nWrite '...' in it, or letters for the axes that are to be summed over."
        )
    before, _, after = right.partition("...")
    return terms, (*before, *(broadcast if "..." in right else ()), *after)


def _check_letters(subscripts: str, part: str) -> None:
    for letter in part.replace("...", "", 1):
        if not letter.isalpha():
            raise ArgumentError(
                f"einsum: '{subscripts}' has '{letter}' in the term '{part}'; a term has one "
                "letter for each axis, and '...' at most once"
            )


def _labels(k: int, part: str, shape: Shape) -> Term:
    before, dots, after = part.partition("...")
    rest = len(shape) - len(before) - len(after)
    if rest < 0 or (rest and not dots):
        least = "at least " if dots else ""
        raise ShapeError(
            f"einsum: the term '{part}' has {least}{_count(len(before) + len(after), 'axis')}, but "
            f"operands[{k}] has {len(shape)}, shape {shape}"
        )
    return (*before, *_rest(rest), *after)


def _rest(count: int) -> Term:
    return tuple(f"...{k}" for k in range(count, 0, -1))


def _sizes(terms: list[Term], shapes: tuple[Shape, ...]) -> dict[str, int]:
    """The size of each axis; or which two operands disagree."""
    sizes: dict[str, int] = {}
    owner: dict[str, int] = {}
    for k, (term, shape) in enumerate(zip(terms, shapes, strict=True)):
        for label, size in zip(term, shape, strict=True):
            before = sizes.get(label, 1)
            again = owner.get(label) == k
            if size != before and (again or 1 not in (size, before)):
                other = owner[label]
                name = f"axis '{label}'" if len(label) == 1 else "an axis of '...'"
                raise ShapeError(
                    f"einsum: {name} is {before} in operands[{other}] {shapes[other]}, but {size} "
                    f"in operands[{k}] {shape}"
                )
            if label not in owner or size != 1:
                sizes[label], owner[label] = size, k
    return sizes


def _count(number: int, noun: str) -> str:
    plural = "axes" if noun == "axis" else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def _in_letters(given: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """`x, [0, 1], y, [1, 2], [0, 2]` as a text and its operands."""
    arrays, terms = given[: len(given) // 2 * 2 : 2], given[1::2]
    output = given[-1] if len(given) % 2 else None
    numbers = sorted(
        {n for term in (*terms, output) if _is_term(term) for n in term if n is not Ellipsis}
    )
    if not terms or not all(map(_is_term, terms)) or not (output is None or _is_term(output)):
        raise ArgumentError(
            f"einsum: the first argument is {type(given[0]).__name__}, expected a text such as "
            "'ij,jk->ik', or each operand followed by the numbers of its axes, as in "
            "einsum(x, [0, 1], y, [1, 2], [0, 2])"
        )
    # letters in the order of the numbers, so that the output without `->` is in that order
    letters = {number: chr(0x4E00 + k) for k, number in enumerate(numbers)}

    def written(term: Iterable[Any]) -> str:
        return "".join("..." if n is Ellipsis else letters[n] for n in term)

    text = ",".join(map(written, terms))
    return text if output is None else f"{text}->{written(output)}", arrays


def _is_term(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(
        n is Ellipsis or (isinstance(n, int) and not isinstance(n, bool)) for n in value
    )
