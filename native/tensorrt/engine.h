#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../cuda/cuda_driver.h"
#include "jit_cache.h"
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

std::vector<std::int64_t> SizesOf(const nvinfer1::Dims& dims);

/** A plan loaded onto the GPU. The library and the logger must outlive it. */
class Engine {
 public:
  /** @param jit_cache_file where TensorRT-RTX keeps what it compiles for this engine; empty: nowhere */
  Engine(const TensorRtLibrary& library, Cuda cuda, Logger& logger, const std::string& plan_file, const std::string& jit_cache_file = "");

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
  /** One that uses scratch memory of its owner's; null where TensorRT gives none. */
  std::unique_ptr<nvinfer1::IExecutionContext> CreateContext() const {
    return jit_cache_->CreateContext();
  }
  /** JSON of all layers, as detailed as the plan was built. */
  std::string DescribeLayers() const;

 private:
  const Cuda cuda_;
  std::unique_ptr<nvinfer1::IRuntime> runtime_;
  std::unique_ptr<nvinfer1::ICudaEngine> engine_;
  std::unique_ptr<JitCache> jit_cache_;
  std::vector<TensorInfo> tensors_;
  std::size_t plan_bytes_ = 0;
};

}  // namespace redux
