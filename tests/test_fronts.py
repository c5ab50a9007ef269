"""One bilinear form on every front: each case of the table, in each library, against `einsum`.

A front makes arrays, calls the function and pulls gradients back; a case is shapes, dtypes and a
layout. PyTorch's own `bilinear` is one more front, with the cases that it defines.

The gradients compared are those of JAX, Σ g · ∂out/∂x without any conjugate. Those of lucid and
PyTorch are conj(Σ conj(g) · ∂out/∂x), so their fronts conjugate what goes in and what comes out.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from cases import CASES as OPERATIONS, Array, Shape
from layouts import LAYOUTS, Layout, expanded

import lucid
from lucid import Tensor
from lucid.nn import functional as F
from lucid.testing import assert_same

Function = Callable[..., list[Any]]

# The cases


@dataclass(frozen=True)
class Case:
    """Arguments of one call, and which derivatives of it are compared."""

    name: str
    shapes: tuple[Shape, ...]
    dtypes: tuple[str, ...] = ("float64",) * 4
    result: str = "float64"
    layout: str = "plain"
    order: int = 1

    def arrays(self) -> list[Array]:
        return [
            PLACES[self.layout](sample(shape, dtype, seed))
            for seed, (shape, dtype) in enumerate(zip(self.shapes, self.dtypes, strict=False))
        ]

    def cotangent(self) -> Array:
        """g, in the layout of the case."""
        leading = np.broadcast_shapes(*(shape[:-1] for shape in self.shapes[:2]))
        shape = (*leading, self.shapes[2][0])
        return PLACES[self.layout](sample(shape, self.result, seed=9))


def sample(shape: Shape, dtype: str, seed: int) -> Array:
    random = np.random.default_rng(seed)
    if "int" in dtype or dtype == "bool":
        return np.asarray(random.integers(0, 3, shape)).astype(dtype)
    values = np.asarray(random.standard_normal(shape))
    if "complex" in dtype:
        values = values + 1j * random.standard_normal(shape)
    return values.astype(np_dtype(dtype))


def np_dtype(name: str) -> Any:
    if name != "bfloat16":
        return np.dtype(name)
    return pytest.importorskip("ml_dtypes", reason="NumPy's bfloat16 is that of ml_dtypes").bfloat16


PLACES: dict[str, Layout] = {"plain": lambda array: array, **LAYOUTS, "expanded": expanded}

ROWS = ((4, 3), (4, 2), (5, 3, 2), (5,))
PAIRS = ((2, 1, 3), (2, 4, 2), (5, 3, 2), (1, 5))
LARGE = ((40, 20), (40, 24), (12, 20, 24), (12,))
LARGE_PAIRS = ((2, 9, 1, 20), (2, 1, 8, 24), (12, 20, 24), (12,))


def _of_one_dtype(name: str, shapes: tuple[Shape, ...], dtype: str, order: int = 1) -> Case:
    return Case(name, shapes, (dtype,) * 4, dtype, order=order)


def _of_the_table() -> Iterator[Case]:
    """What the table of all operations says of this one."""
    for case in OPERATIONS:
        if case.op is F.bilinear:
            yield Case(case.name, case.shapes, order=case.order)
            if case.complex:
                yield _of_one_dtype(f"{case.name}, complex", case.shapes, "complex128", case.order)
            if case.integer:
                yield _of_one_dtype(f"{case.name}, integers", case.shapes, "int64", 0)
            if case.empty:
                yield Case(f"{case.name}, empty", case.empty)


CASES = [
    *_of_the_table(),
    # leading axes
    Case("no bias", ROWS[:3], order=2),
    Case("no leading axes", ((3,), (2,), (5, 3, 2), (1, 5)), order=2),
    Case("one row against many", ((3,), (4, 2), (5, 3, 2))),
    Case("two leading axes", ((2, 4, 3), (2, 4, 2), (5, 3, 2), (5,))),
    Case("ranks differ", ((2, 1, 4, 3), (3, 1, 2), (5, 3, 2), (5,))),
    Case("every pair", ((2, 3, 1, 3), (2, 1, 4, 2), (5, 3, 2), (5,)), order=2),
    # sizes of zero: the sum over nothing is 0, plus the bias
    Case("no rows", ((0, 3), (0, 2), (5, 3, 2), (5,)), order=2),
    Case("no features 1", ((4, 0), (4, 2), (5, 0, 2), (5,))),
    Case("no features 2", ((4, 3), (4, 0), (5, 3, 0), (5,))),
    Case("no outputs", ((4, 3), (4, 2), (0, 3, 2), (0,))),
    Case("no pairs", ((2, 0, 1, 3), (2, 1, 4, 2), (5, 3, 2), (5,))),
    # dtypes
    *(_of_one_dtype(d, ROWS, d) for d in ("float32", "float16", "bfloat16", "complex64")),
    *(_of_one_dtype(f"pairs, {d}", PAIRS, d) for d in ("float16", "bfloat16")),
    *(_of_one_dtype(d, ROWS, d, 0) for d in ("int8", "int32", "uint8", "bool")),
    Case("single and double", ROWS, ("float32", "float64", "float32", "float32")),
    Case("half and single", ROWS, ("float16", "float32", "float16", "float16"), "float32"),
    Case("both halves", ROWS, ("float16", "bfloat16", "float16", "bfloat16"), "float32"),
    Case("integers of two sizes", ROWS, ("int32", "int64", "int8", "int32"), "int64", order=0),
    Case("real and complex", ROWS, ("float64", "complex128", "float64", "float64"), "complex128"),
    Case("pairs, real and complex", PAIRS, ("float64", "float64", "complex128", "float64"),
         "complex128"),
    Case("real and integer", ROWS, ("float32", "int8", "float32", "float32"), "float32"),
    Case("real and truth values", ROWS, ("bool", "float32", "float32", "float32"), "float32"),
    # layouts
    *(Case(layout, ROWS, layout=layout) for layout in PLACES),
    *(Case(f"large, {layout}", LARGE, layout=layout) for layout in PLACES),
    *(Case(f"large pairs, {layout}", LARGE_PAIRS, layout=layout) for layout in PLACES),
]  # fmt: skip


# The reference


def form(x1: Array, x2: Array, weight: Array, bias: Array | None = None) -> Array:
    out: Array = np.einsum("...i,oij,...j->...o", x1, weight, x2)
    return out if bias is None else out + bias.reshape(-1)


def slopes(g: Array, x1: Array, x2: Array, weight: Array, bias: Array | None = None) -> list[Array]:
    """Σ g · ∂out/∂x for each argument x."""
    found = [
        np.einsum("...o,oij,...j->...i", g, weight, x2),
        np.einsum("...o,oij,...i->...j", g, weight, x1),
        np.einsum("...o,...i,...j->...oij", g, x1, x2),
    ]
    arguments = [x1, x2, weight]
    if bias is not None:
        found, arguments = [*found, g], [*arguments, bias]
    return [summed_to(x.shape, each) for x, each in zip(arguments, found, strict=True)]


def second_slopes(v: list[Array], g: Array, *arguments: Array) -> list[Array]:
    """The same of Σ v · slopes, in each argument, and last in g.

    That sum is linear in each factor of every term: each argument's v stands in its place once.
    """
    terms = [[*arguments[:k], v[k], *arguments[k + 1 : 3]] for k in range(3)]
    found = [np.zeros_like(x) for x in arguments]
    for k, term in enumerate(terms):
        for n, slope in enumerate(slopes(g, *term)):
            if n != k:
                found[n] = found[n] + slope
    total = sum(form(*term) for term in terms)
    if len(v) == 4:
        total = total + v[3].reshape(-1)
    return [*found, np.asarray(total)]


def summed_to(shape: Shape, array: Array) -> Array:
    ones = (1,) * (len(shape) - array.ndim)
    array = array.reshape(ones + array.shape)
    new = array.ndim - len(shape)
    kept = tuple(k + new for k, size in enumerate(shape) if size == 1)
    return np.asarray(array.sum((*range(new), *kept), keepdims=True).reshape(shape))


def wide(array: Array) -> Array:
    """In double precision."""
    return np.asarray(array, np.complex128 if array.dtype.kind == "c" else np.float64)


def compare(found: Sequence[Array], expected: Sequence[Array], dtypes: Sequence[str]) -> None:
    for one, other, dtype in zip(found, expected, dtypes, strict=True):
        assert one.dtype == np_dtype(dtype)
        real = other if "complex" in dtype else other.real
        assert_same(one, real.astype(np_dtype(dtype)))


# The fronts


class Front:
    """`bilinear` by its full name, on NumPy's arrays; also what all fronts have in common."""

    library = "numpy"
    layouts = tuple(PLACES)
    has_gradients = False

    def __init__(self, function: str = "lucid.nn.functional.bilinear") -> None:
        self.module, _, self.function = function.rpartition(".")
        self.name = f"{function}, {self.library}"

    def open(self) -> None:
        """Skip if it is not installed."""
        pytest.importorskip(self.library, reason=f"{self.library} is not installed")

    @property
    def imported(self) -> Any:
        return importlib.import_module(self.library)

    def has(self, case: Case) -> bool:
        return case.layout in self.layouts

    def bilinear(self, *arrays: Any) -> Any:
        return getattr(importlib.import_module(self.module), self.function)(*arrays)

    def array(self, array: Array) -> Any:
        """An array of the front, in the memory of NumPy's where that can be."""
        return array

    def numpy(self, array: Any) -> Array:
        return np.asarray(array)

    def pull(self, function: Function, arrays: Sequence[Any], g: Sequence[Any]) -> list[Any]:
        """Σ g · ∂out/∂x for each array, itself differentiable; `function` returns a list."""
        raise NotImplementedError


