"""The linear terms of the bilinear form: in lucid, under PyTorch and under JAX."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cases import Array

import lucid
from lucid import Tensor, nn
from lucid.nn import functional as F
from lucid.testing import assert_same, gradcheck

NAMES = ("input_1", "input_2", "weight", "bias", "weight_1", "weight_2")

LEADING = [
    ((4,), (4,)), ((), ()), ((4,), ()), ((2, 3, 1), (2, 1, 4)), ((2, 1), (3,)), ((3,), (2, 1)),
    ((2, 1, 3, 1), (5, 1, 4)),
]  # fmt: skip


def sample(lead_1: Any, lead_2: Any, sizes: tuple[int, int, int] = (3, 2, 5)) -> list[Array]:
    i, j, o = sizes
    shapes = (*lead_1, i), (*lead_2, j), (o, i, j), (o,), (o, i), (o, j)
    random = np.random.default_rng(0)
    return [np.asarray(random.standard_normal(shape)) for shape in shapes]


def form(x1: Any, x2: Any, weight: Any, bias: Any, weight_1: Any, weight_2: Any) -> Any:
    return F.bilinear(x1, x2, weight, bias, weight_1=weight_1, weight_2=weight_2)


def reference(
    x1: Array, x2: Array, weight: Array, bias: Array, weight_1: Array, weight_2: Array
) -> Array:
    out = np.einsum("...i,oij,...j->...o", x1, weight, x2)
    out = out + np.einsum("...i,oi->...o", x1, weight_1) + np.einsum("...j,oj->...o", x2, weight_2)
    return np.asarray(out + bias.reshape(-1))


@pytest.mark.parametrize(("lead_1", "lead_2"), LEADING)
def test_values_and_derivatives(lead_1: Any, lead_2: Any) -> None:
    arrays = sample(lead_1, lead_2)
    assert_same(form(*map(Tensor, arrays)), reference(*arrays))
    found = form(*arrays)
    assert type(found) is np.ndarray
    assert_same(found, reference(*arrays))
    gradcheck(form, arrays, order=2)


def test_terms_are_added_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    from lucid.ops import _bilinear

    for part in (1, 40, 130):
        monkeypatch.setattr(_bilinear, "PART", part)
        for leads in (((7,), (7,)), ((5, 3, 1), (5, 1, 4)), ((5, 1), (4,)), ((1, 4), (5, 1))):
            arrays = sample(*leads)
            assert_same(form(*arrays), reference(*arrays))


def test_third_and_complex_derivatives() -> None:
    arrays = sample((2, 1), (3,), (2, 2, 2))
    gradcheck(form, arrays, order=3)
    gradcheck(form, [x + 1j * x[::-1] for x in arrays], order=2)


@pytest.mark.parametrize("number", [1, 2])
def test_one_term_and_no_bias(number: int) -> None:
    x1, x2, weight, bias, *matrices = sample((4,), (4,))
    given: dict[str, Any] = {f"weight_{number}": Tensor(matrices[number - 1], requires_grad=True)}
    out = F.bilinear(x1, x2, Tensor(weight, requires_grad=True), **given)
    right = matrices[:]
    right[2 - number] = np.zeros_like(right[2 - number])
    assert_same(out, reference(x1, x2, weight, np.zeros_like(bias), *right))
    (found,) = lucid.grad(out.sum(), list(given.values()))
    assert_same(found, np.broadcast_to((x1, x2)[number - 1].sum(0), matrices[number - 1].shape))


@pytest.mark.parametrize("wanted", range(6))
def test_a_gradient_is_the_same_whatever_else_requires_one(wanted: int) -> None:
    arrays = sample((2, 3, 1), (2, 1, 4))
    together = [Tensor(x, requires_grad=True) for x in arrays]
    alone = [Tensor(x, requires_grad=k == wanted) for k, x in enumerate(arrays)]
    (found,) = lucid.grad((form(*alone) ** 2).sum(), [alone[wanted]])
    assert_same(found, lucid.grad((form(*together) ** 2).sum(), together)[wanted])


def test_a_term_is_computed_once_for_each_row_of_its_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never once for each pair: forward and backward, its products have the rows of its input."""
    rows: list[int] = []
    multiply = np.matmul

    def seen(x1: Array, x2: Array, **options: Any) -> Array:
        rows.append(x1.size // x1.shape[-1] * x2.shape[-1])
        return np.asarray(multiply(x1, x2, **options))

    tensors = [Tensor(x, requires_grad=True) for x in sample((2, 30, 1), (2, 1, 40), (7, 6, 5))]
    monkeypatch.setattr(np, "matmul", seen)
    form(*tensors).sum().backward()
    assert len(rows) >= 6
    assert max(rows) <= 2 * 40 * 7  # numbers of a result; all pairs would have 2 · 30 · 40 · 5


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
@pytest.mark.parametrize(("lead_1", "lead_2"), [((300,), (300,)), ((2, 30, 1), (2, 1, 40))])
def test_halves_are_rounded_once(half: str, lead_1: Any, lead_2: Any) -> None:
    dtype = half if half == "float16" else pytest.importorskip("ml_dtypes").bfloat16
    arrays = [x.astype(dtype) for x in sample(lead_1, lead_2, (33, 22, 5))]
    exact = [Tensor(x.astype(np.float64), requires_grad=True) for x in arrays]
    leaves = [Tensor(x, requires_grad=True) for x in arrays]
    out, right = form(*leaves), form(*exact)
    g = np.random.default_rng(1).standard_normal(right.shape).astype(dtype)
    found = (out, *lucid.grad(out, leaves, Tensor(g)))
    wanted = (right, *lucid.grad(right, exact, g.astype(np.float64)))
    for each, exactly in zip(found, wanted, strict=True):
        assert each.dtype == dtype
        rounded_once(each.numpy().astype(np.float64), exactly.numpy(), half)


def rounded_once(found: Array, exact: Array, half: str) -> None:
    """Half a unit in the last place away, and a little for the sums in float32."""
    digits = {"float16": 11, "bfloat16": 8}[half]
    nothing = exact == 0  # of a segment or a group without rows
    size = np.abs(np.where(nothing, 1, exact))
    unit = np.where(nothing, 0, 2.0 ** (np.floor(np.log2(size)) + 1 - digits))
    error = np.abs(found - exact)
    assert (error <= 0.5 * unit + 1e-5 * np.abs(exact).max()).all(), (error / size).max()


def test_the_comparison_of_halves_can_fail() -> None:
    exact = np.linspace(1, 2, 100)
    with pytest.raises(AssertionError):
        rounded_once(exact * (1 + 2**-8), exact, "bfloat16")


def test_dtypes_promote_over_all_arguments() -> None:
    arrays = [x.astype(np.float32) for x in sample((4,), (4,))]
    arrays[5] = arrays[5].astype(np.float64)
    assert form(*arrays).dtype == np.float64
    whole = [np.asarray(np.round(9 * x), np.int64) for x in sample((4,), (4,))]
    assert_same(form(*whole), reference(*whole))
    whole[4] = np.full(whole[4].shape, 0.5)
    assert_same(form(*whole), reference(*whole))


@pytest.mark.parametrize(
    ("dtypes", "wide"),
    [
        (("e", "f", "f", "f", "e", "e"), "f"), (("f", "f", "f", "f", "f", "d"), "d"),
        (("f", "f", "d", "f", "f", "f"), "d"), (("e", "e", "bfloat16", "e", "e", "e"), "f"),
        (("e", "bfloat16", "e", "e", "bfloat16", "e"), "f"),
        (("bfloat16", "?", "?", "f", "bfloat16", "bfloat16"), "f"),
    ],
)  # fmt: skip
def test_nothing_is_rounded_before_it_is_added(dtypes: tuple[str, ...], wide: str) -> None:
    if "bfloat16" in dtypes:
        pytest.importorskip("ml_dtypes")
    for leads in (((4,), (4,)), ((), ()), ((2, 3, 1), (2, 1, 4))):
        arrays = [x.astype(d) for x, d in zip(sample(*leads), dtypes, strict=True)]
        exact = reference(*(x.astype(float) for x in arrays))
        tensors = [Tensor(x, requires_grad=x.dtype != bool) for x in arrays]
        out = form(*tensors)
        assert out.dtype == form(*arrays).dtype == np.dtype(wide)
        bound = 50 * float(np.finfo(wide).eps)
        np.testing.assert_allclose(out.numpy(), exact, bound, bound)
        out.backward()
        for tensor in tensors:
            assert tensor.grad is None or tensor.grad.dtype == tensor.dtype


@pytest.mark.parametrize(
    ("k", "shape", "message"),
    [
        (4, (5, 4), "axis 'in1_features' is 3 in weight (5, 3, 2) but 4 in weight_1 (5, 4)"),
        (5, (4, 2), "axis 'out_features' is 5 in weight (5, 3, 2) but 4 in weight_2 (4, 2)"),
        (4, (3,), "weight_1 needs 2 axes (out_features, in1_features), but has shape (3,)"),
    ],
)
def test_errors(k: int, shape: Any, message: str) -> None:
    arrays = sample((4,), (4,))
    arrays[k] = np.ones(shape)
    functions = [form, lambda *given: form(*map(Tensor, given))]
    for function in functions:
        with pytest.raises(lucid.ShapeError, match=re.escape(f"bilinear: {message}")):
            function(*arrays)


def test_they_are_options_by_name() -> None:
    arrays = sample((4,), (4,))
    with pytest.raises(TypeError, match="positional"):
        F.bilinear(*arrays)  # type: ignore[misc, unused-ignore]
    arrays[1], arrays[5] = np.tile([1.0, -1.0], (4, 1)), np.full((5, 2), np.inf)
    with (
        np.errstate(invalid="ignore"),
        lucid.detect_anomaly(),
        pytest.raises(lucid.AnomalyError, match=r"^bilinear made a NaN"),
    ):
        form(*map(Tensor, arrays))


CHOICES = [
    names
    for count in range(1, 5)
    for names in itertools.combinations(
        ("index_1", "index_2", "group", "offsets", "segment"), count
    )
    if not {"group", "offsets"} <= set(names)
]


def chosen(names: tuple[str, ...], rows: int = 7) -> tuple[dict[str, Any], list[Array]]:
    """Maps, and the arguments of a call that they go with; a group and a segment have no rows."""
    random = np.random.default_rng(0)
    sizes = {"index_1": 4, "index_2": 5, "group": 3, "segment": 5}
    maps: dict[str, Any] = {
        name: random.integers(0, size, rows) for name, size in sizes.items() if name in names
    }
    if "offsets" in names:
        maps["offsets"] = np.array([0, 2, 2, rows, rows])
    if "segment" in names:
        maps["num_segments"] = 6
    i, j, o = 2, 3, 2
    groups = (4,) if {"group", "offsets"} & set(names) else ()
    shapes = (
        (4 if "index_1" in names else rows, i), (5 if "index_2" in names else rows, j),
        (*groups, o, i, j), (*groups, o), (*groups, o, i), (*groups, o, j),
    )  # fmt: skip
    return maps, [random.standard_normal(shape) for shape in shapes]


def row_by_row(arrays: list[Array], maps: dict[str, Any], rows: int = 7) -> Array:
    x1, x2, *weights = arrays
    out = np.zeros((maps.get("num_segments", rows), weights[1].shape[-1]))
    for e in range(rows):
        group = maps["group"][e] if "group" in maps else 0
        if "offsets" in maps:
            group = np.flatnonzero(maps["offsets"] <= e)[-1]
        has_groups = weights[0].ndim == 4
        weight, bias, weight_1, weight_2 = (w[group] if has_groups else w for w in weights)
        first, second = (
            x1[maps.get("index_1", range(rows))[e]],
            x2[maps.get("index_2", range(rows))[e]],
        )
        own = np.einsum("i,oij,j->o", first, weight, second) + bias
        out[maps.get("segment", range(rows))[e]] += own + weight_1 @ first + weight_2 @ second
    return out


def of_rows(maps: dict[str, Any]) -> Callable[..., Any]:
    return lambda x1, x2, w, b, w1, w2: F.bilinear(x1, x2, w, b, weight_1=w1, weight_2=w2, **maps)


@pytest.mark.parametrize("names", CHOICES, ids="+".join)
def test_with_chosen_rows(names: tuple[str, ...]) -> None:
    maps, arrays = chosen(names)
    function, right = of_rows(maps), row_by_row(arrays, maps)
    found = function(*arrays)
    assert type(found) is np.ndarray
    assert_same(found, right)
    assert_same(function(*map(Tensor, arrays)), right)
    gradcheck(function, arrays, order=2)


def test_third_derivatives_with_chosen_rows() -> None:
    maps, arrays = chosen(("index_1", "group", "segment"), 3)
    gradcheck(of_rows(maps), arrays, order=3)


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_halves_with_chosen_rows_are_rounded_once(half: str) -> None:
    dtype = half if half == "float16" else pytest.importorskip("ml_dtypes").bfloat16
    maps, arrays = chosen(("index_1", "index_2", "group", "segment"), 60)
    arrays = [x.astype(dtype) for x in arrays]
    exact = [Tensor(x.astype(np.float64), requires_grad=True) for x in arrays]
    leaves = [Tensor(x, requires_grad=True) for x in arrays]
    function = of_rows(maps)
    out, right = function(*leaves), function(*exact)
    g = np.random.default_rng(1).standard_normal(right.shape).astype(dtype)
    found = (out, *lucid.grad(out, leaves, Tensor(g)))
    wanted = (right, *lucid.grad(right, exact, g.astype(np.float64)))
    for each, exactly in zip(found, wanted, strict=True):
        assert each.dtype == dtype
        rounded_once(each.numpy().astype(np.float64), exactly.numpy(), half)


def test_one_term_lists_and_dtypes_with_chosen_rows() -> None:
    nodes: Any = [[1.0, 2.0], [3.0, 4.0]]
    weight: Any = np.zeros((2, 1, 2, 2))
    given: Any = {"index_1": [1, 0, 1], "index_2": [0, 0, 1], "group": [1, 0, 1]}
    out: Any = F.bilinear(nodes, nodes, weight, weight_2=[[[1.0, 0.0]], [[0.0, 10.0]]], **given)
    assert type(out) is np.ndarray
    assert_same(out, np.array([[20.0], [1.0], [40.0]]))
    lists: Any = (nodes, nodes, weight.tolist())
    alone = F.bilinear(*lists, weight_1=[[[1.0, 0.0]], [[0.0, 10.0]]], **given)
    assert type(alone) is Tensor
    assert alone.tolist() == [[40.0], [1.0], [40.0]]
    whole = F.bilinear(
        *(np.asarray(x, np.int32) for x in (nodes, nodes, weight)),
        weight_1=np.array([[[1, 0]], [[0, 10]]]), **given,
    )  # fmt: skip
    assert whole.dtype == np.int64
    assert_same(whole, np.array([[40], [1], [40]]))
    tensors = [Tensor(nodes), np.array(nodes, np.float32), weight.astype(np.float32)]
    mixed = F.bilinear(*tensors, weight_1=[[[1.0, 0.0]], [[0.0, 10.0]]], **given)
    assert mixed.dtype == lucid.float32
    assert mixed.tolist() == [[40.0], [1.0], [40.0]]


@pytest.mark.parametrize(
    ("k", "shape", "message"),
    [
        (4, (2, 2), "weight_1 needs 3 axes (groups, out_features, in1_features), but has shape"),
        (4, (3, 2, 2), "axis 'groups' is 4 in weight (4, 2, 2, 3) but 3 in weight_1 (3, 2, 2)"),
        (
            5,
            (4, 2, 2),
            "axis 'in2_features' is 3 in weight (4, 2, 2, 3) but 2 in weight_2 (4, 2, 2)",
        ),
    ],
)
def test_errors_with_chosen_rows(k: int, shape: Any, message: str) -> None:
    maps, arrays = chosen(("group",))
    arrays[k] = np.ones(shape)
    function = of_rows(maps)
    for given in (arrays, list(map(Tensor, arrays))):
        with pytest.raises(lucid.ShapeError, match=re.escape(f"bilinear: {message}")):
            function(*given)
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    with pytest.raises(lucid.ShapeError, match=re.escape(f"bilinear: {message}")):
        function(*map(torch.tensor, arrays))


def test_lists() -> None:
    out = F.bilinear(
        [[1.0, 2.0]], [[3.0, 4.0]], [[[0.0, 0.0], [0.0, 1.0]]], [0.5], weight_1=[[10.0, 100.0]]
    )  # type: ignore[list-item, arg-type, unused-ignore]
    assert out.tolist() == [[218.5]]


# The layers


def test_the_layer_of_lucid() -> None:
    layer = nn.Bilinear(300, 200, 5, linear_1=True, linear_2=True, generator=lucid.Generator(0))
    shapes = {name: value.shape for name, value in layer.state_dict().items()}
    assert shapes == {
        "weight": (5, 300, 200), "bias": (5,), "weight_1": (5, 300), "weight_2": (5, 200)
    }  # fmt: skip
    for weight, features in ((layer.weight_1, 300), (layer.weight_2, 200)):
        assert weight is not None
        largest = np.abs(weight.numpy()).max() * features**0.5
        assert 0.99 < largest <= 1
    assert repr(layer) == "Bilinear(300, 200, 5, linear_1=True, linear_2=True)"
    x1, x2 = lucid.randn((4, 300)), lucid.randn((4, 200))
    parameters = layer.weight, layer.bias, layer.weight_1, layer.weight_2
    assert_same(layer(x1, x2), form(x1, x2, *parameters))
    assert set(nn.Bilinear(3, 4, 5, linear_2=True).state_dict()) == {"weight", "bias", "weight_2"}
    with pytest.raises(lucid.ArgumentError, match="Bilinear: linear_1 is 2, expected"):
        nn.Bilinear(3, 4, 5, linear_1=2)  # type: ignore[arg-type]


def test_what_a_seed_draws_is_as_before() -> None:
    drawn = [
        nn.Bilinear(3, 4, 5, linear_1=on, generator=lucid.Generator(7)) for on in (0 > 1, 1 > 0)
    ]
    assert_same(drawn[0].weight, drawn[1].weight)


# PyTorch


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch", reason="PyTorch is not installed")


def torch_form() -> Callable[..., Any]:
    from lucid.torch import bilinear

    return lambda x1, x2, w, b, w1, w2: bilinear(x1, x2, w, b, weight_1=w1, weight_2=w2)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize(("lead_1", "lead_2"), [LEADING[0], LEADING[3]])
def test_derivatives_under_torch(torch: Any, lead_1: Any, lead_2: Any) -> None:
    arrays, function = sample(lead_1, lead_2), torch_form()
    tensors = [torch.tensor(x, requires_grad=True) for x in arrays]
    np.testing.assert_allclose(function(*tensors).detach(), reference(*arrays), rtol=1e-12)
    assert torch.autograd.gradcheck(
        function, tensors, check_forward_ad=True, check_batched_grad=True
    )
    assert torch.autograd.gradgradcheck(function, tensors)
    batched = [torch.stack([x, 2 * x]).detach() for x in tensors]
    found = torch.func.vmap(function)(*batched)
    np.testing.assert_allclose(found[1], function(*(2 * x for x in tensors)).detach(), rtol=1e-10)
    assert form(*tensors).grad_fn is not None  # lucid's own function hands tensors over


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_halves_under_torch(torch: Any, half: str) -> None:
    dtype, function = getattr(torch, half), torch_form()
    leaves = [torch.tensor(x).to(dtype).requires_grad_() for x in sample((60,), (60,), (33, 22, 5))]
    exact = [Tensor(x.detach().double().numpy(), requires_grad=True) for x in leaves]
    out, right = function(*leaves), form(*exact)
    g = torch.randn(out.shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    found = (out.detach(), *torch.autograd.grad(out, leaves, g))
    wanted = (right, *lucid.grad(right, exact, g.double().numpy()))
    for each, exactly in zip(found, wanted, strict=True):
        assert each.dtype == dtype
        rounded_once(each.double().numpy(), exactly.numpy(), half)
    with torch.autocast("cpu", dtype=dtype):
        wide = [x.detach().float() for x in leaves]
        assert torch.equal(function(*wide), out)


@pytest.mark.parametrize("names", CHOICES, ids="+".join)
def test_chosen_rows_under_torch(torch: Any, names: tuple[str, ...]) -> None:
    from lucid.torch import bilinear

    maps, arrays = chosen(names)
    tensors = [torch.tensor(x, requires_grad=True) for x in arrays]
    given = {k: x if k == "num_segments" else torch.tensor(x) for k, x in maps.items()}

    def function(x1: Any, x2: Any, w: Any, b: Any, w1: Any, w2: Any) -> Any:
        return bilinear(x1, x2, w, b, weight_1=w1, weight_2=w2, **given)

    right = row_by_row(arrays, maps)
    np.testing.assert_allclose(function(*tensors).detach(), right, rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(function, tensors)
    assert torch.autograd.gradgradcheck(function, tensors)
    assert of_rows(given)(*tensors).grad_fn is not None
    halves = [x.detach().to(torch.bfloat16) for x in tensors]
    exact = function(*(x.double() for x in halves))
    rounded_once(function(*halves).double().numpy(), exact.numpy(), "bfloat16")


@pytest.mark.filterwarnings("ignore")  # PyTorch's own, of its compiler
def test_chosen_rows_are_compiled(torch: Any) -> None:
    from lucid.torch import bilinear

    maps, arrays = chosen(("index_1", "group", "segment"))
    given = {k: x if k == "num_segments" else torch.tensor(x) for k, x in maps.items()}
    tensors = [torch.tensor(x, requires_grad=True) for x in arrays]

    def loss(x1: Any, x2: Any, w: Any, b: Any, w1: Any, w2: Any) -> Any:
        return bilinear(x1, x2, w, b, weight_1=w1, weight_2=w2, **given).sin().sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    right = torch.autograd.grad(loss(*tensors), tensors)
    for each, other in zip(torch.autograd.grad(compiled(*tensors), tensors), right, strict=True):
        torch.testing.assert_close(each, other)


def test_truth_values_and_kinds_under_torch(torch: Any) -> None:
    function = torch_form()
    truth = [torch.tensor(x > 0) for x in sample((4,), (4,))]
    right = reference(*(x.numpy().astype(int) for x in truth)) > 0
    found = function(*truth)
    assert found.dtype == torch.bool
    assert (found.numpy() == right).all()
    tensors = [torch.tensor(x) for x in sample((4,), (4,))]
    with pytest.raises(lucid.DTypeError, match="bilinear: weight_1 is sparse"):
        function(*tensors[:4], tensors[4].to_sparse(), tensors[5])
    with pytest.raises(lucid.LibraryError, match=r"bilinear: .*weight_2 is a NumPy"):
        function(*tensors[:5], tensors[5].numpy())
    with pytest.raises(lucid.ShapeError, match="but 9 in weight_1"):
        function(*tensors[:4], torch.ones(5, 9, dtype=torch.float64), tensors[5])


@pytest.mark.filterwarnings("ignore")  # PyTorch's own, of its compiler
def test_compiled_and_exported(torch: Any) -> None:
    tensors, function = [torch.tensor(x) for x in sample((4,), (4,))], torch_form()
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(*tensors), function(*tensors))

    class Scores(torch.nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
        def forward(self, *given: Any) -> Any:
            return function(*given)

    program = torch.export.export(Scores(), tuple(tensors))
    torch.testing.assert_close(program.module()(*tensors), function(*tensors))


def test_the_layer_of_torch(torch: Any) -> None:
    from lucid.torch import Bilinear, swap, unswap

    layer = Bilinear(300, 200, 5, linear_1=True, linear_2=True)
    shapes = {name: tuple(value.shape) for name, value in layer.state_dict().items()}
    assert shapes == {
        "weight": (5, 300, 200), "bias": (5,), "weight_1": (5, 300), "weight_2": (5, 200)
    }  # fmt: skip
    matrices: list[Any] = [layer.weight_1, layer.weight_2]
    for weight, features in zip(matrices, (300, 200), strict=True):
        before = weight.detach().clone()
        assert 0.99 < float(before.abs().max()) * features**0.5 <= 1
        layer.reset_parameters()
        assert not torch.equal(weight, before)
    assert str(layer).endswith("bias=True, linear_1=True, linear_2=True)")
    x1, x2 = torch.randn(4, 300), torch.randn(4, 200)
    parameters = layer.weight, layer.bias, layer.weight_1, layer.weight_2
    assert torch.equal(layer(x1, x2), torch_form()(x1, x2, *parameters))
    one: Any = Bilinear(3, 4, 5, linear_1=True)
    assert one.weight_2 is None
    assert set(one.state_dict()) == {"weight", "bias", "weight_1"}
    with pytest.raises(lucid.LibraryError, match=r"^unswap: 'head' has linear terms"):
        unswap(torch.nn.ModuleDict({"head": one}))
    swapped = swap(torch.nn.Bilinear(3, 4, 5))
    assert swapped(torch.ones(2, 3), torch.ones(2, 4)).shape == (2, 5)
    assert set(Bilinear(3, 4, 5).state_dict()) == {"weight", "bias"}


# JAX


def jax_form() -> Callable[..., Any]:
    from lucid.jax import bilinear

    return lambda x1, x2, w, b, w1, w2: bilinear(x1, x2, w, b, weight_1=w1, weight_2=w2)


@pytest.mark.parametrize(("lead_1", "lead_2"), [LEADING[0], LEADING[3]])
def test_derivatives_under_jax(lead_1: Any, lead_2: Any) -> None:
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    from jax.test_util import check_grads

    arrays, function = sample(lead_1, lead_2), jax_form()
    with jax.enable_x64(True):
        given = [jax.numpy.asarray(x) for x in arrays]
        np.testing.assert_allclose(function(*given), reference(*arrays), rtol=1e-12)
        check_grads(function, given, 2)
        only = jax.jit(lambda x1, x2, w, w2: function(x1, x2, w, None, None, w2))
        arrays[3], arrays[4] = 0 * arrays[3], 0 * arrays[4]
        np.testing.assert_allclose(
            only(given[0], given[1], given[2], given[5]), reference(*arrays), rtol=1e-12
        )
        assert isinstance(form(*given), jax.Array)
        with pytest.raises(lucid.ShapeError, match="but 2 in weight_1"):
            function(*given[:4], given[5], None)


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_halves_under_jax(half: str) -> None:
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    given = [jax.numpy.asarray(x, half) for x in sample((60,), (60,), (33, 22, 5))]
    found = jax_form()(*given)
    assert found.dtype == half
    exact = reference(*(np.asarray(x).astype(np.float64) for x in given))
    rounded_once(np.asarray(found).astype(np.float64), exact, half)


def of_rows_under_jax(maps: dict[str, Any]) -> Callable[..., Any]:
    from lucid.jax import bilinear

    return lambda x1, x2, w, b, w1, w2: bilinear(x1, x2, w, b, weight_1=w1, weight_2=w2, **maps)


@pytest.mark.parametrize("names", CHOICES, ids="+".join)
def test_chosen_rows_under_jax(names: tuple[str, ...]) -> None:
    """Values, and first and second derivatives: those of lucid's own, which gradcheck has seen."""
    jax = pytest.importorskip("jax", reason="JAX is not installed")

    maps, arrays = chosen(names)
    ours, function = of_rows(maps), of_rows_under_jax(maps)
    changes = [np.cos(x) for x in arrays]

    def slopes(*given: Any) -> Any:
        return jax.grad(lambda *given: (function(*given) ** 3).sum(), range(6))(*given)

    leaves = [Tensor(x, requires_grad=True) for x in arrays]
    first = lucid.grad((ours(*leaves) ** 3).sum(), leaves, create_graph=True)
    along = sum(((g * v).sum() for g, v in zip(first, changes, strict=True)), Tensor(0.0))
    with jax.enable_x64(True):
        given, v = ([jax.numpy.asarray(x) for x in each] for each in (arrays, changes))
        right = row_by_row(arrays, maps)
        assert_same(np.asarray(function(*given)), right)
        assert_same(np.asarray(ours(*given)), right)  # handed over
        found, second = jax.jit(lambda *v: jax.jvp(slopes, tuple(given), v))(*v)
        for own, other in zip(found, first, strict=True):
            assert_same(np.asarray(own), other.numpy())
        for own, other in zip(second, lucid.grad(along, leaves), strict=True):
            assert_same(np.asarray(own), other.numpy())
        several = [jax.numpy.stack([x, 2 * x]) for x in given]
        batched = jax.jit(jax.vmap(function))(*several)
        assert_same(np.asarray(batched[0]), right)
        assert_same(np.asarray(batched[1]), row_by_row([2 * x for x in arrays], maps))


@pytest.mark.parametrize("k", [4, 5])
def test_vmap_of_one_matrix_with_chosen_rows(k: int) -> None:
    jax = pytest.importorskip("jax", reason="JAX is not installed")

    maps, arrays = chosen(("index_1", "index_2", "offsets", "segment"))
    several = [np.stack([x, -3 * x]) if n == k else x for n, x in enumerate(arrays)]
    function = jax.vmap(of_rows_under_jax(maps), [0 if n == k else None for n in range(6)])
    with jax.enable_x64(True):
        found = function(*map(jax.numpy.asarray, several))
        for own, factor in zip(found, (1, -3), strict=True):
            of_one = [factor * x if n == k else x for n, x in enumerate(arrays)]
            assert_same(np.asarray(own), row_by_row(of_one, maps))


@pytest.mark.parametrize("tile", [2 << 20, 50])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("given", [(3, 4), (3, 5), (4,), (5,), (4, 5), (3, 4, 5)])
def test_chosen_rows_under_jax_in_every_dtype(
    given: tuple[int, ...], dtype: str, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some of bias, weight_1 and weight_2; halves of results and of gradients are rounded once."""
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    from lucid.jax import _rows

    monkeypatch.setattr(_rows, "BLOCK", tile)
    jax.clear_caches()
    maps, arrays = chosen(("index_1", "index_2", "group", "segment"), 60)
    leaves = [
        jax.numpy.asarray(x, dtype) for k, x in enumerate(arrays) if k < 3 or k in given
    ]  # fmt: skip

    def called(function: Callable[..., Any], leaves: Any) -> Any:
        x1, x2, weight, *others = leaves
        own = dict(zip(given, others, strict=True))
        return function(maps)(x1, x2, weight, *(own.get(k) for k in (3, 4, 5)))

    exact = [Tensor(np.asarray(x, np.float64), requires_grad=True) for x in leaves]
    right = called(of_rows, exact)
    g = np.asarray(jax.numpy.asarray(np.cos(right.numpy()), dtype), np.float64)
    found, pull = jax.vjp(jax.jit(lambda leaves: called(of_rows_under_jax, leaves)), leaves)
    every = (found, *pull(jax.numpy.asarray(g, dtype))[0])
    wanted = (right, *lucid.grad(right, exact, Tensor(g)))
    for each, exactly in zip(every, wanted, strict=True):
        assert each.dtype == dtype
        if dtype == "float32":
            assert_same(np.asarray(each, np.float64), exactly.numpy(), rtol=1e-5, atol=1e-5)
        else:
            rounded_once(np.asarray(each, np.float64), exactly.numpy(), dtype)


def test_one_weight_and_whole_numbers_with_chosen_rows_under_jax() -> None:
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    from lucid.jax import bilinear

    nodes = np.array([[1, 2], [3, 4]], np.int32)
    given: Any = {"index_1": [1, 0, 1], "index_2": [0, 0, 1], "num_segments": 2}
    arrays = nodes, nodes, np.zeros((1, 2, 2), np.int32)
    found = bilinear(*arrays, weight_2=np.array([[0, 10]], np.int32), segment=[0, 0, 1], **given)
    assert found.dtype == "int32"
    assert found.tolist() == [[40], [40]]
    truth = [x > 0 for x in arrays]
    found = bilinear(*truth, weight_1=np.array([[True, False]]), segment=[0, 0, 0], **given)
    assert found.dtype == bool
    assert found.tolist() == [[True], [False]]
    mixed = bilinear(
        *(jax.numpy.asarray(x, "bfloat16") for x in arrays), weight_1=np.ones((1, 2), "float32"),
        index_1=[1, 1],
    )  # fmt: skip
    assert mixed.dtype == "float32"
    words = "bilinear: axis 'in1_features' is 2 in weight (1, 2, 2) but 3 in weight_1 (1, 3)"
    with pytest.raises(lucid.ShapeError, match=re.escape(words)):
        jax.jit(lambda w: bilinear(*arrays, weight_1=w, index_1=np.arange(2)))(np.ones((1, 3)))


def test_parameters_of_jax() -> None:
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    from lucid.jax import bilinear, init

    parameters = init(jax.random.key(0), 300, 200, 5, linear_1=True, linear_2=True)
    assert {name: x.shape for name, x in parameters.items()} == {
        "weight": (5, 300, 200), "bias": (5,), "weight_1": (5, 300), "weight_2": (5, 200)
    }  # fmt: skip
    for name, features in (("weight_1", 300), ("weight_2", 200)):
        assert 0.99 < float(abs(parameters[name]).max()) * features**0.5 <= 1
    np.testing.assert_array_equal(
        parameters["weight"], init(jax.random.key(0), 300, 200, 5)["weight"]
    )
    ones = jax.numpy.ones((2, 300)), jax.numpy.ones((2, 200))
    assert bilinear(*ones, **parameters).shape == (2, 5)
