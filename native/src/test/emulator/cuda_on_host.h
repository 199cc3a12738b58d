// Runs CUDA kernels on the CPU: one fiber for each thread, one block at a time. Enough of the language for block-level kernels; what is
// missing does not compile. Strict on purpose where kernels go wrong:
//   - a barrier that some threads never reach, or reach elsewhere, ends the process with both lines; so does a lane that is missing
//     from its own mask, and a mask that names a lane that ended or waits elsewhere;
//   - shared memory is a heap block of exactly its size: ASan sees an index past its end, and it starts out as NaN, so unwritten
//     memory shows. Vector types are aligned: UBSan sees a misaligned access;
//   - the order in which threads run is a parameter, and a warp runs ahead of the others as far as barriers allow: a result that
//     depends on the order is a race.
#pragma once
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <functional>
#include <memory>
#include <random>
#include <utility>
#include <vector>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__
#define DYNAMIC_SHARED(type, name) type* name = (type*)cuda_on_host::dynamic_shared()
#define SHARED(type, name, count)  \
  static char name##_key;          \
  type* name = (type*)cuda_on_host::fixed_shared(&name##_key, sizeof(type) * (count))

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
  size_t count() const { return (size_t)x * y * z; }
};

namespace cuda_on_host {

enum class Order { forward, reverse, shuffled };
const size_t STACK = 1 << 16;  // bytes of a thread; ASan's frames are large
const int WARP = 32;

// What a waiting thread wants: to read a lane's value, the votes of all, or only to meet the others.
const int MEET = -1, VOTE = 32;

// An asynchronous copy: nothing arrives before its thread waits for it.
struct Copy {
  void* to;
  const void* from;  // null: zeros
  size_t bytes;
};

struct Fiber {
#if defined(__x86_64__)
  void* context = nullptr;  // its stack pointer
#else
  ucontext_t context;
#endif
  char* stack = nullptr;
  dim3 thread;
  bool done = false;
  int barrier = 0, line = 0;  // what it waits for: 0 nothing, 1 block, 2 warp
  unsigned mask = 0;
  int source = MEET;
  uint64_t offered = 0, received = 0;
  const void* payload = nullptr;
  void* fake_stack = nullptr;
  std::vector<std::vector<Copy>> copies;  // groups; the last one is open
};

struct SharedArray {
  const void* key;
  std::unique_ptr<char[]> bytes;
};

struct Block {
  dim3 grid, block, at;
  size_t shared_bytes = 0;
  std::unique_ptr<char[]> shared;
  std::vector<SharedArray> arrays;
  std::vector<Fiber> fibers;
  Fiber* current = nullptr;
#if defined(__x86_64__)
  void* home = nullptr;
#else
  ucontext_t home;
#endif
  const void* home_stack = nullptr;
  size_t home_size = 0;
  std::function<void()> body;
};

inline Block*& block_pointer() {
  static thread_local Block* b = nullptr;
  return b;
}
inline Block& block() { return *block_pointer(); }

inline std::unique_ptr<char[]> unwritten(size_t bytes) {
  std::unique_ptr<char[]> p(new char[bytes ? bytes : 1]);
  memset(p.get(), 0xff, bytes);
  return p;
}
inline void* dynamic_shared() { return block().shared.get(); }
inline void* fixed_shared(const void* key, size_t bytes) {
  for (SharedArray& a : block().arrays)
    if (a.key == key) return a.bytes.get();
  block().arrays.push_back({key, unwritten(bytes)});
  return block().arrays.back().bytes.get();
}

#if defined(__x86_64__)
// Saves the registers that a call keeps and the stack pointer, and takes up another stack where it was left. Unlike swapcontext it
// makes no system call, and a test makes millions of switches.
__attribute__((naked, noinline, no_sanitize("address", "undefined"))) inline void switch_stack(void** /*save*/, void* /*to*/) {
  __asm__(
      "pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
      "movq %rsp, (%rdi); movq %rsi, %rsp\n"
      "popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp; ret\n");
}
#endif

inline void enter(Fiber& f) {  // scheduler -> thread
  block().current = &f;
#if defined(__SANITIZE_ADDRESS__)
  void* save;
  __sanitizer_start_switch_fiber(&save, f.stack, STACK);
#endif
#if defined(__x86_64__)
  switch_stack(&block().home, f.context);
#else
  swapcontext(&block().home, &f.context);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(save, nullptr, nullptr);
#endif
}

inline void leave(bool finished) {  // thread -> scheduler
  Block& b = block();
  Fiber& f = *b.current;
  (void)finished;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(finished ? nullptr : &f.fake_stack, b.home_stack, b.home_size);
#endif
#if defined(__x86_64__)
  switch_stack(&f.context, b.home);
#else
  swapcontext(&f.context, &b.home);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(f.fake_stack, &b.home_stack, &b.home_size);
#endif
}

[[noreturn]] inline void die(const char* what, int a, int b) {
  fprintf(stderr, "kernel error: %s (line %d and line %d)\n", what, a, b);
  abort();
}

inline void start() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &block().home_stack, &block().home_size);
#endif
  block().body();
  block().current->done = true;
  leave(true);
  die("a thread that ended went on", 0, 0);
}

