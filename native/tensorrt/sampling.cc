#include "sampling.h"

#include <cstring>

#include "../cuda/native_error.h"
#include "base_weights.h"

namespace redux {

namespace {
/** Samplers keep a handful of latents; more than this is a mistake of the caller's. */
constexpr std::size_t kMostSlots = 64;

std::size_t Product(const std::vector<std::int64_t>& sizes) {
  std::size_t product = 1;
  for (const std::int64_t size : sizes) {
    if (size < 1) throw NativeError("engine.failed", "Latents need a size of at least 1 each way.");
    product *= static_cast<std::size_t>(size);
  }
  return product;
}
}  // namespace

InputShapes SamplingOptions::Shapes() const {
  InputShapes shapes;
  for (const HostTensor& input : inputs) shapes[input.name] = input.shape;
  std::vector<std::int64_t> x = dims;
  x.at(0) = Rows();
  shapes["x"] = std::move(x);
  shapes["timesteps"] = {Rows()};
  return shapes;
}

Sampling::Sampling(Cuda cuda, const CudaStream& stream, const GpuArithmetic& arithmetic, const LatentKernels& kernels,
                   const SamplingOptions& options, const StepNetwork& network)
    : cuda_(std::move(cuda)),
      stream_(stream),
      arithmetic_(arithmetic),
      kernels_(kernels),
      shapes_(options.Shapes()),
      dims_(options.dims),
      is_guided_(options.is_guided),
      samples_(static_cast<std::size_t>(options.dims.at(0))),
      count_(Product(options.dims)),
      size_(count_ / samples_),
      prediction_(cuda_, LatentBytes()),
      factors_(cuda_, samples_ * sizeof(double)),
      flag_(cuda_, sizeof(int)),
      turns_{Turn(cuda_), Turn(cuda_)} {
  const std::size_t expected = is_guided_ ? 2 * count_ : count_;
  for (const char* name : {"x", "output"}) {
    if (network.Find(name).count == expected) continue;
    throw NativeError("engine.failed", "The network's \"" + std::string(name) + "\" holds " + std::to_string(network.Find(name).count) +
                                           " values instead of " + std::to_string(expected) + "; export the engine again.");
  }
  for (const HostTensor& input : options.inputs) UploadInput(input, network.Find(input.name));
}

Sampling::~Sampling() {
  try {
    cuda_->Enter();
    stream_.Wait();
  } catch (const NativeError&) {
    // The GPU is lost: nothing runs any more that could read what is freed.
  }
}

void Sampling::UploadInput(const HostTensor& input, const GpuNumbers& wanted) {
  if (input.is_integer || input.bytes != wanted.count * sizeof(float)) {
    throw NativeError("engine.failed", "The input \"" + input.name + "\" has another type or size than the engine takes.");
  }
  PinnedBuffer pinned(cuda_, input.bytes);
  DeviceBuffer given(cuda_, input.bytes);
  DeviceBuffer kept(cuda_, wanted.count * BytesOfGpuType(wanted.type));
  std::memcpy(pinned.data(), input.data, input.bytes);
  stream_.Upload(given.address(), pinned.data(), input.bytes);
  arithmetic_.Convert(stream_, given.address(), kGpuFloat32, kept.address(), wanted.type, wanted.count);
  stream_.Wait();
  inputs_.push_back({input.name, std::move(kept)});
}

CUdeviceptr Sampling::Read(std::size_t slot) const {
  if (slot >= slots_.size() || slots_[slot].address() == 0) {
    throw NativeError("engine.failed", "There are no latents number " + std::to_string(slot) + ".");
  }
  return slots_[slot].address();
}

CUdeviceptr Sampling::Write(std::size_t slot) {
  if (slot >= kMostSlots) throw NativeError("engine.failed", "A sampling keeps too many latents.");
  if (slot >= slots_.size()) slots_.resize(slot + 1);
  if (slots_[slot].address() == 0) slots_[slot] = DeviceBuffer(cuda_, LatentBytes());
  return slots_[slot].address();
}

SamplingOutcome Sampling::Execute(StepNetwork& network, const std::vector<LatentCommand>& commands) {
  if (has_failed_) throw NativeError("engine.unusable", "The sampling failed before; begin it again.");
  has_failed_ = true;
  Turn& turn = turns_[calls_ % 2];
  Turn& before = turns_[(calls_ + 1) % 2];
  SamplingOutcome outcome;
  Queue(network, commands, turn);
  ++calls_;
  Finish(before, outcome);
  std::size_t place = Aligned(sizeof(int));
  for (const LatentCommand& command : commands) {
    if (command.kind == LatentCommand::Kind::kUpload) place += Aligned(LatentBytes());
    if (command.kind != LatentCommand::Kind::kDownload) continue;
    Finish(turn, outcome);
    const auto* from = reinterpret_cast<const float*>(turn.staging.data() + place);
    outcome.downloads.emplace_back(from, from + count_);
    place += Aligned(LatentBytes());
  }
  has_failed_ = outcome.bad_timestep.has_value();
  return outcome;
}

void Sampling::Queue(StepNetwork& network, const std::vector<LatentCommand>& commands, Turn& turn) {
  std::size_t bytes = Aligned(sizeof(int));
  for (const LatentCommand& command : commands) {
    const bool is_copied = command.kind == LatentCommand::Kind::kUpload || command.kind == LatentCommand::Kind::kDownload;
    if (is_copied) bytes += Aligned(LatentBytes());
  }
  if (turn.staging.bytes() < bytes) turn.staging = PinnedBuffer(cuda_, bytes);
  turn.timestep.reset();
  stream_.Clear(flag_.address(), sizeof(int));
  std::size_t place = Aligned(sizeof(int));
  for (const LatentCommand& command : commands) {
    switch (command.kind) {
      case LatentCommand::Kind::kUpload:
        std::memcpy(turn.staging.data() + place, command.values, LatentBytes());
        stream_.Upload(Write(command.to), turn.staging.data() + place, LatentBytes());
        place += Aligned(LatentBytes());
        break;
      case LatentCommand::Kind::kCombine: {
        std::vector<std::pair<double, CUdeviceptr>> terms;
        for (const auto& [weight, slot] : command.terms) terms.emplace_back(weight, Read(slot));
        kernels_.Combine(stream_, terms, Write(command.to), count_);
        break;
      }
      case LatentCommand::Kind::kDenoise:
        Denoise(network, command);
        turn.timestep = command.step.timestep;
        break;
      case LatentCommand::Kind::kDownload:
        stream_.Download(turn.staging.data() + place, Read(command.from), LatentBytes());
        place += Aligned(LatentBytes());
        break;
    }
  }
  stream_.Download(turn.staging.data(), flag_.address(), sizeof(int));
  turn.done.Record(stream_);
  turn.is_running = true;
}

void Sampling::Denoise(StepNetwork& network, const LatentCommand& command) {
  const DenoisingStep& step = command.step;
  const CUdeviceptr x = Read(command.from);
  kernels_.ToInput(stream_, x, count_, step.input_scale, network.Find("x"));
  kernels_.Fill(stream_, network.Find("timesteps"), static_cast<float>(step.timestep));
  // Other runs of the network have the same buffers: these inputs are put there for each step.
  for (const FixedInput& input : inputs_) stream_.Copy(network.Find(input.name).address, input.buffer.address(), input.buffer.bytes());
  network.Enqueue();
  const GpuNumbers output = network.Find("output");
  kernels_.Guide(stream_, output, {is_guided_, step.cfg}, prediction_.address(), count_, flag_.address());
  const bool is_rescaled = is_guided_ && step.cfg_rescale > 0;
  if (is_rescaled) {
    kernels_.RescaleFactors(stream_, prediction_.address(), output, step.cfg_rescale, samples_, size_, factors_.address());
  }
  const CUdeviceptr factors = is_rescaled ? factors_.address() : 0;
  kernels_.Denoise(stream_, x, prediction_.address(), factors, step.skip, step.out, Write(command.to), samples_, size_);
}

void Sampling::Finish(Turn& turn, SamplingOutcome& outcome) const {
  if (!turn.is_running) return;
  turn.done.Wait();
  turn.is_running = false;
  int flag = 0;
  std::memcpy(&flag, turn.staging.data(), sizeof flag);
  if (flag != 0 && turn.timestep && !outcome.bad_timestep) outcome.bad_timestep = turn.timestep;
}

CUdeviceptr Sampling::Finished(std::size_t slot, std::size_t image) const {
  if (image >= samples_) throw NativeError("engine.failed", "There is no image " + std::to_string(image) + " in these latents.");
  stream_.Wait();
  return Read(slot) + image * size_ * sizeof(float);
}

}  // namespace redux
