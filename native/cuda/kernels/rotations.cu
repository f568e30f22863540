/* OFT and BOFT: rotations out of skew-symmetric matrices, and weights turned by them block by block. */
#include "tiles.h"

namespace {

/** Element (i, j) of a job's skew-symmetric matrix number `index`. */
__device__ __forceinline__ float SkewAt(const GpuCayley& job, int index, int i, int j) {
  if (i == j) return 0.0F;
  if (!job.is_triangle) {
    const unsigned long long start = static_cast<unsigned long long>(index) * job.size * job.size;
    const unsigned long long here = start + static_cast<unsigned long long>(i) * job.size + j;
    const unsigned long long across = start + static_cast<unsigned long long>(j) * job.size + i;
    return Load(job.from, job.from_type, here) - Load(job.from, job.from_type, across);
  }
  const unsigned long long size = static_cast<unsigned long long>(job.size);
  const unsigned long long row = static_cast<unsigned long long>(i < j ? i : j);
  const unsigned long long column = static_cast<unsigned long long>(i < j ? j : i);
  // Rows of the triangle before this one have size − 1, size − 2, … elements.
  const unsigned long long place = index * (size * (size - 1) / 2) + row * (2 * size - row - 1) / 2 + column - row - 1;
  const float value = Load(job.from, job.from_type, place);
  return i < j ? value : -value;
}

/** The sum over all threads of a block, in a fixed order; the same for each of them. */
__device__ __forceinline__ float SumOfBlock(float value) {
  __shared__ float parts[kKindThreads];
  __syncthreads();
  parts[threadIdx.x] = value;
  for (int half = kKindThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (static_cast<int>(threadIdx.x) < half) parts[threadIdx.x] += parts[threadIdx.x + half];
  }
  __syncthreads();
  return parts[0];
}

/** What Q is multiplied by so that its norm is no larger than is allowed. */
__device__ __forceinline__ float LimitOf(const GpuCayley& job, int index) {
  if (job.limited == 0) return 1.0F;
  const int elements = job.size * job.size;
  const int first = job.limited == 1 ? index : 0;
  const int end = job.limited == 1 ? index + 1 : job.count;
  float sum = 0.0F;
  for (int matrix = first; matrix < end; ++matrix) {
    for (int place = static_cast<int>(threadIdx.x); place < elements; place += kKindThreads) {
      const float value = SkewAt(job, matrix, place / job.size, place % job.size);
      sum += value * value;
    }
  }
  const float norm = sqrtf(SumOfBlock(sum)) + (job.limited == 1 ? 0.0F : 1e-8F);
  return norm > job.largest ? job.largest / norm : 1.0F;
}

}  // namespace

/**
 * A block for each matrix: I + factor · Q is inverted in place (Gauss and Jordan's elimination). There are no pivots to be looked for: the
 * symmetric part of the matrix, and of what is left of it after each step, is no smaller than I. With R = 2 · (I + factor · Q)⁻¹ − I the
 * result is (1 − 2 · strength) · I + 2 · strength · (I + factor · Q)⁻¹. Launched with kKindThreads.
 */
extern "C" __global__ void __launch_bounds__(kKindThreads) make_rotations(const GpuCayley* jobs, int job_count) {
  __shared__ float pivot_row[kLargestCayley];
  __shared__ float pivot_column[kLargestCayley];
  const GpuCayley job = jobs[FindJob(jobs, job_count)];
  const int index = static_cast<int>(blockIdx.x - job.first_tile);
  const int size = job.size;
  const int elements = size * size;
  const int thread = static_cast<int>(threadIdx.x);
  float* matrix = reinterpret_cast<float*>(job.out) + static_cast<unsigned long long>(index) * elements;
  const float factor = job.factor * LimitOf(job, index);
  for (int place = thread; place < elements; place += kKindThreads) {
    const int row = place / size;
    const int column = place % size;
    matrix[place] = row == column ? 1.0F : factor * SkewAt(job, index, row, column);
  }
  for (int pivot = 0; pivot < size; ++pivot) {
    __syncthreads();
    const float inverse = 1.0F / matrix[pivot * size + pivot];
    for (int i = thread; i < size; i += kKindThreads) {
      pivot_row[i] = i == pivot ? inverse : matrix[pivot * size + i] * inverse;
      pivot_column[i] = matrix[i * size + pivot];
    }
    __syncthreads();
    for (int row = thread / 32; row < size; row += kKindThreads / 32) {
      float* values = matrix + row * size;
      for (int column = thread % 32; column < size; column += 32) {
        const float old = column == pivot ? 0.0F : values[column];
        values[column] = row == pivot ? pivot_row[column] : old - pivot_column[row] * pivot_row[column];
      }
    }
  }
  __syncthreads();
  for (int place = thread; place < elements; place += kKindThreads) {
    const float diagonal = place / size == place % size ? 1.0F - 2.0F * job.strength : 0.0F;
    matrix[place] = diagonal + 2.0F * job.strength * matrix[place];
  }
}

