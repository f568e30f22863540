#include "check.h"

#include <cstdio>
#include <exception>

namespace {

int failures = 0;

void RunTest(const Test& test, const std::function<void(const Test&)>& around) {
  try {
    if (around) around(test);
    else test.run();
  } catch (const std::exception& error) {
    Check(false, error.what());
  }
}

}  // namespace

void Check(bool condition, const std::string& what) {
  if (condition) return;
  ++failures;
  std::printf("  FAILED: %s\n", what.c_str());
}

int RunTests(const std::string& subject, const std::vector<Test>& tests, const std::function<void(const Test&)>& around) {
  int failed = 0;
  for (const Test& test : tests) {
    failures = 0;
    RunTest(test, around);
    std::printf("%sok %s%s\n", failures > 0 ? "not " : "", subject.c_str(), test.name);
    failed += failures > 0 ? 1 : 0;
  }
  return failed > 0 ? 1 : 0;
}
