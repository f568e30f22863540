#include "range_digest.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "../run_on_threads.h"

namespace redux {
namespace {

/** Bytes read at a time; the lanes' pieces together stay in a core's second-level cache between reading and hashing. */
constexpr std::size_t kPieceBytes = 32 * 1024;
/** RFC 1321, 3.1 and 3.2: a one bit, zeros, and the length in 64 bits, up to a whole block. */
constexpr std::size_t kMostPaddingBytes = 1 + (kMd5BlockBytes - 1) + 8;

/** Where all threads take their ranges from: the longest first, so that the last ones are short. */
class RangeQueue {
 public:
  explicit RangeQueue(const std::vector<FileRange>& ranges) : order_(ranges.size()) {
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    std::stable_sort(order_.begin(), order_.end(), [&](std::size_t a, std::size_t b) { return ranges[a].length > ranges[b].length; });
  }

  std::optional<std::size_t> Take() {
    const std::size_t place = next_.fetch_add(1, std::memory_order_relaxed);
    return place < order_.size() ? std::optional(order_[place]) : std::nullopt;
  }

 private:
  std::vector<std::size_t> order_;
  std::atomic<std::size_t> next_{0};
};

/** One range being read, padded at its end. Has its own file handle, because systems read ahead by handle. */
class RangeReader {
 public:
  explicit RangeReader(const std::vector<std::string>& files) : files_(files), buffer_(kPieceBytes + kMostPaddingBytes) {}

  void Start(std::size_t index, const FileRange& range) {
    index_ = index;
    range_ = &range;
    left_ = range.length;
    padded_ = false;
    if (range.file != open_file_) {
      stream_ = std::ifstream();
      stream_.rdbuf()->pubsetbuf(nullptr, 0);  // Pieces are read straight into the buffer below.
      stream_.open(std::filesystem::u8path(files_[range.file]), std::ios::binary);
      open_file_ = range.file;
    }
    stream_.seekg(static_cast<std::streamoff>(range.offset));
    if (!stream_) throw FileReadError(range.file);
  }

  std::size_t Index() const {
    return index_;
  }
  const unsigned char* Data() const {
    return buffer_.data() + position_;
  }
  std::size_t Blocks() const {
    return (end_ - position_) / kMd5BlockBytes;
  }
  void Skip(std::size_t blocks) {
    position_ += blocks * kMd5BlockBytes;
  }

  /** Reads the next piece, of which `bytes` tells the length without padding; false at the end of the range. */
  bool ReadPiece(std::size_t* bytes) {
    if (padded_) return false;
    *bytes = static_cast<std::size_t>(std::min<std::uint64_t>(left_, kPieceBytes));
    stream_.read(reinterpret_cast<char*>(buffer_.data()), static_cast<std::streamsize>(*bytes));
    if (static_cast<std::size_t>(stream_.gcount()) != *bytes) throw FileReadError(range_->file);
    left_ -= *bytes;
    position_ = 0;
    end_ = *bytes;
    if (left_ == 0) Pad();
    return true;
  }

 private:
  void Pad() {
    const std::size_t padded = (end_ + 1 + 8 + kMd5BlockBytes - 1) / kMd5BlockBytes * kMd5BlockBytes;
    std::fill(buffer_.begin() + end_, buffer_.begin() + padded, static_cast<unsigned char>(0));
    buffer_[end_] = 0x80;
    const std::uint64_t bits = range_->length * 8;
    for (int i = 0; i < 8; ++i) buffer_[padded - 8 + i] = static_cast<unsigned char>(bits >> (8 * i));
    end_ = padded;
    padded_ = true;
  }

