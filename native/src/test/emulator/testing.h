// What the tests of kernels share: random numbers, launches in three orders of threads, comparisons of bits.
#pragma once
#include <gtest/gtest.h>
#include "kernels.h"

#include <cstdarg>
#include <string>
#include <tuple>

namespace testing_kernels {

using cuda_on_host::Order;

// Of all random numbers of a run: QUERN_SEED, or the same in every run; printed when the first test asks for it.
inline unsigned seed() {
  static const unsigned value = [] {
    const char* given = getenv("QUERN_SEED");
    unsigned s = given ? (unsigned)strtoul(given, nullptr, 10) : 20261121;
    printf("QUERN_SEED=%u\n", s);
    fflush(stdout);
    return s;
  }();
  return value;
}

class Random {
 public:
  explicit Random(unsigned salt) : engine_(seed() + salt * 7919) {}
  float normal(float deviation = 1) { return deviation * normal_(engine_); }
  int below(int n) { return (int)(engine_() % (unsigned)n); }
  std::vector<float> normals(size_t n, float deviation = 1) {
    std::vector<float> v(n);
    for (float& x : v) x = normal(deviation);
    return v;
  }
  std::vector<int> permutation(int n) {
    std::vector<int> p(n);
    for (int i = 0; i < n; i++) p[i] = i;
    for (int i = n; i > 1; i--) std::swap(p[i - 1], p[below(i)]);
    return p;
  }

 private:
  std::mt19937 engine_;
  std::normal_distribution<float> normal_;
};

// Memory as a kernel finds it: nothing was written yet.
template <class T>
std::vector<T> fresh(size_t n) {
  std::vector<T> v(n);
  if (n) memset(v.data(), 0xff, n * sizeof(T));
  return v;
}

inline float from_bf16(bf16 b) { return __uint_as_float((unsigned)b << 16); }

// To nearest, ties to even, by looking at both neighbours.
inline bf16 to_bf16(float x) {
  unsigned bits = __float_as_uint(x);
  if (x != x) return (bf16)(bits >> 16 | 0x40);
  bf16 down = (bf16)(bits >> 16), up = (bf16)(down + 1);
  double below = from_bf16(down), above = (up & 0x7fff) == 0x7f80 ? (up & 0x8000 ? -1.0 : 1.0) * ldexp(1.0, 128) : (double)from_bf16(up);
  if (isinf(x)) return down;
  double to_below = fabs(x - below), to_above = fabs(above - x);
  return to_below < to_above ? down : to_above < to_below ? up : down & 1 ? up : down;
}
inline std::vector<bf16> to_bf16(const std::vector<float>& v) {
  std::vector<bf16> b;
  for (float x : v) b.push_back(to_bf16(x));
  return b;
}
inline std::vector<float> widened(const std::vector<float>& v) { return v; }
inline std::vector<float> widened(const std::vector<bf16>& v) {
  std::vector<float> f;
  for (bf16 x : v) f.push_back(from_bf16(x));
  return f;
}

// Values in the type that a kernel reads or writes.
template <class T>
std::vector<T> as(const std::vector<float>& v);
template <>
inline std::vector<float> as<float>(const std::vector<float>& v) { return v; }
template <>
inline std::vector<bf16> as<bf16>(const std::vector<float>& v) { return to_bf16(v); }

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || !memcmp(a.data(), b.data(), a.size() * sizeof(T)));
}
template <class... T>
bool same_bits(const std::tuple<T...>& a, const std::tuple<T...>& b) {
  return std::apply([&](const auto&... x) { return std::apply([&](const auto&... y) { return (same_bits(x, y) && ...); }, b); }, a);
}

// Where two vectors differ first, for the message of a test.
template <class T>
std::string difference(const std::vector<T>& a, const std::vector<T>& b) {
  if (a.size() != b.size()) return "sizes differ";
  size_t count = 0, first = 0;
  for (size_t i = 0; i < a.size(); i++)
    if (memcmp(&a[i], &b[i], sizeof(T)) && count++ == 0) first = i;
  if (count == 0) return "";
  return std::to_string(count) + " of " + std::to_string(a.size()) + " differ, first [" + std::to_string(first) + "]: " +
         std::to_string(a[first]) + " and " + std::to_string(b[first]);
}
#define EXPECT_SAME_BITS(a, b) EXPECT_EQ(testing_kernels::difference(a, b), "")

struct Launch {
  Order order;
  unsigned seed;
  void operator()(dim3 grid, dim3 block, size_t shared, const std::function<void()>& body) const {
    cuda_on_host::launch(grid, block, shared, order, seed, body);
  }
};

// The result of a run, which must have the same bits in whatever order threads run.
template <class Run>
auto in_all_orders(Run run) {
  auto result = run(Launch{Order::forward, 0});
  EXPECT_TRUE(same_bits(result, run(Launch{Order::reverse, 0}))) << "in reverse order";
  EXPECT_TRUE(same_bits(result, run(Launch{Order::shuffled, seed()}))) << "in random order";
  return result;
}

// The shapes of launches that kernels.h names.
inline dim3 flat(long long count) { return dim3((unsigned)std::min(65536LL, std::max(1LL, (count + 1023) / 1024))); }
inline dim3 tiles(int rows, int cols) { return dim3((cols + 31) / 32, (rows + 31) / 32); }
inline dim3 lanes(int rows, int of_block = 32) { return dim3((rows + of_block - 1) / of_block); }

}  // namespace testing_kernels
