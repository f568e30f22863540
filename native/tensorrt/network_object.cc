#include "network_object.h"

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "background_task.h"
#include "change_reader.h"
#include "object_reader.h"
#include "sampling_object.h"

namespace redux {

namespace {
/** The classes' constructors, one of each for each JavaScript environment that loads the add-on. */
struct Constructors {
  Napi::FunctionReference network;
  Napi::FunctionReference sampling;
};

Napi::Array ToArray(Napi::Env env, const std::vector<std::int64_t>& sizes) {
  const Napi::Array array = Napi::Array::New(env, sizes.size());
  for (std::uint32_t i = 0; i < sizes.size(); ++i) array.Set(i, static_cast<double>(sizes[i]));
  return array;
}

Napi::Value ToOutputs(Napi::Env env, const std::vector<NetworkOutput>& outputs) {
  const Napi::Object object = Napi::Object::New(env);
  for (const NetworkOutput& output : outputs) {
    Napi::Float32Array data = Napi::Float32Array::New(env, output.values.size());
    if (!output.values.empty()) std::memcpy(data.Data(), output.values.data(), output.values.size() * sizeof(float));
    const Napi::Object tensor = Napi::Object::New(env);
    tensor.Set("dims", ToArray(env, output.shape));
    tensor.Set("data", data);
    object.Set(output.name, tensor);
  }
  return object;
}

Napi::Value ToTimes(Napi::Env env, const ChangeTimes& times) {
  const Napi::Object object = Napi::Object::New(env);
  object.Set("upload", times.upload);
  object.Set("merge", times.merge);
  object.Set("refit", times.refit);
  object.Set("uploadedBytes", static_cast<double>(times.uploaded_bytes));
  object.Set("changed", static_cast<double>(times.changed));
  object.Set("restored", static_cast<double>(times.restored));
  return object;
}
}  // namespace

void NetworkObject::Register(Napi::Env env, Napi::Object exports) {
  const Napi::Function constructor = DefineClass(env, "Network",
                                                 {
                                                     InstanceMethod<&NetworkObject::Run>("run"),
                                                     InstanceMethod<&NetworkObject::StartSampling>("startSampling"),
                                                     InstanceMethod<&NetworkObject::SetChanges>("setChanges"),
                                                     InstanceMethod<&NetworkObject::Memory>("memory"),
                                                     InstanceMethod<&NetworkObject::Close>("close"),
                                                 });
  auto* constructors = new Constructors{Napi::Persistent(constructor), Napi::Persistent(SamplingObject::Define(env))};
  env.SetInstanceData(constructors);
  exports.Set("Network", constructor);
}

NetworkObject::NetworkObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NetworkObject>(info) {
  if (info[0].IsExternal()) {
    network_ = *info[0].As<Napi::External<std::shared_ptr<Network>>>().Data();
  } else {
    ToError(info.Env(), "engine.failed", "A network is made by load().").ThrowAsJavaScriptException();
  }
}

Napi::Value StartLoad(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&]() -> Napi::Value {
    const Napi::Object object = info[0].As<Napi::Object>();
    const Network::Options options = ReadNetworkOptions(object);
    const std::string folder = ReadString(object, "library");
    using Loaded = std::shared_ptr<Network>;
    const auto work = [options, folder](const std::atomic<bool>& cancelled) {
      return std::make_shared<Network>(TensorRtLibrary::Open(folder), CudaDriver::Load(), options, cancelled);
    };
    const auto convert = [](Napi::Env environment, Loaded& network) -> Napi::Value {
      return environment.GetInstanceData<Constructors>()->network.New({Napi::External<Loaded>::New(environment, &network)});
    };
    return BackgroundTask<Loaded>::Start(env, "tensorrt-redux.load", work, convert, env.Undefined());
  });
}

const std::shared_ptr<Network>& NetworkObject::Require() const {
  if (!network_) throw NativeError("engine.unusable", "The engine has been unloaded. Load it again.");
  return network_;
}

std::shared_ptr<Network> NetworkObject::Of(const Napi::Value& object) {
  const bool is_network =
      object.IsObject() && object.As<Napi::Object>().InstanceOf(object.Env().GetInstanceData<Constructors>()->network.Value());
  if (!is_network) throw NativeError("engine.failed", "The native backend was called without a network.");
  return Unwrap(object.As<Napi::Object>())->Require();
}

Napi::Value NetworkObject::StartSampling(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&]() -> Napi::Value { return SamplingObject::Start(Require(), info, env.GetInstanceData<Constructors>()->sampling); });
}

Napi::Value NetworkObject::Run(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&]() -> Napi::Value {
    const Napi::Object object = info[0].As<Napi::Object>();
    const auto work = [network = Require(), inputs = ReadInputs(object)](const std::atomic<bool>&) { return network->Run(inputs); };
    return BackgroundTask<std::vector<NetworkOutput>>::Start(env, "tensorrt-redux.run", work, ToOutputs, object);
  });
}

Napi::Value NetworkObject::SetChanges(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&]() -> Napi::Value {
    const Napi::Object packed = info[0].As<Napi::Object>();
    const auto work = [network = Require(), changes = ReadChanges(packed)](const std::atomic<bool>& cancelled) {
      return network->SetChanges(changes, cancelled);
    };
    return BackgroundTask<ChangeTimes>::Start(env, "tensorrt-redux.refit", work, ToTimes, packed);
  });
}

Napi::Value NetworkObject::Memory(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&]() -> Napi::Value {
    const Napi::Object object = Napi::Object::New(env);
    if (!network_) return object;
    const NetworkMemory memory = network_->Memory();
    object.Set("plan", static_cast<double>(memory.plan));
    object.Set("scratch", static_cast<double>(memory.scratch));
    object.Set("buffers", static_cast<double>(memory.buffers));
    object.Set("baseOnGpu", static_cast<double>(memory.base_on_gpu));
    object.Set("baseOnHost", static_cast<double>(memory.base_on_host));
    object.Set("merged", static_cast<double>(memory.merged));
    object.Set("pinned", static_cast<double>(memory.pinned));
    const std::vector<std::string> absent = network_->Absent();
    const Napi::Array names = Napi::Array::New(env, absent.size());
    for (std::uint32_t i = 0; i < absent.size(); ++i) names.Set(i, absent[i]);
    object.Set("absent", names);
    object.Set("usable", network_->usable());
    object.Set("graphProblem", network_->GraphProblem());
    return object;
  });
}

Napi::Value NetworkObject::Close(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&]() -> Napi::Value {
    // Freed on another thread: it waits for the GPU.
    auto work = [network = std::exchange(network_, nullptr)](const std::atomic<bool>&) mutable {
      network.reset();
      return true;
    };
    const auto convert = [](Napi::Env environment, bool&) { return environment.Undefined(); };
    return BackgroundTask<bool>::Start(env, "tensorrt-redux.close", std::move(work), convert, env.Undefined()).Get("done");
  });
}

}  // namespace redux
