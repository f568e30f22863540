#pragma once

#include <optional>
#include <vector>

#include "cuda_stream.h"
#include "device_buffer.h"
#include "kind_plan.h"

namespace redux {

/** The kernels of kinds.cu and rotations.cu. The same input gives the same bits. */
class KindArithmetic {
 public:
  explicit KindArithmetic(Cuda cuda);
  ~KindArithmetic();
  KindArithmetic(const KindArithmetic&) = delete;
  KindArithmetic& operator=(const KindArithmetic&) = delete;

  /** Runs all programs and waits. Gives the position of one whose new values have a NaN or an infinite number; none where all are finite. */
  std::optional<std::size_t> Run(const CudaStream& stream, const std::vector<KindProgram>& programs);
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
  DeviceBuffer scratch_;
};

}  // namespace redux
