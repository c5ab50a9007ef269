"""Checks for tests, of lucid's own operations and of yours.

`gradcheck` compares gradient rules with central differences, `assert_same` compares arrays.
Both raise an AssertionError that names the culprit: which argument, which element, both values.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np

from ._arrays import (
    Array,
    dtype_name,
    is_array,
    is_complex,
    is_differentiable,
    namespace,
    native_dtype,
)
from ._errors import ArgumentError
from ._recording import enable_grad
from ._shapes import Shape, size_of
from ._tensor import Tensor
from .autograd import grad
from .ops._create import asarray

__all__ = ["assert_same", "gradcheck"]

# Central differences are wrong by h²/6 · f''' and by ε/h · f. With h = ε^⅓ both are about ε^⅔,
# some 1e-11 of values and derivatives around one.
_EPSILON = float(np.finfo(np.float64).eps)
_STEP = _EPSILON ** (1 / 3)

# How far two right results of one dtype may be apart, relative and absolute.
_TOLERANCE = {
    "float64": 1e-12,
    "complex128": 1e-12,
    "float32": 1e-5,
    "complex64": 1e-5,
    "float16": 2e-3,
    "bfloat16": 2e-2,
}


def gradcheck(
    function: Callable[..., Any],
    inputs: Any,
    *,
    order: int = 1,
    every_element: bool = False,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    step: float = _STEP,
    seed: int = 0,
    name: str | None = None,
) -> bool:
    """Compare the gradients that the tape gives with central differences; True if they agree.

    `inputs` are the arguments of `function`: Tensors, arrays of any library, sequences of them,
    and anything else, which is passed as it is. If a Tensor among them requires a gradient, those
    are checked, otherwise all of floating point, real or complex. They are converted to float64
    (complex128) first. `function` returns a Tensor or several.

    Each argument is moved along one random direction, which finds any wrong rule and costs two
    calls; `every_element` moves each of its elements (and so does a failure, to tell which).
    `order=2` goes on to check the gradient of the gradient, `order=3` that of that. A derivative
    may differ by `rtol` of itself, `atol`, and what rounding can do to the difference.

    A complex gradient follows PyTorch's convention: that of a real loss L in x = a + ib is
    ∂L/∂a + i ∂L/∂b.

    Raises AssertionError with the function, the argument, the index and both values. Keep the
    inputs away from kinks: at 0, `abs` has no derivative that a difference could find.

    >>> from lucid.testing import gradcheck
    >>> @lucid.op
    ... def cube(x):
    ...     return x ** 3
    >>> cube.gradient(x=lambda g, x: 2 * g * x ** 2)  # should be 3
    >>> gradcheck(cube, [lucid.Tensor(0.5)])
    Traceback (most recent call last):
    ...
    AssertionError: cube, argument 0 (x), index (): rule says 0.5000, central difference says \
