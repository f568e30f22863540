#include "gpu_arithmetic.h"

#include <cstring>
#include <utility>

#include "kernels_ptx.h"

namespace redux {

namespace {
/** Before the tables stands, for each type, the number of a job whose result is not finite. */
constexpr std::size_t kFlagBytes = 256;

std::size_t JobBytes(const MergeTables& tables) {
  return tables.jobs.size() * sizeof(GpuMergeJob);
}

std::size_t TermBytes(const MergeTables& tables) {
  return tables.terms.size() * sizeof(GpuTerm);
}
}  // namespace

GpuArithmetic::GpuArithmetic(Cuda cuda) : cuda_(std::move(cuda)) {
  cuda_->Check(cuda_->ModuleLoadData(&module_, kKernelsPtx), "loading the merge kernels");
  merge_[kGpuFloat32] = Find("merge_f32");
  merge_[kGpuFloat16] = Find("merge_f16");
  merge_[kGpuBfloat16] = Find("merge_bf16");
  convert_ = Find("convert_elements");
}

GpuArithmetic::~GpuArithmetic() {
  if (module_) cuda_->ModuleUnload(module_);
}

CUfunction GpuArithmetic::Find(const char* name) const {
  CUfunction function = nullptr;
  cuda_->Check(cuda_->ModuleGetFunction(&function, module_, name), "looking for a kernel");
  return function;
}

void GpuArithmetic::StartMerges(const CudaStream& stream, const std::vector<GpuMerge>& merges) {
  std::array<MergeTables, kGpuTypes> tables;
  std::array<std::size_t, kGpuTypes> starts{};
  std::size_t bytes = kFlagBytes;
  for (GpuType type = 0; type < kGpuTypes; ++type) {
    MergeTables& table = tables[static_cast<std::size_t>(type)];
    table = MakeMergeTables(merges, type);
    starts[static_cast<std::size_t>(type)] = bytes;
    bytes += Aligned(JobBytes(table) + TermBytes(table));
  }
  if (tables_.bytes() < bytes) {
    tables_ = DeviceBuffer();
    tables_ = DeviceBuffer(cuda_, 2 * bytes);
  }
  if (host_tables_.bytes() < bytes) host_tables_ = PinnedBuffer(cuda_, 2 * bytes);
  std::memset(host_tables_.data(), 0, kFlagBytes);
  for (std::size_t type = 0; type < kGpuTypes; ++type) {
    char* place = host_tables_.data() + starts[type];
    if (!tables[type].jobs.empty()) std::memcpy(place, tables[type].jobs.data(), JobBytes(tables[type]));
    if (!tables[type].terms.empty()) std::memcpy(place + JobBytes(tables[type]), tables[type].terms.data(), TermBytes(tables[type]));
  }
  stream.Upload(tables_.address(), host_tables_.data(), bytes);
  for (std::size_t type = 0; type < kGpuTypes; ++type) {
    places_[type] = std::move(tables[type].places);
    if (tables[type].tiles == 0) continue;
    CUdeviceptr flag = tables_.address() + type * sizeof(int);
    CUdeviceptr jobs = tables_.address() + starts[type];
    CUdeviceptr terms = jobs + JobBytes(tables[type]);
    int count = static_cast<int>(tables[type].jobs.size());
    void* arguments[] = {&jobs, &count, &terms, &flag};
    cuda_->Check(cuda_->LaunchKernel(merge_[type], tables[type].tiles, 1, 1, kMergeThreads, 1, 1, 0, stream.get(), arguments, nullptr),
                 "starting a merge");
  }
  stream.Download(host_tables_.data(), tables_.address(), kFlagBytes);
}

std::optional<std::size_t> GpuArithmetic::FinishMerges(const CudaStream& stream) const {
  stream.Wait();
  for (std::size_t type = 0; type < kGpuTypes; ++type) {
    int bad_job = 0;
    std::memcpy(&bad_job, host_tables_.data() + type * sizeof bad_job, sizeof bad_job);
    if (bad_job > 0) return places_[type].at(static_cast<std::size_t>(bad_job) - 1);
  }
  return std::nullopt;
}

void GpuArithmetic::Convert(const CudaStream& stream, CUdeviceptr from, GpuType from_type, CUdeviceptr to, GpuType to_type,
                            std::size_t count) const {
  if (count == 0) return;
  unsigned long long source = from;
  unsigned long long target = to;
  unsigned long long elements = count;
  void* arguments[] = {&source, &from_type, &target, &to_type, &elements};
  const unsigned blocks = static_cast<unsigned>((count + kElementThreads - 1) / kElementThreads);
  cuda_->Check(cuda_->LaunchKernel(convert_, blocks, 1, 1, kElementThreads, 1, 1, 0, stream.get(), arguments, nullptr),
               "starting a conversion");
}

}  // namespace redux
