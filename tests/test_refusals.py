"""Wrong calls: each is refused by its words, at once, and nothing has changed."""

# ruff: noqa: E501, ARG005 (a message stands on one line, as it is printed; calls are wrong on purpose)
# mypy: disable-error-code="arg-type, call-overload, list-item, dict-item, type-var, return-value, misc"

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from math import inf, nan
from typing import Any

import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import nn, optim
from lucid.nn import init, utils
from lucid.optim import lr_scheduler
from lucid.testing import assert_same

# For every argument that has a range: values outside, and the words

NOT_NEGATIVE = "a finite number, 0 or more"
NUMBER = "a finite number"
SHARE = "a number from 0 to 1"
COUNT = "a whole number, 0 or more"
COUNTED = "a whole number, 1 or more"
WHOLE = "a whole number"
TRUTH = "True or False"

OUTSIDE: dict[str, tuple[Any, ...]] = {
    NOT_NEGATIVE: (-1, -0.5, nan, inf, "0.1", None, True, 1j, [1.0], np.ones(1)),
    NUMBER: (nan, inf, -inf, "0.1", None, False, 1j),
    "a finite number above 0": (0, -1.0, nan, inf, "1"),
    "a number, 0 or more": (-1, nan, "1", None),
    "a number above 0": (0, -1, nan, "1", None),
    SHARE: (-0.1, 1.5, nan, "0.5", None),
    COUNT: (-1, 1.5, 2.0, "3", None, True, [1]),
    COUNTED: (0, -1, 1.0, "1", None, True),
    WHOLE: (1.5, 1.0, "1", None, True),
    TRUTH: ("yes", 1, None, 0.0),
    "a function": (3, "f", None),
    "two numbers, 0 ≤ β < 1": (
        0.9,
        (0.9,),
        (0.9, 1.0),
        (-0.1, 0.9),
        (0.9, nan),
        ("0.9", 0.9),
        None,
    ),
}


def parameter() -> nn.Parameter:
    return nn.Parameter([1.0])


def sgd() -> optim.SGD:
    return optim.SGD([parameter()])


def clipped(**options: Any) -> None:
    p = parameter()
    p.grad = lucid.ones(1)
    utils.clip_grad_norm_(p, **{"max_norm": 1.0, **options})


x, x4 = lucid.ones((2, 3)), lucid.ones((2, 3, 4, 5))

