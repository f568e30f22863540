#pragma once

#include <cstdint>
#include <string>
#include <tuple>

#include "../cuda/byte_source.h"

namespace redux {

/**
 * A file that is read at any place by several threads. From the system's cache this is several times as fast as copying from a mapping,
 * whose every page has to be brought in first.
 */
class ReadableFile : public ByteSource {
 public:
  /** Which bytes these are: device, number, size and time of change. */
  using Version = std::tuple<std::uint64_t, std::uint64_t, std::uint64_t, std::int64_t>;

  /** Throws "file.unreadable". */
  explicit ReadableFile(std::string path);
  ~ReadableFile() override;
  ReadableFile(const ReadableFile&) = delete;
  ReadableFile& operator=(const ReadableFile&) = delete;

  void Read(std::uint64_t offset, void* to, std::size_t bytes) const override;

  std::uint64_t bytes() const {
    return std::get<2>(version_);
  }
  const Version& version() const {
    return version_;
  }

 private:
  const std::string path_;
#ifdef _WIN32
  void* handle_ = nullptr;
#else
  int descriptor_ = -1;
#endif
  Version version_;
};

}  // namespace redux
