#pragma once

#include <cstddef>

#include "cuda_driver.h"

namespace redux {

/** Memory is handed out in multiples of this many bytes. */
constexpr std::size_t kGpuAlignment = 256;
constexpr std::size_t Aligned(std::size_t bytes) {
  return (bytes + kGpuAlignment - 1) / kGpuAlignment * kGpuAlignment;
}

/** Memory of the GPU. */
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  /** Throws NativeError("gpu.memory") where there is not enough. */
  DeviceBuffer(Cuda cuda, std::size_t bytes);
  DeviceBuffer(DeviceBuffer&& other) noexcept;
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;
  ~DeviceBuffer();

  CUdeviceptr address() const {
    return address_;
  }
  void* pointer() const {
    return reinterpret_cast<void*>(address_);
  }
  std::size_t bytes() const {
    return bytes_;
  }

 private:
  Cuda cuda_;
  CUdeviceptr address_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace redux
