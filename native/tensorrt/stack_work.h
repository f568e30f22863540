#pragma once

#include <vector>

#include "../cuda/kind_arithmetic.h"
#include "base_weights.h"
#include "refit_setting.h"
#include "weight_change.h"

namespace redux {

/** Hands out device memory piece by piece. */
class Arena {
 public:
  explicit Arena(const DeviceBuffer& buffer) : start_(buffer.address()) {}

  CUdeviceptr Take(std::size_t bytes) {
    const CUdeviceptr address = start_ + used_;
    used_ += Aligned(bytes);
    return address;
  }

 private:
  const CUdeviceptr start_;
  std::size_t used_ = 0;
};

/** What a new stack does to the weights. */
struct NewStack {
  const std::vector<WeightChange>& changes;
  /** Of each change, its weight. */
  const std::vector<const WeightInfo*>& changed;
  /** Those that get the base's values back. */
  const std::vector<const WeightInfo*>& restored;
};

/** What is to be done on the GPU for one new stack: copies, then merges and programs, then a refit with what is placed. */
struct StackWork {
  std::vector<HostPiece> pieces;
  std::vector<GpuMerge> merges;
  /** Of each merge, and of each program, its weight. */
  std::vector<const WeightInfo*> merged;
  std::vector<KindProgram> programs;
  std::vector<const WeightInfo*> programmed;
  std::vector<PlacedWeight> placed;
};

/** Bytes of memory that the new values of a stack need. */
std::size_t BytesOf(const NewStack& stack, const BaseWeights& base);

/** @param memory where the new values go; the stack and the factors must outlive what is returned */
StackWork PlanStack(const NewStack& stack, const BaseWeights& base, const FactorStore::Draft& factors, const DeviceBuffer& memory);

}  // namespace redux
