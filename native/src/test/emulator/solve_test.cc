// The search of scales, the sweep and the descent against the plain loops of Java, bit for bit.
#include "plain.h"

using namespace testing_kernels;
using plain::Grid;
using plain::Search;

namespace {  // structs of one name would be one type to the linker

// --------------------------------------------------------------------------------------------------------------------- search

struct Searched {
  std::string name;
  Grid grid;
  Search search;
  bool weighted;
};

static std::vector<Searched> searches() {
  std::vector<float> shrunk;
  for (int i = 0; i < 80; i++) shrunk.push_back(1 - i / 100.0f);
  // Multiples of a quarter are exact with the second factor and with the ninth, which one lane tries after its first.
  std::vector<float> tied = plain::steps(9, 0.3f, 0.6f);
  tied[1] = 1.25f;
  tied[8] = 2.5f;
  return {
      {"4 bits, equal errors", plain::integers(4, true), plain::search(1, 1, 1, tied), true},
      {"4 bits, weighted squares, F16", plain::integers(4, true), plain::search(1, 1, 1, plain::steps(48, 1.07f, 0.4f)), true},
      {"3 bits, asymmetric, three zeros, BF16", plain::integers(3, false), plain::search(1, 3, 2, plain::steps(48, 1.1f, 0.4f)), true},
      {"4 bits, powers, F32", plain::integers(4, false), plain::search(2, 1, 0, shrunk), false},
      {"4 bits, squares, factors a hair apart", plain::integers(4, true), plain::search(1, 1, 0, plain::steps(48, 0.9f, 0.900003f)), true},
      {"4 bits, powers, factors a hair apart", plain::integers(4, true), plain::search(2, 1, 0, plain::steps(80, 0.9f, 0.9001f)), false},
      {"largest, F32", plain::integers(4, false), plain::search(0, 1, 0, {1}), false},
      {"largest, F16", plain::integers(4, true), plain::search(0, 1, 1, {1}), false},
      {"largest, BF16", plain::integers(4, true), plain::search(0, 1, 2, {1}), false},
      {"ternary, E8M0", plain::integers(2, true, true), plain::search(1, 1, 4, {1, 2, 0.5f}), true},
      {"E2M1, E4M3 with a divisor", plain::e2m1(), plain::search(1, 1, 3, plain::steps(48, 1.55f, 0.6f), 301.7f), true},
      {"E2M1, E4M3 below its normal numbers", plain::e2m1(), plain::search(1, 1, 3, plain::steps(48, 1.55f, 0.6f)), true},
      {"2 bits, scales of both signs, F16", plain::integers(2, true), plain::search(1, 1, 1, plain::both_signs(plain::steps(24, 1.5f, 0.2f)), 1, true), true},
      {"255 levels, F16, all weigh 1", plain::table(255), plain::search(1, 1, 1, plain::steps(48, 1.1f, 0.8f)), false},
  };
}

// Rows of all kinds: usual ones, zeros, a far outlier, without negative weights, tiny, with scales halfway between two stored ones.
static std::vector<float> weights_of_all_kinds(Random& random, int rows, int n) {
  std::vector<float> w = random.normals((size_t)rows * n, 0.02f);
  for (int r = 0; r < rows; r++)
    for (int j = 0; j < n; j++) {
      float& x = w[(size_t)r * n + j];
      if (r == 1) x = 0;
      if (r == 2 && j == 1) x = -3;
      if (r == 3) x = fabsf(x);
      if (r == 4) x *= 1e-30f;
      if (r == 5) x = (float)(j % 7 - 3) * 0.25f;  // exact multiples: candidates tie
      if (r == 6) x = (float)(j % 5 - 2) * 3.75f * (1 + 0x1p-11f);
      if (r == 7) x = (float)(j % 5 - 2) * 3.75f * (1 + 0x1p-8f);
    }
  return w;
}

TEST(Search, ChoosesTheScalesOfThePlainLoop) {
  struct Shape {
    int rows, n, length;
  };
  for (const Searched& s : searches())
    for (Shape shape : {Shape{33, 44, 16}, {7, 150, 150}, {6, 263, 132}}) {
      Random random(shape.n);
      int groups = (shape.n + shape.length - 1) / shape.length;
      std::vector<float> w = weights_of_all_kinds(random, shape.rows, shape.n), importance(shape.n);
      for (float& x : importance) x = fabsf(random.normal()) + 0.01f;
      const float* weight = s.weighted ? importance.data() : nullptr;
      std::vector<int> numbers(groups);
      for (int g = 0; g < groups; g++) numbers[g] = g;
      std::vector<float> scales, zeros;
      for (int r = 0; r < shape.rows; r++)
        for (int g = 0; g < groups; g++) {
          int from = g * shape.length;
          auto [scale, zero] = plain::choose(s.grid, s.search, &w[(size_t)r * shape.n + from], std::min(shape.length, shape.n - from), weight ? weight + from : nullptr);
          scales.push_back(scale);
          zeros.push_back(zero);
        }
      auto run = [&](Launch launch) {
        auto got = fresh<float>(scales.size()), got_zeros = fresh<float>(scales.size());
        launch(dim3((shape.rows + 31) / 32, groups), 256, 17424, [&] {
          search_runs(w.data(), shape.rows, shape.n, 0, shape.length, s.grid.shape, s.search.shape, s.grid.values_or_null(), s.grid.thresholds_or_null(), weight,
                        s.search.factors.data(), plain::powers().data(), numbers.data(), groups, got.data(), got_zeros.data());
        });
        return std::make_tuple(got, got_zeros);
      };
      auto [got, got_zeros] = shape.n == 263 ? in_all_orders(run) : run({Order::shuffled, seed()});
      EXPECT_SAME_BITS(got, scales) << s.name << ", groups of " << shape.length;
      EXPECT_SAME_BITS(got_zeros, zeros) << s.name << ", groups of " << shape.length;
    }
}

TEST(Search, ChoosesTheScalesOfSomeGroups) {
  const int rows = 34, n = 90, from = 22, length = 30, groups = 5;
  std::vector<int> run_groups = {4, 0, 2};
  Random random(8);
  for (const Searched& s : searches()) {
    std::vector<float> w = weights_of_all_kinds(random, rows, n), importance(n), scales(rows * groups, -7.0f), zeros = scales;
    for (float& x : importance) x = fabsf(random.normal()) + 0.01f;
    const float* weight = s.weighted ? importance.data() : nullptr;
    auto got = scales, got_zeros = zeros;
    for (int r = 0; r < rows; r++)
      for (int k = 0; k < 3; k++) {
        int begin = from + k * length;
        std::tie(scales[r * groups + run_groups[k]], zeros[r * groups + run_groups[k]]) =
            plain::choose(s.grid, s.search, &w[(size_t)r * n + begin], std::min(length, n - begin), weight ? weight + begin : nullptr);
      }
    Launch{Order::shuffled, seed()}(dim3(2, 3), 256, 17424, [&] {
      search_runs(w.data(), rows, n, from, length, s.grid.shape, s.search.shape, s.grid.values_or_null(), s.grid.thresholds_or_null(), weight,
                  s.search.factors.data(), plain::powers().data(), run_groups.data(), groups, got.data(), got_zeros.data());
    });
    EXPECT_SAME_BITS(got, scales) << s.name;
    EXPECT_SAME_BITS(got_zeros, zeros) << s.name;
  }
}

// ---------------------------------------------------------------------------------------------------------------------- sweep

// What a sweep reads: weights, what the columns before the block have made of them, and R of the block within a larger matrix.
struct Swept {
  int rows, stride, from, width, groups;
  Grid grid;
  std::vector<float> original, working, update, diagonal, scales, zeros;
  std::vector<int> group_of_column;
  int update_stride;

