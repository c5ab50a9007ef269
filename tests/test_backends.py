"""Every operation of the table on arrays of other libraries: the same numbers, and no way out.

array_api_strict is the referee: it has what the standard has, and refuses everything else.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cases import CASES, DIFFERENTIABLE, Array, Case

import lucid
from lucid import Tensor
from lucid.nn import functional as F
from lucid.testing import assert_same, gradcheck

LIBRARIES = ("array_api_strict", "torch", "jax")


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The namespace of a library, as lucid gets at it."""
    name = request.param
    module = pytest.importorskip(name, reason=f"{name} is not installed")
    if name == "torch":
        module = importlib.import_module("array_api_compat.torch")
    if name != "jax":
        yield module
        return
    before = module.config.jax_enable_x64
    module.config.update("jax_enable_x64", True)
    yield module.numpy
    module.config.update("jax_enable_x64", before)


def parts(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)


def recorded(result: Any) -> tuple[Any, ...]:
    """Those results that have a gradient: integers have none."""
    return tuple(each for each in parts(result) if each.requires_grad)


def arguments(case: Case, xp: Any) -> list[Any]:
    return [xp.asarray(array) for array in case.arguments()]


def leaves(arrays: list[Any], floating: list[bool]) -> list[Tensor]:
    return [
        Tensor(array, requires_grad=required)
        for array, required in zip(arrays, floating, strict=True)
    ]


def is_floating(array: Array) -> bool:
    return array.dtype.kind in "fc"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_values_and_gradients_are_those_on_numpy(case: Case, library: Any) -> None:
    floating = [is_floating(array) for array in case.arguments()]
    plain = leaves(case.arguments(), floating)
    theirs = leaves(arguments(case, library), floating)
    kind = type(library.asarray(0.0))
    result, expected = parts(case(*theirs)), parts(case(*plain))
    for one, other in zip(result, expected, strict=True):
        assert isinstance(one._array, kind)
        assert_same(one, other)
    if not case.order:
        return
    inputs = [each for each in theirs if each.requires_grad]
    result, expected = recorded(result), recorded(expected)
    found = lucid.grad(result, inputs)
    wanted = lucid.grad(expected, [each for each in plain if each.requires_grad])
    for tensor, one, other in zip(inputs, found, wanted, strict=True):
        assert isinstance(one._array, kind)
        assert one.dtype == tensor.dtype
        assert_same(one, other)


# the first line of each operation
ONE_EACH = list({id(case.function): case for case in reversed(DIFFERENTIABLE)}.values())[::-1]


@pytest.mark.parametrize("name", ["array_api_strict", "torch"])
@pytest.mark.parametrize("case", ONE_EACH, ids=lambda case: case.name)
def test_second_derivatives_stay_in_the_library(case: Case, name: str) -> None:
    pytest.importorskip(name, reason=f"{name} is not installed")
    xp: Any = importlib.import_module(f"array_api_compat.{name}" if name == "torch" else name)
    floating = [is_floating(array) for array in case.arguments()]
    results = []
    for arrays in (case.arguments(), arguments(case, xp)):
        tensors = leaves(arrays, floating)
        inputs = [each for each in tensors if each.requires_grad]
        slopes = lucid.grad(recorded(case(*tensors)), inputs, create_graph=True)
        slopes = [slope for slope in slopes if slope.requires_grad]
        results.append(
            lucid.grad(slopes, inputs, allow_unused=True) if slopes else (None,) * len(inputs)
        )
    for one, other in zip(*results, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert_same(one, other)


def test_a_tensor_goes_through_everyday_life(library: Any) -> None:
    x = Tensor(library.asarray(np.array([[1.0, 2.0], [3.0, 4.0]])), requires_grad=True)
    y = (x[0, ...] * 2 + x[:, 1].sum()) @ x
    y = lucid.where(y > 0, y, 0.0) / 3
    y.sum().backward()
    plain = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True, dtype=lucid.float64)
    z = (plain[0, ...] * 2 + plain[:, 1].sum()) @ plain
    z = lucid.where(z > 0, z, 0.0) / 3
    z.sum().backward()
    assert_same(y, z)
    assert x.grad is not None
    assert plain.grad is not None
    assert_same(x.grad, plain.grad)
    with lucid.no_grad():
        x -= x.grad
        x[0, 0] = 7.0
    assert x.tolist()[0][0] == 7.0
    assert repr(x).startswith("Tensor([[7.0, ")


@pytest.mark.parametrize(
    "index", [(0, ...), (..., 1), (slice(None), slice(None, None, 2)), (None, ...)]
)
def test_an_index_takes_and_assigns_as_on_numpy(library: Any, index: Any) -> None:
    values = np.arange(6.0).reshape(2, 3)
    x = Tensor(library.asarray(values), requires_grad=True)
    assert_same(x[index], values[index])
    x[index].backward()
    y = x * 1
    y[index] = 9.0
    changed = values.copy()
    changed[index] = 9.0
    assert_same(y, changed)
    y.backward()
    assert x.grad is not None
    assert_same(x.grad, np.ones((2, 3)))


