"""The bilinear form as JAX knows it: two primitives that are closed under all its transformations.

Everything is a contraction of one form with four factors, the result's own included,

    Q(g, x1, W, x2) = Σ g[..., o] · x1[..., i] · W[..., o, i, j] · x2[..., j],

each of all factors but one. The factors have numbers: 0 is g, and the result, 1 is x1, 2 is x2 and
3 is W. Leading axes broadcast, of the weight too, and a result is summed over those along which it
does not run. So `vmap` is one more leading axis, of any of the factors, and pairs are leading axes
that only one of the inputs has.

    contract   the contractions for the wanted factors, each of all the others
    tangents   how those change when some of the others do: linear in the changes

The gradient of a result is `contract` for x1, x2 and W at once. That is why there are two: JAX
transposes what is linear equation by equation, so what shall stay together must be one equation.

Where a result is linearized, as for its gradient, the compiled kernel may keep a product of it with
which the gradient takes one less. It is one more result of the one `contract` and one more argument
of the others, says nothing that the factors do not, and so has no derivative.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir, partial_eval

from . import _native, _partition
from ._solve import aligned, kept_numbers, solve

Array = Any
Types = tuple[jax.ShapeDtypeStruct, ...]
"""Shapes and dtypes of all four factors, those that are not there included.

What is computed is in the dtype of the first, to which the others promote.
"""

Factors = Sequence[Array | None]
FACTORS = range(4)


def contract(
    factors: Factors, wanted: Sequence[int], types: Types, keep: int = 0, kept: Sequence[Array] = ()
) -> list[Array]:
    """The contractions for the wanted factors; of `factors`, those not needed may be None.

    The last result is what is kept, so many numbers to `keep`, if there are any.
    """
    given = [factors[k] for k in _needed(wanted)]
    found: list[Array] = _contract.bind(*given, *kept, wanted=tuple(wanted), types=types, keep=keep)
    return found


def _needed(wanted: Sequence[int]) -> list[int]:
    return [k for k in FACTORS if any(y != k for y in wanted)]


def _placed(numbers: Sequence[int], arrays: Sequence[Array]) -> list[Array | None]:
    """Arrays at the places of their factors, None elsewhere; what follows them was kept."""
    found = dict(zip(numbers, arrays, strict=False))
    return [found.get(k) for k in FACTORS]


def _replaced(factors: Factors, k: int, array: Array) -> list[Array | None]:
    return [array if other == k else factor for other, factor in enumerate(factors)]


def _without(numbers: Sequence[int], k: int) -> list[int]:
    return [other for other in numbers if other != k]


class _Sum:
    """Sums of arrays under their factors' numbers."""

    def __init__(self) -> None:
        self.terms: dict[int, list[Array]] = {}

    def add(self, numbers: Sequence[int], arrays: Sequence[Array]) -> None:
        for k, array in zip(numbers, arrays, strict=True):
            self.terms.setdefault(k, []).append(array)

    def join(self, other: _Sum) -> None:
        for k, arrays in other.terms.items():
            self.terms.setdefault(k, []).extend(arrays)

    def get(self, k: int | None) -> Array | None:
        terms = self.terms.get(k) if k is not None else None
        return functools.reduce(operator.add, terms) if terms else None


def _primitive(name: str, run: Callable[..., list[Array]]) -> Primitive:
    """A primitive with several results, of the types of the wanted factors."""
    primitive = Primitive(name)
    primitive.multiple_results = True

    def abstract(
        *avals: Any, wanted: tuple[int, ...], types: Types, keep: int = 0, **_: Any
    ) -> list[Any]:
        product = [jax.ShapeDtypeStruct((keep,), types[0].dtype)] if keep else []
        return [_like(avals[0], each) for each in [*(types[k] for k in wanted), *product]]

    primitive.def_abstract_eval(abstract)
    primitive.def_impl(_outside_of_jit(primitive))
    mlir.register_lowering(primitive, mlir.lower_fun(run, multiple_results=True))
    return primitive


def _like(aval: Any, of: jax.ShapeDtypeStruct) -> Any:
    spec = jax.sharding.PartitionSpec(*(None,) * len(of.shape))
    sharding = aval.sharding.update(spec=spec)
    return aval.update(shape=of.shape, dtype=of.dtype, sharding=sharding, weak_type=False)


def _outside_of_jit(primitive: Primitive) -> Callable[..., list[Array]]:
    def run(*arrays: Array, params: tuple[tuple[str, Any], ...]) -> Any:
        return primitive.bind(*arrays, **dict(params))

    compiled = jax.jit(run, static_argnames="params")
    return lambda *arrays, **params: compiled(*arrays, params=tuple(params.items()))


# ----------------------------------------------------------------------------------- contract


def _run(
    *given: Array, wanted: tuple[int, ...], types: Types, keep: int, native: bool = False,
    on_cpu: bool = False, divided: bool = False,
) -> list[Array]:  # fmt: skip
    numbers = _needed(wanted)
    return solve(
        _placed(numbers, given), wanted, types, keep=keep, kept=given[len(numbers) :],
        native=native, on_cpu=on_cpu, divided=divided,
    )  # fmt: skip


