#include "gpu_information.h"

#include "../cuda/cuda_driver.h"
#include "background_task.h"
#include "tensorrt_library.h"

namespace redux {

Napi::Value BackendInformation(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&]() -> Napi::Value {
    const auto library = TensorRtLibrary::Open(info[0].ToString().Utf8Value());
    const Napi::Object object = Napi::Object::New(env);
    object.Set("flavour", kFlavour);
    object.Set("version", library->version());
    object.Set("file", library->file());
    return object;
  });
}

Napi::Value GpuInformation(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&]() -> Napi::Value {
    const Cuda cuda = CudaDriver::Load();
    cuda->Enter();
    const GpuMemory memory = cuda->Memory();
    const Napi::Object object = Napi::Object::New(env);
    object.Set("name", cuda->device_name());
    object.Set("computeCapability", cuda->compute_capability());
    object.Set("driver", cuda->version());
    object.Set("freeBytes", static_cast<double>(memory.free));
    object.Set("totalBytes", static_cast<double>(memory.total));
    return object;
  });
}

}  // namespace redux
