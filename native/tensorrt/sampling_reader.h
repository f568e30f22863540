#pragma once

#include <napi.h>

#include <vector>

#include "sampling.h"

namespace redux {

/* JavaScript's values of src/engines/tensorrt/native.ts as a sampling has them; see object_reader.h. */

SamplingOptions ReadSamplingOptions(const Napi::Object& object);
/** @param count how many numbers the latents are, and so every upload */
std::vector<LatentCommand> ReadLatentCommands(const Napi::Array& array, std::size_t count);

}  // namespace redux
