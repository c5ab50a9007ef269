"""Parameters to begin with."""

from __future__ import annotations

from math import sqrt
from typing import Any

import jax
import jax.numpy as jnp

from .._arguments import COUNT, check

Array = Any


def init(
    key: Array,
    in1_features: int,
    in2_features: int,
    out_features: int,
    *,
    bias: bool = True,
    linear_1: bool = False,
    linear_2: bool = False,
    dtype: Any = jnp.float32,
) -> dict[str, Array]:
    """Draw the parameters of a bilinear form, as `lucid.nn.Bilinear` does.

    The result has `weight` (out_features, in1_features, in2_features), from the normal distribution
    of variance 1 / (in1_features · in2_features), and unless `bias` is False also `bias`
    (out_features,), zeros: so inputs of variance 1 give outputs of variance 1. With `linear_1` it
    has `weight_1` (out_features, in1_features), drawn evenly within ±1 / √in1_features, and with
    `linear_2` `weight_2` (out_features, in2_features) likewise. A dict is a tree to all of JAX, a
    value for Flax's `self.param("score", lucid.jax.init, 3, 4, 5)`, and its arrays are for the
    fields of an Equinox module.

    Raises ArgumentError where a size is not a number from 0 on.

    >>> import jax
    >>> import lucid.jax
    >>> parameters = lucid.jax.init(jax.random.key(0), 3, 4, 5)
    >>> lucid.jax.bilinear(jax.numpy.ones((2, 3)), jax.numpy.ones((2, 4)), **parameters).shape
    (2, 5)
    """
    sizes = {"in1_features": in1_features, "in2_features": in2_features}
    check("init", COUNT, **sizes, out_features=out_features)
    shape = (out_features, in1_features, in2_features)
    deviation = 1 / sqrt(max(in1_features * in2_features, 1))
    parameters = {"weight": jax.random.normal(key, shape, dtype) * jnp.asarray(deviation, dtype)}
    if bias:
        parameters["bias"] = jnp.zeros(out_features, dtype)
    for number, features, wanted in ((1, in1_features, linear_1), (2, in2_features, linear_2)):
        if wanted:
            bound = 1 / sqrt(max(features, 1))
            parameters[f"weight_{number}"] = jax.random.uniform(
                jax.random.fold_in(key, number), (out_features, features), dtype, -bound, bound
            )
    return parameters
