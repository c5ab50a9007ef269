"""Functions that stand between the layers, element by element."""

from __future__ import annotations

from math import pi, sqrt

from ..._arguments import NUMBER, POSITIVE, check
from ..._arrays import Array, namespace
from ..._errors import ArgumentError
from ..._op import op
from ...ops._arithmetic import clip
from ...ops._comparison import greater, less_equal, where
from ...ops._exponential import exp, sigmoid, square
from ._checks import check_real
from ._normal import normal_cdf, normal_density


@op(gradient=lambda g, y: where(less_equal(y, 0), 0.0, g), along=())
def relu(input: Array) -> Array:
    """The larger of x and 0; the gradient at 0 is 0.

    Raises DTypeError unless `input` is real floating point, as all functions of this family do.

    >>> F.relu(lucid.Tensor([-1.0, 2.0]))
    Tensor([0.0, 2.0])
    """
    check_real("relu", input=input)
    return namespace(input).maximum(input, 0)


@op(along=())
def leaky_relu(input: Array, negative_slope: float = 0.01) -> Array:
    """x where x > 0, and `negative_slope` · x elsewhere.

    >>> F.leaky_relu(lucid.Tensor([-1.0, 2.0]), 0.5)
    Tensor([-0.5, 2.0])
    """
    check_real("leaky_relu", input=input)
    check("leaky_relu", NUMBER, negative_slope=negative_slope)
    return namespace(input).where(input > 0, input, input * negative_slope)


leaky_relu.gradient(
    input=lambda g, input, negative_slope: where(greater(input, 0), g, g * negative_slope)
)


def _elu_gradient(g: Array, input: Array, alpha: float) -> Array:
    # α · eˣ, not y + α, which would lose what is far below α
    above = greater(input, 0)
    return where(above, g, g * (alpha * exp(where(above, 0.0, input))))


@op(gradient=_elu_gradient, along=())
def elu(input: Array, alpha: float = 1.0) -> Array:
    """x where x > 0, and α · (eˣ - 1) elsewhere (Clevert et al., 2016).

    >>> F.elu(lucid.Tensor([-1.0, 2.0]))
    Tensor([-0.63212055, 2.0])
    """
    check_real("elu", input=input)
    check("elu", NUMBER, alpha=alpha)
    xp = namespace(input)
    return xp.where(input > 0, input, alpha * xp.expm1(xp.minimum(input, 0)))


@op(gradient=lambda g, input, beta: g * sigmoid(beta * input), along=())
def softplus(input: Array, beta: float = 1.0) -> Array:
    """log(1 + exp(β · x)) / β, a smooth `relu`; no x overflows.

    Raises ArgumentError unless β > 0.

    >>> F.softplus(lucid.Tensor([0.0, 1000.0]))
    Tensor([0.6931472, 1000.0])
    """
    check_real("softplus", input=input)
    check("softplus", POSITIVE, beta=beta)
    xp = namespace(input)
    # log(1 + eᶻ) = max(z, 0) + log(1 + e^-|z|)
    return xp.maximum(input, 0) + xp.log1p(xp.exp(-beta * xp.abs(input))) / beta


@op(along=())
def silu(input: Array) -> Array:
    """x · σ(x), also called swish (Elfwing et al., 2018).

    >>> F.silu(lucid.Tensor([0.0, 1.0]))
    Tensor([0.0, 0.7310586])
    """
    check_real("silu", input=input)
    return input * sigmoid(input)


def _silu_gradient(g: Array, input: Array) -> Array:
    # σ + x · σ · (1 - σ)
    gate = sigmoid(input)
    return g * gate * (1 + input * (1 - gate))


silu.gradient(input=_silu_gradient)


@op(along=())
def gelu(input: Array, approximate: str = "none") -> Array:
    """x · Φ(x), where Φ is the distribution function of the normal distribution.

        Φ(x) = (1 + erf(x / √2)) / 2
        with approximate='tanh':  Φ(x) ≈ (1 + tanh(√(2/π) · (x + 0.044715 · x³))) / 2

    Raises ArgumentError for another `approximate`. Source: Hendrycks and Gimpel, "Gaussian error
    linear units", 2016.

    >>> F.gelu(lucid.Tensor([0.0, 1.0]))
    Tensor([0.0, 0.8413447])
    """
    check_real("gelu", input=input)
    check_approximate("gelu", approximate)
    if approximate == "tanh":
        return input * sigmoid(_bent(input))
    return input * normal_cdf(input)


def check_approximate(function: str, approximate: str) -> None:
    """Raise ArgumentError for a way of computing `gelu` that there is not."""
    if not isinstance(approximate, str) or approximate not in ("none", "tanh"):
        raise ArgumentError(
            f"{function}: approximate is {approximate!r}, expected 'none' or 'tanh'"
        )


def _bent(x: Array) -> Array:
    # (1 + tanh z) / 2 = σ(2z); beyond ±50 it is 0 or 1, and powers of x might overflow
    x = clip(x, -50, 50)
    return 2 * sqrt(2 / pi) * (x + 0.044715 * x * x * x)


def _gelu_gradient(g: Array, input: Array, approximate: str) -> Array:
    # Φ(x) + x · Φ'(x)
    if approximate == "tanh":
        bent, x = _bent(input), clip(input, -50, 50)
        slope = 2 * sqrt(2 / pi) * (1 + 3 * 0.044715 * square(x))
        return g * sigmoid(bent) * (1 + x * slope * sigmoid(-bent))
    return g * (normal_cdf(input) + input * normal_density(input))


gelu.gradient(input=_gelu_gradient)
