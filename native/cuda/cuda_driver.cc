#include "cuda_driver.h"

#include <mutex>
#include <string>

#include "native_error.h"

namespace redux {

namespace {
#ifdef _WIN32
constexpr const char* kLibrary = "nvcuda.dll";
#else
constexpr const char* kLibrary = "libcuda.so.1";
#endif

SharedLibrary OpenDriver() {
  try {
    return SharedLibrary(kLibrary);
  } catch (const NativeError& error) {
    throw NativeError("gpu.unavailable", std::string("There is no NVIDIA driver here: ") + error.what());
  }
}
}  // namespace

Cuda CudaDriver::Load() {
  // Kept until the process ends: with the last one the primary context and all that TensorRT has in it would go.
  static std::mutex mutex;
  static auto* loaded = new Cuda();
  const std::lock_guard<std::mutex> lock(mutex);
  if (!*loaded) loaded->reset(new CudaDriver());
  return *loaded;
}

CudaDriver::CudaDriver() : library_(OpenDriver()) {
#define REDUX_CUDA_LOAD(member, name, arguments) member = reinterpret_cast<decltype(member)>(library_.Function(name));
  REDUX_CUDA_FUNCTIONS(REDUX_CUDA_LOAD)
#undef REDUX_CUDA_LOAD

  int devices = 0;
  if (Init(0) != kCudaSuccess || DeviceGetCount(&devices) != kCudaSuccess || devices == 0) {
    throw NativeError("gpu.unavailable", std::string(kLibrary) + " is there, but it gives no GPU.");
  }
  Check(DriverGetVersion(&version_), "asking for the driver's version");
  Check(DeviceGet(&device_, 0), "opening the first GPU");
  char name[256] = "";
  Check(DeviceGetName(name, sizeof name, device_), "asking for the GPU's name");
  device_name_ = name;
  int major = 0;
  int minor = 0;
  Check(DeviceGetAttribute(&major, kAttributeComputeMajor, device_), "asking for the compute capability");
  Check(DeviceGetAttribute(&minor, kAttributeComputeMinor, device_), "asking for the compute capability");
  compute_capability_ = 10 * major + minor;
  Check(DeviceGetAttribute(&multiprocessors_, kAttributeMultiprocessors, device_), "asking for the multiprocessors");
  Check(PrimaryCtxRetain(&context_, device_), "opening the GPU's primary context");
}

CudaDriver::~CudaDriver() {
  if (context_) PrimaryCtxRelease(device_);
}

void CudaDriver::Enter() const {
  Check(CtxSetCurrent(context_), "entering the GPU's context");
}

void CudaDriver::Check(CUresult result, const char* action) const {
  if (result == kCudaSuccess) return;
  const char* name = nullptr;
  const char* text = nullptr;
  GetErrorName(result, &name);
  GetErrorString(result, &text);
  std::string message = std::string("The GPU failed while ") + action + ": " + (text ? text : "unknown error") + " (" +
                        (name ? name : std::to_string(result)) + ").";
  if (result == kCudaOutOfMemory) {
    GpuMemory memory;
    MemGetInfo(&memory.free, &memory.total);
    message += " " + std::to_string(memory.free >> 20) + " of " + std::to_string(memory.total >> 20) +
               " MiB are free: unload another engine or export with a smaller profile.";
  }
  throw NativeError(result == kCudaOutOfMemory ? "gpu.memory" : "gpu.failed", message);
}

GpuMemory CudaDriver::Memory() const {
  GpuMemory memory;
  Check(MemGetInfo(&memory.free, &memory.total), "asking for its free memory");
  return memory;
}

}  // namespace redux
