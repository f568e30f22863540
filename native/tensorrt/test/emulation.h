#pragma once

/*
 * CUDA's language as ordinary C++, for a source that includes a .cu file after this, so that its indexing and rounding are tested where
 * there is no GPU. To be included once in a source, before the kernels.
 */
#include <atomic>
#include <cstring>
#include <functional>
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

/** Lets all threads of a block wait for one another. They yield rather than sleep: there are more of them than cores, and all are needed. */
class Barrier {
 public:
  void Wait(int threads) {
    const int turn = turn_.load();
    if (++waiting_ == threads) {
      waiting_ = 0;
      ++turn_;
    } else {
      while (turn_.load() == turn) std::this_thread::yield();
    }
  }

 private:
  std::atomic<int> waiting_{0};
  std::atomic<int> turn_{0};
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

/** For kernels whose threads do not wait for one another: all of them, one by one. */
[[maybe_unused]] void RunThreads(unsigned blocks, unsigned threads, const std::function<void()>& kernel) {
  for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x) {
    for (threadIdx.x = 0; threadIdx.x < threads; ++threadIdx.x) kernel();
  }
}

/** Runs a launch: its threads live as long as it, and take one block after the other together. */
[[maybe_unused]] void RunBlocks(unsigned blocks, unsigned threads, const std::function<void()>& kernel) {
  block_threads = static_cast<int>(threads);
  std::vector<std::thread> all;
  for (unsigned i = 0; i < threads; ++i) {
    all.emplace_back([&, i] {
      threadIdx.x = i;
      for (unsigned block = 0; block < blocks; ++block) {
        blockIdx.x = block;
        kernel();
        barrier.Wait(block_threads);
      }
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