def _lower_on_cpu(
    context: Any, *given: Any, wanted: tuple[int, ...], types: Types, keep: int
) -> Any:
    _native.tell_if_missing(types)
    run: Any = functools.partial(
        _run, wanted=wanted, types=types, keep=keep, native=_native.is_there(), on_cpu=True
    )
    if _partition.is_divided(context):
        on_mesh = _partition.with_mesh(context)
        if on_mesh is None:  # what JAX divides by itself must be operations that it knows
            run = functools.partial(run, native=False, divided=True)
        else:
            context = on_mesh
            run = _on_mesh(context, wanted, types, keep)
    return mlir.lower_fun(run, multiple_results=True)(context, *given)


def _on_mesh(
    context: Any, wanted: tuple[int, ...], types: Types, keep: int
) -> Callable[..., list[Array]]:
    """What is divided over a mesh keeps nothing: a part's product is no part of all of it."""
    numbers = _needed(wanted)
    divided = _partition.divided(
        context, lambda parts, types: contract(_placed(numbers, parts), wanted, types),
        numbers, wanted, types,
    )  # fmt: skip

    def run(*given: Array) -> list[Array]:
        nothing = [jnp.zeros(keep, types[0].dtype)] if keep else []
        return [*divided(*given[: len(numbers)]), *nothing]

    return run


def _contract_jvp(
    primals: Any, changes: Any, *, wanted: tuple[int, ...], types: Types, keep: int
) -> tuple[list[Array], list[Array]]:
    numbers = _needed(wanted)
    factors, moving = _placed(numbers, primals), _moving(numbers, changes)
    own = keep
    if wanted == (0,) and not keep and _is_linearized(moving.values()):
        own = kept_numbers(types, [k in moving for k in (1, 2, 3)])
    results = contract(factors, wanted, types, own, primals[len(numbers) :])
    moved = tangents(factors, moving, wanted, types, results[len(wanted) :])
    results = results if keep else results[: len(wanted)]
    return results, _in_order(moved, wanted, results)


def _is_linearized(changes: Iterable[Any]) -> bool:
    """Whether changes are not known yet, so that what is not needed of them is kept for later."""
    return any(isinstance(each, partial_eval.JaxprTracer) for each in changes)


def _moving(numbers: Sequence[int], changes: Sequence[Any]) -> dict[int, Array]:
    pairs = zip(numbers, changes, strict=False)
    return {k: change for k, change in pairs if not isinstance(change, ad.Zero)}


def _in_order(total: _Sum, wanted: Sequence[int], results: Sequence[Array]) -> list[Any]:
    """The sum for each of the results, or a symbolic zero."""
    return [
        ad.Zero(jax.typeof(y).to_tangent_aval()) if (change := total.get(k)) is None else change
        for k, y in zip_longest(wanted, results)
    ]


def _contract_transpose(
    cotangents: Sequence[Any], *given: Any, wanted: tuple[int, ...], types: Types, **_: int
) -> list[Any]:
    """The factor that it is linear in gets Σ_y contract(the others, with ȳ for y)."""
    numbers = _needed(wanted)
    factors = _placed(numbers, given)
    (k,) = (k for k in numbers if ad.is_undefined_primal(factors[k]))
    total = _Sum()
    for y, cotangent in _moving(wanted, cotangents).items():
        if y != k:
            total.add([k], contract(_replaced(factors, y, cotangent), [k], types))
    found = [
        None if other != k else ad.Zero(each.aval) if total.get(k) is None else total.get(k)
        for other, each in zip(numbers, given, strict=False)
    ]
    return found + _no_cotangents(given[len(numbers) :])


def _no_cotangents(kept: Sequence[Any]) -> list[Any]:
    return [ad.Zero(each.aval) if ad.is_undefined_primal(each) else None for each in kept]


def _batched(
    primitive: Primitive,
    numbers: Sequence[int],
    arrays: Sequence[Array],
    axes: Sequence[int | None],
    wanted: tuple[int, ...],
    types: Types,
    **params: Any,
) -> tuple[list[Array], list[int]]:
    """One more leading axis: of every result, and of what is to be mapped over.

    A factor that comes more than once, as an argument, as a change of it and as a result, has the
    axis everywhere.
    """
    given = list(zip(numbers, arrays, axes, strict=False))  # without what was kept for one element
    (size,) = {x.shape[axis] for _, x, axis in given if axis is not None}
    long = {*wanted, *(k for k, _, axis in given if axis is not None)}
    full = aligned([each.shape for each in types])
    inside = tuple(
        jax.ShapeDtypeStruct((size, *shape) if k in long else shape, types[k].dtype)
        for k, shape in enumerate(full)
    )
    placed = []
    for k, x, axis in given:
        own = (*(() if axis is None else (size,)), *full[k])
        x = jnp.reshape(x if axis is None else jnp.moveaxis(x, axis, 0), own)
        placed.append(jnp.broadcast_to(x, inside[k].shape))
    found = primitive.bind(*placed, wanted=wanted, types=inside, **params)
    results = [jnp.reshape(y, (size, *types[k].shape)) for k, y in zip(wanted, found, strict=True)]
    return results, [0] * len(wanted)


