"""Memory for time: a function whose values in between are computed again in the pass back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from itertools import zip_longest
from operator import attrgetter
from typing import Any

from .._arrays import is_array
from .._errors import ArgumentError, GraphError
from .._pytree import replaced, take_apart
from .._random import states_of_use
from .._recording import enable_grad, mode
from .._tape import Leaf, Node, _birth as next_birth, new_tensor
from .._tensor import Tensor


def checkpoint(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, of which the graph keeps no values: the pass back computes them again.

    What the function computes in between is not kept for the backward pass but the arguments are;
    the first rule that needs a value calls the function once more. So a chain of n layers in
    checkpoints of √n layers each holds about 2·√n layers' values at a time instead of n, for the
    time of one more forward pass.

    Everything else is as without it: Tensors that the function uses beside its arguments get their
    gradients, it may return several Tensors, and derivatives of every order exist. The generators
    of lucid give the second run the numbers of the first (so dropout drops the same), and then go
    on where they stood. The function must compute the same the second time, so it should not change
    anything outside. May be used as a decorator.

    Raises GraphError in the pass back if the second run records other operations than the first.
    Source: Chen et al., "Training deep nets with sublinear memory cost", 2016.

    >>> block = lucid.autograd.checkpoint(lambda x: lucid.exp(lucid.sin(x)))
    >>> x = lucid.Tensor(0.0, requires_grad=True)
    >>> block(x).backward()
    >>> x.grad
    Tensor(1.0)
    """
    if not callable(function):
        raise ArgumentError(
            f"checkpoint: expected a function, got {type(function).__name__}; the arguments go to "
            "what it returns, as in checkpoint(function)(x)"
        )

    @wraps(function, updated=())
    def run(*args: Any, **kwargs: Any) -> Any:
        if not mode.recording:
            return function(*args, **kwargs)
        segment = _Segment(function, args, kwargs)
        result, nodes = segment.first()
        for k, node in enumerate(nodes):
            node.saved = _Again(segment, k)
        return result

    return run


class _Segment:
    """A call that can be made again, and what its second run saved, by the number of the node."""

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self.function = function
        self.call = args, kwargs
        # a Tensor may be given other values, or get into a graph, before the second run
        self.kept = replaced((args, kwargs), _kept)
        self.names: list[str] = []
        self.saved: dict[int, Any] = {}

    def first(self) -> tuple[Any, list[Node]]:
        args, kwargs = self.call
        del self.call
        with states_of_use() as self.states:
            start = next_birth()
            result = self.function(*args, **kwargs)
        nodes = _nodes_since(start, result)
        self.names = [node.saving.operation for node in nodes]
        return result, nodes

    def again(self) -> None:
        args, kwargs = replaced(self.kept, _tensor_again)
        before = {generator: generator.get_state() for generator in self.states}
        for generator, state in self.states.items():
            generator.set_state(state)
        try:
            with enable_grad():
                start = next_birth()
                result = self.function(*args, **kwargs)
        finally:
            for generator, state in before.items():
                generator.set_state(state)
        nodes = _nodes_since(start, result)
        names = [node.saving.operation for node in nodes]
        if names != self.names:
            pairs = enumerate(zip_longest(self.names, names, fillvalue="none"))
            k, (first, second) = next(pair for pair in pairs if pair[1][0] != pair[1][1])
            called = getattr(self.function, "__name__", type(self.function).__name__)
            raise GraphError(
                f"checkpoint: {called} recorded other operations the second time: operation {k} "
                f"was {first}, then {second}.\nA function under checkpoint computes the same "
                "when it is called again; keep what it depends on as it is until the pass back."
            )
        self.saved = dict(enumerate(node.saved for node in nodes))


class _Again:
    """What a node of a segment saved: iterated over by the tape when its rules run."""

    __slots__ = ("number", "segment")

    def __init__(self, segment: _Segment, number: int) -> None:
        self.segment = segment
        self.number = number

    def __iter__(self) -> Iterator[Any]:
        saved = self.segment.saved
        if self.number not in saved:
            self.segment.again()
            saved = self.segment.saved
        return iter(saved.pop(self.number))  # a checkpoint within this one runs again in turn


class _Kept:
    """The values of a Tensor that was an argument, and whether it was in a graph."""

    def __init__(self, tensor: Tensor) -> None:
        self.array = tensor._array
        self.tracked = tensor._node is not None


def _kept(value: Any) -> Any:
    return _Kept(value) if isinstance(value, Tensor) else value


def _tensor_again(value: Any) -> Any:
    if not isinstance(value, _Kept):
        return value
    tensor = new_tensor(value.array)
    if value.tracked:
        tensor._node = Leaf(tensor)
    return tensor


def _nodes_since(start: int, result: Any) -> list[Node]:
    """The operations since a birth that saved arrays for this result, the oldest first."""
    found: set[Any] = set()
    waiting: list[Any] = [leaf._node for leaf in take_apart(result)[0] if isinstance(leaf, Tensor)]
    while waiting:
        place = waiting.pop()
        if place is None or place in found or place._birth < start:
            continue
        found.add(place)
        for edge in place.inputs:
            waiting += edge if type(edge) is tuple else (edge,)
    nodes = [place for place in found if type(place) is Node and _holds_arrays(place.saved)]
    return sorted(nodes, key=attrgetter("_birth"))


def _holds_arrays(saved: Any) -> bool:
    if isinstance(saved, (tuple, list)):
        return any(map(_holds_arrays, saved))
    return isinstance(saved, _Again) or is_array(saved)
