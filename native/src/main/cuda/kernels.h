// Every CUDA kernel of Quern: parameters, shapes, launch geometry, formula. The contract between the kernels, the host emulator and
// the Java code that launches them. Not yet run on a GPU; see README.md for what has been proven and how.
//
// Conventions
//   - Matrices are row-major and dense unless a stride (elements from one row to the next) is a parameter.
//   - `bf16` is the bits of a bfloat16; f32 is rounded to it to nearest, ties to even. Names end with the type that is read and the type
//     that is written: rms_norm_f32_bf16. All arithmetic is fp32 unless the formula says fp64; nothing is contracted to a fused
//     multiply-add unless the formula says fma.
//   - Counts of rows and columns are int, whatever may pass 2^31 is long long. Pointers that may be null say so.
//   - Every matrix begins at an address that is a multiple of 16 bytes (the driver's allocations do). Rows of any width are allowed;
//     where a row is a multiple of 16 bytes, kernels use 128-bit loads by themselves.
//   - Structs are passed by value: fields of 4 bytes, in order, without gaps.
//   - No kernel's result depends on the grid beyond what is written here, nor on the order in which threads run.
//
// Launch geometry, block x grid; shared memory is dynamic, in bytes, and 0 where nothing is said. Above 48 KiB the launch needs
// CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES. Three shapes have names:
//   FLAT(count)    256 x min(65536, max(1, ceil(count / 1024)))
//   ROWS(rows)     256 x rows
//   TILES(r, c)    (32, 8) x (ceil(c / 32), ceil(r / 32)) of an r x c matrix
//   LANES(rows)    256 x ceil(rows / 32): 8 threads for a row
//
// Stacks. A kernel whose geometry ends in "x members" works for that many linears of one shape at once, each with a Hessian of its own: every
// array that is one of a linear's own lies once for each of them, one behind the other, and rows, n and width are those of one. Members are one
// more axis of the grid; with one of them the kernel is that of a single linear. A member's result is, bit for bit, what it is alone.
#pragma once

#ifndef __CUDACC_RTC__
#ifndef __CUDACC__
#include "cuda_on_host.h"
#endif
#endif

typedef unsigned short bf16;

// ---------------------------------------------------------------------------------------------------------------- conversion

// to[i] = from[i], rounded; f64 by way of f32. FLAT(count).
extern "C" __global__ void convert_f64_f32(const double* from, float* to, long long count);
extern "C" __global__ void convert_f16_f32(const unsigned short* from, float* to, long long count);
extern "C" __global__ void convert_bf16_f32(const bf16* from, float* to, long long count);
extern "C" __global__ void convert_f64_bf16(const double* from, bf16* to, long long count);
extern "C" __global__ void convert_f32_bf16(const float* from, bf16* to, long long count);
extern "C" __global__ void convert_f16_bf16(const unsigned short* from, bf16* to, long long count);

// The halves of x, of which high + low lacks no more than 2^-16: high[r, c] = x[r, c] rounded, low[r, c] = x[r, c] - high[r, c] rounded, again =
// high. x: rows x stride, of which [0, cols); high, low, again: to_stride elements from one row to the next. ROWS(rows).
extern "C" __global__ void split_f32(const float* x, long long stride, int cols, bf16* high, bf16* low, bf16* again, long long to_stride);

// ------------------------------------------------------------------------------------------------------------------- forward

// RMS normalization of each run of `width` elements of x; there are `runs` of them, a row of x holds weight_width / width or any
// other number of them. Run number u uses weight[(u * width) % weight_width + i].
//   y = x * inverse * (weight + offset),  inverse = (float)(1 / sqrt(sum(x^2) / width + eps)) in fp64.
// The sum: thread t of T adds the squares of elements [4 (t + T m), + 4) in order, m = 0, 1, ..; lanes of a warp by pairs at distance
// 16, 8, 4, 2, 1; warps in order. T = 32 for width <= 1024, else 256.
// Block (32, 8) x ceil(runs / 8) for width <= 1024, else (256, 1) x runs.
extern "C" __global__ void rms_norm_f32_f32(const float* x, const float* weight, int weight_width, int runs, int width, float eps, float offset, float* y);
extern "C" __global__ void rms_norm_f32_bf16(const float* x, const float* weight, int weight_width, int runs, int width, float eps, float offset, bf16* y);
extern "C" __global__ void rms_norm_bf16_f32(const bf16* x, const float* weight, int weight_width, int runs, int width, float eps, float offset, float* y);
extern "C" __global__ void rms_norm_bf16_bf16(const bf16* x, const float* weight, int weight_width, int runs, int width, float eps, float offset, bf16* y);

