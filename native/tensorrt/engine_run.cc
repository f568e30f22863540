#include "engine_run.h"

#include <utility>

#include "../cuda/native_error.h"

namespace redux {

namespace {
std::string ShapeText(const std::vector<std::int64_t>& shape) {
  std::string text;
  for (const std::int64_t size : shape) text += (text.empty() ? "" : "x") + std::to_string(size);
  return text;
}

nvinfer1::Dims ToDims(const std::vector<std::int64_t>& shape) {
  nvinfer1::Dims dims{};
  dims.nbDims = static_cast<int32_t>(shape.size());
  for (std::size_t i = 0; i < shape.size(); ++i) dims.d[i] = shape[i];
  return dims;
}
}  // namespace

EngineRun::EngineRun(const Engine& engine, Logger& logger, const DeviceBuffer& scratch) : engine_(engine), logger_(logger) {
  context_ = engine.CreateContext();
  if (!context_) ThrowTrouble(logger, "gives no execution context");
  context_->setDeviceMemoryV2(scratch.bytes() > 0 ? scratch.pointer() : nullptr, static_cast<std::int64_t>(scratch.bytes()));
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

void EngineRun::CheckShape(const std::string& name, const std::vector<std::int64_t>& shape) const {
  const TensorInfo& info = Find(name).info;
  bool fits = info.is_input && shape.size() == info.shape.size();
  for (std::size_t i = 0; fits && i < shape.size(); ++i) fits = shape[i] >= info.min[i] && shape[i] <= info.max[i];
  if (fits) return;
  throw NativeError("option.invalid", "The engine takes \"" + name + "\" from " + ShapeText(info.min) + " to " + ShapeText(info.max) +
                                          ", not " + ShapeText(shape) + ". Export the checkpoint again with a profile that holds it.");
}

void EngineRun::Prepare(const InputShapes& shapes) {
  if (Has(shapes)) return;
  for (const auto& [name, shape] : shapes) CheckShape(name, shape);
  is_prepared_ = false;
  graph_.reset();
  ran_once_ = false;
  graph_problem_.clear();
  for (const auto& [name, shape] : shapes) {
    if (!context_->setInputShape(name.c_str(), ToDims(shape))) ThrowTrouble(logger_, "refuses " + ShapeText(shape) + " for \"" + name + "\"");
    Find(name).shape = shape;
  }
  for (auto& [name, binding] : bindings_) {
    if (!binding.info.is_input) binding.shape = SizesOf(context_->getTensorShape(name.c_str()));
    std::size_t bytes = redux::BytesOf(binding.info.type);
    if (binding.shape.size() != binding.info.shape.size()) {
      throw NativeError("engine.failed", "The shape of \"" + name + "\" is not known: an input's shape was not set.");
    }
    for (const std::int64_t size : binding.shape) {
      if (size < 0) throw NativeError("engine.failed", "The shape of \"" + name + "\" is not known: an input's shape was not set.");
      bytes *= static_cast<std::size_t>(size);
    }
    binding.bytes = bytes;
    if (binding.buffer.bytes() >= bytes && binding.buffer.address() != 0) continue;
    binding.buffer = DeviceBuffer();
    binding.buffer = DeviceBuffer(engine_.cuda(), bytes > 0 ? bytes : 1);
    if (!context_->setTensorAddress(name.c_str(), binding.buffer.pointer())) ThrowTrouble(logger_, "refuses the memory of \"" + name + "\"");
  }
  shapes_ = shapes;
  is_prepared_ = true;
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
  if (!context_->enqueueV3(stream.get())) ThrowTrouble(logger_, "cannot run the engine");
}

void EngineRun::WeightsChanged() {
  // A refit writes the new values where the old ones were, but that is nowhere promised of all that a graph holds.
  is_graph_stale_ = true;
  ran_once_ = false;
}

void EngineRun::Enqueue(const CudaStream& stream, bool as_graph) {
  const bool may_launch = as_graph && ran_once_ && graph_problem_.empty();
  if (!may_launch || ((!graph_ || is_graph_stale_) && !Capture(stream))) {
    EnqueueOnce(stream);
    ran_once_ = true;
    return;
  }
  graph_->Launch(stream);
}

bool EngineRun::Capture(const CudaStream& stream) {
  const Cuda& cuda = engine_.cuda();
  stream.Wait();
  try {
    CapturedGraph::Begin(cuda, stream);
    const bool is_queued = context_->enqueueV3(stream.get());
    const std::string trouble = is_queued ? "" : logger_.TakeTrouble();
    const CapturedGraph captured(cuda, stream);
    if (!is_queued) throw NativeError("engine.failed", trouble.empty() ? "it does not say why" : trouble);
    if (!graph_ || !graph_->Update(captured)) {
      graph_.reset();
      graph_ = std::make_unique<CudaGraph>(cuda, captured);
    }
  } catch (const NativeError& error) {
    graph_.reset();
    graph_problem_ = error.what();
    return false;
  }
  is_graph_stale_ = false;
  return true;
}

void EngineRun::SetProfiler(nvinfer1::IProfiler* profiler) {
  context_->setProfiler(profiler);
}

std::size_t EngineRun::BufferBytes() const {
  std::size_t bytes = 0;
  for (const auto& [name, binding] : bindings_) bytes += binding.buffer.bytes();
  return bytes;
}

}  // namespace redux
