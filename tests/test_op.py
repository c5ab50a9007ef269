"""Operations: anomalies, several outputs, sequences, joint rules, and those of users."""

# ruff: noqa: ARG001, ARG005 (rules and hooks have the signature that the tape asks for)

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Optional
from weakref import ref

import numpy as np
import pytest
from tape_helpers import gradient, leaf, note, watched

import lucid
from lucid import Tensor
from lucid._tape import plain
from lucid.testing import assert_same, gradcheck

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


def test_what_a_joint_rule_gives_beside_what_is_needed_is_left_out() -> None:
    told = []

    @lucid.op
    def three(a: Any, b: Any, c: Any) -> Any:
        return 2 * a + 3 * b + 5 * c

    @three.gradients(a=(), b=(), c=())
    def _(g: Any, needed: Any) -> Any:
        told.append(tuple(needed))
        return 2 * g, 3 * g, 5 * g

    a, c = leaf(1.0), leaf(1.0)
    three(a, Tensor([1.0]), c).backward()
    assert (gradient(a).tolist(), gradient(c).tolist()) == ([2.0], [5.0])
    assert lucid.grad(three(a, a, c), c).tolist() == [5.0]
    assert told == [(True, False, True), (False, False, True)]


def test_a_joint_rule_can_be_differentiated() -> None:
    product = joint_product()
    x = leaf(2.0)
    slope = lucid.grad(product(product(x, x), x), x, create_graph=True)
    assert lucid.grad(slope, x).tolist() == [12.0]


def test_a_joint_rule_always_gets_what_it_lists_for_no_argument() -> None:
    @lucid.op
    def scaled(x1: Any, x2: Any, /, factor: float = 1.0) -> Any:
        return x1 * x2 * factor

    @scaled.gradients(x1=("x2",), x2=("x1",))
    def _(g: Any, x1: Any, x2: Any, factor: float, needed: Any) -> Any:
        return (g * x2 * factor if needed.x1 else None, g * x1 * factor if needed.x2 else None)

    x = leaf(2.0)
    scaled(x, Tensor([5.0]), 3.0).backward()
    assert gradient(x).tolist() == [15.0]


def test_a_joint_rule_of_the_wrong_length() -> None:
    @lucid.op
    def pair(x1: Any, x2: Any) -> Any:
        return x1 + x2

    @pair.gradients(x1=(), x2=())
    def _(g: Any) -> Any:
        return (g,)

    x = leaf(1.0)
    message = (
        "^pair: a gradient rule for 2 arrays returned 1, expected a gradient or None for each\n"
        r"Run the forward pass under lucid.detect_anomaly\(\) to see the line that recorded it.$"
    )
    with pytest.raises(lucid.GraphError, match=message):
        pair(x, x).backward()


# The decorator


def arrays_of(function: Any) -> tuple[set[str], set[str]]:
    operation = lucid.op(function).operation  # type: ignore[attr-defined]
    return set(operation.arrays), set(operation.rules.sequences)


def test_annotations_say_which_arguments_are_arrays() -> None:
    scope = {"np": np, "npt": np.typing, "Sequence": Sequence, "Optional": Optional, "Any": Any,
             "Tensor": Tensor, "Array": Any}  # fmt: skip
    for text in ("Array", "Array | None", "np.ndarray", "npt.NDArray[np.float64]", "Tensor",
                 "None | Array", "Optional[np.ndarray]", "_arrays.Array | complex",
                 "np.ndarray[Any, Any] | None"):  # fmt: skip
        exec(f"def f(a: int, x: '{text}', b, c=None): pass", scope)  # noqa: S102
        assert arrays_of(scope["f"]) == ({"x"}, set()), text
    for text in ("np.ndarray", "npt.NDArray[np.float64]", "Tensor", "np.ndarray | None",
                 "Optional[Tensor]"):  # fmt: skip
        exec(f"def f(a: int, x: {text}, b, c=None): pass", scope)  # noqa: S102
        assert arrays_of(scope["f"]) == ({"x"}, set()), text
    for text in ("Sequence[Array]", "list[np.ndarray]", "tuple[Array, ...]", "Iterable[Tensor]",
                 "Sequence[npt.NDArray[np.float64]]", "Sequence[Array | None]",
                 "Sequence[Array] | None"):  # fmt: skip
        exec(f"def f(a: int, x: '{text}', b, c=None): pass", scope)  # noqa: S102
        assert arrays_of(scope["f"]) == ({"x"}, {"x"}), text
    exec("def f(a: int, x: Sequence[np.ndarray], b, c=None): pass", scope)  # noqa: S102
    assert arrays_of(scope["f"]) == ({"x"}, {"x"})


def test_without_annotations_the_signature_says_which_arguments_are_arrays() -> None:
    assert arrays_of(lambda x1, x2, z=1: 0) == ({"x1", "x2"}, set())
    scope: dict[str, Any] = {"Callable": Callable}
    exec("def f(x1, x2, /, z, w=1): pass", scope)  # noqa: S102
    assert arrays_of(scope["f"]) == ({"x1", "x2"}, set())
    exec("def f(x: float, f: 'Callable[[Array], Array]' = None): pass", scope)  # noqa: S102
    assert arrays_of(scope["f"]) == ({"x"}, set())


def test_a_list_becomes_an_array_also_where_a_rule_is_forgotten() -> None:
    @lucid.op
    def doubled(x: Any) -> Any:
        return x * 2

    assert doubled([1.0, 2.0]).tolist() == [2.0, 4.0]


def test_the_rule_of_one_argument_stands_in_the_decorator() -> None:
    @lucid.op(gradient=lambda g, x, power: g * power * x ** (power - 1))
    def powered(x: Any, power: int = 2) -> Any:
        return x**power

    x = leaf(3.0)
    powered(x, 3).backward()
    assert gradient(x).tolist() == [27.0]


