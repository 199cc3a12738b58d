// Kernels of the solve for several linears at once: each member of a stack gets, bit for bit, what the same kernel gives for it alone.
#include "plain.h"

using namespace testing_kernels;
using plain::Grid;
using plain::Search;

namespace {  // structs of one name would be one type to the linker

static const int MEMBERS = 3;

// Rows that fill blocks of threads and that do not; sizes after which a member begins at any address.
struct Shape {
  int rows, n, from, width;
};
static const Shape SHAPES[] = {{64, 160, 32, 128}, {33, 60, 20, 36}, {5, 37, 3, 31}};

template <class X>
static std::vector<X> member(const std::vector<X>& stack, int m, int members = MEMBERS) {
  size_t each = stack.size() / members;
  return std::vector<X>(stack.begin() + m * each, stack.begin() + (m + 1) * each);
}

static dim3 times(dim3 grid, int members) { return dim3(grid.x, members); }

TEST(Stack, ColumnsTakeTheOrderOfTheirMember) {
  for (Shape s : SHAPES) {
    Random random(s.n);
    std::vector<float> x = random.normals((size_t)MEMBERS * s.rows * s.n);
    std::vector<unsigned char> bytes(x.size());
    for (auto& b : bytes) b = (unsigned char)random.below(256);
    std::vector<int> orders;
    for (int m = 0; m < MEMBERS; m++) {
      std::vector<int> order = random.permutation(s.n);
      orders.insert(orders.end(), order.begin(), order.begin() + s.width);
      orders[(size_t)m * s.width + m] = -1;
    }
    auto run = [&](const std::vector<float>& f, const std::vector<unsigned char>& b, const std::vector<int>& order, int members) {
      return in_all_orders([&](Launch launch) {
        auto y = fresh<float>((size_t)members * s.rows * s.width);
        auto codes = fresh<unsigned char>(y.size());
        launch(dim3(s.rows, members), 256, 0, [&] { gather_columns_f32(f.data(), s.n, order.data(), s.width, y.data()); });
        launch(dim3(s.rows, members), 256, 0, [&] { gather_columns_u8(b.data(), s.n, order.data(), s.width, codes.data()); });
        return std::make_tuple(y, codes);
      });
    };
    auto [y, codes] = run(x, bytes, orders, MEMBERS);
    for (int m = 0; m < MEMBERS; m++) {
      auto [own_y, own_codes] = run(member(x, m), member(bytes, m), member(orders, m), 1);
      EXPECT_SAME_BITS(member(y, m), own_y);
      EXPECT_SAME_BITS(member(codes, m), own_codes);
    }
  }
}

TEST(Stack, UpdatesAreThoseOfTheirFactor) {
  for (Shape s : SHAPES) {
    std::vector<float> factors = Random(s.n).normals((size_t)MEMBERS * s.n * s.n);
    int behind = s.n - s.from;
    auto run = [&](const std::vector<float>& r, int members) {
      return in_all_orders([&](Launch launch) {
        auto d = fresh<float>((size_t)members * s.n), u = fresh<float>((size_t)members * s.width * behind);
        std::vector<int> bad(1);
        launch(dim3((s.n + 255) / 256, members), 256, 0, [&] { diagonal(r.data(), s.n, d.data(), bad.data()); });
        launch(dim3((behind + 1023) / 1024, s.width, members), 256, 0, [&] { updates(r.data(), d.data(), s.n, s.from, u.data()); });
        return std::make_tuple(d, u, bad);
      });
    };
    auto [d, u, bad] = run(factors, MEMBERS);
    int all = 0;
    for (int m = 0; m < MEMBERS; m++) {
      auto [own_d, own_u, own_bad] = run(member(factors, m), 1);
      EXPECT_SAME_BITS(member(d, m), own_d);
      EXPECT_SAME_BITS(member(u, m), own_u);
      all += own_bad[0];
    }
    EXPECT_EQ(bad[0], all);
    EXPECT_GT(all, 0);
  }
}

TEST(Stack, ScalesAreThoseOfASearchAlone) {
  Grid grid = plain::integers(4, true);
  Search search = plain::search(1, 1, 1, plain::steps(48, 1.07f, 0.4f));
  for (Shape s : SHAPES)
    for (bool weighted : {true, false}) {
      Random random(s.n);
      const int groups = 4, length = s.width / 2, runs = 2;
      std::vector<float> w = random.normals((size_t)MEMBERS * s.rows * s.n), importance;
      for (int i = 0; i < MEMBERS * s.n; i++) importance.push_back(fabsf(random.normal()) + 0.01f);
      std::vector<int> numbers = {0, 2, 3, 1, 2, 3};
      auto run = [&](const std::vector<float>& x, const std::vector<float>& weight, const std::vector<int>& of_runs, int members) {
        return in_all_orders([&](Launch launch) {
          std::vector<float> scales((size_t)members * s.rows * groups, -7.0f), zeros = scales;
          launch(dim3((s.rows + 31) / 32, runs, members), 256, 17424, [&] {
            search_runs(x.data(), s.rows, s.n, s.from, length, grid.shape, search.shape, nullptr, nullptr, weighted ? weight.data() : nullptr,
                        search.factors.data(), nullptr, of_runs.data(), groups, scales.data(), zeros.data());
          });
          return std::make_tuple(scales, zeros);
        });
      };
      auto [scales, zeros] = run(w, importance, numbers, MEMBERS);
      for (int m = 0; m < MEMBERS; m++) {
        auto [own_scales, own_zeros] = run(member(w, m), member(importance, m), member(numbers, m), 1);
        EXPECT_SAME_BITS(member(scales, m), own_scales);
        EXPECT_SAME_BITS(member(zeros, m), own_zeros);
      }
    }
}

// What the sweeps of a stack read.
struct Swept {
  static const int GROUPS = 3;
  std::vector<float> original, working, update, diagonals, scales, zeros, importance;
  std::vector<int> group_of_column;

