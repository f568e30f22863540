#include "stack_work.h"

#include <utility>

namespace redux {

namespace {
/** Reads the addresses of the factors one after the other, in the order of MakeFactors. */
class FactorReader {
 public:
  explicit FactorReader(const FactorStore::Draft& factors) : next_(factors.addresses().begin()) {}

  CUdeviceptr Next() {
    return *next_++;
  }

 private:
  std::vector<CUdeviceptr>::const_iterator next_;
};

GpuMerge MakeMerge(const WeightChange& change, FactorReader& factors) {
  GpuMerge merge;
  for (const ChangeTerm& term : change.terms) {
    GpuTerm gpu_term{};
    gpu_term.up = factors.Next();
    gpu_term.up_type = term.up.type;
    if (term.rank > 0) gpu_term.down = factors.Next();
    gpu_term.down_type = term.down.type;
    gpu_term.rank = term.rank;
    gpu_term.scale = term.scale;
    merge.terms.push_back(gpu_term);
  }
  return merge;
}

KindProgram MakeProgram(const ChangeProgram& change, FactorReader& factors) {
  KindProgram program;
  for (const HostNumbers& numbers : change.factors) program.factors.push_back({factors.Next(), numbers.type, numbers.count});
  program.scratch = change.scratch;
  program.code = change.code.data();
  program.length = change.code.size();
  return program;
}
}  // namespace

std::size_t BytesOf(const NewStack& stack, const BaseWeights& base) {
  std::size_t bytes = 0;
  for (const WeightInfo* weight : stack.changed) bytes += Aligned(weight->Bytes());
  if (base.placement() == BasePlacement::kGpu) return bytes;
  for (const WeightInfo* weight : stack.restored) bytes += Aligned(weight->Bytes());
  return bytes;
}

StackWork PlanStack(const NewStack& stack, const BaseWeights& base, const FactorStore::Draft& factors, const DeviceBuffer& memory) {
  const bool base_on_gpu = base.placement() == BasePlacement::kGpu;
  StackWork work;
  work.pieces = factors.missing();
  Arena values(memory);
  FactorReader reader(factors);
  for (std::size_t i = 0; i < stack.changes.size(); ++i) {
    const WeightInfo& weight = *stack.changed[i];
    const CUdeviceptr out = values.Take(weight.Bytes());
    work.placed.emplace_back(&weight, out);
    const CUdeviceptr before = base_on_gpu ? base.AddressOf(weight) : out;
    if (!base_on_gpu) work.pieces.push_back(base.PieceFor(weight, out));
    if (!stack.changes[i].program.code.empty()) {
      KindProgram program = MakeProgram(stack.changes[i].program, reader);
      program.base = {before, weight.type, weight.Count()};
      program.out = {out, weight.type, weight.Count()};
      program.rows = weight.rows;
      program.columns = weight.columns;
      work.programs.push_back(std::move(program));
      work.programmed.push_back(&weight);
    } else {
      GpuMerge merge = MakeMerge(stack.changes[i], reader);
      merge.base = before;
      merge.out = out;
      merge.type = weight.type;
      merge.rows = weight.rows;
      merge.columns = weight.columns;
      work.merges.push_back(std::move(merge));
      work.merged.push_back(&weight);
    }
  }
  for (const WeightInfo* weight : stack.restored) {
    work.placed.emplace_back(weight, base_on_gpu ? base.AddressOf(*weight) : values.Take(weight->Bytes()));
    if (!base_on_gpu) work.pieces.push_back(base.PieceFor(*weight, work.placed.back().second));
  }
  return work;
}

}  // namespace redux
