"""lucid.jax under plain `jit`, of arrays divided over eight devices: nothing is gathered."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

pytest.importorskip("jax", reason="JAX is not installed")

START = """
import re, itertools
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from lucid.jax import _native, bilinear

jax.config.update("jax_enable_x64", True)
mesh = jax.make_mesh((4, 2), ("d", "e"), axis_types=(AxisType.Auto,) * 2)
random = np.random.default_rng(0)


def drawn(*shapes):
    return [random.standard_normal(shape) for shape in shapes]


def einsum(*x):
    return jnp.einsum("...i,...j,oij->...o", *x)


def gradients(f):
    return lambda g, *x: jax.vjp(f, *x)[1](g)


def put(given, specs, mesh=mesh):
    return [jax.device_put(x, NamedSharding(mesh, s)) for x, s in zip(given, specs, strict=True)]


def check(f, right, given, specs, results=None, sums=None, calls=1, tolerance=1e-10, mesh=mesh):
    "Numbers, how results are divided, what is sent, and that each device calls the kernel."
    there = put(given, specs, mesh)
    compiled = jax.jit(f).lower(*there).compile()
    text = compiled.as_text()
    sent = re.findall(r"(all-gather|all-reduce|all-to-all|collective-permute)[a-z-]*[(]", text)
    assert set(sent) <= {"all-reduce"}, (specs, sent)
    assert sums is None or bool(sent) == sums, (specs, sent)
    assert text.count('custom_call_target="lucid_contract') == calls * _native.is_there(), specs
    found = jax.tree.leaves(compiled(*there))
    if results is not None:
        for x, spec in zip(found, results, strict=True):
            wanted = NamedSharding(mesh, spec)
            assert x.sharding.is_equivalent_to(wanted, x.ndim), (specs, x.sharding)
    for x, y in zip(found, jax.tree.leaves(right(*given)), strict=True):
        np.testing.assert_allclose(
            np.asarray(x, float), np.asarray(y, float), rtol=tolerance, atol=tolerance
        )
