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
import numpy as np
from jax.experimental.custom_partitioning import SdyShardingRule, custom_partitioning
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

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
    if _is_partly_manual(module.axis_context):
        return _with_free_axes(context)
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


def is_divided(context: Any) -> bool:
    """Whether arrays may be divided here: not where a mesh is all in the hands of `shard_map`."""
    where = context.module_context.axis_context
    return getattr(where, "num_devices", None) not in (None, 1) or _is_partly_manual(where)


def _is_partly_manual(where: Any) -> bool:
    manual = getattr(where, "manual_axes", None)
    return manual is not None and any(
        size > 1 and axis not in manual for axis, size in where.mesh.shape.items()
    )


def _with_free_axes(context: Any) -> Any:
    """The same of `shard_map` over some of the axes of its mesh: the others are free."""
    module = context.module_context
    where = module.axis_context
    devices = jax.devices(module.platforms[0])
    if len(devices) < where.mesh.size:
        return None
    there = np.reshape(devices[: where.mesh.size], tuple(where.mesh.shape.values()))
    mesh = Mesh(there, where.mesh.axis_names)
    return context.replace(module_context=module.replace(axis_context=replace(where, mesh=mesh)))


def _free(where: Any) -> Mesh:
    """The free axes as a mesh: of devices whose parts along the others are the first."""
    names = where.mesh.axis_names
    first = tuple(0 if axis in where.manual_axes else slice(None) for axis in names)
    return Mesh(
        where.mesh.devices[first], [axis for axis in names if axis not in where.manual_axes]
    )


def divided(
    context: Any, contract: Contract, numbers: Sequence[int], wanted: Sequence[int], types: Types
) -> Any:
    """The same contraction of the factors with these numbers, as XLA divides it in this context."""
    where = context.module_context.axis_context
    labels = _labels(types)
    sizes = dict(
        pair for axes, each in zip(labels, types, strict=True)
        for pair in zip(axes, each.shape, strict=True)
    )  # fmt: skip
    given, results = [labels[k] for k in numbers], [labels[k] for k in wanted]

    def partition(mesh: Any, of_given: Any, of_results: Any) -> Any:
        free = mesh
        if _is_partly_manual(where):  # then XLA counts the devices of the free axes alone
            mesh, free = where.mesh, _free(where)
        specs = [_spec(each, free) for each in (*of_given, *of_results)]
        places = _places(free, [*given, *results], specs, sizes)

        def sharding(axes: Labels) -> NamedSharding:
            return NamedSharding(free, PartitionSpec(*(places.get(label) for label in axes)))

        def summed(k: int) -> tuple[str, ...]:
            return tuple(
                axis for label, own in places.items() if label not in labels[k] for axis in own
            )

        def part(k: int) -> jax.ShapeDtypeStruct:
            shape, dtype = sharding(labels[k]).shard_shape(types[k].shape), types[k].dtype
            is_half = dtype in (jnp.float16, jnp.bfloat16)
            wide = is_half and k in wanted and summed(k)
            return jax.ShapeDtypeStruct(shape, jnp.dtype(jnp.float32) if wide else dtype)

        def of_one_device(*parts: Array) -> list[Array]:
            found = contract(parts, tuple(map(part, range(4))))
            return [
                (jax.lax.psum(y, summed(k)) if summed(k) else y).astype(types[k].dtype)
                for k, y in zip(wanted, found, strict=True)
            ]

        return mesh, of_one_device, list(map(sharding, results)), tuple(map(sharding, given))

    function: Any = custom_partitioning(lambda *parts: contract(parts, types))
    function.def_partition(
        partition,
        decode_shardings=False,
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


def _spec(array: jax.ShapeDtypeStruct, mesh: Any) -> list[tuple[str, ...]]:
    """The axes of the mesh along which each axis of the array is divided, the outermost first."""
    rank = len(array.shape)
    found: list[list[tuple[int, str]]] = [[] for _ in range(rank)]
    parts = array.sharding and array.sharding._to_xla_hlo_sharding(rank)
    if parts and parts.is_tiled():
        counts = parts.tile_assignment_dimensions()
        order = np.argsort(parts.tile_assignment_devices())
        sizes = tuple(mesh.shape.values())
        places = np.reshape(np.transpose(np.unravel_index(order, counts)), (*sizes, len(counts)))
        for axis, name in enumerate(mesh.axis_names):
            if sizes[axis] > 1:  # where the next device along it has its part
                first, second = (places[(0,) * axis + (k,)] for k in (0, 1))
                steps = (second - first).reshape(-1, len(counts))[0]
                for each, step in zip(found, steps, strict=False):
                    each += [(step, name)] if step else []
    return [tuple(name for _, name in sorted(each, reverse=True)) for each in found]


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
                votes[label, own] = votes.get((label, own), 0) + numbers
    found: dict[str, tuple[str, ...]] = {}
    taken: set[str] = set()
    for label, own in sorted(votes, key=lambda wish: -votes[wish]):
        if label in found or taken.intersection(own):
            continue
        if sizes[label] % prod(mesh.shape[axis] for axis in own) == 0:
            found[label] = own
            taken.update(own)
    return found
