// Tests of the arithmetic without Node, so that the address and thread sanitizers can watch them. Prints one line a test.

#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.h"
#include "conversion.h"
#include "kernels/half.h"
#include "md5_tests.h"
#include "memory_ranges.h"
#include "run_on_threads.h"
#include "weight_merge.h"

namespace {

using namespace redux;

constexpr NumberType kTypes[] = {NumberType::kFloat32, NumberType::kFloat16, NumberType::kBfloat16};
const char* const kTypeNames[] = {"F32", "F16", "BF16"};

const char* Name(NumberType type) {
  return kTypeNames[static_cast<int>(type)];
}

/** Numbers of one type, in exactly as much memory as they need, so that the sanitizer sees a read past the end. */
class Numbers {
 public:
  Numbers(NumberType type, std::size_t count) : type_(type), bytes_(count * SizeOf(type)) {}

  static Numbers Random(NumberType type, std::size_t count, std::mt19937& random) {
    std::normal_distribution<float> normal;
    std::vector<float> values(count);
    for (float& value : values) value = normal(random);
    return From(type, values);
  }

  static Numbers From(NumberType type, const std::vector<float>& values) {
    Numbers numbers(type, values.size());
    kPlainKernels.convert(values.data(), NumberType::kFloat32, numbers.Data(), type, values.size());
    return numbers;
  }

  std::vector<float> ToFloats() const {
    std::vector<float> values(bytes_.size() / SizeOf(type_));
    kPlainKernels.convert(bytes_.data(), type_, values.data(), NumberType::kFloat32, values.size());
    return values;
  }

  void* Data() {
    return bytes_.data();
  }
  Matrix AsMatrix() const {
    return {bytes_.data(), type_};
  }
  NumberType Type() const {
    return type_;
  }
  bool operator==(const Numbers& other) const {
    return bytes_ == other.bytes_;
  }

 private:
  NumberType type_;
  std::vector<std::uint8_t> bytes_;
};

/** The value of an fp16 pattern by its definition: (-1)^s · 2^e · 1.f, or 2^-14 · 0.f. */
double Float16ByDefinition(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int fraction = bits & 1023;
  double magnitude = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  if (exponent == 31) magnitude = fraction ? std::nan("") : std::numeric_limits<double>::infinity();
  return bits & 0x8000 ? -magnitude : magnitude;
}

void TestFloat16Widening() {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const double expected = Float16ByDefinition(static_cast<std::uint16_t>(bits));
    const float value = ToFloat(Float16{static_cast<std::uint16_t>(bits)});
    const bool same = std::isnan(expected) ? std::isnan(value) : value == expected && std::signbit(value) == std::signbit(expected);
    Check(same, "fp16 pattern " + std::to_string(bits));
  }
}

void TestFloat16Narrowing() {
  // Between two neighbours the middle goes to the even one, and what is beside the middle to the nearer.
  for (std::uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const double low = Float16ByDefinition(static_cast<std::uint16_t>(bits));
    const double high = Float16ByDefinition(static_cast<std::uint16_t>(bits + 1));
    const float middle = static_cast<float>((low + high) / 2);
    const auto narrow = [](float value) {
      Float16 half;
      FromFloat(value, &half);
      return half.bits;
    };
    Check(narrow(static_cast<float>(low)) == bits, "exact " + std::to_string(bits));
    Check(narrow(middle) == (bits & 1 ? bits + 1 : bits), "middle above " + std::to_string(bits));
    Check(narrow(std::nextafter(middle, 1e9f)) == bits + 1, "above the middle of " + std::to_string(bits));
    Check(narrow(-std::nextafter(middle, 0.0f)) == (bits | 0x8000), "below the middle of " + std::to_string(bits));
  }
}

/** Bit patterns of every kind: ordinary, subnormal, infinite, NaN with and without payload, of both signs. */
std::vector<float> AwkwardFloats(std::size_t count) {
  std::mt19937 random(1);
  std::vector<float> values = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 65504.0f, 65519.996f, 65520.0f, 3e38f, 1e-40f, -5.9604645e-8f, 2.9802322e-8f};
  while (values.size() < count) values.push_back(FloatFromBits(static_cast<std::uint32_t>(random())));
  return values;
}

