#include "object_reader.h"

#include "../cuda/native_error.h"

namespace redux {

namespace {
[[noreturn]] void Fail(const char* name, const char* wanted) {
  throw NativeError("engine.failed", std::string("The native backend was called with a wrong ") + name + ": " + wanted + " is needed.");
}

Napi::Object ReadObject(const Napi::Value& value, const char* name) {
  if (!value.IsObject()) Fail(name, "an object");
  return value.As<Napi::Object>();
}
}  // namespace

std::string ReadString(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsString()) Fail(name, "a string");
  return value.As<Napi::String>().Utf8Value();
}

std::string ReadOptionalString(const Napi::Object& object, const char* name) {
  return object.Get(name).IsUndefined() ? "" : ReadString(object, name);
}

double ReadNumber(const Napi::Object& object, const char* name, double otherwise) {
  const Napi::Value value = object.Get(name);
  if (value.IsUndefined()) return otherwise;
  if (!value.IsNumber()) Fail(name, "a number");
  return value.As<Napi::Number>().DoubleValue();
}

Napi::Array ReadArray(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsArray()) Fail(name, "an array");
  return value.As<Napi::Array>();
}

std::vector<std::string> ReadStrings(const Napi::Object& object, const char* name) {
  const Napi::Array array = ReadArray(object, name);
  std::vector<std::string> strings;
  for (std::uint32_t i = 0; i < array.Length(); ++i) strings.push_back(Napi::Value(array.Get(i)).ToString().Utf8Value());
  return strings;
}

std::vector<std::int64_t> ReadSizes(const Napi::Object& object, const char* name) {
  const Napi::Array array = ReadArray(object, name);
  std::vector<std::int64_t> sizes;
  for (std::uint32_t i = 0; i < array.Length(); ++i) sizes.push_back(Napi::Value(array.Get(i)).ToNumber().Int64Value());
  return sizes;
}

GpuType ReadType(const Napi::Object& object, const char* name) {
  const std::string type = ReadString(object, name);
  if (type == "F32") return kGpuFloat32;
  if (type == "F16") return kGpuFloat16;
  if (type == "BF16") return kGpuBfloat16;
  Fail(name, "F32, F16 or BF16");
}

BuildOptions ReadBuildOptions(const Napi::Object& object) {
  BuildOptions options;
  options.onnx_file = ReadString(object, "onnx");
  options.plan_file = ReadString(object, "plan");
  options.timing_cache_file = ReadOptionalString(object, "timingCache");
  const Napi::Object profile = ReadObject(object.Get("profile"), "profile");
  const Napi::Array names = profile.GetPropertyNames();
  for (std::uint32_t i = 0; i < names.Length(); ++i) {
    const std::string name = Napi::Value(names.Get(i)).ToString().Utf8Value();
    const Napi::Object range = ReadObject(profile.Get(name), "profile");
    options.profile[name] = {ReadSizes(range, "min"), ReadSizes(range, "opt"), ReadSizes(range, "max")};
  }
  const std::string refit = ReadString(object, "refit");
  options.refit = refit == "all" ? RefitMode::kAll : refit == "individual" ? RefitMode::kIndividual : RefitMode::kNone;
  options.refittable = ReadStrings(object, "refittable");
  options.optimization_level = static_cast<int>(ReadNumber(object, "optimizationLevel", -1));
  options.workspace = static_cast<std::size_t>(ReadNumber(object, "workspaceBytes", 0));
  for (const std::int64_t capability : ReadSizes(object, "computeCapabilities")) {
    options.compute_capabilities.push_back(static_cast<int>(capability));
  }
  return options;
}

Network::Options ReadNetworkOptions(const Napi::Object& object) {
  Network::Options options;
  options.plan = ReadString(object, "plan");
  options.jit_cache = ReadOptionalString(object, "jitCache");
  const std::string placement = ReadString(object, "basePlacement");
  options.placement = placement == "gpu" ? BasePlacement::kGpu : placement == "host" ? BasePlacement::kHost : BasePlacement::kFile;
  const Napi::Array weights = ReadArray(object, "weights");
  for (std::uint32_t i = 0; i < weights.Length(); ++i) {
    const Napi::HandleScope scope(object.Env());
    const Napi::Object weight = ReadObject(weights.Get(i), "weights");
    WeightInfo info;
    info.name = ReadString(weight, "name");
    info.type = ReadType(weight, "dtype");
    info.rows = static_cast<int>(ReadNumber(weight, "rows", 0));
    info.columns = static_cast<int>(ReadNumber(weight, "columns", 0));
    info.file = ReadString(weight, "file");
    info.offset = static_cast<std::uint64_t>(ReadNumber(weight, "offset", 0));
    options.weights.push_back(std::move(info));
  }
  return options;
}

std::vector<HostTensor> ReadInputs(const Napi::Object& object) {
  std::vector<HostTensor> inputs;
  const Napi::Array names = object.GetPropertyNames();
  for (std::uint32_t i = 0; i < names.Length(); ++i) {
    HostTensor input;
    input.name = Napi::Value(names.Get(i)).ToString().Utf8Value();
    const Napi::Object tensor = ReadObject(object.Get(input.name), "inputs");
    input.shape = ReadSizes(tensor, "dims");
    const Napi::Value data = tensor.Get("data");
    if (!data.IsTypedArray()) Fail("data", "a Float32Array or an Int32Array");
    const Napi::TypedArray array = data.As<Napi::TypedArray>();
    const napi_typedarray_type type = array.TypedArrayType();
    if (type != napi_float32_array && type != napi_int32_array) Fail("data", "a Float32Array or an Int32Array");
    input.is_integer = type == napi_int32_array;
    input.data = static_cast<const char*>(array.ArrayBuffer().Data()) + array.ByteOffset();
    input.bytes = array.ByteLength();
    inputs.push_back(std::move(input));
  }
  return inputs;
}

}  // namespace redux
