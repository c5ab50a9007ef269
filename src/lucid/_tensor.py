"""Tensor: an array, its gradient, and operators that only call operations.

Here the one circle of this library closes: a Tensor's operators are operations, and operations
return Tensors. So this file imports the operations, and they get to know the class when it is
there, by `_call.serve(Tensor)` at the end; `_tape.py` and `_op.py` below name it in annotations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, Never, Self
from weakref import ref

import numpy as np

from . import _arrays, _call, _hints, _printing
from ._arrays import (
    Array,
    Device,
    DType,
    Namespace,
    Numbers,
    is_differentiable,
    keep_imaginary,
    kind,
    namespace,
    native_dtype,
)
from ._errors import ArgumentError, DTypeError, GraphError, LibraryError, ShapeError
from ._recording import mode
from ._tape import (
    Hook,
    Hooks,
    Leaf,
    Place,
    Tracked,
    accumulate,
    add_gradient,
    new_tensor,
    propagate,
)
from .ops import (
    _arithmetic,
    _comparison,
    _exponential,
    _index,
    _like,
    _movement,
    _products,
    _reduce,
    _rounding,
    _search,
    _statistics,
    _trigonometry,
)


class Tensor(Tracked):
    """An array that remembers how it was computed, so that gradients can be computed from it.

    `data` is copied: an array of any library that follows the array API standard, a Tensor, a
    number, or nested lists of numbers (floats become float32, integers int64, truth values bool).
    With `requires_grad=True` the Tensor is a leaf: `backward()` of a result that was computed from
    it adds to its `.grad`. Raises DTypeError if its dtype is not floating point, real or complex.

    >>> x = lucid.Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> y = (x * x).sum()
    >>> y.backward()
    >>> x.grad
    Tensor([2.0, 4.0, 6.0])
    """

    __slots__ = ()

    def __init__(
        self,
        data: Any,
        requires_grad: bool = False,
        dtype: DType | None = None,
        device: Device | None = None,
    ) -> None:
        array = data._array if isinstance(data, Tracked) else _arrays.asarray(data, dtype)
        xp = namespace(array)
        dtype = native_dtype(xp, dtype)
        keep_imaginary("Tensor", "data", array.dtype, dtype)
        self._array = xp.asarray(array, dtype=dtype, device=device, copy=True)
        self._node = None
        self._grad = None
        self.requires_grad_(requires_grad)

    # What it is

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each axis."""
        return tuple(self._array.shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._array.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(np.prod(self._array.shape, dtype=np.int64))

    @property
    def dtype(self) -> DType:
        """The data type of the elements, in the terms of the array's library."""
        return self._array.dtype

    @property
    def device(self) -> Device:
        """Where the array is, in the terms of its library; "cpu" with NumPy."""
        return self._array.device

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this Tensor are recorded."""
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, requires_grad: bool) -> None:
        self.requires_grad_(requires_grad)

    @property
    def is_leaf(self) -> bool:
        """Whether this Tensor was made by the user, not by a recorded operation."""
        return self._node is None or type(self._node) is Leaf

    @property
    def grad(self) -> Tensor | None:
        """The gradient that backward passes have added up here; None before the first."""
        return self._grad

    @grad.setter
    def grad(self, gradient: Tensor | None) -> None:
        if gradient is not None:
            if not isinstance(gradient, Tensor):
                raise ArgumentError(
                    f"grad: expected a Tensor or None, got {type(gradient).__name__}"
                )
            if gradient.shape != self.shape or gradient.dtype != self.dtype:
                raise ShapeError(
                    f"grad: a gradient has the shape and dtype of its tensor, {self.shape} "
                    f"{self.dtype}, but got {gradient.shape} {gradient.dtype}"
                )
        self._grad = gradient

    # The tape

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Make this Tensor a leaf that gets a gradient, or one that does not; returns itself.

        Raises DTypeError if the dtype is not floating point, and GraphError if it is asked to
        forget the graph of a result (`detach()` gives a Tensor without it).
        """
        if requires_grad and self._node is None:
            if not is_differentiable(self._array.dtype):
                raise DTypeError(
                    f"requires_grad: only floating-point tensors can have a gradient, this one is "
                    f"{self._array.dtype}.\nGive it a dtype, as in Tensor(data, dtype=float), or "
                    "write its numbers with a decimal point."
                )
            self._node = Leaf(self)
        elif not requires_grad and self._node is not None:
            if not self.is_leaf:
                raise GraphError(
                    "requires_grad_: this tensor is the result of a recorded operation.\n"
                    "Use detach() for its values without the graph."
                )
            self._node = None
        return self

    def backward(
        self,
        gradient: Any = None,
        retain_graph: bool = False,
        create_graph: bool = False,
    ) -> None:
        """Compute the gradient of this result in all leaves it was computed from, add to `.grad`.

        `gradient` is the gradient of the final quantity in this result, of exactly its shape;
        None stands for ones, that is for the gradient of the sum of its elements. The graph is
        freed on the way unless `retain_graph` keeps it for another pass. With `create_graph` the
        gradients are recorded themselves, and so can be differentiated; that keeps the graph too.

        Raises GraphError if nothing was recorded or the graph has been freed, ShapeError if
        `gradient` has another shape.
        """
        place = self._node
        if place is None:
            raise GraphError(
                "backward: this tensor does not require a gradient: nothing it was computed from "
                "does, or it was computed under no_grad.\nMake a leaf with "
                "Tensor(data, requires_grad=True) and compute the result from it."
            )
        start = seed("backward", self, gradient, create_graph)
        leaves = propagate([(place, start)], retain_graph=retain_graph, create_graph=create_graph)
        accumulate(leaves)

    def detach(self) -> Tensor:
        """The same values, shared, without the graph."""
        return new_tensor(self._array)

    def retain_grad(self) -> None:
        """Have backward passes put the gradient of this result into its `.grad`, as of a leaf."""
        place = self._require_place("retain_grad")
        if self.is_leaf:
            return
        if place.hooks is None:
            place.hooks = Hooks()
        tensor, hooks = ref(self), place.hooks

        def keep(gradient: Tensor) -> None:
            owner = tensor()
            if owner is not None:
                given = gradient if gradient.requires_grad else gradient._array
                add_gradient(owner, given, hooks)

        hooks.keep = keep

    def register_hook(self, hook: Hook) -> Callable[[], None]:
        """Call `hook(gradient)` when a backward pass has the gradient of this Tensor.

        The hook may return a Tensor to go on with instead. Returns a function that removes it.

        >>> x = lucid.Tensor([1.0], requires_grad=True)
        >>> remove = x.register_hook(lambda gradient: gradient * 10)
        >>> (x * 2).backward()
        >>> x.grad
        Tensor([20.0])
        """
        place = self._require_place("register_hook")
        if place.hooks is None:
            place.hooks = Hooks()
        hooks, key = place.hooks, object()
        hooks[key] = hook

        def remove() -> None:
            hooks.pop(key, None)

        return remove

    def _require_place(self, function: str) -> Place:
        if self._node is None:
            raise GraphError(
                f"{function}: this tensor does not require a gradient.\n"
                "Call requires_grad_() on it, or compute it from one that does."
            )
        return self._node

    # Values

    def numpy(self) -> np.ndarray[Any, Any]:
        """The values as a read-only NumPy array, shared where the library allows it."""
        array = self._array
        values = np.asarray(array) if isinstance(array, (np.ndarray, np.generic)) else _host(array)
        values = values.view()
        values.flags.writeable = False
        return values

    def item(self) -> Any:
        """The value of a Tensor of one element, as a Python number."""
        if self.size != 1:
            raise ShapeError(f"item: only one element becomes a number, this has {self.shape}")
        return self.numpy().item()

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers."""
        return self.numpy().tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        if self._node is not None:
            raise GraphError(
                "a tensor that requires a gradient does not turn into an array by itself, because "
                "the gradient would be lost.\nUse lucid's functions, or numpy() for the values."
            )
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    # What NumPy's functions and the operators of its arrays ask (imported by the first that does)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        from . import _numpy

        return _numpy.call_ufunc(ufunc, method, inputs, options)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        from . import _numpy

        return _numpy.call_function(func, types, args, kwargs)

    def __array_namespace__(self, /, *, api_version: str | None = None) -> Namespace:
        if api_version not in (None, *_arrays.VERSIONS):
            raise ArgumentError(
                f"__array_namespace__: lucid knows the versions {', '.join(_arrays.VERSIONS)} of "
                f"the array API standard, not {api_version!r}"
            )
        return _arrays.array_types[Tensor]

    def __dlpack__(
        self,
        /,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[Any, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        if self._node is not None:
            raise GraphError(
                "a tensor that requires a gradient is not exported, because the gradient would be "
                "lost.\nExport its detach()."
            )
        options = {
            "stream": stream, "max_version": max_version, "dl_device": dl_device, "copy": copy,
        }  # fmt: skip
        given = {name: value for name, value in options.items() if value is not None}
        return self._exported().__dlpack__(**given)

    def __dlpack_device__(self) -> Any:
        return self._exported().__dlpack_device__()

    def _exported(self) -> Array:
        array = self._array  # NumPy's scalars have no DLPack
        return np.asarray(array) if isinstance(array, np.generic) else _settled(array)

    def to_device(self, device: Device, /, *, stream: Any = None) -> Tensor:
        """The same values on another device of the array's library; the gradient comes back."""
        result: Tensor = _like.on_device(self, device, stream)
        return result

    def __len__(self) -> int:
        if not self.shape:
            raise DTypeError("len: a tensor without axes has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self.shape:
            raise DTypeError("iteration over a tensor without axes")
        return iter(_movement.unstack(self))

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ArgumentError(
                f"the truth of a tensor of shape {self.shape} is ambiguous; use all() or any()"
            )
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        if kind(self.dtype) is not Numbers.INTEGER:
            raise DTypeError(f"only a tensor of an integer dtype is an index, not {self.dtype}")
        return int(self.item())

    def __contains__(self, value: Any) -> bool:
        return bool(_reduce.any(_comparison.equal(self, value)))

    def __repr__(self) -> str:
        return self._described(_arrays.dtype_name(self.dtype))

    def __str__(self) -> str:
        return self._described("")

    def _described(self, dtype: str) -> str:
        has_grad = self.requires_grad or self.grad is not None
        more = {"grad": self.grad} if has_grad else {}
        return _printing.describe(type(self).__name__, self.numpy(), dtype, **more)

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not _hints.is_hint(type(self), name)]

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    # Copies. A copy in memory or in a file is a leaf: a graph belongs to its process.

    def __copy__(self) -> Tensor:
        result = type(self).__new__(type(self))
        result._restore(self._array, self)
        if not self.is_leaf:
            result._node = self._node
        return result

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        self._refuse_to_leave_graph("deepcopy")
        result = type(self).__new__(type(self))
        memo[id(self)] = result
        result._restore(namespace(self._array).asarray(self._array, copy=True), self)
        return result

    def _restore(self, array: Array, like: Tensor) -> None:
        self._array = array
        self._node = Leaf(self) if like._node is not None else None
        self._grad = None if like._grad is None else like._grad.detach()

    def __reduce__(self) -> tuple[Any, ...]:
        self._refuse_to_leave_graph("pickle")
        gradient = None if self._grad is None else self._grad.detach()
        return _unpickled, (type(self), self._array, self.requires_grad, gradient)

    def _refuse_to_leave_graph(self, function: str) -> None:
        if not self.is_leaf:
            raise GraphError(
                f"{function}: this tensor is the result of a recorded operation, and its graph "
                "cannot be copied.\nCopy its detach()."
            )

    __hash__ = object.__hash__

    # Operators

    __add__ = _arithmetic.add
    __sub__ = _arithmetic.subtract
    __mul__ = _arithmetic.multiply
    __truediv__ = _arithmetic.divide
    __floordiv__ = _rounding.floor_divide
    __mod__ = _rounding.remainder
    __pow__ = _exponential.pow
    __matmul__ = _products.matmul
    __neg__ = _arithmetic.negative
    __pos__ = _arithmetic.positive
    __abs__ = _arithmetic.abs
    __invert__ = _comparison.bitwise_invert

    def __radd__(self, other: Any) -> Tensor:
        return _arithmetic.add(other, self)

    def __rsub__(self, other: Any) -> Tensor:
        return _arithmetic.subtract(other, self)

    def __rmul__(self, other: Any) -> Tensor:
        return _arithmetic.multiply(other, self)

    def __rtruediv__(self, other: Any) -> Tensor:
        return _arithmetic.divide(other, self)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return _rounding.floor_divide(other, self)

    def __rmod__(self, other: Any) -> Tensor:
        return _rounding.remainder(other, self)

    def __rpow__(self, other: Any) -> Tensor:
        return _exponential.pow(other, self)

    def __rmatmul__(self, other: Any) -> Tensor:
        return _products.matmul(other, self)

    def __eq__(self, other: object) -> Any:
        return _comparison.equal(self, other) if _comparable(other) else NotImplemented

    def __ne__(self, other: object) -> Any:
        return _comparison.not_equal(self, other) if _comparable(other) else NotImplemented

    __lt__ = _comparison.less
    __le__ = _comparison.less_equal
    __gt__ = _comparison.greater
    __ge__ = _comparison.greater_equal
    __and__ = __rand__ = _comparison.bitwise_and
    __or__ = __ror__ = _comparison.bitwise_or
    __xor__ = __rxor__ = _comparison.bitwise_xor
    __lshift__ = _comparison.bitwise_left_shift
    __rshift__ = _comparison.bitwise_right_shift

    def __rlshift__(self, other: Any) -> Tensor:
        return _comparison.bitwise_left_shift(other, self)

    def __rrshift__(self, other: Any) -> Tensor:
        return _comparison.bitwise_right_shift(other, self)

    # Assignment gives this object a new array; nothing that a tape has saved is written to

    def __iadd__(self, other: Any) -> Self:  # type: ignore[misc]
        return self._become("+=", _arithmetic.add(self, other))

    def __isub__(self, other: Any) -> Self:  # type: ignore[misc]
        return self._become("-=", _arithmetic.subtract(self, other))

    def __imul__(self, other: Any) -> Self:  # type: ignore[misc]
        return self._become("*=", _arithmetic.multiply(self, other))

    def __itruediv__(self, other: Any) -> Self:  # type: ignore[misc]
        return self._become("/=", _arithmetic.divide(self, other))

    def __ipow__(self, other: Any) -> Self:  # type: ignore[misc]
        return self._become("**=", _exponential.pow(self, other))

    def __ifloordiv__(self, other: Any) -> Self:  # type: ignore[misc]
        return self._become("//=", _rounding.floor_divide(self, other))

    def __imod__(self, other: Any) -> Self:  # type: ignore[misc]
        return self._become("%=", _rounding.remainder(self, other))

    def __imatmul__(self, other: Any) -> Self:  # type: ignore[misc]
        return self._become("@=", _products.matmul(self, other))

    def __iand__(self, other: Any) -> Self:  # type: ignore[misc]
        return self._become("&=", _comparison.bitwise_and(self, other))

    def __ior__(self, other: Any) -> Self:  # type: ignore[misc]
        return self._become("|=", _comparison.bitwise_or(self, other))

    def __ixor__(self, other: Any) -> Self:  # type: ignore[misc]
        return self._become("^=", _comparison.bitwise_xor(self, other))

    def __ilshift__(self, other: Any) -> Self:  # type: ignore[misc]
        return self._become("<<=", _comparison.bitwise_left_shift(self, other))

    def __irshift__(self, other: Any) -> Self:  # type: ignore[misc]
        return self._become(">>=", _comparison.bitwise_right_shift(self, other))

    def __getitem__(self, index: Any) -> Tensor:
        return _index.getitem(self, _index.plain_index(index, self._array))

    def __setitem__(self, index: Any, value: Any) -> None:
        self._refuse_to_overwrite("[] =")
        self._become("[] =", _index.setitem(self, _index.plain_index(index, self._array), value))

    def copy_(self, values: Any) -> Self:
        """Give this Tensor other values, of its shape, converted to its dtype; returns itself.

        Raises GraphError for a leaf that requires a gradient while operations are recorded.
        """
        return self._become("copy_", values if isinstance(values, Tensor) else Tensor(values))

    def _become(self, what: str, result: Tensor) -> Self:
        self._refuse_to_overwrite(what)
        if namespace(result._array) is not namespace(self._array):
            raise LibraryError(
                f"{what}: a tensor keeps its library, {_arrays.library(self._array)}, but the new "
                f"values are an array of {_arrays.library(result._array)}.\n"
                "Convert them first, for example with lucid.from_dlpack."
            )
        if result.shape != self.shape:
            raise ShapeError(
                f"{what}: a tensor keeps its shape, {self.shape}, but the new values have "
                f"{result.shape}"
            )
        if result.dtype != self.dtype:
            if kind(result.dtype) > kind(self.dtype):
                raise DTypeError(
                    f"{what}: a tensor keeps its dtype, {self.dtype}, which cannot hold "
                    f"{result.dtype}"
                )
            result = _like.astype(result, self.dtype)
        self._array = result._array
        if type(self._node) is not Leaf:
            self._node = result._node
        return self

    def _refuse_to_overwrite(self, what: str) -> None:
        if type(self._node) is Leaf and mode.recording:
            raise GraphError(
                f"{what}: this tensor is a leaf that requires a gradient; overwriting it while "
                "operations are recorded would lose what its gradient is of.\n"
                "Update it under lucid.no_grad(), or compute a new tensor."
            )

    # The familiar methods. The functions refuse foreign keywords, such as `dim`, and say ours.

    def sum(
        self, axis: Any = None, keepdims: bool = False, dtype: DType = None, **foreign: Never
    ) -> Tensor:
        """The sum over `axis`; see `lucid.sum`."""
        return _reduce.sum(self, axis=axis, dtype=dtype, keepdims=keepdims, **foreign)

    def mean(self, axis: Any = None, keepdims: bool = False, **foreign: Never) -> Tensor:
        """The mean over `axis`; see `lucid.mean`."""
        return _statistics.mean(self, axis=axis, keepdims=keepdims, **foreign)

    def var(
        self, axis: Any = None, correction: float = 0.0, keepdims: bool = False, **foreign: Never
    ) -> Tensor:
        """The variance over `axis`; see `lucid.var`."""
        return _statistics.var(self, axis=axis, correction=correction, keepdims=keepdims, **foreign)

    def std(
        self, axis: Any = None, correction: float = 0.0, keepdims: bool = False, **foreign: Never
    ) -> Tensor:
        """The standard deviation over `axis`; see `lucid.std`."""
        return _statistics.std(self, axis=axis, correction=correction, keepdims=keepdims, **foreign)

    def prod(
        self, axis: Any = None, keepdims: bool = False, dtype: DType = None, **foreign: Never
    ) -> Tensor:
        """The product over `axis`; see `lucid.prod`."""
        return _reduce.prod(self, axis=axis, dtype=dtype, keepdims=keepdims, **foreign)

    def max(self, axis: Any = None, keepdims: bool = False, **foreign: Never) -> Tensor:
        """The largest element over `axis`; see `lucid.max`."""
        return _reduce.max(self, axis=axis, keepdims=keepdims, **foreign)

    def min(self, axis: Any = None, keepdims: bool = False, **foreign: Never) -> Tensor:
        """The smallest element over `axis`; see `lucid.min`."""
        return _reduce.min(self, axis=axis, keepdims=keepdims, **foreign)

    def all(self, axis: Any = None, keepdims: bool = False, **foreign: Never) -> Tensor:
        """Whether all elements over `axis` are true; see `lucid.all`."""
        return _reduce.all(self, axis=axis, keepdims=keepdims, **foreign)

    def any(self, axis: Any = None, keepdims: bool = False, **foreign: Never) -> Tensor:
        """Whether any element over `axis` is true; see `lucid.any`."""
        return _reduce.any(self, axis=axis, keepdims=keepdims, **foreign)

    def argmax(self, axis: int | None = None, keepdims: bool = False, **foreign: Never) -> Tensor:
        """The index of the largest element; see `lucid.argmax`."""
        return _search.argmax(self, axis=axis, keepdims=keepdims, **foreign)

    def argmin(self, axis: int | None = None, keepdims: bool = False, **foreign: Never) -> Tensor:
        """The index of the smallest element; see `lucid.argmin`."""
        return _search.argmin(self, axis=axis, keepdims=keepdims, **foreign)

    def argsort(self, axis: int = -1, descending: bool = False, **foreign: Never) -> Tensor:
        """The indices that put the elements in order; see `lucid.argsort`."""
        return _search.argsort(self, axis=axis, descending=descending, **foreign)

    def topk(self, k: int, axis: int = -1, largest: bool = True, **foreign: Never) -> _search.TopK:
        """The k largest elements along an axis and their indices; see `lucid.topk`."""
        return _search.topk(self, k, axis=axis, largest=largest, **foreign)

    def logsumexp(self, axis: Any = None, keepdims: bool = False, **foreign: Never) -> Tensor:
        """The logarithm of the sum of exponentials; see `lucid.logsumexp`."""
        return _reduce.logsumexp(self, axis=axis, keepdims=keepdims, **foreign)

    def reshape(self, *shape: int | Sequence[int]) -> Tensor:
        """The elements in another shape, given as numbers or as one tuple; see `lucid.reshape`."""
        return _movement.reshape(self, _flat(shape))

    def permute(self, *axes: int | Sequence[int]) -> Tensor:
        """The axes in another order, given as numbers or as one tuple; see `lucid.permute_dims`."""
        return _movement.permute_dims(self, _flat(axes))

    def squeeze(self, axis: int | tuple[int, ...]) -> Tensor:
        """Without the axes of size 1 at `axis`; see `lucid.squeeze`."""
        return _movement.squeeze(self, axis=axis)

    def unsqueeze(self, axis: int) -> Tensor:
        """With a new axis of size 1 at `axis`; see `lucid.expand_dims`."""
        return _movement.expand_dims(self, axis=axis)

    def flatten(self) -> Tensor:
        """All elements in one axis."""
        return _movement.reshape(self, (-1,))

    def astype(self, dtype: DType, *, copy: bool = True, device: Device | None = None) -> Tensor:
        """In another dtype; see `lucid.astype`."""
        result: Tensor = _like.astype(self, dtype, copy=copy, device=device)
        return result

    def exp(self) -> Tensor:
        """The exponential; see `lucid.exp`."""
        return _exponential.exp(self)

    def log(self) -> Tensor:
        """The natural logarithm; see `lucid.log`."""
        return _exponential.log(self)

    def sqrt(self) -> Tensor:
        """The square root; see `lucid.sqrt`."""
        return _exponential.sqrt(self)

    def tanh(self) -> Tensor:
        """The hyperbolic tangent; see `lucid.tanh`."""
        return _trigonometry.tanh(self)

    def sigmoid(self) -> Tensor:
        """The logistic function; see `lucid.sigmoid`."""
        return _exponential.sigmoid(self)

    def abs(self) -> Tensor:
        """The absolute value; see `lucid.abs`."""
        return _arithmetic.abs(self)

    def clip(self, min: Any = None, max: Any = None) -> Tensor:
        """The elements, none below `min` or above `max`; see `lucid.clip`."""
        return _arithmetic.clip(self, min, max)

    @property
    def T(self) -> Tensor:  # noqa: N802 (the standard's name)
        """The transpose of a matrix."""
        if self.ndim != 2:
            raise ShapeError(
                f"T: only a matrix, not a tensor of shape {self.shape}, has a transpose; "
                "use mT or permute_dims"
            )
        return _movement.matrix_transpose(self)

    @property
    def mT(self) -> Tensor:  # noqa: N802 (the standard's name)
        """The last two axes transposed; see `lucid.matrix_transpose`."""
        return _movement.matrix_transpose(self)


def seed(function: str, result: Tensor, gradient: Any, recorded: bool) -> Any:
    """What a backward pass starts from: ones, or the given gradient if it fits the result."""
    array = result._array
    if gradient is None:
        number = isinstance(array, np.generic)  # of NumPy, whose ones_like takes 2 µs
        start = _one(type(array)) if number else namespace(array).ones_like(array)
        return new_tensor(start) if recorded else start
    given = gradient if isinstance(gradient, Tensor) else Tensor(gradient)
    start = given._array
    if start.shape != array.shape:
        raise ShapeError(
            f"{function}: the gradient has shape {given.shape}, but the result has {result.shape}; "
            "they must be equal"
        )
    if start.dtype is not array.dtype and start.dtype != array.dtype:
        given = _like.astype(given, array.dtype)
    return given if recorded else given._array


_one: Callable[[Any], Any] = cache(lambda kind: kind(1))  # shared: nothing writes to a scalar


def _host(array: Array) -> np.ndarray[Any, Any]:
    """The values of another library's array in NumPy; bfloat16 needs the package ml_dtypes."""
    if _arrays.dtype_name(array.dtype) == "bfloat16" and hasattr(
        array, "float"
    ):  # torch has no way of its own
        import ml_dtypes

        return np.asarray(array.detach().cpu().float()).astype(ml_dtypes.bfloat16)
    array = _settled(array)
    try:
        return np.asarray(array)
    except (TypeError, RuntimeError):
        return np.from_dlpack(array, device="cpu")


def _settled(array: Array) -> Array:
    """An array without a conjugation that is still pending, as PyTorch has it: nobody reads it."""
    return array.resolve_conj() if hasattr(array, "resolve_conj") else array


def _unpickled(
    kind: type[Tensor], array: Array, requires_grad: bool, grad: Tensor | None
) -> Tensor:
    result = kind.__new__(kind)
    result._array = array
    result._node = None
    result._grad = grad
    return result.requires_grad_(requires_grad)


def _comparable(other: object) -> bool:
    return isinstance(other, (Tracked, int, float, complex, list)) or _arrays.is_array(other)


def _flat(numbers: tuple[Any, ...]) -> tuple[int, ...]:
    """`x.reshape(2, 3)` and `x.reshape((2, 3))` mean the same."""
    return tuple(numbers[0]) if len(numbers) == 1 and not isinstance(numbers[0], int) else numbers


_call.serve(Tensor)
