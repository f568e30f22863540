#include "sampling_reader.h"

#include <string>

#include "../cuda/native_error.h"
#include "object_reader.h"

namespace redux {

namespace {
std::size_t ReadSlot(const Napi::Object& object, const char* name) {
  const double slot = ReadNumber(object, name, -1);
  if (!(slot >= 0 && slot < 1e6)) throw NativeError("engine.failed", std::string("A command for latents has no ") + name + ".");
  return static_cast<std::size_t>(slot);
}

const float* ReadValues(const Napi::Object& object, std::size_t count) {
  const Napi::Value value = object.Get("values");
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float32_array ||
      value.As<Napi::TypedArray>().ElementLength() != count) {
    throw NativeError("engine.failed", "Latents of " + std::to_string(count) + " values are to be uploaded, and are not.");
  }
  return value.As<Napi::Float32Array>().Data();
}

DenoisingStep ReadStep(const Napi::Object& object) {
  DenoisingStep step;
  step.input_scale = ReadNumber(object, "inputScale", 1);
  step.timestep = ReadNumber(object, "timestep", 0);
  step.cfg = ReadNumber(object, "cfg", 1);
  step.cfg_rescale = ReadNumber(object, "cfgRescale", 0);
  step.skip = ReadNumber(object, "skip", 0);
  step.out = ReadNumber(object, "out", 0);
  return step;
}

LatentCommand ReadCommand(const Napi::Object& object, std::size_t count) {
  LatentCommand command;
  const std::string kind = ReadString(object, "kind");
  if (kind == "upload") {
    command.kind = LatentCommand::Kind::kUpload;
    command.to = ReadSlot(object, "to");
    command.values = ReadValues(object, count);
  } else if (kind == "combine") {
    command.kind = LatentCommand::Kind::kCombine;
    command.to = ReadSlot(object, "to");
    const Napi::Array terms = ReadArray(object, "terms");
    for (std::uint32_t i = 0; i < terms.Length(); ++i) {
      const Napi::Object term = Napi::Value(terms.Get(i)).As<Napi::Object>();
      command.terms.emplace_back(ReadNumber(term, "weight", 0), ReadSlot(term, "slot"));
    }
  } else if (kind == "denoise") {
    command.kind = LatentCommand::Kind::kDenoise;
    command.to = ReadSlot(object, "to");
    command.from = ReadSlot(object, "from");
    command.step = ReadStep(Napi::Value(object.Get("step")).As<Napi::Object>());
  } else if (kind == "download") {
    command.kind = LatentCommand::Kind::kDownload;
    command.from = ReadSlot(object, "from");
  } else {
    throw NativeError("engine.failed", "There is no command \"" + kind + "\" for latents.");
  }
  return command;
}
}  // namespace

SamplingOptions ReadSamplingOptions(const Napi::Object& object) {
  SamplingOptions options;
  options.dims = ReadSizes(object, "dims");
  options.is_guided = Napi::Value(object.Get("isGuided")).ToBoolean().Value();
  options.inputs = ReadInputs(Napi::Value(object.Get("inputs")).As<Napi::Object>());
  if (options.dims.size() != 4) throw NativeError("engine.failed", "Latents have four sizes, not " + std::to_string(options.dims.size()) + ".");
  return options;
}

std::vector<LatentCommand> ReadLatentCommands(const Napi::Array& array, std::size_t count) {
  std::vector<LatentCommand> commands;
  for (std::uint32_t i = 0; i < array.Length(); ++i) {
    commands.push_back(ReadCommand(Napi::Value(array.Get(i)).As<Napi::Object>(), count));
  }
  return commands;
}

}  // namespace redux
