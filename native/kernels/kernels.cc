#include "kernels.h"

namespace redux {

KernelList SupportedKernels(const CpuFeatures& features) {
  KernelList list{{&kPlainKernels}, 1};
#if defined(REDUX_X86_64)
  if (features.avx2 && features.fma && features.f16c) list.sets[list.count++] = &kAvx2Kernels;
  if (features.avx512 && features.fma && features.f16c) list.sets[list.count++] = &kAvx512Kernels;
#elif defined(REDUX_ARM64)
  (void)features;
  list.sets[list.count++] = &kNeonKernels;
#endif
  return list;
}

const Kernels& BestKernels() {
  static const KernelList list = SupportedKernels(CpuFeatures::Detect());
  return *list.sets[list.count - 1];
}

}  // namespace redux
