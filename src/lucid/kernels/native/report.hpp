// LUCID_VERBOSE=1: a line to stderr for each call of the kernel.
#pragma once

#include "kernels.hpp"

namespace lucid {

extern const bool verbose;  // read when the module loads
double seconds_now();
void report(Operation, const Sizes&, int itemsize, Algorithm, int threads, double seconds);

}  // namespace lucid

namespace {

using lucid::Algorithm;
using lucid::Operation;
using lucid::Sizes;

// Reports what was computed during its life.
class Report {
public:
    Report(Operation operation, const Sizes& sizes, int itemsize, Algorithm algorithm, int threads)
        : operation_(operation), sizes_(sizes), itemsize_(itemsize), algorithm_(algorithm),
          threads_(threads), start_(lucid::verbose ? lucid::seconds_now() : 0) {}
    ~Report() {
        if (lucid::verbose)
            lucid::report(
                operation_, sizes_, itemsize_, algorithm_, threads_, lucid::seconds_now() - start_);
    }
    Report(const Report&) = delete;
    Report& operator=(const Report&) = delete;

private:
    Operation operation_;
    Sizes sizes_;
    int itemsize_;
    Algorithm algorithm_;
    int threads_;
    double start_;
};

}  // namespace
