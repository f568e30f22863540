/* The kernels of sampling on the host, and the conversion between number types that it needs. */
#include "emulated_latents.h"

#include <cmath>
#include <cstring>

#include "bound_kernel.h"
#include "emulation.h"

namespace {
// Compiled without contraction, so that these round as the GPU's do.
double Product(double a, double b) {
  return a * b;
}
double Sum(double a, double b) {
  return a + b;
}
double Quotient(double a, double b) {
  return a / b;
}
double Root(double a) {
  return std::sqrt(a);
}
int Nearest(float value) {
  // What the GPU makes of a NaN.
  return std::isnan(value) ? 0 : static_cast<int>(std::nearbyint(value));
}
}  // namespace

#include "../../cuda/kernels/latents.cu"

namespace {

void convert_elements(unsigned long long from, int from_type, unsigned long long to, int to_type, unsigned long long count) {
  const unsigned long long i = Element();
  if (i < count) Store(to, to_type, i, Load(from, from_type, i));
}

template <auto kernel>
std::function<void()> PrepareThreads(void** arguments, unsigned blocks) {
  return [bound = Bind(kernel, arguments), blocks] { RunThreads(blocks, kElementThreads, bound); };
}

std::function<void()> PrepareFactors(void** arguments, unsigned blocks) {
  return [bound = Bind(rescale_factors, arguments), blocks] { RunBlocks(blocks, kDeviationThreads, bound); };
}

constexpr redux::EmulatedKernel kKernels[] = {
    {"combine_latents", PrepareThreads<combine_latents>}, {"network_input", PrepareThreads<network_input>},
    {"fill_values", PrepareThreads<fill_values>},         {"guide_output", PrepareThreads<guide_output>},
    {"rescale_factors", PrepareFactors},                  {"denoise_latents", PrepareThreads<denoise_latents>},
    {"decoder_input", PrepareThreads<decoder_input>},     {"image_levels", PrepareThreads<image_levels>},
    {"convert_elements", PrepareThreads<convert_elements>},
};

}  // namespace

namespace redux {

const EmulatedKernel* FindEmulatedLatentKernel(const char* name) {
  for (const EmulatedKernel& kernel : kKernels) {
    if (std::strcmp(kernel.name, name) == 0) return &kernel;
  }
  return nullptr;
}

}  // namespace redux
