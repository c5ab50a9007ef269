"""The contenders of the bilinear benchmark.

Each is a function that imports what it needs and returns a `Bind`: given arrays, the ways it has to
compute the form, of which the fastest counts. Its `forward` returns the result, without recording
anything for gradients; its `both` the result and all three gradients, from a given cotangent.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np
from _bilinear_sizes import Arrays, Results, Size


class Form(NamedTuple):
    forward: Callable[[], Any]
    both: Callable[[], Results]


Bind = Callable[[Size, Arrays], Mapping[str, Form]]
LARGEST_OUTER_PRODUCT = 1 << 31  # bytes
MATRIX = 2048  # rows of the square matrices whose product gives the machine's rate
PRODUCT = "matrix product"


# ------------------------------------------------------------------------------------------ lucid


def lucid() -> Bind:
    import lucid
    import lucid.nn.functional as F  # noqa: N812

    def bind(size: Size, arrays: Arrays) -> Mapping[str, Form]:
        x1, x2, weight, g = arrays
        if size.steps:
            x1, x2 = x1[:, :, None], x2[:, None]
        plain = [lucid.Tensor(each) for each in (x1, x2, weight)]
        leaves = [lucid.Tensor(each, requires_grad=True) for each in (x1, x2, weight)]
        start = lucid.Tensor(g)

        def both() -> Results:
            out = F.bilinear(*leaves)
            return Results(out.detach(), *lucid.grad(out, leaves, start))

        return {"": Form(lambda: F.bilinear(*plain), both)}

    return bind


def lucid_portable() -> Bind:
    """The same without its compiled kernel."""
    compiled = "lucid.kernels._compiled"
    sys.modules[compiled] = None  # type: ignore[assignment]  # it cannot be imported any more
    bind = lucid()
    del sys.modules[compiled]
    try:
        __import__(compiled)
    except ImportError:
        raise ImportError("no compiled kernel is installed: this is the same as lucid") from None
    return bind


# ------------------------------------------------------------------------------------------ torch

Function = Callable[..., Any]


def lucid_torch() -> Bind:
    from lucid.torch import bilinear

    def pairs(x1: Any, x2: Any, weight: Any) -> Any:
        return bilinear(x1[:, :, None], x2[:, None], weight)

    return _torch(lambda size: {"": pairs if size.steps else bilinear})


def lucid_torch_as_with_amx() -> Bind:
    """The same where the processor has AMX, or as if it had: in bfloat16 rows are products, too."""
    from lucid.kernels import _torch_products

    _torch_products.multiplied_by = "amx"
    return lucid_torch()


def _torch(forms: Callable[[Size], Mapping[str, Function]]) -> Bind:
    import torch
    import torch.fx.experimental.symbolic_shapes  # or the first gradient of each process does

    def bind(size: Size, arrays: Arrays) -> Mapping[str, Form]:
        dtype = getattr(torch, arrays.x1.dtype.name)
        plain = [torch.tensor(each.astype(np.float64)).to(dtype) for each in arrays[:3]]
        leaves = [each.detach().requires_grad_() for each in plain]
        start = torch.tensor(arrays.cotangent.astype(np.float64)).to(dtype)

        def form(function: Function) -> Form:
            def forward() -> Any:
                with torch.no_grad():
                    return function(*plain)

            def both() -> Results:
                out = function(*leaves)
                return Results(out.detach(), *torch.autograd.grad(out, leaves, start))

            return Form(forward, both)

        return {name: form(function) for name, function in forms(size).items()}

    return bind


def torch_bilinear() -> Bind:
    """It does not broadcast: for pairs the inputs are expanded."""
    from torch.nn.functional import bilinear

    def pairs(x1: Any, x2: Any, weight: Any) -> Any:
        steps = x1.shape[1]
        x1, x2 = x1[:, :, None].expand(-1, -1, steps, -1), x2[:, None].expand(-1, steps, -1, -1)
        return bilinear(x1, x2, weight)

    return _torch(lambda size: {"": pairs if size.steps else bilinear})


def torch_einsum() -> Bind:
    import torch

    def forms(size: Size) -> Mapping[str, Function]:
        return {"": lambda x1, x2, weight: torch.einsum(size.einsum, x1, weight, x2)}

    return _torch(forms)


def torch_compile() -> Bind:
    import torch
    import torch._inductor.config

    torch._inductor.config.compile_threads = 1
    compiled: dict[Size, Function] = {}

    def einsum(x1: Any, x2: Any, weight: Any, subscripts: str) -> Any:
        return torch.einsum(subscripts, x1, weight, x2)

    def forms(size: Size) -> Mapping[str, Function]:
        if size not in compiled:
            # PyTorch keeps what it compiled with the code: each size needs code of its own, or a
            # small size pays for the search among all the others
            own = einsum.__code__.replace(co_name=f"einsum_{len(compiled)}")
            function = FunctionType(own, globals(), closure=einsum.__closure__)
            compiled[size] = torch.compile(function, dynamic=False)
        call = compiled[size]
        return {"": lambda x1, x2, weight: call(x1, x2, weight, size.einsum)}

    return _torch(forms)


def torch_matmul() -> Bind:
    """Products by hand, in three orders, differentiated by PyTorch."""
    import torch

    def left(x1: Any, x2: Any, weight: Any) -> Any:
        outputs, features_1, features_2 = weight.shape
        flat = weight.transpose(0, 1).reshape(features_1, outputs * features_2)
        products = (x1 @ flat).unflatten(-1, (outputs, features_2))
        if x1.ndim == 2:
            return torch.bmm(products, x2[:, :, None]).squeeze(-1)
        scores = torch.bmm(products.flatten(1, 2), x2.mT)  # (B, T·O, S)
        return scores.unflatten(1, (-1, outputs)).transpose(2, 3)

    def right(x1: Any, x2: Any, weight: Any) -> Any:
        out = left(x2, x1, weight.transpose(1, 2))
        return out if x1.ndim == 2 else out.transpose(1, 2)

    def outer(x1: Any, x2: Any, weight: Any) -> Any:
        return (x1[:, :, None] * x2[:, None]).flatten(1) @ weight.flatten(1).T

    def forms(size: Size) -> Mapping[str, Function]:
        elements = size.rows * size.features_1 * size.features_2
        if size.steps or 8 * elements > LARGEST_OUTER_PRODUCT:
            return {"left": left, "right": right}
        return {"left": left, "right": right, "outer": outer}

    return _torch(forms)


# -------------------------------------------------------------------------------------------- jax


def _jax(function: Callable[[Any, Any, Any, Size], Any]) -> Bind:
    """`function` of x1, x2, the weight and the size, under jit."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    def scalar(x1: Any, x2: Any, weight: Any, g: Any, size: Size) -> Any:
        out = function(x1, x2, weight, size)
        return (out * g).sum(), out

    jit_forward = jax.jit(function, static_argnums=3)
    gradients = jax.value_and_grad(scalar, argnums=(0, 1, 2), has_aux=True)
    jit_both = jax.jit(gradients, static_argnums=4)

    def bind(size: Size, arrays: Arrays) -> Mapping[str, Form]:
        own = [jnp.array(each) for each in arrays]

        def both() -> Results:
            (_, out), found = jax.block_until_ready(jit_both(*own, size))
            return Results(out, *found)

        return {"": Form(lambda: jit_forward(*own[:3], size).block_until_ready(), both)}

    return bind


