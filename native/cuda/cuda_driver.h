#pragma once

#include <memory>
#include <string>

#include "cuda_types.h"
#include "shared_library.h"

#ifdef _WIN32
#define REDUX_CUDA_CALL __stdcall
#else
#define REDUX_CUDA_CALL
#endif

/* Every function of the driver that is used: name of the member, exported name, arguments. */
#define REDUX_CUDA_FUNCTIONS(F)                                                                        \
  F(Init, "cuInit", (unsigned))                                                                        \
  F(DriverGetVersion, "cuDriverGetVersion", (int*))                                                    \
  F(DeviceGet, "cuDeviceGet", (CUdevice*, int))                                                        \
  F(DeviceGetCount, "cuDeviceGetCount", (int*))                                                        \
  F(DeviceGetName, "cuDeviceGetName", (char*, int, CUdevice))                                          \
  F(DeviceGetAttribute, "cuDeviceGetAttribute", (int*, int, CUdevice))                                 \
  F(PrimaryCtxRetain, "cuDevicePrimaryCtxRetain", (CUcontext*, CUdevice))                              \
  F(PrimaryCtxRelease, "cuDevicePrimaryCtxRelease_v2", (CUdevice))                                     \
  F(CtxSetCurrent, "cuCtxSetCurrent", (CUcontext))                                                     \
  F(GetErrorName, "cuGetErrorName", (CUresult, const char**))                                          \
  F(GetErrorString, "cuGetErrorString", (CUresult, const char**))                                      \
  F(MemGetInfo, "cuMemGetInfo_v2", (std::size_t*, std::size_t*))                                       \
  F(MemAlloc, "cuMemAlloc_v2", (CUdeviceptr*, std::size_t))                                            \
  F(MemFree, "cuMemFree_v2", (CUdeviceptr))                                                            \
  F(MemHostAlloc, "cuMemHostAlloc", (void**, std::size_t, unsigned))                                   \
  F(MemFreeHost, "cuMemFreeHost", (void*))                                                             \
  F(MemcpyHtoDAsync, "cuMemcpyHtoDAsync_v2", (CUdeviceptr, const void*, std::size_t, CUstream))        \
  F(MemcpyDtoHAsync, "cuMemcpyDtoHAsync_v2", (void*, CUdeviceptr, std::size_t, CUstream))              \
  F(MemcpyDtoDAsync, "cuMemcpyDtoDAsync_v2", (CUdeviceptr, CUdeviceptr, std::size_t, CUstream))        \
  F(MemsetD8Async, "cuMemsetD8Async", (CUdeviceptr, unsigned char, std::size_t, CUstream))             \
  F(StreamCreate, "cuStreamCreate", (CUstream*, unsigned))                                             \
  F(StreamDestroy, "cuStreamDestroy_v2", (CUstream))                                                   \
  F(StreamSynchronize, "cuStreamSynchronize", (CUstream))                                              \
  F(StreamBeginCapture, "cuStreamBeginCapture_v2", (CUstream, int))                                    \
  F(StreamEndCapture, "cuStreamEndCapture", (CUstream, CUgraph*))                                      \
  F(GraphInstantiate, "cuGraphInstantiateWithFlags", (CUgraphExec*, CUgraph, unsigned long long))      \
  F(GraphLaunch, "cuGraphLaunch", (CUgraphExec, CUstream))                                             \
  F(GraphExecUpdate, "cuGraphExecUpdate", (CUgraphExec, CUgraph, void**, int*))                        \
  F(GraphExecDestroy, "cuGraphExecDestroy", (CUgraphExec))                                             \
  F(GraphDestroy, "cuGraphDestroy", (CUgraph))                                                         \
  F(EventCreate, "cuEventCreate", (CUevent*, unsigned))                                                \
  F(EventDestroy, "cuEventDestroy_v2", (CUevent))                                                      \
  F(EventRecord, "cuEventRecord", (CUevent, CUstream))                                                 \
  F(EventSynchronize, "cuEventSynchronize", (CUevent))                                                 \
  F(EventElapsedTime, "cuEventElapsedTime", (float*, CUevent, CUevent))                                \
  F(ModuleLoadData, "cuModuleLoadData", (CUmodule*, const void*))                                      \
  F(ModuleUnload, "cuModuleUnload", (CUmodule))                                                        \
  F(ModuleGetFunction, "cuModuleGetFunction", (CUfunction*, CUmodule, const char*))                    \
  F(LaunchKernel, "cuLaunchKernel",                                                                    \
    (CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream, void**, void**))

namespace redux {

struct GpuMemory {
  std::size_t free = 0;
  std::size_t total = 0;
};

/**
 * The CUDA driver, loaded at run time, and the primary context of its first device: the context that TensorRT uses too. A thread
 * calls `Enter` before it does anything with the GPU.
 */
class CudaDriver {
 public:
  /** Throws NativeError("gpu.unavailable") where there is no driver or no device. */
  static std::shared_ptr<const CudaDriver> Load();
  ~CudaDriver();
  CudaDriver(const CudaDriver&) = delete;
  CudaDriver& operator=(const CudaDriver&) = delete;

  /** Makes the context the calling thread's. */
  void Enter() const;
  /** Throws NativeError where a call failed: "gpu.memory" for want of memory, else "gpu.failed". */
  void Check(CUresult result, const char* action) const;

  GpuMemory Memory() const;
  const std::string& device_name() const {
    return device_name_;
  }
  /** As TensorRT and CUDA write it: 90 for 9.0. */
  int compute_capability() const {
    return compute_capability_;
  }
  /** Whether the matrix units multiply bf16, as the kernels that are compiled for compute capability 8.0 ask of them. */
  bool has_bfloat_units() const {
    return compute_capability_ >= 80;
  }
  int multiprocessors() const {
    return multiprocessors_;
  }
  /** 13000 for CUDA 13.0. */
  int version() const {
    return version_;
  }

#define REDUX_CUDA_MEMBER(member, name, arguments) CUresult(REDUX_CUDA_CALL* member) arguments = nullptr;
  REDUX_CUDA_FUNCTIONS(REDUX_CUDA_MEMBER)
#undef REDUX_CUDA_MEMBER

 private:
  CudaDriver();

  SharedLibrary library_;
  CUdevice device_ = 0;
  CUcontext context_ = nullptr;
  std::string device_name_;
  int compute_capability_ = 0;
  int multiprocessors_ = 0;
  int version_ = 0;
};

using Cuda = std::shared_ptr<const CudaDriver>;

}  // namespace redux
