"""Optimisers: PyTorch's numbers and the published formulas, state, schedules, messages."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn, optim
from lucid.kernels import _native
from lucid.optim import lr_scheduler
from lucid.testing import assert_same

Array = np.ndarray[Any, Any]
Make = Callable[..., optim.Optimizer]

# The formulas in plain NumPy: p and g are arrays, `m` and the like remember, t counts from 1


def sgd(
    p: Array, g: Array, s: dict[str, Any], t: int, *, lr: float, momentum: float = 0.0,
    dampening: float = 0.0, weight_decay: float = 0.0, nesterov: bool = False,
) -> Array:  # fmt: skip
    d = g + weight_decay * p
    if momentum:
        s["b"] = d if t == 1 else momentum * s["b"] + (1 - dampening) * d
        d = d + momentum * s["b"] if nesterov else s["b"]
    result: Array = p - lr * d
    return result


def adam(
    p: Array, g: Array, s: dict[str, Any], t: int, *, lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0.0,
    amsgrad: bool = False,
) -> Array:  # fmt: skip
    g = g + weight_decay * p
    s["m"] = betas[0] * s.get("m", 0) + (1 - betas[0]) * g
    s["v"] = betas[1] * s.get("v", 0) + (1 - betas[1]) * g**2
    s["max"] = np.maximum(s.get("max", 0), s["v"])
    m, v = s["m"] / (1 - betas[0] ** t), s["max" if amsgrad else "v"] / (1 - betas[1] ** t)
    result: Array = p - lr * m / (np.sqrt(v) + eps)
    return result


def adamw(
    p: Array, g: Array, s: dict[str, Any], t: int, *, lr: float = 1e-3,
    weight_decay: float = 1e-2, **options: Any,
) -> Array:  # fmt: skip
    return adam(p * (1 - lr * weight_decay), g, s, t, lr=lr, **options)


VARIANTS: list[tuple[type[optim.Optimizer], Callable[..., Array], dict[str, Any]]] = [
    (optim.SGD, sgd, {"lr": 0.05}),
    (optim.SGD, sgd, {"lr": 0.05, "weight_decay": 0.1}),
    (optim.SGD, sgd, {"lr": 0.05, "momentum": 0.9}),
    (optim.SGD, sgd, {"lr": 0.05, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    (optim.SGD, sgd, {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    (optim.Adam, adam, {}),
    (optim.Adam, adam, {"lr": 0.1, "betas": (0.7, 0.9), "eps": 1e-3}),
    (optim.Adam, adam, {"lr": 0.1, "weight_decay": 0.1}),
    (optim.Adam, adam, {"lr": 0.1, "amsgrad": True, "betas": (0.7, 0.9)}),
    (optim.AdamW, adamw, {}),
    (optim.AdamW, adamw, {"lr": 0.1, "weight_decay": 0.2}),
    (optim.AdamW, adamw, {"lr": 0.1, "weight_decay": 0.2, "amsgrad": True, "betas": (0.7, 0.9)}),
]

IDS = [
    f"{kind.__name__}({', '.join(f'{key}={value}' for key, value in options.items())})"
    for kind, _, options in VARIANTS
]

SHAPES: list[tuple[int, ...]] = [(3, 4), (4,), (), (0, 2)]


def variants(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(names, VARIANTS, ids=IDS)


def gradients(count: int = 50) -> list[list[Array]]:
    """Gradients that turn: those of a random walk, for each step and each shape."""
    random = np.random.default_rng(1)
    return [[np.asarray(random.normal(size=shape)) for shape in SHAPES] for _ in range(count)]


def start() -> list[Array]:
    random = np.random.default_rng(2)
    return [np.asarray(random.normal(size=shape)) for shape in SHAPES]


def run(make: Make, steps: list[list[Array]], convert: Any = np.asarray) -> list[Array]:
    parameters = [nn.Parameter(convert(value)) for value in start()]
    optimizer = make(parameters)
    for given in steps:
        for parameter, gradient in zip(parameters, given, strict=True):
            parameter.grad = Tensor(convert(gradient), dtype=parameter.dtype)
        optimizer.step()
    return [parameter.numpy() for parameter in parameters]


@pytest.fixture(params=["compiled", "NumPy"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the compiled kernel, where there is one, and without."""
    if request.param == "NumPy":
        for name in ("adam_step", "sgd_step"):
            monkeypatch.setattr(_native, name, _native._declined)