class Strict(Front):
    """The referee: it has what the standard has, and refuses everything else."""

    library = "array_api_strict"

    def has(self, case: Case) -> bool:
        # no halves, no sums of truth values, no other byte order, no promotion between kinds
        kinds = {dtype.rstrip("0123456789") for dtype in case.dtypes}
        odd = {"float16", "bfloat16", "bool"} & set(case.dtypes) or case.layout == "byte-swapped"
        return not odd and ("int" not in kinds or len(kinds) == 1)

    def array(self, array: Array) -> Any:
        return self.imported.asarray(array)


class Lucid(Front):
    """Tensors over the arrays of another front, with the gradients of the tape."""

    has_gradients = True

    def __init__(self, inner: Front) -> None:
        self.inner, self.library = inner, inner.library
        super().__init__()
        self.name = f"lucid.Tensor, {self.library}"

    def has(self, case: Case) -> bool:
        return self.inner.has(case)

    def array(self, array: Array) -> Tensor:
        return lucid.asarray(self.inner.array(array))

    def numpy(self, array: Tensor) -> Array:
        """A gradient has the dtype of its argument, and the byte order."""
        values = array.numpy()
        return values.astype(values.dtype.newbyteorder("="), copy=False)

    def pull(self, function: Function, arrays: Sequence[Any], g: Sequence[Any]) -> list[Any]:
        for x in arrays:
            x.requires_grad_()
        seeds = [lucid.conj(each) for each in g]
        found = lucid.grad(function(*arrays), arrays, seeds, create_graph=True, allow_unused=True)
        pairs = zip(arrays, found, strict=True)
        return [lucid.zeros_like(x) if d is None else lucid.conj(d) for x, d in pairs]