void TestConversionOfEveryKernelSet() {
  const KernelList list = SupportedKernels(CpuFeatures::Detect());
  const std::vector<float> floats = AwkwardFloats(70001);
  std::vector<std::uint16_t> words(65536 + 7);
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = static_cast<std::uint16_t>(i);
  for (std::size_t set = 0; set < list.count; ++set) {
    for (const NumberType type : {NumberType::kFloat16, NumberType::kBfloat16}) {
      const std::string what = std::string(list.sets[set]->name) + " " + Name(type);
      std::vector<float> widened(words.size()), widened_plainly(words.size());
      ConvertNumbers(*list.sets[set], words.data(), type, widened.data(), NumberType::kFloat32, words.size(), 2);
      kPlainKernels.convert(words.data(), type, widened_plainly.data(), NumberType::kFloat32, words.size());
      Check(std::memcmp(widened.data(), widened_plainly.data(), words.size() * 4) == 0, what + " widening");
      Numbers narrowed(type, floats.size());
      ConvertNumbers(*list.sets[set], floats.data(), NumberType::kFloat32, narrowed.Data(), type, floats.size(), 2);
      Check(narrowed == Numbers::From(type, floats), what + " narrowing");
    }
  }
}

struct MergeCase {
  std::size_t rows, columns;
  std::vector<std::size_t> ranks;
  std::size_t dense;
};

const MergeCase kMergeCases[] = {
    {1, 1, {1}, 0},        {7, 63, {3}, 0},           {6, 64, {4}, 0},       {64, 576, {8, 4}, 0},     {320, 36, {16}, 0}, {13, 129, {128, 7}, 1},
    {5, 17, {}, 2},        {100, 2050, {32}, 0},      {33, 3000, {600}, 0},  {1100, 1000, {2}, 0},     {9, 8, {}, 0},      {2, 20000, {1, 1, 1}, 1},
};

/** All of a case's matrices, and the job that merges them. */
struct MergeData {
  Numbers base, output;
  std::vector<Numbers> ups, downs, values;
  MergeJob job;

  MergeData(const MergeCase& merge_case, NumberType base_type, NumberType output_type, NumberType factor_type)
      : base(base_type, 0), output(output_type, merge_case.rows * merge_case.columns), job{} {
    std::mt19937 random(7);
    base = Numbers::Random(base_type, merge_case.rows * merge_case.columns, random);
    for (const std::size_t rank : merge_case.ranks) {
      ups.push_back(Numbers::Random(factor_type, merge_case.rows * rank, random));
      downs.push_back(Numbers::Random(factor_type, rank * merge_case.columns, random));
    }
    for (std::size_t i = 0; i < merge_case.dense; ++i) {
      values.push_back(Numbers::Random(factor_type, merge_case.rows * merge_case.columns, random));
    }
    job.rows = merge_case.rows;
    job.columns = merge_case.columns;
    job.base = base.AsMatrix();
    job.output = output.Data();
    job.output_type = output_type;
    for (std::size_t i = 0; i < ups.size(); ++i) {
      job.low_rank.push_back({ups[i].AsMatrix(), downs[i].AsMatrix(), merge_case.ranks[i], 0.7f - static_cast<float>(i)});
    }
    for (const Numbers& value : values) job.dense.push_back({value.AsMatrix(), -1.3f});
  }

  /** The same in double precision, one element at a time, with the sum of all magnitudes that bounds the rounding. */
  void Reference(std::vector<double>* result, std::vector<double>* magnitudes) const {
    const std::vector<float> start = base.ToFloats();
    result->assign(start.begin(), start.end());
    magnitudes->clear();
    for (const float value : start) magnitudes->push_back(std::fabs(value));
    const auto add = [&](std::size_t place, double term) {
      (*result)[place] += term;
      (*magnitudes)[place] += std::fabs(term);
    };
    for (std::size_t i = 0; i < ups.size(); ++i) {
      const std::vector<float> up = ups[i].ToFloats(), down = downs[i].ToFloats();
      const std::size_t rank = job.low_rank[i].rank;
      for (std::size_t r = 0; r < job.rows; ++r) {
        for (std::size_t k = 0; k < rank; ++k) {
          const double factor = static_cast<double>(job.low_rank[i].scale) * up[r * rank + k];
          for (std::size_t c = 0; c < job.columns; ++c) add(r * job.columns + c, factor * down[k * job.columns + c]);
        }
      }
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::vector<float> addend = values[i].ToFloats();
      for (std::size_t place = 0; place < addend.size(); ++place) add(place, static_cast<double>(job.dense[i].scale) * addend[place]);
    }
  }
};

