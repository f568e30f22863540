#include "version.h"

#include <string>
#include <vector>

#include "cpu_features.h"
#include "kernels/kernels.h"

namespace redux {

namespace {
std::string Compiler() {
#if defined(__clang__)
  return "Clang " __clang_version__;
#elif defined(__GNUC__)
  return "GCC " __VERSION__;
#elif defined(_MSC_VER)
  return "MSVC " + std::to_string(_MSC_FULL_VER);
#endif
}
}  // namespace

Napi::Value Version(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Napi::Array features = Napi::Array::New(env);
  for (const std::string& name : CpuFeatures::Detect().Names()) features.Set(features.Length(), name);
  const Napi::Object version = Napi::Object::New(env);
  version.Set("version", REDUX_VERSION);
  version.Set("buildType", REDUX_BUILD_TYPE);
  version.Set("compiler", Compiler());
  version.Set("cpuFeatures", features);
  version.Set("kernels", BestKernels().name);
  return version;
}

}  // namespace redux