class Torch(Front):
    """Tensors of PyTorch, with the gradients of its autograd."""

    library = "torch"
    layouts = (  # it has no negative strides, no other byte order, and warns of what is read-only
        "plain", "rows apart", "every other row", "transposed", "strided", "aligned to an element",
        "expanded",
    )  # fmt: skip
    has_gradients = True

    def open(self) -> None:
        super().open()
        if importlib.util.find_spec(self.module) is None:
            pytest.skip(f"there is no {self.module}")

    def array(self, array: Array) -> Any:
        if array.dtype.name == "bfloat16":
            return self.imported.from_numpy(array.astype(np.float32)).bfloat16()
        return self.imported.from_numpy(array)

    def numpy(self, array: Any) -> Array:
        if str(array.dtype) == "torch.bfloat16":
            return np.asarray(array.float().numpy(force=True).astype(np_dtype("bfloat16")))
        return np.asarray(array.numpy(force=True))

    def pull(self, function: Function, arrays: Sequence[Any], g: Sequence[Any]) -> list[Any]:
        for x in arrays:
            x.requires_grad_()
        found = self.imported.autograd.grad(
            function(*arrays), arrays, [each.conj() for each in g],
            create_graph=True, materialize_grads=True,
        )  # fmt: skip
        return [d.conj() for d in found]


class Peer(Torch):
    """PyTorch's own: no broadcasting, no mixed dtypes, no complex gradients, no empty features."""

    def has(self, case: Case) -> bool:
        first, second, weight, *bias = case.shapes
        return (
            super().has(case)
            and first[:-1] == second[:-1]
            and bias in ([], [weight[:1]])
            and 0 not in weight[1:]
            and set(case.dtypes) in ({"float32"}, {"float64"})
        )