@pytest.mark.usefixtures("way")
@variants("kind", "formula", "options")
def test_fifty_steps_are_those_of_the_formula(
    kind: Make, formula: Callable[..., Array], options: dict[str, Any]
) -> None:
    expected = start()
    remembered: list[dict[str, Any]] = [{} for _ in expected]
    for t, given in enumerate(gradients(), 1):
        expected = [
            formula(p, g, s, t, **options)
            for p, g, s in zip(expected, given, remembered, strict=True)
        ]
    found = run(lambda parameters: kind(parameters, **options), gradients())
    for one, other in zip(found, expected, strict=True):
        assert_same(one, np.asarray(other), rtol=1e-12, atol=1e-13)


@variants("kind", "formula", "options")
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-6)])
def test_fifty_steps_are_pytorchs(
    kind: Make, formula: Any, options: dict[str, Any], dtype: str, tolerance: float
) -> None:
    del formula
    torch = pytest.importorskip("torch")
    theirs = [torch.tensor(value.astype(dtype), requires_grad=True) for value in start()]
    name = kind.__name__
    their_optimizer = getattr(torch.optim, name)(theirs, **options)
    for given in gradients():
        for parameter, gradient in zip(theirs, given, strict=True):
            parameter.grad = torch.tensor(gradient.astype(dtype))
        their_optimizer.step()
    found = run(
        lambda parameters: kind(parameters, **options),
        gradients(),
        lambda value: np.asarray(value, dtype),
    )
    for one, other in zip(found, theirs, strict=True):
        assert_same(one, other.detach().numpy(), rtol=tolerance, atol=4 * tolerance)


# array_api_strict warns where its dtypes are compared with another library's of the same hash
@pytest.mark.filterwarnings("ignore:You are comparing a array_api_strict dtype")
@pytest.mark.parametrize("library", ["torch", "jax.numpy", "array_api_strict"])
@variants("kind", "formula", "options")
def test_other_libraries_take_the_same_steps(
    library: str, kind: Make, formula: Any, options: dict[str, Any]
) -> None:
    del formula
    xp = pytest.importorskip(library)
    steps = gradients(3)
    expected = run(lambda parameters: kind(parameters, **options), steps)
    found = run(
        lambda parameters: kind(parameters, **options),
        steps,
        lambda value: xp.asarray(np.asarray(value, "f4")),
    )
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other.astype("f4"), rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("is_contiguous", [True, False])
@variants("kind", "formula", "options")
def test_a_large_parameter_takes_the_same_steps(
    kind: Make, formula: Callable[..., Array], options: dict[str, Any], is_contiguous: bool
) -> None:
    random = np.random.default_rng(0)
    value, given = random.normal(size=(250, 300)), random.normal(size=(3, 250, 300))
    p = nn.Parameter(value.copy() if is_contiguous else value.T.copy().T)
    optimizer = kind([p], **options)
    remembered: dict[str, Any] = {}
    for t, gradient in enumerate(given, 1):
        value = formula(value, gradient, remembered, t, **options)
        p.grad = Tensor(gradient)
        optimizer.step()
    assert_same(p.detach(), value, rtol=1e-12, atol=1e-13)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, optim.AdamW])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_not_finite_stays_where_it_is(kind: Make, dtype: str) -> None:
    p = nn.Parameter(np.asarray([math.inf, 1.0, 1.0], dtype))
    options = {"momentum": 0.9} if kind is optim.SGD else {"amsgrad": True}
    optimizer = kind([p], lr=0.1, **options)
    for slope in ([0.0, math.nan, 0.0], [0.0, 1.0, 0.0]):
        p.grad = Tensor(slope, dtype=p.dtype)
        optimizer.step()
    assert p[0].item() == math.inf
    assert math.isnan(p[1].item())
    assert math.isfinite(p[2].item())
    for name, value in optimizer.state[p].items():
        if name != "step":
            assert value[0] == 0
            assert np.isnan(value[1])


COMPILED = {
    "adam_step": (4, (0.0, 1.0, 0.9, 0.1, 0.999, 0.001, 1e-8, 1e-3)),
    "sgd_step": (2, (0.0, 0.9, 1.0, 1e-3, False)),
}


