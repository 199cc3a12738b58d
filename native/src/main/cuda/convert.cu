// Between the element types of files and those of matrices.
#include "device.cuh"

// IEEE 754 binary16, by its definition.
DEVICE float widen_f16(unsigned short code) {
  float magnitude = __uint_as_float((unsigned)(code & 0x7fff) << 13) * 5.192296858534828e33f;  // 2^112: as if the exponent had float's bias
  unsigned bits = __float_as_uint(magnitude) | (unsigned)(code & 0x8000) << 16;
  return __uint_as_float(magnitude >= 65536.0f ? bits | 0x7f800000u : bits);
}

template <class X, class Y, class F>
DEVICE void convert(const X* from, Y* to, long long count, F widen) {
  long long step = (long long)gridDim.x * blockDim.x * 4;
  for (long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * 4; i < count; i += step) {
    if (i + 4 <= count) {
      Four f;
#pragma unroll
      for (int t = 0; t < 4; t++) f.x[t] = widen(from[i + t]);
      store4(to + i, f);
    } else {
      for (long long j = i; j < count; j++) store(to + j, widen(from[j]));
    }
  }
}

extern "C" __global__ void __launch_bounds__(256) convert_f64_f32(const double* from, float* to, long long count) {
  convert(from, to, count, [](double x) { return (float)x; });
}
extern "C" __global__ void __launch_bounds__(256) convert_f64_bf16(const double* from, bf16* to, long long count) {
  convert(from, to, count, [](double x) { return (float)x; });
}
extern "C" __global__ void __launch_bounds__(256) convert_f16_f32(const unsigned short* from, float* to, long long count) {
  convert(from, to, count, [](unsigned short x) { return widen_f16(x); });
}
extern "C" __global__ void __launch_bounds__(256) convert_f16_bf16(const unsigned short* from, bf16* to, long long count) {
  convert(from, to, count, [](unsigned short x) { return widen_f16(x); });
}
extern "C" __global__ void __launch_bounds__(256) convert_bf16_f32(const bf16* from, float* to, long long count) {
  map(from, to, count, [](float x) { return x; });
}
extern "C" __global__ void __launch_bounds__(256) convert_f32_bf16(const float* from, bf16* to, long long count) {
  map(from, to, count, [](float x) { return x; });
}

extern "C" __global__ void __launch_bounds__(256) split_f32(const float* x, long long stride, int cols, bf16* high, bf16* low, bf16* again, long long to_stride) {
  x += blockIdx.x * stride;
  long long at = blockIdx.x * to_stride;
  high += at;
  low += at;
  again += at;
  bool fours = by_fours(x, 0), written_by_fours = (((unsigned long long)high | (unsigned long long)low | (unsigned long long)again) & 7) == 0;
  for (int c = threadIdx.x * 4; c < cols; c += blockDim.x * 4) {
    Four whole = load4(x, c, cols, fours), rest;
#pragma unroll
    for (int t = 0; t < 4; t++) rest.x[t] = whole.x[t] - __uint_as_float((unsigned)narrow_bf16(whole.x[t]) << 16);  // exact
    store4(high, c, cols, written_by_fours, whole);
    store4(again, c, cols, written_by_fours, whole);
    store4(low, c, cols, written_by_fours, rest);
  }
}
