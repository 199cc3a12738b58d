// What all kernels share: shared memory, loads and stores of the element types, runs of four elements.
#pragma once
#include "kernels.h"

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
// Dynamic shared memory; its size is the launch's.
extern __shared__ __align__(16) unsigned char dynamic_shared[];
#define DYNAMIC_SHARED(type, name) type* name = (type*)dynamic_shared
// Shared memory of a fixed size.
#define SHARED(type, name, count) __shared__ __align__(16) type name[count]
#endif

#define DEVICE static __device__ __forceinline__
#define DEVICE_MEMBER __device__ __forceinline__
#define ALL_LANES 0xffffffffu

// Adding and subtracting it rounds a float of magnitude below 2^22 to an integer, half to even; the same bits as in Java.
#define ROUND 12582912.0f

DEVICE float positive_infinity() { return __uint_as_float(0x7f800000u); }

// As quern.tensor.HalfFloats does it.
DEVICE unsigned short narrow_bf16(float value) {
  unsigned bits = __float_as_uint(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return (unsigned short)(bits >> 16 | 0x40u);  // NaN, made quiet
  return (unsigned short)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

DEVICE float load(const float* p) { return *p; }
DEVICE float load(const bf16* p) { return __uint_as_float((unsigned)*p << 16); }
DEVICE void store(float* p, float x) { *p = x; }
DEVICE void store(bf16* p, float x) { *p = narrow_bf16(x); }

// Four elements of one run: the address is a multiple of their size.
struct Four {
  float x[4];
};

DEVICE Four load4(const float* p) {
  float4 f = *(const float4*)p;
  return {{f.x, f.y, f.z, f.w}};
}
DEVICE Four load4(const bf16* p) {
  uint2 u = *(const uint2*)p;
  return {{__uint_as_float(u.x << 16), __uint_as_float(u.x & 0xffff0000u), __uint_as_float(u.y << 16), __uint_as_float(u.y & 0xffff0000u)}};
}
DEVICE void store4(float* p, const Four& f) {
  float4 v;
  v.x = f.x[0]; v.y = f.x[1]; v.z = f.x[2]; v.w = f.x[3];
  *(float4*)p = v;
}
DEVICE void store4(bf16* p, const Four& f) {
  uint2 u;
  u.x = narrow_bf16(f.x[0]) | (unsigned)narrow_bf16(f.x[1]) << 16;
  u.y = narrow_bf16(f.x[2]) | (unsigned)narrow_bf16(f.x[3]) << 16;
  *(uint2*)p = u;
}

// Whether rows of floats that begin at p and lie `stride` elements apart may be read four elements at a time.
DEVICE bool by_fours(const float* p, long long stride) { return ((unsigned long long)p & 15) == 0 && stride % 4 == 0; }

// Four elements of a row from column c on; 0 for those from `cols` on.
template <class X>
DEVICE Four load4(const X* row, int c, int cols, bool fours) {
  if (fours && c + 4 <= cols) return load4(row + c);
  Four f;
#pragma unroll
  for (int t = 0; t < 4; t++) f.x[t] = c + t < cols ? load(row + c + t) : 0.0f;
  return f;
}
template <class Y>
DEVICE void store4(Y* row, int c, int cols, bool fours, const Four& f) {
  if (fours && c + 4 <= cols) {
    store4(row + c, f);
    return;
  }
#pragma unroll
  for (int t = 0; t < 4; t++)
    if (c + t < cols) store(row + c + t, f.x[t]);
}

// y[i] = f(x[i]) with the FLAT geometry.
template <class X, class Y, class F>
DEVICE void map(const X* x, Y* y, long long count, F f) {
  long long step = (long long)gridDim.x * blockDim.x * 4;
  for (long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * 4; i < count; i += step) {
    if (i + 4 <= count) {
      Four v = load4(x + i);
#pragma unroll
      for (int t = 0; t < 4; t++) v.x[t] = f(v.x[t]);
      store4(y + i, v);
    } else {
      for (long long j = i; j < count; j++) store(y + j, f(load(x + j)));
    }
  }
}

// y[i] = f(a[i], b[i]) with the FLAT geometry.
template <class X, class Y, class F>
DEVICE void map(const X* a, const X* b, Y* y, long long count, F f) {
  long long step = (long long)gridDim.x * blockDim.x * 4;
  for (long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * 4; i < count; i += step) {
    if (i + 4 <= count) {
      Four v = load4(a + i);
      Four w = load4(b + i);
#pragma unroll
      for (int t = 0; t < 4; t++) v.x[t] = f(v.x[t], w.x[t]);
      store4(y + i, v);
    } else {
      for (long long j = i; j < count; j++) store(y + j, f(load(a + j), load(b + j)));
    }
  }
}

// Sums over the threads (T, y) of a run of T threads, the same in all of them: lanes by pairs, then warps in order.
DEVICE double sum_of_run(double x) {
  SHARED(double, of_warp, 8);
#pragma unroll
  for (int distance = 16; distance > 0; distance >>= 1) x += __shfl_xor_sync(ALL_LANES, x, distance);
  if (blockDim.x == 32) return x;
  __syncthreads();  // whoever still reads the last sum's
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = x;
  __syncthreads();
  double sum = 0;
  for (int warp = 0; warp < (int)blockDim.x / 32; warp++) sum += of_warp[warp];
  return sum;
}

// One definition for each pair of types that is read and written: DEFINE(f32, bf16) and so on.
#define TYPE_f32 float
#define TYPE_bf16 bf16
#define FOR_TYPES(DEFINE) DEFINE(f32, f32) DEFINE(f32, bf16) DEFINE(bf16, f32) DEFINE(bf16, bf16)