// Layer normalization, as above; bias may be null. In fp64, rounded once: (x - mean) / sqrt(variance + eps) * weight + bias with
// mean = sum(x) / width and variance = sum((x - mean)^2) / width, sums in the order of rms_norm.
extern "C" __global__ void layer_norm_f32_f32(const float* x, const float* weight, const float* bias, int weight_width, int runs, int width, float eps, float* y);
extern "C" __global__ void layer_norm_f32_bf16(const float* x, const float* weight, const float* bias, int weight_width, int runs, int width, float eps, bf16* y);
extern "C" __global__ void layer_norm_bf16_f32(const bf16* x, const float* weight, const float* bias, int weight_width, int runs, int width, float eps, float* y);
extern "C" __global__ void layer_norm_bf16_bf16(const bf16* x, const float* weight, const float* bias, int weight_width, int runs, int width, float eps, bf16* y);

// Rotary position embedding. x, y: rows x (heads * head_dim); cos, sin: length x half; the position of a row is row % length. Columns
// i and i + half (2i and 2i + 1 if interleaved) of a head, a and b, become a cos - b sin and b cos + a sin; columns from 2 * half on
// are copied. y may be x. ROWS(rows).
extern "C" __global__ void rotary_f32_f32(const float* x, const float* cos, const float* sin, int length, int heads, int head_dim, int half, int interleaved, float* y);
extern "C" __global__ void rotary_f32_bf16(const float* x, const float* cos, const float* sin, int length, int heads, int head_dim, int half, int interleaved, bf16* y);
extern "C" __global__ void rotary_bf16_f32(const bf16* x, const float* cos, const float* sin, int length, int heads, int head_dim, int half, int interleaved, float* y);
extern "C" __global__ void rotary_bf16_bf16(const bf16* x, const float* cos, const float* sin, int length, int heads, int head_dim, int half, int interleaved, bf16* y);

// Causal attention of each sequence by itself, any head_dim, value_dim <= 256, on the plain fp32 units.
//   q: (sequences * length) x (heads * head_dim), k: .. x (kv_heads * head_dim), v: .. x (kv_heads * value_dim), y: .. x (heads * value_dim)
//   bias: heads x length, what a key's position adds to its scores, or null; sinks: heads, one more score without a value, or null
//   score = q . k * scale; cap > 0: cap * tanh(score / cap); + bias[head][key position]
//   window > 0: a token sees itself and the window - 1 before it
// Online softmax over tiles of 32 keys counted from the sequence's first token; a tile that no query of the block sees is left out.
// Block 256 x (ceil(length / 32), heads, sequences), shared memory 4 * (32 * head_dim + 32 * (head_dim + 1) + 32 * value_dim).
extern "C" __global__ void attention_f32_f32(const float* q, const float* k, const float* v, const float* bias, const float* sinks, int length, int heads, int kv_heads, int head_dim, int value_dim, float scale, int window, float cap, float* y);
extern "C" __global__ void attention_f32_bf16(const float* q, const float* k, const float* v, const float* bias, const float* sinks, int length, int heads, int kv_heads, int head_dim, int value_dim, float scale, int window, float cap, bf16* y);
extern "C" __global__ void attention_bf16_f32(const bf16* q, const bf16* k, const bf16* v, const float* bias, const float* sinks, int length, int heads, int kv_heads, int head_dim, int value_dim, float scale, int window, float cap, float* y);
extern "C" __global__ void attention_bf16_bf16(const bf16* q, const bf16* k, const bf16* v, const float* bias, const float* sinks, int length, int heads, int kv_heads, int head_dim, int value_dim, float scale, int window, float cap, bf16* y);

