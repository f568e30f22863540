#include "kernel_module.h"

#include <utility>

#include "native_error.h"

namespace redux {

KernelModule::KernelModule(Cuda cuda, const char* ptx) : cuda_(std::move(cuda)) {
  cuda_->Check(cuda_->ModuleLoadData(&module_, ptx), "loading kernels");
}

KernelModule::~KernelModule() {
  if (module_) cuda_->ModuleUnload(module_);
}

CUfunction KernelModule::Find(const char* name) const {
  CUfunction function = nullptr;
  cuda_->Check(cuda_->ModuleGetFunction(&function, module_, name), "looking for a kernel");
  return function;
}

void KernelModule::Launch(const CudaStream& stream, CUfunction kernel, std::size_t blocks, unsigned threads, void** arguments) const {
  if (blocks == 0) return;
  if (blocks > 0x7fffffff) throw NativeError("gpu.failed", "There is too much to compute for one call.");
  const auto count = static_cast<unsigned>(blocks);
  cuda_->Check(cuda_->LaunchKernel(kernel, count, 1, 1, threads, 1, 1, 0, stream.get(), arguments, nullptr), "starting a kernel");
}

}  // namespace redux
