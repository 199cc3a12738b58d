// The column sweep of GPTQ on the reversed Cholesky factor, one block of columns, all rows: quern.device.cpu.Sweep. Eight lanes share a
// row, a warp has four rows. A lane keeps 16 of the row's columns in registers, 4 runs of 4 (columns 32 k + 4 lane + t), so that a row of
// the update matrix is read as four 128-bit loads from shared memory, at the same addresses for all rows.
#include "scales.cuh"

#define BLOCK 128
#define RUNS 4

struct Columns16 {
  float x[RUNS][4];
};

DEVICE Columns16 load_columns(const float* row, int width, int lane, bool fours) {
  Columns16 c;
#pragma unroll
  for (int k = 0; k < RUNS; k++) {
    Four f = load4(row, k * 32 + lane * 4, width, fours);
#pragma unroll
    for (int t = 0; t < 4; t++) c.x[k][t] = f.x[t];
  }
  return c;
}

DEVICE void store_columns(float* row, int width, int lane, bool fours, const Columns16& c) {
#pragma unroll
  for (int k = 0; k < RUNS; k++) {
    Four f;
#pragma unroll
    for (int t = 0; t < 4; t++) f.x[t] = c.x[k][t];
    store4(row, k * 32 + lane * 4, width, fours, f);
  }
}

// The update matrix in shared memory: BLOCK x BLOCK, zeros on and below its diagonal and from `width` on.
DEVICE void load_update(const float* update, long long stride, int width, float* us) {
  bool fours = by_fours(update, stride);
  for (int n = threadIdx.x; n < BLOCK * BLOCK / 4; n += blockDim.x) {
    int i = n / (BLOCK / 4), j = n % (BLOCK / 4) * 4;
    Four f = {{0, 0, 0, 0}};
    if (i < width && j + 3 > i) f = load4(update + i * stride, j, width, fours);
#pragma unroll
    for (int t = 0; t < 4; t++)
      if (j + t <= i) f.x[t] = 0.0f;
    store4(us + i * BLOCK + j, f);
  }
}

// Adds moved * update[i, :] to a row's columns from run k on. A product, then a sum: the bits of the plain loop.
DEVICE void move_columns(Columns16& v, const float* us, int i, int k, int lane, float moved) {
#pragma unroll
  for (int m = 0; m < RUNS; m++) {
    if (m < k) continue;
    Four u = load4(us + i * BLOCK + m * 32 + lane * 4);
#pragma unroll
    for (int s = 0; s < 4; s++) v.x[m][s] = v.x[m][s] + moved * u.x[s];
  }
}

// Columns [from, to) in turn, each with the value that it would take if it were free.
DEVICE void free_run(Columns16& v, const Columns16& original, const float* us, int from, int to, int lane) {
#pragma unroll
  for (int k = 0; k < RUNS; k++) {
    int first = max(0, from / 4 - k * LANES), last = min(LANES, (to + 3) / 4 - k * LANES);
#pragma unroll 1
    for (int l = first; l < last; l++) {
#pragma unroll
      for (int t = 0; t < 4; t++) {
        int i = k * 32 + l * 4 + t;
        if (i >= to) break;
        float moved = __shfl_sync(ALL_LANES, original.x[k][t] - v.x[k][t], l, LANES);
        move_columns(v, us, i, k, lane, moved);
      }
    }
  }
}

template <bool LIVE>
DEVICE void sweep(const float* original, float* working, long long stride, int rows, int from, int width, const float* update,
                  long long update_stride, const float* diagonal, const GridShape& grid, const float* values, const float* thresholds,
                  const int* group_of_column, int groups, const float* given_scales, const float* given_zeros, float* scales,
                  float* zeros, unsigned char* codes, float* error, double* loss, int length, const SearchShape& search,
                  const float* importance, const float* factors, const float* powers) {
  DYNAMIC_SHARED(float, us);
  float* pivots = us + BLOCK * BLOCK;
  float* tables = pivots + BLOCK;
  float* pieces = tables + 3 * TABLE;                    // LIVE: 32 rows of free columns, then one of importance
  float* weights = pieces + 32 * PITCH_OF_PIECE;
  long long member = blockIdx.y, first_row = member * rows, first_grid = first_row * groups;
  original += first_row * stride;
  working += first_row * stride;
  codes += first_row * stride;
  error += first_row * width;
  diagonal += member * stride;
  group_of_column += member * width;
  load_update(update + member * width * update_stride, update_stride, width, us);
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    pivots[i] = diagonal[i];
    if (LIVE) weights[i] = importance ? importance[member * width + i] : 1.0f;
  }
  Levels levels = load_levels(grid, values, thresholds, tables);
  __syncthreads();

  int lane = threadIdx.x % LANES, in_block = threadIdx.x / LANES;
  int row = blockIdx.x * 32 + in_block;
  bool live = row < rows;  // idle rows still take part in every shuffle
  long long at = (long long)(live ? row : 0) * stride + from;
  bool fours = by_fours(original + from, stride) && by_fours(working + from, stride);
  Columns16 w = load_columns(original + at, width, lane, fours);  // a finished column's is its error
  Columns16 v = load_columns(working + at, width, lane, fours);
  Columns16 scale, zero;
  if (!LIVE) {
#pragma unroll
    for (int k = 0; k < RUNS; k++) {
#pragma unroll
      for (int t = 0; t < 4; t++) {
        int i = min(k * 32 + lane * 4 + t, width - 1);
        long long g = first_grid + (long long)(live ? row : 0) * groups + group_of_column[i];
        scale.x[k][t] = given_scales[g];
        zero.x[k][t] = grid.symmetric ? grid.middle : given_zeros[g];
      }
    }
  }

  unsigned packed[RUNS] = {};
  double sum = 0;
  for (int begin = 0, end; begin < width; begin = end) {
    end = LIVE ? min(width, begin + length) : width;
    Chosen chosen = {};
    if (LIVE) {
      Columns16 free = v;
      free_run(free, w, us, begin, end, lane);
      float* piece = pieces + in_block * PITCH_OF_PIECE;
      store_columns(piece, BLOCK, lane, true, free);
      __syncwarp();
      Range range = range_of_lanes(range_of_piece({0.0f, 0.0f}, piece + begin, end - begin, lane));
      chosen = choose(grid, search, levels, factors, powers, range, lane, piece + begin, weights + begin, end - begin, [](int) {});
      __syncwarp();
      if (live && lane == 0) {
        long long g = first_grid + (long long)row * groups + group_of_column[begin];
        scales[g] = chosen.scale;
        zeros[g] = chosen.zero;
      }
    }
#pragma unroll
    for (int k = 0; k < RUNS; k++) {
      int first = max(0, begin / 4 - k * LANES), last = min(LANES, (end + 3) / 4 - k * LANES);
#pragma unroll 1
    for (int l = first; l < last; l++) {
#pragma unroll
        for (int t = 0; t < 4; t++) {
          int i = k * 32 + l * 4 + t;
          if (i >= end) break;
          // All lanes reckon with their own column; that of lane l counts.
          float s = LIVE ? chosen.scale : scale.x[k][t], z = LIVE ? chosen.zero : zero.x[k][t];
          float level = nearest_level(grid, levels, __fdiv_rn(v.x[k][t], s), z);
          float quantized = s * level;
          float e = w.x[k][t] - quantized;
          if (lane == l) {
            float weighted = (v.x[k][t] - quantized) * pivots[i];
            sum = __fma_rn((double)weighted, (double)weighted, sum);  // the product is exact
            packed[k] |= code_of_level(grid, levels, level, z) << 8 * t;
            w.x[k][t] = e;
          }
          move_columns(v, us, i, k, lane, __shfl_sync(ALL_LANES, e, l, LANES));
        }
      }
    }
  }

