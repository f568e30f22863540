// Tests of what a change of the stack does before its refit, with the emulated driver: factors from files, merges, plans.
// Prints one line a test. usage: redux_stack_tests [CAPABILITY]     (times ten; of the emulated GPU)

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "../../cuda/native_error.h"
#include "../../test/check.h"
#include "check_throws.h"
#include "../stack_work.h"
#include "emulated_driver.h"

namespace {

using namespace redux;
namespace fs = std::filesystem;

const std::atomic<bool> kNotCancelled{false};

/** A file of fp32 numbers 0, 1, 2, … from `first` on, gone with this. */
class NumberFile {
 public:
  NumberFile(const std::string& name, std::size_t count, float first = 0) : path_(fs::temp_directory_path() / ("redux-stack-tests-" + name)) {
    Write(count, first);
  }
  ~NumberFile() {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  NumberFile(const NumberFile&) = delete;
  NumberFile& operator=(const NumberFile&) = delete;

  void Write(std::size_t count, float first) const {
    std::vector<float> numbers(count);
    for (std::size_t i = 0; i < count; ++i) numbers[i] = first + static_cast<float>(i);
    std::ofstream file(path_, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char*>(numbers.data()), static_cast<std::streamsize>(count * sizeof(float)));
  }

  std::string path() const {
    return path_.string();
  }
  /** `count` numbers from the `first` one on. */
  HostNumbers Part(std::size_t first, std::size_t count) const {
    HostNumbers numbers;
    numbers.count = count;
    numbers.file = path();
    numbers.offset = first * sizeof(float);
    return numbers;
  }

 private:
  const fs::path path_;
};

HostNumbers InMemory(const std::vector<float>& values) {
  HostNumbers numbers;
  numbers.count = values.size();
  numbers.data = values.data();
  return numbers;
}

/** The emulated GPU's memory is the host's. */
float NumberAt(CUdeviceptr address, std::size_t place = 0) {
  float value = 0;
  std::memcpy(&value, reinterpret_cast<const char*>(address) + place * sizeof value, sizeof value);
  return value;
}

struct Gpu {
  Cuda cuda = CudaDriver::Load();
  CudaStream stream{(cuda->Enter(), cuda)};
  Uploader uploader{cuda, stream};

