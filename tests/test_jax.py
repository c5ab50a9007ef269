"""What only JAX has: its transformations, tracing, dtypes and devices, with and without the kernel.

The values and gradients of many shapes, on all fronts alike, are those of the common table.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest

import lucid
from lucid.testing import assert_same

jax: Any = pytest.importorskip("jax", reason="JAX is not installed")
jnp = jax.numpy

from lucid.jax import _native, _portable, _solve, bilinear, init  # noqa: E402

Array = Any
SHAPES = [
    ((6,), (6,)),
    ((2, 3), (2, 3)),
    ((2, 3, 1), (2, 1, 4)),
    ((), (5,)),
    ((), ()),
    ((2, 1), (3,)),
]


def einsum(input_1: Array, input_2: Array, weight: Array, bias: Array | None = None) -> Array:
    out = jnp.einsum("...i,oij,...j->...o", input_1, weight, input_2)
    return out if bias is None else out + bias


def same(found: Any, expected: Any) -> None:
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert_same(np.asarray(one), np.asarray(other))


def loss(function: Callable[..., Array]) -> Callable[..., Array]:
    return lambda *given: jnp.sum(jnp.sin(function(*given)))


def gradient(function: Callable[..., Array]) -> Callable[..., Array]:
    """A scalar again, of all gradients of a scalar."""

    def total(*given: Array) -> Array:
        return sum(jnp.sum(jnp.cos(d)) for d in jax.grad(function, range(len(given)))(*given))

    return total


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.fixture(params=["compiled", "portable"], scope="module")
def path(request: pytest.FixtureRequest) -> str:
    """Computed by the compiled kernel, or in JAX's own operations; one after the other."""
    if request.param == "compiled" and not _native.is_there():
        pytest.skip("the compiled kernel is not there, or not for this XLA")
    return str(request.param)


traced = [""]  # the path for which JAX has traced and compiled


@pytest.fixture(autouse=True)
def _on_the_path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = request.getfixturevalue("path") if "path" in request.fixturenames else "compiled"
    if asked == "portable":
        monkeypatch.setattr(_native, "is_there", lambda: False)
    if traced != [asked]:
        jax.clear_caches()
        traced[:] = [asked]


def arrays(
    random: np.random.Generator, leading: Any = ((6,), (6,)), sizes: Any = (3, 4, 5)
) -> tuple[Array, ...]:
    (lead_1, lead_2), (in1, in2, out) = leading, sizes
    shapes = (*lead_1, in1), (*lead_2, in2), (out, in1, in2)
    return tuple(jnp.asarray(random.standard_normal(shape)) for shape in shapes)


# Transformations


@pytest.mark.parametrize("leading", SHAPES)
@pytest.mark.usefixtures("path")
def test_derivatives(random: np.random.Generator, leading: Any) -> None:
    given, changes = arrays(random, leading), arrays(random, leading)
    same(jax.jit(bilinear)(*given), einsum(*given))
    same(jax.jvp(bilinear, given, changes), jax.jvp(einsum, given, changes))
    first, second = loss(bilinear), gradient(loss(bilinear))
    first_of, second_of = loss(einsum), gradient(loss(einsum))
    everything = (0, 1, 2)
    for function, reference in ((first, first_of), (second, second_of)):
        found = jax.jit(jax.value_and_grad(function, everything))(*given)
        same(found, jax.value_and_grad(reference, everything)(*given))


@pytest.mark.usefixtures("path")
def test_third_derivatives(random: np.random.Generator) -> None:
    for leading in (((2,), (2,)), ((2, 1), (1, 2))):
        given = arrays(random, leading, (2, 3, 2))
        third = [gradient(gradient(gradient(loss(f)))) for f in (bilinear, einsum)]
        same(*(jax.jit(each)(*given) for each in third))


@pytest.mark.parametrize("leading", [((2,), (2,)), ((2, 1), (3,))])
@pytest.mark.parametrize("make", [jax.jacfwd, jax.jacrev])
@pytest.mark.usefixtures("path")
def test_jacobians(random: np.random.Generator, leading: Any, make: Any) -> None:
    given = arrays(random, leading)
    same(make(bilinear, (0, 1, 2))(*given), make(einsum, (0, 1, 2))(*given))


