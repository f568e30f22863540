#pragma once

#include <cstddef>

#include "cuda_driver.h"

namespace redux {

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
