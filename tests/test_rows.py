"""Rows chosen by index, weights chosen by group, results summed by target."""

from __future__ import annotations

import re
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid.kernels import _native, _nodes, _rows
from lucid.testing import assert_same, gradcheck

KEYS = ("index_1", "index_2", "group", "segment")
CASES = [
    [name for name, is_on in zip(KEYS, on, strict=True) if is_on]
    for on in product([False, True], repeat=4)
    if any(on)
]
ROWS, FIRSTS, SECONDS, GROUPS, SEGMENTS = 23, 5, 6, 4, 7


def maps_of(names: Any, rows: int = ROWS, seed: int = 0) -> dict[str, Any]:
    """A group and a target have no rows."""
    rng = np.random.default_rng(seed)
    sizes = {
        "index_1": FIRSTS, "index_2": SECONDS, "group": GROUPS - 1, "segment": SEGMENTS - 1,
    }  # fmt: skip
    found: dict[str, Any] = {name: rng.integers(0, sizes[name], rows) for name in sorted(names)}
    return found | ({"num_segments": SEGMENTS} if "segment" in found else {})


def arguments(
    maps: dict[str, Any], rows: int = ROWS, sizes: tuple[int, int, int] = (2, 3, 4), seed: int = 1
) -> list[Any]:
    rng = np.random.default_rng(seed)
    outputs, first, second = sizes
    groups = (GROUPS,) if "group" in maps else ()
    shapes = (
        (FIRSTS if "index_1" in maps else rows, first),
        (SECONDS if "index_2" in maps else rows, second),
        (*groups, outputs, first, second), (*groups, outputs),
    )  # fmt: skip
    return [rng.standard_normal(shape) for shape in shapes]


def _grad(tensor: Any) -> Any:
    return tensor.grad.numpy()


def reference(
    x1: Any, x2: Any, weight: Any, bias: Any, *, group: Any = None, index_1: Any = None,
    index_2: Any = None, segment: Any = None, num_segments: int = 0,
) -> Any:  # fmt: skip
    """All gathered."""
    x1 = x1 if index_1 is None else x1[index_1]
    x2 = x2 if index_2 is None else x2[index_2]
    group = np.zeros(len(x1), int) if group is None else group
    weight = weight if weight.ndim == 4 else weight[None]
    out = np.einsum("ei,eoij,ej->eo", x1, weight[group], x2)
    if bias is not None:
        out = out + np.broadcast_to(bias, (len(weight), bias.shape[-1]))[group]
    if segment is None:
        return out
    total = np.zeros((num_segments, out.shape[1]), out.dtype)
    np.add.at(total, segment, out)
    return total


@pytest.fixture(params=["one block", "small blocks", "by nodes"])
def _blocks(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "by nodes":
        sizes = {"LEAST_ROWS": 1, "LEAST_NODES": 1, "EDGE": -1e9, "MIDDLE": 200, "LONGEST": 2}
        for name, each in sizes.items():
            monkeypatch.setattr(_nodes, name, each)
    if request.param != "one block":
        for name, size in (("BLOCK", 500), ("LEAST_ROWS", 3), ("SORTED", 11)):
            monkeypatch.setattr(_rows, name, size)


@pytest.mark.parametrize("names", CASES, ids="+".join)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "complex64", "int64"])
@pytest.mark.usefixtures("_blocks")
def test_forward(names: list[str], dtype: str) -> None:
    maps = maps_of(names)
    given = [(4 * x).astype(dtype) for x in arguments(maps)]
    wide = [x.astype("complex128" if dtype == "complex64" else "float64") for x in given]
    found = F.bilinear(*given, **maps)
    assert found.dtype == dtype
    assert_same(found, reference(*wide, **maps).astype(dtype))


@pytest.mark.parametrize("names", CASES, ids="+".join)
@pytest.mark.usefixtures("_blocks")
def test_gradients_of_two_orders(names: list[str]) -> None:
    maps = maps_of(names, 7)
    given = [lucid.Tensor(x, requires_grad=True) for x in arguments(maps, 7, (2, 2, 3))]
    form = partial(F.bilinear, **maps)
    assert gradcheck(form, given)

    def slopes(*given: Any) -> Any:
        out = form(*given)
        found = lucid.grad((out * out * out).sum(), list(given), create_graph=True)
        return sum((each * each).sum() for each in found)

    assert gradcheck(slopes, given)


