"""Off the CPU: how many operations a device is given, what they hold, and the sums they make.

No test needs a device. Tensors on "meta" have no numbers, so that what is done can be counted
for any size; for numbers, tensors on the CPU are taken for a device's.
"""

from __future__ import annotations

import itertools
import weakref
from dataclasses import replace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the devices are PyTorch's")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

import lucid.torch  # noqa: E402
from lucid.kernels import _pairs, _portable, _torch, _workspace  # noqa: E402
from lucid.kernels._plan import DEVICE, DEVICE_BLOCK, DEVICE_OF_HALVES, DEVICE_TILE  # noqa: E402
from lucid.torch import _compute, _device_rows, _rows  # noqa: E402

Array = Any
Shapes = tuple[tuple[int, ...], ...]

SIZES: dict[str, Shapes] = {
    "1024,64,64→64": ((1024, 64), (1024, 64), (64, 64, 64)),
    "4096,64,64→64": ((4096, 64), (4096, 64), (64, 64, 64)),
    "3872,128,64→128": ((3872, 128), (3872, 64), (128, 128, 64)),
    "16384,128,128→128": ((16384, 128), (16384, 128), (128, 128, 128)),
    "65536,64,64→256": ((65536, 64), (65536, 64), (256, 64, 64)),
    "128×40×40,101,101→45": ((128, 40, 1, 101), (128, 1, 40, 101), (45, 101, 101)),
    "64×40×40,501,501→1": ((64, 40, 1, 501), (64, 1, 40, 501), (1, 501, 501)),
}


