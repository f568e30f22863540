#include "cpu_features.h"

#include <cstdint>

#if defined(REDUX_X86_64)
#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif

namespace redux {

#if defined(REDUX_X86_64)
namespace {

struct CpuidResult {
  std::uint32_t eax, ebx, ecx, edx;
};

CpuidResult Cpuid(std::uint32_t leaf) {
#if defined(_MSC_VER)
  int registers[4];
  __cpuidex(registers, static_cast<int>(leaf), 0);
  return {static_cast<std::uint32_t>(registers[0]), static_cast<std::uint32_t>(registers[1]), static_cast<std::uint32_t>(registers[2]),
          static_cast<std::uint32_t>(registers[3])};
#else
  CpuidResult result{};
  __get_cpuid_count(leaf, 0, &result.eax, &result.ebx, &result.ecx, &result.edx);
  return result;
#endif
}

/** XCR0: which register files the operating system saves on a context switch. */
std::uint64_t SavedRegisters() {
#if defined(_MSC_VER)
  return _xgetbv(0);
#else
  std::uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<std::uint64_t>(high) << 32) | low;
#endif
}

constexpr bool Bit(std::uint64_t value, int position) {
  return (value >> position) & 1;
}

}  // namespace

// Bit positions: Intel 64 and IA-32 Software Developer's Manual, volume 2A, CPUID leaves 1 and 7; volume 1, 13.3 (XCR0).
CpuFeatures CpuFeatures::Detect() {
  CpuFeatures features;
  const CpuidResult leaf1 = Cpuid(1);
  const bool xsave_enabled = Bit(leaf1.ecx, 27);
  if (!xsave_enabled || Cpuid(0).eax < 7) return features;
  const std::uint64_t saved = SavedRegisters();
  const bool ymm_saved = (saved & 0x6) == 0x6;
  const bool zmm_saved = (saved & 0xe6) == 0xe6;
  const CpuidResult leaf7 = Cpuid(7);
  features.fma = ymm_saved && Bit(leaf1.ecx, 12);
  features.f16c = ymm_saved && Bit(leaf1.ecx, 29);
  features.avx2 = ymm_saved && Bit(leaf7.ebx, 5);
  features.avx512 = zmm_saved && Bit(leaf7.ebx, 16) && Bit(leaf7.ebx, 17) && Bit(leaf7.ebx, 30) && Bit(leaf7.ebx, 31);
  return features;
}
#else
CpuFeatures CpuFeatures::Detect() {
  CpuFeatures features;
#if defined(REDUX_ARM64)
  features.neon = true;  // Part of the base architecture.
#endif
  return features;
}
#endif

std::vector<std::string> CpuFeatures::Names() const {
  std::vector<std::string> names;
  if (avx2) names.emplace_back("avx2");
  if (fma) names.emplace_back("fma");
  if (f16c) names.emplace_back("f16c");
  if (avx512) names.emplace_back("avx512");
  if (neon) names.emplace_back("neon");
  return names;
}

}  // namespace redux
