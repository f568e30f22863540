// Tests of sampling on the GPU with the emulated driver: the same code and kernels, the host's memory. Prints one line a test.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "../../conversion.h"
#include "../../cuda/native_error.h"
#include "../sampling.h"
#include "../../test/check.h"
#include "check_throws.h"
#include "emulated_driver.h"

namespace {

using namespace redux;
using Kind = LatentCommand::Kind;
using Floats = std::vector<float>;

constexpr std::size_t kSamples = 2;
constexpr std::size_t kSize = 4 * 5 * 3;
constexpr std::size_t kCount = kSamples * kSize;
/** What the network multiplies the negatives and the positives by. */
constexpr double kNegative = -0.4;
constexpr double kPositive = 0.9;

Floats MakeNoise(unsigned seed, std::size_t count = kCount) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  Floats values(count);
  for (float& value : values) value = normal(generator);
  return values;
}

/** The numbers as they come back from a type. */
Floats Rounded(const Floats& values, GpuType type) {
  if (type == kGpuFloat32) return values;
  const NumberType as = type == kGpuFloat16 ? NumberType::kFloat16 : NumberType::kBfloat16;
  std::vector<std::uint16_t> bits(values.size());
  Floats result(values.size());
  ConvertNumbers(BestKernels(), values.data(), NumberType::kFloat32, bits.data(), as, values.size(), 1);
  ConvertNumbers(BestKernels(), bits.data(), as, result.data(), NumberType::kFloat32, values.size(), 1);
  return result;
}

/** What every sampling of these tests stands on. */
struct Gpu {
  const Cuda cuda = CudaDriver::Load();
  const CudaStream stream{cuda};
  const GpuArithmetic arithmetic{cuda};
  const LatentKernels kernels{cuda};

  Floats Read(CUdeviceptr address, GpuType type, std::size_t count) const {
    const DeviceBuffer floats(cuda, count * sizeof(float));
    arithmetic.Convert(stream, address, type, floats.address(), kGpuFloat32, count);
    Floats values(count);
    stream.Download(values.data(), floats.address(), count * sizeof(float));
    stream.Wait();
    return values;
  }
};

/**
 * A network that gives kNegative · x + shift for the negatives and kPositive · x + shift for the positives, where the shift is its input
 * `context`, which is lost in each run.
 */
class ToyNetwork final : public StepNetwork {
 public:
  ToyNetwork(const Gpu& gpu, GpuType type, bool is_guided) : gpu_(gpu), type_(type), is_guided_(is_guided), rows_(is_guided ? 2 : 1) {
    for (const auto& [name, count] : {std::pair("x", kCount), std::pair("output", kCount), std::pair("context", kCount), std::pair("timesteps", kSamples)}) {
      buffers_[name] = {DeviceBuffer(gpu.cuda, rows_ * count * BytesOfGpuType(type)), rows_ * count};
    }
    floats_ = DeviceBuffer(gpu.cuda, 2 * rows_ * kCount * sizeof(float));
  }

  GpuNumbers Find(const std::string& name) const override {
    const Buffer& buffer = buffers_.at(name);
    return {buffer.memory.address(), type_, buffer.count};
  }

  void Enqueue() override {
    const std::size_t bytes = kCount * sizeof(float);
    const std::size_t all = rows_ * kCount;
    const CUdeviceptr x = floats_.address();
    const CUdeviceptr shift = x + all * sizeof(float);
    gpu_.arithmetic.Convert(gpu_.stream, Find("x").address, type_, x, kGpuFloat32, all);
    gpu_.arithmetic.Convert(gpu_.stream, Find("context").address, type_, shift, kGpuFloat32, all);
    for (std::size_t row = 0; row < rows_; ++row) {
      const double scale = is_guided_ && row == 0 ? kNegative : kPositive;
      gpu_.kernels.Combine(gpu_.stream, {{scale, x + row * bytes}, {1, shift + row * bytes}}, x + row * bytes, kCount);
    }
    gpu_.arithmetic.Convert(gpu_.stream, x, kGpuFloat32, Find("output").address, type_, all);
    gpu_.kernels.Fill(gpu_.stream, Find("context"), 1000);
    if (spoil_) gpu_.kernels.Fill(gpu_.stream, {Find("output").address, type_, 1}, *spoil_);
    spoil_.reset();
    ++runs_;
  }

