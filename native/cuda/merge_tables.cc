#include <algorithm>
#include <cstdint>

#include "gpu_arithmetic.h"
#include "native_error.h"

namespace redux {

namespace {
bool IsInHalves(const GpuTerm& term) {
  return term.rank > 0 && term.up_type == kGpuFloat16 && term.down_type == kGpuFloat16 && (term.up | term.down) % 16 == 0;
}

bool CanBeInHalves(const GpuMerge& merge) {
  const bool is_aligned = (merge.base | merge.out) % 16 == 0 && merge.columns % 8 == 0;
  return is_aligned && !merge.terms.empty() && std::all_of(merge.terms.begin(), merge.terms.end(), IsInHalves);
}
}  // namespace

MergeTables MakeMergeTables(const std::vector<GpuMerge>& merges, GpuType type) {
  MergeTables tables;
  std::uint64_t tiles = 0;
  for (std::size_t place = 0; place < merges.size(); ++place) {
    const GpuMerge& merge = merges[place];
    if (merge.type != type) continue;
    GpuMergeJob job{};
    job.base = merge.base;
    job.out = merge.out;
    job.rows = merge.rows;
    job.columns = merge.columns;
    job.first_term = static_cast<int>(tables.terms.size());
    job.term_count = static_cast<int>(merge.terms.size());
    job.first_tile = static_cast<unsigned>(tiles);
    job.in_halves = CanBeInHalves(merge) ? 1 : 0;
    const auto count = [](int size) { return (static_cast<std::uint64_t>(size) + kMergeTile - 1) / kMergeTile; };
    tiles += count(merge.rows) * count(merge.columns);
    if (tiles > 0x7fffffff) throw NativeError("gpu.failed", "The weights to be merged are too large for one call.");
    tables.jobs.push_back(job);
    tables.places.push_back(place);
    tables.terms.insert(tables.terms.end(), merge.terms.begin(), merge.terms.end());
  }
  tables.tiles = static_cast<unsigned>(tiles);
  return tables;
}

}  // namespace redux