inline void prepare(Fiber& f) {
#if defined(__x86_64__)
  void** top = (void**)(f.stack + STACK);  // a multiple of 16; `start` is entered as if called: 8 below one
  *--top = nullptr;
  *--top = (void*)start;
  for (int i = 0; i < 6; i++) *--top = nullptr;
  f.context = top;
#else
  getcontext(&f.context);
  f.context.uc_stack.ss_sp = f.stack;
  f.context.uc_stack.ss_size = STACK;
  f.context.uc_link = nullptr;
  makecontext(&f.context, (void (*)())start, 0);
#endif
}

inline void wait(int barrier, unsigned mask, int source, int line) {
  Fiber& f = *block().current;
  f.barrier = barrier;
  f.mask = mask;
  f.source = source;
  f.line = line;
  leave(false);
}

inline unsigned linear(const Fiber& f) {
  const dim3& d = block().block;
  return f.thread.x + d.x * (f.thread.y + d.y * f.thread.z);
}

// Lets the block go on when all its threads wait at one __syncthreads. True if it did.
inline bool release_block() {
  int line = 0;
  bool ended = false;
  for (Fiber& f : block().fibers) {
    ended |= f.done;
    if (f.done) continue;
    if (f.barrier != 1) return false;
    if (line == 0) line = f.line;
    if (f.line != line) die("threads wait at different barriers", line, f.line);
  }
  if (line == 0) return false;
  if (ended) die("a thread ended before a barrier the others wait at", line, line);
  for (Fiber& f : block().fibers) f.barrier = 0;
  return true;
}

// Gives the lanes of a mask that have all arrived what they asked for.
inline void serve(Fiber* lanes, int count, unsigned mask, int line) {
  for (int i = 0; i < count; i++) {
    if (!(mask >> i & 1)) continue;
    Fiber& f = lanes[i];
    if (f.source == VOTE) {
      f.received = 0;
      for (int j = 0; j < count; j++)
        if (mask >> j & 1) f.received |= (uint64_t)(lanes[j].offered != 0) << j;
    } else if (f.source != MEET) {
      if (f.source >= count || !(mask >> f.source & 1)) die("a shuffle reads a lane outside of the mask", line, line);
      f.received = lanes[f.source].offered;
    }
  }
  for (int i = 0; i < count; i++)
    if (mask >> i & 1) lanes[i].barrier = 0;
}

