// Kernels of the forward pass against plain loops: the same bits where the loop defines them, the definition in fp64 beside it.
#include "math.cuh"
#include "testing.h"

using namespace testing_kernels;

// Relative to the magnitudes that were added, or absolute.
static void expect_near(const std::vector<float>& got, const std::vector<double>& want, double tolerance) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); i++) ASSERT_NEAR(got[i], want[i], tolerance * (1 + fabs(want[i]))) << "at " << i;
}

// ----------------------------------------------------------------------------------------------------------------- conversion

static const float SPECIAL[] = {0.0f,        -0.0f,    1.0f,       -1.0f,       1.00390625f, 1.01171875f, 3.3895314e38f, 3.4e38f, -3.4e38f,
                                INFINITY,    -INFINITY, NAN,       1e-40f,      -1e-45f,     65504.0f,    65519.9f,      65520.0f, 6e-8f,
                                1.17549435e-38f};

TEST(Convert, Bf16RoundsToTheNearestAndTiesToEven) {
  Random random(1);
  for (int count : {1, 3, 4, 1021, 2050}) {
    std::vector<float> x(count);
    for (int i = 0; i < count; i++) x[i] = i < 19 ? SPECIAL[i] : i % 3 ? random.normal() : from_bf16((bf16)random.below(0x7f80)) * 1.00390625f;
    auto got = in_all_orders([&](Launch launch) {
      auto y = fresh<bf16>(count);
      launch(flat(count), 256, 0, [&] { convert_f32_bf16(x.data(), y.data(), count); });
      return y;
    });
    EXPECT_SAME_BITS(got, to_bf16(x));
    auto back = fresh<float>(count);
    Launch{Order::forward, 0}(flat(count), 256, 0, [&] { convert_bf16_f32(got.data(), back.data(), count); });
    EXPECT_SAME_BITS(back, widened(got));
  }
}

// As a product wants them: the rows of one operand side by side, those of the other one below the other.
TEST(Convert, HalvesOfANumberLackNoMoreThanTheirLastBit) {
  Random random(3);
  for (auto [rows, cols, stride, to_stride, offset] : {std::tuple(5, 128, 132, 384, 0), std::tuple(3, 37, 40, 111, 1), std::tuple(2, 1030, 1030, 3090, 2)}) {
    std::vector<float> x(rows * stride);
    for (auto& value : x) value = random.normal() * (random.below(2) ? 1 : 1e-3f);
    x[0] = 0.0f;
    x[1] = -1.00390625f;  // a tie
    auto both = in_all_orders([&, rows = rows, cols = cols, stride = stride, to_stride = to_stride, offset = offset](Launch launch) {
      auto to = fresh<bf16>(offset + rows * to_stride);
      bf16* high = to.data() + offset;
      launch(dim3(rows), 256, 0, [&] { split_f32(x.data(), stride, cols, high, high + 2 * cols, high + cols, to_stride); });
      return to;
    });
    auto untouched = fresh<bf16>(1)[0];
    for (int i = 0; i < (int)both.size(); i++) {
      int r = (i - offset) / to_stride, c = (i - offset) % to_stride;
      if (i < offset || c >= 3 * cols) {
        ASSERT_EQ(both[i], untouched) << i;
        continue;
      }
      float whole = x[r * stride + c % cols], high = from_bf16(to_bf16(whole));
      ASSERT_EQ(both[i], c < 2 * cols ? to_bf16(whole) : to_bf16(whole - high)) << i;
      if (c >= 2 * cols) ASSERT_LE(fabs((double)whole - high - from_bf16(both[i])), ldexp(fabs(whole), -16)) << i;
    }
  }
}

TEST(Convert, EveryF16IsWhatTheCompilerSays) {
  std::vector<unsigned short> x(65536);
  std::vector<float> want(65536);
  for (int i = 0; i < 65536; i++) {
    x[i] = (unsigned short)i;
    _Float16 half;
    memcpy(&half, &x[i], 2);
    want[i] = (float)half;
  }
  auto got = fresh<float>(65536);
  auto narrow = fresh<bf16>(65536);
  Launch launch{Order::forward, 0};
  launch(flat(65536), 256, 0, [&] { convert_f16_f32(x.data(), got.data(), 65536); });
  launch(flat(65536), 256, 0, [&] { convert_f16_bf16(x.data(), narrow.data(), 65536); });
  for (int i = 0; i < 65536; i++) {
    if (want[i] != want[i]) {
      ASSERT_TRUE(got[i] != got[i]) << i;
    } else {
      ASSERT_EQ(__float_as_uint(got[i]), __float_as_uint(want[i])) << i;
      ASSERT_EQ(narrow[i], to_bf16(want[i])) << i;
    }
  }
}

