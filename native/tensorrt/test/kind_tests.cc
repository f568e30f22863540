// The GPU's programs of all kinds of change, emulated, against what they must give. Prints one line a kind.
// usage: redux_kind_tests FILE [EVERY]     FILE: of test/fixtures/lora/kind-programs.ts; EVERY: runs one program in so many

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "../../conversion.h"
#include "../../cuda/native_error.h"
#include "emulated_kinds.h"

namespace {

using namespace redux;

NumberType ToNumberType(int type) {
  return type == kGpuFloat32 ? NumberType::kFloat32 : type == kGpuFloat16 ? NumberType::kFloat16 : NumberType::kBfloat16;
}

std::size_t BytesOf(int type) {
  return type == kGpuFloat32 ? 4 : 2;
}

struct Factor {
  int type = kGpuFloat32;
  std::vector<char> bytes;
};

/** A weight, its program and what must come of it. */
struct Case {
  std::string label;
  int type = kGpuFloat32;
  int rows = 0;
  int columns = 0;
  std::vector<char> base;
  std::vector<Factor> factors;
  std::vector<std::size_t> scratch;
  std::vector<double> code;
  std::vector<float> expected;

  std::size_t Count() const {
    return static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns);
  }
};

class Reader {
 public:
  explicit Reader(const char* path) {
    std::ifstream file(path, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(file), {});
    if (bytes_.empty()) throw std::runtime_error("the file of programs cannot be read");
  }

  std::vector<char> Bytes(std::size_t count) {
    const char* from = Take(count);
    return std::vector<char>(from, from + count);
  }
  std::uint32_t Word() {
    return Values<std::uint32_t>(1).front();
  }
  template <typename Value>
  std::vector<Value> Values(std::size_t count) {
    const char* from = Take(count * sizeof(Value));
    std::vector<Value> values(count);
    if (count > 0) std::memcpy(values.data(), from, count * sizeof(Value));
    return values;
  }

 private:
  const char* Take(std::size_t count) {
    if (count > bytes_.size() - next_) throw std::runtime_error("the file of programs is too short");
    const char* from = bytes_.data() + next_;
    next_ += count;
    return from;
  }

  std::vector<char> bytes_;
  std::size_t next_ = 0;
};

std::vector<char> Converted(const std::vector<float>& values, int type) {
  std::vector<char> bytes(values.size() * BytesOf(type));
  ConvertNumbers(BestKernels(), values.data(), NumberType::kFloat32, bytes.data(), ToNumberType(type), values.size(), 1);
  return bytes;
}

Case ReadCase(Reader& reader) {
  Case result;
  const std::vector<char> label = reader.Bytes(reader.Word());
  result.label.assign(label.begin(), label.end());
  result.type = static_cast<int>(reader.Word());
  result.rows = static_cast<int>(reader.Word());
  result.columns = static_cast<int>(reader.Word());
  result.base = Converted(reader.Values<float>(result.Count()), result.type);
  result.factors.resize(reader.Word());
  for (Factor& factor : result.factors) {
    factor.type = static_cast<int>(reader.Word());
    factor.bytes = reader.Bytes(reader.Word() * BytesOf(factor.type));
  }
  for (const std::uint32_t count : reader.Values<std::uint32_t>(reader.Word())) result.scratch.push_back(count);
  result.code = reader.Values<double>(reader.Word());
  result.expected = reader.Values<float>(result.Count());
  return result;
}

KindProgram ProgramOf(const Case& from, std::vector<char>& out) {
  const auto address = [](const std::vector<char>& bytes) { return reinterpret_cast<CUdeviceptr>(bytes.data()); };
  KindProgram program;
  program.base = {address(from.base), from.type, from.Count()};
  program.out = {address(out), from.type, from.Count()};
  program.rows = from.rows;
  program.columns = from.columns;
  for (const Factor& factor : from.factors) {
    program.factors.push_back({address(factor.bytes), factor.type, factor.bytes.size() / BytesOf(factor.type)});
  }
  program.scratch = from.scratch;
  program.code = from.code.data();
  program.length = from.code.size();
  return program;
}

/** Units in the last place between two 16-bit numbers of one type. */
int UnitsApart(std::uint16_t a, std::uint16_t b) {
  const auto ordered = [](std::uint16_t bits) { return bits & 0x8000 ? -(bits & 0x7fff) : bits & 0x7fff; };
  return std::abs(ordered(a) - ordered(b));
}

/** In fp32 1e-5 of the largest number, in the 16-bit types one unit in the last place; more than 1 is too much. */
double ErrorOf(const Case& expected, const std::vector<char>& out) {
  if (expected.type != kGpuFloat32) {
    const std::vector<char> wanted = Converted(expected.expected, expected.type);
    int worst = 0;
    for (std::size_t i = 0; i < expected.Count(); ++i) {
      std::uint16_t a = 0;
      std::uint16_t b = 0;
      std::memcpy(&a, out.data() + 2 * i, 2);
      std::memcpy(&b, wanted.data() + 2 * i, 2);
      worst = std::max(worst, UnitsApart(a, b));
    }
    return worst;
  }
  double largest = 0;
  double worst = 0;
  for (std::size_t i = 0; i < expected.Count(); ++i) {
    float value = 0;
    std::memcpy(&value, out.data() + 4 * i, 4);
    const double error = std::fabs(static_cast<double>(value) - expected.expected[i]);
    worst = std::isnan(error) ? INFINITY : std::max(worst, error);
    largest = std::max(largest, std::fabs(static_cast<double>(expected.expected[i])));
  }
  return worst / (1e-5 * largest);
}

