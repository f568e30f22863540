#include "kernels_template.h"
#include "vector_neon.h"

namespace redux {

const Kernels kNeonKernels = MakeKernels<NeonVector>("neon");

}  // namespace redux
