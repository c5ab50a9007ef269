// Leading axes: which belong to both inputs, which to one. An axis is *shared* where both inputs have
// values of their own along it, *first* where only x1 has, *second* where only x2 has: because the
// other one has a single row there, or the same one again and again (an expanded view: step 0).
// Axes of size 1 are dropped, axes that lie one after the other in all arrays become one.
#pragma once

#include "arrays.hpp"

namespace {

// An argument or a result of which an axis runs or not: with no steps it is dense in its own shape.
struct Along {
    const Shape* shape = nullptr;
    const Index* steps = nullptr;
    bool by_shape = true;  // whether a row that is there again counts as one of its own

    // Sets the size and the step of a leading axis, counted from the innermost one; a dense step
    // grows by the sizes of those within.
    void look(int from_last, Index& dense, Index& size, Index& step) const {
        const int axis = shape->axes - 2 - from_last;
        size = axis < 0 ? 1 : shape->sizes[axis];
        step = size == 1 ? 0 : steps ? steps[axis] : dense;
        dense *= size;
    }
};

struct Layout {
    enum { x1, x2, out, d1, d2, arrays };
    enum { shared, first, second, kinds };
    static constexpr int most = 2;  // axes of one kind, after merging; of first and second: 1

    struct Axis {
        Index size = 1, steps[arrays] = {};
    };
    Axis axes[kinds][most];
    int counts[kinds] = {};

    Index size(int kind) const { return axes[kind][0].size * axes[kind][1].size; }
    bool is_rows() const { return size(first) == 1 && size(second) == 1; }
    Index step(int kind, int array) const { return axes[kind][0].steps[array]; }
    lucid::Positions positions(int array) const {
        return {axes[shared][0].size, axes[shared][1].steps[array], axes[shared][0].steps[array]};
    }

    // Where only shared axes are left: the numbers from one row to the next, 0 where they are no matrix.
    // Rows never overlap: the kernel may read beyond the end of any but the last.
    Index row_step(int array, const Shape& of) const {
        if (size(shared) == 1) return of.features();
        const Index step = axes[shared][0].steps[array];
        return counts[shared] == 1 && step >= of.features() ? step : 0;
    }

    // Finds the axes of these arrays, of which `out` has all; false where shapes do not broadcast or
    // where there are more axes than the kernel can walk over.
    bool find(const Along (&of)[arrays]) {
        Index dense[arrays] = {}, size[arrays], step[arrays];
        for (int k = 0; k < arrays; ++k)
            if (of[k].shape) dense[k] = of[k].shape->features();
        const int rank = of[out].shape->axes - 1;
        for (int axis = 0; axis < rank; ++axis) {
            for (int k = 0; k < arrays; ++k) {
                size[k] = 1, step[k] = 0;
                if (of[k].shape) of[k].look(axis, dense[k], size[k], step[k]);
            }
            const Index whole = size[x1] == 1 ? size[x2] : size[x1];
            if ((size[x2] != 1 && size[x2] != whole) || size[out] != whole) return false;
            if (whole == 1) continue;
            const bool in_1 = size[x1] > 1 && (of[x1].by_shape || step[x1] != 0);
            const bool in_2 = size[x2] > 1 && (of[x2].by_shape || step[x2] != 0);
            // along an axis that is in neither input, an input's gradient would have to be summed
            if (!in_1 && !in_2 && (of[d1].shape || of[d2].shape)) return false;
            if (!add(in_1 == in_2 ? shared : in_1 ? first : second, whole, step)) return false;
        }
        return true;
    }

private:
    // One more axis, around those that are there.
    bool add(int kind, Index size, const Index (&steps)[arrays]) {
        int& count = counts[kind];
        if (count > 0) {
            Axis& inner = axes[kind][count - 1];
            bool together = true;
            for (int k = 0; k < arrays; ++k)
                together = together && steps[k] == inner.steps[k] * inner.size;
            if (together) return inner.size *= size, true;
        }
        if (count == (kind == shared ? most : 1)) return false;
        Axis& own = axes[kind][count++];
        own.size = size;
        for (int k = 0; k < arrays; ++k) own.steps[k] = steps[k];
        return true;
    }
};

// The shape of the result, of which the last axis is to be set; false where shapes do not broadcast.
inline bool broadcast(const Shape& a, const Shape& b, Shape& result) {
    result.axes = a.axes > b.axes ? a.axes : b.axes;
    for (int axis = 0; axis + 1 < result.axes; ++axis) {
        const int in_a = axis - result.axes + a.axes, in_b = axis - result.axes + b.axes;
        const Index size_a = in_a < 0 ? 1 : a.sizes[in_a], size_b = in_b < 0 ? 1 : b.sizes[in_b];
        if (size_a != size_b && size_a != 1 && size_b != 1) return false;
        result.sizes[axis] = size_a == 1 ? size_b : size_a;
    }
    return true;
}

// Whether a row is there again and again.
inline bool is_expanded(const View& view) {
    for (int axis = 0; axis + 1 < view.axes; ++axis)
        if (view.sizes[axis] > 1 && view.steps[axis] == 0) return true;
    return false;
}

}  // namespace