TEST(Convert, F64GoesByWayOfF32) {
  std::vector<double> x = {1.0 / 3, -1e300, 1e-300, 1 + ldexp(1.0, -8) + ldexp(1.0, -40), 5};
  auto f = fresh<float>(5);
  auto b = fresh<bf16>(5);
  Launch launch{Order::forward, 0};
  launch(flat(5), 256, 0, [&] { convert_f64_f32(x.data(), f.data(), 5); });
  launch(flat(5), 256, 0, [&] { convert_f64_bf16(x.data(), b.data(), 5); });
  for (int i = 0; i < 5; i++) {
    EXPECT_EQ(f[i], (float)x[i]);
    EXPECT_EQ(b[i], to_bf16((float)x[i]));
  }
}

// ---------------------------------------------------------------------------------------------------------------------- norms

static int threads_of(int width) { return width <= 1024 ? 32 : 256; }

// The sum of a run in the order that kernels.h says.
template <class F>
static double sum_of(int width, F f) {
  int threads = threads_of(width);
  std::vector<double> own(threads, 0.0);
  for (int i = 0; i < width; i++) own[i / 4 % threads] += f(i);
  double sum = 0;
  for (int warp = 0; warp < threads / 32; warp++) {
    double lane[32];
    for (int l = 0; l < 32; l++) lane[l] = own[warp * 32 + l];
    for (int d = 16; d > 0; d /= 2)
      for (int l = 0; l < d; l++) lane[l] = lane[l] + lane[l + d];
    sum = threads == 32 ? lane[0] : sum + lane[0];
  }
  return sum;
}

struct Norm {
  int width, weight_width, runs;
  float eps = 1e-5f, offset = 0;
  bool with_bias = false;
};

static const Norm NORMS[] = {{64, 64, 9}, {5, 15, 7, 1e-6f, 1, true}, {1024, 1024, 3}, {1030, 1030, 2, 1e-6f, 1}, {2048, 4096, 4, 1e-5f, 0, true}};

template <class X, class Y, class K, class L>
static void test_norms(K rms, L layer) {
  for (const Norm& n : NORMS) {
    Random random(n.width);
    size_t count = (size_t)n.runs * n.width;
    std::vector<X> x = as<X>(random.normals(count, 3));
    std::vector<float> v = widened(x), weight = random.normals(n.weight_width), bias = random.normals(n.weight_width);
    dim3 block = n.width <= 1024 ? dim3(32, 8) : dim3(256);
    dim3 grid(n.width <= 1024 ? (n.runs + 7) / 8 : n.runs);
    auto rms_got = in_all_orders([&](Launch launch) {
      auto y = fresh<Y>(count);
      launch(grid, block, 0, [&] { rms(x.data(), weight.data(), n.weight_width, n.runs, n.width, n.eps, n.offset, y.data()); });
      return y;
    });
    auto layer_got = in_all_orders([&](Launch launch) {
      auto y = fresh<Y>(count);
      launch(grid, block, 0, [&] { layer(x.data(), weight.data(), n.with_bias ? bias.data() : nullptr, n.weight_width, n.runs, n.width, n.eps, y.data()); });
      return y;
    });
    std::vector<float> rms_want(count), layer_want(count);
    for (int r = 0; r < n.runs; r++) {
      const float* row = &v[(size_t)r * n.width];
      int at = r * n.width % n.weight_width;
      double squares = sum_of(n.width, [&](int i) { return (double)row[i] * row[i]; });
      float inverse = (float)(1 / sqrt(squares / n.width + n.eps));
      double mean = sum_of(n.width, [&](int i) { return (double)row[i]; }) / n.width;
      double variance = sum_of(n.width, [&](int i) { return (row[i] - mean) * (row[i] - mean); }) / n.width;
      for (int i = 0; i < n.width; i++) {
        rms_want[(size_t)r * n.width + i] = row[i] * inverse * (weight[at + i] + n.offset);
        double unit = (row[i] - mean) * (1 / sqrt(variance + n.eps));
        layer_want[(size_t)r * n.width + i] = (float)(unit * weight[at + i] + (n.with_bias ? bias[at + i] : 0));
      }
      // The definition, whatever the order of sums.
      double plain = 0;
      for (int i = 0; i < n.width; i++) plain += (double)row[i] * row[i];
      ASSERT_NEAR(inverse, 1 / sqrt(plain / n.width + n.eps), 1e-7);
    }
    EXPECT_SAME_BITS(rms_got, as<Y>(rms_want));
    EXPECT_SAME_BITS(layer_got, as<Y>(layer_want));
  }
}