// The same on the matrix units, for bf16 in and out, head_dim and value_dim multiples of 8, value_dim at most 64, 128 or 256: take the
// smallest that holds it. Products of bf16 with sums in fp32, weights of values rounded to bf16; the matrix units' rounding is not specified,
// so the emulator's bits are not the GPU's. Online softmax over tiles of 64 keys.
// Block 128 x (ceil(length / 64), heads, sequences), shared memory 2 * (128 * (K + 8) + 64 * (V + 8)) with K and V head_dim and value_dim
// rounded up to multiples of 16: 52224 for 128 and 128.
extern "C" __global__ void attention_tensor_64(const bf16* q, const bf16* k, const bf16* v, const float* bias, const float* sinks, int length, int heads, int kv_heads, int head_dim, int value_dim, float scale, int window, float cap, bf16* y);
extern "C" __global__ void attention_tensor_128(const bf16* q, const bf16* k, const bf16* v, const float* bias, const float* sinks, int length, int heads, int kv_heads, int head_dim, int value_dim, float scale, int window, float cap, bf16* y);
extern "C" __global__ void attention_tensor_256(const bf16* q, const bf16* k, const bf16* v, const float* bias, const float* sinks, int length, int heads, int kv_heads, int head_dim, int value_dim, float scale, int window, float cap, bf16* y);

// activation(gate) * up, element by element; up may be null. kind: 0 SiLU, 1 GELU by erf, 2 GELU by tanh, 3 ReLU. FLAT(count).
extern "C" __global__ void activate_f32_f32(int kind, const float* gate, const float* up, float* y, long long count);
extern "C" __global__ void activate_f32_bf16(int kind, const float* gate, const float* up, bf16* y, long long count);
extern "C" __global__ void activate_bf16_f32(int kind, const bf16* gate, const bf16* up, float* y, long long count);
extern "C" __global__ void activate_bf16_bf16(int kind, const bf16* gate, const bf16* up, bf16* y, long long count);

// g * sigmoid(alpha g) * (u + 1) with g = min(gate, limit), u = max(-limit, min(up, limit)). FLAT(count).
extern "C" __global__ void clamped_gate_f32_f32(const float* gate, const float* up, float alpha, float limit, float* y, long long count);
extern "C" __global__ void clamped_gate_f32_bf16(const float* gate, const float* up, float alpha, float limit, bf16* y, long long count);
extern "C" __global__ void clamped_gate_bf16_f32(const bf16* gate, const bf16* up, float alpha, float limit, float* y, long long count);
extern "C" __global__ void clamped_gate_bf16_bf16(const bf16* gate, const bf16* up, float alpha, float limit, bf16* y, long long count);

// y = a + b; y may be a or b. FLAT(count).
extern "C" __global__ void add_f32(const float* a, const float* b, float* y, long long count);

// y = a - b. FLAT(count).
extern "C" __global__ void subtract_f32(const float* a, const float* b, float* y, long long count);
extern "C" __global__ void subtract_bf16(const bf16* a, const bf16* b, float* y, long long count);

// y = x * factor; y may be x where the types are one. FLAT(count).
extern "C" __global__ void scale_f32_f32(const float* x, float factor, float* y, long long count);
extern "C" __global__ void scale_f32_bf16(const float* x, float factor, bf16* y, long long count);
extern "C" __global__ void scale_bf16_f32(const bf16* x, float factor, float* y, long long count);
extern "C" __global__ void scale_bf16_bf16(const bf16* x, float factor, bf16* y, long long count);

// y[r, c] = x[r, c] + bias[c], x and y rows x cols; y may be x. ROWS(rows).
extern "C" __global__ void add_bias_f32_f32(const float* x, const float* bias, int cols, float* y);
extern "C" __global__ void add_bias_f32_bf16(const float* x, const float* bias, int cols, bf16* y);

// Row i of `to` is row index[i] of `from`, rows of any type and row_bytes bytes (a multiple of 2). For several matrices one launch
// each, `to` further on. ROWS(number of indices).
extern "C" __global__ void gather_rows(const void* from, const int* index, long long row_bytes, void* to);

