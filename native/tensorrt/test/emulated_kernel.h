#pragma once

#include <functional>

namespace redux {

/** A kernel as the emulated driver launches it. */
struct EmulatedKernel {
  const char* name;
  /** Copies the arguments, which stand as cuLaunchKernel takes them, and gives what runs the blocks with them. */
  std::function<void()> (*prepare)(void** arguments, unsigned blocks);
};

}  // namespace redux
