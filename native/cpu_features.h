#pragma once

#include <string>
#include <vector>

#if defined(__x86_64__) || defined(_M_X64)
#define REDUX_X86_64 1
#elif defined(__aarch64__) || defined(_M_ARM64)
#define REDUX_ARM64 1
#endif

namespace redux {

/** The instruction sets that the kernels can use, where the processor has them and the system saves their registers. */
struct CpuFeatures {
  bool avx2 = false;
  bool fma = false;
  bool f16c = false;
  /** AVX-512 F, BW, DQ and VL together: what server and desktop processors with AVX-512 all have. */
  bool avx512 = false;
  bool neon = false;

  static CpuFeatures Detect();

  std::vector<std::string> Names() const;
};

}  // namespace redux