@pytest.mark.parametrize("names", CASES, ids="+".join)
@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.usefixtures("_blocks")
def test_gradients_are_those_of_wide_numbers_rounded_once(names: list[str], dtype: str) -> None:
    maps = maps_of(names)
    given = [x.astype(dtype) for x in arguments(maps)]
    g = np.ones(reference(*given, **maps).shape, dtype)
    found = []
    for kind in (dtype, "float64"):
        tensors = [lucid.Tensor(x.astype(kind), requires_grad=True) for x in given]
        F.bilinear(*tensors, **maps).backward(lucid.Tensor(g.astype(kind)))
        found.append([_grad(each) for each in tensors])
    for own, wide in zip(*found, strict=True):
        assert own.dtype == dtype
        assert_same(own, wide.astype(dtype))


def test_a_bias_for_all_groups() -> None:
    maps = maps_of({"group", "segment"})
    x1, x2, weight, bias = arguments(maps)
    given = [lucid.Tensor(x, requires_grad=True) for x in (x1, x2, weight, bias[0])]
    assert_same(F.bilinear(*given, **maps).numpy(), reference(x1, x2, weight, bias[0], **maps))
    assert gradcheck(partial(F.bilinear, **maps), given)


@pytest.mark.parametrize("dtype", ["float64", "float16"])
@pytest.mark.usefixtures("_blocks")
def test_a_bias_with_an_axis_for_one_group(dtype: str) -> None:
    maps = maps_of({"index_1"})
    x1, x2, weight, bias = (x.astype(dtype) for x in arguments(maps))
    assert_same(
        F.bilinear(x1, x2, weight, bias[None], **maps), F.bilinear(x1, x2, weight, bias, **maps)
    )


def test_groups_without_rows_have_the_gradient_zero() -> None:
    maps = maps_of({"group"})
    given = [lucid.Tensor(x, requires_grad=True) for x in arguments(maps)]
    F.bilinear(*given, **maps).sum().backward()
    for each in given[2:]:
        assert _grad(each)[:-1].all()
        assert not _grad(each)[-1].any()


def test_offsets_say_the_same_as_groups_side_by_side() -> None:
    offsets: Any = [0, 4, 4, 20, ROWS]
    group = np.repeat([0, 2, 3], [4, 16, 3])
    given = arguments({"group": group})
    assert_same(
        F.bilinear(*given, offsets=offsets), F.bilinear(*given, group=group), rtol=0, atol=0
    )
    tensors = [lucid.Tensor(x, requires_grad=True) for x in given]
    assert gradcheck(partial(F.bilinear, offsets=offsets), tensors)


def test_rows_with_several_axes() -> None:
    rng = np.random.default_rng(0)
    x1, x2, weight = (rng.standard_normal(s) for s in ((2, 5, 3), (6, 4), (GROUPS, 2, 3, 4)))
    index, group = rng.integers(0, 6, (2, 5)), rng.integers(0, GROUPS, (2, 5))
    found = F.bilinear(x1, x2, weight, index_2=index, group=group)
    assert_same(found, np.einsum("...i,...oij,...j->...o", x1, weight[group], x2[index]))


@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows_and_no_numbers(rows: int) -> None:
    maps = maps_of(KEYS, rows)
    for sizes in ((2, 3, 4), (0, 3, 4), (2, 0, 4)):
        given = arguments(maps, rows, sizes)
        assert_same(F.bilinear(*given, **maps), reference(*given, **maps))
        tensors = [lucid.Tensor(x, requires_grad=True) for x in given]
        F.bilinear(*tensors, **maps).sum().backward()
        assert [_grad(each).shape for each in tensors] == [x.shape for x in given]


def test_no_rows_and_no_groups() -> None:
    shapes = (0, 3), (0, 4), (0, 2, 3, 4), (0, 2)
    tensors = [lucid.Tensor(np.ones(shape), requires_grad=True) for shape in shapes]
    out = F.bilinear(*tensors, group=np.zeros(0, int))
    assert out.shape == (0, 2)
    out.sum().backward()
    assert [_grad(each).shape for each in tensors] == list(shapes)


def test_the_number_of_segments_is_what_the_largest_asks_for() -> None:
    x = np.ones((3, 2))
    assert F.bilinear(x, x, np.ones((1, 2, 2)), segment=[0, 4, 4]).shape == (5, 1)


