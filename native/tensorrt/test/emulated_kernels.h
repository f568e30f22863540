#pragma once

#include "../../cuda/kernels/kernel_types.h"
#include "emulated_kernel.h"

namespace redux {

/** Runs kernels.cu's merge of a type on the host: a thread for each of the GPU's threads, one block after the other. Small sizes only. */
void EmulateMerge(int type, const GpuMergeJob* jobs, int job_count, const GpuTerm* terms, unsigned tiles, int* bad_job);
/** bfloat_merges.cu's. */
void EmulateBfloatMerge(int type, const GpuMergeJob* jobs, int job_count, const GpuTerm* terms, unsigned tiles, int* bad_job);
void EmulateConvert(unsigned long long from, int from_type, unsigned long long to, int to_type, unsigned long long count);

/** Null where there is none of that name. */
const EmulatedKernel* FindEmulatedMergeKernel(const char* name);
const EmulatedKernel* FindEmulatedBfloatMergeKernel(const char* name);

}  // namespace redux