  /** The next run gives this as one of its values. */
  void Spoil(float value) {
    spoil_ = value;
  }
  std::size_t runs() const {
    return runs_;
  }

 private:
  struct Buffer {
    DeviceBuffer memory;
    std::size_t count = 0;
  };
  const Gpu& gpu_;
  const GpuType type_;
  const bool is_guided_;
  const std::size_t rows_;
  std::map<std::string, Buffer> buffers_;
  DeviceBuffer floats_;
  std::optional<float> spoil_;
  std::size_t runs_ = 0;
};

SamplingOptions OptionsFor(bool is_guided, const Floats& context) {
  SamplingOptions options;
  options.dims = {kSamples, 4, 5, 3};
  options.is_guided = is_guided;
  options.inputs.push_back({"context", {is_guided ? 4 : 2, 4, 5, 3}, false, context.data(), context.size() * sizeof(float)});
  return options;
}

LatentCommand Upload(std::size_t to, const Floats& values) {
  LatentCommand command;
  command.kind = Kind::kUpload;
  command.to = to;
  command.values = values.data();
  return command;
}

LatentCommand Combine(std::size_t to, std::vector<std::pair<double, std::size_t>> terms) {
  LatentCommand command;
  command.kind = Kind::kCombine;
  command.to = to;
  command.terms = std::move(terms);
  return command;
}

LatentCommand Denoise(std::size_t to, std::size_t from, const DenoisingStep& step) {
  LatentCommand command;
  command.kind = Kind::kDenoise;
  command.to = to;
  command.from = from;
  command.step = step;
  return command;
}

LatentCommand Download(std::size_t from) {
  LatentCommand command;
  command.kind = Kind::kDownload;
  command.from = from;
  return command;
}

float Sum(const std::vector<std::pair<double, float>>& terms) {
  double sum = 0;
  for (const auto& [weight, value] : terms) sum += weight * value;
  return static_cast<float>(sum);
}

double Deviation(const Floats& values, std::size_t first) {
  double mean = 0;
  for (std::size_t i = 0; i < kSize; ++i) mean += values[first + i];
  mean /= kSize;
  double squares = 0;
  for (std::size_t i = 0; i < kSize; ++i) squares += (values[first + i] - mean) * (values[first + i] - mean);
  return std::sqrt(squares / (kSize - 1));
}

/** What the host's denoiser (src/pipeline/denoiser.ts) makes of the toy network. */
Floats DenoiseOnHost(const Floats& x, const Floats& context, const DenoisingStep& step, bool is_guided, GpuType type) {
  Floats input(kCount);
  for (std::size_t i = 0; i < kCount; ++i) input[i] = Sum({{step.input_scale, x[i]}});
  input = Rounded(input, type);
  const Floats shift = Rounded(context, type);
  Floats negative(kCount);
  Floats positive(kCount);
  for (std::size_t i = 0; i < kCount; ++i) {
    negative[i] = Sum({{kNegative, input[i]}, {1, shift[i]}});
    positive[i] = Sum({{kPositive, input[i]}, {1, shift[is_guided ? kCount + i : i]}});
  }
  negative = Rounded(negative, type);
  positive = Rounded(positive, type);
  Floats prediction = positive;
  if (is_guided) {
    for (std::size_t i = 0; i < kCount; ++i) prediction[i] = Sum({{1 - step.cfg, negative[i]}, {step.cfg, positive[i]}});
    if (step.cfg_rescale > 0) {
      for (std::size_t first = 0; first < kCount; first += kSize) {
        const double ratio = Deviation(positive, first) / Deviation(prediction, first);
        const double factor = step.cfg_rescale * ratio + (1 - step.cfg_rescale);
        for (std::size_t i = first; i < first + kSize; ++i) prediction[i] = static_cast<float>(prediction[i] * factor);
      }
    }
  }
  Floats denoised(kCount);
  for (std::size_t i = 0; i < kCount; ++i) denoised[i] = Sum({{step.skip, x[i]}, {step.out, prediction[i]}});
  return denoised;
}

