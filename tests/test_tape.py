"""The tape: long and wide graphs, threads, memory, hooks, assignment, and operations of users."""

# ruff: noqa: ARG001, ARG005 (rules and hooks have the signature that the tape asks for)

from __future__ import annotations

import gc
import inspect
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any
from weakref import ref

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.nn import functional as F
from lucid.testing import assert_same


def leaf(*values: float) -> Tensor:
    return Tensor(np.array(values), requires_grad=True)


def gradient(tensor: Tensor) -> Tensor:
    assert tensor.grad is not None
    return tensor.grad


def note(seen: list[Any], what: Any, result: Any) -> Any:
    """A rule's result; beside that, remember something."""
    seen.append(what)
    return result


def watched(*values: float) -> tuple[np.ndarray[Any, Any], Callable[[], Any]]:
    """An array, and what tells whether it is still alive."""
    array = np.array(values)
    return array, ref(array)


@pytest.fixture
def no_gc() -> Iterator[None]:
    """Without the garbage collector only reference counts free anything."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# Long and wide graphs


@pytest.mark.usefixtures("no_gc")
def test_a_chain_of_100_000_operations() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(50_000):
        y = (y * 1.0) + 0.0
    y.backward()
    assert gradient(x).tolist() == [1.0]


@pytest.mark.usefixtures("no_gc")
def test_a_chain_of_100_000_operations_is_dropped() -> None:
    y = x = leaf(1.0)
    for _ in range(100_000):
        y = -y
    node = ref(y)
    del y
    assert node() is None
    assert x.grad is None


@pytest.mark.usefixtures("no_gc")
def test_a_chain_that_is_kept_and_recorded_again() -> None:
    y = x = leaf(1.0)
    for _ in range(20_000):
        y = y * 1.0
    (slope,) = lucid.grad(y, [x], create_graph=True)
    slope.sum()
    y.backward(retain_graph=True)
    y.backward()
    assert gradient(x).tolist() == [2.0]


def test_a_diamond_with_2_to_the_60_paths() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(60):
        y = y + y
    y.backward()
    assert gradient(x).tolist() == [2.0**60]


def test_an_operation_that_takes_one_tensor_twice() -> None:
    x = leaf(3.0)
    (x * x + x * x).backward()
    assert gradient(x).tolist() == [12.0]


def test_a_rule_runs_once_however_many_paths_lead_to_it() -> None:
    calls: list[int] = []

    @lucid.op
    def twice(x: Any) -> Any:
        return 2 * x

    twice.gradient(x=lambda g: note(calls, 1, 2 * g))
    x = leaf(1.0)
    y = twice(x)
    (y + y * 3 + y).backward()
    assert (len(calls), gradient(x).tolist()) == (1, [10.0])


# Threads


def in_threads(*functions: Callable[[], None]) -> None:
    errors: list[BaseException] = []

    def run(function: Callable[[], None]) -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_threads_add_up_their_gradients_in_shared_leaves() -> None:
    x = leaf(1.0, 2.0)

    def work() -> None:
        for _ in range(500):
            (x * 3).backward()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # between any two instructions: an addition without a lock shows
    try:
        in_threads(work, work, work)
    finally:
        sys.setswitchinterval(before)
    assert gradient(x).tolist() == [4500.0, 4500.0]


def test_no_grad_holds_in_its_own_thread_only() -> None:
    inside, done = threading.Event(), threading.Event()
    seen = []

    def silent() -> None:
        with lucid.no_grad():
            inside.set()
            done.wait(10)
            seen.append(lucid.is_grad_enabled())

    def other() -> None:
        inside.wait(10)
        seen.append(lucid.is_grad_enabled())
        done.set()

    in_threads(silent, other)
    assert seen == [True, False]


def test_detect_anomaly_holds_in_its_own_thread_only() -> None:
    def other() -> None:
        with np.errstate(invalid="ignore"):
            lucid.log(Tensor([-1.0]))

    with lucid.detect_anomaly():
        in_threads(other)


# Memory


@pytest.mark.usefixtures("no_gc")
def test_dropping_the_result_frees_the_graph() -> None:
    array, alive = watched(1.0, 2.0)
    x = leaf(1.0, 1.0)
    y = lucid.exp(x * lucid.asarray(array)).sum()
    del array
    assert alive() is not None
    del y
    assert alive() is None


@pytest.mark.usefixtures("no_gc")
def test_dropping_everything_frees_the_graph_after_create_graph() -> None:
    array, alive = watched(1.0, 2.0)
    x = leaf(1.0, 1.0)
    y = (x * lucid.asarray(array) * x).sum()
    del array
    y.backward(create_graph=True)
    assert alive() is not None
    del y
    x.grad = None
    assert alive() is None


@pytest.mark.usefixtures("no_gc")
def test_dropping_everything_frees_third_derivatives() -> None:
    array, alive = watched(1.0, 2.0)
    x = leaf(1.0, 1.0)
    y = F.bilinear(x, x, lucid.ones((1, 2, 2)) * lucid.asarray(array))
    del array
    first = lucid.grad(y, x, create_graph=True)
    second = lucid.grad(first, x, create_graph=True)
    third = lucid.grad(second.sum() * x, x, create_graph=True)
    del y, first, second, third
    assert alive() is None


@pytest.mark.usefixtures("no_gc")
@pytest.mark.parametrize(
    "compute",
    [
        lambda x: lucid.tanh(x).sum().backward(),
        lambda x: lucid.tanh(x).sum().backward(create_graph=True),
        lambda x: lucid.grad(lucid.grad(lucid.exp(x), x, create_graph=True).sum(), x),
        lambda x: lucid.concat([x, x]).backward(),
        lambda x: lucid.stack(list(lucid.unstack(x))).sum().backward(create_graph=True),
        lambda x: F.bilinear(x, x, lucid.ones((1, 2, 2))).backward(create_graph=True),
        lambda x: x.register_hook(lambda g: g * 2)(),
    ],
)
def test_nothing_makes_a_reference_cycle(compute: Callable[[Tensor], Any]) -> None:
    compute(leaf(0.1, 0.2))  # makes the plans, once
    gc.collect()
    compute(leaf(1.0, 2.0))
    assert gc.collect() == 0


@pytest.mark.usefixtures("no_gc")
def test_retain_grad_makes_no_reference_cycle() -> None:
    y = leaf(1.0) * 2
    y.retain_grad()
    y.backward()
    gone = ref(y)
    del y
    assert gone() is None


@pytest.mark.usefixtures("no_gc")
def test_backward_releases_saved_values_rule_by_rule() -> None:
    array, alive = watched(3.0)
    seen: list[Any] = []

    @lucid.op
    def probe(x: Any) -> Any:
        return x * 1.0

    probe.gradient(x=lambda g: note(seen, alive() is None, g))
    x = leaf(1.0)
    y = probe(x) * lucid.asarray(array)
    del array
    y.backward()
    assert seen == [True]  # the rule of the product came before, and let go of what it had


@pytest.mark.usefixtures("no_gc")
def test_only_what_a_needed_rule_names_is_kept() -> None:
    kept = {}
    for which in ("x1", "x2"):
        pair = {name: watched(2.0) for name in ("x1", "x2")}
        tensors = {
            name: lucid.asarray(array).requires_grad_(name == which)
            for name, (array, _) in pair.items()
        }
        watch = {name: alive for name, (_, alive) in pair.items()}
        result = lucid.multiply(tensors["x1"], tensors["x2"])
        del pair, tensors
        kept[which] = {name for name, alive in watch.items() if alive() is not None}
        del result
    assert kept == {"x1": {"x2"}, "x2": {"x1"}}


@pytest.mark.usefixtures("no_gc")
def test_a_bias_alone_keeps_no_other_argument() -> None:
    pairs = [watched(1.0, 2.0) for _ in range(2)]
    weight = np.ones((1, 2, 2))
    alive: list[Callable[[], Any]] = [pairs[0][1], pairs[1][1], ref(weight)]
    out = F.bilinear(
        lucid.asarray(pairs[0][0]), lucid.asarray(pairs[1][0]), lucid.asarray(weight), leaf(0.0)
    )
    del pairs, weight
    assert [each() for each in alive] == [None, None, None]
    out.backward()


@pytest.mark.usefixtures("no_gc")
def test_nothing_is_kept_under_no_grad() -> None:
    array, alive = watched(1.0)
    x = leaf(1.0)
    with lucid.no_grad():
        y = x * lucid.asarray(array)
    del array
    assert alive() is None
    assert not y.requires_grad


def test_memory_is_flat_over_2000_training_steps() -> None:
    x, w = Tensor(np.ones((4, 3))), leaf(0.1, 0.2, 0.3)

    def train(steps: int) -> None:
        for _ in range(steps):
            loss = lucid.square(lucid.tanh(x * w).sum(axis=1) - 1.0).mean()
            w.grad = None
            loss.backward()
            with lucid.no_grad():
                w.copy_(w - 0.01 * gradient(w))

    train(50)
    gc.collect()
    tracemalloc.start()
    try:
        train(2000)  # until Python's own lists of free tuples are full
        objects = len(gc.get_objects())
        tracemalloc.reset_peak()
        memory = tracemalloc.get_traced_memory()[0]
        train(2000)
        memory_after, peak = tracemalloc.get_traced_memory()
        gc.collect()
        after = len(gc.get_objects())
    finally:
        tracemalloc.stop()
    assert after - objects < 20
    assert memory_after - memory < 20_000
    assert peak < memory + 100_000


# Freed and kept graphs


def test_a_second_backward_says_that_the_graph_is_freed() -> None:
    x = leaf(1.0)
    y = lucid.exp(x) * 2
    y.backward()
    with pytest.raises(
        lucid.GraphError,
        match=(
            r"^backward: the graph of this tensor has been freed by an earlier backward "
            r"\(at the operation multiply\)\.\n"
            r"Call the first one with retain_graph=True to go through it twice\.$"
        ),
    ):
        y.backward()
    assert_same(gradient(x), 2 * np.exp([1.0]))


def test_half_a_freed_graph_changes_no_gradient() -> None:
    x = leaf(1.0)
    shared = lucid.exp(x)
    shared.backward()
    before = gradient(x).tolist()
    with pytest.raises(lucid.GraphError, match=r"at the operation exp"):
        (shared * x).backward()
    assert gradient(x).tolist() == before


def test_retain_graph_goes_through_twice() -> None:
    x = leaf(3.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert gradient(x).tolist() == [12.0]


def test_create_graph_keeps_the_graph() -> None:
    x = leaf(3.0)
    y = x * x
    y.backward(create_graph=True)
    y.backward()
    assert gradient(x).tolist() == [12.0]


def test_backward_twice_through_a_gradient() -> None:
    x = leaf(2.0)
    (x**3).backward(create_graph=True)
    slope = gradient(x)
    x.grad = None
    slope.backward()
    assert gradient(x).tolist() == [12.0]


def test_derivatives_of_order_5() -> None:
    y = x = leaf(2.0)
    y = x**5
    for expected in (80.0, 160.0, 240.0, 240.0, 120.0):
        (y,) = lucid.grad(y, [x], create_graph=True)
        assert_same(y, np.array([expected]))


def test_backward_without_a_graph() -> None:
    message = (
        "^backward: this tensor does not require a gradient: nothing it was computed from does, "
        r"or it was computed under no_grad\.\nMake a leaf with Tensor\(data, requires_grad=True\) "
        r"and compute the result from it\.$"
    )
    with pytest.raises(lucid.GraphError, match=message):
        Tensor([1.0]).backward()


def test_backward_of_a_leaf_is_ones() -> None:
    x = leaf(1.0, 2.0)
    x.backward()
    x.backward(np.array([5.0, 6.0]))
    assert gradient(x).tolist() == [6.0, 7.0]


def test_a_starting_gradient_takes_the_dtype_of_the_result() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    (x * 2).backward([1, 10])
    assert_same(gradient(x), np.array([2.0, 20.0], np.float32))


def test_a_starting_gradient_is_copied() -> None:
    x = leaf(1.0)
    start = np.array([2.0])
    x.backward(start)
    start[0] = 7.0
    assert gradient(x).tolist() == [2.0]


def test_gradients_of_two_leaves_share_no_changes() -> None:
    x, y = leaf(1.0), leaf(2.0)
    (x + y).backward()
    changed = gradient(x)
    changed += 5.0
    assert gradient(y).tolist() == [1.0]


def test_an_early_dropped_leaf_gets_nothing_and_harms_nothing() -> None:
    x = leaf(1.0)
    y = x * leaf(2.0)
    y.backward()
    assert gradient(x).tolist() == [2.0]


# grad


def test_grad_leaves_every_grad_alone() -> None:
    x = leaf(1.0)
    lucid.grad(x * 2, x)
    assert x.grad is None


def test_grad_of_a_result_in_between() -> None:
    x = leaf(1.0)
    middle = x * 2
    assert lucid.grad(middle * 3, middle).tolist() == [3.0]


def test_grad_of_input_and_result_in_between_together() -> None:
    x = leaf(1.0)
    middle = x * 2
    assert [g.tolist() for g in lucid.grad(middle * 3, [middle, x])] == [[3.0], [6.0]]


def test_grad_in_between_leaves_the_graph_below_for_later() -> None:
    x = leaf(1.0, 2.0)
    middle = lucid.exp(x)
    upper = lucid.grad((middle * middle).sum(), middle)
    middle.backward(upper)
    assert_same(gradient(x), 2 * np.exp(2 * x.numpy()))


def test_grad_in_between_needs_nothing_of_what_is_below() -> None:
    x = leaf(1.0, 2.0)
    middle = lucid.exp(x)
    middle.backward()  # frees what is below
    assert_same(lucid.grad((middle * middle).sum(), middle), 2 * middle.numpy())


def test_grad_of_a_tensor_in_itself() -> None:
    x = leaf(1.0)
    y = x * 2
    assert lucid.grad(y, y).tolist() == [1.0]
    assert lucid.grad([y, y], [y, x])[0].tolist() == [2.0]


def test_grad_of_the_same_input_twice() -> None:
    x = leaf(1.0)
    assert [g.tolist() for g in lucid.grad(x * 2, [x, x])] == [[2.0], [2.0]]


def test_grad_of_no_inputs_is_empty() -> None:
    assert lucid.grad(leaf(1.0) * 2, []) == ()


def test_grad_weighs_several_outputs() -> None:
    x = leaf(1.0, 2.0)
    found = lucid.grad([x * 2, x.sum()], x, [np.array([1.0, 10.0]), None])
    assert found.tolist() == [3.0, 21.0]


def test_grad_refuses_an_unused_input() -> None:
    x, other = leaf(1.0), leaf(2.0)
    message = (
        r"^grad: no output depends on inputs\[1\]\.\n"
        r"Leave it out, or pass allow_unused=True to get None for it\.$"
    )
    with pytest.raises(lucid.GraphError, match=message):
        lucid.grad(x * 2, [x, other])
    first, second = lucid.grad(x * 2, [x, other], allow_unused=True)
    assert (first.tolist(), second) == ([2.0], None)


def test_grad_refuses_what_requires_none() -> None:
    x = leaf(1.0)
    with pytest.raises(
        lucid.GraphError,
        match=r"^grad: inputs\[0\] does not require a gradient\.\n"
        r"Call requires_grad_\(\) on it before computing the outputs\.$",
    ):
        lucid.grad(x * 2, Tensor([1.0]))
    with pytest.raises(
        lucid.GraphError,
        match=r"^grad: outputs\[0\] does not require a gradient: nothing it was computed from "
        r"does, or it was computed under no_grad\.$",
    ):
        lucid.grad(Tensor([1.0]), x)


def test_grad_refuses_what_is_no_tensor() -> None:
    x: Any = leaf(1.0)
    with pytest.raises(lucid.ArgumentError, match=r"^grad: inputs\[0\] is float64, expected a Ten"):
        lucid.grad(x * 2, x.numpy())
    strange: Any = [x * 2, "x"]
    with pytest.raises(lucid.ArgumentError, match=r"^grad: outputs\[1\] is str, expected a Ten"):
        lucid.grad(strange, x)


def test_grad_refuses_another_number_of_weights() -> None:
    x = leaf(1.0)
    message = r"^grad: 2 outputs, but 1 grad_outputs; give one for each$"
    with pytest.raises(lucid.ArgumentError, match=message):
        lucid.grad([x * 2, x * 3], x, [Tensor([1.0])])


def test_rules_that_nobody_needs_do_not_run() -> None:
    ran: list[str] = []

    @lucid.op
    def both(x1: Any, x2: Any) -> Any:
        return x1 + x2

    both.gradient(
        x1=lambda g: note(ran, "x1", g),
        x2=lambda g: note(ran, "x2", g),
    )
    x, y = leaf(1.0), leaf(2.0)
    lucid.grad(both(x * 1, y * 1), x)
    assert ran == ["x1"]
    ran.clear()
    both(x, Tensor([1.0])).backward()
    assert ran == ["x1"]


def test_branches_that_lead_nowhere_do_not_run() -> None:
    def explode(g: Any) -> Any:
        raise AssertionError("this rule leads to no input")

    @lucid.op
    def side(x: Any) -> Any:
        return x * 1.0

    side.gradient(x=explode)
    x, y = leaf(1.0), leaf(2.0)
    assert lucid.grad(x * side(y), x).tolist() == [2.0]


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
        truth += 1
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


# Anomalies


def test_a_nan_names_its_operation_and_line() -> None:
    x = Tensor([-1.0], requires_grad=True)
    with (
        np.errstate(invalid="ignore"),
        lucid.detect_anomaly(),
        pytest.raises(lucid.AnomalyError) as caught,
    ):
        lucid.log(x * 2)  # the line that is named
    first, second = str(caught.value).split("\n")
    assert first == "log made a NaN where its arguments have none."
    assert second.startswith(f'Recorded at File "{__file__}", line ')
    assert second.endswith(": lucid.log(x * 2)  # the line that is named")


def test_a_nan_that_came_in_is_no_anomaly() -> None:
    with lucid.detect_anomaly():
        assert np.isnan((Tensor([np.nan]) * 2).item())


def test_a_nan_gradient_names_its_operation_and_line() -> None:
    x = Tensor([0.0], requires_grad=True)
    with np.errstate(all="ignore"), lucid.detect_anomaly():
        y = lucid.sqrt(x) * 0.0  # 0 · ∞ on the way back
        with pytest.raises(lucid.AnomalyError) as caught:
            y.backward()
    first, second = str(caught.value).split("\n")
    assert first == "the gradient of sqrt is NaN."
    assert second.endswith("y = lucid.sqrt(x) * 0.0  # 0 · ∞ on the way back")


def test_a_failing_rule_names_its_operation_and_line() -> None:
    @lucid.op
    def fragile(x: Any) -> Any:
        return x * 1.0

    def rule(g: Any) -> Any:
        raise ZeroDivisionError("by design")

    fragile.gradient(x=rule)
    x = leaf(1.0)
    with lucid.detect_anomaly():
        y = fragile(x)  # recorded here
        with pytest.raises(ZeroDivisionError) as caught:
            y.backward()
    (note,) = caught.value.__notes__
    assert note.startswith("in the gradient of fragile. Recorded at File ")
    assert note.endswith("y = fragile(x)  # recorded here")


def test_a_failing_rule_says_how_to_find_its_line() -> None:
    @lucid.op
    def fragile(x: Any) -> Any:
        return x * 1.0

    def rule(g: Any) -> Any:
        raise ZeroDivisionError("by design")

    fragile.gradient(x=rule)
    x = leaf(1.0)
    with pytest.raises(ZeroDivisionError) as caught:
        fragile(x).backward()
    assert caught.value.__notes__ == [
        "in the gradient of fragile. Run the forward pass under lucid.detect_anomaly() to see the "
        "line that recorded it."
    ]


def test_nothing_is_watched_outside() -> None:
    with lucid.detect_anomaly():
        pass
    with np.errstate(invalid="ignore"):
        assert np.isnan(lucid.log(Tensor([-1.0])).item())


def test_detect_anomaly_changes_no_result() -> None:
    x = leaf(1.0, 2.0)
    with lucid.detect_anomaly():
        parts = lucid.unstack(lucid.exp(x) * 2)
        lucid.stack(list(parts)).sum().backward()
    assert_same(gradient(x), 2 * np.exp(x.numpy()))


# Several outputs, sequences, joint rules


def test_an_output_that_nobody_used_counts_as_zero() -> None:
    x = leaf(1.0, 2.0, 3.0)
    _, second, _ = lucid.unstack(x)
    (second * 5).backward()
    assert gradient(x).tolist() == [0.0, 5.0, 0.0]


def test_outputs_of_different_shapes_and_dtypes() -> None:
    @lucid.op
    def parts(x: Any) -> Any:
        return x[:2], x[2:].astype(np.float32)

    def rule(g: tuple[Any, ...]) -> Any:
        assert [each.dtype for each in g] == [np.float64, np.float32]
        return np.concatenate([g[0], g[1]])

    parts.gradient(x=rule)
    x = leaf(1.0, 2.0, 3.0)
    first, second = parts(x)
    assert (first.shape, second.shape) == ((2,), (1,))
    first.sum().backward(retain_graph=True)
    assert gradient(x).tolist() == [1.0, 1.0, 0.0]
    (second * 2).backward()
    assert gradient(x).tolist() == [1.0, 1.0, 2.0]


@pytest.mark.usefixtures("no_gc")
def test_one_output_outlives_the_others() -> None:
    x = leaf(1.0, 2.0)
    first = lucid.unstack(x * 2)[0]
    first.backward()
    assert gradient(x).tolist() == [2.0, 0.0]


def test_a_sequence_of_tensors_arrays_and_lists() -> None:
    x = leaf(1.0)
    y = lucid.concat([x, np.array([2.0]), [3.0], x])
    assert y.tolist() == [1.0, 2.0, 3.0, 1.0]
    y.backward([1.0, 2.0, 3.0, 4.0])
    assert gradient(x).tolist() == [5.0]


def test_a_sequence_may_be_a_generator() -> None:
    lazily: Any = iter([lucid.zeros(1), lucid.ones(1)])
    assert lucid.stack(lazily).tolist() == [[0.0], [1.0]]


def joint_product() -> Any:
    @lucid.op
    def product(x1: Any, x2: Any) -> Any:
        return x1 * x2

    @product.gradients(x1=("x2",), x2=("x1",))
    def _(g: Any, x1: Any, x2: Any, needed: Any) -> Any:
        return (g * x2 if needed.x1 else None, g * x1 if needed.x2 else None)

    return product


def test_a_joint_rule_is_told_what_is_needed() -> None:
    product = joint_product()
    x, y = leaf(2.0), leaf(5.0)
    product(x, y).backward()
    assert (gradient(x).tolist(), gradient(y).tolist()) == ([5.0], [2.0])
    assert lucid.grad(product(x, Tensor([7.0])), x).tolist() == [7.0]
    assert lucid.grad(product(x, y), y).tolist() == [2.0]


def test_a_joint_rule_can_be_differentiated() -> None:
    product = joint_product()
    x = leaf(2.0)
    slope = lucid.grad(product(product(x, x), x), x, create_graph=True)
    assert lucid.grad(slope, x).tolist() == [12.0]


def test_a_joint_rule_of_the_wrong_length() -> None:
    @lucid.op
    def pair(x1: Any, x2: Any) -> Any:
        return x1 + x2

    @pair.gradients(x1=(), x2=())
    def _(g: Any) -> Any:
        return (g,)

    x = leaf(1.0)
    message = (
        "^pair: a gradient rule for 2 arrays returned 1, expected a gradient or None for each$"
    )
    with pytest.raises(lucid.GraphError, match=message):
        pair(x, x).backward()


# Operations of users


def test_a_rule_may_return_none_for_zero() -> None:
    @lucid.op
    def flat(x: Any) -> Any:
        return x * 0.0

    flat.gradient(x=lambda g: None)
    x = leaf(1.0)
    (flat(x) + x).backward()
    assert gradient(x).tolist() == [1.0]


def test_a_rule_that_is_none_records_nothing() -> None:
    @lucid.op
    def steps(x: Any) -> Any:
        return np.round(x)

    steps.gradient(x=None)
    assert not steps(leaf(1.2)).requires_grad


def test_an_operation_without_a_rule_says_so_in_backward() -> None:
    @lucid.op
    def opaque(x: Any) -> Any:
        return x * 1.0

    x = leaf(1.0)
    y = opaque(x)
    assert y.requires_grad
    with pytest.raises(lucid.GraphError) as caught:
        y.backward()
    assert str(caught.value) == (
        "opaque has no gradient for its argument 'x'.\n"
        "Register one with opaque.gradient(x=...), or None where it is zero; or call detach() on "
        "what is passed in."
    )


def operation_with_rule(rule: Any) -> Any:
    @lucid.op
    def odd(x: Any) -> Any:
        return x * 1.0

    odd.gradient(x=rule)
    return odd


def test_a_rule_that_returns_a_wrong_shape() -> None:
    x = leaf(1.0, 2.0)
    y = operation_with_rule(lambda g: g[:1])(x)
    message = r"^odd: a gradient rule returned shape \(1,\) for an argument of shape \(2,\)$"
    with pytest.raises(lucid.GraphError, match=message):
        y.backward()


def test_a_rule_that_returns_a_number() -> None:
    x = leaf(1.0, 2.0)
    y = operation_with_rule(lambda g: 1.0)(x)
    message = r"^odd: a gradient rule returned float, expected an array of shape \(2,\)$"
    with pytest.raises(lucid.GraphError, match=message):
        y.backward()


def test_a_rule_that_asks_for_an_unknown_name() -> None:
    odd = operation_with_rule(lambda g, nonsense: g)
    message = (
        "^odd: a gradient rule asks for 'nonsense', which is neither g, y, needed, an argument "
        r"\(x\), nor its _shape or _dtype$"
    )
    with pytest.raises(lucid.GraphError, match=message):
        odd(leaf(1.0))


@pytest.mark.parametrize("name", ["g", "y", "needed", "_hidden"])
def test_reserved_names_of_arguments_are_refused(name: str) -> None:
    scope: dict[str, Any] = {}
    exec(f"def strange({name}): return {name}", scope)  # noqa: S102
    message = (
        f"^op: strange has an argument named '{name}'; g, y, needed and names with a leading "
        "underscore have a meaning of their own, choose another$"
    )
    with pytest.raises(TypeError, match=message):
        lucid.op(scope["strange"])


def test_a_variable_number_of_arguments_is_refused() -> None:
    message = (
        r"^op: many takes a variable number of arguments \('\*xs.*'\); name each, and take several "
        "arrays as one sequence$"
    )
    with pytest.raises(TypeError, match=message):

        @lucid.op
        def many(*xs: Any) -> Any:
            return xs[0]


def test_a_rule_for_an_unknown_argument_is_refused() -> None:
    @lucid.op
    def single(x: Any) -> Any:
        return x * 1.0

    message = "^single: there is no argument 'z' to register a gradient for; the arguments are x$"
    with pytest.raises(TypeError, match=message):
        single.gradient(z=lambda g: g)


def test_a_later_rule_replaces_an_earlier_one() -> None:
    odd = operation_with_rule(lambda g: g)
    x = leaf(1.0)
    odd(x).backward()
    odd.gradient(x=lambda g: 5 * g)
    odd(x).backward()
    assert gradient(x).tolist() == [6.0]


def test_an_operation_that_returns_no_array() -> None:
    @lucid.op
    def wordy(x: Any) -> Any:
        return "words"

    wordy.gradient(x=None)
    message = (
        "^wordy: an operation returns an array or a tuple of arrays, but its function returned str$"
    )
    with pytest.raises(lucid.LibraryError, match=message):
        wordy(leaf(1.0))


@pytest.mark.usefixtures("no_gc")
def test_shapes_and_dtypes_are_known_without_their_arrays() -> None:
    @lucid.op
    def total(x: Any, factor: Any) -> Any:
        return (x * factor).sum()

    def rule(g: Any, x_shape: tuple[int, ...], x_dtype: Any, factor: Any) -> Any:
        return np.full(x_shape, g * factor, x_dtype)

    total.gradient(x=rule)
    array, alive = watched(1.0, 2.0)
    x = lucid.asarray(array).requires_grad_()
    middle = x * 1.0
    watch = ref(x)
    result = total(middle, 3.0)
    del array, x
    assert watch() is None
    assert alive() is None
    result.backward()


def test_the_dtype_of_a_number_is_none() -> None:
    seen: list[Any] = []

    @lucid.op
    def plus(x1: Any, x2: Any) -> Any:
        return x1 + x2

    plus.gradient(x1=lambda g, x2_dtype: note(seen, x2_dtype, g), x2=lambda g: g)
    x = leaf(1.0)
    plus(x, 2.0).backward()
    assert seen == [None]


def test_an_operation_is_a_method_where_it_is_a_class_attribute() -> None:
    class Mine(Tensor):
        doubled = operation_with_rule(lambda g: g)

    assert Mine([1.0]).doubled().tolist() == [1.0]


def test_an_operation_keeps_name_docstring_and_signature() -> None:
    assert lucid.exp.__name__ == "exp"
    assert lucid.exp.__doc__ is not None
    assert list(inspect.signature(lucid.sum).parameters) == ["x", "axis", "dtype", "keepdims"]
