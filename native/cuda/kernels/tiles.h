#pragma once

/* What the kernels of kinds.cu and rotations.cu share: finding a block's job, and products of matrices tile by tile. */
#include "jobs.h"
#include "kind_types.h"
#include "matrix_units.h"
#include "numbers.h"

namespace {

enum {
  kDepth = 8,  // Of a product, computed at a time.
  kRowsOfThread = kUnitThreadRows,
  kColumnsOfThread = kKindColumns / 8,
};
static_assert(static_cast<int>(kKindRows) == static_cast<int>(kUnitRows) && static_cast<int>(kKindThreads) == static_cast<int>(kUnitThreads),
              "threads have the places in a tile that the matrix units give them");

/** Where in a tile a thread's numbers stand. */
__device__ __forceinline__ int RowOfThread(int i) {
  return UnitRow(i);
}

__device__ __forceinline__ int ColumnOfThread(int j) {
  return FirstUnitColumn<kColumnsOfThread>() + j;
}

__device__ __forceinline__ float At(const GpuMatrix& matrix, int row, int column) {
  const long long index = static_cast<long long>(row) * matrix.row_step + static_cast<long long>(column) * matrix.column_step;
  return Load(matrix.data, matrix.type, static_cast<unsigned long long>(index));
}

/** A matrix from (first_row, first_column) on; outside it is zero. */
struct Window {
  GpuMatrix matrix;
  int first_row;
  int first_column;
  int rows;
  int columns;

  __device__ __forceinline__ float operator()(int row, int column) const {
    row += first_row;
    column += first_column;
    return row >= 0 && row < rows && column >= 0 && column < columns ? At(matrix, row, column) : 0.0F;
  }
  /** Whether neighbours in a row are neighbours in memory. */
  __device__ __forceinline__ bool InRows() const {
    return matrix.column_step == 1;
  }
  /** Whether the matrix units take it as it is. */
  __device__ __forceinline__ bool InHalves() const {
    return UnitsMultiply(matrix.type) && InRows() && matrix.data % 16 == 0 && matrix.row_step % 8 == 0 && columns % 8 == 0;
  }
  __device__ __forceinline__ HalfMatrix Halves() const {
    return {matrix.data, rows, columns, matrix.row_step};
  }
};

/** A thread's numbers of a tile. */
typedef float Tile[kRowsOfThread][kColumnsOfThread];

__device__ __forceinline__ void Clear(Tile& tile) {
#pragma unroll
  for (int i = 0; i < kRowsOfThread; ++i) {
#pragma unroll
    for (int j = 0; j < kColumnsOfThread; ++j) tile[i][j] = 0.0F;
  }
}

/** product = left · right in fp32, of any matrices. */
template <typename Left, typename Right>
__device__ __forceinline__ void MultiplyFloats(const Left& left, const Right& right, int depth, Tile& product) {
  // Four numbers more than needed: rows begin in different banks of shared memory.
  __shared__ __align__(16) float left_tile[kDepth][kKindRows + 4];
  __shared__ __align__(16) float right_tile[kDepth][kKindColumns + 4];
  const int thread = static_cast<int>(threadIdx.x);
  const bool left_in_rows = left.InRows();
  const bool right_in_rows = right.InRows();
  for (int start = 0; start < depth; start += kDepth) {
#pragma unroll
    for (int part = 0; part < kKindRows * kDepth / kKindThreads; ++part) {
      const int item = thread + part * kKindThreads;
      const int row = left_in_rows ? item / kDepth : item % kKindRows;
      const int deep = left_in_rows ? item % kDepth : item / kKindRows;
      left_tile[deep][row] = start + deep < depth ? left(row, start + deep) : 0.0F;
    }
#pragma unroll
    for (int part = 0; part < kKindColumns * kDepth / kKindThreads; ++part) {
      const int item = thread + part * kKindThreads;
      const int column = right_in_rows ? item % kKindColumns : item / kDepth;
      const int deep = right_in_rows ? item / kKindColumns : item % kDepth;
      right_tile[deep][column] = start + deep < depth ? right(start + deep, column) : 0.0F;
    }
    __syncthreads();
#pragma unroll
    for (int deep = 0; deep < kDepth; ++deep) {
      float rows[kRowsOfThread];
      float columns[kColumnsOfThread];
#pragma unroll
      for (int i = 0; i < kRowsOfThread; ++i) rows[i] = left_tile[deep][RowOfThread(i)];
      ReadFour(&right_tile[deep][ColumnOfThread(0)], &columns[0]);
      ReadFour(&right_tile[deep][ColumnOfThread(4)], &columns[4]);
#pragma unroll
      for (int i = 0; i < kRowsOfThread; ++i) {
#pragma unroll
        for (int j = 0; j < kColumnsOfThread; ++j) product[i][j] += rows[i] * columns[j];
      }
    }
    __syncthreads();
  }
}

/** product = left · right. All threads of the block must call it, with the same depth. */
template <typename Left, typename Right>
__device__ __forceinline__ void Multiply(const Left& left, const Right& right, int depth, Tile& product) {
  Clear(product);
  MultiplyFloats(left, right, depth, product);
}

/** Of matrices in memory: by the matrix units where both are of one type that these multiply. */
__device__ __forceinline__ void Multiply(const Window& left, const Window& right, int depth, Tile& product) {
  __shared__ __align__(16) HalfRow left_tile[kKindRows];
  __shared__ __align__(16) HalfRow right_tile[kKindColumns];
  Clear(product);
  const bool of_one_type = REDUX_COMPUTE_CAPABILITY < 80 || left.matrix.type == right.matrix.type;
  if (!left.InHalves() || !right.InHalves() || !of_one_type) {
    MultiplyFloats(left, right, depth, product);
    return;
  }
  for (int start = 0; start < depth; start += kHalfDepth) {
    FillLeft(left_tile, left.Halves(), left.first_row, start);
    FillRight<kColumnsOfThread>(right_tile, right.Halves(), right.first_column, start);
    __syncthreads();
    MultiplyHalves<kColumnsOfThread>(left.matrix.type, left_tile, right_tile, 1.0F, product);
    __syncthreads();
  }
}

}  // namespace
