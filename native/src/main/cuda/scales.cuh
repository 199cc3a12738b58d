// The search of a group's scale: quern.device.GridSearchLoops, bit for bit. Eight lanes share a row; each tries every eighth factor over all
// columns in order, so sums are those of the plain loop and nothing is exchanged before the end.
#pragma once
#include "grid.cuh"

#define LANES 8
#define COLUMNS 128  // of a piece of a row in shared memory
#define PITCH_OF_PIECE 132

struct Range {
  float low, high;  // at most and at least 0
};

// What a group has so far.
DEVICE Range range_of_piece(Range r, const float* piece, int count, int lane) {
  for (int j = lane; j < count; j += LANES) {
    r.low = fminf(r.low, piece[j]);
    r.high = fmaxf(r.high, piece[j]);
  }
  return r;
}
DEVICE Range range_of_lanes(Range r) {
#pragma unroll
  for (int distance = LANES / 2; distance > 0; distance >>= 1) {
    r.low = fminf(r.low, __shfl_xor_sync(ALL_LANES, r.low, distance, LANES));
    r.high = fmaxf(r.high, __shfl_xor_sync(ALL_LANES, r.high, distance, LANES));
  }
  return r;
}

// The scale that spans the range: quern.device.GridSearch.
DEVICE float full_scale(const GridShape& grid, Range r) {
  if (r.low == r.high) r = {-1.0f, 1.0f};  // there are only zeros
  return __fdiv_rn(grid.symmetric ? fmaxf(-r.low, r.high) : r.high - r.low, grid.span);
}

// The zero point that the range implies; it may be out of bounds.
DEVICE float middle_zero(const GridShape& grid, Range r, float full) {
  return grid.symmetric ? grid.middle : rintf(__fdiv_rn(r.low == r.high ? 1.0f : -r.low, full));
}

DEVICE float bounded_zero(const GridShape& grid, float implied) { return fmaxf(grid.lowest_zero, fminf(grid.highest_zero, implied)); }

// |x|^2.4 by the table: quern.device.Power. 0 for subnormal x.
DEVICE float power_by_table(const float* powers, float x) {
  unsigned bits = __float_as_uint(x) & 0x7fffffffu;
  unsigned step = bits >> 11 & 4095u;
  float rest = (float)(bits & 2047u) * (1.0f / 2048.0f);
  const float* mantissa = powers + 256 + step;
  float from = __ldg(mantissa), to = __ldg(mantissa + 1);
  return __ldg(powers + (bits >> 23)) * (from + rest * (to - from));
}

struct Chosen {
  float scale, zero;
};

// The candidates of one lane, ZEROS zero points for each of SLOTS factors, and their errors.
template <int ZEROS, int SLOTS>
struct Candidates {
  float scale[SLOTS], inverse[SLOTS], zero[ZEROS], lowest[ZEROS], highest[ZEROS], error[ZEROS][SLOTS];
  int slots;  // that hold a factor

  DEVICE_MEMBER void begin(const GridShape& grid, const SearchShape& search, const float* factors, Range range, int lane) {
    float full = full_scale(grid, range), middle = middle_zero(grid, range, full);
    slots = (search.factors - lane + LANES - 1) / LANES;
#pragma unroll
    for (int s = 0; s < SLOTS; s++) {
      scale[s] = stored_scale(search, full * (s < slots ? factors[lane + LANES * s] : 1.0f));
      inverse[s] = __fdiv_rn(1.0f, scale[s]);
    }
#pragma unroll
    for (int v = 0; v < ZEROS; v++) {
      zero[v] = bounded_zero(grid, middle + (v == 0 ? 0.0f : 2.0f * v - 3.0f));
      lowest[v] = grid.lowest - zero[v];
      highest[v] = grid.highest - zero[v];
#pragma unroll
      for (int s = 0; s < SLOTS; s++) error[v][s] = 0.0f;
    }
  }

  // f(candidate's scale, inverse, lowest, highest): the error that one column adds.
  template <class F>
  DEVICE_MEMBER void column(F f) {
#pragma unroll
    for (int s = 0; s < SLOTS; s++) {
      if (s >= slots) break;
#pragma unroll
      for (int v = 0; v < ZEROS; v++) error[v][s] += f(scale[s], inverse[s], lowest[v], highest[v]);
    }
  }

