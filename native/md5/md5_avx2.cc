#include <immintrin.h>

#include "md5_template.h"

namespace redux {
namespace {

/** Eight lanes in a 256-bit register. */
struct Avx2Lanes {
  static constexpr std::size_t kLanes = 8;
  using Register = __m256i;

  static Register Load(const std::uint32_t* source) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(source));
  }
  static void Store(std::uint32_t* target, Register value) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(target), value);
  }
  static Register Broadcast(std::uint32_t value) {
    return _mm256_set1_epi32(static_cast<int>(value));
  }
  static Register Add(Register a, Register b) {
    return _mm256_add_epi32(a, b);
  }
  static Register Choose(Register mask, Register yes, Register no) {
    return _mm256_xor_si256(no, _mm256_and_si256(mask, _mm256_xor_si256(yes, no)));
  }
  static Register Parity(Register b, Register c, Register d) {
    return _mm256_xor_si256(b, _mm256_xor_si256(c, d));
  }
  static Register OrNot(Register b, Register c, Register d) {
    return _mm256_xor_si256(c, _mm256_or_si256(b, _mm256_xor_si256(d, _mm256_set1_epi32(-1))));
  }
  template <int kShift>
  static Register RotateLeft(Register value) {
    return _mm256_or_si256(_mm256_slli_epi32(value, kShift), _mm256_srli_epi32(value, 32 - kShift));
  }

  /** Two 8 × 8 transpositions: of the blocks' first halves and of their second ones. */
  static void LoadBlocks(const unsigned char* const* data, std::size_t offset, Register (&words)[16]) {
    for (int half = 0; half < 2; ++half) {
      Register pairs[8], fours[8];
      for (int i = 0; i < 8; i += 2) {
        const Register even = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(data[i] + offset + half * 32));
        const Register odd = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(data[i + 1] + offset + half * 32));
        pairs[i] = _mm256_unpacklo_epi32(even, odd);
        pairs[i + 1] = _mm256_unpackhi_epi32(even, odd);
      }
      for (int i = 0; i < 8; i += 4) {
        fours[i] = _mm256_unpacklo_epi64(pairs[i], pairs[i + 2]);
        fours[i + 1] = _mm256_unpackhi_epi64(pairs[i], pairs[i + 2]);
        fours[i + 2] = _mm256_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
        fours[i + 3] = _mm256_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
      }
      for (int i = 0; i < 4; ++i) {
        words[half * 8 + i] = _mm256_permute2x128_si256(fours[i], fours[4 + i], 0x20);
        words[half * 8 + 4 + i] = _mm256_permute2x128_si256(fours[i], fours[4 + i], 0x31);
      }
    }
  }
};

}  // namespace

const Md5Kernels kAvx2Md5Kernels = MakeMd5Kernels<Avx2Lanes>("avx2");

}  // namespace redux
