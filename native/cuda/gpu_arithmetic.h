#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <vector>

#include "cuda_stream.h"
#include "device_buffer.h"
#include "kernel_module.h"
#include "pinned_buffer.h"
#include "kernels/kernel_types.h"

namespace redux {

/** A number type as the kernels count them: kGpuFloat32, kGpuFloat16 or kGpuBfloat16. */
using GpuType = int;

constexpr int kGpuTypes = 3;

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

/** The merge kernels: one for each type of weight, then those of bfloat_merges.cu, in the same order. */
constexpr std::size_t kMergeKernels = 2 * kGpuTypes;

/** The kernels of kernels/kernels.cu and kernels/bfloat_merges.cu, compiled ahead to PTX. All calls queue work on the stream; the same input gives the same bits. */
class GpuArithmetic {
 public:
  explicit GpuArithmetic(Cuda cuda);

  /** Queues all merges, in one launch of each kernel that has some. `FinishMerges` is to be called before the next ones are started. */
  void StartMerges(const CudaStream& stream, const std::vector<GpuMerge>& merges);
  /** Waits for them. Gives the position of a merge whose result has a NaN or an infinite number; none where all are finite. */
  std::optional<std::size_t> FinishMerges(const CudaStream& stream) const;
  void Convert(const CudaStream& stream, CUdeviceptr from, GpuType from_type, CUdeviceptr to, GpuType to_type, std::size_t count) const;

 private:
  const Cuda cuda_;
  const KernelModule kernels_;
  /** Only where the GPU can run them. */
  std::optional<const KernelModule> bfloat_merges_;
  std::array<CUfunction, kMergeKernels> merges_{};
  CUfunction convert_ = nullptr;
  DeviceBuffer tables_;
  /** What goes to `tables_`, and the flags that come back. */
  PinnedBuffer host_tables_;
  /** Of each kernel's jobs, their places among the merges that were started. */
  std::array<std::vector<std::size_t>, kMergeKernels> places_;
};

/** Jobs of one kernel with their tiles counted, and all their terms: the tables that it reads. */
struct MergeTables {
  std::vector<GpuMergeJob> jobs;
  std::vector<GpuTerm> terms;
  /** Of each job, its place among all merges. */
  std::vector<std::size_t> places;
  unsigned tiles = 0;
};
/** The tables of every merge kernel. Without `has_bfloat_units` (CudaDriver) those of bfloat_merges.cu have no jobs. */
std::array<MergeTables, kMergeKernels> MakeMergeTables(const std::vector<GpuMerge>& merges, bool has_bfloat_units);

}  // namespace redux
