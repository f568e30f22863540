#pragma once

#include <cstddef>

#include "../cpu_features.h"
#include "../number_type.h"

namespace redux {

/**
 * The inner loops, written once over a vector class (kernels_template.h) and compiled once per instruction set. Every
 * set with a fused multiply-add gives the same bits, because each element is summed in the same order.
 */
struct Kernels {
  const char* name;
  /** Rows and columns of the tile that MergeTile computes in registers. */
  std::size_t tile_rows;
  std::size_t tile_columns;

  /** output[i] = input[i] in the other type, rounded to nearest even; the two may be of one type. */
  void (*convert)(const void* input, NumberType input_type, void* output, NumberType output_type, std::size_t count);

  /**
   * Copies rows [0, depth) of `down` (row length `stride`), `columns` wide, into panels of tile_columns: column panel p
   * starts at packed + p * panel_stride, and row k of a panel at k * tile_columns. Missing columns are zero.
   */
  void (*pack_down)(const void* down, NumberType type, std::size_t stride, std::size_t depth, std::size_t columns, float* packed,
                    std::size_t panel_stride);

  /**
   * output[r, c] = base[r, c] + Σ_k up[k, r] · down[k, c] for one tile of at most tile_rows × tile_columns.
   * `up` is [depth, tile_rows] and `down` [depth, tile_columns], padded with zeros; `stride` is the row length, in
   * elements, of base and output.
   */
  void (*merge_tile)(const float* up, const float* down, std::size_t depth, const void* base, NumberType base_type, void* output,
                     NumberType output_type, std::size_t stride, std::size_t rows, std::size_t columns);
};

/** The fastest kernels that this processor runs. */
const Kernels& BestKernels();

/** Every kernel set in this build that this processor runs, the plain one first. */
struct KernelList {
  const Kernels* sets[4];
  std::size_t count;
};
KernelList SupportedKernels(const CpuFeatures& features);

extern const Kernels kPlainKernels;
#if defined(REDUX_X86_64)
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;
#elif defined(REDUX_ARM64)
extern const Kernels kNeonKernels;
#endif

}  // namespace redux
