"""The functions between layers, as modules; each does what its namesake in `functional` does."""

from __future__ import annotations

from typing import Any, Never

from .._arguments import NUMBER, POSITIVE, WHOLE, check
from .._hints import no_keyword
from . import functional
from ._module import Module
from .functional._activations import check_approximate


class ReLU(Module):
    """The larger of x and 0; see `functional.relu`.

    >>> nn.ReLU()(lucid.Tensor([-1.0, 2.0]))
    Tensor([0.0, 2.0])
    """

    def forward(self, input: Any) -> Any:
        """Element by element."""
        return functional.relu(input)


class LeakyReLU(Module):
    """x where x > 0, and `negative_slope` · x elsewhere; see `functional.leaky_relu`.

    >>> nn.LeakyReLU(0.5)(lucid.Tensor([-1.0, 2.0]))
    Tensor([-0.5, 2.0])
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        check("LeakyReLU", NUMBER, negative_slope=negative_slope)
        self.negative_slope = negative_slope

    def forward(self, input: Any) -> Any:
        """Element by element."""
        return functional.leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        """The arguments the layer was made with."""
        return f"negative_slope={self.negative_slope}"


class ELU(Module):
    """x where x > 0, and α · (eˣ - 1) elsewhere; see `functional.elu`.

    >>> nn.ELU()(lucid.Tensor([-1.0, 2.0]))
    Tensor([-0.63212055, 2.0])
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        check("ELU", NUMBER, alpha=alpha)
        self.alpha = alpha

    def forward(self, input: Any) -> Any:
        """Element by element."""
        return functional.elu(input, self.alpha)

    def extra_repr(self) -> str:
        """The arguments the layer was made with."""
        return f"alpha={self.alpha}"


class Softplus(Module):
    """log(1 + exp(β · x)) / β; see `functional.softplus`.

    >>> nn.Softplus()(lucid.Tensor([0.0, 1000.0]))
    Tensor([0.6931472, 1000.0])
    """

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        check("Softplus", POSITIVE, beta=beta)
        self.beta = beta

    def forward(self, input: Any) -> Any:
        """Element by element."""
        return functional.softplus(input, self.beta)

    def extra_repr(self) -> str:
        """The arguments the layer was made with."""
        return f"beta={self.beta}"


class GELU(Module):
    """x · Φ(x), exact or with approximate='tanh'; see `functional.gelu`.

    >>> nn.GELU()(lucid.Tensor([0.0, 1.0]))
    Tensor([0.0, 0.8413447])
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        check_approximate("GELU", approximate)
        self.approximate = approximate

    def forward(self, input: Any) -> Any:
        """Element by element."""
        return functional.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        """The arguments the layer was made with."""
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """x · σ(x); see `functional.silu`.

    >>> nn.SiLU()(lucid.Tensor([0.0, 1.0]))
    Tensor([0.0, 0.7310586])
    """

    def forward(self, input: Any) -> Any:
        """Element by element."""
        return functional.silu(input)


class Sigmoid(Module):
    """1 / (1 + e⁻ˣ); see `functional.sigmoid`.

    >>> nn.Sigmoid()(lucid.Tensor([0.0]))
    Tensor([0.5])
    """

    def forward(self, input: Any) -> Any:
        """Element by element."""
        return functional.sigmoid(input)


class Tanh(Module):
    """The hyperbolic tangent; see `functional.tanh`.

    >>> nn.Tanh()(lucid.Tensor([0.0]))
    Tensor([0.0])
    """

    def forward(self, input: Any) -> Any:
        """Element by element."""
        return functional.tanh(input)


class Softmax(Module):
    """Positive numbers that add up to 1 along `axis`; see `functional.softmax`.

    >>> nn.Softmax()(lucid.Tensor([0.0, 0.0]))
    Tensor([0.5, 0.5])
    """

    def __init__(self, axis: int = -1, **foreign: Never) -> None:
        if foreign:
            raise no_keyword("Softmax", foreign)
        super().__init__()
        check(type(self).__name__, WHOLE, axis=axis)
        self.axis = axis

    def forward(self, input: Any) -> Any:
        """Along the axis."""
        return functional.softmax(input, self.axis)

    def extra_repr(self) -> str:
        """The arguments the layer was made with."""
        return f"axis={self.axis}"


class LogSoftmax(Module):
    """The logarithm of softmax along `axis`; see `functional.log_softmax`.

    >>> nn.LogSoftmax()(lucid.Tensor([0.0, 0.0]))
    Tensor([-0.6931472, -0.6931472])
    """

    def __init__(self, axis: int = -1, **foreign: Never) -> None:
        if foreign:
            raise no_keyword("LogSoftmax", foreign)
        super().__init__()
        check(type(self).__name__, WHOLE, axis=axis)
        self.axis = axis

    def forward(self, input: Any) -> Any:
        """Along the axis."""
        return functional.log_softmax(input, self.axis)

    def extra_repr(self) -> str:
        """The arguments the layer was made with."""
        return f"axis={self.axis}"
