// Normalization of runs of elements: a warp for a short run, a block for a long one.
#include "device.cuh"

// What a thread adds up of a run: f(x) of its elements, four at a time, in fp64.
template <class X, class F>
DEVICE double sum_of_elements(const X* x, int width, bool fours, F f) {
  double sum = 0;
  for (int i = threadIdx.x * 4; i < width; i += blockDim.x * 4) {
    Four v = load4(x, i, width, fours);
#pragma unroll
    for (int t = 0; t < 4; t++)
      if (i + t < width) sum += f(v.x[t]);
  }
  return sum;
}

template <class X, class Y>
DEVICE void rms_norm(const X* x, const float* weight, int weight_width, int runs, int width, float eps, float offset, Y* y) {
  int run = blockIdx.x * blockDim.y + threadIdx.y;
  if (run >= runs) return;  // whole warps, and only where a run is a warp
  long long at = (long long)run * width;
  const float* w = weight + at % weight_width;
  bool fours = width % 4 == 0;
  double squares = sum_of_run(sum_of_elements(x + at, width, fours, [](float v) { return (double)v * v; }));
  float inverse = (float)__ddiv_rn(1.0, __dsqrt_rn(__ddiv_rn(squares, width) + eps));
  for (int i = threadIdx.x * 4; i < width; i += blockDim.x * 4) {
    Four v = load4(x + at, i, width, fours);
    Four f = load4(w, i, width, fours);
#pragma unroll
    for (int t = 0; t < 4; t++) v.x[t] = v.x[t] * inverse * (f.x[t] + offset);
    store4(y + at, i, width, fours, v);
  }
}

template <class X, class Y>
DEVICE void layer_norm(const X* x, const float* weight, const float* bias, int weight_width, int runs, int width, float eps, Y* y) {
  int run = blockIdx.x * blockDim.y + threadIdx.y;
  if (run >= runs) return;
  long long at = (long long)run * width;
  int weight_at = (int)(at % weight_width);
  bool fours = width % 4 == 0;
  double mean = __ddiv_rn(sum_of_run(sum_of_elements(x + at, width, fours, [](float v) { return (double)v; })), width);
  double squares = sum_of_run(sum_of_elements(x + at, width, fours, [=](float v) { return (v - mean) * (v - mean); }));
  double inverse = __ddiv_rn(1.0, __dsqrt_rn(__ddiv_rn(squares, width) + eps));
  for (int i = threadIdx.x * 4; i < width; i += blockDim.x * 4) {
    Four v = load4(x + at, i, width, fours);
    Four f = load4(weight + weight_at, i, width, fours);
    Four b = {{0, 0, 0, 0}};
    if (bias) b = load4(bias + weight_at, i, width, fours);
#pragma unroll
    for (int t = 0; t < 4; t++) v.x[t] = (float)((v.x[t] - mean) * inverse * f.x[t] + b.x[t]);
    store4(y + at, i, width, fours, v);
  }
}

#define RMS(X, Y)                                                                                                     \
  extern "C" __global__ void __launch_bounds__(256) rms_norm_##X##_##Y(const TYPE_##X* x, const float* weight,        \
      int weight_width, int runs, int width, float eps, float offset, TYPE_##Y* y) {                                  \
    rms_norm(x, weight, weight_width, runs, width, eps, offset, y);                                                   \
  }
#define LAYER(X, Y)                                                                                                   \
  extern "C" __global__ void __launch_bounds__(256) layer_norm_##X##_##Y(const TYPE_##X* x, const float* weight,      \
      const float* bias, int weight_width, int runs, int width, float eps, TYPE_##Y* y) {                             \
    layer_norm(x, weight, bias, weight_width, runs, width, eps, y);                                                   \
  }
FOR_TYPES(RMS)
FOR_TYPES(LAYER)
