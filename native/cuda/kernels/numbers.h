#pragma once

/*
 * Numbers of the three types in the GPU's memory, as the kernels read and write them. No header of CUDA's is used; conversions are
 * single instructions. Where the kernels are emulated (REDUX_EMULATED), the four conversions, `Tell` and
 * `MultiplyAdd` (matrix_units.h) come from the emulation.
 */
#include "number_types.h"

/* The compute capability, times ten, that a source is compiled for, unless it says another one before its includes. */
#ifndef REDUX_COMPUTE_CAPABILITY
#define REDUX_COMPUTE_CAPABILITY 75
#endif

namespace {

using namespace redux;

#ifndef REDUX_EMULATED
__device__ __forceinline__ float FloatOfHalf(unsigned short bits) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
  return value;
}

__device__ __forceinline__ unsigned short HalfOfFloat(float value) {
  unsigned short bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
}

__device__ __forceinline__ float FloatOfBits(unsigned bits) {
  return __uint_as_float(bits);
}

__device__ __forceinline__ unsigned BitsOfFloat(float value) {
  return __float_as_uint(value);
}

/** Of what several threads tell at once, one stays. */
__device__ __forceinline__ void Tell(int* place, int value) {
  *place = value;
}
#endif

/** To nearest, ties to even; a NaN stays one. */
__device__ __forceinline__ unsigned short BfloatOfFloat(float value) {
  const unsigned bits = BitsOfFloat(value);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return static_cast<unsigned short>((bits >> 16) | 0x40U);
  return static_cast<unsigned short>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

__device__ __forceinline__ float Load(unsigned long long data, int type, unsigned long long index) {
  if (type == kGpuFloat32) return reinterpret_cast<const float*>(data)[index];
  const unsigned short bits = reinterpret_cast<const unsigned short*>(data)[index];
  return type == kGpuFloat16 ? FloatOfHalf(bits) : FloatOfBits(static_cast<unsigned>(bits) << 16);
}

__device__ __forceinline__ void Store(unsigned long long data, int type, unsigned long long index, float value) {
  if (type == kGpuFloat32) {
    reinterpret_cast<float*>(data)[index] = value;
  } else {
    reinterpret_cast<unsigned short*>(data)[index] = type == kGpuFloat16 ? HalfOfFloat(value) : BfloatOfFloat(value);
  }
}

/** Four fp32 numbers, the first one at a multiple of 16 bytes. */
__device__ __forceinline__ void ReadFour(const float* from, float* to) {
  const float4 four = *reinterpret_cast<const float4*>(from);
  to[0] = four.x;
  to[1] = four.y;
  to[2] = four.z;
  to[3] = four.w;
}

/** Whether a number is still one when it is stored in this type: no NaN, and not so large that it becomes infinite. */
__device__ __forceinline__ bool IsStorable(float value, int type) {
  const float limit = type == kGpuFloat16 ? 65520.0F : 3.3895e38F;
  return value < limit && value > -limit;
}

}  // namespace