TEST(Norm, F32ToF32) { test_norms<float, float>(rms_norm_f32_f32, layer_norm_f32_f32); }
TEST(Norm, F32ToBf16) { test_norms<float, bf16>(rms_norm_f32_bf16, layer_norm_f32_bf16); }
TEST(Norm, Bf16ToF32) { test_norms<bf16, float>(rms_norm_bf16_f32, layer_norm_bf16_f32); }
TEST(Norm, Bf16ToBf16) { test_norms<bf16, bf16>(rms_norm_bf16_bf16, layer_norm_bf16_bf16); }

// --------------------------------------------------------------------------------------------------------------------- rotary

struct Turn {
  int heads, head_dim, half, interleaved;
};

template <class X, class Y, class K>
static void test_rotary(K kernel) {
  const int length = 5, rows = 10;
  for (const Turn& t : {Turn{3, 16, 8, 0}, Turn{2, 20, 8, 0}, Turn{2, 10, 3, 0}, Turn{3, 8, 4, 1}, Turn{1, 9, 3, 1}}) {
    Random random(t.head_dim * 10 + t.half);
    int cols = t.heads * t.head_dim;
    std::vector<X> x = as<X>(random.normals((size_t)rows * cols));
    std::vector<float> v = widened(x), cos(length * t.half), sin(length * t.half), want = v;
    for (size_t i = 0; i < cos.size(); i++) {
      float angle = random.normal(3);
      cos[i] = cosf(angle);
      sin[i] = sinf(angle);
    }
    for (int r = 0; r < rows; r++)
      for (int h = 0; h < t.heads; h++)
        for (int i = 0; i < t.half; i++) {
          size_t a = (size_t)r * cols + h * t.head_dim + (t.interleaved ? 2 * i : i), b = t.interleaved ? a + 1 : a + t.half;
          float c = cos[r % length * t.half + i], s = sin[r % length * t.half + i];
          want[a] = v[a] * c + v[b] * -s;
          want[b] = v[b] * c + v[a] * s;
        }
    auto got = in_all_orders([&](Launch launch) {
      auto y = fresh<Y>(v.size());
      launch(rows, 256, 0, [&] { kernel(x.data(), cos.data(), sin.data(), length, t.heads, t.head_dim, t.half, t.interleaved, y.data()); });
      return y;
    });
    EXPECT_SAME_BITS(got, as<Y>(want));
  }
}

TEST(Rotary, F32ToF32) { test_rotary<float, float>(rotary_f32_f32); }
TEST(Rotary, F32ToBf16) { test_rotary<float, bf16>(rotary_f32_bf16); }
TEST(Rotary, Bf16ToF32) { test_rotary<bf16, float>(rotary_bf16_f32); }
TEST(Rotary, Bf16ToBf16) { test_rotary<bf16, bf16>(rotary_bf16_bf16); }

TEST(Rotary, MayWriteWhereItReads) {
  Random random(3);
  std::vector<float> x = random.normals(4 * 24), cos(4 * 8, 0.6f), sin(4 * 8, 0.8f);
  auto apart = fresh<float>(x.size());
  Launch{Order::forward, 0}(4, 256, 0, [&] { rotary_f32_f32(x.data(), cos.data(), sin.data(), 4, 1, 24, 8, 0, apart.data()); });
  auto within = in_all_orders([&](Launch launch) {
    auto y = x;
    launch(4, 256, 0, [&] { rotary_f32_f32(y.data(), cos.data(), sin.data(), 4, 1, 24, 8, 0, y.data()); });
    return y;
  });
  EXPECT_SAME_BITS(apart, within);
}

// ------------------------------------------------------------------------------------------------------------------ attention

struct Heads {
  int sequences, length, heads, kv_heads, head_dim, value_dim, window;
  float cap;
  bool bias, sinks;
};

static const Heads HEADS[] = {
    {2, 7, 4, 2, 8, 8, 0, 0, false, false},     // less than a tile, two sequences, grouped
    {1, 70, 2, 1, 20, 36, 0, 0, true, false},   // several tiles, the last one partial; another width of values
    {1, 65, 2, 2, 5, 33, 0, 3, false, true},    // widths that are no multiples of four; cap; sink
    {2, 75, 2, 1, 8, 4, 32, 0, false, true},    // a window of a tile: whole tiles are left out
    {1, 100, 1, 1, 4, 4, 33, 2, true, true},    // a window that begins inside of a tile
    {1, 40, 1, 1, 8, 8, 1, 0, false, false},    // itself alone
};

