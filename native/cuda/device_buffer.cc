#include "device_buffer.h"

#include <utility>

namespace redux {

DeviceBuffer::DeviceBuffer(Cuda cuda, std::size_t bytes) : cuda_(std::move(cuda)), bytes_(bytes) {
  if (bytes_ > 0) cuda_->Check(cuda_->MemAlloc(&address_, bytes_), "reserving memory");
}

DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept
    : cuda_(std::move(other.cuda_)), address_(std::exchange(other.address_, 0)), bytes_(std::exchange(other.bytes_, 0)) {}

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  std::swap(cuda_, other.cuda_);
  std::swap(address_, other.address_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

DeviceBuffer::~DeviceBuffer() {
  if (address_) cuda_->MemFree(address_);
}

}  // namespace redux
