#include <immintrin.h>

#include "md5_template.h"

namespace redux {
namespace {

/** Sixteen lanes in a 512-bit register. */
struct Avx512Lanes {
  static constexpr std::size_t kLanes = 16;
  using Register = __m512i;

  static Register Load(const std::uint32_t* source) {
    return _mm512_loadu_si512(source);
  }
  static void Store(std::uint32_t* target, Register value) {
    _mm512_storeu_si512(target, value);
  }
  static Register Broadcast(std::uint32_t value) {
    return _mm512_set1_epi32(static_cast<int>(value));
  }
  static Register Add(Register a, Register b) {
    return _mm512_add_epi32(a, b);
  }
  // The last argument is the function's truth table: bit 4a + 2b + c is its value for bits a, b, c of the operands.
  static Register Choose(Register mask, Register yes, Register no) {
    return _mm512_ternarylogic_epi32(mask, yes, no, 0xca);
  }
  static Register Parity(Register b, Register c, Register d) {
    return _mm512_ternarylogic_epi32(b, c, d, 0x96);
  }
  static Register OrNot(Register b, Register c, Register d) {
    return _mm512_ternarylogic_epi32(b, c, d, 0x39);
  }
  template <int kShift>
  static Register RotateLeft(Register value) {
    return _mm512_rol_epi32(value, kShift);
  }

  /** A 16 × 16 transposition: within 128-bit quarters first, then of the quarters. */
  static void LoadBlocks(const unsigned char* const* data, std::size_t offset, Register (&words)[16]) {
    Register pairs[16], fours[16];
    for (int i = 0; i < 16; i += 2) {
      const Register even = _mm512_loadu_si512(data[i] + offset);
      const Register odd = _mm512_loadu_si512(data[i + 1] + offset);
      pairs[i] = _mm512_unpacklo_epi32(even, odd);
      pairs[i + 1] = _mm512_unpackhi_epi32(even, odd);
    }
    for (int i = 0; i < 16; i += 4) {
      fours[i] = _mm512_unpacklo_epi64(pairs[i], pairs[i + 2]);
      fours[i + 1] = _mm512_unpackhi_epi64(pairs[i], pairs[i + 2]);
      fours[i + 2] = _mm512_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
      fours[i + 3] = _mm512_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
    }
    for (int i = 0; i < 4; ++i) {
      const Register even_low = _mm512_shuffle_i32x4(fours[i], fours[4 + i], 0x88);
      const Register odd_low = _mm512_shuffle_i32x4(fours[i], fours[4 + i], 0xdd);
      const Register even_high = _mm512_shuffle_i32x4(fours[8 + i], fours[12 + i], 0x88);
      const Register odd_high = _mm512_shuffle_i32x4(fours[8 + i], fours[12 + i], 0xdd);
      words[i] = _mm512_shuffle_i32x4(even_low, even_high, 0x88);
      words[4 + i] = _mm512_shuffle_i32x4(odd_low, odd_high, 0x88);
      words[8 + i] = _mm512_shuffle_i32x4(even_low, even_high, 0xdd);
      words[12 + i] = _mm512_shuffle_i32x4(odd_low, odd_high, 0xdd);
    }
  }
};

}  // namespace

const Md5Kernels kAvx512Md5Kernels = MakeMd5Kernels<Avx512Lanes>("avx512");

}  // namespace redux
