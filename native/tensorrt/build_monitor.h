#pragma once

#include <NvInfer.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

namespace redux {

/** Turns TensorRT's nested phases into one fraction, and lets a build be cancelled at every step. */
class BuildMonitor : public nvinfer1::IProgressMonitor {
 public:
  /** Of the phase that runs now, and how much of the whole build is done, from 0 to 1; on TensorRT's threads. */
  using Report = std::function<void(const std::string& phase, double fraction)>;

  BuildMonitor(Report report, const std::atomic<bool>& cancelled);

  void phaseStart(const char* name, const char* parent, int32_t steps) noexcept override;
  bool stepComplete(const char* name, int32_t step) noexcept override;
  void phaseFinish(const char* name) noexcept override;

 private:
  struct Phase {
    std::string name;
    int steps;
    int done;
  };
  void Tell() noexcept;

  const Report report_;
  const std::atomic<bool>& cancelled_;
  std::mutex mutex_;
  /** The phases that have begun and not ended, the outermost first. */
  std::vector<Phase> phases_;
  double most_ = 0;
};

}  // namespace redux
