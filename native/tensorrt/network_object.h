#pragma once

#include <napi.h>

#include <memory>

#include "network.h"

namespace redux {

/** load(options) → {done, cancel}, whose promise gives a NetworkObject; see src/engines/tensorrt/native.ts. */
Napi::Value StartLoad(const Napi::CallbackInfo& info);

/** A loaded network as JavaScript has it: run, startSampling, setChanges, memory, close. */
class NetworkObject : public Napi::ObjectWrap<NetworkObject> {
 public:
  static void Register(Napi::Env env, Napi::Object exports);
  explicit NetworkObject(const Napi::CallbackInfo& info);
  /** The network of such an object; throws NativeError where it is none or was closed. */
  static std::shared_ptr<Network> Of(const Napi::Value& object);

 private:
  Napi::Value Run(const Napi::CallbackInfo& info);
  Napi::Value StartSampling(const Napi::CallbackInfo& info);
  Napi::Value SetChanges(const Napi::CallbackInfo& info);
  Napi::Value Memory(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  const std::shared_ptr<Network>& Require() const;

  /** Shared with the work that runs: a network that is closed meanwhile goes when that is done. */
  std::shared_ptr<Network> network_;
};

}  // namespace redux
