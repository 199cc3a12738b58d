// The plain loops of executor-gpu's Java code, line by line, which define what the kernels of the solve return.
#pragma once
#include "testing.h"

namespace plain {

const float ROUND_TO_WHOLE = 0x1.8p23f;

// quern.tensor.StepFunction and quern.scheme.Grid.
struct Grid {
  GridShape shape = {};
  std::vector<float> values, thresholds;

  int place(float x) const {
    int at = 0;
    while (at < (int)thresholds.size() && x > thresholds[at]) at++;
    return at;
  }
  // quern.device.cpu.GridTile.
  float round(float x, float zero) const {
    if (shape.levels) return values[place(x)];
    float clamped = std::min(std::max(x, shape.lowest - zero), shape.highest - zero);
    float fraction = zero - ((zero + ROUND_TO_WHOLE) - ROUND_TO_WHOLE);
    return (clamped + fraction + ROUND_TO_WHOLE) - ROUND_TO_WHOLE - fraction;
  }
  unsigned char code(float value, float zero) const {
    return shape.levels ? (unsigned char)place(value) : (unsigned char)(int)(value + zero + ROUND_TO_WHOLE - ROUND_TO_WHOLE);
  }
  float value(unsigned char code, float zero) const { return shape.levels ? values[code] : code - zero; }
  const float* values_or_null() const { return shape.levels ? values.data() : nullptr; }
  const float* thresholds_or_null() const { return shape.levels ? thresholds.data() : nullptr; }
};

inline Grid integers(int bits, bool symmetric, bool ternary = false) {
  Grid g;
  float middle = (float)(1 << (bits - 1)), most = (float)((1 << bits) - 1);
  g.shape = {0, ternary ? middle - 1 : 0, ternary ? middle + 1 : most, symmetric, middle, symmetric ? middle : 1, symmetric ? middle : most,
             symmetric ? ternary ? 1 : most / 2 : most};
  return g;
}

// Values with thresholds halfway, ties to the even magnitude, a zero of either sign: as E2M1 and E4M3 of quern.scheme.LevelGrid.
inline Grid levels_with_signed_zero(const std::vector<float>& magnitudes) {
  Grid g;
  int n = (int)magnitudes.size();
  for (int i = n - 1; i >= 0; i--) g.values.push_back(-magnitudes[i]);
  for (int i = 0; i < n; i++) g.values.push_back(magnitudes[i]);
  for (int i = 0; i + 1 < 2 * n; i++) {
    float half = (g.values[i] + g.values[i + 1]) / 2;
    int magnitude = i + 1 >= n ? i + 1 - n : n - 1 - (i + 1);
    g.thresholds.push_back(magnitude % 2 == 0 ? nextafterf(half, -INFINITY) : half);
  }
  g.thresholds[n - 1] = -0x1p-149f;
  g.shape = {2 * n, 0, (float)(2 * n - 1), 1, 0, 0, 0, magnitudes[n - 1]};
  return g;
}
inline Grid e2m1() { return levels_with_signed_zero({0, 0.5f, 1, 1.5f, 2, 3, 4, 6}); }

// Many levels, halfway to the lower.
inline Grid table(int count) {
  Grid g;
  for (int i = 0; i < count; i++) g.values.push_back((float)(i - count / 2) / (float)(count / 2));
  for (int i = 0; i + 1 < count; i++) g.thresholds.push_back((g.values[i] + g.values[i + 1]) / 2);
  g.shape = {count, 0, (float)(count - 1), 1, 0, 0, 0, g.values.back()};
  return g;
}

// quern.tensor.HalfFloats.round for positive numbers in reach, by exact arithmetic: to the nearest of the type's values, ties to even.
inline float through(float value, int least_exponent, int mantissa) {
  int exponent;
  frexp(value, &exponent);
  double unit = ldexp(1.0, std::max(exponent - 1, least_exponent) - mantissa);
  return (float)(nearbyint(value / unit) * unit);
}

struct Search {
  SearchShape shape;
  std::vector<float> factors;

