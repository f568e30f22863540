#include "md5_template.h"

namespace redux {
namespace {

/** One message in ordinary registers. (Four in arrays were slower, though compilers make vector instructions of those.) */
struct PlainLane {
  static constexpr std::size_t kLanes = 1;
  using Register = std::uint32_t;

  static Register Load(const std::uint32_t* source) {
    return *source;
  }
  static void Store(std::uint32_t* target, Register value) {
    *target = value;
  }
  static Register Broadcast(std::uint32_t value) {
    return value;
  }
  static Register Add(Register a, Register b) {
    return a + b;
  }
  static Register Choose(Register mask, Register yes, Register no) {
    return no ^ (mask & (yes ^ no));
  }
  static Register Parity(Register b, Register c, Register d) {
    return b ^ (c ^ d);
  }
  static Register OrNot(Register b, Register c, Register d) {
    return c ^ (b | ~d);
  }
  template <int kShift>
  static Register RotateLeft(Register value) {
    return (value << kShift) | (value >> (32 - kShift));
  }

  static void LoadBlocks(const unsigned char* const* data, std::size_t offset, Register (&words)[16]) {
    std::memcpy(words, data[0] + offset, kMd5BlockBytes);
  }
};

}  // namespace

const Md5Kernels kPlainMd5Kernels = MakeMd5Kernels<PlainLane>("plain");

}  // namespace redux
