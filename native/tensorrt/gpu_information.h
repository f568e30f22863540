#pragma once

#include <napi.h>

namespace redux {

/** information(folder) → {flavour, version, file}; throws where the library in the folder cannot be used. */
Napi::Value BackendInformation(const Napi::CallbackInfo& info);
/** gpu() → {name, computeCapability, driver, freeBytes, totalBytes}; throws where there is none. */
Napi::Value GpuInformation(const Napi::CallbackInfo& info);

}  // namespace redux
