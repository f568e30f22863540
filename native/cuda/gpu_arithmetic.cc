#include "gpu_arithmetic.h"

#include <utility>

#include "kernels_ptx.h"

namespace redux {

namespace {
/** Before the tables stands the number of a job whose result is not finite. */
constexpr std::size_t kFlagBytes = 256;
}  // namespace

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

std::optional<std::size_t> GpuArithmetic::Merge(const CudaStream& stream, const std::vector<GpuMerge>& merges) {
  std::optional<std::size_t> bad;
  for (GpuType type = kGpuFloat32; type <= kGpuBfloat16; ++type) {
    const MergeTables tables = MakeMergeTables(merges, type);
    if (tables.tiles == 0) continue;
    const std::size_t job_bytes = tables.jobs.size() * sizeof(GpuMergeJob);
    const std::size_t term_bytes = tables.terms.size() * sizeof(GpuTerm);
    const std::size_t bytes = kFlagBytes + job_bytes + term_bytes;
    if (tables_.bytes() < bytes) {
      tables_ = DeviceBuffer();
      tables_ = DeviceBuffer(cuda_, 2 * bytes);
    }
    CUdeviceptr flag = tables_.address();
    CUdeviceptr jobs = flag + kFlagBytes;
    CUdeviceptr terms = jobs + job_bytes;
    stream.Clear(flag, kFlagBytes);
    stream.Upload(jobs, tables.jobs.data(), job_bytes);
    if (term_bytes > 0) stream.Upload(terms, tables.terms.data(), term_bytes);
    int count = static_cast<int>(tables.jobs.size());
    void* arguments[] = {&jobs, &count, &terms, &flag};
    cuda_->Check(cuda_->LaunchKernel(merge_[type], tables.tiles, 1, 1, kMergeThreads, 1, 1, 0, stream.get(), arguments, nullptr),
                 "starting a merge");
    int bad_job = 0;
    stream.Download(&bad_job, flag, sizeof bad_job);
    stream.Wait();
    if (bad_job > 0) bad = tables.places.at(static_cast<std::size_t>(bad_job) - 1);
  }
  return bad;
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