/** A run of the network, guided or not, in each type: bit for bit the host's; with CFG rescale, whose sums have another order, nearly. */
void TestDenoise() {
  const Gpu gpu;
  for (const GpuType type : {kGpuFloat32, kGpuFloat16, kGpuBfloat16}) {
    for (const bool is_guided : {false, true}) {
      for (const double rescale : {0.0, 0.7}) {
        const std::string name = "type " + std::to_string(type) + (is_guided ? ", guided" : "") + ", rescale " + std::to_string(rescale);
        const Floats x = MakeNoise(1);
        const Floats context = MakeNoise(2, is_guided ? 2 * kCount : kCount);
        ToyNetwork network(gpu, type, is_guided);
        Sampling sampling(gpu.cuda, gpu.stream, gpu.arithmetic, gpu.kernels, OptionsFor(is_guided, context), network);
        const DenoisingStep step{0.31, 981, is_guided ? 7.5 : 1, rescale, 0.25, -3.1};
        const SamplingOutcome outcome = sampling.Execute(network, {Upload(0, x), Denoise(1, 0, step), Download(1), Download(0)});
        Check(!outcome.bad_timestep && outcome.downloads.size() == 2, name + ": an answer");
        const Floats expected = DenoiseOnHost(x, context, step, is_guided, type);
        Check(outcome.downloads[1] == x, name + ": the sample stays as it was");
        if (!is_guided || rescale == 0) {
          Check(outcome.downloads[0] == expected, name + ": the host's bits");
        } else {
          float worst = 0;
          for (std::size_t i = 0; i < kCount; ++i) worst = std::max(worst, std::fabs(outcome.downloads[0][i] - expected[i]));
          Check(worst < 1e-5F, name + ": off by " + std::to_string(worst));
        }
        const Floats timesteps = gpu.Read(network.Find("timesteps").address, type, network.Find("timesteps").count);
        Check(timesteps == Rounded(Floats(timesteps.size(), 981), type), name + ": the timestep of every row");
      }
    }
  }
}

/** Steps with noise of the host, whose buffers are used again while the GPU is still behind: the host's bits all the way. */
void TestSteps() {
  const Gpu gpu;
  const Floats context = MakeNoise(3, 2 * kCount);
  ToyNetwork network(gpu, kGpuFloat16, true);
  Sampling sampling(gpu.cuda, gpu.stream, gpu.arithmetic, gpu.kernels, OptionsFor(true, context), network);
  Floats x = MakeNoise(4);
  sampling.Execute(network, {Upload(0, x)});
  std::size_t current = 0;
  for (unsigned step = 0; step < 20; ++step) {
    const DenoisingStep numbers{1.0 / (step + 1), 1000.0 - step, 4, 0, 1, -0.05 * (step + 1)};
    // The sample goes from slot to slot, as the samplers' results do.
    const std::size_t next = 2 - current;
    Floats noise = MakeNoise(100 + step);
    const SamplingOutcome outcome = sampling.Execute(network, {Denoise(1, current, numbers)});
    Check(!outcome.bad_timestep && outcome.downloads.empty(), "a step without a download");
    sampling.Execute(network, {Upload(3, noise), Combine(next, {{0.7, current}, {0.3, 1}, {0.2, 3}})});
    const Floats denoised = DenoiseOnHost(x, context, numbers, true, kGpuFloat16);
    for (std::size_t i = 0; i < kCount; ++i) x[i] = Sum({{0.7, x[i]}, {0.3, denoised[i]}, {0.2, noise[i]}});
    // The host's noise is no longer needed once the call is answered.
    noise.assign(kCount, 1e9F);
    current = next;
    if (step % 7 == 6) Check(sampling.Execute(network, {Download(current)}).downloads.at(0) == x, "a preview in step " + std::to_string(step));
  }
  Check(sampling.Execute(network, {Download(current)}).downloads.at(0) == x, "the end of 20 steps");
  Check(network.runs() == 20, "one run of the network a step");
}

void TestNotFinite() {
  const Gpu gpu;
  for (const GpuType type : {kGpuFloat32, kGpuFloat16, kGpuBfloat16}) {
    for (const float value : {NAN, INFINITY, -INFINITY}) {
      const Floats x = MakeNoise(5);
      const Floats context = MakeNoise(6);
      ToyNetwork network(gpu, type, false);
      Sampling sampling(gpu.cuda, gpu.stream, gpu.arithmetic, gpu.kernels, OptionsFor(false, context), network);
      const DenoisingStep step{1, 17, 1, 0, 1, -1};
      Check(!sampling.Execute(network, {Upload(0, x), Denoise(1, 0, step)}).bad_timestep, "the first step");
      network.Spoil(value);
      const DenoisingStep second{1, 11, 1, 0, 1, -1};
      Check(!sampling.Execute(network, {Denoise(2, 1, second)}).bad_timestep, "the step before is good");
      const SamplingOutcome outcome = sampling.Execute(network, {Download(2)});
      Check(outcome.bad_timestep == 11.0, "the step whose values are not finite is told");
      CheckThrows("engine.unusable", [&] { sampling.Execute(network, {Download(2)}); }, "after a failure");
    }
  }
}

