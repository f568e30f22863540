#pragma once

#include <NvInfer.h>

#include <cstddef>
#include <memory>
#include <string>

namespace redux {

/**
 * Makes an engine's execution contexts, which use scratch memory that their owner gives them. What TensorRT-RTX compiles for the GPU when a
 * context is made and when it first meets a shape is kept in a file, so that the next load of the same engine finds it there; the other
 * libraries compile when they build.
 */
class JitCache {
 public:
  /** @param file read where it exists; one of another GPU, driver or version is passed over. Empty: nothing is kept. */
  JitCache(nvinfer1::ICudaEngine& engine, std::string file);
  ~JitCache();
  JitCache(const JitCache&) = delete;
  JitCache& operator=(const JitCache&) = delete;

  /** Null where TensorRT gives none. The context must be gone before the cache. */
  std::unique_ptr<nvinfer1::IExecutionContext> CreateContext();

 private:
  nvinfer1::ICudaEngine& engine_;
#if defined(TRT_MAJOR_RTX)
  /** Writes the file where there is something new to keep: what is not kept is compiled again. */
  void Save() noexcept;

  const std::string file_;
  std::unique_ptr<nvinfer1::IRuntimeConfig> config_;
  std::unique_ptr<nvinfer1::IRuntimeCache> cache_;
  std::size_t saved_bytes_ = 0;
#endif
};

}  // namespace redux