# (called, the name in the message, argument, what is expected)
ARGUMENTS: list[tuple[Callable[..., Any], str, str, str]] = [
    (lucid.manual_seed, "manual_seed", "seed", COUNT),
    (lambda n: lucid.randperm(n), "randperm", "n", COUNT),
    (lambda low: lucid.randint(low, 9, 3), "randint", "low", WHOLE),
    (lambda high: lucid.randint(0, high, 3), "randint", "high", WHOLE),
    *(
        (lambda _name=name, **setting: optim.SGD([parameter()], **setting), "SGD", name, expected)
        for name, expected in (
            ("lr", NOT_NEGATIVE),
            ("momentum", NOT_NEGATIVE),
            ("dampening", NUMBER),
            ("weight_decay", NOT_NEGATIVE),
            ("nesterov", TRUTH),
        )
    ),
    *(
        (
            lambda _make=make, **setting: _make([parameter()], **setting),
            make.__name__,
            name,
            expected,
        )
        for make in (optim.Adam, optim.AdamW)
        for name, expected in (
            ("lr", NOT_NEGATIVE),
            ("betas", "two numbers, 0 ≤ β < 1"),
            ("eps", NOT_NEGATIVE),
            ("weight_decay", NOT_NEGATIVE),
            ("amsgrad", TRUTH),
        )
    ),
    (lambda closure: sgd().step(closure), "SGD.step", "closure", "a function"),
    (
        lambda lr_lambda: lr_scheduler.LambdaLR(sgd(), lr_lambda),
        "LambdaLR",
        "lr_lambda",
        "a function",
    ),
    (lambda step_size: lr_scheduler.StepLR(sgd(), step_size), "StepLR", "step_size", COUNTED),
    (lambda gamma: lr_scheduler.StepLR(sgd(), 1, gamma), "StepLR", "gamma", NOT_NEGATIVE),
    (
        lambda T_max: lr_scheduler.CosineAnnealingLR(sgd(), T_max),
        "CosineAnnealingLR",
        "T_max",
        COUNTED,
    ),
    (
        lambda eta_min: lr_scheduler.CosineAnnealingLR(sgd(), 3, eta_min),
        "CosineAnnealingLR",
        "eta_min",
        NOT_NEGATIVE,
    ),
    (lambda a: init.uniform_(lucid.zeros(3), a), "uniform_", "a", NUMBER),
    (lambda b: init.uniform_(lucid.zeros(3), 0, b), "uniform_", "b", NUMBER),
    (lambda mean: init.normal_(lucid.zeros(3), mean), "normal_", "mean", NUMBER),
    (lambda std: init.normal_(lucid.zeros(3), 0, std), "normal_", "std", NOT_NEGATIVE),
    (lambda gain: init.xavier_uniform_(x, gain), "xavier_uniform_", "gain", NOT_NEGATIVE),
    (lambda gain: init.xavier_normal_(x, gain), "xavier_normal_", "gain", NOT_NEGATIVE),
    (
        lambda gain: init.bilinear_normal_(lucid.ones((1, 1, 1)), gain),
        "bilinear_normal_",
        "gain",
        NOT_NEGATIVE,
    ),
    (lambda gain: init.orthogonal_(x, gain), "orthogonal_", "gain", NUMBER),
    (lambda a: init.kaiming_uniform_(x, a), "kaiming_uniform_", "a", NUMBER),
    (lambda a: init.kaiming_normal_(x, a), "kaiming_normal_", "a", NUMBER),
    (
        lambda max_norm: clipped(max_norm=max_norm),
        "clip_grad_norm_",
        "max_norm",
        "a number, 0 or more",
    ),
    (
        lambda norm_type: clipped(norm_type=norm_type),
        "clip_grad_norm_",
        "norm_type",
        "a number above 0",
    ),
    (
        lambda error_if_nonfinite: clipped(error_if_nonfinite=error_if_nonfinite),
        "clip_grad_norm_",
        "error_if_nonfinite",
        TRUTH,
    ),
    (
        lambda clip_value: utils.clip_grad_value_(parameter(), clip_value),
        "clip_grad_value_",
        "clip_value",
        "a number, 0 or more",
    ),
    (lambda in_features: nn.Linear(in_features, 1), "Linear", "in_features", COUNT),
    (lambda out_features: nn.Linear(1, out_features), "Linear", "out_features", COUNT),
    (lambda bias: nn.Linear(1, 1, bias), "Linear", "bias", TRUTH),
    (lambda in1_features: nn.Bilinear(in1_features, 1, 1), "Bilinear", "in1_features", COUNT),
    (lambda in2_features: nn.Bilinear(1, in2_features, 1), "Bilinear", "in2_features", COUNT),
    (lambda out_features: nn.Bilinear(1, 1, out_features), "Bilinear", "out_features", COUNT),
    (lambda bias: nn.Bilinear(1, 1, 1, bias), "Bilinear", "bias", TRUTH),
    (lambda linear_1: nn.Bilinear(1, 1, 1, linear_1=linear_1), "Bilinear", "linear_1", TRUTH),
    (lambda linear_2: nn.Bilinear(1, 1, 1, linear_2=linear_2), "Bilinear", "linear_2", TRUTH),
    (lambda num_embeddings: nn.Embedding(num_embeddings, 1), "Embedding", "num_embeddings", COUNT),
    (lambda embedding_dim: nn.Embedding(1, embedding_dim), "Embedding", "embedding_dim", COUNT),
    (lambda eps: nn.LayerNorm(1, eps), "LayerNorm", "eps", NOT_NEGATIVE),
    (lambda bias: nn.LayerNorm(1, bias=bias), "LayerNorm", "bias", TRUTH),
    (
        lambda elementwise_affine: nn.LayerNorm(1, elementwise_affine=elementwise_affine),
        "LayerNorm",
        "elementwise_affine",
        TRUTH,
    ),
    (nn.Dropout, "Dropout", "p", SHARE),
    (nn.LeakyReLU, "LeakyReLU", "negative_slope", NUMBER),
    (nn.ELU, "ELU", "alpha", NUMBER),
    (nn.Softplus, "Softplus", "beta", "a finite number above 0"),
    (nn.Softmax, "Softmax", "axis", WHOLE),
    (nn.LogSoftmax, "LogSoftmax", "axis", WHOLE),
    (nn.Flatten, "Flatten", "start_axis", WHOLE),
    (lambda end_axis: nn.Flatten(0, end_axis), "Flatten", "end_axis", WHOLE),
    (nn.CrossEntropyLoss, "CrossEntropyLoss", "ignore_index", WHOLE),
    (nn.CrossEntropyLoss, "CrossEntropyLoss", "label_smoothing", SHARE),
    (nn.NLLLoss, "NLLLoss", "ignore_index", WHOLE),
    (lambda mode: nn.ReLU().train(mode), "train", "mode", TRUTH),
    (
        lambda requires_grad: nn.Linear(1, 1).requires_grad_(requires_grad),
        "requires_grad_",
        "requires_grad",
        TRUTH,
    ),
    (lambda function: nn.ReLU().apply(function), "apply", "function", "a function"),
    (lambda strict: nn.ReLU().load_state_dict({}, strict), "load_state_dict", "strict", TRUTH),
    (
        lambda persistent: nn.ReLU().register_buffer("b", None, persistent),
        "register_buffer",
        "persistent",
        TRUTH,
    ),
    (lambda index: nn.ModuleList([nn.ReLU()])[index], "ModuleList", "index", WHOLE),
    (
        lambda negative_slope: F.leaky_relu(x, negative_slope),
        "leaky_relu",
        "negative_slope",
        NUMBER,
    ),
    (lambda alpha: F.elu(x, alpha), "elu", "alpha", NUMBER),
    (lambda beta: F.softplus(x, beta), "softplus", "beta", "a finite number above 0"),
    (lambda p: F.dropout(x, p), "dropout", "p", SHARE),
    (lambda training: F.dropout(x, 0.5, training), "dropout", "training", TRUTH),
    (lambda axis: F.softmax(x, axis), "softmax", "axis", WHOLE),
    (lambda axis: F.log_softmax(x, axis), "log_softmax", "axis", WHOLE),
    (lambda eps: F.layer_norm(x, 3, eps=eps), "layer_norm", "eps", NOT_NEGATIVE),
    (
        lambda ignore_index: F.cross_entropy(x, [0, 1], ignore_index=ignore_index),
        "cross_entropy",
        "ignore_index",
        WHOLE,
    ),
    (
        lambda label_smoothing: F.cross_entropy(x, [0, 1], label_smoothing=label_smoothing),
        "cross_entropy",
        "label_smoothing",
        SHARE,
    ),
    (
        lambda ignore_index: F.nll_loss(x, [0, 1], ignore_index=ignore_index),
        "nll_loss",
        "ignore_index",
        WHOLE,
    ),
]


def told(value: Any) -> str:
    if isinstance(value, (complex, np.ndarray)):
        return f"a {type(value).__name__}"
    return repr(value)


@pytest.mark.parametrize(
    ("call", "function", "argument", "expected"),
    ARGUMENTS,
    ids=[f"{function} {argument}" for _, function, argument, _ in ARGUMENTS],
)
def test_a_number_outside_its_range(
    call: Callable[..., Any], function: str, argument: str, expected: str
) -> None:
    for value in OUTSIDE[expected]:
        if value is None and argument == "closure":
            continue  # there may be none
        with pytest.raises(lucid.ArgumentError) as caught:
            call(**{argument: value})
        assert str(caught.value) == (
            f"{function}: {argument} is {told(value)}, expected {expected}"
        )


def test_numpys_numbers_are_numbers() -> None:
    nn.Linear(np.int64(2), np.uint8(3), bias=np.bool_(True))
    nn.Dropout(np.float32(0.5))
    optim.Adam([parameter()], lr=np.float32(0.1), betas=(np.float64(0.9), 0.99))
    lucid.manual_seed(np.int64(3))
    lucid.rand(np.int64(3))
    lucid.rand(lucid.arange(1, 3))


def test_every_numeric_argument_of_a_layer_is_in_the_table() -> None:
    known = {(function, argument) for _, function, argument, _ in ARGUMENTS}
    missing = []
    for name, kind in vars(nn).items():
        if inspect.isclass(kind) and issubclass(kind, nn.Module) and "__init__" in vars(kind):
            for argument, given in inspect.signature(kind).parameters.items():
                if given.annotation in ("int", "float", "bool") and (name, argument) not in known:
                    missing.append(f"{name}({argument})")
    assert missing == []


# Other wrong calls

EMBEDDING = lucid.ones((3, 2))
NO_SHAPE = "expected whole numbers, 0 or more: one, or several in brackets"