// What the kernel does, query by query: tiles of 32 keys from the first that the block of 32 queries sees.
static void attend_plainly(const Heads& a, const float* q, const float* k, const float* v, const float* bias, const float* sink, int query, int head, float* y) {
  int kv = head / (a.heads / a.kv_heads), block = query / 32 * 32;
  int first = a.window && block - a.window + 1 > 0 ? (block - a.window + 1) / 32 * 32 : 0;
  float highest = sink ? sink[head] : -INFINITY, sum = sink ? 1 : 0;
  std::vector<float> mixed(a.value_dim, 0.0f);
  for (int tile = first; tile < std::min(block + 32, a.length); tile += 32) {
    float score[32], weight[32], top = -INFINITY;
    for (int j = 0; j < 32; j++) {
      int key = tile + j;
      score[j] = -INFINITY;
      if (key > query || key >= a.length || (a.window && key <= query - a.window)) continue;
      float s = 0;
      for (int c = 0; c < a.head_dim; c++) s = fmaf(q[((size_t)query * a.heads + head) * a.head_dim + c], k[((size_t)key * a.kv_heads + kv) * a.head_dim + c], s);
      s = s * (1 / sqrtf((float)a.head_dim));
      if (a.cap > 0) s = a.cap * hyperbolic_tangent(s / a.cap);
      if (bias) s = s + bias[(size_t)head * a.length + key];
      score[j] = s;
      top = fmaxf(top, s);
    }
    top = fmaxf(top, highest);
    float shrunk = top == highest ? 1 : exponential(highest - top);
    for (int j = 0; j < 32; j++) weight[j] = score[j] == -INFINITY ? 0 : exponential(score[j] - top);
    float tree[32];
    std::copy(weight, weight + 32, tree);
    for (int d = 16; d > 0; d /= 2)
      for (int j = 0; j < d; j++) tree[j] = tree[j] + tree[j + d];
    sum = sum * shrunk + tree[0];
    highest = top;
    for (int c = 0; c < a.value_dim; c++) {
      mixed[c] *= shrunk;
      for (int j = 0; j < 32; j++) {
        float value = tile + j < a.length ? v[((size_t)(tile + j) * a.kv_heads + kv) * a.value_dim + c] : 0;
        mixed[c] = fmaf(weight[j], value, mixed[c]);
      }
    }
  }
  for (int c = 0; c < a.value_dim; c++) y[((size_t)query * a.heads + head) * a.value_dim + c] = mixed[c] / sum;
}

// The definition, in fp64.
static void attend_by_definition(const Heads& a, const float* q, const float* k, const float* v, const float* bias, const float* sink, int query, int head, double* y) {
  int kv = head / (a.heads / a.kv_heads);
  std::vector<double> weight(a.length, 0.0);
  double highest = sink ? sink[head] : -INFINITY;
  for (int key = a.window ? std::max(0, query - a.window + 1) : 0; key <= query; key++) {
    double s = 0;
    for (int c = 0; c < a.head_dim; c++) s += (double)q[((size_t)query * a.heads + head) * a.head_dim + c] * k[((size_t)key * a.kv_heads + kv) * a.head_dim + c];
    s *= 1 / sqrtf((float)a.head_dim);
    if (a.cap > 0) s = a.cap * tanh(s / a.cap);
    if (bias) s += bias[(size_t)head * a.length + key];
    highest = std::max(highest, weight[key] = s);
  }
  double sum = sink ? exp(sink[head] - highest) : 0;
  for (int key = a.window ? std::max(0, query - a.window + 1) : 0; key <= query; key++) sum += weight[key] = exp(weight[key] - highest);
  for (int c = 0; c < a.value_dim; c++) {
    double mixed = 0;
    for (int key = 0; key <= query; key++) mixed += weight[key] / sum * v[((size_t)key * a.kv_heads + kv) * a.value_dim + c];
    y[((size_t)query * a.heads + head) * a.value_dim + c] = mixed;
  }
}