// Lets those lanes of a warp go on whose whole mask has arrived at one warp operation. True if any did.
inline bool release_lanes(size_t from, size_t to) {
  Fiber* lanes = &block().fibers[from];
  int count = (int)(to - from);
  bool moved = false;
  for (int i = 0; i < count; i++) {
    Fiber& f = lanes[i];
    if (f.barrier != 2) continue;
    unsigned mask = f.mask;
    if (!(mask >> i & 1)) die("a lane is not in its own mask", f.line, f.line);
    bool ready = true;
    for (int j = 0; j < WARP; j++) {
      if (!(mask >> j & 1)) continue;
      if (j >= count || lanes[j].done) die("a lane named in the mask has ended", f.line, f.line);
      if (lanes[j].barrier != 2) {
        ready = false;
        continue;
      }
      if (lanes[j].line != f.line || lanes[j].mask != mask) die("lanes of one mask are at different operations", f.line, lanes[j].line);
    }
    if (!ready) continue;
    serve(lanes, count, mask, f.line);
    moved = true;
  }
  return moved;
}

inline std::vector<size_t> turns(size_t n, Order order, std::mt19937& random) {
  std::vector<size_t> t(n);
  for (size_t i = 0; i < n; i++) t[i] = order == Order::reverse ? n - 1 - i : i;
  if (order == Order::shuffled)
    for (size_t i = n; i > 1; i--) std::swap(t[i - 1], t[random() % i]);
  return t;
}

// A warp runs on, through its shuffles, until a block barrier stops it: the others lag as far behind as they may.
inline void run_block(Order order, std::mt19937& random) {
  Block& b = block();
  size_t n = b.fibers.size();
  for (bool left = true; left;) {
    bool moved = false;
    left = false;
    for (size_t w : turns((n + WARP - 1) / WARP, order, random)) {
      size_t from = w * WARP, to = from + WARP < n ? from + WARP : n;
      std::vector<size_t> lanes = turns(to - from, order, random);
      bool again;
      do {
        again = false;
        for (size_t l : lanes) {
          Fiber& f = b.fibers[from + l];
          if (!f.done && f.barrier == 0) {
            enter(f);
            moved = true;
          }
        }
        if (release_lanes(from, to)) again = moved = true;
      } while (again && (order != Order::shuffled || random() % 8));
      for (size_t i = from; i < to; i++) left |= !b.fibers[i].done;
    }
    if (release_block()) moved = true;
    if (left && !moved) die("threads wait for one another for ever", 0, 0);
  }
}

// Runs body once for each thread of each block. The caller binds the kernel's arguments into body.
inline void launch(dim3 grid, dim3 threads, size_t shared_bytes, Order order, unsigned seed, const std::function<void()>& body) {
  Block b;
  block_pointer() = &b;
  b.grid = grid;
  b.block = threads;
  b.body = body;
  size_t n = threads.count();
  std::mt19937 random(seed);
  std::unique_ptr<char[]> stacks(new char[n * STACK + 16]);
  char* first = (char*)(((uintptr_t)stacks.get() + 15) / 16 * 16);
  for (size_t g = 0; g < grid.count(); g++) {
    size_t id = order == Order::reverse ? grid.count() - 1 - g : g;
    b.at = dim3((unsigned)(id % grid.x), (unsigned)(id / grid.x % grid.y), (unsigned)(id / grid.x / grid.y));
    b.shared = unwritten(shared_bytes);
    b.arrays.clear();
    b.fibers.assign(n, Fiber());
    for (size_t i = 0; i < n; i++) {
      Fiber& f = b.fibers[i];
      f.thread = dim3((unsigned)(i % threads.x), (unsigned)(i / threads.x % threads.y), (unsigned)(i / threads.x / threads.y));
      f.stack = first + i * STACK;
      prepare(f);
    }
    run_block(order, random);
  }
  block_pointer() = nullptr;
}

inline int lane() { return (int)(linear(*block().current) % WARP); }

// Every lane of the mask offers a value and receives that of lane `source`.
template <class T>
T exchange(unsigned mask, T value, int source, int line) {
  static_assert(sizeof(T) <= 8, "a shuffle moves at most 8 bytes");
  Fiber& f = *block().current;
  f.offered = 0;
  memcpy(&f.offered, &value, sizeof value);
  wait(2, mask, source, line);
  T result;
  memcpy(&result, &f.received, sizeof result);
  return result;
}