  void Upload(const std::vector<HostPiece>& pieces) {
    Check(uploader.Upload(pieces, kNotCancelled), "the upload is complete");
    stream.Wait();
  }
};

/** Neighbours in a file travel as one; each factor's address has its numbers. */
void TestFactors() {
  Gpu gpu;
  const NumberFile file("factors", 100000);
  const std::vector<float> own = {-1, -2};
  // The second and third are neighbours, the fourth is the second once more, the last is far away.
  const std::vector<HostNumbers> numbers = {InMemory(own), file.Part(8, 4), file.Part(12, 20), file.Part(8, 4), {}, file.Part(90000, 8)};
  std::vector<const HostNumbers*> factors;
  for (const HostNumbers& each : numbers) factors.push_back(&each);
  FactorStore store(gpu.cuda);
  FactorStore::Draft draft = store.Make(factors);
  Check(draft.missing().size() == 3, "three copies, not " + std::to_string(draft.missing().size()));
  gpu.Upload(draft.missing());
  const std::vector<CUdeviceptr> addresses = draft.addresses();
  const float firsts[] = {-1, 8, 12, 8, 0, 90000};
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (numbers[i].count == 0) Check(addresses[i] == 0, "a factor of no bytes has no address");
    else Check(NumberAt(addresses[i]) == firsts[i], "factor " + std::to_string(i) + " begins with " + std::to_string(NumberAt(addresses[i])));
  }
  Check(NumberAt(addresses[2], 19) == 31 && NumberAt(addresses[0], 1) == -2, "and so on to their ends");
  Check(addresses[1] == addresses[3], "what stands twice in a stack is copied once");
  for (const CUdeviceptr address : addresses) Check(address % 16 == 0, "factors begin at multiples of 16 bytes");
}

/** What files have is kept for the next stack, until the file changes. */
void TestKeptFactors() {
  Gpu gpu;
  const NumberFile file("kept", 64);
  const HostNumbers first = file.Part(0, 16);
  const HostNumbers second = file.Part(16, 16);
  FactorStore store(gpu.cuda);
  FactorStore::Draft draft = store.Make({&first});
  gpu.Upload(draft.missing());
  const CUdeviceptr address = draft.addresses()[0];
  store.Keep(std::move(draft));
  Check(store.Bytes() > 0, "the store says what it holds");
  FactorStore::Draft next = store.Make({&second, &first});
  Check(next.missing().size() == 1 && next.missing()[0].offset == 64, "only what is new is copied");
  Check(next.addresses()[1] == address, "what is kept stays where it is");
  gpu.Upload(next.missing());
  store.Keep(std::move(next));
  file.Write(65, 1000);
  FactorStore::Draft anew = store.Make({&first});
  Check(anew.missing().size() == 1, "another file under the same name is read again");
  gpu.Upload(anew.missing());
  Check(NumberAt(anew.addresses()[0]) == 1000, "and its numbers are used");
  store.Clear();
  Check(store.Bytes() == 0, "nothing is held any more");
  file.Write(8, 0);
  CheckThrows("file.truncated", [&] { store.Make({&first}); }, "a file that has become shorter");
  const HostNumbers nowhere = [&] {
    HostNumbers numbers = first;
    numbers.file += ".gone";
    return numbers;
  }();
  CheckThrows("file.unreadable", [&] { store.Make({&nowhere}); }, "a file that is gone");
}

/** Where a factor does not begin at a multiple of 16 bytes after its neighbour's, it travels by itself, aligned. */
void TestAlignment() {
  Gpu gpu;
  const NumberFile file("aligned", 64);
  const HostNumbers first = file.Part(0, 3);
  const HostNumbers second = file.Part(3, 5);
  FactorStore store(gpu.cuda);
  const FactorStore::Draft draft = store.Make({&first, &second});
  gpu.Upload(draft.missing());
  Check(draft.missing().size() == 2 && draft.addresses()[1] % 16 == 0, "a factor of its own copy");
  Check(NumberAt(draft.addresses()[0], 2) == 2 && NumberAt(draft.addresses()[1]) == 3, "both have their numbers");
}

WeightInfo Weight(const std::string& name, const NumberFile& file, std::size_t first) {
  WeightInfo weight;
  weight.name = name;
  weight.type = kGpuFloat32;
  weight.rows = 2;
  weight.columns = 2;
  weight.file = file.path();
  weight.offset = first * sizeof(float);
  return weight;
}

/** Base, factors and merges together: base + scale · up · down in the new values, the base's own for what is given back. */
void TestStack(BasePlacement placement) {
  Gpu gpu;
  const NumberFile file("base", 12, 100);
  const BaseWeights base(gpu.cuda, gpu.uploader, {Weight("a", file, 0), Weight("b", file, 4), Weight("c", file, 8)}, placement, kNotCancelled);
  const std::vector<float> up = {1, 2};
  const std::vector<float> down = {10, 20};
  WeightChange change;
  change.name = "b";
  change.terms.push_back({InMemory(up), InMemory(down), 1, 0.5F});
  const std::vector<WeightChange> changes = {change};
  const std::vector<const WeightInfo*> changed = {base.Find("b")};
  const std::vector<const WeightInfo*> restored = {base.Find("c")};
  const NewStack stack{changes, changed, restored};
  FactorStore store(gpu.cuda);
  const FactorStore::Draft factors = store.Make({&change.terms[0].up, &change.terms[0].down});
  const DeviceBuffer memory(gpu.cuda, BytesOf(stack, base));
  const StackWork work = PlanStack(stack, base, factors, memory);
  gpu.Upload(work.pieces);
  GpuArithmetic arithmetic(gpu.cuda);
  arithmetic.StartMerges(gpu.stream, work.merges);
  Check(!arithmetic.FinishMerges(gpu.stream), "the results are finite");
  Check(work.placed.size() == 2, "the changed weight and the one that is given back are placed");
  const float merged[] = {104 + 5, 105 + 10, 106 + 10, 107 + 20};
  for (std::size_t i = 0; i < 4; ++i) {
    Check(NumberAt(work.placed[0].second, i) == merged[i], "merged number " + std::to_string(i) + ": " + std::to_string(NumberAt(work.placed[0].second, i)));
    Check(NumberAt(work.placed[1].second, i) == 108 + static_cast<float>(i), "the base's number " + std::to_string(i));
  }
}

/** Merges of all types in one call; the position of a bad one among all of them. */
void TestBadMerge() {
  Gpu gpu;
  GpuArithmetic arithmetic(gpu.cuda);
  std::vector<std::vector<std::uint16_t>> halves(2, std::vector<std::uint16_t>(4, 0x7b00));  // 57344 in fp16.
  std::vector<float> floats(4, 1);
  const std::vector<float> up(2, 200);
  const std::vector<float> down(2, 200);
  const auto address = [](const auto& values) { return reinterpret_cast<CUdeviceptr>(values.data()); };
  const GpuTerm term{address(up), address(down), kGpuFloat32, kGpuFloat32, 1, 1.0F};
  std::vector<GpuMerge> merges(3);
  merges[0] = {address(halves[0]), address(halves[0]), kGpuFloat16, 2, 2, {}};
  merges[1] = {address(floats), address(floats), kGpuFloat32, 2, 2, {term}};
  merges[2] = {address(halves[1]), address(halves[1]), kGpuFloat16, 2, 2, {term}};
  for (int turn = 0; turn < 2; ++turn) {
    arithmetic.StartMerges(gpu.stream, merges);
    const auto bad = arithmetic.FinishMerges(gpu.stream);
    Check(bad && *bad == 2, "the third merge is the bad one");
    merges[2].terms.clear();
    halves[1].assign(4, 0x3c00);
    arithmetic.StartMerges(gpu.stream, merges);
    Check(!arithmetic.FinishMerges(gpu.stream), "without its term all are good");
    merges[2].terms.push_back(term);
    halves[1].assign(4, 0x7b00);
  }
  arithmetic.StartMerges(gpu.stream, {});
  Check(!arithmetic.FinishMerges(gpu.stream), "no merges, no bad one");
  Check(floats[0] == 160001, "merges are computed in place, once in each call: " + std::to_string(floats[0]));
}

/** The merges of a stack of fp16 and bf16 LoRAs, by whichever kernels the GPU has; all their factors are ones. */
void TestMixedMerges() {
  Gpu gpu;
  GpuArithmetic arithmetic(gpu.cuda);
  constexpr int kRank = 8;
  constexpr int kSide = 16;
  alignas(16) std::array<std::uint16_t, kRank * kSide> halves{};
  alignas(16) std::array<std::uint16_t, kRank * kSide> bfloats{};
  halves.fill(0x3c00);
  bfloats.fill(0x3f80);
  const auto address = [](const auto& values) { return reinterpret_cast<CUdeviceptr>(values.data()); };
  const GpuTerm half{address(halves), address(halves), kGpuFloat16, kGpuFloat16, kRank, 1.0F};
  const GpuTerm bfloat{address(bfloats), address(bfloats), kGpuBfloat16, kGpuBfloat16, kRank, 2.0F};
  const std::vector<std::vector<GpuTerm>> stacks = {{bfloat}, {half}, {half, bfloat}, {bfloat, bfloat, half}};
  const float expected[] = {16, 8, 24, 40};
  const DeviceBuffer weights(gpu.cuda, stacks.size() * kSide * kSide * sizeof(float));
  std::vector<GpuMerge> merges;
  for (std::size_t i = 0; i < stacks.size(); ++i) {
    const CUdeviceptr weight = weights.address() + i * kSide * kSide * sizeof(float);
    merges.push_back({weight, weight, kGpuFloat32, kSide, kSide, stacks[i]});
  }
  std::memset(reinterpret_cast<void*>(weights.address()), 0, weights.bytes());
  arithmetic.StartMerges(gpu.stream, merges);
  Check(!arithmetic.FinishMerges(gpu.stream), "the results are finite");
  for (std::size_t i = 0; i < stacks.size(); ++i) {
    const float last = NumberAt(merges[i].out, kSide * kSide - 1);
    Check(NumberAt(merges[i].out) == expected[i] && last == expected[i], "stack " + std::to_string(i) + ": " + std::to_string(last));
  }
  bfloats.fill(0x7fc0);
  arithmetic.StartMerges(gpu.stream, {merges[1], merges[0]});
  const auto bad = arithmetic.FinishMerges(gpu.stream);
  Check(bad && *bad == 1, "the second merge is the bad one");
}

const std::vector<Test> kTests = {
    {"factors from files", TestFactors},
    {"factors that are kept", TestKeptFactors},
    {"factors that are not aligned", TestAlignment},
    {"a stack, the base on the GPU", [] { TestStack(BasePlacement::kGpu); }},
    {"a stack, the base in host memory", [] { TestStack(BasePlacement::kHost); }},
    {"a stack, the base in its file", [] { TestStack(BasePlacement::kFile); }},
    {"results that are no numbers", TestBadMerge},
    {"merges of fp16 and bf16 factors", TestMixedMerges},
};

}  // namespace

int main(int count, char** arguments) {
  const std::string capability = count > 1 ? arguments[1] : "90";
  redux_emulated_set_capability(std::stoi(capability));
  return RunTests("stack, compute capability " + capability + ": ", kTests, [](const Test& test) {
    const std::size_t before = redux_emulated_objects();
    test.run();
    Check(redux_emulated_objects() == before, "everything is given back");
  });
}
