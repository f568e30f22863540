#include "sampling_object.h"

#include <cstring>
#include <utility>
#include <vector>

#include "background_task.h"
#include "network_object.h"
#include "object_reader.h"
#include "sampling_reader.h"

namespace redux {

namespace {
Napi::Value ToOutcome(Napi::Env env, const SamplingOutcome& outcome) {
  const Napi::Object object = Napi::Object::New(env);
  if (outcome.bad_timestep) object.Set("badTimestep", *outcome.bad_timestep);
  const Napi::Array downloads = Napi::Array::New(env, outcome.downloads.size());
  for (std::uint32_t i = 0; i < outcome.downloads.size(); ++i) {
    const std::vector<float>& values = outcome.downloads[i];
    Napi::Float32Array data = Napi::Float32Array::New(env, values.size());
    std::memcpy(data.Data(), values.data(), values.size() * sizeof(float));
    downloads.Set(i, data);
  }
  object.Set("downloads", downloads);
  return object;
}

Napi::Value ToImage(Napi::Env env, const DecodedImage& image) {
  const Napi::Object object = Napi::Object::New(env);
  Napi::Uint8Array data = Napi::Uint8Array::New(env, image.levels.size());
  std::memcpy(data.Data(), image.levels.data(), image.levels.size());
  object.Set("width", static_cast<double>(image.width));
  object.Set("height", static_cast<double>(image.height));
  object.Set("data", data);
  object.Set("hasNan", image.has_nan);
  return object;
}
}  // namespace

SamplingObject::Running::Running(std::shared_ptr<Network> of, const SamplingOptions& options)
    : network(std::move(of)), sampling(network->StartSampling(options)) {}

SamplingObject::Running::~Running() {
  network->EndSampling(std::move(sampling));
}

Napi::Function SamplingObject::Define(Napi::Env env) {
  return DefineClass(env, "Sampling",
                     {
                         InstanceMethod<&SamplingObject::Execute>("execute"),
                         InstanceMethod<&SamplingObject::Decode>("decode"),
                         InstanceMethod<&SamplingObject::Close>("close"),
                     });
}

SamplingObject::SamplingObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<SamplingObject>(info) {
  if (info[0].IsExternal()) {
    running_ = *info[0].As<Napi::External<std::shared_ptr<Running>>>().Data();
  } else {
    ToError(info.Env(), "engine.failed", "A sampling is made by startSampling().").ThrowAsJavaScriptException();
  }
}

std::shared_ptr<SamplingObject::Running> SamplingObject::Require() const {
  if (!running_) throw NativeError("engine.unusable", "The sampling has ended.");
  return running_;
}

Napi::Value SamplingObject::Start(const std::shared_ptr<Network>& network, const Napi::CallbackInfo& info,
                                  const Napi::FunctionReference& constructor) {
  const Napi::Object object = info[0].As<Napi::Object>();
  using Started = std::shared_ptr<Running>;
  const auto work = [network, options = ReadSamplingOptions(object)](const std::atomic<bool>&) {
    return std::make_shared<Running>(network, options);
  };
  const auto convert = [&constructor](Napi::Env env, Started& running) -> Napi::Value {
    return constructor.New({Napi::External<Started>::New(env, &running)});
  };
  return BackgroundTask<Started>::Start(info.Env(), "tensorrt-redux.sampling", work, convert, object);
}

Napi::Value SamplingObject::Execute(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&]() -> Napi::Value {
    const Napi::Array array = info[0].As<Napi::Array>();
    const std::shared_ptr<Running> running = Require();
    const auto work = [running, commands = ReadLatentCommands(array, running->sampling->count())](const std::atomic<bool>&) {
      return running->network->Execute(*running->sampling, commands);
    };
    return BackgroundTask<SamplingOutcome>::Start(env, "tensorrt-redux.sample", work, ToOutcome, array);
  });
}

Napi::Value SamplingObject::Decode(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&]() -> Napi::Value {
    const Napi::Object object = info[0].As<Napi::Object>();
    const std::shared_ptr<Running> running = Require();
    const std::shared_ptr<Network> decoder = NetworkObject::Of(object.Get("network"));
    LatentInput input;
    input.name = ReadString(object, "input");
    input.scale = ReadNumber(object, "scale", 1);
    input.shift = ReadNumber(object, "shift", 0);
    input.shape = running->sampling->dims();
    input.shape[0] = 1;
    const auto slot = static_cast<std::size_t>(ReadNumber(object, "slot", 0));
    const auto image = static_cast<std::size_t>(ReadNumber(object, "image", 0));
    const auto work = [running, decoder, input, slot, image](const std::atomic<bool>&) mutable {
      input.latents = running->network->Finished(*running->sampling, slot, image);
      return decoder->Decode(input);
    };
    return BackgroundTask<DecodedImage>::Start(env, "tensorrt-redux.decode", work, ToImage, object);
  });
}

Napi::Value SamplingObject::Close(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&]() -> Napi::Value {
    // Freed on another thread: it waits for the GPU.
    auto work = [running = std::exchange(running_, nullptr)](const std::atomic<bool>&) mutable {
      running.reset();
      return true;
    };
    const auto convert = [](Napi::Env environment, bool&) { return environment.Undefined(); };
    return BackgroundTask<bool>::Start(env, "tensorrt-redux.close", std::move(work), convert, env.Undefined()).Get("done");
  });
}

}  // namespace redux
