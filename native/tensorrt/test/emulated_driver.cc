#include "emulated_driver.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "../../cuda/cuda_types.h"
#include "emulated_kernels.h"
#include "emulated_latents.h"

using namespace redux;

struct CUctx_st {};
struct CUstream_st {
  std::deque<std::function<void()>> work;

  void Finish() {
    while (!work.empty()) {
      const std::function<void()> next = std::move(work.front());
      work.pop_front();
      next();
    }
  }
};
struct CUevent_st {
  CUstream_st* stream = nullptr;
  std::shared_ptr<bool> reached;
};
struct CUmod_st {};

namespace {

constexpr CUresult kInvalidPtx = 218;
constexpr CUresult kLaunchFailed = 719;
constexpr CUresult kNotSupported = 801;

int capability = 90;
std::size_t objects = 0;
int allocations_left = -1;
int launches_left = -1;
std::map<char*, std::size_t> pinned;
std::vector<CUstream_st*> streams;

bool IsUsedUp(int& left) {
  return left >= 0 && left-- == 0;
}

void* Allocate(std::size_t bytes) {
  if (IsUsedUp(allocations_left)) return nullptr;
  ++objects;
  // What nobody has written yet is no number.
  void* memory = std::malloc(bytes);
  std::memset(memory, 0xff, bytes);
  return memory;
}

bool IsPinned(const void* address) {
  const auto* place = static_cast<const char*>(address);
  for (const auto& [start, bytes] : pinned) {
    if (place >= start && place < start + bytes) return true;
  }
  return false;
}

template <typename Object>
CUresult Make(Object** object) {
  *object = new Object();
  ++objects;
  return kCudaSuccess;
}

template <typename Object>
CUresult Remove(Object* object) {
  delete object;
  --objects;
  return kCudaSuccess;
}

/** As cuMemFree does: all that is queued may use the memory. Nothing is said of pinned memory, which goes at once. */
void FinishAll() {
  for (CUstream_st* stream : streams) stream->Finish();
}

}  // namespace

#define REDUX_EXPORT extern "C" __attribute__((visibility("default")))

REDUX_EXPORT void redux_emulated_set_capability(int new_capability) {
  capability = new_capability;
}
REDUX_EXPORT std::size_t redux_emulated_objects() {
  return objects;
}
REDUX_EXPORT void redux_emulated_fail_allocation(int calls) {
  allocations_left = calls;
}
REDUX_EXPORT void redux_emulated_fail_launch(int calls) {
  launches_left = calls;
}

REDUX_EXPORT CUresult cuInit(unsigned) {
  return kCudaSuccess;
}
REDUX_EXPORT CUresult cuDriverGetVersion(int* version) {
  *version = 12000;
  return kCudaSuccess;
}
REDUX_EXPORT CUresult cuDeviceGet(CUdevice* device, int) {
  *device = 0;
  return kCudaSuccess;
}
REDUX_EXPORT CUresult cuDeviceGetCount(int* count) {
  *count = 1;
  return kCudaSuccess;
}
REDUX_EXPORT CUresult cuDeviceGetName(char* name, int bytes, CUdevice) {
  std::strncpy(name, "emulated", static_cast<std::size_t>(bytes));
  return kCudaSuccess;
}
REDUX_EXPORT CUresult cuDeviceGetAttribute(int* value, int attribute, CUdevice) {
  *value = attribute == kAttributeComputeMajor ? capability / 10 : attribute == kAttributeComputeMinor ? capability % 10 : 132;
  return kCudaSuccess;
}
REDUX_EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice) {
  static CUctx_st only;
  *context = &only;
  return kCudaSuccess;
}
REDUX_EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice) {
  return kCudaSuccess;
}
REDUX_EXPORT CUresult cuCtxSetCurrent(CUcontext) {
  return kCudaSuccess;
}
REDUX_EXPORT CUresult cuGetErrorName(CUresult, const char** name) {
  *name = "CUDA_ERROR_EMULATED";
  return kCudaSuccess;
}
REDUX_EXPORT CUresult cuGetErrorString(CUresult, const char** text) {
  *text = "an emulated failure";
  return kCudaSuccess;
}
REDUX_EXPORT CUresult cuMemGetInfo_v2(std::size_t* free, std::size_t* total) {
  *free = *total = std::size_t{1} << 30;
  return kCudaSuccess;
}

REDUX_EXPORT CUresult cuMemAlloc_v2(CUdeviceptr* address, std::size_t bytes) {
  void* memory = Allocate(bytes);
  *address = reinterpret_cast<CUdeviceptr>(memory);
  return memory ? kCudaSuccess : kCudaOutOfMemory;
}
REDUX_EXPORT CUresult cuMemFree_v2(CUdeviceptr address) {
  FinishAll();
  std::free(reinterpret_cast<void*>(address));
  --objects;
  return kCudaSuccess;
}
REDUX_EXPORT CUresult cuMemHostAlloc(void** address, std::size_t bytes, unsigned) {
  *address = Allocate(bytes);
  if (!*address) return kCudaOutOfMemory;
  pinned[static_cast<char*>(*address)] = bytes;
  return kCudaSuccess;
}
REDUX_EXPORT CUresult cuMemFreeHost(void* address) {
  pinned.erase(static_cast<char*>(address));
  std::free(address);
  --objects;
  return kCudaSuccess;
}

