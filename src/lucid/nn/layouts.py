"""The parameters of a bilinear layer as other libraries keep them, and ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .._arguments import told
from .._arrays import Array, is_array, mixture, namespace
from .._errors import ArgumentError, LibraryError, ShapeError
from .._tape import plain

__all__ = ["convert"]


class _Layout(NamedTuple):
    """How a library names and arranges the parameters; a name is None where it has none."""

    weight: str
    bias: str | None = None
    weight_1: str | None = None
    weight_2: str | None = None
    order: str = "oij"  # of the axes of the weight
    linear: str = "of"  # of those of the linear terms: outputs, features
    ones_1: bool = False  # a column of ones is appended to the first input
    ones_2: bool = False
    bias_shape: str = "o"  # or "1o", or "1": one number for all outputs
    all_terms: bool = False  # either all of bias, weight_1 and weight_2, or none
    squeezed: bool = False  # one output has no axis


# One line for each: the table in docs/bilinear.md has the same, in shapes.
_LAYOUTS = {
    "lucid": _Layout("weight", "bias", "weight_1", "weight_2"),
    "torch": _Layout("weight", "bias"),
    "mlx": _Layout("weight", "bias"),
    "paddle": _Layout("weight", "bias", bias_shape="1o"),
    "chainer": _Layout("W", "b", "V1", "V2", order="ijo", linear="fo", all_terms=True),
    "tf-ranking": _Layout(
        "bilinear_term", "const_term", "linear_term_1", "linear_term_2",
        order="ijo", linear="fo", all_terms=True,
    ),
    "supar": _Layout("weight", ones_1=True, ones_2=True),
    "supar: bias_x": _Layout("weight", ones_1=True),
    "supar: bias_y": _Layout("weight", ones_2=True),
    "stanza": _Layout("weight", "bias", order="ijo", ones_1=True, ones_2=True),
    "allennlp": _Layout("_weight_matrix", "_bias", bias_shape="1", squeezed=True),
    "allennlp: use_input_biases": _Layout(
        "_weight_matrix", "_bias", ones_1=True, ones_2=True, bias_shape="1", squeezed=True
    ),
}  # fmt: skip


def convert(
    state: Mapping[str, Array], source: str = "lucid", target: str = "lucid"
) -> dict[str, Array]:
    """The parameters of a bilinear layer in another layout.

    `state` has the arrays, of any library, under the names of `source`; the result has them under
    those of `target`: "lucid" (`weight`, `bias`, `weight_1`, `weight_2`; see `nn.Bilinear`),
    "torch", "mlx", "paddle", "chainer", "tf-ranking", and those that append a column of ones to the
    inputs, "supar" ("supar: bias_x" and "supar: bias_y" where only one of both is on), "stanza" and
    "allennlp: use_input_biases"; "allennlp" without them. What a parameter there lacks here is 0
    there; shapes are those of the table in [The bilinear form](../bilinear.md#other-layouts).

    Raises ArgumentError for a layout or a name in `state` that is not known, and for what the
    target has no place for; ShapeError for a parameter without the axes or sizes of its layout;
    LibraryError for one that is no array, and for arrays of two libraries.

    >>> import numpy as np
    >>> chainer = {"W": np.ones((3, 4, 5)), "V1": np.ones((3, 5)), "V2": np.ones((4, 5)),
    ...            "b": np.zeros(5)}
    >>> state = nn.layouts.convert(chainer, "chainer")
    >>> {name: array.shape for name, array in state.items()}
    {'weight': (5, 3, 4), 'weight_1': (5, 3), 'weight_2': (5, 4), 'bias': (5,)}
    >>> layer = nn.Bilinear(3, 4, 5, linear_1=True, linear_2=True)
    >>> _ = layer.load_state_dict(state)
    >>> nn.layouts.convert(layer.state_dict(), target="supar")["weight"].shape
    (5, 4, 5)
    """
    theirs, ours = _known("source", source), _known("target", target)
    if not isinstance(state, Mapping):
        raise ArgumentError(
            f"convert: state is {told(state)}, expected a dict of arrays by their names, such as "
            "layer.state_dict()"
        )
    given = {name: plain(array) for name, array in state.items() if array is not None}
    for name, array in given.items():
        if not is_array(array):
            raise LibraryError(f"convert: {name} is {told(array)}, expected an array")
    mixed = mixture("convert", given)
    if mixed is not None:
        raise mixed
    return _written(_read(given, source, theirs), target, ours)


def _known(argument: str, name: str) -> _Layout:
    layout = _LAYOUTS.get(name)
    if layout is None:
        raise ArgumentError(
            f"convert: {argument} is {told(name)}, expected one of {', '.join(_LAYOUTS)}"
        )
    return layout


def _read(state: dict[str, Array], name: str, layout: _Layout) -> dict[str, Array]:
    """The parameters in our layout, those that there are."""
    names = [layout.weight, layout.bias, layout.weight_1, layout.weight_2]
    unknown = [key for key in state if key not in names]
    if unknown or layout.weight not in state:
        wanted = ", ".join(key for key in names if key)
        there = ", ".join(map(str, state)) or "nothing"
        raise ArgumentError(f"convert: state has {there}; {name} has {wanted}")
    weight, bias, weight_1, weight_2 = (None if key is None else state.get(key) for key in names)
    assert weight is not None  # noqa: S101 (just asked)
    xp = namespace(weight)
    if len(weight.shape) == 2 and layout.order == "oij":  # one output, without its axis
        weight = weight[None]
    if len(weight.shape) != 3:
        raise ShapeError(
            f"convert: {layout.weight} needs 3 axes, in the order ({', '.join(layout.order)}) of "
            f"{name}, but has shape {tuple(weight.shape)}"
        )
    weight = xp.permute_dims(weight, tuple(layout.order.index(axis) for axis in "oij"))
    outputs, i, j = weight.shape
    i, j = i - layout.ones_1, j - layout.ones_2
    if i < 0 or j < 0:
        raise ShapeError(
            f"convert: {layout.weight} has shape {tuple(state[layout.weight].shape)}, but {name} "
            "has a feature more than the input, for the column of ones"
        )
    for key, term, features in ((layout.weight_1, weight_1, i), (layout.weight_2, weight_2, j)):
        if term is not None:
            _check(name, key, term, [(features, outputs)[:: 1 if layout.linear == "fo" else -1]])
    if bias is not None:
        _check(name, layout.bias, bias, [(outputs,), (1, outputs), (1,), ()])
    if layout.linear == "fo":
        weight_1, weight_2 = (x if x is None else x.T for x in (weight_1, weight_2))
    if bias is not None:
        bias = xp.broadcast_to(xp.reshape(bias, (-1,)), (outputs,))
    if layout.ones_2:
        weight_1 = weight[:, :i, j]
    if layout.ones_1:
        weight_2 = weight[:, i, :j]
    if layout.ones_1 and layout.ones_2:
        bias = weight[:, i, j] if bias is None else weight[:, i, j] + bias
    found = {"weight": weight[:, :i, :j], "weight_1": weight_1, "weight_2": weight_2, "bias": bias}
    return {key: x for key, x in found.items() if x is not None}


def _check(name: str, key: str | None, array: Array, shapes: list[tuple[int, ...]]) -> None:
    """A ShapeError for a parameter beside the weight that has none of these shapes."""
    if tuple(array.shape) not in shapes:
        raise ShapeError(
            f"convert: {key} has shape {tuple(array.shape)}, expected {shapes[0]}, which fits the "
            f"weight of {name}"
        )


def _written(state: dict[str, Array], name: str, layout: _Layout) -> dict[str, Array]:
    """The parameters in another layout."""
    weight = state["weight"]
    xp = namespace(weight)
    o, i, j = weight.shape
    places = {
        "weight_1": layout.weight_1 or layout.ones_2,
        "weight_2": layout.weight_2 or layout.ones_1,
        "bias": layout.bias or (layout.ones_1 and layout.ones_2),
    }
    lost = [key for key in state if key != "weight" and not places[key]]
    if lost:
        raise ArgumentError(f"convert: {name} has no place for {', '.join(lost)}")
    shapes = {"weight_1": (o, i), "weight_2": (o, j), "bias": (o,)}
    terms = {
        key: state[key] if key in state else xp.zeros(shape, dtype=weight.dtype)
        for key, shape in shapes.items()
    }
    if layout.ones_2:
        column = [terms["weight_1"][:, :, None]]
        weight = xp.concat([weight, *column], axis=2)
    if layout.ones_1:
        corner = [terms["bias"][:, None]] if layout.ones_2 else []
        row = xp.concat([terms["weight_2"], *corner], axis=1)
        weight = xp.concat([weight, row[:, None]], axis=1)
    weight = xp.permute_dims(weight, tuple("oij".index(axis) for axis in layout.order))
    result = {layout.weight: weight[0] if layout.squeezed and o == 1 else weight}
    terms_are_there = layout.all_terms and len(state) > 1
    for key in ("weight_1", "weight_2"):
        own = getattr(layout, key)
        if own and (key in state or terms_are_there):
            result[own] = terms[key].T if layout.linear == "fo" else terms[key]
    if layout.bias is not None:
        bias = terms["bias"]
        if layout.ones_1 and layout.ones_2:  # it has that of the corner already
            result[layout.bias] = xp.zeros_like(bias[:1] if layout.bias_shape == "1" else bias)
        elif layout.bias_shape == "1":
            if bool((bias[1:] != bias[:1]).any()):
                raise ArgumentError(
                    f"convert: {name} has one number for all outputs as its bias, but bias has "
                    f"{o} that differ"
                )
            result[layout.bias] = bias[:1]
        elif "bias" in state or terms_are_there:
            result[layout.bias] = bias[None] if layout.bias_shape == "1o" else bias
    return result
