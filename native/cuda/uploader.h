#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "byte_source.h"
#include "cuda_stream.h"
#include "pinned_buffer.h"

namespace redux {

/** Bytes to be copied to the GPU: of the host's ordinary memory, or, where `from` is null, of a source. */
struct HostPiece {
  CUdeviceptr to = 0;
  const void* from = nullptr;
  std::size_t bytes = 0;
  const ByteSource* source = nullptr;
  std::uint64_t offset = 0;
};

/**
 * Copies ordinary host memory, or files, to the GPU at the speed of pinned memory: several threads copy into pinned buffers
 * of their own while the GPU fetches others.
 */
class Uploader {
 public:
  /** The stream must outlive it. */
  Uploader(Cuda cuda, const CudaStream& stream);
  ~Uploader();

  /** Returns when all copies are queued and the host's memory is no longer needed. False: `cancelled` became true midway. */
  bool Upload(const std::vector<HostPiece>& pieces, const std::atomic<bool>& cancelled);
  /** Bytes of pinned memory that are kept for the next call. */
  std::size_t PinnedBytes() const;

 private:
  struct Slot;

  const Cuda cuda_;
  const CudaStream& stream_;
  /** Two for each thread, made when they are first needed: reserving pinned memory is slow. */
  std::vector<std::unique_ptr<Slot>> slots_;
};

}  // namespace redux