0.7500 (ratio 0.6667)
    """
    arguments = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    called = name or str(getattr(function, "__name__", type(function).__name__))
    values, rebuild, titles = _take_apart(arguments, _parameter_names(function, len(arguments)))
    if not values:
        raise ArgumentError(
            f"gradcheck: none of the inputs of {called} is an array or a Tensor of floating point"
        )
    random = np.random.default_rng(seed)

    def outputs_of(tensors: Sequence[Tensor]) -> list[Tensor]:
        return _outputs(function(*rebuild(tensors)))

    call: _Call = outputs_of
    for level in range(order):
        if level:
            call, values, titles, called = _derived(call, values, titles, called, random)
        _Check(call, values, titles, called, random, every_element, rtol, atol, step).run()
    return True


_Call = Callable[[Sequence[Tensor]], list[Tensor]]


class _Check:
    """One comparison: of the gradients of a function of Tensors with differences of its values."""

    def __init__(
        self,
        call: _Call,
        values: list[Array],
        titles: list[str],
        name: str,
        random: np.random.Generator,
        every_element: bool,
        rtol: float,
        atol: float,
        step: float,
    ) -> None:
        self.call = call
        self.values = values
        self.points = [Tensor(value).numpy() for value in values]
        self.titles = titles
        self.name = name
        self.random = random
        self.every_element = every_element
        self.rtol = rtol
        self.atol = atol
        self.step = step

    def run(self) -> None:
        leaves = [Tensor(value, requires_grad=True) for value in self.values]
        outputs = self.call(leaves)
        self.weights = _weights(outputs, self.random)
        # the size of Σ |w · out|: rounding moves a difference by some ε of it, divided by the step
        noise = sum(
            float(np.sum(np.abs(weight * output.numpy())))
            for weight, output in zip(self.weights, outputs, strict=True)
        )
        self.noise = 16 * _EPSILON * noise / self.step
        gradients = _gradients(outputs, leaves, self.weights)
        for position, gradient in enumerate(gradients):
            rule = np.zeros_like(self.points[position])
            if gradient is not None:
                rule = np.array(gradient.numpy())
            self.compare(position, rule)

    def compare(self, position: int, rule: np.ndarray[Any, Any]) -> None:
        if not self.every_element:
            direction = _normal(self.random, rule.shape, rule.dtype)
            along = float(np.sum(np.real(np.conj(rule) * direction)))
            difference = self.difference(position, direction)
            # the rule's own sum rounds as well
            slack = 16 * _EPSILON * float(np.sum(np.abs(rule * direction)))
            if self.agree(along, difference, slack):
                return
        worst: tuple[float, Shape, Any, Any] | None = None
        for index in product(*map(range, rule.shape)):
            by_rule, by_difference = rule[index], self.at(position, index)
            if self.agree(by_rule, by_difference):
                continue
            distance = abs(by_rule - by_difference)
            if worst is None or distance > worst[0] or np.isnan(distance):
                worst = distance, index, by_rule, by_difference
        if worst is not None:
            _, index, by_rule, by_difference = worst
            self.fail(f"{self.titles[position]}, index {index}", by_rule, by_difference)
        if not self.every_element:
            self.fail(f"{self.titles[position]}, along a random direction", along, difference)

    def at(self, position: int, index: Shape) -> Any:
        """The derivative in one element: one number, complex for a complex argument."""
        unit = np.zeros_like(self.points[position])
        unit[index] = 1
        difference: Any = self.difference(position, unit)
        if is_complex(unit.dtype):
            difference = difference + 1j * self.difference(position, unit * 1j)
        return difference

    def difference(self, position: int, direction: np.ndarray[Any, Any]) -> float:
        """(L(x + h d) - L(x - h d)) / 2h of L = Σ real(conj(w) · out), for one argument x."""
        ahead = self.moved(position, self.step * direction)
        behind = self.moved(position, -self.step * direction)
        total = 0.0
        for weight, after, before in zip(self.weights, ahead, behind, strict=True):
            total += float(np.sum(np.real(np.conj(weight) * (after - before))))
        return total / (2 * self.step)

    def moved(self, position: int, by: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
        values = list(self.values)
        values[position] = _like(self.points[position] + by, values[position])
        leaves = [Tensor(value, requires_grad=True) for value in values]
        return [output.numpy() for output in self.call(leaves)]

    def agree(self, by_rule: Any, by_difference: Any, slack: float = 0.0) -> bool:
        allowed = self.atol + self.rtol * abs(by_difference) + self.noise + slack
        return bool(abs(by_rule - by_difference) <= allowed)

    def fail(self, where: str, by_rule: Any, by_difference: Any) -> None:
        shown = _show(by_rule), _show(by_difference)
        if shown[0] == shown[1]:
            shown = f"{by_rule:.15g}", f"{by_difference:.15g}"
        ratio = by_rule / by_difference if by_difference else np.inf
        raise AssertionError(
            f"{self.name}, argument {where}: rule says {shown[0]}, "
            f"central difference says {shown[1]} (ratio {ratio:.4f})"
        )


def _derived(
    call: _Call,
    values: list[Array],
    titles: list[str],
    name: str,
    random: np.random.Generator,
) -> tuple[_Call, list[Array], list[str], str]:
    """The gradients of a function, as a function of its arguments and of the outputs' weights."""
    outputs = call([Tensor(value, requires_grad=True) for value in values])
    weights = [
        _like(weight, output._array)
        for weight, output in zip(_weights(outputs, random), outputs, strict=True)
    ]
    count = len(values)

    def gradients(tensors: Sequence[Tensor]) -> list[Tensor]:
        arguments = list(tensors[:count])
        with enable_grad():
            found = _gradients(call(arguments), arguments, tensors[count:], create_graph=True)
        return [
            Tensor(namespace(argument._array).zeros_like(argument._array))
            if gradient is None
            else gradient
            for gradient, argument in zip(found, arguments, strict=True)
        ]

    whose = [f"{len(titles) + k} (the gradient of output {k})" for k in range(len(weights))]
    return gradients, [*values, *weights], [*titles, *whose], f"the gradient of {name}"


