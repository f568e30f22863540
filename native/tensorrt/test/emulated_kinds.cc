/* The kernels of the kinds of change on the host. */
#include "emulated_kinds.h"

#include <cmath>

#include "emulation.h"

#include "../../cuda/kernels/kinds.cu"
#include "../../cuda/kernels/rotations.cu"

namespace redux {

const int kEmulatedCapability = REDUX_COMPUTE_CAPABILITY;

std::optional<std::size_t> EmulateKinds(const std::vector<KindProgram>& programs) {
  const KindWaves waves = MakeKindWaves(programs);
  std::vector<char> scratch(waves.scratch_bytes + 16, '\x7f');
  const KindPlan plan = MakeKindPlan(programs, waves, reinterpret_cast<CUdeviceptr>(scratch.data()));
  int bad = 0;
  const auto* steps = reinterpret_cast<const GpuStep*>(plan.tables.data());
  for (const KindLaunch& launch : plan.launches) {
    const char* jobs = plan.tables.data() + launch.offset;
    RunBlocks(launch.blocks, kKindThreads, [&] {
      switch (launch.kernel) {
        case KindKernel::kProducts:
          return multiply_matrices(reinterpret_cast<const GpuProduct*>(jobs), launch.jobs);
        case KindKernel::kPasses:
          return run_passes(reinterpret_cast<const GpuPass*>(jobs), launch.jobs, steps, &bad);
        case KindKernel::kNorms:
          return find_norms(reinterpret_cast<const GpuNorms*>(jobs), launch.jobs);
        case KindKernel::kCayley:
          return make_rotations(reinterpret_cast<const GpuCayley*>(jobs), launch.jobs);
        case KindKernel::kRotations:
          return turn_blocks(reinterpret_cast<const GpuRotation*>(jobs), launch.jobs);
      }
    });
  }
  if (bad == 0) return std::nullopt;
  return static_cast<std::size_t>(bad) - 1;
}

}  // namespace redux