def test_nan_stays_in_its_row() -> None:
    maps: Any = {"index_1": np.array([0, 1, 0]), "group": np.array([1, 0, 1]),
            "segment": np.array([2, 0, 1]), "num_segments": 3}  # fmt: skip
    x1, x2, weight = np.ones((2, 3)), np.ones((3, 2)), np.ones((2, 4, 3, 2))
    x1[1] = np.nan
    assert np.isnan(F.bilinear(x1, x2, weight, **maps)).all(1).tolist() == [True, False, False]


def test_layouts_and_dtypes_of_arguments() -> None:
    maps: Any = {name: np.asfortranarray(np.asarray(each, np.int32)) if name in KEYS else each
            for name, each in maps_of(KEYS).items()}  # fmt: skip
    given = arguments(maps_of(KEYS))
    strided = [np.repeat(x, 2, axis=-1)[..., ::2] for x in given]
    assert_same(F.bilinear(*strided, **maps), reference(*given, **maps))
    x1, x2, weight, bias = given
    mixed = F.bilinear(x1.astype("f4"), x2, lucid.Tensor(weight), bias.tolist(), **maps)
    assert mixed.dtype == lucid.float64


def test_without_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bilinear_runs", "gradients_runs", "add_rows"):
        monkeypatch.setattr(_native, name, lambda *_: None)
    maps = maps_of(KEYS)
    given = arguments(maps)
    assert_same(F.bilinear(*given, **maps), reference(*given, **maps))
    tensors = [lucid.Tensor(x, requires_grad=True) for x in given]
    assert gradcheck(partial(F.bilinear, **maps), tensors)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"group": [0, 4, 0]}, lucid.OutOfRangeError,
         "bilinear: group holds 4, but weight (4, 2, 3, 5) has 4 groups; numbers are 0, …, 3"),
        ({"group": [0, -1, 0]}, lucid.OutOfRangeError, "bilinear: group holds -1, but weight"),
        ({"index_1": [0, 3, 0]}, lucid.OutOfRangeError,
         "bilinear: index_1 holds 3, but input_1 (3, 3) has 3 rows; numbers are 0, …, 2"),
        ({"segment": [0, 3, 0], "num_segments": 3}, lucid.OutOfRangeError,
         "bilinear: segment holds 3, but num_segments is 3; numbers are 0, …, 2"),
        ({"group": [0.0, 1.0, 0.0]}, lucid.DTypeError,
         "bilinear: group has dtype float32, expected integers"),
        ({"offsets": [0, 1, 2, 2, 3]}, lucid.ArgumentError,
         "bilinear: got both group and offsets, which say the same"),
        ({"group": None, "offsets": [0, 1, 2, 2, 4]}, lucid.ArgumentError,
         "bilinear: offsets go from 0 to 4, expected from 0 to 3, the number of rows"),
        ({"group": None, "offsets": [0, 3]}, lucid.ShapeError,
         "bilinear: offsets has shape (2,), expected (5,): where each group begins"),
        ({"segment": [0, 1]}, lucid.ShapeError,
         "bilinear: group has the shape (3,), but segment has (2,); each has a number for every"),
        ({"group": [0, 1]}, lucid.ShapeError,
         "bilinear: input_1 (3, 3) has the leading axes (3,), but group says that rows have the "
         "shape (2,); both must be equal, or index_1 says which row each one has"),
        ({"index_2": [0, 5], "group": None, "weight": np.ones((2, 3, 5))}, lucid.ShapeError,
         "bilinear: input_1 (3, 3) has the leading axes (3,), but index_2 says that rows have "
         "the shape (2,)"),
        ({"input_1": np.ones((0, 3)), "index_1": [0, 0, 0]}, lucid.OutOfRangeError,
         "bilinear: index_1 holds 0, but input_1 (0, 3) has 0 rows"),
        ({"num_segments": 3}, lucid.ArgumentError,
         "bilinear: num_segments is 3, but there is no segment that says which one"),
        ({"segment": [0, 1, 0], "num_segments": -1}, lucid.ArgumentError,
         "bilinear: num_segments is -1, expected a whole number, 0 or more"),
        ({"group": None, "index_1": [0, 1, 2]}, lucid.ShapeError,
         "bilinear: weight (4, 2, 3, 5) has 4 axes, a weight for each group, but neither group nor "
         "offsets says which one each row has"),
        ({"bias": np.ones(3)}, lucid.ShapeError,
         "bilinear: bias has shape (3,), expected (2,) or (4, 2)"),
        ({"input_2": np.ones((3, 4))}, lucid.ShapeError,
         "bilinear: axis 'in2_features' is 4 in input_2 (3, 4) but 5 in weight (4, 2, 3, 5)"),
        ({"input_1": np.ones((1, 3, 3)), "index_1": [0, 0, 0]}, lucid.ShapeError,
         "bilinear: input_1 (1, 3, 3) needs 2 axes (rows, in1_features), because index_1 counts"),
        ({"groups": [0, 1, 2]}, TypeError, "unexpected keyword argument 'groups'"),
    ],
    ids=str,
)  # fmt: skip
def test_errors(change: dict[str, Any], error: type[Exception], words: str) -> None:
    given: Any = {
        "input_1": np.ones((3, 3)), "input_2": np.ones((3, 5)), "weight": np.ones((4, 2, 3, 5)),
        "group": [0, 1, 2],
    } | change  # fmt: skip
    with pytest.raises(error) as raised:
        F.bilinear(**given)
    assert words in str(raised.value)


