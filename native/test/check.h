#pragma once

#include <functional>
#include <string>
#include <vector>

struct Test {
  const char* name;
  void (*run)();
};

/** Counts, and says, what is not as it should be in the test that runs. */
void Check(bool condition, const std::string& what);

/**
 * Runs tests, one after the other, and prints a line for each: "ok NAME" or "not ok NAME", with `subject` before the name. What a test throws
 * is a failure of it.
 * @param around runs the test that it is given, between checks of its own
 * @return main()'s
 */
int RunTests(const std::string& subject, const std::vector<Test>& tests, const std::function<void(const Test&)>& around = {});
