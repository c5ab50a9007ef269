"""First values of parameters: each function fills a Tensor in place and returns it.

Fan-in and fan-out count the numbers that one output sums over, and that one input goes to: for a
weight of shape (out, in, d1, …) they are in · d1 · … and out · d1 · ….
"""

from __future__ import annotations

from math import prod, sqrt
from typing import Any, TypeVar

import numpy as np

from .._arguments import ANY, NOT_NEGATIVE, NUMBER, check
from .._arrays import is_differentiable, namespace
from .._errors import ArgumentError, DTypeError, ShapeError
from .._random import Generator, numbers
from .._recording import no_grad
from .._tape import new_tensor
from .._tensor import Tensor

__all__ = [
    "bilinear_normal_",
    "calculate_gain",
    "constant_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

T = TypeVar("T", bound=Tensor)


def uniform_(tensor: T, a: float = 0.0, b: float = 1.0, *, generator: Generator | None = None) -> T:
    """Draw each element evenly from [a, b).

    Raises ArgumentError unless a ≤ b, and DTypeError for a Tensor of integers, as all functions
    that draw do.

    >>> bool((nn.init.uniform_(lucid.zeros(3), 2.0, 3.0) >= 2).all())
    True
    """
    check("uniform_", NUMBER, a=a, b=b)
    if a > b:
        raise ArgumentError(f"uniform_: a must not be above b, but they are {a} and {b}")
    dtype = _drawn("uniform_", tensor)
    return _fill(tensor, a + (b - a) * numbers(generator).random(tensor.shape, dtype))


def normal_(
    tensor: T, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
) -> T:
    """Draw each element from the normal distribution N(mean, std²).

    Raises ArgumentError for a standard deviation below 0.

    >>> nn.init.normal_(lucid.zeros((2, 3)), std=0.1).shape
    (2, 3)
    """
    check("normal_", NUMBER, mean=mean)
    check("normal_", NOT_NEGATIVE, std=std)
    draws = numbers(generator).standard_normal(tensor.shape, _drawn("normal_", tensor))
    return _fill(tensor, mean + std * draws)


def constant_(tensor: T, value: float) -> T:
    """Set each element to a number.

    >>> nn.init.constant_(lucid.zeros(2), 0.5)
    Tensor([0.5, 0.5])
    """
    _check_tensor("constant_", tensor)
    if not isinstance(value, complex):
        check("constant_", ANY, value=value)
    return _fill(tensor, np.full(tensor.shape, value))


def zeros_(tensor: T) -> T:
    """Set each element to 0.

    >>> nn.init.zeros_(lucid.ones(2))
    Tensor([0.0, 0.0])
    """
    return constant_(tensor, 0.0)


def ones_(tensor: T) -> T:
    """Set each element to 1.

    >>> nn.init.ones_(lucid.zeros(2))
    Tensor([1.0, 1.0])
    """
    return constant_(tensor, 1.0)


def xavier_uniform_(tensor: T, gain: float = 1.0, *, generator: Generator | None = None) -> T:
    """Draw evenly from [-b, b) with b = gain · √(6 / (fan_in + fan_out)).

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", 2010. Raises ShapeError for fewer than two axes.

    >>> bool((nn.init.xavier_uniform_(lucid.zeros((2, 4))) <= 1).all())
    True
    """
    check("xavier_uniform_", NOT_NEGATIVE, gain=gain)
    fan_in, fan_out = _fans("xavier_uniform_", tensor)
    bound = gain * sqrt(6 / _at_least_one(fan_in + fan_out))
    return uniform_(tensor, -bound, bound, generator=generator)


def xavier_normal_(tensor: T, gain: float = 1.0, *, generator: Generator | None = None) -> T:
    """Draw from N(0, s²) with s = gain · √(2 / (fan_in + fan_out)).

    Source: Glorot and Bengio, 2010. Raises ShapeError for fewer than two axes.

    >>> nn.init.xavier_normal_(lucid.zeros((2, 4))).shape
    (2, 4)
    """
    check("xavier_normal_", NOT_NEGATIVE, gain=gain)
    fan_in, fan_out = _fans("xavier_normal_", tensor)
    std = gain * sqrt(2 / _at_least_one(fan_in + fan_out))
    return normal_(tensor, std=std, generator=generator)


def kaiming_uniform_(
    tensor: T,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    generator: Generator | None = None,
) -> T:
    """Draw evenly from [-b, b) with b = gain · √(3 / fan), gain that of the nonlinearity.

    `a` is the slope of a leaky ReLU; `mode` says which fan, 'fan_in' or 'fan_out'. Source: He et
    al., "Delving deep into rectifiers", 2015. Raises ShapeError for fewer than two axes.

    >>> bool((nn.init.kaiming_uniform_(lucid.zeros((2, 6))) <= 1).all())
    True
    """
    bound = sqrt(3) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator=generator)


def kaiming_normal_(
    tensor: T,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    generator: Generator | None = None,
) -> T:
    """Draw from N(0, s²) with s = gain / √fan, gain that of the nonlinearity.

    Arguments, errors and source are those of `kaiming_uniform_`.

    >>> nn.init.kaiming_normal_(lucid.zeros((2, 6)), nonlinearity="relu").shape
    (2, 6)
    """
    std = _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity)
    return normal_(tensor, std=std, generator=generator)


