#include "logger.h"

#include <utility>

namespace redux {

namespace {
constexpr std::size_t kKeptLines = 4;

void Keep(std::deque<std::string>& lines, const char* line) {
  if (lines.size() == kKeptLines) lines.pop_front();
  lines.emplace_back(line);
}
}  // namespace

Logger::Logger(Severity least, Sink sink) : least_(least), sink_(std::move(sink)) {}

void Logger::log(Severity severity, const char* message) noexcept {
  try {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (severity <= Severity::kERROR) Keep(errors_, message);
    if (severity == Severity::kWARNING) Keep(warnings_, message);
    if (sink_ && severity <= least_) sink_(severity, message);
  } catch (...) {
    // A line that cannot be kept is lost: TensorRT must not see an exception.
  }
}

std::string Logger::TakeTrouble() {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::string text;
  for (const std::string& line : errors_.empty() ? warnings_ : errors_) text += (text.empty() ? "" : " | ") + line;
  errors_.clear();
  warnings_.clear();
  return text;
}

}  // namespace redux
