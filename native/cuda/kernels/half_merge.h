#pragma once

/* Merges of low-rank changes whose factors are 16-bit numbers, by the matrix units. */
#include "kernel_types.h"
#include "matrix_units.h"

namespace {

/** Columns of a thread. */
enum { kMergeWidth = kMergeTile / 8 };

/** Eight numbers of a weight, as they stand in memory. */
template <int type>
struct StoredEight {
  uint4 parts[type == kGpuFloat32 ? 2 : 1];
};

template <int type>
__device__ __forceinline__ float NumberOf(const StoredEight<type>& eight, int i) {
  const uint4& part = eight.parts[type == kGpuFloat32 ? i / 4 : 0];
  const unsigned words[4] = {part.x, part.y, part.z, part.w};
  if (type == kGpuFloat32) return FloatOfBits(words[i % 4]);
  const unsigned bits = words[i / 2] >> (i % 2 * 16) & 0xffffU;
  return type == kGpuFloat16 ? FloatOfHalf(static_cast<unsigned short>(bits)) : FloatOfBits(bits << 16);
}

template <int type>
__device__ __forceinline__ StoredEight<type>* PlaceOfEight(unsigned long long data, int columns, int row, int column) {
  return reinterpret_cast<StoredEight<type>*>(data) + (static_cast<unsigned long long>(row) * columns + column) / 8;
}

/** Adds to eight numbers; false where one of the results is not to be stored. */
template <int type>
__device__ __forceinline__ bool AddEight(StoredEight<type>& eight, const float* sums) {
  unsigned words[8] = {0, 0, 0, 0, 0, 0, 0, 0};
  bool is_good = true;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const float value = NumberOf<type>(eight, i) + sums[i];
    is_good = is_good && IsStorable(value, type);
    if (type == kGpuFloat32) {
      words[i] = BitsOfFloat(value);
    } else {
      const unsigned short bits = type == kGpuFloat16 ? HalfOfFloat(value) : BfloatOfFloat(value);
      words[i / 2] |= static_cast<unsigned>(bits) << (i % 2 * 16);
    }
  }
#pragma unroll
  for (int part = 0; part < (type == kGpuFloat32 ? 2 : 1); ++part) {
    eight.parts[part].x = words[4 * part];
    eight.parts[part].y = words[4 * part + 1];
    eight.parts[part].z = words[4 * part + 2];
    eight.parts[part].w = words[4 * part + 3];
  }
  return is_good;
}

/** out = base + the sum of a job's terms in one tile; false where a result is not to be stored. For jobs of which `in_halves` is set. */
template <int type>
__device__ __forceinline__ bool MergeHalves(const GpuMergeJob& job, const GpuTerm* terms, int first_row, int first_column) {
  __shared__ __align__(16) HalfRow up[kMergeTile];
  __shared__ __align__(16) HalfRow down[kMergeTile];
  float sums[kUnitThreadRows][kMergeWidth];
#pragma unroll
  for (int i = 0; i < kUnitThreadRows; ++i) {
#pragma unroll
    for (int j = 0; j < kMergeWidth; ++j) sums[i][j] = 0.0F;
  }
  for (int t = 0; t < job.term_count; ++t) {
    const GpuTerm term = terms[job.first_term + t];
    for (int start = 0; start < term.rank; start += kHalfDepth) {
      FillLeft(up, HalfMatrix{term.up, job.rows, term.rank, term.rank}, first_row, start);
      FillRight<kMergeWidth>(down, HalfMatrix{term.down, term.rank, job.columns, job.columns}, first_column, start);
      __syncthreads();
      MultiplyHalves<kMergeWidth>(term.up_type, up, down, term.scale, sums);
      __syncthreads();
    }
  }

  const int column = first_column + FirstUnitColumn<kMergeWidth>();
  bool is_good = true;
#pragma unroll
  for (int part = 0; part < kMergeWidth / 8; ++part) {
    if (column + part * 8 >= job.columns) continue;
    // All rows are read before one is written: base and out may be the same memory, so the compiler cannot bring reads forward.
    StoredEight<type> numbers[kUnitThreadRows];
#pragma unroll
    for (int i = 0; i < kUnitThreadRows; ++i) {
      const int row = first_row + UnitRow(i);
      if (row < job.rows) numbers[i] = *PlaceOfEight<type>(job.base, job.columns, row, column + part * 8);
    }
#pragma unroll
    for (int i = 0; i < kUnitThreadRows; ++i) {
      const int row = first_row + UnitRow(i);
      if (row >= job.rows) continue;
      is_good = AddEight<type>(numbers[i], &sums[i][part * 8]) && is_good;
      *PlaceOfEight<type>(job.out, job.columns, row, column + part * 8) = numbers[i];
    }
  }
  return is_good;
}

}  // namespace
