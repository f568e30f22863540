#include "engine.h"

#include <utility>

#include "../cuda/native_error.h"
#include "files.h"

namespace redux {

namespace {
std::vector<std::int64_t> Sizes(const nvinfer1::Dims& dims) {
  return std::vector<std::int64_t>(dims.d, dims.d + (dims.nbDims > 0 ? dims.nbDims : 0));
}

std::string ShapeText(const std::vector<std::int64_t>& shape) {
  std::string text;
  for (const std::int64_t size : shape) text += (text.empty() ? "" : "x") + std::to_string(size);
  return text;
}

[[noreturn]] void Fail(Logger& logger, const std::string& what) {
  const std::string trouble = logger.TakeTrouble();
  const bool memory = trouble.find("ut of memory") != std::string::npos || trouble.find("OutOfMemory") != std::string::npos;
  throw NativeError(memory ? "gpu.memory" : "engine.failed", std::string(kFlavour) + " " + what + ": " +
                                                                 (trouble.empty() ? "it does not say why" : trouble));
}
}  // namespace

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

Engine::Engine(const TensorRtLibrary& library, Cuda cuda, Logger& logger, const std::string& plan_file)
    : cuda_(std::move(cuda)), runtime_(library.CreateRuntime(logger)) {
  const MappedFile plan(plan_file);
  plan_bytes_ = plan.bytes();
  engine_.reset(runtime_->deserializeCudaEngine(plan.data(), plan.bytes()));
  if (!engine_) Fail(logger, "cannot load " + plan_file);
  for (int32_t i = 0; i < engine_->getNbIOTensors(); ++i) {
    const char* name = engine_->getIOTensorName(i);
    TensorInfo info;
    info.name = name;
    info.is_input = engine_->getTensorIOMode(name) == nvinfer1::TensorIOMode::kINPUT;
    info.type = engine_->getTensorDataType(name);
    info.shape = Sizes(engine_->getTensorShape(name));
    if (info.is_input) {
      info.min = Sizes(engine_->getProfileShape(name, 0, nvinfer1::OptProfileSelector::kMIN));
      info.max = Sizes(engine_->getProfileShape(name, 0, nvinfer1::OptProfileSelector::kMAX));
    }
    tensors_.push_back(std::move(info));
  }
}

std::string Engine::DescribeLayers() const {
  const std::unique_ptr<nvinfer1::IEngineInspector> inspector(engine_->createEngineInspector());
  const char* text = inspector ? inspector->getEngineInformation(nvinfer1::LayerInformationFormat::kJSON) : nullptr;
  return text ? text : "";
}

EngineRun::EngineRun(const Engine& engine, Logger& logger) : engine_(engine), logger_(logger) {
  context_.reset(engine.get().createExecutionContext());
  if (!context_) Fail(logger, "gives no execution context");
  for (const TensorInfo& info : engine.tensors()) bindings_[info.name].info = info;
}

EngineRun::Binding& EngineRun::Find(const std::string& name) {
  return const_cast<Binding&>(static_cast<const EngineRun&>(*this).Find(name));
}

const EngineRun::Binding& EngineRun::Find(const std::string& name) const {
  const auto found = bindings_.find(name);
  if (found == bindings_.end()) throw NativeError("engine.failed", "The engine has no input or output \"" + name + "\".");
  return found->second;
}

void EngineRun::SetInputShape(const std::string& name, const std::vector<std::int64_t>& shape) {
  Binding& binding = Find(name);
  if (binding.shape == shape) return;
  const TensorInfo& info = binding.info;
  bool fits = info.is_input && shape.size() == info.shape.size();
  for (std::size_t i = 0; fits && i < shape.size(); ++i) fits = shape[i] >= info.min[i] && shape[i] <= info.max[i];
  if (!fits) {
    throw NativeError("option.invalid", "The engine takes \"" + name + "\" from " + ShapeText(info.min) + " to " + ShapeText(info.max) +
                                            ", not " + ShapeText(shape) + ". Export the checkpoint again with a profile that holds it.");
  }
  nvinfer1::Dims dims{};
  dims.nbDims = static_cast<int32_t>(shape.size());
  for (std::size_t i = 0; i < shape.size(); ++i) dims.d[i] = shape[i];
  ForgetGraph();
  if (!context_->setInputShape(name.c_str(), dims)) Fail(logger_, "refuses " + ShapeText(shape) + " for \"" + name + "\"");
  binding.shape = shape;
}

void EngineRun::Prepare() {
  for (auto& [name, binding] : bindings_) {
    if (!binding.info.is_input) binding.shape = Sizes(context_->getTensorShape(name.c_str()));
    std::size_t bytes = redux::BytesOf(binding.info.type);
    for (const std::int64_t size : binding.shape) {
      if (size < 0) throw NativeError("engine.failed", "The shape of \"" + name + "\" is not known: an input's shape was not set.");
      bytes *= static_cast<std::size_t>(size);
    }
    binding.bytes = bytes;
    if (binding.buffer.bytes() >= bytes && binding.buffer.address() != 0) continue;
    ForgetGraph();
    binding.buffer = DeviceBuffer();
    binding.buffer = DeviceBuffer(engine_.cuda(), bytes > 0 ? bytes : 1);
    if (!context_->setTensorAddress(name.c_str(), binding.buffer.pointer())) Fail(logger_, "refuses the memory of \"" + name + "\"");
  }
}

const std::vector<std::int64_t>& EngineRun::ShapeOf(const std::string& name) const {
  return Find(name).shape;
}

CUdeviceptr EngineRun::AddressOf(const std::string& name) const {
  return Find(name).buffer.address();
}

std::size_t EngineRun::BytesOf(const std::string& name) const {
  return Find(name).bytes;
}

void EngineRun::EnqueueOnce(const CudaStream& stream) {
  if (!context_->enqueueV3(stream.get())) Fail(logger_, "cannot run the engine");
}

void EngineRun::ForgetGraph() {
  graph_.reset();
  ran_once_ = false;
}

void EngineRun::Enqueue(const CudaStream& stream, bool as_graph) {
  if (!as_graph || !ran_once_) {
    EnqueueOnce(stream);
    ran_once_ = true;
    return;
  }
  if (!graph_) {
    stream.Wait();
    CudaGraph::Begin(engine_.cuda(), stream);
    try {
      EnqueueOnce(stream);
    } catch (...) {
      try {
        const CudaGraph discarded(engine_.cuda(), stream);
      } catch (const NativeError&) {
        // The capture had to be ended; why it failed is told by the first error.
      }
      throw;
    }
    graph_ = std::make_unique<CudaGraph>(engine_.cuda(), stream);
  }
  graph_->Launch(stream);
}

void EngineRun::SetProfiler(nvinfer1::IProfiler* profiler) {
  context_->setProfiler(profiler);
}

std::size_t EngineRun::ScratchBytes() const {
  return static_cast<std::size_t>(engine_.get().getDeviceMemorySizeV2());
}

std::size_t EngineRun::BufferBytes() const {
  std::size_t bytes = 0;
  for (const auto& [name, binding] : bindings_) bytes += binding.buffer.bytes();
  return bytes;
}

}  // namespace redux