void CheckAgainstReference(const MergeData& data, const std::string& what) {
  // Unit roundoff of the output's type; fp32 sums of n terms err by at most n roundoffs of the sum of magnitudes.
  const double output_roundoff[] = {0x1p-24, 0x1p-11, 0x1p-8};
  std::size_t terms = 2 + data.values.size();
  for (const LowRankFactor& factor : data.job.low_rank) terms += factor.rank + 1;
  std::vector<double> expected, magnitudes;
  data.Reference(&expected, &magnitudes);
  const std::vector<float> result = data.output.ToFloats();
  double worst = 0;
  for (std::size_t i = 0; i < result.size(); ++i) {
    const double bound = terms * 0x1p-24 * magnitudes[i] + 1.001 * output_roundoff[static_cast<int>(data.output.Type())] * std::fabs(expected[i]);
    worst = std::max(worst, std::fabs(result[i] - expected[i]) / (bound + 1e-30));
  }
  Check(worst <= 1, what + ": error is " + std::to_string(worst) + " of the bound");
}

void TestMergeAgainstDoublePrecision() {
  const KernelList list = SupportedKernels(CpuFeatures::Detect());
  const std::atomic<bool> never{false};
  for (const MergeCase& merge_case : kMergeCases) {
    for (std::size_t set = 0; set < list.count; ++set) {
      MergeData data(merge_case, NumberType::kFloat32, NumberType::kFloat32, NumberType::kFloat32);
      const std::string what = std::to_string(merge_case.rows) + " x " + std::to_string(merge_case.columns) + " " + list.sets[set]->name;
      Check(MergeWeights(*list.sets[set], {data.job}, 2, never), what + " was cancelled");
      CheckAgainstReference(data, what);
    }
  }
}

void TestMergeOfEveryNumberType() {
  const KernelList list = SupportedKernels(CpuFeatures::Detect());
  const std::atomic<bool> never{false};
  for (const MergeCase& merge_case : {kMergeCases[5], kMergeCases[4]}) {
    for (const NumberType base : kTypes) {
      for (const NumberType output : kTypes) {
        for (const NumberType factor : kTypes) {
          for (std::size_t set = 0; set < list.count; ++set) {
            MergeData data(merge_case, base, output, factor);
            MergeWeights(*list.sets[set], {data.job}, 2, never);
            CheckAgainstReference(data, std::string(list.sets[set]->name) + " " + Name(base) + " " + Name(output) + " " + Name(factor));
          }
        }
      }
    }
  }
}

void TestSameBitsWhateverThreadsAndKernels() {
  const KernelList list = SupportedKernels(CpuFeatures::Detect());
  const std::atomic<bool> never{false};
  for (const MergeCase& merge_case : kMergeCases) {
    MergeData first(merge_case, NumberType::kFloat16, NumberType::kFloat32, NumberType::kFloat32);
    MergeWeights(*list.sets[list.count - 1], {first.job}, 1, never);
    for (const std::size_t threads : {2, 3, 8}) {
      MergeData again(merge_case, NumberType::kFloat16, NumberType::kFloat32, NumberType::kFloat32);
      MergeWeights(*list.sets[list.count - 1], {again.job}, threads, never);
      Check(again.output == first.output, std::to_string(threads) + " threads");
    }
    // Only the plain kernels, which have no fused multiply-add, may differ.
    for (std::size_t set = 1; set + 1 < list.count; ++set) {
      MergeData other(merge_case, NumberType::kFloat16, NumberType::kFloat32, NumberType::kFloat32);
      MergeWeights(*list.sets[set], {other.job}, 2, never);
      Check(other.output == first.output, list.sets[set]->name);
    }
  }
}