@pytest.mark.skipif(_native.compiled is None, reason="there is no compiled kernel")
@pytest.mark.parametrize("name", COMPILED)
def test_the_kernel_declines_what_it_does_not_take_and_changes_nothing(name: str) -> None:
    step = getattr(_native, name)
    optional, numbers = COMPILED[name]

    def arrays(dtype: Any = "float32") -> list[Any]:
        return [np.ones((3, 4), dtype) for _ in range(optional + 1)]

    assert step(*arrays(), *numbers).shape == (3, 4)
    assert step(*arrays()[:optional], None, *numbers).dtype == np.float32
    assert step(*arrays("float64"), *numbers).dtype == np.float64
    assert step(*(each[:0] for each in arrays()), *numbers).shape == (0, 4)
    for place in range(optional + 1):
        for wrong in (
            np.ones((3, 4)),  # another type
            np.ones((4, 3), "f4"),
            np.ones((3, 4), ">f4"),
            np.ones((4, 3), "f4").T,
            np.ones((3, 8), "f4")[:, ::2],
            np.ones((3, 4), "f4").view(type("Other", (np.ndarray,), {})),
            np.ones((3, 4), "f4").__dlpack__(),
            [1.0],
        ):
            given = arrays()
            given[place] = wrong
            assert step(*given, *numbers) is None
            rest = [each for k, each in enumerate(given) if k != place]
            assert all((each == 1).all() for each in rest)
    for dtype in ("float16", "int32", "complex64"):
        assert step(*arrays(dtype), *numbers) is None
    assert step(*(np.ones((), "f4") for _ in arrays()), *numbers) is None
    for place in range(2, optional + 1):
        given = arrays()
        given[place].flags.writeable = False
        assert step(*given, *numbers) is None
        given = arrays()
        given[place] = given[1]  # would be read after it was written
        assert step(*given, *numbers) is None
    assert step(*arrays(), *numbers, 1.0) is None
    assert step(*arrays(), 1, *numbers[1:]) is None
    assert step() is None


@pytest.mark.skipif(_native.compiled is None, reason="there is no compiled kernel")
@pytest.mark.parametrize("name", COMPILED)
def test_the_kernel_declines_bfloat16(name: str) -> None:
    optional, numbers = COMPILED[name]
    bfloat16 = np.dtype("float16")
    _native.compiled.read_as_bfloat16(bfloat16)
    try:
        given = [np.ones((3, 4), bfloat16) for _ in range(optional + 1)]
        assert getattr(_native, name)(*given, *numbers) is None
    finally:
        _native.compiled.read_as_bfloat16(None)
    torch = pytest.importorskip("torch")
    given = [torch.ones(3, 4, dtype=torch.bfloat16).__dlpack__() for _ in given]
    assert getattr(_native, name)(*given, *numbers) is None


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam])
def test_half_precision_is_remembered_in_single(kind: Make) -> None:
    p = nn.Parameter(np.ones(3, np.float16))
    optimizer = kind([p], lr=0.1)
    p.grad = Tensor(np.array([1e-4, 1e-2, 0], np.float16))
    optimizer.step()
    assert p.dtype == np.float16
    expected = [1 - 1e-5, 1 - 1e-3, 1] if kind is optim.SGD else [0.9, 0.9, 1]
    assert_same(p.detach(), np.array(expected, np.float16))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", ">f2", ">f4", ">f8"])
@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, optim.AdamW])
def test_one_number_and_any_byte_order(kind: Make, dtype: str) -> None:
    """A parameter without axes takes the steps of one with a single element, and stays as it is."""
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    options = {"momentum": 0.9} if kind is optim.SGD else {}
    native = np.dtype(dtype).newbyteorder("=")
    one, row, empty = (np.full(shape, 2, dtype) for shape in ((), (1,), (0, 3)))
    parameters = [Tensor(x, requires_grad=True) for x in (one, row, empty, row.astype(native))]
    optimizer = kind(parameters, lr=0.1, weight_decay=0.1, **options)
    for _ in range(3):
        optimizer.zero_grad()
        for p in parameters:
            (p * p).sum().backward()
        optimizer.step()
    for p, given in zip(parameters, (one, row, empty), strict=False):
        assert (p.dtype, p.shape) == (given.dtype, given.shape)
    values = [float(p.sum()) for p in parameters]
    bound = 4 * float(lucid.finfo(native).eps)
    assert values[0] == pytest.approx(values[1], bound)
    assert values[1] == pytest.approx(values[3], bound)
    assert values[3] < 2
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.step()


