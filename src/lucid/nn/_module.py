"""Module: named parameters and other modules, and a function from inputs to outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Self

from .._arguments import FUNCTION, TRUTH, check
from .._arrays import Array, Device, DType, is_differentiable, namespace, native_dtype
from .._errors import ArgumentError, DTypeError
from .._tape import new_tensor
from .._tensor import Tensor
from ._names import nearest
from ._parameter import Parameter
from ._state import ArraysByName, check_state
from ._tree import tree


class LoadResult(NamedTuple):
    """The names that `load_state_dict(strict=False)` passed over."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """A function with parameters: the base of every layer, loss and model.

    A subclass assigns its Parameters and the Modules that it is made of to attributes, and defines
    `forward`. The parameters are found by their attributes' names, `"encoder.weight"`.

    >>> class Scorer(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.embedding = nn.Embedding(10, 4)
    ...         self.pair = nn.Bilinear(4, 4, 1, bias=False)
    ...     def forward(self, left, right):
    ...         return self.pair(self.embedding(left), self.embedding(right))
    >>> scorer = Scorer()
    >>> [name for name, parameter in scorer.named_parameters()]
    ['embedding.weight', 'pair.weight']
    >>> scorer
    Scorer                                    56 parameters
    ├─ embedding: Embedding(10, 4)            40
    └─ pair: Bilinear(4, 4, 1, bias=False)    16
    >>> scorer([1, 2], [3, 4]).shape
    (2, 1)
    """

    training: bool
    _buffers: dict[str, bool]  # the name of each buffer, and whether the state has it

    def __new__(cls, *_args: Any, **_options: Any) -> Self:
        # here and not in __init__, so that nothing breaks where super().__init__() is forgotten
        module = super().__new__(cls)
        vars(module).update(training=True, _buffers={})
        return module

    def __init__(self) -> None:
        pass

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """What the module computes; every subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} has no forward; define what it computes")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        return self.forward(*inputs, **options)

    # Attributes

    def __setattr__(self, name: str, value: Any) -> None:
        before = vars(self).get(name)
        if isinstance(before, Parameter):
            if value is not None and not isinstance(value, Parameter):
                kind = type(value).__name__
                raise ArgumentError(
                    f"{type(self).__name__}.{name} is a Parameter and cannot become a {kind}: it "
                    f"would be trained no more.\nGive it other values with {name}.copy_(…) under "
                    f"lucid.no_grad(), or assign Parameter(…)."
                )
        elif name in self._buffers:
            if isinstance(value, Parameter):
                del self._buffers[name]
            elif value is not None and not isinstance(value, Tensor):
                raise ArgumentError(
                    f"{type(self).__name__}.{name} is a buffer: a Tensor or None, "
                    f"not {type(value).__name__}"
                )
        elif isinstance(value, (list, tuple, dict)):
            self._refuse_hidden(name, value)
        object.__setattr__(self, name, value)

    def _refuse_hidden(self, name: str, value: Any) -> None:
        parts = value.values() if isinstance(value, dict) else value
        if any(isinstance(part, (Module, Parameter)) for part in parts):
            container = "ModuleDict" if isinstance(value, dict) else "ModuleList"
            raise ArgumentError(
                f"{type(self).__name__}.{name} is a {type(value).__name__} with modules or "
                f"parameters, which would not be found in it.\nUse nn.{container} for modules, "
                "and an attribute for each parameter."
            )

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        self._buffers.pop(name, None)

    def __getattr__(self, name: str) -> Any:
        known = [each for each in (*vars(self), *dir(type(self))) if not each.startswith("_")]
        near = None if name.startswith("_") else nearest(name, known)
        meant = f"; did you mean '{near}'?" if near else ""
        raise AttributeError(f"{type(self).__name__} has no attribute '{name}'{meant}")

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Name a Tensor that belongs to the module and is not trained.

        It is part of the state unless `persistent=False`, and `to` converts it.
        """
        self._check_name("register_buffer", name)
        check("register_buffer", TRUTH, persistent=persistent)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise ArgumentError(
                f"register_buffer: '{name}' is {type(tensor).__name__}, expected a Tensor or None"
            )
        self._buffers[name] = persistent
        setattr(self, name, tensor)

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """Name a Parameter, as an assignment does; None stands for one that is left out."""
        self._check_name("register_parameter", name)
        if parameter is not None and not isinstance(parameter, Parameter):
            raise ArgumentError(
                f"register_parameter: '{name}' is {type(parameter).__name__}, "
                "expected a Parameter or None"
            )
        setattr(self, name, parameter)

    def _check_name(self, function: str, name: str) -> None:
        if not isinstance(name, str):
            raise ArgumentError(f"{function}: a name is a string, but got {name!r:.60}")
        if "." in name or not name:
            raise ArgumentError(f"{function}: a name is not empty and has no dot, but got '{name}'")
        if hasattr(type(self), name) or name in ("training", "_buffers"):
            raise ArgumentError(f"{function}: {type(self).__name__} has an attribute '{name}'")

    # What it is made of

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules that this one is made of directly, with their names; each once."""
        seen = set()
        for name, value in vars(self).items():
            if isinstance(value, Module) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def children(self) -> Iterator[Module]:
        """The modules that this one is made of directly."""
        return (child for _, child in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """The module itself and all within it, with their names from here; each once."""
        return _walk(self, prefix, set())

    def modules(self) -> Iterator[Module]:
        """The module itself and all within it."""
        return (module for _, module in self.named_modules())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with their names; one that several modules share comes once."""
        seen = set()
        modules = self.named_modules(prefix) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, value in vars(module).items():
                if isinstance(value, Parameter) and id(value) not in seen:
                    seen.add(id(value))
                    yield _join(path, name), value

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, for an optimiser; one that several modules share comes once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """The buffers with their names."""
        modules = self.named_modules(prefix) if recurse else [(prefix, self)]
        for path, module in modules:
            for name in module._buffers:
                value = vars(module).get(name)
                if value is not None:
                    yield _join(path, name), value

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    # State

    def state_dict(self, prefix: str = "") -> dict[str, Tensor]:
        """The values of all parameters and persistent buffers, by name; for `lucid.save`.

        They are a snapshot: training goes on with new arrays and does not change these.
        A parameter that several modules share is there under each of its names.
        """
        return {name: tensor.detach() for name, tensor in self._named_state(prefix)}

    def _named_state(self, prefix: str) -> Iterator[tuple[str, Tensor]]:
        for path, module in _paths(self, prefix, ()):
            for name, value in vars(module).items():
                kept = module._buffers.get(name) and isinstance(value, Tensor)
                if kept or isinstance(value, Parameter):
                    yield _join(path, name), value

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> LoadResult:
        """Give the parameters and persistent buffers the values of a state, in their own dtype.

        Everything is checked first; one error lists every name that is missing from the state,
        not expected in it, or of another shape or kind of number, and then nothing has changed.
        With `strict=False` missing and unexpected names are passed over, and returned.

        Raises ArgumentError (a ValueError).

        >>> model = nn.Linear(2, 1)
        >>> model.load_state_dict({"weight": lucid.ones((1, 2)), "bias": lucid.zeros(1)})
        LoadResult(missing_keys=[], unexpected_keys=[])
        >>> model.weight
        Parameter([[1.0, 1.0]], grad=None)
        """
        own = dict(self._named_state(""))
        arrays: ArraysByName
        check("load_state_dict", TRUTH, strict=strict)
        missing, unexpected, arrays = check_state(type(self).__name__, own, state, strict)
        for name, array in arrays.items():
            own[name]._array = array
        return LoadResult(missing, unexpected)

    # Modes and conversions

    def train(self, mode: bool = True) -> Self:
        """Behave as in training (dropout drops); `train(False)` is `eval()`. Returns itself."""
        check("train", TRUTH, mode=mode)
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Behave as in use, not as in training: dropout passes everything. Returns itself."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Train all parameters, or freeze them. Returns itself."""
        check("requires_grad_", TRUTH, requires_grad=requires_grad)
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.grad = None

    def apply(self, function: Callable[[Module], Any]) -> Self:
        """Call a function with every module within this one, then with this. Returns itself."""
        check("apply", FUNCTION, function=function)
        for module in reversed(list(self.modules())):
            function(module)
        return self

    def to(self, dtype: DType | None = None, *, device: Device | None = None) -> Self:
        """Convert the floating-point parameters and buffers, with their gradients; returns itself.

        Raises DTypeError, before any change, unless `dtype` is floating point.

        Make the optimiser afterwards: its state does not follow.

        >>> nn.Linear(2, 1).to(lucid.float64).weight.dtype
        dtype('float64')
        """
        tensors = [
            tensor
            for tensor in (*self.parameters(), *self.buffers())
            if is_differentiable(tensor.dtype)
        ]
        for tensor, values in [(tensor, _converted(tensor, dtype, device)) for tensor in tensors]:
            _replace(tensor, *values)
        return self

    # How it looks

    def extra_repr(self) -> str:
        """What `repr` shows in the brackets; layers show the arguments they were made with."""
        return ""

    def __repr__(self) -> str:
        return tree(self)


def _paths(module: Module, path: str, above: tuple[Module, ...]) -> Iterator[tuple[str, Module]]:
    """Every path to every module; one that contains itself is not entered again."""
    if any(module is each for each in above):
        return
    yield path, module
    for name, value in vars(module).items():
        if isinstance(value, Module):
            yield from _paths(value, _join(path, name), (*above, module))


def _walk(module: Module, path: str, seen: set[int]) -> Iterator[tuple[str, Module]]:
    """One path to every module."""
    if id(module) in seen:
        return
    seen.add(id(module))
    yield path, module
    for name, child in module.named_children():
        yield from _walk(child, _join(path, name), seen)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _converted(
    tensor: Tensor, dtype: DType | None, device: Device | None
) -> tuple[Array, Tensor | None]:
    """A tensor's values and its gradient, converted; everything that can fail is here."""
    xp = namespace(tensor._array)
    wanted = native_dtype(xp, dtype)
    if wanted is not None and not is_differentiable(wanted):
        raise DTypeError(f"to: parameters are floating-point numbers, they cannot be {wanted}")
    array = xp.asarray(tensor._array, dtype=wanted, device=device)
    if tensor.grad is None:
        return array, None
    return array, new_tensor(xp.asarray(tensor.grad._array, dtype=wanted, device=device))


def _replace(tensor: Tensor, array: Array, gradient: Tensor | None) -> None:
    trained = tensor.requires_grad
    tensor.requires_grad_(False)
    tensor._array, tensor._grad = array, gradient
    tensor.requires_grad_(trained)
