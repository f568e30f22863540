#pragma once

/*
 * Products of matrices of 16-bit numbers, called halves here, by the GPU's matrix units (mma.m16n8k8, PTX ISA 7.8, section "Matrix
 * multiply-accumulate instructions"): products of two numbers of fp16, or of bf16, are exact in fp32 and are summed there. A block of 256 threads
 * has a product of 128 rows; its eight warps have 32 rows each, and half of the columns.
 */
#include "numbers.h"

namespace {

enum {
  kHalfDepth = 32,          // Of the depth, held at a time.
  kPairs = kHalfDepth / 2,  // Of neighbours in depth, as the matrix units take them.
  kPairStride = kPairs + 4, // Rows of a tile begin in different banks of shared memory.
  kUnitRows = 128,
  kUnitThreads = 256,
  kUnitThreadRows = 4,  // Of a thread, 8 apart.
};

/** Rows of pairs, the first number of each in its lower half. */
typedef unsigned HalfRow[kPairStride];

/** The i-th of a thread's rows, and the first of its `width` columns, which stand side by side. */
__device__ __forceinline__ int UnitRow(int i) {
  return static_cast<int>(threadIdx.x) / 64 * 32 + static_cast<int>(threadIdx.x) % 32 / 4 + i * 8;
}
template <int width>
__device__ __forceinline__ int FirstUnitColumn() {
  return static_cast<int>(threadIdx.x) / 32 % 2 * 4 * width + static_cast<int>(threadIdx.x) % 4 * width;
}

/**
 * Where a column stands in the right matrix' tile. The matrix units give a thread columns 2q and 2q + 1 of each eight; in this order these are
 * `width` neighbours.
 */
template <int width>
__device__ __forceinline__ int SlotOfColumn(int column) {
  const int inside = column % (4 * width);
  return column - inside + inside % width / 2 * 8 + inside / width * 2 + inside % 2;
}

/** Eight numbers from `index` on, of which `count` are there; the first one stands at a multiple of 16 bytes where `is_aligned`. */
__device__ __forceinline__ uint4 LoadEight(unsigned long long data, unsigned long long index, int count, bool is_aligned) {
  const unsigned short* numbers = reinterpret_cast<const unsigned short*>(data) + index;
  if (count >= 8 && is_aligned) return *reinterpret_cast<const uint4*>(numbers);
  unsigned words[4] = {0, 0, 0, 0};
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    if (i < count) words[i / 2] |= static_cast<unsigned>(numbers[i]) << (i % 2 * 16);
  }
  uint4 eight;
  eight.x = words[0];
  eight.y = words[1];
  eight.z = words[2];
  eight.w = words[3];
  return eight;
}

/** Whether the matrix units multiply numbers of a type: fp16 everywhere, bf16 from compute capability 8.0 on. */
__device__ __forceinline__ bool UnitsMultiply(int type) {
  return type == kGpuFloat16 || (REDUX_COMPUTE_CAPABILITY >= 80 && type == kGpuBfloat16);
}

/** A matrix of 16-bit numbers, row by row. */
struct HalfMatrix {
  unsigned long long data;
  int rows;
  int columns;
  /** Numbers from one row to the next. */
  int stride;
};

/** kUnitRows rows of the left matrix from `first_row` on, of each the numbers from `start` on; zeros outside. */
__device__ __forceinline__ void FillLeft(HalfRow* tile, const HalfMatrix& matrix, int first_row, int start) {
#pragma unroll
  for (int part = 0; part < kUnitRows * kHalfDepth / 8 / kUnitThreads; ++part) {
    const int item = static_cast<int>(threadIdx.x) + part * kUnitThreads;
    const int place = item / (kHalfDepth / 8);
    const int row = first_row + place;
    const int depth = start + item % (kHalfDepth / 8) * 8;
    const int count = row >= 0 && row < matrix.rows ? matrix.columns - depth : 0;
    const long long index = static_cast<long long>(row) * matrix.stride + depth;
    const uint4 eight = LoadEight(matrix.data, static_cast<unsigned long long>(index), count, matrix.stride % 8 == 0);
    unsigned* pairs = &tile[place][(depth - start) / 2];
    pairs[0] = eight.x;
    pairs[1] = eight.y;
    pairs[2] = eight.z;
    pairs[3] = eight.w;
  }
}

