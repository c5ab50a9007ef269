"""Recording on and off, gradients of results, hooks, and assignment."""

# ruff: noqa: ARG001, ARG005 (rules and hooks have the signature that the tape asks for)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tape_helpers import gradient, leaf

import lucid
from lucid import Tensor
from lucid.testing import assert_same

# Recording on and off


def test_no_grad_and_enable_grad_nest() -> None:
    states = []
    with lucid.no_grad():
        states.append(lucid.is_grad_enabled())
        with lucid.enable_grad():
            states.append(lucid.is_grad_enabled())
            with lucid.no_grad():
                states.append(lucid.is_grad_enabled())
            states.append(lucid.is_grad_enabled())
        states.append(lucid.is_grad_enabled())
    states.append(lucid.is_grad_enabled())
    assert states == [False, True, False, True, False, True]


def test_one_no_grad_object_may_be_entered_again() -> None:
    silent = lucid.no_grad()
    with silent, silent:
        assert not lucid.is_grad_enabled()
    assert lucid.is_grad_enabled()


def test_an_exception_inside_no_grad_turns_recording_on_again() -> None:
    with pytest.raises(ZeroDivisionError), lucid.no_grad():
        raise ZeroDivisionError
    assert lucid.is_grad_enabled()


def test_no_grad_decorates_a_function_also_a_recursive_one() -> None:
    @lucid.no_grad()
    def down(n: int) -> list[bool]:
        return [lucid.is_grad_enabled(), *(down(n - 1) if n else [])]

    assert down(2) == [False, False, False]
    assert lucid.is_grad_enabled()


def test_an_exception_in_a_rule_leaves_recording_on() -> None:
    @lucid.op
    def broken(x: Any) -> Any:
        return x * 1.0

    def rule(g: Any) -> Any:
        raise ZeroDivisionError

    broken.gradient(x=rule)
    x = leaf(1.0)
    with pytest.raises(ZeroDivisionError):
        broken(x).backward()
    assert lucid.is_grad_enabled()


def test_backward_runs_its_rules_unrecorded() -> None:
    x = leaf(1.0)
    (x * x).backward()
    assert not gradient(x).requires_grad


def test_create_graph_records_also_inside_no_grad() -> None:
    x = leaf(2.0)
    y = x**3
    with lucid.no_grad():
        slope = lucid.grad(y, x, create_graph=True)
    assert lucid.grad(slope, x).tolist() == [12.0]


# Gradients of results, and hooks


def test_retain_grad_keeps_the_gradient_of_a_result() -> None:
    x = leaf(1.0)
    y = x * 2
    y.retain_grad()
    y.retain_grad()
    (y * 3).backward()
    assert gradient(y).tolist() == [3.0]


def test_a_result_keeps_no_gradient_unasked() -> None:
    x = leaf(1.0)
    y = x * 2
    (y * 3).backward()
    assert y.grad is None


def test_retain_grad_with_create_graph_can_be_differentiated() -> None:
    x = leaf(2.0)
    y = x * 1
    y.retain_grad()
    (y**3).backward(create_graph=True)
    assert lucid.grad(gradient(y), x).tolist() == [12.0]


def test_hooks_run_in_order_and_may_replace_the_gradient() -> None:
    x = leaf(1.0)
    y = x * 2
    seen: list[Any] = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    y.register_hook(lambda g: g * 10)
    y.register_hook(lambda g: seen.append(g.tolist()))
    y.retain_grad()
    (y * 3).backward()
    assert seen == [[3.0], [30.0]]
    assert gradient(y).tolist() == [30.0]
    assert gradient(x).tolist() == [60.0]


def test_a_hook_sees_the_whole_gradient_once() -> None:
    x = leaf(1.0)
    seen: list[Any] = []
    x.register_hook(lambda g: seen.append(g.tolist()))
    (x * 2 + x * 3).backward()
    assert seen == [[5.0]]