@pytest.mark.skipif(_native.compiled is None, reason="there is no compiled kernel")
@pytest.mark.parametrize("names", [["index_1"], ["index_2"], ["index_1", "index_2", "segment"]])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_edges_of_few_nodes_meet_the_weight_by_node(
    names: list[str], dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = maps_of(names, 700)
    given = [x.astype(dtype) for x in arguments(maps, 700, (10, 8, 9))]
    found, taken, edges_of_nodes = [], [0], _native.edges_of_nodes

    def counted(*arguments: Any) -> Any:
        taken[0] += 1
        return edges_of_nodes(*arguments)

    monkeypatch.setattr(_native, "edges_of_nodes", counted)
    for cost in (-1e9, 1e9):
        monkeypatch.setattr(_nodes, "EDGE", cost)
        taken[0] = 0
        tensors = [lucid.Tensor(x, requires_grad=True) for x in given]
        out = F.bilinear(*tensors, **maps)
        (out * out).sum().backward()
        assert (taken[0] > 0) == (cost < 0)
        found.append([out.numpy(), *(_grad(each) for each in tensors)])
    for own, other in zip(*found, strict=True):
        scale = np.abs(other).max()
        assert_same(own / scale, other / scale, rtol=0, atol=1e-14 if dtype == "float64" else 3e-6)


def test_the_same_bits_every_time() -> None:
    maps = maps_of(KEYS, 5000)
    given = [x.astype("f4") for x in arguments(maps, 5000, (8, 9, 10))]
    once, again = (F.bilinear(*given, **maps) for _ in range(2))
    assert_same(once, again, rtol=0, atol=0)


# ------------------------------------------------------------------------------------ PyTorch


def _torch() -> Any:
    return pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.mark.parametrize("names", CASES, ids="+".join)
def test_torch_is_recorded(names: list[str]) -> None:
    torch = _torch()
    from lucid.torch import bilinear

    maps = maps_of(names, 7)
    given = [torch.tensor(x, requires_grad=True) for x in arguments(maps, 7, (2, 2, 3))]
    tensors = {k: each if k == "num_segments" else torch.tensor(each) for k, each in maps.items()}
    form = partial(bilinear, **tensors)
    plain = [x.detach().numpy() for x in given]
    assert_same(form(*given).detach().numpy(), F.bilinear(*plain, **maps), rtol=0, atol=0)
    assert torch.autograd.gradcheck(form, given)
    assert torch.autograd.gradgradcheck(form, given)
    assert_same(F.bilinear(*given, **tensors).detach().numpy(), F.bilinear(*plain, **maps))


@pytest.mark.parametrize("names", [["index_1"], ["group"], KEYS], ids="+".join)
@pytest.mark.parametrize("dtype", ["float64", "float16"])
@pytest.mark.usefixtures("_blocks")
def test_torch_results_are_written_where_dlpack_is_read_only(
    names: list[str], dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = _torch()
    from lucid.torch import bilinear

    from_dlpack = np.from_dlpack

    def read_only(tensor: Any) -> Any:  # as NumPy 2.0 has it
        found = from_dlpack(tensor)
        found.flags.writeable = False
        return found

    maps = maps_of(names)
    tensors = {k: each if k == "num_segments" else torch.tensor(each) for k, each in maps.items()}
    own = getattr(torch, dtype)
    given = [torch.tensor(x, dtype=own, requires_grad=True) for x in arguments(maps)]
    found = []
    for way in (from_dlpack, read_only):
        monkeypatch.setattr(np, "from_dlpack", way)
        out = bilinear(*given, **tensors)
        found.append([out, *torch.autograd.grad(out.sin().sum(), given)])
    for each, other in zip(*found, strict=True):
        assert torch.equal(each, other)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_torch_halves_are_rounded_once(dtype: str) -> None:
    torch = _torch()
    from lucid.torch import bilinear

    maps = maps_of(KEYS)
    found = []
    for kind in (getattr(torch, dtype), torch.float64):
        half = [torch.tensor(x).to(getattr(torch, dtype)) for x in arguments(maps)]
        given = [x.to(kind).requires_grad_() for x in half]
        out = bilinear(*given, **maps)
        out.sum().backward()  # type: ignore[no-untyped-call]
        found.append([out.detach(), *(x.grad for x in given)])
    for own, wide in zip(*found, strict=True):
        assert own.dtype is getattr(torch, dtype)
        eps = torch.finfo(own.dtype).eps
        assert ((own.double() - wide).abs() <= eps / 2 * wide.abs() * (1 + 1e-3) + 1e-6).all()


def test_torch_operators_are_whole_and_compile() -> None:
    torch = _torch()
    from lucid.torch import bilinear

    maps = {
        k: each if k == "num_segments" else torch.tensor(each) for k, each in maps_of(KEYS).items()
    }
    given = [torch.tensor(x, requires_grad=True) for x in arguments(maps)]
    flat = [maps.get(k) for k in ("group", "offsets", "index_1", "index_2", "segment")]
    g = torch.ones(SEGMENTS, 2, dtype=torch.float64, requires_grad=True)
    shapes = [list(x.shape) for x in (*given[:3], g)]
    ops = torch.ops.lucid
    torch.library.opcheck(ops.bilinear_rows, (*given, *flat, SEGMENTS))
    needed = [True] * 3
    torch.library.opcheck(ops.bilinear_rows_gradients, (g, *given[:3], *flat, *shapes, needed))
    torch.library.opcheck(ops.moved_rows, (g, *flat, [GROUPS, 2], *shapes, 0, 3))

    def loss(*given: Any) -> Any:
        return bilinear(*given, **maps).sin().sum()

    expected = torch.autograd.grad(loss(*given), given)
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    for own, other in zip(torch.autograd.grad(compiled(*given), given), expected, strict=True):
        assert torch.equal(own, other)


def test_torch_tells_what_it_cannot_take() -> None:
    torch = _torch()
    from lucid.torch import bilinear

    x, weight = torch.ones(3, 2), torch.ones(1, 2, 2)
    for given, maps, error, words in (
        ((x, x, weight), {"group": "abc"}, lucid.LibraryError,
         "bilinear: group is 'abc', expected a torch tensor of integers, or a list"),
        ((x, x, weight), {"segment": [0, 1, 0], "num_segments": -1}, lucid.ArgumentError,
         "bilinear: num_segments is -1, expected a whole number, 0 or more"),
        (([[1.0, 2.0]], x, weight), {"index_1": [0, 0, 0]}, lucid.LibraryError,
         "bilinear: input_1 is list, expected a torch tensor; torch.as_tensor makes one"),
        ((None, x, weight), {"index_1": [0, 0, 0]}, lucid.LibraryError,
         "bilinear: input_1 is None, expected an array with the axes (..., in1_features)"),
    ):  # fmt: skip
        with pytest.raises(error, match=re.escape(words)):
            bilinear(*given, **maps)
    with torch.autocast("cpu"), pytest.raises(lucid.LibraryError, match="input_1 is list"):
        bilinear([[1.0, 2.0]], x, weight)


def test_torch_refuses_other_devices() -> None:
    torch = _torch()
    from lucid.torch import bilinear

    x = torch.ones(3, 2)
    with pytest.raises(lucid.OutOfRangeError, match="bilinear: group holds 5"):
        bilinear(x, x, torch.ones(2, 1, 2, 2), group=torch.tensor([0, 1, 5]))
    with pytest.raises(lucid.LibraryError, match="there is a tensor on meta"):
        bilinear(x.to("meta"), x, torch.ones(1, 2, 2), segment=torch.tensor([0, 1, 1]))


def _geometric() -> Any:
    _torch()
    return pytest.importorskip("torch_geometric", reason="torch_geometric is not installed")


@pytest.mark.parametrize("aggr", ["add", "mean", "max"])
@pytest.mark.parametrize("last_bias", [True, False])
@pytest.mark.parametrize("pair", [True, False])
def test_swapped_edge_conditioned_convolution(aggr: str, last_bias: bool, pair: bool) -> None:
    _geometric()
    import torch
    from torch_geometric.nn import NNConv  # type: ignore[import-untyped, import-not-found, unused-ignore]

    from lucid.torch import swap, unswap

    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(3, 6), torch.nn.Tanh(), torch.nn.Linear(6, 4 * 5, bias=last_bias)
    )
    layer = NNConv((4, 2) if pair else 4, 5, network, aggr=aggr).double()
    edges = torch.stack([torch.randint(0, 9, (30,)), torch.randint(0, 7 if pair else 9, (30,))])
    features = torch.randn(30, 3, dtype=torch.float64)
    x = torch.randn(9, 4, dtype=torch.float64, requires_grad=True)
    given = (x, torch.randn(7, 2, dtype=torch.float64)) if pair else x

    def step() -> list[Any]:
        out = layer(given, edges, features)
        return [out, *torch.autograd.grad(out.sin().sum(), [x, *layer.parameters()])]

    theirs, ours = step(), (swap(layer), step())[1]
    assert type(layer).__module__ == "lucid.torch"
    for own, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-12, atol=1e-12)
    assert type(unswap(layer)) is NNConv