  // One piece of a row; importance of its columns in shared memory.
  DEVICE_MEMBER void measure(const GridShape& grid, const SearchShape& search, const Levels& levels, const float* powers,
                                          const float* piece, const float* importance, int count) {
    if (grid.levels) {
#pragma unroll 1
      for (int j = 0; j < count; j++) {
        float w = piece[j], weight = importance[j];
        column([=](float scale, float inverse, float, float) {
          float e = w - scale * levels.values[place(levels.thresholds, grid.levels, w * inverse)];
          return weight * e * e;
        });
      }
    } else if (search.rule == 2) {
#pragma unroll 1
      for (int j = 0; j < count; j++) {
        float w = piece[j];
        column([=](float scale, float inverse, float lowest, float highest) {
          float level = fmaxf(lowest, fminf(highest, (w * inverse + ROUND) - ROUND));
          return power_by_table(powers, scale * level - w);
        });
      }
    } else {
#pragma unroll 1
      for (int j = 0; j < count; j++) {
        float w = piece[j], weight = importance[j];
        column([=](float scale, float inverse, float lowest, float highest) {
          float level = fmaxf(lowest, fminf(highest, (w * inverse + ROUND) - ROUND));
          float e = w - scale * level;
          return weight * e * e;
        });
      }
    }
  }

  // The first candidate with the smallest error, the same in all lanes of the row.
  DEVICE_MEMBER Chosen best(const SearchShape& search, int lane) const {
    float least = positive_infinity(), best_scale = scale[0], best_zero = zero[0];
    int number = slots > 0 ? lane : 0x7fffffff;
#pragma unroll
    for (int v = 0; v < ZEROS; v++) {
#pragma unroll
      for (int s = 0; s < SLOTS; s++) {
        if (s >= slots) break;
        if (error[v][s] < least) {
          least = error[v][s];
          best_scale = scale[s];
          best_zero = zero[v];
          number = v * search.factors + lane + LANES * s;
        }
      }
    }
#pragma unroll
    for (int distance = LANES / 2; distance > 0; distance >>= 1) {
      float other = __shfl_xor_sync(ALL_LANES, least, distance, LANES);
      float other_scale = __shfl_xor_sync(ALL_LANES, best_scale, distance, LANES);
      float other_zero = __shfl_xor_sync(ALL_LANES, best_zero, distance, LANES);
      int other_number = __shfl_xor_sync(ALL_LANES, number, distance, LANES);
      if (other < least || (other == least && other_number < number)) {
        least = other;
        best_scale = other_scale;
        best_zero = other_zero;
        number = other_number;
      }
    }
    return {best_scale, best_zero};
  }
};

template <int ZEROS, int SLOTS, class Bring>
DEVICE Chosen choose_of(const GridShape& grid, const SearchShape& search, const Levels& levels, const float* factors, const float* powers,
                        Range range, int lane, const float* piece, const float* importance, int count, Bring bring) {
  Candidates<ZEROS, SLOTS> candidates;
  candidates.begin(grid, search, factors, range, lane);
  for (int c = 0; c < count; c += COLUMNS) {
    bring(c);
    candidates.measure(grid, search, levels, powers, piece, importance, min(COLUMNS, count - c));
  }
  return candidates.best(search, lane);
}

// bring(c) makes columns [c, c + COLUMNS) of the group stand in piece and importance.
template <class Bring>
DEVICE Chosen choose(const GridShape& grid, const SearchShape& search, const Levels& levels, const float* factors, const float* powers,
                     Range range, int lane, const float* piece, const float* importance, int count, Bring bring) {
  if (search.rule == 0) {
    float full = full_scale(grid, range);
    return {stored_scale(search, full * factors[0]), bounded_zero(grid, middle_zero(grid, range, full))};
  }
  if (search.zeros == 3)
    return choose_of<3, 6>(grid, search, levels, factors, powers, range, lane, piece, importance, count, bring);
  return choose_of<1, 10>(grid, search, levels, factors, powers, range, lane, piece, importance, count, bring);
}
