#include "kind_plan.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "kind_operations.h"
#include "native_error.h"

namespace redux {

namespace {
/** Scratch memory of a wave, unless one weight needs more: enough for launches that keep a GPU busy. */
constexpr std::size_t kScratchBytes = std::size_t{256} << 20;
constexpr std::size_t kAlignment = 256;

std::size_t ScratchBytesOf(std::size_t count) {
  return (count * sizeof(float) + kAlignment - 1) / kAlignment * kAlignment;
}

std::size_t ScratchBytesOf(const KindProgram& program) {
  std::size_t bytes = 0;
  for (const std::size_t count : program.scratch) bytes += ScratchBytesOf(count);
  return bytes;
}

/** Jobs of one kernel, their blocks counted. */
class JobTable {
 public:
  void Add(const KindOperation& operation) {
    const unsigned long long more = BlocksOf(operation);
    if (blocks_ + more > 0x7fffffff) throw NativeError("gpu.failed", "The weights to be merged are too large for one call.");
    std::visit(
        [this](auto job) {
          job.first_tile = static_cast<unsigned>(blocks_);
          const char* const bytes = reinterpret_cast<const char*>(&job);
          bytes_.insert(bytes_.end(), bytes, bytes + sizeof job);
        },
        operation);
    blocks_ += more;
    ++jobs_;
  }
  KindLaunch AppendTo(std::vector<char>& tables, KindKernel kernel) const {
    const KindLaunch launch{kernel, tables.size(), jobs_, static_cast<unsigned>(blocks_)};
    tables.insert(tables.end(), bytes_.begin(), bytes_.end());
    return launch;
  }

 private:
  std::vector<char> bytes_;
  unsigned long long blocks_ = 0;
  int jobs_ = 0;
};
}  // namespace

KindWaves MakeKindWaves(const std::vector<KindProgram>& programs) {
  KindWaves waves;
  std::size_t used = 0;
  for (std::size_t i = 0; i < programs.size(); ++i) {
    const std::size_t bytes = ScratchBytesOf(programs[i]);
    if (used > 0 && used + bytes > kScratchBytes) {
      waves.ends.push_back(i);
      used = 0;
    }
    used += bytes;
    waves.scratch_bytes = std::max(waves.scratch_bytes, used);
  }
  if (!programs.empty()) waves.ends.push_back(programs.size());
  return waves;
}

KindPlan MakeKindPlan(const std::vector<KindProgram>& programs, const KindWaves& waves, CUdeviceptr scratch) {
  std::vector<GpuStep> steps;
  // The launches in their order: by wave, by the place in the programs, by kernel.
  std::vector<std::map<KindKernel, JobTable>> rounds;
  std::size_t next = 0;
  for (const std::size_t end : waves.ends) {
    const std::size_t first_round = rounds.size();
    CUdeviceptr free = scratch;
    for (; next < end; ++next) {
      std::vector<CUdeviceptr> addresses;
      for (const std::size_t count : programs[next].scratch) {
        addresses.push_back(free);
        free += ScratchBytesOf(count);
      }
      const std::vector<KindOperation> operations = ReadOperations(programs[next], addresses, static_cast<int>(next) + 1, steps);
      if (rounds.size() < first_round + operations.size()) rounds.resize(first_round + operations.size());
      for (std::size_t i = 0; i < operations.size(); ++i) {
        rounds[first_round + i][static_cast<KindKernel>(operations[i].index())].Add(operations[i]);
      }
    }
  }
  KindPlan plan;
  plan.tables.resize(steps.size() * sizeof(GpuStep));
  if (!steps.empty()) std::memcpy(plan.tables.data(), steps.data(), plan.tables.size());
  for (const auto& round : rounds) {
    for (const auto& [kernel, table] : round) plan.launches.push_back(table.AppendTo(plan.tables, kernel));
  }
  return plan;
}

}  // namespace redux
