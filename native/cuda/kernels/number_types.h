#pragma once

namespace redux {

/** Number types, as the kernels and their callers count them. */
enum { kGpuFloat32 = 0, kGpuFloat16 = 1, kGpuBfloat16 = 2 };

/** Threads of a block where each thread computes one number. */
enum { kElementThreads = 256 };

}  // namespace redux
