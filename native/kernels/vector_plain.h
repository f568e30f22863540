#pragma once

#include "half.h"

namespace redux {
namespace {

/** Four numbers in plain C++, for processors that none of the other vector classes fits. Memory need not be aligned. */
struct PlainVector {
  static constexpr int kWidth = 4;
  static constexpr int kTileRows = 2;
  static constexpr int kTileVectors = 2;
  struct Register {
    float lane[kWidth];
  };

  static Register Zero() {
    return {};
  }
  static Register Broadcast(float value) {
    return {{value, value, value, value}};
  }
  static Register Add(Register a, Register b) {
    for (int i = 0; i < kWidth; ++i) a.lane[i] += b.lane[i];
    return a;
  }
  static Register MultiplyAdd(Register a, Register b, Register sum) {
    for (int i = 0; i < kWidth; ++i) sum.lane[i] += a.lane[i] * b.lane[i];
    return sum;
  }
  template <class Number>
  static Register Load(const Number* source) {
    Register result;
    Number numbers[kWidth];
    std::memcpy(numbers, source, sizeof numbers);
    for (int i = 0; i < kWidth; ++i) result.lane[i] = ToFloat(numbers[i]);
    return result;
  }
  template <class Number>
  static void Store(Number* target, Register value) {
    Number numbers[kWidth];
    for (int i = 0; i < kWidth; ++i) FromFloat(value.lane[i], &numbers[i]);
    std::memcpy(target, numbers, sizeof numbers);
  }
};

}  // namespace
}  // namespace redux
