#pragma once

#include <optional>
#include <vector>

#include "../../cuda/kind_plan.h"

namespace redux {

/** The compute capability, times ten, that the emulated kernels are compiled for. */
extern const int kEmulatedCapability;

/** What KindArithmetic does, on the host: addresses are the host's. Small sizes only. */
std::optional<std::size_t> EmulateKinds(const std::vector<KindProgram>& programs);

}  // namespace redux
