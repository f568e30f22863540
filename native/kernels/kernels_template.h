#pragma once

#include <cstddef>
#include <cstring>
#include <type_traits>

#include "kernels.h"

// The kernels over any vector class. Everything is in an anonymous namespace and nothing of the standard library but memcpy is
// used: each file that includes this is compiled for its own instruction set, and the linker must not mix their copies.

#if defined(_MSC_VER) && !defined(__clang__)
#define REDUX_UNROLL
#define REDUX_PREFETCH(address) _mm_prefetch(reinterpret_cast<const char*>(address), _MM_HINT_T0)
#else
#define REDUX_UNROLL _Pragma("GCC unroll 8")
#define REDUX_PREFETCH(address) __builtin_prefetch(address)
#endif

namespace redux {
namespace {

/** Calls function(typed pointer) with a null pointer of the C++ type that `type` names. */
template <class Function>
inline void WithNumberType(NumberType type, Function function) {
  switch (type) {
    case NumberType::kFloat32:
      return function(static_cast<float*>(nullptr));
    case NumberType::kFloat16:
      return function(static_cast<Float16*>(nullptr));
    case NumberType::kBfloat16:
      return function(static_cast<Bfloat16*>(nullptr));
  }
}

template <class Vector, class Number>
inline typename Vector::Register LoadPartial(const Number* source, std::size_t count) {
  Number lanes[Vector::kWidth] = {};
  std::memcpy(lanes, source, count * sizeof(Number));
  return Vector::Load(lanes);
}

template <class Vector, class Number>
inline void StorePartial(Number* target, typename Vector::Register value, std::size_t count) {
  Number lanes[Vector::kWidth];
  Vector::Store(lanes, value);
  std::memcpy(target, lanes, count * sizeof(Number));
}

template <class Vector, class Input, class Output>
void ConvertNumbers(const Input* input, Output* output, std::size_t count) {
  constexpr std::size_t kWidth = Vector::kWidth;
  std::size_t i = 0;
  for (; i + kWidth <= count; i += kWidth) Vector::Store(output + i, Vector::Load(input + i));
  if (i < count) StorePartial<Vector>(output + i, LoadPartial<Vector>(input + i, count - i), count - i);
}

template <class Vector>
void Convert(const void* input, NumberType input_type, void* output, NumberType output_type, std::size_t count) {
  if (input_type == output_type) {
    std::memcpy(output, input, count * SizeOf(input_type));
    return;
  }
  WithNumberType(input_type, [&](auto* input_tag) {
    using Input = decltype(input_tag);
    WithNumberType(output_type, [&](auto* output_tag) {
      using Output = decltype(output_tag);
      ConvertNumbers<Vector>(static_cast<const std::remove_pointer_t<Input>*>(input), static_cast<Output>(output), count);
    });
  });
}

template <class Vector, class Number>
void PackNumbers(const Number* down, std::size_t stride, std::size_t depth, std::size_t columns, float* packed, std::size_t panel_stride) {
  constexpr std::size_t kWidth = Vector::kWidth;
  constexpr std::size_t kColumns = kWidth * Vector::kTileVectors;
  for (std::size_t k = 0; k < depth; ++k) {
    const Number* row = down + k * stride;
    for (std::size_t start = 0; start < columns; start += kColumns) {
      float* target = packed + (start / kColumns) * panel_stride + k * kColumns;
      for (std::size_t c = 0; c < kColumns; c += kWidth) {
        const std::size_t left = start + c < columns ? columns - start - c : 0;
        const auto value = left >= kWidth ? Vector::Load(row + start + c) : LoadPartial<Vector>(row + start + (left ? c : 0), left);
        Vector::Store(target + c, value);
      }
    }
  }
}

template <class Vector>
void PackDown(const void* down, NumberType type, std::size_t stride, std::size_t depth, std::size_t columns, float* packed,
              std::size_t panel_stride) {
  WithNumberType(type, [&](auto* tag) {
    using Number = std::remove_pointer_t<decltype(tag)>;
    PackNumbers<Vector>(static_cast<const Number*>(down), stride, depth, columns, packed, panel_stride);
  });
}

/** Adds `count` ≤ the tile's width accumulated numbers to a row of the base. */
template <class Vector, class Base, class Output>
inline void AddPartialRow(const typename Vector::Register* sums, const Base* base, Output* output, std::size_t count) {
  constexpr std::size_t kWidth = Vector::kWidth;
  for (std::size_t c = 0; c < count; c += kWidth) {
    const auto sum = sums[c / kWidth];
    if (count - c >= kWidth) {
      Vector::Store(output + c, Vector::Add(Vector::Load(base + c), sum));
    } else {
      StorePartial<Vector>(output + c, Vector::Add(LoadPartial<Vector>(base + c, count - c), sum), count - c);
    }
  }
}

template <class Vector, class Base, class Output>
void MergeNumbers(const float* up, const float* down, std::size_t depth, const Base* base, Output* output, std::size_t stride,
                  std::size_t rows, std::size_t columns) {
  constexpr int kRows = Vector::kTileRows;
  constexpr int kVectors = Vector::kTileVectors;
  constexpr int kWidth = Vector::kWidth;
  constexpr std::size_t kColumns = static_cast<std::size_t>(kWidth) * kVectors;

  // The base comes from memory while the products are summed from the caches.
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < columns; c += 64 / sizeof(Base)) REDUX_PREFETCH(base + r * stride + c);
  }

