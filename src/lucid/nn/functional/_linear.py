"""The linear map with a bias."""

from __future__ import annotations

from ..._arrays import Array, namespace
from ..._op import op
from ..._shapes import bind_axes
from ..._wide import folded, product
from ...ops._movement import matrix_transpose
from ...ops._products import as_rows, unrounded_product


@op(halves=True)
def linear(input: Array, weight: Array, bias: Array | None = None) -> Array:
    """Weigh the features of `input`, and add a bias.

        out[..., o] = Σ_i input[..., i] · weight[o, i] + bias[o]

    Shapes: `input` (..., in_features), `weight` (out_features, in_features), `bias`
    (out_features,) or None; the result is (..., out_features). Any size may be 0.

    Raises ShapeError, with the name of the axis, where sizes do not fit.

    >>> F.linear(lucid.Tensor([1.0, 2.0]), lucid.Tensor([[3.0, 4.0]]), lucid.Tensor([5.0]))
    Tensor([16.0])
    """
    _check(input, weight, bias)
    result = product("matmul", input, namespace(weight).matrix_transpose(weight))
    return result if bias is None else result + bias


linear.gradient(
    # dx[..., i] = Σ_o g[..., o] · W[o, i]
    input=lambda g, weight: unrounded_product(g, weight),
    # dW[o, i] = Σ_... g[..., o] · x[..., i]
    weight=lambda g, input: unrounded_product(matrix_transpose(as_rows(g)), as_rows(input)),
    # db[o] = Σ_... g[..., o]
    bias=lambda g: folded("sum", lambda rows: rows, as_rows(g), axis=0),
)


def _check(input: Array, weight: Array, bias: Array | None) -> None:
    fits = len(weight.shape) == 2 and input.shape[-1:] == weight.shape[1:]
    if fits and (bias is None or bias.shape == weight.shape[:1]):
        return  # what follows would find nothing, and takes as long as a small product
    axes = {"input": (input, "... in_features"), "weight": (weight, "out_features in_features")}
    if bias is not None:
        axes["bias"] = (bias, "out_features")
    bind_axes("linear", **axes)
