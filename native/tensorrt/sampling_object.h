#pragma once

#include <napi.h>

#include <memory>

#include "network.h"

namespace redux {

/** A sampling on the GPU as JavaScript has it: execute, decode, close; see src/engines/tensorrt/native.ts. */
class SamplingObject : public Napi::ObjectWrap<SamplingObject> {
 public:
  /** The class, whose objects are made by `NetworkObject`'s startSampling. */
  static Napi::Function Define(Napi::Env env);
  explicit SamplingObject(const Napi::CallbackInfo& info);
  /** network.startSampling(options) → {done, cancel}, whose promise gives a SamplingObject. */
  static Napi::Value Start(const std::shared_ptr<Network>& network, const Napi::CallbackInfo& info, const Napi::FunctionReference& constructor);

 private:
  /** A sampling and the network that it runs, which goes after it. */
  struct Running {
    Running(std::shared_ptr<Network> of, const SamplingOptions& options);
    ~Running();
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

    const std::shared_ptr<Network> network;
    std::unique_ptr<Sampling> sampling;
  };

  Napi::Value Execute(const Napi::CallbackInfo& info);
  Napi::Value Decode(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);
  std::shared_ptr<Running> Require() const;

  /** Shared with the work that runs: what is closed meanwhile goes when that is done. */
  std::shared_ptr<Running> running_;
};

}  // namespace redux
