#pragma once

namespace redux {

/** kernels/kernels.ptx as a string; CMake makes the file that defines it. */
extern const char kKernelsPtx[];

}  // namespace redux
