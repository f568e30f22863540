#pragma once

#include <optional>
#include <vector>

#include "cuda_stream.h"
#include "device_buffer.h"
#include "kind_plan.h"
#include "pinned_buffer.h"

namespace redux {

/** The kernels of kinds.cu and rotations.cu. The same input gives the same bits. */
class KindArithmetic {
 public:
  explicit KindArithmetic(Cuda cuda);
  ~KindArithmetic();
  KindArithmetic(const KindArithmetic&) = delete;
  KindArithmetic& operator=(const KindArithmetic&) = delete;

  /** Queues all programs. `Finish` is to be called before the next ones are started. */
  void Start(const CudaStream& stream, const std::vector<KindProgram>& programs);
  /** Waits for them. Gives the position of one whose new values have a NaN or an infinite number; none where all are finite. */
  std::optional<std::size_t> Finish(const CudaStream& stream) const;
  /** Bytes that are kept for the next call. */
  std::size_t Bytes() const {
    return tables_.bytes() + scratch_.bytes();
  }

 private:
  CUfunction Find(CUmodule module, const char* name) const;
  CUfunction FunctionOf(KindKernel kernel) const;

  const Cuda cuda_;
  CUmodule kinds_ = nullptr;
  CUmodule rotations_ = nullptr;
  CUfunction products_ = nullptr;
  CUfunction passes_ = nullptr;
  CUfunction norms_ = nullptr;
  CUfunction cayley_ = nullptr;
  CUfunction turns_ = nullptr;
  DeviceBuffer tables_;
  /** What goes to `tables_`, and the flag that comes back. */
  PinnedBuffer host_tables_;
  DeviceBuffer scratch_;
};

}  // namespace redux
