#include "network.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>

#include "../cuda/native_error.h"

namespace redux {

namespace {
using Clock = std::chrono::steady_clock;

double MillisecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

nvinfer1::DataType ToTensorRt(GpuType type) {
  if (type == kGpuFloat32) return nvinfer1::DataType::kFLOAT;
  return type == kGpuFloat16 ? nvinfer1::DataType::kHALF : nvinfer1::DataType::kBF16;
}

void StopIfCancelled(const std::atomic<bool>& cancelled) {
  if (cancelled) throw NativeError("cancelled", "The change of the weights was cancelled; the engine has the ones it had.");
}

/** Hands out a device buffer piece by piece. */
class Arena {
 public:
  Arena(const Cuda& cuda, std::size_t bytes) : buffer_(cuda, bytes) {}

  CUdeviceptr Take(std::size_t bytes) {
    const CUdeviceptr address = buffer_.address() + used_;
    used_ += Aligned(bytes);
    return address;
  }

 private:
  DeviceBuffer buffer_;
  std::size_t used_ = 0;
};

/** Opens the files that changes are in, each once, for as long as it lives. */
class NumberFiles {
 public:
  const void* Find(const HostNumbers& numbers) {
    if (numbers.data || numbers.count == 0) return numbers.data;
    auto& file = files_[numbers.file];
    if (!file) file = std::make_unique<MappedFile>(numbers.file);
    if (numbers.offset > file->bytes() || numbers.Bytes() > file->bytes() - numbers.offset) {
      throw NativeError("file.truncated", numbers.file + " has become shorter since it was opened. Load it again.");
    }
    return file->data() + numbers.offset;
  }

 private:
  std::map<std::string, std::unique_ptr<MappedFile>> files_;
};

NativeError NotFinite(const std::string& weight) {
  return NativeError("delta.invalid", "The stack makes values of " + weight +
                                          " NaN or too large for the engine's precision. Use a smaller strength, or leave one of its LoRAs out.");
}

/** A run of the network whose buffers a sampling fills and reads. */
class PreparedNetwork final : public StepNetwork {
 public:
  PreparedNetwork(EngineRun& run, const CudaStream& stream) : run_(run), stream_(stream) {}

  GpuNumbers Find(const std::string& name) const override {
    return Inference::NumbersOf(run_, name);
  }
  void Enqueue() override {
    run_.Enqueue(stream_, true);
  }

