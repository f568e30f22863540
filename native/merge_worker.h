#pragma once

#include <napi.h>

#include <atomic>
#include <memory>
#include <vector>

#include "weight_merge.h"

namespace redux {

/** Merges weights away from JavaScript's thread; the promise gives true, or false where it was cancelled. */
class MergeWorker : public Napi::AsyncWorker {
 public:
  /** merge(jobs, threads) → {done, cancel}; see the interface in src/engines/native-addon.ts. */
  static Napi::Value Merge(const Napi::CallbackInfo& info);

 protected:
  void Execute() override;
  void OnOK() override;
  void OnError(const Napi::Error& error) override;

 private:
  MergeWorker(Napi::Env env, std::vector<MergeJob> jobs, std::size_t threads, const Napi::Array& arrays);

  const std::vector<MergeJob> jobs_;
  const std::size_t threads_;
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  const Napi::Promise::Deferred deferred_;
  const Napi::ObjectReference arrays_;
  bool finished_ = false;
};

}  // namespace redux
