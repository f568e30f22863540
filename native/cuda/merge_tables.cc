#include <algorithm>
#include <cstdint>

#include "gpu_arithmetic.h"
#include "native_error.h"

namespace redux {

namespace {
/** The ways in which merges are computed. */
enum class Path { kFloats, kHalves, kBfloats };

bool IsForUnits(const GpuTerm& term) {
  return term.rank > 0 && term.up_type == term.down_type && term.up_type != kGpuFloat32 && (term.up | term.down) % 16 == 0;
}

bool IsOfBfloats(const GpuTerm& term) {
  return term.up_type == kGpuBfloat16;
}

Path PathOf(const GpuMerge& merge, bool has_bfloat_units) {
  const bool is_aligned = (merge.base | merge.out) % 16 == 0 && merge.columns % 8 == 0;
  const auto& terms = merge.terms;
  if (!is_aligned || terms.empty() || !std::all_of(terms.begin(), terms.end(), IsForUnits)) return Path::kFloats;
  if (std::none_of(terms.begin(), terms.end(), IsOfBfloats)) return Path::kHalves;
  return has_bfloat_units ? Path::kBfloats : Path::kFloats;
}

std::uint64_t TilesOf(int size) {
  return (static_cast<std::uint64_t>(size) + kMergeTile - 1) / kMergeTile;
}
}  // namespace

std::array<MergeTables, kMergeKernels> MakeMergeTables(const std::vector<GpuMerge>& merges, bool has_bfloat_units) {
  std::array<MergeTables, kMergeKernels> all;
  for (std::size_t place = 0; place < merges.size(); ++place) {
    const GpuMerge& merge = merges[place];
    const Path path = PathOf(merge, has_bfloat_units);
    MergeTables& tables = all[static_cast<std::size_t>(merge.type + (path == Path::kBfloats ? kGpuTypes : 0))];
    GpuMergeJob job{};
    job.base = merge.base;
    job.out = merge.out;
    job.rows = merge.rows;
    job.columns = merge.columns;
    job.first_term = static_cast<int>(tables.terms.size());
    job.term_count = static_cast<int>(merge.terms.size());
    job.first_tile = tables.tiles;
    job.in_halves = path == Path::kFloats ? 0 : 1;
    const std::uint64_t tiles = tables.tiles + TilesOf(merge.rows) * TilesOf(merge.columns);
    if (tiles > 0x7fffffff) throw NativeError("gpu.failed", "The weights to be merged are too large for one call.");
    tables.tiles = static_cast<unsigned>(tiles);
    tables.jobs.push_back(job);
    tables.places.push_back(place);
    tables.terms.insert(tables.terms.end(), merge.terms.begin(), merge.terms.end());
  }
  return all;
}

}  // namespace redux
