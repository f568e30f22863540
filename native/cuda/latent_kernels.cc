#include "latent_kernels.h"

#include "kernels/latent_types.h"
#include "kernels_ptx.h"
#include "native_error.h"

namespace redux {

LatentKernels::LatentKernels(Cuda cuda)
    : module_(std::move(cuda), kLatentsPtx),
      combine_(module_.Find("combine_latents")),
      input_(module_.Find("network_input")),
      fill_(module_.Find("fill_values")),
      guide_(module_.Find("guide_output")),
      factors_(module_.Find("rescale_factors")),
      denoise_(module_.Find("denoise_latents")),
      decoder_input_(module_.Find("decoder_input")),
      levels_(module_.Find("image_levels")) {}

void LatentKernels::LaunchForEach(const CudaStream& stream, CUfunction kernel, std::size_t count, void** arguments) const {
  module_.Launch(stream, kernel, (count + kElementThreads - 1) / kElementThreads, kElementThreads, arguments);
}

void LatentKernels::Combine(const CudaStream& stream, const std::vector<std::pair<double, CUdeviceptr>>& terms, CUdeviceptr to,
                            std::size_t count) const {
  if (terms.size() > kMostLatentTerms) throw NativeError("engine.failed", "A sum of latents has too many terms.");
  LatentTerms table{};
  for (const auto& [weight, from] : terms) {
    table.weight[table.count] = weight;
    table.from[table.count++] = from;
  }
  unsigned long long target = to;
  unsigned long long elements = count;
  void* arguments[] = {&table, &target, &elements};
  LaunchForEach(stream, combine_, count, arguments);
}

void LatentKernels::ToInput(const CudaStream& stream, CUdeviceptr from, std::size_t count, double scale, const GpuNumbers& input) const {
  unsigned long long source = from;
  unsigned long long target = input.address;
  unsigned long long elements = count;
  int type = input.type;
  int copies = static_cast<int>(input.count / count);
  void* arguments[] = {&source, &target, &type, &scale, &elements, &copies};
  LaunchForEach(stream, input_, count, arguments);
}

void LatentKernels::Fill(const CudaStream& stream, const GpuNumbers& to, float value) const {
  unsigned long long target = to.address;
  unsigned long long elements = to.count;
  int type = to.type;
  void* arguments[] = {&target, &type, &value, &elements};
  LaunchForEach(stream, fill_, to.count, arguments);
}

void LatentKernels::Guide(const CudaStream& stream, const GpuNumbers& output, const Guidance& guidance, CUdeviceptr prediction,
                          std::size_t count, CUdeviceptr flag) const {
  unsigned long long source = output.address;
  unsigned long long target = prediction;
  unsigned long long elements = count;
  int type = output.type;
  double negative_weight = 1 - guidance.scale;
  double positive_weight = guidance.scale;
  int is_guided = guidance.is_guided ? 1 : 0;
  void* arguments[] = {&source, &type, &target, &negative_weight, &positive_weight, &is_guided, &elements, &flag};
  LaunchForEach(stream, guide_, count, arguments);
}

void LatentKernels::RescaleFactors(const CudaStream& stream, CUdeviceptr prediction, const GpuNumbers& output, double amount,
                                   std::size_t samples, std::size_t size, CUdeviceptr factors) const {
  unsigned long long guided = prediction;
  unsigned long long source = output.address;
  unsigned long long first_positive = samples * size;
  unsigned long long elements = size;
  int type = output.type;
  void* arguments[] = {&guided, &source, &type, &first_positive, &amount, &elements, &factors};
  module_.Launch(stream, factors_, samples, kDeviationThreads, arguments);
}

void LatentKernels::Denoise(const CudaStream& stream, CUdeviceptr x, CUdeviceptr prediction, CUdeviceptr factors, double skip, double out,
                            CUdeviceptr to, std::size_t samples, std::size_t size) const {
  unsigned long long source = x;
  unsigned long long predicted = prediction;
  unsigned long long target = to;
  unsigned long long elements = size;
  unsigned long long count = samples * size;
  void* arguments[] = {&source, &predicted, &factors, &skip, &out, &target, &elements, &count};
  LaunchForEach(stream, denoise_, samples * size, arguments);
}

void LatentKernels::ToDecoderInput(const CudaStream& stream, CUdeviceptr from, double scale, double shift, const GpuNumbers& input) const {
  unsigned long long source = from;
  unsigned long long target = input.address;
  unsigned long long elements = input.count;
  int type = input.type;
  void* arguments[] = {&source, &target, &type, &scale, &shift, &elements};
  LaunchForEach(stream, decoder_input_, input.count, arguments);
}

void LatentKernels::ToLevels(const CudaStream& stream, const GpuNumbers& image, CUdeviceptr to, CUdeviceptr flag) const {
  unsigned long long source = image.address;
  unsigned long long target = to;
  unsigned long long pixels = image.count / 3;
  int type = image.type;
  void* arguments[] = {&source, &type, &target, &pixels, &flag};
  LaunchForEach(stream, levels_, pixels, arguments);
}

}  // namespace redux