def _gradients(
    outputs: Sequence[Tensor],
    inputs: Sequence[Tensor],
    weights: Sequence[Any],
    create_graph: bool = False,
) -> Sequence[Tensor | None]:
    pairs = [pair for pair in zip(outputs, weights, strict=True) if pair[0].requires_grad]
    if not pairs:
        return [None] * len(inputs)
    starts = [
        weight if isinstance(weight, Tensor) else Tensor(_like(weight, output._array))
        for output, weight in pairs
    ]
    found: Sequence[Tensor | None] = grad(
        [output for output, _ in pairs],
        list(inputs),
        starts,
        create_graph=create_graph,
        allow_unused=True,
    )
    return found


def _take_apart(
    arguments: list[Any], names: list[str]
) -> tuple[list[Array], Callable[[Sequence[Tensor]], list[Any]], list[str]]:
    """The arrays to check, in double precision; how to put others there; what each is called."""
    places: list[tuple[int, int | None]] = []
    for k, argument in enumerate(arguments):
        if isinstance(argument, (list, tuple)):
            places += [(k, m) for m in range(len(argument))]
        else:
            places.append((k, None))

    def read(place: tuple[int, int | None]) -> Any:
        k, m = place
        return arguments[k] if m is None else arguments[k][m]

    places = [place for place in places if _has_derivative(read(place))]
    if any(isinstance(read(p), Tensor) and read(p).requires_grad for p in places):
        places = [p for p in places if isinstance(read(p), Tensor) and read(p).requires_grad]

    def rebuild(tensors: Sequence[Tensor]) -> list[Any]:
        result = [list(each) if isinstance(each, list) else each for each in arguments]
        for (k, m), tensor in zip(places, tensors, strict=True):
            if m is None:
                result[k] = tensor
            else:
                result[k] = [*result[k][:m], tensor, *result[k][m + 1 :]]
        return result

    titles = [f"{k} ({names[k]}{'' if m is None else f'[{m}]'})" for k, m in places]
    return [_double(read(place)) for place in places], rebuild, titles


def _has_derivative(value: Any) -> bool:
    return is_array(value) and is_differentiable(value.dtype)


def _double(value: Any) -> Array:
    """An array in float64 or complex128, in its own library."""
    array = value._array if isinstance(value, Tensor) else value
    xp = namespace(array)
    wide = "complex128" if is_complex(array.dtype) else "float64"
    result = xp.astype(array, native_dtype(xp, wide))
    if dtype_name(result.dtype) != wide:
        raise ArgumentError(
            f"gradcheck: needs {wide}, but the array library gives {result.dtype}; "
            "with JAX, set jax_enable_x64"
        )
    return result


def _like(values: np.ndarray[Any, Any], array: Array) -> Array:
    """NumPy values as an array of another one's library and dtype."""
    xp = namespace(array)
    return xp.asarray(values, dtype=array.dtype, device=array.device)


def _outputs(result: Any) -> list[Tensor]:
    several = list(result) if isinstance(result, (list, tuple)) else [result]
    for output in several:
        if not isinstance(output, Tensor):
            raise ArgumentError(
                "gradcheck: the function returned "
                f"{type(output).__name__}, expected a Tensor or several"
            )
    return [output for output in several if is_differentiable(output.dtype)]


