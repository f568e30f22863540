#pragma once

/*
 * CUDA's language as ordinary C++, for a source that includes a .cu file after this, so that its indexing and rounding are tested where
 * there is no GPU. To be included once in a source, before the kernels.
 */
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

/* Real threads where the thread sanitizer looks for barriers that are missing; elsewhere coroutines, which are much faster. */
#if defined(__SANITIZE_THREAD__) || !defined(__linux__)
#define REDUX_EMULATED_BY_THREADS
#else
#include <ucontext.h>
#endif

#include "../../cuda/kernels/number_types.h"
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
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(8) ushort4 {
  unsigned short x, y, z, w;
};

/** For kernels whose threads do not wait for one another: all of them, one by one. */
[[maybe_unused]] void RunThreads(unsigned blocks, unsigned threads, const std::function<void()>& kernel) {
  for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x) {
    for (threadIdx.x = 0; threadIdx.x < threads; ++threadIdx.x) kernel();
  }
}

#ifdef REDUX_EMULATED_BY_THREADS

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

void WaitForBlock() {
  barrier.Wait(block_threads);
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
        WaitForBlock();
      }
    });
  }
  for (std::thread& thread : all) thread.join();
}

#else

/** One of a block's threads, as a coroutine: it runs until it has to wait for the others, or ends. */
struct Fiber {
  ucontext_t context;
  std::vector<char> stack = std::vector<char>(std::size_t{1} << 16);
  bool done = false;
};
std::vector<Fiber> fibers;
Fiber* running = nullptr;
ucontext_t scheduler;
const std::function<void()>* running_kernel = nullptr;

void WaitForBlock() {
  swapcontext(&running->context, &scheduler);
}

void RunFiber() {
  (*running_kernel)();
  running->done = true;
}

/** Runs a launch in one thread. Threads of a block that do not all wait equally often would hang a GPU: that ends the program. */
[[maybe_unused]] void RunBlocks(unsigned blocks, unsigned threads, const std::function<void()>& kernel) {
  if (fibers.size() < threads) fibers.resize(threads);
  running_kernel = &kernel;
  for (unsigned block = 0; block < blocks; ++block) {
    blockIdx.x = block;
    for (unsigned i = 0; i < threads; ++i) {
      Fiber& fiber = fibers[i];
      fiber.done = false;
      getcontext(&fiber.context);
      fiber.context.uc_stack.ss_sp = fiber.stack.data();
      fiber.context.uc_stack.ss_size = fiber.stack.size();
      fiber.context.uc_link = &scheduler;
      makecontext(&fiber.context, RunFiber, 0);
    }
    for (unsigned done = 0; done == 0;) {
      for (unsigned i = 0; i < threads; ++i) {
        threadIdx.x = i;
        running = &fibers[i];
        swapcontext(&scheduler, &running->context);
        done += running->done ? 1 : 0;
      }
      if (done != 0 && done != threads) std::abort();
    }
  }
}

#endif

/** Not every kernel has something to tell. */
[[maybe_unused]] void Tell(int* place, int value) {
  __atomic_store_n(place, value, __ATOMIC_RELAXED);
}

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
/**
 * mma.m16n8k8 of fp16 or bf16: the threads of a warp show one another their registers, which hold the matrices' fragments as PTX ISA 7.8 describes them
 * ("Matrix Fragments for mma.m16n8k8"). With g = lane / 4 and t = lane % 4: the left matrix' rows g and g + 8, columns 2t and 2t + 1; the right one's
 * rows 2t and 2t + 1 of column g; the sums' rows g and g + 8, columns 2t and 2t + 1.
 */
[[maybe_unused]] void MultiplyAdd(int type, float (&sums)[4], unsigned upper_left, unsigned lower_left, unsigned right) {
  static unsigned registers[1024][3];
  const unsigned lane = threadIdx.x % 32;
  const unsigned warp = threadIdx.x - lane;
  registers[threadIdx.x][0] = upper_left;
  registers[threadIdx.x][1] = lower_left;
  registers[threadIdx.x][2] = right;
  WaitForBlock();
  const auto number = [&](unsigned of_lane, unsigned place, unsigned half) {
    const auto bits = static_cast<unsigned short>(registers[warp + of_lane][place] >> (16 * half));
    return type == redux::kGpuFloat16 ? FloatOfHalf(bits) : FloatOfBits(static_cast<unsigned>(bits) << 16);
  };
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned column = lane % 4 * 2 + i % 2;
    for (unsigned depth = 0; depth < 8; ++depth) {
      sums[i] += number(lane / 4 * 4 + depth / 2, i / 2, depth % 2) * number(column * 4 + depth / 2, 2, depth % 2);
    }
  }
  WaitForBlock();
}
unsigned BitsOfFloat(float value) {
  unsigned bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
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
#define __syncthreads() WaitForBlock()
