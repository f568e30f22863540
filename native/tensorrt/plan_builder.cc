#include "plan_builder.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>

#include "../cuda/native_error.h"
#include "files.h"

namespace redux {

namespace {
using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

[[noreturn]] void Fail(Logger& logger, const std::string& what, const std::string& file) {
  const std::string trouble = logger.TakeTrouble();
  const bool memory = trouble.find("ut of memory") != std::string::npos || trouble.find("OutOfMemory") != std::string::npos ||
                      trouble.find("insufficient workspace") != std::string::npos || trouble.find("memory pool") != std::string::npos;
  throw NativeError(memory ? "gpu.memory" : "engine.failed",
                    std::string(kFlavour) + " " + what + " " + file + ": " + (trouble.empty() ? "it does not say why" : trouble));
}

nvinfer1::Dims ToDims(const std::vector<std::int64_t>& sizes) {
  nvinfer1::Dims dims{};
  if (sizes.size() > nvinfer1::Dims::MAX_DIMS) throw NativeError("option.invalid", "An input has too many axes for TensorRT.");
  dims.nbDims = static_cast<int32_t>(sizes.size());
  for (std::size_t i = 0; i < sizes.size(); ++i) dims.d[i] = sizes[i];
  return dims;
}

std::string ParserErrors(const nvonnxparser::IParser& parser) {
  std::string text;
  for (int i = 0; i < parser.getNbErrors() && i < 3; ++i) {
    const nvonnxparser::IParserError* error = parser.getError(i);
    text += (text.empty() ? "" : " | ") + std::string(error->desc());
    if (error->nodeName() && *error->nodeName()) text += std::string(" (") + error->nodeName() + ")";
  }
  return text;
}

uint32_t CreationFlags() {
#if NV_TENSORRT_MAJOR == 10
  return 1U << static_cast<uint32_t>(nvinfer1::NetworkDefinitionCreationFlag::kSTRONGLY_TYPED);
#else
  return 0;  // Strong typing is all there is.
#endif
}

void AddProfile(nvinfer1::IBuilder& builder, nvinfer1::IBuilderConfig& config, const nvinfer1::INetworkDefinition& network,
                const BuildOptions& options) {
  nvinfer1::IOptimizationProfile* profile = builder.createOptimizationProfile();
  for (int i = 0; i < network.getNbInputs(); ++i) {
    const std::string name = network.getInput(i)->getName();
    const auto found = options.profile.find(name);
    if (found == options.profile.end()) throw NativeError("option.invalid", "The profile does not say the sizes of the input \"" + name + "\".");
    const ShapeRange& range = found->second;
    using Selector = nvinfer1::OptProfileSelector;
    const bool fits = profile->setDimensions(name.c_str(), Selector::kMIN, ToDims(range.min)) &&
                      profile->setDimensions(name.c_str(), Selector::kOPT, ToDims(range.opt)) &&
                      profile->setDimensions(name.c_str(), Selector::kMAX, ToDims(range.max));
    if (!fits) throw NativeError("option.invalid", "TensorRT refuses the profile of the input \"" + name + "\".");
  }
  config.addOptimizationProfile(profile);
}

void MarkRefittable(Logger& logger, nvinfer1::INetworkDefinition& network, nvinfer1::IBuilderConfig& config, const BuildOptions& options) {
  if (options.refit == RefitMode::kNone) return;
  if (options.refit == RefitMode::kAll) {
    config.setFlag(nvinfer1::BuilderFlag::kREFIT);
    return;
  }
  config.setFlag(nvinfer1::BuilderFlag::kREFIT_INDIVIDUAL);
  for (const std::string& name : options.refittable) {
    if (!network.markWeightsRefittable(name.c_str())) Fail(logger, "cannot make the weight \"" + name + "\" changeable in", options.onnx_file);
  }
}

void SetTargets(nvinfer1::IBuilderConfig& config, const std::vector<int>& capabilities) {
#if defined(TRT_MAJOR_RTX)
  if (capabilities.empty()) return;
  config.setNbComputeCapabilities(static_cast<int32_t>(capabilities.size()));
  for (std::size_t i = 0; i < capabilities.size(); ++i) {
    if (!config.setComputeCapability(static_cast<nvinfer1::ComputeCapability>(capabilities[i]), static_cast<int32_t>(i))) {
      throw NativeError("option.invalid", "TensorRT-RTX does not build for compute capability " + std::to_string(capabilities[i]) + ".");
    }
  }
#else
  static_cast<void>(config);
  static_cast<void>(capabilities);
#endif
}

#if defined(TRT_MAJOR_RTX)
/** TensorRT-RTX measures nothing when it builds, so there is nothing to keep. */
class TimingCache {
 public:
  TimingCache(nvinfer1::IBuilderConfig&, const std::string&) {}
  void Save(const nvinfer1::IBuilderConfig&) const {}
};
#else
/** TensorRT's measurements of kernels, kept between builds. */
class TimingCache {
 public:
  TimingCache(nvinfer1::IBuilderConfig& config, std::string file) : file_(std::move(file)) {
    if (file_.empty()) return;
    const std::vector<char> known = ReadFileIfThere(file_);
    cache_.reset(config.createTimingCache(known.data(), known.size()));
    if (!cache_ || !config.setTimingCache(*cache_, false)) {
      // Of another GPU or version, or damaged: begin anew.
      cache_.reset(config.createTimingCache(nullptr, 0));
      if (cache_) config.setTimingCache(*cache_, true);
    }
  }

