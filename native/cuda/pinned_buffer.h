#pragma once

#include <cstddef>

#include "cuda_driver.h"

namespace redux {

/** Memory of the host that the GPU copies from and to at full speed. */
class PinnedBuffer {
 public:
  PinnedBuffer() = default;
  PinnedBuffer(Cuda cuda, std::size_t bytes);
  PinnedBuffer(PinnedBuffer&& other) noexcept;
  PinnedBuffer& operator=(PinnedBuffer&& other) noexcept;
  ~PinnedBuffer();

  char* data() const {
    return static_cast<char*>(data_);
  }
  std::size_t bytes() const {
    return bytes_;
  }

 private:
  Cuda cuda_;
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace redux
