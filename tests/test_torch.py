"""What only PyTorch has: its autograd, torch.func, autocast, compilers, and models of layers."""

from __future__ import annotations

import copy
import itertools
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lucid
from lucid.nn import functional as F

torch: Any = pytest.importorskip("torch", reason="lucid.torch needs PyTorch")

from lucid.torch import Bilinear, bilinear, swap, unswap  # noqa: E402 (where PyTorch is)

# What PyTorch says about its own forward mode when that is first used.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")

Shapes = tuple[tuple[int, ...], ...]

ROWS: Shapes = ((4, 3), (4, 2), (5, 3, 2), (5,))
PAIRS: Shapes = ((2, 1, 3), (4, 2), (5, 3, 2), (1, 5))
ALL = (0, 1, 2, 3)


def tensors(shapes: Shapes, *, requires_grad: bool = False, dtype: Any = None) -> list[Any]:
    generator = torch.Generator().manual_seed(0)
    dtype = dtype or torch.float64
    drawn = [torch.randn(shape, dtype=dtype, generator=generator) for shape in shapes]
    return [each.requires_grad_(requires_grad) for each in drawn]


def reference(x1: Any, x2: Any, weight: Any, bias: Any = None) -> Any:
    out = torch.einsum("...i,oij,...j->...o", x1, weight, x2)
    return out if bias is None else out + bias.reshape(-1)


