#include "network.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <iterator>

#include "../cuda/native_error.h"
#include "stack_work.h"

namespace redux {

namespace {
using Clock = std::chrono::steady_clock;

double MillisecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

void StopIfCancelled(const std::atomic<bool>& cancelled) {
  if (cancelled) throw NativeError("cancelled", "The change of the weights was cancelled; the engine has the ones it had.");
}

void Reserve(DeviceBuffer& buffer, const Cuda& cuda, std::size_t bytes) {
  if (buffer.bytes() >= bytes) return;
  buffer = DeviceBuffer();  // First, so that there is never memory for both.
  buffer = DeviceBuffer(cuda, bytes);
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
  const RefitSetting setting = Set(placed);
  Refit(cancelled);
}

RefitSetting Network::Set(const std::vector<PlacedWeight>& placed) {
  return RefitSetting(cuda_, *refitter_, *base_, uploader_, stream_, placed);
}

void Network::Refit(const std::atomic<bool>& cancelled) {
  StopIfCancelled(cancelled);
  usable_ = false;
  refitter_->Refit(stream_);
  usable_ = true;
  inference_->WeightsChanged();
}

std::vector<const WeightInfo*> Network::FindChanged(const std::vector<WeightChange>& changes) const {
  std::vector<const WeightInfo*> weights;
  for (const WeightChange& change : changes) {
    const WeightInfo* weight = base_->Find(change.name);
    if (!weight || !refitter_->Has(change.name)) {
      throw NativeError("delta.invalid", "The engine has no weight " + change.name + " that can be changed. Export the checkpoint again.");
    }
    CheckSizes(*weight, change);
    weights.push_back(weight);
  }
  return weights;
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

  const std::vector<const WeightInfo*> changed = FindChanged(changes);
  std::set<const WeightInfo*> now_changed;
  for (const WeightInfo* weight : changed) {
    if (!now_changed.insert(weight).second) throw NativeError("delta.invalid", "The weight " + weight->name + " is changed twice.");
  }
  std::vector<const WeightInfo*> restored;
  std::set_difference(changed_.begin(), changed_.end(), now_changed.begin(), now_changed.end(), std::back_inserter(restored),
                      std::less<const WeightInfo*>());
  if (changes.empty() && restored.empty()) return times;

  FactorStore::Draft factors = MakeFactors(changes);
  for (const HostPiece& piece : factors.missing()) times.uploaded_bytes += piece.bytes;
  // New values keep their memory where the base is on the GPU too, which is where there is plenty.
  const bool base_on_gpu = base_->placement() == BasePlacement::kGpu;
  DeviceBuffer own_values;
  DeviceBuffer& memory = base_on_gpu ? values_ : own_values;
  const NewStack stack{changes, changed, restored};
  Reserve(memory, cuda_, BytesOf(stack, *base_));
  const StackWork work = PlanStack(stack, *base_, factors, memory);

  if (!uploader_.Upload(work.pieces, cancelled)) {
    stream_.Wait();
    StopIfCancelled(cancelled);
  }
  times.upload = MillisecondsSince(started);
  const Clock::time_point merging = Clock::now();
  arithmetic_->StartMerges(stream_, work.merges);
  if (!work.programs.empty()) kinds_.get()->Start(stream_, work.programs);
  // While the GPU merges; it takes some milliseconds.
  const RefitSetting setting = Set(work.placed);
  if (const auto bad = arithmetic_->FinishMerges(stream_)) throw NotFinite(work.merged[*bad]->name);
  if (!work.programs.empty()) {
    if (const auto bad = kinds_.get()->Finish(stream_)) throw NotFinite(work.programmed[*bad]->name);
  }
  times.merge = MillisecondsSince(merging);
  const Clock::time_point refitting = Clock::now();
  Refit(cancelled);
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