def test_sgd_goes_down_a_complex_slope() -> None:
    p = nn.Parameter([1 + 2j])
    optimizer = optim.SGD([p], lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        lucid.square(lucid.abs(p - 3j)).backward()
        optimizer.step()
    assert_same(p.detach(), np.array([3j], "c8"), atol=1e-5)


# What a step leaves alone


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, optim.AdamW])
def test_a_step_gives_a_new_array_and_leaves_graphs_alone(kind: Make) -> None:
    p = nn.Parameter([1.0, 2.0])
    y = p * p
    before, values = p._array, p.numpy().copy()
    p.grad = lucid.ones(2)
    kind([p], lr=0.1).step()
    assert p._array is not before
    assert_same(before, values)
    p.grad = None
    y.backward()
    assert_same(p.grad, 2 * values)


def test_the_momentum_is_not_shared_with_the_gradient() -> None:
    p = nn.Parameter([1.0])
    p.grad = lucid.ones(1)
    optimizer = optim.SGD([p], lr=0.1, momentum=0.9)
    optimizer.step(), optimizer.step()
    assert p.grad.item() == 1


def test_a_parameter_without_a_gradient_stays() -> None:
    p, q = nn.Parameter([1.0]), nn.Parameter([1.0])
    optimizer = optim.Adam([p, q], weight_decay=0.1)
    p.grad = lucid.ones(1)
    optimizer.step()
    assert q.item() == 1
    assert q not in optimizer.state
    optimizer.zero_grad()
    assert p.grad is None


def test_a_closure_computes_the_loss_also_under_no_grad() -> None:
    p = nn.Parameter([3.0])
    optimizer = optim.SGD([p], lr=0.5)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with lucid.no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == 9
    assert p.item() == 0
    assert optimizer.step() is None


# Groups


def test_groups_have_settings_of_their_own() -> None:
    p, q = nn.Parameter([1.0]), nn.Parameter([1.0])
    optimizer = optim.SGD([{"params": [p]}, {"params": q, "lr": 0.5}], lr=0.25)
    p.grad = q.grad = lucid.ones(1)
    optimizer.step()
    assert (p.item(), q.item()) == (0.75, 0.5)
    r = nn.Parameter([1.0])
    r.grad = lucid.ones(1)
    optimizer.add_param_group({"params": (each for each in [r]), "lr": 1.0})
    optimizer.param_groups[0]["lr"] = 0.0
    optimizer.step()
    assert (p.item(), q.item(), r.item()) == (0.75, 0.0, 0.0)
    assert repr(optimizer) == (
        "SGD(\n"
        "  1 parameter: lr=0.0, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False\n"
        "  1 parameter: lr=0.5, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False\n"
        "  1 parameter: lr=1.0, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False\n"
        ")"
    )


def test_settings_may_change_between_steps() -> None:
    p, q = nn.Parameter([1.0]), nn.Parameter([1.0])
    p.grad = q.grad = lucid.ones(1)
    optimizers = optim.SGD([p], lr=0.5), optim.Adam([q], lr=0.5)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.param_groups[0].update(momentum=0.5, amsgrad=True)
        optimizer.step()
        optimizer.step()
    assert p.item() == 1 - 0.5 * (1 + 1 + 1.5)
    assert q.item() == pytest.approx(-0.5)


def test_a_generator_of_parameters_is_taken() -> None:
    model = nn.Linear(2, 1)
    assert repr(optim.Adam(model.parameters())) == (
        "Adam(2 parameters: lr=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0, "
        "amsgrad=False)"
    )


# State


@variants("kind", "formula", "options")
@pytest.mark.parametrize("by_file", [False, True])
def test_a_state_goes_on_where_it_stood(
    tmp_path: Any, kind: Make, formula: Any, options: dict[str, Any], by_file: bool
) -> None:
    del formula
    steps = gradients(6)
    expected = run(lambda parameters: kind(parameters, **options), steps)

    values = start()
    parameters = [nn.Parameter(value) for value in values]
    optimizer = kind(parameters, **options)
    for k, given in enumerate(steps):
        for parameter, gradient in zip(parameters, given, strict=True):
            parameter.grad = Tensor(gradient)
        if k == 3:
            state: Any = optimizer.state_dict()
            if by_file:
                lucid.save(state, tmp_path / "optimizer.safetensors")
                state = lucid.load(tmp_path / "optimizer.safetensors")
            optimizer.step()  # does not touch the state that was taken
            parameters = [nn.Parameter(before) for before in values]
            for parameter, gradient in zip(parameters, given, strict=True):
                parameter.grad = Tensor(gradient)
            optimizer = kind(parameters, lr=123.0)
            if options.get("amsgrad"):
                optimizer.param_groups[0]["amsgrad"] = True
            optimizer.load_state_dict(state)
        optimizer.step()
        values = [parameter.numpy() for parameter in parameters]
    for one, other in zip(values, expected, strict=True):
        assert_same(one, other, rtol=0, atol=0)