class Jax(Front):
    """Arrays of JAX, with its transformations; derivatives are compiled, which is faster here."""

    library = "jax"
    layouts = ("plain",)
    has_gradients = True

    def array(self, array: Array) -> Any:
        return self.imported.numpy.asarray(array)

    def pull(self, function: Function, arrays: Sequence[Any], g: Sequence[Any]) -> list[Any]:
        run = self.imported.jit(lambda arrays, g: self.imported.vjp(function, *arrays)[1](g))
        return list(run(list(arrays), list(g)))


FRONTS = [
    Front(),
    Strict(),
    Lucid(Front()),
    Lucid(Strict()),
    Torch("lucid.torch.bilinear"),
    Torch(),
    Peer("torch.nn.functional.bilinear"),
    Jax("lucid.jax.bilinear"),
    Jax(),
]
OURS = [front for front in FRONTS if not isinstance(front, Peer)]
RECORDED = [front for front in FRONTS if front.has_gradients]


@pytest.fixture
def front(request: pytest.FixtureRequest) -> Iterator[Front]:
    """A front whose library is there; JAX's with float64."""
    front: Front = request.param
    front.open()
    if not isinstance(front, Jax):
        yield front
        return
    config = front.imported.config
    before = config.jax_enable_x64
    config.update("jax_enable_x64", True)
    yield front
    config.update("jax_enable_x64", before)


def on(fronts: list[Front], cases: list[Case]) -> pytest.MarkDecorator:
    """Each front with each case that it has."""
    return pytest.mark.parametrize(
        ("front", "case"),
        [
            pytest.param(front, case, id=f"{front.name}: {case.name}")
            for front in fronts
            for case in cases
            if front.has(case)
        ],
        indirect=["front"],
    )


