#include "select.hpp"

#include <atomic>
#include <cstdlib>
#include <cstring>

namespace lucid {

#if defined(LUCID_X86)
extern const Kernel kernel_avx512, kernel_avx2;
#if defined(LUCID_AVX512_BF16)
extern const Operations<BFloat16> bfloat16_avx512_bf16;
#endif
#endif
extern const Kernel kernel_baseline;

namespace {

constexpr int most_kernels = 4;
const Kernel* available[most_kernels + 1] = {};  // the last one stays null
std::atomic<const Kernel*> chosen{nullptr};

#if defined(LUCID_AVX512_BF16)
Kernel kernel_avx512_bf16;  // as avx512, but for bfloat16
#endif

struct Detect {
    Detect() {
        int count = 0;
#if defined(LUCID_X86)
        __builtin_cpu_init();
        const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
        const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                            __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#if defined(LUCID_AVX512_BF16)
        if (avx512 && __builtin_cpu_supports("avx512bf16")) {
            kernel_avx512_bf16 = kernel_avx512;
            kernel_avx512_bf16.name = "avx512_bf16";
            kernel_avx512_bf16.in_bfloat16 = &bfloat16_avx512_bf16;
            available[count++] = &kernel_avx512_bf16;
        }
#endif
        if (avx512) available[count++] = &kernel_avx512;
        if (avx2) available[count++] = &kernel_avx2;
#endif
        available[count] = &kernel_baseline;
        chosen = available[0];
        if (const char* asked = std::getenv("LUCID_INSTRUCTION_SET")) use_kernel(asked);
    }
} detect;

}  // namespace

const Kernel& kernel() { return *chosen.load(std::memory_order_relaxed); }

bool use_kernel(const char* name) {
    for (const Kernel* each : available)
        if (each && std::strcmp(each->name, name) == 0) {
            chosen = each;
            return true;
        }
    return false;
}

const Kernel* available_kernel(int k) { return available[k]; }

}  // namespace lucid
