// Tests of the merge kernels, emulated, and of the tables that they read. Prints one line a test.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "../../conversion.h"
#include "../../cuda/gpu_arithmetic.h"
#include "../../test/check.h"
#include "check_throws.h"
#include "emulated_kernels.h"

namespace {

using namespace redux;

NumberType ToNumberType(GpuType type) {
  return type == kGpuFloat32 ? NumberType::kFloat32 : type == kGpuFloat16 ? NumberType::kFloat16 : NumberType::kBfloat16;
}

/** Numbers of a type, `offset` bytes behind a multiple of 16, and the same ones as fp32. */
struct Numbers {
  std::vector<char> bytes;
  std::size_t offset = 0;
  std::vector<float> values;

  unsigned long long Address() const {
    return reinterpret_cast<unsigned long long>(bytes.data() + offset);
  }
};

Numbers MakeNumbers(std::mt19937& generator, std::size_t count, GpuType type, std::size_t offset = 0) {
  Numbers numbers;
  std::normal_distribution<float> normal;
  std::vector<float> exact(count);
  for (float& value : exact) value = normal(generator);
  numbers.offset = offset;
  numbers.bytes.resize(offset + count * BytesOfGpuType(type));
  ConvertNumbers(BestKernels(), exact.data(), NumberType::kFloat32, numbers.bytes.data() + offset, ToNumberType(type), count, 1);
  numbers.values.resize(count);
  ConvertNumbers(BestKernels(), numbers.bytes.data() + offset, ToNumberType(type), numbers.values.data(), NumberType::kFloat32, count, 1);
  return numbers;
}

/** A term's rank, 0 for a dense one, and its factors' type. */
struct MadeTerm {
  int rank;
  GpuType type;
};

/** Where a merge belongs on a GPU whose matrix units take bf16. */
enum class Way { kFloats, kHalves, kBfloats };

struct MergeCase {
  int rows;
  int columns;
  GpuType type;
  std::vector<MadeTerm> terms;
  Way way = Way::kFloats;
  /** Bytes by which the factors miss a multiple of 16. */
  std::size_t offset = 0;
};

constexpr float kScale = 0.75F;

/** A merge of random numbers, and what it must give, in double precision. */
class MadeMerge {
 public:
  MadeMerge(std::mt19937& generator, const MergeCase& made)
      : made_(made),
        rows_(static_cast<std::size_t>(made.rows)),
        columns_(static_cast<std::size_t>(made.columns)),
        base_(MakeNumbers(generator, rows_ * columns_, made.type)),
        expected_(base_.values.begin(), base_.values.end()) {
    for (const MadeTerm& term : made.terms) {
      if (term.rank == 0) AddDense(MakeNumbers(generator, rows_ * columns_, term.type, made.offset), term);
      else AddLowRank(generator, term);
    }
  }

  /** To be called once the object stays where it is. */
  GpuMerge Start() {
    out_.assign(base_.bytes.size() + 16, '\x7f');
    return {base_.Address(), reinterpret_cast<unsigned long long>(out_.data()), made_.type, made_.rows, made_.columns, terms_};
  }

  /** At most half a unit of the weight's type away, and a little of fp32's rounding. */
  void CheckResult(const std::string& what) const {
    const std::string name = what + ", " + std::to_string(made_.rows) + " x " + std::to_string(made_.columns) + " of type " + std::to_string(made_.type);
    std::vector<float> result(expected_.size());
    ConvertNumbers(BestKernels(), out_.data(), ToNumberType(made_.type), result.data(), NumberType::kFloat32, result.size(), 1);
    const double unit = std::ldexp(1, made_.type == kGpuFloat32 ? -22 : made_.type == kGpuFloat16 ? -11 : -8);
    double worst = 0;
    for (std::size_t i = 0; i < result.size(); ++i) {
      const double error = std::fabs(result[i] - expected_[i]) / (std::fabs(expected_[i]) * unit + 1e-5);
      worst = std::isnan(error) ? INFINITY : std::max(worst, error);
    }
    Check(worst <= 1.01, name + ": off by " + std::to_string(worst) + " roundings");
    const bool untouched = std::all_of(out_.begin() + static_cast<std::ptrdiff_t>(base_.bytes.size()), out_.end(), [](char byte) { return byte == '\x7f'; });
    Check(untouched, name + ": wrote behind the weight's end");
    if (terms_.empty()) Check(std::memcmp(out_.data(), base_.bytes.data(), base_.bytes.size()) == 0, name + ": the base's bits");
  }

