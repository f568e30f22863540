/* Merging of weights and conversion between number types. */
#include "half_merge.h"
#include "kernel_types.h"
#include "merge_kernel.h"
#include "numbers.h"

using namespace redux;

namespace {

enum {
  kDepth = 8,                   // Of the rank, computed at a time.
  kRowStride = kMergeTile + 4,  // Rows of a tile begin in different banks of shared memory.
};

/** The end of one number: for dense changes and for widths that are no multiple of four. Not inlined: it is rare and would stand 64 times. */
__device__ __noinline__ bool FinishOne(const GpuMergeJob& job, const GpuTerm* terms, int type, unsigned long long index, float sum) {
  for (int t = 0; t < job.term_count; ++t) {
    const GpuTerm& term = terms[job.first_term + t];
    if (term.rank == 0) sum += term.scale * Load(term.up, term.up_type, index);
  }
  const float value = Load(job.base, type, index) + sum;
  Store(job.out, type, index, value);
  return IsStorable(value, type);
}

/** Four numbers at once; `index` is a multiple of four. */
template <int type>
__device__ __forceinline__ void Load4(unsigned long long data, unsigned long long index, float (&values)[4]) {
  if (type == kGpuFloat32) {
    const float4 four = reinterpret_cast<const float4*>(data)[index >> 2];
    values[0] = four.x;
    values[1] = four.y;
    values[2] = four.z;
    values[3] = four.w;
    return;
  }
  const ushort4 four = reinterpret_cast<const ushort4*>(data)[index >> 2];
  const unsigned short bits[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) values[i] = type == kGpuFloat16 ? FloatOfHalf(bits[i]) : FloatOfBits(static_cast<unsigned>(bits[i]) << 16);
}

template <int type>
__device__ __forceinline__ void Store4(unsigned long long data, unsigned long long index, const float (&values)[4]) {
  if (type == kGpuFloat32) {
    float4 four;
    four.x = values[0];
    four.y = values[1];
    four.z = values[2];
    four.w = values[3];
    reinterpret_cast<float4*>(data)[index >> 2] = four;
    return;
  }
  unsigned short bits[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) bits[i] = type == kGpuFloat16 ? HalfOfFloat(values[i]) : BfloatOfFloat(values[i]);
  ushort4 four;
  four.x = bits[0];
  four.y = bits[1];
  four.z = bits[2];
  four.w = bits[3];
  reinterpret_cast<ushort4*>(data)[index >> 2] = four;
}

/** out = base + the sum of a job's terms in one tile, whatever their types; false where a result is not to be stored. The block's
 * threads stand in 16 rows of 16, each with 8 × 8 numbers in two halves of 4 each way. */
template <int type>
__device__ __forceinline__ bool MergeTile(const GpuMergeJob& job, const GpuTerm* terms, int first_row, int first_column) {
  __shared__ __align__(16) float up_tile[kDepth][kRowStride];
  __shared__ __align__(16) float down_tile[kDepth][kRowStride];
  const int thread = static_cast<int>(threadIdx.x);
  const int thread_row = thread / 16;
  const int thread_column = thread % 16;

  bool has_dense = false;
  float sums[8][8];
#pragma unroll
  for (int i = 0; i < 8; ++i) {
#pragma unroll
    for (int j = 0; j < 8; ++j) sums[i][j] = 0.0F;
  }

  for (int t = 0; t < job.term_count; ++t) {
    const GpuTerm term = terms[job.first_term + t];
    has_dense = has_dense || term.rank == 0;
    for (int start = 0; start < term.rank; start += kDepth) {
#pragma unroll
      for (int part = 0; part < kMergeTile * kDepth / kMergeThreads; ++part) {
        const int item = thread + part * kMergeThreads;
        const int up_row = item / kDepth;
        const int up_depth = item % kDepth;
        const bool up_inside = first_row + up_row < job.rows && start + up_depth < term.rank;
        const unsigned long long up_index = static_cast<unsigned long long>(first_row + up_row) * term.rank + start + up_depth;
        up_tile[up_depth][up_row] = up_inside ? term.scale * Load(term.up, term.up_type, up_index) : 0.0F;
        const int down_depth = item / kMergeTile;
        const int down_column = item % kMergeTile;
        const bool down_inside = first_column + down_column < job.columns && start + down_depth < term.rank;
        const unsigned long long down_index = static_cast<unsigned long long>(start + down_depth) * job.columns + first_column + down_column;
        down_tile[down_depth][down_column] = down_inside ? Load(term.down, term.down_type, down_index) : 0.0F;
      }
      __syncthreads();
#pragma unroll
      for (int depth = 0; depth < kDepth; ++depth) {
        float rows[8];
        float columns[8];
        ReadFour(&up_tile[depth][thread_row * 4], &rows[0]);
        ReadFour(&up_tile[depth][64 + thread_row * 4], &rows[4]);
        ReadFour(&down_tile[depth][thread_column * 4], &columns[0]);
        ReadFour(&down_tile[depth][64 + thread_column * 4], &columns[4]);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
#pragma unroll
          for (int j = 0; j < 8; ++j) sums[i][j] += rows[i] * columns[j];
        }
      }
      __syncthreads();
    }
  }

  bool is_good = true;
  const bool in_fours = job.columns % 4 == 0 && !has_dense;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const int row = first_row + (i / 4) * 64 + thread_row * 4 + i % 4;
    if (row >= job.rows) continue;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int column = first_column + half * 64 + thread_column * 4;
      const unsigned long long index = static_cast<unsigned long long>(row) * job.columns + column;
      if (in_fours) {
        if (column >= job.columns) continue;
        float values[4];
        Load4<type>(job.base, index, values);
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          values[j] += sums[i][half * 4 + j];
          is_good = is_good && IsStorable(values[j], type);
        }
        Store4<type>(job.out, index, values);
      } else {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          if (column + j < job.columns) is_good = FinishOne(job, terms, type, index + j, sums[i][half * 4 + j]) && is_good;
        }
      }
    }
  }
  return is_good;
}

/**
 * Every job's out = base + the sum of its terms: sums in fp32, one rounding to the weight's type. Where a result is NaN or infinite,
 * `bad_job` gets the number of one such job, counted from 1. A block computes one tile of one job. Launched with kMergeThreads.
 */
template <int type>
__device__ __forceinline__ void MergeWeights(const GpuMergeJob* jobs, int job_count, const GpuTerm* terms, int* bad_job) {
  const MergePlace place = FindMergePlace(jobs, job_count);
  const GpuMergeJob& job = jobs[place.number];
  const bool is_good = job.in_halves ? MergeHalves<type>(job, terms, place.first_row, place.first_column)
                                     : MergeTile<type>(job, terms, place.first_row, place.first_column);
  if (!is_good) Tell(bad_job, place.number + 1);
}

}  // namespace

REDUX_MERGE_KERNEL(merge_f32, MergeWeights<kGpuFloat32>)
REDUX_MERGE_KERNEL(merge_f16, MergeWeights<kGpuFloat16>)
REDUX_MERGE_KERNEL(merge_bf16, MergeWeights<kGpuBfloat16>)

/** to[i] = from[i] in another type. */
extern "C" __global__ void __launch_bounds__(kElementThreads)
    convert_elements(unsigned long long from, int from_type, unsigned long long to, int to_type, unsigned long long count) {
  const unsigned long long index = static_cast<unsigned long long>(blockIdx.x) * kElementThreads + threadIdx.x;
  if (index < count) Store(to, to_type, index, Load(from, from_type, index));
}