CALLS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (
        lambda: lucid.Generator("a"),
        lucid.ArgumentError,
        "manual_seed: seed is 'a', expected a whole number, 0 or more",
    ),
    (
        lambda: lucid.Generator(0).manual_seed(-1),
        lucid.ArgumentError,
        "manual_seed: seed is -1, expected a whole number, 0 or more",
    ),
    (
        lambda: lucid.Generator(0).set_state({"bit_generator": "PCG64"}),
        lucid.ArgumentError,
        "set_state: expected what get_state() gives, got {'bit_generator': 'PCG64'}",
    ),
    (
        lambda: lucid.Generator(0).set_state(3),
        lucid.ArgumentError,
        "set_state: expected what get_state() gives, got 3",
    ),
    (
        lambda: lucid.rand(3, generator=np.random.default_rng()),
        lucid.ArgumentError,
        "generator is a Generator, expected a lucid.Generator, or None",
    ),
    (
        lambda: lucid.rand(3, generator=0),
        lucid.ArgumentError,
        "generator is a int, expected a lucid.Generator, or None",
    ),
    (
        lambda: lucid.randint(3, 3, 1),
        lucid.ArgumentError,
        "randint: low must be below high, but they are 3 and 3",
    ),
    (
        lambda: lucid.randint(0, 2**64, 1),
        lucid.ArgumentError,
        f"randint: int64 does not hold all from 0 to {2**64 - 1}",
    ),
    *(
        (
            lambda call=call, shape=shape: call(shape),
            lucid.ShapeError,
            f"{name}: shape is {shape!r}, {NO_SHAPE}",
        )
        for name, call in (
            ("rand", lucid.rand),
            ("randn", lucid.randn),
            ("randint", lambda shape: lucid.randint(0, 2, shape)),
        )
        for shape in (-1, 1.5, "ab", None, (2, -1), (2, 1.5))
    ),
    (
        lambda: init.uniform_(lucid.zeros(3), 2, 1),
        lucid.ArgumentError,
        "uniform_: a must not be above b, but they are 2 and 1",
    ),
    (
        lambda: init.uniform_(np.zeros(3)),
        lucid.ArgumentError,
        "uniform_: tensor is a ndarray, expected a Tensor to fill in place",
    ),
    (
        lambda: init.normal_(lucid.arange(3)),
        lucid.DTypeError,
        "normal_: tensor has dtype int64, which would cut the numbers drawn off; expected floating point",
    ),
    (
        lambda: init.orthogonal_(lucid.ones((2, 2), dtype=lucid.int8)),
        lucid.DTypeError,
        "orthogonal_: tensor has dtype int8, which would cut the numbers drawn off; expected floating point",
    ),
    (
        lambda: init.constant_(lucid.zeros(3), "a"),
        lucid.ArgumentError,
        "constant_: value is 'a', expected a number",
    ),
    (
        lambda: init.kaiming_normal_(x, mode=3),
        lucid.ArgumentError,
        "kaiming_normal_: mode is 3, expected 'fan_in' or 'fan_out'",
    ),
    (
        lambda: init.calculate_gain(["relu"]),
        lucid.ArgumentError,
        "calculate_gain: nonlinearity is ['relu'], expected one of 'linear', 'sigmoid', 'tanh', 'relu', 'leaky_relu', 'selu'",
    ),
    (
        lambda: utils.clip_grad_norm_(nn.Linear(1, 1), 1.0),
        lucid.ArgumentError,
        "clip_grad_norm_: parameters holds a Linear, expected Tensors; pass its parameters()",
    ),
    (
        lambda: utils.clip_grad_value_([3], 1.0),
        lucid.ArgumentError,
        "clip_grad_value_: parameters holds a int, expected Tensors",
    ),
    (
        lambda: utils.parameters_to_vector([]),
        lucid.ArgumentError,
        "parameters_to_vector: parameters is empty, there is nothing to join",
    ),
    (
        lambda: utils.vector_to_parameters(np.ones(1), [parameter()]),
        lucid.ArgumentError,
        "vector_to_parameters: vector is a ndarray, expected a Tensor",
    ),
    *(
        (
            lambda shape=shape: nn.LayerNorm(shape),
            lucid.ShapeError,
            f"LayerNorm: normalized_shape is {shape!r}, {NO_SHAPE}",
        )
        for shape in (-1, 1.5, "3", None, (2, -1))
    ),
    (
        lambda: nn.LayerNorm(()),
        lucid.ShapeError,
        "LayerNorm: normalized_shape is (), which has no axis",
    ),
    (
        lambda: F.layer_norm(x, ()),
        lucid.ShapeError,
        "layer_norm: normalized_shape is (), which has no axis",
    ),
    (
        lambda: nn.Embedding(3, 2, padding_idx=1.0),
        lucid.ArgumentError,
        "Embedding: padding_idx is 1.0, expected a whole number",
    ),
    (
        lambda: nn.Embedding(3, 2, padding_idx=3),
        lucid.OutOfRangeError,
        "Embedding: padding_idx is 3, but there are 3 embeddings",
    ),
    (
        lambda: F.embedding([1], EMBEDDING, padding_idx="a"),
        lucid.ArgumentError,
        "embedding: padding_idx is 'a', expected a whole number",
    ),
    (
        lambda: nn.GELU("sigmoid"),
        lucid.ArgumentError,
        "GELU: approximate is 'sigmoid', expected 'none' or 'tanh'",
    ),
    (
        lambda: F.gelu(x, ["tanh"]),
        lucid.ArgumentError,
        "gelu: approximate is ['tanh'], expected 'none' or 'tanh'",
    ),
    (
        lambda: nn.MSELoss(reduction=["mean"]),
        lucid.ArgumentError,
        "MSELoss: reduction is ['mean'], expected 'mean', 'sum' or 'none'",
    ),
    (
        lambda: nn.Linear(2, 2).load_state_dict(3),
        lucid.ArgumentError,
        "load_state_dict: state is int, expected a dict from names to Tensors, such as state_dict() gives",
    ),
    (
        lambda: nn.Sequential({3: nn.ReLU()}),
        lucid.ArgumentError,
        "Sequential: a name is a string, but got 3",
    ),
    (
        lambda: nn.ModuleList(3),
        lucid.ArgumentError,
        "ModuleList: expected modules in a list, got int",
    ),
    (
        lambda: nn.ModuleDict([nn.ReLU()]),
        lucid.ArgumentError,
        "ModuleDict: expected a dict from names to modules, got list",
    ),
    (
        lambda: lr_scheduler.LambdaLR(sgd(), lambda t: -1.0),
        lucid.ArgumentError,
        "LambdaLR: lr_lambda(0) is -1.0, expected a finite number, 0 or more",
    ),
    (
        lambda: lr_scheduler.LambdaLR(sgd(), lambda t: "a"),
        lucid.ArgumentError,
        "LambdaLR: lr_lambda(0) is 'a', expected a finite number, 0 or more",
    ),
    (
        lambda: lr_scheduler.StepLR(sgd(), 1).load_state_dict({}),
        lucid.ArgumentError,
        "StepLR.load_state_dict: expected what state_dict() gives, a dict with 'last_epoch' and 'base_lrs'",
    ),
    (
        lambda: lr_scheduler.StepLR(sgd(), 1).load_state_dict(
            {"last_epoch": -1, "base_lrs": [1.0]}
        ),
        lucid.ArgumentError,
        "StepLR.load_state_dict: last_epoch is -1, expected a whole number, 0 or more",
    ),
    (
        lambda: lr_scheduler.StepLR(sgd(), 1).load_state_dict(
            {"last_epoch": 1, "base_lrs": [1.0, 2.0]}
        ),
        lucid.ArgumentError,
        "StepLR.load_state_dict: base_lrs is [1.0, 2.0], expected a list of 1, one rate for each group here",
    ),
    (
        lambda: lr_scheduler.StepLR(sgd(), 1).load_state_dict({"last_epoch": 1, "base_lrs": [nan]}),
        lucid.ArgumentError,
        "StepLR.load_state_dict: base_lrs is nan, expected a finite number, 0 or more",
    ),
]


