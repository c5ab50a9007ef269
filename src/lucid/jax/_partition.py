"""How a contraction is divided over a mesh under `jit`: each device contracts its own parts.

Every axis of the four factors has a label: a leading axis its place from the right, o, i, j the
features. To divide along a label is to divide all that have it. What has it not is there whole; a
result that has it not is added up over all parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental.custom_partitioning import SdyShardingRule, custom_partitioning
from jax.sharding import AbstractMesh, NamedSharding, PartitionSpec

Array = Any
Types = tuple[jax.ShapeDtypeStruct, ...]
Labels = tuple[str, ...]
Contract = Callable[[Sequence[Array], Types], list[Array]]
"""Of the factors that are there, with the types of all four: those wanted."""

_FEATURES = ("o", "i", "j", "oij")


def with_mesh(context: Any) -> Any:
    """A lowering's context that tells `custom_partitioning` the mesh, or None where it cannot.

    JAX tells it by itself only to primitives that then refuse abstract meshes and programs with
    several. So the mesh is that of the arguments' types, or of all shardings in the module so far.
    """
    module = context.module_context
    if module.lowering_parameters.for_export or not getattr(
        jax.config, "jax_use_shardy_partitioner", True
    ):
        return None  # an exported program keeps no Python function
    count = module.axis_context.num_devices
    meshes = {each.sharding.mesh for each in context.avals_in if not each.sharding.mesh.empty}
    if not meshes:
        known = getattr(module, "sharding_attr_cache", None) or {}
        named = [each for each in known if each.mesh_shape]
        if any(each.logical_device_ids is not None for each in named):
            return None
        meshes = {
            AbstractMesh(sizes, names)
            for names, sizes in {tuple(zip(*each.mesh_shape, strict=True)) for each in named}
        }
    devices = jax.devices(module.platforms[0])  # which of them does not count, only how many
    if len(meshes) != 1 or len(devices) < count or (mesh := meshes.pop()).size != count:
        return None
    where = replace(
        module.axis_context, device_assignment=tuple(devices[:count]), abstract_mesh=mesh
    )
    return context.replace(module_context=module.replace(axis_context=where))


def divided(contract: Contract, numbers: Sequence[int], wanted: Sequence[int], types: Types) -> Any:
    """The same contraction of the factors with these numbers, as XLA divides it."""
    labels = _labels(types)
    sizes = dict(
        pair for axes, each in zip(labels, types, strict=True)
        for pair in zip(axes, each.shape, strict=True)
    )  # fmt: skip
    given, results = [labels[k] for k in numbers], [labels[k] for k in wanted]

    def partition(mesh: Any, of_given: Any, of_results: Any) -> Any:
        specs = [tuple(each.sharding.spec) for each in (*of_given, *of_results)]
        places = _places(mesh, [*given, *results], specs, sizes)

        def sharding(axes: Labels) -> NamedSharding:
            return NamedSharding(mesh, PartitionSpec(*(places.get(label) for label in axes)))

        def summed(k: int) -> tuple[str, ...]:
            return tuple(
                axis for label, own in places.items() if label not in labels[k] for axis in own
            )

        def own(k: int) -> jax.ShapeDtypeStruct:
            shape, dtype = sharding(labels[k]).shard_shape(types[k].shape), types[k].dtype
            is_half = dtype in (jnp.float16, jnp.bfloat16)
            wide = is_half and k in wanted and summed(k)
            return jax.ShapeDtypeStruct(shape, jnp.dtype(jnp.float32) if wide else dtype)

        def of_one_device(*parts: Array) -> list[Array]:
            found = contract(parts, tuple(map(own, range(4))))
            return [
                (jax.lax.psum(y, summed(k)) if summed(k) else y).astype(types[k].dtype)
                for k, y in zip(wanted, found, strict=True)
            ]

        return mesh, of_one_device, list(map(sharding, results)), tuple(map(sharding, given))

    function: Any = custom_partitioning(lambda *parts: contract(parts, types))
    function.def_partition(
        partition,
        sharding_rule=SdyShardingRule(
            tuple(given), tuple(results),
            reduction_factors=tuple(
                label for label in sizes if not any(label in axes for axes in results)
            ),
        ),
    )  # fmt: skip
    return function


def _labels(types: Types) -> list[Labels]:
    """Those of all four factors; what has size 1, or broadcasts, has a label of its own."""
    found = []
    for k, each in enumerate(types):
        rank = len(each.shape) - len(_FEATURES[k])
        leading = (
            f"lone{k}x{place}" if each.shape[place] == 1 else f"leading{rank - place}"
            for place in range(rank)
        )
        found.append((*leading, *_FEATURES[k]))
    return found


def _places(
    mesh: Any, labels: Sequence[Labels], specs: Sequence[Any], sizes: dict[str, int]
) -> dict[str, tuple[str, ...]]:
    """The axes of the mesh along which each label is divided, in equal parts.

    Where arrays want different ones, that which divides most numbers counts.
    """
    votes: dict[tuple[str, tuple[str, ...]], int] = {}
    for axes, spec in zip(labels, specs, strict=True):
        numbers = prod(sizes[label] for label in axes)
        for label, own in zip(axes, spec, strict=False):
            if own:
                wish = label, own if isinstance(own, tuple) else (own,)
                votes[wish] = votes.get(wish, 0) + numbers
    found: dict[str, tuple[str, ...]] = {}
    taken: set[str] = set()
    for label, own in sorted(votes, key=lambda wish: -votes[wish]):
        if label in found or taken.intersection(own):
            continue
        if sizes[label] % prod(mesh.shape[axis] for axis in own) == 0:
            found[label] = own
            taken.update(own)
    return found
