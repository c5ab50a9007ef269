"""The bilinear contraction and its gradients, whoever computes them.

The compiled kernel is asked once, with the arguments as they are. What it declines is prepared for
it, where that is worth it (`_cpu`, `_torch`), or computed by a portable plan.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .._arrays import Array, library
from .._shapes import Shape
from . import _cpu, _into, _native, _plan, _portable
from ._arguments import ALL, Gradients, Needed
from ._plan import Order, Plan


def bilinear(
    x1: Array, x2: Array, weight: Array, bias: Array | None = None, *, order: Order | None = None,
    out: Array | None = None,
) -> Array:  # fmt: skip
    """Contract two inputs with a weight.

        out[..., o] = Σ_ij x1[..., i] · W[o, i, j] · x2[..., j] + bias[o]

    Shapes: `x1` (*L1, I), `x2` (*L2, J), `weight` (O, I, J), `bias` (O,) or (1, O); the result is
    (*L, O), where L1 and L2 broadcast to L. The caller has checked them, and that the arrays are
    of one library. `order` asks for a portable plan (pairs have no outer order). `out` is a NumPy
    array for the result, of its shape and dtype, which is then returned; the
    others are then NumPy's too.
    """
    if out is not None:
        return _into.bilinear(
            x1, x2, weight, bias, out, lambda: bilinear(x1, x2, weight, bias, order=order)
        )
    if order is not None:
        return _portable.bilinear(x1, x2, weight, bias, order=order)
    out = _native.bilinear(x1, x2, weight, bias)
    return otherwise(x1, x2, weight, bias) if out is None else out


def otherwise(x1: Array, x2: Array, weight: Array, bias: Array | None) -> Array:
    """The same, of arguments that the compiled kernel has declined."""
    if isinstance(x1, np.ndarray):
        return _cpu.bilinear(x1, x2, weight, bias)
    if library(x1) == "torch":
        return _torch().bilinear(x1, x2, weight, bias)
    return _portable.bilinear(x1, x2, weight, bias)


def gradients(
    g: Array,
    x1: Array | Shape,
    x2: Array | Shape,
    weight: Array | None,
    needed: Needed = ALL,
    *,
    order: Order | None = None,
    out: tuple[Array | None, Array | None, Array | None] | None = None,
) -> Gradients:
    """The gradients of `bilinear`, given that of its result; None for those not needed.

        dx1[..., i] = Σ_oj g[..., o] · W[o, i, j] · x2[..., j]
        dx2[..., j] = Σ_oi g[..., o] · W[o, i, j] · x1[..., i]
        dW[o, i, j] = Σ_...  g[..., o] · x1[..., i] · x2[..., j]

    dx1 and dx2 have the shapes of `x1` and `x2`: they are summed over broadcast leading axes.
    An input whose values no needed gradient asks for may be given as its shape, a tuple; the
    weight may then be None. Their dtype is that of the factors. `out` has a NumPy array for each
    of the three, of its shape and dtype, or None where it is to be a new one: a large gradient of
    the weight, written over that of the step before, pays for no new memory.

    >>> import numpy as np
    >>> from lucid.kernels import gradients
    >>> x1, x2, d_weight = np.ones((2, 3)), np.ones((2, 4)), np.empty((5, 3, 4))
    >>> only_weight, out = (False, False, True), (None, None, d_weight)
    >>> gradients(np.ones((2, 5)), x1, x2, None, only_weight, out=out)[2] is d_weight
    True
    """
    if out is not None:
        return _into.gradients(
            g, x1, x2, weight, needed, out,
            lambda: gradients(g, x1, x2, weight, needed, order=order),
        )  # fmt: skip
    if order is not None:
        return _portable.gradients(g, x1, x2, weight, needed, order=order)
    found: Gradients | None = _native.gradients(g, x1, x2, weight, needed)
    return gradients_otherwise(g, x1, x2, weight, needed) if found is None else found


def gradients_otherwise(
    g: Array,
    x1: Array | Shape,
    x2: Array | Shape,
    weight: Array | None,
    needed: Any,
    as_arguments: bool = False,
) -> Gradients:
    """The same, of arguments that the compiled kernel has declined.

    Their dtype is that of the factors; with `as_arguments`, where it can be had without a copy,
    that of the argument whose gradient it is. With a fourth flag the last of four may be the bias'.
    """
    if isinstance(g, np.ndarray):
        return _cpu.gradients(g, x1, x2, weight, needed, as_arguments)
    needed = tuple(needed[:3])
    if library(g) == "torch":
        return _torch().gradients(  # type: ignore[no-any-return]
            g, x1, x2, weight, needed, as_arguments
        )
    return _portable.gradients(g, x1, x2, weight, needed)


def plan(shape_1: Shape, shape_2: Shape, weight_shape: Shape, needed: Needed | None = None) -> Plan:
    """How a contraction of these shapes is done, in float32: from sizes alone.

    `needed` says which gradients (of x1, x2 and the weight); None asks about the forward. Printed
    are the algorithm of the compiled kernel, where it takes the call, and the portable plan.

    >>> from lucid.kernels import plan
    >>> print(plan((64, 40, 1, 501), (64, 1, 40, 501), (1, 501, 501)))  # doctest: +ELLIPSIS
    bilinear, forward
      positions: 64 shared × 40 of input_1 × 40 of input_2
      weight: 1 × 501 × 501...
      order   contraction     multiplications   temporaries    estimated
      left    (x1 · W) · x2         6.939e+08      ... KiB       ... ms
    → right   (x2 · W) · x1         6.939e+08      ... KiB       ... ms
    """
    found = _plan.plan(shape_1, shape_2, weight_shape, needed)
    shapes = tuple(map(tuple, (shape_1, shape_2, weight_shape)))
    return replace(found, compiled=_native.plan(*shapes, needed, 4))


def _torch() -> Any:
    """What prepares tensors of PyTorch, imported when the first one arrives."""
    from . import _torch

    return _torch
