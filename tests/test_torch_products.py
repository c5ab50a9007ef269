"""bfloat16 on the CPU in products of PyTorch: pairs, and rows where the processor has AMX.

What the processor has is said by a name, so that all of it is run on any one.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the products are PyTorch's")

from test_devices import Watch  # noqa: E402

import lucid.torch  # noqa: E402
from lucid.kernels import _native, _plan, _portable, _torch, _torch_products  # noqa: E402
from lucid.kernels._layout import layout  # noqa: E402
from lucid.kernels._workspace import HalvesWorkspace  # noqa: E402

Array = Any
Case = tuple[tuple[int, ...], tuple[int, ...], int, int, int]
ROUNDING = 2.0**-8  # of a number, at most
ALL = (True, True, True)
BF16 = torch.bfloat16

PAIRS: list[Case] = [
    ((2, 7, 1), (2, 1, 6), 5, 9, 3),
    ((3, 1, 5), (1, 4, 5), 8, 3, 1),  # the first input alone, then the second, then shared
    ((4, 1), (3,), 7, 2, 6),
    ((3,), (), 4, 5, 2),
    ((2, 1, 3, 1), (2, 5, 1, 4), 6, 6, 4),
]
ROWS: list[Case] = [
    ((40,), (40,), 5, 9, 3),
    ((3, 11), (3, 11), 8, 3, 1),
    ((1,), (1,), 30, 20, 10),
    ((), (), 3, 4, 5),
]


class Exact:
    """Arguments, and what a call should give of them, in float64; with the sums of magnitudes."""

    def __init__(self, case: Case) -> None:
        leading_1, leading_2, features_1, features_2, outputs = case
        generator = torch.Generator().manual_seed(0)
        leading = torch.broadcast_shapes(leading_1, leading_2)
        shapes = (
            (*leading_1, features_1), (*leading_2, features_2),
            (outputs, features_1, features_2), (*leading, outputs), (outputs,),
        )  # fmt: skip
        drawn = [torch.randn(shape, generator=generator).to(BF16) for shape in shapes]
        self.x1, self.x2, self.weight, self.g, self.bias = drawn
        self.right = self._of([each.double() for each in drawn])
        self.magnitudes = self._of([each.double().abs() for each in drawn])

    def _of(self, factors: list[Array]) -> list[Array]:
        x1, x2, weight, g, bias = (each.requires_grad_() for each in factors)
        out = torch.einsum("...i,oij,...j->...o", x1, weight, x2)
        found = torch.autograd.grad(out, (x1, x2, weight), g)
        return [each.detach().contiguous() for each in (out, *found, out + bias)]

    def check(self, found: Array, k: int) -> None:
        """Sums in float32 of products with a factor that is rounded, in pieces twice; rounded."""
        right, magnitude = self.right[k], self.magnitudes[k]
        assert (found.dtype, found.shape) == (BF16, right.shape)
        assert found.is_contiguous()
        error = (found.double() - right).abs()
        assert (error <= 1.01 * ROUNDING * (right.abs() + 2 * magnitude)).all(), k
        if (
            right.numel() >= 1000
        ):  # two roundings are 1.4 of one; sums of halves would be 6 and more
            assert error.norm() <= 1.6 * (right.to(BF16).double() - right).norm(), k


exact = functools.cache(Exact)


@pytest.fixture(params=["avx512_bf16", "amx"])
def multiplied_by(request: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(_torch_products, "multiplied_by", request.param)
    monkeypatch.setattr(_torch_products, "LEAST", 1)
    return str(request.param)


@pytest.fixture(params=["whole", "in pieces", "in large pieces"])
def tiles(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"in pieces": (160, 100), "in large pieces": (1000, 2000)}
    if request.param in sizes:
        tile, block = sizes[request.param]
        for name in ("CPU_OF_HALVES", "CPU_WITH_TILES"):
            machine = getattr(_torch_products, name)
            monkeypatch.setattr(_torch_products, name, replace(machine, tile=tile, block=block))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done in products, and whether with a product that was kept."""
    names: list[str] = []
    forward, backward = _torch_products.bilinear, _torch_products.gradients

    def bilinear(*arguments: Any) -> Any:
        out, kept = forward(*arguments)
        names.append("forward" if kept is None else "forward, keeping")
        return out, kept

    def gradients(g: Any, x1: Any, x2: Any, weight: Any, needed: Any, kept: Any = None) -> Any:
        names.append("gradients" if kept is None else "gradients, kept")
        return backward(g, x1, x2, weight, needed, kept)

    monkeypatch.setattr(_torch_products, "bilinear", bilinear)
    monkeypatch.setattr(_torch_products, "gradients", gradients)
    return names


