// The search of the grids of blocks, as ggml's quantizers do it: quern.device.BlockSearchLoops and BlockFit, bit for bit. A thread has a group
// of 16 or 32 columns, so that sums are those of the plain loop; the first thread of a block of groups fits their common unit.
#include "grid.cuh"

#define GROUPS 128          // of a block of threads
#define LONGEST 32          // columns of a group
#define NOTHING 1e-15f      // below it a weight counts as zero
#define FURTHEST 0x1p-20f   // a unit is no smaller a part of its minimum's: a zero stays a number that a float holds
#define LARGEST_F16 65504.0f

// The conversion of Java: nothing for a NaN, and held in range.
DEVICE int whole(float x) {
  if (x != x) return 0;
  return x >= 2147483648.0f ? 0x7fffffff : x <= -2147483648.0f ? -0x7fffffff - 1 : (int)x;
}
DEVICE int nearest(float x) { return whole(x + ROUND - ROUND); }
DEVICE int bounded(int x, int lowest, int highest) { return max(lowest, min(highest, x)); }

// Of two zeros the negative one is the smaller, as in Java.
DEVICE float smaller(float a, float b) { return a < b ? a : b < a ? b : __uint_as_float(__float_as_uint(a) | __float_as_uint(b)); }
DEVICE float larger(float a, float b) { return a > b ? a : b > a ? b : __uint_as_float(__float_as_uint(a) & __float_as_uint(b)); }

DEVICE float with_sign(float magnitude, float of) { return __uint_as_float(__float_as_uint(magnitude) | (__float_as_uint(of) & 0x80000000u)); }
DEVICE float reciprocal(float x) { return x == 0.0f ? 0.0f : __fdiv_rn(1.0f, x); }

// As F16, within its range; a scale is never zero.
DEVICE float in_f16(float x) { return with_sign(through_small_float(fminf(LARGEST_F16, fabsf(x)), 5, 10), x); }
DEVICE float scale_in_f16(float x) { return with_sign(through_small_float(fminf(LARGEST_F16, fmaxf(0x1p-24f, fabsf(x))), 5, 10), x); }

// The first of the largest magnitude, with its sign.
DEVICE float extreme_of(const float* x, int n) {
  float found = 0.0f;
  for (int i = 0; i < n; i++)
    if (fabsf(x[i]) > fabsf(found)) found = x[i];
  return found;
}

// A scale, and what codes are found by: code = nearest(inverse * (x - low)).
struct Fitted {
  float scale, inverse, low;
  float minimum;  // what is taken away
};

// Without minimum: of 19 scales between the range and a tenth of a step around each side of it.
DEVICE Fitted fit_symmetric(const float* x, int n, int half, const float* weights) {
  float extreme = extreme_of(x, n);
  Fitted best = {0.0f, 0.0f, 0.0f, 0.0f};
  if (fabsf(extreme) < NOTHING) return best;
  float measure = 0.0f;
  for (int step = 0; step < 19; step++) {
    int k = step == 0 ? 0 : step < 10 ? step - 10 : step - 9;
    float inverse = __fdiv_rn(-(half + 0.1f * k), extreme), xl = 0.0f, ll = 0.0f;
    for (int i = 0; i < n; i++) {
      int code = bounded(nearest(inverse * x[i]), -half, half - 1);
      xl += weights[i] * x[i] * code;
      ll += weights[i] * code * code;
    }
    if (step == 0 || (ll > 0.0f && xl * xl > measure * ll)) {
      best.scale = ll > 0.0f ? __fdiv_rn(xl, ll) : 0.0f;
      best.inverse = inverse;
      measure = best.scale * xl;
    }
  }
  return best;
}

// Each code in turn to the best one for the scale that fits all others; the scale of the last ones.
template <class Code>
DEVICE float fit_by_descent(const float* x, int n, int lowest, int highest, const float* weights, Code* codes) {
  float xl = 0.0f, ll = 0.0f;
  for (int i = 0; i < n; i++) {
    xl += weights[i] * x[i] * codes[i];
    ll += weights[i] * codes[i] * codes[i];
  }
  bool changed = true;
  for (int sweep = 0; sweep < 5 && changed; sweep++) {
    changed = false;
    for (int i = 0; i < n; i++) {
      float w = weights[i], rest_xl = xl - w * x[i] * codes[i], rest_ll = ll - w * codes[i] * codes[i];
      if (!(rest_xl > 0.0f && rest_ll > 0.0f)) continue;
      int code = bounded(nearest(__fdiv_rn(x[i] * rest_ll, rest_xl)), lowest, highest);
      if (code == codes[i]) continue;
      rest_xl += w * x[i] * code;
      rest_ll += w * code * code;
      if (rest_ll > 0.0f && rest_xl * rest_xl * ll > xl * xl * rest_ll) {
        codes[i] = (Code)code;
        xl = rest_xl;
        ll = rest_ll;
        changed = true;
      }
    }
  }
  return ll > 0.0f ? __fdiv_rn(xl, ll) : 0.0f;
}