@pytest.mark.parametrize(
    ("call", "kind", "message"), CALLS, ids=[message for _, _, message in CALLS]
)
def test_a_wrong_call(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message


# Operations: axes, shapes and dtypes

MATRIX = lucid.ones((2, 3))
OUTSIDE_MATRIX = "axis 2 is outside x (2, 3), which has 2 axes"

OPERATIONS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    *(
        (
            lambda call=call: call(MATRIX, axis=2),
            lucid.OutOfRangeError,
            f"{call.__name__}: {OUTSIDE_MATRIX}",
        )
        for call in (
            lucid.sum,
            lucid.mean,
            lucid.max,
            lucid.min,
            lucid.prod,
            lucid.var,
            lucid.std,
            lucid.all,
            lucid.any,
            lucid.argmax,
            lucid.argmin,
            lucid.argsort,
            lucid.cumulative_sum,
            lucid.cumulative_prod,
            lucid.flip,
            lucid.logsumexp,
            lucid.squeeze,
            lucid.unstack,
        )
    ),
    (lambda: lucid.sort(MATRIX, axis=2), lucid.OutOfRangeError, f"sort: {OUTSIDE_MATRIX}"),
    (
        lambda: lucid.sort(MATRIX, axis=None),
        lucid.ArgumentError,
        "sort: axis is None, expected a whole number",
    ),
    (lambda: lucid.diff(MATRIX, axis=2), lucid.OutOfRangeError, f"diff: {OUTSIDE_MATRIX}"),
    (
        lambda: lucid.diff(MATRIX, n=-1),
        lucid.ArgumentError,
        "diff: n is -1, expected a whole number, 0 or more",
    ),
    (
        lambda: lucid.diff(MATRIX, append=lucid.ones((3, 1))),
        lucid.ShapeError,
        "diff: append (3, 1) and x (2, 3) differ in more than axis 1, along which they are joined",
    ),
    (lambda: lucid.topk(MATRIX, 1, axis=2), lucid.OutOfRangeError, f"topk: {OUTSIDE_MATRIX}"),
    (
        lambda: lucid.topk(MATRIX, 4),
        lucid.ArgumentError,
        "topk: k is 4, but axis 1 of x (2, 3) has 3 elements",
    ),
    (
        lambda: lucid.topk(MATRIX, -1),
        lucid.ArgumentError,
        "topk: k is -1, expected a whole number, 0 or more",
    ),
    (
        lambda: lucid.topk(MATRIX, 1, largest=1),
        lucid.ArgumentError,
        "topk: largest is 1, expected True or False",
    ),
    (
        lambda: lucid.topk(MATRIX, 1, dim=0),
        TypeError,
        "topk() got an unexpected keyword argument 'dim'; use axis",
    ),
    (
        lambda: lucid.take_along_axis(MATRIX, MATRIX > 0, axis=2),
        lucid.OutOfRangeError,
        f"take_along_axis: {OUTSIDE_MATRIX}",
    ),
    (
        lambda: lucid.take_along_axis(MATRIX, MATRIX),
        lucid.DTypeError,
        "take_along_axis: indices have dtype float32, expected integers",
    ),
    (
        lambda: lucid.take_along_axis(MATRIX, [0, 1]),
        lucid.ShapeError,
        "take_along_axis: indices (2,) must have as many axes as x (2, 3)",
    ),
    (
        lambda: lucid.take(MATRIX, [0.5], axis=0),
        lucid.DTypeError,
        "take: indices have dtype float32, expected integers",
    ),
    (lambda: lucid.moveaxis(MATRIX, 2, 0), lucid.OutOfRangeError, f"moveaxis: {OUTSIDE_MATRIX}"),
    (
        lambda: lucid.moveaxis(MATRIX, (0, -2), (0, 1)),
        lucid.ArgumentError,
        "moveaxis: axis (0, -2) names an axis twice",
    ),
    (
        lambda: lucid.moveaxis(MATRIX, (0, 1), 0),
        lucid.ArgumentError,
        "moveaxis: source (0, 1) has 2 axes, but destination 0 has 1; each axis needs a place",
    ),
    (lambda: lucid.roll(MATRIX, 1, axis=2), lucid.OutOfRangeError, f"roll: {OUTSIDE_MATRIX}"),
    (
        lambda: lucid.roll(MATRIX, 1.5),
        lucid.ArgumentError,
        "roll: shift is 1.5, expected a whole number",
    ),
    (
        lambda: lucid.roll(MATRIX, (1, 2)),
        lucid.ArgumentError,
        "roll: shift (1, 2) needs an axis for each; write axis=(...)",
    ),
    (
        lambda: lucid.roll(MATRIX, (1, 2), axis=0),
        lucid.ArgumentError,
        "roll: shift (1, 2) has 2 numbers, but axis 0 names 1 axes; give one shift, or one for each axis",
    ),
    (lambda: lucid.repeat(MATRIX, 2, axis=2), lucid.OutOfRangeError, f"repeat: {OUTSIDE_MATRIX}"),
    (
        lambda: lucid.repeat(MATRIX, -1),
        lucid.ArgumentError,
        "repeat: repeats is -1, expected a whole number, 0 or more",
    ),
    (
        lambda: lucid.repeat(MATRIX, [1, -1], axis=0),
        lucid.ArgumentError,
        "repeat: repeats has a number below 0, expected 0 or more",
    ),
    (
        lambda: lucid.repeat(MATRIX, [1.0, 2.0], axis=0),
        lucid.DTypeError,
        "repeat: repeats has dtype float32, expected integers",
    ),
    (
        lambda: lucid.repeat(MATRIX, [1, 2], axis=1),
        lucid.ShapeError,
        "repeat: repeats has shape (2,), but axis 1 of x (2, 3) has 3 places; give one number, or one for each place",
    ),
    (
        lambda: lucid.tile(MATRIX, (2, -1)),
        lucid.ArgumentError,
        "tile: repetitions is -1, expected a whole number, 0 or more",
    ),
    (
        lambda: lucid.broadcast_arrays(MATRIX, lucid.ones(2)),
        lucid.ShapeError,
        "broadcast_arrays: shapes (2, 3) and (2,) do not broadcast; aligned at the right, each pair must be equal or contain a 1",
    ),
    (
        lambda: lucid.broadcast_shapes((2, 3), (2,)),
        lucid.ShapeError,
        "broadcast_shapes: shapes (2, 3) and (2,) do not broadcast; aligned at the right, each pair must be equal or contain a 1",
    ),
    (
        lambda: lucid.broadcast_shapes((2, 3), (-1,)),
        lucid.ShapeError,
        f"broadcast_shapes: shapes[1] is (-1,), {NO_SHAPE}",
    ),
    (
        lambda: lucid.nonzero(lucid.Tensor(1.0)),
        lucid.ShapeError,
        "nonzero: x has no axes, so there are no indices; reshape it to (1,)",
    ),
    (
        lambda: lucid.searchsorted(MATRIX, MATRIX),
        lucid.ShapeError,
        "searchsorted: x1 has shape (2, 3), expected one axis",
    ),
    (
        lambda: lucid.searchsorted(lucid.ones(3), MATRIX, side="middle"),
        lucid.ArgumentError,
        "searchsorted: side is 'middle', expected 'left' or 'right'",
    ),
    (
        lambda: lucid.searchsorted(lucid.ones(3), MATRIX, sorter=[0, 1]),
        lucid.ShapeError,
        "searchsorted: sorter (2,) must have the shape of x1 (3,); give argsort(x1)",
    ),
    *(
        (
            lambda call=call: call(MATRIX),
            lucid.ArgumentError,
            f"{call.__name__}: x (2, 3) has 2 axes; say along which with axis=...",
        )
        for call in (lucid.cumulative_sum, lucid.cumulative_prod)
    ),
    *(
        (
            lambda call=call: call(lucid.Tensor(1.0)),
            lucid.ShapeError,
            f"{call.__name__}: x has no axes, there is nothing to run along; reshape it to (1,)",
        )
        for call in (lucid.cumulative_sum, lucid.cumulative_prod)
    ),
    *(
        (
            lambda call=call: call(lucid.Tensor([1j]), dtype=lucid.float32),
            lucid.DTypeError,
            f"{call.__name__}: x is complex64, and float32 has no imaginary part; convert lucid.real(x), lucid.imag(x) or lucid.abs(x)",
        )
        for call in (lucid.sum, lucid.prod, lucid.cumulative_sum, lucid.cumulative_prod)
    ),
    (
        lambda: lucid.tensordot(MATRIX, MATRIX, axes=5),
        lucid.ArgumentError,
        "tensordot: axes is 5, but x1 (2, 3) has 2 axes and x2 (2, 3) has 2; it pairs the last ones of x1 with the first of x2",
    ),
    (
        lambda: lucid.tensordot(MATRIX, MATRIX, axes=-1),
        lucid.ArgumentError,
        "tensordot: axes is -1, expected a whole number, 0 or more",
    ),
    (
        lambda: lucid.tensordot(MATRIX, MATRIX, axes=((0,), (2,))),
        lucid.OutOfRangeError,
        "tensordot: axis 2 is outside x2 (2, 3), which has 2 axes",
    ),
    (
        lambda: lucid.tensordot(MATRIX, MATRIX, axes=((0, 0), (0, 1))),
        lucid.ArgumentError,
        "tensordot: axis (0, 0) names an axis twice",
    ),
    (
        lambda: lucid.tensordot(MATRIX, MATRIX, axes=((0, 1), (0,))),
        lucid.ArgumentError,
        "tensordot: axes names 2 axes of x1, but 1 of x2; they are taken in pairs",
    ),
    (
        lambda: lucid.tensordot(MATRIX, MATRIX, axes=(0, 0)),
        lucid.ArgumentError,
        "tensordot: axes is (0, 0), expected a number or two sequences of axes",
    ),
    (
        lambda: lucid.reshape(MATRIX.T, (6,), copy=False),
        lucid.ArgumentError,
        "reshape: copy=False, but x (3, 2) does not lie in memory so that it has the shape (6,) without a copy; leave out copy=False",
    ),
    (lambda: MATRIX.sum(axis=(0, 0)), lucid.ArgumentError, "sum: axis (0, 0) names an axis twice"),
    (
        lambda: MATRIX.mean(axis=(1, -1)),
        lucid.ArgumentError,
        "mean: axis (1, -1) names an axis twice",
    ),
    (lambda: MATRIX.sum(axis="a"), lucid.ArgumentError, "sum: axis is 'a', expected whole numbers"),
    (lambda: MATRIX.sum(axis=1.0), lucid.ArgumentError, "sum: axis is 1.0, expected whole numbers"),
    (
        lambda: lucid.zeros((0, 3)).max(),
        lucid.ShapeError,
        "max: x (0, 3) has no elements, there is no result",
    ),
    (
        lambda: lucid.zeros((0, 3)).min(axis=0),
        lucid.ShapeError,
        "min: x (0, 3) has no elements along axis 0, there is no result",
    ),
    (
        lambda: lucid.zeros(0).argmax(),
        lucid.ShapeError,
        "argmax: x (0,) has no elements, there is no result",
    ),
    (
        lambda: lucid.stack([MATRIX, MATRIX], axis=7),
        lucid.OutOfRangeError,
        "stack: axis 7 is outside arrays[0] (2, 3), which has 2 axes",
    ),
    (
        lambda: lucid.concat([MATRIX, MATRIX], axis=2),
        lucid.OutOfRangeError,
        "concat: axis 2 is outside arrays[0] (2, 3), which has 2 axes",
    ),
    (
        lambda: lucid.expand_dims(MATRIX, axis=4),
        lucid.OutOfRangeError,
        "expand_dims: axis 4 is outside -3 to 2, the places that a new axis of x (2, 3) has",
    ),
    (
        lambda: lucid.expand_dims(MATRIX, axis=(0, -4)),
        lucid.ArgumentError,
        "expand_dims: axis (0, -4) names a place twice",
    ),
    (
        lambda: MATRIX.squeeze(0),
        lucid.ShapeError,
        "squeeze: axis 0 of x (2, 3) has size 2, and only an axis of size 1 can be left out",
    ),
    (
        lambda: lucid.broadcast_to(MATRIX, (4, 4)),
        lucid.ShapeError,
        "broadcast_to: x (2, 3) does not broadcast to (4, 4); aligned at the right, each size of x must be that of the shape, or 1",
    ),
    (
        lambda: lucid.broadcast_to(MATRIX, 3),
        lucid.ShapeError,
        "broadcast_to: x (2, 3) does not broadcast to (3,); aligned at the right, each size of x must be that of the shape, or 1",
    ),
    (
        lambda: lucid.broadcast_to(MATRIX, "a"),
        lucid.ShapeError,
        f"broadcast_to: shape is 'a', {NO_SHAPE}",
    ),
    (
        lambda: MATRIX.permute(0, 0),
        lucid.ShapeError,
        "permute_dims: axes (0, 0) do not name each of the 2 axes of x (2, 3) once",
    ),
    (
        lambda: MATRIX.permute(0, 5),
        lucid.ShapeError,
        "permute_dims: axes (0, 5) do not name each of the 2 axes of x (2, 3) once",
    ),
    (
        lambda: MATRIX.permute(0),
        lucid.ShapeError,
        "permute_dims: axes (0,) do not name each of the 2 axes of x (2, 3) once",
    ),
    (
        lambda: MATRIX.permute(0, "a"),
        lucid.ArgumentError,
        "permute_dims: axes is 'a', expected a whole number",
    ),
    (
        lambda: MATRIX.reshape("a"),
        lucid.ArgumentError,
        "reshape: shape is 'a', expected a whole number",
    ),
    (
        lambda: MATRIX.reshape(2.0, 3),
        lucid.ArgumentError,
        "reshape: shape is 2.0, expected a whole number",
    ),
    (
        lambda: lucid.matrix_transpose(lucid.ones(3)),
        lucid.ShapeError,
        "matrix_transpose: x has shape (3,), expected two axes or more",
    ),
    *(
        (
            lambda call=call, dtype=dtype: call(dtype),
            lucid.DTypeError,
            f"there is no dtype {dtype!r} of numbers, such as lucid.float32",
        )
        for call in (
            lambda dtype: lucid.Tensor([1.0], dtype=dtype),
            lambda dtype: lucid.zeros(2, dtype=dtype),
            lambda dtype: MATRIX.astype(dtype),
            lambda dtype: lucid.rand(2, dtype=dtype),
        )
        for dtype in ("float99", "str", object)
    ),
    *(
        (
            lambda call=call, shape=shape: call(shape),
            lucid.ShapeError,
            f"{call.__name__}: shape is {shape!r}, {NO_SHAPE}",
        )
        for call in (lucid.zeros, lucid.ones)
        for shape in (-1, "a", None, (2, 1.5))
    ),
    (lambda: lucid.full(-1, 2.0), lucid.ShapeError, f"full: shape is -1, {NO_SHAPE}"),
    (lambda: lucid.full(3, "a"), lucid.ArgumentError, "full: fill_value is 'a', expected a number"),
    (
        lambda: lucid.arange(0, 1, 0),
        lucid.ArgumentError,
        "arange: step is 0, which never comes from 0 to 1",
    ),
    (
        lambda: lucid.arange("a"),
        lucid.ArgumentError,
        "arange: stop is 'a', expected a finite number",
    ),
    (
        lambda: lucid.arange(inf),
        lucid.ArgumentError,
        "arange: stop is inf, expected a finite number",
    ),
    (
        lambda: lucid.linspace(0, 1, -3),
        lucid.ArgumentError,
        "linspace: num is -3, expected a whole number, 0 or more",
    ),
    (
        lambda: lucid.linspace(0, nan, 3),
        lucid.ArgumentError,
        "linspace: stop is nan, expected a finite number",
    ),
    (
        lambda: lucid.eye(-1),
        lucid.ArgumentError,
        "eye: n_rows is -1, expected a whole number, 0 or more",
    ),
    (
        lambda: lucid.eye(2, 1.5),
        lucid.ArgumentError,
        "eye: n_cols is 1.5, expected a whole number, 0 or more",
    ),
]


