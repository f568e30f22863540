#pragma once

#include <cstddef>

#include "kernels/kernels.h"
#include "number_type.h"

namespace redux {

/**
 * Converts `count` numbers, rounding to nearest even, on at most `threads` threads. `input` and `output` must not overlap.
 */
void ConvertNumbers(const Kernels& kernels, const void* input, NumberType input_type, void* output, NumberType output_type,
                    std::size_t count, std::size_t threads);

}  // namespace redux
