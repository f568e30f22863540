#pragma once

namespace redux {

/* The PTX files of kernels/ as strings; CMake makes the sources that define them (redux_embed_ptx). */
extern const char kKernelsPtx[];
extern const char kBfloatMergesPtx[];
extern const char kKindsPtx[];
extern const char kBfloatKindsPtx[];
extern const char kRotationsPtx[];
extern const char kLatentsPtx[];

}  // namespace redux