@pytest.mark.usefixtures("path")
def test_hessian_and_linearize(random: np.random.Generator) -> None:
    given, changes = arrays(random, ((2,), (2,))), arrays(random, ((2,), (2,)))
    found = jax.hessian(loss(bilinear), (0, 1, 2))(*given)
    same(found, jax.hessian(loss(einsum), (0, 1, 2))(*given))
    x1, *others = given
    ways: list[Any] = [
        lambda f: jax.linearize(f, *given)[1](*changes),
        lambda f: jax.linear_transpose(lambda x: f(x, *others), x1)(jnp.ones((2, 5))),
        lambda f: jax.grad(jax.checkpoint(loss(f)), (0, 1, 2))(*given),
    ]
    for function in ways:
        same(function(bilinear), function(einsum))


AXES = [axes for axes in product((None, 0, 1), repeat=3) if any(a is not None for a in axes)]


@pytest.mark.parametrize("axes", AXES)
def test_vmap(random: np.random.Generator, axes: Any) -> None:
    given = [
        x if axis is None else jnp.stack([x, 2 * x, -x], axis)
        for x, axis in zip(arrays(random, ((2,), (2,))), axes, strict=True)
    ]
    ways: list[Any] = [
        lambda f: jax.vmap(f, axes),
        lambda f: jax.vmap(jax.grad(loss(f), (0, 1, 2)), axes),
        lambda f: jax.grad(loss(jax.vmap(f, axes)), (0, 1, 2)),
    ]
    for make in ways:
        same(jax.jit(make(bilinear))(*given), make(einsum)(*given))


def test_vmap_is_no_loop(random: np.random.Generator) -> None:
    x1, x2, weight = arrays(random, ((7, 6), (7, 6)))
    over_rows = jax.vmap(jax.grad(loss(bilinear), (0, 1, 2)), (0, 0, None))
    for mapped in (jax.vmap(bilinear, (0, 0, None)), over_rows):
        assert "scan" not in str(jax.make_jaxpr(mapped)(x1, x2, weight))
        text = jax.jit(mapped).lower(x1, x2, weight).as_text()
        assert "while" not in text


def test_backward_is_one_joint_contraction_of_the_arguments(random: np.random.Generator) -> None:
    given = arrays(random)
    traced = jax.make_jaxpr(jax.grad(loss(bilinear), (0, 1, 2)))(*given)
    assert str(traced).count("lucid_contract") == 2
    assert str(traced).count("wanted=(1, 2, 3)") == 1
    _, pull = jax.vjp(bilinear, *given)
    kept = [x.shape for x in jax.tree.leaves(pull)]
    assert sorted(kept) == sorted(x.shape for x in given)


@pytest.mark.parametrize("k", range(3))
def test_gradients_that_only_one_argument_changes(random: np.random.Generator, k: int) -> None:
    given = arrays(random)
    for total in (lambda f: lambda *x: f(*x).sum(), loss):
        slopes = [jax.grad(total(f), (0, 1, 2)) for f in (bilinear, einsum)]
        same(*(jax.jacfwd(each, k)(*given) for each in slopes))
        same(*(jax.jacrev(each, k)(*given) for each in slopes))


# Dtypes


@pytest.mark.usefixtures("path")
def test_bias_and_input_used_twice(random: np.random.Generator) -> None:
    x, _, weight = arrays(random, sizes=(3, 3, 5))
    for bias in (jnp.arange(5.0), jnp.arange(5.0)[None]):
        same(bilinear(x, x, weight, bias), einsum(x, x, weight, bias))
        found, expected = (
            jax.grad(lambda x, b, f=f: loss(f)(x, x, weight, b), (0, 1))(x, bias)
            for f in (bilinear, einsum)
        )
        same(found, expected)