inline std::vector<std::vector<Copy>>& copies() {
  std::vector<std::vector<Copy>>& groups = block().current->copies;
  if (groups.empty()) groups.emplace_back();
  return groups;
}
inline void copy_later(void* to, const void* from, size_t bytes) {
  memset(to, 0xff, bytes);  // whoever reads it too early sees NaN
  copies().back().push_back({to, from, bytes});
}
inline void end_of_copies() { copies().emplace_back(); }
// Waits for all groups but the last `open` ones that were ended.
inline void copies_done(size_t open) {
  std::vector<std::vector<Copy>>& groups = copies();
  while (groups.size() > open + 1) {
    for (const Copy& c : groups.front()) {
      if (c.from)
        memcpy(c.to, c.from, c.bytes);
      else
        memset(c.to, 0, c.bytes);
    }
    groups.erase(groups.begin());
  }
}

// For host twins of instructions on whole warps: read(payload of a lane) may be called until this lane calls `taken`.
template <class T>
class Together {
 public:
  Together(const T& mine, int line) : line_(line) {
    Fiber& f = *block().current;
    first_ = linear(f) - linear(f) % WARP;
    f.payload = &mine;
    wait(2, ~0u, MEET, line);
  }
  const T& of(int lane) const { return *(const T*)block().fibers[first_ + lane].payload; }
  void taken() const { wait(2, ~0u, MEET, line_); }

 private:
  int line_;
  size_t first_;
};

}  // namespace cuda_on_host

#define threadIdx (cuda_on_host::block().current->thread)
#define blockIdx (cuda_on_host::block().at)
#define blockDim (cuda_on_host::block().block)
#define gridDim (cuda_on_host::block().grid)

inline void __syncthreads(int line = __builtin_LINE()) { cuda_on_host::wait(1, 0, cuda_on_host::MEET, line); }
inline void __syncwarp(unsigned mask = ~0u, int line = __builtin_LINE()) { cuda_on_host::wait(2, mask, cuda_on_host::MEET, line); }

template <class T>
T __shfl_sync(unsigned mask, T v, int source, int width = 32, int line = __builtin_LINE()) {
  int l = cuda_on_host::lane();
  return cuda_on_host::exchange(mask, v, (l & ~(width - 1)) + (source & (width - 1)), line);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T v, int distance, int width = 32, int line = __builtin_LINE()) {
  int l = cuda_on_host::lane(), to = l ^ distance;
  return cuda_on_host::exchange(mask, v, (to & ~(width - 1)) > (l & ~(width - 1)) ? l : to, line);
}
template <class T>
T __shfl_down_sync(unsigned mask, T v, unsigned distance, int width = 32, int line = __builtin_LINE()) {
  int l = cuda_on_host::lane();
  return cuda_on_host::exchange(mask, v, l % width + (int)distance < width ? l + (int)distance : l, line);
}
inline unsigned __ballot_sync(unsigned mask, int p, int line = __builtin_LINE()) {
  cuda_on_host::exchange(mask, (uint64_t)(p != 0), cuda_on_host::VOTE, line);
  return (unsigned)cuda_on_host::block().current->received;
}
template <class T>
T atomicAdd(T* p, T v) {  // fibers do not preempt each other
  T old = *p;
  *p = old + v;
  return old;
}
template <class T>
T atomicMax(T* p, T v) {
  T old = *p;
  if (v > old) *p = v;
  return old;
}

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(16) double2 {
  double x, y;
};

// IEEE operations by name: compile the host side with -ffp-contract=off and these equal the GPU's, bit for bit.
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return sqrtf(a); }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __dsqrt_rn(double a) { return sqrt(a); }
inline unsigned __float_as_uint(float x) {
  unsigned u;
  memcpy(&u, &x, 4);
  return u;
}
inline float __uint_as_float(unsigned u) {
  float x;
  memcpy(&x, &u, 4);
  return x;
}
inline int __float_as_int(float x) { return (int)__float_as_uint(x); }
inline float __int_as_float(int i) { return __uint_as_float((unsigned)i); }
template <class T>
T __ldg(const T* p) {
  return *p;
}
template <class T>
T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
T max(T a, T b) {
  return a < b ? b : a;
}
