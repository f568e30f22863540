#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace redux {

/** Ranges of memory, each with its owner's number, and the question whether any of them overlap. */
class MemoryRanges {
 public:
  void Add(const void* start, std::size_t bytes, std::size_t owner);

  /** The owners of two ranges that overlap, if there are any. Must be called, with no answer, before FindOwner. */
  std::optional<std::pair<std::size_t, std::size_t>> FindOverlap();

  /** The owner of the first range that shares a byte with [start, start + bytes). */
  std::optional<std::size_t> FindOwner(const void* start, std::size_t bytes) const;

 private:
  struct Range {
    std::uintptr_t begin, end;
    std::size_t owner;
  };
  std::vector<Range> ranges_;
};

}  // namespace redux
