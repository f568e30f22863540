#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "md5_kernels.h"

namespace redux {

/** A run of bytes in one of several files. */
struct FileRange {
  std::size_t file;
  std::uint64_t offset;
  std::uint64_t length;
  /** Absent: the bytes are not looked at as numbers. */
  std::optional<NumberType> type;
};

struct RangeDigest {
  std::array<unsigned char, 16> md5{};
  NonFiniteCounts non_finite;
};

/** A file that could not be opened, or that ended or failed within a range; `file` is its number. */
class FileReadError : public std::runtime_error {
 public:
  explicit FileReadError(std::size_t number) : std::runtime_error("file " + std::to_string(number) + " could not be read"), file(number) {}
  const std::size_t file;
};

/**
 * The MD5 and the counts of non-finite numbers of every range, each byte read once. Each thread hashes as many ranges side by side
 * as the kernels have lanes and holds a piece of 32 KiB of each.
 * @param files paths in UTF-8
 * @param bytes_done counts up to the sum of the lengths
 * Returns nothing where `cancelled` became true before the end. Throws FileReadError, std::bad_alloc.
 */
std::optional<std::vector<RangeDigest>> DigestRanges(const Md5Kernels& kernels, const std::vector<std::string>& files,
                                                     const std::vector<FileRange>& ranges, std::size_t threads,
                                                     const std::atomic<bool>& cancelled, std::atomic<std::uint64_t>& bytes_done);

}  // namespace redux
