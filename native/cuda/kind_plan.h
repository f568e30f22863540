#pragma once

#include <cstddef>
#include <vector>

#include "cuda_types.h"
#include "kernels/kind_types.h"

namespace redux {

/** Numbers on the GPU. */
struct KindBuffer {
  CUdeviceptr address = 0;
  int type = kGpuFloat32;
  std::size_t count = 0;
};

/**
 * How a weight's new values come from its base's and from a change's factors: operations one after the other, as
 * src/engines/tensorrt/kind-program.ts writes them. A buffer is known by its number: 0 the base's values, 1 the new ones, then the factors, then
 * scratch memory in fp32.
 */
struct KindProgram {
  KindBuffer base;
  KindBuffer out;
  int rows = 0;
  int columns = 0;
  std::vector<KindBuffer> factors;
  /** Numbers in each piece of scratch memory. */
  std::vector<std::size_t> scratch;
  const double* code = nullptr;
  std::size_t length = 0;
};

enum class KindKernel { kProducts, kPasses, kNorms, kCayley, kRotations };

/** One launch: `blocks` blocks of threads work on `jobs` jobs, which stand `offset` bytes into the tables. */
struct KindLaunch {
  KindKernel kernel = KindKernel::kPasses;
  std::size_t offset = 0;
  int jobs = 0;
  unsigned blocks = 0;
};

/** What is launched for many weights. The steps of all passes stand at the tables' beginning. */
struct KindPlan {
  std::vector<char> tables;
  std::vector<KindLaunch> launches;
};

/**
 * Programs in waves that share scratch memory: of how many bytes, and where in `programs` each wave ends. A wave's own programs have scratch
 * memory of their own.
 */
struct KindWaves {
  std::size_t scratch_bytes = 0;
  std::vector<std::size_t> ends;
};
KindWaves MakeKindWaves(const std::vector<KindProgram>& programs);

/**
 * The first operations of all programs of a wave together, then the second ones, and so on: each kernel is launched once for them.
 * @param scratch address of as many bytes as the waves need
 * Throws NativeError("delta.invalid") where an operation reaches beyond a buffer.
 */
KindPlan MakeKindPlan(const std::vector<KindProgram>& programs, const KindWaves& waves, CUdeviceptr scratch);

}  // namespace redux
