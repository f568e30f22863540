#pragma once

#include <cstddef>
#include <cstdint>

namespace redux {

/** The number types that weights come in. */
enum class NumberType { kFloat32, kFloat16, kBfloat16 };

/** IEEE 754 binary16, as bits. */
struct Float16 {
  std::uint16_t bits;
};

/** The upper half of an IEEE 754 binary32, as bits. */
struct Bfloat16 {
  std::uint16_t bits;
};

constexpr std::size_t SizeOf(NumberType type) {
  return type == NumberType::kFloat32 ? 4 : 2;
}

}  // namespace redux
