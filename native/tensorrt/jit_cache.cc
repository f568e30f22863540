#include "jit_cache.h"

#include <utility>
#include <vector>

#include "files.h"

namespace redux {

namespace {
constexpr auto kStrategy = nvinfer1::ExecutionContextAllocationStrategy::kUSER_MANAGED;
}  // namespace

#if defined(TRT_MAJOR_RTX)
JitCache::JitCache(nvinfer1::ICudaEngine& engine, std::string file) : engine_(engine), file_(std::move(file)) {
  if (file_.empty()) return;
  config_.reset(engine.createRuntimeConfig());
  if (config_) cache_.reset(config_->createRuntimeCache());
  if (!cache_) return;
  config_->setExecutionContextAllocationStrategy(kStrategy);
  const std::vector<char> known = ReadFileIfThere(file_);
  if (!known.empty() && cache_->deserialize(known.data(), known.size())) saved_bytes_ = known.size();
  if (!config_->setRuntimeCache(*cache_)) cache_.reset();
}

JitCache::~JitCache() {
  Save();
}

std::unique_ptr<nvinfer1::IExecutionContext> JitCache::CreateContext() {
  if (!cache_) return std::unique_ptr<nvinfer1::IExecutionContext>(engine_.createExecutionContext(kStrategy));
  std::unique_ptr<nvinfer1::IExecutionContext> context(engine_.createExecutionContext(config_.get()));
  Save();
  return context;
}

void JitCache::Save() noexcept {
  if (!cache_) return;
  try {
    const std::unique_ptr<nvinfer1::IHostMemory> bytes(cache_->serialize());
    // It only grows.
    if (!bytes || bytes->size() == saved_bytes_) return;
    WriteFileAtomically(file_, bytes->data(), bytes->size());
    saved_bytes_ = bytes->size();
  } catch (...) {
    // A full disk, say.
  }
}
#else
JitCache::JitCache(nvinfer1::ICudaEngine& engine, std::string) : engine_(engine) {}

JitCache::~JitCache() = default;

std::unique_ptr<nvinfer1::IExecutionContext> JitCache::CreateContext() {
  return std::unique_ptr<nvinfer1::IExecutionContext>(engine_.createExecutionContext(kStrategy));
}
#endif

}  // namespace redux