template <class X, class Y, class K>
static void test_attention(K kernel, double tolerance) {
  int number = 0;
  for (const Heads& a : HEADS) {
    Random random(++number);
    int rows = a.sequences * a.length;
    std::vector<X> q = as<X>(random.normals((size_t)rows * a.heads * a.head_dim, 2)), k = as<X>(random.normals((size_t)rows * a.kv_heads * a.head_dim, 2)),
                   v = as<X>(random.normals((size_t)rows * a.kv_heads * a.value_dim));
    std::vector<float> bias = random.normals((size_t)a.heads * a.length), sinks = random.normals(a.heads);
    const float *b = a.bias ? bias.data() : nullptr, *s = a.sinks ? sinks.data() : nullptr;
    size_t count = (size_t)rows * a.heads * a.value_dim;
    size_t shared = 4 * (32 * a.head_dim + 32 * (a.head_dim + 1) + 32 * a.value_dim);
    auto run = [&](Launch launch) {
      auto y = fresh<Y>(count);
      launch(dim3((a.length + 31) / 32, a.heads, a.sequences), 256, shared, [&] {
        kernel(q.data(), k.data(), v.data(), b, s, a.length, a.heads, a.kv_heads, a.head_dim, a.value_dim, 1 / sqrtf((float)a.head_dim), a.window, a.cap, y.data());
      });
      return y;
    };
    auto got = number % 3 == 1 ? in_all_orders(run) : run({Order::shuffled, seed()});
    std::vector<float> want(count), qf = widened(q), kf = widened(k), vf = widened(v);
    std::vector<double> definition(count);
    for (int sequence = 0; sequence < a.sequences; sequence++) {
      size_t at = (size_t)sequence * a.length;
      for (int query = 0; query < a.length; query++)
        for (int head = 0; head < a.heads; head++) {
          attend_plainly(a, &qf[at * a.heads * a.head_dim], &kf[at * a.kv_heads * a.head_dim], &vf[at * a.kv_heads * a.value_dim], b, s, query, head, &want[at * a.heads * a.value_dim]);
          attend_by_definition(a, &qf[at * a.heads * a.head_dim], &kf[at * a.kv_heads * a.head_dim], &vf[at * a.kv_heads * a.value_dim], b, s, query, head, &definition[at * a.heads * a.value_dim]);
        }
    }
    EXPECT_SAME_BITS(got, as<Y>(want)) << "case " << number;
    expect_near(widened(got), definition, tolerance);
  }
}

TEST(Attention, F32ToF32) { test_attention<float, float>(attention_f32_f32, 1e-5); }
TEST(Attention, F32ToBf16) { test_attention<float, bf16>(attention_f32_bf16, 4e-3); }
TEST(Attention, Bf16ToF32) { test_attention<bf16, float>(attention_bf16_f32, 1e-5); }
TEST(Attention, Bf16ToBf16) { test_attention<bf16, bf16>(attention_bf16_bf16, 4e-3); }

TEST(Attention, ByTensorsIsTheDefinitionButForTheRoundingOfWeights) {
  const Heads cases[] = {
      {2, 70, 4, 2, 16, 32, 0, 0, false, false},    // two tiles, the second one partial; two sequences, grouped
      {1, 130, 2, 1, 24, 72, 0, 0, true, false},    // three tiles; widths that are no multiples of 16
      {1, 65, 2, 1, 8, 136, 0, 3, false, true},     // many value columns; cap; sink
      {1, 200, 1, 1, 8, 8, 64, 0, false, true},     // a window of a tile: whole tiles are left out
      {1, 150, 1, 1, 8, 8, 70, 2, true, false},     // a window that begins inside of a tile
      {1, 40, 1, 1, 8, 8, 1, 0, false, false},      // itself alone
      {1, 70, 1, 1, 8, 8, 0, 0, false, false},      // scores that are no powers without their maximum
  };
  int number = 0;
  for (const Heads& a : cases) {
    Random random(200 + ++number);
    float deviation = number == 7 ? 12.0f : 2.0f;
    int rows = a.sequences * a.length;
    std::vector<bf16> q = to_bf16(random.normals((size_t)rows * a.heads * a.head_dim, deviation)), k = to_bf16(random.normals((size_t)rows * a.kv_heads * a.head_dim, deviation)),
                      v = to_bf16(random.normals((size_t)rows * a.kv_heads * a.value_dim));
    std::vector<float> bias = random.normals((size_t)a.heads * a.length), sinks = random.normals(a.heads);
    const float *b = a.bias ? bias.data() : nullptr, *s = a.sinks ? sinks.data() : nullptr;
    size_t count = (size_t)rows * a.heads * a.value_dim;
    int keyed = (a.head_dim + 15) / 16 * 16, valued = (a.value_dim + 15) / 16 * 16;
    auto kernel = a.value_dim <= 64 ? attention_tensor_64 : a.value_dim <= 128 ? attention_tensor_128 : attention_tensor_256;
    auto run = [&](Launch launch) {
      auto y = fresh<bf16>(count);
      launch(dim3((a.length + 63) / 64, a.heads, a.sequences), 128, 2 * (128 * (keyed + 8) + 64 * (valued + 8)), [&] {
        kernel(q.data(), k.data(), v.data(), b, s, a.length, a.heads, a.kv_heads, a.head_dim, a.value_dim, 1 / sqrtf((float)a.head_dim), a.window, a.cap, y.data());
      });
      return y;
    };
    auto got = number % 2 ? in_all_orders(run) : run({Order::shuffled, seed()});
    std::vector<float> qf = widened(q), kf = widened(k), vf = widened(v);
    std::vector<double> definition(count);
    for (int sequence = 0; sequence < a.sequences; sequence++) {
      size_t at = (size_t)sequence * a.length;
      for (int query = 0; query < a.length; query++)
        for (int head = 0; head < a.heads; head++)
          attend_by_definition(a, &qf[at * a.heads * a.head_dim], &kf[at * a.kv_heads * a.head_dim], &vf[at * a.kv_heads * a.value_dim], b, s, query, head, &definition[at * a.heads * a.value_dim]);
    }
    expect_near(widened(got), definition, 8e-3);
  }
}

