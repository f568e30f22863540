#include "inference.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "../cuda/native_error.h"
#include "base_weights.h"

namespace redux {

namespace {
/** The VAE decoder's output. */
const std::string kImage = "image";

/** Negative for types that are no floating-point numbers here. */
GpuType ToGpuType(nvinfer1::DataType type) {
  if (type == nvinfer1::DataType::kFLOAT) return kGpuFloat32;
  if (type == nvinfer1::DataType::kHALF) return kGpuFloat16;
  return type == nvinfer1::DataType::kBF16 ? kGpuBfloat16 : -1;
}
}  // namespace

Inference::Inference(Cuda cuda, const Engine& engine, Logger& logger, const CudaStream& stream, const GpuArithmetic& arithmetic)
    : cuda_(std::move(cuda)), engine_(engine), stream_(stream), arithmetic_(arithmetic), runs_(engine, logger) {}

GpuNumbers Inference::NumbersOf(const EngineRun& run, const std::string& name) {
  const TensorInfo& info = run.InfoOf(name);
  const GpuType type = ToGpuType(info.type);
  if (type < 0) throw NativeError("engine.failed", "The network's \"" + name + "\" has a type that is not supported.");
  return {run.AddressOf(name), type, run.BytesOf(name) / BytesOf(info.type)};
}

const LatentKernels& Inference::latent_kernels() {
  if (!latent_kernels_) latent_kernels_.emplace(cuda_);
  return *latent_kernels_;
}

std::vector<NetworkOutput> Inference::Run(const std::vector<HostTensor>& inputs) {
  InputShapes shapes;
  for (const HostTensor& input : inputs) shapes[input.name] = input.shape;
  EngineRun& run = Prepare(shapes);
  ReserveStaging(StagingBytes(run, inputs));
  QueueInputs(run, inputs);
  run.Enqueue(stream_, true);
  stream_.Wait();
  return TakeOutputs(run);
}

DecodedImage Inference::Decode(const LatentInput& latents) {
  EngineRun& run = Prepare({{latents.name, latents.shape}});
  const std::vector<std::int64_t>& shape = run.ShapeOf(kImage);
  if (shape.size() != 4 || shape[0] != 1 || shape[1] != 3) {
    throw NativeError("engine.unusable", "The VAE decoder gives no image of three channels: export the engine again.");
  }
  DecodedImage image;
  image.height = shape[2];
  image.width = shape[3];
  const GpuNumbers output = NumbersOf(run, kImage);
  // The flag stands before the levels.
  const std::size_t first = Aligned(sizeof(int));
  ReserveStaging(first + output.count);
  stream_.Clear(staging_.address(), sizeof(int));
  latent_kernels().ToDecoderInput(stream_, latents.latents, latents.scale, latents.shift, NumbersOf(run, latents.name));
  run.Enqueue(stream_, true);
  latent_kernels().ToLevels(stream_, output, staging_.address() + first, staging_.address());
  stream_.Download(host_staging_.data(), staging_.address(), first + output.count);
  stream_.Wait();
  int flag = 0;
  std::memcpy(&flag, host_staging_.data(), sizeof flag);
  image.has_nan = flag != 0;
  const auto* levels = reinterpret_cast<const unsigned char*>(host_staging_.data() + first);
  image.levels.assign(levels, levels + output.count);
  return image;
}

std::size_t Inference::StagingBytes(const EngineRun& run, const std::vector<HostTensor>& inputs) const {
  std::size_t input_bytes = 0;
  for (const HostTensor& input : inputs) input_bytes += Aligned(input.bytes);
  std::size_t output_bytes = 0;
  for (const TensorInfo& info : engine_.tensors()) {
    if (!info.is_input) output_bytes += Aligned(run.BytesOf(info.name) / BytesOf(info.type) * sizeof(float));
  }
  return std::max(input_bytes, output_bytes);
}

void Inference::ReserveStaging(std::size_t bytes) {
  if (staging_.bytes() >= bytes && host_staging_.bytes() >= bytes) return;
  stream_.Wait();
  if (staging_.bytes() < bytes) staging_ = DeviceBuffer(cuda_, bytes);
  if (host_staging_.bytes() < bytes) host_staging_ = PinnedBuffer(cuda_, bytes);
}

void Inference::QueueInputs(const EngineRun& run, const std::vector<HostTensor>& inputs) {
  std::size_t place = 0;
  for (const HostTensor& input : inputs) {
    const std::size_t wanted = run.BytesOf(input.name);
    const TensorInfo& info = run.InfoOf(input.name);
    const GpuType type = ToGpuType(info.type);
    const bool is_integer = info.type == nvinfer1::DataType::kINT32;
    if (is_integer != input.is_integer || (type < 0 && !is_integer) || input.bytes / 4 != wanted / BytesOf(info.type)) {
      throw NativeError("engine.failed", "The input \"" + input.name + "\" has another type or size than the engine takes.");
    }
    std::memcpy(host_staging_.data() + place, input.data, input.bytes);
    const bool direct = is_integer || type == kGpuFloat32;
    const CUdeviceptr target = direct ? run.AddressOf(input.name) : staging_.address() + place;
    stream_.Upload(target, host_staging_.data() + place, input.bytes);
    if (!direct) arithmetic_.Convert(stream_, target, kGpuFloat32, run.AddressOf(input.name), type, input.bytes / sizeof(float));
    place += Aligned(input.bytes);
  }
}

std::vector<NetworkOutput> Inference::TakeOutputs(const EngineRun& run) {
  std::vector<NetworkOutput> outputs;
  std::size_t place = 0;
  for (const TensorInfo& info : engine_.tensors()) {
    if (info.is_input) continue;
    const GpuNumbers numbers = NumbersOf(run, info.name);
    const CUdeviceptr source = numbers.type == kGpuFloat32 ? numbers.address : staging_.address() + place;
    if (numbers.type != kGpuFloat32) arithmetic_.Convert(stream_, numbers.address, numbers.type, source, kGpuFloat32, numbers.count);
    stream_.Download(host_staging_.data() + place, source, numbers.count * sizeof(float));
    outputs.push_back({info.name, run.ShapeOf(info.name), std::vector<float>(numbers.count)});
    place += Aligned(numbers.count * sizeof(float));
  }
  stream_.Wait();
  place = 0;
  for (NetworkOutput& output : outputs) {
    std::memcpy(output.values.data(), host_staging_.data() + place, output.values.size() * sizeof(float));
    place += Aligned(output.values.size() * sizeof(float));
  }
  return outputs;
}

}  // namespace redux