  const std::vector<std::string>& files_;
  std::vector<unsigned char> buffer_;
  std::ifstream stream_;
  std::size_t open_file_ = static_cast<std::size_t>(-1);
  std::size_t index_ = 0;
  const FileRange* range_ = nullptr;
  std::uint64_t left_ = 0;
  std::size_t position_ = 0;
  std::size_t end_ = 0;
  bool padded_ = false;
};

/** One thread's lanes. */
class LaneHasher {
 public:
  LaneHasher(const Md5Kernels& kernels, const std::vector<std::string>& files, const std::vector<FileRange>& ranges, RangeQueue& queue,
             std::vector<RangeDigest>& digests, std::atomic<std::uint64_t>& bytes_done)
      : kernels_(kernels), ranges_(ranges), queue_(queue), digests_(digests), bytes_done_(bytes_done), idle_(kPieceBytes + kMd5BlockBytes * 2) {
    for (std::size_t lane = 0; lane < kernels.lanes; ++lane) readers_.emplace_back(files);
    busy_.assign(kernels.lanes, false);
    for (std::size_t lane = 0; lane < kernels.lanes; ++lane) TakeRange(lane);
  }

  /** Hashes what all busy lanes have read, and reads on where one has no more; false when no range is left. */
  bool Advance() {
    const unsigned char* data[kMd5MostLanes];
    std::size_t blocks = idle_.size() / kMd5BlockBytes;
    bool any = false;
    for (std::size_t lane = 0; lane < kernels_.lanes; ++lane) {
      data[lane] = busy_[lane] ? readers_[lane].Data() : idle_.data();
      if (!busy_[lane]) continue;
      any = true;
      blocks = std::min(blocks, readers_[lane].Blocks());
    }
    if (!any) return false;
    kernels_.hash_blocks(state_, data, blocks);
    for (std::size_t lane = 0; lane < kernels_.lanes; ++lane) {
      if (!busy_[lane]) continue;
      readers_[lane].Skip(blocks);
      if (readers_[lane].Blocks() == 0) ReadOn(lane);
    }
    return true;
  }

 private:
  void TakeRange(std::size_t lane) {
    const auto index = queue_.Take();
    busy_[lane] = index.has_value();
    if (!index) return;
    for (std::size_t word = 0; word < 4; ++word) state_[word * kernels_.lanes + lane] = kMd5InitialState[word];
    readers_[lane].Start(*index, ranges_[*index]);
    ReadOn(lane);
  }

  void ReadOn(std::size_t lane) {
    RangeReader& reader = readers_[lane];
    RangeDigest& digest = digests_[reader.Index()];
    std::size_t bytes = 0;
    if (!reader.ReadPiece(&bytes)) {
      for (std::size_t i = 0; i < digest.md5.size(); ++i) {
        digest.md5[i] = static_cast<unsigned char>(state_[i / 4 * kernels_.lanes + lane] >> (8 * (i % 4)));
      }
      TakeRange(lane);
      return;
    }
    const auto type = ranges_[reader.Index()].type;
    if (type) kernels_.count_non_finite(reader.Data(), bytes / SizeOf(*type), *type, &digest.non_finite);
    bytes_done_.fetch_add(bytes, std::memory_order_relaxed);
  }

  const Md5Kernels& kernels_;
  const std::vector<FileRange>& ranges_;
  RangeQueue& queue_;
  std::vector<RangeDigest>& digests_;
  std::atomic<std::uint64_t>& bytes_done_;
  /** What lanes without a range are given: their states are never looked at. */
  const std::vector<unsigned char> idle_;
  std::vector<RangeReader> readers_;
  std::vector<bool> busy_;
  std::uint32_t state_[4 * kMd5MostLanes] = {};
};

}  // namespace

std::optional<std::vector<RangeDigest>> DigestRanges(const Md5Kernels& kernels, const std::vector<std::string>& files,
                                                     const std::vector<FileRange>& ranges, std::size_t threads,
                                                     const std::atomic<bool>& cancelled, std::atomic<std::uint64_t>& bytes_done) {
  std::vector<RangeDigest> digests(ranges.size());
  RangeQueue queue(ranges);
  RunOnThreads(std::min(threads, ranges.size()), [&] {
    LaneHasher hasher(kernels, files, ranges, queue, digests, bytes_done);
    while (!cancelled.load(std::memory_order_relaxed) && hasher.Advance()) {
    }
  });
  if (cancelled.load(std::memory_order_relaxed)) return std::nullopt;
  return digests;
}

}  // namespace redux