def on_each(fronts: list[Front]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("front", fronts, ids=lambda front: front.name, indirect=True)


# Values and derivatives


@on(FRONTS, CASES)
def test_values(front: Front, case: Case) -> None:
    arrays = case.arrays()
    given = [front.array(x) for x in arrays]
    out = front.bilinear(*given)
    assert type(out) is type(given[0])  # what goes in comes out
    compare([front.numpy(out)], [form(*map(wide, arrays))], [case.result])


@on(RECORDED, [case for case in CASES if case.order])
def test_gradients(front: Front, case: Case) -> None:
    arrays = case.arrays()
    g = case.cotangent()
    places = [k for k, x in enumerate(arrays) if x.dtype.kind not in "iub"]
    given = [front.array(x) for x in arrays]

    def bilinear(*some: Any) -> list[Any]:
        chosen = dict(zip(places, some, strict=True))
        return [front.bilinear(*(chosen.get(k, x) for k, x in enumerate(given)))]

    found = front.pull(bilinear, [given[k] for k in places], [front.array(g)])
    expected = slopes(wide(g), *map(wide, arrays))
    compare(
        [front.numpy(d) for d in found],
        [expected[k] for k in places],
        [case.dtypes[k] for k in places],
    )


@on(RECORDED, [case for case in CASES if case.order > 1])
def test_second_derivatives(front: Front, case: Case) -> None:
    arrays, g = case.arrays(), case.cotangent()
    v = [sample(x.shape, case.result, seed) for seed, x in enumerate(arrays, 10)]

    def gradients(*arguments: Any) -> list[Any]:
        *given, g = arguments
        return front.pull(lambda *x: [front.bilinear(*x)], given, [g])

    found = front.pull(gradients, [front.array(x) for x in (*arrays, g)], list(map(front.array, v)))
    expected = second_slopes(v, g, *arrays)
    compare([front.numpy(d) for d in found], expected, [case.result] * len(expected))


@on_each(RECORDED)
@pytest.mark.parametrize("k", range(4))
def test_the_gradient_of_one_argument_alone(front: Front, k: int) -> None:
    arrays = [sample(shape, "float64", seed) for seed, shape in enumerate(ROWS)]
    g = sample((4, 5), "float64", 9)
    given = [front.array(x) for x in arrays]

    def bilinear(x: Any) -> list[Any]:
        return [front.bilinear(*given[:k], x, *given[k + 1 :])]

    (found,) = front.pull(bilinear, [given[k]], [front.array(g)])
    assert_same(front.numpy(found), slopes(g, *arrays)[k])


@on_each(FRONTS)
def test_nan_and_infinity_propagate_against_a_zero_weight(front: Front) -> None:
    for value in (np.nan, np.inf):
        x1, x2, weight = np.ones((2, 3)), np.ones((2, 2)), np.zeros((5, 3, 2))
        x1[0, 1] = value
        with np.errstate(invalid="ignore"):
            out = front.numpy(front.bilinear(*map(front.array, (x1, x2, weight))))
        assert_same(out, np.array([[np.nan] * 5, [0.0] * 5]))


@on_each(FRONTS)
def test_halves_add_up_in_float32(front: Front) -> None:
    """In halves the sum of ones stays at 2048 or 256."""
    for dtype in ("float16", "bfloat16"):
        case = Case(dtype, ((2, 4096), (2, 1), (1, 4096, 1)), (dtype,) * 3, dtype)
        if front.has(case):
            ones = [front.array(np.ones(shape, np_dtype(dtype))) for shape in case.shapes]
            assert front.numpy(front.bilinear(*ones)).astype(float).tolist() == [[4096.0]] * 2


def test_the_table_can_fail() -> None:
    class Wrong(Lucid):
        def bilinear(self, *arrays: Any) -> Any:
            return super().bilinear(*arrays[:3]) * (1 + 1e-9) + arrays[3]

    for test in (test_values, test_gradients, test_second_derivatives):
        with pytest.raises(AssertionError, match="elements differ"):
            test(Wrong(Front()), Case("rows", ROWS))


# Bad input: the words of every message


NEEDS_3 = "bilinear: weight needs 3 axes (out_features, in1_features, in2_features), but has shape "
EXPECTED_5 = (
    ", expected (5,) or (1, 5): one number for each output feature, of which weight (5, 3, 4) has 5"
)
ALIGNED = " do not broadcast; aligned at the right, each pair must be equal or contain a 1"


@on_each(OURS)
@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (
            ((4, 9), (4, 4), (5, 3, 4)),
            "bilinear: axis 'in1_features' is 9 in input_1 (4, 9) but 3 in weight (5, 3, 4)",
        ),
        (
            ((4, 3), (4, 9), (5, 3, 4)),
            "bilinear: axis 'in2_features' is 9 in input_2 (4, 9) but 4 in weight (5, 3, 4)",
        ),
        (((4, 3), (4, 4), (3, 4)), f"{NEEDS_3}(3, 4)"),
        (((4, 3), (4, 4), (1, 5, 3, 4)), f"{NEEDS_3}(1, 5, 3, 4)"),
        (
            ((), (4, 4), (5, 3, 4)),
            "bilinear: input_1 needs at least 1 axis (..., in1_features), but has shape ()",
        ),
        (
            ((4, 3), (), (5, 3, 4)),
            "bilinear: input_2 needs at least 1 axis (..., in2_features), but has shape ()",
        ),
        (
            ((2, 6, 3), (6, 2, 4), (5, 3, 4)),
            "bilinear: the leading axes (2, 6) of input_1 (2, 6, 3) and (6, 2) of input_2 "
            f"(6, 2, 4){ALIGNED}",
        ),
        (
            ((4, 3), (0, 4), (5, 3, 4)),
            "bilinear: the leading axes (4,) of input_1 (4, 3) and (0,) of input_2 (0, 4)"
            f"{ALIGNED}",
        ),
        (((5, 3), (5, 4), (5, 3, 4), (5, 5)), f"bilinear: bias has shape (5, 5){EXPECTED_5}"),
        (((4, 3), (4, 4), (5, 3, 4), (5, 1)), f"bilinear: bias has shape (5, 1){EXPECTED_5}"),
        (((4, 3), (4, 4), (5, 3, 4), (1,)), f"bilinear: bias has shape (1,){EXPECTED_5}"),
        (((4, 3), (4, 4), (5, 3, 4), ()), f"bilinear: bias has shape (){EXPECTED_5}"),
        (((4, 3), (4, 4), (5, 3, 4), (1, 1, 5)), f"bilinear: bias has shape (1, 1, 5){EXPECTED_5}"),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_the_words_for_a_wrong_shape(
    front: Front, shapes: tuple[Shape, ...], message: str, dtype: str
) -> None:
    given = [front.array(np.zeros(shape, dtype)) for shape in shapes]
    with pytest.raises(lucid.ShapeError, match=f"^{re.escape(message)}$"):
        front.bilinear(*given)


@on_each(OURS)
@pytest.mark.parametrize("which", range(3))
def test_none_is_no_array(front: Front, which: int) -> None:
    given = [front.array(np.zeros(shape)) for shape in ((4, 3), (4, 4), (5, 3, 4))]
    given[which] = None
    name = ("input_1", "input_2", "weight")[which]
    with pytest.raises(lucid.LibraryError, match=f"^bilinear: {name} is None, expected an array"):
        front.bilinear(*given)
