#pragma once

#include <napi.h>

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "../cuda/native_error.h"

namespace redux {

/** A JavaScript error with the code of a NativeError. */
inline Napi::Error ToError(Napi::Env env, const std::string& code, const std::string& message) {
  const Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", code);
  return error;
}

/** Runs `work` here and throws its failure as a JavaScript exception. */
template <typename Work>
Napi::Value Guarded(Napi::Env env, Work work) {
  try {
    return work();
  } catch (const NativeError& error) {
    ToError(env, error.code(), error.what()).ThrowAsJavaScriptException();
  } catch (const std::exception& error) {
    ToError(env, "engine.failed", error.what()).ThrowAsJavaScriptException();
  } catch (...) {
    ToError(env, "engine.failed", "Native code failed without saying why.").ThrowAsJavaScriptException();
  }
  return env.Undefined();
}

/** Work away from JavaScript's thread whose outcome is a promise. */
template <typename Result>
class BackgroundTask : public Napi::AsyncWorker {
 public:
  using Work = std::function<Result(const std::atomic<bool>& cancelled)>;
  using Convert = std::function<Napi::Value(Napi::Env, Result&)>;

  /**
   * @param work on another thread; its failure rejects the promise
   * @param convert on JavaScript's thread, makes the promise's value
   * @param kept what the work reads, kept from the garbage collector for so long
   * @returns {done, cancel}
   */
  static Napi::Object Start(Napi::Env env, const char* name, Work work, Convert convert, const Napi::Value& kept,
                            std::function<void()> finally = {}) {
    auto* task = new BackgroundTask(env, name, std::move(work), std::move(convert), std::move(finally));  // Deletes itself when done.
    if (kept.IsObject()) task->kept_ = Napi::Persistent(kept.As<Napi::Object>());
    const Napi::Object handle = Napi::Object::New(env);
    handle.Set("done", task->deferred_.Promise());
    handle.Set("cancel", Napi::Function::New(env, [flag = task->cancelled_](const Napi::CallbackInfo&) { flag->store(true); }));
    task->Queue();
    return handle;
  }

 protected:
  void Execute() override {
    try {
      result_ = std::make_unique<Result>(work_(*cancelled_));
    } catch (const NativeError& error) {
      Failed(error.code(), error.what());
    } catch (const std::exception& error) {
      Failed("engine.failed", error.what());
    } catch (...) {
      Failed("engine.failed", "Native code failed without saying why.");
    }
    work_ = {};
    if (finally_) finally_();
  }

  void OnOK() override {
    const Napi::HandleScope scope(Env());
    deferred_.Resolve(convert_(Env(), *result_));
  }

  void OnError(const Napi::Error&) override {
    const Napi::HandleScope scope(Env());
    deferred_.Reject(ToError(Env(), code_, message_).Value());
  }

 private:
  BackgroundTask(Napi::Env env, const char* name, Work work, Convert convert, std::function<void()> finally)
      : Napi::AsyncWorker(env, name),
        work_(std::move(work)),
        convert_(std::move(convert)),
        finally_(std::move(finally)),
        deferred_(Napi::Promise::Deferred::New(env)) {}

  void Failed(const std::string& code, const std::string& message) {
    code_ = code;
    message_ = message;
    SetError(message);
  }

  Work work_;
  const Convert convert_;
  const std::function<void()> finally_;
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  const Napi::Promise::Deferred deferred_;
  Napi::ObjectReference kept_;
  std::unique_ptr<Result> result_;
  std::string code_;
  std::string message_;
};

}  // namespace redux
