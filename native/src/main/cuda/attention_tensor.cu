// Causal attention for prefill on the matrix units, bf16 with sums in fp32 (after Dao, FlashAttention-2, 2023). A block has 64 queries, a warp
// 16 of them; keys and values pass in tiles of 64. While scores are made the values are on their way, and the next keys meanwhile with
// the sums of values.
#include "math.cuh"
#include "tensor.cuh"

#define SIDE_OF_TILE 64
#define LOG2_E 1.4426950216293335f
#define GAP 8  // columns behind a row in shared memory: eight rows lie in different banks

// Rows [first, first + 64) of a head, padded with zeros to `padded` columns, some time later.
DEVICE void copy_tile(const bf16* matrix, long long stride, int first, int length, int width, int padded, bf16* tile) {
  int runs = padded / 8;
  for (int i = threadIdx.x; i < SIDE_OF_TILE * runs; i += blockDim.x) {
    int row = i / runs, c = i % runs * 8;
    bool inside = first + row < length && c < width;
    copy_later(tile + row * (padded + GAP) + c, inside ? matrix + (long long)(first + row) * stride + c : matrix, inside);
  }
  end_of_copies();
}

DEVICE unsigned pair_of_bf16(float a, float b) { return narrow_bf16(a) | (unsigned)narrow_bf16(b) << 16; }

// PAIRS: value columns / 16, at most.
template <int PAIRS>
DEVICE void attend_by_tensors(const bf16* q, const bf16* k, const bf16* v, const float* bias, const float* sinks, int length, int heads,
                              int kv_heads, int head_dim, int value_dim, float scale, int window, float cap, bf16* y) {
  DYNAMIC_SHARED(bf16, queries);
  int keyed = (head_dim + 15) / 16 * 16, valued = (value_dim + 15) / 16 * 16;  // padded widths
  bf16* keys = queries + SIDE_OF_TILE * (keyed + GAP);
  bf16* values = keys + SIDE_OF_TILE * (keyed + GAP);
  int lane = threadIdx.x % 32, own = threadIdx.x / 32 * 16;
  int first = (int)(gridDim.x - 1 - blockIdx.x) * SIDE_OF_TILE;  // the longest work begins first
  int head = blockIdx.y, kv_head = head / (heads / kv_heads);
  long long sequence = (long long)blockIdx.z * length;
  q += (sequence * heads + head) * head_dim;
  k += (sequence * kv_heads + kv_head) * head_dim;
  v += (sequence * kv_heads + kv_head) * value_dim;
  y += (sequence * heads + head) * value_dim;
  if (bias) bias += (long long)head * length;

  int seen = window > 0 && first - window + 1 > 0 ? first - window + 1 : 0;  // the first key that any query of the block sees
  int begin = seen / SIDE_OF_TILE * SIDE_OF_TILE, end = min(first + SIDE_OF_TILE, length);
  copy_tile(q, (long long)heads * head_dim, first, length, head_dim, keyed, queries);
  copy_tile(k, (long long)kv_heads * head_dim, begin, length, head_dim, keyed, keys);

  float highest[2], sum[2], mixed[2 * PAIRS][4];  // of rows lane / 4 and lane / 4 + 8 of the warp's
#pragma unroll
  for (int r = 0; r < 2; r++) {
    highest[r] = sinks ? sinks[head] * LOG2_E : -positive_infinity();
    sum[r] = sinks && lane % 4 == 0 ? 1.0f : 0.0f;  // four lanes have parts of the sum
  }
#pragma unroll
  for (int n = 0; n < 2 * PAIRS; n++)
#pragma unroll
    for (int i = 0; i < 4; i++) mixed[n][i] = 0.0f;

  for (int tile = begin; tile < end; tile += SIDE_OF_TILE) {
    copies_done<0>();
    __syncthreads();  // the keys are there, and nobody reads the last values any more
    copy_tile(v, (long long)kv_heads * value_dim, tile, length, value_dim, valued, values);

    float score[8][4];
#pragma unroll
    for (int n = 0; n < 8; n++)
#pragma unroll
      for (int i = 0; i < 4; i++) score[n][i] = 0.0f;
#pragma unroll 2
    for (int c = 0; c < keyed; c += 16) {
      Fragment a = load_matrix(queries + (own + lane % 16) * (keyed + GAP) + c + lane / 16 * 8);
#pragma unroll
      for (int n = 0; n < 4; n++) {
        Fragment b = load_matrix(keys + (n * 16 + lane / 16 * 8 + lane % 8) * (keyed + GAP) + c + lane / 8 % 2 * 8);
        multiply(score[2 * n], a, b.quarter[0], b.quarter[1]);
        multiply(score[2 * n + 1], a, b.quarter[2], b.quarter[3]);
      }
    }

    // Scores are in powers of two from here on.
    if (cap > 0.0f || bias) {
#pragma unroll
      for (int n = 0; n < 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
          int key = tile + n * 8 + lane % 4 * 2 + i % 2;
          float s = score[n][i] * scale;
          if (cap > 0.0f) s = cap * hyperbolic_tangent(__fdiv_rn(s, cap));
          if (bias && key < length) s += bias[key];
          score[n][i] = s * LOG2_E;
        }
    } else {
#pragma unroll
      for (int n = 0; n < 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) score[n][i] *= scale * LOG2_E;
    }
    int lowest = first + own;  // query of the warp
    if (tile + SIDE_OF_TILE - 1 > lowest || (window > 0 && tile <= lowest + 15 - window)) {
#pragma unroll
      for (int n = 0; n < 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
          int key = tile + n * 8 + lane % 4 * 2 + i % 2, query = lowest + lane / 4 + i / 2 * 8;
          if (key > query || (window > 0 && key <= query - window)) score[n][i] = -positive_infinity();
        }
    }
    float top[2] = {highest[0], highest[1]};
#pragma unroll
    for (int n = 0; n < 8; n++)
#pragma unroll
      for (int i = 0; i < 4; i++) top[i / 2] = fmaxf(top[i / 2], score[n][i]);
#pragma unroll
    for (int r = 0; r < 2; r++) {
      top[r] = fmaxf(top[r], __shfl_xor_sync(ALL_LANES, top[r], 1));
      top[r] = fmaxf(top[r], __shfl_xor_sync(ALL_LANES, top[r], 2));
      float shrunk = top[r] == highest[r] ? 1.0f : roughly_power_of_two(highest[r] - top[r]);  // also while both are -infinity
      highest[r] = top[r];
      sum[r] *= shrunk;
#pragma unroll
      for (int n = 0; n < 2 * PAIRS; n++) {
        mixed[n][2 * r] *= shrunk;
        mixed[n][2 * r + 1] *= shrunk;
      }
    }
#pragma unroll
    for (int n = 0; n < 8; n++)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        score[n][i] = roughly_power_of_two(score[n][i] - (highest[i / 2] == -positive_infinity() ? 0.0f : highest[i / 2]));
        sum[i / 2] += score[n][i];
      }

    copies_done<0>();
    __syncthreads();  // the values are there, and nobody reads these keys any more
    if (tile + SIDE_OF_TILE < end) copy_tile(k, (long long)kv_heads * head_dim, tile + SIDE_OF_TILE, length, head_dim, keyed, keys);
#pragma unroll
    for (int j = 0; j < 4; j++) {
      Fragment a = {{pair_of_bf16(score[2 * j][0], score[2 * j][1]), pair_of_bf16(score[2 * j][2], score[2 * j][3]),
                     pair_of_bf16(score[2 * j + 1][0], score[2 * j + 1][1]), pair_of_bf16(score[2 * j + 1][2], score[2 * j + 1][3])}};
#pragma unroll
      for (int n = 0; n < PAIRS; n++) {
        if (n * 16 >= valued) break;
        Fragment b = load_transposed(values + (j * 16 + lane % 16) * (valued + GAP) + n * 16 + lane / 16 * 8);
        multiply(mixed[2 * n], a, b.quarter[0], b.quarter[1]);
        multiply(mixed[2 * n + 1], a, b.quarter[2], b.quarter[3]);
      }
    }
  }