#pragma unroll
  for (int distance = LANES / 2; distance > 0; distance >>= 1) sum += __shfl_xor_sync(ALL_LANES, sum, distance, LANES);
  if (!live) return;
  store_columns(working + at, width, lane, fours, v);
  store_columns(error + (long long)row * width, width, lane, by_fours(error, width), w);
  bool words = ((unsigned long long)(codes + from) & 3) == 0 && stride % 4 == 0;
#pragma unroll
  for (int k = 0; k < RUNS; k++) {
    int i = k * 32 + lane * 4;
    if (words && i + 4 <= width) {
      *(unsigned*)(codes + at + i) = packed[k];
    } else {
#pragma unroll
      for (int t = 0; t < 4; t++)
        if (i + t < width) codes[at + i + t] = (unsigned char)(packed[k] >> 8 * t);
    }
  }
  if (loss && lane == 0) loss[first_row + row] += sum;
}

extern "C" __global__ void __launch_bounds__(256) sweep_given(const float* original, float* working, long long stride, int rows, int from, int width, const float* update, long long update_stride, const float* diagonal, GridShape grid, const float* values, const float* thresholds, const int* group_of_column, int groups, const float* scales, const float* zeros, unsigned char* codes, float* error, double* loss) {
  sweep<false>(original, working, stride, rows, from, width, update, update_stride, diagonal, grid, values, thresholds, group_of_column,
               groups, scales, zeros, nullptr, nullptr, codes, error, loss, width, SearchShape(), nullptr, nullptr, nullptr);
}

extern "C" __global__ void __launch_bounds__(256) sweep_live(const float* original, float* working, long long stride, int rows, int from, int width, const float* update, long long update_stride, const float* diagonal, GridShape grid, const float* values, const float* thresholds, const int* group_of_column, int groups, float* scales, float* zeros, unsigned char* codes, float* error, double* loss, int length, SearchShape search, const float* importance, const float* factors, const float* powers) {
  sweep<true>(original, working, stride, rows, from, width, update, update_stride, diagonal, grid, values, thresholds, group_of_column,
              groups, nullptr, nullptr, scales, zeros, codes, error, loss, length, search, importance, factors, powers);
}

extern "C" __global__ void __launch_bounds__(256) free_columns(const float* original, long long stride, int rows, int width, const float* update, long long update_stride, float* free, long long free_stride, float* moved) {
  DYNAMIC_SHARED(float, us);
  long long member = blockIdx.y;
  load_update(update + member * width * update_stride, update_stride, width, us);
  original += member * rows * stride;
  free += member * rows * free_stride;
  if (moved) moved += member * rows * width;
  __syncthreads();
  int lane = threadIdx.x % LANES, row = blockIdx.x * 32 + threadIdx.x / LANES;
  bool live = row < rows;
  long long at = live ? row : 0;
  Columns16 w = load_columns(original + at * stride, width, lane, by_fours(original, stride));
  Columns16 v = load_columns(free + at * free_stride, width, lane, by_fours(free, free_stride));
  free_run(v, w, us, 0, width, lane);
  if (!live) return;
  store_columns(free + at * free_stride, width, lane, by_fours(free, free_stride), v);
  if (!moved) return;
#pragma unroll
  for (int k = 0; k < RUNS; k++)
#pragma unroll
    for (int t = 0; t < 4; t++) w.x[k][t] = w.x[k][t] - v.x[k][t];
  store_columns(moved + at * width, width, lane, by_fours(moved, width), w);
}

#undef BLOCK
#undef RUNS
