#pragma once

#include <cstdint>
#include <cstring>

#include "../number_type.h"

// Conversions for processors without instructions for them. Everything here is `static` on purpose: the files that include it
// are compiled for different instruction sets, and one must never be linked to another's copy.

namespace redux {

static inline float FloatFromBits(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

static inline std::uint32_t BitsFromFloat(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

static inline float ToFloat(float value) {
  return value;
}

static inline float ToFloat(Bfloat16 value) {
  return FloatFromBits(static_cast<std::uint32_t>(value.bits) << 16);
}

static inline float ToFloat(Float16 value) {
  const std::uint32_t sign = static_cast<std::uint32_t>(value.bits & 0x8000u) << 16;
  const std::uint32_t magnitude = value.bits & 0x7fffu;
  if (magnitude >= 0x7c00u) {  // Infinity or NaN, which becomes quiet, as the processors' instructions make it.
    const std::uint32_t quiet = magnitude > 0x7c00u ? 0x400000u : 0u;
    return FloatFromBits(sign | 0x7f800000u | quiet | ((magnitude & 0x3ffu) << 13));
  }
  if (magnitude < 0x400u) {  // Zero or subnormal: an integer multiple of 2^-24.
    const float scaled = static_cast<float>(magnitude) * FloatFromBits(0x33800000u);
    return FloatFromBits(sign | BitsFromFloat(scaled));
  }
  return FloatFromBits(sign | ((magnitude << 13) + 0x38000000u));
}

static inline void FromFloat(float value, float* output) {
  *output = value;
}

/** Rounds to nearest even; NaN stays NaN, made quiet. */
static inline void FromFloat(float value, Bfloat16* output) {
  const std::uint32_t bits = BitsFromFloat(value);
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  const std::uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  output->bits = static_cast<std::uint16_t>(nan ? (bits >> 16) | 0x40u : rounded >> 16);
}

/** Rounds to nearest even; what is too large becomes infinity; NaN stays NaN, made quiet. */
static inline void FromFloat(float value, Float16* output) {
  const std::uint32_t bits = BitsFromFloat(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  std::uint32_t half;
  if (magnitude > 0x7f800000u) {
    half = 0x7e00u | ((magnitude >> 13) & 0x3ffu);
  } else if (magnitude >= 0x47800000u) {  // 65536 and above.
    half = 0x7c00u;
  } else if (magnitude < 0x38800000u) {  // Below 2^-14: adding 0.5 leaves the rounded multiple of 2^-24 in the low bits.
    half = BitsFromFloat(FloatFromBits(magnitude) + 0.5f) - 0x3f000000u;
  } else {
    half = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  }
  output->bits = static_cast<std::uint16_t>(sign | half);
}

}  // namespace redux
