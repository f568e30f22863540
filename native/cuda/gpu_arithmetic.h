#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "cuda_stream.h"
#include "device_buffer.h"
#include "kernels/kernel_types.h"

namespace redux {

/** A number type as the kernels count them: kGpuFloat32, kGpuFloat16 or kGpuBfloat16. */
using GpuType = int;

constexpr std::size_t BytesOfGpuType(GpuType type) {
  return type == kGpuFloat32 ? 4 : 2;
}

/** out = base + the sum of the terms (kernel_types.h); base and out are [rows, columns] numbers of `type` and may be the same memory. */
struct GpuMerge {
  CUdeviceptr base = 0;
  CUdeviceptr out = 0;
  GpuType type = kGpuFloat32;
  int rows = 0;
  int columns = 0;
  std::vector<GpuTerm> terms;
};

/** The kernels of kernels/kernels.cu, compiled ahead to PTX. All calls queue work on the stream; the same input gives the same bits. */
class GpuArithmetic {
 public:
  explicit GpuArithmetic(Cuda cuda);
  ~GpuArithmetic();
  GpuArithmetic(const GpuArithmetic&) = delete;
  GpuArithmetic& operator=(const GpuArithmetic&) = delete;

  /**
   * All merges in one launch for each type; waits for them. Gives the position of a merge whose result has a NaN or an infinite number; none
   * where all are finite.
   */
  std::optional<std::size_t> Merge(const CudaStream& stream, const std::vector<GpuMerge>& merges);
  void Convert(const CudaStream& stream, CUdeviceptr from, GpuType from_type, CUdeviceptr to, GpuType to_type, std::size_t count) const;

 private:
  CUfunction Find(const char* name) const;

  const Cuda cuda_;
  CUmodule module_ = nullptr;
  CUfunction merge_[3] = {};
  CUfunction convert_ = nullptr;
  DeviceBuffer tables_;
};

/** Jobs of one type with their tiles counted, and all their terms: the tables that a merge kernel reads. */
struct MergeTables {
  std::vector<GpuMergeJob> jobs;
  std::vector<GpuTerm> terms;
  /** Of each job, its place among all merges. */
  std::vector<std::size_t> places;
  unsigned tiles = 0;
};
MergeTables MakeMergeTables(const std::vector<GpuMerge>& merges, GpuType type);

}  // namespace redux
