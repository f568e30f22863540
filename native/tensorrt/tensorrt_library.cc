#include "tensorrt_library.h"

#include <exception>
#include <map>
#include <mutex>

#include "../cuda/native_error.h"

namespace redux {

namespace {
constexpr const char* kMajor = kIsRtx ? "1" : (NV_TENSORRT_MAJOR == 10 ? "10" : "11");

/** The file's name on this platform, e.g. libnvinfer.so.10 or nvinfer_10.dll. */
std::string FileName(const std::string& library) {
#ifdef _WIN32
  return library + (kIsRtx ? "_1_" + std::to_string(NV_TENSORRT_MINOR) : std::string("_") + kMajor) + ".dll";
#else
  return "lib" + library + ".so." + kMajor;
#endif
}

std::string Place(const std::string& folder, const std::string& file) {
  return folder.empty() ? file : folder + "/" + file;
}

/** 100600 or 10600 as TensorRT counts: MAJOR * 10000 + MINOR * 100 + PATCH. */
std::string VersionText(int number) {
  return std::to_string(number / 10000) + "." + std::to_string(number / 100 % 100) + "." + std::to_string(number % 100);
}

/** TensorRT 10's factories throw where there is no driver, 11's give null: both become one failure here. */
template <typename Product, typename Make>
std::unique_ptr<Product> Created(Logger& logger, const char* what, Make make) {
  std::string reason;
  try {
    if (void* product = make()) return std::unique_ptr<Product>(static_cast<Product*>(product));
    reason = logger.TakeTrouble();
  } catch (const std::exception& error) {
    reason = error.what();
  } catch (...) {
    reason = logger.TakeTrouble();
  }
  throw NativeError("backend.unavailable", std::string(kFlavour) + " gives no " + what + ": " + (reason.empty() ? "it does not say why" : reason));
}
}  // namespace

std::shared_ptr<const TensorRtLibrary> TensorRtLibrary::Open(const std::string& folder) {
  static std::mutex mutex;
  static auto* opened = new std::map<std::string, std::shared_ptr<const TensorRtLibrary>>();
  const std::lock_guard<std::mutex> lock(mutex);
  std::shared_ptr<const TensorRtLibrary>& library = (*opened)[folder];
  if (!library) library.reset(new TensorRtLibrary(folder));
  return library;
}

TensorRtLibrary::TensorRtLibrary(const std::string& folder)
    : tensorrt_(Place(folder, FileName(kIsRtx ? "tensorrt_rtx" : "nvinfer"))),
      parser_(Place(folder, FileName(kIsRtx ? "tensorrt_onnxparser_rtx" : "nvonnxparser"))) {
  const int version = tensorrt_.Get<int()>("getInferLibVersion")();
  version_ = VersionText(version);
  file_ = SharedLibrary::FileOf(tensorrt_.Function("getInferLibVersion"));
  if (version / 10000 != NV_TENSORRT_MAJOR) {
    throw NativeError("backend.unavailable", file_ + " is version " + version_ + "; " + kFlavour + " " + kMajor + " is needed.");
  }
  // Later releases only add to the binary interface; what an earlier one lacks would be called all the same.
  if (version / 100 % 100 < NV_TENSORRT_MINOR) {
    throw NativeError("backend.unavailable", file_ + " is version " + version_ + ", which is too old; " + kFlavour + " " + kMajor + "." +
                                                 std::to_string(NV_TENSORRT_MINOR) + " or later is needed.");
  }
#ifndef _WIN32
  // TensorRT opens it by its bare name when it first builds: already open, it is found whatever the loader's path is.
  if (!kIsRtx && !folder.empty()) {
    try {
      builder_resource_ = SharedLibrary(Place(folder, "libnvinfer_builder_resource.so." + version_));
    } catch (const NativeError&) {
      // Then TensorRT looks for it itself.
    }
  }
#endif
}

std::unique_ptr<nvinfer1::IBuilder> TensorRtLibrary::CreateBuilder(Logger& logger) const {
  const auto create = tensorrt_.Get<void*(void*, int32_t)>("createInferBuilder_INTERNAL");
  return Created<nvinfer1::IBuilder>(logger, "builder", [&] { return create(&logger, NV_TENSORRT_VERSION); });
}

std::unique_ptr<nvinfer1::IRuntime> TensorRtLibrary::CreateRuntime(Logger& logger) const {
  const auto create = tensorrt_.Get<void*(void*, int32_t)>("createInferRuntime_INTERNAL");
  return Created<nvinfer1::IRuntime>(logger, "runtime", [&] { return create(&logger, NV_TENSORRT_VERSION); });
}

std::unique_ptr<nvinfer1::IRefitter> TensorRtLibrary::CreateRefitter(nvinfer1::ICudaEngine& engine, Logger& logger) const {
  const auto create = tensorrt_.Get<void*(void*, void*, int32_t)>("createInferRefitter_INTERNAL");
  return Created<nvinfer1::IRefitter>(logger, "refitter", [&] { return create(&engine, &logger, NV_TENSORRT_VERSION); });
}

std::unique_ptr<nvonnxparser::IParser> TensorRtLibrary::CreateParser(nvinfer1::INetworkDefinition& network, Logger& logger) const {
  const auto create = parser_.Get<void*(void*, void*, int)>("createNvOnnxParser_INTERNAL");
  return Created<nvonnxparser::IParser>(logger, "ONNX parser", [&] { return create(&network, &logger, NV_ONNX_PARSER_VERSION); });
}

void ThrowTrouble(Logger& logger, const std::string& what) {
  const std::string trouble = logger.TakeTrouble();
  const bool memory = trouble.find("ut of memory") != std::string::npos || trouble.find("OutOfMemory") != std::string::npos;
  throw NativeError(memory ? "gpu.memory" : "engine.failed",
                    std::string(kFlavour) + " " + what + ": " + (trouble.empty() ? "it does not say why" : trouble));
}

}  // namespace redux
