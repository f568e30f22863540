#pragma once

/* What the host hands to the kernels of kinds.cu and rotations.cu: read by NVRTC too, so that nothing but built-in types stands here. */
#include "number_types.h"

namespace redux {

/** Numbers in the GPU's memory seen as a matrix: element (i, j) is number i · row_step + j · column_step from `data` on. */
struct GpuMatrix {
  unsigned long long data;
  int type;
  int row_step;
  int column_step;
  int unused;
};

/** For each of `batches`: out [rows, columns], in fp32, = left [rows, depth] · right [depth, columns]. */
struct GpuProduct {
  GpuMatrix left;
  GpuMatrix right;
  GpuMatrix out;
  int rows;
  int columns;
  int depth;
  int batches;
  /** Numbers from one batch's matrix to the next one's. */
  int left_step;
  int right_step;
  int out_step;
  unsigned first_tile;
};

/**
 * What is done to a weight's numbers v in the rows [first_row, end_row); a matrix' rows are counted from first_row on. In the last four,
 * number (i, j) takes element (i / block_rows, j / block_columns) of a, so that a vector with a step of 0 along one axis is a scale of rows
 * or of channels.
 */
enum GpuStepKind {
  kStepLowRank,    // v += scale · a · b, `depth` being a's columns
  kStepHadamard,   // v += scale · (a · b) ⊙ (c · d), depths `depth` and `second_depth`
  kStepKronecker,  // v += scale · a ⊗ b, b being [block_rows, block_columns]
  kStepAdd,        // v += scale · a
  kStepAssign,     // v = scale · a
  kStepScale,      // v *= offset + scale · a
};

struct GpuStep {
  GpuMatrix a;
  GpuMatrix b;
  GpuMatrix c;
  GpuMatrix d;
  int kind;
  int first_row;
  int end_row;
  int depth;
  int second_depth;
  int block_rows;
  int block_columns;
  float scale;
  float offset;
};

enum GpuSumAxis { kSumNothing, kSumRows, kSumColumns };

/**
 * A weight's numbers taken from `from`, steps done to them in fp32, and either stored in `to`, rounded once, or their squares summed: to
 * `to`, in fp32, the sums over each tile's columns [tiles across, rows] or over its rows [tiles down, columns].
 */
struct GpuPass {
  unsigned long long from;
  unsigned long long to;
  int from_type;
  int to_type;
  int rows;
  int columns;
  int first_step;
  int step_count;
  int sum_axis;
  /** Rows whose squares are summed. */
  int sum_first_row;
  int sum_end_row;
  /** What `bad_job` gets where a number that is stored is not finite. */
  int place;
  unsigned first_tile;
};

/**
 * DoRA's factor for each row or input channel, of a magnitude m and the sums of squares of a pass: m / norm, or
 * 1 + strength · (m / (norm + ε) − 1) where `is_relative`.
 */
struct GpuNorms {
  unsigned long long sums;
  unsigned long long out;
  GpuMatrix magnitude;
  int count;
  /** Sums to be added up for each: `tiles` rows of `stride` numbers, and `kernel` neighbours in each. */
  int tiles;
  int stride;
  int kernel;
  int first;
  int is_relative;
  float strength;
  unsigned first_tile;
};

/** The matrices I + strength · (R − I) of skew-symmetric ones Q, R = (I − factor · Q)(I + factor · Q)⁻¹; in fp32, [count, size, size]. */
struct GpuCayley {
  unsigned long long from;
  unsigned long long out;
  int from_type;
  int count;
  int size;
  /** 1: Q by the elements above its diagonal; 0: Q = blocks − blocksᵀ. */
  int is_triangle;
  /** 0: none; 1: of each matrix; 2: of all together. */
  int limited;
  float largest;
  float factor;
  float strength;
  unsigned first_tile;
};

/**
 * A matrix turned in blocks along one axis: out[place(i), o] = Σ rotations[i / size][i % size][k] · from[place(i / size · size + k), o].
 * place(i) reorders runs of numbers within each of `part`: those at even places first.
 */
struct GpuRotation {
  unsigned long long from;
  unsigned long long out;
  unsigned long long rotations;
  int from_type;
  int length;
  int others;
  int axis_step;
  int other_step;
  int size;
  /** One rotation for all blocks. */
  int is_shared;
  int part;
  int run;
  unsigned first_tile;
};

/** The part of a matrix that one block of threads computes, and its threads; a thread has 8 rows and 4 columns of it. */
enum { kKindRows = 128, kKindColumns = 64, kKindThreads = 256 };

/** The largest matrix that is inverted on the GPU: a row and a column of it are kept in shared memory. */
enum { kLargestCayley = 5120 };

}  // namespace redux
