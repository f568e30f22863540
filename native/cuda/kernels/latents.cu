/*
 * Sampling's arithmetic on latents, [B, C, h, w] in fp32: sums in double precision, each rounded once to fp32, with no fused
 * multiply-add. The host's samplers (src/pipeline) compute the same way, so that both give the same bits.
 */
#include "latent_types.h"
#include "numbers.h"

using namespace redux;

namespace {

#ifndef REDUX_EMULATED
__device__ __forceinline__ double Product(double a, double b) {
  return __dmul_rn(a, b);
}

__device__ __forceinline__ double Sum(double a, double b) {
  return __dadd_rn(a, b);
}

__device__ __forceinline__ double Quotient(double a, double b) {
  return __ddiv_rn(a, b);
}

__device__ __forceinline__ double Root(double a) {
  return __dsqrt_rn(a);
}

/** To the nearest whole number, halves to the even one. */
__device__ __forceinline__ int Nearest(float value) {
  return __float2int_rn(value);
}
#endif

/** A sum with one term more. The first of them is added to 0, as the host does: a negative zero does not come through. */
__device__ __forceinline__ double WithTerm(double sum, double weight, double value) {
  return Sum(sum, Product(weight, value));
}

__device__ __forceinline__ unsigned long long Element() {
  return static_cast<unsigned long long>(blockIdx.x) * kElementThreads + threadIdx.x;
}

__device__ __forceinline__ float* Floats(unsigned long long address) {
  return reinterpret_cast<float*>(address);
}

__device__ __forceinline__ bool IsFinite(float value) {
  return value <= 3.402823466e38F && value >= -3.402823466e38F;
}

/** The sum of every thread's number, for all of them. `shared` has room for one of each thread of the block. */
__device__ __forceinline__ double SumOfBlock(double value, double* shared) {
  const unsigned thread = threadIdx.x;
  __syncthreads();
  shared[thread] = value;
  __syncthreads();
  for (unsigned half = kDeviationThreads / 2; half > 0; half /= 2) {
    if (thread < half) shared[thread] = Sum(shared[thread], shared[thread + half]);
    __syncthreads();
  }
  return shared[0];
}

/** The sample standard deviation (divided by n − 1) of n numbers. */
__device__ __forceinline__ double Deviation(unsigned long long data, int type, unsigned long long first, unsigned long long count,
                                            double* shared) {
  double sum = 0.0;
  for (unsigned long long i = threadIdx.x; i < count; i += kDeviationThreads) sum = Sum(sum, Load(data, type, first + i));
  const double mean = Quotient(SumOfBlock(sum, shared), static_cast<double>(count));
  double squares = 0.0;
  for (unsigned long long i = threadIdx.x; i < count; i += kDeviationThreads) {
    const double difference = Sum(Load(data, type, first + i), -mean);
    squares = Sum(squares, Product(difference, difference));
  }
  squares = SumOfBlock(squares, shared);
  return count > 1 ? Root(Quotient(squares, static_cast<double>(count - 1))) : 0.0;
}

}  // namespace

/** to = the sum of the terms. */
extern "C" __global__ void __launch_bounds__(kElementThreads)
    combine_latents(LatentTerms terms, unsigned long long to, unsigned long long count) {
  const unsigned long long i = Element();
  if (i >= count) return;
  double sum = 0.0;
  for (int t = 0; t < terms.count; ++t) sum = WithTerm(sum, terms.weight[t], Floats(terms.from[t])[i]);
  Floats(to)[i] = static_cast<float>(sum);
}

/** `copies` times scale · from, one after the other, in the network's type. */
extern "C" __global__ void __launch_bounds__(kElementThreads)
    network_input(unsigned long long from, unsigned long long to, int type, double scale, unsigned long long count, int copies) {
  const unsigned long long i = Element();
  if (i >= count) return;
  const float value = static_cast<float>(WithTerm(0.0, scale, Floats(from)[i]));
  for (int copy = 0; copy < copies; ++copy) Store(to, type, copy * count + i, value);
}