namespace {

__device__ __forceinline__ int PlaceOf(const GpuRotation& job, int i) {
  const int inner = i % job.part;
  const int at = inner / job.run;
  const int moved = (at & 1) * (job.part / job.run / 2) + at / 2;
  return i - inner + moved * job.run + inner % job.run;
}

struct RotationWindow {
  const GpuRotation& job;
  int first;
  int end;
  int first_deep;

  __device__ __forceinline__ float operator()(int row, int deep) const {
    const int i = first + row;
    const int k = first_deep + deep;
    if (i >= end || k / job.size != i / job.size) return 0.0F;
    const unsigned long long start = job.is_shared ? 0 : static_cast<unsigned long long>(i / job.size) * job.size * job.size;
    return Load(job.rotations, kGpuFloat32, start + static_cast<unsigned long long>(i % job.size) * job.size + k % job.size);
  }
  __device__ __forceinline__ bool InRows() const {
    return true;
  }
};

struct TurnedWindow {
  const GpuRotation& job;
  int first_deep;
  int first_other;

  __device__ __forceinline__ float operator()(int deep, int other) const {
    if (first_other + other >= job.others) return 0.0F;
    const unsigned long long along = static_cast<unsigned long long>(PlaceOf(job, first_deep + deep)) * job.axis_step;
    return Load(job.from, job.from_type, along + static_cast<unsigned long long>(first_other + other) * job.other_step);
  }
  __device__ __forceinline__ bool InRows() const {
    return job.other_step == 1;
  }
};

}  // namespace

/** A tile is some whole blocks of a rotation, or a part of one. Launched with kKindThreads. */
extern "C" __global__ void __launch_bounds__(kKindThreads, 2) turn_blocks(const GpuRotation* jobs, int job_count) {
  const GpuRotation job = jobs[FindJob(jobs, job_count)];
  const int across = (job.others + kKindColumns - 1) / kKindColumns;
  const int tile = static_cast<int>(blockIdx.x - job.first_tile) / across;
  const int first_other = static_cast<int>(blockIdx.x - job.first_tile) % across * kKindColumns;
  int first;
  int end;
  int first_deep;
  int depth;
  if (job.size >= kKindRows) {
    const int of_block = (job.size + kKindRows - 1) / kKindRows;
    first_deep = tile / of_block * job.size;
    depth = job.size;
    first = first_deep + tile % of_block * kKindRows;
    end = first + kKindRows < first_deep + job.size ? first + kKindRows : first_deep + job.size;
  } else {
    const int length = kKindRows / job.size * job.size;
    first = first_deep = tile * length;
    end = first + length < job.length ? first + length : job.length;
    depth = end - first;
  }
  Tile product;
  Multiply(RotationWindow{job, first, end, first_deep}, TurnedWindow{job, first_deep, first_other}, depth, product);
  float* out = reinterpret_cast<float*>(job.out);
#pragma unroll
  for (int i = 0; i < kRowsOfThread; ++i) {
    const int row = first + RowOfThread(i);
    if (row >= end) continue;
    const unsigned long long along = static_cast<unsigned long long>(PlaceOf(job, row)) * job.axis_step;
#pragma unroll
    for (int j = 0; j < kColumnsOfThread; ++j) {
      const int other = first_other + ColumnOfThread(j);
      if (other < job.others) out[along + static_cast<unsigned long long>(other) * job.other_step] = product[i][j];
    }
  }
}
