"""Modules: attributes, state, modes, how they look; layers and their first values; utilities."""

from __future__ import annotations

import copy
import math
import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.testing import assert_same


class Scorer(nn.Module):
    """Two embeddings, compared by a bilinear form; with a buffer and a list of layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))
        self.pair = nn.Bilinear(4, 4, 1, bias=False)
        self.scale = nn.Parameter([2.0])
        self.register_buffer("steps", Tensor([0]))
        self.register_buffer("cache", Tensor([1.0]), persistent=False)

    def forward(self, left: Any, right: Any) -> Any:
        x = self.embedding(left)
        for layer in self.layers:
            x = lucid.tanh(layer(x))
        return self.pair(x, self.embedding(right)) * self.scale


NAMES = [
    "scale",
    "embedding.weight",
    "layers.0.weight",
    "layers.0.bias",
    "layers.1.weight",
    "layers.1.bias",
    "pair.weight",
]


# Parameter


def test_a_parameter_is_a_leaf_and_results_are_tensors() -> None:
    p = nn.Parameter([1.0, 2.0])
    assert p.requires_grad
    assert p.is_leaf
    assert repr(p) == "Parameter([1.0, 2.0], grad=None)"
    for result in (p * 2, p.detach(), p[0], p.astype(lucid.float64), lucid.abs(p)):
        assert type(result) is Tensor


def test_a_parameter_need_not_require_a_gradient() -> None:
    assert not nn.Parameter([1], requires_grad=False).requires_grad
    with pytest.raises(lucid.DTypeError, match="only floating-point tensors can have a gradient"):
        nn.Parameter([1])


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))],  # noqa: S301
)
def test_a_copy_of_a_parameter_is_a_parameter(copied: Callable[[Any], Any]) -> None:
    p = nn.Parameter([1.0, 2.0])
    (p * 3).backward()
    q = copied(p)
    assert type(q) is nn.Parameter
    assert q.requires_grad
    assert_same(q.detach(), p.detach())
    assert_same(q.grad, p.grad)


def test_a_parameter_is_updated_in_place_under_no_grad() -> None:
    p = nn.Parameter([1.0, 2.0])
    with lucid.no_grad():
        p -= Tensor([0.5, 0.5])
    assert type(p) is nn.Parameter
    assert_same(p.detach(), np.array([0.5, 1.5], "f4"))


# Attributes


def test_parameters_modules_and_buffers_are_found_by_name() -> None:
    model = Scorer()
    assert [name for name, _ in model.named_parameters()] == NAMES
    assert [name for name, _ in model.named_buffers()] == ["steps", "cache"]
    assert [name for name, _ in model.named_children()] == ["embedding", "layers", "pair"]
    assert [name for name, _ in model.named_modules()] == [
        "", "embedding", "layers", "layers.0", "layers.1", "pair",
    ]  # fmt: skip
    assert [name for name, _ in model.named_parameters(recurse=False)] == ["scale"]
    assert [name for name, _ in model.layers.named_parameters("layers")] == NAMES[2:6]
    assert len(list(model.modules())) == 6
    assert len(list(model.children())) == 3
    assert len(list(model.buffers())) == 2


def test_a_module_without_super_init_works_all_the_same() -> None:
    class Forgetful(nn.Module):
        def __init__(self) -> None:
            self.weight = nn.Parameter([1.0])
            self.inner = nn.Linear(1, 1)

    assert [name for name, _ in Forgetful().named_parameters()] == [
        "weight", "inner.weight", "inner.bias",
    ]  # fmt: skip


def test_what_is_shared_comes_once() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    first, second = model[0], model[1]
    second.weight = first.weight
    assert [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert list(model.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    twice = nn.Sequential(first, first)
    assert len(list(twice.modules())) == 2
    assert len(list(twice.parameters())) == 2
    assert twice(lucid.ones((1, 2))).shape == (1, 2)


def test_a_module_that_contains_itself_does_not_hang() -> None:
    model = Scorer()
    model.itself = model
    assert [name for name, _ in model.named_parameters()] == NAMES
    assert list(model.state_dict()) == ["scale", "steps", *NAMES[1:]]
    assert "itself" not in repr(model)


def test_a_parameter_may_be_left_out_and_come_later() -> None:
    model = nn.Module()
    model.register_parameter("bias", None)
    assert model.bias is None
    assert list(model.parameters()) == []
    model.bias = nn.Parameter([1.0])
    assert list(model.state_dict()) == ["bias"]


def test_a_buffer_may_be_replaced_and_become_a_parameter() -> None:
    model = Scorer()
    model.steps = Tensor([5])
    assert_same(model.state_dict()["steps"], np.array([5]))
    model.cache = nn.Parameter([1.0])
    assert [name for name, _ in model.named_buffers()] == ["steps"]
    assert "cache" in dict(model.named_parameters())
    del model.steps
    assert list(model.named_buffers()) == []


def message_of(call: Callable[[], Any], kind: type[Exception]) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def test_an_unknown_attribute_is_an_error_that_suggests_one() -> None:
    model = Scorer()
    assert message_of(lambda: model.embeding, AttributeError) == (
        "Scorer has no attribute 'embeding'; did you mean 'embedding'?"
    )
    assert message_of(lambda: model.named_parameter, AttributeError) == (
        "Scorer has no attribute 'named_parameter'; did you mean 'named_parameters'?"
    )
    assert message_of(lambda: model.xyz, AttributeError) == ("Scorer has no attribute 'xyz'")
    assert not hasattr(model, "xyz")


def test_messages_about_attributes() -> None:
    model = Scorer()

    def assign(name: str, value: Any) -> str:
        return message_of(lambda: setattr(model, name, value), lucid.ArgumentError)

    assert assign("scale", Tensor([1.0])) == (
        "Scorer.scale is a Parameter and cannot become a Tensor: it would be trained no more.\n"
        "Give it other values with scale.copy_(…) under lucid.no_grad(), or assign Parameter(…)."
    )
    assert assign("steps", 3) == "Scorer.steps is a buffer: a Tensor or None, not int"
    assert assign("heads", [nn.Linear(1, 1)]) == (
        "Scorer.heads is a list with modules or parameters, which would not be found in it.\n"
        "Use nn.ModuleList for modules, and an attribute for each parameter."
    )
    assert assign("heads", {"a": nn.Linear(1, 1)}) == (
        "Scorer.heads is a dict with modules or parameters, which would not be found in it.\n"
        "Use nn.ModuleDict for modules, and an attribute for each parameter."
    )
    register = model.register_buffer
    assert message_of(lambda: register("a.b", None), lucid.ArgumentError) == (
        "register_buffer: a name is not empty and has no dot, but got 'a.b'"
    )
    assert message_of(lambda: register("forward", None), lucid.ArgumentError) == (
        "register_buffer: Scorer has an attribute 'forward'"
    )
    assert (
        message_of(
            lambda: model.register_parameter("w", Tensor([1.0])),  # type: ignore[arg-type]
            lucid.ArgumentError,
        )
        == "register_parameter: 'w' is Tensor, expected a Parameter or None"
    )
    assert message_of(lambda: nn.Module()(1), NotImplementedError) == (
        "Module has no forward; define what it computes"
    )


# State


def test_a_state_is_a_snapshot() -> None:
    model = nn.Linear(2, 1)
    state = model.state_dict()
    before = {name: value.numpy().copy() for name, value in state.items()}
    optimizer = lucid.optim.SGD(model.parameters(), lr=1.0)
    model(lucid.ones((1, 2))).backward()
    optimizer.step()
    for name, value in before.items():
        assert_same(state[name], value)
        assert type(state[name]) is Tensor
        assert not state[name].requires_grad
    assert not np.array_equal(model.weight.numpy(), before["weight"])


def test_a_state_is_loaded_into_the_same_parameters() -> None:
    one, other = Scorer(), Scorer()
    weight = other.pair.weight
    result = other.load_state_dict(one.state_dict())
    assert result == ([], [])
    assert other.pair.weight is weight
    assert weight.requires_grad
    for name, value in one.state_dict().items():
        assert_same(other.state_dict()[name], value)
    assert list(one.state_dict()) == ["scale", "steps", *NAMES[1:]]


def test_a_state_of_arrays_is_converted_and_copied() -> None:
    model = nn.Linear(2, 1)
    weight = np.array([[1.0, 2.0]])
    model.load_state_dict({"weight": weight, "bias": np.array([3])})
    weight[:] = 0
    assert_same(model.weight.detach(), np.array([[1, 2]], "f4"))
    assert_same(model.bias.detach(), np.array([3], "f4"))  # type: ignore[union-attr]


def test_all_that_does_not_fit_is_said_at_once_and_nothing_is_loaded() -> None:
    model = Scorer()
    before = {name: value.numpy() for name, value in model.state_dict().items()}
    state: dict[str, Any] = model.state_dict()
    del state["layers.0.bias"], state["pair.weight"]
    state["layers.0.bais"] = lucid.zeros(4)
    state["extra"] = lucid.zeros(1)
    state["scale"] = Tensor([1j])
    state["steps"] = Tensor([0.5])
    state["embedding.weight"] = lucid.ones((4, 10))
    state["layers.1.weight"] = "weight"
    assert message_of(lambda: model.load_state_dict(state), lucid.ArgumentError) == (
        "load_state_dict: the state does not fit Scorer; nothing was loaded.\n"
        "  missing: layers.0.bias\n"
        "  missing: pair.weight\n"
        "  unexpected: layers.0.bais (did you mean layers.0.bias?)\n"
        "  unexpected: extra\n"
        "  dtype: scale is float32 here, which cannot hold the state's complex64\n"
        "  dtype: steps is int64 here, which cannot hold the state's float32\n"
        "  shape: embedding.weight is (10, 4) here, but (4, 10) in the state\n"
        "  type: layers.1.weight is str in the state, expected a Tensor or an array"
    )
    for name, value in before.items():
        assert_same(model.state_dict()[name], value)


def test_what_is_missing_or_unexpected_may_be_passed_over_but_no_shape() -> None:
    model = nn.Linear(2, 1)
    result = model.load_state_dict({"weight": np.ones((1, 2)), "other": 0}, strict=False)
    assert result.missing_keys == ["bias"]
    assert result.unexpected_keys == ["other"]
    assert_same(model.weight.detach(), np.ones((1, 2), "f4"))
    with pytest.raises(lucid.ArgumentError, match=r"shape: weight is \(1, 2\) here, but \(2, 2\)"):
        model.load_state_dict({"weight": np.ones((2, 2))}, strict=False)


# Modes and conversions


def test_training_and_freezing_reach_every_module() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout(0.5)))
    assert model.eval() is model
    assert not any(module.training for module in model.modules())
    assert all(module.training for module in model.train().modules())
    assert model.requires_grad_(False) is model
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not model(lucid.ones((1, 2))).requires_grad
    model.requires_grad_()
    model(lucid.ones((1, 2))).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    model.zero_grad()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_apply_calls_children_first() -> None:
    seen: list[str] = []
    nn.Sequential(nn.Identity(), nn.Flatten()).apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Flatten", "Identity", "Sequential"]


def test_to_converts_parameters_gradients_and_buffers() -> None:
    model = Scorer()
    model([1], [2]).backward()
    expected = model.scale.grad
    assert expected is not None
    assert model.to(lucid.float64) is model
    assert {each.dtype for each in model.parameters()} == {lucid.float64}
    assert model.cache.dtype == lucid.float64
    assert model.steps.dtype == lucid.int64
    assert_same(model.scale.grad, expected.numpy().astype("f8"))
    model.zero_grad()
    model([1], [2]).backward()
    assert model.scale.grad is not None
    assert model.scale.grad.dtype == lucid.float64
    with pytest.raises(lucid.DTypeError, match="parameters are floating-point numbers"):
        model.to(lucid.int64)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])  # noqa: S301
def test_copies_of_a_module_are_whole_and_apart(copied: Callable[[Any], Any]) -> None:
    model = Scorer()
    model.eval()
    other = copied(model)
    assert type(other) is Scorer
    assert not other.layers[0].training
    assert [name for name, _ in other.named_parameters()] == NAMES
    assert [name for name, _ in other.named_buffers()] == ["steps", "cache"]
    assert_same(other([1, 2], [3, 4]).detach(), model([1, 2], [3, 4]).detach())
    with lucid.no_grad():
        other.scale.copy_([5.0])
    assert model.scale.item() == 2


def test_what_is_shared_stays_shared_in_a_copy() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    other = copy.deepcopy(model)
    assert other[1].weight is other[0].weight
    assert other[0].weight is not model[0].weight


# How modules look


def test_a_module_shows_its_tree_and_its_parameters() -> None:
    model = Scorer()
    assert repr(model) == (
        "Scorer                                    97 parameters\n"
        "├─ embedding: Embedding(10, 4)            40\n"
        "├─ layers: ModuleList                     40\n"
        "│  ├─ 0: Linear(4, 4)                     20\n"
        "│  └─ 1: Linear(4, 4)                     20\n"
        "└─ pair: Bilinear(4, 4, 1, bias=False)    16"
    )


def test_layers_show_what_they_were_made_with() -> None:
    shown = {
        "Linear(2, 3)": nn.Linear(2, 3),
        "Linear(2, 3, bias=False)": nn.Linear(2, 3, bias=False),
        "Bilinear(2, 3, 4)": nn.Bilinear(2, 3, 4),
        "Embedding(4, 2, padding_idx=0)": nn.Embedding(4, 2, padding_idx=0),
        "Dropout(p=0.1)": nn.Dropout(0.1),
        "LayerNorm(4, eps=1e-05)": nn.LayerNorm(4),
        "LayerNorm((3, 4), eps=1e-05)": nn.LayerNorm((3, 4)),
        "Flatten(start_axis=1, end_axis=-1)": nn.Flatten(),
        "Identity()": nn.Identity(),
        "ReLU()": nn.ReLU(),
        "LeakyReLU(negative_slope=0.01)": nn.LeakyReLU(),
        "GELU(approximate='tanh')": nn.GELU("tanh"),
        "ELU(alpha=1.0)": nn.ELU(),
        "Softplus(beta=1.0)": nn.Softplus(),
        "Softmax(axis=-1)": nn.Softmax(),
        "LogSoftmax(axis=0)": nn.LogSoftmax(0),
        "CrossEntropyLoss(reduction='mean')": nn.CrossEntropyLoss(),
        "Sequential()": nn.Sequential(),
    }
    for text, module in shown.items():
        assert repr(module) == text


def test_large_counts_are_readable_and_what_is_shared_counts_once() -> None:
    model = nn.Sequential(nn.Linear(1000, 1000), nn.ReLU(), nn.Linear(1000, 1000))
    model[2].weight = model[0].weight
    assert repr(model) == (
        "Sequential                  1,002,000 parameters\n"
        "├─ 0: Linear(1000, 1000)    1,001,000\n"
        "├─ 1: ReLU()\n"
        "└─ 2: Linear(1000, 1000)    1,001,000"
    )


# Containers


def test_sequential_is_a_list_of_modules() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    assert model.append(nn.Linear(4, 2)) is model
    assert len(model) == 3
    assert [type(each).__name__ for each in model] == ["Linear", "ReLU", "Linear"]
    assert model[-1] is model[2]
    part = model[1:]
    assert type(part) is nn.Sequential
    assert list(part) == [model[1], model[2]]
    added = nn.Identity()
    assert list(part.append(added)) == [model[1], model[2], added]
    x = lucid.randn((5, 3))
    expected = model[2](lucid.maximum(model[0](x), 0))
    assert_same(model(x).detach(), expected.detach())
    model[1] = nn.Tanh()
    assert repr(model[1]) == "Tanh()"


def test_sequential_with_names() -> None:
    model = nn.Sequential(OrderedDict(first=nn.Linear(3, 4), second=nn.Linear(4, 2)))
    assert list(model.state_dict()) == [
        "first.weight", "first.bias", "second.weight", "second.bias",
    ]  # fmt: skip
    assert model.second.weight is model[1].weight
    assert model(lucid.ones((1, 3))).shape == (1, 2)


def test_module_dict_is_a_dictionary() -> None:
    heads = nn.ModuleDict({"a": nn.Linear(1, 1)})
    heads["b"] = nn.Linear(1, 2)
    assert list(heads) == list(heads.keys()) == ["a", "b"]
    assert "a" in heads
    assert "training" not in heads
    assert [each.out_features for each in heads.values()] == [1, 2]
    del heads["a"]
    assert len(heads) == 1
    with pytest.raises(KeyError, match="'a'"):
        heads["a"]


def test_messages_of_containers() -> None:
    model = nn.Sequential(nn.ReLU())
    assert message_of(lambda: model[1], IndexError) == (
        "Sequential: index 1 is outside its 1 modules"
    )
    assert message_of(lambda: nn.Sequential(nn.ReLU(), lucid.tanh), lucid.ArgumentError) == (  # type: ignore[arg-type]
        "Sequential: expected a Module, got function"
    )
    assert message_of(lambda: nn.ModuleDict({"forward": nn.ReLU()}), lucid.ArgumentError) == (
        "ModuleDict: ModuleDict has an attribute 'forward'"
    )


# Layers


LAYERS: dict[str, tuple[str, tuple[Any, ...], list[tuple[int, ...]]]] = {
    "Linear": ("Linear", (3, 4), [(2, 3)]),
    "Linear without a bias": ("Linear", (3, 4, False), [(2, 5, 3)]),
    "Bilinear": ("Bilinear", (3, 4, 5), [(2, 3), (2, 4)]),
    "Bilinear without a bias": ("Bilinear", (3, 4, 5, False), [(2, 3), (2, 4)]),
    "LayerNorm": ("LayerNorm", ((3, 4),), [(2, 3, 4)]),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_has_pytorchs_parameters_and_results(
    random: np.random.Generator, name: str
) -> None:
    torch = pytest.importorskip("torch")
    kind, arguments, shapes = LAYERS[name]
    mine = getattr(nn, kind)(*arguments, dtype=lucid.float64)
    theirs = getattr(torch.nn, kind)(*arguments, dtype=torch.float64)
    mine.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    inputs = [random.normal(size=shape) for shape in shapes]
    expected = theirs(*map(torch.tensor, inputs)).detach().numpy()
    assert_same(mine(*map(Tensor, inputs)).detach(), expected)


def test_the_layers_of_losses_do_what_the_functions_do(random: np.random.Generator) -> None:
    F = nn.functional
    x, t = Tensor(random.normal(size=(4, 3))), Tensor(random.uniform(size=(4, 3)))
    classes, weight = [0, 2, 1, 1], Tensor([0.5, 1.0, 2.0])
    pairs = [
        (
            nn.CrossEntropyLoss(weight, ignore_index=1, label_smoothing=0.1)(x, classes),
            F.cross_entropy(x, classes, weight, ignore_index=1, label_smoothing=0.1),
        ),
        (nn.NLLLoss(weight, reduction="none")(x, classes),
         F.nll_loss(x, classes, weight, reduction="none")),
        (nn.MSELoss(reduction="sum")(x, t), F.mse_loss(x, t, reduction="sum")),
        (nn.L1Loss()(x, t), F.l1_loss(x, t)),
        (
            nn.BCEWithLogitsLoss(weight, pos_weight=weight)(x, t),
            F.binary_cross_entropy_with_logits(x, t, weight, pos_weight=weight),
        ),
    ]  # fmt: skip
    for one, other in pairs:
        assert_same(one, other)
    assert list(nn.CrossEntropyLoss(weight).state_dict()) == ["weight"]
    with pytest.raises(lucid.ArgumentError, match="MSELoss: reduction is 'avg'"):
        nn.MSELoss(reduction="avg")


def test_the_layers_of_activations_do_what_the_functions_do(random: np.random.Generator) -> None:
    F = nn.functional
    x = Tensor(random.normal(size=(4, 3)))
    pairs: list[tuple[nn.Module, Callable[[Tensor], Tensor]]] = [
        (nn.ReLU(), F.relu),
        (nn.LeakyReLU(0.2), lambda x: F.leaky_relu(x, 0.2)),
        (nn.ELU(0.5), lambda x: F.elu(x, 0.5)),
        (nn.Softplus(2.0), lambda x: F.softplus(x, 2.0)),
        (nn.GELU(), F.gelu),
        (nn.GELU("tanh"), lambda x: F.gelu(x, "tanh")),
        (nn.SiLU(), F.silu),
        (nn.Sigmoid(), F.sigmoid),
        (nn.Tanh(), F.tanh),
        (nn.Softmax(0), lambda x: F.softmax(x, 0)),
        (nn.LogSoftmax(), F.log_softmax),
    ]
    for layer, function in pairs:
        assert_same(layer(x), function(x))


def test_dropout_drops_in_training_only() -> None:
    layer = nn.Dropout(0.5, generator=lucid.Generator(0))
    x = lucid.ones(20)
    assert 0 in layer(x).numpy()
    assert layer.eval()(x) is x
    with pytest.raises(
        lucid.ArgumentError, match=r"Dropout: p is -0\.1, expected a number from 0 to 1"
    ):
        nn.Dropout(-0.1)


def test_an_embedding_keeps_its_padding_at_zero() -> None:
    layer = nn.Embedding(4, 2, padding_idx=1)
    assert_same(layer.weight.detach().numpy()[1], np.zeros(2, "f4"))
    optimizer = lucid.optim.SGD(layer.parameters(), lr=1.0)
    layer([0, 1, 1]).backward()
    optimizer.step()
    assert_same(layer.weight.detach().numpy()[1], np.zeros(2, "f4"))


def test_flatten_makes_axes_one() -> None:
    x = lucid.zeros((2, 3, 4, 5))
    assert nn.Flatten()(x).shape == (2, 60)
    assert nn.Flatten(0, 1)(x).shape == (6, 4, 5)
    assert nn.Flatten(-2)(x).shape == (2, 3, 20)
    assert nn.Flatten()(lucid.zeros((0, 3, 4))).shape == (0, 12)
    assert message_of(lambda: nn.Flatten(2, 1)(x), IndexError) == (
        "Flatten: axes 2 to 1 are not there, or not in this order, in an input of shape "
        "(2, 3, 4, 5)"
    )


def test_sizes_of_layers_are_checked() -> None:
    assert message_of(lambda: nn.Linear(-1, 2), lucid.ArgumentError) == (
        "Linear: in_features is -1, expected a whole number, 0 or more"
    )
    assert message_of(lambda: nn.Bilinear(1, 2.0, 3), lucid.ArgumentError) == (  # type: ignore[arg-type]
        "Bilinear: in2_features is 2.0, expected a whole number, 0 or more"
    )
    assert message_of(lambda: nn.Embedding(3, 2, 3), IndexError) == (
        "Embedding: padding_idx is 3, but there are 3 embeddings"
    )
    assert nn.Linear(0, 2)(lucid.zeros((3, 0))).shape == (3, 2)
    assert nn.Bilinear(0, 2, 1)(lucid.zeros((3, 0)), lucid.zeros((3, 2))).shape == (3, 1)


@pytest.mark.parametrize(
    "make",
    [
        lambda **o: nn.Linear(3, 4, **o),
        lambda **o: nn.Bilinear(3, 4, 2, **o),
        lambda **o: nn.Embedding(5, 2, **o),
    ],
)
def test_a_generator_repeats_a_layer_and_dtype_is_taken(make: Callable[..., nn.Module]) -> None:
    one, other = (make(generator=lucid.Generator(1)).state_dict() for _ in range(2))
    for name, value in one.items():
        assert_same(other[name], value)
    for dtype in (lucid.float16, lucid.float32, lucid.float64):
        assert {each.dtype for each in make(dtype=dtype).parameters()} == {dtype}


# First values. The variance of n numbers drawn varies by √(2/n) (normal) or √(0.8/n) (even) of
# itself, so five such standard deviations are 5 · √(2/n) at most.


def assert_variance(values: Any, expected: float) -> None:
    values = np.asarray(values.numpy(), np.float64)
    assert abs(values.var() / expected - 1) < 5 * math.sqrt(2 / values.size)
    assert abs(values.mean()) < 5 * math.sqrt(expected / values.size)


def test_first_values_have_the_variance_of_their_formula() -> None:
    g = lucid.Generator(0)
    weight = lucid.zeros((80, 120))
    kernel = lucid.zeros((20, 30, 5))
    assert_variance(nn.Linear(120, 80, generator=g).weight, 1 / (3 * 120))
    assert_variance(nn.Bilinear(20, 30, 10, generator=g).weight, 1 / (20 * 30))
    assert_variance(nn.Embedding(80, 120, generator=g).weight, 1.0)
    assert_variance(nn.init.uniform_(weight, -2, 2, generator=g), 16 / 12)
    assert_variance(nn.init.normal_(weight, std=0.3, generator=g), 0.09)
    assert_variance(nn.init.xavier_uniform_(weight, 2.0, generator=g), 4 * 2 / 200)
    assert_variance(nn.init.xavier_normal_(kernel, generator=g), 2 / (50 * 5))
    assert_variance(nn.init.kaiming_uniform_(weight, a=1.0, generator=g), 1 / 120)
    assert_variance(nn.init.kaiming_normal_(kernel, generator=g), 2 / 150)
    fan_out = nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="tanh", generator=g)
    assert_variance(fan_out, 25 / 9 / 80)
    assert_variance(nn.init.bilinear_normal_(kernel, 3.0, generator=g), 9 / 150)


def test_bilinear_keeps_the_variance_of_its_inputs() -> None:
    layer = nn.Bilinear(50, 40, 200, generator=lucid.Generator(0))
    random = np.random.default_rng(1)
    out = layer(random.normal(size=(2000, 50)), random.normal(size=(2000, 40))).detach().numpy()
    # all outputs of one row share |x1|² |x2|², whose mean over rows varies by √((2/50 + 2/40)/2000)
    assert abs(out.var() - 1) < 5 * math.sqrt((2 / 50 + 2 / 40) / 2000 + 2 / 200_000)


def test_orthogonal_rows_or_columns() -> None:
    for shape in ((3, 5), (5, 3), (4, 2, 3), (4, 4)):
        matrix = nn.init.orthogonal_(lucid.zeros(shape, dtype=lucid.float64), 2.0).numpy()
        matrix = matrix.reshape(shape[0], -1)
        product = matrix @ matrix.T if shape[0] <= matrix.shape[1] else matrix.T @ matrix
        assert_same(product, 4 * np.eye(len(product)), atol=1e-12)


def test_first_values_are_put_into_the_parameter_itself() -> None:
    p = nn.Parameter(lucid.zeros((2, 3)))
    for function in (nn.init.ones_, nn.init.zeros_, nn.init.uniform_, nn.init.orthogonal_):
        assert function(p) is p
    assert p.requires_grad
    assert p.is_leaf
    assert_same(nn.init.constant_(p, 2.5).detach(), np.full((2, 3), 2.5, "f4"))


def test_first_values_of_another_librarys_parameter() -> None:
    torch = pytest.importorskip("torch")
    p = nn.Parameter(torch.zeros((2, 3)))
    nn.init.normal_(p)
    assert type(p._array) is torch.Tensor


def test_gains_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    for name, param in (("linear", None), ("tanh", None), ("relu", None), ("leaky_relu", 0.3),
                        ("leaky_relu", None), ("sigmoid", None), ("selu", None)):  # fmt: skip
        assert nn.init.calculate_gain(name, param) == torch.nn.init.calculate_gain(name, param)


def test_messages_of_first_values() -> None:
    assert message_of(lambda: nn.init.xavier_normal_(lucid.zeros(3)), lucid.ShapeError) == (
        "xavier_normal_: expected at least two axes, (out, in, …), got shape (3,)"
    )
    assert message_of(lambda: nn.init.bilinear_normal_(lucid.zeros((3, 2))), lucid.ShapeError) == (
        "bilinear_normal_: expected a weight (out, in1, in2), got shape (3, 2)"
    )
    assert (
        message_of(
            lambda: nn.init.kaiming_normal_(lucid.zeros((3, 2)), mode="fan"), lucid.ArgumentError
        )
        == "kaiming_normal_: mode is 'fan', expected 'fan_in' or 'fan_out'"
    )
    assert message_of(lambda: nn.init.calculate_gain("gelu"), lucid.ArgumentError) == (
        "calculate_gain: nonlinearity is 'gelu', expected one of 'linear', 'sigmoid', 'tanh', "
        "'relu', 'leaky_relu', 'selu'"
    )


# Utilities


def parameters_with_gradients(random: np.random.Generator) -> list[nn.Parameter]:
    found = []
    for shape in ((2, 3), (4,), ()):
        p = nn.Parameter(random.normal(size=shape))
        p.grad = Tensor(random.normal(size=shape))
        found.append(p)
    return [*found, nn.Parameter([1.0])]


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, math.inf])
@pytest.mark.parametrize("max_norm", [0.1, 100.0])
def test_clipping_by_norm_is_pytorchs(
    random: np.random.Generator, norm_type: float, max_norm: float
) -> None:
    torch = pytest.importorskip("torch")
    mine = parameters_with_gradients(random)
    theirs = [torch.tensor(p.numpy(), requires_grad=True) for p in mine]
    for p, q in zip(mine, theirs, strict=True):
        q.grad = None if p.grad is None else torch.tensor(p.grad.numpy())
    norm = nn.utils.clip_grad_norm_(iter(mine), max_norm, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    assert_same(norm, expected.numpy())
    for p, q in zip(mine, theirs, strict=True):
        assert (p.grad is None) == (q.grad is None)
        if p.grad is not None:
            assert_same(p.grad, q.grad.numpy())


def test_clipping_by_norm_may_refuse_what_is_not_finite() -> None:
    p = nn.Parameter([1.0])
    assert nn.utils.clip_grad_norm_(p, 1.0).item() == 0
    p.grad = Tensor([math.inf])
    call = lambda: nn.utils.clip_grad_norm_(p, 1.0, error_if_nonfinite=True)  # noqa: E731
    assert message_of(call, lucid.ArgumentError) == (
        "clip_grad_norm_: the norm of the gradients is inf, not finite.\n"
        "lucid.detect_anomaly() finds the operation that it came from."
    )
    assert p.grad.item() == math.inf
    assert message_of(lambda: nn.utils.clip_grad_norm_(p, 1.0, 0.0), lucid.ArgumentError) == (
        "clip_grad_norm_: norm_type is 0.0, expected a number above 0"
    )


def test_clipping_by_value(random: np.random.Generator) -> None:
    mine = parameters_with_gradients(random)
    expected = [None if p.grad is None else np.clip(p.grad.numpy(), -0.5, 0.5) for p in mine]
    nn.utils.clip_grad_value_(mine, 0.5)
    for p, values in zip(mine, expected, strict=True):
        assert (p.grad is None) == (values is None)
        if p.grad is not None:
            assert_same(p.grad, np.asarray(values))


def test_parameters_as_one_vector_and_back() -> None:
    model = nn.Linear(2, 3)
    vector = nn.utils.parameters_to_vector(model.parameters())
    assert vector.shape == (9,)
    assert vector.requires_grad
    nn.utils.vector_to_parameters(lucid.arange(9, dtype=lucid.float32), model.parameters())
    assert_same(model.weight.detach(), np.arange(6, dtype="f4").reshape(3, 2))
    assert message_of(
        lambda: nn.utils.vector_to_parameters(lucid.zeros(8), model.parameters()), lucid.ShapeError
    ) == (
        "vector_to_parameters: vector has shape (8,), but the parameters have 9 elements, "
        "expected (9,)"
    )


def test_a_conversion_that_fails_changes_nothing() -> None:
    layer = nn.Linear(2, 2)
    with pytest.raises(TypeError):
        layer.to("cuda")
    with pytest.raises(lucid.DTypeError):
        layer.to(lucid.int64)
    assert [parameter.requires_grad for parameter in layer.parameters()] == [True, True]


@pytest.mark.parametrize("value", [np.zeros((1, 2)), 3], ids=["array", "number"])
def test_a_parameter_does_not_become_something_else(value: Any) -> None:
    layer = nn.Linear(2, 1)
    with pytest.raises(lucid.ArgumentError, match=r"^Linear\.weight is a Parameter and cannot"):
        layer.weight = value
    assert "weight" in dict(layer.named_parameters())
