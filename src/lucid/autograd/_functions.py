"""Derivatives of functions of Tensors, and of trees of Tensors.

Each of them runs the function once with Tensors of its own in the places of those that it
differentiates in, and then walks back over what was recorded. So they nest: where an argument, or
a Tensor that the function uses beside its arguments, requires a gradient outside, the derivative is
recorded too and can be differentiated again. Under `lucid.no_grad` it is not.

The conventions of complex numbers are those of `lucid.grad`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from typing import Any

from .._arrays import is_array, is_complex, is_differentiable, namespace, set_item
from .._errors import ArgumentError, DTypeError, ShapeError
from .._op import op
from .._pytree import Structure, replaced, take_apart
from .._recording import enable_grad, mode
from .._shapes import size_of
from .._tape import Leaf, Place, new_tensor, propagate
from .._tensor import Tensor, seed
from ..ops._create import asarray
from ..ops._movement import reshape, stack

Function = Callable[..., Any]
Argnums = int | Sequence[int]


def value_and_grad(function: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """A function of the same arguments that returns the value and its gradient.

    The value of `function` is a real Tensor of one number, without axes. The gradient is in the
    argument number `argnums` and has its structure; for a sequence of numbers, a tuple of them.
    Arguments are differentiated in all their Tensors, arrays and floats. What the value does not
    depend on has the gradient 0. With `has_aux`, `function` returns a pair of the value and
    anything else, and the result is `((value, aux), gradient)`.

    Raises ArgumentError if there is no such argument or the function returns no Tensor, DTypeError
    where there are integers, ShapeError if the value has axes.

    >>> def loss(parameters, x):
    ...     return ((parameters["w"] * x + parameters["b"]) ** 2).sum()
    >>> parameters = {"w": lucid.Tensor(2.0), "b": lucid.Tensor(1.0)}
    >>> value, gradient = lucid.autograd.value_and_grad(loss)(parameters, lucid.Tensor([1.0, 2.0]))
    >>> value, gradient["w"], gradient["b"]
    (Tensor(34.0), Tensor(26.0), Tensor(16.0))
    """
    return _value_and_grad("value_and_grad", function, argnums, has_aux)


def vjp(function: Function, *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """The value of `function(*primals)`, and the product of any vector with its derivative.

    Returns `(value, pull_back)`, with `has_aux` `(value, pull_back, aux)`. `pull_back` takes a tree
    of the structure of the value, v, and returns a tuple with vᵀ·J in each argument (of complex
    numbers its conjugate, as everywhere); it may be called again and again.

    >>> x = lucid.Tensor([1.0, 2.0, 3.0])
    >>> value, pull_back = lucid.autograd.vjp(lambda x: x * x, x)
    >>> pull_back(lucid.Tensor([1.0, 0.0, 2.0]))
    (Tensor([2.0, 0.0, 12.0]),)
    """
    call = _Recorded("vjp", function, primals, {}, range(len(primals)), has_aux)

    def pull_back(cotangents: Any) -> tuple[Any, ...]:
        starts = call.matching("the cotangents", cotangents, call.out_structure)
        recorded = mode.recording and (call.outside or any(map(_is_tracked, starts)))
        return call.trees(call.pull(starts, recorded, retain_graph=True))

    return (call.value(), pull_back, *call.aux())


def jvp(
    function: Function, primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False
) -> tuple[Any, ...]:
    """The value of `function(*primals)`, and the product of its derivative with a vector.

    `primals` and `tangents` are a tuple with one entry for each argument, of the same structure.
    Returns `(value, J·tangents)`, with `has_aux` `(value, J·tangents, aux)`.

    lucid has no forward mode: vᵀ·J is linear in v, and the derivative of that in v, backward once
    more, is J. So this costs two passes back, and keeps what was recorded until then.

    >>> x = lucid.Tensor([1.0, 2.0, 3.0])
    >>> lucid.autograd.jvp(lambda x: x * x, (x,), (lucid.Tensor([1.0, 0.0, 1.0]),))
    (Tensor([1.0, 4.0, 9.0]), Tensor([2.0, 0.0, 6.0]))
    """
    call, directions = _along("jvp", function, primals, tangents, has_aux)
    vectors = [_leaf(_zeros(output._array)) for output in call.outputs]
    pulled = call.pull(vectors, True)
    product = _pull(
        "jvp", pulled, vectors, directions, call.recorded_with(directions), retain_graph=False
    )
    return (call.value(), call.out_structure.put_together(product), *call.aux())


def hvp(
    function: Function, primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False
) -> tuple[Any, ...]:
    """The value of `function(*primals)`, and the product of its Hessian with a vector.

    `function` returns a real Tensor of one number. `primals` and `tangents` are a tuple with one
    entry for each argument, of the same structure, and so is the product. Returns
    `(value, H·tangents)`, with `has_aux` `(value, H·tangents, aux)`. No Hessian is built.

    >>> x = lucid.Tensor([1.0, 2.0])
    >>> lucid.autograd.hvp(lambda x: (x ** 3).sum(), (x,), (lucid.Tensor([1.0, 1.0]),))
    (Tensor(9.0), (Tensor([6.0, 12.0]),))
    """
    call, directions = _along("hvp", function, primals, tangents, has_aux)
    call.require_one_number()
    call.refuse_complex()
    gradients = call.pull([None], True)
    recorded = call.recorded_with(directions)
    product = _pull("hvp", gradients, call.inputs, directions, recorded, retain_graph=False)
    return (call.value(), call.trees(product), *call.aux())


def jacobian(function: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """A function of the same arguments that returns all first derivatives.

        J[k, ..., m, ...] = ∂ out[k, ...] / ∂ x[m, ...]

    The shape of the result is that of the output followed by that of the argument. Where those are
    trees, it is a tree of the structure of the output, with trees of the structure of the argument
    (for a sequence of `argnums`, tuples of them) in the places of its leaves. With `has_aux`,
    `function` returns a pair, and the result is `(jacobian, aux)`.

    The rows are computed one after the other, each by one pass back over the same graph, and
    written into the result: beside that and the graph there is memory for one row. (Where rows are
    recorded, because something outside requires a gradient, and with JAX's arrays, which cannot be
    written to, all of them are kept until the last is there.)

    >>> x = lucid.Tensor([1.0, 2.0])
    >>> lucid.autograd.jacobian(lambda x: x * x.sum())(x)
    Tensor([[4.0, 1.0], [2.0, 5.0]])
    """
    return _jacobian("jacobian", function, function, argnums, has_aux)


def hessian(function: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """A function of the same arguments that returns all second derivatives of one number.

        H[m, ..., n, ...] = ∂² out / ∂ x[m, ...] ∂ x[n, ...]

    For an argument that is a tree, a tree of its structure, with trees of its structure in the
    places of its leaves. With `has_aux`, `function` returns a pair, and the result is
    `(hessian, aux)`. Computed row by row, in the memory that `jacobian` needs; `hvp` needs no
    Hessian, and `vjp` of the gradient gives one row at a time.

    >>> x = lucid.Tensor([1.0, 2.0])
    >>> lucid.autograd.hessian(lambda x: x[0] ** 3 * x[1])(x)
    Tensor([[12.0, 3.0], [3.0, 0.0]])
    """
    both = _value_and_grad("hessian", function, argnums, has_aux)

    @wraps(function, updated=())
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, found = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return _jacobian("hessian", function, gradient, argnums, has_aux)


def _value_and_grad(name: str, function: Function, argnums: Argnums, has_aux: bool) -> Function:
    @_of_function(name, function)
    def run(*args: Any, **kwargs: Any) -> Any:
        call = _Recorded(name, function, args, kwargs, argnums, has_aux)
        call.require_one_number()
        gradients = call.trees(call.pull([None], call.outside))
        value = call.value()
        return (
            (value, *call.aux()) if has_aux else value,
            gradients[0] if isinstance(argnums, int) else gradients,
        )

    return run


def _jacobian(
    name: str, function: Function, derived: Function, argnums: Argnums, has_aux: bool
) -> Function:
    @_of_function(name, function)
    def run(*args: Any, **kwargs: Any) -> Any:
        call = _Recorded(name, derived, args, kwargs, argnums, has_aux)
        call.refuse_complex()
        blocks = []
        for k in range(len(call.outputs)):
            trees = call.trees(_rows(call, k))
            blocks.append(trees[0] if isinstance(argnums, int) else trees)
        result = call.out_structure.put_together(blocks)
        return (result, *call.aux()) if has_aux else result

    return run


def _rows(call: _Recorded, k: int) -> list[Tensor]:
    """The derivatives of output k in each input."""
    output = call.outputs[k]
    count = size_of(output.shape)
    shapes = [(count, *tensor.shape) for tensor in call.inputs]
    arrays = [tensor._array for tensor in call.inputs]
    rows: Iterator[list[Tensor]] = (call.pull_element(k, row) for row in range(count))
    if call.outside or any(hasattr(array, "at") for array in arrays):  # arrays not written to
        columns = list(zip(*rows, strict=True)) or [()] * len(arrays)
        whole = [
            stack(list(column)) if column else new_tensor(_zeros(array, shape))
            for column, array, shape in zip(columns, arrays, shapes, strict=True)
        ]
    else:
        results = [_zeros(array, shape) for array, shape in zip(arrays, shapes, strict=True)]
        for row, gradients in enumerate(rows):
            for result, gradient in zip(results, gradients, strict=True):
                set_item(result, (row, ...), gradient._array)
        whole = list(map(new_tensor, results))
    return [
        reshape(each, (*output.shape, *tensor.shape))
        for each, tensor in zip(whole, call.inputs, strict=True)
    ]


def _along(
    name: str,
    function: Function,
    primals: Sequence[Any],
    tangents: Sequence[Any],
    has_aux: bool,
) -> tuple[_Recorded, list[Any]]:
    """A recorded call, and the vector to multiply its derivative with, one for each input."""
    for what, value in (("primals", primals), ("tangents", tangents)):
        if not isinstance(value, (tuple, list)):
            raise ArgumentError(
                f"{name}: {what} is {type(value).__name__}, expected a tuple with one entry for "
                "each argument; write (x,) for one"
            )
    if len(primals) != len(tangents):
        raise ArgumentError(
            f"{name}: {len(primals)} primals, but {len(tangents)} tangents; give one for each"
        )
    call = _Recorded(name, function, tuple(primals), {}, range(len(primals)), has_aux)
    directions: list[Any] = []
    for k, (tangent, structure) in enumerate(zip(tangents, call.structures, strict=True)):
        directions += call.matching(f"tangents[{k}]", tangent, structure)
    for title, tensor, direction in zip(call.titles, call.inputs, directions, strict=True):
        shape = asarray(direction).shape
        if shape != tensor.shape:
            raise ShapeError(
                f"{name}: the tangent of {title} has shape {shape}, but {title} has "
                f"{tensor.shape}; they must be equal"
            )
    return call, directions


class _Recorded:
    """One call of a function, with Tensors of its own where it is differentiated."""

    def __init__(
        self,
        name: str,
        function: Function,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        argnums: Argnums | range,
        has_aux: bool,
    ) -> None:
        self.name = name
        self.called = _name_of(function)
        self.inputs: list[Tensor] = []
        self.titles: list[str] = []
        self.structures: list[Structure] = []
        replaced_args = list(args)
        for number in self._numbers(argnums, len(args)):
            leaves, structure = take_apart(args[number])
            titles = [f"argument {number}{path} of {self.called}" for path in structure.paths]
            own = [self._own(*pair) for pair in zip(titles, leaves, strict=True)]
            if not own:
                raise ArgumentError(
                    f"{name}: argument {number} of {self.called} is "
                    f"{args[number]!r:.40}, which holds no Tensor to differentiate in"
                )
            replaced_args[number] = structure.put_together(own)
            self.inputs += own
            self.titles += titles
            self.structures.append(structure)
        with enable_grad():
            result = function(*replaced_args, **kwargs)
        self._aux: tuple[Any, ...] = ()
        if has_aux:
            if not isinstance(result, tuple) or len(result) != 2:
                raise ArgumentError(
                    f"{name}: with has_aux, {self.called} returns a tuple of the value and what "
                    f"goes with it, but it returned {_described(result)}"
                )
            result, self._aux = result[0], result[1:]
        self.outputs, self.out_structure = take_apart(result)
        for path, output in zip(self.out_structure.paths, self.outputs, strict=True):
            self._check_output(path, output)
        if not self.outputs:
            raise ArgumentError(
                f"{name}: {self.called} returned {_described(result)}, expected a Tensor"
            )
        self.outside = mode.recording and _reaches_outside(self.outputs, self.inputs)

    def _numbers(self, argnums: Argnums | range, count: int) -> list[int]:
        several = [argnums] if isinstance(argnums, int) else list(argnums)
        numbers: list[int] = []
        for number in several:
            if not isinstance(number, int) or isinstance(number, bool):
                raise ArgumentError(
                    f"{self.name}: argnums is {argnums!r}, expected the number of an argument, or "
                    "a sequence of them"
                )
            if not -count <= number < count:
                raise ArgumentError(
                    f"{self.name}: argnums says argument {number}, but {self.called} was called "
                    f"with {count} positional argument{'' if count == 1 else 's'}; they count from "
                    "0, and what is to be differentiated is not passed by keyword"
                )
            if number % count in numbers:
                raise ArgumentError(f"{self.name}: argnums {argnums!r} names an argument twice")
            numbers.append(number % count)
        if not numbers:
            raise ArgumentError(f"{self.name}: there is no argument to differentiate in")
        return numbers

    def _own(self, title: str, value: Any) -> Tensor:
        """A Tensor for this call alone, through which the walk back reaches the user's."""
        if not (is_array(value) or isinstance(value, (bool, int, float, complex))):
            raise ArgumentError(
                f"{self.name}: {title} is {type(value).__name__}, expected a Tensor.\n"
                "Pass what is not to be differentiated as an argument of its own."
            )
        tensor = asarray(value)
        if not is_differentiable(tensor.dtype):
            raise DTypeError(
                f"{self.name}: {title} is {tensor.dtype}; only floating-point numbers have a "
                "derivative.\nConvert it with astype, write its numbers with a decimal point, or "
                "pass it as an argument of its own."
            )
        if mode.recording and tensor.requires_grad:
            return _alias(tensor)
        return _leaf(tensor._array)

    def _check_output(self, path: str, output: Any) -> None:
        what = f"{self.name}: {self.called} returned {_described(output)}"
        if path:
            what += f" at {path}"
        if not isinstance(output, Tensor):
            raise ArgumentError(
                f"{what}, expected a Tensor.\nReturn what is to be differentiated as Tensors, and "
                "anything else beside it, with has_aux=True."
            )
        if not is_differentiable(output.dtype):
            raise DTypeError(f"{what}, a Tensor of {output.dtype}, which has no derivative")

    def require_one_number(self) -> None:
        if self.out_structure.kind is not None or self.outputs[0].shape != ():
            returned = (
                f"a {self.out_structure.kind.__name__}"
                if self.out_structure.kind is not None
                else f"a Tensor of shape {self.outputs[0].shape}"
            )
            raise ShapeError(
                f"{self.name}: {self.called} returned {returned}, expected one number, a Tensor of "
                "shape ().\nTake its sum() or mean(), or use vjp or jacobian."
            )
        if is_complex(self.outputs[0].dtype):
            raise DTypeError(
                f"{self.name}: {self.called} returned {self.outputs[0].dtype}, expected a real "
                "number; take its real part or its absolute value, or use vjp"
            )

    def refuse_complex(self) -> None:
        named = [*zip(self.titles, self.inputs, strict=True), ("the result", self.outputs[0])]
        for title, tensor in named:
            if is_complex(tensor.dtype):
                raise DTypeError(
                    f"{self.name}: {title} is {tensor.dtype}; the derivatives of complex numbers "
                    "do not fit into one complex array.\nDifferentiate in the real and the "
                    "imaginary part, or use vjp and jvp."
                )

    def matching(self, what: str, tree: Any, structure: Structure) -> list[Any]:
        """The leaves of a tree that the user gave for another; lists stand for arrays."""
        if structure.kind is None:
            return [tree]
        leaves, given = take_apart(tree)
        if given != structure:
            raise ArgumentError(
                f"{self.name}: {what} has the structure {_written(given)}, expected "
                f"{_written(structure)}, where * is a Tensor"
            )
        return leaves

    def recorded_with(self, directions: Iterable[Any]) -> bool:
        return mode.recording and (self.outside or any(map(_is_tracked, directions)))

    def pull(
        self, starts: Sequence[Any], create_graph: bool, retain_graph: bool = False
    ) -> list[Tensor]:
        return _pull(self.name, self.outputs, self.inputs, starts, create_graph, retain_graph)

    def pull_element(self, k: int, element: int) -> list[Tensor]:
        """The derivative of one element of output k, in each input."""
        output = self.outputs[k]
        xp = namespace(output._array)
        start = set_item(xp.reshape(_zeros(output._array), (-1,)), element, 1)
        start = new_tensor(xp.reshape(start, output.shape))
        return _pull(self.name, [output], self.inputs, [start], self.outside, retain_graph=True)

    def trees(self, leaves: Iterable[Any]) -> tuple[Any, ...]:
        """One tree for each argument that is differentiated in."""
        rest = iter(leaves)
        return tuple(structure.put_together(rest) for structure in self.structures)

    def value(self) -> Any:
        return self.out_structure.put_together(map(self._released, self.outputs))

    def aux(self) -> tuple[Any, ...]:
        return tuple(replaced(tree, self._released) for tree in self._aux)

    def _released(self, value: Any) -> Any:
        """A result without the part of the graph that is this call's own."""
        return value if self.outside or not isinstance(value, Tensor) else value.detach()


