#pragma once

/*
 * The sum of low-rank changes whose factors are fp16, by the GPU's matrix units (mma.m16n8k8, PTX ISA 7.8, section "Matrix multiply-accumulate"):
 * products of fp16 are exact in fp32 and are summed there. Where the kernels are emulated, `MultiplyHalves` sums the same products one by one.
 */
#include "kernel_types.h"
#include "numbers.h"

namespace {

enum {
  kHalfDepth = 32,                   // Of the rank, held at a time.
  kPairs = kHalfDepth / 2,           // Of numbers, as the matrix units take them.
  kPairStride = kPairs + 4,          // Rows of a tile begin in different banks of shared memory.
  kWarpRows = 32,                    // Of a tile, computed by one warp.
  kWarpColumns = 64,
  kThreadRows = 4,
  kThreadColumns = 16,  // Neighbours in memory.
};

/** Rows of pairs of neighbours in the rank, the first one in the lower half. */
typedef unsigned HalfTile[kMergeTile][kPairStride];

/** A thread's place in a tile: its rows are 8 apart, its columns stand side by side. */
struct ThreadPlace {
  int first_row;
  int first_column;
};

__device__ __forceinline__ ThreadPlace PlaceOfThread() {
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  return {warp / 2 * kWarpRows + lane / 4, warp % 2 * kWarpColumns + lane % 4 * kThreadColumns};
}

/**
 * Where a column stands in the tile of `down`. The matrix units give a thread columns 2q and 2q + 1 of each eight; in this order these are its
 * sixteen neighbours.
 */
__device__ __forceinline__ int SlotOfColumn(int column) {
  const int inside = column % kWarpColumns;
  return column / kWarpColumns * kWarpColumns + inside % kThreadColumns / 2 * 8 + inside / kThreadColumns * 2 + inside % 2;
}

/** Eight numbers from `index` on, of which `count` are there; aligned where all are. */
__device__ __forceinline__ uint4 LoadEight(unsigned long long data, unsigned long long index, int count, bool is_aligned) {
  uint4 eight = {0, 0, 0, 0};
  const unsigned short* numbers = reinterpret_cast<const unsigned short*>(data) + index;
  if (count >= 8 && is_aligned) return *reinterpret_cast<const uint4*>(numbers);
  unsigned words[4] = {0, 0, 0, 0};
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    if (i < count) words[i / 2] |= static_cast<unsigned>(numbers[i]) << (i % 2 * 16);
  }
  eight.x = words[0];
  eight.y = words[1];
  eight.z = words[2];
  eight.w = words[3];
  return eight;
}

/** Rows from `first_row` on of up [rows, rank], of each the numbers from `start` on; zeros outside. */
__device__ __forceinline__ void FillUp(HalfTile& tile, const GpuTerm& term, int rows, int first_row, int start) {
#pragma unroll
  for (int part = 0; part < kMergeTile * kHalfDepth / 8 / kMergeThreads; ++part) {
    const int item = static_cast<int>(threadIdx.x) + part * kMergeThreads;
    const int row = item / (kHalfDepth / 8);
    const int depth = start + item % (kHalfDepth / 8) * 8;
    const int count = first_row + row < rows ? term.rank - depth : 0;
    const unsigned long long index = static_cast<unsigned long long>(first_row + row) * term.rank + depth;
    const uint4 eight = LoadEight(term.up, index, count, term.rank % 8 == 0);
    unsigned* pairs = &tile[row][(depth - start) / 2];
    pairs[0] = eight.x;
    pairs[1] = eight.y;
    pairs[2] = eight.z;
    pairs[3] = eight.w;
  }
}

/** Columns from `first_column` on of down [rank, columns], each as a row of the tile; `columns` is a multiple of eight. */
__device__ __forceinline__ void FillDown(HalfTile& tile, const GpuTerm& term, int columns, int first_column, int start) {
  const int pair = static_cast<int>(threadIdx.x) % kPairs;
  const int column = static_cast<int>(threadIdx.x) / kPairs * 8;
  const int depth = start + 2 * pair;
  const int count = first_column + column < columns ? 8 : 0;
  const unsigned long long index = static_cast<unsigned long long>(depth) * columns + first_column + column;
  const uint4 even = LoadEight(term.down, index, depth < term.rank ? count : 0, true);
  const uint4 odd = LoadEight(term.down, index + columns, depth + 1 < term.rank ? count : 0, true);
  const unsigned evens[4] = {even.x, even.y, even.z, even.w};
  const unsigned odds[4] = {odd.x, odd.y, odd.z, odd.w};
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const int shift = i % 2 * 16;
    tile[SlotOfColumn(column + i)][pair] = (evens[i / 2] >> shift & 0xffffU) | (odds[i / 2] >> shift << 16);
  }
}

