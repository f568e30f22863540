#pragma once

/* What the host hands to the kernels of sampling: read by NVRTC too, so that nothing but built-in types stands here. */
#include "number_types.h"

namespace redux {

enum { kMostLatentTerms = 8, kDeviationThreads = 256 };

/** Σ weight · from, over `count` terms; `from` are addresses of fp32 numbers. */
struct LatentTerms {
  unsigned long long from[kMostLatentTerms];
  double weight[kMostLatentTerms];
  int count;
};

}  // namespace redux
