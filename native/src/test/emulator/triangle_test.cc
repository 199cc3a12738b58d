// Kernels on square matrices against their definitions.
#include "testing.h"

using namespace testing_kernels;

static const int SIZES[] = {1, 31, 33, 70};

static std::vector<float> matrix(int n, unsigned salt) { return Random(salt).normals((size_t)n * n); }

// The lower triangle of one matrix, the rest NaN: what must not be read.
static std::vector<float> only_lower(std::vector<float> m, int n) {
  for (int i = 0; i < n; i++)
    for (int j = i + 1; j < n; j++) m[(size_t)i * n + j] = NAN;
  return m;
}
static std::vector<float> only_upper(std::vector<float> m, int n) {
  for (int i = 0; i < n; i++)
    for (int j = 0; j < i; j++) m[(size_t)i * n + j] = NAN;
  return m;
}

TEST(Triangle, TheLowerOneIsMirrored) {
  for (int n : SIZES) {
    std::vector<float> m = matrix(n, n), lower = only_lower(m, n), want = m;
    for (int i = 0; i < n; i++)
      for (int j = i + 1; j < n; j++) want[i * n + j] = m[j * n + i];
    auto got = in_all_orders([&](Launch launch) {
      auto y = lower;
      launch(tiles(n, n), dim3(32, 8), 0, [&] { mirror_lower(y.data(), n); });
      return y;
    });
    EXPECT_SAME_BITS(got, want);
  }
}

TEST(Triangle, AHessianIsDampedInAnotherOrder) {
  for (int n : SIZES) {
    Random random(n);
    std::vector<float> sum = matrix(n, n + 1);
    std::vector<int> order = random.permutation(n);
    std::vector<unsigned char> dead(n);
    for (auto& d : dead) d = (unsigned char)(random.below(4) == 0);
    std::vector<float> want(n * n);
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) want[i * n + j] = sum[order[i] * n + order[j]] / 77.0f;
      want[i * n + i] = (float)((dead[order[i]] ? 0.3 : want[i * n + i]) + 0.01);
    }
    auto got = in_all_orders([&](Launch launch) {
      auto h = fresh<float>(n * n);
      launch(tiles(n, n), dim3(32, 8), 0, [&] { order_hessian(sum.data(), n, order.data(), dead.data(), 77, 0.3, 0.01, h.data()); });
      return h;
    });
    EXPECT_SAME_BITS(got, want);
  }
}

TEST(Triangle, TheOrderOfASymmetricMatrixIsReversed) {
  for (int n : SIZES) {
    std::vector<float> m = matrix(n, n + 2), lower = only_lower(m, n), want(n * n);
    for (int i = 0; i < n; i++)
      for (int j = 0; j < n; j++) want[i * n + j] = i <= j ? m[(n - 1 - i) * n + n - 1 - j] : m[(n - 1 - j) * n + n - 1 - i];
    auto got = in_all_orders([&](Launch launch) {
      auto a = fresh<float>(n * n);
      launch(tiles(n, n), dim3(32, 8), 0, [&] { reverse_symmetric(lower.data(), n, a.data()); });
      return a;
    });
    EXPECT_SAME_BITS(got, want);
  }
}

TEST(Triangle, RComesFromTheFactored) {
  for (int n : SIZES) {
    std::vector<float> m = matrix(n, n + 3), lower = only_lower(m, n), want(n * n);
    for (int i = 0; i < n; i++)
      for (int j = i; j < n; j++) want[i * n + j] = m[(n - 1 - i) * n + n - 1 - j];
    auto got = in_all_orders([&](Launch launch) {
      auto r = fresh<float>(n * n);
      launch(tiles(n, n), dim3(32, 8), 0, [&] { reverse_lower(lower.data(), n, r.data()); });
      return r;
    });
    EXPECT_SAME_BITS(got, want);
  }
}

TEST(Triangle, WhatIsWrongOnADiagonalIsCounted) {
  const int n = 300;
  std::vector<float> m = matrix(n, 5), got = fresh<float>(n), want(n);
  for (int i = 0; i < n; i++) want[i] = m[(size_t)i * n + i] = 0.001f + fabsf(m[(size_t)i * n + i]);
  int bad = 0;
  Launch launch{Order::shuffled, seed()};
  launch(2, 256, 0, [&] { diagonal(m.data(), n, got.data(), &bad); });
  EXPECT_SAME_BITS(got, want);
  EXPECT_EQ(bad, 0);
  m[0] = 0;
  m[5 * n + 5] = NAN;
  m[299 * n + 299] = INFINITY;
  m[256 * n + 256] = -1;
  launch(2, 256, 0, [&] { diagonal(m.data(), n, got.data(), &bad); });
  EXPECT_EQ(bad, 4);
  launch(2, 256, 0, [&] { diagonal(m.data(), n, got.data(), nullptr); });
}

TEST(Triangle, SquaresOfAColumnAreAddedInFp64) {
  for (int n : {1, 65, 130}) {
    std::vector<float> upper = only_upper(matrix(n, n), n), want(n), got = fresh<float>(n);
    for (int j = 0; j < n; j++) {
      double sum = 0;
      for (int i = 0; i <= j; i++) sum += (double)upper[i * n + j] * upper[i * n + j];
      want[j] = (float)sum;
    }
    Launch{Order::reverse, 0}((n + 63) / 64, 64, 0, [&] { column_squares(upper.data(), n, got.data()); });
    EXPECT_SAME_BITS(got, want);
  }
}

TEST(Triangle, UpdatesAreRowsDividedByTheDiagonal) {
  struct Part {
    int n, from, to;
  };
  for (Part p : {Part{9, 0, 9}, {70, 33, 50}, {1032, 4, 8}, {1100, 64, 66}}) {
    Random random(p.n);
    std::vector<float> r = only_upper(matrix(p.n, p.n), p.n), diagonal(p.n), want;
    for (int i = 0; i < p.n; i++) diagonal[i] = r[(size_t)i * p.n + i];
    for (int i = p.from; i < p.to; i++)
      for (int j = p.from; j < p.n; j++) want.push_back(j < i ? 0 : r[(size_t)i * p.n + j] / diagonal[j]);
    auto got = in_all_orders([&](Launch launch) {
      auto u = fresh<float>(want.size());
      launch(dim3((p.n - p.from + 1023) / 1024, p.to - p.from), 256, 0, [&] { updates(r.data(), diagonal.data(), p.n, p.from, u.data()); });
      return u;
    });
    EXPECT_SAME_BITS(got, want);
  }
}

TEST(Triangle, RowsBecomeColumns) {
  for (int rows : {1, 40})
    for (int cols : {3, 65}) {
      std::vector<float> m = Random(rows * cols).normals(rows * cols), want(rows * cols);
      for (int r = 0; r < rows; r++)
        for (int c = 0; c < cols; c++) want[c * rows + r] = m[r * cols + c];
      auto got = in_all_orders([&](Launch launch) {
        auto t = fresh<float>(rows * cols);
        launch(tiles(rows, cols), dim3(32, 8), 0, [&] { transpose_f32(m.data(), rows, cols, t.data()); });
        return t;
      });
      EXPECT_SAME_BITS(got, want);
    }
}
