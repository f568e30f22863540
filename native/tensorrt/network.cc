#include "network.h"

#include <algorithm>
#include <chrono>
#include <cstring>

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

void Reserve(DeviceBuffer& buffer, const Cuda& cuda, std::size_t bytes) {
  if (buffer.bytes() >= bytes) return;
  buffer = DeviceBuffer();  // First, so that there is never memory for both.
  buffer = DeviceBuffer(cuda, bytes);
}

/** Hands out device memory piece by piece. */
class Arena {
 public:
  explicit Arena(const DeviceBuffer& buffer) : start_(buffer.address()) {}

  CUdeviceptr Take(std::size_t bytes) {
    const CUdeviceptr address = start_ + used_;
    used_ += Aligned(bytes);
    return address;
  }

 private:
  const CUdeviceptr start_;
  std::size_t used_ = 0;
};

/** Reads the addresses of the factors one after the other, in the order of MakeFactors. */
class FactorReader {
 public:
  explicit FactorReader(const FactorStore::Draft& factors) : next_(factors.addresses().begin()) {}

  CUdeviceptr Next() {
    return *next_++;
  }

 private:
  std::vector<CUdeviceptr>::const_iterator next_;
};

GpuMerge MakeMerge(const WeightChange& change, FactorReader& factors) {
  GpuMerge merge;
  for (const ChangeTerm& term : change.terms) {
    GpuTerm gpu_term{};
    gpu_term.up = factors.Next();
    gpu_term.up_type = term.up.type;
    if (term.rank > 0) gpu_term.down = factors.Next();
    gpu_term.down_type = term.down.type;
    gpu_term.rank = term.rank;
    gpu_term.scale = term.scale;
    merge.terms.push_back(gpu_term);
  }
  return merge;
}

