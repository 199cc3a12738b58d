// Scales of all groups of a matrix.
#include "scales.cuh"

// Columns [c, c + count) of a warp's four rows into their pieces, by the warp.
DEVICE void load_pieces(const float* w, int rows, int n, int first_row, int c, int count, float* pieces, int lane_of_warp) {
  bool fours = by_fours(w + c, n);
  for (int r = 0; r < 4; r++) {
    bool live = first_row + r < rows;
    Four f = {{0, 0, 0, 0}};
    if (live) f = load4(w + (long long)(first_row + r) * n + c, lane_of_warp * 4, count, fours);
    store4(pieces + r * PITCH_OF_PIECE + lane_of_warp * 4, f);
  }
}

extern "C" __global__ void __launch_bounds__(256, 3) search_runs(const float* w, int rows, int n, int from, int length, GridShape grid, SearchShape search, const float* values, const float* thresholds, const float* importance, const float* factors, const float* powers, const int* run_groups, int groups, float* scales, float* zeros) {
  DYNAMIC_SHARED(float, pieces);                       // 32 rows, then one of importance
  SHARED(float, tables, 3 * TABLE);
  float* weights = pieces + 32 * PITCH_OF_PIECE;
  w += (long long)blockIdx.z * rows * n;
  if (importance) importance += (long long)blockIdx.z * n;
  run_groups += (long long)blockIdx.z * gridDim.y;
  scales += (long long)blockIdx.z * rows * groups;
  zeros += (long long)blockIdx.z * rows * groups;
  Levels levels = load_levels(grid, values, thresholds, tables);
  int lane_of_warp = threadIdx.x % 32, lane = threadIdx.x % LANES, in_block = threadIdx.x / LANES;
  int row = blockIdx.x * 32 + in_block, first_row = blockIdx.x * 32 + threadIdx.x / 32 * 4;
  int group = run_groups[blockIdx.y], begin = from + blockIdx.y * length, count = min(length, n - begin);
  float* piece = pieces + in_block * PITCH_OF_PIECE;
  float* own = pieces + threadIdx.x / 32 * 4 * PITCH_OF_PIECE;

  Range range = {0.0f, 0.0f};
  for (int c = 0; c < count; c += COLUMNS) {
    __syncwarp();
    load_pieces(w, rows, n, first_row, begin + c, min(COLUMNS, count - c), own, lane_of_warp);
    __syncwarp();
    range = range_of_piece(range, piece, min(COLUMNS, count - c), lane);
  }
  range = range_of_lanes(range);
  Chosen chosen = choose(grid, search, levels, factors, powers, range, lane, piece, weights, count, [&](int c) {
    int piece_count = min(COLUMNS, count - c);
    __syncthreads();
    if (count > COLUMNS) load_pieces(w, rows, n, first_row, begin + c, piece_count, own, lane_of_warp);
    for (int i = threadIdx.x; i < piece_count; i += blockDim.x) weights[i] = importance ? importance[begin + c + i] : 1.0f;
    __syncthreads();
  });
  if (row < rows && lane == 0) {
    scales[(long long)row * groups + group] = chosen.scale;
    zeros[(long long)row * groups + group] = chosen.zero;
  }
}
