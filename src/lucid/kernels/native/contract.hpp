// Contractions whose lanes are samples: the forward, and each input gradient by itself.
//
//     out[n, m] = Σ_r (Σ_k first[n, k] · w[m, k, r]) · second[n, r] + bias[m]
//
//     forward    m = o, k = i, r = j         w is read in place: its tiles are contiguous in j
//     swapped    m = o, k = j, r = i         w packed
//     dx1        m = i, k = o, r = j         w packed
//     dx2        m = j, k = o, r = i         w packed
#pragma once

#include "pack.hpp"
#include "pool.hpp"
#include "tile.hpp"

namespace {

template <class Real> struct Weight {
    const Real* data;
    Index out_step, depth_step, row_step;  // of m, k and r
    bool pack;
};

template <class Real> struct Contraction {
    Index samples, outputs, depth, rows;  // n, m, k, r
    Matrix<Real> first, second;
    Weight<Real> weight;
    const Real* bias;
    Real* out;
};

// One output's weight as tiles of rows: [tile][k][row of the tile].
template <class Real>
void pack_weight(const Contraction<Real>& c, Index output, const Pieces& tiles, Real* to) {
    const Real* matrix = c.weight.data + output * c.weight.out_step;
    const Index k_step = c.weight.depth_step, row_step = c.weight.row_step;
    for (Index tile = 0; tile < tiles.count; ++tile) {
        const Index rows = tiles.length(tile);
        const Real* from = matrix + tiles.start(tile) * row_step;
        if (k_step == 1)  // rows of the tile are contiguous along k: a transposition
            transpose(from, row_step, rows, c.depth, to, rows);
        else
            for (Index k = 0; k < c.depth; ++k)
                for (Index r = 0; r < rows; ++r) to[k * rows + r] = from[k * k_step + r * row_step];
        to += c.depth * rows;
    }
}

constexpr Index outputs_at_once = 48;  // results kept as panels before they are transposed

// Bytes of a weight that do not stay in the second-level cache beside a group of panels.
constexpr Index large_weight = 512 * 1024;

// Bytes of a group's panels: they stay in the second-level cache while all of w passes by.
constexpr Index group_bytes = 384 * 1024;

template <class Real> Index panels_in_group(const Contraction<Real>& c) {
    return larger<Index>(1, group_bytes / Index(sizeof(Real)) / panel<Real> / (c.depth + c.rows));
}

template <class Real>
bool contract_part(const Contraction<Real>& c, Range panel_range, Range output_range) {
    constexpr Index step = panel<Real>;
    const Panels<Real> panels(c.samples);
    const Pieces tiles(c.rows, tile_rows);
    const Index group = smaller(panels_in_group(c), panel_range.length());
    const Index first_size = c.depth * step, second_size = c.rows * step;
    const Index out_size = outputs_at_once * step, matrix_size = c.depth * c.rows;
    Scratch<Real> scratch(group * (first_size + second_size + out_size));
    Scratch<Real> packed(c.weight.pack ? matrix_size : 0);
    if (!scratch || !packed) return false;
    Real* const first = scratch.get();
    Real* const second = first + group * first_size;
    Real* const result = second + group * second_size;

    for (Index from = panel_range.begin; from < panel_range.end; from += group) {
        const Index members = smaller(group, panel_range.end - from);
        for (Index p = 0; p < members; ++p) {
            const Index sample = panels.first(from + p), used = panels.used(from + p);
            pack_samples(c.first, sample, used, c.depth, first + p * first_size);
            pack_samples(c.second, sample, used, c.rows, second + p * second_size);
        }
        for (Index o = output_range.begin; o < output_range.end; o += outputs_at_once) {
            const Index outputs = smaller(outputs_at_once, output_range.end - o);
            for (Index m = o; m < o + outputs; ++m) {
                const Real* matrix = c.weight.data + m * c.weight.out_step;
                const bool more = m + 1 < c.outputs && !c.weight.pack;
                if (c.weight.pack) pack_weight(c, m, tiles, packed.get());
                for (Index p = 0; p < members; ++p) {
                    Real* sum = result + p * out_size + (m - o) * step;
                    fill(sum, step, c.bias ? c.bias[m] : Real(0));
                    for (Index tile = 0; tile < tiles.count; ++tile) {
                        const Index row = tiles.start(tile), rows = tiles.length(tile);
                        Factors<Real> factors{
                            c.depth, matrix + row, c.weight.depth_step, first + p * first_size, step};
                        if (c.weight.pack) {
                            factors.a = packed.get() + row * c.depth;
                            factors.a_step = rows;
                        }
                        if (more)
                            factors.ask_for(
                                matrix + c.weight.out_step, c.weight.depth_step, c.rows,
                                p * tiles.count + tile);
                        const Real* others = second + p * second_size + row * step;
                        with_tile<tile_rows>(rows, panels.wide(from + p), [&](auto r, auto w) {
                            contract_tile<Real, r.value, w.value, true, false>(
                                factors, nullptr, others, sum, nullptr);
                        });
                    }
                }
            }
            for (Index p = 0; p < members; ++p)
                transpose(
                    result + p * out_size, step, outputs, panels.used(from + p),
                    c.out + panels.first(from + p) * c.outputs + o, c.outputs);
        }
    }
    return true;
}

// Chunks are ranges of panels and, where these are too few to go round, of outputs. A large weight
// passes by once for each range of panels, so then such a range is a whole group, unless outputs are
// too few as well.
template <class Real> bool contract(const Contraction<Real>& c, int threads) {
    const Index panels = Panels<Real>(c.samples).count, matrix = c.depth * c.rows;
    const Index wanted = chunks_for(c.samples * c.outputs, matrix, threads);
    const bool large = c.outputs * matrix * Index(sizeof(Real)) > large_weight;
    const Index panels_each = large || c.weight.pack ? panels_in_group(c) : 4;
    const Index least = divided_up(smaller(wanted, Index(threads)), c.outputs);
    const Index along_samples = smaller(panels, larger(least, smaller(wanted, panels / panels_each)));
    const Index along_outputs = smaller(divided_up(wanted, along_samples), c.outputs);
    return parallel(threads, along_samples * along_outputs, [&](Index chunk) {
        return contract_part(
            c, share({0, panels}, chunk / along_outputs, along_samples),
            share({0, c.outputs}, chunk % along_outputs, along_outputs));
    });
}

}  // namespace
