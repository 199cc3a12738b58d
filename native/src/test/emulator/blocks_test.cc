// The search of the grids of blocks against the plain loops of Java, bit for bit.
#include "plain.h"

#include <climits>

using namespace testing_kernels;
using plain::Grid;

// quern.device.BlockFit and BlockSearchLoops, line by line: all arrays, codes among them, are kept as there.
namespace plain {

static int rounded(float x) {
  float whole = x + ROUND_TO_WHOLE - ROUND_TO_WHOLE;
  return std::isnan(whole) ? 0 : (int)std::max(-2147483648.0, std::min(2147483647.0, (double)whole));
}
static int truncated(float x) { return std::isnan(x) ? 0 : (int)std::max(-2147483648.0, std::min(2147483647.0, (double)x)); }
static int clamped(int x, int lowest, int highest) { return std::max(lowest, std::min(highest, x)); }
static float inverse_of(float x) { return x == 0 ? 0 : 1 / x; }
static float in_f16(float x) { return x == 0 ? x : std::copysign(through(std::min(65504.0f, fabsf(x)), -14, 10), x); }
static float scale_in_f16(float x) { return in_f16(std::copysign(std::max(0x1p-24f, fabsf(x)), x)); }
// Of zeros of both signs the negative one is the smaller.
static float least(float a, float b) { return a == b ? (std::signbit(a) ? a : b) : std::min(a, b); }
static float most(float a, float b) { return a == b ? (std::signbit(a) ? b : a) : std::max(a, b); }

static float extreme(const float* x, int n) {
  float found = 0;
  for (int i = 0; i < n; i++)
    if (fabsf(x[i]) > fabsf(found)) found = x[i];
  return found;
}

static float symmetric(const float* x, int n, int half, const float* weights, int* codes) {
  float largest = extreme(x, n), scale = 0, best = 0;
  std::fill(codes, codes + n, 0);
  if (fabsf(largest) < 1e-15f) return 0;
  std::vector<int> tried(n);
  for (int step = 0; step < 19; step++) {
    int k = step == 0 ? 0 : step < 10 ? step - 10 : step - 9;
    float inverse = -(half + 0.1f * k) / largest, xl = 0, ll = 0;
    for (int i = 0; i < n; i++) {
      tried[i] = clamped(rounded(inverse * x[i]), -half, half - 1);
      xl += weights[i] * x[i] * tried[i];
      ll += weights[i] * tried[i] * tried[i];
    }
    if (step == 0 || (ll > 0 && xl * xl > best * ll)) {
      scale = ll > 0 ? xl / ll : 0;
      best = scale * xl;
      std::copy(tried.begin(), tried.end(), codes);
    }
  }
  return scale;
}

static float descend(const float* x, int n, int lowest, int highest, const float* weights, int* codes, float xl, float ll) {
  bool changed = true;
  for (int sweep = 0; sweep < 5 && changed; sweep++) {
    changed = false;
    for (int i = 0; i < n; i++) {
      float w = weights[i], rest_xl = xl - w * x[i] * codes[i], rest_ll = ll - w * codes[i] * codes[i];
      if (!(rest_xl > 0 && rest_ll > 0)) continue;
      int code = clamped(rounded(x[i] * rest_ll / rest_xl), lowest, highest);
      if (code == codes[i]) continue;
      rest_xl += w * x[i] * code;
      rest_ll += w * code * code;
      if (rest_ll > 0 && rest_xl * rest_xl * ll > xl * xl * rest_ll) {
        codes[i] = code;
        xl = rest_xl;
        ll = rest_ll;
        changed = true;
      }
    }
  }
  return ll > 0 ? xl / ll : 0;
}

static float symmetric_by_descent(const float* x, int n, int half, const float* weights, int* codes) {
  float largest = extreme(x, n), xl = 0, ll = 0;
  std::fill(codes, codes + n, 0);
  if (fabsf(largest) < 1e-15f) return 0;
  float inverse = -half / largest;
  for (int i = 0; i < n; i++) {
    codes[i] = clamped(rounded(inverse * x[i]), -half, half - 1);
    xl += weights[i] * x[i] * codes[i];
    ll += weights[i] * codes[i] * codes[i];
  }
  return descend(x, n, -half, half - 1, weights, codes, xl, ll);
}

static float unit(const float* values, int n, int highest, const float* weights, int* multiples) {
  float largest = 0, best = INFINITY, xl = 0, ll = 0;
  for (int i = 0; i < n; i++) largest = std::max(largest, values[i]);
  std::fill(multiples, multiples + n, 0);
  if (largest < 1e-15f) return 0;
  float inverse = highest / largest;
  for (int step = 0; step < 9; step++) {
    int k = step == 0 ? 0 : step < 5 ? step - 5 : step - 4;
    float candidate = step == 0 ? highest / largest : (0.1f * k + highest) / largest, scale = 1 / candidate, error = 0;
    for (int i = 0; i < n; i++) {
      float e = values[i] - scale * std::min(highest, rounded(candidate * values[i]));
      error += weights[i] * e * e;
    }
    if (error < best) {
      best = error;
      inverse = candidate;
    }
  }
  for (int i = 0; i < n; i++) {
    multiples[i] = std::min(highest, rounded(inverse * values[i]));
    xl += weights[i] * values[i] * multiples[i];
    ll += weights[i] * multiples[i] * multiples[i];
  }
  return descend(values, n, INT_MIN, highest, weights, multiples, xl, ll);
}

static float plain_unit(const float* values, int n, int highest, int* multiples) {
  float largest = 0;
  for (int i = 0; i < n; i++) largest = std::max(largest, values[i]);
  float inverse = largest > 0 ? highest / largest : 0;
  for (int i = 0; i < n; i++) multiples[i] = std::min(highest, rounded(inverse * values[i]));
  return largest / highest;
}

static float affine(const float* x, int n, int highest, const float* weights, float from, float by, int count, bool squared, int* codes, float& minimum) {
  float low = 0, high = x[0], sum = 0, sum_x = 0;
  for (int i = 0; i < n; i++) {
    low = least(low, x[i]);
    high = most(high, x[i]);
    sum += weights[i];
    sum_x += weights[i] * x[i];
  }
  std::fill(codes, codes + n, 0);
  minimum = -low;
  if (high <= low) return 0;
  auto measure = [&](float e) { return squared ? e * e : fabsf(e); };
  float inverse = highest / (high - low), scale = 1 / inverse, best = 0;
  for (int i = 0; i < n; i++) {
    codes[i] = clamped(rounded(inverse * (x[i] - low)), 0, highest);
    best += weights[i] * measure(scale * codes[i] + low - x[i]);
  }
  std::vector<int> tried(n);
  for (int k = 0; k <= count; k++) {
    inverse = (from + by * k + highest) / (high - low);
    float l = 0, ll = 0, lx = 0;
    for (int i = 0; i < n; i++) {
      tried[i] = clamped(rounded(inverse * (x[i] - low)), 0, highest);
      l += weights[i] * tried[i];
      ll += weights[i] * tried[i] * tried[i];
      lx += weights[i] * tried[i] * x[i];
    }
    float determinant = sum * ll - l * l;
    if (!(determinant > 0)) continue;
    float fitted = (sum * lx - sum_x * l) / determinant, offset = (ll * sum_x - l * lx) / determinant;
    if (offset > 0) {
      offset = 0;
      fitted = lx / ll;
    }
    float error = 0;
    for (int i = 0; i < n; i++) error += weights[i] * measure(fitted * tried[i] + offset - x[i]);
    if (error < best) {
      best = error;
      scale = fitted;
      low = offset;
      std::copy(tried.begin(), tried.end(), codes);
    }
  }
  minimum = -low;
  return scale;
}

static float levels(const float* x, int n, const Grid& grid, const float* weights) {
  float largest = extreme(x, n), lowest = grid.values[0], scale = 0, best = 0;
  if (fabsf(largest) < 1e-15f) return 0;
  for (int step = 0; step < 16; step++) {
    float inverse = step == 0 ? 1 / (-largest / lowest) : (step - 8 + lowest) / largest, qx = 0, qq = 0;
    for (int i = 0; i < n; i++) {
      float level = grid.values[grid.place(inverse * x[i])];
      qx += weights[i] * level * x[i];
      qq += weights[i] * level * level;
    }
    if (step == 0 || (qq > 0 && qx * qx > best * qq)) {
      scale = qx / qq;
      best = scale * qx;
    }
  }
  return scale;
}

struct Blocks {
  std::vector<float> scales, zeros, units, minima;
  std::vector<unsigned char> codes;
};

static void block(const BlockShape& s, const Grid& grid, const float* x, const float* importance, const float* row, int n, Blocks& into) {
  int size = s.length * s.groups, half = s.half, highest = s.highest;
  bool nested = s.groups > 1, weighted = importance != nullptr;
  std::vector<float> weight(size, 1.0f), scale(s.groups), minimum(s.groups), of_group(s.groups);
  std::vector<int> code(size), multiple(s.groups), minimum_multiple(s.groups);
  if (weighted) {
    bool whole_row = !nested && !s.levels;
    float squares = 0;
    for (int i = 0; i < (whole_row ? n : size); i++) squares += whole_row ? row[i] * row[i] : x[i] * x[i];
    float variance = squares / (whole_row ? n : size);
    bool as_is = nested && half == 32, once = whole_row || (s.minima && highest == 3);
    for (int i = 0; i < size; i++) weight[i] = as_is ? importance[i] : importance[i] * sqrtf((once ? variance : 2 * variance) + x[i] * x[i]);
  } else if (s.minima) {
    for (int g = 0; g < s.groups; g++) {
      float squares = 0;
      for (int i = g * s.length; i < (g + 1) * s.length; i++) squares += x[i] * x[i];
      float mean = highest == 3 ? 0 : sqrtf(squares / s.length);
      for (int i = g * s.length; i < (g + 1) * s.length; i++) weight[i] = mean + fabsf(x[i]);
    }
  } else {
    for (int i = 0; i < size; i++) weight[i] = x[i] * x[i];
  }
  float block_unit = 0, minimum_unit = 0;
  auto with_minimum = [&](int g) {
    float from = weighted ? -0.9f : highest == 15 ? -1 : -0.5f, by = weighted ? 0.05f : 0.1f;
    int at = g * s.length;
    return affine(x + at, s.length, highest, &weight[at], from, by, weighted ? 36 : highest == 15 ? 20 : 15, weighted || highest == 15 || highest == 31, &code[at], minimum[g]);
  };
  if (!nested && s.levels) {
    float chosen = levels(x, size, grid, weight.data());
    for (int i = 0; i < size; i++) code[i] = grid.place(x[i] * inverse_of(chosen));
    scale[0] = scale_in_f16(chosen);
  } else if (!nested && s.minima) {
    float low = x[0], high = x[0];
    if (weighted) {
      scale[0] = with_minimum(0);
      low = -minimum[0];
    } else {
      for (int i = 1; i < size; i++) {
        low = least(low, x[i]);
        high = most(high, x[i]);
      }
      scale[0] = (high - low) / highest;
      for (int i = 0; i < size; i++) code[i] = std::min(highest, truncated((x[i] - low) * inverse_of(scale[0]) + 0.5f));
    }
    low = in_f16(low);
    scale[0] = scale_in_f16(most(scale[0], fabsf(low) * 0x1p-20f));
    minimum[0] = -low;
  } else if (!nested && half == 128) {
    float d = fabsf(extreme(x, size)) / 127;
    for (int i = 0; i < size; i++) code[i] = truncated(x[i] * inverse_of(d) + std::copysign(0.5f, x[i] * inverse_of(d)));
    scale[0] = scale_in_f16(d);
  } else if (!nested && weighted) {
    scale[0] = scale_in_f16(symmetric(x, size, half, weight.data(), code.data()));
  } else if (!nested) {
    float d = extreme(x, size) / -half;
    for (int i = 0; i < size; i++) code[i] = (int)((unsigned)std::min(highest, truncated(x[i] * inverse_of(d) + half + 0.5f)) - half);
    scale[0] = scale_in_f16(d);
  } else {
    for (int g = 0; g < s.groups; g++) {
      int at = g * s.length;
      scale[g] = s.minima                  ? with_minimum(g)
                 : s.levels                ? levels(x + at, s.length, grid, &weight[at])
                 : half == 4 && !weighted ? symmetric_by_descent(x + at, s.length, half, &weight[at], &code[at])
                                           : symmetric(x + at, s.length, half, &weight[at], &code[at]);
      for (int i = at; i < at + s.length; i++) of_group[g] += weight[i];
    }
    float exact = 0;
    if (s.minima) {
      block_unit = weighted ? unit(scale.data(), s.groups, s.highest_multiple, of_group.data(), multiple.data()) : plain_unit(scale.data(), s.groups, s.highest_multiple, multiple.data());
      minimum_unit = in_f16(weighted ? unit(minimum.data(), s.groups, s.highest_multiple, of_group.data(), minimum_multiple.data())
                                     : plain_unit(minimum.data(), s.groups, s.highest_multiple, minimum_multiple.data()));
      block_unit = scale_in_f16(most(block_unit, minimum_unit * s.highest_multiple * 0x1p-20f));
    } else if (half == 4 && weighted) {
      exact = symmetric(scale.data(), s.groups, -s.lowest, of_group.data(), multiple.data());
      block_unit = scale_in_f16(exact);
    } else {
      float largest = extreme(scale.data(), s.groups), inverse = s.levels ? inverse_of(largest / s.lowest) : s.lowest / largest;
      exact = s.levels ? largest / s.lowest : 1 / inverse;
      block_unit = scale_in_f16(largest == 0 ? 0 : exact);
      for (int g = 0; g < s.groups; g++) multiple[g] = clamped(largest == 0 ? 1 : rounded(inverse * scale[g]), s.lowest, s.highest_multiple);
    }
    for (int g = 0; g < s.groups; g++) {
      multiple[g] = s.minima ? std::max(1, multiple[g]) : multiple[g] == 0 ? 1 : multiple[g];
      scale[g] = block_unit * multiple[g];
      minimum[g] = minimum_unit * minimum_multiple[g];
      for (int i = g * s.length; i < (g + 1) * s.length; i++)
        code[i] = s.levels   ? grid.place(x[i] * inverse_of(exact * multiple[g]))
                  : s.minima ? clamped(rounded((x[i] + minimum[g]) / scale[g]), 0, highest)
                             : clamped(rounded(x[i] / scale[g]), -half, half - 1);
    }
    into.units.push_back(block_unit);
    if (s.minima) into.minima.push_back(minimum_unit);
  }
  for (int c : code) into.codes.push_back((unsigned char)((unsigned)c + half));  // as Java, which wraps
  for (int g = 0; g < s.groups; g++) {
    into.scales.push_back(scale[g]);
    into.zeros.push_back(s.minima ? minimum[g] / scale[g] : (float)half);
  }
}

}  // namespace plain

