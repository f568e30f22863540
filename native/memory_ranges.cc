#include "memory_ranges.h"

#include <algorithm>

namespace redux {

void MemoryRanges::Add(const void* start, std::size_t bytes, std::size_t owner) {
  const auto begin = reinterpret_cast<std::uintptr_t>(start);
  ranges_.push_back({begin, begin + bytes, owner});
}

std::optional<std::pair<std::size_t, std::size_t>> MemoryRanges::FindOverlap() {
  std::sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
  for (std::size_t i = 1; i < ranges_.size(); ++i) {
    if (ranges_[i].begin < ranges_[i - 1].end) return std::minmax(ranges_[i - 1].owner, ranges_[i].owner);
  }
  return std::nullopt;
}

std::optional<std::size_t> MemoryRanges::FindOwner(const void* start, std::size_t bytes) const {
  const auto begin = reinterpret_cast<std::uintptr_t>(start);
  const auto found =
      std::upper_bound(ranges_.begin(), ranges_.end(), begin, [](std::uintptr_t place, const Range& range) { return place < range.end; });
  if (found == ranges_.end() || found->begin >= begin + bytes) return std::nullopt;
  return found->owner;
}

}  // namespace redux