// Scales, or minima, as multiples of a unit; the unit.
DEVICE float fit_unit(const float* values, int n, int highest, const float* weights, int* multiples) {
  float largest = 0.0f;
  for (int i = 0; i < n; i++) largest = larger(largest, values[i]);
  if (largest < NOTHING) {
    for (int i = 0; i < n; i++) multiples[i] = 0;
    return 0.0f;
  }
  float inverse = __fdiv_rn((float)highest, largest), best = positive_infinity();
  for (int step = 0; step < 9; step++) {
    int k = step == 0 ? 0 : step < 5 ? step - 5 : step - 4;
    float candidate = __fdiv_rn(step == 0 ? (float)highest : 0.1f * k + highest, largest), scale = __fdiv_rn(1.0f, candidate), error = 0.0f;
    for (int i = 0; i < n; i++) {
      float e = values[i] - scale * min(highest, nearest(candidate * values[i]));
      error += weights[i] * e * e;
    }
    if (error < best) {
      best = error;
      inverse = candidate;
    }
  }
  for (int i = 0; i < n; i++) multiples[i] = min(highest, nearest(inverse * values[i]));
  return fit_by_descent(values, n, -0x7fffffff - 1, highest, weights, multiples);
}

// The same without weights: parts of the largest.
DEVICE float plain_unit(const float* values, int n, int highest, int* multiples) {
  float largest = 0.0f;
  for (int i = 0; i < n; i++) largest = larger(largest, values[i]);
  float inverse = largest > 0.0f ? __fdiv_rn((float)highest, largest) : 0.0f;
  for (int i = 0; i < n; i++) multiples[i] = min(highest, nearest(inverse * values[i]));
  return __fdiv_rn(largest, (float)highest);
}

// Which inverse scales are tried with a minimum, and whether errors are squared.
struct Steps {
  float from, by;
  int count, squared;
};
DEVICE float measured(float difference, const Steps& steps) { return steps.squared ? difference * difference : fabsf(difference); }

// With a minimum: w = scale * code - minimum.
DEVICE Fitted fit_affine(const float* x, int n, int highest, const float* weights, const Steps& steps) {
  float low = 0.0f, high = x[0], sum = 0.0f, sum_x = 0.0f;
  for (int i = 0; i < n; i++) {
    low = smaller(low, x[i]);
    high = larger(high, x[i]);
    sum += weights[i];
    sum_x += weights[i] * x[i];
  }
  Fitted best = {0.0f, 0.0f, low, -low};
  if (high <= low) return best;
  float least = 0.0f;
  best.inverse = __fdiv_rn((float)highest, high - low);
  best.scale = __fdiv_rn(1.0f, best.inverse);
  for (int i = 0; i < n; i++) {
    int code = bounded(nearest(best.inverse * (x[i] - low)), 0, highest);
    least += weights[i] * measured(best.scale * code + low - x[i], steps);
  }
  for (int k = 0; k <= steps.count; k++) {
    // What was taken last moves the low end for those that follow, as in the reference.
    float inverse = __fdiv_rn(steps.from + steps.by * k + highest, high - low), l = 0.0f, ll = 0.0f, lx = 0.0f;
    for (int i = 0; i < n; i++) {
      int code = bounded(nearest(inverse * (x[i] - low)), 0, highest);
      float w = weights[i];
      l += w * code;
      ll += w * code * code;
      lx += w * code * x[i];
    }
    float determinant = sum * ll - l * l;
    if (!(determinant > 0.0f)) continue;
    float fitted = __fdiv_rn(sum * lx - sum_x * l, determinant), offset = __fdiv_rn(ll * sum_x - l * lx, determinant);
    if (offset > 0.0f) {
      offset = 0.0f;
      fitted = __fdiv_rn(lx, ll);
    }
    float error = 0.0f;
    for (int i = 0; i < n; i++) {
      int code = bounded(nearest(inverse * (x[i] - low)), 0, highest);
      error += weights[i] * measured(fitted * code + offset - x[i], steps);
    }
    if (error < least) {
      least = error;
      best = {fitted, inverse, low, 0.0f};
      low = offset;
    }
  }
  best.minimum = -low;
  return best;
}

