// From codes to weights and back, orders of columns, sums.
#include "grid.cuh"

// f(column, value of the code less the zero, scale) for each column of the block's row.
template <class F>
DEVICE void each_code(const unsigned char* codes, int n, const float* values, const int* group_of_column, int groups,
                      const float* scales, const float* zeros, F f) {
  SHARED(float, table, TABLE);
  if (values) {
    for (int i = threadIdx.x; i < TABLE; i += blockDim.x) table[i] = values[i];
    __syncthreads();
  }
  const unsigned char* row = codes + (long long)blockIdx.x * n;
  long long of_row = (long long)blockIdx.x * groups;
  for (int i = threadIdx.x; i < n; i += blockDim.x) {
    long long g = of_row + group_of_column[i];
    f(i, (values ? table[row[i]] : (float)row[i]) - zeros[g], scales[g]);
  }
}

extern "C" __global__ void __launch_bounds__(256) quantization_error(const float* weights, const unsigned char* codes, int n, const float* values, const int* group_of_column, int groups, const float* scales, const float* zeros, float* error) {
  long long at = (long long)blockIdx.x * n;
  each_code(codes, n, values, group_of_column, groups, scales, zeros, [=](int i, float value, float scale) { error[at + i] = weights[at + i] - scale * value; });
}

extern "C" __global__ void __launch_bounds__(256) nearest_codes(const float* w, int n, GridShape grid, const float* thresholds, const int* group_of_column, int groups, const float* scales, const float* zeros, int by_reciprocal, int signed_zero, unsigned char* codes) {
  SHARED(float, steps, TABLE);
  for (int i = threadIdx.x; i < grid.levels - 1; i += blockDim.x) steps[i] = thresholds[i];
  __syncthreads();
  long long at = (long long)blockIdx.x * n, of_row = (long long)blockIdx.x * groups;
  for (int i = threadIdx.x; i < n; i += blockDim.x) {
    long long g = of_row + group_of_column[i];
    if (grid.levels) {
      float x = by_reciprocal ? w[at + i] * __fdiv_rn(1.0f, scales[g]) : __fdiv_rn(w[at + i], scales[g]);
      int found = place(steps, grid.levels, x);
      codes[at + i] = (unsigned char)(signed_zero && __float_as_uint(x) == 0x80000000u ? found - 1 : found);
    } else {
      float code = (__fdiv_rn(w[at + i], scales[g]) + ROUND) - ROUND + zeros[g];
      // What is left is a number whose lowest bits are the code.
      codes[at + i] = (unsigned char)__float_as_uint(fmaxf(grid.lowest, fminf(grid.highest, code)) + ROUND);
    }
  }
}

template <class X>
DEVICE void gather_columns(const X* from, long long stride, const int* order, int cols, X* to) {
  long long row = (long long)blockIdx.y * gridDim.x + blockIdx.x;
  order += (long long)blockIdx.y * cols;
  for (int i = threadIdx.x; i < cols; i += blockDim.x) to[row * cols + i] = order[i] < 0 ? X(0) : from[row * stride + order[i]];
}
extern "C" __global__ void __launch_bounds__(256) gather_columns_f32(const float* from, long long stride, const int* order, int cols, float* to) {
  gather_columns(from, stride, order, cols, to);
}
extern "C" __global__ void __launch_bounds__(256) gather_columns_u8(const unsigned char* from, long long stride, const int* order, int cols, unsigned char* to) {
  gather_columns(from, stride, order, cols, to);
}

extern "C" __global__ void __launch_bounds__(256) dot_f32(const float* a, const float* b, long long count, double* partial) {
  const int RUN = 16384;
  a += blockIdx.y * count;
  b += blockIdx.y * count;
  bool fours = by_fours(a, RUN) && by_fours(b, RUN);  // a member's may begin anywhere
  double sum = 0;
  for (int i = threadIdx.x * 4; i < RUN; i += blockDim.x * 4) {
    long long at = (long long)blockIdx.x * RUN + i;
    if (at >= count) break;
    int left = (int)min(count - at, 4LL);
    Four v = load4(a + at, 0, left, fours), u = load4(b + at, 0, left, fours);
#pragma unroll
    for (int t = 0; t < 4; t++)
      if (t < left) sum = __fma_rn((double)v.x[t], (double)u.x[t], sum);  // the product is exact
  }
  sum = sum_of_run(sum);
  if (threadIdx.x == 0) partial[(long long)blockIdx.y * gridDim.x + blockIdx.x] = sum;
}

extern "C" __global__ void __launch_bounds__(256) sum_f64(const double* x, int count, double* sum) {
  double own = 0;
  for (int i = threadIdx.x; i < count; i += blockDim.x) own += x[(long long)blockIdx.x * count + i];
  own = sum_of_run(own);
  if (threadIdx.x == 0) sum[blockIdx.x] = own;
}