typedef float ThreadSums[kThreadRows][kThreadColumns];

#ifdef REDUX_EMULATED
__device__ __forceinline__ float NumberOf(const HalfTile& tile, int row, int depth) {
  return FloatOfHalf(static_cast<unsigned short>(tile[row][depth / 2] >> (depth % 2 * 16)));
}

__device__ __forceinline__ void MultiplyHalves(const HalfTile& up, const HalfTile& down, float scale, ThreadSums& sums) {
  const ThreadPlace place = PlaceOfThread();
  for (int i = 0; i < kThreadRows; ++i) {
    for (int j = 0; j < kThreadColumns; ++j) {
      const int slot = SlotOfColumn(place.first_column + j);
      float product = 0.0F;
      for (int depth = 0; depth < kHalfDepth; ++depth) {
        product += NumberOf(up, place.first_row + i * 8, depth) * NumberOf(down, slot, depth);
      }
      sums[i][j] += scale * product;
    }
  }
}
#else
/** sums += scale · up · down of this chunk of the rank. */
__device__ __forceinline__ void MultiplyHalves(const HalfTile& up, const HalfTile& down, float scale, ThreadSums& sums) {
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int row = static_cast<int>(threadIdx.x) % 32 / 4;
  const int pair = static_cast<int>(threadIdx.x) % 4;
  const int first_row = warp / 2 * kWarpRows + row;
  const int first_slot = warp % 2 * kWarpColumns + row;
  unsigned left[kThreadRows][kHalfDepth / 8];
#pragma unroll
  for (int i = 0; i < kThreadRows; ++i) {
#pragma unroll
    for (int step = 0; step < kHalfDepth / 8; ++step) left[i][step] = up[first_row + i * 8][step * 4 + pair];
  }
#pragma unroll
  for (int j = 0; j < kThreadColumns / 2; ++j) {
    unsigned right[kHalfDepth / 8];
#pragma unroll
    for (int step = 0; step < kHalfDepth / 8; ++step) right[step] = down[first_slot + j * 8][step * 4 + pair];
#pragma unroll
    for (int i = 0; i < kThreadRows; i += 2) {
      float product[4] = {0.0F, 0.0F, 0.0F, 0.0F};
#pragma unroll
      for (int step = 0; step < kHalfDepth / 8; ++step) {
        asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
            : "+f"(product[0]), "+f"(product[1]), "+f"(product[2]), "+f"(product[3])
            : "r"(left[i][step]), "r"(left[i + 1][step]), "r"(right[step]));
      }
      sums[i][2 * j] += scale * product[0];
      sums[i][2 * j + 1] += scale * product[1];
      sums[i + 1][2 * j] += scale * product[2];
      sums[i + 1][2 * j + 1] += scale * product[3];
    }
  }
}
#endif

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
  __shared__ __align__(16) HalfTile up;
  __shared__ __align__(16) HalfTile down;
  ThreadSums sums;
#pragma unroll
  for (int i = 0; i < kThreadRows; ++i) {
#pragma unroll
    for (int j = 0; j < kThreadColumns; ++j) sums[i][j] = 0.0F;
  }
  for (int t = 0; t < job.term_count; ++t) {
    const GpuTerm term = terms[job.first_term + t];
    for (int start = 0; start < term.rank; start += kHalfDepth) {
      FillUp(up, term, job.rows, first_row, start);
      FillDown(down, term, job.columns, first_column, start);
      __syncthreads();
      MultiplyHalves(up, down, term.scale, sums);
      __syncthreads();
    }
  }

  const ThreadPlace place = PlaceOfThread();
  const int row = first_row + place.first_row;
  const int column = first_column + place.first_column;
  bool is_good = true;
#pragma unroll
  for (int part = 0; part < kThreadColumns / 8; ++part) {
    if (column + part * 8 >= job.columns) continue;
    // All rows are read before one is written: base and out may be the same memory, so the compiler cannot bring reads forward.
    StoredEight<type> numbers[kThreadRows];
#pragma unroll
    for (int i = 0; i < kThreadRows; ++i) {
      if (row + i * 8 < job.rows) numbers[i] = *PlaceOfEight<type>(job.base, job.columns, row + i * 8, column + part * 8);
    }
#pragma unroll
    for (int i = 0; i < kThreadRows; ++i) {
      if (row + i * 8 >= job.rows) continue;
      is_good = AddEight<type>(numbers[i], &sums[i][part * 8]) && is_good;
      *PlaceOfEight<type>(job.out, job.columns, row + i * 8, column + part * 8) = numbers[i];
    }
  }
  return is_good;
}

}  // namespace
