#include "kind_arithmetic.h"

#include <cstring>
#include <utility>

#include "kernels_ptx.h"

namespace redux {

namespace {
/** Before the tables stands the place of a program whose result is not finite. */
constexpr std::size_t kFlagBytes = 256;

void Grow(const Cuda& cuda, DeviceBuffer& buffer, std::size_t bytes) {
  if (buffer.bytes() >= bytes) return;
  buffer = DeviceBuffer();
  buffer = DeviceBuffer(cuda, bytes);
}
}  // namespace

KindArithmetic::KindArithmetic(Cuda cuda) : cuda_(std::move(cuda)) {
  cuda_->Check(cuda_->ModuleLoadData(&kinds_, kKindsPtx), "loading the kernels of the kinds of change");
  cuda_->Check(cuda_->ModuleLoadData(&rotations_, kRotationsPtx), "loading the kernels of rotations");
  products_ = Find(kinds_, "multiply_matrices");
  passes_ = Find(kinds_, "run_passes");
  norms_ = Find(kinds_, "find_norms");
  cayley_ = Find(rotations_, "make_rotations");
  turns_ = Find(rotations_, "turn_blocks");
}

KindArithmetic::~KindArithmetic() {
  if (kinds_) cuda_->ModuleUnload(kinds_);
  if (rotations_) cuda_->ModuleUnload(rotations_);
}

CUfunction KindArithmetic::Find(CUmodule module, const char* name) const {
  CUfunction function = nullptr;
  cuda_->Check(cuda_->ModuleGetFunction(&function, module, name), "looking for a kernel");
  return function;
}

CUfunction KindArithmetic::FunctionOf(KindKernel kernel) const {
  switch (kernel) {
    case KindKernel::kProducts:
      return products_;
    case KindKernel::kNorms:
      return norms_;
    case KindKernel::kCayley:
      return cayley_;
    case KindKernel::kRotations:
      return turns_;
    default:
      return passes_;
  }
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
  static_assert(static_cast<int>(kKindThreads) == static_cast<int>(kElementThreads), "all kernels have blocks of one size");
  for (const KindLaunch& launch : plan.launches) {
    CUdeviceptr jobs = steps + launch.offset;
    int count = launch.jobs;
    // Only passes take the last two.
    void* arguments[] = {&jobs, &count, &steps, &flag};
    cuda_->Check(
        cuda_->LaunchKernel(FunctionOf(launch.kernel), launch.blocks, 1, 1, kKindThreads, 1, 1, 0, stream.get(), arguments, nullptr),
        "starting a merge");
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
