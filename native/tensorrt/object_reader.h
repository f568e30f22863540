#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

#include "../cuda/gpu_arithmetic.h"
#include "network.h"
#include "plan_builder.h"

namespace redux {

/*
 * JavaScript's values as the C++ side has them. The callers are this project's own TypeScript (src/engines/tensorrt/native.ts has the
 * interfaces); what does not fit throws NativeError("engine.failed") with the name of the property.
 */

std::string ReadString(const Napi::Object& object, const char* name);
/** Empty where the property is undefined. */
std::string ReadOptionalString(const Napi::Object& object, const char* name);
double ReadNumber(const Napi::Object& object, const char* name, double otherwise);
std::vector<std::string> ReadStrings(const Napi::Object& object, const char* name);
Napi::Array ReadArray(const Napi::Object& object, const char* name);
std::vector<std::int64_t> ReadSizes(const Napi::Object& object, const char* name);
/** "F32", "F16" or "BF16". */
GpuType ReadType(const Napi::Object& object, const char* name);

BuildOptions ReadBuildOptions(const Napi::Object& object);
Network::Options ReadNetworkOptions(const Napi::Object& object);
std::vector<HostTensor> ReadInputs(const Napi::Object& object);

}  // namespace redux
