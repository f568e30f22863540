#pragma once

#include <cstddef>
#include <cstdint>

#include "../cpu_features.h"
#include "../number_type.h"

namespace redux {

/** What a range of numbers has besides finite ones. */
struct NonFiniteCounts {
  std::uint64_t nan = 0;
  std::uint64_t infinite = 0;
};

/**
 * MD5 (RFC 1321) of many messages side by side, one in each lane of a vector register: one message's steps depend on each other,
 * so a processor is mostly waiting when it hashes a single one. Written once (md5_template.h), compiled once per instruction set.
 */
struct Md5Kernels {
  const char* name;
  std::size_t lanes;

  /**
   * Takes `blocks` blocks of 64 bytes of every lane into its state. `state` is [4, lanes] (words a, b, c, d); `data` has one
   * pointer a lane, which need not be aligned.
   */
  void (*hash_blocks)(std::uint32_t* state, const unsigned char* const* data, std::size_t blocks);

  /** Adds to `counts` what is not finite among `count` little-endian numbers. */
  void (*count_non_finite)(const unsigned char* numbers, std::size_t count, NumberType type, NonFiniteCounts* counts);
};

constexpr std::size_t kMd5BlockBytes = 64;
constexpr std::size_t kMd5MostLanes = 16;
constexpr std::uint32_t kMd5InitialState[4] = {0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u};

/** RFC 1321, 3.4: T[i], the integer part of 4294967296 times abs(sin(i)), i in radians from 1 on. */
extern const std::uint32_t (&kMd5Sines)[64];

/** The fastest kernels that this processor runs. */
const Md5Kernels& BestMd5Kernels();

/** Every kernel set in this build that this processor runs, the plain one first. */
struct Md5KernelList {
  const Md5Kernels* sets[3];
  std::size_t count;
};
Md5KernelList SupportedMd5Kernels(const CpuFeatures& features);

extern const Md5Kernels kPlainMd5Kernels;
#if defined(REDUX_X86_64)
extern const Md5Kernels kAvx2Md5Kernels;
extern const Md5Kernels kAvx512Md5Kernels;
#endif

}  // namespace redux
