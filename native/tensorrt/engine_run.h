#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../cuda/cuda_stream.h"
#include "../cuda/device_buffer.h"
#include "engine.h"

namespace redux {

/** The sizes of an engine's inputs, by their names. */
using InputShapes = std::map<std::string, std::vector<std::int64_t>>;

/**
 * A way of running an engine: an execution context with its inputs' sizes, the buffers of its inputs and outputs, and the CUDA graph that
 * the run was captured as.
 */
class EngineRun {
 public:
  /** @param scratch memory of the size that the engine asks for; runs that are in one stream may share it; must outlive this */
  EngineRun(const Engine& engine, Logger& logger, const DeviceBuffer& scratch);

  /**
   * Takes the inputs' sizes and gives every tensor memory for them; memory that is large enough is kept. Nothing may be running. Throws
   * NativeError("option.invalid") where a size is outside the profile; nothing has changed then.
   */
  void Prepare(const InputShapes& shapes);
  /** Whether it is prepared for these sizes. */
  bool Has(const InputShapes& shapes) const {
    return is_prepared_ && shapes == shapes_;
  }
  bool is_prepared() const {
    return is_prepared_;
  }
  /** After Prepare. */
  const std::vector<std::int64_t>& ShapeOf(const std::string& name) const;
  CUdeviceptr AddressOf(const std::string& name) const;
  std::size_t BytesOf(const std::string& name) const;
  const TensorInfo& InfoOf(const std::string& name) const {
    return Find(name).info;
  }
  /**
   * Queues one run. With `as_graph`, the first run after a change of shapes or weights is an ordinary one, which prepares what must not be
   * captured, and those after it are launches of one captured graph. Where it cannot be captured all runs are ordinary ones.
   */
  void Enqueue(const CudaStream& stream, bool as_graph);
  /** To be called when the engine's weights have changed: the graph is captured anew before it is used again. */
  void WeightsChanged();
  /** Why runs are not launched as a graph; empty where they are, or were not asked to be yet. */
  const std::string& graph_problem() const {
    return graph_problem_;
  }
  void SetProfiler(nvinfer1::IProfiler* profiler);
  /** Bytes of the tensors' buffers. */
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
  void CheckShape(const std::string& name, const std::vector<std::int64_t>& shape) const;
  void EnqueueOnce(const CudaStream& stream);
  /** False: the run cannot be captured. */
  bool Capture(const CudaStream& stream);

  const Engine& engine_;
  Logger& logger_;
  std::unique_ptr<nvinfer1::IExecutionContext> context_;
  std::map<std::string, Binding> bindings_;
  InputShapes shapes_;
  bool is_prepared_ = false;
  std::unique_ptr<CudaGraph> graph_;
  /** Whether the graph may have been captured with other weights. */
  bool is_graph_stale_ = false;
  bool ran_once_ = false;
  std::string graph_problem_;
};

}  // namespace redux
