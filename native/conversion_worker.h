#pragma once

#include <napi.h>

#include "argument_reader.h"

namespace redux {

/** Converts numbers away from JavaScript's thread. */
class ConversionWorker : public Napi::AsyncWorker {
 public:
  /** convert(input, output, threads) → Promise; see the interface in src/engines/native-addon.ts. */
  static Napi::Value Convert(const Napi::CallbackInfo& info);

 protected:
  void Execute() override;
  void OnOK() override;
  void OnError(const Napi::Error& error) override;

 private:
  ConversionWorker(Napi::Env env, const Buffer& input, const Buffer& output, std::size_t threads, const Napi::Array& arrays);

  const Buffer input_;
  const Buffer output_;
  const std::size_t threads_;
  const Napi::Promise::Deferred deferred_;
  const Napi::ObjectReference arrays_;
};

}  // namespace redux
