#include "gpu_arithmetic.h"

#include <utility>

#include "kernels_ptx.h"

namespace redux {

GpuArithmetic::GpuArithmetic(Cuda cuda) : cuda_(std::move(cuda)) {
  cuda_->Check(cuda_->ModuleLoadData(&module_, kKernelsPtx), "loading the merge kernels");
  merge_[kGpuFloat32] = Find("merge_f32");
  merge_[kGpuFloat16] = Find("merge_f16");
  merge_[kGpuBfloat16] = Find("merge_bf16");
  convert_ = Find("convert_elements");
}

GpuArithmetic::~GpuArithmetic() {
  if (module_) cuda_->ModuleUnload(module_);
}

CUfunction GpuArithmetic::Find(const char* name) const {
  CUfunction function = nullptr;
  cuda_->Check(cuda_->ModuleGetFunction(&function, module_, name), "looking for a kernel");
  return function;
}

void GpuArithmetic::Merge(const CudaStream& stream, const std::vector<GpuMerge>& merges) {
  for (GpuType type = kGpuFloat32; type <= kGpuBfloat16; ++type) {
    const MergeTables tables = MakeMergeTables(merges, type);
    if (tables.tiles == 0) continue;
    const std::size_t job_bytes = tables.jobs.size() * sizeof(GpuMergeJob);
    const std::size_t term_bytes = tables.terms.size() * sizeof(GpuTerm);
    DeviceBuffer& buffer = tables_[type];
    if (buffer.bytes() < job_bytes + term_bytes) {
      buffer = DeviceBuffer();
      buffer = DeviceBuffer(cuda_, 2 * (job_bytes + term_bytes));
    }
    CUdeviceptr jobs = buffer.address();
    CUdeviceptr terms = jobs + job_bytes;
    // From pageable memory: the driver has read it when the call returns.
    stream.Upload(jobs, tables.jobs.data(), job_bytes);
    if (term_bytes > 0) stream.Upload(terms, tables.terms.data(), term_bytes);
    int count = static_cast<int>(tables.jobs.size());
    void* arguments[] = {&jobs, &count, &terms};
    cuda_->Check(cuda_->LaunchKernel(merge_[type], tables.tiles, 1, 1, kMergeThreads, 1, 1, 0, stream.get(), arguments, nullptr),
                 "starting a merge");
  }
}

void GpuArithmetic::Convert(const CudaStream& stream, CUdeviceptr from, GpuType from_type, CUdeviceptr to, GpuType to_type,
                            std::size_t count) const {
  if (count == 0) return;
  unsigned long long source = from;
  unsigned long long target = to;
  unsigned long long elements = count;
  void* arguments[] = {&source, &from_type, &target, &to_type, &elements};
  const unsigned blocks = static_cast<unsigned>((count + kElementThreads - 1) / kElementThreads);
  cuda_->Check(cuda_->LaunchKernel(convert_, blocks, 1, 1, kElementThreads, 1, 1, 0, stream.get(), arguments, nullptr),
               "starting a conversion");
}

}  // namespace redux
