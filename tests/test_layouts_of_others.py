"""Parameters of other libraries' bilinear layers, against their formulas written as einsum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cases import Array

import lucid
from lucid import nn
from lucid.nn import functional as F
from lucid.nn.layouts import convert

ROWS, ONE, TWO, OUT = 6, 3, 4, 5


def ones(x: Array) -> Array:
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)


def oij(x1: Array, x2: Array, weight: Array) -> Array:
    return np.asarray(np.einsum("ni,oij,nj->no", x1, np.atleast_3d(weight), x2))


def ijo(x1: Array, x2: Array, weight: Array) -> Array:
    return np.asarray(np.einsum("ni,ijo,nj->no", x1, weight, x2))


def matrix(x1: Array, x2: Array, weight: Array) -> Array:
    return np.asarray(np.einsum("ni,ij,nj->n", x1, weight, x2))[:, None]


# What each library computes, and the shapes of its parameters
Formula = Callable[[Array, Array, dict[str, Array]], Array]
LIBRARIES: dict[str, tuple[str, dict[str, Any], Formula]] = {
    "lucid": (
        "lucid",
        {"weight": (OUT, ONE, TWO), "bias": (OUT,), "weight_1": (OUT, ONE), "weight_2": (OUT, TWO)},
        lambda x1, x2, p: oij(x1, x2, p["weight"]) + p["bias"] + x1 @ p["weight_1"].T
        + x2 @ p["weight_2"].T,
    ),
    "torch": ("torch", {"weight": (OUT, ONE, TWO), "bias": (OUT,)},
              lambda x1, x2, p: oij(x1, x2, p["weight"]) + p["bias"]),
    "mlx": ("mlx", {"weight": (OUT, ONE, TWO), "bias": (OUT,)},
            lambda x1, x2, p: (x1 @ p["weight"] * x2[None]).sum(-1).T + p["bias"]),
    "mlx without a bias": ("mlx", {"weight": (OUT, ONE, TWO)},
                           lambda x1, x2, p: (x1 @ p["weight"] * x2[None]).sum(-1).T),
    "paddle": ("paddle", {"weight": (OUT, ONE, TWO), "bias": (1, OUT)},
               lambda x1, x2, p: oij(x1, x2, p["weight"]) + p["bias"]),
    "chainer": ("chainer", {"W": (ONE, TWO, OUT), "V1": (ONE, OUT), "V2": (TWO, OUT), "b": (OUT,)},
                lambda x1, x2, p: ijo(x1, x2, p["W"]) + x1 @ p["V1"] + x2 @ p["V2"] + p["b"]),
    "chainer with nobias": ("chainer", {"W": (ONE, TWO, OUT)},
                            lambda x1, x2, p: ijo(x1, x2, p["W"])),
    "tf-ranking": (
        "tf-ranking",
        {"bilinear_term": (ONE, TWO, OUT), "linear_term_1": (ONE, OUT), "linear_term_2": (TWO, OUT),
         "const_term": (OUT,)},
        lambda x1, x2, p: np.einsum("bk,bl,klj->bj", x1, x2, p["bilinear_term"])
        + np.einsum("bk,kj->bj", x1, p["linear_term_1"])
        + np.einsum("bk,kj->bj", x2, p["linear_term_2"]) + p["const_term"],
    ),
    "supar": ("supar", {"weight": (OUT, ONE + 1, TWO + 1)},
              lambda x1, x2, p: oij(ones(x1), ones(x2), p["weight"])),
    "supar of one output": ("supar", {"weight": (1, ONE + 1, TWO + 1)},
                            lambda x1, x2, p: oij(ones(x1), ones(x2), p["weight"])),
    "supar: bias_x": ("supar: bias_x", {"weight": (OUT, ONE + 1, TWO)},
                      lambda x1, x2, p: oij(ones(x1), x2, p["weight"])),
    "supar: bias_y": ("supar: bias_y", {"weight": (OUT, ONE, TWO + 1)},
                      lambda x1, x2, p: oij(x1, ones(x2), p["weight"])),
    "stanza": ("stanza", {"weight": (ONE + 1, TWO + 1, OUT), "bias": (OUT,)},
               lambda x1, x2, p: ijo(ones(x1), ones(x2), p["weight"]) + p["bias"]),
    "allennlp": ("allennlp", {"_weight_matrix": (ONE, TWO), "_bias": (1,)},
                 lambda x1, x2, p: matrix(x1, x2, p["_weight_matrix"]) + p["_bias"]),
    "allennlp of some labels": ("allennlp", {"_weight_matrix": (OUT, ONE, TWO), "_bias": (1,)},
                                lambda x1, x2, p: oij(x1, x2, p["_weight_matrix"]) + p["_bias"]),
    "allennlp: use_input_biases": (
        "allennlp: use_input_biases", {"_weight_matrix": (ONE + 1, TWO + 1), "_bias": (1,)},
        lambda x1, x2, p: matrix(ones(x1), ones(x2), p["_weight_matrix"]) + p["_bias"],
    ),
    "allennlp: use_input_biases, some labels": (
        "allennlp: use_input_biases", {"_weight_matrix": (OUT, ONE + 1, TWO + 1), "_bias": (1,)},
        lambda x1, x2, p: oij(ones(x1), ones(x2), p["_weight_matrix"]) + p["_bias"],
    ),
}  # fmt: skip


def drawn(shapes: dict[str, Any]) -> dict[str, Array]:
    random = np.random.default_rng(0)
    return {name: np.asarray(random.standard_normal(shape)) for name, shape in shapes.items()}


def inputs() -> list[Array]:
    random = np.random.default_rng(1)
    return [np.asarray(random.standard_normal(shape)) for shape in ((ROWS, ONE), (ROWS, TWO))]


@pytest.mark.parametrize("which", LIBRARIES)
def test_from_their_layout_and_back(which: str) -> None:
    layout, shapes, formula = LIBRARIES[which]
    theirs, (x1, x2) = drawn(shapes), inputs()
    right = formula(x1, x2, theirs)
    assert right.shape[0] == ROWS
    ours = convert(theirs, layout)
    assert all(name in ("weight", "bias", "weight_1", "weight_2") for name in ours)
    np.testing.assert_allclose(F.bilinear(x1, x2, **ours), right, rtol=1e-12)
    back = convert(ours, target=layout)
    assert {name: x.shape for name, x in back.items()} == {k: tuple(v) for k, v in shapes.items()}
    np.testing.assert_allclose(formula(x1, x2, back), right, rtol=1e-12)
    again = convert(back, layout)
    for name, array in ours.items():
        np.testing.assert_allclose(again[name], array, rtol=1e-15)


@pytest.mark.parametrize("target", ["lucid", "chainer", "tf-ranking", "supar", "stanza"])
@pytest.mark.parametrize("given", ["weight", "weight_1", "bias"])
def test_what_is_not_given_is_zero(target: str, given: str) -> None:
    theirs, shapes, formula = LIBRARIES[target][0], LIBRARIES["lucid"][1], LIBRARIES[target][2]
    state, (x1, x2) = drawn(shapes), inputs()
    state = {name: state[name] for name in {"weight", given}}
    if target == "lucid" or (target in ("chainer", "tf-ranking") and given == "weight"):
        assert len(convert(state, target=theirs)) == len(state)
        return
    right = F.bilinear(x1, x2, **state)  # type: ignore[arg-type, unused-ignore]
    np.testing.assert_allclose(formula(x1, x2, convert(state, target=theirs)), right, rtol=1e-12)


def test_layers_of_lucid_and_torch_load_them() -> None:
    state = convert(drawn(LIBRARIES["supar"][1]), "supar")
    layer = nn.Bilinear(ONE, TWO, OUT, linear_1=True, linear_2=True, dtype=lucid.float64)
    layer.load_state_dict(state)
    x1, x2 = inputs()
    right = F.bilinear(x1, x2, **state)
    np.testing.assert_array_equal(layer(x1, x2).numpy(), right)
    np.testing.assert_array_equal(
        convert(layer.state_dict(), target="supar")["weight"],
        drawn(LIBRARIES["supar"][1])["weight"],
    )
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from lucid.torch import Bilinear

    weight = torch.tensor(drawn(LIBRARIES["supar"][1])["weight"])
    other = Bilinear(ONE, TWO, OUT, linear_1=True, linear_2=True, dtype=torch.float64)
    other.load_state_dict(convert({"weight": weight}, "supar"))
    found = other(torch.tensor(x1), torch.tensor(x2)).detach()
    np.testing.assert_allclose(found, right, rtol=1e-12)
    assert torch.equal(convert(other.state_dict(), target="supar")["weight"], weight)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: convert({"weight": np.ones((5, 3, 4))}, "keras"), lucid.ArgumentError,
         r"^convert: source is 'keras', expected one of lucid, torch, mlx, paddle, chainer,"),
        (lambda: convert({"W": np.ones((5, 3, 4)), "c": np.ones(5)}, "chainer"),
         lucid.ArgumentError, r"^convert: state has W, c; chainer has W, b, V1, V2"),
        (lambda: convert({"weight": np.ones((5, 3, 4)), "weight_1": np.ones((5, 3))},
                         target="mlx"),
         lucid.ArgumentError, r"^convert: mlx has no place for weight_1"),
        (lambda: convert({"weight": np.ones((2, 3, 4)), "bias": np.arange(2)}, target="allennlp"),
         lucid.ArgumentError, r"^convert: allennlp has one number for all outputs as its bias, but"
         r" bias has 2 that differ"),
        (lambda: convert({"W": np.ones((3, 4))}, "chainer"), lucid.ShapeError,
         r"^convert: W needs 3 axes, in the order \(i, j, o\) of chainer, but has shape \(3, 4\)"),
        (lambda: convert(nn.Bilinear(3, 4, 5)), lucid.ArgumentError,  # type: ignore[arg-type]
         r"^convert: state is a Bilinear, expected a dict of arrays by their names, such as "
         r"layer\.state_dict\(\)$"),
        (lambda: convert({}), lucid.ArgumentError,
         r"^convert: state has nothing; lucid has weight, bias, weight_1, weight_2$"),
        (lambda: convert({"weight": [[[1.0]]]}), lucid.LibraryError,
         r"^convert: weight is \[\[\[1\.0\]\]\], expected an array$"),
        (lambda: convert({"weight": np.ones((5, 3, 4)), "weight_1": np.ones((3, 5))}),
         lucid.ShapeError,
         r"^convert: weight_1 has shape \(3, 5\), expected \(5, 3\), which fits the weight of "
         r"lucid$"),
        (lambda: convert({"W": np.ones((3, 4, 5)), "V2": np.ones((5, 4))}, "chainer"),
         lucid.ShapeError,
         r"^convert: V2 has shape \(5, 4\), expected \(4, 5\), which fits the weight of chainer$"),
        (lambda: convert({"weight": np.ones((5, 3, 4)), "bias": np.ones(7)}, "torch"),
         lucid.ShapeError,
         r"^convert: bias has shape \(7,\), expected \(5,\), which fits the weight of torch$"),
        (lambda: convert({"weight": np.ones((5, 0, 4))}, "supar"), lucid.ShapeError,
         r"^convert: weight has shape \(5, 0, 4\), but supar has a feature more than the input, "
         r"for the column of ones$"),
    ],
)  # fmt: skip
def test_errors(call: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()
