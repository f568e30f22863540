#pragma once

#include <array>
#include <optional>
#include <vector>

#include "cuda_stream.h"
#include "device_buffer.h"
#include "kernel_module.h"
#include "kind_plan.h"
#include "pinned_buffer.h"

namespace redux {

/** The kernels of kinds.cu and rotations.cu; those of bfloat_kinds.cu where factors are bf16. The same input gives the same bits. */
class KindArithmetic {
 public:
  explicit KindArithmetic(Cuda cuda);

  /** Queues all programs. `Finish` is to be called before the next ones are started. */
  void Start(const CudaStream& stream, const std::vector<KindProgram>& programs);
  /** Waits for them. Gives the position of one whose new values have a NaN or an infinite number; none where all are finite. */
  std::optional<std::size_t> Finish(const CudaStream& stream) const;
  /** Bytes that are kept for the next call. */
  std::size_t Bytes() const {
    return tables_.bytes() + scratch_.bytes();
  }

 private:
  /** In the order of KindKernel. */
  using Kernels = std::array<CUfunction, 5>;
  Kernels FindKernels(const KernelModule& kinds) const;

  const Cuda cuda_;
  const KernelModule kinds_;
  const KernelModule rotations_;
  /** Only where the GPU can run them. */
  std::optional<const KernelModule> bfloat_kinds_;
  const Kernels kernels_;
  Kernels bfloat_kernels_{};
  DeviceBuffer tables_;
  /** What goes to `tables_`, and the flag that comes back. */
  PinnedBuffer host_tables_;
  DeviceBuffer scratch_;
};

}  // namespace redux