def test_a_state_is_plain_and_whole() -> None:
    p, q = nn.Parameter([1.0]), nn.Parameter([1.0, 2.0])
    optimizer = optim.Adam([{"params": [p], "lr": 0.5}, {"params": [q]}])
    q.grad = lucid.ones(2)
    optimizer.step()
    state = optimizer.state_dict()
    assert state["param_groups"] == [
        {"lr": 0.5, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "amsgrad": False,
         "params": [0]},
        {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "amsgrad": False,
         "params": [1]},
    ]  # fmt: skip
    assert state["state"][0] == {}
    assert list(state["state"][1]) == ["step", "exp_avg", "exp_avg_sq"]
    assert state["state"][1]["step"] == 1


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])  # noqa: S301
def test_a_model_and_its_optimizer_are_copied_together(copied: Callable[[Any], Any]) -> None:
    model = nn.Linear(2, 1)
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    pair = (model, optimizer)
    for _ in range(2):
        for each, its_optimizer in (pair, copied(pair)):
            its_optimizer.zero_grad()
            each(lucid.ones((1, 2))).backward()
            its_optimizer.step()
    other, other_optimizer = copied(pair)
    assert other_optimizer.param_groups[0]["params"][0] is other.weight
    assert other_optimizer.state[other.weight]["step"] == 2


# Messages, word for word


def message_of(call: Callable[[], Any], kind: type[Exception] = lucid.ArgumentError) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def test_messages_about_parameters() -> None:
    p = nn.Parameter([1.0])
    assert message_of(lambda: optim.SGD([])) == "SGD: params is empty, there is nothing to train"
    assert message_of(lambda: optim.SGD([{"params": []}])) == (
        "SGD: params is empty, there is nothing to train"
    )
    assert message_of(lambda: optim.SGD(p)) == (
        "SGD: params is a Parameter, expected Tensors in a list, or what model.parameters() gives"
    )
    assert message_of(lambda: optim.SGD(nn.Linear(1, 1))) == (
        "SGD: params is a module (Linear), expected Tensors in a list, or what "
        "model.parameters() gives"
    )
    assert message_of(lambda: optim.SGD([p, p])) == (
        "SGD: params[1], of shape (1,), is given twice, and would be updated twice in each step"
    )
    assert message_of(lambda: optim.SGD([p]).add_param_group({"params": [p]})) == (
        "SGD: params[0], of shape (1,), is given twice, and would be updated twice in each step"
    )
    assert message_of(lambda: optim.SGD([p, np.ones(1)])) == (  # type: ignore[list-item]
        "SGD: params[1] is a ndarray, expected a Tensor"
    )
    assert message_of(lambda: optim.SGD([p * 2]), lucid.GraphError) == (
        "SGD: params[0], of shape (1,), is the result of an operation, and its gradient would go "
        "to what it was computed from.\nTrain that, or a leaf: Tensor(…, requires_grad=True)."
    )
    assert message_of(lambda: optim.SGD([{"weights": [p]}])) == (
        "SGD: a group of parameters is a dict with 'params', got "
        "{'weights': [Parameter([1.0], grad=None)]}"
    )
    assert message_of(lambda: optim.SGD([{"params": [p], "rate": 1}])) == (
        "SGD: unknown setting 'rate' in a group; there are lr, momentum, dampening, "
        "weight_decay, nesterov"
    )


