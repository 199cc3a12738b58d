// Causal attention for prefill on the plain fp32 units: any width of a head. A block has 32 queries, a warp 4 of them; keys and
// values pass in tiles of 32. In scores a lane is a key, in sums of values it is a column.
#include "math.cuh"

#define TILE 32
#define QUERIES 4   // of a warp
#define PIECES 8    // value columns of a lane: at most 256 in all

// Rows [first, first + TILE) of a head into shared memory; rows from `length` on are 0.
template <class X>
DEVICE void load_tile(const X* matrix, long long stride, int first, int length, int width, float* tile, int pitch) {
  bool fours = width % 4 == 0 && stride % 4 == 0;
  int runs = (width + 3) / 4;
  for (int i = threadIdx.x; i < TILE * runs; i += blockDim.x) {
    int row = i / runs, c = i % runs * 4;
    Four f = {{0, 0, 0, 0}};
    if (first + row < length) f = load4(matrix + (long long)(first + row) * stride, c, width, fours);
#pragma unroll
    for (int t = 0; t < 4; t++)
      if (c + t < width) tile[row * pitch + c + t] = f.x[t];
  }
}

template <class X, class Y>
DEVICE void attend(const X* q, const X* k, const X* v, const float* bias, const float* sinks, int length, int heads, int kv_heads,
                   int head_dim, int value_dim, float scale, int window, float cap, Y* y) {
  DYNAMIC_SHARED(float, queries);                     // TILE x head_dim
  float* keys = queries + TILE * head_dim;            // TILE x (head_dim + 1): a lane reads its key's row without bank conflicts
  float* values = keys + TILE * (head_dim + 1);       // TILE x value_dim
  int lane = threadIdx.x % 32, own = threadIdx.x / 32 * QUERIES;
  int first = blockIdx.x * TILE, head = blockIdx.y, kv_head = head / (heads / kv_heads);
  long long sequence = (long long)blockIdx.z * length;
  q += sequence * heads * head_dim + (long long)head * head_dim;
  k += sequence * kv_heads * head_dim + (long long)kv_head * head_dim;
  v += sequence * kv_heads * value_dim + (long long)kv_head * value_dim;
  y += sequence * heads * value_dim + (long long)head * value_dim;

  load_tile(q, (long long)heads * head_dim, first, length, head_dim, queries, head_dim);
  float highest[QUERIES], sum[QUERIES], mixed[QUERIES][PIECES];
#pragma unroll
  for (int i = 0; i < QUERIES; i++) {
    highest[i] = sinks ? sinks[head] : -positive_infinity();
    sum[i] = sinks ? 1.0f : 0.0f;
#pragma unroll
    for (int c = 0; c < PIECES; c++) mixed[i][c] = 0.0f;
  }

  int seen = window > 0 && first - window + 1 > 0 ? first - window + 1 : 0;  // the first key that any query of the block sees
  for (int tile = seen / TILE * TILE; tile < first + TILE && tile < length; tile += TILE) {
    __syncthreads();
    load_tile(k, (long long)kv_heads * head_dim, tile, length, head_dim, keys, head_dim + 1);
    load_tile(v, (long long)kv_heads * value_dim, tile, length, value_dim, values, value_dim);
    __syncthreads();

    float score[QUERIES] = {};
#pragma unroll 4
    for (int j = 0; j < head_dim; j++) {
      float key = keys[lane * (head_dim + 1) + j];
#pragma unroll
      for (int i = 0; i < QUERIES; i++) score[i] = __fmaf_rn(queries[(own + i) * head_dim + j], key, score[i]);
    }
    int key = tile + lane;
#pragma unroll
    for (int i = 0; i < QUERIES; i++) {
      int query = first + own + i;
      bool visible = key <= query && key < length && (window == 0 || key > query - window);
      float s = score[i] * scale;
      if (cap > 0.0f) s = cap * hyperbolic_tangent(__fdiv_rn(s, cap));
      if (bias && key < length) s = s + bias[(long long)head * length + key];
      s = visible ? s : -positive_infinity();
      float top = s;
#pragma unroll
      for (int d = 16; d > 0; d >>= 1) top = fmaxf(top, __shfl_xor_sync(ALL_LANES, top, d));
      top = fmaxf(top, highest[i]);
      float weight = visible ? exponential(s - top) : 0.0f;
      float shrunk = top == highest[i] ? 1.0f : exponential(highest[i] - top);  // also while both are -infinity
      float added = weight;
#pragma unroll
      for (int d = 16; d > 0; d >>= 1) added += __shfl_xor_sync(ALL_LANES, added, d);
      highest[i] = top;
      sum[i] = sum[i] * shrunk + added;
#pragma unroll
      for (int c = 0; c < PIECES; c++) mixed[i][c] *= shrunk;
      score[i] = weight;
    }
#pragma unroll 4
    for (int j = 0; j < TILE; j++) {
      float weight[QUERIES];
#pragma unroll
      for (int i = 0; i < QUERIES; i++) weight[i] = __shfl_sync(ALL_LANES, score[i], j);
#pragma unroll
      for (int c = 0; c < PIECES; c++) {
        if (c * 32 + lane >= value_dim) continue;
        float value = values[j * value_dim + c * 32 + lane];
#pragma unroll
        for (int i = 0; i < QUERIES; i++) mixed[i][c] = __fmaf_rn(weight[i], value, mixed[i][c]);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < QUERIES; i++) {
    int query = first + own + i;
    if (query >= length) continue;
#pragma unroll
    for (int c = 0; c < PIECES; c++)
      if (c * 32 + lane < value_dim) store(y + (long long)query * heads * value_dim + c * 32 + lane, __fdiv_rn(mixed[i][c], sum[i]));
  }
}

#define ATTENTION(X, Y)                                                                                                        \
  extern "C" __global__ void __launch_bounds__(256) attention_##X##_##Y(const TYPE_##X* q, const TYPE_##X* k, const TYPE_##X* v, \
      const float* bias, const float* sinks, int length, int heads, int kv_heads, int head_dim, int value_dim, float scale,    \
      int window, float cap, TYPE_##Y* y) {                                                                                    \
    attend(q, k, v, bias, sinks, length, heads, kv_heads, head_dim, value_dim, scale, window, cap, y);                         \
  }
FOR_TYPES(ATTENTION)

#undef TILE
#undef QUERIES
#undef PIECES
