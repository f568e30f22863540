#include "md5_tests.h"

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "md5/range_digest.h"

namespace {

using namespace redux;

/** A file in the temporary folder, removed at the end. */
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& bytes)
      : path_(std::filesystem::temp_directory_path() / ("redux-md5-" + std::to_string(std::random_device{}()) + ".bin")) {
    std::ofstream(path_, std::ios::binary) << bytes;
  }
  ~TemporaryFile() {
    std::filesystem::remove(path_);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  std::vector<std::string> Paths() const {
    return {path_.u8string()};
  }

 private:
  std::filesystem::path path_;
};

std::string Hexadecimal(const RangeDigest& digest) {
  std::string text;
  for (const unsigned char byte : digest.md5) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", byte);
    text += digits;
  }
  return text;
}

std::vector<RangeDigest> Digest(const Md5Kernels& kernels, const std::vector<std::string>& files, const std::vector<FileRange>& ranges,
                                std::size_t threads) {
  const std::atomic<bool> cancelled{false};
  std::atomic<std::uint64_t> bytes_done{0};
  const auto digests = DigestRanges(kernels, files, ranges, threads, cancelled, bytes_done);
  std::uint64_t total = 0;
  for (const FileRange& range : ranges) total += range.length;
  Check(bytes_done == total, "every byte is counted");
  return *digests;
}

Md5KernelList AllKernels() {
  return SupportedMd5Kernels(CpuFeatures::Detect());
}

}  // namespace

/** RFC 1321, A.5. */
void TestMd5OfKnownMessages() {
  const struct {
    const char* message;
    const char* md5;
  } known[] = {
      {"", "d41d8cd98f00b204e9800998ecf8427e"},
      {"a", "0cc175b9c0f1b6a831c399e269772661"},
      {"abc", "900150983cd24fb0d6963f7d28e17f72"},
      {"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
      {"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"},
      {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "d174ab98d277d9f5a5611c2c9f419d9f"},
      {"12345678901234567890123456789012345678901234567890123456789012345678901234567890", "57edf4a22be3c955ac49da2e2107b67a"},
  };
  std::string bytes;
  std::vector<FileRange> ranges;
  for (const auto& [message, md5] : known) {
    ranges.push_back({0, bytes.size(), std::string(message).size(), std::nullopt});
    bytes += message;
  }
  const TemporaryFile file(bytes);
  const Md5KernelList list = AllKernels();
  for (std::size_t set = 0; set < list.count; ++set) {
    const auto digests = Digest(*list.sets[set], file.Paths(), ranges, 1);
    for (std::size_t i = 0; i < ranges.size(); ++i) {
      Check(Hexadecimal(digests[i]) == known[i].md5, std::string(list.sets[set]->name) + " of \"" + known[i].message + "\"");
    }
  }
}

void TestMd5OfEveryKernelSet() {
  std::mt19937 random(7);
  std::string bytes(300000, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  const TemporaryFile file(bytes);
  std::vector<FileRange> ranges;
  for (std::uint64_t length = 0; length < 200; ++length) ranges.push_back({0, length * 7, length, NumberType::kFloat16});
  for (int i = 0; i < 60; ++i) ranges.push_back({0, random() % 1000, random() % (i % 5 == 0 ? 299000 : 40000), NumberType::kBfloat16});
  const auto expected = Digest(kPlainMd5Kernels, file.Paths(), ranges, 1);
  const Md5KernelList list = AllKernels();
  for (std::size_t set = 0; set < list.count; ++set) {
    for (const std::size_t threads : {1, 4}) {
      const auto digests = Digest(*list.sets[set], file.Paths(), ranges, threads);
      bool same = true;
      for (std::size_t i = 0; i < ranges.size(); ++i) {
        same = same && digests[i].md5 == expected[i].md5 && digests[i].non_finite.nan == expected[i].non_finite.nan &&
               digests[i].non_finite.infinite == expected[i].non_finite.infinite;
      }
      Check(same, std::string(list.sets[set]->name) + " on " + std::to_string(threads) + " threads is as the plain one");
    }
  }
  Check(Digest(BestMd5Kernels(), file.Paths(), {}, 2).empty(), "no range, no digest");
}

void TestNonFiniteCounts() {
  const Md5KernelList list = AllKernels();
  const struct {
    NumberType type;
    std::size_t size;
    std::uint32_t infinite, nan, largest;
  } types[] = {
      {NumberType::kFloat32, 4, 0xff800000u, 0x7f800001u, 0xff7fffffu},
      {NumberType::kFloat16, 2, 0x7c00u, 0xfe00u, 0x7bffu},
      {NumberType::kBfloat16, 2, 0xff80u, 0x7f81u, 0xff7fu},
  };
  for (std::size_t set = 0; set < list.count; ++set) {
    for (const auto& each : types) {
      for (const std::size_t count : {1, 3, 64, 1000}) {
        std::vector<unsigned char> bytes(count * each.size);
        const auto put = [&](std::size_t place, std::uint32_t word) { std::memcpy(bytes.data() + place * each.size, &word, each.size); };
        NonFiniteCounts counts;
        for (std::size_t i = 0; i < count; ++i) put(i, each.largest);
        list.sets[set]->count_non_finite(bytes.data(), count, each.type, &counts);
        Check(counts.nan == 0 && counts.infinite == 0, "the largest numbers are finite");
        put(count - 1, each.infinite);
        list.sets[set]->count_non_finite(bytes.data(), count, each.type, &counts);
        put(0, each.nan);
        list.sets[set]->count_non_finite(bytes.data(), count, each.type, &counts);
        Check(counts.nan == 1 && counts.infinite == (count > 1 ? 2 : 1), "counts add up");
      }
    }
  }
}

void TestDigestErrorsAndCancel() {
  const TemporaryFile file(std::string(100, 'x'));
  const auto fails = [&](const std::vector<std::string>& files, std::uint64_t offset, std::uint64_t length) {
    try {
      Digest(BestMd5Kernels(), files, {{0, 0, 0, std::nullopt}, {0, offset, length, std::nullopt}}, 2);
    } catch (const FileReadError& error) {
      return error.file == 0;
    }
    return false;
  };
  Check(fails(file.Paths(), 0, 101), "past the end");
  Check(fails(file.Paths(), 1000, 1), "from beyond the end");
  Check(fails({"no such file"}, 0, 1), "no such file");

  const std::atomic<bool> cancelled{true};
  std::atomic<std::uint64_t> bytes_done{0};
  const auto digests = DigestRanges(BestMd5Kernels(), file.Paths(), {{0, 0, 100, std::nullopt}}, 1, cancelled, bytes_done);
  Check(!digests, "cancelled");
}
