"""The tape: what was computed from what, and the walk back over it.

A Tensor is a name for an array plus its *place* on the tape. There are three kinds of place:

    Leaf     a Tensor that the user made and wants a gradient for
    Node     one application of an operation that has one output
    Output   one of the outputs of an operation that has several

Edges point from a place to the places that it was computed from, never forward, and never to a
Tensor but for the weak one from a Leaf to its owner. So there are no reference cycles: dropping
the last Tensor that stands on a graph frees the graph.

Every place carries the count of its birth. A place is younger than all that it was computed
from, so walking back from the youngest to the oldest visits each once, with its gradient complete.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import count
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias
from weakref import ref

import numpy as np

from . import _anomaly
from ._addend import Addend, now
from ._arrays import (
    Array,
    DType,
    asarray,
    asarray_like,
    device_of,
    is_array,
    is_complex,
    is_half,
    like_tuple,
    namespace,
)
from ._blocks import Later
from ._errors import GraphError
from ._recording import mode
from ._rules import Saving
from ._shapes import Shape, unbroadcast
from ._wide import converted, widened

if TYPE_CHECKING:
    from ._tensor import Tensor

Hook: TypeAlias = "Callable[[Tensor], Tensor | None]"

# A quick look at the dtypes that are nearly always there, and need neither conj nor more room.
_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)

_ndarray = np.ndarray
_create = object.__new__
_birth = count().__next__
_accumulating = threading.Lock()


class Tracked:
    """An array and its place on the tape: what the tape has to know of a Tensor."""

    __slots__ = ("_array", "_node", "_grad", "__weakref__")  # noqa: RUF023 (hot ones first)

    _array: Array
    _node: Place | None
    _grad: Tensor | None

    _public: ClassVar[type[Tensor]]  # Tensor, which stands above the operations and this file


class Hooks(dict[object, Hook]):
    """What is called with the gradient at a place, each under a key of its own.

    Last, what keeps the gradient for `retain_grad`.
    """

    keep: Callable[[Tensor], None] | None = None
    total: tuple[Any, Any] = (None, None)  # what `add_gradient` remembers for it


class Leaf:
    """The place of a Tensor whose gradient the user asked for."""

    __slots__ = ("_birth", "dtype", "hooks", "inputs", "owner", "shape", "total")

    def __init__(self, owner: Tracked) -> None:
        self.owner = ref(owner)
        self.inputs = ()
        self.shape: Shape = tuple(owner._array.shape)
        self.dtype: DType = owner._array.dtype
        self.hooks: Hooks | None = None
        self._birth = _birth()

    def wanted(self) -> bool:
        """Whether there is still a Tensor to put a gradient into."""
        owner = self.owner()
        return owner is not None and owner._node is self


class Node:
    """One application of an operation: where its inputs come from, and what its rules need."""

    __slots__ = ("_birth", "dtype", "hooks", "inputs", "saved", "saving", "shape", "where")

    where: str  # set under detect_anomaly only

    def __init__(
        self,
        saving: Saving,
        inputs: tuple[Any, ...],
        saved: tuple[Any, ...],
        shape: Any,
        dtype: Any,
    ) -> None:
        self.saving = saving
        self.inputs: Sequence[Any] = inputs
        self.saved: Iterable[Any] | None = saved  # a checkpoint computes them when iterated over
        self.shape = shape  # of several outputs: a tuple of shapes, and one of dtypes
        self.dtype = dtype
        self.hooks: Hooks | None = None
        self._birth = _birth()


class Output:
    """One output of a Node that has several."""

    __slots__ = ("_birth", "dtype", "hooks", "index", "inputs", "shape")

    def __init__(self, node: Node, index: int) -> None:
        self.inputs = (node,)
        self.index = index
        self.shape: Shape = node.shape[index]
        self.dtype: DType = node.dtype[index]
        self.hooks: Hooks | None = None
        self._birth = _birth()


Place: TypeAlias = Leaf | Node | Output

_by_birth = attrgetter("_birth")


def new_tensor(array: Array, node: Place | None = None) -> Tensor:
    """A Tensor for an array, on a place."""
    tensor: Tensor = _create(Tracked._public)
    tensor._array = array
    tensor._node = node
    tensor._grad = None
    return tensor


def plain(value: Any) -> Any:
    """The array of a Tensor; anything else as it is."""
    return value._array if isinstance(value, Tracked) else value


def operand(value: Any, *others: Any) -> Any:
    """A Tensor or an array as it is; as a Tensor what is beside one, and a number or a list."""
    if isinstance(value, Tracked):
        return value
    beside_tensor = any(isinstance(other, Tracked) for other in others)
    return value if is_array(value) and not beside_tensor else new_tensor(asarray(value))


def beside(input: Any, value: Any) -> Array:
    """The array of a Tensor, an array as it is, and numbers as an array of the input's library."""
    value = plain(value)
    return value if is_array(value) else asarray_like(plain(input), value)