extern "C" __global__ void __launch_bounds__(kElementThreads)
    fill_values(unsigned long long to, int type, float value, unsigned long long count) {
  const unsigned long long i = Element();
  if (i < count) Store(to, type, i, value);
}

/**
 * Classifier-free guidance: output holds `count` numbers for the negatives and then as many for the positives, or, without guidance, the
 * positives alone. *flag becomes 1 where one is NaN or infinite.
 */
extern "C" __global__ void __launch_bounds__(kElementThreads)
    guide_output(unsigned long long output, int type, unsigned long long prediction, double negative_weight, double positive_weight,
                 int is_guided, unsigned long long count, int* flag) {
  const unsigned long long i = Element();
  if (i >= count) return;
  float value = Load(output, type, i);
  bool is_finite = IsFinite(value);
  if (is_guided != 0) {
    const float positive = Load(output, type, count + i);
    is_finite = is_finite && IsFinite(positive);
    value = static_cast<float>(WithTerm(WithTerm(0.0, negative_weight, value), positive_weight, positive));
  }
  if (!is_finite) *flag = 1;
  Floats(prediction)[i] = value;
}

/**
 * CFG rescale (section 3.4 of arXiv:2305.08891): of each sample of `size` numbers, the factor that gives the guided prediction `amount` of
 * the way to its positive prediction's standard deviation. One block a sample, of kDeviationThreads.
 */
extern "C" __global__ void __launch_bounds__(kDeviationThreads)
    rescale_factors(unsigned long long guided, unsigned long long output, int type, unsigned long long first_positive, double amount,
                    unsigned long long size, double* factors) {
  __shared__ double shared[kDeviationThreads];
  const unsigned long long first = blockIdx.x * size;
  const double deviation = Deviation(guided, kGpuFloat32, first, size, shared);
  const double wanted = Deviation(output, type, first_positive + first, size, shared);
  // A constant prediction has nothing to scale.
  const double ratio = deviation == 0.0 ? 1.0 : Quotient(wanted, deviation);
  if (threadIdx.x == 0) factors[blockIdx.x] = Sum(Product(amount, ratio), Sum(1.0, -amount));
}

/** to = skip · x + out · prediction, the prediction multiplied by its sample's factor first, where there are factors. */
extern "C" __global__ void __launch_bounds__(kElementThreads)
    denoise_latents(unsigned long long x, unsigned long long prediction, const double* factors, double skip, double out,
                    unsigned long long to, unsigned long long size, unsigned long long count) {
  const unsigned long long i = Element();
  if (i >= count) return;
  float predicted = Floats(prediction)[i];
  if (factors) predicted = static_cast<float>(Product(predicted, factors[i / size]));
  Floats(to)[i] = static_cast<float>(WithTerm(WithTerm(0.0, skip, Floats(x)[i]), out, predicted));
}

/** A VAE decoder's input: from / scale + shift, in the network's type. */
extern "C" __global__ void __launch_bounds__(kElementThreads)
    decoder_input(unsigned long long from, unsigned long long to, int type, double scale, double shift, unsigned long long count) {
  const unsigned long long i = Element();
  if (i < count) Store(to, type, i, static_cast<float>(Sum(Quotient(Floats(from)[i], scale), shift)));
}

/**
 * A VAE decoder's output, three planes of `count` numbers from −1 (black) to 1 (full), as 8-bit RGB: clamp(x/2 + ½, 0, 1)·255 in fp32, halves
 * to the even level (src/pipeline/image.ts). *flag becomes 1 where one is NaN.
 */
extern "C" __global__ void __launch_bounds__(kElementThreads)
    image_levels(unsigned long long image, int type, unsigned long long to, unsigned long long count, int* flag) {
  const unsigned long long i = Element();
  if (i >= count) return;
  for (int channel = 0; channel < 3; ++channel) {
    const float value = Load(image, type, channel * count + i);
    if (value != value) *flag = 1;
    const float half = value * 0.5F + 0.5F;
    const float share = half > 0.0F ? (half < 1.0F ? half : 1.0F) : 0.0F;
    reinterpret_cast<unsigned char*>(to)[3 * i + channel] = static_cast<unsigned char>(Nearest(share * 255.0F));
  }
}
