#pragma once

#include <atomic>
#include <cstddef>
#include <vector>

#include "kernels/kernels.h"
#include "number_type.h"

namespace redux {

/** A matrix in row-major order that somebody else owns. */
struct Matrix {
  const void* data;
  NumberType type;
};

/** scale · up · down, with up [rows, rank] and down [rank, columns]. */
struct LowRankFactor {
  Matrix up;
  Matrix down;
  std::size_t rank;
  float scale;
};

/** scale · values, with values [rows, columns]. */
struct DenseFactor {
  Matrix values;
  float scale;
};

/** One weight: output = base + Σ scale·up·down + Σ scale·values, all [rows, columns]; output may be base's memory. */
struct MergeJob {
  std::size_t rows;
  std::size_t columns;
  Matrix base;
  std::vector<LowRankFactor> low_rank;
  std::vector<DenseFactor> dense;
  void* output;
  NumberType output_type;
};

/**
 * Merges every job, in 32-bit floating point whatever the types are. The result does not depend on `threads`: each element is
 * summed by one thread, factor by factor in the order given. A job without factors is a copy (a conversion where types differ).
 * Returns false when `cancelled` became true before everything was done; outputs are then partly written.
 * Throws std::bad_alloc.
 */
bool MergeWeights(const Kernels& kernels, const std::vector<MergeJob>& jobs, std::size_t threads, const std::atomic<bool>& cancelled);

}  // namespace redux