  Swept(Grid grid, int rows, int stride, int from, int width, unsigned salt) : rows(rows), stride(stride), from(from), width(width), groups(3), grid(std::move(grid)) {
    Random random(salt);
    original = weights_of_all_kinds(random, rows, stride);
    working = original;
    for (float& x : working) x += random.normal(0.003f);
    update_stride = width + 5;
    update.assign((size_t)width * update_stride, NAN);  // below the diagonal: not to be read, and beyond the block
    for (int i = 0; i < width; i++)
      for (int j = i; j < width; j++) update[(size_t)i * update_stride + j] = i == j ? 1 : random.normal(0.2f);
    for (int i = 0; i < width; i++) diagonal.push_back(0.5f + fabsf(random.normal()));
    for (int i = 0; i < width; i++) group_of_column.push_back(random.below(groups));
    for (int i = 0; i < rows * groups; i++) {
      scales.push_back(0.004f * (1 + fabsf(random.normal())));
      zeros.push_back(this->grid.shape.symmetric ? this->grid.shape.middle : (float)random.below(8) + (i % 3 ? 0 : random.normal(0.3f)));
    }
  }
};

struct SweepResult {
  std::vector<unsigned char> codes;
  std::vector<float> working, error, scales, zeros;
  std::vector<double> loss;
};

// quern.device.cpu.Sweep and, for live scales, quern.method.LiveScales: one row at a time.
static SweepResult sweep_plainly(const Swept& s, int length = 0, const Search* search = nullptr, const float* importance = nullptr) {
  SweepResult r{std::vector<unsigned char>((size_t)s.rows * s.stride, 0xff), s.working, fresh<float>((size_t)s.rows * s.width), s.scales, s.zeros,
                std::vector<double>(s.rows, 1.0)};
  for (int row = 0; row < s.rows; row++) {
    const float* w = &s.original[(size_t)row * s.stride + s.from];
    float* live = &r.working[(size_t)row * s.stride + s.from];
    double of_lane[8] = {};
    for (int i = 0; i < s.width; i++) {
      int g = row * s.groups + s.group_of_column[i];
      if (search && i % length == 0) {
        int end = std::min(s.width, i + length);
        std::vector<float> free(live, live + s.width);
        for (int c = i; c < end; c++) {
          float moved = w[c] - free[c];
          for (int j = c + 1; j < end; j++) free[j] += moved * s.update[(size_t)c * s.update_stride + j];
        }
        std::tie(r.scales[g], r.zeros[g]) = plain::choose(s.grid, *search, &free[i], end - i, importance ? importance + i : nullptr);
      }
      float scale = r.scales[g], zero = r.zeros[g];
      float level = s.grid.round(live[i] / scale, zero);
      float e = w[i] - scale * level, weighted = (live[i] - scale * level) * s.diagonal[i];
      of_lane[i % 32 / 4] += (double)weighted * weighted;
      for (int j = i + 1; j < s.width; j++) live[j] += e * s.update[(size_t)i * s.update_stride + j];
      r.error[(size_t)row * s.width + i] = e;
      r.codes[(size_t)row * s.stride + s.from + i] = s.grid.code(level, zero);
    }
    double* l = of_lane;
    r.loss[row] += ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]));
  }
  return r;
}

