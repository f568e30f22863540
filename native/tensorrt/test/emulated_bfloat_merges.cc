/* The kernels of bfloat_merges.cu on the host. */
#include <cstring>

#include "bound_kernel.h"
#include "emulated_kernels.h"
#include "emulation.h"

#include "../../cuda/kernels/bfloat_merges.cu"

namespace {

template <auto kernel>
std::function<void()> PrepareMerge(void** arguments, unsigned blocks) {
  return [bound = Bind(kernel, arguments), blocks] { RunBlocks(blocks, kMergeThreads, bound); };
}

constexpr EmulatedKernel kMerges[] = {{"merge_bfloats_f32", PrepareMerge<merge_bfloats_f32>},
                                      {"merge_bfloats_f16", PrepareMerge<merge_bfloats_f16>},
                                      {"merge_bfloats_bf16", PrepareMerge<merge_bfloats_bf16>}};

}  // namespace

namespace redux {

const EmulatedKernel* FindEmulatedBfloatMergeKernel(const char* name) {
  for (const EmulatedKernel& kernel : kMerges) {
    if (std::strcmp(kernel.name, name) == 0) return &kernel;
  }
  return nullptr;
}

void EmulateBfloatMerge(int type, const GpuMergeJob* jobs, int job_count, const GpuTerm* terms, unsigned tiles, int* bad_job) {
  const auto kernel = type == kGpuFloat32 ? merge_bfloats_f32 : type == kGpuFloat16 ? merge_bfloats_f16 : merge_bfloats_bf16;
  RunBlocks(tiles, kMergeThreads, [&] { kernel(jobs, job_count, terms, bad_job); });
}

}  // namespace redux
