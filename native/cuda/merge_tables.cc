#include <cstdint>

#include "gpu_arithmetic.h"
#include "native_error.h"

namespace redux {

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
