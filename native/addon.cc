#include <napi.h>

#include "conversion_worker.h"
#include "digest_worker.h"
#include "merge_worker.h"
#include "version.h"

namespace {

Napi::Object Initialize(Napi::Env env, Napi::Object exports) {
  exports.Set("version", Napi::Function::New(env, redux::Version, "version"));
  exports.Set("convert", Napi::Function::New(env, redux::ConversionWorker::Convert, "convert"));
  exports.Set("digest", Napi::Function::New(env, redux::DigestWorker::Digest, "digest"));
  exports.Set("merge", Napi::Function::New(env, redux::MergeWorker::Merge, "merge"));
  return exports;
}

}  // namespace

NODE_API_MODULE(tensorrt_redux, Initialize)
