#pragma once

/*
 * CUDA's language as ordinary C++, for a source that includes a .cu file after this, so that its indexing and rounding are tested where
 * there is no GPU. To be included once in a source, before the kernels.
 */
#include <condition_variable>
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
/** Of the block that runs; blocks run one after another. */
int block_threads = 0;

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
  block_threads = static_cast<int>(threads);
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

#define REDUX_EMULATED
#define __device__
#define __global__
#define __forceinline__ inline
#define __noinline__
#define __launch_bounds__(...)
#define __shared__ static
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __syncthreads() barrier.Wait(block_threads)