@pytest.mark.parametrize(
    ("call", "kind", "message"), OPERATIONS, ids=[message for _, _, message in OPERATIONS]
)
def test_a_wrong_operation(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message


@pytest.mark.parametrize("library", ["torch", "jax.numpy", "array_api_strict"])
def test_a_wrong_axis_in_other_libraries(library: str) -> None:
    xp = pytest.importorskip(library)
    matrix = lucid.asarray(xp.ones((2, 3)))
    for call in (lucid.sum, lucid.mean, lucid.max, lucid.argmax, lucid.logsumexp):
        with pytest.raises(lucid.OutOfRangeError) as caught:
            call(matrix, axis=2)
        assert str(caught.value) == f"{call.__name__}: {OUTSIDE_MATRIX}"


# Nothing has changed


@pytest.mark.parametrize("seed", ["a", -1, 1.5, None])
def test_a_wrong_seed_leaves_the_generator_as_it_is(seed: Any) -> None:
    lucid.manual_seed(7)
    expected = lucid.rand(3)
    lucid.manual_seed(7)
    with pytest.raises(lucid.ArgumentError):
        lucid.manual_seed(seed)
    assert_same(lucid.rand(3), expected)


def test_a_wrong_state_leaves_the_generator_as_it_is() -> None:
    generator = lucid.Generator(7)
    state = generator.get_state()
    half = {**state, "state": {"state": 3}}
    with pytest.raises(lucid.ArgumentError):
        generator.set_state(half)
    assert generator.get_state() == state


@pytest.mark.parametrize("name", ["lr", "weight_decay"])
@pytest.mark.parametrize("value", [-1, nan, inf, "x", None, True])
@pytest.mark.parametrize("make", [optim.SGD, optim.Adam, optim.AdamW])
def test_a_wrong_setting_stops_the_step_before_it_begins(
    make: Callable[..., optim.Optimizer], name: str, value: Any
) -> None:
    p, q = nn.Parameter([1.0]), nn.Parameter([1.0])
    optimizer = make([{"params": [p]}, {"params": [q]}], lr=0.1)
    p.grad = q.grad = lucid.ones(1)
    optimizer.param_groups[1][name] = value
    with pytest.raises(lucid.ArgumentError) as caught:
        optimizer.step()
    assert str(caught.value) == (
        f"{make.__name__}: {name} is {value!r}, expected a finite number, 0 or more"
    )
    assert (p.item(), q.item(), optimizer.state) == (1.0, 1.0, {})
    optimizer.param_groups[1][name] = 0.0
    optimizer.step()
    assert optimizer.state[p].get("step") == 1


def test_a_setting_that_was_deleted_stops_the_step() -> None:
    p = parameter()
    optimizer = optim.Adam([p])
    del optimizer.param_groups[0]["betas"]
    with pytest.raises(lucid.ArgumentError, match="Adam: betas is None, expected two numbers"):
        optimizer.step()


def test_a_conversion_after_the_optimizer_was_made_stops_the_step() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    optimizer = optim.Adam(model.parameters())
    for p in model.parameters():
        p.grad = lucid.ones((1, 1))
    optimizer.step()
    model[1].to(lucid.float64)
    before = [p.item() for p in model.parameters()]
    with pytest.raises(lucid.ArgumentError) as caught:
        optimizer.step()
    assert str(caught.value) == (
        "Adam.step: a parameter of shape (1, 1) and dtype float64 was (1, 1) and float32 when the "
        "optimiser began; make the optimiser after the conversion"
    )
    assert [p.item() for p in model.parameters()] == before
    assert [values["step"] for values in optimizer.state.values()] == [1, 1]


def trained(**options: Any) -> tuple[nn.Parameter, optim.Adam]:
    p = nn.Parameter([1.0, 2.0])
    optimizer = optim.Adam([p], **options)
    p.grad = lucid.ones(2)
    optimizer.step()
    return p, optimizer


MISFITS: list[tuple[dict[str, Any], str]] = [
    ({"step": None}, "step of parameter 0 is None, expected a whole number, 1 or more"),
    ({"step": 0}, "step of parameter 0 is 0, expected a whole number, 1 or more"),
    ({"step": -3}, "step of parameter 0 is -3, expected a whole number, 1 or more"),
    ({"step": 1.5}, "step of parameter 0 is 1.5, expected a whole number, 1 or more"),
    (
        {"exp_avg": lucid.zeros(3)},
        "exp_avg of parameter 0 has shape (2,) here, but (3,) in the state",
    ),
    (
        {"exp_avg": lucid.arange(2)},
        "exp_avg of parameter 0 has dtype int64 in the state, but the parameter has float32",
    ),
    (
        {"exp_avg_sq": lucid.Tensor([1j, 1j])},
        "exp_avg_sq of parameter 0 has dtype complex64 in the state, but the parameter has float32",
    ),
    ({"exp_avg": [0.0, 0.0]}, "exp_avg of parameter 0 is list, expected a Tensor or an array"),
    ({"exp_avg": ...}, "exp_avg of parameter 0 is missing"),
    ({"velocity": lucid.zeros(2)}, "velocity of parameter 0 is not known here"),
]


@pytest.mark.parametrize(("change", "message"), MISFITS, ids=[message for _, message in MISFITS])
def test_a_wrong_memory_is_not_loaded(change: dict[str, Any], message: str) -> None:
    _, optimizer = trained()
    before = copy.deepcopy(optimizer.state_dict())
    state = optimizer.state_dict()
    state["param_groups"][0]["lr"] = 0.5
    state["state"][0].update(change)
    state["state"][0] = {key: value for key, value in state["state"][0].items() if value is not ...}
    with pytest.raises(lucid.ArgumentError) as caught:
        optimizer.load_state_dict(state)
    assert str(caught.value) == (
        f"Adam.load_state_dict: the state does not fit; nothing was loaded.\n  {message}"
    )
    assert repr(optimizer.state_dict()) == repr(before)


@pytest.mark.parametrize(("name", "value"), [("lr", -1.0), ("lr", "x"), ("betas", [0.9, 1.0])])
def test_a_wrong_setting_is_not_loaded(name: str, value: Any) -> None:
    _, optimizer = trained()
    state = optimizer.state_dict()
    state["param_groups"][0][name] = value
    with pytest.raises(lucid.ArgumentError, match=f"{name} of group 0 is .*, expected "):
        optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["lr"] == 1e-3


@pytest.mark.parametrize(
    "state", [3, {}, {"state": {}, "param_groups": []}, {"state": [3], "param_groups": []},
              {"state": [], "param_groups": [{}]}]
)  # fmt: skip
def test_what_is_no_state_is_not_loaded(state: Any) -> None:
    _, optimizer = trained()
    with pytest.raises(
        lucid.ArgumentError, match=r"Adam\.load_state_dict: expected what state_dict"
    ):
        optimizer.load_state_dict(state)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_what_is_loaded_has_the_dtype_that_is_computed_in(dtype: str) -> None:
    _, optimizer = trained()
    state = optimizer.state_dict()
    p = nn.Parameter(np.ones(2, dtype))
    other = optim.Adam([p])
    other.load_state_dict(state)
    computed = "float64" if dtype == "float64" else "float32"
    assert {str(other.state[p][name].dtype) for name in ("exp_avg", "exp_avg_sq")} == {computed}
    p.grad = lucid.Tensor(np.ones(2, dtype))
    other.step()
    assert str(p.dtype) == dtype


def test_a_setting_that_came_later_needs_no_memory_from_before() -> None:
    p, optimizer = trained()
    optimizer.param_groups[0]["amsgrad"] = True
    state = optimizer.state_dict()
    other = optim.Adam([p], amsgrad=True)
    other.load_state_dict(state)
    other.step()
    assert "max_exp_avg_sq" in other.state[p]


def test_a_wrong_rate_leaves_the_schedule_as_it_is() -> None:
    p, q = parameter(), parameter()
    optimizer = optim.SGD([{"params": [p], "lr": 1.0}, {"params": [q], "lr": 2.0}])
    schedule = lr_scheduler.LambdaLR(optimizer, lambda t: 1.0 if t < 2 else nan)
    schedule.step()
    with pytest.raises(lucid.ArgumentError, match=r"LambdaLR: lr_lambda\(2\) is nan, expected"):
        schedule.step()
    assert schedule.last_epoch == 1
    assert schedule.get_last_lr() == [1.0, 2.0]
    optimizer.add_param_group({"params": [parameter()]})
    with pytest.raises(lucid.ArgumentError) as caught:
        schedule.step()
    assert str(caught.value) == (
        "LambdaLR: the optimiser has 3 groups now, but had 2 when the schedule began; make the "
        "schedule anew"
    )


def test_a_wrong_buffer_is_not_registered() -> None:
    module = nn.ReLU()
    with pytest.raises(lucid.ArgumentError) as caught:
        module.register_buffer("mean", np.ones(2))
    assert str(caught.value) == "register_buffer: 'mean' is ndarray, expected a Tensor or None"
    assert not list(module.named_buffers())
    module.mean = 3  # not a buffer
    assert module.mean == 3


def test_nothing_is_added_to_a_list_if_one_is_no_module() -> None:
    layers = nn.ModuleList([nn.ReLU()])
    with pytest.raises(lucid.ArgumentError, match="ModuleList: expected a Module, got int"):
        layers.extend([nn.ReLU(), 3])
    assert len(layers) == 1


def test_a_wrong_dtype_leaves_all_parameters_as_they_are() -> None:
    model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    with pytest.raises(lucid.DTypeError, match="cannot be int64"):
        model.to(lucid.int64)
    assert {str(p.dtype) for p in model.parameters()} == {"float32"}


def test_gradients_stay_where_clipping_is_refused() -> None:
    p = nn.Parameter([1.0, 1.0])
    p.grad = lucid.Tensor([3.0, inf])
    with pytest.raises(lucid.ArgumentError, match="the norm of the gradients is inf, not finite"):
        utils.clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
    assert p.grad.tolist() == [3.0, inf]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_norm_of_halves_is_computed_in_single(dtype: str) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    kind = getattr(ml_dtypes, dtype, None) or np.dtype(dtype)
    p = nn.Parameter(np.ones(50_000, kind))
    p.grad = lucid.Tensor(np.full(50_000, 2, kind))
    assert_same(utils.clip_grad_norm_(p, inf), np.float32(2 * np.sqrt(50_000)), rtol=1e-6)
    assert_same(p.grad.numpy().astype("f4"), np.full(50_000, 2, "f4"), rtol=0)


def test_weights_of_a_loss_may_be_an_array_or_a_list() -> None:
    scores = lucid.Tensor([[0.0, 1.0], [1.0, 0.0]])
    expected = F.cross_entropy(scores, [0, 1], lucid.Tensor([1.0, 3.0]))
    for weight in ([1.0, 3.0], np.array([1.0, 3.0], "f4")):
        assert_same(nn.CrossEntropyLoss(weight)(scores, [0, 1]), expected)


X1, X2, WEIGHT = np.ones((4, 3)), np.ones((4, 2)), np.ones((5, 3, 2))
NUMBERS = [0, 1, 2, 0]


@pytest.mark.parametrize("as_tensors", [False, True])
@pytest.mark.parametrize("name", ["group", "offsets", "index_1", "index_2", "segment", "weight_1"])
def test_what_is_masked_chooses_no_rows(name: str, as_tensors: bool) -> None:
    factors: list[Any] = [X1, X2, np.ones((3, 5, 3, 2)) if name in ("group", "offsets") else WEIGHT]
    value = [0, 1, 2, 4] if name == "offsets" else NUMBERS if name != "weight_1" else WEIGHT[..., 0]
    if as_tensors:
        factors = [lucid.Tensor(each, requires_grad=True) for each in factors]
    with pytest.raises(lucid.LibraryError, match=f"^bilinear: {name} is a masked array, and what"):
        F.bilinear(*factors, **{name: np.ma.masked_equal(value, 0)})


@pytest.mark.parametrize("as_tensors", [False, True])
@pytest.mark.parametrize(
    "name", ["input_1", "input_2", "weight", "bias", "mask", "exclude", "group", "target"]
)
def test_what_is_masked_is_not_reduced(name: str, as_tensors: bool) -> None:
    given: dict[str, Any] = {
        "input_1": X1, "input_2": X2, "weight": np.ones((3, 5, 3, 2)), "bias": np.ones(5),
        "mask": np.ones((4, 4), bool), "exclude": np.zeros((4, 1), int), "group": np.array(NUMBERS),
        "target": np.array(NUMBERS),
    }  # fmt: skip
    if as_tensors:
        given["weight"] = lucid.Tensor(given["weight"])
    if name != "weight" or not as_tensors:
        given[name] = np.ma.masked_equal(given[name], 0)
        function = F.bilinear_rank
        with pytest.raises(lucid.LibraryError, match=f"^bilinear_rank: {name} is a masked array"):
            function(**given)


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((X1.astype(object), X2, WEIGHT), {}, "input_1 has dtype object, expected numbers"),
        ((X1, X2.astype("M8[s]"), WEIGHT), {}, "input_2 has dtype datetime64[s], expected numbers"),
        ((X1, X2, WEIGHT.astype("U1")), {}, "weight has dtype <U1, expected numbers"),
        ((X1, X2, WEIGHT, np.ones(5, object)), {}, "bias has dtype object, expected numbers"),
        ((X1, X2, WEIGHT, np.ones(5, object)), {"segment": NUMBERS}, "bias has dtype object, exp"),
        ((X1, X2, WEIGHT.astype(object)), {"segment": NUMBERS}, "weight has dtype object, expect"),
        ((X1, X2, WEIGHT, 1.0), {}, "bias is float, expected an array with the axes (out_feat"),
        ((X1, X2, WEIGHT, "b"), {"segment": NUMBERS}, "bias: expected numbers, got str of dtype"),
        ((X1, X2, WEIGHT), {"segment": ["a"] * 4}, "segment: expected numbers, got list of dtype"),
        ((X1, X2, WEIGHT), {"index_1": [[1], [2, 3]]}, "index_1: nested lists of unequal lengths"),
        ((X1, X2, WEIGHT), {"segment": NUMBERS, "num_segments": 1 << 62},
         "num_segments is 4611686018427387904, and no array has as many rows; give the number"),
        ((X1, X2, WEIGHT), {"segment": np.full(4, (1 << 64) - 1, np.uint64)},
         "num_segments is 18446744073709551616, and no array has as many rows"),
    ],
)  # fmt: skip
def test_what_the_form_is_not_made_of(arguments: Any, options: Any, words: str) -> None:
    with pytest.raises(lucid.LucidError) as raised:
        F.bilinear(*arguments, **options)
    assert str(raised.value).startswith(f"bilinear: {words}")
