"""Calls of the compiled kernel: what it takes, what it declines, memory, threads, processes."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest
from layouts import LAYOUTS, rows_apart
from native_helpers import (
    ALGORITHMS,
    ALL,
    BOTH,
    SIZES,
    WEIGHT,
    Exact,
    arguments,
    compiled,
    reference,
)

import lucid
from lucid import kernels
from lucid.kernels import _portable
from lucid.nn import functional as F


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout: str) -> None:
    right = Exact((45, 19, 23, 7), "float32")
    x1, x2, weight, g = (LAYOUTS[layout](right.arguments[k]) for k in (0, 1, 2, 4))
    right.check_forward(kernels.bilinear(x1, x2, weight, right.arguments[3]))
    right.check_gradients(kernels.gradients(g, x1, x2, weight), ALL)


def test_rows_far_apart_are_read_where_they_are() -> None:
    right = Exact((45, 19, 23, 7), "float32")
    x1, x2, weight, bias, g = right.arguments
    x1, x2, g = (rows_apart(each, after=100) for each in (x1, x2, g))
    right.check_forward(compiled.bilinear(x1, x2, weight, bias))
    right.check_gradients(compiled.gradients(g, x1, x2, weight, ALL), ALL)


def test_leading_axes() -> None:
    x1, x2, weight, bias, g = arguments((60, 5, 6, 7), np.float64)
    flat = compiled.bilinear(x1, x2, weight, bias)
    for leading in ((3, 20), (3, 4, 5), (1, 60, 1)):
        shaped = [each.reshape(*leading, -1) for each in (x1, x2, g)]
        out = compiled.bilinear(shaped[0], shaped[1], weight, bias)
        assert out.shape == (*leading, 7)
        assert (out.reshape(60, 7) == flat).all()
        found = compiled.gradients(shaped[2], shaped[0], shaped[1], weight, ALL)
        assert [each.shape for each in found] == [(*leading, 5), (*leading, 6), (7, 5, 6)]
    assert compiled.bilinear(x1[0], x2[0], weight, bias).shape == (7,)


def test_an_input_given_by_its_shape() -> None:
    right = Exact((20, 5, 6, 7), "float64")
    x1, x2, weight, _, g = right.arguments
    first, second = (True, False, False), (False, True, False)
    right.check_gradients(compiled.gradients(g, (20, 5), x2, weight, first), first)
    right.check_gradients(compiled.gradients(g, x1, (20, 6), weight, second), second)
    assert compiled.gradients(g, (20, 5), x2, weight, ALL) is None
    assert compiled.gradients(g, (21, 5), x2, weight, (True, False, False)) is None
    assert compiled.gradients(g, (20, 4), x2, weight, (True, False, False)) is None
    assert compiled.gradients(g, (), x2, weight, (True, False, False)) is None
    assert compiled.gradients(g, (20, -5), x2, weight, (True, False, False)) is None
    assert compiled.gradients(g, (20, 1 << 70), x2, weight, (True, False, False)) is None
    assert compiled.gradients(g, ("a", 5), x2, weight, (True, False, False)) is None


@pytest.mark.usefixtures("instruction_set")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("leading", "outputs"),
    [
        *itertools.product([(1,), (7,), (3, 5), (200,), (70, 61)], [1, 2, 5, 31, 64, 100]),
        ((100_003,), 31), ((1_100_001,), 2), ((2_200_001,), 1), ((3,), 1_000_000),
    ],
    ids=str,
)  # fmt: skip
def test_the_gradient_of_the_bias(leading: Any, outputs: int, dtype: str) -> None:
    g = np.random.default_rng(0).standard_normal((*leading, outputs)).astype(dtype)
    x = np.ones((*leading, 1), dtype)
    needed = (False, True, False, True)
    *_, found = compiled.gradients(g, x, x, np.ones((outputs, 1, 1), dtype), needed)
    axes = tuple(range(g.ndim - 1))
    right, magnitude = g.astype(np.float64).sum(axes), np.abs(g).astype(np.float64).sum(axes)
    # 64 numbers at most are added up in the type itself, the rest in double
    assert (np.abs(found - right) <= 64 * np.finfo(dtype).eps * magnitude / 4).all()
    again = compiled.gradients(g, x, x, np.ones((outputs, 1, 1), dtype), needed)[3]
    assert (again == found).all()


def test_the_bias_of_rows_apart_is_left_to_the_caller() -> None:
    x1, x2, weight, _, g = arguments((20, 5, 6, 7), np.float32)
    found = compiled.gradients(rows_apart(g, 1, 2), x1, x2, weight, (True, True, True, True))
    assert found[3] is None
    assert len(compiled.gradients(g, x1, x2, weight, (True, True, True, False))) == 4
    assert len(compiled.gradients(g, x1, x2, weight, ALL)) == 3


def test_a_weight_for_each_element() -> None:
    random = np.random.default_rng(0)
    for dtype, threads in ((np.float32, 1), (np.float64, 3)):
        for leading_1, leading_2 in (((50,), (50,)), ((2, 9, 1), (2, 1, 8)), ((), (7,))):
            leading = np.broadcast_shapes(leading_1, leading_2)
            shapes = ((*leading_1, 5), (*leading_2, 6), (7, 5, 6), (*leading, 7))
            x1, x2, weight, g = (
                random.standard_normal((8, *shape)).astype(dtype)[::-2] for shape in shapes
            )
            x2 = np.broadcast_to(x2[:1], x2.shape)
            out = compiled.bilinear_each(x1, x2, weight, None, threads)
            found = compiled.gradients_each(g, x1, x2, weight, ALL, threads)
            assert out.shape == g.shape
            for k in range(4):
                one = compiled.bilinear(x1[k], x2[k], weight[k], None, threads)
                assert (out[k] == one).all()
                of_one = compiled.gradients(g[k], x1[k], x2[k], weight[k], ALL, threads)
                for all_of_them, gradient in zip(found, of_one, strict=True):
                    assert all_of_them.shape == (4, *gradient.shape)
                    assert (all_of_them[k] == gradient).all()
            of_shape = compiled.gradients_each(
                g, x1, x2.shape, weight, (False, True, False), threads
            )
            assert (of_shape[1] == found[1]).all()
            assert of_shape[0] is of_shape[2] is None


def test_elements_that_do_not_fit_are_declined() -> None:
    x1, x2, weight, _, g = (each[None] for each in arguments((4, 3, 5, 2), np.float32))
    three = [np.concatenate([each] * 3) for each in (x1, x2, weight, g)]
    refused: list[tuple[Any, ...]] = [
        (x1, three[1], weight),
        (three[0], three[1], weight),
        (x1, x2, three[2]),
        (x1[:0], x2[:0], weight[:0]),
        (x1[0], x2[0], weight[0]),
        (x1, x2, weight.transpose(0, 1, 3, 2)),
        (x1, x2, weight.astype(np.float64)),
        (x1[0, 0, 0], x2, weight),
        (x1[0, 0], x2, weight),
        (None, x2, weight),
    ]
    for factors in refused:
        assert compiled.bilinear_each(*factors, None, 1) is None
        assert compiled.gradients_each(g, *factors, ALL, 1) is None
    assert compiled.gradients_each(three[3], x1, x2, weight, ALL, 1) is None
    assert compiled.bilinear_each(x1, x2, weight, None, 1).shape == (1, 4, 2)
    with pytest.raises(TypeError):
        compiled.bilinear_each(x1, x2, weight, np.ones(2, np.float32), 1)
    with pytest.raises(TypeError):
        compiled.gradients_each(g, x1, x2, weight, ALL)


class Subclass(np.ndarray[Any, Any]):
    pass


def test_what_does_not_fit_is_declined() -> None:
    x1, x2, weight, bias, g = arguments((4, 3, 5, 2), np.float32)
    refused: list[tuple[Any, ...]] = [
        (x1[:, :2], x2, weight, bias),
        (x1, x2[:, :4], weight, bias),
        (x1[:3], x2, weight, bias),
        (x1, x2, weight[:, :2], bias),
        (x1, x2, weight[0], bias),
        (x1, x2, weight[None], bias),
        (x1, x2, weight, bias[:1]),
        (x1, x2, weight, np.ones((2, 1), np.float32)),
        (x1, x2, weight, np.ones((2, 2), np.float32)),
        (x1, x2, weight, np.float32(1)),
        (x1.astype(np.float64), x2, weight, bias),
        (x1.astype(np.float16), x2, weight, bias),
        (x1.astype(np.complex64), x2, weight, bias),
        (x1.astype(np.int32), x2, weight, bias),
        (x1.astype(object), x2, weight, bias),
        (x1.view(Subclass), x2, weight, bias),
        (np.ma.masked_array(x1), x2, weight, bias),
        (x1[0, 0], x2, weight, bias),
        (np.array(1, np.float32), x2, weight, bias),
        (x1[:0], x2[:0], weight, bias),
        (x1, x2, weight[:0], bias[:0]),
        (x1.tolist(), x2, weight, bias),
        (None, x2, weight, bias),
        (lucid.Tensor(x1), x2, weight, bias),
    ]
    for factors in refused:
        assert compiled.bilinear(*factors) is None
    for factors in ((g[:, :1], x1, x2, weight), (g[:3], x1, x2, weight), (g, x1[:, :2], x2, weight),
                  (g, x1, x2, weight[:, :2]), (g, x1, x2, None), (g, None, x2, weight),
                  (g.astype(np.float64), x1, x2, weight), (g[..., 0], x1, x2, weight)):  # fmt: skip
        assert compiled.gradients(*factors, ALL) is None


def test_a_wrong_call_raises() -> None:
    x1, x2, weight, _, g = arguments((4, 3, 5, 2), np.float32)
    wrong: Any
    for wrong in ((), (x1, x2, weight), (x1,) * 7):
        with pytest.raises(TypeError, match="takes x1, x2, weight and bias"):
            compiled.bilinear(*wrong)
    for wrong in (-1, 1 << 40, 1.0, "2"):
        message = f"^threads are a number from 0, not {wrong!r}$"
        with pytest.raises(ValueError, match=message):
            compiled.bilinear(x1, x2, weight, None, wrong)
        with pytest.raises(ValueError, match=message):
            compiled.gradients(g, x1, x2, weight, ALL, wrong)
    for wrong in ((), (g, x1, x2, weight), (g, x1, x2, weight, True), (g, x1, x2, weight, (True,))):
        with pytest.raises(TypeError, match="takes g, x1, x2, weight and three flags"):
            compiled.gradients(*wrong)
    with pytest.raises(ValueError, match="from 1 to 1024"):
        compiled.set_num_threads(0)
    with pytest.raises(ValueError, match="has no 'mmx'"):
        compiled.use_instruction_set("mmx")
    with pytest.raises(lucid.ArgumentError, match="count is 0, expected a number from 1 to 1024"):
        lucid.set_num_threads(0)


def test_a_wrong_shape_is_told_in_words() -> None:
    with pytest.raises(lucid.ShapeError, match="axis 'in1_features' is 9"):
        F.bilinear(np.ones((4, 9)), np.ones((4, 5)), np.ones((2, 3, 5)))


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_halves_add_up_in_float32(name: str) -> None:
    dtype: Any = np.float16
    if name == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    sizes = (300, 20, 30, 10)
    given = [(each / 4).astype(dtype) for each in arguments(sizes, np.float32)]
    x1, x2, weight, bias, g = given
    right = reference(x1, x2, weight, g)
    right[0] += bias.astype(np.float64)
    out = kernels.bilinear(x1, x2, weight, bias)
    found = kernels.gradients(g, x1, x2, weight)
    for each, exact in zip((out, *found), right, strict=True):
        assert each.dtype == dtype
        # one rounding to the half at the end; float32's own errors are far below it
        error = np.abs(each.astype(np.float64) - exact)
        half = 2.0 ** (-11 if name == "float16" else -8)
        assert (error <= 1.1 * half * np.abs(exact) + 1e-5).all()


def test_the_portable_plans_agree() -> None:
    for sizes in SIZES:
        x1, x2, weight, bias, g = arguments(sizes, np.float64)
        assert np.allclose(
            kernels.bilinear(x1, x2, weight, bias), _portable.bilinear(x1, x2, weight, bias)
        )
        both = zip(kernels.gradients(g, x1, x2, weight), _portable.gradients(g, x1, x2, weight),
                   strict=True)  # fmt: skip
        assert all(np.allclose(one, other) for one, other in both)


@pytest.mark.usefixtures("no_large_blocks")
def test_no_memory_is_an_error_and_no_crash() -> None:
    x1, x2, weight, bias, g = arguments((200, 40, 50, 30), np.float64)
    # these need none, or little
    for algorithm in set(ALGORITHMS["forward"]) - {"reference", "stream_weight"}:
        with pytest.raises(MemoryError):
            compiled.bilinear(x1, x2, weight, bias, algorithm, 2)
    for algorithm in set(ALGORITHMS["inputs"]) - {"reference", "stream_weight"}:
        with pytest.raises(MemoryError):
            compiled.gradients(g, x1, x2, weight, BOTH, algorithm, None, 2)
    for algorithm in set(ALGORITHMS["weight"]) - {"reference"}:
        with pytest.raises(MemoryError):
            compiled.gradients(g, x1, x2, weight, WEIGHT, None, algorithm, 2)


def test_many_python_threads_at_once() -> None:
    x1, x2, weight, bias, g = arguments((500, 30, 40, 20), np.float32)
    right = [compiled.bilinear(x1, x2, weight, bias), *compiled.gradients(g, x1, x2, weight, ALL)]
    wrong: list[int] = []

    def work() -> None:
        for _ in range(10):
            found = [
                compiled.bilinear(x1, x2, weight, bias),
                *compiled.gradients(g, x1, x2, weight, ALL),
            ]
            if any((one != other).any() for one, other in zip(found, right, strict=True)):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_computes() -> None:
    script = """if True:
        import os, signal, numpy as np
        from lucid.kernels import _compiled
        x = np.ones((4000, 30), np.float32)
        w = np.ones((20, 30, 30), np.float32)
        run = lambda: float(_compiled.bilinear(x, x, w, None, None, 4).sum())
        right = run()
        for _ in range(5):
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                os._exit(0 if run() == right else 1)
            run()
            assert os.waitpid(child, 0)[1] == 0
    """
    _python(script)


@pytest.mark.skipif(not hasattr(signal, "alarm"), reason="limits of this kind are POSIX")
def test_threads_that_cannot_be_made_are_survived() -> None:
    script = """if True:
        import resource, numpy as np
        from lucid.kernels import _compiled
        x = np.ones((4000, 30), np.float32)
        w = np.ones((20, 30, 30), np.float32)
        # Stacks of 64 GiB, and no room for one: as root, a limit of processes would not hold.
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        resource.setrlimit(resource.RLIMIT_STACK, (64 << 30, resource.RLIM_INFINITY))
        out = _compiled.bilinear(x, x, w, None, None, 4)
        assert (out == 900).all()
    """
    _python(script, OPENBLAS_NUM_THREADS="1")


def _python(script: str, **environment: str) -> str:
    clean = {
        k: v for k, v in os.environ.items() if k not in ("LUCID_NUM_THREADS", "OMP_NUM_THREADS")
    }
    done = subprocess.run(  # noqa: S603 (our own scripts)
        [sys.executable, "-c", script], check=True, timeout=120, capture_output=True, text=True,
        env={**clean, **environment},
    )  # fmt: skip
    return done.stdout.strip()


def test_the_environment_sets_threads_and_instructions() -> None:
    count = "import lucid; print(lucid.get_num_threads())"
    assert _python(count, OMP_NUM_THREADS="3") == "3"
    assert _python(count, OMP_NUM_THREADS="3", LUCID_NUM_THREADS="5") == "5"
    assert _python(count, OMP_NUM_THREADS="4,2") == "4"
    if hasattr(os, "sched_setaffinity"):
        one = f"import os; os.sched_setaffinity(0, [{min(os.sched_getaffinity(0))}]); {count}"
        assert _python(one) == "1"
    name = compiled.instruction_sets()[-1]
    shown = _python("import lucid; lucid.show_config()", LUCID_INSTRUCTION_SET=name)
    assert f"compiled, {name} (of" in shown


def test_without_the_kernel_everything_still_works() -> None:
    script = """if True:
        import sys
        sys.modules["lucid.kernels._compiled"] = None
        import lucid, numpy as np
        out = lucid.nn.functional.bilinear(np.ones((2, 3)), np.ones((2, 4)), np.ones((5, 3, 4)))
        assert (out == 12).all()
        lucid.set_num_threads(2)
        assert lucid.get_num_threads() == 2
        lucid.show_config()
    """
    assert "none: the portable plans" in _python(script, LUCID_REQUIRE_NATIVE="")
    with pytest.raises(subprocess.CalledProcessError):
        _python(script, LUCID_REQUIRE_NATIVE="1")


def test_a_small_gradient_that_is_not_dense_is_read_as_its_copy() -> None:
    right = Exact((45, 19, 23, 7), "float32")
    x1, x2, weight, _, g = right.arguments
    across = np.asfortranarray(g)
    assert not across.flags.c_contiguous
    right.check_gradients(compiled.gradients(across, x1, x2, weight, ALL), ALL)
    ones = np.broadcast_to(np.float32(1), (45, 7))
    found = compiled.gradients(ones, x1, x2, weight, ALL)
    for one, same in zip(found, compiled.gradients(ones.copy(), x1, x2, weight, ALL), strict=True):
        assert (one == same).all()
    large = np.broadcast_to(np.float32(1), (1 << 14, 5))
    assert compiled.gradients(large, (1 << 14, 19), x2, weight, ALL) is None