// sum[index[i]] += factors[i] * x[i] (a product, then a sum); each row of the sum at most once. x: rows x cols. ROWS(rows).
extern "C" __global__ void add_rows_f32(const float* x, const float* factors, const int* index, int cols, float* sum);
extern "C" __global__ void add_rows_bf16(const bf16* x, const float* factors, const int* index, int cols, float* sum);

// The columns of heads side by side. a: rows x (heads * a_width); b: rows x b_cols, b_cols = heads * b_width, or b_width for one b of all
// heads; y: rows x (heads * (a_width + b_width)). ROWS(rows).
extern "C" __global__ void join_f32(const float* a, int a_width, const float* b, int b_width, int b_cols, int heads, float* y);
extern "C" __global__ void join_bf16(const bf16* a, int a_width, const bf16* b, int b_width, int b_cols, int heads, bf16* y);

// largest[c] = max(largest[c], |x[r, c]|); a NaN stays. x: rows x cols. Block (32, 8) x (ceil(cols / 32), min(64, ceil(rows / 64))).
extern "C" __global__ void raise_largest_f32(const float* x, int rows, int cols, float* largest);
extern "C" __global__ void raise_largest_bf16(const bf16* x, int rows, int cols, float* largest);

// ------------------------------------------------------------------------------------------------------------------- Hessian

// m[i, j] = m[j, i] for j > i: the lower triangle of an n x n matrix onto the upper one. TILES(n, n).
extern "C" __global__ void mirror_lower(float* m, int n);

// The damped Hessian in another order. sum: n x n, symmetric, both triangles; order: n, dead: n bytes, by column of sum.
//   h[i, j] = sum[order[i], order[j]] / tokens;  h[i, i] = (float)((double)(dead[order[i]] ? mean : h[i, i]) + lambda)
// TILES(n, n).
extern "C" __global__ void order_hessian(const float* sum, int n, const int* order, const unsigned char* dead, float tokens, double mean, double lambda, float* h);

// a = J h J with J the reversal: a[i, j] = h[n-1-i, n-1-j], both triangles, of which only h's lower one is read. a is not h. TILES(n, n).
extern "C" __global__ void reverse_symmetric(const float* h, int n, float* a);

// R of H = R RT from the factored J H J, of which l holds L by rows in its lower triangle (cuSOLVER's FILL_MODE_UPPER): R[i, j] =
// l[n-1-i, n-1-j] for j >= i, zeros below. r is not l. TILES(n, n).
extern "C" __global__ void reverse_lower(const float* l, int n, float* r);

// diagonal[i] = m[i, i]; adds to *bad how many of them, of all members, are not positive and finite (bad may be null).
// 256 x ceil(n / 256) x members.
extern "C" __global__ void diagonal(const float* m, int n, float* diagonal, int* bad);

// sums[j] = (float) sum over i <= j of upper[i, j]^2, in fp64 and the order of i. upper: n x n. 64 x ceil(n / 64).
extern "C" __global__ void column_squares(const float* upper, int n, float* sums);

// What an error in row i moves the columns behind it by: update[i - from, j - from] = R[i, j] / R[j, j] for j >= i, zeros before;
// (to - from) x (n - from). factor: n x n, diagonal: n, of R. For the rows [from, to) of one block, or all at once.
// Block 256 x (ceil((n - from) / 1024), to - from) x members.
extern "C" __global__ void updates(const float* factor, const float* diagonal, int n, int from, float* update);

// --------------------------------------------------------------------------------------------------------------------- solve

// What codes mean: weight = scale * (value of the code - zero).
struct GridShape {
  int levels;         // 0: the value of a code is the code; else the length of the table of values, at most 256
  float lowest;       // smallest code
  float highest;      // largest code
  int symmetric;      // 0: the zero point follows the range
  float middle;       // zero point of a symmetric grid
  float lowest_zero;  // that a search may choose
  float highest_zero;
  float span;         // symmetric: what the largest magnitude meets (GridSearch); else largest code less smallest
};