def test_swapped_interaction() -> None:
    _geometric()
    import torch
    from torch_geometric.nn.models.dimenet import (  # type: ignore[import-untyped, import-not-found, unused-ignore]
        InteractionBlock,
    )

    from lucid.torch import swap, unswap

    torch.manual_seed(0)
    block = InteractionBlock(12, 4, 3, 2, 1, 1, torch.nn.functional.silu).double()
    x = torch.randn(9, 12, dtype=torch.float64, requires_grad=True)
    rbf, sbf = torch.randn(9, 2).double(), torch.randn(40, 6).double()
    kj, ji = torch.randint(0, 9, (2, 40))

    def step() -> list[Any]:
        out = block(x, rbf, sbf, kj, ji)
        return [out, *torch.autograd.grad(out.sin().sum(), [x, *block.parameters()])]

    theirs, ours = step(), (swap(block), step())[1]
    for own, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-12, atol=1e-12)
    assert type(unswap(block)) is InteractionBlock


# ---------------------------------------------------------------------------------------- JAX


@pytest.mark.parametrize("names", CASES, ids="+".join)
def test_jax_has_every_transformation(names: list[str]) -> None:
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    import lucid.jax

    maps = maps_of(names)
    given = [x.astype("float32") for x in arguments(maps)]
    form = partial(lucid.jax.bilinear, **maps)
    expected = reference(*given, **maps)
    assert_same(np.asarray(form(*given)), expected)
    assert_same(np.asarray(jax.jit(form)(*given)), expected)
    assert_same(np.asarray(F.bilinear(*map(jax.numpy.asarray, given), **maps)), expected)

    def loss(*given: Any) -> Any:
        return (form(*given) ** 2).sum()

    tensors = [lucid.Tensor(x, requires_grad=True) for x in given]
    (F.bilinear(*tensors, **maps) ** 2).sum().backward()
    for own, other in zip(jax.jit(jax.grad(loss, range(4)))(*given), tensors, strict=True):
        assert_same(np.asarray(own), _grad(other), rtol=1e-4, atol=1e-3)
    from jax.test_util import check_grads

    check_grads(form, given, 2, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "float32"])