void TestManyJobsAndInPlace() {
  const std::atomic<bool> never{false};
  std::vector<MergeData> apart, in_place;
  std::vector<MergeJob> jobs, in_place_jobs;
  for (const MergeCase& merge_case : kMergeCases) {
    apart.emplace_back(merge_case, NumberType::kFloat32, NumberType::kFloat32, NumberType::kBfloat16);
    in_place.emplace_back(merge_case, NumberType::kFloat32, NumberType::kFloat32, NumberType::kBfloat16);
  }
  for (std::size_t i = 0; i < apart.size(); ++i) {
    jobs.push_back(apart[i].job);
    in_place_jobs.push_back(in_place[i].job);
    in_place_jobs[i].output = in_place[i].base.Data();
  }
  MergeWeights(BestKernels(), jobs, 4, never);
  MergeWeights(BestKernels(), in_place_jobs, 4, never);
  for (std::size_t i = 0; i < apart.size(); ++i) Check(apart[i].output == in_place[i].base, "job " + std::to_string(i));
}

void TestNoFactorsIsACopy() {
  const std::atomic<bool> never{false};
  const std::vector<float> values = AwkwardFloats(64 * 65);
  for (const NumberType type : kTypes) {
    Numbers base = Numbers::From(type, values), output(type, values.size());
    MergeWeights(BestKernels(), {{64, 65, base.AsMatrix(), {}, {}, output.Data(), type}}, 2, never);
    Check(output == base, Name(type));
  }
}

void TestCancelled() {
  const std::atomic<bool> always{true};
  MergeData data(kMergeCases[3], NumberType::kFloat32, NumberType::kFloat32, NumberType::kFloat32);
  const Numbers before = data.output;
  Check(!MergeWeights(BestKernels(), {data.job}, 2, always), "a cancelled merge says so");
  Check(data.output == before, "a merge cancelled before it began writes nothing");
}

void TestThreads() {
  std::atomic<int> calls{0};
  RunOnThreads(5, [&] { ++calls; });
  Check(calls == 5, "one call a thread");
  std::string message;
  try {
    RunOnThreads(3, [] { throw std::runtime_error("out of memory"); });
  } catch (const std::runtime_error& error) {
    message = error.what();
  }
  Check(message == "out of memory", "an exception reaches the caller");
}

void TestMemoryRanges() {
  const char memory[100] = {};
  MemoryRanges apart;
  apart.Add(memory + 50, 10, 1);
  apart.Add(memory, 50, 0);
  Check(!apart.FindOverlap(), "neighbours do not overlap");
  Check(apart.FindOwner(memory + 49, 1) == std::size_t{0}, "the last byte of a range");
  Check(apart.FindOwner(memory + 50, 1) == std::size_t{1}, "the first byte of the next");
  Check(!apart.FindOwner(memory + 60, 40), "past every range");
  MemoryRanges overlapping;
  overlapping.Add(memory + 10, 10, 3);
  overlapping.Add(memory, 11, 8);
  const auto pair = overlapping.FindOverlap();
  Check(pair && pair->first == 3 && pair->second == 8, "one shared byte is an overlap");
}

}  // namespace

int main() {
  return RunTests("", {
      {"fp16 to fp32 by definition", TestFloat16Widening},
      {"fp32 to fp16 rounds to nearest even", TestFloat16Narrowing},
      {"every kernel set converts as the plain one", TestConversionOfEveryKernelSet},
      {"merge against double precision", TestMergeAgainstDoublePrecision},
      {"merge of every number type", TestMergeOfEveryNumberType},
      {"same bits whatever the threads and kernels", TestSameBitsWhateverThreadsAndKernels},
      {"many jobs at once, and in place", TestManyJobsAndInPlace},
      {"a job without factors is a copy", TestNoFactorsIsACopy},
      {"cancelled", TestCancelled},
      {"threads", TestThreads},
      {"memory ranges", TestMemoryRanges},
      {"MD5 of RFC 1321's messages", TestMd5OfKnownMessages},
      {"every MD5 kernel set as the plain one", TestMd5OfEveryKernelSet},
      {"counts of NaN and infinite values", TestNonFiniteCounts},
      {"MD5: errors and cancel", TestDigestErrorsAndCancel},
  });
}
