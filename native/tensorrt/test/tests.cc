// Tests of the TensorRT backend's own parts that need neither a GPU nor TensorRT. Prints one line a test.

#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "../../conversion.h"
#include "../../cuda/gpu_arithmetic.h"
#include "../../cuda/native_error.h"
#include "../../test/check.h"
#include "check_throws.h"
#include "../build_monitor.h"
#include "../files.h"
#include "../logger.h"
#include "../readable_file.h"
#include "../tensorrt_library.h"
#include "emulated_kernels.h"

namespace {

using namespace redux;
namespace fs = std::filesystem;

NumberType ToNumberType(GpuType type) {
  return type == kGpuFloat32 ? NumberType::kFloat32 : type == kGpuFloat16 ? NumberType::kFloat16 : NumberType::kBfloat16;
}

/** Numbers of a type, and the same ones as fp32. */
struct Numbers {
  GpuType type = kGpuFloat32;
  std::vector<char> bytes;
  std::vector<float> values;

  unsigned long long Address() const {
    return reinterpret_cast<unsigned long long>(bytes.data());
  }
};

Numbers MakeNumbers(std::mt19937& generator, std::size_t count, GpuType type) {
  Numbers numbers;
  numbers.type = type;
  std::normal_distribution<float> normal;
  std::vector<float> exact(count);
  for (float& value : exact) value = normal(generator);
  numbers.bytes.resize(count * BytesOfGpuType(type));
  ConvertNumbers(BestKernels(), exact.data(), NumberType::kFloat32, numbers.bytes.data(), ToNumberType(type), count, 1);
  numbers.values.resize(count);
  ConvertNumbers(BestKernels(), numbers.bytes.data(), ToNumberType(type), numbers.values.data(), NumberType::kFloat32, count, 1);
  return numbers;
}

struct MergeCase {
  int rows;
  int columns;
  GpuType type;
  std::vector<int> ranks;  // 0: a dense term
  GpuType factor_type;
};

/** The kernel against sums in double precision: at most half a unit of the output's type away, and a little of fp32's rounding. */
void TestMerge() {
  std::mt19937 generator(1);
  const std::vector<MergeCase> cases = {
      {1, 1, kGpuFloat32, {1}, kGpuFloat32},          {130, 132, kGpuFloat16, {4, 9}, kGpuFloat16}, {128, 128, kGpuBfloat16, {32}, kGpuFloat32},
      {20, 260, kGpuFloat32, {8, 0, 3}, kGpuBfloat16}, {7, 37, kGpuFloat16, {16}, kGpuFloat32},      {140, 5, kGpuBfloat16, {0, 2}, kGpuFloat16},
      {64, 64, kGpuFloat16, {}, kGpuFloat32},
      // By the matrix units: ranks that fill eights or not, two chunks of the rank, tiles that stick out.
      {130, 136, kGpuFloat16, {4, 9}, kGpuFloat16},    {128, 128, kGpuBfloat16, {32}, kGpuFloat16}, {33, 264, kGpuFloat32, {40, 8}, kGpuFloat16},
  };
  for (GpuType type = kGpuFloat32; type <= kGpuBfloat16; ++type) {
    std::vector<GpuMerge> merges;
    std::vector<const MergeCase*> merged;
    std::vector<Numbers> kept;
    std::vector<Numbers> bases;
    std::vector<std::vector<double>> expected;
    std::vector<std::vector<char>> outputs;
    kept.reserve(64);
    for (const MergeCase& each : cases) {
      if (each.type != type) continue;
      const auto rows = static_cast<std::size_t>(each.rows);
      const auto columns = static_cast<std::size_t>(each.columns);
      bases.push_back(MakeNumbers(generator, rows * columns, type));
      std::vector<double> sums(bases.back().values.begin(), bases.back().values.end());
      GpuMerge merge;
      merge.type = type;
      merge.rows = each.rows;
      merge.columns = each.columns;
      for (const int rank : each.ranks) {
        const auto depth = static_cast<std::size_t>(rank);
        const float scale = 0.75F;
        kept.push_back(MakeNumbers(generator, rank == 0 ? rows * columns : rows * depth, each.factor_type));
        const Numbers& up = kept.back();
        GpuTerm term{up.Address(), 0, each.factor_type, each.factor_type, rank, scale};
        if (rank == 0) {
          for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += static_cast<double>(scale) * up.values[i];
        } else {
          kept.push_back(MakeNumbers(generator, depth * columns, each.factor_type));
          const Numbers& down = kept.back();
          term.down = down.Address();
          for (std::size_t i = 0; i < rows; ++i) {
            for (std::size_t j = 0; j < columns; ++j) {
              for (std::size_t k = 0; k < depth; ++k) {
                sums[i * columns + j] += static_cast<double>(scale) * up.values[i * depth + k] * down.values[k * columns + j];
              }
            }
          }
        }
        merge.terms.push_back(term);
      }
      merges.push_back(merge);
      merged.push_back(&each);
      expected.push_back(std::move(sums));
    }
    for (std::size_t i = 0; i < merges.size(); ++i) {
      outputs.emplace_back(bases[i].bytes.size() + 16, '\x7f');
      merges[i].base = bases[i].Address();
    }
    for (std::size_t i = 0; i < merges.size(); ++i) merges[i].out = reinterpret_cast<unsigned long long>(outputs[i].data());
    const MergeTables tables = MakeMergeTables(merges, type);
    int bad_job = 0;
    EmulateMerge(type, tables.jobs.data(), static_cast<int>(tables.jobs.size()), tables.terms.data(), tables.tiles, &bad_job);
    Check(bad_job == 0, "finite results are said to be finite");

    const double unit = type == kGpuFloat32 ? std::ldexp(1, -22) : type == kGpuFloat16 ? std::ldexp(1, -11) : std::ldexp(1, -8);
    for (std::size_t i = 0; i < merges.size(); ++i) {
      std::vector<float> result(expected[i].size());
      ConvertNumbers(BestKernels(), outputs[i].data(), ToNumberType(type), result.data(), NumberType::kFloat32, result.size(), 1);
      double worst = 0;
      for (std::size_t j = 0; j < result.size(); ++j) {
        worst = std::max(worst, std::fabs(result[j] - expected[i][j]) / (std::fabs(expected[i][j]) * unit + 1e-5));
      }
      const std::string name = std::to_string(merged[i]->rows) + " x " + std::to_string(merged[i]->columns) + " of type " + std::to_string(type);
      Check(worst <= 1.01, name + ": off by " + std::to_string(worst) + " roundings");
      bool untouched = true;
      for (std::size_t j = bases[i].bytes.size(); j < outputs[i].size(); ++j) untouched = untouched && outputs[i][j] == '\x7f';
      Check(untouched, name + ": wrote behind the weight's end");
      if (merges[i].terms.empty()) Check(std::memcmp(outputs[i].data(), bases[i].bytes.data(), bases[i].bytes.size()) == 0, name + ": the base's bits");
    }
  }
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
      const MergeTables tables = MakeMergeTables(merges, kGpuFloat16);
      int bad_job = 0;
      EmulateMerge(kGpuFloat16, tables.jobs.data(), 2, tables.terms.data(), tables.tiles, &bad_job);
      Check(bad_job == 2, "the second job is the bad one, not " + std::to_string(bad_job));
      Check(tables.places == std::vector<std::size_t>({0, 1}), "places of the jobs");
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
  const MergeTables tables = MakeMergeTables(merges, kGpuFloat16);
  Check(tables.jobs.size() == 2 && tables.tiles == 5 && tables.terms.size() == 3, "jobs, tiles and terms of one type");
  Check(tables.jobs[1].first_tile == 2 && tables.jobs[1].first_term == 2 && tables.jobs[1].base == 5, "where the second job begins");
  Check(tables.jobs[0].in_halves == 0 && tables.jobs[1].in_halves == 0, "terms of fp32 are not for the matrix units");
  merges[2] = {512, 1024, kGpuFloat16, 16, 16, {GpuTerm{256, 768, kGpuFloat16, kGpuFloat16, 8, 1.0F}}};
  const auto in_halves = [&] { return MakeMergeTables({merges[2]}, kGpuFloat16).jobs[0].in_halves; };
  Check(in_halves() == 1, "fp16 factors are for the matrix units");
  merges[2].terms[0].down += 2;
  Check(in_halves() == 0, "factors that are not aligned are not");
  merges[2].terms[0].down -= 2;
  merges[2].columns = 12;
  Check(in_halves() == 0, "nor are weights whose rows are not");
  merges[0].rows = merges[0].columns = 0x7fffffff;
  CheckThrows("gpu.failed", [&] { MakeMergeTables(merges, kGpuFloat16); }, "more tiles than a launch can have");
}

void TestMonitor() {
  std::atomic<bool> cancelled{false};
  std::vector<double> fractions;
  std::string last;
  BuildMonitor monitor([&](const std::string& phase, double fraction) { fractions.push_back(fraction), last = phase; }, cancelled);
  monitor.phaseStart("build", nullptr, 2);
  monitor.phaseStart("tactics", "build", 4);
  Check(monitor.stepComplete("tactics", 1) && std::fabs(fractions.back() - 0.25) < 1e-9 && last == "tactics", "a nested phase's share");
  monitor.phaseFinish("tactics");
  Check(monitor.stepComplete("build", 0) && std::fabs(fractions.back() - 0.5) < 1e-9, "the phase around it");
  monitor.phaseStart("late", "build", 0);
  monitor.stepComplete("late", 7);
  for (std::size_t i = 1; i < fractions.size(); ++i) Check(fractions[i] >= fractions[i - 1] && fractions[i] <= 1, "progress never falls");
  cancelled = true;
  Check(!monitor.stepComplete("build", 1), "a cancelled build is told to stop");

  std::atomic<bool> never{false};
  std::atomic<int> reports{0};
  BuildMonitor shared([&](const std::string&, double) { ++reports; }, never);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&shared, i] {
      const std::string name = "phase " + std::to_string(i);
      shared.phaseStart(name.c_str(), nullptr, 100);
      for (int step = 0; step < 100; ++step) shared.stepComplete(name.c_str(), step);
      shared.phaseFinish(name.c_str());
    });
  }
  for (std::thread& thread : threads) thread.join();
  Check(reports > 300, "reports from several threads");
}

