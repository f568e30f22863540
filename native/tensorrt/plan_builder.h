#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "build_monitor.h"
#include "tensorrt_library.h"

namespace redux {

/** Sizes of an input's axes; where all three are equal the profile is static. */
struct ShapeRange {
  std::vector<std::int64_t> min;
  std::vector<std::int64_t> opt;
  std::vector<std::int64_t> max;
};

enum class RefitMode { kNone, kAll, kIndividual };

struct BuildOptions {
  std::string onnx_file;
  std::string plan_file;
  /** Read before the build where it exists, written after it; empty: none. */
  std::string timing_cache_file;
  std::map<std::string, ShapeRange> profile;
  RefitMode refit = RefitMode::kIndividual;
  /** For kIndividual: the initializers that can be changed later. */
  std::vector<std::string> refittable;
  /** 0 to 5; negative: TensorRT's own choice. */
  int optimization_level = -1;
  /** Bytes of scratch memory a layer may use; 0: TensorRT's own choice. */
  std::size_t workspace = 0;
  /** Whether the plan tells the inspector everything about its layers. */
  bool detailed = false;
  /** TensorRT-RTX: 89 for 8.9 and so on; empty: that of the GPU here. */
  std::vector<int> compute_capabilities;
};

struct BuildReport {
  std::size_t plan_bytes = 0;
  int layers = 0;
  double parse_seconds = 0;
  double build_seconds = 0;
};

/**
 * Builds a plan from an ONNX file: strongly typed, one optimization profile. Initializers with external data are read by the parser
 * itself. Throws NativeError with TensorRT's own words; "cancelled" where `cancelled` became true.
 */
BuildReport BuildPlan(const TensorRtLibrary& library, Logger& logger, const BuildOptions& options, const BuildMonitor::Report& report,
                      const std::atomic<bool>& cancelled);

}  // namespace redux