def test_no_gradient_is_said_of_all_arguments_at_once() -> None:
    @lucid.op(gradient=None)
    def larger(x1: Any, x2: Any) -> Any:
        return x1 > x2

    assert not larger(leaf(1.0), leaf(2.0)).requires_grad


def test_one_rule_for_several_arrays_is_refused() -> None:
    message = (
        r"^op: gradient=... is the rule of one array argument, but pair has 2 \(x1, x2\); register "
        r"one for each with pair.gradient\(x1=..., x2=...\)$"
    )
    with pytest.raises(TypeError, match=message):

        @lucid.op(gradient=lambda g: g)
        def pair(x1: Any, x2: Any) -> Any:
            return x1 + x2


def test_a_rule_forgotten_beside_a_joint_one_says_so() -> None:
    @lucid.op
    def scaled(a: Any, b: Any, c: Any) -> Any:
        return a * b * c

    @scaled.gradients(a=("b", "c"), b=("a", "c"))
    def _(g: Any, a: Any, b: Any, c: Any, needed: Any) -> Any:
        return g * b * c if needed.a else None, g * a * c if needed.b else None

    a, c = leaf(2.0), leaf(5.0)
    y = scaled(a, Tensor([3.0]), c)
    assert lucid.grad(y, a, retain_graph=True).tolist() == [15.0]  # nobody asks for that of c
    with pytest.raises(lucid.GraphError, match=r"^scaled has no gradient for its argument 'c'"):
        y.backward()


class Halved(NamedTuple):
    half: Any
    rest: Any
    count: Any


def test_a_named_tuple_stays_one() -> None:
    @lucid.op
    def halved(x: Any) -> Any:
        return Halved(x / 2, x - x / 2, np.full(x.shape, 2))

    halved.gradient(x=lambda g, y, x: g[0] / 2 + g[1] * (y.half / x))
    assert isinstance(halved(Tensor([1.0])), Halved)
    x = leaf(2.0, 4.0)
    result: Any = halved(x)
    assert isinstance(result, Halved)
    assert [part.requires_grad for part in result] == [True, True, False]
    (result.half + 3 * result.rest).backward()
    assert gradient(x).tolist() == [2.0, 2.0]
    gradcheck(lambda x: halved(x)[:2], [np.array([1.0, 2.0])], order=2)


def test_a_rule_that_loses_the_graph_is_named() -> None:
    @lucid.op(gradient=lambda g, x: plain(g) * np.cos(plain(x)))
    def sine(x: Any) -> Any:
        return np.sin(x)

    x = leaf(1.0)
    with pytest.raises(
        lucid.GraphError, match=r"^sine: a gradient rule returned ndarray where the "
    ):
        lucid.grad(sine(x), x, create_graph=True)


def test_a_rule_that_fails_by_itself_keeps_its_error() -> None:
    def rule(g: Any) -> Any:
        raise ZeroDivisionError("by design")

    @lucid.op(gradient=rule)
    def unfinished(x: Any) -> Any:
        return x * 1.0

    x = leaf(1.0)
    with pytest.raises(ZeroDivisionError, match="by design"):
        lucid.grad(unfinished(x), x, create_graph=True)


@pytest.mark.parametrize("name", ["torch"])
def test_unused_results_count_as_zero_in_their_library_when_recorded(name: str) -> None:
    library = pytest.importorskip(name)
    x = Tensor(library.ones(2, 3), requires_grad=True)
    first = lucid.unstack(x * x)[0]
    slope = lucid.grad(first, x, create_graph=True)
    assert isinstance(slope._array, library.Tensor)
    assert lucid.grad(slope, x).tolist() == [[2.0] * 3, [0.0] * 3]


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


def test_an_argument_may_have_any_other_name() -> None:
    @lucid.op(gradient=lambda g, tensor, mode, function, tracked: g * function * mode)
    def scaled(
        tensor: Tensor, mode: float, function: int, tracked: int = 0, list: int = 1, any: int = 1,
        values: int = 0, place: int = 0, saving: int = 0, create: int = 0, anomaly: int = 0,
    ) -> Tensor:  # fmt: skip
        return tensor * mode * function

    x = leaf(1.0, 2.0)
    result = scaled(x, 0.5, function=4, tracked=3, values=7)
    assert result.tolist() == [2.0, 4.0]
    result.backward()
    assert gradient(x).tolist() == [2.0, 2.0]


@pytest.mark.parametrize("name", ["g", "y", "kept", "needed", "_hidden"])
def test_reserved_names_of_arguments_are_refused(name: str) -> None:
    scope: dict[str, Any] = {}
    exec(f"def strange({name}): return {name}", scope)  # noqa: S102
    message = (
        f"^op: strange has an argument named '{name}'; g, y, kept, needed and names with a "
        "leading underscore have a meaning of their own, choose another$"
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


def test_a_rule_may_name_all_the_results_also_when_recorded() -> None:
    @lucid.op
    def powers(x: Any) -> Any:
        return x**2, x**3

    powers.gradient(x=lambda g, x, y: g[0] * 2 * x + g[1] * 3 * y[0])
    x = leaf(2.0)
    square, cube = powers(x)
    slope = lucid.grad(square + cube, x, create_graph=True)
    assert slope.tolist() == [16.0]
    assert lucid.grad(slope, x).tolist() == [14.0]  # 2 + 6 · x


def test_a_list_becomes_an_array_of_the_library_beside_it() -> None:
    torch = pytest.importorskip("torch")
    result = lucid.add(lucid.asarray(torch.ones(2)), [1.0, 2.0])
    assert isinstance(result._array, torch.Tensor)
    assert result.tolist() == [2.0, 3.0]
