#pragma once

#include <immintrin.h>

#include "../number_type.h"

namespace redux {
namespace {

/** Sixteen numbers in a 512-bit register; 6 × 4 accumulators fill twenty-four of the thirty-two registers. */
struct Avx512Vector {
  static constexpr int kWidth = 16;
  static constexpr int kTileRows = 6;
  static constexpr int kTileVectors = 4;
  using Register = __m512;

  static Register Zero() {
    return _mm512_setzero_ps();
  }
  static Register Broadcast(float value) {
    return _mm512_set1_ps(value);
  }
  static Register Add(Register a, Register b) {
    return _mm512_add_ps(a, b);
  }
  static Register MultiplyAdd(Register a, Register b, Register sum) {
    return _mm512_fmadd_ps(a, b, sum);
  }

  static Register Load(const float* source) {
    return _mm512_loadu_ps(source);
  }
  static Register Load(const Float16* source) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(source)));
  }
  static Register Load(const Bfloat16* source) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(source)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
  }

  static void Store(float* target, Register value) {
    _mm512_storeu_ps(target, value);
  }
  static void Store(Float16* target, Register value) {
    const __m256i half = _mm512_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(target), half);
  }
  /** Rounds to nearest even as half.h's FromFloat does (the AVX512_BF16 instruction would lose subnormals); NaN is made quiet. */
  static void Store(Bfloat16* target, Register value) {
    const __m512i bits = _mm512_castps_si512(value);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __mmask16 nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
    const __m512i chosen = _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x400000));
    const __m256i packed = _mm512_cvtepi32_epi16(_mm512_srli_epi32(chosen, 16));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(target), packed);
  }
};

}  // namespace
}  // namespace redux