def test_a_removed_hook_does_not_run_and_may_be_removed_again() -> None:
    x = leaf(1.0)
    remove = x.register_hook(lambda g: g * 10)
    kept = x.register_hook(lambda g: g + 1)
    remove()
    remove()
    (x * 2).backward()
    assert gradient(x).tolist() == [3.0]
    kept()


def test_a_hook_may_remove_itself() -> None:
    x = leaf(1.0)
    removals: list[Callable[[], None]] = []
    removals.append(x.register_hook(lambda g: removals[0]()))
    x.register_hook(lambda g: g * 2)
    for _ in range(2):
        x.backward()
    assert gradient(x).tolist() == [4.0]


def test_the_same_hook_twice_runs_twice_and_is_removed_once() -> None:
    x = leaf(1.0)

    def double(g: Tensor) -> Tensor:
        return g * 2

    remove = x.register_hook(double)
    x.register_hook(double)
    x.backward()
    assert gradient(x).tolist() == [4.0]
    remove()
    remove()
    x.backward()
    assert gradient(x).tolist() == [6.0]


def test_a_hook_that_returns_something_else() -> None:
    x = leaf(1.0)
    x.register_hook(lambda g: 3.0)  # type: ignore[arg-type,return-value]
    message = (
        r"^a hook must return None or a Tensor of the gradient's shape \(1,\), but returned 3\.0$"
    )
    with pytest.raises(lucid.GraphError, match=message):
        x.backward()


def test_hooks_run_in_grad_on_the_inputs_it_asks_for() -> None:
    x = leaf(1.0)
    y = x * 2
    y.register_hook(lambda g: g * 10)
    assert lucid.grad(y * 3, y).tolist() == [30.0]


def test_hooks_with_create_graph_are_part_of_the_graph() -> None:
    x = leaf(2.0)
    x.register_hook(lambda g: g * x)
    slope = lucid.grad(x * x, x, create_graph=True)  # 2x · x
    assert lucid.grad(slope, x).tolist() == [16.0]  # 4x, times the hook's x


def test_hooks_need_something_to_hang_on() -> None:
    for method in ("register_hook", "retain_grad"):
        arguments = [print] if method == "register_hook" else []
        message = (
            rf"^{method}: this tensor does not require a gradient\.\n"
            r"Call requires_grad_\(\) on it, or compute it from one that does\.$"
        )
        with pytest.raises(lucid.GraphError, match=message):
            getattr(Tensor([1.0]), method)(*arguments)


def test_outputs_of_one_operation_have_hooks_of_their_own() -> None:
    x = leaf(1.0, 2.0)
    first, second = lucid.unstack(x)
    first.register_hook(lambda g: g * 10)
    second.retain_grad()
    (first + second).backward()
    assert gradient(x).tolist() == [10.0, 1.0]
    assert gradient(second).tolist() == 1.0


# Assignment


def test_an_assignment_changes_no_saved_value() -> None:
    x = leaf(3.0)
    y = x * 1
    z = y * y
    y += 100.0
    z.backward()
    assert gradient(x).tolist() == [6.0]


def test_an_assignment_is_recorded() -> None:
    x = leaf(3.0)
    y = x * 1
    y *= x
    y += 1.0
    y -= x
    y /= 2.0
    y **= 2
    y.backward()
    assert_same(gradient(x), np.array([2 * 3.5 * 2.5]))


def test_an_assignment_to_a_part_is_recorded_in_both() -> None:
    x, v = leaf(1.0, 2.0, 3.0), leaf(10.0)
    y = x * 2
    y[1] = v[0] * 5
    y.backward()
    assert gradient(x).tolist() == [2.0, 0.0, 2.0]
    assert gradient(v).tolist() == [5.0]


def test_every_holder_of_the_object_sees_an_assignment() -> None:
    x = Tensor([1.0, 2.0])
    held = [x]
    x += 1.0
    x[0] = 7.0
    assert held[0] is x
    assert held[0].tolist() == [7.0, 3.0]


def test_an_assignment_is_not_seen_through_views_or_sources() -> None:
    source = np.array([1.0, 2.0])
    x = lucid.asarray(source)
    part = x[:1]
    x[0] = 7.0
    assert (source.tolist(), part.tolist()) == ([1.0, 2.0], [1.0])