def test_the_comparison_can_fail() -> None:
    right = exact(PAIRS[0])
    for k in range(4):
        right.check(right.right[k].to(BF16), k)
        with pytest.raises(AssertionError):
            right.check((right.right[k] + 4 * ROUNDING * right.magnitudes[k]).to(BF16), k)


@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize("case", [*PAIRS, *ROWS], ids=str)
def test_the_form_and_its_gradients(case: Case, multiplied_by: str, counted: list[str]) -> None:
    right = exact(case)
    x1, x2, weight = right.x1, right.x2, right.weight
    right.check(_torch.bilinear(x1, x2, weight), 0)
    right.check(_torch.bilinear(x1, x2, weight, right.bias), 4)
    for needed in itertools.product((True, False), repeat=3):
        found = _torch.gradients(right.g, x1, x2, weight, needed)
        for k, each in enumerate(found):
            assert (each is None) != needed[k]
            if each is not None:
                right.check(each, k + 1)
    are_products = case in PAIRS or multiplied_by == "amx"
    are_pairs = torch.broadcast_shapes(case[0], case[1]) not in (case[0], case[1])
    if are_pairs or case in ROWS:
        assert ("forward" in counted, "gradients" in counted) == (are_products, are_products)


@pytest.mark.usefixtures("multiplied_by", "tiles")
@pytest.mark.parametrize("case", [*PAIRS, *ROWS], ids=str)
def test_every_order_with_what_it_keeps(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    right = exact(case)
    x1, x2, weight, g = right.x1, right.x2, right.weight, right.g
    split = layout(case[0], case[1])
    sizes = _plan.Sizes(*split.counts, *weight.shape)
    for order in ("outer", "left", "right") if sizes.plain else ("left", "right"):
        monkeypatch.setattr(
            _portable, "_order", functools.partial(_in_order, _portable._order, order)
        )
        monkeypatch.setattr(HalvesWorkspace, "keeps", lambda *_: True)
        out, kept = _torch_products.bilinear(x1, x2, weight, None, ALL)
        right.check(out, 0)
        found = _torch_products.gradients(g, x1, x2, weight, ALL, kept)
        for k, each in enumerate(found):
            right.check(each, k + 1)
        again = _torch_products.gradients(g, x1, x2, weight, ALL)
        if kept is not None:
            assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))
        monkeypatch.undo()


def _in_order(find: Any, order: str, work: Any, sizes: Any, needed: Any, _: Any) -> Any:
    return find(work, sizes, needed, order)


LARGE = {
    "pairs": ((16, 40, 1), (16, 1, 40), 101, 90, 12),
    "rows": ((300,), (300,), 40, 50, 60),
}


def training(case: Case, needed: tuple[bool, ...] = ALL) -> tuple[Array, list[Array], Exact]:
    right = exact(case)
    leaves = [
        each.clone().requires_grad_(wanted)
        for each, wanted in zip((right.x1, right.x2, right.weight), needed, strict=True)
    ]
    return lucid.torch.bilinear(*leaves), [each for each in leaves if each.requires_grad], right


@pytest.mark.parametrize("kind", LARGE)
def test_training_keeps_a_product(kind: str, multiplied_by: str, counted: list[str]) -> None:
    out, leaves, right = training(LARGE[kind])
    right.check(out.detach(), 0)
    found = torch.autograd.grad(out, leaves, right.g, retain_graph=True)
    for k, each in enumerate(found):
        right.check(each, k + 1)
    if kind == "rows" and multiplied_by != "amx":
        assert counted == []
        return
    assert counted == ["forward, keeping", "gradients, kept"]
    again = torch.autograd.grad(out, leaves, right.g)
    assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))