void TestMistakes() {
  const Gpu gpu;
  const Floats x = MakeNoise(7);
  const Floats context = MakeNoise(8);
  ToyNetwork network(gpu, kGpuFloat32, false);
  const auto start = [&](const SamplingOptions& options) {
    return std::make_unique<Sampling>(gpu.cuda, gpu.stream, gpu.arithmetic, gpu.kernels, options, network);
  };
  const auto fails = [&](const std::vector<LatentCommand>& commands, const std::string& what) {
    const auto sampling = start(OptionsFor(false, context));
    CheckThrows("engine.failed", [&] { sampling->Execute(network, commands); }, what);
    CheckThrows("engine.unusable", [&] { sampling->Execute(network, {Upload(0, x)}); }, what + ", afterwards");
  };
  fails({Download(0)}, "a download of what was never made");
  fails({Upload(0, x), Combine(1, {{1, 0}, {1, 2}})}, "a sum with what was never made");
  fails({Upload(64, x)}, "too many latents");
  fails({Upload(0, x), Combine(1, std::vector<std::pair<double, std::size_t>>(9, {1, 0}))}, "too many terms");
  SamplingOptions other = OptionsFor(false, context);
  other.dims = {kSamples, 4, 5, 4};
  CheckThrows("engine.failed", [&] { start(other); }, "a network of other sizes");
  other.dims = {kSamples, 4, 0, 3};
  CheckThrows("engine.failed", [&] { start(other); }, "no rows");
  other = OptionsFor(false, context);
  other.inputs[0].bytes -= sizeof(float);
  CheckThrows("engine.failed", [&] { start(other); }, "too short an input");
  const auto sampling = start(OptionsFor(false, context));
  sampling->Execute(network, {Upload(0, x)});
  CheckThrows("engine.failed", [&] { static_cast<void>(sampling->Finished(0, kSamples)); }, "an image that there is not");
}

void TestDecoderInput() {
  const Gpu gpu;
  const Floats x = MakeNoise(9);
  const Floats context = MakeNoise(10);
  ToyNetwork network(gpu, kGpuFloat16, false);
  Sampling sampling(gpu.cuda, gpu.stream, gpu.arithmetic, gpu.kernels, OptionsFor(false, context), network);
  sampling.Execute(network, {Upload(0, x)});
  for (const GpuType type : {kGpuFloat32, kGpuFloat16, kGpuBfloat16}) {
    const DeviceBuffer input(gpu.cuda, kSize * BytesOfGpuType(type));
    gpu.kernels.ToDecoderInput(gpu.stream, sampling.Finished(0, 1), 0.13025, 0.1159, {input.address(), type, kSize});
    Floats expected(kSize);
    for (std::size_t i = 0; i < kSize; ++i) expected[i] = static_cast<float>(static_cast<double>(x[kSize + i]) / 0.13025 + 0.1159);
    Check(gpu.Read(input.address(), type, kSize) == Rounded(expected, type), "the second image, unscaled, as type " + std::to_string(type));
  }
}

/** Levels as src/pipeline/image.ts rounds them. */
unsigned char Level(float value) {
  const float half = static_cast<float>(static_cast<double>(value) / 2 + 0.5);
  const float scaled = std::min(std::max(half, 0.0F), 1.0F) * 255.0F;
  const auto floor = static_cast<int>(scaled);
  const float fraction = scaled - static_cast<float>(floor);
  const bool is_up = fraction > 0.5F || (fraction == 0.5F && floor % 2 == 1);
  return static_cast<unsigned char>(is_up ? floor + 1 : floor);
}

