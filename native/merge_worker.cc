#include "merge_worker.h"

#include <exception>
#include <utility>

#include "argument_reader.h"

namespace redux {

MergeWorker::MergeWorker(Napi::Env env, std::vector<MergeJob> jobs, std::size_t threads, const Napi::Array& arrays)
    : Napi::AsyncWorker(env, "tensorrt-redux.merge"),
      jobs_(std::move(jobs)),
      threads_(threads),
      deferred_(Napi::Promise::Deferred::New(env)),
      arrays_(Napi::Persistent(arrays.As<Napi::Object>())) {}

Napi::Value MergeWorker::Merge(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ArgumentReader reader(env);
  std::vector<MergeJob> jobs = reader.ReadJobs(info[0]);
  const std::size_t threads = reader.ReadThreads(info[1]);
  if (reader.Failed()) return env.Undefined();

  auto* worker = new MergeWorker(env, std::move(jobs), threads, reader.Arrays());  // Deletes itself when done.
  const Napi::Object task = Napi::Object::New(env);
  task.Set("done", worker->deferred_.Promise());
  task.Set("cancel", Napi::Function::New(env, [flag = worker->cancelled_](const Napi::CallbackInfo&) { flag->store(true); }));
  worker->Queue();
  return task;
}

void MergeWorker::Execute() {
  try {
    finished_ = MergeWeights(BestKernels(), jobs_, threads_, *cancelled_);
  } catch (const std::exception& error) {
    SetError(error.what());
  }
}

void MergeWorker::OnOK() {
  deferred_.Resolve(Napi::Boolean::New(Env(), finished_));
}

void MergeWorker::OnError(const Napi::Error& error) {
  deferred_.Reject(error.Value());
}

}  // namespace redux