static SweepResult sweep_by_kernel(const Swept& s, bool all_orders, int length = 0, const Search* search = nullptr, const float* importance = nullptr) {
  auto run = [&](Launch launch) {
    SweepResult r{std::vector<unsigned char>((size_t)s.rows * s.stride, 0xff), s.working, fresh<float>((size_t)s.rows * s.width), s.scales, s.zeros,
                  std::vector<double>(s.rows, 1.0)};
    launch(lanes(s.rows), 256, search ? 86544 : 69120, [&] {
      if (search)
        sweep_live(s.original.data(), r.working.data(), s.stride, s.rows, s.from, s.width, s.update.data(), s.update_stride, s.diagonal.data(), s.grid.shape,
                   s.grid.values_or_null(), s.grid.thresholds_or_null(), s.group_of_column.data(), s.groups, r.scales.data(), r.zeros.data(), r.codes.data(),
                   r.error.data(), r.loss.data(), length, search->shape, importance, search->factors.data(), plain::powers().data());
      else
        sweep_given(s.original.data(), r.working.data(), s.stride, s.rows, s.from, s.width, s.update.data(), s.update_stride, s.diagonal.data(), s.grid.shape,
                    s.grid.values_or_null(), s.grid.thresholds_or_null(), s.group_of_column.data(), s.groups, r.scales.data(), r.zeros.data(), r.codes.data(),
                    r.error.data(), r.loss.data());
    });
    return std::make_tuple(r.codes, r.working, r.error, r.scales, r.zeros, r.loss);
  };
  auto t = all_orders ? in_all_orders(run) : run({Order::shuffled, seed()});
  return {std::get<0>(t), std::get<1>(t), std::get<2>(t), std::get<3>(t), std::get<4>(t), std::get<5>(t)};
}

static void expect_same(const SweepResult& got, const SweepResult& want, const std::string& name) {
  EXPECT_SAME_BITS(got.codes, want.codes) << name;
  EXPECT_EQ(got.working, want.working) << name;  // the sign of a zero aside
  EXPECT_SAME_BITS(got.error, want.error) << name;
  EXPECT_SAME_BITS(got.scales, want.scales) << name;
  EXPECT_SAME_BITS(got.zeros, want.zeros) << name;
  EXPECT_SAME_BITS(got.loss, want.loss) << name;
}

