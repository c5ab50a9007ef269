"""The compiled kernel, where there is one, by its questions.

It takes exact NumPy arrays of float32 or float64 and DLPack capsules of such tensors, whose leading
axes broadcast; of rows in bfloat16 too, where that is faster than conversion. It checks every size,
and declines whatever it does not take by returning None.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from math import prod
from pathlib import Path
from typing import Any

from .._shapes import Shape

compiled: Any
try:
    from . import _compiled as compiled  # type: ignore[attr-defined, no-redef, unused-ignore]
except ImportError:
    if os.environ.get("LUCID_REQUIRE_NATIVE") == "1":
        raise
    compiled = None

LARGE = 1e8
"""Multiply-adds of a call that the compiled kernel is missed in."""

_is_told = False


def _declined(*_: Any) -> None:
    return None


bilinear: Any = compiled.bilinear if compiled else _declined
"""bilinear(x1, x2, weight, bias[, most threads]): the result, or None."""

gradients: Any = compiled.gradients if compiled else _declined
"""gradients(g, x1, x2, weight, needed[, most threads]): three gradients, or None."""

bilinear_keeping: Any = compiled.bilinear_keeping if compiled else _declined
"""bilinear_keeping(x1, x2, weight, bias, needed[, most threads]): the result, and for the needed
gradients a product that spares them one, or None."""

gradients_kept: Any = compiled.gradients_kept if compiled else _declined
"""gradients_kept(g, x1, x2, weight, needed, kept[, most threads]): with that product, or None; with
four flags the last of four is the bias' gradient, or None where g is not dense."""

bilinear_into: Any = compiled.bilinear_into if compiled else _declined
"""bilinear_into(x1, x2, weight, bias, out): `out`, which shares no memory, or None."""

gradients_into: Any = compiled.gradients_into if compiled else _declined
"""gradients_into(g, x1, x2, weight, needed, results): written to three arrays, or None."""

bilinear_each: Any = compiled.bilinear_each if compiled else _declined
"""bilinear_each(x1, x2, weight, None, most threads): for each element of all first axes."""

gradients_each: Any = compiled.gradients_each if compiled else _declined
"""gradients_each(g, x1, x2, weight, needed, most threads): the same."""

bilinear_runs: Any = compiled.bilinear_runs if compiled else _declined
"""bilinear_runs(x1, x2, weights, biases, out, which, bounds, most threads): written, or None."""

gradients_runs: Any = compiled.gradients_runs if compiled else _declined
"""gradients_runs(g, x1, x2, weights, d1, d2, d_weights, met, which, bounds, most threads)."""

add_rows: Any = compiled.add_rows if compiled else _declined
"""add_rows(total, index, rows): total[index[n]] += rows[n], one after the other, or None."""

pack_matrix: Any = compiled.pack_matrix if compiled else _declined
"""pack_matrix(array, to, most threads): rows are its first two axes, columns the others."""

middle_step: Any = compiled.middle_step if compiled else _declined
"""middle_step(width, itemsize): how far the nodes of U, below, are apart."""

edges_of_nodes: Any = compiled.edges_of_nodes if compiled else _declined
"""edges_of_nodes(x, W packed, from, its rows, bias or None, to, its rows, bounds, most threads)."""

nodes_of_edges: Any = compiled.nodes_of_edges if compiled else _declined
"""nodes_of_edges(x or None, W packed or None, g, its rows, from, its rows, U, dx or None, dW or
None, bounds, most threads); see native/nodes.hpp for both."""

best_scores: Any = compiled.best_scores if compiled else _declined
"""best_scores(q (S, R, J), x2 (S or 1, M, J), bias (S·R) or None, kept (S·R, M) or None, excluded
(S·R, L) or None, first partner, values, indices): the k largest (S·R, k), kept up, or None."""

scores_at: Any = compiled.scores_at if compiled else _declined
"""scores_at(q, x2, bias, None, None, first partner, places (S·R, K), own): their scores, written,
or None."""

compare_scores: Any = compiled.compare_scores if compiled else _declined
"""compare_scores(q, x2, bias, kept, excluded, first partner, places, own, whether that is known,
rank): the ranks, added to, or None."""

chosen_gradients: Any = compiled.chosen_gradients if compiled else _declined
"""chosen_gradients(places (S·R, K), slopes, q (S, R, J) or None, x2 (M, J), dq (S·R, J) or None,
dx2 (M, J) or None): dq is written, dx2, which needs q, added to; -1 is no place. True, or None."""

adam_step: Any = compiled.adam_step if compiled else _declined
"""adam_step(array, gradient, mean, square, largest or None, decay, shrink, beta_1, 1 - beta_1,
beta_2, 1 - beta_2, eps, rate): the new array, the three before `decay` changed, or None."""

sgd_step: Any = compiled.sgd_step if compiled else _declined
"""sgd_step(array, gradient, buffer or None, decay, momentum, share, rate, nesterov): the new array,
the buffer changed, or None."""

plan: Any = compiled.plan if compiled else _declined
"""plan(shape_1, shape_2, weight_shape, needed or None, itemsize): its words, or None."""


def tell_if_missing(shape_1: Shape, shape_2: Shape, weight_shape: Shape) -> None:
    """Warn, once, that a large call has to do without the compiled kernel, and what to do."""
    global _is_told
    if compiled is not None or _is_told:
        return
    count = max(prod(shape_1[:-1]), prod(shape_2[:-1])) * prod(weight_shape)
    if count < LARGE:
        return
    _is_told = True
    package = Path(__file__).resolve().parents[1]
    warnings.warn(
        f"bilinear: there is no compiled kernel here. This call of {count:.1e} multiply-adds, and "
        f"all others, are right but slower than they could be.\n{remedy(package)}",
        stacklevel=_calls_from_outside(),
    )


def remedy(package: Path) -> str:
    """Why there is no compiled kernel, and how to get it."""
    import shlex

    root = shlex.quote(str(package.parents[1]))
    reason = ""
    try:
        importlib.import_module("lucid.kernels._compiled")
    except ImportError as error:
        reason = f"({error})\n"
    if (package / "kernels" / "native" / "CMakeLists.txt").exists():
        return reason + (
            "this is lucid's source tree, where it has not been built:\n"
            f"run pip install -e {root} with GCC or Clang at hand,\n"
            "with LUCID_REQUIRE_NATIVE=1 to see why it does not build,\n"
            "or leave this tree out of sys.path to get the lucid that is installed"
        )
    return reason + (
        "install lucid again with GCC or Clang at hand,\n"
        "with LUCID_REQUIRE_NATIVE=1 to see why it does not build"
    )


def _calls_from_outside() -> int:
    """How many calls up lucid was entered, for a warning that names the caller's line."""
    package = os.path.dirname(os.path.dirname(__file__))
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_code.co_filename.startswith((package, "<lucid")):
        frame, level = frame.f_back, level + 1
    return level
