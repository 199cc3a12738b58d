// One round of coordinate descent over the codes of a block, and the fit of its scale: quern.device.cpu.Descent, quern.method.Refinement.
// SHARE lanes have a row, each 16 of its columns in registers (4 SHARE k + 4 lane + t). Rows of the Hessian pass through shared memory, 32 at
// a time.
#include "grid.cuh"

#define RUNS 4
#define AT_ONCE 32

// Rows [first, first + AT_ONCE) of the block of the member's H, WIDTH columns each, zeros from `width` on.
template <int WIDTH>
DEVICE void load_rows_of_hessian(const float* hessian, int n, int from, int width, int first, float* hs) {
  bool fours = by_fours(hessian + from, n);
  for (int m = threadIdx.x; m < AT_ONCE * WIDTH / 4; m += blockDim.x) {
    int i = m / (WIDTH / 4), j = m % (WIDTH / 4) * 4;
    Four f = {{0, 0, 0, 0}};
    if (first + i < width) f = load4(hessian + ((long long)blockIdx.y * n + from + first + i) * n + from, j, width, fours);
    store4(hs + i * WIDTH + j, f);
  }
}

// Calls visit(k, t, l, row of H) for each column of the block in turn, which is lane l's x[k][t]. For all threads of a block.
template <int SHARE, class Visit>
DEVICE void each_column(const float* hessian, int n, int from, int width, float* hs, Visit visit) {
  const int WIDTH = 16 * SHARE;
#pragma unroll
  for (int k = 0; k < RUNS; k++) {
#pragma unroll 1
    for (int l = 0; l < SHARE; l++) {
      int run = 4 * (k * SHARE + l);
      if (run >= width) break;
      if (run % AT_ONCE == 0) {
        __syncthreads();
        load_rows_of_hessian<WIDTH>(hessian, n, from, width, run, hs);
        __syncthreads();
      }
#pragma unroll
      for (int t = 0; t < 4; t++)
        if (run + t < width) visit(k, t, l, hs + (run + t) % AT_ONCE * WIDTH);
    }
  }
}

// x += moved * row, all columns: a product, then a sum.
template <int SHARE>
DEVICE void add_row(float (&x)[RUNS][4], const float* row, int lane, float moved) {
#pragma unroll
  for (int m = 0; m < RUNS; m++) {
    Four h = load4(row + 4 * (m * SHARE + lane));
#pragma unroll
    for (int s = 0; s < 4; s++) x[m][s] = x[m][s] + moved * h.x[s];
  }
}

// The sum over all columns in order, the same in all lanes of a row.
template <int SHARE>
DEVICE float sum_in_order(const float (&x)[RUNS][4], int width) {
  float sum = 0.0f;
#pragma unroll
  for (int k = 0; k < RUNS; k++)
#pragma unroll 1
    for (int l = 0; l < SHARE; l++)
#pragma unroll
      for (int t = 0; t < 4; t++) {
        float value = __shfl_sync(ALL_LANES, x[k][t], l, SHARE);
        if (4 * (k * SHARE + l) + t < width) sum += value;
      }
  return sum;
}

// quern.device.Grids.Multiples.
DEVICE float nearest_multiple(const Multiples& multiples, float unit, float value) {
  float k = fmaxf(multiples.lowest, fminf(multiples.highest, rintf(__fdiv_rn(value, unit))));
  return unit * (k == 0.0f ? 1.0f : k);
}