  Swept(Shape s, int members) {
    Random random(s.n);
    size_t rows = (size_t)members * s.rows;
    original = random.normals(rows * s.n, 0.02f);
    working = original;
    for (float& x : working) x += random.normal(0.003f);
    update = random.normals((size_t)members * s.width * (s.n - s.from), 0.2f);
    for (int i = 0; i < members * s.n; i++) diagonals.push_back(0.5f + fabsf(random.normal()));
    for (int i = 0; i < members * s.width; i++) {
      group_of_column.push_back(random.below(GROUPS));
      importance.push_back(fabsf(random.normal()) + 0.01f);
    }
    for (size_t i = 0; i < rows * GROUPS; i++) {
      scales.push_back(0.004f * (1 + fabsf(random.normal())));
      zeros.push_back((float)random.below(8));
    }
  }
  Swept(const Swept& stack, int m)
      : original(member(stack.original, m)), working(member(stack.working, m)), update(member(stack.update, m)), diagonals(member(stack.diagonals, m)),
        scales(member(stack.scales, m)), zeros(member(stack.zeros, m)), importance(member(stack.importance, m)),
        group_of_column(member(stack.group_of_column, m)) {}
};

TEST(Stack, ASweepIsThatOfALinearAlone) {
  Grid grid = plain::integers(4, false);
  Search search = plain::search(1, 1, 1, plain::steps(12, 1.07f, 0.4f));
  for (Shape s : SHAPES)
    for (bool live : {false, true}) {
      if (live && s.width % 4) continue;
      auto run = [&](const Swept& x, int members) {
        return in_all_orders([&](Launch launch) {
          auto working = x.working, scales = x.scales, zeros = x.zeros, error = fresh<float>((size_t)members * s.rows * s.width);
          std::vector<unsigned char> codes(x.original.size(), 0xff);
          std::vector<double> loss((size_t)members * s.rows, 1.0);
          launch(times(lanes(s.rows), members), 256, live ? 86544 : 69120, [&] {
            const float* d = x.diagonals.data() + s.from;
            if (live)
              sweep_live(x.original.data(), working.data(), s.n, s.rows, s.from, s.width, x.update.data(), s.n - s.from, d, grid.shape, nullptr, nullptr,
                         x.group_of_column.data(), Swept::GROUPS, scales.data(), zeros.data(), codes.data(), error.data(), loss.data(), 12, search.shape,
                         x.importance.data(), search.factors.data(), nullptr);
            else
              sweep_given(x.original.data(), working.data(), s.n, s.rows, s.from, s.width, x.update.data(), s.n - s.from, d, grid.shape, nullptr, nullptr,
                          x.group_of_column.data(), Swept::GROUPS, scales.data(), zeros.data(), codes.data(), error.data(), loss.data());
          });
          return std::make_tuple(codes, working, error, scales, zeros, loss);
        });
      };
      Swept stack(s, MEMBERS);
      auto together = run(stack, MEMBERS);
      for (int m = 0; m < MEMBERS; m++) {
        auto alone = run(Swept(stack, m), 1);
        EXPECT_SAME_BITS(member(std::get<0>(together), m), std::get<0>(alone)) << live;
        EXPECT_SAME_BITS(member(std::get<1>(together), m), std::get<1>(alone)) << live;
        EXPECT_SAME_BITS(member(std::get<2>(together), m), std::get<2>(alone)) << live;
        EXPECT_SAME_BITS(member(std::get<3>(together), m), std::get<3>(alone)) << live;
        EXPECT_SAME_BITS(member(std::get<4>(together), m), std::get<4>(alone)) << live;
        EXPECT_SAME_BITS(member(std::get<5>(together), m), std::get<5>(alone)) << live;
      }
    }
}

TEST(Stack, FreeColumnsAreThoseOfALinearAlone) {
  for (Shape s : SHAPES) {
    int stride = s.n - s.from, free_stride = s.width + 3;
    Swept stack(s, MEMBERS);
    std::vector<float> before = Random(1).normals((size_t)MEMBERS * s.rows * free_stride);
    auto run = [&](const Swept& x, const std::vector<float>& working, int members) {
      return in_all_orders([&](Launch launch) {
        auto free = working, moved = fresh<float>((size_t)members * s.rows * s.width);
        launch(times(lanes(s.rows), members), 256, 65536, [&] {
          free_columns(x.original.data() + s.from, s.n, s.rows, s.width, x.update.data(), stride, free.data(), free_stride, moved.data());
        });
        return std::make_tuple(free, moved);
      });
    };
    auto [free, moved] = run(stack, before, MEMBERS);
    for (int m = 0; m < MEMBERS; m++) {
      auto [own_free, own_moved] = run(Swept(stack, m), member(before, m), 1);
      EXPECT_SAME_BITS(member(free, m), own_free);
      EXPECT_SAME_BITS(member(moved, m), own_moved);
    }
  }
}

TEST(Stack, ADescentIsThatOfALinearAlone) {
  Grid grid = plain::integers(4, false);
  Search search = plain::search(1, 1, 1, {1});
  for (Shape s : {SHAPES[0], SHAPES[1], SHAPES[2], Shape{17, 210, 5, 200}}) {
    Random random(s.n);
    const int groups = 3, group = 1;
    size_t rows = (size_t)MEMBERS * s.rows;
    std::vector<float> gradient = random.normals(rows * s.n, 0.02f), hessian = random.normals((size_t)MEMBERS * s.n * s.n, 0.1f), scales, zeros;
    for (int m = 0; m < MEMBERS; m++)
      for (int i = 0; i < s.n; i++)
        for (int j = 0; j <= i; j++) {
          float& h = hessian[((size_t)m * s.n + i) * s.n + j];
          if (i == j) h = 3 + fabsf(h);
          hessian[((size_t)m * s.n + j) * s.n + i] = h;
        }
    std::vector<unsigned char> codes(rows * s.n);
    for (auto& c : codes) c = (unsigned char)random.below(16);
    for (size_t i = 0; i < rows * groups; i++) {
      scales.push_back(0.01f * (1 + fabsf(random.normal())));
      zeros.push_back((float)random.below(8));
    }
    bool wide = s.width > 128;
    auto run = [&](const std::vector<float>& g, const std::vector<float>& h, const std::vector<float>& of_scales, const std::vector<float>& z,
                   const std::vector<unsigned char>& before, int members) {
      return in_all_orders([&](Launch launch) {
        auto c = before;
        auto fitted = of_scales, change = fresh<float>((size_t)members * s.rows * s.width);
        launch(times(wide ? lanes(s.rows, 16) : lanes(s.rows), members), 256, wide ? 35840 : 19456, [&] {
          (wide ? descend_256 : descend_128)(g.data(), h.data(), s.rows, s.n, s.from, s.width, grid.shape, search.shape, nullptr, nullptr, group, groups,
                                             fitted.data(), z.data(), nullptr, {}, 1, c.data(), change.data());
        });
        return std::make_tuple(c, fitted, change);
      });
    };
    auto [c, fitted, change] = run(gradient, hessian, scales, zeros, codes, MEMBERS);
    for (int m = 0; m < MEMBERS; m++) {
      auto [own_c, own_fitted, own_change] = run(member(gradient, m), member(hessian, m), member(scales, m), member(zeros, m), member(codes, m), 1);
      EXPECT_SAME_BITS(member(c, m), own_c);
      EXPECT_SAME_BITS(member(fitted, m), own_fitted);
      EXPECT_SAME_BITS(member(change, m), own_change);
      EXPECT_FALSE(same_bits(own_c, member(codes, m)));  // or the test shows nothing
    }
  }
}

TEST(Stack, SumsAreThoseOfALinearAlone) {
  for (int count : {7, 1023, 16384 + 6}) {
    Random random(count);
    int blocks = (count + 16383) / 16384;
    std::vector<float> a = random.normals((size_t)MEMBERS * count), b = random.normals(a.size());
    auto run = [&](const std::vector<float>& x, const std::vector<float>& y, int members) {
      return in_all_orders([&](Launch launch) {
        auto partial = fresh<double>((size_t)members * blocks), sums = fresh<double>(members);
        launch(dim3(blocks, members), 256, 0, [&] { dot_f32(x.data(), y.data(), count, partial.data()); });
        launch(members, 256, 0, [&] { sum_f64(partial.data(), blocks, sums.data()); });
        return sums;
      });
    };
    std::vector<double> sums = run(a, b, MEMBERS);
    for (int m = 0; m < MEMBERS; m++) EXPECT_SAME_BITS(member(sums, m), run(member(a, m), member(b, m), 1));
  }
}

}  // namespace