def test_jax_takes_numbers_of_every_kind(dtype: str) -> None:
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    import lucid.jax

    random = np.random.default_rng(0)
    x1, x2 = (random.integers(0, 2, (9, size)).astype(dtype) for size in (2, 3))
    weight = random.integers(0, 2, (3, 4, 2, 3)).astype(dtype)
    offsets = np.array([0, 0, 5, 9], np.uint8)  # unsigned numbers go round
    group = np.repeat([1, 2], [5, 4])
    own = np.einsum("ni,noij,nj->no", *(x.astype(int) for x in (x1, weight[group], x2)))
    maps = {"offsets": offsets, "segment": np.arange(9) % 2, "num_segments": 2}
    sums = np.stack([own[::2].sum(0), own[1::2].sum(0)])
    for names, right in ((["offsets"], own), ([*maps], sums)):
        chosen: dict[str, Any] = {name: maps[name] for name in names}
        found = lucid.jax.bilinear(*map(jax.numpy.asarray, (x1, x2, weight)), **chosen)
        assert_same(np.asarray(found), right.astype(dtype))
        assert_same(np.asarray(F.bilinear(x1, x2, weight, **chosen)), right.astype(dtype))


@pytest.mark.parametrize("shapes", [((0, 2), (0, 3)), ((4, 0), (4, 3)), ((4, 2), (4, 0))])
def test_jax_takes_empty_sides(shapes: Any) -> None:
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    import lucid.jax

    one, two = (jax.numpy.ones(shape) for shape in shapes)
    for outputs in (0, 5):
        weight = jax.numpy.ones((3, outputs, one.shape[1], two.shape[1]))
        group = jax.numpy.zeros(len(one), int)
        form = partial(lucid.jax.bilinear, group=group)
        out, pull = jax.vjp(form, one, two, weight)
        assert_same(np.asarray(out), np.zeros((len(one), outputs), "float32"))
        assert [each.shape for each in pull(out)] == [one.shape, two.shape, weight.shape]