def test_repeated_indices_add_up(library: Any) -> None:
    x = Tensor(library.asarray(np.array([1.0, 2.0, 3.0])), requires_grad=True)
    x[library.asarray(np.array([0, 0, 2]))].backward()
    assert x.grad is not None
    assert_same(x.grad, np.array([2.0, 0.0, 1.0]))


def test_a_list_is_an_index(library: Any) -> None:
    x = Tensor(library.asarray(np.array([1.0, 2.0, 3.0])), requires_grad=True)
    assert x[[2, 0, 0]].tolist() == [3.0, 1.0, 1.0]
    x[[2, 0, 0]].backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2.0, 0.0, 1.0]


def test_gradcheck_works_on_arrays_of_any_library(library: Any) -> None:
    random = np.random.default_rng(0)
    arrays = [library.asarray(random.standard_normal(s)) for s in ((2, 3), (2, 4), (5, 3, 4))]
    gradcheck(F.bilinear, arrays, order=2)


def test_libraries_do_not_mix() -> None:
    strict = pytest.importorskip("array_api_strict", reason="a second library")
    with pytest.raises(lucid.LibraryError) as caught:
        lucid.add(Tensor(np.ones(2)), Tensor(strict.asarray(np.ones(2))))
    assert str(caught.value) == (
        "add: x1 is a NumPy array, x2 is an array of array_api_strict.\n"
        "Convert them to one library first, for example with its from_dlpack."
    )


def test_a_tensor_does_not_become_one_of_another_library() -> None:
    strict = pytest.importorskip("array_api_strict", reason="a second library")
    x = lucid.zeros(2)
    message = (
        r"^copy_: a tensor keeps its library, numpy, but the new values are an array of "
        r"array_api_strict\.\nConvert them first, for example with lucid\.from_dlpack\.$"
    )
    with pytest.raises(lucid.LibraryError, match=message):
        x.copy_(strict.asarray(np.ones(2, np.float32)))
    assert isinstance(x._array, np.ndarray)


def test_a_function_of_tensors_is_traced_by_jax() -> None:
    jax = pytest.importorskip("jax", reason="jit is JAX's")
    weight = np.random.default_rng(0).standard_normal((5, 3, 4)).astype(np.float32)

    def loss_and_slope(values: Any) -> Any:
        x = lucid.asarray(values).requires_grad_()
        out = F.bilinear(x, x[:, :1] * jax.numpy.ones((1, 4)), jax.numpy.asarray(weight))
        loss = lucid.square(out).mean()
        return loss.detach()._array, lucid.grad(loss, x)._array

    values = jax.numpy.asarray(np.ones((2, 3), np.float32))
    for traced, eager in zip(jax.jit(loss_and_slope)(values), loss_and_slope(values), strict=True):
        assert_same(np.asarray(traced), np.asarray(eager))


LOOKED_AT: dict[str, tuple[list[int], Any]] = {  # numbers of 3 classes, and what looks at them
    "one_hot": ([2, 0, 1], lambda a, n: F.one_hot(n, 3) * a),
    "embedding": ([2, 0, 1], lambda a, n: F.embedding(n, a)),
    "cross_entropy": ([2, 0, 1], lambda a, n: F.cross_entropy(a, n)),
    "cross_entropy, a class is ignored": (
        [2, 0, 1], lambda a, n: F.cross_entropy(a, n, ignore_index=2)
    ),
    "cross_entropy, padded": ([2, -1, 1], lambda a, n: F.cross_entropy(a, n, ignore_index=-1)),
    "nll_loss": ([2, 0, 1], lambda a, n: F.nll_loss(a, n)),
}  # fmt: skip


@pytest.mark.parametrize("name", LOOKED_AT)
def test_numbers_that_are_there_are_looked_at_under_jit(name: str) -> None:
    """The constants of a compiled function are known; an operation on them there is traced."""
    jax = pytest.importorskip("jax", reason="jit is JAX's")
    given, function = LOOKED_AT[name]
    with jax.enable_x64(True):
        a = jax.numpy.arange(9.0).reshape(3, 3) ** 2
        numbers, several = jax.numpy.asarray(given), jax.numpy.asarray([given, given[::-1]])

        def constant(a: Any, numbers: Any = numbers) -> Any:
            return function(a, numbers)

        expected = np.asarray(function(a, numbers))
        for found in (
            jax.jit(constant)(a), jax.jit(function)(a, numbers),
            jax.vmap(constant)(jax.numpy.stack([a, a]))[1],
            jax.jit(jax.vmap(function, (None, 0)))(a, several)[0],
        ):  # fmt: skip
            assert_same(np.asarray(found), expected)

        def total(a: Any, numbers: Any = numbers) -> Any:
            return (function(a, numbers) ** 2).sum()

        slope = np.asarray(jax.grad(total)(a))
        assert_same(np.asarray(jax.jit(jax.grad(total))(a)), slope)
        assert_same(np.asarray(jax.jit(jax.grad(total))(a, numbers)), slope)

        def recorded(a: Any) -> Any:
            leaf = lucid.asarray(a).requires_grad_()
            return lucid.grad(total(leaf), leaf)._array

        assert_same(np.asarray(jax.jit(recorded)(a)), slope)
        beyond = jax.numpy.asarray([2, 0, 9])
        words = rf"^{name.partition(',')[0]}: (input|target) holds the (class|index) 9, but"
        for run in jax.jit, jax.grad, lambda f: jax.vmap(lambda _: f(a)):
            with pytest.raises(lucid.OutOfRangeError, match=words):
                run(lambda a: total(a, beyond))(a)


