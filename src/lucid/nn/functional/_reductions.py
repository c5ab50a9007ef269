"""Reductions over all pairs of the bilinear form; `kernels/_reductions.py` does the work.

The gradient of the scores is a tile again, so first-order gradients are products of raw tiles. A
gradient that is itself recorded is written in operations, tile by tile, under `checkpoint`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from ..._arrays import Array, is_array, library, mixture, namespace, plain_array
from ..._op import op
from ..._tape import Tracked, beside, operand, plain
from ..._tensor import Tensor
from ...autograd._checkpoint import checkpoint
from ...kernels import _recorded, _reductions as kernels
from ...kernels._pairs import (
    Pairs,
    check_k,
    check_loss,
    check_pairs,
    check_target,
    with_shares,
)
from ...kernels._reductions import Partners, Slopes, Target
from ...ops._like import astype
from ...ops._movement import reshape
from ...ops._reduce import sum


def bilinear_logsumexp(
    input_1: Any,
    input_2: Any,
    weight: Any,
    bias: Any = None,
    *,
    mask: Any = None,
    exclude: Any = None,
    group: Any = None,
) -> Any:
    """The logarithm of the summed exponentials of each row's scores with all partners.

        scores[..., n, m, o] = Σ_ij input_1[..., n, i] · weight[o, i, j] · input_2[..., m, j]
                               + bias[o]
        out[..., n, o] = log Σ_m exp(scores[..., n, m, o])

    Shapes: `input_1` (..., N, in1_features), `input_2` (M, in2_features), the same partners for
    all, or (..., M, in2_features); leading axes broadcast. `weight` (out_features, in1_features,
    in2_features), `bias` (out_features,) or (1, out_features) or None. The result is (..., N,
    out_features), with one output too.

    What is left out: `mask` (True where a pair counts) broadcasts to (..., N, M), so that (..., 1,
    M) is padding; with one axis more than that to (..., N, M, out_features). `exclude` (..., N, L)
    lists partners to leave out for each row, negative numbers being padding. A row for which none
    is left gives -∞, with a gradient of 0. With `group` (..., N), a number for each row of
    `input_1`, `weight` is (groups, out_features, in1_features, in2_features), and row n meets
    weight[group[n]]; none is copied.

    The scores are computed tile by tile and never all held: beside arguments, results and gradients
    at most 64 MiB, forward and backward. Dtypes are real floating point; float16 and bfloat16 are
    computed in float32. Derivatives of every order exist.

    Raises ShapeError where sizes do not fit, DTypeError for a dtype that cannot be taken,
    OutOfRangeError for a partner or group that there is not.

    >>> h, others = lucid.ones((4, 2)), lucid.zeros((8, 3))
    >>> F.bilinear_logsumexp(h, others, lucid.ones((1, 2, 3))).shape
    (4, 1)
    """
    name = "bilinear_logsumexp"
    options = {"mask": mask, "exclude": exclude, "group": group}
    elsewhere = _elsewhere(name, input_1, input_2, weight, bias)
    if elsewhere is not None:
        return elsewhere(input_1, input_2, weight, bias, **options)
    pairs, (x1, x2, matrices, biases) = _prepared(name, input_1, input_2, weight, bias, **options)
    lse, _ = _reduced(
        x1, x2, matrices, biases, pairs.mask, pairs.exclude, pairs.group, None, None, 0.0
    )
    return astype(lse, pairs.dtype, copy=False)


def bilinear_cross_entropy(
    input_1: Any,
    input_2: Any,
    weight: Any,
    bias: Any = None,
    *,
    target: Any,
    mask: Any = None,
    exclude: Any = None,
    group: Any = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Any:
    """How badly each row's scores with all partners predict the partners `target`.

        loss[..., n, o] = log Σ_m exp(scores[..., n, m, o]) - scores[..., n, target[..., n, o], o]

    Scores, shapes, `mask`, `exclude` and `group` are those of `bilinear_logsumexp`: the loss is
    `cross_entropy` of scores that are never all held. `target` holds numbers of partners: (..., N),
    one for each row; (..., N, out_features), one for each row and output (an axis of 1 serves all
    outputs); or with a last axis, several, of which the loss is the mean. Those that are
    `ignore_index` do not count, and a row without any other has the loss 0 and is not counted in
    the mean. With label smoothing ε the target is (1 - ε) · target + ε / (partners not left out). A
    target that is itself left out has the loss ∞. `reduction` is 'mean', 'sum', or 'none' for the
    losses (..., N, out_features).

    Memory, derivatives and what is raised are those of `bilinear_logsumexp`; OutOfRangeError also
    for a target outside 0, …, M - 1.

    >>> h, others = lucid.ones((4, 2)), lucid.zeros((8, 3))
    >>> F.bilinear_cross_entropy(h, others, lucid.ones((1, 2, 3)), target=[0, 1, 2, 3])
    Tensor(2.0794415)
    """
    name = "bilinear_cross_entropy"
    options = {"mask": mask, "exclude": exclude, "group": group}
    of_loss: dict[str, Any] = {
        "ignore_index": ignore_index, "label_smoothing": label_smoothing, "reduction": reduction,
    }  # fmt: skip
    check_loss(name, **of_loss)
    elsewhere = _elsewhere(name, input_1, input_2, weight, bias)
    if elsewhere is not None:
        return elsewhere(input_1, input_2, weight, bias, target=target, **options, **of_loss)
    pairs, (x1, x2, matrices, biases) = _prepared(name, input_1, input_2, weight, bias, **options)
    target = check_target(name, pairs, _given(pairs.x1, target), ignore_index)
    places, shares, kept = with_shares(pairs, target, ignore_index)
    _, losses = _reduced(
        x1,
        x2,
        matrices,
        biases,
        pairs.mask,
        pairs.exclude,
        pairs.group,
        places,
        shares,
        float(label_smoothing),
    )
    if reduction != "none":
        losses = sum(losses)
        if reduction == "mean":
            losses = losses / max(kept, 1)
    return astype(losses, pairs.dtype, copy=False)


def bilinear_topk(
    input_1: Any,
    input_2: Any,
    weight: Any,
    bias: Any = None,
    *,
    k: int,
    mask: Any = None,
    exclude: Any = None,
    group: Any = None,
) -> Partners:
    """The k partners with which each row has the largest scores, the largest first.

    Returns a named tuple (values, indices), both (..., N, out_features, k); of equal scores the
    partner that comes first comes first, and NaN counts as the largest. Where fewer than k are
    left, the value is -∞ and the index -1. The gradient of a value goes to its score.

    Scores, shapes, `mask`, `exclude`, `group`, memory and what is raised are those of
    `bilinear_logsumexp`; ArgumentError unless k is from 0 to M.

    >>> h, others = lucid.ones((1, 1)), lucid.Tensor([[1.0], [4.0], [2.0]])
    >>> F.bilinear_topk(h, others, lucid.ones((1, 1, 1)), k=2)
    Partners(values=Tensor([[[4.0, 2.0]]]), indices=Tensor([[[1, 2]]]))
    """
    name = "bilinear_topk"
    options = {"mask": mask, "exclude": exclude, "group": group}
    elsewhere = _elsewhere(name, input_1, input_2, weight, bias)
    if elsewhere is not None:
        found: Partners = elsewhere(input_1, input_2, weight, bias, k=k, **options)
        return found
    pairs, (x1, x2, matrices, biases) = _prepared(name, input_1, input_2, weight, bias, **options)
    check_k(name, pairs, k)
    values, indices = _best(x1, x2, matrices, biases, pairs.mask, pairs.exclude, pairs.group, k)
    return Partners(astype(values, pairs.dtype, copy=False), indices)


def bilinear_max(
    input_1: Any,
    input_2: Any,
    weight: Any,
    bias: Any = None,
    *,
    mask: Any = None,
    exclude: Any = None,
    group: Any = None,
) -> Partners:
    """The largest score of each row, and the partner that has it: `bilinear_topk` with k = 1.

    Returns a named tuple (values, indices), both (..., N, out_features). Of equal scores the
    partner that comes first is taken, and its score gets the gradient; a NaN is the largest. Where
    none is left, the value is -∞ and the index -1. M must not be 0.

    >>> h, others = lucid.ones((1, 1)), lucid.Tensor([[1.0], [4.0], [2.0]])
    >>> F.bilinear_max(h, others, lucid.ones((1, 1, 1)))
    Partners(values=Tensor([[4.0]]), indices=Tensor([[1]]))
    """
    name = "bilinear_max"
    options = {"mask": mask, "exclude": exclude, "group": group}
    elsewhere = _elsewhere(name, input_1, input_2, weight, bias)
    if elsewhere is not None:
        found: Partners = elsewhere(input_1, input_2, weight, bias, **options)
        return found
    pairs, (x1, x2, matrices, biases) = _prepared(name, input_1, input_2, weight, bias, **options)
    check_k(name, pairs, 1)
    values, indices = _best(x1, x2, matrices, biases, pairs.mask, pairs.exclude, pairs.group, 1)
    return Partners(astype(values[..., 0], pairs.dtype, copy=False), indices[..., 0])


def bilinear_rank(
    input_1: Any,
    input_2: Any,
    weight: Any,
    bias: Any = None,
    *,
    target: Any,
    mask: Any = None,
    exclude: Any = None,
    group: Any = None,
) -> Any:
    """The rank of given partners among each row's scores with all partners, 1 being the largest.

        rank = 1 + #{m : s[m] > s[t]} + ½ · #{m ≠ t : s[m] = s[t]},   t = target

    over the partners m that are not left out: with `exclude` the known ones this is the filtered
    rank, and equal scores count at their mean (PyKEEN's "realistic" rank). The target itself may be
    among those left out. `target` is (..., N), (..., N, out_features) or, for several partners of a
    row, has a last axis; the result is (..., N, out_features), with that last axis, in the dtype
    of the scores, of halves in float32. A NaN counts as larger; the rank of a score that is NaN is
    NaN. There is no gradient.

    Scores, shapes, `mask`, `exclude`, `group`, memory and what is raised are those of
    `bilinear_logsumexp`; OutOfRangeError also for a target outside 0, …, M - 1.

    >>> h, others = lucid.ones((1, 1)), lucid.Tensor([[1.0], [4.0], [2.0], [2.0]])
    >>> F.bilinear_rank(h, others, lucid.ones((1, 1, 1)), target=[2])
    Tensor([[2.5]])
    """
    name = "bilinear_rank"
    options = {"mask": mask, "exclude": exclude, "group": group}
    elsewhere = _elsewhere(name, input_1, input_2, weight, bias)
    if elsewhere is not None:
        return elsewhere(input_1, input_2, weight, bias, target=target, **options)
    pairs, (x1, x2, matrices, biases) = _prepared(name, input_1, input_2, weight, bias, **options)
    given = _given(pairs.x1, target)
    places = check_target(name, pairs, given, None)
    several = len(given.shape) > len(pairs.shape)
    ranks = _rank(x1, x2, matrices, biases, pairs.mask, pairs.exclude, pairs.group, places)
    return ranks if several else ranks[..., 0]


def _elsewhere(name: str, *factors: Any) -> Any:
    """The function of this name for arrays of a library that has an autograd of its own."""
    if any(isinstance(each, Tracked) for each in factors):
        return None
    first = next(filter(is_array, factors), None)
    known = {"torch": "lucid.torch", "jax": "lucid.jax"}
    module = None if first is None else known.get(library(first))
    if module is None:
        return None
    return getattr(sys.modules.get(module) or import_module(module), name)


def _prepared(name: str, *factors: Any, **options: Any) -> tuple[Pairs, list[Any]]:
    """The pairs, checked, and the four factors as Tensors or arrays, as they were given."""
    names = ("input_1", "input_2", "weight", "bias")
    factors = tuple(plain_array(name, *each) for each in zip(names, factors, strict=True))
    options = {key: plain_array(name, key, each) for key, each in options.items()}
    arrays = [each for each in factors if is_array(each) and not isinstance(each, Tracked)]
    if arrays and not any(isinstance(each, Tracked) for each in factors):
        given = [_given(arrays[0], each) for each in factors]
    else:
        given = [None if each is None else operand(each, *factors) for each in factors]
    raw = [None if each is None else plain(each) for each in given]
    others = {key: _given(raw[0], each) for key, each in options.items()}
    mixed = mixture(name, dict(zip((*names, *others), (*raw, *others.values()), strict=True)))
    if mixed is not None:
        raise mixed
    pairs = check_pairs(name, *raw, **others)
    if given[3] is not None:
        given[3] = reshape(given[3], (pairs.shape[-1],))
    return pairs, given


def _given(first: Array, value: Any) -> Any:
    """What stands beside the first input, as an array of its library; None stays None."""
    return None if value is None else beside(first, value)


@op(halves=True)
def _reduced(
    input_1: Array,
    input_2: Array,
    weight: Array,
    bias: Array | None,
    mask: Array | None,
    exclude: Array | None,
    group: Array | None,
    places: Array | None,
    shares: Array | None,
    smoothing: float,
) -> tuple[Array, ...]:
    """lse, and the losses; without a target, lse and nothing (of size 0)."""
    pairs = Pairs(input_1, input_2, weight, bias, mask, exclude, group)
    if places is None or shares is None:
        lse = kernels.logsumexp(pairs)
        return lse, lse[..., :0]
    return kernels.cross_entropy(pairs, Target(places, shares, smoothing))


@_reduced.gradients(input_1=(), input_2=(), weight=(), bias=())
def _reduced_gradients(
    g: tuple[Array, ...],
    y: tuple[Array, ...],
    input_1: Array,
    input_2: Array,
    weight: Array,
    bias: Array | None,
    mask: Array | None,
    exclude: Array | None,
    group: Array | None,
    places: Array | None,
    shares: Array | None,
    smoothing: float,
    needed: Any,
) -> tuple[Array | None, ...]:
    factors = (input_1, input_2, weight, bias)
    pairs = _pairs_of(factors, mask, exclude, group)
    places, shares = _plain(places), _plain(shares)
    of_lse, _ = g
    if places is None:
        return _gradients(pairs, factors, Slopes(y[0], of_lse), needed)
    slopes = kernels.of_cross_entropy(pairs, Target(places, shares, smoothing), *g)
    return _gradients(pairs, factors, slopes._replace(lse=y[0]), needed)


@op(halves=True)
def _best(
    input_1: Array,
    input_2: Array,
    weight: Array,
    bias: Array | None,
    mask: Array | None,
    exclude: Array | None,
    group: Array | None,
    k: int,
) -> tuple[Array, ...]:
    """The k largest scores and whose they are."""
    return kernels.topk(Pairs(input_1, input_2, weight, bias, mask, exclude, group), k)


@_best.gradients(input_1=(), input_2=(), weight=(), bias=())
def _best_gradients(
    g: tuple[Array, ...],
    y: tuple[Array, ...],
    input_1: Array,
    input_2: Array,
    weight: Array,
    bias: Array | None,
    mask: Array | None,
    exclude: Array | None,
    group: Array | None,
    needed: Any,
) -> tuple[Array | None, ...]:
    factors = (input_1, input_2, weight, bias)
    slopes = Slopes(places=_plain(y[1]), at_places=g[0])
    return _gradients(_pairs_of(factors, mask, exclude, group), factors, slopes, needed)


@op(gradient=None)
def _rank(
    input_1: Array,
    input_2: Array,
    weight: Array,
    bias: Array | None,
    mask: Array | None,
    exclude: Array | None,
    group: Array | None,
    places: Array,
) -> Array:
    """The ranks (..., N, O, K)."""
    return kernels.rank(Pairs(input_1, input_2, weight, bias, mask, exclude, group), places)


def _plain(value: Any) -> Any:
    return None if value is None else plain(value)


def _pairs_of(factors: Any, *others: Any) -> Pairs:
    return Pairs(*map(_plain, (*factors, *others)))


def _gradients(pairs: Pairs, factors: Any, slopes: Slopes, needed: Any) -> tuple[Any, ...]:
    """The four gradients: by raw tiles, or recorded where the numbers of `slopes` are."""
    asked = (needed.input_1, needed.input_2, needed.weight, needed.bias)
    if not any(isinstance(each, Tracked) for each in slopes):
        return kernels.gradients(pairs, slopes, asked)
    dtype = kernels.sums_of(pairs)
    wide = [None if each is None else astype(_tensor(each), dtype, copy=False) for each in factors]
    slopes = slopes._replace(
        **{
            key: _tensor(each)
            for key, each in slopes._asdict().items()
            if each is not None and key != "places"
        }
    )
    xp = namespace(wide[0])
    found = _recorded.gradients(xp, checkpoint, Tensor, pairs, wide, slopes)
    return tuple(each if wanted else None for each, wanted in zip(found, asked, strict=True))


def _tensor(value: Any) -> Any:
    return value if isinstance(value, Tracked) else Tensor(value)
