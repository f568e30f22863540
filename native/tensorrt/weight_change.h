#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "factor_store.h"

namespace redux {

/** rank > 0: scale · up · down; rank 0: scale · `up`, which is as large as the weight. */
struct ChangeTerm {
  HostNumbers up;
  HostNumbers down;
  int rank = 0;
  float scale = 1;
};

/** A change of another kind than sums: a KindProgram (cuda/kind_plan.h), its factors on the host's side. */
struct ChangeProgram {
  std::vector<HostNumbers> factors;
  std::vector<std::size_t> scratch;
  std::vector<double> code;
};

/** What a weight becomes: its base plus the terms, or, where its code is not empty, what the program makes of it. */
struct WeightChange {
  std::string name;
  std::vector<ChangeTerm> terms;
  ChangeProgram program;
};

}  // namespace redux