KindProgram MakeProgram(const ChangeProgram& change, FactorReader& factors) {
  KindProgram program;
  for (const HostNumbers& numbers : change.factors) program.factors.push_back({factors.Next(), numbers.type, numbers.count});
  program.scratch = change.scratch;
  program.code = change.code.data();
  program.length = change.code.size();
  return program;
}

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
    : library_(std::move(library)), cuda_((cuda->Enter(), std::move(cuda))), stream_(cuda_), uploader_(cuda_, stream_), factors_(cuda_) {
  // What takes time and does not wait for the others: compiling kernels, copying the base and TensorRT's reading of the plan.
  std::future<void> beside = std::async(std::launch::async, [&] {
    cuda_->Enter();
    arithmetic_ = std::make_unique<GpuArithmetic>(cuda_);
    if (!options.weights.empty()) base_ = std::make_unique<BaseWeights>(cuda_, uploader_, options.weights, options.placement, cancelled);
  });
  // Not isRefittable(): TensorRT 10.6 says no of engines that were built with REFIT_INDIVIDUAL, and refits them.
  const bool is_refittable = !options.weights.empty();
  if (is_refittable) {
    kinds_ = std::async(std::launch::async, [driver = cuda_] {
               driver->Enter();
               return std::make_shared<KindArithmetic>(driver);
             }).share();
  }
  engine_ = std::make_unique<Engine>(*library_, cuda_, logger_, options.plan, options.jit_cache);
  beside.get();
  StopIfCancelled(cancelled);
  inference_ = std::make_unique<Inference>(cuda_, *engine_, logger_, stream_, *arithmetic_);
  if (!is_refittable) return;
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
  const DeviceBuffer buffer(cuda_, on_gpu ? 0 : bytes);
  Arena arena(buffer);
  std::vector<PlacedWeight> placed;
  std::vector<HostPiece> pieces;
  for (const WeightInfo* weight : weights) {
    placed.emplace_back(weight, on_gpu ? base_->AddressOf(*weight) : arena.Take(weight->Bytes()));
    if (!on_gpu) pieces.push_back(base_->PieceFor(*weight, placed.back().second));
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
        static_cast<void>(uploader_.Upload({base_->PieceFor(*weight, address)}, {}));
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

std::set<std::string> Network::CheckChanges(const std::vector<WeightChange>& changes) const {
  std::set<std::string> names;
  for (const WeightChange& change : changes) {
    const WeightInfo* weight = base_->Find(change.name);
    if (!weight || !refitter_->Has(change.name)) {
      throw NativeError("delta.invalid", "The engine has no weight " + change.name + " that can be changed. Export the checkpoint again.");
    }
    CheckSizes(*weight, change);
    if (!names.insert(change.name).second) throw NativeError("delta.invalid", "The weight " + change.name + " is changed twice.");
  }
  return names;
}

FactorStore::Draft Network::MakeFactors(const std::vector<WeightChange>& changes) {
  std::vector<const HostNumbers*> factors;
  for (const WeightChange& change : changes) {
    for (const ChangeTerm& term : change.terms) {
      factors.push_back(&term.up);
      if (term.rank > 0) factors.push_back(&term.down);
    }
    for (const HostNumbers& numbers : change.program.factors) factors.push_back(&numbers);
  }
  try {
    return factors_.Make(factors);
  } catch (const NativeError& error) {
    if (error.code() != std::string("gpu.memory") || factors_.Bytes() == 0) throw;
    factors_.Clear();
    return factors_.Make(factors);
  }
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

  std::set<std::string> now_changed = CheckChanges(changes);
  const bool base_on_gpu = base_->placement() == BasePlacement::kGpu;
  std::vector<const WeightInfo*> restored;
  std::size_t bytes = 0;
  for (const std::string& name : now_changed) bytes += Aligned(base_->Find(name)->Bytes());
  for (const std::string& name : changed_) {
    if (now_changed.count(name) > 0) continue;
    restored.push_back(base_->Find(name));
    if (!base_on_gpu) bytes += Aligned(restored.back()->Bytes());
  }
  if (changes.empty() && restored.empty()) return times;

  FactorStore::Draft factors = MakeFactors(changes);
  for (const HostPiece& piece : factors.missing()) times.uploaded_bytes += piece.bytes;
  // New values keep their memory where the base is on the GPU too, which is where there is plenty.
  DeviceBuffer own_values;
  DeviceBuffer& memory = base_on_gpu ? values_ : own_values;
  Reserve(memory, cuda_, bytes);
  Arena values(memory);
  FactorReader reader(factors);
  std::vector<HostPiece> pieces = factors.missing();
  std::vector<GpuMerge> merges;
  std::vector<std::string> merged_names;
  std::vector<KindProgram> programs;
  std::vector<std::string> program_names;
  std::vector<PlacedWeight> placed;
  for (const WeightChange& change : changes) {
    const WeightInfo& weight = *base_->Find(change.name);
    const CUdeviceptr out = values.Take(weight.Bytes());
    placed.emplace_back(&weight, out);
    const CUdeviceptr base = base_on_gpu ? base_->AddressOf(weight) : out;
    if (!base_on_gpu) pieces.push_back(base_->PieceFor(weight, out));
    if (!change.program.code.empty()) {
      KindProgram program = MakeProgram(change.program, reader);
      program.base = {base, weight.type, weight.Count()};
      program.out = {out, weight.type, weight.Count()};
      program.rows = weight.rows;
      program.columns = weight.columns;
      programs.push_back(std::move(program));
      program_names.push_back(change.name);
    } else {
      GpuMerge merge = MakeMerge(change, reader);
      merge.base = base;
      merge.out = out;
      merge.type = weight.type;
      merge.rows = weight.rows;
      merge.columns = weight.columns;
      merges.push_back(std::move(merge));
      merged_names.push_back(change.name);
    }
  }
  for (const WeightInfo* weight : restored) {
    placed.emplace_back(weight, base_on_gpu ? base_->AddressOf(*weight) : values.Take(weight->Bytes()));
    if (!base_on_gpu) pieces.push_back(base_->PieceFor(*weight, placed.back().second));
  }

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
  if (base_on_gpu) factors_.Keep(std::move(factors));
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
  memory.merged = values_.bytes() + factors_.Bytes();
  // Where its kernels are not ready yet, it has no memory.
  const bool has_kinds = kinds_.valid() && kinds_.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  if (has_kinds) memory.merged += kinds_.get()->Bytes();
  memory.pinned = uploader_.PinnedBytes() + inference_->PinnedBytes();
  return memory;
}

std::vector<std::string> Network::Absent() const {
  return refitter_ ? refitter_->absent() : std::vector<std::string>();
}

}  // namespace redux