def bilinear_normal_(tensor: T, gain: float = 1.0, *, generator: Generator | None = None) -> T:
    """Draw a weight (out, in1, in2) from N(0, s²) with s = gain / √(in1 · in2).

    Each output of a bilinear form sums in1 · in2 products, so for independent inputs of mean 0 and
    variance 1 the outputs have variance gain². Raises ShapeError unless there are three axes.

    >>> nn.init.bilinear_normal_(lucid.zeros((5, 3, 4))).shape
    (5, 3, 4)
    """
    check("bilinear_normal_", NOT_NEGATIVE, gain=gain)
    _check_tensor("bilinear_normal_", tensor)
    if tensor.ndim != 3:
        raise ShapeError(
            f"bilinear_normal_: expected a weight (out, in1, in2), got shape {tensor.shape}"
        )
    std = gain / sqrt(_at_least_one(prod(tensor.shape[1:])))
    return normal_(tensor, std=std, generator=generator)


def orthogonal_(tensor: T, gain: float = 1.0, *, generator: Generator | None = None) -> T:
    """Draw a matrix with orthogonal rows or columns, whichever are fewer, of length `gain`.

    All axes after the first count as one. Evenly distributed: the Q of the QR decomposition of
    normal numbers, with the signs of R's diagonal. Source: Saxe et al., "Exact solutions to the
    nonlinear dynamics of learning in deep linear neural networks", 2014. Raises ShapeError for
    fewer than two axes.

    >>> w = nn.init.orthogonal_(lucid.zeros((2, 3)))
    >>> bool(lucid.abs(w @ w.T - lucid.eye(2)).max() < 1e-6)
    True
    """
    check("orthogonal_", NUMBER, gain=gain)
    _fans("orthogonal_", tensor)
    _drawn("orthogonal_", tensor)
    rows, columns = tensor.shape[0], prod(tensor.shape[1:])
    tall = numbers(generator).standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(tall)
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return _fill(tensor, gain * (q.T if rows < columns else q).reshape(tensor.shape))


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that makes up for what a nonlinearity takes from the standard deviation.

    1 for 'linear' and 'sigmoid', 5/3 for 'tanh', √2 for 'relu', √(2 / (1 + a²)) for 'leaky_relu'
    with the slope a = `param` (0.01 where left out), 3/4 for 'selu'.

    Raises ArgumentError for another name.

    >>> nn.init.calculate_gain("tanh")
    1.6666666666666667
    """
    slope = 0.01 if param is None else param
    check("calculate_gain", NUMBER, param=slope)
    gains = {
        "linear": 1.0,
        "sigmoid": 1.0,
        "tanh": 5 / 3,
        "relu": sqrt(2),
        "leaky_relu": sqrt(2 / (1 + slope**2)),
        "selu": 3 / 4,
    }
    if not isinstance(nonlinearity, str) or nonlinearity not in gains:
        raise ArgumentError(
            f"calculate_gain: nonlinearity is {nonlinearity!r}, expected one of "
            f"{', '.join(map(repr, gains))}"
        )
    return gains[nonlinearity]


def _kaiming_std(function: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fans = dict(zip(("fan_in", "fan_out"), _fans(function, tensor), strict=True))
    check(function, NUMBER, a=a)
    if not isinstance(mode, str) or mode not in fans:
        raise ArgumentError(f"{function}: mode is {mode!r}, expected 'fan_in' or 'fan_out'")
    return calculate_gain(nonlinearity, a) / sqrt(_at_least_one(fans[mode]))


def _fans(function: str, tensor: Tensor) -> tuple[int, int]:
    _check_tensor(function, tensor)
    if tensor.ndim < 2:
        raise ShapeError(
            f"{function}: expected at least two axes, (out, in, …), got shape {tensor.shape}"
        )
    rest = prod(tensor.shape[2:])
    return tensor.shape[1] * rest, tensor.shape[0] * rest


def _at_least_one(count: int) -> int:
    return max(count, 1)  # a weight without elements is filled with nothing


def _check_tensor(function: str, tensor: Any) -> None:
    if not isinstance(tensor, Tensor):
        raise ArgumentError(
            f"{function}: tensor is a {type(tensor).__name__}, expected a Tensor to fill in place"
        )


def _drawn(function: str, tensor: Tensor) -> Any:
    """The dtype that numbers are drawn in: float32 is enough for all but float64."""
    _check_tensor(function, tensor)
    if not is_differentiable(tensor.dtype):
        raise DTypeError(
            f"{function}: tensor has dtype {tensor.dtype}, which would cut the numbers drawn off; "
            "expected floating point"
        )
    return np.float64 if "64" in str(tensor.dtype) else np.float32


def _fill(tensor: T, values: np.ndarray[Any, Any]) -> T:
    xp = namespace(tensor._array)
    with no_grad():
        tensor.copy_(new_tensor(xp.asarray(values, dtype=tensor.dtype, device=tensor.device)))
    return tensor