  typename Vector::Register sums[kRows][kVectors];
  REDUX_UNROLL
  for (int r = 0; r < kRows; ++r) {
    REDUX_UNROLL
    for (int v = 0; v < kVectors; ++v) sums[r][v] = Vector::Zero();
  }
  for (std::size_t k = 0; k < depth; ++k) {
    typename Vector::Register row[kVectors];
    REDUX_UNROLL
    for (int v = 0; v < kVectors; ++v) row[v] = Vector::Load(down + k * kColumns + v * kWidth);
    REDUX_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const auto factor = Vector::Broadcast(up[k * kRows + r]);
      REDUX_UNROLL
      for (int v = 0; v < kVectors; ++v) sums[r][v] = Vector::MultiplyAdd(factor, row[v], sums[r][v]);
    }
  }

  if (rows == static_cast<std::size_t>(kRows) && columns == kColumns) {
    REDUX_UNROLL
    for (int r = 0; r < kRows; ++r) {
      REDUX_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        const std::size_t place = r * stride + v * kWidth;
        Vector::Store(output + place, Vector::Add(Vector::Load(base + place), sums[r][v]));
      }
    }
    return;
  }
  REDUX_UNROLL
  for (int r = 0; r < kRows; ++r) {
    if (static_cast<std::size_t>(r) < rows) AddPartialRow<Vector>(sums[r], base + r * stride, output + r * stride, columns);
  }
}

template <class Vector>
void MergeTile(const float* up, const float* down, std::size_t depth, const void* base, NumberType base_type, void* output,
               NumberType output_type, std::size_t stride, std::size_t rows, std::size_t columns) {
  WithNumberType(base_type, [&](auto* base_tag) {
    using Base = std::remove_pointer_t<decltype(base_tag)>;
    WithNumberType(output_type, [&](auto* output_tag) {
      using Output = std::remove_pointer_t<decltype(output_tag)>;
      MergeNumbers<Vector>(up, down, depth, static_cast<const Base*>(base), static_cast<Output*>(output), stride, rows, columns);
    });
  });
}

template <class Vector>
constexpr Kernels MakeKernels(const char* name) {
  return {name,           Vector::kTileRows, static_cast<std::size_t>(Vector::kWidth) * Vector::kTileVectors,
          Convert<Vector>, PackDown<Vector>,  MergeTile<Vector>};
}

}  // namespace
}  // namespace redux
