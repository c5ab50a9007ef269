"""The distribution function of the normal distribution; NumPy has none, nor an erf.

For x ≥ 0 the tail is Φ(-x) = exp(-x² / 2) · R(x), where R falls slowly from 1/2. R is taken as a
quotient of polynomials of degrees 8 and 9, fitted on 0 ≤ x ≤ 12 with 50 digits (Lawson's
iteration towards the smallest largest relative error, which came to 6.6e-17). All coefficients
are positive, so nothing cancels, and the tail keeps its relative accuracy: 9e-16 down to x = -12.
"""

from __future__ import annotations

from math import pi, sqrt

from ..._arrays import Array, namespace
from ..._op import op
from ..._wide import in_float32_along

_NUMERATOR = (
    4.9064902940002409e-6,
    1.2299484955922471e-4,
    1.4797978901203193e-3,
    1.1041050014988898e-2,
    5.5612718300811171e-2,
    1.93613090069574e-1,
    4.5726701947050543e-1,
    6.7826085767729087e-1,
    0.5,
)  # from the highest power of x down
_DENOMINATOR = (
    1.2298747245918025e-5,
    3.0830237294566346e-4,
    3.721601725336109e-3,
    2.798411802587872e-2,
    1.4308496078299684e-1,
    5.1237772913307813e-1,
    1.2782725050456607,
    2.1335015443834357,
    2.15440627615746,
    1.0,
)


@op(gradient=lambda g, input, y: -(g * y * input))
@in_float32_along(())
def normal_density(input: Array, /) -> Array:
    """exp(-x² / 2) / √(2π), the derivative of `normal_cdf`."""
    xp = namespace(input)
    return _bell(xp.minimum(xp.abs(input), 40.0)) * (1 / sqrt(2 * pi))


@op(gradient=lambda g, input: g * normal_density(input))
@in_float32_along(())
def normal_cdf(input: Array, /) -> Array:
    """The share of the normal distribution of mean 0 and variance 1 that is below x."""
    xp = namespace(input)
    size = xp.minimum(xp.abs(input), 40.0)  # exp(-800) is 0; larger powers would overflow
    tail = _bell(size) * (_polynomial(_NUMERATOR, size) / _polynomial(_DENOMINATOR, size))
    return xp.where(input < 0, tail, 1 - tail)


def _bell(x: Array) -> Array:
    """exp(-x² / 2), for 0 ≤ x ≤ 40; the rounding of x² would cost it the last digits."""
    # x² = near² + (x - near) · (x + near), and the square of a multiple of 1/16 is not rounded
    xp = namespace(x)
    near = xp.round(16 * x) / 16
    return xp.exp(-0.5 * near * near) * xp.exp(-0.5 * (x - near) * (x + near))


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    result = coefficients[0] * x
    for coefficient in coefficients[1:-1]:
        result = (result + coefficient) * x
    return result + coefficients[-1]
