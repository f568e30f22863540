#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../cuda/cuda_stream.h"
#include "../cuda/device_buffer.h"
#include "tensorrt_library.h"

namespace redux {

/** An input or output of an engine; a size of -1 is dynamic. The ranges are of inputs alone. */
struct TensorInfo {
  std::string name;
  bool is_input = false;
  nvinfer1::DataType type = nvinfer1::DataType::kFLOAT;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> min;
  std::vector<std::int64_t> max;
};

/** Bytes of one element, for the whole-byte types that networks here use; throws NativeError for others. */
std::size_t BytesOf(nvinfer1::DataType type);

/** A plan loaded onto the GPU. The library and the logger must outlive it. */
class Engine {
 public:
  Engine(const TensorRtLibrary& library, Cuda cuda, Logger& logger, const std::string& plan_file);

  nvinfer1::ICudaEngine& get() const {
    return *engine_;
  }
  const Cuda& cuda() const {
    return cuda_;
  }
  const std::vector<TensorInfo>& tensors() const {
    return tensors_;
  }
  std::size_t plan_bytes() const {
    return plan_bytes_;
  }
  /** JSON of all layers, as detailed as the plan was built. */
  std::string DescribeLayers() const;

 private:
  const Cuda cuda_;
  std::unique_ptr<nvinfer1::IRuntime> runtime_;
  std::unique_ptr<nvinfer1::ICudaEngine> engine_;
  std::vector<TensorInfo> tensors_;
  std::size_t plan_bytes_ = 0;
};

/** A way of running an engine: its scratch memory and the buffers of its inputs and outputs. */
class EngineRun {
 public:
  EngineRun(const Engine& engine, Logger& logger);

  /** Throws NativeError("option.invalid") where the size is outside the profile. */
  void SetInputShape(const std::string& name, const std::vector<std::int64_t>& shape);
  /** Gives every tensor memory of the size that the inputs' shapes ask for; memory that is large enough is kept. */
  void Prepare();
  /** After Prepare. */
  const std::vector<std::int64_t>& ShapeOf(const std::string& name) const;
  CUdeviceptr AddressOf(const std::string& name) const;
  std::size_t BytesOf(const std::string& name) const;
  const TensorInfo& InfoOf(const std::string& name) const {
    return Find(name).info;
  }
  /**
   * Queues one run. With `as_graph`, the first run after a change of shapes or weights is an ordinary one, which prepares what must not be
   * captured, and those after it are launches of one captured graph.
   */
  void Enqueue(const CudaStream& stream, bool as_graph);
  /** To be called when the engine's weights have changed. */
  void ForgetGraph();
  void SetProfiler(nvinfer1::IProfiler* profiler);
  /** Bytes of scratch memory and of the tensors' buffers. */
  std::size_t ScratchBytes() const;
  std::size_t BufferBytes() const;

 private:
  struct Binding {
    TensorInfo info;
    std::vector<std::int64_t> shape;
    std::size_t bytes = 0;
    DeviceBuffer buffer;
  };
  Binding& Find(const std::string& name);
  const Binding& Find(const std::string& name) const;
  void EnqueueOnce(const CudaStream& stream);

  const Engine& engine_;
  Logger& logger_;
  std::unique_ptr<nvinfer1::IExecutionContext> context_;
  std::map<std::string, Binding> bindings_;
  std::unique_ptr<CudaGraph> graph_;
  bool ran_once_ = false;
};

}  // namespace redux
