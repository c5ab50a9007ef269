"""The tape: long and wide graphs, threads, memory, freed graphs, and lucid.grad."""

# ruff: noqa: ARG001 (rules and hooks have the signature that the tape asks for)

from __future__ import annotations

import gc
import sys
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any
from weakref import ref

import numpy as np
import pytest
from tape_helpers import gradient, leaf, note, watched

import lucid
from lucid import Tensor
from lucid.nn import functional as F
from lucid.testing import assert_same

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
