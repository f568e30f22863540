#pragma once

#include <napi.h>

#include <vector>

#include "weight_change.h"

namespace redux {

/**
 * The changes of a stack as JavaScript hands them over (src/engines/tensorrt/packed-changes.ts): tables of numbers, because thousands of objects
 * would take longer to read than the GPU takes to merge. Throws NativeError("engine.failed") where the tables do not fit together.
 */
std::vector<WeightChange> ReadChanges(const Napi::Object& packed);

}  // namespace redux
