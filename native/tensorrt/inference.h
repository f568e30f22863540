#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "../cuda/latent_kernels.h"
#include "../cuda/pinned_buffer.h"
#include "engine_runs.h"

namespace redux {

/** An input or output on the host's side. */
struct HostTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  /** float32, or int32 for an integer input. */
  bool is_integer = false;
  const void* data = nullptr;
  std::size_t bytes = 0;
};

/** A VAE decoder's input that is on the GPU already: latents / scale + shift. */
struct LatentInput {
  std::string name;
  std::vector<std::int64_t> shape;
  CUdeviceptr latents = 0;
  double scale = 1;
  double shift = 0;
};

/** 8-bit RGB, row by row. */
struct DecodedImage {
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::vector<unsigned char> levels;
  /** Whether the decoder gave values that are NaN. */
  bool has_nan = false;
};

struct NetworkOutput {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};

/** Runs an engine in one stream. Everything that it is given must outlive it. */
class Inference {
 public:
  Inference(Cuda cuda, const Engine& engine, Logger& logger, const CudaStream& stream, const GpuArithmetic& arithmetic);

  /** The numbers of the inputs in, those of the outputs, as fp32, out. */
  std::vector<NetworkOutput> Run(const std::vector<HostTensor>& inputs);
  /** Runs a VAE decoder on one image's latents, which are of a stream whose work is done. */
  DecodedImage Decode(const LatentInput& latents);
  /** Makes the engine ready for inputs of these sizes; the run is valid until the next call of anything here. */
  EngineRun& Prepare(const InputShapes& shapes) {
    return runs_.For(shapes, stream_);
  }
  /** A tensor of floating-point numbers of a prepared run. */
  static GpuNumbers NumbersOf(const EngineRun& run, const std::string& name);
  /** For what needs them: made when they are first asked for. */
  const LatentKernels& latent_kernels();
  void WeightsChanged() {
    runs_.WeightsChanged();
  }
  std::string GraphProblem() const {
    return runs_.GraphProblem();
  }
  std::size_t ScratchBytes() const {
    return runs_.ScratchBytes();
  }
  std::size_t BufferBytes() const {
    return runs_.BufferBytes() + staging_.bytes();
  }
  std::size_t PinnedBytes() const {
    return host_staging_.bytes();
  }

 private:
  void ReserveStaging(std::size_t bytes);
  std::size_t StagingBytes(const EngineRun& run, const std::vector<HostTensor>& inputs) const;
  void QueueInputs(const EngineRun& run, const std::vector<HostTensor>& inputs);
  std::vector<NetworkOutput> TakeOutputs(const EngineRun& run);

  const Cuda cuda_;
  const Engine& engine_;
  const CudaStream& stream_;
  const GpuArithmetic& arithmetic_;
  EngineRuns runs_;
  std::optional<LatentKernels> latent_kernels_;
  DeviceBuffer staging_;
  PinnedBuffer host_staging_;
};

}  // namespace redux
