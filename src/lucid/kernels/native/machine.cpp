#include "machine.hpp"

#if defined(__unix__)
#include <unistd.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif
#if defined(LUCID_X86)
#include <cpuid.h>
#endif

namespace lucid {
namespace {

constexpr Index kib = 1024, mib = 1024 * kib;

// What the system says in bytes, within bounds; the default where it says nothing.
Index within(long long said, Index least, Index most, Index otherwise) {
    if (said <= 0) return otherwise;
    return said < least ? least : said > most ? most : Index(said);
}

#if defined(__APPLE__)
long long cache(const char* name) {
    long long bytes = 0;
    std::size_t size = sizeof(bytes);
    return sysctlbyname(name, &bytes, &size, nullptr, 0) == 0 ? bytes : 0;
}
#define LUCID_CACHE(level, apple) cache(apple)
#elif defined(_SC_LEVEL1_DCACHE_SIZE)
#define LUCID_CACHE(level, apple) sysconf(_SC_LEVEL##level##CACHE_SIZE)
#else
#define LUCID_CACHE(level, apple) 0
#endif

bool is_zen4() {
#if defined(LUCID_X86)
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (!__get_cpuid(0, &a, &b, &c, &d) || b != signature_AMD_ebx) return false;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return false;
    const unsigned family = (a >> 8 & 15) + (a >> 20 & 255), model = (a >> 4 & 15) | (a >> 12 & 240);
    return family == 0x19 && ((model >= 0x10 && model < 0x20) || (model >= 0x60 && model < 0x80) ||
                              (model >= 0xa0 && model < 0xb0));
#else
    return false;
#endif
}

}  // namespace

const Machine machine = {
    within(LUCID_CACHE(1_D, "hw.l1dcachesize"), 16 * kib, 128 * kib, 32 * kib),
    within(LUCID_CACHE(2_, "hw.l2cachesize"), 256 * kib, 2 * mib, 1 * mib),
    within(LUCID_CACHE(3_, "hw.l3cachesize"), 4 * mib, 64 * mib, 32 * mib),
    is_zen4(),
};

}  // namespace lucid