// How the scale of a group is searched: quern.device.GridSearchLoops. Candidates are all factors with the implied zero point, then all with
// the one below, then all with the one above (zeros = 3); the first with the smallest error wins.
struct SearchShape {
  int rule;        // 0: the first candidate; 1: errors squared, weighted by importance; 2: |error|^2.4 by the table of powers, and on grids
                   // of levels squared errors (importance is then null)
  int factors;     // number of factors: at most 80, with three zeros 48
  int zeros;       // 1 or 3
  int scale_type;  // 0 F32, 1 F16, 2 BF16, 3 E4M3, 4 E8M0: candidates are rounded to it
  float divisor;   // stored = round(clamp(|value| * divisor, smallest, largest)) / divisor
  float smallest;
  float largest;
  int has_sign;    // whether scales may be negative: stored has the value's sign then
};

// How the grids of blocks are searched, runs of groups of a row: quern.device.BlockSearch.
struct BlockShape {
  int levels;            // 0: the value of a code is the code; else the length of the table of values
  int highest;           // largest code
  int half;              // what code 0 lies below zero; 0 with minima and with levels
  int length;            // columns of a group: 16 or 32
  int groups;            // of a block: 1, 8 or 16; with 1 every scale is stored by itself
  int lowest;            // smallest multiple of the unit
  int highest_multiple;  // and the largest
  int minima;            // whether a group has a minimum
};

// Scales that are multiples of a unit, in a descent. Stored are unit * k, k a whole number from lowest to highest and not 0.
struct Multiples {
  int groups;  // of a block; its unit is units[row, group / groups]
  int blocks;  // of a row
  float lowest;
  float highest;
};

// Parameters that several kernels have:
//   values, thresholds: of a grid of levels, grid.levels and grid.levels - 1 floats in rising order (StepFunction); null for integers
//   groups: groups of a row; scales, zeros: rows x groups
//   group_of_column: group of each column of the block or matrix
//   importance: what a squared error weighs, by column, same order as the weights; null: all weigh 1
//   factors: search.factors floats; powers: for rule 2, 256 + 4097 floats: powers of exponents and of mantissas (quern.device.Power), else null

// to[r, i] = from[r, order[i]], or 0 where order[i] < 0. from: rows x stride, to: rows x cols, order: cols. ROWS(rows) x members.
extern "C" __global__ void gather_columns_f32(const float* from, long long stride, const int* order, int cols, float* to);
extern "C" __global__ void gather_columns_u8(const unsigned char* from, long long stride, const int* order, int cols, unsigned char* to);

// The scales and zeros of groups, each a run of `length` columns of w, rows x n, from column `from` on, the last ending with the row at the
// latest: quern.device.GridSearchLoops, bit for bit. Run k gives the grid of group run_groups[k], of `groups` in a row; the other groups' stay.
// importance: n; run_groups: runs. Block 256 x (ceil(rows / 32), runs) x members, shared memory 4 * 33 * 132 = 17424.
extern "C" __global__ void search_runs(const float* w, int rows, int n, int from, int length, GridShape grid, SearchShape search, const float* values, const float* thresholds, const float* importance, const float* factors, const float* powers, const int* run_groups, int groups, float* scales, float* zeros);

// sums[r] = sum of w[r, i]^2 in fp32 and the order of i. w: rows x n. 128 x ceil(rows / 128).
extern "C" __global__ void row_squares(const float* w, int rows, int n, float* sums);

// Scales, zeros, units and codes of blocks: quern.device.BlockSearchLoops, bit for bit. w, codes: rows x n, n whole blocks; scales, zeros: rows
// x (n / length); units, minima: rows x blocks, null where there are none. importance: n, or null. squares_of_rows: row_squares, where single
// groups without levels have importance, else null. 128 x ceil(rows * (n / length) / 128), shared memory 4 * 2 * 128 * (length + 1).
extern "C" __global__ void search_blocks(const float* w, int rows, int n, BlockShape shape, const float* values, const float* thresholds, const float* importance, const float* squares_of_rows, float* scales, float* zeros, float* units, float* minima, unsigned char* codes);

