/* Merges by the matrix units where some or all of a job's terms are bf16, the others fp16. */
#define REDUX_COMPUTE_CAPABILITY 80
#include "half_merge.h"
#include "merge_kernel.h"

using namespace redux;

namespace {

/** What MergeWeights of kernels.cu does, of jobs of which `in_halves` is set. */
template <int type>
__device__ __forceinline__ void MergeBfloats(const GpuMergeJob* jobs, int job_count, const GpuTerm* terms, int* bad_job) {
  const MergePlace place = FindMergePlace(jobs, job_count);
  if (!MergeHalves<type>(jobs[place.number], terms, place.first_row, place.first_column)) Tell(bad_job, place.number + 1);
}

}  // namespace

REDUX_MERGE_KERNEL(merge_bfloats_f32, MergeBfloats<kGpuFloat32>)
REDUX_MERGE_KERNEL(merge_bfloats_f16, MergeBfloats<kGpuFloat16>)
REDUX_MERGE_KERNEL(merge_bfloats_bf16, MergeBfloats<kGpuBfloat16>)