 private:
  EngineRun& run_;
  const CudaStream& stream_;
};

void CheckSizes(const WeightInfo& weight, const WeightChange& change) {
  const auto rows = static_cast<std::size_t>(weight.rows);
  const auto columns = static_cast<std::size_t>(weight.columns);
  bool fits = true;
  for (const ChangeTerm& term : change.terms) {
    const auto rank = static_cast<std::size_t>(term.rank);
    fits = fits && (term.rank == 0 ? term.up.count == weight.Count() : term.up.count == rows * rank && term.down.count == rank * columns);
  }
  if (!fits) throw NativeError("delta.invalid", "The change of " + weight.name + " does not have the weight's size. Make the delta again.");
}
}  // namespace

Network::Network(std::shared_ptr<const TensorRtLibrary> library, Cuda cuda, const Options& options, const std::atomic<bool>& cancelled)
    : library_(std::move(library)), cuda_((cuda->Enter(), std::move(cuda))), stream_(cuda_), uploader_(cuda_, stream_) {
  engine_ = std::make_unique<Engine>(*library_, cuda_, logger_, options.plan, options.jit_cache);
  StopIfCancelled(cancelled);
  arithmetic_ = std::make_unique<GpuArithmetic>(cuda_);
  inference_ = std::make_unique<Inference>(cuda_, *engine_, logger_, stream_, *arithmetic_);
  // Not isRefittable(): TensorRT 10.6 says no of engines that were built with REFIT_INDIVIDUAL, and refits them.
  if (options.weights.empty()) return;
  kinds_ = std::async(std::launch::async, [driver = cuda_] {
             driver->Enter();
             return std::make_shared<KindArithmetic>(driver);
           }).share();
  base_ = std::make_unique<BaseWeights>(cuda_, uploader_, options.weights, options.placement, cancelled);
  std::vector<std::string> names;
  for (const WeightInfo& weight : base_->all()) names.push_back(weight.name);
  refitter_ = std::make_unique<Refitter>(*library_, *engine_, logger_, names);
  RefitAllFromBase(cancelled);
}

Network::~Network() {
  try {
    cuda_->Enter();
  } catch (const NativeError&) {
    // Without the context there is nothing left to free.
  }
}

void Network::RequireUsable() const {
  if (!usable_) throw NativeError("engine.unusable", "A change of the weights failed midway; the engine must be loaded again.");
}

void Network::RefitAllFromBase(const std::atomic<bool>& cancelled) {
  std::vector<const WeightInfo*> weights;
  std::size_t bytes = 0;
  for (const WeightInfo& weight : base_->all()) {
    if (!refitter_->Has(weight.name)) continue;
    weights.push_back(&weight);
    bytes += Aligned(weight.Bytes());
  }
  const bool on_gpu = base_->placement() == BasePlacement::kGpu;
  Arena arena(cuda_, on_gpu ? 0 : bytes);
  std::vector<PlacedWeight> placed;
  std::vector<HostPiece> pieces;
  for (const WeightInfo* weight : weights) {
    placed.emplace_back(weight, on_gpu ? base_->AddressOf(*weight) : arena.Take(weight->Bytes()));
    if (!on_gpu) pieces.push_back({placed.back().second, base_->HostValuesOf(*weight), weight->Bytes()});
  }
  if (!uploader_.Upload(pieces, cancelled)) StopIfCancelled(cancelled);
  RefitWith(placed, cancelled);
}

void Network::RefitWith(const std::vector<PlacedWeight>& placed, const std::atomic<bool>& cancelled) {
  struct Clearing {
    Refitter& refitter;
    ~Clearing() {
      refitter.Clear();
    }
  } const clearing{*refitter_};
  for (const auto& [weight, address] : placed) {
    refitter_->Set(weight->name, ToTensorRt(weight->type), address, static_cast<std::int64_t>(weight->Count()));
  }
  // Buffers of fused siblings, which live until the refit is done.
  std::vector<DeviceBuffer> siblings;
  for (std::vector<std::string> missing = refitter_->Missing(); !missing.empty(); missing = refitter_->Missing()) {
    std::size_t found = 0;
    for (const std::string& name : missing) {
      const WeightInfo* weight = base_->Find(name);
      if (!weight) continue;
      ++found;
      CUdeviceptr address = base_->AddressOf(*weight);
      if (address == 0) {
        siblings.emplace_back(cuda_, weight->Bytes());
        address = siblings.back().address();
        static_cast<void>(uploader_.Upload({{address, base_->HostValuesOf(*weight), weight->Bytes()}}, {}));
      }
      refitter_->Set(name, ToTensorRt(weight->type), address, static_cast<std::int64_t>(weight->Count()));
    }
    if (found == 0) {
      throw NativeError("engine.failed", "TensorRT asks for the weight \"" + missing.front() + "\", which is not known. Export the checkpoint again.");
    }
  }
  StopIfCancelled(cancelled);
  usable_ = false;
  refitter_->Refit(stream_);
  usable_ = true;
  inference_->WeightsChanged();
}

ChangeTimes Network::SetChanges(const std::vector<WeightChange>& changes, const std::atomic<bool>& cancelled) {
  const std::lock_guard<std::mutex> lock(mutex_);
  cuda_->Enter();
  RequireUsable();
  if (!refitter_) {
    if (changes.empty()) return {};
    throw NativeError("bundle.invalid", "The engine was built without weights that can be changed. Export the checkpoint again with --refit individual.");
  }
  ChangeTimes times;
  const Clock::time_point started = Clock::now();
  StopIfCancelled(cancelled);

  std::set<std::string> now_changed;
  std::size_t factor_bytes = 0;
  std::size_t weight_bytes = 0;
  for (const WeightChange& change : changes) {
    const WeightInfo* weight = base_->Find(change.name);
    if (!weight || !refitter_->Has(change.name)) {
      throw NativeError("delta.invalid", "The engine has no weight " + change.name + " that can be changed. Export the checkpoint again.");
    }
    CheckSizes(*weight, change);
    if (!now_changed.insert(change.name).second) throw NativeError("delta.invalid", "The weight " + change.name + " is changed twice.");
    weight_bytes += Aligned(weight->Bytes());
    for (const ChangeTerm& term : change.terms) factor_bytes += Aligned(term.up.Bytes()) + Aligned(term.down.Bytes());
    for (const HostNumbers& numbers : change.program.factors) factor_bytes += Aligned(numbers.Bytes());
  }
  std::vector<const WeightInfo*> restored;
  for (const std::string& name : changed_) {
    if (now_changed.count(name) == 0) restored.push_back(base_->Find(name));
  }
  const bool base_on_gpu = base_->placement() == BasePlacement::kGpu;
  if (!base_on_gpu) {
    for (const WeightInfo* weight : restored) weight_bytes += Aligned(weight->Bytes());
  }

  // New values get memory for the time of this call alone.
  Arena factors(cuda_, factor_bytes);
  Arena values(cuda_, weight_bytes);
  NumberFiles files;
  std::vector<HostPiece> pieces;
  std::vector<GpuMerge> merges;
  std::vector<std::string> merged_names;
  std::vector<KindProgram> programs;
  std::vector<std::string> program_names;
  std::vector<PlacedWeight> placed;
  const auto upload_numbers = [&](const HostNumbers& numbers) {
    const CUdeviceptr address = factors.Take(numbers.Bytes());
    pieces.push_back({address, files.Find(numbers), numbers.Bytes()});
    times.uploaded_bytes += numbers.Bytes();
    return address;
  };
  for (const WeightChange& change : changes) {
    const WeightInfo& weight = *base_->Find(change.name);
    const CUdeviceptr out = values.Take(weight.Bytes());
    placed.emplace_back(&weight, out);
    const CUdeviceptr base = base_on_gpu ? base_->AddressOf(weight) : out;
    if (!base_on_gpu) pieces.push_back({out, base_->HostValuesOf(weight), weight.Bytes()});
    if (!change.program.code.empty()) {
      const ChangeProgram& from = change.program;
      KindProgram program;
      program.base = {base, weight.type, weight.Count()};
      program.out = {out, weight.type, weight.Count()};
      program.rows = weight.rows;
      program.columns = weight.columns;
      for (const HostNumbers& numbers : from.factors) program.factors.push_back({upload_numbers(numbers), numbers.type, numbers.count});
      program.scratch = from.scratch;
      program.code = from.code.data();
      program.length = from.code.size();
      programs.push_back(std::move(program));
      program_names.push_back(change.name);
      continue;
    }
    GpuMerge merge;
    merge.base = base;
    merge.out = out;
    merge.type = weight.type;
    merge.rows = weight.rows;
    merge.columns = weight.columns;
    for (const ChangeTerm& term : change.terms) {
      GpuTerm gpu_term{};
      gpu_term.up = upload_numbers(term.up);
      gpu_term.up_type = term.up.type;
      if (term.rank > 0) gpu_term.down = upload_numbers(term.down);
      gpu_term.down_type = term.down.type;
      gpu_term.rank = term.rank;
      gpu_term.scale = term.scale;
      merge.terms.push_back(gpu_term);
    }
    merges.push_back(std::move(merge));
    merged_names.push_back(change.name);
  }
  for (const WeightInfo* weight : restored) {
    const CUdeviceptr address = base_on_gpu ? base_->AddressOf(*weight) : values.Take(weight->Bytes());
    placed.emplace_back(weight, address);
    if (!base_on_gpu) pieces.push_back({address, base_->HostValuesOf(*weight), weight->Bytes()});
  }
  if (placed.empty()) return times;

  const bool complete = uploader_.Upload(pieces, cancelled);
  stream_.Wait();
  if (!complete) StopIfCancelled(cancelled);
  times.upload = MillisecondsSince(started);
  const Clock::time_point merging = Clock::now();
  if (const auto bad = arithmetic_->Merge(stream_, merges)) throw NotFinite(merged_names[*bad]);
  if (!programs.empty()) {
    if (const auto bad = kinds_.get()->Run(stream_, programs)) throw NotFinite(program_names[*bad]);
  }
  times.merge = MillisecondsSince(merging);
  const Clock::time_point refitting = Clock::now();
  RefitWith(placed, cancelled);
  times.refit = MillisecondsSince(refitting);
  times.changed = changes.size();
  times.restored = restored.size();
  changed_ = std::move(now_changed);
  return times;
}

std::vector<NetworkOutput> Network::Run(const std::vector<HostTensor>& inputs) {
  const std::lock_guard<std::mutex> lock(mutex_);
  cuda_->Enter();
  RequireUsable();
  return inference_->Run(inputs);
}

DecodedImage Network::Decode(const LatentInput& latents) {
  const std::lock_guard<std::mutex> lock(mutex_);
  cuda_->Enter();
  RequireUsable();
  return inference_->Decode(latents);
}

std::unique_ptr<Sampling> Network::StartSampling(const SamplingOptions& options) {
  const std::lock_guard<std::mutex> lock(mutex_);
  cuda_->Enter();
  RequireUsable();
  const PreparedNetwork network(inference_->Prepare(options.Shapes()), stream_);
  return std::make_unique<Sampling>(cuda_, stream_, *arithmetic_, inference_->latent_kernels(), options, network);
}

void Network::EndSampling(std::unique_ptr<Sampling> sampling) {
  const std::lock_guard<std::mutex> lock(mutex_);
  sampling.reset();
}

SamplingOutcome Network::Execute(Sampling& sampling, const std::vector<LatentCommand>& commands) {
  const std::lock_guard<std::mutex> lock(mutex_);
  cuda_->Enter();
  RequireUsable();
  PreparedNetwork network(inference_->Prepare(sampling.shapes()), stream_);
  return sampling.Execute(network, commands);
}

CUdeviceptr Network::Finished(const Sampling& sampling, std::size_t slot, std::size_t image) {
  const std::lock_guard<std::mutex> lock(mutex_);
  cuda_->Enter();
  return sampling.Finished(slot, image);
}

std::string Network::GraphProblem() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return inference_->GraphProblem();
}

NetworkMemory Network::Memory() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  NetworkMemory memory;
  memory.plan = engine_->plan_bytes();
  memory.scratch = inference_->ScratchBytes();
  memory.buffers = inference_->BufferBytes();
  if (base_) {
    memory.base_on_gpu = base_->GpuBytes();
    memory.base_on_host = base_->HostBytes();
  }
  memory.pinned = uploader_.PinnedBytes() + inference_->PinnedBytes();
  return memory;
}

std::vector<std::string> Network::Absent() const {
  return refitter_ ? refitter_->absent() : std::vector<std::string>();
}

}  // namespace redux