@op(gradient=lambda g: g)
def _alias(x: Any) -> Any:
    return x


def _leaf(array: Any) -> Tensor:
    tensor = new_tensor(array)
    tensor._node = Leaf(tensor)
    return tensor


def _zeros(array: Any, shape: tuple[int, ...] | None = None) -> Any:
    xp = namespace(array)
    if shape is None:
        return xp.zeros_like(array)
    return xp.zeros(shape, dtype=array.dtype, device=getattr(array, "device", None))


def _is_tracked(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad


def _pull(
    name: str,
    outputs: Sequence[Tensor],
    inputs: Sequence[Tensor],
    starts: Sequence[Any],
    create_graph: bool,
    retain_graph: bool,
) -> list[Tensor]:
    """The gradients in the inputs; 0 where no output depends on one."""
    roots: list[tuple[Place, Any]] = []
    for output, start in zip(outputs, starts, strict=True):
        seeded = seed(name, output, start, create_graph)
        if output._node is not None:
            roots.append((output._node, seeded))
    places: list[Any] = [tensor._node for tensor in inputs]
    found = propagate(
        roots,
        targets=frozenset(places),
        retain_graph=retain_graph,
        create_graph=create_graph,
    )
    gradients = []
    for place, tensor in zip(places, inputs, strict=True):
        gradient = found.get(place)
        if gradient is None:
            gradient = _zeros(tensor._array)
        gradients.append(gradient if isinstance(gradient, Tensor) else new_tensor(gradient))
    return gradients


def _reaches_outside(outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> bool:
    """Whether a result depends on a place that is older than the call, or an input does."""
    own = {tensor._node for tensor in inputs}
    if any(type(place) is not Leaf for place in own):
        return True
    start = min(place._birth for place in own if place is not None)
    waiting = [output._node for output in outputs if output._node is not None]
    seen = set(waiting)
    while waiting:
        place = waiting.pop()
        if place._birth < start:
            return True
        for edge in place.inputs:
            for source in edge if type(edge) is tuple else (edge,):
                if source is not None and source not in seen:
                    seen.add(source)
                    waiting.append(source)
    return False


def _of_function(name: str, function: Function) -> Callable[[Function], Function]:
    """Give what is made of a function the function's signature; refuse what is no function."""
    if not callable(function):
        raise ArgumentError(
            f"{name}: expected a function, got {type(function).__name__}; the arguments go to what "
            f"it returns, as in {name}(function)(x)"
        )
    return wraps(function, updated=())


def _name_of(function: Function) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _described(value: Any) -> str:
    return "None" if value is None else type(value).__name__


def _written(structure: Structure) -> str:
    if structure.kind is None:
        return "*"
    if structure.kind is type(None):
        return "None"
    inside = ", ".join(map(_written, structure.children))
    if structure.kind is list:
        return f"[{inside}]"
    if structure.kind is tuple:
        return f"({inside}{',' if len(structure.children) == 1 else ''})"
    pairs = zip(structure.keys, structure.children, strict=True)
    named = ", ".join(f"{key.strip('.[]')}: {_written(child)}" for key, child in pairs)
    return f"{{{named}}}" if structure.kind is dict else f"{structure.kind.__name__}({named})"
