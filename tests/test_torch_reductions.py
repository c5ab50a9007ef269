"""Reductions over pairs under `torch.func` and `torch.compile`: the numbers of eager mode."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import lucid

torch = pytest.importorskip("torch")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

import lucid.torch as ours  # noqa: E402

ROWS, PARTNERS, FIRST, SECOND, OUTPUTS, SIZE = 5, 7, 3, 4, 2, 3

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "logsumexp": lambda *f, target, **o: ours.bilinear_logsumexp(*f, **o),  # noqa: ARG005
    "cross_entropy": partial(ours.bilinear_cross_entropy, label_smoothing=0.1, reduction="none"),
    "mean": ours.bilinear_cross_entropy,
    "topk": lambda *f, target, **o: ours.bilinear_topk(*f, k=3, **o)[0],  # noqa: ARG005
    "max": lambda *f, target, **o: ours.bilinear_max(*f, **o).values,  # noqa: ARG005
    "rank": lambda *f, target, **o: ours.bilinear_rank(*f, target=target.clamp(min=0), **o),
}
NAMES = ("input_1", "input_2", "weight", "bias", "mask", "exclude", "group", "target")


def draw(name: str, size: tuple[int, ...], lead: tuple[int, ...] = (), groups: int = 0) -> Any:
    """An argument, of a batch where there is a size."""
    if name in ("input_1", "input_2", "weight", "bias"):
        own = {
            "input_1": (*lead, ROWS, FIRST),
            "input_2": (*lead, PARTNERS, SECOND),
            "bias": (OUTPUTS,),
            "weight": (groups, OUTPUTS, FIRST, SECOND) if groups else (OUTPUTS, FIRST, SECOND),
        }[name]  # fmt: skip
        return torch.randn(*size, *own, dtype=torch.float64)
    if name == "mask":
        return torch.rand(*size, ROWS, PARTNERS, OUTPUTS) < 0.8
    if name == "exclude":
        return torch.randint(-1, PARTNERS, (*size, ROWS, 2))
    if name == "group":
        return torch.randint(0, groups, (*size, *lead, ROWS))
    target = torch.randint(0, PARTNERS, (*size, *lead, ROWS))
    target[..., 1] = -100
    return target


def same(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def compare_vmap(function: Callable[..., Any], dims: tuple[Any, ...], given: list[Any]) -> None:
    """A batch is what its elements are, one by one."""
    found = torch.func.vmap(function, in_dims=dims)(*given)
    each = [
        function(*(x if d is None else x.select(d, k) for x, d in zip(given, dims, strict=True)))
        for k in range(SIZE)
    ]
    if isinstance(found, tuple):
        for whole, parts in zip(found, zip(*each, strict=True), strict=True):
            same(whole, torch.stack(parts))
    else:
        same(found, torch.stack(each))


BATCHED = [
    (0,), (1,), (2,), (3,), (7,), (0, 1), (0, 7), (2, 3), (1, 2), (0, 1, 2, 3, 4, 5, 6, 7),
    (4,), (5,), (6,), (0, 4, 5),
]  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("batched", BATCHED, ids=str)
def test_vmap(name: str, batched: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    groups = 3 if 6 in batched else 0
    used = [k for k in range(8) if k in batched or k in (0, 1, 2, 3, 7)]
    given = [draw(NAMES[k], (SIZE,) if k in batched else (), groups=groups) for k in used]
    dims = tuple(0 if k in batched else None for k in used)

    def function(*arguments: Any) -> Any:
        named = dict(zip((NAMES[k] for k in used), arguments, strict=True))
        factors = [named.pop(each) for each in NAMES[:4]]
        return FUNCTIONS[name](*factors, **named)

    compare_vmap(function, dims, given)
    if name == "rank":
        return
    finite = lambda *a: function(*a).clamp(-1e3, 1e3).sum()  # noqa: E731
    for count in ((0, 1, 2, 3), (0,), (1,), (2,), (3,)):
        compare_vmap(torch.func.grad(finite, count), dims, given)


@pytest.mark.parametrize("name", ["cross_entropy", "max"])
def test_vmap_over_leading_axes_and_other_dims(name: str) -> None:
    torch.manual_seed(0)
    given = [
        torch.randn(6, SIZE, ROWS, FIRST, dtype=torch.float64),
        torch.randn(2, 6, PARTNERS, SECOND, SIZE, dtype=torch.float64),
        draw("weight", ()), draw("bias", ()), torch.randint(0, PARTNERS, (2, SIZE, 6, ROWS)),
    ]  # fmt: skip
    function: Callable[..., Any] = lambda *a: FUNCTIONS[name](*a[:4], target=a[4])  # noqa: E731
    compare_vmap(function, (1, 4, None, None, 1), given)
    slopes = torch.func.grad(lambda *a: function(*a).sin().sum(), (0, 1, 2, 3))
    compare_vmap(slopes, (1, 4, None, None, 1), given)


def test_vmap_in_vmap() -> None:
    torch.manual_seed(0)
    x1, x2 = torch.randn(4, ROWS, FIRST), torch.randn(SIZE, PARTNERS, SECOND)
    weight, bias = torch.randn(4, OUTPUTS, FIRST, SECOND), torch.randn(SIZE, OUTPUTS)
    inner = torch.func.vmap(ours.bilinear_logsumexp, (None, 0, None, 0))
    found = torch.func.vmap(inner, (0, None, 0, None))(x1, x2, weight, bias)
    for k, other in itertools.product(range(4), range(SIZE)):
        each = ours.bilinear_logsumexp(x1[k], x2[other], weight[k], bias[other])
        torch.testing.assert_close(found[k, other], each)


@pytest.mark.parametrize("name", ["logsumexp", "mean", "topk"])
def test_jacobians_and_gradients(name: str) -> None:
    torch.manual_seed(0)
    given = [draw(each, ()) for each in NAMES[:4]]
    target = draw("target", ())
    function: Callable[..., Any] = lambda *f: FUNCTIONS[name](*f, target=target)  # noqa: E731
    for found, expected in zip(
        torch.func.jacrev(function, (0, 1, 2, 3))(*given),
        torch.autograd.functional.jacobian(function, tuple(given)),
        strict=True,
    ):
        same(found, expected)
    with pytest.raises(lucid.GraphError, match="no second derivatives under torch"):
        torch.func.grad(
            lambda x: torch.func.grad(lambda y: function(y, *given[1:]).sum())(x).sum()
        )(given[0])


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dynamic", [False, True])
def test_compiled_as_one_graph(name: str, dynamic: bool) -> None:
    torch.manual_seed(0)
    torch._dynamo.reset()
    options = {"mask": draw("mask", ()), "exclude": draw("exclude", ())}
    target = draw("target", ())

    def function(*factors: Any) -> Any:
        return FUNCTIONS[name](*factors, target=target, **options).clamp(-1e3, 1e3)

    compiled = torch.compile(function, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    given = [draw(each, ()).requires_grad_() for each in NAMES[:4]]
    out = compiled(*given)
    same(out, function(*given))
    if name != "rank":
        for found, expected in zip(
            torch.autograd.grad(out.sum(), given),
            torch.autograd.grad(function(*given).sum(), given),
            strict=True,
        ):
            same(found, expected)


def test_halves_keep_their_dtype_when_compiled() -> None:
    given = [draw(each, ()).to(torch.bfloat16) for each in NAMES[:4]]
    compiled = torch.compile(ours.bilinear_max, fullgraph=True, backend="aot_eager")
    found, expected = compiled(*given), ours.bilinear_max(*given)
    assert found.values.dtype == torch.bfloat16
    assert (found.values == expected.values).all()
    assert (found.indices == expected.indices).all()


def test_operators_keep_their_promises() -> None:
    torch.manual_seed(0)
    operators = torch.ops.lucid
    factors = [draw(each, ()).requires_grad_() for each in NAMES[:4]]
    rest = [draw("mask", ()), draw("exclude", ()), None]
    target, needed = draw("target", ()), [True, False, True, True]
    check = torch.library.opcheck
    check(operators.bilinear_reduced.default, (*factors, *rest, None, 0, 0.0))
    check(operators.bilinear_reduced.default, (*factors, *rest, target, -100, 0.1))
    check(operators.bilinear_best.default, (*factors, *rest, 2, "bilinear_topk"))
    plain = [each.detach() for each in factors]
    check(operators.bilinear_ranks.default, (*plain, *rest, target.clamp(min=0)))
    lse, loss = operators.bilinear_reduced(*plain, *rest, target, -100, 0.1)
    slopes = torch.randn_like(lse), torch.randn_like(loss)  # a loss itself may be infinite
    check(
        operators.bilinear_reduced_gradients.default,
        (*slopes, lse, *plain, *rest, target, -100, 0.1, needed),
    )
    values, indices = operators.bilinear_best(*plain, *rest, 2, "bilinear_topk")
    check(
        operators.bilinear_best_gradients.default,
        (torch.randn_like(values), indices, *plain, *rest, needed),
    )


def test_operators_say_that_they_have_one_order() -> None:
    torch.manual_seed(0)
    given = [draw(each, ()).requires_grad_() for each in NAMES[:4]]
    rest = (None, None, None)
    for values, _ in (
        torch.ops.lucid.bilinear_reduced(*given, *rest, None, 0, 0.0),
        torch.ops.lucid.bilinear_best(*given, *rest, 2, "bilinear_topk"),
    ):
        slopes = torch.autograd.grad(values.sin().sum(), given, create_graph=True)
        with pytest.raises(lucid.GraphError, match="no second derivatives under torch"):
            torch.autograd.grad(slopes[0].sum(), given)


@pytest.mark.parametrize("name", ["logsumexp", "cross_entropy", "topk"])
def test_who_only_watches_keeps_every_order(name: str) -> None:
    torch.manual_seed(0)
    *given, target = (draw(each, ()) for each in (*NAMES[:4], "target"))

    def second(*factors: Any) -> Any:
        out = FUNCTIONS[name](*factors, target=target)
        slopes = torch.autograd.grad(out.sin().sum(), factors, create_graph=True)
        squares = torch.stack([each.square().sum() for each in slopes]).sum()
        return torch.autograd.grad(squares, factors)

    expected = second(*(each.clone().requires_grad_() for each in given))
    with FlopCounterMode(display=False):
        same(second(*(each.clone().requires_grad_() for each in given)), expected)
    subclass: Any = type("Mine", (torch.Tensor,), {})
    of_mine = second(*(each.clone().as_subclass(subclass).requires_grad_() for each in given))
    same(tuple(each.as_subclass(torch.Tensor) for each in of_mine), expected)


def test_what_does_not_fit_is_told_in_the_callers_terms() -> None:
    x1, x2, weight = (
        torch.ones(SIZE, ROWS, FIRST),
        torch.ones(SIZE, PARTNERS, SECOND + 1),
        torch.ones(OUTPUTS, FIRST, SECOND),
    )
    with pytest.raises(lucid.ShapeError, match=r"axis 'in2_features' is 5 in input_2 \(7, 5\)"):
        torch.func.vmap(ours.bilinear_max, (0, 0, None))(x1, x2, weight)
    numbers: Any = [1.0]
    with pytest.raises(lucid.LibraryError, match="bilinear_max: weight is list"):
        torch.func.vmap(lambda x: ours.bilinear_max(x, x2[0], numbers))(x1)
    target = torch.full((SIZE, ROWS), PARTNERS)
    others = torch.ones(PARTNERS, SECOND)

    def function(x: Any, t: Any) -> Any:
        return ours.bilinear_cross_entropy(x, others, weight, target=t)

    with pytest.raises(lucid.OutOfRangeError, match="bilinear_cross_entropy: target holds 7"):
        torch.func.vmap(function)(x1, target)


@pytest.mark.parametrize("reduction", [ours.bilinear_cross_entropy, ours.bilinear_rank])
def test_a_missing_target_is_told(reduction: Callable[..., Any]) -> None:
    others, weight = torch.ones(PARTNERS, SECOND), torch.ones(OUTPUTS, FIRST, SECOND)

    def function(x: Any) -> Any:
        return reduction(x, others, weight, target=None)

    told = rf"{reduction.__name__}: target is None, expected numbers of partners: one for each row"
    with pytest.raises(lucid.ArgumentError, match=rf"{told}, of shape \(5,\)"):
        torch.func.vmap(function)(torch.ones(SIZE, ROWS, FIRST))
    with pytest.raises(lucid.ArgumentError, match=rf"{told}, of shape \(5,\)"):
        torch.compile(function, backend="aot_eager")(torch.ones(ROWS, FIRST))


@pytest.mark.parametrize("name", ["logsumexp", "cross_entropy", "topk", "max", "rank"])
def test_no_storage_is_locked(name: str) -> None:
    factors = [torch.randn(shape, requires_grad=True) for shape in ((3, 4), (5, 4), (1, 4, 4))]
    mask, target = torch.ones(3, 5, dtype=torch.bool), torch.tensor([0, 1, 2])
    options: dict[str, Any] = {"k": 2} if name == "topk" else {}
    if name in ("cross_entropy", "rank"):
        options["target"] = target
    found = getattr(lucid.torch, f"bilinear_{name}")(*factors, mask=mask, **options)
    values = found[0] if isinstance(found, tuple) else found
    if values.requires_grad:
        values.sum().backward()
    for tensor in (*factors, mask, target):
        tensor.detach().untyped_storage().resize_(0)  # raises where it is locked