void TestLogger() {
  std::atomic<int> lines{0};
  Logger logger(Logger::Severity::kWARNING, [&](Logger::Severity, const std::string&) { ++lines; });
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&logger] {
      for (int line = 0; line < 100; ++line) logger.log(Logger::Severity::kWARNING, "a warning");
      logger.log(Logger::Severity::kINFO, "not of interest");
    });
  }
  for (std::thread& thread : threads) thread.join();
  Check(lines == 400, "every warning is passed on");
  logger.log(Logger::Severity::kERROR, "what went wrong");
  Check(logger.TakeTrouble() == "what went wrong", "errors stand before warnings");
  Check(logger.TakeTrouble().empty(), "trouble is told once");
}

void TestFiles() {
  const fs::path folder = fs::temp_directory_path() / ("redux-tests-" + std::to_string(std::random_device{}()));
  fs::create_directories(folder);
  const std::string path = (folder / "plan").string();
  WriteFileAtomically(path, "abc", 3);
  WriteFileAtomically(path, "defg", 4);
  const MappedFile file(path);
  Check(file.bytes() == 4 && std::memcmp(file.data(), "defg", 4) == 0, "the second write is what is read");
  Check(std::distance(fs::directory_iterator(folder), fs::directory_iterator()) == 1, "no temporary file is left");
  Check(ReadFileIfThere((folder / "none").string()).empty(), "a file that is not there is empty");
  file.Populate();
  CheckThrows("file.unreadable", [&] { MappedFile((folder / "none").string()); }, "mapping what is not there");
  const ReadableFile readable(path);
  char middle[2];
  readable.Read(1, middle, 2);
  Check(readable.bytes() == 4 && std::memcmp(middle, "ef", 2) == 0, "a file is read from any place");
  CheckThrows("file.truncated", [&] { readable.Read(3, middle, 2); }, "reading past the end");
  CheckThrows("file.unreadable", [&] { ReadableFile((folder / "none").string()); }, "reading what is not there");
  Check(ReadableFile(path).version() == readable.version(), "the same file is the same version");
  WriteFileAtomically(path, "hijk", 4);
  Check(ReadableFile(path).version() != readable.version(), "a file that was written again is another version");
  CheckThrows("file.unwritable", [&] { WriteFileAtomically((folder / "none" / "plan").string(), "a", 1); }, "writing where no folder is");
  fs::remove_all(folder);
}

void TestMissingLibrary() {
  CheckThrows("backend.unavailable", [] { TensorRtLibrary::Open("/nowhere"); }, "a folder without TensorRT");
}

const std::vector<Test> kTests = {
    {"tables of merges", TestTables},       {"merge kernel", TestMerge},     {"conversion kernel", TestConvert},
    {"results that are no numbers", TestBadMerge},
    {"build monitor", TestMonitor},         {"logger", TestLogger},          {"files", TestFiles},
    {"missing library", TestMissingLibrary},
};

}  // namespace

int main() {
  return RunTests("TensorRT backend: ", kTests);
}
