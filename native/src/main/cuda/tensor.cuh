// Instructions of the GPU that CUDA C++ has no name for, each behind one function with a host twin.
#pragma once
#include "device.cuh"

// A fragment of 16 x 16 bf16 (or of two 16 x 8): lane 4 g + t has elements 2 t and 2 t + 1 of row g of each 8 x 8 quarter.
struct Fragment {
  unsigned quarter[4];
};

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)

// Quarter i has its rows at the addresses of lanes 8 i .. 8 i + 7, 16 bytes each, in shared memory.
DEVICE Fragment load_matrix(const bf16* row) {
  Fragment f;
  unsigned address = (unsigned)__cvta_generic_to_shared(row);
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(f.quarter[0]), "=r"(f.quarter[1]), "=r"(f.quarter[2]), "=r"(f.quarter[3])
               : "r"(address) : "memory");
  return f;
}
// The same with each quarter transposed.
DEVICE Fragment load_transposed(const bf16* row) {
  Fragment f;
  unsigned address = (unsigned)__cvta_generic_to_shared(row);
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(f.quarter[0]), "=r"(f.quarter[1]), "=r"(f.quarter[2]), "=r"(f.quarter[3])
               : "r"(address) : "memory");
  return f;
}

// sum += a b for a: 16 x 16 (quarters: top left, bottom left, top right, bottom right), b: 16 x 8 by columns (top, bottom); sum: 16 x 8, of
// which lane 4 g + t has columns 2 t, 2 t + 1 of row g, then of row g + 8. How the hardware rounds the sum is not specified.
DEVICE void multiply(float (&sum)[4], const Fragment& a, unsigned top, unsigned bottom) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
               : "r"(a.quarter[0]), "r"(a.quarter[1]), "r"(a.quarter[2]), "r"(a.quarter[3]), "r"(top), "r"(bottom));
}

// Copies 16 bytes to shared memory some time before copies_done; zeros where there is no source.
DEVICE void copy_later(bf16* to, const bf16* from, bool source) {
  unsigned address = (unsigned)__cvta_generic_to_shared(to);
  int bytes = source ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(bytes) : "memory");
}
DEVICE void end_of_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits for all copies of this thread but those of the last `open` groups.
template <int open>
DEVICE void copies_done() { asm volatile("cp.async.wait_group %0;" ::"n"(open) : "memory"); }

// 2^x as fast as the hardware does it, to about 2^-22; 0 for minus infinity.
DEVICE float roughly_power_of_two(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

#else

DEVICE Fragment load_quarters(const bf16* row, bool transposed, int line) {
  cuda_on_host::Together<const bf16*> rows(row, line);
  int lane = cuda_on_host::lane();
  Fragment f;
  for (int i = 0; i < 4; i++) {
    bf16 pair[2];
    for (int e = 0; e < 2; e++) {
      int r = transposed ? lane % 4 * 2 + e : lane / 4, c = transposed ? lane / 4 : lane % 4 * 2 + e;
      if ((unsigned long long)rows.of(8 * i + r) % 16) cuda_on_host::die("a row of a matrix is not aligned", line, line);
      pair[e] = rows.of(8 * i + r)[c];
    }
    f.quarter[i] = pair[0] | (unsigned)pair[1] << 16;
  }
  rows.taken();
  return f;
}
DEVICE Fragment load_matrix(const bf16* row, int line = __builtin_LINE()) { return load_quarters(row, false, line); }
DEVICE Fragment load_transposed(const bf16* row, int line = __builtin_LINE()) { return load_quarters(row, true, line); }

DEVICE void multiply(float (&sum)[4], const Fragment& a, unsigned top, unsigned bottom, int line = __builtin_LINE()) {
  struct Operands {
    Fragment a;
    unsigned b[2];
  } mine = {a, {top, bottom}};
  cuda_on_host::Together<Operands> all(mine, line);
  int lane = cuda_on_host::lane();
  auto half = [](unsigned pair, int e) { return __uint_as_float(e ? pair & 0xffff0000u : pair << 16); };
  for (int i = 0; i < 4; i++) {
    int row = lane / 4 + i / 2 * 8, col = lane % 4 * 2 + i % 2;
    double exact = sum[i];
    for (int k = 0; k < 16; k++) {
      unsigned from_a = all.of(row % 8 * 4 + k % 8 / 2).a.quarter[row / 8 + k / 8 * 2], from_b = all.of(col * 4 + k % 8 / 2).b[k / 8];
      exact += (double)half(from_a, k % 2) * half(from_b, k % 2);
    }
    sum[i] = (float)exact;
  }
  all.taken();
}

DEVICE void copy_later(bf16* to, const bf16* from, bool source) { cuda_on_host::copy_later(to, source ? from : nullptr, 16); }
DEVICE void end_of_copies() { cuda_on_host::end_of_copies(); }
template <int open>
DEVICE void copies_done() { cuda_on_host::copies_done(open); }
DEVICE float roughly_power_of_two(float x) { return exp2f(x); }

#endif
