#pragma once

#include <NvInferRuntime.h>

#include <deque>
#include <functional>
#include <mutex>
#include <string>

namespace redux {

/** Takes TensorRT's log lines, from any of its threads, and keeps the last ones that tell of trouble for the next failure's message. */
class Logger : public nvinfer1::ILogger {
 public:
  using Sink = std::function<void(Severity, const std::string&)>;

  /** @param sink also gets every line of at least this severity; called on TensorRT's threads */
  explicit Logger(Severity least = Severity::kWARNING, Sink sink = {});

  void log(Severity severity, const char* message) noexcept override;
  /** The errors, or where there is none the warnings, since the last call; the lines are then forgotten. */
  std::string TakeTrouble();

 private:
  const Severity least_;
  const Sink sink_;
  std::mutex mutex_;
  std::deque<std::string> errors_;
  std::deque<std::string> warnings_;
};

}  // namespace redux
