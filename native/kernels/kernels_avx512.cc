#include "kernels_template.h"
#include "vector_avx512.h"

namespace redux {

const Kernels kAvx512Kernels = MakeKernels<Avx512Vector>("avx512");

}  // namespace redux