@pytest.mark.parametrize(
    "names", [["group"], ["offsets"], ["index_1", "index_2", "segment"], list(KEYS)], ids="+".join
)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("tile", [2 << 20, 50])
def test_jax_halves_are_rounded_once(
    names: list[str], dtype: str, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results and gradients: to half a unit of what float64 has of the same halves."""
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    import lucid.jax
    from lucid.jax import _rows

    monkeypatch.setattr(_rows, "BLOCK", tile)
    maps = maps_of(names) if names != ["offsets"] else {"offsets": np.array([0, 7, 7, 20, ROWS])}
    given = arguments(maps_of(["group"]) if names == ["offsets"] else maps)
    halves = [jax.numpy.asarray(x, dtype) for x in given]
    wide = [lucid.Tensor(np.asarray(x, "float64"), requires_grad=True) for x in halves]

    def total(*halves: Any) -> Any:
        out = lucid.jax.bilinear(*halves, **maps)
        return out.astype("float32").sum(), out

    jax.clear_caches()
    found = jax.jit(jax.grad(total, range(4), has_aux=True))(*halves)
    out = F.bilinear(*wide, **maps)
    out.sum().backward()
    eps = float(jax.numpy.finfo(dtype).eps)
    expected = [out.numpy(), *map(_grad, wide)]
    for own, right in zip([found[1], *found[0]], expected, strict=True):
        assert own.dtype == dtype
        error = np.abs(np.asarray(own, "float64") - right)
        assert (error <= eps / 2 * np.abs(right) * (1 + 1e-3) + 2e-6).all()


def test_jax_says_what_it_must_know() -> None:
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    import lucid.jax

    x = jax.numpy.ones((3, 2))
    with pytest.raises(lucid.ArgumentError, match=r"under jax\.jit the shape of the result"):
        jax.jit(lambda s: lucid.jax.bilinear(x, x, jax.numpy.ones((1, 2, 2)), segment=s))(
            jax.numpy.array([0, 1, 1])
        )
    with pytest.raises(lucid.OutOfRangeError, match="bilinear: segment holds 5"):
        lucid.jax.bilinear(
            x, x, jax.numpy.ones((1, 2, 2)), segment=jax.numpy.array([0, 5, 1]), num_segments=3
        )


def test_keywords_that_are_none_are_not_given() -> None:
    x1, x2, weight = lucid.ones((2, 1, 3)), lucid.ones((5, 3)), lucid.ones((4, 3, 3))
    maps: Any = dict.fromkeys(("group", "offsets", "index_1", "index_2", "segment", "num_segments"))
    assert F.bilinear(x1, x2, weight, **maps).shape == (2, 5, 4)
    with pytest.raises(TypeError, match=r"^bilinear\(\) got an unexpected keyword argument 'foo'$"):
        F.bilinear(x1, x2, weight, foo=1)  # type: ignore[call-arg]
