#include "build_task.h"

#include <memory>
#include <string>

#include "../cuda/cuda_driver.h"
#include "background_task.h"
#include "object_reader.h"
#include "plan_builder.h"

namespace redux {

namespace {
struct Progress {
  std::string phase;
  double fraction;
};

/** Hands progress to JavaScript without waiting for it; what finds the queue full is dropped. */
class ProgressChannel {
 public:
  ProgressChannel(Napi::Env env, const Napi::Function& callback)
      : function_(Napi::ThreadSafeFunction::New(env, callback, "tensorrt-redux.progress", kQueue, 1)) {}

  void Tell(const std::string& phase, double fraction) const {
    auto progress = std::make_unique<Progress>(Progress{phase, fraction});
    const napi_status status = function_.NonBlockingCall(progress.get(), [](Napi::Env env, Napi::Function callback, Progress* raw) {
      const std::unique_ptr<Progress> owned(raw);
      if (env != nullptr) callback.Call({Napi::String::New(env, owned->phase), Napi::Number::New(env, owned->fraction)});
    });
    if (status == napi_ok) static_cast<void>(progress.release());
  }

  void Close() {
    function_.Release();
  }

 private:
  static constexpr std::size_t kQueue = 64;
  Napi::ThreadSafeFunction function_;
};

Napi::Value ToValue(Napi::Env env, const BuildReport& report) {
  const Napi::Object object = Napi::Object::New(env);
  object.Set("planBytes", static_cast<double>(report.plan_bytes));
  object.Set("layers", report.layers);
  object.Set("parseSeconds", report.parse_seconds);
  object.Set("buildSeconds", report.build_seconds);
  return object;
}
}  // namespace

Napi::Value StartBuild(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&]() -> Napi::Value {
    const Napi::Object object = info[0].As<Napi::Object>();
    const BuildOptions options = ReadBuildOptions(object);
    const std::string folder = ReadString(object, "library");
    const auto channel = std::make_shared<ProgressChannel>(env, info[1].As<Napi::Function>());
    const auto work = [options, folder, channel](const std::atomic<bool>& cancelled) {
      Logger logger;
      const std::shared_ptr<const TensorRtLibrary> library = TensorRtLibrary::Open(folder);
      // With a GPU, the build is for it; without one, TensorRT-RTX still builds for the capabilities that are named.
      Cuda cuda;
      if (options.compute_capabilities.empty()) {
        cuda = CudaDriver::Load();
        cuda->Enter();
      }
      const auto report = [&channel](const std::string& phase, double fraction) { channel->Tell(phase, fraction); };
      return BuildPlan(*library, logger, options, report, cancelled);
    };
    return BackgroundTask<BuildReport>::Start(env, "tensorrt-redux.build", work, ToValue, env.Undefined(), [channel] { channel->Close(); });
  });
}

}  // namespace redux
