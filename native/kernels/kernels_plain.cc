#include "kernels_template.h"
#include "vector_plain.h"

namespace redux {

const Kernels kPlainKernels = MakeKernels<PlainVector>("plain");

}  // namespace redux
