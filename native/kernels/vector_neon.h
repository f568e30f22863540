#pragma once

#include <arm_neon.h>

#include "../number_type.h"

namespace redux {
namespace {

/** Four numbers in a 128-bit register; 6 × 4 accumulators fill twenty-four of the thirty-two registers. */
struct NeonVector {
  static constexpr int kWidth = 4;
  static constexpr int kTileRows = 6;
  static constexpr int kTileVectors = 4;
  using Register = float32x4_t;

  static Register Zero() {
    return vdupq_n_f32(0);
  }
  static Register Broadcast(float value) {
    return vdupq_n_f32(value);
  }
  static Register Add(Register a, Register b) {
    return vaddq_f32(a, b);
  }
  static Register MultiplyAdd(Register a, Register b, Register sum) {
    return vfmaq_f32(sum, a, b);
  }

  static Register Load(const float* source) {
    return vld1q_f32(source);
  }
  static Register Load(const Float16* source) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(reinterpret_cast<const std::uint16_t*>(source))));
  }
  static Register Load(const Bfloat16* source) {
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(reinterpret_cast<const std::uint16_t*>(source)), 16));
  }

  static void Store(float* target, Register value) {
    vst1q_f32(target, value);
  }
  static void Store(Float16* target, Register value) {
    vst1_u16(reinterpret_cast<std::uint16_t*>(target), vreinterpret_u16_f16(vcvt_f16_f32(value)));
  }
  /** Rounds to nearest even as half.h's FromFloat does; NaN is made quiet. */
  static void Store(Bfloat16* target, Register value) {
    const uint32x4_t bits = vreinterpretq_u32_f32(value);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
    const uint32x4_t number = vceqq_f32(value, value);
    vst1_u16(reinterpret_cast<std::uint16_t*>(target), vshrn_n_u32(vbslq_u32(number, rounded, quiet), 16));
  }
};

}  // namespace
}  // namespace redux
