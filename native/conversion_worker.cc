#include "conversion_worker.h"

#include <exception>

#include "conversion.h"
#include "memory_ranges.h"

namespace redux {

ConversionWorker::ConversionWorker(Napi::Env env, const Buffer& input, const Buffer& output, std::size_t threads, const Napi::Array& arrays)
    : Napi::AsyncWorker(env, "tensorrt-redux.convert"),
      input_(input),
      output_(output),
      threads_(threads),
      deferred_(Napi::Promise::Deferred::New(env)),
      arrays_(Napi::Persistent(arrays.As<Napi::Object>())) {}

Napi::Value ConversionWorker::Convert(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ArgumentReader reader(env);
  const Buffer input = reader.ReadBuffer(info[0], "input");
  const Buffer output = reader.ReadBuffer(info[1], "output");
  const std::size_t threads = reader.ReadThreads(info[2]);
  if (!reader.Failed() && input.elements != output.elements) {
    reader.Fail("input has " + std::to_string(input.elements) + " values, but output has room for " + std::to_string(output.elements) + ".");
  }
  MemoryRanges ranges;
  ranges.Add(input.data, input.elements * SizeOf(input.type), 0);
  ranges.Add(output.data, output.elements * SizeOf(output.type), 1);
  if (ranges.FindOverlap()) reader.Fail("input and output share memory.");
  if (reader.Failed()) return env.Undefined();

  auto* worker = new ConversionWorker(env, input, output, threads, reader.Arrays());  // Deletes itself when done.
  const Napi::Promise promise = worker->deferred_.Promise();
  worker->Queue();
  return promise;
}

void ConversionWorker::Execute() {
  try {
    ConvertNumbers(BestKernels(), input_.data, input_.type, output_.data, output_.type, input_.elements, threads_);
  } catch (const std::exception& error) {
    SetError(error.what());
  }
}

void ConversionWorker::OnOK() {
  deferred_.Resolve(Env().Undefined());
}

void ConversionWorker::OnError(const Napi::Error& error) {
  deferred_.Reject(error.Value());
}

}  // namespace redux
