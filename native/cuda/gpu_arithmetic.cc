#include "gpu_arithmetic.h"

#include <cstring>
#include <utility>

#include "kernels_ptx.h"

namespace redux {

namespace {
/** Before the tables stands, for each kernel, the number of a job whose result is not finite. */
constexpr std::size_t kFlagBytes = 256;

std::size_t JobBytes(const MergeTables& tables) {
  return tables.jobs.size() * sizeof(GpuMergeJob);
}

std::size_t TermBytes(const MergeTables& tables) {
  return tables.terms.size() * sizeof(GpuTerm);
}
}  // namespace

GpuArithmetic::GpuArithmetic(Cuda cuda) : cuda_(std::move(cuda)), kernels_(cuda_, kKernelsPtx), convert_(kernels_.Find("convert_elements")) {
  merges_[kGpuFloat32] = kernels_.Find("merge_f32");
  merges_[kGpuFloat16] = kernels_.Find("merge_f16");
  merges_[kGpuBfloat16] = kernels_.Find("merge_bf16");
  if (!cuda_->has_bfloat_units()) return;
  bfloat_merges_.emplace(cuda_, kBfloatMergesPtx);
  merges_[kGpuTypes + kGpuFloat32] = bfloat_merges_->Find("merge_bfloats_f32");
  merges_[kGpuTypes + kGpuFloat16] = bfloat_merges_->Find("merge_bfloats_f16");
  merges_[kGpuTypes + kGpuBfloat16] = bfloat_merges_->Find("merge_bfloats_bf16");
}

void GpuArithmetic::StartMerges(const CudaStream& stream, const std::vector<GpuMerge>& merges) {
  std::array<MergeTables, kMergeKernels> tables = MakeMergeTables(merges, cuda_->has_bfloat_units());
  std::array<std::size_t, kMergeKernels> starts{};
  std::size_t bytes = kFlagBytes;
  for (std::size_t kernel = 0; kernel < kMergeKernels; ++kernel) {
    starts[kernel] = bytes;
    bytes += Aligned(JobBytes(tables[kernel]) + TermBytes(tables[kernel]));
  }
  if (tables_.bytes() < bytes) {
    tables_ = DeviceBuffer();
    tables_ = DeviceBuffer(cuda_, 2 * bytes);
  }
  if (host_tables_.bytes() < bytes) host_tables_ = PinnedBuffer(cuda_, 2 * bytes);
  std::memset(host_tables_.data(), 0, kFlagBytes);
  for (std::size_t kernel = 0; kernel < kMergeKernels; ++kernel) {
    const MergeTables& table = tables[kernel];
    char* place = host_tables_.data() + starts[kernel];
    if (!table.jobs.empty()) std::memcpy(place, table.jobs.data(), JobBytes(table));
    if (!table.terms.empty()) std::memcpy(place + JobBytes(table), table.terms.data(), TermBytes(table));
  }
  stream.Upload(tables_.address(), host_tables_.data(), bytes);
  for (std::size_t kernel = 0; kernel < kMergeKernels; ++kernel) {
    places_[kernel] = std::move(tables[kernel].places);
    CUdeviceptr flag = tables_.address() + kernel * sizeof(int);
    CUdeviceptr jobs = tables_.address() + starts[kernel];
    CUdeviceptr terms = jobs + JobBytes(tables[kernel]);
    int count = static_cast<int>(tables[kernel].jobs.size());
    void* arguments[] = {&jobs, &count, &terms, &flag};
    kernels_.Launch(stream, merges_[kernel], tables[kernel].tiles, kMergeThreads, arguments);
  }
  stream.Download(host_tables_.data(), tables_.address(), kFlagBytes);
}

std::optional<std::size_t> GpuArithmetic::FinishMerges(const CudaStream& stream) const {
  stream.Wait();
  for (std::size_t kernel = 0; kernel < kMergeKernels; ++kernel) {
    int bad_job = 0;
    std::memcpy(&bad_job, host_tables_.data() + kernel * sizeof bad_job, sizeof bad_job);
    if (bad_job > 0) return places_[kernel].at(static_cast<std::size_t>(bad_job) - 1);
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
  kernels_.Launch(stream, convert_, (count + kElementThreads - 1) / kElementThreads, kElementThreads, arguments);
}

}  // namespace redux
