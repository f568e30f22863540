#pragma once

#include <immintrin.h>

#include "../number_type.h"

namespace redux {
namespace {

/** Eight numbers in a 256-bit register; 6 × 2 accumulators fill twelve of the sixteen registers. */
struct Avx2Vector {
  static constexpr int kWidth = 8;
  static constexpr int kTileRows = 6;
  static constexpr int kTileVectors = 2;
  using Register = __m256;

  static Register Zero() {
    return _mm256_setzero_ps();
  }
  static Register Broadcast(float value) {
    return _mm256_set1_ps(value);
  }
  static Register Add(Register a, Register b) {
    return _mm256_add_ps(a, b);
  }
  static Register MultiplyAdd(Register a, Register b, Register sum) {
    return _mm256_fmadd_ps(a, b, sum);
  }

  static Register Load(const float* source) {
    return _mm256_loadu_ps(source);
  }
  static Register Load(const Float16* source) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(source)));
  }
  static Register Load(const Bfloat16* source) {
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(source)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
  }

  static void Store(float* target, Register value) {
    _mm256_storeu_ps(target, value);
  }
  static void Store(Float16* target, Register value) {
    const __m128i half = _mm256_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(target), half);
  }
  /** Rounds to nearest even as half.h's FromFloat does; NaN is made quiet. */
  static void Store(Bfloat16* target, Register value) {
    const __m256i bits = _mm256_castps_si256(value);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(value, value, _CMP_UNORD_Q));
    const __m256i upper = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
    const __m128i packed = _mm_packus_epi32(_mm256_castsi256_si128(upper), _mm256_extracti128_si256(upper, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(target), packed);
  }
};

}  // namespace
}  // namespace redux
