// The kernel of this processor.
#pragma once

#include "kernels.hpp"

namespace lucid {

const Kernel& kernel();
bool use_kernel(const char* name);      // false where this machine cannot run it
const Kernel* available_kernel(int k);  // best first; null after the last

}  // namespace lucid
