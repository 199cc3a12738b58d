// Square matrices of a solve: orders, reversals, triangles. Squares of 32 x 32 elements go through shared memory where rows become columns.
#include "device.cuh"

#define SIDE 32
#define PITCH 33  // of a square in shared memory: a column lies in different banks

extern "C" __global__ void __launch_bounds__(256) mirror_lower(float* m, int n) {
  SHARED(float, square, SIDE * PITCH);
  if (blockIdx.x > blockIdx.y) return;  // the whole block
  int x = threadIdx.x, row = blockIdx.y * SIDE, col = blockIdx.x * SIDE;
  for (int y = threadIdx.y; y < SIDE; y += 8)
    if (row + y < n && col + x < n) square[y * PITCH + x] = m[(long long)(row + y) * n + col + x];
  __syncthreads();
  for (int y = threadIdx.y; y < SIDE; y += 8) {
    int i = col + y, j = row + x;
    if (j < n && i < j) m[(long long)i * n + j] = square[x * PITCH + y];
  }
}

extern "C" __global__ void __launch_bounds__(256) order_hessian(const float* sum, int n, const int* order, const unsigned char* dead, float tokens, double mean, double lambda, float* h) {
  int j = blockIdx.x * SIDE + threadIdx.x;
  for (int y = threadIdx.y; y < SIDE; y += 8) {
    int i = blockIdx.y * SIDE + y;
    if (i >= n || j >= n) continue;
    float value = __fdiv_rn(sum[(long long)order[i] * n + order[j]], tokens);
    if (i == j) value = (float)((dead[order[i]] ? mean : (double)value) + lambda);
    h[(long long)i * n + j] = value;
  }
}

extern "C" __global__ void __launch_bounds__(256) reverse_symmetric(const float* h, int n, float* a) {
  SHARED(float, square, SIDE * PITCH);
  if (blockIdx.x < blockIdx.y) return;
  int x = threadIdx.x, row = blockIdx.y * SIDE, col = blockIdx.x * SIDE;  // in the upper triangle of a, the lower one of h
  for (int y = threadIdx.y; y < SIDE; y += 8) {
    int i = row + y, j = col + x;
    if (j >= n || i > j) continue;
    float value = h[(long long)(n - 1 - i) * n + n - 1 - j];
    a[(long long)i * n + j] = value;
    square[y * PITCH + x] = value;
  }
  __syncthreads();
  for (int y = threadIdx.y; y < SIDE; y += 8) {
    int i = col + y, j = row + x;
    if (i < n && j < i) a[(long long)i * n + j] = square[x * PITCH + y];
  }
}

extern "C" __global__ void __launch_bounds__(256) reverse_lower(const float* l, int n, float* r) {
  int j = blockIdx.x * SIDE + threadIdx.x;
  for (int y = threadIdx.y; y < SIDE; y += 8) {
    int i = blockIdx.y * SIDE + y;
    if (i < n && j < n) r[(long long)i * n + j] = j < i ? 0.0f : l[(long long)(n - 1 - i) * n + n - 1 - j];
  }
}

extern "C" __global__ void __launch_bounds__(256) diagonal(const float* m, int n, float* diagonal, int* bad) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float value = m[((long long)blockIdx.y * n + i) * n + i];
  diagonal[(long long)blockIdx.y * n + i] = value;
  if (bad && !(value > 0.0f && value < positive_infinity())) atomicAdd(bad, 1);
}

extern "C" __global__ void __launch_bounds__(64) column_squares(const float* upper, int n, float* sums) {
  int j = blockIdx.x * blockDim.x + threadIdx.x;
  if (j >= n) return;
  double sum = 0;
#pragma unroll 8
  for (int i = 0; i <= j; i++) {
    double value = upper[(long long)i * n + j];
    sum += value * value;
  }
  sums[j] = (float)sum;
}

extern "C" __global__ void __launch_bounds__(256) updates(const float* factor, const float* diagonal, int n, int from, float* update) {
  int i = from + blockIdx.y, behind = n - from;
  int c = (blockIdx.x * blockDim.x + threadIdx.x) * 4;
  if (c >= behind) return;
  factor += (long long)blockIdx.z * n * n;
  diagonal += (long long)blockIdx.z * n;
  update += (long long)blockIdx.z * gridDim.y * behind;
  bool fours = n % 4 == 0 && from % 4 == 0;
  Four r = load4(factor + (long long)i * n + from, c, behind, fours);
  Four d = load4(diagonal + from, c, behind, fours);
#pragma unroll
  for (int t = 0; t < 4; t++) r.x[t] = from + c + t < i || c + t >= behind ? 0.0f : __fdiv_rn(r.x[t], d.x[t]);
  store4(update + (long long)blockIdx.y * behind, c, behind, fours, r);
}

extern "C" __global__ void __launch_bounds__(256) transpose_f32(const float* from, int rows, int cols, float* to) {
  SHARED(float, square, SIDE * PITCH);
  int x = threadIdx.x, row = blockIdx.y * SIDE, col = blockIdx.x * SIDE;
  for (int y = threadIdx.y; y < SIDE; y += 8)
    if (row + y < rows && col + x < cols) square[y * PITCH + x] = from[(long long)(row + y) * cols + col + x];
  __syncthreads();
  for (int y = threadIdx.y; y < SIDE; y += 8)
    if (col + y < cols && row + x < rows) to[(long long)(col + y) * rows + row + x] = square[x * PITCH + y];
}
