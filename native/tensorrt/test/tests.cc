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

#include "../../cuda/native_error.h"
#include "../../test/check.h"
#include "check_throws.h"
#include "../build_monitor.h"
#include "../files.h"
#include "../logger.h"
#include "../readable_file.h"
#include "../tensorrt_library.h"

namespace {

using namespace redux;
namespace fs = std::filesystem;

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
    {"build monitor", TestMonitor},
    {"logger", TestLogger},
    {"files", TestFiles},
    {"missing library", TestMissingLibrary},
};

}  // namespace

int main() {
  return RunTests("TensorRT backend: ", kTests);
}