REDUX_EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, std::size_t bytes, CUstream stream) {
  auto* target = reinterpret_cast<void*>(to);
  if (IsPinned(from)) {
    stream->work.emplace_back([=] { std::memcpy(target, from, bytes); });
  } else {
    const auto* start = static_cast<const char*>(from);
    stream->work.emplace_back([target, copy = std::vector<char>(start, start + bytes)] { std::memcpy(target, copy.data(), copy.size()); });
  }
  return kCudaSuccess;
}
REDUX_EXPORT CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  stream->work.emplace_back([=] { std::memcpy(to, reinterpret_cast<const void*>(from), bytes); });
  if (!IsPinned(to)) stream->Finish();
  return kCudaSuccess;
}
REDUX_EXPORT CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  stream->work.emplace_back([=] { std::memcpy(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes); });
  return kCudaSuccess;
}
REDUX_EXPORT CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, std::size_t bytes, CUstream stream) {
  stream->work.emplace_back([=] { std::memset(reinterpret_cast<void*>(to), value, bytes); });
  return kCudaSuccess;
}

REDUX_EXPORT CUresult cuStreamCreate(CUstream* stream, unsigned) {
  const CUresult result = Make(stream);
  streams.push_back(*stream);
  return result;
}
REDUX_EXPORT CUresult cuStreamDestroy_v2(CUstream stream) {
  stream->Finish();
  streams.erase(std::find(streams.begin(), streams.end(), stream));
  return Remove(stream);
}
REDUX_EXPORT CUresult cuStreamSynchronize(CUstream stream) {
  stream->Finish();
  return kCudaSuccess;
}

REDUX_EXPORT CUresult cuEventCreate(CUevent* event, unsigned) {
  return Make(event);
}
REDUX_EXPORT CUresult cuEventDestroy_v2(CUevent event) {
  return Remove(event);
}
REDUX_EXPORT CUresult cuEventRecord(CUevent event, CUstream stream) {
  event->stream = stream;
  event->reached = std::make_shared<bool>(false);
  stream->work.emplace_back([reached = event->reached] { *reached = true; });
  return kCudaSuccess;
}
REDUX_EXPORT CUresult cuEventSynchronize(CUevent event) {
  // No further than to the event: what is queued after it is not done yet.
  while (event->reached && !*event->reached) {
    const std::function<void()> next = std::move(event->stream->work.front());
    event->stream->work.pop_front();
    next();
  }
  return kCudaSuccess;
}
REDUX_EXPORT CUresult cuEventElapsedTime(float* milliseconds, CUevent, CUevent) {
  *milliseconds = 0;
  return kCudaSuccess;
}

REDUX_EXPORT CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  static const char kTarget[] = "\n.target sm_";
  const char* target = std::strstr(static_cast<const char*>(image), kTarget);
  if (!target || std::atoi(target + std::strlen(kTarget)) > capability) return kInvalidPtx;
  return Make(module);
}
REDUX_EXPORT CUresult cuModuleUnload(CUmodule module) {
  return Remove(module);
}
REDUX_EXPORT CUresult cuModuleGetFunction(CUfunction* function, CUmodule, const char* name) {
  static const EmulatedKernel none{"", nullptr};
  const EmulatedKernel* found = FindEmulatedLatentKernel(name);
  if (!found) found = FindEmulatedMergeKernel(name);
  if (!found) found = FindEmulatedBfloatMergeKernel(name);
  *function = reinterpret_cast<CUfunction>(const_cast<EmulatedKernel*>(found ? found : &none));
  return kCudaSuccess;
}
REDUX_EXPORT CUresult cuLaunchKernel(CUfunction function, unsigned blocks, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                                     CUstream stream, void** arguments, void**) {
  const auto* kernel = reinterpret_cast<const EmulatedKernel*>(function);
  if (!kernel->prepare) return kNotSupported;
  if (IsUsedUp(launches_left)) return kLaunchFailed;
  stream->work.push_back(kernel->prepare(arguments, blocks));
  return kCudaSuccess;
}

/* Graphs are TensorRT's matter, which is not here. */
REDUX_EXPORT CUresult cuStreamBeginCapture_v2(CUstream, int) {
  return kNotSupported;
}
REDUX_EXPORT CUresult cuStreamEndCapture(CUstream, CUgraph*) {
  return kNotSupported;
}
REDUX_EXPORT CUresult cuGraphInstantiateWithFlags(CUgraphExec*, CUgraph, unsigned long long) {
  return kNotSupported;
}
REDUX_EXPORT CUresult cuGraphExecUpdate(CUgraphExec, CUgraph, void**, int*) {
  return kNotSupported;
}
REDUX_EXPORT CUresult cuGraphLaunch(CUgraphExec, CUstream) {
  return kNotSupported;
}
REDUX_EXPORT CUresult cuGraphExecDestroy(CUgraphExec) {
  return kNotSupported;
}
REDUX_EXPORT CUresult cuGraphDestroy(CUgraph) {
  return kNotSupported;
}
