#pragma once

/* Kernels that do many jobs in one launch: every job has blocks of its own, one for each of its tiles. */

namespace {

/** The last of the jobs that begins at this block's tile or before it. */
template <typename Job>
__device__ __forceinline__ int FindJob(const Job* jobs, int count) {
  int low = 0;
  int high = count - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (jobs[middle].first_tile <= blockIdx.x) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

}  // namespace
