#include "pinned_buffer.h"

#include <utility>

namespace redux {

PinnedBuffer::PinnedBuffer(Cuda cuda, std::size_t bytes) : cuda_(std::move(cuda)), bytes_(bytes) {
  if (bytes_ > 0) cuda_->Check(cuda_->MemHostAlloc(&data_, bytes_, kHostAllocPortable), "reserving pinned host memory");
}

PinnedBuffer::PinnedBuffer(PinnedBuffer&& other) noexcept
    : cuda_(std::move(other.cuda_)), data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

PinnedBuffer& PinnedBuffer::operator=(PinnedBuffer&& other) noexcept {
  std::swap(cuda_, other.cuda_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

PinnedBuffer::~PinnedBuffer() {
  if (data_) cuda_->MemFreeHost(data_);
}

}  // namespace redux
