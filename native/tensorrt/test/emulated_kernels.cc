/* The merge kernels on the host. */
#include "emulated_kernels.h"

#include "emulation.h"

#include "../../cuda/kernels/kernels.cu"

namespace redux {

void EmulateMerge(int type, const GpuMergeJob* jobs, int job_count, const GpuTerm* terms, unsigned tiles, int* bad_job) {
  const auto kernel = type == kGpuFloat32 ? merge_f32 : type == kGpuFloat16 ? merge_f16 : merge_bf16;
  RunBlocks(tiles, kMergeThreads, [&] { kernel(jobs, job_count, terms, bad_job); });
}

void EmulateConvert(unsigned long long from, int from_type, unsigned long long to, int to_type, unsigned long long count) {
  const auto blocks = static_cast<unsigned>((count + kElementThreads - 1) / kElementThreads);
  RunBlocks(blocks, kElementThreads, [&] { convert_elements(from, from_type, to, to_type, count); });
}

}  // namespace redux
