// Steps of the forward pass that look at each element, row or column by itself.
#include "math.cuh"

#define ACTIVATE(X, Y)                                                                                                       \
  extern "C" __global__ void __launch_bounds__(256) activate_##X##_##Y(int kind, const TYPE_##X* gate, const TYPE_##X* up,   \
      TYPE_##Y* y, long long count) {                                                                                        \
    if (up)                                                                                                                  \
      map(gate, up, y, count, [=](float g, float u) { return activation(kind, g) * u; });                                    \
    else                                                                                                                     \
      map(gate, y, count, [=](float g) { return activation(kind, g); });                                                     \
  }
FOR_TYPES(ACTIVATE)

#define CLAMPED_GATE(X, Y)                                                                                                   \
  extern "C" __global__ void __launch_bounds__(256) clamped_gate_##X##_##Y(const TYPE_##X* gate, const TYPE_##X* up,         \
      float alpha, float limit, TYPE_##Y* y, long long count) {                                                              \
    map(gate, up, y, count, [=](float gated, float raised) {                                                                 \
      float g = fminf(gated, limit);                                                                                         \
      float u = fmaxf(-limit, fminf(raised, limit));                                                                         \
      return g * logistic(alpha * g) * (u + 1.0f);                                                                           \
    });                                                                                                                      \
  }
FOR_TYPES(CLAMPED_GATE)

#define SCALE(X, Y)                                                                                                          \
  extern "C" __global__ void __launch_bounds__(256) scale_##X##_##Y(const TYPE_##X* x, float factor, TYPE_##Y* y,            \
      long long count) {                                                                                                     \
    map(x, y, count, [=](float v) { return v * factor; });                                                                   \
  }
FOR_TYPES(SCALE)

extern "C" __global__ void __launch_bounds__(256) add_f32(const float* a, const float* b, float* y, long long count) {
  map(a, b, y, count, [](float s, float t) { return s + t; });
}

extern "C" __global__ void __launch_bounds__(256) subtract_f32(const float* a, const float* b, float* y, long long count) {
  map(a, b, y, count, [](float s, float t) { return s - t; });
}
extern "C" __global__ void __launch_bounds__(256) subtract_bf16(const bf16* a, const bf16* b, float* y, long long count) {
  map(a, b, y, count, [](float s, float t) { return s - t; });
}

template <class Y>
DEVICE void add_bias(const float* x, const float* bias, int cols, Y* y) {
  long long at = (long long)blockIdx.x * cols;
  bool fours = cols % 4 == 0;
  for (int i = threadIdx.x * 4; i < cols; i += blockDim.x * 4) {
    Four v = load4(x + at, i, cols, fours);
    Four b = load4(bias, i, cols, fours);
#pragma unroll
    for (int t = 0; t < 4; t++) v.x[t] = v.x[t] + b.x[t];
    store4(y + at, i, cols, fours, v);
  }
}
extern "C" __global__ void __launch_bounds__(256) add_bias_f32_f32(const float* x, const float* bias, int cols, float* y) {
  add_bias(x, bias, cols, y);
}
extern "C" __global__ void __launch_bounds__(256) add_bias_f32_bf16(const float* x, const float* bias, int cols, bf16* y) {
  add_bias(x, bias, cols, y);
}

template <class U>
DEVICE void copy_row(const void* from, long long units, void* to) {
  for (long long i = threadIdx.x; i < units; i += blockDim.x) ((U*)to)[i] = ((const U*)from)[i];
}
extern "C" __global__ void __launch_bounds__(256) gather_rows(const void* from, const int* index, long long row_bytes, void* to) {
  const char* source = (const char*)from + index[blockIdx.x] * row_bytes;
  char* target = (char*)to + blockIdx.x * row_bytes;
  unsigned long long both = (unsigned long long)source | (unsigned long long)target | (unsigned long long)row_bytes;
  if (both % 16 == 0)
    copy_row<uint4>(source, row_bytes / 16, target);
  else
    copy_row<unsigned short>(source, row_bytes / 2, target);
}

template <class X>
DEVICE void add_rows(const X* x, const float* factors, const int* index, int cols, float* sum) {
  const X* from = x + (long long)blockIdx.x * cols;
  float* to = sum + (long long)index[blockIdx.x] * cols;
  float factor = factors[blockIdx.x];
  bool fours = cols % 4 == 0;
  for (int i = threadIdx.x * 4; i < cols; i += blockDim.x * 4) {
    Four v = load4(from, i, cols, fours);
    Four s = load4(to, i, cols, fours);
#pragma unroll
    for (int t = 0; t < 4; t++) s.x[t] = s.x[t] + factor * v.x[t];
    store4(to, i, cols, fours, s);
  }
}
extern "C" __global__ void __launch_bounds__(256) add_rows_f32(const float* x, const float* factors, const int* index, int cols, float* sum) {
  add_rows(x, factors, index, cols, sum);
}
extern "C" __global__ void __launch_bounds__(256) add_rows_bf16(const bf16* x, const float* factors, const int* index, int cols, float* sum) {
  add_rows(x, factors, index, cols, sum);
}

template <class X>
DEVICE void join(const X* a, int a_width, const X* b, int b_width, int b_cols, int heads, X* y) {
  int width = a_width + b_width;
  const X* from_a = a + (long long)blockIdx.x * heads * a_width;
  const X* from_b = b + (long long)blockIdx.x * b_cols;
  X* to = y + (long long)blockIdx.x * heads * width;
  for (int i = threadIdx.x; i < heads * width; i += blockDim.x) {
    int head = i / width, c = i % width;
    to[i] = c < a_width ? from_a[head * a_width + c] : from_b[(head * b_width) % b_cols + c - a_width];
  }
}
extern "C" __global__ void __launch_bounds__(256) join_f32(const float* a, int a_width, const float* b, int b_width, int b_cols, int heads, float* y) {
  join(a, a_width, b, b_width, b_cols, heads, y);
}
extern "C" __global__ void __launch_bounds__(256) join_bf16(const bf16* a, int a_width, const bf16* b, int b_width, int b_cols, int heads, bf16* y) {
  join(a, a_width, b, b_width, b_cols, heads, y);
}

// Magnitudes as integers have the order of magnitudes, and a NaN is the largest: so it stays.
DEVICE int magnitude(float x) { return __float_as_int(x) & 0x7fffffff; }

template <class X>
DEVICE void raise_largest(const X* x, int rows, int cols, float* largest) {
  SHARED(int, most, 8 * 32);
  int col = blockIdx.x * 32 + threadIdx.x;
  int found = 0;
  if (col < cols)
    for (int row = blockIdx.y * 8 + threadIdx.y; row < rows; row += gridDim.y * 8)
      found = max(found, magnitude(load(x + (long long)row * cols + col)));
  most[threadIdx.y * 32 + threadIdx.x] = found;
  __syncthreads();
  if (threadIdx.y != 0 || col >= cols) return;
  for (int y = 1; y < 8; y++) found = max(found, most[y * 32 + threadIdx.x]);
  atomicMax((int*)largest + col, found);
}
extern "C" __global__ void __launch_bounds__(256) raise_largest_f32(const float* x, int rows, int cols, float* largest) {
  raise_largest(x, rows, cols, largest);
}
extern "C" __global__ void __launch_bounds__(256) raise_largest_bf16(const bf16* x, int rows, int cols, float* largest) {
  raise_largest(x, rows, cols, largest);
}