@pytest.mark.usefixtures("multiplied_by")
@pytest.mark.parametrize("kind", LARGE)
def test_what_is_kept_spares_an_operation(kind: str) -> None:
    right = exact(LARGE[kind])
    arguments = right.x1, right.x2, right.weight
    _, kept = _torch_products.bilinear(*arguments, None, ALL)
    started = []
    for each in (kept, None):
        with Watch() as watch:
            _torch_products.gradients(right.g, *arguments, ALL, each)
        started.append(sum(name in ("mm", "bmm", "mul") for name in watch.started))
    # of pairs U, dx1, dx2 and dW; of rows D, dx1, dx2 and dW, and x1 ⊗ x2 if it was not kept
    assert started == [4, 5]


def _order_of(case: Case) -> str | None:
    split = layout(case[0], case[1])
    sizes = _plan.Sizes(*split.counts, case[4], case[2], case[3])
    amx = _torch_products.multiplied_by == "amx"
    machine = _plan.CPU_WITH_TILES if amx else _plan.CPU_OF_HALVES
    return _plan.order_of_training(sizes, 2, machine)


@pytest.mark.usefixtures("multiplied_by")
@pytest.mark.parametrize("needed", list(itertools.product((True, False), repeat=3))[:-1], ids=str)
def test_what_is_kept_is_for_what_is_asked_for(needed: Any, counted: list[str]) -> None:
    out, leaves, right = training(LARGE["pairs"], needed)
    found = iter(torch.autograd.grad(out, leaves, right.g))
    for k, wanted in enumerate(needed):
        if wanted:
            right.check(next(found), k + 1)
    spared = needed[1] if _order_of(LARGE["pairs"]) == "left" else needed[0]
    if not spared or needed == ALL:
        assert counted[0] == ("forward, keeping" if spared else "forward")
    # fewer are asked for than could have been
    out, leaves, right = training(LARGE["pairs"])
    (d_weight,) = torch.autograd.grad(out, leaves[2:], right.g)
    right.check(d_weight, 3)


@pytest.mark.usefixtures("multiplied_by")
def test_derivatives_of_derivatives_and_transformations() -> None:
    right = exact(LARGE["pairs"])
    x1, x2, weight = (each.clone().requires_grad_() for each in (right.x1, right.x2, right.weight))
    (d_weight,) = torch.autograd.grad(
        lucid.torch.bilinear(x1, x2, weight), weight, right.g, create_graph=True
    )
    right.check(d_weight.detach(), 3)
    # ⟨dW, W⟩ is the form, so its gradient in x1 is dx1
    (d_1,) = torch.autograd.grad(d_weight, x1, right.weight)
    right.check(d_1, 1)
    with torch.autocast("cpu", torch.float16):  # the arguments are cast, the sums inside are not
        out = lucid.torch.bilinear(right.x1, right.x2, right.weight)
    assert out.dtype is torch.float16
    mapped = torch.func.vmap(lucid.torch.bilinear, (0, 0, None))(right.x1, right.x2, right.weight)
    right.check(mapped, 0)


