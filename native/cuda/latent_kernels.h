#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "gpu_arithmetic.h"
#include "kernel_module.h"

namespace redux {

/** Numbers on the GPU. */
struct GpuNumbers {
  CUdeviceptr address = 0;
  GpuType type = kGpuFloat32;
  std::size_t count = 0;
};

/** How a network's output becomes a prediction; see src/engines/latents.ts. */
struct Guidance {
  /** Whether the output has the negatives' half before the positives'. */
  bool is_guided = false;
  double scale = 1;
};

/** The kernels of kernels/latents.cu. All calls queue work on the stream; latents are fp32. */
class LatentKernels {
 public:
  explicit LatentKernels(Cuda cuda);

  /** to = Σ weight · from, of `count` numbers each; at most kMostLatentTerms. */
  void Combine(const CudaStream& stream, const std::vector<std::pair<double, CUdeviceptr>>& terms, CUdeviceptr to, std::size_t count) const;
  /** Fills a network's input with scale · from, as often as it fits. */
  void ToInput(const CudaStream& stream, CUdeviceptr from, std::size_t count, double scale, const GpuNumbers& input) const;
  void Fill(const CudaStream& stream, const GpuNumbers& to, float value) const;
  /** prediction = the guided output; *flag becomes 1 where the output has NaN or infinite numbers. */
  void Guide(const CudaStream& stream, const GpuNumbers& output, const Guidance& guidance, CUdeviceptr prediction, std::size_t count,
             CUdeviceptr flag) const;
  /** One factor of CFG rescale, a double, for each of the samples of `size` numbers. */
  void RescaleFactors(const CudaStream& stream, CUdeviceptr prediction, const GpuNumbers& output, double amount, std::size_t samples,
                      std::size_t size, CUdeviceptr factors) const;
  /** to = skip · x + out · prediction; `factors` may be 0. */
  void Denoise(const CudaStream& stream, CUdeviceptr x, CUdeviceptr prediction, CUdeviceptr factors, double skip, double out, CUdeviceptr to,
               std::size_t samples, std::size_t size) const;
  /** input = from / scale + shift. */
  void ToDecoderInput(const CudaStream& stream, CUdeviceptr from, double scale, double shift, const GpuNumbers& input) const;
  /** to = [H, W, 3] bytes of an image of three planes; *flag becomes 1 where it has NaN. */
  void ToLevels(const CudaStream& stream, const GpuNumbers& image, CUdeviceptr to, CUdeviceptr flag) const;

 private:
  void LaunchForEach(const CudaStream& stream, CUfunction kernel, std::size_t count, void** arguments) const;

  const KernelModule module_;
  const CUfunction combine_;
  const CUfunction input_;
  const CUfunction fill_;
  const CUfunction guide_;
  const CUfunction factors_;
  const CUfunction denoise_;
  const CUfunction decoder_input_;
  const CUfunction levels_;
};

}  // namespace redux
