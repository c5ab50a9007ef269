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

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ContextDecorator
from itertools import count
from operator import attrgetter
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias
from weakref import ref

from . import _anomaly
from ._arrays import Array, DType, is_array, is_complex, namespace
from ._errors import GraphError
from ._shapes import Shape, unbroadcast

if TYPE_CHECKING:
    from ._op import Plan
    from ._tensor import Tensor

Hook: TypeAlias = "Callable[[Tensor], Tensor | None]"

_birth = count().__next__
_accumulating = threading.Lock()


class _Mode(threading.local):
    recording = True


mode = _Mode()


class _Recording(ContextDecorator):
    """A context manager and decorator that sets whether this thread records; re-entrant."""

    _recording: bool

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(mode.recording)
        mode.recording = self._recording

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        mode.recording = self._before.pop()

    def _recreate_cm(self) -> _Recording:  # a decorated function may run in several threads
        return type(self)()


class no_grad(_Recording):  # noqa: N801 (a context manager, named as a function is)
    """Record nothing in this thread: results need no gradient. Also a decorator.

    >>> import lucid
    >>> x = lucid.Tensor([1.0, 2.0], requires_grad=True)
    >>> with lucid.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    _recording = False


class enable_grad(_Recording):  # noqa: N801
    """Record again, inside a `no_grad`. Also a decorator.

    >>> import lucid
    >>> x = lucid.Tensor([1.0, 2.0], requires_grad=True)
    >>> with lucid.no_grad(), lucid.enable_grad():
    ...     (x * 2).requires_grad
    True
    """

    _recording = True


def is_grad_enabled() -> bool:
    """Whether operations are recorded in this thread.

    >>> import lucid
    >>> lucid.is_grad_enabled()
    True
    """
    return mode.recording


class Traced:
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


class Leaf:
    """The place of a Tensor whose gradient the user asked for."""

    __slots__ = ("_birth", "dtype", "hooks", "inputs", "owner", "shape")

    def __init__(self, owner: Traced) -> None:
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

    __slots__ = ("_birth", "dtype", "hooks", "inputs", "plan", "saved", "shape", "where")

    where: str  # set under detect_anomaly only

    def __init__(
        self, plan: Plan, inputs: tuple[Any, ...], saved: tuple[Any, ...], shape: Any, dtype: Any
    ) -> None:
        self.plan = plan
        self.inputs: Sequence[Any] = inputs
        self.saved: tuple[Any, ...] | None = saved
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
    tensor = Traced._public.__new__(Traced._public)
    tensor._array = array
    tensor._node = node
    tensor._grad = None
    return tensor


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
    before, mode.recording = mode.recording, create_graph
    try:
        return _propagate(roots, targets, retain_graph or create_graph, create_graph)
    finally:
        mode.recording = before


def _propagate(
    roots: Iterable[tuple[Place, Any]],
    targets: frozenset[Place] | None,
    retain_graph: bool,
    create_graph: bool,
) -> dict[Place, Any]:
    gradients: dict[Place, Any] = {}
    for place, gradient in roots:
        before = gradients.get(place)
        gradients[place] = gradient if before is None else before + gradient
    order, useful = _youngest_first(gradients, targets)
    results: dict[Place, Any] = {}
    for place in order:
        g: Any = gradients.pop(place, None)
        if g is None:  # reached only through rules that said "no gradient"
            continue
        if place.hooks is not None:
            g = _run_hooks(place, place.hooks, g)
        if targets is not None and place in targets:
            results[place] = g
            if not _leads_to(useful, place):  # this is as far as we go
                continue
        if type(place) is Node:
            _apply_rules(place, g, gradients, useful, create_graph)
            if not retain_graph:
                place.saved = None
                place.inputs = ()
        elif type(place) is Output:
            node = place.inputs[0]
            parts = gradients.setdefault(node, [None] * len(node.shape))
            before = parts[place.index]
            parts[place.index] = g if before is None else before + g
        elif targets is None:
            results[place] = g
    return results


def _youngest_first(
    roots: Iterable[Place], targets: frozenset[Place] | None
) -> tuple[list[Place], set[Place]]:
    """All places on the way from the roots to what is wanted, in the order of the walk back."""
    found: set[Place] = set(roots)
    waiting = list(found)
    everything = True  # leads to what is wanted
    # what is older than all targets leads to none of them
    oldest = -1 if targets is None else min([place._birth for place in targets], default=0)
    while waiting:
        place = waiting.pop()
        if targets is None:
            if type(place) is Leaf:
                everything = everything and place.wanted()
                continue
        elif type(place) is Leaf or place._birth <= oldest:
            everything = everything and place in targets
            continue
        if type(place) is Node and place.saved is None:
            raise GraphError(
                f"backward: the graph of this tensor has been freed by an earlier backward "
                f"(at the operation {place.plan.name}).\n"
                "Call the first one with retain_graph=True to go through it twice."
            )
        for edge in place.inputs:
            for source in edge if type(edge) is tuple else (edge,):
                if source is not None and source not in found:
                    found.add(source)
                    waiting.append(source)
    order = sorted(found, key=_by_birth, reverse=True)
    if not everything:
        found = _leading_to(targets, order)
        order = [place for place in order if place in found]
    return order, found


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
    node: Node, g: Any, gradients: dict[Place, Any], useful: set[Place], create_graph: bool
) -> None:
    """Run the rules of one node, and add what they give to the gradients of its inputs."""
    plan = node.plan
    if type(g) is list:
        g = _fill(g, node)
    conjugate = plan.conjugates and _touches_complex(node)
    if conjugate:
        g = _conjugated(g)
    values = (g, *(plan.on_tape(node) if create_graph else node.saved or ()))
    for rule, pick, position in plan.steps:
        source: Any = node.inputs[position] if plan.joint is None else plan.joint(node.inputs)
        several = type(source) is tuple
        if several:
            wanted = [place in useful for place in source]
            if True not in wanted:
                continue
            needed = plan.needed_type(*wanted)
            inputs = (*values, needed, None)
        elif source in useful:
            inputs = values
        else:
            continue
        try:
            gradient = rule(*pick(inputs))
        except Exception as error:
            _anomaly.explain(error, node)
            raise
        if conjugate:
            gradient = _conjugated(gradient)
        if not several:
            _add(gradient, source, gradients, node)
            continue
        if not isinstance(gradient, (tuple, list)) or len(gradient) != len(source):
            returned = len(gradient) if isinstance(gradient, (tuple, list)) else gradient
            raise GraphError(
                f"{plan.name}: a gradient rule for {len(source)} arrays returned "
                f"{returned if isinstance(returned, int) else type(gradient).__name__}, "
                "expected a gradient or None for each"
            )
        for place, part in zip(source, gradient, strict=True):
            if place in useful:
                _add(part, place, gradients, node)


def _add(gradient: Any, place: Place, gradients: dict[Place, Any], node: Node) -> None:
    if gradient is None:
        return
    if _anomaly.watching:
        _anomaly.check_gradient(node, gradient)
    try:
        fits = gradient.shape == place.shape and gradient.dtype == place.dtype
    except AttributeError:
        raise GraphError(
            f"{node.plan.name}: a gradient rule returned {type(gradient).__name__}, "
            f"expected an array of shape {tuple(place.shape)}"
        ) from None
    if not fits:
        gradient = _fit(gradient, place, node.plan.name)
    before = gradients.get(place)
    gradients[place] = gradient if before is None else before + gradient


def _touches_complex(node: Node) -> bool:
    dtype = node.dtype
    return any(map(is_complex, dtype)) if type(dtype) is tuple else is_complex(dtype)


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
    xp = namespace(known)
    return tuple(
        xp.zeros(shape, dtype=dtype, device=known.device) if gradient is None else gradient
        for gradient, shape, dtype in zip(gradients, node.shape, node.dtype, strict=True)
    )


def _fit(gradient: Any, place: Place, name: str) -> Any:
    """A gradient in the shape and dtype of its argument; raises if it cannot be that."""
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
    if gradient.dtype != place.dtype:
        xp = namespace(gradient)
        if is_complex(gradient.dtype) and not is_complex(place.dtype):
            gradient = xp.real(gradient)
        gradient = xp.astype(gradient, place.dtype)
    return gradient


def _run_hooks(place: Place, hooks: Hooks, gradient: Any) -> Any:
    recorded = isinstance(gradient, Traced)
    tensor = gradient if recorded else new_tensor(gradient)
    for hook in tuple(hooks.values()):
        replaced = hook(tensor)
        if replaced is None:
            continue
        if not isinstance(replaced, Traced) or tuple(replaced.shape) != tuple(place.shape):
            raise GraphError(
                f"a hook must return None or a Tensor of the gradient's shape "
                f"{tuple(place.shape)}, but returned {replaced!r}"
            )
        tensor = replaced
    if hooks.keep is not None:
        hooks.keep(tensor)
    return tensor if recorded else tensor._array


def accumulate(leaf: Place, gradient: Any) -> None:
    """Add a gradient to the `.grad` of a leaf's Tensor, safely from several threads."""
    tensor = leaf.owner() if type(leaf) is Leaf else None
    if tensor is None:
        return
    with _accumulating:
        add_gradient(tensor, gradient)


def add_gradient(tensor: Traced, gradient: Any) -> None:
    before = tensor._grad
    if isinstance(gradient, Traced):
        tensor._grad = gradient if before is None else before + gradient  # type: ignore[assignment]
    else:
        total = gradient if before is None else before._array + gradient
        tensor._grad = new_tensor(total)


def recorded(value: Any, place: Any) -> Any:
    """A saved value for a rule that is itself recorded: a Tensor on the place it came from."""
    if isinstance(place, tuple):
        return tuple(map(recorded, value, place))
    if isinstance(value, tuple) and type(place) is Node:  # all the results of an operation
        return tuple(new_tensor(part, Output(place, k)) for k, part in enumerate(value))
    if place is None and not is_array(value):
        return value
    return new_tensor(value, place)