TEST(Sweep, GivesTheCodesOfThePlainLoop) {
  int salt = 0;
  for (const Grid& grid : {plain::integers(4, true), plain::integers(3, false), plain::integers(2, true, true), plain::integers(8, false), plain::e2m1(), plain::table(255)})
    for (auto [rows, stride, from, width] : {std::tuple(9, 160, 16, 128), {33, 39, 1, 37}, {6, 136, 8, 100}, {5, 43, 4, 37}}) {
      Swept s(grid, rows, stride, from, width, ++salt);
      expect_same(sweep_by_kernel(s, salt % 5 == 1), sweep_plainly(s), std::to_string(salt));
    }
}

TEST(Sweep, TiesRoundToEvenOnAnExactQuotient) {  // w / scale is m + 1/2; a reciprocal or half-away rounding shows
  Swept s(plain::integers(4, true), 32, 128, 0, 128, 77);
  for (int r = 0; r < 32; r++) {
    float scale = (float)(2 * r + 3) / 1024;
    for (int g = 0; g < 3; g++) s.scales[r * 3 + g] = scale;
    for (int j = 0; j < 128; j++) s.original[r * 128 + j] = s.working[r * 128 + j] = ((float)(j % 13 - 6) + 0.5f) * scale;
  }
  for (int i = 0; i < 128; i++)
    for (int j = i + 1; j < 128; j++) s.update[i * s.update_stride + j] = 0;
  expect_same(sweep_by_kernel(s, false), sweep_plainly(s), "ties");
}

TEST(Sweep, ALossIsNotRequired) {
  Swept s(plain::integers(4, true), 3, 128, 0, 128, 3);
  SweepResult want = sweep_plainly(s);
  std::vector<unsigned char> codes(3 * 128);
  std::vector<float> working = s.working, error(3 * 128);
  Launch{Order::forward, 0}(lanes(3), 256, 69120, [&] {
    sweep_given(s.original.data(), working.data(), 128, 3, 0, 128, s.update.data(), s.update_stride, s.diagonal.data(), s.grid.shape, nullptr, nullptr,
                s.group_of_column.data(), s.groups, s.scales.data(), s.zeros.data(), codes.data(), error.data(), nullptr);
  });
  EXPECT_SAME_BITS(codes, want.codes);
}

TEST(Sweep, FindsScalesOnTheWayAsThePlainLoop) {
  int salt = 100;
  for (const Searched& s : searches())
    for (auto [rows, width, length] : {std::tuple(6, 128, 32), {9, 100, 128}, {5, 60, 20}}) {
      Swept swept(s.grid, rows, width + 12, 4, width, ++salt);
      std::vector<float> importance;
      Random random(salt);
      std::vector<int> numbers = random.permutation((width + length - 1) / length);  // groups come in any order
      swept.groups = (int)numbers.size();
      swept.scales = swept.zeros = fresh<float>(rows * swept.groups);
      for (int i = 0; i < width; i++) {
        swept.group_of_column[i] = numbers[i / length];
        importance.push_back(fabsf(random.normal()) + 0.01f);
      }
      const float* weight = s.weighted ? importance.data() : nullptr;
      expect_same(sweep_by_kernel(swept, salt == 105, length, &s.search, weight), sweep_plainly(swept, length, &s.search, weight), s.name);
    }
}

TEST(Sweep, FreeColumnsTakeTheirBestValues) {
  for (auto [rows, width] : {std::pair(5, 128), {33, 50}}) {
    Swept s(plain::integers(4, true), rows, width + 4, 4, width, width);
    int free_stride = width + 3;
    std::vector<float> before = Random(1).normals((size_t)rows * free_stride), want = before, want_moved;
    for (int r = 0; r < rows; r++)
      for (int c = 0; c < width; c++) {
        float* free = &want[(size_t)r * free_stride];
        float moved = s.original[(size_t)r * s.stride + 4 + c] - free[c];
        want_moved.push_back(moved);
        for (int j = c + 1; j < width; j++) free[j] += moved * s.update[(size_t)c * s.update_stride + j];
      }
    auto [got, moved] = in_all_orders([&](Launch launch) {
      auto free = before;
      auto m = fresh<float>((size_t)rows * width);
      launch(lanes(rows), 256, 65536, [&] {
        free_columns(s.original.data() + 4, s.stride, rows, width, s.update.data(), s.update_stride, free.data(), free_stride, m.data());
      });
      return std::make_tuple(free, m);
    });
    EXPECT_EQ(got, want);
    EXPECT_EQ(moved, want_moved);
  }
}

