#include "conversion.h"

#include <algorithm>
#include <atomic>

#include "run_on_threads.h"

namespace redux {

namespace {
/** Numbers that a thread takes at a time: enough that starting a second thread pays. */
constexpr std::size_t kPieceElements = 256 * 1024;
}  // namespace

void ConvertNumbers(const Kernels& kernels, const void* input, NumberType input_type, void* output, NumberType output_type,
                    std::size_t count, std::size_t threads) {
  const std::size_t pieces = (count + kPieceElements - 1) / kPieceElements;
  std::atomic<std::size_t> next{0};
  RunOnThreads(std::min(threads, pieces), [&] {
    for (std::size_t piece = next.fetch_add(1); piece < pieces; piece = next.fetch_add(1)) {
      const std::size_t first = piece * kPieceElements;
      kernels.convert(static_cast<const char*>(input) + first * SizeOf(input_type), input_type,
                      static_cast<char*>(output) + first * SizeOf(output_type), output_type, std::min(kPieceElements, count - first));
    }
  });
}

}  // namespace redux
