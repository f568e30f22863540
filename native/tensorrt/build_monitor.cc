#include "build_monitor.h"

#include <algorithm>
#include <utility>

namespace redux {

BuildMonitor::BuildMonitor(Report report, const std::atomic<bool>& cancelled) : report_(std::move(report)), cancelled_(cancelled) {}

void BuildMonitor::phaseStart(const char* name, const char*, int32_t steps) noexcept {
  try {
    const std::lock_guard<std::mutex> lock(mutex_);
    phases_.push_back({name, std::max(steps, 1), 0});
    Tell();
  } catch (...) {
    // Progress that cannot be told is no reason to stop.
  }
}

bool BuildMonitor::stepComplete(const char* name, int32_t step) noexcept {
  try {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (Phase& phase : phases_) {
      if (phase.name == name) phase.done = std::min(step + 1, phase.steps);
    }
    Tell();
  } catch (...) {
  }
  return !cancelled_.load(std::memory_order_relaxed);
}

void BuildMonitor::phaseFinish(const char* name) noexcept {
  try {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = std::find_if(phases_.rbegin(), phases_.rend(), [&](const Phase& phase) { return phase.name == name; });
    if (found != phases_.rend()) phases_.erase(std::next(found).base());
  } catch (...) {
  }
}

/** A phase's steps share the step of the phase around it that runs now. Never falls: phases may come in more often than was said. */
void BuildMonitor::Tell() noexcept {
  if (!report_ || phases_.empty()) return;
  double fraction = 0;
  double share = 1;
  for (const Phase& phase : phases_) {
    fraction += share * phase.done / phase.steps;
    share /= phase.steps;
  }
  most_ = std::max(most_, std::min(fraction, 1.0));
  try {
    report_(phases_.back().name, most_);
  } catch (...) {
  }
}

}  // namespace redux