// The 16 values of ggml's IQ4 types, halfway to the upper.
static Grid iq4() {
  Grid g;
  g.values = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
  for (int i = 0; i + 1 < 16; i++) g.thresholds.push_back(nextafterf((g.values[i] + g.values[i + 1]) / 2, -INFINITY));
  g.shape.levels = 16;
  return g;
}

struct Type {
  const char* name;
  BlockShape shape;
};
static const Type TYPES[] = {
    {"Q4_0", {0, 15, 8, 32, 1, 1, 1, 0}},      {"Q4_1", {0, 15, 0, 32, 1, 1, 1, 1}},    {"Q5_0", {0, 31, 16, 32, 1, 1, 1, 0}},
    {"Q5_1", {0, 31, 0, 32, 1, 1, 1, 1}},      {"Q8_0", {0, 255, 128, 32, 1, 1, 1, 0}}, {"Q2_K", {0, 3, 0, 16, 16, 0, 15, 1}},
    {"Q3_K", {0, 7, 4, 16, 16, -32, 31, 0}},   {"Q4_K", {0, 15, 0, 32, 8, 0, 63, 1}},   {"Q5_K", {0, 31, 0, 32, 8, 0, 63, 1}},
    {"Q6_K", {0, 63, 32, 16, 16, -128, 127, 0}}, {"IQ4_NL", {16, 15, 0, 32, 1, 1, 1, 0}}, {"IQ4_XS", {16, 15, 0, 32, 8, -32, 31, 0}},
};

