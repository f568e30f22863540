#pragma once

#include <string>

/** Counts, and says, what is not as it should be; main() clears the count before each test. */
extern int failures;
void Check(bool condition, const std::string& what);
