#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "inference.h"

namespace redux {

/** The network of a sampling, made ready for its sizes: where its inputs and outputs are, and a run of it. */
class StepNetwork {
 public:
  virtual ~StepNetwork() = default;
  virtual GpuNumbers Find(const std::string& name) const = 0;
  /** Queues a run. */
  virtual void Enqueue() = 0;
};

struct SamplingOptions {
  /** Of the latents: [B, C, h, w]. */
  std::vector<std::int64_t> dims;
  /** Whether every run of the network has the negatives and the positives. */
  bool is_guided = false;
  /** The network's inputs besides `x` and `timesteps`, the same in all steps; fp32. */
  std::vector<HostTensor> inputs;

  std::int64_t Rows() const {
    return dims.at(0) * (is_guided ? 2 : 1);
  }
  /** Of all of the network's inputs. */
  InputShapes Shapes() const;
};

/** The numbers of one model call; see src/engines/latents.ts. */
struct DenoisingStep {
  double input_scale = 1;
  double timestep = 0;
  double cfg = 1;
  double cfg_rescale = 0;
  double skip = 0;
  double out = 0;
};

/** One thing to do with latents, which are known by the numbers of their slots. */
struct LatentCommand {
  enum class Kind { kUpload, kCombine, kDenoise, kDownload };
  Kind kind = Kind::kUpload;
  /** Of the result; for a download unused. */
  std::size_t to = 0;
  /** Of what is denoised or downloaded. */
  std::size_t from = 0;
  /** For an upload: as many numbers as the latents have. */
  const float* values = nullptr;
  std::vector<std::pair<double, std::size_t>> terms;
  DenoisingStep step;
};

struct SamplingOutcome {
  /** Of a step whose network gave NaN or infinite values. */
  std::optional<double> bad_timestep;
  /** What the downloads gave, in their order. */
  std::vector<std::vector<float>> downloads;
};

/**
 * A sampling whose latents stay on the GPU: they, the network's input and output, guidance and the sampler's sums. Commands are queued on
 * one stream, in order; the GPU may be one call behind the host, which waits for the call before, so that it has always something to do.
 */
class Sampling {
 public:
  /** What it is given must outlive it; `network` is for this call. */
  Sampling(Cuda cuda, const CudaStream& stream, const GpuArithmetic& arithmetic, const LatentKernels& kernels, const SamplingOptions& options,
           const StepNetwork& network);
  /** Waits for the GPU. */
  ~Sampling();
  Sampling(const Sampling&) = delete;
  Sampling& operator=(const Sampling&) = delete;

  const InputShapes& shapes() const {
    return shapes_;
  }
  const std::vector<std::int64_t>& dims() const {
    return dims_;
  }
  /** Numbers of the latents of all images. */
  std::size_t count() const {
    return count_;
  }
  /**
   * Queues the commands and waits for those of the call before; with a download among them, for all. After a failure no call is answered any
   * more.
   */
  SamplingOutcome Execute(StepNetwork& network, const std::vector<LatentCommand>& commands);
  /** Where the latents of one image are, once all work is done. */
  CUdeviceptr Finished(std::size_t slot, std::size_t image) const;

 private:
  /** What a call needs until the GPU has done it. */
  struct Turn {
    explicit Turn(const Cuda& cuda) : done(cuda) {}
    /** Begins with the flag of numbers that are not finite. */
    PinnedBuffer staging;
    CudaEvent done;
    bool is_running = false;
    std::optional<double> timestep;
  };
  struct FixedInput {
    std::string name;
    DeviceBuffer buffer;
  };

  void UploadInput(const HostTensor& input, const GpuNumbers& wanted);
  void Queue(StepNetwork& network, const std::vector<LatentCommand>& commands, Turn& turn);
  void Denoise(StepNetwork& network, const LatentCommand& command);
  void Finish(Turn& turn, SamplingOutcome& outcome) const;
  CUdeviceptr Read(std::size_t slot) const;
  CUdeviceptr Write(std::size_t slot);
  std::size_t LatentBytes() const {
    return count_ * sizeof(float);
  }

  const Cuda cuda_;
  const CudaStream& stream_;
  const GpuArithmetic& arithmetic_;
  const LatentKernels& kernels_;
  const InputShapes shapes_;
  const std::vector<std::int64_t> dims_;
  const bool is_guided_;
  const std::size_t samples_;
  /** Numbers of all latents, and of one image's. */
  const std::size_t count_;
  const std::size_t size_;
  std::vector<FixedInput> inputs_;
  std::vector<DeviceBuffer> slots_;
  DeviceBuffer prediction_;
  DeviceBuffer factors_;
  DeviceBuffer flag_;
  Turn turns_[2];
  std::size_t calls_ = 0;
  bool has_failed_ = false;
};

}  // namespace redux