def same(found: Any, expected: Any, tolerance: float = 1e-10) -> None:
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def squares(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments: function(*arguments).square().sum()


def test_the_comparison_can_fail() -> None:
    with pytest.raises(AssertionError):
        same(torch.zeros(2), torch.full((2,), 1e-6))


# Derivatives


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("shapes", [ROWS, PAIRS, ROWS[:3]])
def test_first_and_second_derivatives_in_both_directions(shapes: Shapes, dtype: str) -> None:
    arguments = tensors(shapes, requires_grad=True, dtype=getattr(torch, dtype))
    assert torch.autograd.gradcheck(
        bilinear, arguments, check_forward_ad=True, check_batched_grad=True,
        check_batched_forward_grad=True,
    )  # fmt: skip
    assert torch.autograd.gradgradcheck(
        bilinear, arguments, check_fwd_over_rev=True, check_batched_grad=True
    )


@pytest.mark.parametrize("which", range(3))
def test_third_derivatives(which: int) -> None:
    small = tensors(((2, 2), (2, 2), (2, 2, 2)))
    derive = torch.func.jacrev

    def third(function: Callable[..., Any]) -> Any:
        return derive(derive(derive(squares(function), which), 0), 2)(*small)

    same(third(bilinear), third(reference))


@pytest.mark.parametrize("needed", list(itertools.product([True, False], repeat=4))[:-1])
def test_only_what_a_gradient_needs_is_kept(needed: tuple[bool, ...]) -> None:
    arguments = tensors(ROWS)
    for argument, is_needed in zip(arguments, needed, strict=True):
        argument.requires_grad_(is_needed)
    kept: list[Any] = []

    def pack(value: Any) -> Any:
        kept.append(tuple(value.shape))
        return value

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        out = bilinear(*arguments)
    first, second, weight, _ = needed
    wanted = (second or weight, first or weight, first or second)
    assert kept == [shape for shape, yes in zip(ROWS, wanted, strict=False) if yes]
    out.sum().backward()
    assert tuple(argument.grad is not None for argument in arguments) == needed


def test_nothing_is_recorded_where_nothing_is_asked_for() -> None:
    arguments = tensors(ROWS, requires_grad=True)
    with torch.no_grad():
        assert bilinear(*arguments).grad_fn is None
    assert bilinear(*tensors(ROWS)).grad_fn is None
    with torch.inference_mode():
        assert bilinear(*arguments).is_inference()


# torch.func


@pytest.mark.parametrize("shapes", [ROWS, PAIRS, ROWS[:3]])
def test_vmap_over_any_arguments(shapes: Shapes) -> None:
    for dims in itertools.product([None, 0, -1], repeat=len(shapes)):
        if set(dims) == {None}:
            continue
        batched = tuple(
            shape if dim is None else (6, *shape) if dim == 0 else (*shape, 6)
            for shape, dim in zip(shapes, dims, strict=True)
        )
        arguments = tensors(batched)
        same(
            torch.func.vmap(bilinear, in_dims=dims)(*arguments),
            torch.func.vmap(reference, in_dims=dims)(*arguments),
        )
        for argnums in (tuple(range(len(shapes))), (0,), (1,), (2,)):
            found, expected = (
                torch.func.vmap(torch.func.grad(squares(each), argnums), dims)(*arguments)
                for each in (bilinear, reference)
            )
            same(found, expected)


def test_vmap_does_not_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    from lucid.kernels import _native, _torch as kernels

    calls: list[Any] = []
    kernel = kernels.attempt

    def counted(*given: Any) -> Any:
        calls.append(given)
        return kernel(*given)

    monkeypatch.setattr(kernels, "attempt", counted)
    x1, x2, weight, _ = tensors(((50, 3), (50, 2), (5, 3, 2), (5,)))
    torch.func.vmap(bilinear, (0, 0, None))(x1, x2, weight)
    assert len(calls) == 1
    each = tensors(((50, 5, 3, 2),))[0]
    torch.func.vmap(bilinear, (0, 0, 0))(x1, x2, each)
    if _native.compiled is not None:
        assert len(calls) == 2


EACH: tuple[Shapes, ...] = (
    ((6, 40, 3), (6, 40, 2), (6, 5, 3, 2)),
    ((6, 2, 4, 1, 3), (6, 2, 1, 7, 2), (6, 5, 3, 2)),  # pairs
    ((6, 3), (6, 30, 2), (6, 1, 3, 2)),
    ((3, 600, 16), (3, 600, 16), (3, 16, 16, 16)),  # with several threads
)


@pytest.mark.parametrize("block", [1 << 23, 600, 2], ids=["together", "some", "one by one"])
@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "bfloat16", "int64", "complex128"]
)
@pytest.mark.parametrize("shapes", EACH, ids=str)
def test_a_weight_for_each_element_gives_what_a_loop_gives(
    shapes: Shapes, dtype: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lucid.torch import _compute

    monkeypatch.setattr(_compute, "BLOCK", block)
    x1, x2, weight = (3 * each for each in tensors(shapes))
    x1, x2, weight = (each.to(getattr(torch, dtype)) for each in (x1, x2, weight))
    strided = weight.transpose(0, -1).contiguous().transpose(0, -1)

    def loop(function: Callable[..., Any], *given: Any) -> Any:
        found = [function(*each) for each in zip(*given, strict=True)]
        if not isinstance(found[0], tuple):
            return torch.stack(found)
        return tuple(map(torch.stack, zip(*found, strict=True)))

    # the same sums in the same order, where the kernel makes them
    tolerance = 1e-5 if dtype in ("int64", "complex128") else 0
    ways: list[Any] = [bilinear]
    if x1.is_floating_point():
        ways += [torch.func.grad(squares(bilinear), which) for which in ((0, 1, 2), (1,), (2,))]
    for function in ways:
        for matrices in (weight, strided):
            found = torch.func.vmap(function)(x1, x2, matrices)
            same(found, loop(function, x1, x2, matrices), tolerance)


def test_a_weight_for_each_element_on_devices() -> None:
    from lucid.torch import _compute

    arguments = tensors(((3, 4, 3), (3, 4, 2), (3, 5, 3, 2)))
    given = [*arguments, tensors(((3, 4, 5),))[0]]
    x1, x2, weight, g = given
    out = _compute._bilinear_in_products(x1, x2, weight, (4,), torch.float64)
    same(out, torch.func.vmap(reference)(*arguments))
    found = _compute._gradients_in_products(
        g, x1, x2, weight, x1.shape, x2.shape, (True, True, True), torch.float64
    )
    _, pull = torch.func.vjp(torch.func.vmap(reference), *arguments)
    same(found, pull(g))


@pytest.mark.parametrize("outer", ["jacfwd", "jacrev"])
@pytest.mark.parametrize("inner", ["jacfwd", "jacrev"])
def test_transformations_nest(outer: str, inner: str) -> None:
    # forward over forward loses terms in autograd functions that do nothing about it
    first, second = getattr(torch.func, inner), getattr(torch.func, outer)
    arguments = tensors(ROWS)

    def twice(function: Callable[..., Any]) -> Any:
        return second(first(squares(function), ALL), ALL)(*arguments)

    same(twice(bilinear), twice(reference))


def test_gradients_of_an_ensemble_sample_by_sample() -> None:
    weight, bias, x1, x2 = tensors(((3, 5, 3, 2), (3, 5), (6, 3), (6, 2)))

    def of_all(function: Callable[..., Any]) -> Any:
        def loss(weight: Any, bias: Any, x1: Any, x2: Any) -> Any:
            return squares(function)(x1, x2, weight, bias)

        slopes = torch.func.grad(loss, ALL)
        rows = torch.func.vmap(slopes, (None, None, 0, 0))
        return torch.func.vmap(rows, (0, 0, None, None))(weight, bias, x1, x2)

    same(of_all(bilinear), of_all(reference))


def test_a_wrong_shape_under_vmap_is_told_without_the_batch() -> None:
    x1, x2, weight = tensors(((6, 4, 9), (6, 4, 2), (5, 3, 2)))
    message = (
        r"^bilinear: axis 'in1_features' is 9 in input_1 \(4, 9\) but 3 in weight \(5, 3, 2\)$"
    )
    with pytest.raises(lucid.ShapeError, match=message):
        torch.func.vmap(bilinear, (0, 0, None))(x1, x2, weight)


# Autocast, halves, threads


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_autocast_does_what_it_does_to_linear(dtype: str) -> None:
    arguments = tensors(ROWS, requires_grad=True, dtype=torch.float32)
    with torch.autocast("cpu", dtype=getattr(torch, dtype)):
        out = bilinear(*arguments)
        linear = torch.nn.functional.linear(arguments[0], torch.ones(2, 3))
        double = bilinear(*[each.double() for each in arguments])
    assert out.dtype == linear.dtype == getattr(torch, dtype)
    assert double.dtype == torch.float64
    out.sum().backward()
    assert {argument.grad.dtype for argument in arguments} == {torch.float32}


def test_one_thread_of_torch_is_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    from lucid.kernels import _native

    if _native.compiled is None:
        pytest.skip("there is no compiled kernel here")
    told = []

    def record(*arguments: Any) -> Any:
        told.append(arguments[-1])
        return own(*arguments)

    own = _native.bilinear
    monkeypatch.setattr(_native, "bilinear", record)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    arguments = tensors(((300, 30), (300, 20), (10, 30, 20)))
    same(bilinear(*arguments), reference(*arguments))
    arguments[0] = arguments[0].T.contiguous().T
    same(bilinear(*arguments), reference(*arguments))
    assert told == [1, 1, 1]


# Compilers


@pytest.mark.parametrize("function", [bilinear, F.bilinear])
def test_compile_has_no_graph_break(function: Any) -> None:
    torch.compiler.reset()

    def model(*arguments: Any) -> Any:
        return (function(*arguments) * 2).tanh()

    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    for rows in (4, 9, 13):  # the second makes the size a symbol, the third is served by it
        arguments = tensors(((rows, 3), (rows, 2), *ROWS[2:]), requires_grad=True)
        found, expected = compiled(*arguments), model(*arguments)
        same(found, expected)
        same(
            torch.autograd.grad(found.sum(), arguments),
            torch.autograd.grad(expected.sum(), arguments),
        )


def test_compiled_pairs_of_any_size() -> None:
    torch.compiler.reset()
    compiled = torch.compile(bilinear, fullgraph=True, backend="aot_eager", dynamic=True)
    for steps in (3, 5):
        arguments = tensors(((2, steps, 1, 3), (2, 1, 4, 2), *ROWS[2:]), requires_grad=True)
        same(compiled(*arguments), reference(*arguments))


@pytest.mark.parametrize("requires_grad", [True, False])
@pytest.mark.parametrize("shapes", [ROWS, PAIRS])
def test_the_operators_keep_what_they_declare(shapes: Shapes, requires_grad: bool) -> None:
    x1, x2, weight, bias = tensors(shapes, requires_grad=requires_grad)
    operators = torch.ops.lucid
    torch.library.opcheck(operators.bilinear.default, (x1, x2, weight, bias, False))
    g = bilinear(x1, x2, weight).detach().requires_grad_(requires_grad)
    both = tuple(x1.shape), tuple(x2.shape)
    everything = (g, x1, x2, weight, *both, (True, True, True), False)
    torch.library.opcheck(operators.bilinear_gradients.default, everything)
    one = (g, None, x2, weight, *both, (True, False, False), False)
    torch.library.opcheck(operators.bilinear_gradients.default, one)


def test_script_is_refused_and_trace_is_not() -> None:
    layer = Bilinear(3, 4, 5)
    message = "torch.jit.script cannot compile lucid.torch.Bilinear"
    with pytest.raises(lucid.LibraryError, match=message):
        layer.__prepare_scriptable__()
    exported = torch.export.export(layer, (torch.ones(2, 3), torch.ones(2, 4)))
    assert "lucid" not in exported.graph_module.code  # it runs where lucid is not installed


# Layers


def test_a_state_dict_loads_both_ways() -> None:
    theirs, ours = torch.nn.Bilinear(3, 4, 5), Bilinear(3, 4, 5, dtype=torch.float32)
    assert repr(theirs) == repr(ours)
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    x1, x2 = torch.ones(2, 3), torch.ones(2, 4)
    same(ours(x1, x2), theirs(x1, x2), 1e-5)
    torch.manual_seed(0)
    drawn = torch.nn.Bilinear(3, 4, 5).weight
    torch.manual_seed(0)
    assert torch.equal(Bilinear(3, 4, 5).weight, drawn)


class Model(torch.nn.Module):  # type: ignore[misc, unused-ignore]
    def __init__(self) -> None:
        super().__init__()
        self.one = torch.nn.Bilinear(3, 4, 5)
        self.same = self.one
        self.other = torch.nn.Bilinear(3, 4, 5, bias=False)

    def forward(self, x1: Any, x2: Any) -> Any:
        return self.one(x1, x2) + self.same(x1, x2) + self.other(x1, x2)


class Half(torch.nn.Module):  # type: ignore[misc, unused-ignore]
    def forward(self, weight: Any) -> Any:
        return weight / 2


def test_swap_keeps_everything_but_the_arithmetic() -> None:
    model = Model().double().eval()
    torch.nn.utils.parametrize.register_parametrization(model.other, "weight", Half())
    seen: list[Any] = []
    model.one.register_forward_hook(lambda *given: seen.append(given))
    x1, x2 = tensors(((2, 3), (2, 4)))
    expected, names = model(x1, x2), list(model.state_dict())
    parameters = [id(each) for each in model.parameters()]
    layer = model.one
    assert swap(model) is model
    assert type(model.one) is Bilinear
    assert model.one is model.same is layer
    assert isinstance(model.other, Bilinear)
    assert not model.one.training
    seen.clear()
    same(model(x1, x2), expected)
    assert len(seen) == 2
    assert [id(each) for each in model.parameters()] == parameters
    assert list(model.state_dict()) == names
    torch.nn.utils.parametrize.remove_parametrizations(model.other, "weight")
    assert type(model.other) is Bilinear


def test_swap_of_a_root_and_of_a_subclass() -> None:
    class Own(torch.nn.Bilinear):  # type: ignore[misc, unused-ignore]
        pass

    assert type(swap(torch.nn.Bilinear(3, 4, 5))) is Bilinear
    own = torch.nn.ModuleDict({"score": Own(3, 4, 5), "other": torch.nn.Bilinear(3, 4, 5)})
    with pytest.warns(UserWarning, match=r"swap: left alone 'score' \(Own\): a subclass"):
        swap(own)
    assert type(own["score"]) is Own
    assert type(own["other"]) is Bilinear


def test_swap_says_where_there_was_nothing_to_do() -> None:
    with pytest.warns(UserWarning, match=r"no torch\.nn\.Bilinear in this Linear, nothing was"):
        swap(torch.nn.Linear(3, 4))
    model = swap(torch.nn.Sequential(torch.nn.Bilinear(3, 4, 5)))
    assert swap(model) is model  # twice is once, without a word
    wrong: Any = 3
    for function in (swap, unswap):
        with pytest.raises(lucid.LibraryError, match=r"is int, expected a torch\.nn\.Module"):
            function(wrong)


def test_unswap_is_the_way_back() -> None:
    model = Model()
    torch.nn.utils.parametrize.register_parametrization(model.other, "weight", Half())
    before = [type(each) for each in (model.one, model.other.__class__.__bases__[0])]
    parameters = [id(each) for each in model.parameters()]
    assert unswap(swap(model)) is model
    assert type(model.one) is torch.nn.Bilinear
    assert model.other.__class__.__bases__ == (torch.nn.Bilinear,)
    assert [type(each) for each in (model.one, model.other.__class__.__bases__[0])] == before
    assert [id(each) for each in model.parameters()] == parameters


def test_pytorchs_own_keywords() -> None:
    x1, x2, w = tensors(((2, 3), (2, 4), (5, 3, 4)))
    expected = torch.nn.functional.bilinear(input1=x1, input2=x2, weight=w)
    same(bilinear(input1=x1, input2=x2, weight=w), expected)
    same(bilinear(x1, input2=x2, weight=w, bias=None), expected)
    same(bilinear(input_1=x1, input_2=x2, weight=w), expected)
    with pytest.raises(TypeError, match="both input_1 and input1"):
        bilinear(x1, x2, w, input1=x1)


def test_a_layer_is_copied_pickled_and_replicated() -> None:
    layer = Bilinear(3, 4, 5)
    x1, x2 = torch.ones(2, 3), torch.ones(2, 4)
    replica = layer._replicate_for_data_parallel()
    replica.weight, replica.bias = layer.weight, layer.bias  # what DataParallel puts there
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), replica):  # noqa: S301
        assert type(other) is Bilinear
        assert torch.equal(other(x1, x2), layer(x1, x2))