class Watch(TorchDispatchMode):
    """Which operations are started, in which dtypes, and the most bytes that are held at once."""

    VIEWS = (
        "view", "_unsafe_view", "permute", "transpose", "t", "expand", "slice", "select",
        "unsqueeze", "squeeze", "alias", "detach", "empty",
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.started: list[str] = []
        self.products = self.held = self.most = 0
        self.dtypes: set[Any] = set()
        self._given: set[int] = set()  # storages that were there before, or are counted

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self._given.update(x.untyped_storage()._cdata for x in args if isinstance(x, torch.Tensor))
        out = function(*args, **(kwargs or {}))
        name = function.__name__.partition(".")[0]
        if name not in self.VIEWS:
            self.started.append(name)
        if name in ("mm", "bmm"):
            self.dtypes.add(out.dtype)
            self.products += args[0].shape[-1] > 1  # with a sum: others are outer products
        if isinstance(out, torch.Tensor):
            self._hold(out)
        return out

    def _hold(self, tensor: Array) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata in self._given:
            return
        self._given.add(storage._cdata)
        self.held += storage.nbytes()
        self.most = max(self.most, self.held)
        weakref.finalize(storage, self._let_go, storage._cdata, storage.nbytes())

    def _let_go(self, key: int, size: int) -> None:
        self._given.discard(key)
        self.held -= size


def on_meta(shapes: Shapes, dtype: str) -> list[Array]:
    return [torch.empty(shape, dtype=getattr(torch, dtype), device="meta") for shape in shapes]


def watched(shapes: Shapes, dtype: str) -> tuple[Watch, Watch, Array, tuple[Array, ...]]:
    """What the result takes and what the gradients take, the result and the gradients."""
    arguments = on_meta(shapes, dtype)
    with Watch() as forward:
        out = _torch.bilinear(*arguments)
    with Watch() as backward:
        found = _torch.gradients(out, *arguments)
    return forward, backward, out, found


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("size", SIZES)
def test_halves_take_few_products_and_are_not_widened(size: str, dtype: str) -> None:
    forward, backward, out, found = watched(SIZES[size], dtype)
    assert forward.dtypes | backward.dtypes == {getattr(torch, dtype)}
    assert forward.products + backward.products <= 12
    if size not in ("16384,128,128→128", "65536,64,64→256"):  # all is one tile
        assert len(forward.started) <= 4
        assert len(backward.started) <= 8
    for result, shape in zip((out, *found), ((*out.shape,), *SIZES[size]), strict=True):
        assert (result.shape, result.dtype) == (shape, out.dtype)
        assert result.is_contiguous()


@pytest.mark.parametrize("size", SIZES)
def test_float32_takes_few_products(size: str) -> None:
    forward, backward, _, _ = watched(SIZES[size], "float32")
    # x1 ⊗ x2 of 2³⁰ bytes is four tiles, each met by two products forward and four backward
    assert forward.products + backward.products <= 24
    assert len(forward.started) + len(backward.started) <= 44


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize(
    "shapes",
    [
        *SIZES.values(),
        ((1 << 20, 128), (1 << 20, 128), (128, 128, 128)),
        ((64, 1000), (64, 1000), (200, 1000, 1000)),
        ((512, 300, 1, 300), (512, 1, 300, 300), (40, 300, 300)),
    ],
    ids=str,
)
def test_what_is_held_is_a_tile_and_some_blocks(shapes: Shapes, dtype: str) -> None:
    forward, backward, out, found = watched(shapes, dtype)
    results = sum(each.untyped_storage().nbytes() for each in found)
    assert forward.most - out.untyped_storage().nbytes() <= DEVICE_TILE + 4 * DEVICE_BLOCK
    assert backward.most - results <= DEVICE_TILE + 4 * DEVICE_BLOCK


def test_a_bias_is_one_operation_more() -> None:
    x1, x2, weight, bias = on_meta((*SIZES["4096,64,64→64"], (64,)), "bfloat16")
    with Watch() as without:
        _torch.bilinear(x1, x2, weight)
    with Watch() as with_bias:
        _torch.bilinear(x1, x2, weight, bias)
    assert with_bias.started == [*without.started, "add_"]


def test_one_weight_for_each_element_is_batched_products() -> None:
    x1, x2, weight = on_meta(((64, 512, 32), (64, 512, 48), (64, 24, 32, 48)), "bfloat16")
    with Watch() as watch:
        out = _compute.bilinear(x1, x2, weight, None, each=True)
    assert out.shape == (64, 512, 24)
    assert watch.products == 2
    assert watch.dtypes == {torch.bfloat16}


def test_autocast_passes_meta_tensors() -> None:
    arguments = on_meta(SIZES["1024,64,64→64"], "float32")
    with torch.autocast("cpu", torch.bfloat16):
        assert lucid.torch.bilinear(*arguments).dtype is torch.float32


# Numbers


LEADING = [((5,), (5,)), ((2, 7, 1), (2, 1, 6)), ((4, 1), (3,)), ((3,), ()), ((0,), (0,))]
TOLERANCE = {"float64": 1e-12, "float32": 1e-5, "float16": 4e-3, "bfloat16": 3e-2}


def einsum(x1: Array, x2: Array, weight: Array) -> Array:
    return torch.einsum("...i,oij,...j->...o", x1, weight, x2)


def sample(*shapes: tuple[int, ...], dtype: str) -> list[Array]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(s, generator=generator).to(getattr(torch, dtype)) for s in shapes]


def check(found: Array, wanted: Array, dtype: str) -> None:
    assert found.dtype is getattr(torch, dtype)
    assert found.shape == wanted.shape
    assert found.is_contiguous()
    if wanted.numel():
        error = (found.double() - wanted).abs().max() / wanted.abs().max().clamp_min(1e-30)
        assert error < TOLERANCE[dtype]


def check_against_einsum(calls: Any, shapes: Shapes, dtype: str, **options: Any) -> None:
    arguments = sample(*shapes, dtype=dtype)
    exact = [each.double().requires_grad_() for each in arguments]
    wanted = einsum(*exact)
    (g,) = sample(tuple(wanted.shape), dtype=dtype)
    check(calls.bilinear(*arguments, **options), wanted.detach(), dtype)
    found = calls.gradients(g, *arguments, (True, True, True), **options)
    slopes = torch.autograd.grad(wanted, exact, g.double())
    for one, slope in zip(found, slopes, strict=True):
        check(one, slope, dtype)