def propagate(
    roots: Iterable[tuple[Place, Array]],
    *,
    targets: frozenset[Place] | None = None,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> dict[Place, Any]:
    """Carry gradients from the roots back to every wanted leaf, or to the targets only.

    Returns the gradient of each leaf (or target) that was reached: an array, or with
    `create_graph` a Tensor, because then the rules are themselves recorded.
    """
    keeps = retain_graph or create_graph
    before, mode.recording = mode.recording, create_graph
    try:
        gradients: dict[Place, Any] = {}
        for place, gradient in roots:
            known = gradients.get(place)
            gradients[place] = gradient if known is None else _sum(known, gradient)
        order, leaves, useful = _youngest_first(gradients, targets)
        results: dict[Place, Any] = {}
        uses: dict[Place, int] = {}
        for place in order:
            g: Any = gradients.pop(place, None)
            if g is None:  # reached only through rules that said "no gradient"
                continue
            dtype = place.dtype
            if dtype is not _FLOAT32 and dtype is not _FLOAT64 and type(g) is not list:
                g = converted(g, dtype)  # it may have been added up in a wider one
            if place.hooks is not None:
                g = _run_hooks(place, place.hooks, g)
            if targets is not None and place in targets:
                results[place] = g
                if not (useful and _leads_to(useful, place)):  # this is as far as we go
                    continue
            if type(place) is Node:
                _apply_rules(place, g, gradients, useful, create_graph, order, uses)
                if not keeps:
                    place.saved = None
                    place.inputs = ()
            elif type(place) is Output:
                node = place.inputs[0]
                parts = gradients.setdefault(node, [None] * len(node.shape))
                known = parts[place.index]
                parts[place.index] = g if known is None else _sum(known, g)
        for leaf in leaves:
            g = gradients.get(leaf)
            if g is None:
                continue
            dtype = leaf.dtype
            if dtype is not _FLOAT32 and dtype is not _FLOAT64:
                g = converted(g, dtype)
            if leaf.hooks is not None:
                g = _run_hooks(leaf, leaf.hooks, g)
            results[leaf] = g.array() if targets is not None and type(g) is Addend else g
        return results
    finally:
        mode.recording = before


def _youngest_first(
    roots: Iterable[Place], targets: frozenset[Place] | None
) -> tuple[list[Place], Collection[Leaf], set[Place] | None]:
    """All places on the way from the roots to what is wanted, in the order of the walk back.

    Leaves come apart: nothing goes on from them. Last, all of these as a set; without targets None
    where there are no others.
    """
    oldest = -1  # with targets, the walk also ends at what is no younger than all of them
    for place in targets or ():
        if oldest < 0 or place._birth < oldest:
            oldest = place._birth

    found: set[Any] = set(roots)
    order: list[Any] = []
    leaves: dict[Any, None] = {}
    waiting = list(found)
    everything = True  # leads to what is named
    while waiting:
        place = waiting.pop()
        if type(place) is Leaf:
            leaves[place] = None
            continue
        order.append(place)
        if place._birth <= oldest:
            everything = everything and place in targets  # type: ignore[operator]
            continue
        if type(place) is Node and place.saved is None:
            raise GraphError(
                f"backward: the graph of this tensor has been freed by an earlier backward "
                f"(at the operation {place.saving.operation}).\n"
                "Call the first one with retain_graph=True to go through it twice."
            )
        for source in place.inputs:
            kind = type(source)
            if kind is Leaf:
                leaves[source] = None
            elif kind is tuple:  # the places of a sequence of arrays
                fresh = set(source) - found - {None}
                found |= fresh
                waiting += fresh
            elif source is not None and source not in found:
                found.add(source)
                waiting.append(source)
    if len(order) > 1:
        order.sort(key=_by_birth, reverse=True)
    if targets is None:
        for leaf in leaves:
            owner = leaf.owner()  # as in `wanted`, without a call
            if owner is None or owner._node is not leaf:
                break
        else:
            return order, leaves, None
    found.update(leaves)
    if targets is None or not (everything and targets.issuperset(leaves)):
        found = _leading_to(targets, [*order, *leaves])
        order = [place for place in order if place in found]
        leaves = {leaf: None for leaf in leaves if leaf in found}
    return order, leaves, found


def _leading_to(targets: frozenset[Place] | None, order: list[Place]) -> set[Place]:
    useful: set[Place] = set()
    for place in reversed(order):
        if targets is None:
            is_wanted = type(place) is Leaf and place.wanted()
        else:
            is_wanted = place in targets
        if is_wanted or _leads_to(useful, place):
            useful.add(place)
    return useful


def _leads_to(useful: set[Place], place: Place) -> bool:
    # loops, not `any`: a generator for each place would take most of the walk's time
    for edge in place.inputs:
        if not useful.isdisjoint(edge) if type(edge) is tuple else edge in useful:
            return True
    return False


def _apply_rules(
    node: Node, g: Any, gradients: dict[Place, Any], useful: set[Place] | None, create_graph: bool,
    order: list[Place], uses: dict[Place, int],
) -> None:  # fmt: skip
    """Run the rules of one node, and add what they give to the gradients of its inputs."""
    saving = node.saving
    conjugate = widen = False
    dtype = node.dtype
    if dtype is not _FLOAT32 and dtype is not _FLOAT64:
        dtypes = dtype if type(dtype) is tuple else (dtype,)
        if type(g) is list:  # of several outputs
            g = _fill(g, node)
        conjugate = saving.conjugates and any(map(is_complex, dtypes))
        widen = not saving.halves and any(map(is_half, dtypes))
    if conjugate:
        g = _conjugated(g)
    given = (g, *(_on_tape(node) if create_graph else node.saved or ()))
    rules: Sequence[Any] = saving.rules
    if widen:
        by_blocks = saving.in_blocks(given, node.shape)
        if by_blocks is None:
            given = widened(given)
        else:
            rules = by_blocks
    careful = conjugate or create_graph or _anomaly.watching
    for rule in rules:
        try:
            found = rule.run(node.inputs, given, useful)
        except Exception as error:
            _anomaly.explain(error, node)
            raise
        for place, gradient in found:
            if (  # what is nearly always so
                type(gradient) is _ndarray
                and gradient.dtype is place.dtype
                and gradient.shape == place.shape
                and place not in gradients
                and not careful
            ):
                gradients[place] = gradient
                continue
            if gradient is None:
                continue
            if conjugate:
                gradient = _conjugated(gradient)
            if isinstance(gradient, Later):
                gradient = _made(gradient, node, place, gradients, order, uses)
            _add(gradient, place, gradients, node, create_graph)


def _made(
    later: Later, node: Node, place: Place, gradients: dict[Place, Any],
    order: list[Place], uses: dict[Place, int],
) -> Array:  # fmt: skip
    """A gradient that was left to be computed: in float32 where others are added to it."""
    if not uses:
        for each in order:
            for source in each.inputs:
                for one in source if type(source) is tuple else (source,):
                    uses[one] = uses.get(one, 0) + 1
    is_alone = place not in gradients and uses[place] == 1
    try:
        return later.make(place.dtype if is_alone else np.float32, tuple(place.shape))
    except Exception as error:
        _anomaly.explain(error, node)
        raise


def _add(
    gradient: Any, place: Place, gradients: dict[Place, Any], node: Node, create_graph: bool
) -> None:
    before = gradients.get(place)
    if type(gradient) is Addend and (
        type(place) is not Leaf
        or place.hooks is not None
        or before is not None
        or gradient.shape != place.shape
        or gradient.dtype != place.dtype
        or _anomaly.watching
    ):
        gradient = gradient.array()
    if _anomaly.watching:
        _anomaly.check_gradient(node, gradient)
    try:
        shape, dtype = gradient.shape, gradient.dtype
    except AttributeError:
        raise GraphError(
            f"{node.saving.operation}: a gradient rule returned {type(gradient).__name__}, "
            f"expected an array of shape {tuple(place.shape)}"
        ) from None
    if create_graph and not isinstance(gradient, Tracked):
        raise GraphError(
            f"{node.saving.operation}: a gradient rule returned {type(gradient).__name__} where "
            "the gradient is itself being recorded (create_graph, gradcheck with order=2); its "
            "graph is lost.\nCompute in the rule with operators and lucid's functions, such as "
            "lucid.exp, and take no values out of a Tensor; return None where the gradient is "
            "zero."
        )
    # NumPy's dtypes are nearly always the same object, which is quicker to see
    if shape != place.shape or (dtype is not place.dtype and dtype != place.dtype):
        gradient = _fit(gradient, place, node.saving.operation)
    if before is not None:
        before = now(before)
        usual = dtype is _FLOAT32 or dtype is _FLOAT64
        gradient = before + gradient if usual else _sum(before, gradient)
    gradients[place] = gradient


def _sum(before: Any, gradient: Any) -> Any:
    """Two gradients of one place: halves add up in float32, and are rounded when all are there."""
    return widened(before) + gradient  # beside float32, a half becomes that


def _conjugated(gradient: Any) -> Any:
    """conj, of what is complex, also of each of several gradients."""
    if gradient is None:
        return None
    if isinstance(gradient, (tuple, list)):
        return tuple(map(_conjugated, gradient))
    return namespace(gradient).conj(gradient) if is_complex(gradient.dtype) else gradient


def _fill(gradients: list[Any], node: Node) -> tuple[Any, ...]:
    """Zeros for the outputs that nothing was computed from."""
    known = next(gradient for gradient in gradients if gradient is not None)
    array = plain(known)
    xp, device = namespace(array), device_of(array)

    def zeros(shape: Shape, dtype: DType) -> Any:
        made = xp.zeros(shape, dtype=dtype, device=device)
        return made if array is known else new_tensor(made)

    return tuple(
        zeros(shape, dtype) if gradient is None else gradient
        for gradient, shape, dtype in zip(gradients, node.shape, node.dtype, strict=True)
    )


def _fit(gradient: Any, place: Place, name: str) -> Any:
    """A gradient in the shape and dtype of its place; raises if it cannot be that."""
    if tuple(gradient.shape) != place.shape:
        summed = len(gradient.shape) >= len(place.shape) and all(
            size in (1, given)
            for size, given in zip(place.shape[::-1], tuple(gradient.shape)[::-1], strict=False)
        )
        if not summed:
            raise GraphError(
                f"{name}: a gradient rule returned shape {tuple(gradient.shape)} "
                f"for an argument of shape {place.shape}"
            )
        gradient = unbroadcast(gradient, place.shape)
    if is_complex(gradient.dtype) and not is_complex(place.dtype):
        gradient = namespace(gradient).real(gradient)
    if gradient.dtype == place.dtype or is_half(place.dtype):  # rounded when all are added up
        return gradient
    return namespace(gradient).astype(gradient, place.dtype)


def _run_hooks(place: Place, hooks: Hooks, gradient: Any) -> Any:
    recorded = isinstance(gradient, Tracked)
    tensor = gradient if recorded else new_tensor(gradient)
    for hook in tuple(hooks.values()):
        replaced = hook(tensor)
        if replaced is None:
            continue
        if not isinstance(replaced, Tracked) or tuple(replaced.shape) != tuple(place.shape):
            raise GraphError(
                f"a hook must return None or a Tensor of the gradient's shape "
                f"{tuple(place.shape)}, but returned {replaced!r}"
            )
        tensor = replaced
    if hooks.keep is not None:
        hooks.keep(tensor)
    return tensor if recorded else tensor._array


def accumulate(gradients: dict[Any, Any]) -> None:
    """Add gradients to the `.grad` of the leaves' Tensors, safely from several threads."""
    with _accumulating:
        for leaf, gradient in gradients.items():
            tensor = leaf.owner()
            if tensor is None:
                continue
            if tensor._grad is None and type(gradient) is _ndarray:
                dtype = tensor._array.dtype
                if dtype is _FLOAT32 or dtype is _FLOAT64:
                    tensor._grad = new_tensor(gradient)
                    continue
            add_gradient(tensor, gradient, leaf)


def add_gradient(tensor: Tracked, gradient: Any, keeper: Any) -> None:
    """Add to the `.grad` of a Tensor; its `keeper` remembers the total where that is wider."""
    if tensor._grad is not None and _add_in_place(tensor, gradient):
        return
    gradient = now(gradient)
    before: Any = tensor._grad
    dtype = tensor._array.dtype
    if dtype is not _FLOAT32 and dtype is not _FLOAT64 and is_half(dtype):
        total = _wide_total(before, gradient, keeper)
    elif before is None:
        total = gradient
    else:
        total = (before if isinstance(gradient, Tracked) else before._array) + gradient
    tensor._grad = total if isinstance(total, Tracked) else new_tensor(total)  # type: ignore[assignment]


IN_PLACE = 1 << 20
"""Bytes of a gradient, from which on what is added to it is added where it lies."""

_counts = hasattr(sys, "getrefcount")  # CPython does
_alone: tuple[int, int] | None = None


def _add_in_place(tensor: Tracked, gradient: Any) -> bool:
    """Add to a large `.grad` that nobody else holds, so that nobody sees it change.

    A sum of its own would be as much memory again, which the system has to clear and map first.
    """
    global _alone
    waits = type(gradient) is Addend
    if not waits and (type(gradient) is not np.ndarray or gradient.nbytes < IN_PLACE):
        return False
    array = tensor._grad._array  # type: ignore[union-attr]
    if (
        not _counts
        or type(array) is not np.ndarray
        or array.dtype.char not in "fd"  # halves are not added up as they are
        or array.dtype != gradient.dtype
        or array.shape != gradient.shape
        or not (array.flags.owndata and array.flags.writeable)
        or tensor._grad._node is not None  # type: ignore[union-attr]
    ):
        return False
    del array
    if _alone is None:  # how many references this counts where there are none but those needed
        probe = new_tensor(np.empty(0))
        probe._grad = new_tensor(np.empty(0))
        _alone = _held(probe)
    if _held(tensor) != _alone:
        return False
    array = tensor._grad._array  # type: ignore[union-attr]
    if waits:
        return bool(gradient.add_to(array))
    np.add(array, gradient, out=array)
    return True


def _held(tensor: Tracked) -> tuple[int, int]:
    """How often the `.grad` of a Tensor, and its array, are referred to."""
    return sys.getrefcount(tensor._grad), sys.getrefcount(tensor._grad._array)  # type: ignore[union-attr]


def _wide_total(before: Tracked | None, gradient: Any, keeper: Any) -> Any:
    """The sum of half gradients over several backward passes, which float32 keeps for the next."""
    if before is None:
        keeper.total = (None, None)
        return gradient
    rounded, total = getattr(keeper, "total", (None, None))
    if rounded is not before._array:  # there is none yet, or `.grad` was set or changed
        total = before
    total = _sum(total if isinstance(gradient, Tracked) else plain(total), gradient)
    result = converted(total, before._array.dtype)
    keeper.total = plain(result), total
    return result


def _on_tape(node: Node) -> list[Any]:
    """The saved values as Tensors on their places: for rules that are themselves recorded."""
    return [
        value if origin is None else _recorded(value, node if origin == -1 else node.inputs[origin])
        for value, origin in zip(node.saved or (), node.saving.origins, strict=True)
    ]


def _recorded(value: Any, place: Any) -> Any:
    """A saved value for a rule that is itself recorded: a Tensor on the place it came from."""
    if isinstance(place, tuple):
        return tuple(map(_recorded, value, place))
    if isinstance(value, tuple) and type(place) is Node:  # all the results of an operation
        return like_tuple(
            value, [new_tensor(part, Output(place, k)) for k, part in enumerate(value)]
        )
    if place is None and not is_array(value):
        return value
    return new_tensor(value, place)