// Of a grid of levels: of 16 scales around where the extreme meets the lowest level.
DEVICE float fit_levels(const float* x, int n, const Levels& levels, int count, const float* weights) {
  float extreme = extreme_of(x, n);
  if (fabsf(extreme) < NOTHING) return 0.0f;
  float lowest = levels.values[0], scale = 0.0f, best = 0.0f;
  for (int step = 0; step < 16; step++) {
    float inverse = step == 0 ? __fdiv_rn(1.0f, __fdiv_rn(-extreme, lowest)) : __fdiv_rn(step - 8 + lowest, extreme);
    float qx = 0.0f, qq = 0.0f;
    for (int i = 0; i < n; i++) {
      float level = levels.values[place(levels.thresholds, count, inverse * x[i])];
      qx += weights[i] * level * x[i];
      qq += weights[i] * level * level;
    }
    if (step == 0 || (qq > 0.0f && qx * qx > best * qq)) {
      scale = __fdiv_rn(qx, qq);
      best = scale * qx;
    }
  }
  return scale;
}

// What one thread knows: its group, and the groups of its block, in shared memory.
struct Group {
  const BlockShape& shape;
  const Levels& levels;
  const float* x;  // its columns
  float* weight;   // what their squared errors weigh
  bool weighted;   // by importance
};

// Errors of large weights count more: of inputs as important as the weight itself makes them. squares: of the whole row, or of the block.
DEVICE void weigh(const Group& g, float squares, int count) {
  const BlockShape& shape = g.shape;
  if (g.weighted) {
    if (shape.groups > 1 && shape.half == 32) return;  // importance as it is
    bool once = (shape.groups == 1 && !shape.levels) || (shape.minima && shape.highest == 3);
    float variance = __fdiv_rn(squares, (float)count);
    for (int i = 0; i < shape.length; i++) g.weight[i] = g.weight[i] * __fsqrt_rn((once ? variance : 2.0f * variance) + g.x[i] * g.x[i]);
  } else if (shape.minima) {
    float own = 0.0f;
    for (int i = 0; i < shape.length; i++) own += g.x[i] * g.x[i];
    float mean = shape.highest == 3 ? 0.0f : __fsqrt_rn(__fdiv_rn(own, (float)shape.length));
    for (int i = 0; i < shape.length; i++) g.weight[i] = mean + fabsf(g.x[i]);
  } else {
    for (int i = 0; i < shape.length; i++) g.weight[i] = g.x[i] * g.x[i];
  }
}

DEVICE Fitted fit_with_minimum(const Group& g) {
  int highest = g.shape.highest;
  Steps steps = g.weighted ? Steps{-0.9f, 0.05f, 36, 1} : highest == 15 ? Steps{-1.0f, 0.1f, 20, 1} : Steps{-0.5f, 0.1f, 15, highest == 31};
  return fit_affine(g.x, g.shape.length, highest, g.weight, steps);
}

// A scale that is stored by itself, and the codes.
DEVICE Fitted fit_single(const Group& g, unsigned char* codes) {
  const BlockShape& shape = g.shape;
  int n = shape.length, half = shape.half, highest = shape.highest;
  const float* x = g.x;
  Fitted f = {0.0f, 0.0f, 0.0f, 0.0f};
  if (shape.levels) {
    float scale = fit_levels(x, n, g.levels, shape.levels, g.weight), inverse = reciprocal(scale);
    for (int i = 0; i < n; i++) codes[i] = (unsigned char)place(g.levels.thresholds, shape.levels, x[i] * inverse);
    f.scale = scale_in_f16(scale);
  } else if (shape.minima) {
    if (g.weighted) {
      f = fit_with_minimum(g);
      for (int i = 0; i < n; i++) codes[i] = (unsigned char)bounded(nearest(f.inverse * (x[i] - f.low)), 0, highest);
    } else {
      float low = x[0], high = x[0];
      for (int i = 1; i < n; i++) {
        low = smaller(low, x[i]);
        high = larger(high, x[i]);
      }
      f.scale = __fdiv_rn(high - low, (float)highest);
      f.minimum = -low;
      float inverse = reciprocal(f.scale);
      for (int i = 0; i < n; i++) codes[i] = (unsigned char)min(highest, whole((x[i] - low) * inverse + 0.5f));
    }
    float low = in_f16(-f.minimum);
    f.scale = scale_in_f16(larger(f.scale, fabsf(low) * FURTHEST));
    f.minimum = -low;
  } else if (half == 128) {  // not searched, and without its lowest code
    float scale = __fdiv_rn(fabsf(extreme_of(x, n)), 127.0f), inverse = reciprocal(scale);
    for (int i = 0; i < n; i++) {
      float q = x[i] * inverse;
      codes[i] = (unsigned char)((unsigned)whole(q + with_sign(0.5f, q)) + half);  // half away from zero
    }
    f.scale = scale_in_f16(scale);
  } else if (g.weighted) {
    f = fit_symmetric(x, n, half, g.weight);
    for (int i = 0; i < n; i++) codes[i] = (unsigned char)(bounded(nearest(f.inverse * x[i]), -half, half - 1) + half);
    f.scale = scale_in_f16(f.scale);
  } else {
    float scale = __fdiv_rn(extreme_of(x, n), (float)-half), inverse = reciprocal(scale);
    for (int i = 0; i < n; i++) codes[i] = (unsigned char)min(highest, whole(x[i] * inverse + half + 0.5f));
    f.scale = scale_in_f16(scale);
  }
  return f;
}

