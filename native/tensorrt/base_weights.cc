#include "base_weights.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "../cuda/native_error.h"
#include "../run_on_threads.h"

namespace redux {

namespace {
constexpr std::size_t kMostThreads = 16;
}

BaseWeights::BaseWeights(const Cuda& cuda, Uploader& uploader, std::vector<WeightInfo> weights, BasePlacement placement,
                         const std::atomic<bool>& cancelled)
    : weights_(std::move(weights)), placement_(placement) {
  std::size_t total = 0;
  for (const WeightInfo& weight : weights_) {
    places_.emplace(weight.name, offsets_.size());
    offsets_.push_back(total);
    total += Aligned(weight.Bytes());
    auto& file = files_[weight.file];
    if (!file) file = std::make_unique<ReadableFile>(weight.file);
    if (weight.offset > file->bytes() || weight.Bytes() > file->bytes() - weight.offset) {
      throw NativeError("bundle.invalid", weight.file + " ends before the weight \"" + weight.name + "\". Export the checkpoint again.");
    }
  }
  if (placement_ == BasePlacement::kGpu) {
    on_gpu_ = DeviceBuffer(cuda, total);
    std::vector<HostPiece> pieces;
    for (const WeightInfo& weight : weights_) pieces.push_back(InFile(weight, on_gpu_.address() + OffsetOf(weight)));
    if (!uploader.Upload(pieces, cancelled)) throw NativeError("cancelled", "Loading the engine was cancelled.");
  } else if (placement_ == BasePlacement::kHost) {
    on_host_ = PinnedBuffer(cuda, total);
    std::atomic<std::size_t> next{0};
    const std::size_t cores = std::max<std::size_t>(1, std::thread::hardware_concurrency());
    RunOnThreads(std::min(cores, kMostThreads), [&] {
      for (std::size_t i; !cancelled && (i = next++) < weights_.size();) {
        files_.at(weights_[i].file)->Read(weights_[i].offset, on_host_.data() + offsets_[i], weights_[i].Bytes());
      }
    });
    if (cancelled) throw NativeError("cancelled", "Loading the engine was cancelled.");
  }
  if (placement_ != BasePlacement::kFile) files_.clear();
}

const WeightInfo* BaseWeights::Find(const std::string& name) const {
  const auto found = places_.find(name);
  return found == places_.end() ? nullptr : &weights_[found->second];
}

std::size_t BaseWeights::OffsetOf(const WeightInfo& weight) const {
  return offsets_[static_cast<std::size_t>(&weight - weights_.data())];
}

HostPiece BaseWeights::InFile(const WeightInfo& weight, CUdeviceptr to) const {
  return {to, nullptr, weight.Bytes(), files_.at(weight.file).get(), weight.offset};
}

CUdeviceptr BaseWeights::AddressOf(const WeightInfo& weight) const {
  return placement_ == BasePlacement::kGpu ? on_gpu_.address() + OffsetOf(weight) : 0;
}

HostPiece BaseWeights::PieceFor(const WeightInfo& weight, CUdeviceptr to) const {
  if (placement_ != BasePlacement::kHost) return InFile(weight, to);
  return {to, on_host_.data() + OffsetOf(weight), weight.Bytes()};
}

}  // namespace redux
