#include "kernels_template.h"
#include "vector_avx2.h"

namespace redux {

const Kernels kAvx2Kernels = MakeKernels<Avx2Vector>("avx2");

}  // namespace redux