  const MergeCase& made() const {
    return made_;
  }

 private:
  void AddDense(Numbers values, const MadeTerm& term) {
    for (std::size_t i = 0; i < expected_.size(); ++i) expected_[i] += static_cast<double>(kScale) * values.values[i];
    factors_.push_back(std::move(values));
    terms_.push_back({factors_.back().Address(), 0, term.type, term.type, 0, kScale});
  }

  void AddLowRank(std::mt19937& generator, const MadeTerm& term) {
    const auto rank = static_cast<std::size_t>(term.rank);
    Numbers up = MakeNumbers(generator, rows_ * rank, term.type, made_.offset);
    Numbers down = MakeNumbers(generator, rank * columns_, term.type, made_.offset);
    for (std::size_t i = 0; i < rows_; ++i) {
      for (std::size_t j = 0; j < columns_; ++j) {
        for (std::size_t k = 0; k < rank; ++k) {
          expected_[i * columns_ + j] += static_cast<double>(kScale) * up.values[i * rank + k] * down.values[k * columns_ + j];
        }
      }
    }
    terms_.push_back({up.Address(), down.Address(), term.type, term.type, term.rank, kScale});
    factors_.push_back(std::move(up));  // Moved vectors keep their numbers' addresses.
    factors_.push_back(std::move(down));
  }

