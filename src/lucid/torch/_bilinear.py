"""`bilinear` for tensors of PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_variadic

from .._arrays import Array
from ..kernels._arguments import check, check_terms
from ..kernels._torch import promoted
from . import _operators as _operators, _recorded, _rows
from ._compute import autocasts, no_autocast, refuse_kinds


def bilinear(
    input_1: Array = None, input_2: Array = None, weight: Array = None, bias: Array = None,
    *, weight_1: Array = None, weight_2: Array = None, input1: Array = None, input2: Array = None,
    group: Array = None, offsets: Array = None, index_1: Array = None, index_2: Array = None,
    segment: Array = None, num_segments: int | None = None,
) -> Tensor:  # fmt: skip
    """Weigh every product of a feature of `input_1` with a feature of `input_2`, under PyTorch.

        out[..., o] = Σ_ij input_1[..., i] · weight[o, i, j] · input_2[..., j] + bias[o]

    Shapes: `input_1` (..., in1_features), `input_2` (..., in2_features), `weight` (out_features,
    in1_features, in2_features), `bias` (out_features,) or (1, out_features) or None; the result is
    (..., out_features). Where `torch.nn.functional.bilinear` is defined, this is the same; beyond
    it, leading axes broadcast, without ever being expanded: (B, T, 1, in1) with (B, 1, T, in2)
    scores all pairs. `input1` and `input2`, PyTorch's own names, are taken as well.

    With `weight_1` (out_features, in1_features) and `weight_2` (out_features, in2_features), or one
    of them, the linear terms Σ_i input_1[..., i] · weight_1[o, i] and Σ_j input_2[..., j] ·
    weight_2[o, j] are added, each computed once for each row of its input; on the CPU halves are
    then copied to float32, so that the sum is rounded once.

    Every dtype that PyTorch computes with works, mixed ones promote as elsewhere in PyTorch,
    float16 and bfloat16 add up in float32, and autocast converts the arguments as it does for
    `torch.nn.functional.linear`. On a processor with AVX512-BF16 the gradient of the weight in
    bfloat16 adds up products g · input_1 that are rounded to bfloat16.
    PyTorch's autograd records it: derivatives of every order in both directions, `torch.func`,
    `torch.compile`. What is kept for the backward pass are the arguments; beside arguments and
    results a call needs at most 64 MiB on the CPU, and 512 MiB on other devices. On those, halves
    are multiplied as they are, and `torch.get_float32_matmul_precision()` is followed.

    The keywords `group`, `offsets`, `index_1`, `index_2`, `segment` and `num_segments` choose the
    weights and the rows of the inputs for each row of the call, and sum its results by target, as
    in `lucid.nn.functional.bilinear`, on the CPU, with derivatives of every order in reverse mode.

    Raises ShapeError, with the name of the axis, where sizes do not fit; DTypeError for a tensor
    that is not dense (sparse, nested, quantized, mkldnn) or of a dtype that PyTorch only stores
    (float8, complex32, …); LibraryError for an argument that is no tensor of PyTorch.

    >>> import torch
    >>> from lucid.torch import bilinear
    >>> words, others = torch.ones(2, 30, 1, 8), torch.ones(2, 1, 30, 9)
    >>> bilinear(words, others, torch.ones(5, 8, 9)).shape
    torch.Size([2, 30, 30, 5])
    """
    if input1 is not None or input2 is not None:
        input_1, input_2 = _one_of("1", input_1, input1), _one_of("2", input_2, input2)
    maps: dict[str, Array] = {}
    if not (group is offsets is index_1 is index_2 is segment is None and num_segments is None):
        maps = {
            "group": group, "offsets": offsets, "index_1": index_1, "index_2": index_2,
            "segment": segment, "num_segments": num_segments,
        }  # fmt: skip
    if weight_1 is not None or weight_2 is not None:
        return _with_terms(maps, input_1, input_2, weight, bias, weight_1, weight_2)
    if has_torch_function_variadic(input_1, input_2, weight, bias):
        arguments = (input_1, input_2, weight, bias)
        if any(isinstance(each, Tensor) and each.is_nested for each in arguments):
            refuse_kinds(input_1=input_1, input_2=input_2, weight=weight, bias=bias)
        named = {name: each for name, each in maps.items() if each is not None}
        result: Tensor = handle_torch_function(bilinear, arguments, *arguments, **named)
        return result
    if maps:
        x1, x2, matrices, biases = _autocast(input_1, input_2, weight, bias)
        return _rows.bilinear(x1, x2, matrices, biases, maps)
    # torch.jit.script cannot compile this function; use torch.compile or torch.export
    if torch.compiler.is_compiling() or torch._C._is_any_autocast_enabled():
        return _recorded.bilinear(*_autocast(input_1, input_2, weight, bias))
    return _recorded.bilinear(input_1, input_2, weight, bias)


def _with_terms(maps: dict[str, Array], *given: Array) -> Tensor:
    """The form with linear terms, composed: whoever records, traces or divides sees each."""
    named = dict(zip(("input_1", "input_2", "weight", "bias", *TERMS), given, strict=True))
    refuse_kinds(**{name: x for name, x in named.items() if isinstance(x, Tensor)})
    if has_torch_function_variadic(*given):
        options = {**{name: named.pop(name) for name in TERMS}, **maps}
        result: Tensor = handle_torch_function(bilinear, given, *named.values(), **options)
        return result
    _recorded.refuse_others(**named)
    if not torch.compiler.is_dynamo_compiling():  # which would go through every line of it
        if maps:
            has_groups = maps["group"] is not None or maps["offsets"] is not None
            check_terms(given[2], given[4], given[5], has_groups)
        else:
            check(*given)
    given = _autocast(*given)
    dtype = promoted([x for x in given if x is not None])
    wide = dtype
    if dtype == torch.bool:
        wide = torch.int32
    elif dtype in (torch.float16, torch.bfloat16) and given[0].is_cpu:
        wide = torch.float32
    with no_autocast(given[0]):
        x1, x2, weight, bias, *matrices = (x if x is None else x.to(wide) for x in given)
        if maps:
            return _rows.bilinear(x1, x2, weight, bias, maps, *matrices).to(dtype)
        out = _recorded.bilinear(x1, x2, weight, bias)
        for x, matrix in zip((x1, x2), matrices, strict=True):
            if matrix is not None:
                out = out + x @ matrix.mT
        return out.to(dtype)


TERMS = ("weight_1", "weight_2")


def _one_of(which: str, ours: Array, theirs: Array) -> Array:
    """An argument that has two names."""
    if ours is not None and theirs is not None:
        raise TypeError(f"bilinear: got both input_{which} and input{which}, which are the same")
    return theirs if ours is None else ours


def _autocast(first: Tensor, *others: Tensor | None) -> tuple[Array, ...]:
    """The arguments as autocast makes them, where it is on."""
    device = first.device.type
    tensors = (first, *others)
    if not autocasts(device):
        return tensors
    dtype = torch.get_autocast_dtype(device)
    return tuple(
        each.to(dtype) if each is not None and _is_cast(each, device) else each for each in tensors
    )


def _is_cast(tensor: Tensor, device: str) -> bool:
    """Whether autocast takes this tensor down: not one of double precision, or from elsewhere."""
    return (
        tensor.is_floating_point()
        and tensor.dtype != torch.float64
        and tensor.device.type == device
    )