// The sweep of the columns [from, from + width), width <= 128, over all rows: quern.device.cpu.Sweep, bit for bit but for the loss's sum over rows.
//   original, working: rows x stride, of which only these columns are touched. working gets the block's updates, the sign of a zero aside
//   update: R[i, j] / R[j, j] of the block, its first element at [from, from]; width rows of update_stride elements (see `updates`)
//   diagonal: width, R[i, i] of the block; a member's begins stride elements behind that of the one before
//   codes: rows x stride, written at the block's columns; error: rows x width, original - quantized; loss: rows, += sum over the
//     block of ((working - quantized) R[i, i])^2 in fp64; may be null. Each of a row's 8 threads adds its columns, 32 k + 4 thread + t,
//     in order, then by pairs at distance 4, 2, 1
// LANES(rows) x members, shared memory 4 * (128 * 128 + 128) + 4 * 256 * 3 = 69120.
extern "C" __global__ void sweep_given(const float* original, float* working, long long stride, int rows, int from, int width, const float* update, long long update_stride, const float* diagonal, GridShape grid, const float* values, const float* thresholds, const int* group_of_column, int groups, const float* scales, const float* zeros, unsigned char* codes, float* error, double* loss);

// The same with the scales of groups chosen when the sweep reaches them: quern.method.LiveScales with spans of one group. The block is whole
// groups, each a run of `length` <= 128 columns of the sweep, a multiple of 4 (the last may be shorter); group_of_column says their numbers.
// importance, of width, belongs to the block's columns. scales and zeros are written.
// LANES(rows) x members, shared memory 69120 + 4 * 33 * 132 = 86544.
extern "C" __global__ void sweep_live(const float* original, float* working, long long stride, int rows, int from, int width, const float* update, long long update_stride, const float* diagonal, GridShape grid, const float* values, const float* thresholds, const int* group_of_column, int groups, float* scales, float* zeros, unsigned char* codes, float* error, double* loss, int length, SearchShape search, const float* importance, const float* factors, const float* powers);

// What the columns [from, from + width) would be if they were free, given those before: LiveScales for groups longer than a sweep's block and
// for the classic tool's spans. free[:, j] = working[:, j] + sum over r in [0, j) of (original[:, r] - free[:, r]) update[r, j], one
// after the other. update as in sweep_given, of `width` <= 128 columns. For longer runs: this for 128 columns, then a product for
// those behind (moved: rows x width, original - free; may be null), and so on.
// free: rows x free_stride, read and written at [0, width): on entry working. LANES(rows) x members, shared memory 65536.
extern "C" __global__ void free_columns(const float* original, long long stride, int rows, int width, const float* update, long long update_stride, float* free, long long free_stride, float* moved);

// One round of coordinate descent over the columns [from, from + width) of one group: quern.device.cpu.Descent and the fit of the scale of
// quern.method.Refinement, bit for bit.
//   gradient: rows x n, (original - quantized) H; hessian: n x n, both triangles; codes: rows x n, read and written
//   group: number of the block's group; fits: whether the scale is fitted and stored in scales[:, group]
//   units: rows x multiples.blocks, what scales are multiples of; null where each is stored by itself
//   change: rows x width, quantized before - after, with the scales of before and after
// descend_128: width <= 128, LANES(rows) x members. descend_256: width <= 256, 256 x ceil(rows / 16) x members.
// Shared memory 4 * 32 * (128 or 256) + 4 * 256 * 3 = 19456 or 35840.
extern "C" __global__ void descend_128(const float* gradient, const float* hessian, int rows, int n, int from, int width, GridShape grid, SearchShape search, const float* values, const float* thresholds, int group, int groups, float* scales, const float* zeros, const float* units, Multiples multiples, int fits, unsigned char* codes, float* change);
extern "C" __global__ void descend_256(const float* gradient, const float* hessian, int rows, int n, int from, int width, GridShape grid, SearchShape search, const float* values, const float* thresholds, int group, int groups, float* scales, const float* zeros, const float* units, Multiples multiples, int fits, unsigned char* codes, float* change);

