#pragma once

/* What kernels.cu's merges and bfloat_merges.cu's share: a block's place, and what a kernel is called with. */
#include "jobs.h"
#include "kernel_types.h"
#include "numbers.h"

namespace {

/** A block's job, counted from 0, and the first row and column of its tile. */
struct MergePlace {
  int number;
  int first_row;
  int first_column;
};

__device__ __forceinline__ MergePlace FindMergePlace(const GpuMergeJob* jobs, int job_count) {
  const int number = FindJob(jobs, job_count);
  const GpuMergeJob& job = jobs[number];
  const unsigned tile = blockIdx.x - job.first_tile;
  const unsigned tiles_across = static_cast<unsigned>((job.columns + kMergeTile - 1) / kMergeTile);
  return {number, static_cast<int>(tile / tiles_across) * kMergeTile, static_cast<int>(tile % tiles_across) * kMergeTile};
}

}  // namespace

/** A kernel of its own for merge(jobs, job_count, terms, bad_job). */
#define REDUX_MERGE_KERNEL(name, merge)                                                                       \
  extern "C" __global__ void __launch_bounds__(kMergeThreads, 2) name(const GpuMergeJob* jobs, int job_count, \
                                                                      const GpuTerm* terms, int* bad_job) {   \
    merge(jobs, job_count, terms, bad_job);                                                                   \
  }
