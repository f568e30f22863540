/* The kernels of kernels.cu on the host. */
#include "emulated_kernels.h"

#include <cstring>

#include "bound_kernel.h"
#include "emulation.h"

#include "../../cuda/kernels/kernels.cu"

namespace {

template <auto kernel>
std::function<void()> PrepareMerge(void** arguments, unsigned blocks) {
  return [bound = Bind(kernel, arguments), blocks] { RunBlocks(blocks, kMergeThreads, bound); };
}

constexpr EmulatedKernel kMerges[] = {
    {"merge_f32", PrepareMerge<merge_f32>}, {"merge_f16", PrepareMerge<merge_f16>}, {"merge_bf16", PrepareMerge<merge_bf16>}};

}  // namespace

namespace redux {

const EmulatedKernel* FindEmulatedMergeKernel(const char* name) {
  for (const EmulatedKernel& kernel : kMerges) {
    if (std::strcmp(kernel.name, name) == 0) return &kernel;
  }
  return nullptr;
}

void EmulateMerge(int type, const GpuMergeJob* jobs, int job_count, const GpuTerm* terms, unsigned tiles, int* bad_job) {
  const auto kernel = type == kGpuFloat32 ? merge_f32 : type == kGpuFloat16 ? merge_f16 : merge_bf16;
  RunBlocks(tiles, kMergeThreads, [&] { kernel(jobs, job_count, terms, bad_job); });
}

void EmulateConvert(unsigned long long from, int from_type, unsigned long long to, int to_type, unsigned long long count) {
  const auto blocks = static_cast<unsigned>((count + kElementThreads - 1) / kElementThreads);
  RunBlocks(blocks, kElementThreads, [&] { convert_elements(from, from_type, to, to_type, count); });
}

}  // namespace redux
