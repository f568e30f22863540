#include <napi.h>

#include "build_task.h"
#include "gpu_information.h"
#include "network_object.h"

namespace {

Napi::Object Initialize(Napi::Env env, Napi::Object exports) {
  exports.Set("information", Napi::Function::New(env, redux::BackendInformation, "information"));
  exports.Set("gpu", Napi::Function::New(env, redux::GpuInformation, "gpu"));
  exports.Set("build", Napi::Function::New(env, redux::StartBuild, "build"));
  exports.Set("load", Napi::Function::New(env, redux::StartLoad, "load"));
  redux::NetworkObject::Register(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(tensorrt_redux_backend, Initialize)