  /** Writes what was measured, and what other builds have written meanwhile. */
  void Save(const nvinfer1::IBuilderConfig& config) const {
    if (!cache_) return;
    const std::vector<char> known = ReadFileIfThere(file_);
    if (!known.empty()) {
      const std::unique_ptr<nvinfer1::ITimingCache> others(config.createTimingCache(known.data(), known.size()));
      if (others) cache_->combine(*others, true);
    }
    const std::unique_ptr<nvinfer1::IHostMemory> bytes(cache_->serialize());
    if (bytes) WriteFileAtomically(file_, bytes->data(), bytes->size());
  }

 private:
  const std::string file_;
  std::unique_ptr<nvinfer1::ITimingCache> cache_;
};
#endif
}  // namespace

BuildReport BuildPlan(const TensorRtLibrary& library, Logger& logger, const BuildOptions& options, const BuildMonitor::Report& report,
                      const std::atomic<bool>& cancelled) {
  const auto stop_if_cancelled = [&] {
    if (cancelled) throw NativeError("cancelled", "The build was cancelled.");
  };
  BuildReport result;
  const Clock::time_point started = Clock::now();
  const std::unique_ptr<nvinfer1::IBuilder> builder = library.CreateBuilder(logger);
  builder->setMaxThreads(static_cast<int32_t>(std::max(1U, std::thread::hardware_concurrency())));
  const std::unique_ptr<nvinfer1::INetworkDefinition> network(builder->createNetworkV2(CreationFlags()));
  if (!network) Fail(logger, "gives no network for", options.onnx_file);
  const std::unique_ptr<nvonnxparser::IParser> parser = library.CreateParser(*network, logger);
  if (report) report("parsing", 0);
  if (!parser->parseFromFile(options.onnx_file.c_str(), static_cast<int>(nvinfer1::ILogger::Severity::kWARNING))) {
    const std::string errors = ParserErrors(*parser);
    throw NativeError("engine.failed", std::string(kFlavour) + " cannot parse " + options.onnx_file + ": " +
                                           (errors.empty() ? logger.TakeTrouble() : errors));
  }
  result.layers = network->getNbLayers();
  result.parse_seconds = SecondsSince(started);
  stop_if_cancelled();

  const std::unique_ptr<nvinfer1::IBuilderConfig> config(builder->createBuilderConfig());
  if (!config) Fail(logger, "gives no configuration for", options.onnx_file);
  AddProfile(*builder, *config, *network, options);
  MarkRefittable(logger, *network, *config, options);
  SetTargets(*config, options.compute_capabilities);
  if (options.optimization_level >= 0) config->setBuilderOptimizationLevel(options.optimization_level);
  if (options.workspace > 0) config->setMemoryPoolLimit(nvinfer1::MemoryPoolType::kWORKSPACE, options.workspace);
  if (options.detailed) config->setProfilingVerbosity(nvinfer1::ProfilingVerbosity::kDETAILED);
  BuildMonitor monitor(report, cancelled);
  config->setProgressMonitor(&monitor);
  const TimingCache timing_cache(*config, options.timing_cache_file);

  const Clock::time_point building = Clock::now();
  const std::unique_ptr<nvinfer1::IHostMemory> plan(builder->buildSerializedNetwork(*network, *config));
  result.build_seconds = SecondsSince(building);
  timing_cache.Save(*config);  // What a build that was cancelled or failed has measured helps the next one too.
  stop_if_cancelled();
  if (!plan) Fail(logger, "cannot build", options.onnx_file);
  result.plan_bytes = plan->size();
  WriteFileAtomically(options.plan_file, plan->data(), plan->size());
  return result;
}

}  // namespace redux