def test_where_it_is_left_to_conversion(
    multiplied_by: str, counted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = exact(LARGE["pairs"])
    x1, x2, weight = right.x1, right.x2, right.weight

    def once() -> bool:
        """One call: whether it was products."""
        counted.clear()
        right.check(_torch.bilinear(x1, x2, weight), 0)
        for k, each in enumerate(_torch.gradients(right.g, x1, x2, weight)):
            right.check(each, k + 1)
        return bool(counted)

    assert once()
    monkeypatch.setattr(_torch_products, "LEAST", 1e12)
    assert not once()
    monkeypatch.setattr(_torch_products, "LEAST", 1)
    before = torch.get_num_threads(), lucid.get_num_threads()
    try:
        torch.set_num_threads(2)
        lucid.set_num_threads(1)
        assert once() == (_native.compiled is None)
    finally:
        torch.set_num_threads(before[0])
        lucid.set_num_threads(before[1])
    monkeypatch.setattr(_torch_products, "multiplied_by", None)
    assert not once()
    monkeypatch.setattr(_torch_products, "multiplied_by", multiplied_by)
    counted.clear()
    _torch.bilinear(x1.half(), x2.half(), weight.half())
    _torch.bilinear(x1, x2, weight.float())
    assert counted == []


def test_rows_that_the_kernel_declines_are_converted_only_without_its_instructions(
    instruction_set: str, counted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_torch_products, "multiplied_by", "avx512_bf16")
    right = exact(((4000,), (4000,), 90, 80, 1))
    needed = True, True, False
    found = _torch.gradients(right.g, right.x1, right.x2, right.weight, needed)
    for k, each in enumerate(found[:2]):
        right.check(each, k + 1)
    assert counted == (["gradients"] if instruction_set == "avx512_bf16" else [])
    few = exact(((9000,), (9000,), 60, 80, 1))
    _torch.gradients(few.g, few.x1, few.x2, few.weight, needed)
    assert len(counted) <= 1


@pytest.mark.usefixtures("multiplied_by")
@pytest.mark.parametrize(
    "shapes",
    [
        ((1 << 14, 64), (1 << 14, 64), (64, 64, 64)),
        ((64, 128), (64, 128), (128, 128, 128)),
        ((40, 600), (40, 600), (100, 600, 600)),
        ((1024, 64), (1024, 64), (64, 64, 64)),
        ((128, 40, 1, 101), (128, 1, 40, 101), (45, 101, 101)),
        ((64, 40, 1, 501), (64, 1, 40, 501), (1, 501, 501)),
        ((8, 300, 1, 300), (8, 1, 300, 300), (20, 300, 300)),
    ],
    ids=str,
)
def test_what_is_held_is_at_most_64_mib(shapes: Any) -> None:
    x1, x2, weight = (torch.zeros(shape, dtype=BF16) for shape in shapes)
    with Watch() as watch:
        out, kept = _torch_products.bilinear(x1, x2, weight, None, ALL)
    kept_bytes = 0 if kept is None else kept.untyped_storage().nbytes()
    assert kept_bytes <= 16 << 20
    assert watch.most - out.untyped_storage().nbytes() <= 48 << 20
    with Watch() as watch:
        found = _torch_products.gradients(out, x1, x2, weight, ALL, kept)
    results = sum(each.untyped_storage().nbytes() for each in found if each is not None)
    # the library packs a factor of a product for itself: a tile, at most
    assert watch.most - results + kept_bytes <= 56 << 20


def test_errors_are_the_same(multiplied_by: str) -> None:
    x1, x2, weight = (torch.zeros(shape, dtype=BF16) for shape in ((3, 4), (3, 5), (2, 4, 6)))
    with pytest.raises(lucid.ShapeError, match="in2_features"):
        lucid.torch.bilinear(x1, x2, weight)
    with pytest.raises(lucid.ShapeError):
        lucid.torch.bilinear(x1, x2, weight[0, 0, 0])
    with pytest.raises(lucid.ShapeError):
        lucid.torch.bilinear(x1[0, 0], x2[0, 0], weight)
    assert multiplied_by


@pytest.mark.parametrize(
    ("flags", "asked", "wanted"),
    [
        ("fpu avx512f avx512_bf16 sse", "", "avx512_bf16"),
        ("fpu avx512_bf16 amx_bf16 amx_tile amx_int8", "", "amx"),
        ("fpu avx512_bf16 amx_bf16 amx_tile", "avx512_bf16", "avx512_bf16"),
        ("fpu avx512_bf16 amx_bf16 amx_tile", "avx512", None),
        ("fpu avx512f avx512_vnni", "", None),
    ],
)
def test_what_the_processor_has_is_read(
    flags: str, asked: str, wanted: str | None, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = tmp_path / "cpuinfo"
    said.write_text(
        f"processor\t: 0\nmodel\t: 17\nflags\t\t: {flags}\nbugs\t: none\n\nprocessor\t: 1\n"
    )
    monkeypatch.setattr(_torch_products, "Path", lambda _: said)
    monkeypatch.setenv("LUCID_INSTRUCTION_SET", asked)
    assert _torch_products._found() == wanted
    said.unlink()
    assert _torch_products._found() is None


def test_the_kernel_and_the_products_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LUCID_INSTRUCTION_SET", raising=False)
    found = _torch_products._found()
    assert found in (None, "amx", "avx512_bf16")
    compiled = _native.compiled
    if compiled and Path("/proc/cpuinfo").exists():
        assert (found is not None) == ("avx512_bf16" in compiled.instruction_sets())