@pytest.fixture(params=["whole", "in pieces"])
def device(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors on the CPU are taken for a device's, with its tiles or with tiny ones."""
    for module in (_portable, _workspace):
        monkeypatch.setattr(module, "on_cpu", lambda _: False)
    if request.param == "in pieces":
        for name, machine in (("DEVICE", DEVICE), ("DEVICE_OF_HALVES", DEVICE_OF_HALVES)):
            monkeypatch.setattr(_workspace, name, replace(machine, tile=320, block=800))


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    ("leading", "order"),
    [
        (leading, order)
        for leading, order in itertools.product(LEADING, [None, "left", "right", "outer"])
        if order != "outer" or leading[0] == leading[1]  # pairs have no outer order
    ],
)
def test_every_order_gives_the_sum(leading: Any, order: Any, dtype: str) -> None:
    shapes = ((*leading[0], 8), (*leading[1], 9), (6, 8, 9))
    check_against_einsum(_portable, shapes, dtype, order=order)


@pytest.mark.usefixtures("device")
def test_pieces_of_halves_add_up_in_float32() -> None:
    # 1 + 4096 · 2⁻¹² is 2; in float16 each addition of 2⁻¹² to 1 would be lost.
    x = torch.full((600, 64), 2.0**-6, dtype=torch.float16)
    bias = torch.ones(3, dtype=torch.float16)
    out = _portable.bilinear(x, x, torch.ones(3, 64, 64, dtype=torch.float16), bias)
    assert torch.equal(out, torch.full((600, 3), 2.0, dtype=torch.float16))


# Triton's programs, by its interpreter


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Any:
    triton = pytest.importorskip("triton", reason="the programs are Triton's")
    if not triton.knobs.runtime.interpret:
        pytest.skip("TRITON_INTERPRET=0 asks for a device")
    from lucid.kernels import _triton

    monkeypatch.setattr(_triton, "_multiprocessors", lambda _: 3)
    return _triton


