#include "digest_worker.h"

#include <exception>
#include <utility>

#include "argument_reader.h"

namespace redux {

namespace {

std::string Hexadecimal(const std::array<unsigned char, 16>& bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

Napi::Object ToObject(Napi::Env env, const RangeDigest& digest) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("md5", Napi::String::New(env, Hexadecimal(digest.md5)));
  object.Set("nan", Napi::Number::New(env, static_cast<double>(digest.non_finite.nan)));
  object.Set("infinite", Napi::Number::New(env, static_cast<double>(digest.non_finite.infinite)));
  return object;
}

}  // namespace

DigestWorker::DigestWorker(Napi::Env env, std::vector<std::string> files, std::vector<FileRange> ranges, std::size_t threads)
    : Napi::AsyncWorker(env, "tensorrt-redux.digest"),
      files_(std::move(files)),
      ranges_(std::move(ranges)),
      threads_(threads),
      deferred_(Napi::Promise::Deferred::New(env)) {}

Napi::Value DigestWorker::Digest(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ArgumentReader reader(env);
  std::vector<std::string> files = reader.ReadFiles(info[0]);
  std::vector<FileRange> ranges = reader.ReadRanges(info[1], files.size());
  const std::size_t threads = reader.ReadThreads(info[2]);
  if (reader.Failed()) return env.Undefined();

  auto* worker = new DigestWorker(env, std::move(files), std::move(ranges), threads);  // Deletes itself when done.
  const auto shared = worker->shared_;
  const Napi::Object task = Napi::Object::New(env);
  task.Set("done", worker->deferred_.Promise());
  task.Set("cancel", Napi::Function::New(env, [shared](const Napi::CallbackInfo&) { shared->cancelled.store(true); }));
  task.Set("bytesDone", Napi::Function::New(env, [shared](const Napi::CallbackInfo& call) {
             return Napi::Number::New(call.Env(), static_cast<double>(shared->bytes_done.load()));
           }));
  worker->Queue();
  return task;
}

void DigestWorker::Execute() {
  try {
    digests_ = DigestRanges(BestMd5Kernels(), files_, ranges_, threads_, shared_->cancelled, shared_->bytes_done);
  } catch (const FileReadError& error) {
    failed_file_ = error.file;
    SetError(files_[error.file] + " could not be read.");
  } catch (const std::exception& error) {
    SetError(error.what());
  }
}

void DigestWorker::OnOK() {
  const Napi::Env env = Env();
  const Napi::HandleScope scope(env);
  if (!digests_) {
    deferred_.Resolve(env.Undefined());
    return;
  }
  const Napi::Array results = Napi::Array::New(env, digests_->size());
  for (std::size_t i = 0; i < digests_->size(); ++i) {
    const Napi::HandleScope item_scope(env);
    results.Set(static_cast<std::uint32_t>(i), ToObject(env, (*digests_)[i]));
  }
  deferred_.Resolve(results);
}

void DigestWorker::OnError(const Napi::Error& error) {
  if (failed_file_) error.Value().Set("file", Napi::String::New(Env(), files_[*failed_file_]));
  deferred_.Reject(error.Value());
}

}  // namespace redux