// --------------------------------------------------------------------------------------------------------------------- codes

// error = weights - quantized for all columns; weights, error: rows x n. error may be weights. ROWS(rows).
extern "C" __global__ void quantization_error(const float* weights, const unsigned char* codes, int n, const float* values, const int* group_of_column, int groups, const float* scales, const float* zeros, float* error);

// The nearest codes on given grids: quern.device.cpu.Rounding, bit for bit. w: rows x n, codes: rows x n.
//   by_reciprocal: weights are multiplied by 1 / scale, not divided (grids of levels only)
//   signed_zero: a negative zero gets the code before that of zero (E4M3)
// ROWS(rows).
extern "C" __global__ void nearest_codes(const float* w, int n, GridShape grid, const float* thresholds, const int* group_of_column, int groups, const float* scales, const float* zeros, int by_reciprocal, int signed_zero, unsigned char* codes);

// partial[b] = sum of a[i] * b[i] over i in [16384 b, + 16384), in fp64. Thread t adds elements [4 (t + 256 m), + 4) of the run in order, m =
// 0, 1, ..; then as rms_norm. 256 x ceil(count / 16384) x members, of count elements each.
extern "C" __global__ void dot_f32(const float* a, const float* b, long long count, double* partial);

// *sum = sum of x[i], of count numbers: thread t adds x[t + 256 m] in order; then as rms_norm. 256 x members.
extern "C" __global__ void sum_f64(const double* x, int count, double* sum);

// to[c, r] = from[r, c]. from: rows x cols. TILES(rows, cols).
extern "C" __global__ void transpose_f32(const float* from, int rows, int cols, float* to);

// ----------------------------------------------------------------------------------------------------------------- all of them

// Names, for whoever needs a table of all kernels: #define X(name) .. QUERN_KERNELS(X).
#define QUERN_KERNELS(X)                                                                                                       \
  X(convert_f64_f32) X(convert_f16_f32) X(convert_bf16_f32) X(convert_f64_bf16) X(convert_f32_bf16) X(convert_f16_bf16)        \
  X(split_f32)                                                                                                                 \
  X(rms_norm_f32_f32) X(rms_norm_f32_bf16) X(rms_norm_bf16_f32) X(rms_norm_bf16_bf16)                                          \
  X(layer_norm_f32_f32) X(layer_norm_f32_bf16) X(layer_norm_bf16_f32) X(layer_norm_bf16_bf16)                                  \
  X(rotary_f32_f32) X(rotary_f32_bf16) X(rotary_bf16_f32) X(rotary_bf16_bf16)                                                  \
  X(attention_f32_f32) X(attention_f32_bf16) X(attention_bf16_f32) X(attention_bf16_bf16)                                      \
  X(attention_tensor_64) X(attention_tensor_128) X(attention_tensor_256)                                                       \
  X(activate_f32_f32) X(activate_f32_bf16) X(activate_bf16_f32) X(activate_bf16_bf16)                                          \
  X(clamped_gate_f32_f32) X(clamped_gate_f32_bf16) X(clamped_gate_bf16_f32) X(clamped_gate_bf16_bf16)                          \
  X(add_f32) X(subtract_f32) X(subtract_bf16) X(scale_f32_f32) X(scale_f32_bf16) X(scale_bf16_f32) X(scale_bf16_bf16)           \
  X(add_bias_f32_f32) X(add_bias_f32_bf16)                                                                                     \
  X(gather_rows) X(add_rows_f32) X(add_rows_bf16) X(join_f32) X(join_bf16) X(raise_largest_f32) X(raise_largest_bf16)          \
  X(mirror_lower) X(order_hessian) X(reverse_symmetric) X(reverse_lower) X(diagonal) X(column_squares) X(updates)              \
  X(gather_columns_f32) X(gather_columns_u8) X(search_runs) X(row_squares) X(search_blocks) X(sweep_given) X(sweep_live)          \
  X(free_columns) X(descend_128) X(descend_256) X(quantization_error) X(nearest_codes) X(dot_f32) X(sum_f64) X(transpose_f32)
