// Codes: to weights and back, orders of columns, sums.
#include "plain.h"

using namespace testing_kernels;
using plain::Grid;

struct Coded {
  int rows = 5, n = 300, groups = 4;
  Grid grid;
  std::vector<float> w, scales, zeros;
  std::vector<int> group_of_column;
  std::vector<unsigned char> codes;

  Coded(Grid g, unsigned salt) : grid(std::move(g)) {
    Random random(salt);
    w = random.normals(rows * n, 0.02f);
    for (int i = 0; i < n; i++) group_of_column.push_back(random.below(groups));
    for (int i = 0; i < rows * groups; i++) {
      scales.push_back(0.004f * (1 + fabsf(random.normal())));
      zeros.push_back(grid.shape.symmetric ? grid.shape.middle : (float)random.below(8));
    }
    for (int i = 0; i < rows * n; i++) codes.push_back((unsigned char)random.below((int)grid.shape.highest + 1));
  }
  int group(int at) const { return at / n * groups + group_of_column[at % n]; }
  // The table of Grid.levels(): always 256 long for a kernel.
  std::vector<float> values() const {
    std::vector<float> v = grid.values;
    v.resize(256);
    return v;
  }
};

static std::vector<Grid> grids() { return {plain::integers(4, true), plain::integers(3, false), plain::integers(8, false), plain::e2m1(), plain::table(255)}; }

TEST(Codes, StandForWeights) {
  for (const Grid& g : grids()) {
    Coded c(g, 1);
    std::vector<float> table = c.values(), error(c.rows * c.n);
    for (int i = 0; i < c.rows * c.n; i++) {
      float value = g.shape.levels ? g.values[c.codes[i]] : (float)c.codes[i];
      error[i] = c.w[i] - c.scales[c.group(i)] * (value - c.zeros[c.group(i)]);
    }
    auto got = in_all_orders([&](Launch launch) {
      auto left = c.w;  // in place
      launch(c.rows, 256, 0, [&] {
        quantization_error(left.data(), c.codes.data(), c.n, g.shape.levels ? table.data() : nullptr, c.group_of_column.data(), c.groups, c.scales.data(), c.zeros.data(), left.data());
      });
      return left;
    });
    EXPECT_SAME_BITS(got, error);
  }
}

TEST(Codes, AreTheNearest) {
  for (const Grid& g : grids())
    for (bool reciprocal : {false, true})
      for (bool signed_zero : {false, true}) {
        Coded c(g, 2);
        for (int i = 0; i < c.groups; i++) c.scales[i] = 0x1p-7f;  // of the first row: ties are exact
        for (int i = 0; i < 2 * c.n; i++) c.w[i] = c.scales[c.group(i)] * (g.shape.levels ? g.thresholds[i % (g.shape.levels - 1)] : (float)(i % 17 - 8) + 0.5f);
        c.w[100] = 0;
        c.w[101] = -0.0f;
        std::vector<unsigned char> want;
        for (int i = 0; i < c.rows * c.n; i++) {
          float s = c.scales[c.group(i)];
          if (g.shape.levels) {
            float x = reciprocal ? c.w[i] * (1 / s) : c.w[i] / s;
            want.push_back((unsigned char)(g.place(x) - (signed_zero && std::signbit(x) && x == 0)));
          } else {
            float code = nearbyintf(c.w[i] / s) + c.zeros[c.group(i)];
            want.push_back((unsigned char)std::max(g.shape.lowest, std::min(g.shape.highest, code)));
          }
        }
        auto got = in_all_orders([&](Launch launch) {
          auto codes = fresh<unsigned char>(want.size());
          launch(c.rows, 256, 0, [&] {
            nearest_codes(c.w.data(), c.n, g.shape, g.thresholds_or_null(), c.group_of_column.data(), c.groups, c.scales.data(), c.zeros.data(), reciprocal, signed_zero, codes.data());
          });
          return codes;
        });
        EXPECT_SAME_BITS(got, want);
      }
}

TEST(Codes, ColumnsAreGatheredInAnOrder) {
  const int rows = 4, stride = 310, cols = 290;
  Random random(6);
  std::vector<int> order = random.permutation(stride);
  order.resize(cols);
  order[7] = order[289] = -1;
  std::vector<float> x = random.normals(rows * stride), want;
  std::vector<unsigned char> bytes, want_bytes;
  for (int i = 0; i < rows * stride; i++) bytes.push_back((unsigned char)random.below(256));
  for (int r = 0; r < rows; r++)
    for (int at : order) {
      want.push_back(at < 0 ? 0 : x[r * stride + at]);
      want_bytes.push_back(at < 0 ? 0 : bytes[r * stride + at]);
    }
  auto y = fresh<float>(want.size());
  auto b = fresh<unsigned char>(want.size());
  Launch launch{Order::shuffled, seed()};
  launch(rows, 256, 0, [&] { gather_columns_f32(x.data(), stride, order.data(), cols, y.data()); });
  launch(rows, 256, 0, [&] { gather_columns_u8(bytes.data(), stride, order.data(), cols, b.data()); });
  EXPECT_SAME_BITS(y, want);
  EXPECT_SAME_BITS(b, want_bytes);
}

// The sum of 256 threads in the order that kernels.h says.
static double sum_of_threads(const std::vector<double>& own) {
  double sum = 0;
  for (int warp = 0; warp < 8; warp++) {
    std::vector<double> lane(own.begin() + warp * 32, own.begin() + warp * 32 + 32);
    for (int d = 16; d > 0; d /= 2)
      for (int l = 0; l < d; l++) lane[l] = lane[l] + lane[l + d];
    sum += lane[0];
  }
  return sum;
}

TEST(Sums, OfProductsInFp64) {
  for (int count : {1, 1023, 16384, 40001}) {
    Random random(count);
    std::vector<float> a = random.normals(count), b = random.normals(count);
    int blocks = (count + 16383) / 16384;
    std::vector<double> want, total(1);
    for (int block = 0; block < blocks; block++) {
      std::vector<double> own(256, 0.0);
      for (int i = block * 16384; i < std::min(count, (block + 1) * 16384); i++) own[i / 4 % 256] += (double)a[i] * b[i];
      want.push_back(sum_of_threads(own));
    }
    auto got = in_all_orders([&](Launch launch) {
      auto partial = fresh<double>(blocks);
      launch(blocks, 256, 0, [&] { dot_f32(a.data(), b.data(), count, partial.data()); });
      return partial;
    });
    EXPECT_SAME_BITS(got, want);
    double exact = 0;
    for (int i = 0; i < count; i++) exact += (double)a[i] * b[i];
    Launch{Order::reverse, 0}(1, 256, 0, [&] { sum_f64(got.data(), blocks, total.data()); });
    EXPECT_NEAR(total[0], exact, 1e-9);
  }
}

TEST(Sums, OfNumbersInAFixedOrder) {
  for (int count : {1, 255, 1000}) {
    Random random(count);
    std::vector<double> x(count), own(256, 0.0), got(1);
    for (int i = 0; i < count; i++) own[i % 256] += x[i] = random.normal();
    got = in_all_orders([&](Launch launch) {
      auto sum = fresh<double>(1);
      launch(1, 256, 0, [&] { sum_f64(x.data(), count, sum.data()); });
      return sum;
    });
    EXPECT_EQ(got[0], sum_of_threads(own));
  }
}