// ------------------------------------------------------------------------------------------------------------------ functions

TEST(Functions, AreAsExactAsTheySay) {
  for (double x = -120; x < 120; x += 0.00731) {
    float f = (float)x;
    double e = exp((double)f), p = exp2((double)f);
    if (f > -87 && f < 88) ASSERT_NEAR(exponential(f), e, 2e-7 * e) << f;
    if (f > -126 && f < 127) ASSERT_NEAR(power_of_two(f), p, 2e-7 * p) << f;
    ASSERT_NEAR(hyperbolic_tangent(f), tanh((double)f), 1e-7) << f;
  }
  for (double x = -2; x < 2; x += 0.0001137) {
    float f = (float)x;
    ASSERT_NEAR(hyperbolic_tangent(f), tanh((double)f), 4e-7 * fabs(tanh((double)f))) << f;
    if (f >= 0) ASSERT_NEAR(complementary_error(f), erfc((double)f), 5e-7 * erfc((double)f)) << f;
  }
  EXPECT_EQ(exponential(-INFINITY), 0);
  EXPECT_EQ(exponential(INFINITY), INFINITY);
  EXPECT_EQ(exponential(-88), 0);
  EXPECT_NE(exponential(NAN), exponential(NAN));
  EXPECT_EQ(power_of_two(-INFINITY), 0);
  EXPECT_EQ(exponential(0), 1);
  EXPECT_EQ(hyperbolic_tangent(INFINITY), 1);
  EXPECT_EQ(hyperbolic_tangent(-INFINITY), -1);
}

static double activation_by_definition(int kind, double x) {
  switch (kind) {
    case 0: return x / (1 + exp(-x));
    case 1: return x * 0.5 * erfc(-x / sqrt(2.0));
    case 2: return x * 0.5 * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    default: return std::max(x, 0.0);
  }
}

template <class X, class Y, class A, class C, class S>
static void test_elementwise(A activate, C clamped, S scale) {
  const int count = 1027;
  Random random(9);
  std::vector<X> gate = as<X>(random.normals(count, 4)), up = as<X>(random.normals(count, 4));
  std::vector<float> g = widened(gate), u = widened(up);
  double tolerance = sizeof(Y) == 2 ? 4e-3 : 1e-6;
  for (int kind = 0; kind < 4; kind++)
    for (bool with_up : {false, true}) {
      auto got = in_all_orders([&](Launch launch) {
        auto y = fresh<Y>(count);
        launch(flat(count), 256, 0, [&] { activate(kind, gate.data(), with_up ? up.data() : nullptr, y.data(), count); });
        return y;
      });
      std::vector<float> plain(count);
      std::vector<double> definition(count);
      for (int i = 0; i < count; i++) {
        plain[i] = with_up ? activation(kind, g[i]) * u[i] : activation(kind, g[i]);
        definition[i] = activation_by_definition(kind, g[i]) * (with_up ? u[i] : 1);
      }
      EXPECT_SAME_BITS(got, as<Y>(plain));
      expect_near(widened(got), definition, tolerance);
    }
  auto got = in_all_orders([&](Launch launch) {
    auto y = fresh<Y>(count);
    launch(flat(count), 256, 0, [&] { clamped(gate.data(), up.data(), 1.702f, 5.0f, y.data(), count); });
    return y;
  });
  std::vector<double> definition(count);
  std::vector<float> scaled(count);
  for (int i = 0; i < count; i++) {
    double a = std::min((double)g[i], 5.0), b = std::max(-5.0, std::min((double)u[i], 5.0));
    definition[i] = a / (1 + exp(-(double)1.702f * a)) * (b + 1);
    scaled[i] = g[i] * 0.3f;
  }
  expect_near(widened(got), definition, tolerance);
  auto y = fresh<Y>(count);
  Launch{Order::forward, 0}(flat(count), 256, 0, [&] { scale(gate.data(), 0.3f, y.data(), count); });
  EXPECT_SAME_BITS(y, as<Y>(scaled));
}

