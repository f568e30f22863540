#pragma once

#include <napi.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "md5/range_digest.h"

namespace redux {

/** Hashes ranges of files away from JavaScript's thread; the promise gives undefined where it was cancelled. */
class DigestWorker : public Napi::AsyncWorker {
 public:
  /** digest(files, ranges, threads) → {done, cancel, bytesDone}; see the interface in src/engines/native-addon.ts. */
  static Napi::Value Digest(const Napi::CallbackInfo& info);

 protected:
  void Execute() override;
  void OnOK() override;
  void OnError(const Napi::Error& error) override;

 private:
  /** What JavaScript's thread and the worker's share; functions handed to JavaScript may outlive the worker. */
  struct Shared {
    std::atomic<bool> cancelled{false};
    std::atomic<std::uint64_t> bytes_done{0};
  };

  DigestWorker(Napi::Env env, std::vector<std::string> files, std::vector<FileRange> ranges, std::size_t threads);

  const std::vector<std::string> files_;
  const std::vector<FileRange> ranges_;
  const std::size_t threads_;
  const std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
  const Napi::Promise::Deferred deferred_;
  std::optional<std::vector<RangeDigest>> digests_;
  std::optional<std::size_t> failed_file_;
};

}  // namespace redux