def test_a_leaf_stays_the_same_leaf_under_no_grad() -> None:
    x = leaf(1.0)
    y = x * 2
    with lucid.no_grad():
        x -= 0.5
        x[0] = x[0] * 2
        x.copy_([4.0])
    y.backward()
    (x * 3).backward()
    assert (x.tolist(), gradient(x).tolist()) == ([4.0], [5.0])


OVERWRITING: list[tuple[str, Callable[[Tensor], Any]]] = [
    ("+=", lambda x: x.__iadd__(1.0)),
    ("-=", lambda x: x.__isub__(1.0)),
    ("*=", lambda x: x.__imul__(1.0)),
    ("/=", lambda x: x.__itruediv__(1.0)),
    ("**=", lambda x: x.__ipow__(1.0)),
    ("[] =", lambda x: x.__setitem__(0, 1.0)),
    ("copy_", lambda x: x.copy_([1.0])),
]


@pytest.mark.parametrize(("sign", "overwrite"), OVERWRITING, ids=[sign for sign, _ in OVERWRITING])
def test_a_leaf_is_not_overwritten_while_recording(
    sign: str, overwrite: Callable[[Tensor], Any]
) -> None:
    x = leaf(1.0)
    with pytest.raises(lucid.GraphError) as caught:
        overwrite(x)
    assert str(caught.value) == (
        f"{sign}: this tensor is a leaf that requires a gradient; overwriting it while operations "
        "are recorded would lose what its gradient is of.\n"
        "Update it under lucid.no_grad(), or compute a new tensor."
    )
    assert x.tolist() == [1.0]


def test_an_assignment_keeps_shape_and_dtype() -> None:
    x = Tensor([1.0])
    with pytest.raises(
        lucid.ShapeError,
        match=r"^\+=: a tensor keeps its shape, \(1,\), but the new values have \(2,\)$",
    ):
        x += lucid.ones(2)
    with pytest.raises(
        lucid.DTypeError,
        match=r"^\+=: a tensor keeps its dtype, float32, which cannot hold complex64$",
    ):
        x += 1j
    n = Tensor([1])
    with pytest.raises(lucid.DTypeError, match="keeps its dtype, int64, which cannot hold float64"):
        n /= 2
    truth = Tensor([True])
    with pytest.raises(lucid.DTypeError, match="keeps its dtype, bool, which cannot hold int64"):
        truth += Tensor([1])
    x += np.array([2.0])  # float64 becomes float32
    assert (x.dtype, x.tolist()) == (lucid.float32, [3.0])


def test_copy_does_not_share_the_array_it_is_given() -> None:
    source = np.array([1.0], np.float32)
    x = lucid.zeros(1)
    assert x.copy_(source) is x
    source[0] = 7.0
    assert x.tolist() == [1.0]


def test_copy_from_a_result_is_recorded() -> None:
    x = leaf(2.0)
    y = lucid.zeros(1, dtype=lucid.float64)
    y.copy_(x * 3)
    y.backward()
    assert gradient(x).tolist() == [3.0]


def test_decorators_work_without_brackets() -> None:
    x = leaf(1.0)

    @lucid.no_grad
    def doubled(x: Tensor) -> Tensor:
        """Twice x."""
        assert not lucid.is_grad_enabled()
        return x * 2

    @lucid.enable_grad
    def tripled(x: Tensor) -> Tensor:
        return x * 3

    assert not doubled(x).requires_grad
    assert (doubled.__name__, doubled.__doc__) == ("doubled", "Twice x.")
    with lucid.no_grad():
        assert tripled(x).requires_grad
    assert lucid.is_grad_enabled()


def test_what_is_no_function_is_not_decorated() -> None:
    message = (
        r"^no_grad: decorates a function, got Tensor; as a context manager it takes no argument, "
        r"with lucid.no_grad\(\):$"
    )
    with pytest.raises(lucid.ArgumentError, match=message):
        lucid.no_grad(leaf(1.0))  # type: ignore[call-overload]
