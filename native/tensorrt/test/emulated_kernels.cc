/* kernels.cu compiled as ordinary C++, so that its indexing and rounding are tested where there is no GPU. */
#include "emulated_kernels.h"

#include <condition_variable>
#include <cmath>
#include <cstring>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "../../kernels/half.h"

namespace {

struct Index {
  unsigned x = 0;
};
thread_local Index threadIdx;
thread_local Index blockIdx;

struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) ushort4 {
  unsigned short x, y, z, w;
};

/** Lets all threads of a block wait for one another. */
class Barrier {
 public:
  void Wait(int threads) {
    std::unique_lock<std::mutex> lock(mutex_);
    const int turn = turn_;
    if (++waiting_ == threads) {
      waiting_ = 0;
      ++turn_;
      condition_.notify_all();
    } else {
      condition_.wait(lock, [&] { return turn != turn_; });
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  int waiting_ = 0;
  int turn_ = 0;
};
Barrier barrier;

}  // namespace

#define REDUX_EMULATED
#define __device__
#define __global__
#define __forceinline__ inline
#define __noinline__
#define __launch_bounds__(...)
#define __shared__ static
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __syncthreads() barrier.Wait(redux::kMergeThreads)
#include "../../cuda/kernels/kernels.cu"

namespace {

float FloatOfHalf(unsigned short bits) {
  redux::Float16 half;
  std::memcpy(&half, &bits, sizeof half);
  return redux::ToFloat(half);
}
unsigned short HalfOfFloat(float value) {
  redux::Float16 half;
  redux::FromFloat(value, &half);
  unsigned short bits;
  std::memcpy(&bits, &half, sizeof bits);
  return bits;
}
float FloatOfBits(unsigned bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
unsigned BitsOfFloat(float value) {
  unsigned bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

void RunBlock(unsigned block, unsigned threads, const std::function<void()>& kernel) {
  std::vector<std::thread> all;
  for (unsigned i = 0; i < threads; ++i) {
    all.emplace_back([&, i] {
      threadIdx.x = i;
      blockIdx.x = block;
      kernel();
    });
  }
  for (std::thread& thread : all) thread.join();
}

}  // namespace

namespace redux {

void EmulateMerge(int type, const GpuMergeJob* jobs, int job_count, const GpuTerm* terms, unsigned tiles, int* bad_job) {
  const auto kernel = type == kGpuFloat32 ? merge_f32 : type == kGpuFloat16 ? merge_f16 : merge_bf16;
  for (unsigned block = 0; block < tiles; ++block) RunBlock(block, kMergeThreads, [&] { kernel(jobs, job_count, terms, bad_job); });
}

void EmulateConvert(unsigned long long from, int from_type, unsigned long long to, int to_type, unsigned long long count) {
  const auto blocks = static_cast<unsigned>((count + kElementThreads - 1) / kElementThreads);
  for (unsigned block = 0; block < blocks; ++block) {
    RunBlock(block, kElementThreads, [&] { convert_elements(from, from_type, to, to_type, count); });
  }
}

}  // namespace redux
