#include "md5_kernels.h"

#include <cmath>

namespace redux {

namespace {
struct Sines {
  std::uint32_t values[64];

  Sines() {
    for (int i = 0; i < 64; ++i) values[i] = static_cast<std::uint32_t>(std::abs(std::sin(i + 1.0)) * 4294967296.0);
  }
};

const Sines sines;
}  // namespace

const std::uint32_t (&kMd5Sines)[64] = sines.values;

Md5KernelList SupportedMd5Kernels(const CpuFeatures& features) {
  Md5KernelList list{{&kPlainMd5Kernels}, 1};
#if defined(REDUX_X86_64)
  if (features.avx2) list.sets[list.count++] = &kAvx2Md5Kernels;
  if (features.avx512) list.sets[list.count++] = &kAvx512Md5Kernels;
#else
  (void)features;
#endif
  return list;
}

const Md5Kernels& BestMd5Kernels() {
  static const Md5KernelList list = SupportedMd5Kernels(CpuFeatures::Detect());
  return *list.sets[list.count - 1];
}

}  // namespace redux
