#pragma once

#include <atomic>
#include <cstdint>
#include <future>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "../cuda/gpu_arithmetic.h"
#include "../cuda/kind_arithmetic.h"
#include "../cuda/uploader.h"
#include "base_weights.h"
#include "factor_store.h"
#include "inference.h"
#include "refit_setting.h"
#include "refitter.h"
#include "sampling.h"
#include "weight_change.h"

namespace redux {

struct ChangeTimes {
  double upload = 0;
  double merge = 0;
  double refit = 0;
  std::size_t uploaded_bytes = 0;
  std::size_t changed = 0;
  std::size_t restored = 0;
};

struct NetworkMemory {
  std::size_t plan = 0;
  std::size_t scratch = 0;
  std::size_t buffers = 0;
  std::size_t base_on_gpu = 0;
  std::size_t base_on_host = 0;
  /** On the GPU: new values of weights and scratch memory, kept for the next change, and the stack's factors. */
  std::size_t merged = 0;
  std::size_t pinned = 0;
};

/**
 * One network, loaded: its engine, its base weights and what changes them. One call at a time; calls from several threads wait for one
 * another.
 */
class Network {
 public:
  struct Options {
    std::string plan;
    /** Where TensorRT-RTX keeps what it compiles for this plan; empty: nowhere. */
    std::string jit_cache;
    std::vector<WeightInfo> weights;
    BasePlacement placement = BasePlacement::kGpu;
  };

  /** Loads the plan and does the first refit, which is the slow one. Throws NativeError. */
  Network(std::shared_ptr<const TensorRtLibrary> library, Cuda cuda, const Options& options, const std::atomic<bool>& cancelled);

  ~Network();

  const std::vector<TensorInfo>& tensors() const {
    return engine_->tensors();
  }
  /** The numbers of the inputs in, those of the outputs, as fp32, out. */
  std::vector<NetworkOutput> Run(const std::vector<HostTensor>& inputs);
  /** Runs a VAE decoder on latents that `Finished` gave. */
  DecodedImage Decode(const LatentInput& latents);
  /** The network must outlive it, and is to end it. */
  std::unique_ptr<Sampling> StartSampling(const SamplingOptions& options);
  /** Waits for what it still does and frees its memory, while nothing else runs. */
  void EndSampling(std::unique_ptr<Sampling> sampling);
  SamplingOutcome Execute(Sampling& sampling, const std::vector<LatentCommand>& commands);
  /** Where one image of latents of this network's sampling is; its work is done. */
  CUdeviceptr Finished(const Sampling& sampling, std::size_t slot, std::size_t image);
  /**
   * Gives these weights new values, computed from the base, and all others that were changed before the base's own. Cancelled or failed
   * before the refit began, nothing has changed; once it has begun it is not cancelled. A refit that fails makes the network unusable.
   */
  ChangeTimes SetChanges(const std::vector<WeightChange>& changes, const std::atomic<bool>& cancelled);
  NetworkMemory Memory() const;
  /** Why runs are not launched as CUDA graphs; empty where nothing keeps them from it. */
  std::string GraphProblem() const;
  bool usable() const {
    return usable_;
  }
  /** Names of the weights that this engine cannot change, though the bundle says so. */
  std::vector<std::string> Absent() const;

 private:
  void RequireUsable() const;
  /** The weights that these changes give new values, in their order; throws where one is not to be had, or its change is of another size. */
  std::vector<const WeightInfo*> FindChanged(const std::vector<WeightChange>& changes) const;
  FactorStore::Draft MakeFactors(const std::vector<WeightChange>& changes);
  void RefitAllFromBase(const std::atomic<bool>& cancelled);
  RefitSetting Set(const std::vector<PlacedWeight>& placed);
  /** Takes over what is set. */
  void Refit(const std::atomic<bool>& cancelled);

  const std::shared_ptr<const TensorRtLibrary> library_;
  const Cuda cuda_;
  Logger logger_;
  CudaStream stream_;
  Uploader uploader_;
  std::unique_ptr<GpuArithmetic> arithmetic_;
  /** Its kernels take a driver that has not seen them a second to compile, which passes while the weights are read. */
  std::shared_future<std::shared_ptr<KindArithmetic>> kinds_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Inference> inference_;
  std::unique_ptr<BaseWeights> base_;
  std::unique_ptr<Refitter> refitter_;
  /** The weights that do not have the base's values now. */
  std::set<const WeightInfo*> changed_;
  FactorStore factors_;
  /** Of new values, for the next change. */
  DeviceBuffer values_;
  bool usable_ = true;
  mutable std::mutex mutex_;
};

}  // namespace redux
