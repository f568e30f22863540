#pragma once

/* What the host hands to the merge kernels: read by NVRTC too, so that nothing but built-in types stands here. */
#include "number_types.h"

namespace redux {

/** One change of a weight. rank > 0: scale · up [rows, rank] · down [rank, columns]; rank 0: scale · values [rows, columns] in `up`. */
struct GpuTerm {
  unsigned long long up;
  unsigned long long down;
  int up_type;
  int down_type;
  int rank;
  float scale;
};

/** out = base + the sum of `term_count` terms from `first_term` on; base and out are [rows, columns] of the kernel's type. */
struct GpuMergeJob {
  unsigned long long base;
  unsigned long long out;
  int rows;
  int columns;
  int first_term;
  int term_count;
  /** Tiles of all jobs before this one; a job has ceil(rows / 128) · ceil(columns / 128). */
  unsigned first_tile;
  /**
   * 1 where the matrix units can do it: a term's factors are of one 16-bit type that the kernel's units multiply, and every row of a matrix with
   * `columns` begins at a multiple of 16 bytes.
   */
  int in_halves;
};

/** Rows and columns of the part of a weight that one block of threads computes. */
enum { kMergeTile = 128, kMergeThreads = 256 };

}  // namespace redux
