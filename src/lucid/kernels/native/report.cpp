#include "report.hpp"

#include "select.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace lucid {
namespace {

bool asked() {
    const char* said = std::getenv("LUCID_VERBOSE");
    return said && *said && std::strcmp(said, "0") != 0;
}

}  // namespace

const bool verbose = asked();

double seconds_now() {
    const auto since = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration<double>(since).count();
}

void report(
    Operation operation, const Sizes& s, int itemsize, Algorithm algorithm, int threads, double seconds) {
    std::fprintf(
        stderr, "lucid: %s, N %td, I %td, J %td, O %td, %s%d, %s, %s, threads %d, %.1f us\n",
        operation_names[int(operation)], s.samples, s.features_1, s.features_2, s.outputs,
        itemsize == 2 ? "bfloat" : "float", 8 * itemsize, algorithm_names[int(algorithm)],
        kernel().name, threads, 1e6 * seconds);
}

}  // namespace lucid