// The scale of a group before its block has a unit. room: of its codes, for a descent.
DEVICE Fitted fit_group(const Group& g, signed char* room) {
  const BlockShape& shape = g.shape;
  int n = shape.length, half = shape.half;
  if (shape.minima) return fit_with_minimum(g);
  if (shape.levels) return {fit_levels(g.x, n, g.levels, shape.levels, g.weight), 0.0f, 0.0f, 0.0f};
  if (half != 4 || g.weighted) return fit_symmetric(g.x, n, half, g.weight);
  float extreme = extreme_of(g.x, n);
  if (fabsf(extreme) < NOTHING) return {0.0f, 0.0f, 0.0f, 0.0f};
  float inverse = __fdiv_rn((float)-half, extreme);
  for (int i = 0; i < n; i++) room[i] = (signed char)bounded(nearest(inverse * g.x[i]), -half, half - 1);
  return {fit_by_descent(g.x, n, -half, half - 1, g.weight, room), 0.0f, 0.0f, 0.0f};
}

// The unit of a block without minima, before it is rounded, and its multiples.
DEVICE float unit_of_scales(const BlockShape& shape, bool weighted, const float* scale, const float* weight, int* multiple) {
  int n = shape.groups;
  if (shape.half == 4 && weighted) {
    Fitted f = fit_symmetric(scale, n, -shape.lowest, weight);
    for (int g = 0; g < n; g++) multiple[g] = bounded(nearest(f.inverse * scale[g]), shape.lowest, -shape.lowest - 1);
    return f.scale;
  }
  float extreme = extreme_of(scale, n), lowest = (float)shape.lowest;
  float inverse = shape.levels ? reciprocal(__fdiv_rn(extreme, lowest)) : __fdiv_rn(lowest, extreme);
  for (int g = 0; g < n; g++) multiple[g] = bounded(extreme == 0.0f ? 1 : nearest(inverse * scale[g]), shape.lowest, shape.highest_multiple);
  return extreme == 0.0f ? 0.0f : shape.levels ? __fdiv_rn(extreme, lowest) : __fdiv_rn(1.0f, inverse);
}

// The code of a column of a group whose scale is the unit's multiple.
DEVICE int code_in_block(const BlockShape& shape, const Levels& levels, float x, float scale, float minimum, float inverse) {
  if (shape.levels) return place(levels.thresholds, shape.levels, x * inverse);
  if (shape.minima) return bounded(nearest(__fdiv_rn(x + minimum, scale)), 0, shape.highest);
  return bounded(nearest(__fdiv_rn(x, scale)), -shape.half, shape.half - 1) + shape.half;
}

extern "C" __global__ void __launch_bounds__(128) row_squares(const float* w, int rows, int n, float* sums) {
  int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  float sum = 0.0f;
  for (int i = 0; i < n; i++) sum += w[(long long)row * n + i] * w[(long long)row * n + i];
  sums[row] = sum;
}