"""


def on_eight_devices(code: str) -> None:
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    done = subprocess.run(  # noqa: S603 (our own text)
        [sys.executable, "-W", "error", "-c", START + textwrap.dedent(code)],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_form_and_its_gradients() -> None:
    on_eight_devices("""
        rows = drawn((16, 8), (16, 4), (24, 8, 4))
        pairs = drawn((4, 8, 1, 8), (4, 1, 6, 4), (24, 8, 4))
        D, whole = P("d"), P()
        for given, specs, out, of_inputs, forward, backward in (
            (rows, (D, D, whole), D, (D, D, whole), False, True),
            (rows, (whole, whole, D), P(None, "d"), (whole, whole, D), False, True),
            (rows, (P(None, "d"), whole, P(None, "d")), whole,
             (P(None, "d"), whole, P(None, "d")), True, True),
            (rows, (whole, P(None, "d"), P(None, None, "d")), whole,
             (whole, P(None, "d"), P(None, None, "d")), True, True),
            (rows, (D, D, P("e")), P("d", "e"), (D, D, P("e")), False, True),
            (rows, (P("d", "e"), D, P(None, "e")), D, (P("d", "e"), D, P(None, "e")), True, True),
            (rows, (P(("d", "e")),) * 2 + (whole,), P(("d", "e")),
             (P(("d", "e")),) * 2 + (whole,), False, True),
            (pairs, (D, D, P("e")), P("d", None, None, "e"), (D, D, P("e")), False, True),
            (pairs, (P(None, "d"), whole, whole), P(None, "d"), (P(None, "d"), whole, whole),
             False, True),
            (pairs, (P("d", "e"), D, whole), P("d", "e"), (P("d", "e"), D, whole), False, True),
        ):
            check(bilinear, einsum, given, specs, [out], forward)
            g = np.cos(einsum(*given))
            check(gradients(bilinear), gradients(einsum), [g, *given], (out, *specs), of_inputs,
                  backward)
    """)


def test_sizes_that_one_device_computes_in_parts() -> None:
    on_eight_devices("""
        given = drawn((4096, 32), (4096, 32), (32, 32, 32))
        g = np.cos(einsum(*given))
        for specs, out in (
            ((P(), P(), P("d")), P(None, "d")),
            ((P(None, "d"), P(), P(None, "d")), P()),
        ):
            check(bilinear, einsum, given, specs, [out])
            check(gradients(bilinear), gradients(einsum), [g, *given], (out, *specs), specs,
                  tolerance=1e-9)
    """)


def test_transformations() -> None:
    on_eight_devices("""
        def loss(f): return lambda *x: jnp.sum(jnp.sin(f(*x)))
        def twice(f):
            def of_gradients(*x):
                return sum(jnp.sum(y ** 2) for y in jax.grad(loss(f), (0, 1, 2))(*x))
            return jax.grad(of_gradients, (0, 1, 2))
        rows = drawn((16, 8), (16, 4), (24, 8, 4))
        each = drawn((8, 6, 8), (8, 6, 4), (8, 10, 8, 4))
        D = P("d")
        def pushed(f): return lambda *x: jax.jvp(f, x[:3], x[3:])
        changes = [np.cos(x) for x in rows]
        check(pushed(bilinear), pushed(einsum), rows + changes, (D, D, P("e")) * 2,
              [P("d", "e")] * 2, False, calls=4)
        for specs in ((D, D, P("e")), (P(None, "d"), P(None, "e"), P(None, "d", "e"))):
            there = put(rows, specs)
            for x, y in zip(jax.jit(twice(bilinear))(*there), twice(einsum)(*rows), strict=True):
                np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-7)
        check(jax.vmap(bilinear), jax.vmap(einsum), each, (D, D, D), [D], False)
        g = np.cos(jax.vmap(einsum)(*each))
        check(jax.vmap(gradients(bilinear)), jax.vmap(gradients(einsum)), [g, *each],
              (D,) * 4, (D,) * 3, False)
        x1 = drawn((8, 6, 8))[0]
        check(jax.vmap(bilinear, (0, None, None)), jax.vmap(einsum, (0, None, None)),
              [x1, each[1][0], each[2][0]], (D, P(), P()), [D], False)
    """)


def test_halves_are_added_up_in_float32() -> None:
    on_eight_devices("""
        features = P(None, "d"), P(), P(None, "d")
        for dtype, tolerance in ((jnp.bfloat16, 2 ** -8), (jnp.float16, 2 ** -11)):
            rows = [np.asarray(x, dtype) for x in drawn((16, 64), (16, 4), (24, 64, 4))]
            # rounded once, at the end; sums in float32 may differ in the last bit of that
            right = lambda *x: einsum(*(np.asarray(y, float) for y in x)).astype(dtype)
            check(bilinear, right, rows, features, [P()], True, tolerance=tolerance)
            g = np.asarray(np.cos(einsum(*(np.asarray(x, float) for x in rows))), dtype)
            exact = lambda *x: [
                y.astype(dtype) for y in gradients(einsum)(*(np.asarray(y, float) for y in x))
            ]
            check(gradients(bilinear), exact, [g, *rows], (P("d"), P("d"), P("d"), P()),
                  [P("d"), P("d"), P()], True, tolerance=2 * tolerance)
    """)


def test_with_bias_and_terms() -> None:
    on_eight_devices("""
        x1, x2, weight, bias, matrix = drawn((16, 8), (16, 4), (24, 8, 4), (24,), (24, 8))
        features = P(None, "d"), P(), P(None, "d")
        check(bilinear, lambda *x: einsum(*x[:3]) + x[3], [x1, x2, weight, bias],
              (*features, P()), [P()], True)
        check(bilinear, lambda *x: einsum(*x[:3]) + x[3], [x1, x2, weight, bias],
              (P(), P(), P("d"), P("d")), [P(None, "d")], False)
        check(lambda a, b, w, m: bilinear(a, b, w, weight_1=m),
              lambda a, b, w, m: einsum(a, b, w) + a @ m.T, [x1, x2, weight, matrix],
              (*features, P(None, "d")), [P()], True)
    """)


def test_where_the_mesh_comes_from() -> None:
    on_eight_devices("""
        rows = drawn((16, 8), (16, 4), (24, 8, 4))
        specs = P("d"), P("d"), P("e")
        explicit = jax.make_mesh((4, 2), ("d", "e"), axis_types=(AxisType.Explicit,) * 2)
        check(bilinear, einsum, rows, specs, [P("d", "e")], False, mesh=explicit)
        right = einsum(*rows)
        for each in (mesh, explicit):
            with jax.set_mesh(each):
                check(bilinear, lambda *_: right, rows, specs, [P("d", "e")], False, mesh=each)
        # told inside of the function, after its arguments
        def told(*x):
            return bilinear(*(jax.lax.with_sharding_constraint(y, NamedSharding(mesh, s))
                              for y, s in zip(x, specs, strict=True)))
        np.testing.assert_allclose(jax.jit(told)(*rows), right, rtol=1e-10, atol=1e-10)
        text = jax.jit(told).lower(*rows).compile().as_text()
        assert text.count('custom_call_target="lucid_contract') == _native.is_there()
    """)


def test_shard_map_over_some_axes_of_the_mesh() -> None:
    """The others are divided as under plain `jit`: inside, too, nothing is gathered."""
    on_eight_devices("""
        rows = drawn((16, 8), (16, 8), (24, 8, 8))
        pairs = drawn((8, 6, 1, 8), (8, 1, 10, 8), (24, 8, 8))
        for own, free in (("d", "e"), ("e", "d")):
            O, both = P(own), P((own, free))
            def part(f):
                return jax.shard_map(f, mesh=mesh, axis_names={own}, in_specs=(O, O, P()),
                                     out_specs=O)
            for specs, result, sums in (
                ((O, O, P(free)), P(own, free), False),
                ((both, both, P()), both, False),
                ((P(own, free), O, P(None, free)), O, True),
                ((O, P(own, free), P(None, None, free)), O, True),
                ((O, O, P()), O, False),
            ):
                check(part(bilinear), einsum, rows, specs, [result], sums)
                g = np.cos(einsum(*rows))
                check(gradients(part(bilinear)), gradients(einsum), [g, *rows],
                      (result, *specs), specs)
            check(part(bilinear), einsum, pairs, (O, O, P(free)), [P(own, None, None, free)],
                  False)
            exact = [np.asarray(x, jnp.bfloat16) for x in drawn((16, 64), (16, 4), (24, 64, 4))]
            right = lambda *x: einsum(*(np.asarray(y, float) for y in x)).astype(jnp.bfloat16)
            check(part(bilinear), right, exact, (P(own, free), O, P(None, free)), [O], True,
                  tolerance=2 ** -8)
    """)


def test_shard_map_beside_explicit_axes() -> None:
    on_eight_devices("""
        mixed = jax.make_mesh((4, 2), ("d", "e"), axis_types=(AxisType.Auto, AxisType.Explicit))
        rows = drawn((16, 8), (16, 8), (24, 8, 8))
        with jax.set_mesh(mixed):
            part = jax.shard_map(bilinear, mesh=mixed, axis_names={"d"},
                                 in_specs=(P("d"), P("d"), P()), out_specs=P("d"))
            found = jax.jit(part)(*put(rows, (P("d"), P("d"), P("e")), mixed))
            np.testing.assert_allclose(found, einsum(*rows), rtol=1e-10, atol=1e-10)
    """)


def test_where_it_cannot_be_told_numbers_are_right() -> None:
    """Parts of unequal length, two meshes, programs to export, an axis wished for twice."""
    on_eight_devices("""
        def same(found, given):
            np.testing.assert_allclose(found, einsum(*given), rtol=1e-10, atol=1e-10)
        uneven = drawn((18, 7), (18, 3), (6, 7, 3))
        for specs in itertools.product((P(), P("d"), P(None, "d")), repeat=3):
            constrained = jax.jit(lambda *x: bilinear(*(
                jax.lax.with_sharding_constraint(y, NamedSharding(mesh, s))
                for y, s in zip(x, specs, strict=True))))
            same(constrained(*uneven), uneven)
        rows = drawn((16, 8), (16, 4), (24, 8, 4))
        for specs in itertools.product((P(), P("d"), P(None, "d")), repeat=3):
            same(jax.jit(bilinear)(*put(rows, specs)), rows)
        other = jax.make_mesh((2, 4), ("a", "b"), axis_types=(AxisType.Auto,) * 2)
        two = [*put(rows[:1], [P("d")]), *put(rows[1:2], [P("a")], other), rows[2]]
        same(jax.jit(bilinear)(*two), rows)
        there = put(rows, (P("d"), P("d"), P("e")))
        exported = jax.export.export(jax.jit(bilinear))(*there)
        same(jax.jit(exported.call)(*there), rows)
        check(bilinear, einsum, [x.astype(int) for x in rows], (P("d"), P("d"), P("e")),
              [P("d", "e")], False, calls=0)
        empty = [np.zeros((0, 8)), np.zeros((0, 4)), rows[2]]
        same(jax.jit(bilinear)(*put(empty, (P("d"), P("d"), P()))), empty)
    """)
