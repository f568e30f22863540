/*
 * Changes of weights that are more than one low-rank product: LoHa, LoKr, Tucker cores, GLoRA, (IA)³, DoRA. Each launch works on a table of
 * jobs; a block computes one tile of one job, in fp32.
 */
#include "tiles.h"

namespace {

/** The numbers of a thread's tile that are inside the weight. */
struct Place {
  int first_row;
  int first_column;
  int rows;
  int columns;

  __device__ __forceinline__ int Row(int i) const {
    return first_row + RowOfThread(i);
  }
  __device__ __forceinline__ int Column(int j) const {
    return first_column + ColumnOfThread(j);
  }
  __device__ __forceinline__ bool Has(int row, int column) const {
    return row < rows && column < columns;
  }
};

/** v += scale · a · b, or, where the step is a Hadamard product, v += scale · (a · b) ⊙ (c · d). */
__device__ __forceinline__ void AddProducts(const Place& place, const GpuStep& step, Tile& values) {
  const int rows = step.end_row - step.first_row;
  const bool is_pair = step.kind == kStepHadamard;
  Tile first;
  Tile product;
#pragma unroll
  for (int i = 0; i < kRowsOfThread; ++i) {
#pragma unroll
    for (int j = 0; j < kColumnsOfThread; ++j) first[i][j] = 1.0F;
  }
  // Not unrolled: the product's code is long.
#pragma unroll 1
  for (int turn = is_pair ? 0 : 1; turn < 2; ++turn) {
    const bool is_second = is_pair && turn == 1;
    const int depth = is_second ? step.second_depth : step.depth;
    const Window left{is_second ? step.c : step.a, place.first_row - step.first_row, 0, rows, depth};
    const Window right{is_second ? step.d : step.b, 0, place.first_column, depth, place.columns};
    Multiply(left, right, depth, product);
#pragma unroll
    for (int i = 0; i < kRowsOfThread; ++i) {
#pragma unroll
      for (int j = 0; j < kColumnsOfThread; ++j) {
        if (turn == 0) {
          first[i][j] = product[i][j];
        } else {
          values[i][j] += step.scale * (first[i][j] * product[i][j]);
        }
      }
    }
  }
}

/** The steps that do something to each number by itself. */
__device__ __forceinline__ void DoEach(const Place& place, const GpuStep& step, Tile& values) {
  // Divisions are slow: the columns' places in a and b are found once for all rows. No factor has 2³¹ numbers.
  const bool is_pair = step.kind == kStepKronecker;
  int of_a[kColumnsOfThread];
  int of_b[kColumnsOfThread];
#pragma unroll
  for (int j = 0; j < kColumnsOfThread; ++j) {
    const int outer = place.Column(j) / step.block_columns;
    of_a[j] = outer * step.a.column_step;
    of_b[j] = is_pair ? (place.Column(j) - outer * step.block_columns) * step.b.column_step : 0;
  }
#pragma unroll
  for (int i = 0; i < kRowsOfThread; ++i) {
    const int row = place.Row(i);
    if (row < step.first_row || row >= step.end_row || row >= place.rows) continue;
    const int outer = (row - step.first_row) / step.block_rows;
    const int a_row = outer * step.a.row_step;
    const int b_row = is_pair ? (row - step.first_row - outer * step.block_rows) * step.b.row_step : 0;
#pragma unroll
    for (int j = 0; j < kColumnsOfThread; ++j) {
      if (place.Column(j) >= place.columns) continue;
      float factor = Load(step.a.data, step.a.type, static_cast<unsigned long long>(a_row + of_a[j]));
      if (is_pair) factor *= Load(step.b.data, step.b.type, static_cast<unsigned long long>(b_row + of_b[j]));
      if (step.kind == kStepScale) {
        values[i][j] *= step.offset + step.scale * factor;
      } else {
        values[i][j] = (step.kind == kStepAssign ? 0.0F : values[i][j]) + step.scale * factor;
      }
    }
  }
}

/** A row's eight numbers at `index`, a multiple of eight, of which all are inside. */
__device__ __forceinline__ void LoadRow(unsigned long long data, int type, unsigned long long index, float (&values)[kColumnsOfThread]) {
  if (type == kGpuFloat32) {
    const float* from = reinterpret_cast<const float*>(data) + index;
    ReadFour(from, &values[0]);
    ReadFour(from + 4, &values[4]);
    return;
  }
  const uint4 eight = LoadEight(data, index, 8, true);
  const unsigned words[4] = {eight.x, eight.y, eight.z, eight.w};
#pragma unroll
  for (int j = 0; j < 8; ++j) {
    const unsigned bits = words[j / 2] >> (j % 2 * 16) & 0xffffU;
    values[j] = type == kGpuFloat16 ? FloatOfHalf(static_cast<unsigned short>(bits)) : FloatOfBits(bits << 16);
  }
}

/** Stores a row's eight numbers at such an index. */
__device__ __forceinline__ void StoreRow(unsigned long long data, int type, unsigned long long index, const float (&values)[kColumnsOfThread]) {
  if (type == kGpuFloat32) {
#pragma unroll
    for (int part = 0; part < 2; ++part) {
      float4 four;
      four.x = values[4 * part];
      four.y = values[4 * part + 1];
      four.z = values[4 * part + 2];
      four.w = values[4 * part + 3];
      reinterpret_cast<float4*>(data)[(index >> 2) + part] = four;
    }
    return;
  }
  unsigned words[4] = {0, 0, 0, 0};
#pragma unroll
  for (int j = 0; j < 8; ++j) {
    const unsigned bits = type == kGpuFloat16 ? HalfOfFloat(values[j]) : BfloatOfFloat(values[j]);
    words[j / 2] |= bits << (j % 2 * 16);
  }
  uint4 eight;
  eight.x = words[0];
  eight.y = words[1];
  eight.z = words[2];
  eight.w = words[3];
  reinterpret_cast<uint4*>(data)[index >> 3] = eight;
}

/** Whether a thread's eight numbers of a row are all inside or all outside, and stand at multiples of 16 bytes. */
__device__ __forceinline__ bool InEights(unsigned long long data, int columns) {
  return columns % 8 == 0 && data % 16 == 0;
}

__device__ __forceinline__ void LoadTile(const GpuPass& job, const Place& place, Tile& values) {
  const bool in_eights = InEights(job.from, job.columns);
#pragma unroll
  for (int i = 0; i < kRowsOfThread; ++i) {
    const unsigned long long index = static_cast<unsigned long long>(place.Row(i)) * job.columns + place.Column(0);
    if (in_eights && place.Has(place.Row(i), place.Column(0))) {
      LoadRow(job.from, job.from_type, index, values[i]);
      continue;
    }
#pragma unroll
    for (int j = 0; j < kColumnsOfThread; ++j) {
      values[i][j] = place.Has(place.Row(i), place.Column(j)) ? Load(job.from, job.from_type, index + j) : 0.0F;
    }
  }
}

/** Whether all of the thread's numbers could be stored. */
__device__ __forceinline__ bool StoreTile(const GpuPass& job, const Place& place, const Tile& values) {
  const bool in_eights = InEights(job.to, job.columns);
  bool is_good = true;
#pragma unroll
  for (int i = 0; i < kRowsOfThread; ++i) {
    const unsigned long long index = static_cast<unsigned long long>(place.Row(i)) * job.columns + place.Column(0);
#pragma unroll
    for (int j = 0; j < kColumnsOfThread; ++j) {
      if (!place.Has(place.Row(i), place.Column(j))) continue;
      if (!in_eights) Store(job.to, job.to_type, index + j, values[i][j]);
      is_good = is_good && IsStorable(values[i][j], job.to_type);
    }
    if (in_eights && place.Has(place.Row(i), place.Column(0))) StoreRow(job.to, job.to_type, index, values[i]);
  }
  return is_good;
}

/** Sums of squares over the tile's columns or rows, always in the same order. */
__device__ __forceinline__ void SumSquares(const GpuPass& job, const Place& place, const Tile& values) {
  // One number more than there are threads to a row, or to a column: neighbours are in different banks.
  enum { kOfRow = kKindColumns / kColumnsOfThread, kOfColumn = kKindRows / kRowsOfThread };
  __shared__ float sums[kKindColumns * (kOfColumn + 1)];
  const int thread = static_cast<int>(threadIdx.x);
  const int part_of_row = ColumnOfThread(0) / kColumnsOfThread;
  const int part_of_column = thread / 64 * 8 + thread % 32 / 4;
  const bool over_columns = job.sum_axis == kSumRows;
  float of_columns[kColumnsOfThread] = {};
#pragma unroll
  for (int i = 0; i < kRowsOfThread; ++i) {
    const int row = place.Row(i);
    const bool counts = row >= job.sum_first_row && row < job.sum_end_row;
    float of_row = 0.0F;
#pragma unroll
    for (int j = 0; j < kColumnsOfThread; ++j) {
      const float square = counts ? values[i][j] * values[i][j] : 0.0F;
      of_row += square;
      of_columns[j] += square;
    }
    if (over_columns) sums[RowOfThread(i) * (kOfRow + 1) + part_of_row] = of_row;
  }
  if (!over_columns) {
#pragma unroll
    for (int j = 0; j < kColumnsOfThread; ++j) sums[ColumnOfThread(j) * (kOfColumn + 1) + part_of_column] = of_columns[j];
  }
  __syncthreads();
  if (thread < (over_columns ? kKindRows : kKindColumns)) {
    float sum = 0.0F;
    const int parts = over_columns ? kOfRow : kOfColumn;
    for (int part = 0; part < parts; ++part) sum += sums[thread * (parts + 1) + part];
    float* out = reinterpret_cast<float*>(job.to);
    const int row = place.first_row + thread;
    const int column = place.first_column + thread;
    if (over_columns && row < job.rows) out[static_cast<unsigned long long>(place.first_column / kKindColumns) * job.rows + row] = sum;
    if (!over_columns && column < job.columns) {
      out[static_cast<unsigned long long>(place.first_row / kKindRows) * job.columns + column] = sum;
    }
  }
}

}  // namespace

