#pragma once

#include <variant>
#include <vector>

#include "kind_plan.h"

namespace redux {

/** A job of one of the kernels; its `first_tile` is not set yet. */
using KindOperation = std::variant<GpuProduct, GpuPass, GpuNorms, GpuCayley, GpuRotation>;

/** Blocks of threads that an operation takes. */
unsigned long long BlocksOf(const KindOperation& operation);

/**
 * A program's operations; the steps of its passes are added to `steps`.
 * @param scratch addresses of its pieces of scratch memory
 * @param place what a pass that stores the weight's new values is known by
 * Throws NativeError("delta.invalid") where an operation reaches beyond a buffer.
 */
std::vector<KindOperation> ReadOperations(const KindProgram& program, const std::vector<CUdeviceptr>& scratch, int place,
                                          std::vector<GpuStep>& steps);

}  // namespace redux