def _contract_batched(
    arrays: Sequence[Array], axes: Sequence[int | None], *, wanted: tuple[int, ...], types: Types,
    keep: int,
) -> tuple[list[Array], list[int | None]]:  # fmt: skip
    """What is to be kept for one element is not, as all are computed at once."""
    found, places = _batched(_contract, _needed(wanted), arrays, axes, wanted, types, keep=0)
    if not keep:
        return found, [*places]
    return [*found, jnp.zeros(keep, types[0].dtype)], [*places, None]


_contract = _primitive("lucid_contract", _run)
mlir.register_lowering(_contract, _lower_on_cpu, platform="cpu")
ad.primitive_jvps[_contract] = _contract_jvp
ad.primitive_transposes[_contract] = _contract_transpose
batching.primitive_batchers[_contract] = _contract_batched


# ----------------------------------------------------------------------------------- tangents


def tangents(
    factors: Factors, moving: Mapping[int, Array], wanted: Sequence[int], types: Types,
    kept: Sequence[Array] = (),
) -> _Sum:  # fmt: skip
    """How `contract` changes with its factors: y's change is Σ_k contract(x_k's change for x_k).

    What was kept of these factors is for the gradients, which are these changes transposed.
    """
    total = _Sum()
    wanted = [y for y in wanted if any(k != y for k in moving)]
    if wanted:
        given = [factors[k] for k in _still_needed(wanted, list(moving))]
        found = _tangents.bind(
            *given, *moving.values(), *kept,
            wanted=tuple(wanted), types=types, moving=tuple(moving),
        )  # fmt: skip
        total.add(wanted, found)
    return total


def _still_needed(wanted: Sequence[int], moving: Sequence[int]) -> list[int]:
    """The factors that stay beside any of the moving ones."""
    return [k for k in FACTORS if any(len({k, y, other}) == 3 for y in wanted for other in moving)]


def _split(
    arrays: Sequence[Any], wanted: Sequence[int], moving: Sequence[int]
) -> tuple[list[Any], dict[int, Any], Sequence[Any]]:
    """The factors, the changes and what was kept."""
    numbers = _still_needed(wanted, moving)
    end = len(numbers) + len(moving)
    changes = dict(zip(moving, arrays[len(numbers) : end], strict=True))
    return _placed(numbers, arrays), changes, arrays[end:]


def _run_tangents(
    *arrays: Array, wanted: tuple[int, ...], types: Types, moving: tuple[int, ...]
) -> list[Array]:
    factors, changes, _ = _split(arrays, wanted, moving)
    total = _Sum()
    for k, change in changes.items():
        others = _without(wanted, k)
        if others:
            total.add(others, contract(_replaced(factors, k, change), others, types))
    return [total.get(y) for y in wanted]


def _tangents_jvp(
    primals: Any, changes: Any, *, wanted: tuple[int, ...], types: Types, moving: tuple[int, ...]
) -> tuple[list[Array], list[Array]]:
    params = {"wanted": wanted, "types": types, "moving": moving}
    results = _tangents.bind(*primals, **params)
    factors, first, kept = _split(primals, wanted, moving)
    numbers = _still_needed(wanted, moving)
    of_factors = _moving(numbers, changes)
    total = tangents(factors, _moving(moving, changes[len(numbers) :]), wanted, types, kept)
    for k, change in first.items():
        others = {other: each for other, each in of_factors.items() if other != k}
        replaced = _replaced(factors, k, change)
        total.join(tangents(replaced, others, _without(wanted, k), types))
    return results, _in_order(total, wanted, results)


def _tangents_transpose(
    cotangents: Sequence[Any],
    *arrays: Any,
    wanted: tuple[int, ...],
    types: Types,
    moving: tuple[int, ...],
) -> list[Any]:
    """All changes get Σ_y contract(the factors, with ȳ for y), together for each y."""
    factors, changes, kept = _split(arrays, wanted, moving)
    total = _Sum()
    for y, cotangent in _moving(wanted, cotangents).items():
        others = _without(moving, y)
        if others:
            replaced = _replaced(factors, y, cotangent)
            total.add(others, contract(replaced, others, types, kept=kept))
    found = [
        ad.Zero(each.aval) if total.get(k) is None else total.get(k) for k, each in changes.items()
    ]
    return [None] * len(_still_needed(wanted, moving)) + found + _no_cotangents(kept)


def _tangents_batched(
    arrays: Sequence[Array],
    axes: Sequence[int | None],
    *,
    wanted: tuple[int, ...],
    types: Types,
    moving: tuple[int, ...],
) -> tuple[list[Array], list[int]]:
    numbers = [*_still_needed(wanted, moving), *moving]
    return _batched(_tangents, numbers, arrays, axes, wanted, types, moving=moving)


_tangents = _primitive("lucid_tangents", _run_tangents)
ad.primitive_jvps[_tangents] = _tangents_jvp
ad.primitive_transposes[_tangents] = _tangents_transpose
batching.primitive_batchers[_tangents] = _tangents_batched