// -------------------------------------------------------------------------------------------------------------------- descent

struct Descended {
  std::vector<unsigned char> codes;
  std::vector<float> scales, change;
};

static Descended descend_plainly(const Grid& grid, const Search& search, int rows, int n, int from, int width, const std::vector<float>& gradient,
                                 const std::vector<float>& hessian, int group, int groups, const std::vector<float>& scales, const std::vector<float>& zeros,
                                 bool fits, const std::vector<unsigned char>& codes, const std::vector<float>& units = {}, Multiples multiples = {}) {
  Descended r{codes, scales, {}};
  for (int row = 0; row < rows; row++) {
    const float* g = &gradient[(size_t)row * n + from];
    unsigned char* code = &r.codes[(size_t)row * n + from];
    float scale = scales[row * groups + group], zero = zeros[row * groups + group];
    std::vector<float> slope(g, g + width), level, before;
    for (int j = 0; j < width; j++) {
      level.push_back(grid.value(code[j], zero));
      before.push_back(scale * (grid.shape.levels ? grid.values[code[j]] - zero : code[j] - zero));
    }
    auto h = [&](int i, int j) { return hessian[(size_t)(from + i) * n + from + j]; };
    for (int i = 0; i < width; i++) {
      float inverse = 1 / h(i, i);
      float chosen = grid.round(level[i] + slope[i] * inverse / scale, zero);
      float moved = scale * (level[i] - chosen);
      level[i] = chosen;
      for (int j = 0; j < width; j++) slope[j] += moved * h(i, j);
    }
    float curve = 0, fit = 0;
    for (int i = 0; i < width; i++) {
      float bend = 0;
      for (int k = 0; k < width; k++) bend += level[k] * h(i, k);
      curve += level[i] * bend;
      fit += level[i] * slope[i];
    }
    float fitted = curve > 0 ? scale + fit / curve : NAN;
    float candidate = std::isfinite(fitted) && (fitted > 0 || search.shape.has_sign) ? search.stored(fitted) : NAN;
    if (!units.empty() && std::isfinite(fitted)) {
      float unit = units[row * multiples.blocks + group / multiples.groups];
      float k = std::max(multiples.lowest, std::min(multiples.highest, nearbyintf(fitted / unit)));
      candidate = unit * (k == 0 ? 1 : k);
    }
    float now = fits && fabsf(candidate - fitted) < fabsf(scale - fitted) ? candidate : scale;
    r.scales[row * groups + group] = now;
    for (int j = 0; j < width; j++) {
      code[j] = grid.code(level[j], zero);
      r.change.push_back(before[j] - now * (grid.shape.levels ? grid.values[code[j]] - zero : code[j] - zero));
    }
  }
  return r;
}

