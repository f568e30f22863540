#pragma once

#include <napi.h>

namespace redux {

/** build(options, onProgress) → {done, cancel}; see src/engines/tensorrt/native.ts. `onProgress(phase, fraction)`. */
Napi::Value StartBuild(const Napi::CallbackInfo& info);

}  // namespace redux