DISTRIBUTED = """
import sys
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from lucid.torch import Bilinear

rank, file = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
torch.manual_seed(0)
layer = Bilinear(3, 4, 5)
x1, x2 = torch.randn(8, 3), torch.randn(8, 4)
layer(x1, x2).square().mean().backward()
expected = layer.weight.grad.clone()
layer.zero_grad()
parts = slice(4 * rank, 4 * rank + 4)
shared = DistributedDataParallel(layer)
shared(x1[parts], x2[parts]).square().mean().backward()
torch.testing.assert_close(layer.weight.grad, expected)
dist.destroy_process_group()
"""


def test_two_processes_share_gradients(tmp_path: Path) -> None:
    if not (torch.distributed.is_available() and torch.distributed.is_gloo_available()):
        pytest.skip("this PyTorch has no gloo")
    run = [sys.executable, "-c", DISTRIBUTED]
    both = [
        subprocess.Popen(  # noqa: S603
            [*run, str(rank), str(tmp_path / "meet")], stderr=subprocess.PIPE
        )
        for rank in (0, 1)
    ]
    errors = [process.communicate(timeout=120)[1].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], "\n".join(errors)


def test_what_is_no_tensor_of_torch() -> None:
    x1, x2, weight, _ = tensors(ROWS)
    message = r"^bilinear: input_1 is a torch tensor, weight is a NumPy array\."
    with pytest.raises(lucid.LibraryError, match=message):
        F.bilinear(x1, x2, weight.numpy())
    with pytest.raises(lucid.LibraryError, match=message):
        bilinear(x1, x2, weight.numpy())