TEST(Descent, GivesTheCodesAndScalesOfThePlainLoop) {
  struct Shape {
    int rows, n, from, width;
    bool fits;
  };
  int salt = 0;
  int fitted = 0, moved = 0, negative = 0, negative_multiples = 0;
  for (const Grid& grid : {plain::integers(4, true), plain::integers(3, false), plain::e2m1(), plain::table(255)})
    for (Shape shape : {Shape{5, 140, 8, 128, true}, {17, 70, 3, 61, true}, {3, 264, 4, 256, true}, {2, 300, 0, 150, true}, {4, 132, 0, 128, false}}) {
      Random random(++salt);
      const int groups = 3, group = 2;
      int rows = shape.rows, n = shape.n;
      std::vector<float> x = random.normals((size_t)2 * n * n), hessian((size_t)n * n);
      for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++) {
          float sum = i == j ? 0.1f : 0;
          for (int k = 0; k < 40; k++) sum += x[(size_t)i * 2 * n + k] * x[(size_t)j * 2 * n + k] / 40;
          hessian[(size_t)i * n + j] = hessian[(size_t)j * n + i] = sum;
        }
      std::vector<float> gradient = random.normals((size_t)rows * n, 0.02f), scales, zeros;
      std::vector<unsigned char> codes((size_t)rows * n);
      int highest = (int)grid.shape.highest;
      for (auto& c : codes) c = (unsigned char)random.below(highest + 1);
      for (int i = 0; i < rows * groups; i++) {
        scales.push_back(0.01f * (1 + fabsf(random.normal())));
        zeros.push_back(grid.shape.symmetric ? grid.shape.middle : (float)random.below(8) + (i % 3 ? 0 : random.normal(0.3f)));
      }
      for (int j = 0; j < n; j++) codes[j] = grid.code(grid.round(0, zeros[group]), zeros[group]);  // a row that stands for zero
      Search search = plain::search(1, 1, (salt + salt / 5) % 5, {1}, (salt + salt / 5) % 5 == 3 ? 300.0f : 1.0f);
      search.shape.has_sign = (salt + salt / 5) % 5 == 1;  // F16
      for (size_t i = 0; search.shape.has_sign && i < scales.size(); i += 2) scales[i] = -scales[i];
      std::vector<float> units;  // of some: the group is in the second block of its row
      Multiples multiples = {2, 2, -32, 31};
      for (int i = 0; salt % 3 == 0 && i < rows * 2; i++) units.push_back((i % 8 == 1 ? 0.0002f : 0.002f) * (1 + 0.2f * fabsf(random.normal())));
      for (size_t i = 0; !units.empty() && i < scales.size(); i++) scales[i] = i % 4 ? -fabsf(scales[i]) : scales[i];
      Descended want = descend_plainly(grid, search, rows, n, shape.from, shape.width, gradient, hessian, group, groups, scales, zeros, shape.fits, codes, units, multiples);
      bool wide = shape.width > 128;
      auto run = [&](Launch launch) {
        auto c = codes;
        auto s = scales;
        auto change = fresh<float>((size_t)rows * shape.width);
        launch(wide ? lanes(rows, 16) : lanes(rows), 256, wide ? 35840 : 19456, [&] {
          (wide ? descend_256 : descend_128)(gradient.data(), hessian.data(), rows, n, shape.from, shape.width, grid.shape, search.shape, grid.values_or_null(),
                                             grid.thresholds_or_null(), group, groups, s.data(), zeros.data(), units.empty() ? nullptr : units.data(), multiples,
                                             shape.fits, c.data(), change.data());
        });
        return std::make_tuple(c, s, change);
      };
      auto [got, got_scales, change] = salt % 4 == 1 ? in_all_orders(run) : run({Order::shuffled, seed()});
      EXPECT_SAME_BITS(got, want.codes) << salt;
      EXPECT_SAME_BITS(got_scales, want.scales) << salt;
      EXPECT_EQ(change, want.change) << salt;
      fitted += !same_bits(scales, want.scales);
      for (size_t i = 0; i < scales.size(); i++) (units.empty() ? negative : negative_multiples) += scales[i] != want.scales[i] && want.scales[i] < 0;
      moved += !same_bits(codes, want.codes);
    }
  EXPECT_GT(fitted, 8);  // or the test shows nothing
  EXPECT_GT(moved, 8);
  EXPECT_GT(negative, 2);
  EXPECT_GT(negative_multiples, 2);
}

TEST(Descent, TiesRoundToEvenOnAnExactQuotient) {
  const int rows = 32, n = 128;
  Grid grid = plain::integers(4, true);
  Search search = plain::search(1, 1, 1, {1});
  std::vector<float> hessian(n * n), gradient, scales, zeros(rows, 8.0f), change = fresh<float>(rows * n);
  std::vector<unsigned char> codes(rows * n, 8);
  for (int i = 0; i < n; i++) hessian[i * n + i] = 1;
  for (int r = 0; r < rows; r++) {
    scales.push_back((float)(2 * r + 3) / 1024);
    for (int j = 0; j < n; j++) gradient.push_back(((float)(j % 11 - 5) + 0.5f) * scales[r]);
  }
  Descended want = descend_plainly(grid, search, rows, n, 0, n, gradient, hessian, 0, 1, scales, zeros, true, codes);
  Launch{Order::forward, 0}(lanes(rows), 256, 19456, [&] {
    descend_128(gradient.data(), hessian.data(), rows, n, 0, n, grid.shape, search.shape, nullptr, nullptr, 0, 1, scales.data(), zeros.data(), nullptr, {}, 1, codes.data(), change.data());
  });
  EXPECT_SAME_BITS(codes, want.codes);
  EXPECT_SAME_BITS(scales, want.scales);
  EXPECT_EQ(change, want.change);
}

}  // namespace