def jax_jit() -> Bind:
    import jax.numpy as jnp

    return _jax(lambda x1, x2, weight, size: jnp.einsum(size.einsum, x1, weight, x2))


def lucid_jax() -> Bind:
    from lucid.jax import bilinear

    def forward(x1: Any, x2: Any, weight: Any, size: Size) -> Any:
        if size.steps:
            x1, x2 = x1[:, :, None], x2[:, None]
        return bilinear(x1, x2, weight)

    return _jax(forward)


# ------------------------------------------------------------------------------------------ numpy


def numpy_einsum() -> Bind:
    def einsum(subscripts: str, *factors: Any) -> Any:
        """As optimize=True, without its limit on temporary arrays: that makes it far slower."""
        return np.einsum(subscripts, *factors, optimize=("greedy", 1 << 60))

    def bind(size: Size, arrays: Arrays) -> Mapping[str, Form]:
        x1, x2, weight, g = arrays
        first, _, second, out = size.einsum.replace("->", ",").split(",")

        def forward() -> Any:
            return einsum(size.einsum, x1, weight, x2)

        def both() -> Results:
            return Results(
                forward(),
                einsum(f"{out},oij,{second}->{first}", g, weight, x2),
                einsum(f"{out},oij,{first}->{second}", g, weight, x1),
                einsum(f"{out},{first},{second}->oij", g, x1, x2),
            )

        return {"": Form(forward, both)}

    return bind


