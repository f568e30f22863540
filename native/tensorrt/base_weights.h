#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "../cuda/gpu_arithmetic.h"
#include "../cuda/pinned_buffer.h"
#include "../cuda/uploader.h"
#include "readable_file.h"

namespace redux {

/** A weight that can be changed: a matrix [rows, columns] of `type` whose base values stand in a file. */
struct WeightInfo {
  std::string name;
  GpuType type = kGpuFloat16;
  int rows = 0;
  int columns = 0;
  std::string file;
  std::uint64_t offset = 0;

  std::size_t Count() const {
    return static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns);
  }
  std::size_t Bytes() const {
    return Count() * BytesOfGpuType(type);
  }
};

/** Where the base's values are kept while an engine is loaded. */
enum class BasePlacement { kGpu, kHost, kFile };

/** The base's values of every weight that can be changed. */
class BaseWeights {
 public:
  /** Reads all of them where the placement asks for it. Throws "file.unreadable", "gpu.memory", "cancelled". */
  BaseWeights(const Cuda& cuda, Uploader& uploader, std::vector<WeightInfo> weights, BasePlacement placement, const std::atomic<bool>& cancelled);

  const std::vector<WeightInfo>& all() const {
    return weights_;
  }
  /** Null where there is none of that name. */
  const WeightInfo* Find(const std::string& name) const;
  BasePlacement placement() const {
    return placement_;
  }
  /** On the GPU already, for BasePlacement::kGpu; else 0. */
  CUdeviceptr AddressOf(const WeightInfo& weight) const;
  /** For the other placements: the values of the host's side, to be copied to this address. */
  HostPiece PieceFor(const WeightInfo& weight, CUdeviceptr to) const;
  std::size_t GpuBytes() const {
    return on_gpu_.bytes();
  }
  std::size_t HostBytes() const {
    return on_host_.bytes();
  }

 private:
  std::size_t OffsetOf(const WeightInfo& weight) const;
  HostPiece InFile(const WeightInfo& weight, CUdeviceptr to) const;

  const std::vector<WeightInfo> weights_;
  const BasePlacement placement_;
  std::unordered_map<std::string, std::size_t> places_;
  std::vector<std::size_t> offsets_;
  std::unordered_map<std::string, std::unique_ptr<ReadableFile>> files_;
  DeviceBuffer on_gpu_;
  PinnedBuffer on_host_;
};

}  // namespace redux