@pytest.mark.parametrize("least_steps", [64, 1], ids=["one share", "several"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("sizes", [(70, 16, 32, 16), (150, 80, 16, 96), (33, 5, 7, 3)], ids=str)
def test_the_programs_give_the_sums(
    programs: Any, sizes: tuple[int, ...], dtype: str, least_steps: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(programs, "LEAST_STEPS", least_steps)
    rows, i, j, o = sizes
    check_against_einsum(programs, ((rows, i), (rows, j), (o, i, j)), dtype)


def test_the_programs_take_rows_in_parts_and_several_leading_axes(
    programs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "DEVICE_TILE", 4096)
    check_against_einsum(programs, ((3, 50, 16), (3, 50, 16), (32, 16, 16)), "float16")


def test_the_programs_take_what_is_strided(programs: Any) -> None:
    x1, x2, weight = sample((16, 70), (70, 32), (32, 16, 16), dtype="float16")
    found = programs.bilinear(x1.T, x2[:, ::2], weight.permute(2, 0, 1)[:, ::2])
    wanted = einsum(x1.T.double(), x2[:, ::2].double(), weight.permute(2, 0, 1)[:, ::2].double())
    check(found, wanted, "float16")


def test_the_programs_compute_only_what_is_needed(programs: Any) -> None:
    x1, x2, weight, g = sample((70, 16), (70, 16), (16, 16, 16), (70, 16), dtype="float16")
    everything = programs.gradients(g, x1, x2, weight, (True, True, True))
    first = programs.gradients(g, (70, 16), x2, weight, (True, False, False))
    assert torch.equal(first[0], everything[0])
    assert first[1] is first[2] is None
    last = programs.gradients(g, x1, x2, None, (False, False, True))
    assert torch.equal(last[2], everything[2])
    assert last[0] is last[1] is None


# Groups and edges, as computed where there is no compiled kernel: the CPU's tensors are taken there


KINDS = list(itertools.product((False, True), repeat=5))


@pytest.mark.parametrize("tile", [DEVICE_TILE, 4096], ids=["one tile", "many"])
@pytest.mark.parametrize("many", [4096, 20], ids=["batched", "alone"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_rows_on_a_device_are_those_of_the_kernel(
    dtype: str, many: int, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_device_rows, "MANY", many)
    monkeypatch.setattr(_device_rows, "DEVICE_TILE", tile)
    tolerance = {"float64": 1e-12, "float32": 1e-5, "bfloat16": 3e-2}[dtype]
    for has_groups, has_segments, of_1, of_2, has_bias in KINDS:
        for by_offsets in (False, True)[: 1 + has_groups]:
            factors, maps = drawn_rows(
                dtype, has_groups, has_segments, of_1, of_2, has_bias, by_offsets
            )
            found = []
            for is_device in (False, True):
                monkeypatch.setattr(_rows, "is_on_device", lambda _, where=is_device: where)
                found.append(derivatives_of_rows(factors, maps))
            for expected, actual in zip(*found, strict=True):
                assert actual.dtype == expected.dtype
                assert actual.shape == expected.shape
                largest = expected.double().abs().max()
                assert (actual.double() - expected.double()).abs().max() <= tolerance * largest


def drawn_rows(
    dtype: str, has_groups: bool, has_segments: bool, of_1: bool, of_2: bool, has_bias: bool,
    by_offsets: bool,
) -> tuple[list[Any], dict[str, Any]]:  # fmt: skip
    rows, nodes, groups = 150, 40, 7
    draw = torch.Generator().manual_seed(1)

    def numbers(*shape: int) -> Any:
        given = torch.randn(shape, generator=draw).to(getattr(torch, dtype))
        return given.requires_grad_()

    def indices(below: int) -> Any:
        return torch.randint(0, below, (rows,), generator=draw)

    leading = (groups,) if has_groups else ()
    factors = [
        numbers(nodes if of_1 else rows, 9), numbers(nodes if of_2 else rows, 7),
        numbers(*leading, 3, 9, 7), numbers(*leading, 3) if has_bias else None,
    ]  # fmt: skip
    maps: dict[str, Any] = {}
    if has_groups:
        group = indices(groups - 1)  # the last group has no rows
        if by_offsets:
            counts = group.bincount(minlength=groups)
            maps["offsets"] = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        else:
            maps["group"] = group
    if of_1:
        maps["index_1"] = indices(nodes)
    if of_2:
        maps["index_2"] = indices(nodes)
    if has_segments:
        maps |= {"segment": indices(nodes), "num_segments": nodes}
    return factors, maps


def derivatives_of_rows(factors: list[Any], maps: dict[str, Any]) -> list[Any]:
    """The result, the gradients, and what those of their squares are."""
    given = [factor for factor in factors if factor is not None]
    out = lucid.torch.bilinear(*factors, **maps)
    draw = torch.Generator().manual_seed(2)
    g = torch.randn(out.shape, generator=draw).to(out.dtype)
    slopes = torch.autograd.grad(out, given, g, create_graph=True)
    squares = sum(slope.double().square().sum() for slope in slopes)
    second = torch.autograd.grad(squares, given, allow_unused=True)
    return [out.detach(), *slopes, *(each for each in second if each is not None)]


def test_reductions_on_a_device_take_large_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = torch.Generator().manual_seed(3)
    shapes = (5000, 8), (3000, 8), (2, 8, 8)
    factors = [torch.randn(shape, generator=draw).requires_grad_() for shape in shapes]
    found = []
    for is_near in (True, False):
        monkeypatch.setattr(_pairs, "on_cpu", lambda _, where=is_near: where)
        lse = lucid.torch.bilinear_logsumexp(*factors)
        found.append([lse, *torch.autograd.grad(lse.sum(), factors)])
    for expected, actual in zip(*found, strict=True):
        assert torch.allclose(expected, actual, rtol=1e-4, atol=1e-3)
    x1, x2, weight = (factor.detach() for factor in factors)
    pairs = _pairs.check_pairs("", x1, x2, weight, None, None, None, None)
    few = sum(1 for _ in pairs.blocks(4)) * -(-3000 // pairs.steps(4).partners)
    monkeypatch.undo()
    many = sum(1 for _ in pairs.blocks(4)) * -(-3000 // pairs.steps(4).partners)
    assert few == 1
    assert many > 20