@pytest.mark.usefixtures("path")
def test_complex_gradients_are_those_of_jax(random: np.random.Generator) -> None:
    given = [x + 1j * y for x, y in zip(arrays(random), arrays(random), strict=True)]
    ways: list[Any] = [
        lambda f: jax.grad(lambda *x: jnp.sum(jnp.abs(f(*x)) ** 2), (0, 1, 2)),
        lambda f: jax.grad(lambda *x: jnp.sum(f(*x) ** 2), (0, 1, 2), holomorphic=True),
    ]
    for make in ways:
        same(make(bilinear)(*given), make(einsum)(*given))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.usefixtures("path")
def test_halves_add_up_in_float32(dtype: str) -> None:
    n = 4096  # in halves the sum of ones stays at 2048 or 256
    one = [jnp.ones(shape, dtype) for shape in ((2, n), (2, 2), (1, n, 2))]
    out = bilinear(*one)
    assert out.dtype == dtype
    assert out.tolist() == [[2 * n]] * 2
    grads = jax.grad(lambda *x: bilinear(*x).sum().astype("float32"), (0, 1, 2))(*one)
    assert [g.dtype for g in grads] == [dtype] * 3
    assert grads[1].tolist() == [[n, n]] * 2


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.usefixtures("path")
def test_halves_are_read_exactly_and_rounded_to_even(
    random: np.random.Generator, dtype: str
) -> None:
    one = jnp.ones((1, 1, 1), "float32")
    every = jax.lax.bitcast_convert_type(jnp.arange(1 << 16, dtype="uint16"), dtype)
    halves = every[jnp.isfinite(every) & (jnp.abs(every) > (0 if dtype == "float16" else 1e-37))]
    read = bilinear(halves[:, None], jnp.ones((halves.size, 1), "float32"), one)
    np.testing.assert_array_equal(read[:, 0], halves.astype("float32"))

    powers = 2.0 ** random.uniform(-30, 17, 100_000)
    middles = (halves[1:].astype("float32") + halves[:-1].astype("float32")) / 2
    numbers = jnp.concatenate([jnp.asarray(powers, "float32"), -middles, jnp.full(1, jnp.nan)])
    numbers = numbers.astype("float32")
    _, pull = jax.vjp(
        lambda x: bilinear(numbers[:, None], x, one), jnp.ones((numbers.size, 1), dtype)
    )
    (rounded,) = pull(jnp.ones((numbers.size, 1), "float32"))
    assert rounded.dtype == dtype
    np.testing.assert_array_equal(
        rounded[:, 0].astype("float32"), numbers.astype(dtype).astype("float32")
    )


def test_dtypes_promote_as_in_jax() -> None:
    f16, bf16 = jnp.ones((2, 3), "float16"), jnp.ones((2, 4), "bfloat16")
    assert bilinear(f16, bf16, jnp.ones((5, 3, 4), "int64")).dtype == "float32"
    whole = bilinear(*(jnp.full(s, 3, "int32") for s in ((2, 3), (2, 4), (5, 3, 4))))
    assert whole.dtype == "int32"
    assert whole.tolist() == [[324] * 5] * 2
    truth = bilinear(*(jnp.ones(s, bool) for s in ((2, 3), (2, 4), (5, 3, 4))))
    assert truth.dtype == bool
    assert truth.all()
    with pytest.raises(TypeError, match="real- or complex-valued inputs"):
        jax.grad(lambda x: bilinear(x, x, jnp.ones((1, 3, 3))).sum())(jnp.ones((2, 3), "int32"))


# Sizes and memory


@pytest.mark.parametrize("empty", range(4))
@pytest.mark.usefixtures("path")
def test_empty_sizes(empty: int) -> None:
    n, i, j, o = (0 if k == empty else k + 2 for k in range(4))
    given: list[Any] = [jnp.ones(shape) for shape in ((n, i), (n, j), (o, i, j))]
    bias = jnp.full(o, 7.0)
    with_bias = (*given, bias)
    same(bilinear(*with_bias), einsum(*with_bias))
    same(jax.grad(loss(bilinear), (0, 1, 2))(*given), jax.grad(loss(einsum), (0, 1, 2))(*given))


