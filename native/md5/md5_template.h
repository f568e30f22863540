#pragma once

#include <cstring>
#include <utility>

#include "md5_kernels.h"

// The kernels over any vector class. Everything is in an anonymous namespace and no function of the standard library but memcpy
// is used: each file that includes this is compiled for its own instruction set, and the linker must not mix their copies.

namespace redux {
namespace {

/** RFC 1321, 3.4: the shift of each step, the same four in turn within a round. */
constexpr int kMd5Shifts[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
/** The block's word that step i of a round takes is (factor * i + first) modulo 16. */
constexpr int kMd5WordFactors[4] = {1, 5, 3, 7};
constexpr int kMd5FirstWords[4] = {0, 1, 5, 0};

/** Step kStep of 64: the four state words change roles from step to step instead of being moved. */
template <class Vector, std::size_t kStep>
inline void Md5Step(typename Vector::Register (&state)[4], const typename Vector::Register (&words)[16], const std::uint32_t* sines) {
  constexpr std::size_t kRound = kStep / 16;
  constexpr std::size_t kWord = (kMd5WordFactors[kRound] * kStep + kMd5FirstWords[kRound]) % 16;
  constexpr int kShift = kMd5Shifts[kRound][kStep % 4];
  auto& a = state[(64 - kStep) % 4];
  const auto b = state[(65 - kStep) % 4];
  const auto c = state[(66 - kStep) % 4];
  const auto d = state[(67 - kStep) % 4];
  // b is the step before's result: everything that does not need it is summed first.
  const auto known = Vector::Add(a, Vector::Add(words[kWord], Vector::Broadcast(sines[kStep])));
  typename Vector::Register mixed;
  if constexpr (kRound == 0) {
    mixed = Vector::Choose(b, c, d);
  } else if constexpr (kRound == 1) {
    mixed = Vector::Choose(d, b, c);
  } else if constexpr (kRound == 2) {
    mixed = Vector::Parity(b, c, d);
  } else {
    mixed = Vector::OrNot(b, c, d);
  }
  a = Vector::Add(b, Vector::template RotateLeft<kShift>(Vector::Add(known, mixed)));
}

template <class Vector, std::size_t... kSteps>
inline void Md5Steps(typename Vector::Register (&state)[4], const typename Vector::Register (&words)[16], const std::uint32_t* sines,
                     std::index_sequence<kSteps...>) {
  (Md5Step<Vector, kSteps>(state, words, sines), ...);
}

template <class Vector>
void HashBlocks(std::uint32_t* state, const unsigned char* const* data, std::size_t blocks) {
  const std::uint32_t* const sines = kMd5Sines;
  typename Vector::Register sums[4];
  for (int i = 0; i < 4; ++i) sums[i] = Vector::Load(state + i * Vector::kLanes);
  for (std::size_t block = 0; block < blocks; ++block) {
    typename Vector::Register words[16];
    Vector::LoadBlocks(data, block * kMd5BlockBytes, words);
    typename Vector::Register current[4] = {sums[0], sums[1], sums[2], sums[3]};
    Md5Steps<Vector>(current, words, sines, std::make_index_sequence<64>());
    for (int i = 0; i < 4; ++i) sums[i] = Vector::Add(sums[i], current[i]);
  }
  for (int i = 0; i < 4; ++i) Vector::Store(state + i * Vector::kLanes, sums[i]);
}

/** Without its sign, the pattern of an IEEE number grows with its magnitude; infinity and then NaN come last. */
template <class Word>
void CountNonFinite(const unsigned char* numbers, std::size_t count, Word infinity, NonFiniteCounts* counts) {
  constexpr Word kMagnitude = static_cast<Word>(~Word{0}) >> 1;
  const auto magnitude = [&](std::size_t i) {
    Word word;
    std::memcpy(&word, numbers + i * sizeof(Word), sizeof word);
    return static_cast<Word>(word & kMagnitude);
  };
  // Nearly always all are finite: a largest magnitude is found without a branch.
  Word largest = 0;
  for (std::size_t i = 0; i < count; ++i) largest = magnitude(i) > largest ? magnitude(i) : largest;
  if (largest < infinity) return;
  for (std::size_t i = 0; i < count; ++i) {
    counts->nan += magnitude(i) > infinity;
    counts->infinite += magnitude(i) == infinity;
  }
}

void CountNonFiniteNumbers(const unsigned char* numbers, std::size_t count, NumberType type, NonFiniteCounts* counts) {
  switch (type) {
    case NumberType::kFloat32:
      return CountNonFinite<std::uint32_t>(numbers, count, 0x7f800000u, counts);
    case NumberType::kFloat16:
      return CountNonFinite<std::uint16_t>(numbers, count, 0x7c00u, counts);
    case NumberType::kBfloat16:
      return CountNonFinite<std::uint16_t>(numbers, count, 0x7f80u, counts);
  }
}

template <class Vector>
constexpr Md5Kernels MakeMd5Kernels(const char* name) {
  static_assert(Vector::kLanes <= kMd5MostLanes, "room for the lanes' states");
  return {name, Vector::kLanes, HashBlocks<Vector>, CountNonFiniteNumbers};
}

}  // namespace
}  // namespace redux
