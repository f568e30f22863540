#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "../cuda/cuda_stream.h"
#include "engine.h"

namespace redux {

/** Replaces weights of a loaded engine by others that stand on the GPU. */
class Refitter {
 public:
  /** @param known the names whose base values can be supplied */
  Refitter(const TensorRtLibrary& library, const Engine& engine, Logger& logger, const std::vector<std::string>& known);

  /** Names that the engine can change but nobody can supply, and known ones that the engine does not have. */
  const std::vector<std::string>& unknown() const {
    return unknown_;
  }
  const std::vector<std::string>& absent() const {
    return absent_;
  }
  bool Has(const std::string& name) const;

  /** For the next refit; the memory must stay until that is done, or until Clear. */
  void Set(const std::string& name, nvinfer1::DataType type, CUdeviceptr values, std::int64_t count);
  /** What must be set too, because TensorRT has fused it with something that was. */
  std::vector<std::string> Missing() const;
  /** Takes back what was set: TensorRT keeps the addresses and would read them again at every later refit. */
  void Clear();
  /** Refits what was set and waits. After a failure some weights may have changed and others not: the engine must not be used. */
  void Refit(const CudaStream& stream);

 private:
  std::vector<std::string> All() const;

  Logger& logger_;
  std::unique_ptr<nvinfer1::IRefitter> refitter_;
  std::unordered_set<std::string> names_;
  std::vector<std::string> set_;
  std::vector<std::string> unknown_;
  std::vector<std::string> absent_;
};

}  // namespace redux