def test_errors_are_in_the_words_of_lucid() -> None:
    message = r"^bilinear: axis 'in1_features' is 9 in input_1 \(4, 9\) but 3 in weight \(5, 3, 4\)"
    for call in (bilinear, jax.jit(bilinear)):
        with pytest.raises(lucid.ShapeError, match=message):
            call(jnp.ones((4, 9)), jnp.ones((4, 4)), jnp.ones((5, 3, 4)))
    with pytest.raises(lucid.ShapeError, match=r"^bilinear: bias has shape \(2, 2\)"):
        bilinear(jnp.ones((2, 3)), jnp.ones((2, 4)), jnp.ones((2, 3, 4)), jnp.ones((2, 2)))


@pytest.mark.parametrize("room", [64, 400, 5000])
@pytest.mark.parametrize(
    ("leading", "sizes"),
    [
        (((13,), (13,)), (3, 4, 5)),
        (((13,), (13,)), (7, 4, 1)),
        (((13,), (13,)), (3, 9, 40)),
        (((5, 3, 1), (5, 1, 4)), (3, 4, 5)),
        (((7, 1), (6,)), (3, 4, 5)),
    ],
)
def test_blocks(
    monkeypatch: pytest.MonkeyPatch, random: np.random.Generator,
    room: int, leading: Any, sizes: Any,
) -> None:  # fmt: skip
    monkeypatch.setattr(_native, "is_there", lambda: False)
    monkeypatch.setattr(_portable, "ROOM", room)
    jax.clear_caches()
    given = arrays(random, leading, sizes)
    for make in (jax.jit, lambda f: jax.grad(loss(f), (0, 1, 2))):
        same(make(bilinear)(*given), make(einsum)(*given))
    jax.clear_caches()


@pytest.mark.parametrize(
    ("rows", "sizes"), [(100_000, (32, 32, 32)), (4096, (64, 64, 400)), (100_000, (200, 300, 1))]
)
def test_memory_does_not_grow_with_what_is_multiplied(path: str, rows: int, sizes: Any) -> None:
    in1, in2, out = sizes
    types = [jax.ShapeDtypeStruct(shape, "float32")
             for shape in ((rows, in1), (rows, in2), (out, in1, in2))]  # fmt: skip
    forward = jax.jit(bilinear).lower(*types).compile().memory_analysis()
    both = jax.jit(jax.value_and_grad(lambda *x: bilinear(*x).sum(), (0, 1, 2)))
    backward = both.lower(*types).compile().memory_analysis()
    result = 4 * rows * out
    if path == "compiled":
        assert forward.temp_size_in_bytes < 1 << 16
        assert backward.temp_size_in_bytes < 2 * result + (1 << 16)
    else:  # g is one of what is held
        assert forward.temp_size_in_bytes < 64 << 20
        assert backward.temp_size_in_bytes < (64 << 20) + 2 * result


PARTS = [
    (((13,), (13,)), (3, 4, 5)),
    (((3, 1, 5), (1, 4, 5)), (4, 2, 3)),  # the shared axis last
    (((7, 1), (6,)), (3, 9, 40)),
]
DTYPES = [
    ("float32", "float32", "float32"),
    ("float16", "float16", "float16"),
    ("bfloat16", "float32", "float32"),
    ("float32", "float64", "bfloat16"),
    ("float16", "bfloat16", "float16"),
    ("int32", "int32", "int32"),
    ("int8", "float32", "float16"),
    ("bool", "bool", "bool"),
    ("complex64", "float32", "complex64"),
]


def whole_numbers(random: np.random.Generator, shapes: Any, dtypes: Any) -> list[Array]:
    return [
        jnp.asarray(random.integers(0 if dtype == "bool" else -2, 3, shape)).astype(dtype)
        for shape, dtype in zip(shapes, dtypes, strict=True)
    ]