#pragma unroll
  for (int r = 0; r < 2; r++) {
    sum[r] += __shfl_xor_sync(ALL_LANES, sum[r], 1);
    sum[r] += __shfl_xor_sync(ALL_LANES, sum[r], 2);
    int query = first + own + lane / 4 + r * 8;
    float share = __fdiv_rn(1.0f, sum[r]);
    if (query >= length) continue;
#pragma unroll
    for (int n = 0; n < 2 * PAIRS; n++) {
      int c = n * 8 + lane % 4 * 2;
      if (c < value_dim)
        *(unsigned*)(y + (long long)query * heads * value_dim + c) = pair_of_bf16(mixed[n][2 * r] * share, mixed[n][2 * r + 1] * share);
    }
  }
}

#define BY_TENSORS(width)                                                                                                    \
  extern "C" __global__ void __launch_bounds__(128) attention_tensor_##width(const bf16* q, const bf16* k, const bf16* v,    \
      const float* bias, const float* sinks, int length, int heads, int kv_heads, int head_dim, int value_dim, float scale,  \
      int window, float cap, bf16* y) {                                                                                      \
    attend_by_tensors<width / 16>(q, k, v, bias, sinks, length, heads, kv_heads, head_dim, value_dim, scale, window, cap, y); \
  }
BY_TENSORS(64)
BY_TENSORS(128)
BY_TENSORS(256)

#undef SIDE_OF_TILE
#undef LOG2_E
#undef GAP
