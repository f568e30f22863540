#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace redux {

/** A failure with the code that users of the command line see ("gpu.memory", "engine.failed", "cancelled", …). */
class NativeError : public std::runtime_error {
 public:
  NativeError(std::string code, const std::string& message) : std::runtime_error(message), code_(std::move(code)) {}

  const std::string& code() const {
    return code_;
  }

 private:
  std::string code_;
};

}  // namespace redux
