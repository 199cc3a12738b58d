// Grids: from a scaled weight to a code and back, and scales as they will be stored. The same bits as in Java.
#pragma once
#include "device.cuh"

#define TABLE 256  // the most values that a grid of levels has

// A grid's tables in shared memory.
struct Levels {
  const float* values;
  const float* thresholds;
  const unsigned char* code;  // of the value itself: a negative zero's is that of zero, as in a solve in Java
};

// The place of the value that x goes to: how many thresholds lie below it.
DEVICE int place(const float* thresholds, int levels, float x) {
  int from = 0, to = levels - 1;
  while (from < to) {
    int middle = (from + to) / 2;
    if (x > thresholds[middle])
      from = middle + 1;
    else
      to = middle;
  }
  return from;
}

// By all threads of a block, before a barrier of the caller. room: 3 * TABLE floats.
DEVICE Levels load_levels(const GridShape& grid, const float* values, const float* thresholds, float* room) {
  unsigned char* code = (unsigned char*)(room + 2 * TABLE);
  for (int i = threadIdx.x; i < grid.levels; i += blockDim.x) {
    room[i] = values[i];
    if (i < grid.levels - 1) room[TABLE + i] = thresholds[i];
    code[i] = (unsigned char)place(thresholds, grid.levels, values[i]);
  }
  return {room, room + TABLE, code};
}

// The nearest value of the grid to a weight that was divided by its scale, less the zero: quern.device.cpu.GridTile.
DEVICE float nearest_level(const GridShape& grid, const Levels& levels, float x, float zero) {
  if (grid.levels) return levels.values[place(levels.thresholds, grid.levels, x)];
  // Clamped before it is rounded: the same code, and always in the range where ROUND is exact.
  float clamped = fminf(fmaxf(x, grid.lowest - zero), grid.highest - zero);
  float fraction = zero - ((zero + ROUND) - ROUND);  // 0 but where zeros are no whole numbers
  return (clamped + fraction + ROUND) - ROUND - fraction;
}

// The code of a value that nearest_level returned.
DEVICE unsigned code_of_level(const GridShape& grid, const Levels& levels, float level, float zero) {
  if (grid.levels) return levels.code[place(levels.thresholds, grid.levels, level)];
  return (unsigned)(int)(level + zero + ROUND - ROUND) & 0xffu;
}

// What a code stands for, less the zero.
DEVICE float value_of_code(const GridShape& grid, const Levels& levels, unsigned code, float zero) {
  return grid.levels ? levels.values[code] - zero : (float)code - zero;
}

// What is left of a positive, finite value that was stored with `exponent` bits of exponent and `mantissa` bits: quern.tensor.HalfFloats.
DEVICE float through_small_float(float value, int exponent, int mantissa) {
  int bias = (1 << (exponent - 1)) - 1;
  unsigned bits = __float_as_uint(value);
  if (bits < (unsigned)(128 - bias) << 23) {
    // Subnormal: one unit in the last place of `unit` is the smallest code, so the adder rounds for us.
    float unit = __uint_as_float((unsigned)(127 + 23 + 1 - bias - mantissa) << 23);
    return (value + unit) - unit;
  }
  int shift = 23 - mantissa;
  return __uint_as_float((bits + (1u << (shift - 1)) - 1 + (bits >> shift & 1u)) >> shift << shift);
}

// A scale as it will be stored, finite and not zero: quern.device.StoredScale. Every type's largest value bounds it, so nothing overflows.
DEVICE float stored_scale(const SearchShape& search, float value) {
  bool negative = search.has_sign && value < 0.0f;
  float magnitude = negative ? -value : value;
  float clamped = fmaxf(search.smallest, fminf(search.largest, magnitude * search.divisor));
  if (search.scale_type == 4) return __uint_as_float((__float_as_uint(clamped) + (1u << 21)) & 0x7f800000u);
  float rounded = clamped;
  if (search.scale_type == 1) rounded = through_small_float(clamped, 5, 10);
  if (search.scale_type == 2) rounded = through_small_float(clamped, 8, 7);
  if (search.scale_type == 3) rounded = through_small_float(clamped, 4, 3);
  float stored = __fdiv_rn(rounded, search.divisor);
  return negative ? -stored : stored;
}
