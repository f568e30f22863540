#pragma once

#include <cstddef>

#include "cuda_stream.h"

namespace redux {

/** Kernels that were compiled ahead to PTX, loaded. */
class KernelModule {
 public:
  KernelModule(Cuda cuda, const char* ptx);
  ~KernelModule();
  KernelModule(const KernelModule&) = delete;
  KernelModule& operator=(const KernelModule&) = delete;

  CUfunction Find(const char* name) const;
  /** Queues blocks of a kernel; the arguments are copied before this returns. */
  void Launch(const CudaStream& stream, CUfunction kernel, std::size_t blocks, unsigned threads, void** arguments) const;

 private:
  const Cuda cuda_;
  CUmodule module_ = nullptr;
};

}  // namespace redux
