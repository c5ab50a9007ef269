"""Wrong kernels: each is one change of the C++, and the tests that must turn red.

    python tests/mutants.py [word ...]          only those in whose description a word is

Each mutant is compiled alone, for one instruction set and hardly optimised, and a few named tests
are run on it until one fails. It is an error if none does: then the tests would let such a kernel
pass. It is one too if a mutant's text is no longer in the source: then write it anew. Needs a
compiler, NumPy and pytest; lucid must not be installed where this runs (an editable installation
would take the place of the mutant). Some minutes; `.github/workflows/nightly.yml` runs it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
PACKAGE = Path("src", "lucid")
NATIVE = PACKAGE / "kernels" / "native"
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
COMPILE = [
    os.environ.get("CXX", "g++"), "-std=gnu++17", os.environ.get("LUCID_OPTIMIZE", "-O0"), "-fPIC",
    "-fvisibility=hidden", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-w",
    "-DLUCID_SET=baseline", f"-I{sysconfig.get_paths()['include']}", f"-I{np.get_include()}",
]  # fmt: skip
SECONDS = 600  # of one mutant's tests, at most: no end is no verdict


@dataclass(frozen=True)
class Mutant:
    """In `file` `old` becomes `new`: the first after `within`, or the only one. `tests` find it."""

    what: str
    file: str
    within: str
    old: str
    new: str
    tests: tuple[str, ...]

    def apply(self, folder: Path) -> None:
        path = folder / self.file
        source = path.read_text()
        once = self.within or self.old
        if source.count(once) != 1:
            raise LookupError(f"{self.file} has {source.count(once)} times: {once}")
        place = source.find(self.old, source.index(once))
        if place < 0:
            raise LookupError(f"{self.file} has no more, after {self.within}: {self.old}")
        path.write_text(source[:place] + self.new + source[place + len(self.old) :])


FORWARD, INPUTS, WEIGHT, PAIRS, LEADING, EXPANDED, LARGE, ELEMENTS, BEYOND, HALVES = (
    f"tests/test_native{name}"
    for name in (
        ".py::test_forward", ".py::test_gradients_of_inputs", ".py::test_gradient_of_the_weight",
        "_pairs.py::test_pairs_at_odd_sizes", "_pairs.py::test_leading_axes_that_broadcast",
        "_pairs.py::test_expanded_views", ".py::test_gradients_of_large_inputs",
        "_calls.py::test_a_weight_for_each_element",
        "_limits.py::test_nothing_is_read_beyond_the_arguments", "_bfloat16.py",
    )
)  # fmt: skip


REDUCED = "tests/test_native_reductions.py"
KEPT = ("tests/test_kept.py::test_gradients_with_it",)
ADDS = "tests/test_out.py::test_each_algorithm_adds"
FAR = "tests/test_native.py::test_gradient_of_a_weight_beyond_the_caches"
BIAS = "tests/test_native_calls.py::test_the_gradient_of_the_bias"
RUNS, LARGE_RUN, ADDED, NODES, ELSEWHERE = (
    f"tests/test_native_rows.py::test_{name}"
    for name in (
        "runs", "a_large_weight_is_added_some_outputs_at_a_time", "rows_are_added_in_their_order",
        "edges_and_nodes", "edges_that_are_elsewhere_are_an_error",
    )
)  # fmt: skip


def row_step(of: str, file: str, within: str, old: str, new: str, *tests: str) -> Mutant:
    """The rows of an argument are taken to lie one after the other."""
    where = within.split()[-1].strip("(")
    return Mutant(f"{where}: the row step of {of}", file, within, old, new, tests)


def by(tests: str, algorithm: str) -> tuple[str, ...]:
    return tests, "-k", algorithm


MUTANTS = [
    # row steps: of each argument, in each driver
    row_step("x1", "contract.hpp", "bool contract_part(", "pack_samples(c.x1,",
             "pack_samples(decltype(c.x1){c.x1.data, s.features_1},", *by(FORWARD, "samples_on")),
    row_step("x2", "contract.hpp", "bool contract_part(", "pack_samples(c.x2,",
             "pack_samples(decltype(c.x2){c.x2.data, s.features_2},", *by(FORWARD, "samples_on")),
    row_step("x1", "outer.hpp", "bool outer_part(", "pack_samples(c.x1,",
             "pack_samples(decltype(c.x1){c.x1.data, s.features_1},",
             *by(FORWARD, "outer_product")),
    row_step("x2", "outer.hpp", "bool outer_part(", "pack_samples(c.x2,",
             "pack_samples(decltype(c.x2){c.x2.data, s.features_2},",
             *by(FORWARD, "outer_product")),
    row_step("x1", "few.hpp", "void few_output(", "x.first(n, i)",
             "Matrix<Real>{x.x1.data + n * sizes.features_1 + i, sizes.features_1}",
             *by(FORWARD, "stream_weight")),
    row_step("x2", "few.hpp", "void few_output(", "x.second(n)",
             "Matrix<Real>{x.x2.data + n * sizes.features_2, sizes.features_2}",
             *by(FORWARD, "stream_weight")),
    row_step("g", "few.hpp", "bool few_input_gradients(", "g.data[n * g.step + o]",
             "g.data[n * s.outputs + o]", *by(INPUTS, "stream_weight")),
    row_step("x1", "few.hpp", "bool few_input_gradients(", "*x.first(n, i).data",
             "x.x1.data[n * s.features_1 + i]", *by(INPUTS, "stream_weight")),
    row_step("x2", "few.hpp", "bool few_input_gradients(", "x.second(n).data",
             "x.x2.data + n * s.features_2", *by(INPUTS, "stream_weight")),
    row_step("x1", "pack.hpp", "void pack_outer(", "*x.first(n, i).data",
             "x.x1.data[n * s.features_1 + i]", *by(FORWARD, "flat_features")),
    row_step("x2", "pack.hpp", "void pack_outer(", "x.second(n).data",
             "x.x2.data + n * s.features_2", *by(WEIGHT, "flat_features")),
    row_step("g", "flat.hpp", "bool flat_weight_gradient(", "g.data + first * g.step + o, g.step",
             "g.data + first * s.outputs + o, s.outputs", *by(WEIGHT, "flat_features")),
    row_step("g", "flat.hpp", "bool flat_input_gradients(", "g.data, g.step", "g.data, s.outputs",
             *by(INPUTS, "flat_features")),
    row_step("x1", "flat.hpp", "bool flat_input_gradients(", "*x.first(n, k).data",
             "x.x1.data[n * s.features_1 + k]", *by(INPUTS, "flat_features")),
    row_step("x2", "flat.hpp", "bool flat_input_gradients(", "x.second(n).data",
             "x.x2.data + n * s.features_2", *by(INPUTS, "flat_features")),
    row_step("g", "input_gradients.hpp", "void fetch(", "pack_samples(c.g,",
             "pack_samples(decltype(c.g){c.g.data, s.outputs},", *by(INPUTS, "samples_on")),
    row_step("x1", "input_gradients.hpp", "void fetch(", "pack_samples(c.x1,",
             "pack_samples(decltype(c.x1){c.x1.data, s.features_1},", *by(INPUTS, "in_registers")),
    row_step("x2", "input_gradients.hpp", "void fetch(", "pack_samples(c.x2,",
             "pack_samples(decltype(c.x2){c.x2.data, s.features_2},", *by(INPUTS, "output_by")),
    row_step("x2", "weight_gradient.hpp", "bool weight_gradient_part(",
             "c.x2.data + begin * c.x2.step, c.x2.step",
             "c.x2.data + begin * s.features_2, s.features_2", *by(WEIGHT, "packed_products")),
    row_step("g", "weight_gradient.hpp", "bool weight_gradient_part(",
             "c.g.data + begin * c.g.step + o, c.g.step",
             "c.g.data + begin * s.outputs + o, s.outputs", *by(WEIGHT, "outer_product")),
    row_step("x1", "weight_gradient.hpp", "bool weight_gradient_part(",
             "c.x1.data + begin * c.x1.step + i, c.x1.step",
             "c.x1.data + begin * s.features_1 + i, s.features_1", *by(WEIGHT, "outer_product")),
    row_step("g", "weight_gradient.hpp", "bool weight_gradient_part(", "(begin + n) * c.g.step + o",
             "(begin + n) * s.outputs + o", *by(WEIGHT, "packed_products")),
    row_step("x1", "weight_gradient.hpp", "bool weight_gradient_part(", "column + k, c.x1,",
             "column + k, decltype(c.x1){c.x1.data, s.features_1},",
             *by(WEIGHT, "packed_products")),
    row_step("x2", "tiny.hpp", "void tiny_forward(", "n * x2.step", "n * s.features_2",
             *by(FORWARD, "reference")),
    row_step("g", "tiny.hpp", "void tiny_weight_gradient(", "n * g.step", "n * s.outputs",
             *by(WEIGHT, "reference")),
    row_step("x1", "tiny.hpp", "void tiny_input_gradients(", "n * x1.step", "n * s.features_1",
             *by(INPUTS, "reference")),
    row_step("x1", "pairs.hpp", "bool pairs_forward_part(", "tiles.start(t)), c.first.step",
             "tiles.start(t)), c.features_1", PAIRS),
    row_step("x2", "pairs.hpp", "bool pairs_forward_part(", "c.second.at(s, b), 1, c.second.step",
             "c.second.at(s, b), 1, c.features_2", PAIRS),
    row_step("x1", "pairs.hpp", "bool pairs_gradient_part(", "tiles.start(t)), c.first.step",
             "tiles.start(t)), c.features_1", PAIRS),
    row_step("x2", "pairs.hpp", "bool pairs_gradient_part(", "c.second.at(s, b), c.second.step",
             "c.second.at(s, b), c.features_2", PAIRS),
    row_step("x1", "pairs.hpp", "bool pairs_gradient_part(",
             "row_0 - s_0 * c.firsts), c.first.step",
             "row_0 - s_0 * c.firsts), c.features_1", PAIRS),
    row_step("x2", "spread.hpp", "bool spread_part(", "c.second.at(from + k, 0)",
             "c.second.at(from, 0)", LEADING),
    # offsets
    Mutant("contract: outputs beyond the first 48", "contract.hpp", "",
           "* s.outputs + begin, s.outputs", "* s.outputs, s.outputs", by(FORWARD, "samples_on")),
    Mutant("outer product: outputs beyond the first 48", "outer.hpp", "",
           "s.outputs + first, s.outputs", "s.outputs, s.outputs", by(FORWARD, "outer_product")),
    Mutant("flat inputs: all blocks of samples are the first", "flat.hpp", "",
           "turned + first + row", "turned + row", by(INPUTS, "flat_features")),
    Mutant("spread: all panels of the gradient are the first", "spread.hpp", "",
           "d_first.at(from + k, row) + firsts.start(q)", "d_first.at(from + k, row)",
           (PAIRS, LEADING)),
    Mutant("pairs: the inputs exchanged, but not the axes of the result", "pairs.hpp", "",
           "c.first_step = second_step, c.second_step = first_step;", "", (PAIRS,)),
    Mutant("one column: the inputs exchanged, but not their gradients", "kernel.cpp", "",
           "exchange(s, x1, x2), exchange(d_first, d_second)", "exchange(s, x1, x2)", (INPUTS,)),
    Mutant("layout: axes become one that do not follow each other", "layout.hpp", "",
           "together && steps[k] == inner.steps[k] * inner.size", "together", (LEADING,)),
    Mutant("layout: an axis of one input is the other's", "layout.hpp", "",
           "in_1 ? first : second, whole", "in_1 ? second : first, whole", (LEADING,)),
    # bounds and tails
    Mutant("the last lanes: one less", "vector.hpp", "last_lanes(",
           "number >= Real(", "number > Real(", by(FORWARD, "stream_weight")),
    Mutant("the end of a short row in the dot product", "few.hpp", "void dot_row(",
           "k < features_2; ++k", "k + 1 < features_2; ++k", by(FORWARD, "stream_weight")),
    Mutant("the end of a short row in both gradients", "few.hpp", "void both_row(",
           "; j < features_2; ++j", "; j + 1 < features_2; ++j", by(INPUTS, "stream_weight")),
    Mutant("the edge of a tile: one column less", "tile.hpp", "void put(",
           "column < target.columns", "column + 1 < target.columns", by(WEIGHT, "outer_product")),
    Mutant("transposition: a row of the last columns", "pack.hpp", "Real>\nvoid transpose(",
           "for (int r = 0; r < 4; ++r)", "for (int r = 0; r < 3; ++r)", by(FORWARD, "samples_on")),
    Mutant("transposition: the last row", "pack.hpp", "Real>\nvoid transpose(",
           "for (; row < rows; ++row)", "for (; row + 1 < rows; ++row)", by(INPUTS, "samples_on")),
    Mutant("a panel of one vector where two are needed", "pack.hpp", "bool wide(",
           "used(p) > lanes<Real>", "used(p) > lanes<Real> + 1", by(WEIGHT, "packed_products")),
    Mutant("packed products: the end of the last rows", "pack.hpp", "Real>\nvoid pack_products(",
           "for (Index r = 0; r < rows; ++r)", "for (Index r = 0; r + 1 < rows; ++r)",
           by(WEIGHT, "packed_products")),
    Mutant("packed weight: the end of the last rows", "pack.hpp", "void pack_by_feature(",
           "for (Index j = 0; j < count; ++j)", "for (Index j = 0; j + 1 < count; ++j)",
           by(INPUTS, "samples_on")),
    Mutant("packed weight: some columns are the first ones", "pack.hpp", "void pack_by_feature(",
           "* s.features_2 + columns.begin", "* s.features_2", by(LARGE, "samples_on")),
    Mutant("packed weight: a tile of some columns is taken from all", "input_gradients.hpp",
           "void contract_feature(", "feature.rows + j - feature.begin", "feature.rows + j",
           by(LARGE, "samples_on")),
    Mutant("packed weight: rows are written over the next feature's", "pack.hpp",
           "void pack_by_feature(", "(depth - k) * step", "2 * depth * step",
           by(INPUTS, "samples_on")),
    Mutant("pieces: the last one is cut off", "pack.hpp", "struct Pieces",
           "count((size + most - 1) / most)", "count(size < most ? 1 : size / most)",
           by(FORWARD, "samples_on")),
    # sums
    Mutant("one of two sums over rows", "tile.hpp", "void contract_tile(", "even + odd", "even",
           by(FORWARD, "samples_on")),
    Mutant("a gradient is replaced, not added to", "tile.hpp", "void contract_tile(",
           "load(to) + d[r][q] * x", "d[r][q] * x", by(INPUTS, "output_by_output")),
    Mutant("the gradient in registers is replaced", "tile.hpp", "void contract_column(",
           "spread[r][q] += d[r][q] * x;", "spread[r][q] = d[r][q] * x;",
           by(INPUTS, "in_registers")),
    Mutant("a sign of the reference", "tiny.hpp", "void tiny_forward(", "sum += first[i]",
           "sum -= first[i]", by(FORWARD, "reference")),
    Mutant("packed products: only the last 256 samples", "weight_gradient.hpp", "",
           "begin > samples.begin || k > 0", "begin > samples.begin",
           by(WEIGHT, "packed_products")),
    Mutant("outer product: only the last block of samples", "weight_gradient.hpp", "",
           "panels.used(q), adds || begin > samples.begin, far}", "panels.used(q), adds, far}",
           by(WEIGHT, "outer_product")),
    Mutant("flat weight: only the last block of samples", "flat.hpp", "",
           "panels.used(q), adds || block > 0, far}", "panels.used(q), adds, far}",
           by(WEIGHT, "flat_features")),
    Mutant("a far tile: a step of the depth is left out", "tile.hpp", "void multiply_for(",
           "depth - each * (Rows - 1)", "each", (FAR,)),
    Mutant("a far tile: all of the depth for its last row too", "tile.hpp", "void multiply_for(",
           "depth - each * (Rows - 1)", "depth", (FAR,)),
    Mutant("packed products: not added to what is there", "weight_gradient.hpp", "",
           "adds || begin > samples.begin || k > 0", "begin > samples.begin || k > 0", (ADDS,)),
    Mutant("outer product: not added to what is there", "weight_gradient.hpp", "",
           "panels.used(q), adds || begin > samples.begin, far}",
           "panels.used(q), begin > samples.begin, far}", (ADDS,)),
    Mutant("flat weight: not added to what is there", "flat.hpp", "",
           "panels.used(q), adds || block > 0, far}", "panels.used(q), block > 0, far}", (ADDS,)),
    Mutant("the reference: not added to what is there", "tiny.hpp", "", "if (!adds) fill(", "fill(",
           (ADDS,)),
    Mutant("copies of the weight's gradient: each is added to what is there", "weight_gradient.hpp",
           "", "c.adds && chunk == 0", "c.adds", (ADDS,)),
    Mutant("parts of the weight's gradient: each is the first", "parts.hpp", "", "adds || n > 0",
           "adds", (ADDS,)),
    Mutant("flat forward: only the last features 1", "flat.hpp", "",
           "i > mine.begin ? result :", "false ? result :", by(FORWARD, "flat_features")),
    Mutant("the last copy is not added up", "copies.hpp", "bool add_copies(", "copy < copies",
           "copy + 1 < copies", by(INPUTS, "stream_weight")),
    Mutant("weight: the last copy is not added up", "weight_gradient.hpp", "",
           "partial.get(), copies - 1, size", "partial.get(), copies - 2, size",
           by(WEIGHT, "packed_products")),
    Mutant("pairs: only the last output's gradient", "pairs.hpp", "",
           "to.adds.first || o > 0}", "to.adds.first}", (PAIRS,)),
    Mutant("pairs: only the last rows in the weight's gradient", "pairs.hpp", "",
           "to.adds.weight || from > tile_range.begin}", "to.adds.weight}", (PAIRS,)),
    Mutant("pairs: only the last rows of the other input", "pairs.hpp", "",
           "features.width(q), b > 0}", "features.width(q), false}", (PAIRS,)),
    Mutant("pairs: every block of the other input writes to the first", "pairs.hpp",
           "bool pairs_forward_part(", "tiles.start(t) + r, b) + begin",
           "tiles.start(t) + r, 0) + begin", (PAIRS,)),
    row_step("x1", "pairs_by_outputs.hpp", "void pack_firsts(", "c.first.at(s, a), c.first.step",
             "c.first.at(s, a), c.features_1", PAIRS),
    row_step("x2", "pairs_by_outputs.hpp", "bool by_outputs_part(", "c.second.step, others",
             "c.features_2, others", PAIRS),
    Mutant("pairs by outputs: W is packed as if each feature began a panel", "pairs_by_outputs.hpp",
           "bool pack_by_outputs(", "lane = at % panel<Real>", "lane = o % panel<Real>", (PAIRS,)),
    Mutant("pairs by outputs: rows of T begin at whole vectors", "pairs_by_outputs.hpp",
           "bool by_outputs_part(", "* step + o, outputs}", "* step + o, results.padded}",
           (PAIRS,)),
    Mutant("pairs by outputs: the first position's rows for all", "pairs_by_outputs.hpp",
           "void pack_firsts(", "% c.firsts;", "% 1;", (PAIRS,)),
    Mutant("pairs by outputs: every block of the other input writes to the first",
           "pairs_by_outputs.hpp", "bool by_outputs_part(", "b + others.start(t)) + o",
           "others.start(t)) + o", (PAIRS,)),
    Mutant("pairs by outputs: the first panel's bias for all", "pairs_by_outputs.hpp",
           "bool by_outputs_part(", "bias[o + k]", "bias[k]", (PAIRS,)),
    Mutant("some lanes: what is there is not added to", "vector.hpp", "void store_some(",
           "to[lane] = add ? to[lane] + value[lane]", "to[lane] = false ? to[lane] + value[lane]",
           (PAIRS,)),
    Mutant("pairs: the weight's gradient is not transposed back", "pairs.hpp", "",
           "turned = d_weight && c.is_exchanged;", "turned = false;", (PAIRS,)),
    Mutant("pairs: copies of the second gradient are not added up", "pairs.hpp", "",
           "row = 0; second_copies && row <", "row = 0; false && row <", (PAIRS,)),
    # bfloat16
    Mutant("pairs of bfloat16: only the first of both is multiplied", "vector.hpp",
           "takes denormal numbers", "d += from_bits(both & 0xffff0000)",
           "if (false) d += from_bits(both & 0xffff0000)", by(HALVES, "forward")),
    Mutant("pairs of bfloat16: the row after the last one", "pack.hpp", "struct Rows<BFloat16>",
           "has_next ? low |", "true ? low |", by(HALVES, "forward")),
    Mutant("pairs of bfloat16: rows of W beside each other", "pack.hpp", "void pack_by_feature(",
           "at, matrix, o + 1", "at, s.features_2, o + 1", by(HALVES, "inputs")),
    Mutant("pairs of products: the second has the first one's g", "pack.hpp", "The same in pairs",
           "g[n + 1] * load(", "g[n] * load(", by(HALVES, "weight")),
    Mutant("pairs of products: cut off, not rounded", "vector.hpp", "Vector<Pair> rounded(",
           "bits + 0x7fff + (bits >> 16 & 1)", "bits", by(HALVES, "roundings")),
    Mutant("bfloat16: all blocks of gradients are the first", "bfloat16.cpp", "",
           "from(x2, n), weight", "from(x2, 0), weight", by(HALVES, "inputs")),
    Mutant("bfloat16: every range of outputs has the first g", "weight_gradient.hpp", "",
           "part.g.data += some.begin;", "", by(HALVES, "weight")),
    # bias
    Mutant("contract: the first output's bias for all", "contract.hpp", "bool contract_part(",
           "c.bias[o]", "c.bias[begin]", by(FORWARD, "samples_on")),
    Mutant("outer product: the first row's bias for the tile", "outer.hpp", "bool outer_part(",
           "c.bias[o + r]", "c.bias[o]", by(FORWARD, "outer_product")),
    Mutant("stream weight: the bias once for each part", "few.hpp", "bool few_forward(",
           "part == 0 && bias ?", "bias ?", by(FORWARD, "stream_weight")),
    Mutant("flat: the bias once for each part", "flat.hpp", "bool flat_forward(",
           "part == 0 && bias ?", "bias ?", by(FORWARD, "flat_features")),
    Mutant("the reference without bias", "tiny.hpp", "void tiny_forward(",
           "bias ? sum + bias[o] : sum", "sum", by(FORWARD, "reference")),
    Mutant("pairs: the first output's bias for all", "pairs.hpp", "bool pairs_forward_part(",
           "target.columns, bias[o]", "target.columns, bias[begin]", (PAIRS,)),
    # threads
    Mutant("a share without the remainder", "pack.hpp", "inline Range share(",
           "range.begin + length * (chunk + 1) / count",
           "range.begin + length * chunk / count + length / count", by(FORWARD, "stream_weight")),
    Mutant("contract: chunks of samples and of outputs mixed up", "contract.hpp", "bool contract(",
           "chunk / along_outputs, along_samples", "chunk % along_samples, along_samples",
           by(FORWARD, "samples_on")),
    Mutant("outer product: every chunk has the first outputs", "outer.hpp", "bool outer_forward(",
           "share({0, tiles.count}, chunk % along_outputs", "share({0, tiles.count}, 0",
           by(FORWARD, "outer_product")),
    Mutant("inputs: chunks share one sum without copies", "input_gradients.hpp", "bool in_parts(",
           "if (summed && k > 0)", "if (false)", by(INPUTS, "in_registers")),
    Mutant("gradient in registers: every chunk has all features", "input_gradients.hpp",
           "bool gradients_by_column(", "{tiles.start(some.begin), tiles.start(some.end)}",
           "{0, s.features_2}", by(INPUTS, "in_registers")),
    Mutant("large weights: a chunk packs too few tiles", "input_gradients.hpp",
           "bool gradients_by_feature(", "tile + tiles_at_once)}", "tile + 1)}", (LARGE,)),
    Mutant("gradients: an input that is not read is read", "binding_form.hpp", "bool gradients_in(",
           "if (!reads) factor.data = nullptr;", "", (BEYOND,)),
    # what is kept, and the bias
    Mutant("contract: what is kept is that of the first panel", "contract.hpp",
           "bool contract_part(", "((from + p) * s.outputs + o)", "(p * s.outputs + o)", KEPT),
    Mutant("contract: what is kept is that of the first tile", "contract.hpp",
           "bool contract_part(", "s.features_2 + j) * step", "s.features_2) * step", KEPT),
    Mutant("contract: the gradient from what is kept has the first panel's", "contract.hpp",
           "bool gradient_from_kept(", "kept + (p * each + o", "kept + (o", KEPT),
    Mutant("contract: the gradient from what is kept has one sum of lanes", "contract.hpp",
           "bool gradient_from_kept(", "q < panels.width(p)", "q < lanes<Real>", KEPT),
    Mutant("pairs: what is kept of all outputs is the last one's", "pairs.hpp",
           "Middle<Real> kept_at(", "kept + o *", "kept + 0 *", KEPT),
    Mutant("pairs: what is kept of all groups is the last one's", "pairs.hpp",
           "Middle<Real> kept_at(", "step + row * panel<Real>", "step", KEPT),
    Mutant("pairs: the cache is read where T is kept", "pairs.hpp", "bool pairs_gradient_part(",
           "to.kept ? kept_at(c, to.kept, o, row_0)",
           "false ? kept_at(c, to.kept, o, row_0)", KEPT),
    Mutant("the bias: rows beyond whole periods are left out", "sums.hpp", "bool add_up_rows(",
           "at + k < end", "false", (BIAS,)),
    Mutant("the bias: chunks take the place of each other", "sums.hpp", "bool sum_rows(",
           "totals.get() + chunk * columns", "totals.get()", (BIAS,)),
    # a weight for each element
    Mutant("elements: the first one again and again", "binding_form.hpp", "void advance(",
           "numbers * size_of", "0 * size_of", (ELEMENTS,)),
    Mutant("elements: as far apart in float64 as in float32", "binding_form.hpp", "void advance(",
           "size_of(view.type)", "4", (ELEMENTS,)),
    Mutant("elements: steps of the axes before", "binding_form.hpp", "struct Elements {",
           "view.steps[axis] = view.steps[axis + 1];", "view.steps[axis] = view.steps[axis];",
           (ELEMENTS,)),
    Mutant("elements: results of the size of one", "binding_form.hpp", "struct Elements {",
           "shape.sizes[axis + 1] = one.sizes[axis];", "shape.sizes[axis] = one.sizes[axis];",
           (ELEMENTS,)),
    # runs of rows with weights of their own
    row_step("the result", "runs.hpp", "bool runs_forward(", "to + from_row * out.step",
             "to + from_row * s.features_1", RUNS),
    Mutant("runs: the weight of the run's place, not of its group", "runs.hpp",
           "bool runs_forward(", "weight + which * numbers", "weight + run * numbers", (RUNS,)),
    Mutant("runs: the bias of the first group for all", "runs.hpp", "bool runs_forward(",
           "from(bias, which)", "from(bias, 0)", (RUNS,)),
    Mutant("runs: gradients with the weight of the run's place", "runs.hpp",
           "bool runs_gradients(", "weight + which * numbers", "weight + run * numbers", (RUNS,)),
    Mutant("runs: the second gradient is as wide as the first", "runs.hpp",
           "bool runs_gradients(", "at(d2, n * s.features_2)", "at(d2, n * s.features_1)", (RUNS,)),
    Mutant("runs: a weight's gradient is always written anew", "runs.hpp",
           "bool runs_gradients(", "adds = met[which];", "adds = false;", (RUNS,)),
    Mutant("runs: a weight's gradient is not said to be written", "runs.hpp",
           "bool runs_gradients(", "met[which] = true;", "", (RUNS,)),
    Mutant("runs: some outputs at a time, all with the first one's g", "runs.hpp",
           "bool weight_of_run(", "start{g.data + o, g.step}", "start{g.data, g.step}",
           (LARGE_RUN,)),
    Mutant("runs: those handed out whole have the first run's rows", "runs.hpp",
           "bool each_run(", "return one(run, 1); }", "return one(run * 0, 1); }", (RUNS,)),
    Mutant("rows that are added: the row's own place", "runs.hpp", "bool add_to_rows(",
           "total + Index(index[row]) * features", "total + row % count * features", (ADDED,)),
    Mutant("rows that are added: an index outside", "runs.hpp", "bool add_to_rows(",
           "|| index[row] >= count", "|| index[row] > count", (ADDED,)),
    # edges of few nodes
    Mutant("nodes: all panels of the weight are the first", "nodes.hpp", "void multiply_rows(",
           "b.data + panels.start(q) * b.panel_step", "b.data", (NODES,)),
    Mutant("nodes: only the last 256 features", "nodes.hpp", "void multiply_rows(",
           "adds || k > 0", "adds", (NODES,)),
    Mutant("nodes: every tile has the first rows", "nodes.hpp", "void multiply_rows(",
           "a.data + row * a.step + k", "a.data + k", (NODES,)),
    Mutant("nodes: T of the chunk's first node for all edges", "nodes.hpp",
           "bool edges_of_nodes(", "middle + n * step, inner", "middle, inner", (NODES,)),
    Mutant("nodes: the bias is written over", "nodes.hpp", "bool edges_of_nodes(",
           "bias != nullptr", "false", (NODES,)),
    Mutant("nodes: results go to their own places", "nodes.hpp", "bool edges_of_nodes(",
           "to.at(edges.begin + e)", "to.data + (edges.begin + e) * inner", (NODES,)),
    Mutant("nodes: every node sums the first one's edges", "nodes.hpp", "void sum_edges(",
           "from + (edges.begin - start) * inner", "from", (NODES,)),
    Mutant("nodes: gradients of every chunk go to the first", "nodes.hpp",
           "bool nodes_of_edges(", "d_nodes + nodes.begin * s.features", "d_nodes", (NODES,)),
    Mutant("nodes: the weight's gradient of the first 256 nodes again", "nodes.hpp",
           "bool nodes_of_edges(", "x + n * s.features + i", "x + i", (NODES,)),
    Mutant("nodes: the weight's gradient is written, not added to", "nodes.hpp",
           "bool nodes_of_edges(", "all.used(q), true}", "all.used(q), n > 0}", (NODES,)),
    Mutant("nodes: an index outside is read", "binding_nodes.hpp", "std::int64_t* index(",
           "found[e] < of.sizes[0]", "found[e] <= of.sizes[0]", (ELSEWHERE,)),
    # reductions over pairs
    Mutant("best: of equal scores the last one first", "reductions.hpp", "bool is_before(", "a > b",
           "a >= b", (REDUCED,)),
    Mutant("best: partners are numbered from each block", "reductions.hpp", "bool best_scores(",
           "c.start + begin + m", "c.start + m", (REDUCED,)),
    Mutant("scores: all positions meet the partners of the first", "reductions.hpp",
           "bool scores_part(", "c.partners_shared ? 0 : s", "c.partners_shared ? 0 : 0",
           (REDUCED,)),
    Mutant("ranks: the partner itself counts", "reductions.hpp", "bool compare_scores(",
           "- Index(itself)", "", (REDUCED,)),
    Mutant("ranks: partners left out count", "reductions.hpp", "bool compare_scores(",
           "leave_out(c, row, begin, count, scores);", "", (REDUCED,)),
    Mutant("own scores: without the bias", "reductions.hpp", "bool scores_at(",
           "add_bias(c, row + r, 1, &score);", "", (REDUCED,)),
    Mutant("chosen: dq is added to what is there", "reductions.hpp", "bool chosen_gradients(",
           "fill(to, c.features, Real(0));", "", (REDUCED,)),
    Mutant("chosen: a place that is none is the first", "reductions.hpp",
           "bool chosen_gradients(", "if (c.places[k] >= 0) use(Index(c.places[k])",
           "use(larger<Index>(0, c.places[k])", (REDUCED,)),
    Mutant("chosen: every thread adds to the first columns", "reductions.hpp",
           "bool chosen_gradients(", "m * c.features + range.begin", "m * c.features", (REDUCED,)),
    Mutant("chosen: all positions meet the rows of the first", "reductions.hpp",
           "bool chosen_gradients(", "c.q.at(r / c.rows_each,", "c.q.at(0,", (REDUCED,)),
    Mutant("chosen: a place outside is met", "binding_reductions.hpp",
           "PyObject* chosen_gradients(", "at[k] >= partners", "at[k] > partners", (REDUCED,)),
    row_step("x2", "reductions.hpp", "bool chosen_gradients(", "m * c.x2.step", "m * c.features",
             REDUCED),
    row_step("q", "reductions.hpp", "bool scores_part(", "c.q.step", "c.features", REDUCED),
    row_step("x2", "reductions.hpp", "void pack(", "c.x2.step", "c.features", REDUCED),
]  # fmt: skip


def run(command: Sequence[str | Path], **more: Any) -> subprocess.CompletedProcess[str]:
    words = [str(each) for each in command]
    return subprocess.run(words, capture_output=True, text=True, check=False, **more)  # noqa: S603


class Build:
    """A copy of package and tests, the kernel's objects, and which source has which headers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ignore = shutil.ignore_patterns("__pycache__", "*.so")
        for part in (PACKAGE, Path("tests")):
            shutil.copytree(ROOT / part, folder / part, ignore=ignore)
        shutil.copy(ROOT / "pyproject.toml", folder)
        native = folder / NATIVE
        self.sources = sorted(path.name for path in native.glob("*.cpp"))
        self.parts = {
            source: set(re.findall(r"[\w.]+", run([*COMPILE, "-MM", native / source]).stdout))
            for source in self.sources
        }
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            errors = list(pool.map(lambda each: self.compile(native, each, folder), self.sources))
        if any(errors):
            raise SystemExit("\n".join(errors))

    def compile(self, native: Path, source: str, to: Path) -> str:
        done = run([*COMPILE, "-c", native / source, "-o", to / f"{source}.o"])
        return done.stderr if done.returncode else ""

    def package(self, mutant: Mutant | None, folder: Path) -> str:
        """lucid with the mutant's kernel, in `folder`; the compiler's errors."""
        shutil.copytree(
            self.folder / PACKAGE, folder / "lucid", ignore=shutil.ignore_patterns("native")
        )
        changed: list[str] = []
        if mutant:
            native = folder / "native"
            shutil.copytree(self.folder / NATIVE, native)
            mutant.apply(native)
            changed = [each for each in self.sources if mutant.file in self.parts[each]]
            for source in changed:
                if error := self.compile(native, source, folder):
                    return error
        objects = [
            (folder if each in changed else self.folder) / f"{each}.o" for each in self.sources
        ]
        to = folder / "lucid" / "kernels" / f"_compiled{SUFFIX}"
        done = run([COMPILE[0], "-shared", "-pthread", *objects, "-o", to])
        return done.stderr if done.returncode else ""

    def test(self, tests: Sequence[str], package: Path) -> tuple[int, str]:
        """pytest's exit code (0 for "all passed"), and the first failure or what else happened."""
        environment = {**os.environ, "PYTHONPATH": str(package), "LUCID_REQUIRE_NATIVE": "1"}
        try:
            done = run(
                [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", *tests],
                cwd=self.folder, env=environment, timeout=SECONDS,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return 2, f"no end after {SECONDS} s"
        failed = re.search(r"^FAILED (?:tests/)?(.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
        if failed:
            return 1, failed[1]
        if done.returncode < 0:
            return 1, f"signal {-done.returncode}"
        return done.returncode, done.stdout[-2000:] + done.stderr[-2000:]


def verdict(build: Build, mutant: Mutant) -> tuple[bool, str]:
    """Whether it is killed, and by what."""
    with tempfile.TemporaryDirectory() as name:
        try:
            error = build.package(mutant, Path(name))
        except LookupError as lost:
            return False, f"LOST: {lost}"
        if error:
            return False, f"DOES NOT COMPILE: {error[-2000:]}"
        code, text = build.test(mutant.tests, Path(name))
    if code == 0:
        return False, f"SURVIVED {' '.join(mutant.tests)}"
    return code == 1, text if code == 1 else f"NOT TESTED: {text}"


def main(words: Sequence[str]) -> int:
    started = time.monotonic()
    chosen = [each for each in MUTANTS if not words or any(word in each.what for word in words)]
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(os.cpu_count()) as pool:
        objects, plain = Path(name, "objects"), Path(name, "plain")
        objects.mkdir()
        build = Build(objects)
        if error := build.package(None, plain):
            raise SystemExit(error)
        where = run([sys.executable, "-c", "import lucid; print(lucid.__file__)"],
                    env={**os.environ, "PYTHONPATH": str(plain)}).stdout  # fmt: skip
        if not where.startswith(str(plain)):
            raise SystemExit(f"lucid is installed, in {where.strip()}: pip uninstall lucid-nn")
        for tests in dict.fromkeys(each.tests for each in chosen):
            code, text = build.test(tests, plain)
            if code:
                raise SystemExit(f"{' '.join(tests)} is red without any mutant:\n{text}")
        alive = 0
        for mutant, (killed, by) in zip(
            chosen, pool.map(lambda each: verdict(build, each), chosen), strict=True
        ):
            alive += not killed
            print(f"{'killed' if killed else 'ALIVE'}: {mutant.what} ({mutant.file})", flush=True)
            print(f"    {by}")
    print(f"{len(chosen) - alive} of {len(chosen)} killed in {time.monotonic() - started:.0f} s")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