def test_messages_about_settings() -> None:
    p = [nn.Parameter([1.0])]
    assert (
        message_of(lambda: optim.SGD(p, lr=-1.0))
        == "SGD: lr is -1.0, expected a finite number, 0 or more"
    )
    assert (
        message_of(lambda: optim.Adam(p, eps=math.nan))
        == "Adam: eps is nan, expected a finite number, 0 or more"
    )
    assert message_of(lambda: optim.AdamW(p, weight_decay=-0.1)) == (
        "AdamW: weight_decay is -0.1, expected a finite number, 0 or more"
    )
    assert message_of(lambda: optim.SGD(p, nesterov=True)) == (
        "SGD: nesterov=True needs momentum above 0 and dampening 0, but they are 0.0 and 0.0"
    )
    assert message_of(lambda: optim.Adam(p, betas=(0.9, 1.0))) == (
        "Adam: betas is (0.9, 1.0), expected two numbers, 0 ≤ β < 1"
    )
    assert message_of(lambda: optim.SGD([{"params": p, "momentum": -1}])) == (
        "SGD: momentum is -1, expected a finite number, 0 or more"
    )
    assert message_of(lambda: optim.Adam([nn.Parameter([1j])]), lucid.DTypeError) == (
        "Adam: a parameter has dtype complex64, but the algorithm is for real numbers; train real "
        "and imaginary parts, or use SGD"
    )


def test_all_that_does_not_fit_of_a_state_is_said_at_once() -> None:
    p, q = nn.Parameter([1.0]), nn.Parameter([1.0, 2.0])
    optimizer = optim.Adam([p])
    other = optim.Adam([q], lr=0.5)
    q.grad = lucid.ones(2)
    other.step()
    assert message_of(lambda: optimizer.load_state_dict(other.state_dict())) == (
        "Adam.load_state_dict: the state does not fit; nothing was loaded.\n"
        "  exp_avg of parameter 0 has shape (1,) here, but (2,) in the state\n"
        "  exp_avg_sq of parameter 0 has shape (1,) here, but (2,) in the state"
    )
    assert optimizer.param_groups[0]["lr"] == 1e-3
    assert message_of(lambda: optimizer.load_state_dict(optim.SGD([p, q]).state_dict())) == (
        "Adam.load_state_dict: the state does not fit; nothing was loaded.\n"
        "  group 0 has 1 parameters here, but 2 in the state\n"
        "  group 0 has the settings amsgrad, betas, eps, lr, weight_decay here, but dampening, lr, "
        "momentum, nesterov, weight_decay in the state\n"
        "  1 parameters here, but 2 in the state"
    )
    assert message_of(lambda: optimizer.load_state_dict({"weight": 1})) == (
        "Adam.load_state_dict: expected what state_dict() gives, a dict with 'state', a list with "
        "a dict for each parameter, and 'param_groups', a list with a dict for each group"
    )


# Schedules


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("LambdaLR", {"lr_lambda": lambda t: 1 / (t + 1)}),
        ("StepLR", {"step_size": 3, "gamma": 0.5}),
        ("CosineAnnealingLR", {"T_max": 10, "eta_min": 0.1}),
    ],
)
def test_schedules_are_pytorchs(name: str, options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    p, t = nn.Parameter([1.0]), torch.ones(1, requires_grad=True)
    mine, theirs = optim.SGD([p], lr=2.0), torch.optim.SGD([t], lr=2.0)
    schedule = getattr(lr_scheduler, name)(mine, **options)
    their_schedule = getattr(torch.optim.lr_scheduler, name)(theirs, **options)
    theirs.step()
    for _ in range(10):
        assert schedule.get_last_lr() == pytest.approx(their_schedule.get_last_lr(), abs=1e-12)
        schedule.step(), their_schedule.step()


def test_a_schedule_goes_on_where_it_stood() -> None:
    p = nn.Parameter([1.0])
    schedule = lr_scheduler.StepLR(optim.SGD([p], lr=1.0), 2, 0.5)
    for _ in range(5):
        schedule.step()
    other = lr_scheduler.StepLR(optim.SGD([p], lr=7.0), 2, 0.5)
    other.load_state_dict(schedule.state_dict())
    assert other.get_last_lr() == schedule.get_last_lr() == [0.25]


def test_messages_of_schedules() -> None:
    optimizer = optim.SGD([nn.Parameter([1.0])])
    assert message_of(lambda: lr_scheduler.StepLR(optimizer, 0)) == (
        "StepLR: step_size is 0, expected a whole number, 1 or more"
    )
    assert message_of(lambda: lr_scheduler.CosineAnnealingLR(optimizer, 0)) == (
        "CosineAnnealingLR: T_max is 0, expected a whole number, 1 or more"
    )
    assert message_of(lambda: lr_scheduler.LambdaLR(nn.Identity(), float)) == (  # type: ignore[arg-type]
        "LambdaLR: expected an Optimizer, got Identity"
    )
