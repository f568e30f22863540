#pragma once

#include <NvInfer.h>
#include <NvOnnxParser.h>

#include <memory>
#include <string>

#include "../cuda/shared_library.h"
#include "logger.h"

namespace redux {

/** Which of the three libraries this source was compiled for. */
#if defined(TRT_MAJOR_RTX)
constexpr bool kIsRtx = true;
constexpr const char* kFlavour = "TensorRT-RTX";
#else
constexpr bool kIsRtx = false;
constexpr const char* kFlavour = "TensorRT";
#endif

/**
 * TensorRT and its ONNX parser, loaded at run time. A library of another major version has another binary interface and is refused.
 */
class TensorRtLibrary {
 public:
  /**
   * The libraries of a folder, or, where that is empty, those in the loader's own places. They stay loaded until the process ends: TensorRT
   * keeps threads and GPU state of its own that do not survive being unloaded.
   */
  static std::shared_ptr<const TensorRtLibrary> Open(const std::string& folder);

  /** "10.6.0" as the library itself says. */
  const std::string& version() const {
    return version_;
  }
  /** The library's file. */
  const std::string& file() const {
    return file_;
  }

  /** Throw NativeError with TensorRT's own words where it gives nothing. */
  std::unique_ptr<nvinfer1::IBuilder> CreateBuilder(Logger& logger) const;
  std::unique_ptr<nvinfer1::IRuntime> CreateRuntime(Logger& logger) const;
  std::unique_ptr<nvinfer1::IRefitter> CreateRefitter(nvinfer1::ICudaEngine& engine, Logger& logger) const;
  std::unique_ptr<nvonnxparser::IParser> CreateParser(nvinfer1::INetworkDefinition& network, Logger& logger) const;

 private:
  explicit TensorRtLibrary(const std::string& folder);

  SharedLibrary builder_resource_;
  SharedLibrary tensorrt_;
  SharedLibrary parser_;
  std::string version_;
  std::string file_;
};

/**
 * Throws what TensorRT's log tells of a failure: NativeError("gpu.memory") for want of memory, else "engine.failed".
 * @param what follows the library's name: "cannot run the engine"
 */
[[noreturn]] void ThrowTrouble(Logger& logger, const std::string& what);

}  // namespace redux
