#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "../cuda/device_buffer.h"
#include "../cuda/gpu_arithmetic.h"
#include "../cuda/uploader.h"
#include "readable_file.h"

namespace redux {

/** Numbers of the host: in memory that the caller keeps, or in a file that is read for the call. */
struct HostNumbers {
  GpuType type = kGpuFloat32;
  std::size_t count = 0;
  const void* data = nullptr;
  /** Where `data` is null. */
  std::string file;
  std::uint64_t offset = 0;

  std::size_t Bytes() const {
    return count * BytesOfGpuType(type);
  }
};

/**
 * LoRAs' factors on the GPU. Those that stand in files are kept while they are part of the stack: another strength, another order or one
 * LoRA more does not fetch them again.
 */
class FactorStore {
  /** Factors of one file, by where in it they begin. */
  struct Entry {
    CUdeviceptr address = 0;
    std::size_t bytes = 0;
    std::shared_ptr<const DeviceBuffer> buffer;
  };
  using Entries = std::unordered_map<std::uint64_t, Entry>;

 public:
  explicit FactorStore(Cuda cuda) : cuda_(std::move(cuda)) {}

  /** The factors of one new stack. They are freed with it, unless the store keeps them. */
  class Draft {
   public:
    /** Of all factors, in the order in which they were given; 0 for those of no bytes. */
    const std::vector<CUdeviceptr>& addresses() const {
      return addresses_;
    }
    /** What has to be copied to the GPU before the addresses may be used. Lives as long as the draft. */
    const std::vector<HostPiece>& missing() const {
      return missing_;
    }

   private:
    friend FactorStore;
    struct File {
      std::unique_ptr<ReadableFile> source;
      /** What the store has of it; null where that is of another version. */
      const Entries* known = nullptr;
      Entries entries;

      /** Null where these bytes are not on the GPU. */
      const Entry* Find(std::uint64_t offset, std::size_t bytes) const;
    };
    /** A factor that is not on the GPU. */
    struct Absent {
      std::size_t place = 0;
      /** Null: it is in memory. */
      File* file = nullptr;
      std::uint64_t offset = 0;
      std::size_t bytes = 0;
    };

    std::vector<CUdeviceptr> addresses_;
    std::vector<HostPiece> missing_;
    std::map<std::string, File> files_;
    std::shared_ptr<const DeviceBuffer> buffer_;
  };

  /** Finds or reserves memory for each. Throws "file.unreadable", "file.truncated", "gpu.memory". */
  Draft Make(const std::vector<const HostNumbers*>& factors) const;
  /** Keeps what a draft has from files, and only that. */
  void Keep(Draft&& draft);
  void Clear();
  std::size_t Bytes() const;

 private:
  struct StoredFile {
    ReadableFile::Version version;
    Entries entries;
  };

  Draft::File& Open(Draft& draft, const std::string& path) const;
  /** Gives what is on the GPU already its address; the rest, in the order in which it stands in the files. */
  std::vector<Draft::Absent> FindAbsent(Draft& draft, const std::vector<const HostNumbers*>& factors) const;

  const Cuda cuda_;
  std::unordered_map<std::string, StoredFile> files_;
};

}  // namespace redux