extern "C" __global__ void __launch_bounds__(128) search_blocks(const float* w, int rows, int n, BlockShape shape, const float* values, const float* thresholds, const float* importance, const float* squares_of_rows, float* scales, float* zeros, float* units, float* minima, unsigned char* codes) {
  DYNAMIC_SHARED(float, xs);  // GROUPS x pitch, then weights as many
  SHARED(float, tables, 3 * TABLE);
  SHARED(float, scale_of, GROUPS);
  SHARED(float, minimum_of, GROUPS);
  SHARED(float, weight_of, GROUPS);
  SHARED(int, multiple_of, GROUPS);
  SHARED(int, minimum_multiple_of, GROUPS);
  SHARED(float, unit_of, GROUPS);  // of blocks, at their first group; likewise:
  SHARED(float, exact_of, GROUPS);
  SHARED(float, minimum_unit_of, GROUPS);
  SHARED(signed char, rooms, GROUPS * LONGEST);
  int length = shape.length, groups = shape.groups, pitch = length + 1;
  float* weights = xs + GROUPS * pitch;
  long long first = (long long)blockIdx.x * GROUPS, all = (long long)rows * (n / length), number = first + threadIdx.x;
  GridShape grid = {};
  grid.levels = shape.levels;
  Levels levels = load_levels(grid, values, thresholds, tables);
  for (int i = threadIdx.x; i < GROUPS * length; i += GROUPS) {
    long long at = first * length + i;
    bool there = at < all * length;
    xs[i / length * pitch + i % length] = there ? w[at] : 0.0f;
    weights[i / length * pitch + i % length] = there && importance ? importance[at % n] : 1.0f;
  }
  __syncthreads();

  int begin = (int)threadIdx.x / groups * groups;  // the first group of its block
  bool live = number < all;                        // idle groups still take part in every barrier
  Group own = {shape, levels, xs + threadIdx.x * pitch, weights + threadIdx.x * pitch, importance != nullptr};
  float squares = 0.0f;
  if (squares_of_rows) {
    squares = live ? squares_of_rows[number * length / n] : 0.0f;
  } else if (importance) {
    for (int g = begin; g < begin + groups; g++)
      for (int i = 0; i < length; i++) squares += xs[g * pitch + i] * xs[g * pitch + i];
  }
  weigh(own, squares, squares_of_rows ? n : groups * length);

  Fitted fitted;
  if (groups == 1) {
    unsigned char* room = (unsigned char*)rooms + threadIdx.x * LONGEST;
    fitted = fit_single(own, room);
    for (int i = 0; live && i < length; i++) codes[number * length + i] = room[i];
  } else {
    fitted = fit_group(own, rooms + threadIdx.x * LONGEST);
    float sum = 0.0f;
    for (int i = 0; i < length; i++) sum += own.weight[i];
    scale_of[threadIdx.x] = fitted.scale;
    minimum_of[threadIdx.x] = fitted.minimum;
    weight_of[threadIdx.x] = sum;
    __syncthreads();
    if ((int)threadIdx.x == begin) {
      const float *scale = scale_of + begin, *minimum = minimum_of + begin, *weight = weight_of + begin;
      int *multiple = multiple_of + begin, *minimum_multiple = minimum_multiple_of + begin, highest = shape.highest_multiple;
      if (shape.minima) {
        float unit = importance ? fit_unit(scale, groups, highest, weight, multiple) : plain_unit(scale, groups, highest, multiple);
        float of_minima = importance ? fit_unit(minimum, groups, highest, weight, minimum_multiple) : plain_unit(minimum, groups, highest, minimum_multiple);
        of_minima = in_f16(of_minima);
        minimum_unit_of[begin] = of_minima;
        unit_of[begin] = scale_in_f16(larger(unit, of_minima * highest * FURTHEST));
        exact_of[begin] = unit;
      } else {
        float exact = unit_of_scales(shape, own.weighted, scale, weight, multiple);
        exact_of[begin] = exact;
        unit_of[begin] = scale_in_f16(exact);
      }
    }
    __syncthreads();
    float unit = unit_of[begin];
    int multiple = multiple_of[threadIdx.x];
    multiple = shape.minima ? max(1, multiple) : multiple == 0 ? 1 : multiple;
    fitted.scale = unit * multiple;
    fitted.minimum = shape.minima ? minimum_unit_of[begin] * minimum_multiple_of[threadIdx.x] : 0.0f;
    float inverse = reciprocal(exact_of[begin] * multiple);
    for (int i = 0; live && i < length; i++)
      codes[number * length + i] = (unsigned char)code_in_block(shape, levels, own.x[i], fitted.scale, fitted.minimum, inverse);
    if (live && (int)threadIdx.x == begin) {
      units[number / groups] = unit;
      if (shape.minima) minima[number / groups] = minimum_unit_of[begin];
    }
  }
  if (!live) return;
  scales[number] = fitted.scale;
  zeros[number] = shape.minima ? __fdiv_rn(fitted.minimum, fitted.scale) : (float)shape.half;
}

#undef GROUPS
#undef LONGEST
#undef NOTHING
#undef FURTHEST
#undef LARGEST_F16
