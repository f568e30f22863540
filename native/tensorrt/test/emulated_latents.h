#pragma once

#include "emulated_kernel.h"

namespace redux {

/** Null where there is none of that name. */
const EmulatedKernel* FindEmulatedLatentKernel(const char* name);

}  // namespace redux