/** Every pass; where a number that is stored is NaN or infinite, `bad_job` gets the place of one such job. Launched with kKindThreads. */
extern "C" __global__ void __launch_bounds__(kKindThreads, 2)
    run_passes(const GpuPass* jobs, int job_count, const GpuStep* steps, int* bad_job) {
  const GpuPass job = jobs[FindJob(jobs, job_count)];
  const int tile = static_cast<int>(blockIdx.x - job.first_tile);
  const int across = (job.columns + kKindColumns - 1) / kKindColumns;
  const Place place{tile / across * kKindRows, tile % across * kKindColumns, job.rows, job.columns};
  Tile values;
  LoadTile(job, place, values);
  for (int number = 0; number < job.step_count; ++number) {
    const GpuStep& step = steps[job.first_step + number];
    if (place.first_row >= step.end_row || place.first_row + kKindRows <= step.first_row) continue;
    if (step.kind == kStepLowRank || step.kind == kStepHadamard) {
      AddProducts(place, step, values);
    } else {
      DoEach(place, step, values);
    }
  }
  if (job.sum_axis != kSumNothing) {
    SumSquares(job, place, values);
  } else if (!StoreTile(job, place, values) && job.place > 0) {
    Tell(bad_job, job.place);
  }
}

extern "C" __global__ void __launch_bounds__(kKindThreads, 2) multiply_matrices(const GpuProduct* jobs, int job_count) {
  const GpuProduct job = jobs[FindJob(jobs, job_count)];
  const int across = (job.columns + kKindColumns - 1) / kKindColumns;
  const int of_batch = across * ((job.rows + kKindRows - 1) / kKindRows);
  const int tile = static_cast<int>(blockIdx.x - job.first_tile);
  const int batch = tile / of_batch;
  const int first_row = tile % of_batch / across * kKindRows;
  const int first_column = tile % of_batch % across * kKindColumns;
  GpuMatrix left = job.left;
  GpuMatrix right = job.right;
  left.data += static_cast<unsigned long long>(batch) * job.left_step * (left.type == kGpuFloat32 ? 4 : 2);
  right.data += static_cast<unsigned long long>(batch) * job.right_step * (right.type == kGpuFloat32 ? 4 : 2);
  float* out = reinterpret_cast<float*>(job.out.data) + static_cast<unsigned long long>(batch) * job.out_step;
  Tile product;
  Multiply(Window{left, first_row, 0, job.rows, job.depth}, Window{right, 0, first_column, job.depth, job.columns}, job.depth, product);
#pragma unroll
  for (int i = 0; i < kRowsOfThread; ++i) {
    const int row = first_row + RowOfThread(i);
#pragma unroll
    for (int j = 0; j < kColumnsOfThread; ++j) {
      const int column = first_column + ColumnOfThread(j);
      if (row >= job.rows || column >= job.columns) continue;
      out[static_cast<unsigned long long>(row) * job.out.row_step + static_cast<unsigned long long>(column) * job.out.column_step] = product[i][j];
    }
  }
}

/** A thread for each factor; a block's are of one job. */
extern "C" __global__ void __launch_bounds__(kElementThreads) find_norms(const GpuNorms* jobs, int job_count) {
  const GpuNorms job = jobs[FindJob(jobs, job_count)];
  const int index = static_cast<int>(blockIdx.x - job.first_tile) * kElementThreads + static_cast<int>(threadIdx.x);
  if (index >= job.count) return;
  const float* sums = reinterpret_cast<const float*>(job.sums);
  float sum = 0.0F;
  for (int tile = 0; tile < job.tiles; ++tile) {
    const unsigned long long start = static_cast<unsigned long long>(tile) * job.stride + job.first + index * job.kernel;
    for (int k = 0; k < job.kernel; ++k) sum += sums[start + k];
  }
  const float norm = sqrtf(sum);
  const float magnitude = At(job.magnitude, index, 0);
  // LyCORIS adds fp32's epsilon to a norm, PEFT nothing.
  const float factor = job.is_relative ? 1.0F + job.strength * (magnitude / (norm + 1.1920929e-7F) - 1.0F) : magnitude / norm;
  reinterpret_cast<float*>(job.out)[index] = factor;
}
