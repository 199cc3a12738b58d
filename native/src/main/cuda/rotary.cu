// Rotary position embedding, a row to a block.
#include "device.cuh"

DEVICE void turn(float& a, float& b, float cosine, float sine) {
  float first = a * cosine + b * -sine;
  b = b * cosine + a * sine;
  a = first;
}

template <class X, class Y>
DEVICE void rotary(const X* x, const float* cos, const float* sin, int length, int heads, int head_dim, int half, int interleaved, Y* y) {
  long long at = (long long)blockIdx.x * heads * head_dim;
  long long angle = (long long)(blockIdx.x % length) * half;
  if (!interleaved && half % 4 == 0 && head_dim % 4 == 0) {
    int runs = half / 4;
    for (int n = threadIdx.x; n < heads * runs; n += blockDim.x) {
      int i = n % runs * 4;
      long long first = at + (long long)(n / runs) * head_dim + i;
      Four a = load4(x + first), b = load4(x + first + half), c = load4(cos + angle + i), s = load4(sin + angle + i);
#pragma unroll
      for (int t = 0; t < 4; t++) turn(a.x[t], b.x[t], c.x[t], s.x[t]);
      store4(y + first, a);
      store4(y + first + half, b);
    }
  } else {
    for (int n = threadIdx.x; n < heads * half; n += blockDim.x) {
      int i = n % half;
      long long first = at + (long long)(n / half) * head_dim + (interleaved ? 2 * i : i);
      long long second = interleaved ? first + 1 : first + half;
      float a = load(x + first), b = load(x + second);
      turn(a, b, cos[angle + i], sin[angle + i]);
      store(y + first, a);
      store(y + second, b);
    }
  }
  int rest = head_dim - 2 * half;
  for (int n = threadIdx.x; n < heads * rest; n += blockDim.x) {
    long long i = at + (long long)(n / rest) * head_dim + 2 * half + n % rest;
    store(y + i, load(x + i));
  }
}

#define ROTARY(X, Y)                                                                                                   \
  extern "C" __global__ void __launch_bounds__(256) rotary_##X##_##Y(const TYPE_##X* x, const float* cos,              \
      const float* sin, int length, int heads, int head_dim, int half, int interleaved, TYPE_##Y* y) {                 \
    rotary(x, cos, sin, length, heads, head_dim, half, interleaved, y);                                                \
  }
FOR_TYPES(ROTARY)