static std::vector<float> rows_of_all_kinds(Random& random, int rows, int n) {
  std::vector<float> w = random.normals((size_t)rows * n);
  for (int i = 0; i < n; i++) {
    auto at = [&](int row) -> float& { return w[(size_t)row * n + i]; };
    at(1) = 0;
    at(2) = fabsf(at(2));
    at(3) = -fabsf(at(3));
    at(4) *= 1e-6f;
    at(5) *= 1e-30f;
    if (i % 97 == 5) at(6) = 100;
    at(7) = (float)(i % 7 - 3) * 0.25f;  // candidates tie
    at(8) = 3;
    at(9) = i % 2 == 0 ? -0.0f : 0.0f;
    if (i / 64 % 2 == 0) at(10) = 0;
    at(11) = 40 + 0.01f * at(11);
    at(12) *= 1e5f;                                          // beyond what F16 holds
    at(13) *= 1e-39f;                                        // their reciprocal is infinite
    at(14) = i % 32 == 0 ? 127 : (float)(i % 9) + 0.5f;      // halfway between codes
    at(15) = -40 + (float)(i % 3) * 0x1p-18f;                // a minimum that is far from its scale
  }
  return w;
}

TEST(Blocks, HaveTheBitsOfThePlainLoops) {
  const int rows = 17, n = 768;
  int salt = 0;
  for (const Type& type : TYPES)
    for (bool weighted : {false, true}) {
      const BlockShape& s = type.shape;
      Random random(++salt);
      std::vector<float> w = rows_of_all_kinds(random, rows, n), importance = random.normals(n), squares(rows);
      for (float& x : importance) x = 0.01f + x * x;
      Grid grid = s.levels ? iq4() : Grid();
      std::vector<float> values = grid.values, thresholds = grid.thresholds;
      plain::Blocks want;
      int size = s.length * s.groups;
      for (int b = 0; b < rows * n / size; b++) {
        const float* row = &w[(size_t)b * size / n * n];
        plain::block(s, grid, &w[(size_t)b * size], weighted ? &importance[b * size % n] : nullptr, row, n, want);
      }
      bool of_rows = weighted && s.groups == 1 && !s.levels;
      auto run = [&](Launch launch) {
        auto sums = fresh<float>(rows), scales = fresh<float>(want.scales.size()), zeros = scales, units = fresh<float>(want.units.size()), minima = fresh<float>(want.minima.size());
        auto codes = fresh<unsigned char>(w.size());
        launch(1, 128, 0, [&] { row_squares(w.data(), rows, n, sums.data()); });
        launch((rows * n / s.length + 127) / 128, 128, 4 * 2 * 128 * (s.length + 1), [&] {
          search_blocks(w.data(), rows, n, s, grid.values_or_null(), grid.thresholds_or_null(), weighted ? importance.data() : nullptr, of_rows ? sums.data() : nullptr,
                        scales.data(), zeros.data(), units.data(), minima.data(), codes.data());
        });
        return std::make_tuple(scales, zeros, units, minima, codes);
      };
      auto [scales, zeros, units, minima, codes] = weighted && s.groups > 1 ? in_all_orders(run) : run({Order::shuffled, seed()});
      EXPECT_SAME_BITS(scales, want.scales) << type.name << weighted;
      EXPECT_SAME_BITS(zeros, want.zeros) << type.name << weighted;
      EXPECT_SAME_BITS(units, want.units) << type.name << weighted;
      EXPECT_SAME_BITS(minima, want.minima) << type.name << weighted;
      EXPECT_SAME_BITS(codes, want.codes) << type.name << weighted;
    }
}
