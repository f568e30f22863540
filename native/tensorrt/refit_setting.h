#pragma once

#include <utility>
#include <vector>

#include "base_weights.h"
#include "refitter.h"

namespace redux {

/** A weight and where on the GPU its new values are. */
using PlacedWeight = std::pair<const WeightInfo*, CUdeviceptr>;

/**
 * New values that are set for the next refit, taken back when this goes: otherwise TensorRT would read their addresses again at every later
 * refit. All that it is given must outlive it.
 */
class RefitSetting {
 public:
  /** Sets these weights and, with the base's values, whatever TensorRT has fused with them. Where it throws, the stream's work is done. */
  RefitSetting(const Cuda& cuda, Refitter& refitter, const BaseWeights& base, Uploader& uploader, const CudaStream& stream,
               const std::vector<PlacedWeight>& placed);
  ~RefitSetting();
  RefitSetting(const RefitSetting&) = delete;
  RefitSetting& operator=(const RefitSetting&) = delete;

 private:
  void Set(const WeightInfo& weight, CUdeviceptr address);
  void SetSiblings(const Cuda& cuda, const BaseWeights& base, Uploader& uploader);

  Refitter& refitter_;
  /** Memory of fused siblings, which lives until the refit is done. */
  std::vector<DeviceBuffer> siblings_;
};

}  // namespace redux