/**
 * 8 · width columns of the right matrix from `first_column` on, each as a row of the tile; zeros outside. The matrix' stride and columns are
 * multiples of eight.
 */
template <int width>
__device__ __forceinline__ void FillRight(HalfRow* tile, const HalfMatrix& matrix, int first_column, int start) {
  const int pair = static_cast<int>(threadIdx.x) % kPairs;
  const int column = static_cast<int>(threadIdx.x) / kPairs * 8;
  if (column >= 8 * width) return;
  const int depth = start + 2 * pair;
  const int count = first_column + column < matrix.columns ? 8 : 0;
  const unsigned long long index = static_cast<unsigned long long>(depth) * matrix.stride + first_column + column;
  const uint4 even = LoadEight(matrix.data, index, depth < matrix.rows ? count : 0, true);
  const uint4 odd = LoadEight(matrix.data, index + matrix.stride, depth + 1 < matrix.rows ? count : 0, true);
  const unsigned evens[4] = {even.x, even.y, even.z, even.w};
  const unsigned odds[4] = {odd.x, odd.y, odd.z, odd.w};
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const int shift = i % 2 * 16;
    tile[SlotOfColumn<width>(column + i)][pair] = (evens[i / 2] >> shift & 0xffffU) | (odds[i / 2] >> shift << 16);
  }
}

#ifndef REDUX_EMULATED
/**
 * The warp's sums [16, 8] += left [16, 8] · right [8, 8], both of a type that the units multiply; a thread has the numbers that the instruction's
 * fragments say.
 */
__device__ __forceinline__ void MultiplyAdd(int type, float (&sums)[4], unsigned upper_left, unsigned lower_left, unsigned right) {
#if REDUX_COMPUTE_CAPABILITY >= 80
  // One of two predicated instructions: with the loops around them written twice, the registers do not suffice.
  asm("{\n"
      ".reg .pred is_bfloat;\n"
      "setp.eq.s32 is_bfloat, %7, %8;\n"
      "@is_bfloat mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};\n"
      "@!is_bfloat mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};\n"
      "}"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(upper_left), "r"(lower_left), "r"(right), "r"(type), "n"(static_cast<int>(kGpuBfloat16)));
#else
  asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(upper_left), "r"(lower_left), "r"(right));
#endif
}
#endif

/** sums += scale · left · right of this chunk of the depth; `type` is the same in all threads. */
template <int width>
__device__ __forceinline__ void MultiplyHalves(int type, const HalfRow* left, const HalfRow* right, float scale,
                                               float (&sums)[kUnitThreadRows][width]) {
  const int pair = static_cast<int>(threadIdx.x) % 4;
  const int first_slot = static_cast<int>(threadIdx.x) / 32 % 2 * 4 * width + static_cast<int>(threadIdx.x) % 32 / 4;
  unsigned lefts[kUnitThreadRows][kHalfDepth / 8];
#pragma unroll
  for (int i = 0; i < kUnitThreadRows; ++i) {
#pragma unroll
    for (int step = 0; step < kHalfDepth / 8; ++step) lefts[i][step] = left[UnitRow(i)][step * 4 + pair];
  }
#pragma unroll
  for (int j = 0; j < width / 2; ++j) {
    unsigned rights[kHalfDepth / 8];
#pragma unroll
    for (int step = 0; step < kHalfDepth / 8; ++step) rights[step] = right[first_slot + j * 8][step * 4 + pair];
#pragma unroll
    for (int i = 0; i < kUnitThreadRows; i += 2) {
      float product[4] = {0.0F, 0.0F, 0.0F, 0.0F};
#pragma unroll
      for (int step = 0; step < kHalfDepth / 8; ++step) MultiplyAdd(type, product, lefts[i][step], lefts[i + 1][step], rights[step]);
      sums[i][2 * j] += scale * product[0];
      sums[i][2 * j + 1] += scale * product[1];
      sums[i + 1][2 * j] += scale * product[2];
      sums[i + 1][2 * j + 1] += scale * product[3];
    }
  }
}

}  // namespace
