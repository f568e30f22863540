#pragma once

#include <functional>
#include <string>

#include "../../cuda/native_error.h"
#include "../../test/check.h"

/** Checks that `work` throws a NativeError with this code. */
inline void CheckThrows(const std::string& code, const std::function<void()>& work, const std::string& what) {
  try {
    work();
  } catch (const redux::NativeError& error) {
    Check(error.code() == code, what + ": the code is " + error.code() + " (" + error.what() + ")");
    return;
  }
  Check(false, what + ": nothing was thrown");
}
