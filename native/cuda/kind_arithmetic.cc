#include "kind_arithmetic.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels_ptx.h"

namespace redux {

namespace {
/** Before the tables stands the place of a program whose result is not finite. */
constexpr std::size_t kFlagBytes = 256;

bool HasBfloats(const KindProgram& program) {
  return std::any_of(program.factors.begin(), program.factors.end(), [](const KindBuffer& factor) { return factor.type == kGpuBfloat16; });
}

void Grow(const Cuda& cuda, DeviceBuffer& buffer, std::size_t bytes) {
  if (buffer.bytes() >= bytes) return;
  buffer = DeviceBuffer();
  buffer = DeviceBuffer(cuda, bytes);
}
}  // namespace

KindArithmetic::KindArithmetic(Cuda cuda)
    : cuda_(std::move(cuda)), kinds_(cuda_, kKindsPtx), rotations_(cuda_, kRotationsPtx), kernels_(FindKernels(kinds_)) {
  if (!cuda_->has_bfloat_units()) return;
  bfloat_kinds_.emplace(cuda_, kBfloatKindsPtx);
  bfloat_kernels_ = FindKernels(*bfloat_kinds_);
}

KindArithmetic::Kernels KindArithmetic::FindKernels(const KernelModule& kinds) const {
  return {kinds.Find("multiply_matrices"), kinds.Find("run_passes"), kinds.Find("find_norms"), rotations_.Find("make_rotations"),
          rotations_.Find("turn_blocks")};
}

void KindArithmetic::Start(const CudaStream& stream, const std::vector<KindProgram>& programs) {
  const KindWaves waves = MakeKindWaves(programs);
  Grow(cuda_, scratch_, waves.scratch_bytes);
  const KindPlan plan = MakeKindPlan(programs, waves, scratch_.address());
  const std::size_t bytes = kFlagBytes + plan.tables.size();
  Grow(cuda_, tables_, bytes);
  if (host_tables_.bytes() < bytes) host_tables_ = PinnedBuffer(cuda_, 2 * bytes);
  std::memset(host_tables_.data(), 0, kFlagBytes);
  std::memcpy(host_tables_.data() + kFlagBytes, plan.tables.data(), plan.tables.size());
  stream.Upload(tables_.address(), host_tables_.data(), bytes);
  CUdeviceptr flag = tables_.address();
  CUdeviceptr steps = flag + kFlagBytes;
  const bool by_bfloats = bfloat_kinds_ && std::any_of(programs.begin(), programs.end(), HasBfloats);
  const Kernels& kernels = by_bfloats ? bfloat_kernels_ : kernels_;
  static_assert(static_cast<int>(kKindThreads) == static_cast<int>(kElementThreads), "all kernels have blocks of one size");
  for (const KindLaunch& launch : plan.launches) {
    CUdeviceptr jobs = steps + launch.offset;
    int count = launch.jobs;
    // Only passes take the last two.
    void* arguments[] = {&jobs, &count, &steps, &flag};
    kinds_.Launch(stream, kernels[static_cast<std::size_t>(launch.kernel)], launch.blocks, kKindThreads, arguments);
  }
  stream.Download(host_tables_.data(), flag, kFlagBytes);
}

std::optional<std::size_t> KindArithmetic::Finish(const CudaStream& stream) const {
  stream.Wait();
  int bad = 0;
  std::memcpy(&bad, host_tables_.data(), sizeof bad);
  if (bad == 0) return std::nullopt;
  return static_cast<std::size_t>(bad) - 1;
}

}  // namespace redux
