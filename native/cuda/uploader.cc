#include "uploader.h"

#include <algorithm>
#include <cstring>
#include <thread>
#include <utility>

#include "../run_on_threads.h"

namespace redux {

namespace {
constexpr std::size_t kSlotBytes = std::size_t{4} << 20;
constexpr std::size_t kSlotsOfThread = 2;
constexpr std::size_t kMostThreads = 16;

/** Pieces that fit into one slot together, from which one thread fills it. */
std::vector<std::vector<HostPiece>> Batches(const std::vector<HostPiece>& pieces) {
  std::vector<std::vector<HostPiece>> batches;
  std::size_t room = 0;
  for (HostPiece piece : pieces) {
    while (piece.bytes > 0) {
      if (room == 0) {
        batches.emplace_back();
        room = kSlotBytes;
      }
      const std::size_t bytes = std::min(piece.bytes, room);
      batches.back().push_back({piece.to, piece.from, bytes, piece.source, piece.offset});
      piece.to += bytes;
      if (piece.from) piece.from = static_cast<const char*>(piece.from) + bytes;
      piece.offset += bytes;
      piece.bytes -= bytes;
      room -= bytes;
    }
  }
  return batches;
}
}  // namespace

/** A pinned buffer and the event that says when the GPU has fetched it. */
struct Uploader::Slot {
  explicit Slot(const Cuda& cuda) : buffer(cuda, kSlotBytes), fetched(cuda) {}
  PinnedBuffer buffer;
  CudaEvent fetched;
  bool used = false;
};

Uploader::Uploader(Cuda cuda, const CudaStream& stream) : cuda_(std::move(cuda)), stream_(stream) {}

Uploader::~Uploader() = default;

std::size_t Uploader::PinnedBytes() const {
  return slots_.size() * kSlotBytes;
}

bool Uploader::Upload(const std::vector<HostPiece>& pieces, const std::atomic<bool>& cancelled) {
  const std::vector<std::vector<HostPiece>> batches = Batches(pieces);
  if (batches.empty()) return !cancelled;
  const std::size_t cores = std::max<std::size_t>(1, std::thread::hardware_concurrency());
  const std::size_t threads = std::min({cores, kMostThreads, batches.size()});
  while (slots_.size() < threads * kSlotsOfThread) slots_.push_back(std::make_unique<Slot>(cuda_));
  std::atomic<std::size_t> next_batch{0};
  std::atomic<std::size_t> next_thread{0};
  try {
    RunOnThreads(threads, [&] {
      cuda_->Enter();
      const std::size_t first_slot = kSlotsOfThread * next_thread++;
      for (std::size_t turn = 0, batch; !cancelled && (batch = next_batch++) < batches.size(); ++turn) {
        Slot& slot = *slots_[first_slot + turn % kSlotsOfThread];
        if (slot.used) slot.fetched.Wait();
        char* place = slot.buffer.data();
        for (const HostPiece& piece : batches[batch]) {
          if (piece.from) std::memcpy(place, piece.from, piece.bytes);
          else piece.source->Read(piece.offset, place, piece.bytes);
          stream_.Upload(piece.to, place, piece.bytes);
          place += piece.bytes;
        }
        slot.fetched.Record(stream_);
        slot.used = true;
      }
    });
  } catch (...) {
    stream_.Wait();
    throw;
  }
  return !cancelled;
}

}  // namespace redux