@pytest.mark.parametrize("dtypes", DTYPES, ids=str)
@pytest.mark.usefixtures("path")
def test_parts_give_the_sums_and_round_them_once(
    monkeypatch: pytest.MonkeyPatch, random: np.random.Generator, dtypes: Any
) -> None:
    monkeypatch.setattr(_solve, "ROOM", 200)
    jax.clear_caches()
    for (lead_1, lead_2), (in1, in2, out) in PARTS:
        shapes = (*lead_1, in1), (*lead_2, in2), (out, in1, in2)
        given = whole_numbers(random, shapes, dtypes)
        dtype = jnp.result_type(*given)
        wide: Any = [x.astype("complex128" if "complex64" in dtypes else "float64") for x in given]
        exact, pull = jax.vjp(einsum, *wide)
        found = jax.jit(bilinear)(*given)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, exact.astype(dtype))
        floating = [k for k, x in enumerate(given) if jnp.issubdtype(x.dtype, jnp.inexact)]
        if not floating or not jnp.issubdtype(dtype, jnp.floating):
            continue
        (g,) = whole_numbers(random, (exact.shape,), (dtype,))
        slopes = jax.jit(lambda g, *given: jax.vjp(bilinear, *given)[1](g))(g, *given)
        for k, slope in enumerate(pull(g.astype("float64"))):
            if k in floating:
                assert slopes[k].dtype == given[k].dtype
                np.testing.assert_array_equal(slopes[k], slope.astype(given[k].dtype))
    jax.clear_caches()


@pytest.mark.parametrize(
    "axes", [(0, 0, 0), (None, 0, 0), (0, None, 0), (None, None, 0), (0, 1, 2)]
)
@pytest.mark.usefixtures("path")
def test_parts_of_a_weight_for_each_element(
    monkeypatch: pytest.MonkeyPatch, random: np.random.Generator, axes: Any
) -> None:
    monkeypatch.setattr(_solve, "ROOM", 400)
    monkeypatch.setattr(_portable, "ROOM", 400)
    jax.clear_caches()
    for leading in (((9,), (9,)), ((4, 1), (1, 3))):
        given = [
            x if axis is None else jnp.stack([x, 2 * x, -x], axis)
            for x, axis in zip(arrays(random, leading), axes, strict=True)
        ]
        for make in (jax.vmap, lambda f, axes: jax.vmap(jax.grad(loss(f), (0, 1, 2)), axes)):
            same(jax.jit(make(bilinear, axes))(*given), make(einsum, axes)(*given))
    jax.clear_caches()


N = 3_000_000
LARGE = {
    "rows": (((N,), (N,)), ("float32",) * 3),
    "rows of halves": (((N,), (N,)), ("bfloat16",) * 3),
    "rows of integers": (((N,), (N,)), ("int32",) * 3),
    "rows of two dtypes": (((N,), (N,)), ("bfloat16", "float32", "float32")),
    "pairs": (((48, 250, 1), (48, 1, 250)), ("float32",) * 3),
    "pairs of halves": (((48, 250, 1), (48, 1, 250)), ("float16",) * 3),
    "pairs of integers": (((48, 250, 1), (48, 1, 250)), ("int32",) * 3),
    "pairs in another order": (((250, 1, 48), (1, 250, 48)), ("float32",) * 3),
    "pairs of all": (((1700, 1), (1700,)), ("float16",) * 3),
}


@pytest.mark.parametrize("name", LARGE)
def test_memory_beside_arguments_and_results(path: str, name: str) -> None:
    (lead_1, lead_2), dtypes = LARGE[name]
    shapes = (*lead_1, 8), (*lead_2, 8), (16, 8, 8)
    types = [jax.ShapeDtypeStruct(shape, dt) for shape, dt in zip(shapes, dtypes, strict=True)]
    result = jax.eval_shape(bilinear, *types)
    compiled = [jax.jit(bilinear).lower(*types).compile()]
    if jnp.issubdtype(result.dtype, jnp.floating):
        pull = jax.jit(lambda g, *given: jax.vjp(bilinear, *given)[1](g))
        compiled.append(pull.lower(result, *types).compile())
    most = 64 << 20
    if path == "portable":  # XLA's own: a copy of the bits of what is bfloat16
        brains = [each for each in (*types, result) if each.dtype == jnp.bfloat16]
        most += sum(2 * int(np.prod(each.shape)) for each in brains)
    forward, *backward = [each.memory_analysis().temp_size_in_bytes for each in compiled]
    assert forward <= most
    assert not backward or backward[0] <= most


def test_another_version_of_the_interface_is_declined(monkeypatch: pytest.MonkeyPatch) -> None:
    if not _native.is_there():
        pytest.skip("there is no compiled kernel")

    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("FFI handler has an unsupported API version")

    monkeypatch.setattr(jax.ffi, "register_ffi_target", refuse)
    assert not _native.is_there.__wrapped__()


