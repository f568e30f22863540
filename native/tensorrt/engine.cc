#include "engine.h"

#include <utility>

#include "../cuda/native_error.h"
#include "files.h"

namespace redux {

std::vector<std::int64_t> SizesOf(const nvinfer1::Dims& dims) {
  return std::vector<std::int64_t>(dims.d, dims.d + (dims.nbDims > 0 ? dims.nbDims : 0));
}

std::size_t BytesOf(nvinfer1::DataType type) {
  switch (type) {
    case nvinfer1::DataType::kINT64:
      return 8;
    case nvinfer1::DataType::kFLOAT:
    case nvinfer1::DataType::kINT32:
      return 4;
    case nvinfer1::DataType::kHALF:
    case nvinfer1::DataType::kBF16:
      return 2;
    case nvinfer1::DataType::kBOOL:
    case nvinfer1::DataType::kINT8:
    case nvinfer1::DataType::kUINT8:
    case nvinfer1::DataType::kFP8:
      return 1;
    default:
      throw NativeError("engine.failed", "The engine has an input or output of a type that takes no whole bytes.");
  }
}

Engine::Engine(const TensorRtLibrary& library, Cuda cuda, Logger& logger, const std::string& plan_file, const std::string& jit_cache_file)
    : cuda_(std::move(cuda)), runtime_(library.CreateRuntime(logger)) {
  const MappedFile plan(plan_file);
  plan_bytes_ = plan.bytes();
  plan.Populate();
  engine_.reset(runtime_->deserializeCudaEngine(plan.data(), plan.bytes()));
  if (!engine_) ThrowTrouble(logger, "cannot load " + plan_file);
  jit_cache_ = std::make_unique<JitCache>(*engine_, jit_cache_file);
  for (int32_t i = 0; i < engine_->getNbIOTensors(); ++i) {
    const char* name = engine_->getIOTensorName(i);
    TensorInfo info;
    info.name = name;
    info.is_input = engine_->getTensorIOMode(name) == nvinfer1::TensorIOMode::kINPUT;
    info.type = engine_->getTensorDataType(name);
    info.shape = SizesOf(engine_->getTensorShape(name));
    if (info.is_input) {
      info.min = SizesOf(engine_->getProfileShape(name, 0, nvinfer1::OptProfileSelector::kMIN));
      info.max = SizesOf(engine_->getProfileShape(name, 0, nvinfer1::OptProfileSelector::kMAX));
    }
    tensors_.push_back(std::move(info));
  }
}

std::string Engine::DescribeLayers() const {
  const std::unique_ptr<nvinfer1::IEngineInspector> inspector(engine_->createEngineInspector());
  const char* text = inspector ? inspector->getEngineInformation(nvinfer1::LayerInformationFormat::kJSON) : nullptr;
  return text ? text : "";
}

}  // namespace redux
