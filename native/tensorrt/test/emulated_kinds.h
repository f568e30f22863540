#pragma once

#include <optional>
#include <vector>

#include "../../cuda/kind_plan.h"

namespace redux {

/** What KindArithmetic does, on the host: addresses are the host's. Small sizes only. */
std::optional<std::size_t> EmulateKinds(const std::vector<KindProgram>& programs);

}  // namespace redux