def _weights(outputs: Sequence[Tensor], random: np.random.Generator) -> list[np.ndarray[Any, Any]]:
    """One random number for each element of each output; 1 where there is only one, and real."""
    if len(outputs) == 1 and outputs[0].size == 1 and not is_complex(outputs[0].dtype):
        return [np.ones(outputs[0].shape)]
    return [
        _normal(random, output.shape, np.complex128 if is_complex(output.dtype) else np.float64)
        for output in outputs
    ]


def _normal(random: np.random.Generator, shape: Shape, dtype: Any) -> np.ndarray[Any, Any]:
    values = np.asarray(random.standard_normal(shape))
    return values + 1j * random.standard_normal(shape) if is_complex(np.dtype(dtype)) else values


def _parameter_names(function: Callable[..., Any], count: int) -> list[str]:
    def names() -> Iterator[str]:
        for name, parameter in inspect.signature(function).parameters.items():
            if parameter.kind is parameter.VAR_POSITIONAL:
                yield from (f"{name}[{k}]" for k in range(count))
            else:
                yield name

    try:
        known = list(names())
    except (TypeError, ValueError):  # a builtin does not tell
        known = []
    return [*known, *(f"x{k}" for k in range(len(known), count))]


def _show(number: Any) -> str:
    plain = number == 0 or 0.01 <= abs(number) < 1e5
    return f"{number:.4f}" if plain else f"{number:.4e}"


def assert_same(
    actual: Any, expected: Any, *, rtol: float | None = None, atol: float | None = None
) -> None:
    """Raise AssertionError unless two arrays have the same shape, dtype and values.

    Both may be Tensors, arrays of any library, numbers, or nested lists; numbers and lists have
    no dtype to compare. Values may differ by `atol` + `rtol` · |expected|, where each is by
    default 1e-12 for float64 and complex128, 1e-5 for float32 and complex64, 2e-3 for float16,
    2e-2 for bfloat16; integers and truth values may not. NaN is the same as NaN.

    >>> from lucid.testing import assert_same
    >>> assert_same(lucid.Tensor([1.0, 2.0]), [1.0, 2.5])
    Traceback (most recent call last):
    ...
    AssertionError: 1 of 2 elements differ, most at index (1,): actual 2.0, expected 2.5 \
(difference 5.00e-01, allowed 3.50e-05)
    """
    here, there = _plain(actual), _plain(expected)
    if here.shape != there.shape:
        raise AssertionError(f"shapes differ: actual {here.shape}, expected {there.shape}")
    dtypes = [_dtype_name(value) for value in (actual, expected) if is_array(value)]
    if len(set(dtypes)) > 1:
        raise AssertionError(f"dtypes differ: actual {dtypes[0]}, expected {dtypes[1]}")
    default = max(_TOLERANCE.get(name, 0.0) for name in dtypes or ["float64"])
    rtol = default if rtol is None else rtol
    atol = default if atol is None else atol
    if default == 0.0:
        wrong = here != there
        distance, allowed = np.abs(here.astype(float) - there.astype(float)), np.zeros(here.shape)
    else:
        here, there = _widened(here), _widened(there)
        with np.errstate(all="ignore"):
            distance = np.abs(here - there)
            allowed = atol + rtol * np.abs(there)
            same = (here == there) | (np.isnan(here) & np.isnan(there))
            wrong = ~(same | ((distance <= allowed) & np.isfinite(allowed)))
    if wrong.any():
        ranked = np.where(wrong, np.nan_to_num(distance, nan=np.inf), -1.0)
        index = tuple(int(k) for k in np.unravel_index(int(np.argmax(ranked)), wrong.shape))
        raise AssertionError(
            f"{int(wrong.sum())} of {size_of(wrong.shape)} elements differ, most at index {index}: "
            f"actual {here[index]}, expected {there[index]} "
            f"(difference {distance[index]:.2e}, allowed {allowed[index]:.2e})"
        )


def _plain(value: Any) -> np.ndarray[Any, Any]:
    return asarray(value).numpy() if is_array(value) else np.asarray(value)


def _dtype_name(value: Any) -> str:
    return dtype_name(value.dtype)


def _widened(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return array.astype(np.complex128 if is_complex(array.dtype) else np.float64)