# Devices


def on_two_devices(code: str) -> None:
    """Run a script in a process of its own, whose processor is two devices."""
    start = """
        import jax, jax.numpy as jnp, numpy as np
        from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
        from lucid.jax import _native, bilinear
        random = np.random.default_rng(0)
        given = [jnp.array(random.standard_normal(s), "float32")
                 for s in ((8, 3), (8, 4), (6, 3, 4))]
        def einsum(*x): return jnp.einsum("ni,nj,oij->no", *x)
        def loss(f): return lambda *x: jnp.sum(f(*x) ** 2)
        def grads(f): return jax.jit(jax.grad(loss(f), (0, 1, 2)))
        def same(a, b):
            for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
                np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-4)
        def put(mesh, specs):
            return [jax.device_put(x, NamedSharding(mesh, s))
                    for x, s in zip(given, specs, strict=True)]
    """
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    script = textwrap.dedent(start) + textwrap.dedent(code)
    done = subprocess.run(  # noqa: S603 (our own text)
        [sys.executable, "-W", "error", "-c", script],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
def test_on_several_devices(kind: str) -> None:
    on_two_devices(f"""
        mesh = jax.make_mesh((2,), ("d",), axis_types=(AxisType.{kind},))
        specs = P("d"), P("d"), P()
        with jax.set_mesh(mesh):
            own = jax.shard_map(bilinear, mesh=mesh, in_specs=specs, out_specs=P("d"))
            there = put(mesh, specs)
            same(jax.jit(own)(*there), einsum(*given))
            same(grads(own)(*there), grads(einsum)(*given))
            calls = jax.jit(own).lower(*there).as_text().count("lucid_contract_1")
            assert bool(calls) == _native.is_there()
        for specs in ((P("d"), P("d"), P()), (P(), P(), P("d")), (P("d"), P(), P())):
            there = put(mesh, specs)
            out = jax.jit(bilinear)(*there)
            assert "d" in str(out.sharding.spec)
            for result in (out, bilinear(*there)):
                same(result, einsum(*given))
            same(grads(bilinear)(*there), grads(einsum)(*given))
    """)


# Parameters


@pytest.mark.parametrize("bias", [True, False])
def test_init(bias: bool) -> None:
    parameters = init(jax.random.key(0), 30, 40, 50, bias=bias, dtype="float32")
    assert set(parameters) == ({"weight", "bias"} if bias else {"weight"})
    assert parameters["weight"].shape == (50, 30, 40)
    assert parameters["weight"].dtype == "float32"
    assert abs(float(jnp.var(parameters["weight"])) * 1200 - 1) < 0.02
    x1, x2 = (jax.random.normal(jax.random.key(k), (64, n)) for k, n in ((1, 30), (2, 40)))
    assert abs(float(jnp.var(bilinear(x1, x2, **parameters))) - 1) < 0.1
    with pytest.raises(lucid.ArgumentError, match="init: out_features is -1, expected a whole"):
        init(jax.random.key(0), 1, 2, -1)


def test_importing_lucid_does_not_import_jax() -> None:
    code = "import sys, lucid, lucid.nn; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 (our own text)


def test_a_parameter_of_nnx_is_an_array() -> None:
    nnx = pytest.importorskip("flax.nnx", reason="flax is not installed")
    x1, x2, weight = (
        jnp.arange(np.prod(shape)).reshape(shape) / 7 for shape in ((2, 3), (2, 4), (5, 3, 4))
    )
    bias = jnp.arange(5.0)
    right = lucid.jax.bilinear(x1, x2, weight, bias)
    found = lucid.jax.bilinear(x1, x2, nnx.Param(weight), nnx.Param(bias))
    np.testing.assert_array_equal(found, right)
    assert np.abs(right).max() > 1

    def loss(parameter: Any) -> Any:
        return lucid.jax.bilinear(x1, x2, parameter).sum()

    slope = jax.grad(loss)(nnx.Param(weight))
    np.testing.assert_allclose(slope[...], jax.grad(loss)(weight))