def numpy_loop() -> Bind:
    """One output after the other. The products with the weight are kept for the gradients."""

    def rows_forward(x1: Any, x2: Any, weight: Any, out: Any) -> list[Any]:
        kept = [x1 @ matrix for matrix in weight]
        for o, products in enumerate(kept):
            np.vecdot(products, x2, out=out[:, o])
        return kept

    def rows_both(x1: Any, x2: Any, weight: Any, g: Any, found: Results) -> None:
        out, d_x1, d_x2, d_weight = found
        for o, products in enumerate(rows_forward(x1, x2, weight, out)):
            start = g[:, o, None]
            scaled = start * x2
            np.matmul(x1.T, scaled, out=d_weight[o])
            d_x1 += scaled @ weight[o].T
            products *= start
            d_x2 += products

    def pairs_forward(x1: Any, x2: Any, weight: Any, out: Any) -> list[Any]:
        kept = [x1 @ matrix for matrix in weight]
        for o, products in enumerate(kept):
            out[..., o] = products @ x2.mT
        return kept

    def pairs_both(x1: Any, x2: Any, weight: Any, g: Any, found: Results) -> None:
        out, d_x1, d_x2, d_weight = found
        flat = x1.reshape(-1, x1.shape[-1])
        for o, products in enumerate(pairs_forward(x1, x2, weight, out)):
            start = np.ascontiguousarray(g[..., o])
            summed = start @ x2
            np.matmul(flat.T, summed.reshape(-1, x2.shape[-1]), out=d_weight[o])
            d_x1 += summed @ weight[o].T
            d_x2 += start.mT @ products

    def bind(size: Size, arrays: Arrays) -> Mapping[str, Form]:
        x1, x2, weight, g = arrays
        compute, differentiate = rows_forward, rows_both
        if size.steps:
            compute, differentiate = pairs_forward, pairs_both

        def forward() -> Any:
            out = np.empty_like(g)
            for o in range(size.outputs):  # nothing is kept
                compute(x1, x2, weight[o : o + 1], out[..., o : o + 1])
            return out

        def both() -> Results:
            found = Results(
                np.empty_like(g), np.zeros_like(x1), np.zeros_like(x2), np.empty_like(weight)
            )
            differentiate(x1, x2, weight, g, found)
            return found

        return {"": Form(forward, both)}

    return bind


def matrix_product() -> Bind:
    """Not a contender: a large product of square matrices, whatever the size."""

    def bind(_: Size, arrays: Arrays) -> Mapping[str, Form]:
        square = np.resize(arrays.weight, (MATRIX, MATRIX))
        return {"": Form(lambda: square @ square, lambda: Results(*arrays))}

    return bind


PEERS: Mapping[str, Callable[[], Bind]] = {
    "lucid": lucid,
    "lucid portable": lucid_portable,
    "lucid.torch": lucid_torch,
    "F.bilinear": torch_bilinear,
    "torch.einsum": torch_einsum,
    "torch.compile": torch_compile,
    "torch matmul": torch_matmul,
    "jax.jit": jax_jit,
    "lucid.jax": lucid_jax,
    "numpy.einsum": numpy_einsum,
    "NumPy loop": numpy_loop,
    "lucid.torch as with AMX": lucid_torch_as_with_amx,
}
ON_REQUEST = ("lucid.torch as with AMX",)
COMPILED = (
    "torch.compile",
    "jax.jit",
    "lucid.jax",
)  # these keep their process: they compile for each size
SLOW_TO_START = ("torch.compile",)  # seconds for each size: with the most threads only
QUICK = ("lucid", "F.bilinear", "torch.einsum", "torch matmul", "NumPy loop")