template <int SHARE>
DEVICE void descend(const float* gradient, const float* hessian, int rows, int n, int from, int width, const GridShape& grid,
                    const SearchShape& search, const float* values, const float* thresholds, int group, int groups, float* scales,
                    const float* zeros, const float* units, const Multiples& multiples, int fits, unsigned char* codes, float* change) {
  const int WIDTH = 16 * SHARE;
  DYNAMIC_SHARED(float, hs);
  Levels levels = load_levels(grid, values, thresholds, hs + AT_ONCE * WIDTH);
  __syncthreads();
  int lane = threadIdx.x % SHARE, row = blockIdx.x * (blockDim.x / SHARE) + threadIdx.x / SHARE;
  bool live = row < rows;  // idle rows still take part in every shuffle and barrier
  long long of_row = (long long)blockIdx.y * rows + (live ? row : 0);  // in the stack
  long long at = of_row * n + from, g = of_row * groups + group;
  float scale = scales[g], zero = zeros[g];
  float* changed = change + of_row * width;
  bool fours = by_fours(gradient + at, n);

  float slope[RUNS][4], level[RUNS][4];
#pragma unroll
  for (int k = 0; k < RUNS; k++) {
    int i = 4 * (k * SHARE + lane);
    Four f = load4(gradient + at, i, width, fours);
#pragma unroll
    for (int t = 0; t < 4; t++) {
      slope[k][t] = f.x[t];
      level[k][t] = i + t < width ? value_of_code(grid, levels, codes[at + i + t], zero) : 0.0f;
      if (live && i + t < width) changed[i + t] = scale * level[k][t];  // quantized before; the same thread reads it at the end
    }
  }

  each_column<SHARE>(hessian, n, from, width, hs, [&](int k, int t, int l, const float* h) {
    float inverse = __fdiv_rn(1.0f, h[4 * k * SHARE + 4 * l + t]);  // so written, nothing spills on sm_90
    float chosen = nearest_level(grid, levels, level[k][t] + __fdiv_rn(slope[k][t] * inverse, scale), zero);
    float moved = scale * (level[k][t] - chosen);
    if (lane == l) level[k][t] = chosen;
    add_row<SHARE>(slope, h, lane, __shfl_sync(ALL_LANES, moved, l, SHARE));
  });

  float stored = scale;
  if (fits) {
    // Along the direction of the levels c: the slope c gradient, and the curvature c H cT.
    float product[RUNS][4], bend[RUNS][4];
#pragma unroll
    for (int k = 0; k < RUNS; k++)
#pragma unroll
      for (int t = 0; t < 4; t++) {
        product[k][t] = level[k][t] * slope[k][t];
        bend[k][t] = 0.0f;
      }
    float fit = sum_in_order<SHARE>(product, width);
    each_column<SHARE>(hessian, n, from, width, hs, [&](int k, int t, int l, const float* h) {
      add_row<SHARE>(bend, h, lane, __shfl_sync(ALL_LANES, level[k][t], l, SHARE));
    });
#pragma unroll
    for (int k = 0; k < RUNS; k++)
#pragma unroll
      for (int t = 0; t < 4; t++) product[k][t] = level[k][t] * bend[k][t];
    float curve = sum_in_order<SHARE>(product, width);
    float fitted = scale + __fdiv_rn(fit, curve);
    bool any_sign = units || search.has_sign;
    if (curve > 0.0f && (fitted > 0.0f || any_sign) && fabsf(fitted) < positive_infinity()) {
      float candidate =
          units ? nearest_multiple(multiples, units[of_row * multiples.blocks + group / multiples.groups], fitted) : stored_scale(search, fitted);
      // The loss is a parabola about the fitted scale; what is stored may lie further off than what there was.
      if (fabsf(candidate - fitted) < fabsf(scale - fitted)) stored = candidate;
    }
  }

  if (!live) return;
  if (fits && lane == 0) scales[g] = stored;
#pragma unroll
  for (int k = 0; k < RUNS; k++) {
#pragma unroll
    for (int t = 0; t < 4; t++) {
      int i = 4 * (k * SHARE + lane) + t;
      if (i >= width) continue;
      unsigned code = code_of_level(grid, levels, level[k][t], zero);
      codes[at + i] = (unsigned char)code;
      changed[i] = changed[i] - stored * value_of_code(grid, levels, code, zero);
    }
  }
}

extern "C" __global__ void __launch_bounds__(256, 3) descend_128(const float* gradient, const float* hessian, int rows, int n, int from, int width, GridShape grid, SearchShape search, const float* values, const float* thresholds, int group, int groups, float* scales, const float* zeros, const float* units, Multiples multiples, int fits, unsigned char* codes, float* change) {
  descend<8>(gradient, hessian, rows, n, from, width, grid, search, values, thresholds, group, groups, scales, zeros, units, multiples, fits, codes, change);
}

extern "C" __global__ void __launch_bounds__(256, 3) descend_256(const float* gradient, const float* hessian, int rows, int n, int from, int width, GridShape grid, SearchShape search, const float* values, const float* thresholds, int group, int groups, float* scales, const float* zeros, const float* units, Multiples multiples, int fits, unsigned char* codes, float* change) {
  descend<16>(gradient, hessian, rows, n, from, width, grid, search, values, thresholds, group, groups, scales, zeros, units, multiples, fits, codes, change);
}

#undef RUNS
#undef AT_ONCE