def test_classes_that_are_there_are_counted_under_jit() -> None:
    jax = pytest.importorskip("jax", reason="jit is JAX's")
    with jax.enable_x64(True):
        numbers = jax.numpy.asarray([2, 0])
        assert jax.jit(lambda: F.one_hot(numbers))().tolist() == [[0, 0, 1], [1, 0, 0]]
        with pytest.raises(lucid.ArgumentError, match=r"^one_hot: num_classes is -1, and there"):
            jax.jit(F.one_hot)(numbers)


@pytest.mark.parametrize("matrix", [[[2.0, 1.0], [1.0, 3.0]], [[1.0, 2.0], [2.0, 4.0]]])
def test_matrices_that_are_there_are_looked_at_under_jit(matrix: Any) -> None:
    jax = pytest.importorskip("jax", reason="jit is JAX's")
    with jax.enable_x64(True):
        x = lucid.asarray(jax.numpy.asarray(matrix)).requires_grad_()
        y = lucid.linalg.det(x)

        def first(g: Any) -> Any:
            (found,) = lucid.grad(y, [x], lucid.asarray(g), retain_graph=True)
            return found._array

        def second(g: Any) -> Any:
            slope = lucid.grad(y, x, lucid.asarray(g), create_graph=True)
            return lucid.grad((slope * jax.numpy.arange(4.0).reshape(2, 2)).sum(), x)._array

        (a, b), (c, d) = matrix
        right = np.array([[d, -c], [-b, a]])
        assert_same(np.asarray(jax.jit(first)(2.0)), 2 * right, rtol=1e-6)
        assert_same(
            np.asarray(jax.jit(second)(2.0)), np.array([[6.0, -4.0], [-2.0, 0.0]]), rtol=1e-5
        )


def test_eigenvectors_that_are_there_are_looked_at_under_jit() -> None:
    jax = pytest.importorskip("jax", reason="jit is JAX's")
    with jax.enable_x64(True):
        for matrix, is_defective in (
            ([[2.0, 1.0], [1.0, 3.0]], False),
            ([[1.0, 1.0], [0.0, 1.0]], True),
        ):
            x = lucid.asarray(jax.numpy.asarray(matrix)).requires_grad_()
            values, vectors = lucid.linalg.eig(x)
            loss = lucid.real(values.sum() + vectors.sum())

            def slope(g: Any, loss: Any = loss, x: Any = x) -> Any:
                return lucid.grad(loss, x, lucid.asarray(g), retain_graph=True)._array

            if is_defective:
                with pytest.raises(lucid.ArgumentError, match=r"^eig: it has no gradient where"):
                    jax.jit(slope)(1.0)
            else:
                assert_same(
                    np.asarray(jax.jit(slope)(1.0)), np.asarray(slope(jax.numpy.asarray(1.0)))
                )


def test_float16_and_bfloat16_of_torch_keep_their_dtype() -> None:
    torch = pytest.importorskip("torch", reason="the halves of torch")
    for dtype in (torch.float16, torch.bfloat16):
        x = Tensor(torch.ones((2, 3), dtype=dtype), requires_grad=True)
        out = F.bilinear(x, torch.ones((2, 4), dtype=dtype), torch.ones((5, 3, 4), dtype=dtype))
        assert out.dtype == dtype
        out.backward()
        assert x.grad is not None
        assert x.grad.dtype == dtype
        assert x.grad.tolist() == [[20.0] * 3] * 2


def test_the_transformations_of_jax_pass_through_bilinear() -> None:
    jax = pytest.importorskip("jax", reason="its own transformations")
    random = np.random.default_rng(0)
    arrays = [random.standard_normal(s).astype(np.float32) for s in ((2, 3), (2, 4), (5, 3, 4))]
    ours = [Tensor(array, requires_grad=True) for array in arrays]
    F.bilinear(*ours).backward()

    def total(*arrays: Any) -> Any:
        out: Any = F.bilinear(*arrays)
        return out.sum()

    theirs = jax.grad(total, argnums=(0, 1, 2))(*map(jax.numpy.asarray, arrays))
    for one, other in zip(theirs, ours, strict=True):
        assert other.grad is not None
        assert_same(np.asarray(one), other.grad)
    rows: Any = jax.vmap(lambda x, y: F.bilinear(x, y, jax.numpy.asarray(arrays[2])))
    assert_same(np.asarray(rows(arrays[0], arrays[1])), F.bilinear(*arrays))
