#pragma once

#include <cstddef>
#include <cstdint>

namespace redux {

/** Bytes that are read when they are needed, by several threads at once. */
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /** Fills `to` with the `bytes` that begin at `offset`. Throws NativeError where there are not so many, or they cannot be read. */
  virtual void Read(std::uint64_t offset, void* to, std::size_t bytes) const = 0;
};

}  // namespace redux
