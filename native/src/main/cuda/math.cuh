// Elementary functions in fp32, by polynomials of our own: the GPU, the emulator and a plain loop get the same bits. Coefficients
// interpolate the function at Chebyshev nodes of the interval, rounded to fp32.
#pragma once
#include "device.cuh"

// 2^x; 0 below -126. Relative error below 2e-7 for x in [-126, 127].
DEVICE float power_of_two(float x) {
  float whole = (fmaxf(x, -127.0f) + ROUND) - ROUND;
  float rest = x - whole;  // -1/2 .. 1/2
  float p = 1.5461444854736328e-4f;
  p = __fmaf_rn(p, rest, 1.3400427997112274e-3f);
  p = __fmaf_rn(p, rest, 9.618056938052177e-3f);
  p = __fmaf_rn(p, rest, 5.550327152013779e-2f);
  p = __fmaf_rn(p, rest, 0.24022650718688965f);
  p = __fmaf_rn(p, rest, 0.6931471824645996f);
  p = __fmaf_rn(p, rest, 1.0f);
  float result = __uint_as_float(__float_as_uint(p) + ((unsigned)(int)whole << 23));
  return x < -126.0f ? 0.0f : result;
}

// e^x; 0 below -87, infinite above 88. Relative error below 2e-7.
DEVICE float exponential(float x) {
  float bounded = fminf(fmaxf(x, -87.0f), 88.0f);
  float whole = (bounded * 1.4426950216293335f + ROUND) - ROUND;
  float rest = __fmaf_rn(whole, -0.693359375f, bounded);  // minus whole * log(2), in two parts, of which this one is exact
  rest = __fmaf_rn(whole, 2.1219444170128554e-4f, rest);
  float p = 1.9890980911441147e-4f;
  p = __fmaf_rn(p, rest, 1.3933641603216529e-3f);
  p = __fmaf_rn(p, rest, 8.33331048488617e-3f);
  p = __fmaf_rn(p, rest, 4.166646674275398e-2f);
  p = __fmaf_rn(p, rest, 0.1666666716337204f);
  p = __fmaf_rn(p, rest, 0.5f);
  p = __fmaf_rn(p * rest, rest, rest) + 1.0f;
  float result = __uint_as_float(__float_as_uint(p) + ((unsigned)(int)whole << 23));
  return x < -87.0f ? 0.0f : x > 88.0f ? positive_infinity() : x != x ? x : result;
}

// Absolute error below 1e-7, relative error below 4e-7.
DEVICE float hyperbolic_tangent(float x) {
  float square = x * x;
  float p = 2.2695017978549004e-3f;
  p = __fmaf_rn(p, square, -8.3231870085001e-3f);
  p = __fmaf_rn(p, square, 2.1762503311038017e-2f);
  p = __fmaf_rn(p, square, -5.3958460688591e-2f);
  p = __fmaf_rn(p, square, 0.1333329975605011f);
  p = __fmaf_rn(p, square, -0.3333333432674408f);
  float near = __fmaf_rn(p * square, x, x);
  float magnitude = fabsf(x);
  float far = 1.0f - __fdiv_rn(2.0f, exponential(2.0f * magnitude) + 1.0f);
  return magnitude < 0.625f ? near : x < 0.0f ? -far : far;
}

// 1 - erf(z) for z >= 0, as t exp(P(t) - z^2) with t = 2 / (2 + z). Relative error below 5e-7 up to z = 2, growing with z^2.
DEVICE float complementary_error(float z) {
  float t = __fdiv_rn(2.0f, 2.0f + z);
  float p = 0.17100675404071808f;
  p = __fmaf_rn(p, t, -0.8196915984153748f);
  p = __fmaf_rn(p, t, 1.4752486944198608f);
  p = __fmaf_rn(p, t, -1.107899785041809f);
  p = __fmaf_rn(p, t, 0.2488659769296646f);
  p = __fmaf_rn(p, t, -0.16692271828651428f);
  p = __fmaf_rn(p, t, 8.93019437789917e-2f);
  p = __fmaf_rn(p, t, 0.3757663071155548f);
  p = __fmaf_rn(p, t, 0.9998276829719543f);
  p = __fmaf_rn(p, t, -1.265503168106079f);
  return t * exponential(__fmaf_rn(-z, z, p));
}

DEVICE float logistic(float x) { return __fdiv_rn(1.0f, 1.0f + exponential(-x)); }

// kind: 0 SiLU, 1 GELU by erf, 2 GELU by tanh, 3 ReLU.
DEVICE float activation(int kind, float x) {
  if (kind == 0) return __fdiv_rn(x, 1.0f + exponential(-x));
  if (kind == 1) {
    float tail = 0.5f * complementary_error(fabsf(x) * 0.70710678118654752f);
    return x * (x < 0.0f ? tail : 1.0f - tail);
  }
  if (kind == 2) {  // (1 + tanh(u)) / 2 is the logistic function of 2 u
    float twice = 1.5957691216057308f * __fmaf_rn(0.044715f * x * x, x, x);
    return __fdiv_rn(x, 1.0f + exponential(-twice));
  }
  return x > 0.0f || x != x ? x : 0.0f;  // as Math.max: a NaN stays
}