TEST(Elementwise, F32ToF32) { test_elementwise<float, float>(activate_f32_f32, clamped_gate_f32_f32, scale_f32_f32); }
TEST(Elementwise, F32ToBf16) { test_elementwise<float, bf16>(activate_f32_bf16, clamped_gate_f32_bf16, scale_f32_bf16); }
TEST(Elementwise, Bf16ToF32) { test_elementwise<bf16, float>(activate_bf16_f32, clamped_gate_bf16_f32, scale_bf16_f32); }
TEST(Elementwise, Bf16ToBf16) { test_elementwise<bf16, bf16>(activate_bf16_bf16, clamped_gate_bf16_bf16, scale_bf16_bf16); }

TEST(Elementwise, AddsMatrices) {
  for (int count : {1, 4, 2049}) {
    Random random(count);
    std::vector<float> a = random.normals(count), b = random.normals(count), want(count);
    for (int i = 0; i < count; i++) want[i] = a[i] + b[i];
    auto got = in_all_orders([&](Launch launch) {
      auto y = a;
      launch(flat(count), 256, 0, [&] { add_f32(y.data(), b.data(), y.data(), count); });
      return y;
    });
    EXPECT_SAME_BITS(got, want);
  }
}

template <class X>
void test_subtraction(void (*subtract)(const X*, const X*, float*, long long)) {
  for (int count : {1, 4, 2049}) {
    Random random(count);
    std::vector<X> a = as<X>(random.normals(count)), b = as<X>(random.normals(count));
    std::vector<float> left = widened(a), right = widened(b), want(count);
    for (int i = 0; i < count; i++) want[i] = left[i] - right[i];
    auto got = in_all_orders([&](Launch launch) {
      auto y = fresh<float>(count);
      launch(flat(count), 256, 0, [&] { subtract(a.data(), b.data(), y.data(), count); });
      return y;
    });
    EXPECT_SAME_BITS(got, want);
  }
}

TEST(Elementwise, SubtractsF32) { test_subtraction<float>(subtract_f32); }
TEST(Elementwise, SubtractsBf16) { test_subtraction<bf16>(subtract_bf16); }

TEST(Elementwise, AFewBlocksPassOverManyElements) {  // more than the grid has threads for
  const int count = 5000;
  Random random(4);
  std::vector<float> a = random.normals(count), b = random.normals(count), sum(count), scaled, want(count), want_scaled(count);
  for (int i = 0; i < count; i++) {
    want[i] = a[i] + b[i];
    want_scaled[i] = a[i] * 3;
  }
  a[4999] = 99;
  want[4999] = 99 + b[4999];
  want_scaled[4999] = 297;
  scaled = a;
  std::vector<unsigned short> halves(count, 0x3c00);
  auto ones = fresh<float>(count);
  Launch launch{Order::forward, 0};
  launch(dim3(2), 256, 0, [&] { add_f32(a.data(), b.data(), sum.data(), count); });
  launch(dim3(2), 256, 0, [&] { scale_f32_f32(scaled.data(), 3, scaled.data(), count); });  // in place: none twice
  launch(dim3(2), 256, 0, [&] { convert_f16_f32(halves.data(), ones.data(), count); });
  EXPECT_SAME_BITS(sum, want);
  EXPECT_SAME_BITS(scaled, want_scaled);
  EXPECT_SAME_BITS(ones, std::vector<float>(count, 1.0f));
}

// ------------------------------------------------------------------------------------------------------------ rows and columns

TEST(Rows, ABiasIsAddedToEachRow) {
  for (int cols : {7, 1028}) {
    Random random(cols);
    std::vector<float> x = random.normals(3 * cols), bias = random.normals(cols), want(3 * cols);
    for (int i = 0; i < 3 * cols; i++) want[i] = x[i] + bias[i % cols];
    auto y = fresh<float>(3 * cols);
    auto z = fresh<bf16>(3 * cols);
    Launch launch{Order::shuffled, seed()};
    launch(3, 256, 0, [&] { add_bias_f32_f32(x.data(), bias.data(), cols, y.data()); });
    launch(3, 256, 0, [&] { add_bias_f32_bf16(x.data(), bias.data(), cols, z.data()); });
    EXPECT_SAME_BITS(y, want);
    EXPECT_SAME_BITS(z, to_bf16(want));
  }
}

