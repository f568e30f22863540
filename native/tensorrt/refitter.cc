#include "refitter.h"

#include <unordered_set>

namespace redux {

Refitter::Refitter(const TensorRtLibrary& library, const Engine& engine, Logger& logger, const std::vector<std::string>& known)
    : logger_(logger), refitter_(library.CreateRefitter(engine.get(), logger)) {
  // What is set are sums of finite numbers; looking at each again costs time.
  refitter_->setWeightsValidation(false);
  const std::unordered_set<std::string> supplied(known.begin(), known.end());
  for (const std::string& name : All()) {
    names_.insert(name);
    if (supplied.count(name) == 0) unknown_.push_back(name);
  }
  for (const std::string& name : known) {
    if (!Has(name)) absent_.push_back(name);
  }
}

bool Refitter::Has(const std::string& name) const {
  return names_.count(name) > 0;
}

std::vector<std::string> Refitter::All() const {
  std::vector<const char*> names(static_cast<std::size_t>(refitter_->getAllWeights(0, nullptr)));
  refitter_->getAllWeights(static_cast<int32_t>(names.size()), names.data());
  return std::vector<std::string>(names.begin(), names.end());
}

std::vector<std::string> Refitter::Missing() const {
  std::vector<const char*> names(static_cast<std::size_t>(refitter_->getMissingWeights(0, nullptr)));
  refitter_->getMissingWeights(static_cast<int32_t>(names.size()), names.data());
  return std::vector<std::string>(names.begin(), names.end());
}

void Refitter::Set(const std::string& name, nvinfer1::DataType type, CUdeviceptr values, std::int64_t count) {
  const nvinfer1::Weights weights{type, reinterpret_cast<const void*>(values), count};
  if (!refitter_->setNamedWeights(name.c_str(), weights, nvinfer1::TensorLocation::kDEVICE)) ThrowTrouble(logger_, "refuses new values of " + name);
  set_.push_back(name);
}

void Refitter::Clear() {
  for (const std::string& name : set_) refitter_->unsetNamedWeights(name.c_str());
  set_.clear();
}

void Refitter::Refit(const CudaStream& stream) {
  if (!refitter_->refitCudaEngineAsync(stream.get())) ThrowTrouble(logger_, "cannot refit the engine");
  stream.Wait();
}

}  // namespace redux