  MergeCase made_;
  std::size_t rows_;
  std::size_t columns_;
  Numbers base_;
  std::vector<double> expected_;
  std::vector<Numbers> factors_;
  std::vector<GpuTerm> terms_;
  std::vector<char> out_;
};

/** Runs all tables; gives each kernel's bad job. */
std::array<int, kMergeKernels> Emulate(const std::array<MergeTables, kMergeKernels>& all) {
  std::array<int, kMergeKernels> bad_jobs{};
  for (std::size_t kernel = 0; kernel < kMergeKernels; ++kernel) {
    const MergeTables& tables = all[kernel];
    const auto emulate = kernel < kGpuTypes ? EmulateMerge : EmulateBfloatMerge;
    const int type = static_cast<int>(kernel) % kGpuTypes;
    emulate(type, tables.jobs.data(), static_cast<int>(tables.jobs.size()), tables.terms.data(), tables.tiles, &bad_jobs[kernel]);
  }
  return bad_jobs;
}

constexpr MadeTerm F16(int rank) {
  return {rank, kGpuFloat16};
}
constexpr MadeTerm Bf16(int rank) {
  return {rank, kGpuBfloat16};
}
constexpr MadeTerm F32(int rank) {
  return {rank, kGpuFloat32};
}

const std::vector<MergeCase> kCases = {
    {1, 1, kGpuFloat32, {F32(1)}},
    {130, 132, kGpuFloat16, {F16(4), F16(9)}},
    {128, 128, kGpuBfloat16, {F32(32)}},
    {20, 260, kGpuFloat32, {Bf16(8), Bf16(0), Bf16(3)}},
    {7, 37, kGpuFloat16, {F32(16)}},
    {140, 5, kGpuBfloat16, {F16(0), F16(2)}},
    {64, 64, kGpuFloat16, {}},
    // By the matrix units: ranks that fill eights or not, two chunks of the rank, tiles that stick out.
    {130, 136, kGpuFloat16, {F16(4), F16(9)}, Way::kHalves},
    {128, 128, kGpuBfloat16, {F16(32)}, Way::kHalves},
    {33, 264, kGpuFloat32, {F16(40), F16(8)}, Way::kHalves},
    {131, 136, kGpuFloat16, {Bf16(1)}, Way::kBfloats},
    {65, 24, kGpuBfloat16, {Bf16(4)}, Way::kBfloats},
    {128, 128, kGpuFloat32, {Bf16(8)}, Way::kBfloats},
    {7, 264, kGpuFloat16, {Bf16(12)}, Way::kBfloats},
    {129, 8, kGpuFloat32, {Bf16(33)}, Way::kBfloats},
    // Terms of both types, in either order.
    {130, 136, kGpuFloat16, {F16(4), Bf16(33), F16(32)}, Way::kBfloats},
    {33, 136, kGpuBfloat16, {Bf16(40), F16(12)}, Way::kBfloats},
    {50, 72, kGpuFloat32, {Bf16(8), F16(1), Bf16(1)}, Way::kBfloats},
    // Widths, addresses and terms that the matrix units do not take.
    {40, 37, kGpuFloat16, {Bf16(8)}},
    {40, 12, kGpuBfloat16, {Bf16(4), F16(4)}},
    {40, 64, kGpuFloat32, {Bf16(8)}, Way::kFloats, 2},
    {40, 64, kGpuFloat16, {F16(8), Bf16(8)}, Way::kFloats, 8},
    {40, 64, kGpuFloat16, {Bf16(8), F32(8)}},
    {40, 64, kGpuBfloat16, {Bf16(8), Bf16(0)}},
};

/** The kernels against sums in double precision. */
void TestMerge(bool has_bfloat_units) {
  std::mt19937 generator(1);
  std::vector<MadeMerge> made;
  for (const MergeCase& each : kCases) made.emplace_back(generator, each);
  std::vector<GpuMerge> merges;
  for (MadeMerge& each : made) merges.push_back(each.Start());
  const std::array<MergeTables, kMergeKernels> tables = MakeMergeTables(merges, has_bfloat_units);
  std::size_t jobs = 0;
  for (std::size_t kernel = 0; kernel < kMergeKernels; ++kernel) {
    for (std::size_t job = 0; job < tables[kernel].jobs.size(); ++job) {
      const std::size_t place = tables[kernel].places[job];
      const Way way = made[place].made().way;
      const bool by_bfloats = way == Way::kBfloats && has_bfloat_units;
      Check((kernel >= kGpuTypes) == by_bfloats, "the kernel of case " + std::to_string(place));
      Check((tables[kernel].jobs[job].in_halves == 1) == (way == Way::kHalves || by_bfloats), "the way of case " + std::to_string(place));
      ++jobs;
    }
  }
  Check(jobs == kCases.size(), "every case is in one table");
  Check(Emulate(tables) == std::array<int, kMergeKernels>{}, "finite results are said to be finite");
  for (std::size_t i = 0; i < made.size(); ++i) made[i].CheckResult("case " + std::to_string(i));
}

/** A result that its type cannot hold, or that is NaN, is told with the job's number; the others are computed all the same. */
void TestBadMerge() {
  const float large = 60000.0F;
  for (const float factor : {1.0F, static_cast<float>(NAN)}) {
    for (const int columns : {4, 3}) {
      std::vector<std::uint16_t> base(static_cast<std::size_t>(2 * columns), 0x7b00);  // 57344 in fp16.
      std::vector<float> up = {factor, factor};
      std::vector<float> down(static_cast<std::size_t>(columns), large);
      std::vector<GpuMerge> merges(2);
      const auto address = [](auto& values) { return reinterpret_cast<unsigned long long>(values.data()); };
      merges[0] = {address(base), address(base), kGpuFloat16, 2, columns, {}};
      merges[1] = {address(base), address(base), kGpuFloat16, 2, columns, {{address(up), address(down), kGpuFloat32, kGpuFloat32, 1, 1.0F}}};
      const auto tables = MakeMergeTables(merges, true);
      const int bad_job = Emulate(tables)[kGpuFloat16];
      Check(bad_job == 2, "the second job is the bad one, not " + std::to_string(bad_job));
      Check(tables[kGpuFloat16].places == std::vector<std::size_t>({0, 1}), "places of the jobs");
    }
  }
}

/** The same of bf16 factors by the matrix units: NaN, infinite, and a finite number that is too large for its weight only. */
void TestBadBfloats() {
  constexpr std::uint16_t kOne = 0x3f80;
  constexpr std::uint16_t kLarge = 0x4780;  // 65536
  for (const std::uint16_t factor : {std::uint16_t{0x7fc0}, std::uint16_t{0xff80}, kLarge}) {
    for (const GpuType type : {kGpuFloat16, kGpuBfloat16}) {
      alignas(16) std::array<std::uint16_t, 32> good{};
      alignas(16) std::array<std::uint16_t, 32> bad{};
      alignas(16) std::array<std::uint16_t, 8> up{kOne, factor};
      alignas(16) std::array<std::uint16_t, 16> down{};
      down.fill(kOne);
      const auto address = [](auto& values) { return reinterpret_cast<unsigned long long>(values.data()); };
      const auto merge = [&](auto& weight, int rows) {
        return GpuMerge{address(weight), address(weight), type, rows, 16, {{address(up), address(down), kGpuBfloat16, kGpuBfloat16, 1, 1.0F}}};
      };
      // One row sees the first number alone.
      const int bad_job = Emulate(MakeMergeTables({merge(good, 1), merge(bad, 2)}, true))[static_cast<std::size_t>(kGpuTypes + type)];
      const bool fits = factor == kLarge && type == kGpuBfloat16;
      Check(bad_job == (fits ? 0 : 2), "factor " + std::to_string(factor) + ", type " + std::to_string(type) + ": bad job " + std::to_string(bad_job));
      Check(good[15] == (type == kGpuFloat16 ? 0x3c00 : kOne) && good[16] == 0, "the other job is computed");
      if (fits) Check(bad[16] == kLarge, "bf16 holds what fp16 does not");
    }
  }
}

/** Every fp32 pattern of interest comes out as the CPU's conversion makes it. */
void TestConvert() {
  std::vector<float> values = {0.0F, -0.0F, 1.0F, 65504.0F, 65520.0F, 1e-8F, 3.4e38F, INFINITY, -INFINITY, 1.00048828125F, 1.00146484375F};
  for (const GpuType type : {kGpuFloat16, kGpuBfloat16}) {
    std::vector<std::uint16_t> wanted(values.size());
    std::vector<std::uint16_t> got(values.size());
    ConvertNumbers(BestKernels(), values.data(), NumberType::kFloat32, wanted.data(), ToNumberType(type), values.size(), 1);
    EmulateConvert(reinterpret_cast<unsigned long long>(values.data()), kGpuFloat32, reinterpret_cast<unsigned long long>(got.data()), type,
                   values.size());
    Check(wanted == got, "conversion to type " + std::to_string(type));
    const float nan = NAN;
    std::uint16_t bits = 0;
    EmulateConvert(reinterpret_cast<unsigned long long>(&nan), kGpuFloat32, reinterpret_cast<unsigned long long>(&bits), type, 1);
    float back = 0;
    EmulateConvert(reinterpret_cast<unsigned long long>(&bits), type, reinterpret_cast<unsigned long long>(&back), kGpuFloat32, 1);
    Check(std::isnan(back), "a NaN stays one");
  }
}

void TestTables() {
  std::vector<GpuMerge> merges(3);
  merges[0] = {1, 2, kGpuFloat16, 129, 128, {GpuTerm{}, GpuTerm{}}};
  merges[1] = {3, 4, kGpuFloat32, 1, 1, {}};
  merges[2] = {5, 6, kGpuFloat16, 1, 300, {GpuTerm{}}};
  const MergeTables tables = MakeMergeTables(merges, true)[kGpuFloat16];
  Check(tables.jobs.size() == 2 && tables.tiles == 5 && tables.terms.size() == 3, "jobs, tiles and terms of one type");
  Check(tables.jobs[1].first_tile == 2 && tables.jobs[1].first_term == 2 && tables.jobs[1].base == 5, "where the second job begins");
  Check(tables.jobs[0].in_halves == 0 && tables.jobs[1].in_halves == 0, "terms of fp32 are not for the matrix units");
  merges[2] = {512, 1024, kGpuFloat16, 16, 16, {GpuTerm{256, 768, kGpuFloat16, kGpuFloat16, 8, 1.0F}}};
  const auto in_halves = [&] { return MakeMergeTables({merges[2]}, true)[kGpuFloat16].jobs.at(0).in_halves; };
  Check(in_halves() == 1, "fp16 factors are for the matrix units");
  merges[2].terms[0].down_type = kGpuBfloat16;
  Check(in_halves() == 0, "factors of two types are not");
  merges[2].terms[0].down_type = kGpuFloat16;
  merges[2].terms[0].down += 2;
  Check(in_halves() == 0, "nor are factors that are not aligned");
  merges[2].terms[0].down -= 2;
  merges[2].columns = 12;
  Check(in_halves() == 0, "nor are weights whose rows are not");
  merges[0].rows = merges[0].columns = 0x7fffffff;
  CheckThrows("gpu.failed", [&] { MakeMergeTables(merges, true); }, "more tiles than a launch can have");
}

const std::vector<Test> kTests = {
    {"tables", TestTables},
    {"matrix units that take fp16 alone", [] { TestMerge(false); }},
    {"matrix units that take bf16 too", [] { TestMerge(true); }},
    {"results that are no numbers", TestBadMerge},
    {"results that are no numbers, of bf16 factors", TestBadBfloats},
    {"conversions", TestConvert},
};

}  // namespace

int main() {
  return RunTests("merges: ", kTests);
}
