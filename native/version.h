#pragma once

#include <napi.h>

namespace redux {

/** version() → {version, buildType, compiler, cpuFeatures, kernels}: what this add-on is and what it found to run on. */
Napi::Value Version(const Napi::CallbackInfo& info);

}  // namespace redux