  // quern.device.StoredScale.
  float stored(float value) const { return shape.has_sign && value < 0 ? -magnitude(-value) : magnitude(value); }
  float magnitude(float value) const {
    float clamped = std::max(shape.smallest, std::min(shape.largest, value * shape.divisor));
    switch (shape.scale_type) {
      case 1: return through(clamped, -14, 10) / shape.divisor;
      case 2: return through(clamped, -126, 7) / shape.divisor;
      case 3: return through(clamped, -6, 3) / shape.divisor;
      case 4: {
        int exponent;
        float part = frexpf(clamped, &exponent);  // in [1/2, 1)
        return ldexpf(1, exponent - 1 + (part >= 0.875f));
      }
      default: return clamped / shape.divisor;
    }
  }
};

inline Search search(int rule, int zeros, int type, std::vector<float> factors, float divisor = 1, bool has_sign = false) {
  float smallest = type == 1 ? 0x1p-24f : type == 3 ? 0x1p-9f : 0x1p-126f, largest = type == 1 ? 65504 : type == 3 ? 448 : 0x1p127f;
  return {{rule, (int)factors.size(), zeros, type, divisor, smallest, largest, has_sign}, factors};
}
// These, then their negatives.
inline std::vector<float> both_signs(std::vector<float> steps) {
  for (size_t i = 0, count = steps.size(); i < count; i++) steps.push_back(-steps[i]);
  return steps;
}
inline std::vector<float> steps(int count, float from, float to) {
  std::vector<float> f;
  for (int i = 0; i < count; i++) f.push_back(from + (to - from) * i / (count - 1));
  return f;
}

// quern.device.Power's tables: of exponents, then of mantissas.
inline const std::vector<float>& powers() {
  static const std::vector<float> table = [] {
    std::vector<float> t(256 + 4097);
    for (int i = 1; i < 256; i++) t[i] = (float)pow(2, 2.4 * (i - 127));
    for (int i = 0; i <= 4096; i++) t[256 + i] = (float)pow(1 + i / 4096.0, 2.4);
    return t;
  }();
  return table;
}
inline float power(float x) {
  unsigned bits = __float_as_uint(x) & 0x7fffffffu;
  int step = bits >> 11 & 4095;
  float rest = (float)(bits & 2047) * (1.0f / 2048);
  const float* mantissa = &powers()[256];
  return powers()[bits >> 23] * (mantissa[step] + rest * (mantissa[step + 1] - mantissa[step]));
}

// quern.device.GridSearchLoops for one row: scale and zero.
inline std::pair<float, float> choose(const Grid& grid, const Search& search, const float* w, int length, const float* importance) {
  float low = 0, high = 0;
  for (int j = 0; j < length; j++) {
    low = std::min(low, w[j]);
    high = std::max(high, w[j]);
  }
  bool zeros_only = low == high;
  float l = zeros_only ? -1 : low, h = zeros_only ? 1 : high;
  float full = grid.shape.symmetric ? std::max(-l, h) / grid.shape.span : (h - l) / grid.shape.span;
  int middle = grid.shape.symmetric ? (int)grid.shape.middle : (int)nearbyint(-l / full);
  float best = 0, best_scale = 0, best_zero = 0;
  for (int v = 0; v < search.shape.zeros; v++)
    for (int i = 0; i < search.shape.factors; i++) {
      float scale = search.stored(full * search.factors[i]), inverse = 1 / scale;
      float zero = std::max(grid.shape.lowest_zero, std::min(grid.shape.highest_zero, (float)(middle + (v == 0 ? 0 : 2 * v - 3))));
      float lowest = grid.shape.lowest - zero, highest = grid.shape.highest - zero, error = 0;
      for (int j = 0; j < length && search.shape.rule != 0; j++) {
        float level = grid.shape.levels ? grid.values[grid.place(w[j] * inverse)]
                                        : std::max(lowest, std::min(highest, (w[j] * inverse + ROUND_TO_WHOLE) - ROUND_TO_WHOLE));
        if (search.shape.rule == 2 && !grid.shape.levels) {
          error += power(scale * level - w[j]);
        } else {
          float e = w[j] - scale * level;
          error += (importance ? importance[j] : 1) * e * e;
        }
      }
      if ((v == 0 && i == 0) || error < best) {
        best = error;
        best_scale = scale;
        best_zero = zero;
      }
    }
  return {best_scale, best_zero};
}

}  // namespace plain