void TestLevels() {
  const Gpu gpu;
  constexpr std::size_t kPixels = 700;
  for (const GpuType type : {kGpuFloat32, kGpuFloat16, kGpuBfloat16}) {
    Floats values = MakeNoise(13, 3 * kPixels);
    // The borders, what is beyond them, and levels that end in a half.
    for (const float special : {-1.0F, 1.0F, -1.5F, 70.0F, INFINITY, -INFINITY, 0.0F, 1.0F / 255, 2.0F * 0.5F / 255 - 1, 2.0F * 1.5F / 255 - 1, 2.0F * 2.5F / 255 - 1}) {
      values.push_back(special);
    }
    values.erase(values.begin(), values.begin() + 11);
    values = Rounded(values, type);
    const DeviceBuffer floats(gpu.cuda, values.size() * sizeof(float));
    const DeviceBuffer image(gpu.cuda, values.size() * BytesOfGpuType(type));
    const DeviceBuffer levels(gpu.cuda, values.size());
    const DeviceBuffer flag(gpu.cuda, sizeof(int));
    const auto convert = [&] {
      gpu.stream.Upload(floats.address(), values.data(), values.size() * sizeof(float));
      gpu.arithmetic.Convert(gpu.stream, floats.address(), kGpuFloat32, image.address(), type, values.size());
      gpu.stream.Clear(flag.address(), sizeof(int));
      gpu.kernels.ToLevels(gpu.stream, {image.address(), type, values.size()}, levels.address(), flag.address());
      int has_nan = 0;
      gpu.stream.Download(&has_nan, flag.address(), sizeof(int));
      gpu.stream.Wait();
      return has_nan != 0;
    };
    Check(!convert(), "no NaN");
    std::vector<unsigned char> result(values.size());
    gpu.stream.Download(result.data(), levels.address(), result.size());
    gpu.stream.Wait();
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < values.size(); ++i) wrong += result[i % kPixels * 3 + i / kPixels] != Level(values[i]) ? 1 : 0;
    Check(wrong == 0, std::to_string(wrong) + " wrong levels of type " + std::to_string(type));
    values[values.size() - 1] = NAN;
    Check(convert(), "a NaN is told");
  }
}

/** Uploads, steps, and a download; wherever the GPU's memory ends or a launch fails, everything is given back. */
void RunAll(const Gpu& gpu, ToyNetwork& network) {
  const Floats x = MakeNoise(11);
  const Floats context = MakeNoise(12, 2 * kCount);
  Sampling sampling(gpu.cuda, gpu.stream, gpu.arithmetic, gpu.kernels, OptionsFor(true, context), network);
  for (int i = 0; i < 3; ++i) {
    const DenoisingStep step{1, 3, 5, i == 2 ? 0.5 : 0, 1, -1};
    sampling.Execute(network, {Upload(0, x), Denoise(1, 0, step), Combine(2, {{0.5, 0}, {0.5, 1}})});
  }
  sampling.Execute(network, {Download(2)});
}

void TestFailures() {
  const Gpu gpu;
  ToyNetwork network(gpu, kGpuFloat16, true);
  const std::size_t before = redux_emulated_objects();
  RunAll(gpu, network);
  Check(redux_emulated_objects() == before, "a whole sampling gives everything back");
  const auto failing = [&](void (*fail)(int), const std::string& code) {
    for (int calls = 0;; ++calls) {
      bool has_failed = false;
      fail(calls);
      try {
        RunAll(gpu, network);
      } catch (const NativeError& error) {
        Check(error.code() == code, "call " + std::to_string(calls) + " fails with " + error.code());
        has_failed = true;
      }
      fail(-1);
      Check(redux_emulated_objects() == before, "after a failure of call " + std::to_string(calls) + " everything is given back");
      if (!has_failed) return calls;
    }
  };
  const int without_memory = failing(redux_emulated_fail_allocation, "gpu.memory");
  Check(without_memory >= 8, "failures for want of memory: " + std::to_string(without_memory));
  const int without_kernel = failing(redux_emulated_fail_launch, "gpu.failed");
  Check(without_kernel >= 30, "failures of kernels: " + std::to_string(without_kernel));
}

const std::vector<Test> kTests = {
    {"a denoised sample", TestDenoise},   {"steps with noise", TestSteps},         {"values that are not finite", TestNotFinite},
    {"mistakes of the caller", TestMistakes}, {"the decoder's input", TestDecoderInput}, {"levels of the image", TestLevels},
    {"failures midway", TestFailures},
};

}  // namespace

int main() {
  return RunTests("sampling: ", kTests);
}
