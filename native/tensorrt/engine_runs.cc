#include "engine_runs.h"

#include <algorithm>
#include <iterator>

namespace redux {

namespace {
/** TensorRT-RTX compiles kernels anew for each context. */
constexpr std::size_t kMostRuns = kIsRtx ? 1 : 4;
}  // namespace

EngineRuns::EngineRuns(const Engine& engine, Logger& logger)
    : engine_(engine), logger_(logger), scratch_(engine.cuda(), static_cast<std::size_t>(engine.get().getDeviceMemorySizeV2())) {
  // A context can fail for want of memory: that is to be known when the engine is loaded.
  runs_.emplace_front(engine_, logger_, scratch_);
}

EngineRun& EngineRuns::For(const InputShapes& shapes, const CudaStream& stream) {
  if (runs_.front().Has(shapes)) return runs_.front();
  stream.Wait();
  auto found = std::find_if(runs_.begin(), runs_.end(), [&](const EngineRun& run) { return run.Has(shapes); });
  if (found == runs_.end()) {
    // One that was never used, else a new one, else that which was not used for the longest time.
    found = std::find_if(runs_.begin(), runs_.end(), [](const EngineRun& run) { return !run.is_prepared(); });
    if (found == runs_.end() && runs_.size() < kMostRuns) found = runs_.emplace(runs_.end(), engine_, logger_, scratch_);
    if (found == runs_.end()) found = std::prev(runs_.end());
    found->Prepare(shapes);
  }
  runs_.splice(runs_.begin(), runs_, found);
  return runs_.front();
}

void EngineRuns::WeightsChanged() {
  for (EngineRun& run : runs_) run.WeightsChanged();
}

std::string EngineRuns::GraphProblem() const {
  for (const EngineRun& run : runs_) {
    if (!run.graph_problem().empty()) return run.graph_problem();
  }
  return "";
}

std::size_t EngineRuns::BufferBytes() const {
  std::size_t bytes = 0;
  for (const EngineRun& run : runs_) bytes += run.BufferBytes();
  return bytes;
}

}  // namespace redux