struct Summary {
  int cases = 0;
  double worst = 0;
};

std::map<std::string, Summary> RunAll(const std::vector<Case>& cases) {
  std::map<std::string, Summary> summaries;
  // All weights of a type at once, as a stack change has them.
  for (int type = kGpuFloat32; type <= kGpuBfloat16; ++type) {
    std::vector<const Case*> chosen;
    for (const Case& each : cases) {
      if (each.type == type) chosen.push_back(&each);
    }
    std::vector<std::vector<char>> outputs;
    for (const Case* each : chosen) outputs.emplace_back(each->base.size() + 16, '\x7f');
    std::vector<KindProgram> programs;
    for (std::size_t i = 0; i < chosen.size(); ++i) programs.push_back(ProgramOf(*chosen[i], outputs[i]));
    const std::optional<std::size_t> bad = EmulateKinds(programs);
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      Summary& summary = summaries[chosen[i]->label];
      ++summary.cases;
      summary.worst = std::max(summary.worst, bad == i ? INFINITY : ErrorOf(*chosen[i], outputs[i]));
      for (std::size_t j = chosen[i]->base.size(); j < outputs[i].size(); ++j) {
        if (outputs[i][j] != '\x7f') summary.worst = INFINITY;  // It wrote behind the weight's end.
      }
    }
  }
  return summaries;
}

/** Programs with changed or missing numbers are refused, or stay inside their buffers: the address sanitizer sees what does not. */
bool SurvivesMutations(const std::vector<Case>& cases) {
  std::mt19937 random(7);
  int refused = 0;
  for (int turn = 0; turn < 2000; ++turn) {
    Case mutated = cases[random() % cases.size()];
    const std::vector<double> values = {0, 1, 2, 3, 7, 64, 1000, 4096, 2147483647.0, -1, 0.5, 1e300, NAN};
    const std::size_t place = random() % mutated.code.size();
    if (turn % 4 == 0) {
      mutated.code.resize(place);
    } else {
      mutated.code[place] = values[random() % values.size()];
    }
    std::vector<char> out(mutated.base.size());
    const std::vector<KindProgram> programs = {ProgramOf(mutated, out)};
    try {
      const KindPlan plan = MakeKindPlan(programs, MakeKindWaves(programs), 0);
      unsigned long long blocks = 0;
      for (const KindLaunch& launch : plan.launches) blocks += launch.blocks;
      if (turn % 20 == 1 && blocks < 16) EmulateKinds(programs);
    } catch (const NativeError& error) {
      if (error.code() != "delta.invalid" && error.code() != "gpu.failed") return false;
      ++refused;
    }
  }
  return refused > 500;
}

/** A number that is too large for the type is told with the weight's place. */
bool TellsBadNumbers(const std::vector<Case>& cases) {
  const auto found = std::find_if(cases.begin(), cases.end(), [](const Case& each) { return each.type == kGpuFloat16; });
  Case good = *found;
  Case bad = *found;
  // A pass without steps stores the base: 1, from base, to out, no sums, no steps.
  good.code = bad.code = {1, 0, 1, 0, 0, 0, 0};
  const std::uint16_t infinite = 0x7c00;
  std::memcpy(bad.base.data(), &infinite, sizeof infinite);
  std::vector<char> first(good.base.size());
  std::vector<char> second(bad.base.size());
  const std::vector<KindProgram> programs = {ProgramOf(good, first), ProgramOf(bad, second)};
  const std::optional<std::size_t> place = EmulateKinds(programs);
  return place && *place == 1 && first == good.base;
}

/** Weights whose scratch memory is too much for one wave take several, with the same results. */
bool TakesWaves() {
  std::vector<KindProgram> programs(5);
  for (KindProgram& program : programs) program.scratch = {std::size_t{30} << 20};
  const KindWaves waves = MakeKindWaves(programs);
  return waves.ends == std::vector<std::size_t>({2, 4, 5}) && waves.scratch_bytes == std::size_t{240} << 20;
}

int failed = 0;

void Tell(bool passed, const std::string& what) {
  std::printf("%sok TensorRT backend, compute capability %.1f: %s\n", passed ? "" : "not ", kEmulatedCapability / 10.0, what.c_str());
  failed += passed ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    if (count < 2) throw std::runtime_error("the file of programs is not named");
    Reader reader(arguments[1]);
    const std::uint32_t every = count > 2 ? static_cast<std::uint32_t>(std::stoul(arguments[2])) : 1;
    std::vector<Case> cases;
    for (std::uint32_t i = 0, all = reader.Word(); i < all; ++i) {
      Case each = ReadCase(reader);
      if (i % every == 0) cases.push_back(std::move(each));
    }
    for (const auto& [label, summary] : RunAll(cases)) {
      char worst[32];
      std::snprintf(worst, sizeof worst, "%.3f", summary.worst);
      Tell(summary.worst <= 1, label + ": " + std::to_string(summary.cases) + " programs, " + worst + " of the tolerance");
    }
    Tell(SurvivesMutations(cases), "mutated programs are refused or harmless");
    Tell(TellsBadNumbers(cases), "numbers that are not finite");
    Tell(TakesWaves(), "waves of scratch memory");
  } catch (const std::exception& error) {
    Tell(false, error.what());
  }
  return failed > 0 ? 1 : 0;
}