TEST(Rows, AreGathered) {
  for (int bytes : {6, 16, 2048, 5000}) {
    std::vector<char> from(9 * bytes);
    Random random(bytes);
    for (char& c : from) c = (char)random.below(256);
    std::vector<int> index = {8, 0, 3, 3};
    auto got = in_all_orders([&](Launch launch) {
      auto to = fresh<char>(4 * bytes);
      launch(4, 256, 0, [&] { gather_rows(from.data(), index.data(), bytes, to.data()); });
      return to;
    });
    for (int i = 0; i < 4; i++) EXPECT_EQ(memcmp(&got[i * bytes], &from[index[i] * bytes], bytes), 0);
  }
}

TEST(Rows, AreAddedWithFactors) {
  for (int cols : {6, 1032}) {
    Random random(cols);
    std::vector<float> x = random.normals(3 * cols), factors = random.normals(3), sum = random.normals(5 * cols), want = sum;
    std::vector<bf16> narrow = to_bf16(x);
    std::vector<int> index = {4, 0, 2};
    std::vector<float> want_narrow = sum;
    for (int i = 0; i < 3; i++)
      for (int c = 0; c < cols; c++) {
        want[index[i] * cols + c] += factors[i] * x[i * cols + c];
        want_narrow[index[i] * cols + c] += factors[i] * from_bf16(narrow[i * cols + c]);
      }
    auto got = in_all_orders([&](Launch launch) {
      auto s = sum;
      launch(3, 256, 0, [&] { add_rows_f32(x.data(), factors.data(), index.data(), cols, s.data()); });
      return s;
    });
    EXPECT_SAME_BITS(got, want);
    Launch{Order::forward, 0}(3, 256, 0, [&] { add_rows_bf16(narrow.data(), factors.data(), index.data(), cols, sum.data()); });
    EXPECT_SAME_BITS(sum, want_narrow);
  }
}

TEST(Rows, ColumnsOfHeadsAreJoined) {
  const int rows = 3, heads = 5, a_width = 6, b_width = 3;
  Random random(2);
  for (int b_cols : {b_width, heads * b_width}) {
    std::vector<float> a = random.normals(rows * heads * a_width), b = random.normals(rows * b_cols), want;
    for (int r = 0; r < rows; r++)
      for (int h = 0; h < heads; h++) {
        for (int c = 0; c < a_width; c++) want.push_back(a[r * heads * a_width + h * a_width + c]);
        for (int c = 0; c < b_width; c++) want.push_back(b[r * b_cols + h * b_width % b_cols + c]);
      }
    auto y = fresh<float>(want.size());
    auto z = fresh<bf16>(want.size());
    std::vector<bf16> an = to_bf16(a), bn = to_bf16(b);
    Launch launch{Order::shuffled, seed()};
    launch(rows, 256, 0, [&] { join_f32(a.data(), a_width, b.data(), b_width, b_cols, heads, y.data()); });
    launch(rows, 256, 0, [&] { join_bf16(an.data(), a_width, bn.data(), b_width, b_cols, heads, z.data()); });
    EXPECT_SAME_BITS(y, want);
    EXPECT_SAME_BITS(z, to_bf16(want));
  }
}

TEST(Rows, TheLargestMagnitudeOfEachColumnIsKept) {
  for (int rows : {1, 9, 200})
    for (int cols : {5, 40}) {
      Random random(rows * cols);
      std::vector<float> x = random.normals((size_t)rows * cols), before = random.normals(cols);
      for (float& v : before) v = fabsf(v) * 2;
      std::vector<bf16> narrow = to_bf16(x);
      std::vector<float> want = before, want_narrow = before;
      for (int r = 0; r < rows; r++)
        for (int c = 0; c < cols; c++) {
          want[c] = std::max(want[c], fabsf(x[r * cols + c]));
          want_narrow[c] = std::max(want_narrow[c], fabsf(from_bf16(narrow[r * cols + c])));
        }
      if (rows > 3) x[2 * cols + 1] = -NAN;
      dim3 grid((cols + 31) / 32, std::min(64, (rows + 63) / 64));
      auto got = in_all_orders([&](Launch launch) {
        auto largest = before;
        launch(grid, dim3(32, 8), 0, [&] { raise_largest_f32(x.data(), rows, cols, largest.data()); });
        return largest;
      });
      if (rows > 3) {
        EXPECT_TRUE(std::isnan(got[1]));
        got[1] = want[1];
      }
      EXPECT_SAME_BITS(got, want);
      auto largest = before;
      Launch{Order::reverse, 0}(grid, dim3(32, 8), 0, [&] { raise_largest_bf16(narrow.data(), rows, cols, largest.data()); });
      EXPECT_SAME_BITS(largest, want_narrow);
    }
}
